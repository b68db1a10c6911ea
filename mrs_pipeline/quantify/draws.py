"""What is uncertain in a scan, drawn at the points of one fixed sequence."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from functools import lru_cache

import numpy as np

from mrs_pipeline.anatomy import TissueFractions
from mrs_pipeline.quantify.constants import COMPARTMENTS, Constant
from mrs_pipeline.spectrum import FloatArray

Origin = tuple[str, str]
"""An uncertain input and its source: one number, even where metabolites or both tissues share it."""

FIT, WATER, CSF, GREY = ((name, "") for name in ("fit", "water", "csf", "grey"))
"""What varies besides constants: amplitudes, water amplitude, CSF against tissue, grey against white matter."""

POINTS = 2**13
CUT = 4.0
"""Standard deviations at which every distribution ends, see :func:`drawn_constants`."""


@lru_cache(maxsize=8)
def normal_points(columns: int) -> FloatArray:
    """Return standard normal variates cut at ``CUT``, shape ``(columns, POINTS)``, the same at every call.

    Every column holds the quantiles of as many equal shares of probability, in the order of a shifted Sobol sequence:
    each distribution is exact, and columns correlate by some 0.005.

    Examples
    --------
    >>> z = normal_points(3)
    >>> bool(np.all(np.abs(z @ z.T / POINTS - np.eye(3)) < 0.01))
    True
    """
    from scipy.stats import norm, qmc

    shift = np.random.default_rng(1).random(columns)
    order = ((qmc.Sobol(columns, scramble=False).random(POINTS) + shift) % 1.0).argsort(axis=0).argsort(axis=0).T
    edge = norm.cdf(-CUT)
    quantiles = norm.ppf(edge + (1 - 2 * edge) * (np.arange(POINTS) + 0.5) / POINTS)
    return np.asarray(quantiles[order], dtype=np.float64)


def draws(given: Iterable[Mapping[str, Constant]]) -> dict[Origin, FloatArray]:
    """Return a standard normal variate for everything uncertain in a scan, each of shape ``(POINTS,)``.

    Parameters
    ----------
    given
        Constants by key for every metabolite, from :func:`mrs_pipeline.quantify.factors.inputs`.
    """
    uncertain = [origin for constants in given for origin, _ in _uncertain(constants)]
    origins = list(dict.fromkeys([FIT, WATER, CSF, GREY, *uncertain]))
    return dict(zip(origins, normal_points(len(origins)), strict=True))


def _uncertain(given: Mapping[str, Constant]) -> list[tuple[Origin, str]]:
    """Origin and key of every uncertain constant; one relaxation time for both tissues has one origin."""
    found = []
    for key, constant in given.items():
        if constant.sd > 0 and constant.value > 0:
            name = key.rpartition("_")[0] if key.startswith("metabolite_") else key
            found.append(((name, f"{constant.value:g} {constant.doi}"), key))
    return found


def drawn_constants(given: Mapping[str, Constant], z: Mapping[Origin, FloatArray]) -> dict[str, FloatArray]:
    r"""Return the uncertain constants over their distributions, each of shape ``(POINTS,)``.

    Notes
    -----
    Constants are positive, so they vary lognormally: the stated value is the median, sd / value the SD of the
    logarithm. A normal variate would reach T2 = 0, where :math:`e^{TE/T_2}` has no mean; of T2 and of 1/T2 the
    lognormal says the same; and for a monotone course the number at the nominal constants is the median of the result.
    Still :math:`E[e^{2TE/T_2}]` exists only within bounds, for which the distribution ends at ``CUT`` SDs.
    """
    return {
        key: np.asarray(given[key].value * np.exp(z[origin] * given[key].sd / given[key].value), dtype=np.float64)
        for origin, key in _uncertain(given)
    }


def drawn_fractions(tissue: TissueFractions, z: Mapping[Origin, FloatArray]) -> dict[str, FloatArray]:
    """Return the tissue fractions over their errors, each of shape ``(POINTS,)``.

    They vary normally with :func:`fraction_covariance`; what would be negative stays just above 0.
    """
    nominal = np.array([tissue.gm, tissue.wm, tissue.csf])
    covariance = fraction_covariance(tissue.sd)
    csf = covariance[:, 2] / math.sqrt(covariance[2, 2]) if covariance[2, 2] > 0 else np.zeros(3)
    grey = math.sqrt(max(covariance[0, 0] - csf[0] ** 2, 0.0))
    moved = nominal[:, None] + np.outer(csf, z[CSF]) + np.outer([grey, -grey, 0.0], z[GREY])
    moved = np.maximum(moved, 1e-3 * nominal[:, None])
    moved /= moved.sum(axis=0)
    return {f"fraction_{name}": column for name, column in zip(COMPARTMENTS, moved, strict=True)}


def fraction_covariance(sd: tuple[float, float, float]) -> FloatArray:
    r"""Return the covariance of three fractions that sum to one, shape (3, 3).

    Notes
    -----
    Errors sum to zero, so :math:`2\,\mathrm{cov}_{ab} = \sigma_c^2-\sigma_a^2-\sigma_b^2`. Where the three standard
    deviations cannot belong to such errors (one larger than the sum of the others), the largest is cut to that sum.
    """
    s = np.array(sd, dtype=float)
    order = np.argsort(s)
    s[order[2]] = min(s[order[2]], s[order[0]] + s[order[1]])
    variance = s**2
    cov = np.diag(variance)
    for a, b, c in ((0, 1, 2), (0, 2, 1), (1, 2, 0)):
        cov[a, b] = cov[b, a] = (variance[c] - variance[a] - variance[b]) / 2
    return cov
