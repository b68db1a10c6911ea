"""Descriptive tables: values by visit and region, and who was compared."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from mrs_pipeline.config import AnalysisSection
from mrs_pipeline.stats.io import records
from mrs_pipeline.stats.panel import Trial, pivot_values, select_values
from mrs_pipeline.stats.repeatability import reliability_table
from mrs_pipeline.stats.sample_size import detectable_difference

DESCRIPTIVE_COLUMNS = ("voi", "metabolite", "session", "n", "mean", "sd", "cv", "minimum", "maximum")


def describe(concentrations: pd.DataFrame, scans: pd.DataFrame, unit: str) -> pd.DataFrame:
    """Summarise the included values of one unit, pooled over arms.

    Returns
    -------
    pandas.DataFrame
        Columns `DESCRIPTIVE_COLUMNS`; cv is a fraction, the others are in the unit.
    """
    values = select_values(concentrations, scans, unit)
    grouped = values.groupby(["region", "metabolite", "session"], sort=True)["value"]
    table = grouped.agg(n="size", mean="mean", sd="std", minimum="min", maximum="max").reset_index()
    table = table.rename(columns={"region": "voi"})
    table["cv"] = table["sd"] / table["mean"].where(table["mean"] > 0)
    return table[list(DESCRIPTIVE_COLUMNS)]


def precision(
    concentrations: pd.DataFrame, scans: pd.DataFrame, plan: AnalysisSection, visits: tuple[str, str]
) -> pd.DataFrame:
    """Repeatability between two visits, pooled over arms, and what the comparison could detect.

    Returns
    -------
    pandas.DataFrame
        The columns of `reliability_table`, ``correlation`` of the two visits, and ``detectable_pct``: the smallest
        difference between two equal arms, in percent of the baseline mean, found with 80 % power by an ANCOVA at the
        level of the plan.
    """
    wide = pivot_values(select_values(concentrations, scans, plan.unit))
    table = reliability_table(wide, visits)
    extra = [_detectable(wide, row["voi"], row["metabolite"], plan.alpha, visits) for row in records(table)]
    return pd.concat([table, pd.DataFrame(extra, columns=["correlation", "detectable_pct"], index=table.index)], axis=1)


def _detectable(
    wide: pd.DataFrame, voi: str, metabolite: str, alpha: float, visits: tuple[str, str]
) -> tuple[float, float]:
    pair = (
        wide.reindex(columns=pd.MultiIndex.from_tuples([(voi, metabolite, visit) for visit in visits]))
        .dropna()
        .to_numpy()
    )
    if len(pair) < 5 or np.ptp(pair[:, 0]) == 0 or np.ptp(pair[:, 1]) == 0:
        return np.nan, np.nan
    r = float(np.corrcoef(pair.T)[0, 1])
    half = len(pair) // 2
    d = detectable_difference(half, len(pair) - half, alpha=alpha, correlation=min(max(r, 0.0), 0.99), adjusted=1)
    return r, 100 * d * float(pair[:, 1].std(ddof=1)) / float(pair[:, 0].mean())


def baseline_table(trial: Trial) -> pd.DataFrame:
    """Who was compared: participants.tsv and strata by arm, and scanned against not scanned.

    Returns
    -------
    pandas.DataFrame
        characteristic, one column per arm, ``scanned``, ``not scanned``; numbers as mean (SD), categories as n (%).
    """
    people = trial.people.merge(
        trial.participants, on="participant_id", how="left", suffixes=("", " (participants.tsv)")
    )
    scanned = people["participant_id"].isin(set(trial.scans["participant_id"]))
    groups = {name: scanned & (people["arm"] == code) for code, name in enumerate(trial.arms) if name}
    groups |= {"scanned": scanned, "not scanned": ~scanned}
    rows: list[dict[str, Any]] = [
        {"characteristic": "participants"} | {name: str(int(mask.sum())) for name, mask in groups.items()}
    ]
    for column in people.columns:
        if column not in {"participant_id", "arm"}:
            rows += _characteristic(people[column], groups, categorical=column in trial.strata)
    return pd.DataFrame(rows).fillna("n/a")


MAX_LEVELS = 8
"""Text columns with more levels are labels, not characteristics."""


def _characteristic(column: pd.Series, groups: dict[str, pd.Series], *, categorical: bool) -> list[dict[str, str]]:
    """Rows of one column."""
    if pd.api.types.is_numeric_dtype(column) and not categorical:
        return [{"characteristic": str(column.name)} | {name: _mean_sd(column[mask]) for name, mask in groups.items()}]
    levels = sorted(column.dropna().astype(str).unique())
    if len(levels) > MAX_LEVELS:
        return []
    return [
        {"characteristic": f"{column.name}: {level}"}
        | {name: _share(column[mask].astype(str) == level) for name, mask in groups.items()}
        for level in levels
    ]


def _mean_sd(values: pd.Series) -> str:
    known = values.dropna()
    if not len(known):
        return "n/a"
    return f"{known.mean():.1f} ({known.std():.1f})" if len(known) > 1 else f"{known.mean():.1f}"


def _share(hits: pd.Series) -> str:
    return f"{int(hits.sum())} ({100 * hits.mean():.0f} %)" if len(hits) else "n/a"
