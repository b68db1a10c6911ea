"""The blinded state of a trial: everything the group level knows before anybody gives it an arm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from mrs_pipeline.config import Study
from mrs_pipeline.errors import StudyError
from mrs_pipeline.files import sha256
from mrs_pipeline.stats.columns import QC_COLUMNS, SCAN_KEYS
from mrs_pipeline.stats.freeze import build_freeze, canonical_hash
from mrs_pipeline.stats.inclusion import decide
from mrs_pipeline.stats.io import (
    Allocation,
    Sources,
    collect,
    read_blinded,
    read_external,
    read_participants,
    read_ratings,
    read_tsv,
)
from mrs_pipeline.stats.joint_changes import no_changes, read_changes
from mrs_pipeline.stats.panel import Trial, is_analysed, off_window, region_labels
from mrs_pipeline.stats.participant_flow import flow

RATINGS_FILE = Path("group") / "ratings.tsv"


@dataclass(frozen=True, eq=False)
class Blinded:
    """The trial without its arms.

    Parameters
    ----------
    concentrations
        Long table.
    scans
        Scans with decisions (`decide`).
    participants
        participants.tsv without any column that could reveal an arm.
    days
        participant_id, session, day: days between the sessions of sessions.tsv; empty where there is none.
    outcomes
        Phenotype tables of ``[[analysis.outcome]]`` by file name, without any column that could reveal an arm.
    files
        SHA-256 of everything the analysis rests on, by relative path.
    ratings
        SHA-256 of ratings.tsv, or ``None``.
    warnings
        Sentences for the report and the screen.
    changes
        Changes between visits from the joint fit (`read_changes`); empty without ``[fit] joint_visits``.
    """

    concentrations: pd.DataFrame
    scans: pd.DataFrame
    participants: pd.DataFrame
    days: pd.DataFrame
    outcomes: Mapping[str, pd.DataFrame]
    files: Mapping[str, str]
    ratings: str | None
    warnings: tuple[str, ...]
    changes: pd.DataFrame = field(default_factory=no_changes)

    @property
    def known(self) -> set[str]:
        """Everyone in participants.tsv or scanned."""
        return set(self.participants["participant_id"]) | self.scanned

    @property
    def scanned(self) -> set[str]:
        """Everyone with a scan."""
        return set(self.scans["participant_id"])


def read_blinded_trial(bids_dir: Path, out_dir: Path, study: Study, concentrations: Path | None = None) -> Blinded:
    """Read everything the group level needs, leaving out whatever could reveal an arm.

    Parameters
    ----------
    bids_dir
        For participants.tsv, sessions.tsv and phenotype/ only.
    out_dir
        Output of the participant level.
    study
        Settings.
    concentrations
        Table from elsewhere that takes the place of the participant outputs.
    """
    sources = collect(out_dir) if concentrations is None else read_external(concentrations)
    sources = in_regions(sources, study.study.regions)
    ratings_path = out_dir / RATINGS_FILE
    scans = decide(sources.scans, read_ratings(ratings_path))
    participants, warnings = read_participants(bids_dir)
    days = read_visit_days(bids_dir, sorted(set(scans["participant_id"])))
    outcomes, more = _read_outcomes(bids_dir, study)
    wanted = study.fit.joint_visits and concentrations is None
    changes, jointly, missed = read_changes(out_dir, study.study.regions) if wanted else (no_changes(), {}, ())
    files = dict(sources.files) | jointly | _inputs_hashes(participants, days, outcomes)
    told = (*sources.warnings, *warnings, *more, *missed, *_plan_warnings(scans, sources.concentrations, study))
    ratings = sha256(ratings_path) if ratings_path.exists() else None
    return Blinded(sources.concentrations, scans, participants, days, outcomes, files, ratings, told, changes)


def in_regions(sources: Sources, regions: tuple[str, ...]) -> Sources:
    """Keep the regions asked for; empty keeps all.

    Raises
    ------
    StudyError
        A region of study.toml is found nowhere.
    """
    if not regions:
        return sources
    found = sorted(set(sources.scans["voi"]))
    unknown = [region for region in regions if region not in found]
    if unknown:
        raise StudyError(
            f"[study] regions names {', '.join(unknown)}, found nowhere", remedy=f"use some of {', '.join(found)}"
        )
    keep = sources.scans["voi"].isin(regions)
    rows = sources.concentrations["voi"].isin(regions)
    return Sources(
        sources.concentrations[rows].reset_index(drop=True),
        sources.scans[keep].reset_index(drop=True),
        sources.files,
        sources.warnings,
    )


def _inputs_hashes(
    participants: pd.DataFrame, days: pd.DataFrame, outcomes: Mapping[str, pd.DataFrame]
) -> dict[str, str]:
    """Hash what was read of the BIDS folder; columns that were left out do not enter."""
    hashes = {"bids:participants.tsv": _table_hash(participants)} if len(participants) else {}
    if len(days):
        hashes["bids:sessions.tsv"] = _table_hash(days)
    return hashes | {f"bids:phenotype/{name}": _table_hash(table) for name, table in sorted(outcomes.items())}


def _table_hash(table: pd.DataFrame) -> str:
    return canonical_hash(table.to_csv(sep="\t", index=False, na_rep="n/a"))


def _read_outcomes(bids_dir: Path, study: Study) -> tuple[dict[str, pd.DataFrame], tuple[str, ...]]:
    """Read phenotype tables of the plan."""
    tables: dict[str, pd.DataFrame] = {}
    warnings: tuple[str, ...] = ()
    for name in sorted({outcome.table for outcome in study.analysis.outcome}):
        path = bids_dir / "phenotype" / name
        if not path.exists():
            raise StudyError(
                f"[[analysis.outcome]] names the table {name}, which does not exist",
                remedy="correct 'table'",
                path=path,
            )
        tables[name], said = read_blinded(path)
        warnings += said
    for outcome in study.analysis.outcome:
        if outcome.column not in tables[outcome.table].columns:
            raise StudyError(
                f"the outcome '{outcome.name}' names the column '{outcome.column}', absent from {outcome.table}",
                remedy=f"use one of {', '.join(map(str, tables[outcome.table].columns))}",
            )
    return tables, warnings


def read_visit_days(bids_dir: Path, participants: list[str]) -> pd.DataFrame:
    """Days of every session after the participant's first, from sub-*/sub-*_sessions.tsv (column acq_time)."""
    rows = []
    for person in participants:
        path = bids_dir / person / f"{person}_sessions.tsv"
        if not path.exists():
            continue
        table = read_tsv(path, text=("session_id", "acq_time"))
        if {"session_id", "acq_time"} <= set(table.columns):
            times = pd.to_datetime(
                table["acq_time"].where(table["acq_time"] != "n/a"), errors="coerce", format="ISO8601"
            )
            days = (times - times.min()).dt.total_seconds() / 86400
            labels = table["session_id"].str.removeprefix("ses-")
            rows += [(person, label, float(day)) for label, day in zip(labels, days, strict=True) if pd.notna(day)]
    return pd.DataFrame(rows, columns=["participant_id", "session", "day"])


