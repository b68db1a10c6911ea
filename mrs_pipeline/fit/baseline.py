r"""Penalised B-spline baseline, projected out of the fit.

The baseline is :math:`Bc` with cubic B-splines on equal knots and a penalty :math:`\lambda\lVert D_2 c\rVert^2` on
second differences (Eilers & Marx 1996, doi:10.1214/ss/1038425655). In the Demmler-Reinsch basis both forms are
diagonal: :math:`Z^TZ = I` and the penalty is :math:`\lambda\sum s_j c_j^2`. Eliminating ``c`` from
:math:`\lVert x - Zc\rVert^2 + \lambda c^T S c` leaves :math:`\lVert Vx\rVert^2` with the symmetric matrix
:math:`V = I - Z\,\mathrm{diag}(1 - \sqrt{\lambda s/(1+\lambda s)})\,Z^T`, so a change of stiffness costs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mrs_pipeline.spectrum import FloatArray

SPLINES_PER_PPM = 15.0
"""Density of the B-splines; above the largest useful number of dimensions (Wilson 2021, doi:10.1002/mrm.28385)."""
DEGREE = 3
BISECTIONS = 45


@dataclass(frozen=True, eq=False)
class Baseline:
    """Baseline family over the fitted window.

    Parameters
    ----------
    modes
        Orthonormal Demmler-Reinsch modes ``Z``, shape ``(n, k)``, smoothest first.
    penalty
        Penalty eigenvalues ``s``, shape ``(k,)``, ascending; the first two are 0 (straight lines are free).
    width_ppm
        Width of the fitted window in ppm.
    """

    modes: FloatArray
    penalty: FloatArray
    width_ppm: float

    def shrink(self, stiffness: float) -> FloatArray:
        r"""Share of each mode that the smoother lets through, :math:`1/(1+\lambda s_j)`, shape ``(k,)``."""
        return 1.0 / (1.0 + stiffness * self.penalty)

    def dimensions(self, stiffness: float) -> float:
        """Effective dimensions: the trace of the smoother."""
        return float(self.shrink(stiffness).sum())

    def stiffness(self, dimensions: float) -> float:
        """Stiffness with the given effective dimensions (clipped to what the family can do)."""
        return float(self.stiffness_grid(np.array([dimensions]))[0])

    def stiffness_grid(self, dimensions: FloatArray) -> FloatArray:
        """Stiffness for each of several effective dimensions, by bisection on its logarithm, same shape."""
        wanted = np.clip(dimensions, 2.0 + 1e-3, self.penalty.size - 1e-3)
        low, high = np.full(wanted.shape, -12.0), np.full(wanted.shape, 16.0)
        for _ in range(BISECTIONS):
            middle = 0.5 * (low + high)
            loose = (1.0 / (1.0 + 10.0 ** middle[:, None] * self.penalty)).sum(axis=1) > wanted
            low, high = np.where(loose, middle, low), np.where(loose, high, middle)
        return np.asarray(10.0 ** (0.5 * (low + high)))

    def annihilate(self, stiffness: float, x: FloatArray) -> FloatArray:
        """Apply ``V`` to vectors stacked along the first axis, shape ``(..., n)``."""
        kept, weight = self._active(stiffness)
        return x - ((x @ kept) * weight) @ kept.T

    def _active(self, stiffness: float) -> tuple[FloatArray, FloatArray]:
        weight = 1.0 - np.sqrt(1.0 - self.shrink(stiffness))
        count = int(np.count_nonzero(weight > 1e-9))
        return self.modes[:, :count], weight[:count]

    def estimate(self, stiffness: float, x: FloatArray) -> FloatArray:
        """Baseline of a signal, ``Z diag(1/(1+lambda s)) Z' x``, same shape as ``x``."""
        shrink = self.shrink(stiffness)
        return ((x @ self.modes) * shrink) @ self.modes.T


def bspline_matrix(n_points: int, n_splines: int, degree: int = DEGREE) -> FloatArray:
    """Values of equally spaced B-splines on an equally spaced grid, shape ``(n_points, n_splines)``.

    Notes
    -----
    Cox-de Boor recursion on the cardinal B-spline, whose shifts are the family (de Boor 1978).
    """
    segments = n_splines - degree
    u = np.linspace(0.0, segments, n_points)[:, None] - (np.arange(n_splines)[None, :] - degree)
    return _cardinal(u, degree)


def _cardinal(u: FloatArray, degree: int) -> FloatArray:
    """Cardinal B-spline of a degree with knots 0, 1, ..., degree + 1."""
    if degree == 0:
        return ((u >= 0) & (u < 1)).astype(float)
    left = u * _cardinal(u, degree - 1)
    right = (degree + 1 - u) * _cardinal(u - 1, degree - 1)
    return (left + right) / degree


def make_baseline(n_points: int, width_ppm: float, weight: FloatArray | None = None) -> Baseline:
    """Build the baseline family of a window.

    Parameters
    ----------
    n_points
        Points in the window.
    width_ppm
        Width of the window in ppm.
    weight
        Weight of each point, shape ``(n_points,)``; the modes are then those of the weighted problem.
    """
    n_splines = max(6, min(n_points // 2, round(SPLINES_PER_PPM * width_ppm) + DEGREE))
    splines = bspline_matrix(n_points, n_splines)
    difference = np.diff(np.eye(n_splines), n=2, axis=0)
    q, r = np.linalg.qr(splines if weight is None else splines * weight[:, None])
    root = np.linalg.solve(r.T, difference.T).T
    _, singular, rows = np.linalg.svd(root, full_matrices=True)
    penalty = np.concatenate([singular**2, np.zeros(n_splines - singular.size)])
    order = np.argsort(penalty, kind="stable")
    return Baseline(modes=q @ rows.T[:, order], penalty=penalty[order], width_ppm=width_ppm)
