"""Changes between visits from the joint fit: read blinded, compared between arms with their known error variances."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from mrs_pipeline.files import read_json, sha256
from mrs_pipeline.stats.columns import SCAN_KEYS
from mrs_pipeline.stats.io import read_tsv
from mrs_pipeline.stats.models import MIN_DF_FOR_P, Estimate, independent_columns

FloatArray = npt.NDArray[np.float64]
JOINT_MODEL = "joint-change-reml"
"""Name of the model in ``effects.tsv``."""
SEEN = "joint fit of visits: the values at baseline have seen data acquired after randomisation"
"""Remark on every row of the model."""
REGION_KEYS = tuple(key for key in SCAN_KEYS if key != "session")
COLUMNS = (*REGION_KEYS, "session_from", "session", "metabolite", "unit", "change", "change_sd")
"""Columns of ``desc-change_mrs.tsv`` that the group level uses."""
_TEXT = tuple(name for name in COLUMNS if name not in {"change", "change_sd"})


def no_changes() -> pd.DataFrame:
    """Return an empty table of changes."""
    return pd.DataFrame(columns=list(COLUMNS))


def read_changes(out_dir: Path, regions: tuple[str, ...] = ()) -> tuple[pd.DataFrame, dict[str, str], tuple[str, ...]]:
    """Read the changes of every participant and region.

    Parameters
    ----------
    out_dir
        Output of the participant level.
    regions
        Regions to keep; empty keeps all.

    Returns
    -------
    tuple
        Table with :data:`COLUMNS`; SHA-256 by relative path; sentences about joint fits that failed or are missing.
    """
    paths = sorted(out_dir.glob("sub-*/mrs/*_desc-change_mrs.tsv"))
    tables = [read_tsv(path, text=_TEXT).reindex(columns=list(COLUMNS)) for path in paths]
    table = pd.concat(tables, ignore_index=True) if tables else no_changes()
    if regions:
        table = table[table["voi"].isin(regions)].reset_index(drop=True)
    records = sorted(out_dir.glob("sub-*/mrs/*_desc-joint_mrs.json"))
    failed = [path.name.split("_desc-")[0] for path in records if read_json(path).get("status") == "failed"]
    warnings = []
    if failed:
        warnings.append(f"No joint fit of visits for {', '.join(failed)}; the reasons stand in desc-joint_mrs.json.")
    if not paths:
        warnings.append("[fit] joint_visits is set, and no participant has a joint fit: run the participant level.")
    files = {path.relative_to(out_dir).as_posix(): sha256(path) for path in (*paths, *records)}
    return table, dict(sorted(files.items())), tuple(warnings)


def changes_of(
    table: pd.DataFrame, scans: pd.DataFrame, visits: tuple[str, str], names: Mapping[str, str]
) -> pd.DataFrame:
    """Change and its sampling SD by participant, of scans that are both included.

    Parameters
    ----------
    table
        Columns :data:`COLUMNS` and ``region``.
    scans
        Scans with their decisions.
    visits
        Baseline and later visit.
    names
        Wanted ``region``, ``metabolite`` and ``unit``.

    Returns
    -------
    pandas.DataFrame
        ``change`` and ``change_sd``, indexed by participant_id. Repeated runs are averaged as independent.
    """
    rows = table[(table[list(names)] == pd.Series(dict(names))).all(axis=1)]
    rows = rows[(rows["session_from"] == visits[0]) & (rows["session"] == visits[1])]
    included = scans.loc[scans["included"].astype(bool), list(SCAN_KEYS)]
    for column in ("session_from", "session"):
        keys = included.rename(columns={"session": column})
        rows = rows.merge(keys, on=[*REGION_KEYS, column], how="inner")
    numbers = rows.assign(change=rows["change"].astype(float), variance=rows["change_sd"].astype(float) ** 2).dropna(
        subset=["change", "variance"]
    )
    grouped = numbers.groupby("participant_id")
    spread = np.sqrt(grouped["variance"].sum()) / grouped.size()
    return pd.DataFrame({"change": grouped["change"].mean(), "change_sd": spread})


def joint_change(change: FloatArray, sd: FloatArray, arm: FloatArray, adjust: FloatArray) -> Estimate:
    r"""Compare changes between arms with their known error variances and a variance between participants.

    Parameters
    ----------
    change, sd
        Change of each participant and its sampling SD, shape (n,), none missing.
    arm
        0 for arm a (reference), 1 for arm b, shape (n,). With one arm alone the mean change is estimated.
    adjust
        Strata indicators and covariates, shape (n, k); columns that add nothing are left out and said.

    Returns
    -------
    Estimate
        arm b minus arm a, or the mean change.

    Notes
    -----
    :math:`c_i = x_i'\beta + u_i + e_i`, :math:`\mathrm{var}(e_i) = s_i^2` known, :math:`\mathrm{var}(u_i) = \tau^2` by
    REML, weights :math:`1/(\tau^2 + s_i^2)`. Standard error after Knapp and Hartung (2003, doi:10.1002/sim.1482), t
    distribution with n - k degrees of freedom: it holds where the known variances are all wrong by one factor.
    """
    one_arm = np.ptp(arm) == 0 if len(arm) else True
    fixed = np.ones((len(arm), 1)) if one_arm else np.column_stack([np.ones_like(arm), arm])
    keep = independent_columns(fixed, adjust)
    design = np.column_stack([fixed, adjust[:, keep]])
    counts = int((arm == 0).sum()), int((arm == 1).sum())
    n, k = design.shape
    if n <= k or np.ptp(change) == 0:
        why = "too few participants" if n <= k else "the value does not vary"
        return Estimate(math.nan, math.nan, math.nan, *counts, notes=(SEEN, f"not estimable: {why}"))
    tau2 = between_variance(change, sd**2, design)
    beta, covariance, scale = weighted_fit(change, sd**2 + tau2, design)
    column = fixed.shape[1] - 1
    notes = [SEEN]
    if not keep.all():
        notes.append(f"{int((~keep).sum())} adjusting column(s) without information of their own left out")
    if n - k < MIN_DF_FOR_P:
        notes.append(f"{n - k:g} residual degrees of freedom, fewer than {MIN_DF_FOR_P:g}: estimate without p value")
    return Estimate(
        float(beta[column]), math.sqrt(covariance[column, column] * scale), float(n - k), *counts, tuple(notes)
    )


def weighted_fit(y: FloatArray, variance: FloatArray, design: FloatArray) -> tuple[FloatArray, FloatArray, float]:
    """Weighted least squares: coefficients, their model-based covariance, weighted residual variance."""
    weight = 1.0 / variance
    covariance = np.asarray(np.linalg.inv(design.T @ (design * weight[:, None])), dtype=np.float64)
    beta = covariance @ (design.T @ (weight * y))
    left = y - design @ beta
    return beta, covariance, float(left @ (weight * left)) / (len(y) - design.shape[1])


def between_variance(y: FloatArray, variance: FloatArray, design: FloatArray) -> float:
    r"""REML estimate of the variance between participants, at least 0.

    Notes
    -----
    Minimises :math:`\sum\ln v_i + \ln|X'V^{-1}X| + r'V^{-1}r` over :math:`\tau^2` in :math:`v_i = s_i^2 + \tau^2`
    (Viechtbauer 2005, doi:10.3102/10769986030003261), on a logarithmic grid and then within its best cell.
    """
    from scipy import optimize

    unit = float(np.var(y)) + float(np.mean(variance))
    if not unit > 0:
        return 0.0

    def deviance(tau2: float) -> float:
        total = variance + tau2
        _, covariance, scale = weighted_fit(y, total, design)
        return float(np.log(total).sum() - np.linalg.slogdet(covariance)[1] + scale * (len(y) - design.shape[1]))

    grid = unit * np.concatenate([[0.0], np.geomspace(1e-6, 1e2, 60)])
    if not variance.min() > 0:
        grid = grid[1:]
    best = int(np.argmin([deviance(float(value)) for value in grid]))
    low, high = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    found = optimize.minimize_scalar(deviance, bounds=(low, high), method="bounded", options={"xatol": 1e-10 * unit})
    return float(found.x) if found.fun < deviance(float(grid[best])) else float(grid[best])
