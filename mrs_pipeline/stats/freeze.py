"""The frozen analysis set: what was decided before anybody knew the arms, in hashes that a later run can check."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import pandas as pd

from mrs_pipeline.config import Study, portable
from mrs_pipeline.errors import AnalysisError, StudyError
from mrs_pipeline.stats.columns import SCAN_KEYS
from mrs_pipeline.stats.io import records
from mrs_pipeline.stats.participant_flow import cell_counts

FROZEN_SECTIONS = ("study", "fit", "quantify", "qc", "analysis")
"""Settings that may not change between freeze and comparison."""

Frozen = dict[str, Any]


def canonical_hash(value: object) -> str:
    """SHA-256 of a JSON value with sorted keys and no spaces."""
    return hashlib.sha256(
        json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()
    ).hexdigest()


def build_freeze(
    scans: pd.DataFrame, files: Mapping[str, str], ratings_hash: str | None, study: Study, versions: Mapping[str, str]
) -> Frozen:
    """Return the content of ``analysis-set.json``.

    Parameters
    ----------
    scans
        Table of scans with their decisions (`decide`).
    files
        SHA-256 by relative path of every file the analysis rests on.
    ratings_hash
        SHA-256 of ratings.tsv; ``None`` when there is none.
    study
        Settings.
    versions
        Package versions by name; only a change of mrs-pipeline itself breaks a freeze.

    Returns
    -------
    dict
        Deterministic: no date, host or absolute path. ``hash`` covers everything but ``software`` of other packages and
        ``history``.
    """
    sections = {name: portable(getattr(study, name)).model_dump(mode="json") for name in FROZEN_SECTIONS}
    keep = [*SCAN_KEYS, "usable", "included", "reason", "detail"]
    rows = scans[keep].sort_values(list(SCAN_KEYS), kind="stable")
    counts = cell_counts(scans)
    frozen: Frozen = {
        "format": 1,
        "study": study.study.name,
        "settings": {name: {"sha256": canonical_hash(value), "values": value} for name, value in sections.items()},
        "files": dict(sorted(files.items())),
        "ratings": ratings_hash,
        "software": dict(versions),
        "scans": [{**row, "usable": bool(row["usable"]), "included": bool(row["included"])} for row in records(rows)],
        "n": [
            {"voi": row["voi"], "session": row["session"], "scans": int(row["scans"]), "included": int(row["included"])}
            for row in records(counts)
        ],
    }
    return {"hash": freeze_hash(frozen), **frozen, "history": []}


def freeze_hash(frozen: Frozen) -> str:
    """Hash of a freeze's content: decisions, files, ratings, settings and the version of mrs-pipeline."""
    parts = {name: frozen[name] for name in ("format", "study", "files", "ratings", "scans", "n")}
    settings = {name: part["sha256"] for name, part in frozen["settings"].items()}
    return canonical_hash(parts | {"settings": settings, "mrs-pipeline": frozen["software"]["mrs-pipeline"]})


def changes(old: Frozen, new: Frozen) -> list[str]:
    """Name everything that differs between two freezes, in words; empty when nothing that counts does."""
    found = [f"settings section [{name}]" for name in FROZEN_SECTIONS if _section(old, name) != _section(new, name)]
    found += _file_changes(old["files"], new["files"])
    if old["ratings"] != new["ratings"]:
        found.append(
            "group/ratings.tsv "
            + ("was removed" if new["ratings"] is None else "was added" if old["ratings"] is None else "changed")
        )
    found += _decision_changes(old, new)
    versions = old["software"]["mrs-pipeline"], new["software"]["mrs-pipeline"]
    if versions[0] != versions[1]:
        found.append(f"mrs-pipeline {versions[0]} became {versions[1]}")
    if not found and old["hash"] != new["hash"]:
        found.append("the content of analysis-set.json")
    return found


def _section(frozen: Frozen, name: str) -> object:
    return frozen["settings"].get(name, {}).get("sha256")


def _file_changes(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    return [
        f"{path} " + ("is new" if path not in old else "is gone" if path not in new else "changed")
        for path in sorted(set(old) | set(new))
        if old.get(path) != new.get(path)
    ]


def _decision_changes(old: Frozen, new: Frozen) -> list[str]:
    decisions = [
        {tuple(row[key] for key in SCAN_KEYS): row["included"] for row in frozen["scans"]} for frozen in (old, new)
    ]
    both = sorted(set(decisions[0]) & set(decisions[1]))
    return [
        "inclusion of " + "_".join(part for part in key if part != "n/a")
        for key in both
        if decisions[0][key] != decisions[1][key]
    ]


def software_changes(old: Frozen, new: Frozen) -> list[str]:
    """List packages other than mrs-pipeline whose version differs; told, not refused."""
    return [
        f"{name} {old['software'].get(name, 'n/a')} became {version}"
        for name, version in new["software"].items()
        if name != "mrs-pipeline" and old["software"].get(name, "n/a") != version
    ]


def check_integrity(frozen: Frozen) -> None:
    """Raise `AnalysisError` when a freeze does not match its own hashes (edited by hand or damaged)."""
    edited = [name for name, part in frozen["settings"].items() if canonical_hash(part["values"]) != part["sha256"]]
    if edited or freeze_hash(frozen) != frozen["hash"]:
        where = f" (settings {', '.join(edited)})" if edited else ""
        raise AnalysisError(
            f"group/analysis-set.json does not match its own hash{where}: it was edited or damaged",
            remedy="restore the file, or freeze anew with --refreeze REASON",
        )


def refreeze(old: Frozen, new: Frozen, *, reason: str | None, unblinded: bool) -> Frozen:
    """Return the freeze to keep when one exists already.

    Parameters
    ----------
    old, new
        The freeze on disk and the one of today.
    reason
        Why it is replaced (``--refreeze``); ``None`` when nothing was said.
    unblinded
        Whether the arms have been compared before; recorded with the reason.

    Raises
    ------
    StudyError
        The two differ and no reason was given; the differences are named.
    """
    differences = changes(old, new)
    if not differences:
        return old
    if not (reason and reason.strip()):
        raise StudyError(
            f"a different analysis set is frozen already; changed since: {', '.join(differences)}",
            remedy="undo the change, or replace the freeze with --refreeze REASON",
        )
    entry = {"replaced": old["hash"], "reason": reason.strip(), "changed": differences, "after_unblinding": unblinded}
    return new | {"history": [*old["history"], entry]}


def verify(old: Frozen, new: Frozen) -> None:
    """Raise `StudyError` naming what changed since the freeze; return silently when nothing did."""
    check_integrity(old)
    differences = changes(old, new)
    if differences:
        raise StudyError(
            f"the frozen analysis set no longer holds; changed since: {', '.join(differences)}",
            remedy="undo the change, or record it with --freeze --refreeze REASON before comparing the arms",
        )
