"""Clinical outcomes: one value per participant and visit from a phenotype table."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pandas as pd

from mrs_pipeline.config import AnalysisSection
from mrs_pipeline.config.models import AnalysisOutcome
from mrs_pipeline.errors import StudyError
from mrs_pipeline.stats.panel import visit_day


def outcome_values(table: pd.DataFrame, outcome: AnalysisOutcome, visits: tuple[str, ...]) -> pd.DataFrame:
    """One value per participant and visit.

    Parameters
    ----------
    table
        Phenotype table with participant_id, the outcome's column, and either ``session_id`` (or ``session``) or
        ``day``.
    outcome
        Settings of the outcome. With ``day`` (days since baseline, many rows per participant) the mean of the days
        inside ``window_days`` around the planned day of each visit counts.
    visits
        Sessions in order.

    Returns
    -------
    pandas.DataFrame
        Participants in rows, visits in columns, NaN where missing. Values below ``lower_limit`` (or written as
        ``<...``) are replaced by limit / sqrt(2) (Hornung and Reed 1990, doi:10.1080/1047322X.1990.10389587), then
        logarithms are taken if asked.

    Raises
    ------
    StudyError
        The table tells neither session nor day, or a visit's planned day cannot be read from its label.
    """
    column = _numbers(table[outcome.column], outcome.lower_limit)
    rows = table[["participant_id"]].assign(value=column)
    session = next((name for name in ("session_id", "session") if name in table.columns), None)
    if session is not None:
        rows["session"] = table[session].astype(str).str.removeprefix("ses-")
    elif "day" in table.columns:
        rows = _by_day(rows.assign(day=pd.to_numeric(table["day"])), outcome, visits)
    else:
        raise StudyError(
            f"{outcome.table} tells neither the session nor the day of a row",
            remedy="add a column session_id, or day (days since baseline) for daily ratings",
        )
    wide = rows.pivot_table(index="participant_id", columns="session", values="value", aggfunc="mean", dropna=False)
    wide = wide.reindex(columns=list(visits))
    return wide.map(_logarithm) if outcome.log_transform else wide


def _numbers(column: pd.Series, limit: float | None) -> pd.Series:
    """Numbers of a column; censored ones at limit / sqrt(2)."""
    values = pd.to_numeric(column, errors="coerce").astype(float)
    if limit is None:
        return values
    below = (values < limit) | column.astype(str).str.strip().str.startswith("<")
    return values.mask(below, limit / math.sqrt(2))


def _logarithm(value: float) -> float:
    return math.log(value) if value > 0 else math.nan


def _by_day(rows: pd.DataFrame, outcome: AnalysisOutcome, visits: tuple[str, ...]) -> pd.DataFrame:
    """Give each row of a daily table the visit whose window it falls into."""
    low, high = outcome.window_days or (-3.0, 3.0)
    parts = []
    for visit in visits:
        day = visit_day(visit)
        if day is None:
            raise StudyError(
                f"the day of the visit '{visit}' cannot be read from its label, which '{outcome.name}' needs",
                remedy="name visits like baseline, week12 or day84, or give the outcome per session_id",
            )
        inside = rows["day"].between(day + low, day + high)
        parts.append(rows[inside].assign(session=visit))
    return pd.concat(parts, ignore_index=True)


def improvement(baseline: float, followup: float, direction: str) -> float:
    """Relative improvement (followup against baseline); NaN at a baseline of zero.

    Examples
    --------
    >>> improvement(8.0, 4.0, "lower-is-better"), improvement(8.0, 4.0, "higher-is-better")
    (0.5, -0.5)
    """
    if not (math.isfinite(baseline) and math.isfinite(followup)) or baseline == 0:
        return math.nan
    change = (followup - baseline) / abs(baseline)
    return -change if direction == "lower-is-better" else change


def improvements(wide: pd.DataFrame, baseline: str, visit: str, direction: str) -> pd.Series:
    """Relative improvement of every participant."""
    return pd.Series(
        [improvement(a, b, direction) for a, b in zip(wide[baseline], wide[visit], strict=True)],
        index=wide.index,
        dtype=float,
    )


def all_outcomes(
    tables: Mapping[str, pd.DataFrame], plan: AnalysisSection, visits: tuple[str, ...]
) -> dict[str, tuple[AnalysisOutcome, pd.DataFrame]]:
    """Return every outcome of the plan with its values, by name."""
    return {item.name: (item, outcome_values(tables[item.table], item, visits)) for item in plan.outcome}
