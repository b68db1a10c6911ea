"""How well a measurement repeats: test-retest variation, intraclass correlation, minimal detectable change."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from mrs_pipeline.stats.panel import cells_of

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Reliability:
    """Repeatability of one value.

    Parameters
    ----------
    n, k
        Participants and measurements of each.
    mean
        Grand mean.
    cv_within, cv_between
        Coefficients of variation within and between participants (fractions).
    icc, icc_low, icc_high
        ICC(3,1) with its 1 - alpha interval.
    sem
        Standard error of measurement, sqrt(residual mean square).
    mdc95
        Minimal detectable change of one person, 1.96 sqrt(2) sem.
    """

    n: int
    k: int
    mean: float
    cv_within: float
    cv_between: float
    icc: float
    icc_low: float
    icc_high: float
    sem: float
    mdc95: float


def reliability(values: FloatArray, alpha: float = 0.05) -> Reliability:
    """Describe how well repeated measurements agree.

    Parameters
    ----------
    values
        Participants by measurements, shape (n, k) with k >= 2; rows with a missing value are left out.
    alpha
        One minus the coverage of the interval of the ICC.

    Returns
    -------
    Reliability
        Every number NaN with fewer than three complete participants.

    Notes
    -----
    Two-way analysis of variance, measurements fixed: ICC(3,1) = (MSB - MSE) / (MSB + (k - 1) MSE), F = MSB / MSE with
    (n - 1, (n - 1)(k - 1)) degrees of freedom, limits (F_L - 1) / (F_L + k - 1) with F_L = F / F_{1 - alpha/2} and
    F_U = F F'_{1 - alpha/2} (degrees of freedom exchanged). SEM = sqrt(MSE), so that a common shift between the
    measurements is no error. Between participants: sqrt((MSB - MSE) / k).

    References
    ----------
    Shrout PE, Fleiss JL. Psychol Bull 1979;86:420-428. doi:10.1037/0033-2909.86.2.420
    Weir JP. J Strength Cond Res 2005;19:231-240. doi:10.1519/15184.1
    """
    from scipy import stats

    table = values[np.isfinite(values).all(axis=1)]
    n, k = table.shape
    if n < 3:
        return Reliability(n, k, *(math.nan,) * 8)
    mean = float(table.mean())
    between, error = _mean_squares(table)
    f = between / error if error > 0 else math.inf
    df = (n - 1, (n - 1) * (k - 1))
    lower = f / float(stats.f.ppf(1 - alpha / 2, *df))
    upper = f * float(stats.f.ppf(1 - alpha / 2, df[1], df[0]))
    sem = math.sqrt(error)
    spread = math.sqrt(max(between - error, 0.0) / k)
    icc, low, high = (_icc(ratio, k) for ratio in (f, lower, upper))
    return Reliability(n, k, mean, sem / mean, spread / mean, icc, low, high, sem, 1.96 * math.sqrt(2) * sem)


def _icc(f: float, k: int) -> float:
    return 1.0 if math.isinf(f) else (f - 1) / (f + k - 1)


def _mean_squares(table: FloatArray) -> tuple[float, float]:
    """Mean squares between participants and of the residual, shape (n, k) in."""
    n, k = table.shape
    rows, columns, mean = table.mean(axis=1), table.mean(axis=0), table.mean()
    between = k * float(np.sum((rows - mean) ** 2)) / (n - 1)
    residual = table - rows[:, None] - columns + mean
    return between, float(np.sum(residual**2)) / ((n - 1) * (k - 1))


def reliable_change(first: FloatArray, second: FloatArray, sem: float) -> FloatArray:
    """Reliable change index (second - first) / (sqrt(2) sem); Jacobson and Truax 1991, 10.1037/0022-006X.59.1.12."""
    return (second - first) / (math.sqrt(2) * sem)


def reliability_table(wide: pd.DataFrame, visits: tuple[str, str]) -> pd.DataFrame:
    """Reliability of every region and metabolite between two visits.

    Parameters
    ----------
    wide
        Participants in rows; (region, metabolite, session) in columns.
    visits
        The two sessions.

    Returns
    -------
    pandas.DataFrame
        voi, metabolite and the fields of `Reliability`. Between visits of a trial, treatment differences are part of
        the variation: the values are upper bounds of the measurement error.
    """
    rows = []
    for region, metabolite in cells_of(wide):
        columns = pd.MultiIndex.from_tuples([(region, metabolite, visit) for visit in visits])
        found = reliability(wide.reindex(columns=columns).to_numpy(dtype=float))
        rows.append({"voi": region, "metabolite": metabolite} | found.__dict__)
    return pd.DataFrame(rows, columns=["voi", "metabolite", *Reliability.__dataclass_fields__])
