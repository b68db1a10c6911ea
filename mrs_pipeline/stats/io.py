"""Files of the group level: participant outputs in, tables and JSON out. Only `read_allocation` reads an arm."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from mrs_pipeline.errors import InputError, StudyError
from mrs_pipeline.files import atomic_write, read_json, sha256, write_json
from mrs_pipeline.stats.columns import CONCENTRATION_COLUMNS, SCAN_KEYS, UNIT_COLUMNS

MISSING = ("n/a", "", "NA", "NaN", "nan")
"""How a missing value may be written."""
_TEXT_COLUMNS = (*SCAN_KEYS, "metabolite", "status", "flags", "reason")
_ARM_NAME = re.compile(
    r"(^|_)(arms?|treatments?|treated|treat|trt|allocation|allocated|randomi[sz](ed|ation)|drug|intervention|condition|medication|"
    r"placebo|verum)(_|$)|^((study|trial)_)?groups?$",
    re.IGNORECASE,
)
_ARM_VALUE = re.compile(r"^(placebo|active|verum|sham|treatment|treated|intervention|ldn|drug)$", re.IGNORECASE)


@dataclass(frozen=True)
class Sources:
    """What the blinded group level read.

    Parameters
    ----------
    concentrations
        Long table with the columns of ``concentrations.tsv``.
    scans
        One row per scan: entities, ``processing``, ``stage``, ``verdict``, ``rules``, ``detail``, ``report`` (name of
        the scan report) and ``metrics`` (dictionary of the scalar QC metrics).
    files
        SHA-256 by path relative to the output folder (``bids:`` in front for files of the BIDS folder).
    warnings
        Sentences for the report.
    """

    concentrations: pd.DataFrame
    scans: pd.DataFrame
    files: dict[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of a table as dictionaries by column name."""
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def write_tsv(frame: pd.DataFrame, path: Path, dictionary: Mapping[str, Any] | None = None) -> None:
    """Write a BIDS table (``n/a`` for missing, ten significant digits) and its data dictionary beside it."""
    text = frame.to_csv(sep="\t", index=False, na_rep="n/a", float_format="%.10g", lineterminator="\n")
    atomic_write(path, text)
    if dictionary is not None:
        write_json(dictionary, path.with_suffix(".json"))


def read_tsv(path: Path, text: tuple[str, ...] = _TEXT_COLUMNS) -> pd.DataFrame:
    """Read a BIDS table; ``n/a`` is missing in numeric columns and stays ``n/a`` in the columns named in `text`."""
    try:
        frame = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False, encoding="utf-8")
    except (OSError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise InputError(
            f"not readable as a tab-separated table ({error})", remedy="check the file", path=path
        ) from error
    frame.columns = [str(name).strip() for name in frame.columns]
    for name in frame.columns:
        column = frame[name].str.strip()
        frame[name] = column.replace("", "n/a") if name in text else _to_number(column)
    return frame


def _to_number(column: pd.Series) -> pd.Series:
    """Numbers where the whole column is numeric, text with missing values otherwise."""
    known = column.mask(column.isin(MISSING))
    try:
        return pd.to_numeric(known)
    except (ValueError, TypeError):
        return known


def collect(out_dir: Path) -> Sources:
    """Read every scan's concentrations, QC and status below an output folder.

    Parameters
    ----------
    out_dir
        Output folder of the participant level.

    Returns
    -------
    Sources
        Sorted by entities; independent of the order of the file system.

    Raises
    ------
    InputError
        No scan is found, or a file is unreadable.
    """
    found: dict[str, dict[str, Path]] = {}
    for path in out_dir.glob("sub-*/**/mrs/*_mrs.*"):
        match = re.fullmatch(r"(.+)_desc-(concentrations|qc|status)_mrs\.(tsv|json)", path.name)
        if match and (match[2], match[3]) in {("concentrations", "tsv"), ("qc", "json"), ("status", "json")}:
            found.setdefault(match[1], {})[match[2]] = path
    if not found:
        raise InputError("no processed scan was found", remedy="run the participant level first", path=out_dir)
    stems = sorted(found)
    rows = [
        row
        for stem in stems
        if "concentrations" in found[stem]
        for row in _scan_rows(stem, found[stem]["concentrations"])
    ]
    scans = pd.DataFrame([_scan_row(stem, found[stem]) for stem in stems])
    files = {path.relative_to(out_dir).as_posix(): sha256(path) for stem in stems for path in found[stem].values()}
    return Sources(_conform(pd.DataFrame(rows)), scans, dict(sorted(files.items())))


def entities_of(stem: str) -> dict[str, str]:
    """Scan entities of a file name up to ``_desc-``; absent ones are ``n/a``."""
    parts = dict(part.split("-", 1) for part in stem.split("_") if "-" in part)
    names = {"session": "ses", "voi": "voi", "acq": "acq", "run": "run", "task": "task"}
    return {"participant_id": f"sub-{parts.get('sub', 'n/a')}"} | {
        long: parts.get(short, "n/a") for long, short in names.items()
    }


def _scan_rows(stem: str, path: Path) -> list[dict[str, str | None]]:
    """One scan's concentrations as text, with the entities of the file name; ``n/a`` becomes missing."""
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"not readable as a tab-separated table ({error})", remedy="run the participant level again", path=path
        ) from error
    if not rows or "metabolite" not in rows[0]:
        raise InputError("no rows, or no column 'metabolite'", remedy="run the participant level again", path=path)
    entities = entities_of(stem)
    return [{**{name: None if value in MISSING else value for name, value in row.items()}, **entities} for row in rows]


