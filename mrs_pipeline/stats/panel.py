"""From long tables to the numbers of one comparison: regions, sets, adjusting columns, participants by visits."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd

from mrs_pipeline.errors import StudyError
from mrs_pipeline.stats.columns import SCAN_KEYS, UNIT_COLUMNS
from mrs_pipeline.stats.joint_changes import no_changes

FloatArray = npt.NDArray[np.float64]
SCAN_METRICS = {"snr": "snr_tcr", "fwhm_hz": "fwhm_hz"}
"""QC metric behind each covariate that is one."""
SCAN_COVARIATES = ("f_gm", "f_wm", "f_csf", "snr", "fwhm_hz")
"""Covariates taken from the baseline scan of the region; every other name is a column of participants.tsv."""


_NUISANCE = re.compile(r"(MM|Lip)\d")


def is_analysed(metabolites: pd.Series) -> pd.Series:
    """Say which rows are metabolites; macromolecule and lipid components (MM09, Lip13, ...) are none."""
    return ~metabolites.str.match(_NUISANCE)


@dataclass(frozen=True)
class Trial:
    """Everything the arm comparison works on.

    Parameters
    ----------
    concentrations
        Long table with the columns of ``concentrations.tsv``.
    scans
        Table of scans with their decisions (`decide`).
    people
        participant_id, ``arm`` (0 reference, 1 other) and the stratification columns.
    participants
        Blinded participants.tsv (covariates).
    arms
        Names of arm a and arm b; arm b is ``""`` in a single-arm trial.
    visits
        Sessions in order; the first is the baseline.
    strata
        Stratification columns of `people`.
    off_window
        Per follow-up session: participants whose visit fell outside the window.
    changes
        Changes between visits from the joint fit; empty where there is none.
    """

    concentrations: pd.DataFrame
    scans: pd.DataFrame
    people: pd.DataFrame
    participants: pd.DataFrame
    arms: tuple[str, str]
    visits: tuple[str, ...]
    strata: tuple[str, ...] = ()
    off_window: Mapping[str, frozenset[str]] = field(default_factory=dict)
    changes: pd.DataFrame = field(default_factory=no_changes)


def region_labels(scans: pd.DataFrame) -> pd.Series:
    """Name each scan's region: the voi label, with acq and task where a region was measured in more than one way.

    Parameters
    ----------
    scans
        Any table with the scan entities.

    Returns
    -------
    pandas.Series
        One label per row, so that different acquisitions are never averaged; runs are.
    """
    ways = scans[["voi", "acq", "task"]].drop_duplicates().groupby("voi").size()
    several = scans["voi"].map(ways) > 1
    suffix = scans["acq"].map(lambda v: "" if v == "n/a" else f"_acq-{v}") + scans["task"].map(
        lambda v: "" if v == "n/a" else f"_task-{v}"
    )
    return scans["voi"].where(~several, scans["voi"] + suffix)


def select_values(
    concentrations: pd.DataFrame, scans: pd.DataFrame, unit: str, *, only_included: bool = True
) -> pd.DataFrame:
    """Tidy values of one unit: participant_id, session, region, metabolite, value.

    Parameters
    ----------
    concentrations, scans
        Long table and decided scans.
    unit
        A key of ``UNIT_COLUMNS``.
    only_included
        ``True`` for the frozen set; ``False`` for every scan with a result, whatever its quality.

    Returns
    -------
    pandas.DataFrame
        One row per participant, session, region and metabolite with a finite value; repeated runs are averaged.
        Values whose row status is ``failed`` do not enter, nor do macromolecule and lipid components.
    """
    chosen = scans[scans["included"].astype(bool)] if only_included else scans[scans["usable"].astype(bool)]
    merged = concentrations.merge(chosen[list(SCAN_KEYS)], on=list(SCAN_KEYS), how="inner")
    merged = merged.assign(region=labels_like(merged, scans), value=merged[UNIT_COLUMNS[unit]])
    merged = merged[merged["value"].notna() & (merged["status"] != "failed") & is_analysed(merged["metabolite"])]
    keys = ["participant_id", "session", "region", "metabolite"]
    return merged.groupby(keys, sort=True)["value"].mean().reset_index()


def labels_like(rows: pd.DataFrame, scans: pd.DataFrame) -> pd.Series:
    """Region labels of `rows` by the naming of all scans, so that a left-out scan does not rename a region."""
    keys = ["voi", "acq", "task"]
    names = scans[keys].assign(region=region_labels(scans)).drop_duplicates(keys)
    labels: pd.Series = rows[keys].merge(names, on=keys, how="left")["region"].set_axis(rows.index)
    return labels


def pivot_values(values: pd.DataFrame) -> pd.DataFrame:
    """Participants in rows; (region, metabolite, session) in columns."""
    keys = ["region", "metabolite", "session"]
    return values.pivot_table(index="participant_id", columns=keys, values="value", aggfunc="mean").sort_index()


def cells_of(wide: pd.DataFrame) -> list[tuple[str, str]]:
    """Region and metabolite pairs among the columns of `pivot_values`, sorted."""
    return sorted({(str(column[0]), str(column[1])) for column in wide.columns.tolist()})


def numeric_columns(frame: pd.DataFrame) -> pd.DataFrame:
    """Code a table of covariates as numbers, one row per row.

    Numeric columns stay; text becomes indicators of all but the first level in alphabetical order. Missing stays
    missing.
    """
    coded = {}
    for name in frame.columns:
        column = frame[name]
        if pd.api.types.is_numeric_dtype(column):
            coded[str(name)] = column.astype(float)
            continue
        levels = sorted(column.dropna().astype(str).unique())
        for level in levels[1:]:
            coded[f"{name}={level}"] = (column.astype(str) == level).astype(float).where(column.notna())
    return pd.DataFrame(coded, index=frame.index)


def adjusting_columns(trial: Trial, region: str, covariates: tuple[str, ...]) -> pd.DataFrame:
    """Strata and covariates of every participant for one region, as numbers indexed by participant_id.

    Strata are categories whatever their type. Covariates of the scan (`SCAN_COVARIATES`) are taken at baseline, where
    the treatment cannot have touched them.

    Raises
    ------
    StudyError
        A covariate is neither a scan covariate nor a column of participants.tsv.
    """
    people = trial.people.set_index("participant_id")
    parts = [people[list(trial.strata)].astype(object).map(lambda v: v if pd.isna(v) else str(v))]
    parts += [_covariate(trial, region, name).reindex(people.index).to_frame(name) for name in covariates]
    return numeric_columns(pd.concat(parts, axis=1))


def _covariate(trial: Trial, region: str, name: str) -> pd.Series:
    """One covariate by participant."""
    if name in SCAN_COVARIATES:
        return _scan_covariate(trial, region, name)
    if name not in trial.participants.columns:
        raise StudyError(
            f"[analysis] covariates names '{name}', which is no usable column of participants.tsv",
            remedy=f"use one of its columns or {', '.join(SCAN_COVARIATES)}; no column that may reveal the arm",
        )
    return trial.participants.drop_duplicates("participant_id").set_index("participant_id")[name]


def _scan_covariate(trial: Trial, region: str, name: str) -> pd.Series:
    scans = trial.scans.assign(region=region_labels(trial.scans))
    scans = scans[scans["included"].astype(bool) & (scans["region"] == region) & (scans["session"] == trial.visits[0])]
    if name.startswith("f_"):
        fractions = trial.concentrations.drop_duplicates(list(SCAN_KEYS))[[*SCAN_KEYS, name]]
        scans = scans[list(SCAN_KEYS)].merge(fractions, on=list(SCAN_KEYS), how="left")
    else:
        metric = SCAN_METRICS[name]
        scans = scans.assign(**{name: [metrics.get(metric, np.nan) for metrics in scans["metrics"]]})
    by_person: pd.Series = scans.groupby("participant_id")[name].mean()
    return by_person


def visit_day(label: str) -> float | None:
    """Planned day of a visit read from its label, or ``None``.

    Examples
    --------
    >>> visit_day("week12"), visit_day("w2"), visit_day("month3"), visit_day("baseline"), visit_day("post")
    (84.0, 14.0, 91.3125, 0.0, None)
    """
    if re.fullmatch(r"(?i)(bl|base|baseline|pre|screening|day0|t0)", label):
        return 0.0
    match = re.fullmatch(r"(?i)(week|w|wk|month|m|mo|day|d)0*(\d+)", label)
    if match is None:
        return None
    return float(match[2]) * {"w": 7.0, "m": 30.4375, "d": 1.0}[match[1][0].lower()]


def off_window(days: pd.DataFrame, visits: tuple[str, ...], window: float) -> dict[str, frozenset[str]]:
    """Participants whose follow-up fell outside the window around its planned day.

    Parameters
    ----------
    days
        participant_id, session, day (days since the participant's baseline).
    visits
        Sessions in order.
    window
        Allowed deviation in days.

    Returns
    -------
    dict[str, frozenset[str]]
        Per follow-up session. Where the label does not tell the planned day, the median day of all participants
        stands in.
    """
    late: dict[str, frozenset[str]] = {}
    for visit in visits[1:]:
        rows = days[days["session"] == visit]
        planned = visit_day(visit)
        planned = float(rows["day"].median()) if planned is None else planned
        late[visit] = frozenset(rows.loc[(rows["day"] - planned).abs() > window, "participant_id"])
    return late
