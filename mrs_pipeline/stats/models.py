"""Models of one region, metabolite and visit: arrays in, an estimate with its degrees of freedom out."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

MIN_DF_FOR_P = 5.0
"""Below this many residual degrees of freedom an estimate gets no p value."""


@dataclass(frozen=True)
class Estimate:
    """An estimated contrast.

    Parameters
    ----------
    value, se
        Estimate and standard error in the unit of the data.
    df
        Degrees of freedom of the t distribution.
    n_a, n_b
        Participants per arm that entered.
    notes
        What a reader must know, in words.
    """

    value: float
    se: float
    df: float
    n_a: int
    n_b: int
    notes: tuple[str, ...] = ()

    def interval(self, alpha: float) -> tuple[float, float]:
        """Two-sided 1 - alpha interval; NaN where it cannot be computed."""
        from scipy import stats

        if not (self.se > 0 and self.df > 0):
            return math.nan, math.nan
        half = float(stats.t.ppf(1 - alpha / 2, self.df)) * self.se
        return self.value - half, self.value + half

    @property
    def p(self) -> float:
        """Two-sided p value; NaN below `MIN_DF_FOR_P` degrees of freedom."""
        from scipy import stats

        if not (self.se > 0 and self.df >= MIN_DF_FOR_P):
            return math.nan
        return float(2 * stats.t.sf(abs(self.value) / self.se, self.df))


def independent_columns(fixed: FloatArray, extra: FloatArray) -> npt.NDArray[np.bool_]:
    """Say which columns of `extra` add something to `fixed` and to the ones before them, shapes (n, k) and (n, m)."""
    keep = np.zeros(extra.shape[1], dtype=bool)
    design = fixed
    for index in range(extra.shape[1]):
        wider = np.column_stack([design, extra[:, index]])
        if np.linalg.matrix_rank(wider) == wider.shape[1]:
            keep[index] = True
            design = wider
    return keep


def ols_hc3(y: FloatArray, design: FloatArray, column: int) -> tuple[float, float, float]:
    """Ordinary least squares with HC3 standard error for one coefficient.

    Parameters
    ----------
    y
        Outcome, shape (n,).
    design
        Design matrix of full rank, shape (n, k).
    column
        Column of the coefficient.

    Returns
    -------
    tuple[float, float, float]
        Estimate, standard error and residual degrees of freedom n - k. The standard error is NaN when a participant has
        leverage 1 (nobody else informs that coefficient).

    Notes
    -----
    HC3: (X'X)^-1 X' diag(e_i^2 / (1 - h_i)^2) X (X'X)^-1 (MacKinnon and White 1985, doi:10.1016/0304-4076(85)90158-7;
    recommended for n < 250 by Long and Ervin 2000, doi:10.1080/00031305.2000.10474549).
    """
    from statsmodels.regression.linear_model import OLS

    fitted = OLS(y, design).fit()
    df = float(fitted.df_resid)
    leverage = np.einsum("ij,jk,ik->i", design, fitted.normalized_cov_params, design)
    estimate = float(fitted.params[column])
    if df <= 0 or leverage.max() > 1 - 1e-9:
        return estimate, math.nan, df
    return estimate, float(fitted.get_robustcov_results("HC3", use_t=True).bse[column]), df


def _arm_design(arm: FloatArray, adjust: FloatArray) -> tuple[FloatArray, int]:
    """Intercept, arm, then the adjusting columns that are independent; and how many were not."""
    fixed = np.column_stack([np.ones_like(arm), arm])
    keep = independent_columns(fixed, adjust)
    return np.column_stack([fixed, adjust[:, keep]]), int((~keep).sum())


def _counts(arm: FloatArray) -> tuple[int, int]:
    return int((arm == 0).sum()), int((arm == 1).sum())


def ancova(followup: FloatArray, baseline: FloatArray, arm: FloatArray, adjust: FloatArray) -> Estimate:
    """Difference between arms at follow-up, adjusted for baseline and further columns, with HC3 errors.

    Parameters
    ----------
    followup, baseline
        Values of each participant, shape (n,), none missing.
    arm
        0 for arm a (reference), 1 for arm b, shape (n,).
    adjust
        Strata indicators and covariates, shape (n, k); columns that add nothing are left out and said.

    Returns
    -------
    Estimate
        arm b minus arm a.

    Notes
    -----
    y_followup = b0 + b1 arm + b2 y_baseline + adjust b3 + e; the estimate is b1.
    """
    return _arm_contrast(followup, arm, np.column_stack([baseline, adjust]))


def change_score(followup: FloatArray, baseline: FloatArray, arm: FloatArray, adjust: FloatArray) -> Estimate:
    """Difference between arms in change from baseline, with HC3 errors; parameters as in `ancova`."""
    return _arm_contrast(followup - baseline, arm, adjust)


def _arm_contrast(y: FloatArray, arm: FloatArray, adjust: FloatArray) -> Estimate:
    design, dropped = _arm_design(arm, adjust)
    notes = (f"{dropped} adjusting column(s) without information of their own left out",) if dropped else ()
    if np.linalg.matrix_rank(design) < design.shape[1] or len(y) < design.shape[1]:
        return Estimate(math.nan, math.nan, math.nan, *_counts(arm), notes=("not estimable: too few participants",))
    return _told(Estimate(*ols_hc3(y, design, 1), *_counts(arm), notes=notes), y)


def _told(estimate: Estimate, y: FloatArray) -> Estimate:
    """Add in words what the numbers cannot give."""
    notes = list(estimate.notes)
    if np.ptp(y) == 0:
        return Estimate(
            math.nan, math.nan, estimate.df, estimate.n_a, estimate.n_b, ("not estimable: the value does not vary",)
        )
    if estimate.df < MIN_DF_FOR_P:
        notes.append(
            f"{estimate.df:g} residual degrees of freedom, fewer than {MIN_DF_FOR_P:g}: estimate without p value"
        )
    if not math.isfinite(estimate.se):
        notes.append("no standard error: a participant has leverage 1")
    return Estimate(estimate.value, estimate.se, estimate.df, estimate.n_a, estimate.n_b, tuple(notes))


def paired_change(followup: FloatArray, baseline: FloatArray) -> Estimate:
    """Mean change from baseline in one arm, with the paired t distribution (df = n - 1)."""
    change = followup - baseline
    n = len(change)
    if n < 2:
        return Estimate(
            float(change.mean()) if n else math.nan, math.nan, math.nan, n, 0, ("not estimable: too few participants",)
        )
    return _told(Estimate(float(change.mean()), float(change.std(ddof=1)) / math.sqrt(n), float(n - 1), n, 0), change)


def crossover(second: FloatArray, first: FloatArray, arm: FloatArray) -> Estimate:
    """Treatment difference of a two-period crossover, adjusted for the period.

    Parameters
    ----------
    second, first
        Values at the end of the second and the first period, shape (n,).
    arm
        Treatment of the first period: 0 for a, 1 for b, shape (n,).

    Notes
    -----
    d = second - first = period + s (b - a), s = +1 where a came first and -1 where b did; the estimate is the
    coefficient of s, with HC3 errors (Senn 2002, Cross-over Trials in Clinical Research, section 3.6). Carry-over is
    assumed absent.
    """
    change = second - first
    design = np.column_stack([np.ones_like(arm), 1 - 2 * arm])
    n_a, n_b = _counts(arm)
    if min(n_a, n_b) < 1 or len(change) < 3:
        return Estimate(math.nan, math.nan, math.nan, n_a, n_b, ("not estimable: too few participants",))
    return _told(Estimate(*ols_hc3(change, design, 1), n_a, n_b), change)


def descriptive(followup: FloatArray, baseline: FloatArray, arm: FloatArray) -> Estimate:
    """Plain difference of the mean changes, with no inference, for cells that are too small for a model."""
    change = followup - baseline
    n_a, n_b = _counts(arm)
    value = float(change[arm == 1].mean() - change[arm == 0].mean()) if n_a and n_b else math.nan
    return Estimate(value, math.nan, math.nan, n_a, n_b)