def _conform(frame: pd.DataFrame) -> pd.DataFrame:
    """Columns of the contract in their order; absent ones are missing, and so are numbers that are not finite."""
    frame = frame.reindex(columns=list(CONCENTRATION_COLUMNS))
    for name in CONCENTRATION_COLUMNS:
        if name in _TEXT_COLUMNS:
            frame[name] = frame[name].astype(object).where(frame[name].notna(), "n/a").astype(str)
        else:
            values = pd.to_numeric(frame[name], errors="coerce").astype(float)
            frame[name] = values.where(values.abs() < float("inf"))
    return frame


def _scan_row(stem: str, paths: dict[str, Path]) -> dict[str, Any]:
    """Gather what status and QC say of one scan."""
    status = read_json(paths["status"]) if "status" in paths else {}
    qc = read_json(paths["qc"]) if "qc" in paths else {}
    verdict, fired = _verdict(qc)
    processing = str(status.get("status", "ok" if "concentrations" in paths else "failed"))
    if "concentrations" not in paths:
        processing = "failed"
    return entities_of(stem) | {
        "processing": processing,
        "stage": str(status.get("stage", "n/a")),
        "verdict": verdict,
        "rules": ";".join(rule["rule"] for rule in fired) or "n/a",
        "detail": _failure_text(status) if processing == "failed" else "; ".join(rule["words"] for rule in fired),
        "report": f"{stem}_report.html",
        "metrics": _metrics(qc),
        "has_concentrations": "concentrations" in paths,
    }


def _verdict(qc: Mapping[str, Any]) -> tuple[str, list[dict[str, str]]]:
    """Verdict and fired rules of a QC file, whether flat or nested below ``verdict``."""
    inner = qc.get("verdict", qc)
    if isinstance(inner, str):
        inner = {"status": inner, "fired": qc.get("fired", [])}
    fired = [
        {
            "rule": str(rule.get("rule", rule.get("name", "rule"))),
            "words": str(rule.get("sentence", rule.get("words", ""))),
        }
        if isinstance(rule, Mapping)
        else {"rule": str(rule), "words": str(rule)}
        for rule in inner.get("fired", [])
    ]
    status = str(inner.get("status", "n/a"))
    return (status if status in {"pass", "warn", "fail"} else "n/a"), fired


def _failure_text(status: Mapping[str, Any]) -> str:
    """Why processing failed, as one sentence."""
    error = status.get("error")
    if isinstance(error, Mapping):
        error = error.get("problem", error.get("message"))
    for text in (status.get("words"), status.get("reason"), error):
        if text:
            return str(text)
    return "processing left no result"


def _metrics(qc: Mapping[str, Any]) -> dict[str, float]:
    """Scalar metrics by name; a boolean counts as 0 or 1, a null is left out."""
    metrics = qc.get("metrics", qc)
    return {str(name): float(value) for name, value in sorted(metrics.items()) if isinstance(value, int | float)}


