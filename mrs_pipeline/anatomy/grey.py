"""The intensity of grey matter, which differs: brighter in motor and visual cortex, brighter still in the nuclei."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mrs_pipeline.anatomy.shading import Blocks
from mrs_pipeline.anatomy.urn import GREY_LEVELS, Urn

Float32 = npt.NDArray[np.float32]
FloatArray = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]

LOWEST_DENSITY = 1e-4
"""Of an intensity: what fits nothing tells nothing about grey matter."""
FINE_LEVELS = np.linspace(GREY_LEVELS[0], GREY_LEVELS[-1], 133)
SPREADS = (0.0025, 0.005, 0.01, 0.015, 0.02, 0.03, 0.04, 0.06)
"""Standard deviations of the grey level between regions that are tried: the smallest is none, the largest 10 %."""
TELLING = 0.05
"""Range of a place's log-likelihood from which on it counts."""


@dataclass(frozen=True)
class Expectation:
    """What is expected of a grey level before the image is seen, and how locally it is looked for.

    Parameters
    ----------
    level
        Expected grey level (CSF 0, white matter 1).
    spread
        Standard deviation of the expectation.
    reach_mm
        Standard deviation of the Gaussian neighbourhood.
    trust
        Share of a voxel's log-likelihood that counts: neighbours deviate from the model together, so that they are
        worth far fewer than their number.
    """

    level: float
    spread: float
    reach_mm: float
    trust: float


def local_grey(
    urn: Urn, values: Float32, prior: Float32, voxels: Bool, blocks: Blocks, expected: Expectation
) -> Float32:
    r"""Estimate the grey level around every voxel.

    Parameters
    ----------
    urn
        Model of the intensities.
    values, prior
        Intensities, shape (n,), and expected shares of CSF, GM and WM, shape (3, n).
    voxels
        Which of them tell, shape (n,).
    blocks
        Where they lie.
    expected
        What is expected beforehand.

    Returns
    -------
    array
        Grey level, shape (n,).

    Notes
    -----
    Posterior mean of :math:`g` over a grid, with the log posterior
    :math:`-\frac{(g-g_0)^2}{2s^2}+t\sum_i e^{-d_i^2/2r^2}\log p(y_i|g)` of voxels :math:`i` at distance :math:`d_i`:
    a local likelihood (Tibshirani and Hastie 1987, doi:10.1080/01621459.1987.10478466).
    """
    told = expected.trust * _told(urn, values, prior, voxels, blocks, expected.reach_mm)
    return blocks.at(_posterior_mean(told, GREY_LEVELS, expected.level, expected.spread))


def regional_grey(
    urn: Urn,
    values: Float32,
    prior: Float32,
    voxels: Bool,
    blocks: Blocks,
    expected: Expectation,
    mean_sd: float,
) -> Float32:
    r"""Estimate the grey level around every voxel; the image says how much it differs between regions.

    Parameters
    ----------
    urn, values, prior, voxels, blocks
        As in ``local_grey``.
    expected
        What is expected of the mean over all regions, and how far the differences between them are trusted.
    mean_sd
        Standard error of the mean over all regions where the likelihood gives it.

    Returns
    -------
    array
        Grey level, shape (n,).

    Notes
    -----
    Empirical Bayes (Efron and Morris 1973, doi:10.1080/01621459.1973.10481350): the levels of places one reach apart
    are taken as normal with the mean and spread of the largest marginal likelihood, and every place is shrunk to
    that mean. Where nothing speaks for differences the spread is the smallest, and all grey matter has one level.
    The likelihood's mean :math:`m` may be off, so the field is moved to the mean of :math:`m` and of the expected
    level :math:`g_0`, weighted by the inverse squares of ``mean_sd`` and of the expectation's spread.
    """
    told = expected.trust * _told(urn, values, prior, voxels, blocks, expected.reach_mm)
    step = max(1, round(expected.reach_mm / blocks.edge_mm))
    centred = slice(step // 2, None, step)
    mean, spread = _between(told[:, centred, centred, centred].reshape(len(GREY_LEVELS), -1), expected.level)
    weight = expected.spread**2 / (expected.spread**2 + mean_sd**2)
    shrunk = _shrunk(told.reshape(len(GREY_LEVELS), -1), mean, spread).reshape(blocks.size)
    return blocks.at(shrunk + (1 - weight) * (expected.level - mean))


def _told(urn: Urn, values: Float32, prior: Float32, voxels: Bool, blocks: Blocks, reach_mm: float) -> FloatArray:
    """Sum the log-likelihood of every grey level around every block, shape (grey levels, x, y, z)."""
    used = np.flatnonzero(voxels)
    some, there = values[used], prior[:, used]
    density = (urn.likelihood(some, there, np.full(some.shape, level, dtype=np.float32)) for level in GREY_LEVELS)
    return np.stack([blocks.around(used, np.log(np.maximum(d, np.float32(LOWEST_DENSITY))), reach_mm) for d in density])


def _posterior_mean(told: FloatArray, levels: FloatArray, mean: float, spread: float) -> FloatArray:
    """Return the posterior mean over the first axis, with a normal prior."""
    expected = -0.5 * ((levels - mean) / spread) ** 2
    posterior = told + expected.reshape(-1, *(1 for _ in told.shape[1:]))
    weight = np.exp(posterior - np.max(posterior, axis=0))
    return np.asarray(np.tensordot(levels, weight, 1) / weight.sum(axis=0))


def _between(told: FloatArray, expected: float) -> tuple[float, float]:
    """Find mean and spread of the places' grey levels of the largest marginal likelihood; told (grey levels, n)."""
    telling = told[:, np.ptp(told, axis=0) > TELLING]
    if telling.size == 0:
        return expected, SPREADS[0]
    curve = _finer(telling)
    likelihood = np.exp(curve - curve.max(axis=0))
    best = (-np.inf, expected, SPREADS[0])
    for spread in SPREADS:
        normal = np.exp(-0.5 * ((FINE_LEVELS[:, None] - FINE_LEVELS) / spread) ** 2)
        marginal = (normal / normal.sum(axis=1, keepdims=True)) @ likelihood
        total = np.log(np.maximum(marginal, 1e-300)).sum(axis=1)
        i = int(np.argmax(total))
        best = max(best, (float(total[i]), float(FINE_LEVELS[i]), spread))
    return best[1], best[2]


def _shrunk(told: FloatArray, mean: float, spread: float) -> FloatArray:
    """Posterior mean of every place, in portions; ``told`` has shape (grey levels, n)."""
    found = np.full(told.shape[1], mean)
    known = np.flatnonzero(np.ptp(told, axis=0) > 0)
    for some in np.array_split(known, known.size // 20000 + 1):
        found[some] = _posterior_mean(_finer(told[:, some]), FINE_LEVELS, mean, spread)
    return found


def _finer(told: FloatArray) -> FloatArray:
    """Interpolate over the grey level, because a spread may be far smaller than the steps of the table."""
    from scipy.interpolate import CubicSpline

    return np.asarray(CubicSpline(GREY_LEVELS, told)(FINE_LEVELS))
