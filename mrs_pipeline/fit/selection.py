r"""Choice of the baseline stiffness at fixed nonlinear parameters.

Every criterion needs only the normal equations: with :math:`S` the spectra and :math:`Z` the baseline modes,
:math:`G_\lambda = SS^T - (SZ)H_\lambda(SZ)^T`, so a whole grid costs little more than one evaluation.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from mrs_pipeline.fit.baseline import Baseline
from mrs_pipeline.fit.projection import BoolArray, nonnegative_solve
from mrs_pipeline.spectrum import FloatArray

GRID = 24
MIN_DIMENSIONS_PER_PPM = 1.8
"""No baseline in vivo is known to be straighter than this; a search down to straight lines costs accuracy."""
MAX_DIMENSIONS_PER_PPM = 7.0
AIC_FACTOR = 4.0
"""Weight of a baseline dimension in the modified AIC (ABfit uses 5 without soft macromolecule priors)."""


REDRAWS = 500
"""Draws of the noise over which the choice of the stiffness is repeated."""


@cache
def _noise(modes: int) -> FloatArray:
    return np.random.default_rng(0).standard_normal((REDRAWS, modes))


@dataclass(frozen=True, eq=False)
class Search:
    """What the choice of the stiffness does to the amplitudes.

    Parameters
    ----------
    drawn
        Covariance over the choices that other draws of the noise would make: part of the sampling SD, ``(K, K)``.
    plausible
        Covariance over the stiffnesses that describe the data about as well: part of the total SD, ``(K, K)``.
    """

    drawn: FloatArray
    plausible: FloatArray


def no_search(count: int) -> Search:
    """Return what a fixed stiffness does: nothing, for ``count`` amplitudes."""
    return Search(np.zeros((count, count)), np.zeros((count, count)))


@dataclass(frozen=True, eq=False)
class StiffnessPath:
    """Criteria along a grid of stiffness.

    Parameters
    ----------
    stiffness, dimensions
        The grid and its effective dimensions, shape ``(g,)``.
    rss
        Whitened residual sum of squares of the data with the estimated baseline, shape ``(g,)``.
    aic
        Modified Akaike criterion, shape ``(g,)``.
    evidence
        Minus twice the log marginal likelihood, shape ``(g,)``.
    gcv
        Generalised cross-validation on the same scale, shape ``(g,)``.
    amplitudes
        Amplitudes at each stiffness, shape ``(g, K)``.
    redrawn
        What other draws of the noise add to any of the criteria, shape ``(REDRAWS, g)``.
    """

    stiffness: FloatArray
    dimensions: FloatArray
    rss: FloatArray
    aic: FloatArray
    evidence: FloatArray
    gcv: FloatArray
    amplitudes: FloatArray
    redrawn: FloatArray

    def search(self, criterion: str) -> Search:
        """Covariances of the amplitudes over the stiffnesses that may stand in place of the chosen one."""
        return Search(self._spread(self.drawn(criterion)), self._spread(self.plausible(criterion)))

    def plausible(self, criterion: str) -> FloatArray:
        r"""Weight of each stiffness as a model of the data, shape ``(g,)``, sum 1.

        Notes
        -----
        :math:`w\propto\exp(-\Delta/2m)` with the criterion's distance from its minimum: Akaike weights (Burnham &
        Anderson 2002, doi:10.1007/b97636) for a likelihood tempered by the factor ``m`` of the modified AIC.
        """
        score = getattr(self, criterion)
        weight = np.exp(-0.5 * (score - score.min()) / AIC_FACTOR)
        return np.asarray(weight / weight.sum())

    def drawn(self, criterion: str) -> FloatArray:
        """How often another draw of the noise would choose each stiffness, shape ``(g,)``, sum 1.

        At the lineshape and amplitudes of this draw; with those free the choice spreads about 1.4 times as far.
        """
        scores = getattr(self, criterion) + self.redrawn
        counts = np.bincount(np.argmin(scores, axis=1), minlength=self.dimensions.size)
        return np.asarray(counts / REDRAWS)

    def _spread(self, weight: FloatArray) -> FloatArray:
        centred = self.amplitudes - weight @ self.amplitudes
        return np.asarray((centred.T * weight) @ centred)

    def best(self, criterion: str) -> float:
        """Stiffness with the smallest criterion."""
        return float(self.stiffness[int(np.argmin(getattr(self, criterion)))])


def stiffness_path(
    spectra: FloatArray,
    data: FloatArray,
    scale: FloatArray,
    baseline: Baseline,
    rows: FloatArray,
    signed: BoolArray,
    drawn: float = 1.0,
) -> StiffnessPath:
    """Evaluate the criteria over the grid at fixed nonlinear parameters.

    Parameters
    ----------
    spectra
        Real spectra of the components at unit amplitude, shape ``(K, n)``.
    data, baseline, rows
        As in :class:`mrs_pipeline.fit.objective.Objective`.
    scale
        Weight of each point over the noise SD, shape ``(n,)``.
    signed
        Components whose amplitude may be negative, shape ``(K,)``.
    drawn
        SD of the noise of the data over the one in ``scale``, which may allow for misfit.
    """
    spectra = spectra * scale
    target = data * scale
    size = float(
        np.abs(nonnegative_solve(spectra @ spectra.T + rows.T @ rows, spectra @ target, signed).amplitudes).max()
    )
    problem = _Grid(spectra, target, spectra @ baseline.modes, target @ baseline.modes, signed, rows, size)
    top = MAX_DIMENSIONS_PER_PPM * baseline.width_ppm
    least = max(MIN_DIMENSIONS_PER_PPM * baseline.width_ppm, 2.2)
    dimensions = np.geomspace(least, min(top, baseline.penalty.size - 1.0), GRID)
    stiffness = baseline.stiffness_grid(dimensions)
    rows_of = [problem.criteria(baseline, value) for value in stiffness]
    table = np.array([scores for scores, _ in rows_of])
    amplitudes = np.array([values for _, values in rows_of])
    seen = problem.target_modes - amplitudes[int(np.argmin(table[:, 1]))] @ problem.spectra_modes
    shrink = np.array([baseline.shrink(value) for value in stiffness])
    redrawn = redrawn_criteria(shrink, seen, table[:, 0], target.size, drawn)
    return StiffnessPath(stiffness, dimensions, table[:, 0], table[:, 1], table[:, 2], table[:, 3], amplitudes, redrawn)


def redrawn_criteria(
    shrink: FloatArray, seen: FloatArray, rss: FloatArray, size: int, drawn: float = 1.0
) -> FloatArray:
    r"""Change of :math:`n\ln RSS` along the grid with the noise, shape ``(REDRAWS, g)``.

    Parameters
    ----------
    shrink
        Share of each mode that each stiffness lets through, shape ``(g, k)``.
    seen
        What the components leave of the data, in the modes, shape ``(k,)``.
    rss
        Residual sum of squares at each stiffness, shape ``(g,)``.
    size
        Number of points n.
    drawn
        SD of the noise in the same units.

    Notes
    -----
    :math:`RSS_g = c + \sum_k(1-w_{gk})^2u_k^2`; noise :math:`z_k` on the modes changes it by
    :math:`\sum_k(1-w_{gk})^2(2u_kz_k + z_k^2 - \sigma^2)`: another draw takes the place of this one, so that the
    expected sum stays and no stiffness gains on average. Neighbours share most of it, so that what noise does to the
    choice is far less than to the criterion. Fixed draws, so that equal input gives equal output.
    """
    noise = drawn * _noise(seen.size)
    change = (2.0 * seen * noise + noise**2 - drawn**2) @ ((1.0 - shrink) ** 2).T
    return np.asarray(size * np.log1p(np.maximum(change / rss, -0.9)))


@dataclass(frozen=True, eq=False)
class _Grid:
    spectra: FloatArray
    target: FloatArray
    spectra_modes: FloatArray
    target_modes: FloatArray
    signed: BoolArray
    rows: FloatArray
    size: float

    def criteria(self, baseline: Baseline, stiffness: float) -> tuple[tuple[float, float, float, float], FloatArray]:
        r"""Residual sum of squares, modified AIC, minus twice the log evidence, cross-validation; and the amplitudes.

        Notes
        -----
        Modified AIC: :math:`n\ln\mathrm{RSS} + 2m\,\mathrm{ED}` (Wilson 2021, doi:10.1002/mrm.28385).
        Evidence: baseline and amplitudes integrated out under their Gaussian priors,
        :math:`q_\lambda + \ln\det G_\lambda + \sum_{s_j>0}\ln\frac{1+\lambda s_j}{\lambda s_j}` with
        :math:`q_\lambda` the penalised sum of squares (MacKay 1992, doi:10.1162/neco.1992.4.3.415).
        Cross-validation: :math:`n\ln\mathrm{RSS} - 2n\ln(n-\mathrm{ED}-K_\mathrm{free})` (Craven & Wahba 1979,
        doi:10.1007/BF01404567).
        """
        shrink = baseline.shrink(stiffness)
        gram = (
            self.spectra @ self.spectra.T
            - (self.spectra_modes * shrink) @ self.spectra_modes.T
            + self.rows.T @ self.rows
        )
        moment = self.spectra @ self.target - self.spectra_modes @ (shrink * self.target_modes)
        solution = nonnegative_solve(gram, moment, self.signed)
        left = self.target - solution.amplitudes @ self.spectra
        modes = left @ baseline.modes
        rss = float(left @ left - modes @ ((2.0 * shrink - shrink**2) * modes))
        rss = max(rss, np.finfo(float).eps * float(self.target @ self.target))  # data without noise: rounding is left
        penalised = float(left @ left - modes @ (shrink * modes) + np.sum((self.rows @ solution.amplitudes) ** 2))
        bent = baseline.penalty > 1e-9 * baseline.penalty[-1]
        proper = gram + np.diag(1.0 / np.full(gram.shape[0], max(self.size, 1e-150)) ** 2)
        occam = -float(np.sum(np.log1p(-shrink[bent]))) + float(np.linalg.slogdet(proper)[1])
        n = self.target.size
        aic = n * np.log(rss) + 2.0 * AIC_FACTOR * float(shrink.sum())
        left_over = max(n - float(shrink.sum()) - float(solution.free.sum()), 1.0)
        gcv = n * np.log(rss) - 2.0 * n * np.log(left_over)
        return (rss, float(aic), penalised + occam, float(gcv)), solution.amplitudes
