"""Non-negative linear least squares by normal equations, and the derivative of what it leaves (variable projection)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mrs_pipeline.spectrum import FloatArray

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class LinearSolution:
    """Amplitudes and the set of those that are not held at zero.

    Parameters
    ----------
    amplitudes
        Shape ``(K,)``.
    free
        Which amplitudes are off their bound, shape ``(K,)``.
    """

    amplitudes: FloatArray
    free: BoolArray


def nonnegative_solve(
    gram: FloatArray, moment: FloatArray, signed: BoolArray, start: BoolArray | None = None, max_steps: int = 200
) -> LinearSolution:
    r"""Minimise :math:`\tfrac12 a^T G a - m^T a` with ``a >= 0`` where not signed.

    Parameters
    ----------
    gram, moment
        :math:`G = A^TA` (positive definite), shape ``(K, K)``, and :math:`m = A^Ty`, shape ``(K,)``.
    signed
        Components whose amplitude may have either sign.
    start
        Free set to begin with, for a warm start; all when ``None``.

    Notes
    -----
    Block principal pivoting with Murty's single exchange as the fallback that guarantees an end
    (Júdice & Pires 1994, doi:10.1016/0305-0548(94)90106-6).
    """
    unit = np.sqrt(np.maximum(np.diagonal(gram), 0.0))
    unit = np.where(unit > 0, unit, 1.0)
    scaled, target = gram / np.outer(unit, unit), moment / unit
    tolerance = 1e-12 * float(np.abs(target).max(initial=0.0))
    free = np.ones(moment.size, bool) if start is None else (start | signed)
    best, patience = moment.size + 1, 3
    for _ in range(max_steps):
        amplitudes, dual = _solve_free(scaled, target, free)
        wrong = (free & ~signed & (amplitudes < -tolerance)) | (~free & (dual < -tolerance))
        count = int(wrong.sum())
        if count == 0:
            break
        if count < best:
            best, patience = count, 3
        elif patience > 0:
            patience -= 1
        else:
            wrong[: np.flatnonzero(wrong)[-1]] = False
        free = free ^ wrong
    return LinearSolution(np.where(signed, amplitudes, np.maximum(amplitudes, 0.0)) / unit, free)


def _solve_free(gram: FloatArray, moment: FloatArray, free: BoolArray) -> tuple[FloatArray, FloatArray]:
    """Solution on the free set and the gradient elsewhere."""
    index = np.flatnonzero(free)
    amplitudes = np.zeros(moment.size)
    if index.size:
        amplitudes[index] = _solved(gram[np.ix_(index, index)], moment[index])
    return amplitudes, gram @ amplitudes - moment


def _solved(gram: FloatArray, right: FloatArray) -> FloatArray:
    """Solve the normal equations; by the smallest solution where two signals are the same or one is empty."""
    try:
        return np.asarray(np.linalg.solve(gram, right), dtype=np.float64)
    except np.linalg.LinAlgError:
        return np.asarray(np.linalg.lstsq(gram, right, rcond=None)[0], dtype=np.float64)


def projected_jacobian(
    design: FloatArray, rows: FloatArray, gram: FloatArray, free: BoolArray, moved: FloatArray, pull: FloatArray
) -> FloatArray:
    r"""Differentiate the projected residual with respect to the nonlinear parameters (Golub & Pereyra 1973).

    Parameters
    ----------
    design
        Whitened model columns ``A``, shape ``(K, n)`` (one row per component).
    rows
        Prior rows on the amplitudes, shape ``(m, K)``.
    gram
        ``A A' + rows' rows``, shape ``(K, K)``.
    free
        Free amplitudes, shape ``(K,)``.
    moved
        :math:`(\partial A/\partial\theta_j)\,a`, shape ``(p, n)``.
    pull
        :math:`(\partial A/\partial\theta_j)^T r`, shape ``(p, K)``.

    Returns
    -------
    ndarray
        Shape ``(n + m, p)``: rows of data, then prior rows.

    Notes
    -----
    With :math:`\tilde A = [A; R]` and :math:`G = \tilde A^T\tilde A` on the free set,
    :math:`\partial r/\partial\theta_j = -[\dot A_j a; 0] + \tilde A G^{-1}(A^T\dot A_j a - \dot A_j^T r)`
    (doi:10.1137/0710036).
    """
    index = np.flatnonzero(free)
    active = design[index]
    change = _solved(gram[np.ix_(index, index)], active @ moved.T - pull[:, index].T)
    data = active.T @ change - moved.T
    return np.concatenate([data, rows[:, index] @ change])
