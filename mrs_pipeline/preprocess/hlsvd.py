"""State-space decomposition of a FID into damped sinusoids (HLSVD)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mrs_pipeline.spectrum import ComplexArray, FloatArray

MAX_POINTS = 2048
"""Points that the poles are estimated from; later points of a longer FID add noise, not lines."""


@dataclass(frozen=True, eq=False)
class DampedLines:
    r"""A FID as a sum of damped sinusoids.

    Parameters
    ----------
    frequency
        Offset from the carrier in Hz, shape ``(n_lines,)``.
    damping
        Decay rate in 1/s, never negative.
    amplitude
        Complex amplitude at t = 0, in the units of the data.

    Notes
    -----
    :math:`y(t) = \sum_k a_k\, e^{(2\pi i f_k - d_k)\,t}`.
    """

    frequency: FloatArray
    damping: FloatArray
    amplitude: ComplexArray

    def select(self, mask: npt.NDArray[np.bool_]) -> DampedLines:
        """Return the lines a mask picks."""
        return DampedLines(self.frequency[mask], self.damping[mask], self.amplitude[mask])

    def fid(self, time: FloatArray) -> ComplexArray:
        """Return the sum of the lines at the given times in seconds."""
        return np.asarray(_exponentials(self.frequency, self.damping, time) @ self.amplitude, dtype=np.complex128)


def decompose(fid: ComplexArray, dwell: float, components: int, *, first: int = 0) -> DampedLines:
    """Decompose a FID into damped sinusoids.

    Parameters
    ----------
    fid
        One FID, shape ``(n_points,)``.
    dwell
        Time between points in seconds.
    components
        Number of sinusoids.
    first
        First point used; the amplitudes still refer to t = 0 (point 0). ``1`` predicts the first point from all others.

    Returns
    -------
    DampedLines
        Poles outside the unit circle (growing lines) are put on it.

    Notes
    -----
    The signal subspace are the leading left singular vectors of the Hankel matrix of the data; its shift invariance
    gives the poles, a linear least-squares fit to all points the amplitudes (Barkhuijsen 1987,
    doi:10.1016/0022-2364(87)90023-0). As in HLSVD-PRO only the leading singular triplets are computed, by a Lanczos
    iteration whose products use the Hankel structure and the FFT (Laudadio 2002, doi:10.1006/jmre.2002.2593). The
    start vector is fixed, so equal input gives equal output.
    """
    used = np.asarray(fid, dtype=np.complex128)[first:]
    scale = float(np.max(np.abs(used), initial=0.0))
    n_rows = min(used.size, MAX_POINTS) // 2
    if scale == 0.0 or n_rows <= components + 1:
        empty = np.zeros(0)
        return DampedLines(empty, empty, empty.astype(np.complex128))
    left = _leading_vectors(used[:MAX_POINTS] / scale, n_rows, components)
    poles = _poles(left)
    damping = np.asarray(np.maximum(-np.log(np.abs(poles)), 0.0) / dwell, dtype=np.float64)
    frequency = np.asarray(np.angle(poles) / (2 * np.pi * dwell), dtype=np.float64)
    time = np.asarray((first + np.arange(used.size)) * dwell, dtype=np.float64)
    return DampedLines(frequency, damping, _amplitudes(_exponentials(frequency, damping, time), used))


def refit(lines: DampedLines, fid: ComplexArray, dwell: float) -> DampedLines:
    """Fit the amplitudes of known lines to another FID, shape ``(n_points,)``."""
    time = np.asarray(np.arange(fid.size) * dwell, dtype=np.float64)
    design = _exponentials(lines.frequency, lines.damping, time)
    return DampedLines(lines.frequency, lines.damping, _amplitudes(design, fid))


def _amplitudes(design: ComplexArray, fid: ComplexArray) -> ComplexArray:
    """Least-squares amplitudes of lines."""
    return np.asarray(np.linalg.lstsq(design, fid, rcond=1e-10)[0], dtype=np.complex128)


def _exponentials(frequency: FloatArray, damping: FloatArray, time: FloatArray) -> ComplexArray:
    """Damped unit sinusoids, shape ``(n_time, n_lines)``."""
    return np.asarray(np.exp(time[:, None] * (2j * np.pi * frequency - damping)[None, :]), dtype=np.complex128)


def _leading_vectors(data: ComplexArray, n_rows: int, components: int) -> ComplexArray:
    """Leading left singular vectors of the Hankel matrix ``H[i, j] = data[i + j]``, shape ``(n_rows, components)``."""
    gram = _hankel_gram(data, n_rows)
    steps = min(n_rows, 2 * components + 30)
    start = data[:n_rows] + 1e-3 * np.exp(2j * np.pi * (np.sqrt(2) * np.arange(n_rows) ** 2 % 1.0))
    krylov, small = _lanczos(gram, start, steps)
    vectors = np.linalg.eigh(small)[1][:, ::-1][:, :components]
    return np.asarray(krylov.T @ vectors, dtype=np.complex128)


def _hankel_gram(data: ComplexArray, n_rows: int) -> Callable[[ComplexArray], ComplexArray]:
    """Return the product with ``H H^H`` for the Hankel matrix of the data, by FFT."""
    from scipy.fft import fft, ifft, next_fast_len

    n_columns = data.size - n_rows + 1
    size = next_fast_len(data.size)
    forward, adjoint = fft(data, size), fft(data.conj(), size)

    def correlate(kernel: ComplexArray, vector: ComplexArray, length: int) -> ComplexArray:
        # sum_j data[i + j] v[j]: the data convolved with the reversed vector, read from index len(v) - 1 on
        product = ifft(kernel * fft(vector[::-1], size))
        return np.asarray(product[vector.size - 1 : vector.size - 1 + length], dtype=np.complex128)

    return lambda vector: correlate(forward, correlate(adjoint, vector, n_columns), n_rows)


def _lanczos(
    product: Callable[[ComplexArray], ComplexArray], start: ComplexArray, steps: int
) -> tuple[ComplexArray, FloatArray]:
    """Orthonormal Krylov vectors (rows) of a Hermitian operator and the tridiagonal matrix it becomes in them.

    Every vector is made orthogonal to all earlier ones twice, so that no copies of a converged one appear.
    """
    vectors = np.zeros((steps, start.size), dtype=np.complex128)
    diagonal, beside = np.zeros(steps), np.zeros(steps)
    current = start / np.linalg.norm(start)
    for step in range(steps):
        vectors[step] = current
        done = vectors[: step + 1]
        following = product(current)
        diagonal[step] = np.vdot(current, following).real
        for _ in range(2):
            following = following - done.T @ (done.conj() @ following)
        beside[step] = np.linalg.norm(following)
        if beside[step] <= 1e-14 * diagonal[0]:
            steps = step + 1
            break
        current = following / beside[step]
    small = np.diag(diagonal[:steps]) + np.diag(beside[: steps - 1], 1) + np.diag(beside[: steps - 1], -1)
    return vectors[:steps], small


def _poles(left: ComplexArray) -> ComplexArray:
    """Poles from the shift invariance of the signal subspace, shape ``(components,)``."""
    shift = np.linalg.lstsq(left[:-1], left[1:], rcond=None)[0]
    return np.asarray(np.linalg.eigvals(shift), dtype=np.complex128)
