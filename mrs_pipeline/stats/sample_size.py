"""What a trial of this size can find."""

from __future__ import annotations

import math


def power(d: float, n_a: int, n_b: int, *, alpha: float = 0.05, correlation: float = 0.0, adjusted: int = 0) -> float:
    """Power of the two-sided comparison of two arms.

    Parameters
    ----------
    d
        Difference in units of the standard deviation of the follow-up value.
    n_a, n_b
        Participants per arm.
    alpha
        Two-sided significance level.
    correlation
        Correlation of baseline and follow-up within arms; 0 ignores the baseline.
    adjusted
        Columns adjusted for (1 for the baseline).

    Notes
    -----
    Noncentral t with n_a + n_b - 2 - adjusted degrees of freedom and noncentrality d / sqrt((1/n_a + 1/n_b)(1 - r^2))
    (Borm et al. 2007, doi:10.1016/j.jclinepi.2007.02.006).
    """
    df = n_a + n_b - 2 - adjusted
    if df < 1:
        return math.nan
    return _power(d / _standard_error(n_a, n_b, correlation), df, alpha)


def _standard_error(n_a: int, n_b: int, correlation: float) -> float:
    """Return the standard error of the difference in units of the follow-up standard deviation."""
    return math.sqrt((1 / n_a + 1 / n_b) * (1 - correlation**2))


def _power(noncentrality: float, df: float, alpha: float) -> float:
    """Probability that |t| exceeds its critical value."""
    from scipy import stats

    critical = float(stats.t.ppf(1 - alpha / 2, df))
    # the lower tail as the upper tail of the mirrored distribution: scipy's cdf is NaN far out
    return float(stats.nct.sf(critical, df, noncentrality) + stats.nct.sf(critical, df, -noncentrality))


def detectable_difference(
    n_a: int, n_b: int, *, alpha: float = 0.05, target: float = 0.8, correlation: float = 0.0, adjusted: int = 0
) -> float:
    """Smallest standardised difference found with the wanted power; NaN when no participant is left for the error.

    Examples
    --------
    >>> round(detectable_difference(24, 24), 2), round(detectable_difference(24, 24, correlation=0.5, adjusted=1), 2)
    (0.83, 0.72)
    """
    from scipy import optimize

    df = n_a + n_b - 2 - adjusted
    if min(n_a, n_b) < 1 or df < 1 or abs(correlation) >= 1:
        return math.nan

    def gap(noncentrality: float) -> float:
        return _power(noncentrality, df, alpha) - target

    high = 1.0
    while gap(high) < 0:
        high *= 1.5
    return float(optimize.brentq(gap, 1e-9, high, xtol=1e-10)) * _standard_error(n_a, n_b, correlation)
