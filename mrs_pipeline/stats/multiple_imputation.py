"""Multiple imputation of missing follow-up values before an ANCOVA."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from mrs_pipeline.stats.models import Estimate, ancova

FloatArray = npt.NDArray[np.float64]
IMPUTATIONS = 100


def imputed_ancova(
    followup: FloatArray,
    baseline: FloatArray,
    arm: FloatArray,
    adjust: FloatArray,
    rng: np.random.Generator,
    *,
    imputations: int = IMPUTATIONS,
    delta: float = 0.0,
) -> Estimate:
    """ANCOVA with missing follow-up values imputed from baseline, arm and the adjusting columns.

    Parameters
    ----------
    followup
        Values at the visit, shape (n,), NaN where missing.
    baseline, arm, adjust
        As in `mrs_pipeline.stats.ancova`; none missing.
    rng
        Random generator made from the recorded seed.
    imputations
        Number of imputed data sets.
    delta
        Added to the imputed values of arm b: a departure from missing at random, for tipping-point analysis.

    Returns
    -------
    Estimate
        Pooled by Rubin's rules, with the small-sample degrees of freedom of Barnard and Rubin.

    Notes
    -----
    Values are drawn from the posterior predictive distribution of the normal linear model fitted to the complete cases:
    sigma^2 ~ RSS / chi^2(df), b ~ N(b_hat, sigma^2 (X'X)^-1), y ~ N(xb, sigma^2) (Rubin 1987, section 5.3).
    df: Barnard and Rubin 1999, doi:10.1093/biomet/86.4.948. With nothing missing it is the plain ANCOVA.
    """
    known = np.isfinite(followup)
    observed = ancova(followup[known], baseline[known], arm[known], adjust[known])
    if known.all() or not math.isfinite(observed.se):
        return observed
    draws = _imputed(followup, baseline, arm, adjust, rng, imputations, delta)
    fits = [ancova(values, baseline, arm, adjust) for values in draws]
    value, se, df = rubin(np.array([fit.value for fit in fits]), np.array([fit.se for fit in fits]), fits[0].df)
    notes = (*observed.notes, f"{int((~known).sum())} follow-up value(s) imputed, {imputations} imputations")
    return Estimate(value, se, df, int((arm == 0).sum()), int((arm == 1).sum()), notes)


def _imputed(
    followup: FloatArray,
    baseline: FloatArray,
    arm: FloatArray,
    adjust: FloatArray,
    rng: np.random.Generator,
    m: int,
    delta: float,
) -> FloatArray:
    """Completed follow-up values, shape (m, n)."""
    known = np.isfinite(followup)
    design = np.column_stack([np.ones_like(arm), arm, baseline, adjust])
    inverse = np.linalg.pinv(design[known].T @ design[known])
    mean = inverse @ design[known].T @ followup[known]
    residual = followup[known] - design[known] @ mean
    df = int(known.sum()) - np.linalg.matrix_rank(design[known])
    sigma = np.sqrt(residual @ residual / rng.chisquare(df, m))
    values, vectors = np.linalg.eigh(inverse)
    root = vectors * np.sqrt(np.clip(values, 0, None))
    beta = mean + sigma[:, None] * (rng.standard_normal((m, len(mean))) @ root.T)
    drawn = beta @ design[~known].T + sigma[:, None] * rng.standard_normal((m, int((~known).sum())))
    completed = np.tile(followup, (m, 1))
    completed[:, ~known] = drawn + delta * arm[~known]
    return completed


def rubin(values: FloatArray, errors: FloatArray, complete_df: float) -> tuple[float, float, float]:
    """Pool estimates of imputed data sets: estimate, standard error, Barnard-Rubin degrees of freedom.

    Parameters
    ----------
    values, errors
        Estimate and standard error of each data set, shape (m,).
    complete_df
        Degrees of freedom had nothing been missing.
    """
    m = len(values)
    within, between = float(np.mean(errors**2)), float(np.var(values, ddof=1))
    total = within + (1 + 1 / m) * between
    share = (1 + 1 / m) * between / total
    observed_df = (complete_df + 1) / (complete_df + 3) * complete_df * (1 - share)
    if share <= 0:
        return float(np.mean(values)), math.sqrt(total), observed_df
    df = 1 / (share**2 / (m - 1) + 1 / observed_df)
    return float(np.mean(values)), math.sqrt(total), df