def _plan_warnings(scans: pd.DataFrame, concentrations: pd.DataFrame, study: Study) -> tuple[str, ...]:
    """Say where the plan and the data do not meet."""
    said = []
    strange = sorted(set(scans["session"]) - set(study.study.visits))
    absent = [visit for visit in study.study.visits if visit not in set(scans["session"])]
    if strange:
        said.append(f"Sessions found but not in [study] visits, and left out of comparisons: {', '.join(strange)}.")
    if absent:
        said.append(f"Sessions of [study] visits without any scan: {', '.join(absent)}.")
    for metabolite, voi in study.analysis.primary:
        if not ((concentrations["metabolite"] == metabolite) & (region_labels(concentrations) == voi)).any():
            said.append(f"The primary outcome {metabolite} in {voi} has no value in any scan.")
    return tuple(said)


def check_plan(blinded: Blinded, study: Study) -> None:
    """Refuse to freeze a plan that cannot be carried out.

    Raises
    ------
    StudyError
        Visits or primary outcomes that do not exist in the data, or a primary visit that is not a visit.
    """
    visits, plan = study.study.visits, study.analysis
    found = set(blinded.scans["session"])
    if visits[0] not in found:
        raise StudyError(
            f"no scan of the baseline session '{visits[0]}'",
            remedy=f"name the sessions in [study] visits; found: {', '.join(sorted(found))}",
        )
    if plan.primary_visit is not None and plan.primary_visit not in visits[1:]:
        raise StudyError(
            f"[analysis] primary_visit '{plan.primary_visit}' is not a follow-up visit",
            remedy=f"use one of {', '.join(visits[1:])}",
        )
    rows = blinded.concentrations[is_analysed(blinded.concentrations["metabolite"])]
    pairs = set(zip(rows["metabolite"], region_labels(rows), strict=True))
    unknown = [f"[{metabolite}, {voi}]" for metabolite, voi in plan.primary if (metabolite, voi) not in pairs]
    if unknown:
        known = ", ".join(sorted({voi for _, voi in pairs}))
        raise StudyError(
            f"[analysis] primary names {', '.join(unknown)}, found in no scan",
            remedy=f"write [metabolite, voi]; regions found: {known}",
        )