def read_external(path: Path) -> Sources:
    """Read a concentrations table made elsewhere, with its required provenance.

    Parameters
    ----------
    path
        TSV with at least participant_id, session, voi, metabolite and one of the columns of ``UNIT_COLUMNS``. Beside it
        a JSON file of the same name with an object ``Provenance`` that states ``Software``, ``Version`` and ``Method``.

    Raises
    ------
    InputError
        A column or the provenance is missing, or a scan lists a metabolite twice.
    """
    frame = read_tsv(path)
    missing = [name for name in ("participant_id", "session", "voi", "metabolite") if name not in frame.columns]
    if not missing and not set(UNIT_COLUMNS.values()) & set(frame.columns):
        missing = ["one of " + ", ".join(UNIT_COLUMNS.values())]
    if missing:
        raise InputError(
            f"missing columns: {', '.join(missing)}", remedy="add them; docs/outputs.md describes the table", path=path
        )
    sidecar = path.with_suffix(".json")
    _check_provenance(sidecar)
    frame = _conform(frame).sort_values([*SCAN_KEYS, "metabolite"], ignore_index=True, kind="stable")
    twice = frame[frame.duplicated([*SCAN_KEYS, "metabolite"])]
    if len(twice):
        first = "_".join(str(v) for v in twice.iloc[0][[*SCAN_KEYS, "metabolite"]] if v != "n/a")
        raise InputError(
            f"{len(twice)} values are listed twice, the first for {first}", remedy="keep one row each", path=path
        )
    rows = frame.drop_duplicates(list(SCAN_KEYS))[list(SCAN_KEYS)].assign(
        processing="ok", stage="n/a", verdict="n/a", rules="n/a", detail="", report="n/a", has_concentrations=True
    )
    rows = rows.assign(metrics=pd.Series([{}] * len(rows), index=rows.index, dtype=object))
    files = {f"external:{item.name}": sha256(item) for item in (path, sidecar)}
    said = f"Concentrations come from {path.name}, made elsewhere; no quality rules were applied to them here."
    return Sources(frame, rows.reset_index(drop=True), files, (said,))


def _check_provenance(sidecar: Path) -> None:
    remedy = 'write {"Provenance": {"Software": ..., "Version": ..., "Method": ...}} into it'
    if not sidecar.exists():
        raise InputError(
            "a table from elsewhere needs its provenance in this file, which does not exist",
            remedy=remedy,
            path=sidecar,
        )
    provenance = read_json(sidecar).get("Provenance")
    absent = [
        key for key in ("Software", "Version", "Method") if not (isinstance(provenance, dict) and provenance.get(key))
    ]
    if absent:
        raise InputError(f"Provenance does not state {', '.join(absent)}", remedy=remedy, path=sidecar)


def arm_like_columns(frame: pd.DataFrame) -> list[str]:
    """Columns that could give the arm away, by name or by a value such as ``placebo``."""
    suspicious = []
    for name in frame.columns:
        values = frame[name].dropna().astype(str)
        if _ARM_NAME.search(str(name)) or values.str.match(_ARM_VALUE).any():
            suspicious.append(str(name))
    return suspicious


def read_participants(bids_dir: Path) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Read participants.tsv without any column that could reveal an arm.

    Returns
    -------
    tuple[pandas.DataFrame, tuple[str, ...]]
        Table with at least ``participant_id`` (empty when there is no file), and warnings that name the columns left
        out.
    """
    return read_blinded(bids_dir / "participants.tsv")


def read_blinded(path: Path) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Read a table of the BIDS folder, leaving out columns that could reveal an arm (named in the warnings)."""
    if not path.exists():
        return pd.DataFrame({"participant_id": pd.Series(dtype=str)}), ()
    frame = read_tsv(path, text=("participant_id", "session_id", "session"))
    if "participant_id" not in frame.columns:
        raise InputError("the table has no column 'participant_id'", remedy="add it; BIDS requires it", path=path)
    hidden = arm_like_columns(frame)
    warnings = tuple(
        f"{path.name} has a column '{name}' that may reveal the arm; it was not used. "
        "Keep the allocation outside the BIDS folder and give it with --allocation."
        for name in hidden
    )
    frame["participant_id"] = _prefixed(frame["participant_id"])
    return frame.drop(columns=hidden), warnings


def _prefixed(labels: pd.Series) -> pd.Series:
    """Participant ids with ``sub-`` in front."""
    return labels.astype(str).map(lambda label: label if label.startswith("sub-") else f"sub-{label}")


RATINGS = ("good", "doubtful", "bad")


