"""Standardised differences: Hedges' g with its small-sample correction and noncentral-t interval."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import optimize, special


@dataclass(frozen=True)
class Standardised:
    """Hedges' g with the limits of its interval."""

    g: float
    low: float
    high: float


def small_sample_correction(df: float) -> float:
    """Exact J(df) of Hedges (1981): Gamma(df/2) / (sqrt(df/2) Gamma((df-1)/2)).

    References
    ----------
    Hedges LV. J Educ Stat 1981;6:107-128. doi:10.3102/10769986006002107

    Examples
    --------
    >>> round(small_sample_correction(10), 4)
    0.9227
    """
    if df <= 1:
        return math.nan
    return float(np.exp(special.gammaln(df / 2) - special.gammaln((df - 1) / 2)) / math.sqrt(df / 2))


def pooled_sd(groups: list[npt.NDArray[np.float64]]) -> float:
    """Pool the standard deviations within groups: sqrt(sum of squares / (n - groups))."""
    filled = [group for group in groups if len(group)]
    df = sum(len(group) - 1 for group in filled)
    if df < 1:
        return math.nan
    return math.sqrt(sum(float(np.sum((group - group.mean()) ** 2)) for group in filled) / df)


def noncentrality_limits(t: float, df: float, alpha: float = 0.05) -> tuple[float, float]:
    """Limits of the noncentrality parameter whose t distribution has `t` at its tails' edges.

    Notes
    -----
    low solves P(T' >= t | low) = alpha / 2 and high solves P(T' <= t | high) = alpha / 2 (Steiger and Fouladi 1997;
    Cumming and Finch 2001, doi:10.1177/0013164401614002).
    """

    def edge(share: float) -> float:
        def gap(ncp: float) -> float:
            return float(special.nctdtr(df, ncp, t)) - share

        low, high = t - 2.0, t + 2.0
        while gap(low) < 0:
            low -= 2.0 + abs(t) / 2
        while gap(high) > 0:
            high += 2.0 + abs(t) / 2
        return float(optimize.brentq(gap, low, high, xtol=1e-10))

    return edge(1 - alpha / 2), edge(alpha / 2)


def hedges_g(estimate: float, se: float, df: float, sd: float, alpha: float = 0.05) -> Standardised:
    """Standardise an adjusted difference by a baseline standard deviation.

    Parameters
    ----------
    estimate, se
        Difference and its standard error, in the unit of `sd`.
    df
        Residual degrees of freedom of the model.
    sd
        Pooled within-arm standard deviation at baseline.
    alpha
        One minus the coverage of the interval.

    Returns
    -------
    Standardised
        g = J(df) estimate / sd; limits are J(df) (se / sd) times the noncentrality limits of t = estimate / se.

    Notes
    -----
    For two groups without covariates se / sd = sqrt(1/n_a + 1/n_b) and the interval is the usual exact one. With an
    adjusted estimate it treats the ratio se / sd as fixed, as is usual for standardised ANCOVA differences.
    """
    if not (math.isfinite(estimate) and math.isfinite(sd) and sd > 0 and math.isfinite(df) and df > 1):
        return Standardised(math.nan, math.nan, math.nan)
    j = small_sample_correction(df)
    if not (math.isfinite(se) and se > 0):
        return Standardised(j * estimate / sd, math.nan, math.nan)
    low, high = noncentrality_limits(estimate / se, df, alpha)
    return Standardised(j * estimate / sd, j * low * se / sd, j * high * se / sd)