def qc_table(blinded: Blinded) -> pd.DataFrame:
    """Table ``qc.tsv``: decisions and every scalar metric, one row per scan."""
    scans = blinded.scans
    text = scans.assign(included=scans["included"].map({True: "yes", False: "no"}))[list(QC_COLUMNS)]
    metrics = pd.DataFrame(list(scans["metrics"]), index=scans.index)
    return pd.concat([text, metrics[sorted(metrics.columns)]], axis=1)


def flow_table(blinded: Blinded, study: Study) -> pd.DataFrame:
    """Table ``flow.tsv``, pooled over arms."""
    return flow(blinded.scans, set(blinded.participants["participant_id"]), study.study.visits, study.study.regions)


def freeze_of(blinded: Blinded, study: Study, versions: Mapping[str, str]) -> dict[str, Any]:
    """Content of ``analysis-set.json`` for this state."""
    return build_freeze(blinded.scans, blinded.files, blinded.ratings, study, versions)


def unblind(blinded: Blinded, allocation: Allocation | None, study: Study) -> Trial:
    """Bring state and arms together; without an allocation everyone is in one arm (single-arm designs)."""
    if allocation is None:
        people = pd.DataFrame({"participant_id": sorted(blinded.known), "arm": 0})
        arms: tuple[str, str] = ("all", "")
        strata: tuple[str, ...] = ()
    else:
        arms, strata = allocation.arms, allocation.strata
        people = allocation.table.assign(arm=(allocation.table["arm"] == arms[1]).astype(int))
    window = study.analysis.visit_window_days
    late = off_window(blinded.days, study.study.visits, window) if window is not None and len(blinded.days) else {}
    return Trial(
        blinded.concentrations,
        blinded.scans,
        people,
        blinded.participants,
        arms,
        study.study.visits,
        strata,
        late,
        blinded.changes,
    )


def flow_by_arm(trial: Trial, study: Study) -> pd.DataFrame:
    """Flow of each arm, with the arm's name in the first column."""
    parts = []
    for code, name in enumerate(trial.arms):
        people = set(trial.people.loc[trial.people["arm"] == code, "participant_id"])
        scans = trial.scans[trial.scans["participant_id"].isin(people)]
        if name:
            parts.append(flow(scans, people, study.study.visits, study.study.regions).assign(arm=name))
    table = pd.concat(parts, ignore_index=True)
    return table[["arm", *[column for column in table.columns if column != "arm"]]]


def scan_name(row: Mapping[str, Any]) -> str:
    """Name of a scan as its entities joined, absent ones left out."""
    shorts = {"session": "ses-", "voi": "voi-", "acq": "acq-", "run": "run-", "task": "task-", "participant_id": ""}
    return "_".join(f"{shorts[key]}{row[key]}" for key in SCAN_KEYS if row[key] != "n/a")