def read_ratings(path: Path) -> pd.DataFrame:
    """Read the reviewers' ratings; an absent file is an empty table.

    Columns: the scan entities, ``rating`` (good, doubtful or bad), ``reason``, ``comment``, ``reviewer``, ``override``
    (include, exclude or n/a). A reviewer who rated a scan twice counts with the last row.
    """
    columns = [*SCAN_KEYS, "rating", "reason", "comment", "reviewer", "override"]
    if not path.exists():
        return pd.DataFrame(columns=columns)
    frame = read_tsv(path, text=tuple(columns))
    missing = [name for name in ("participant_id", "rating") if name not in frame.columns]
    if missing:
        raise InputError(
            f"missing columns: {', '.join(missing)}", remedy="write ratings with mrs-pipeline review", path=path
        )
    frame = frame.reindex(columns=columns).astype(object)
    frame = frame.where(frame.notna(), "n/a")
    frame["participant_id"] = _prefixed(frame["participant_id"])
    for name, known in (("rating", (*RATINGS, "n/a")), ("override", ("include", "exclude", "n/a"))):
        frame[name] = frame[name].str.lower()
        wrong = sorted(set(frame[name]) - set(known))
        if wrong:
            raise InputError(
                f"unknown {name} {', '.join(map(repr, wrong))}", remedy=f"use {', '.join(known)}", path=path
            )
    return frame.drop_duplicates([*SCAN_KEYS, "reviewer"], keep="last", ignore_index=True)


@dataclass(frozen=True)
class Allocation:
    """Who was in which arm.

    Parameters
    ----------
    table
        participant_id, arm and the stratification columns.
    arms
        (reference arm, other arm); the other is ``""`` in a single-arm trial.
    strata
        Names of the stratification columns.
    digest
        SHA-256 of the file.
    """

    table: pd.DataFrame
    arms: tuple[str, str]
    strata: tuple[str, ...]
    digest: str


def read_allocation(
    path: Path,
    *,
    reference_arm: str | None,
    known: set[str],
    scanned: set[str],
    strata: tuple[str, ...] = (),
    n_arms: int = 2,
) -> Allocation:
    """Read and check the allocation file.

    Parameters
    ----------
    path
        TSV with participant_id, arm and one column per stratification factor.
    reference_arm
        Name of arm a; may be ``None`` only when there is one arm.
    known
        Participants of the study (participants.tsv and everyone scanned).
    scanned
        Participants with at least one scan; each needs an arm.
    strata
        Columns that ``[analysis] strata`` requires.
    n_arms
        Number of arms of the design.

    Raises
    ------
    StudyError
        Unknown, repeated or missing participants, another number of arms, or an unknown reference arm; each is named.
    """
    table = _allocation_table(path)
    table["participant_id"] = _prefixed(table["participant_id"])
    ids = table["participant_id"]
    _refuse(path, "participants listed twice", sorted(set(ids[ids.duplicated()])), "keep one row per participant")
    _refuse(
        path,
        "participants unknown to the study",
        sorted(set(ids) - known),
        "correct the ids, or add them to participants.tsv",
    )
    _refuse(path, "scanned participants without an arm", sorted(scanned - set(ids)), "add them to the allocation file")
    _refuse(path, "participants with an empty arm", sorted(ids[table["arm"] == "n/a"]), "fill in the arm")
    _refuse(
        path,
        "missing stratification columns",
        sorted(set(strata) - set(table.columns)),
        "add them, or correct [analysis] strata",
    )
    arms = sorted(set(table["arm"]))
    if len(arms) != n_arms:
        raise StudyError(
            f"{n_arms} arm(s) expected, found {len(arms)}: {', '.join(arms)}",
            remedy="correct the column 'arm', or [analysis] design",
            path=path,
        )
    extra = tuple(name for name in table.columns if name not in {"participant_id", "arm"})
    return Allocation(table, _ordered_arms(path, arms, reference_arm), extra, sha256(path))


def _allocation_table(path: Path) -> pd.DataFrame:
    try:
        table = read_tsv(path, text=("participant_id", "arm"))
    except InputError as error:
        raise StudyError(error.problem, remedy="check the path given to --allocation", path=path) from error
    missing = [name for name in ("participant_id", "arm") if name not in table.columns]
    if missing:
        raise StudyError(
            f"missing columns: {', '.join(missing)}",
            remedy="name the columns participant_id, arm, strata...",
            path=path,
        )
    return table


def _ordered_arms(path: Path, arms: list[str], reference_arm: str | None) -> tuple[str, str]:
    if len(arms) == 1:
        return arms[0], ""
    if reference_arm not in arms:
        asked = "none was given" if reference_arm is None else f"'{reference_arm}' is not an arm of the file"
        raise StudyError(
            f"the reference arm is needed and {asked}",
            remedy=f"give --reference-arm as one of {', '.join(arms)}",
            path=path,
        )
    return reference_arm, next(arm for arm in arms if arm != reference_arm)


def _refuse(path: Path, what: str, names: list[str], remedy: str) -> None:
    if names:
        raise StudyError(f"{what}: {', '.join(names)}", remedy=remedy, path=path)
