"""The files at the top of a dataset."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mrs_pipeline import __version__
from mrs_pipeline.errors import InputError, StudyError

BIDS_VERSION = "1.10.0"
ARM_WORDS = ("arm", "group", "allocation", "treatment", "randomisation", "randomization")
"""Columns that would unblind whoever opens participants.tsv."""

Table = tuple[list[str], list[dict[str, str]]]


def dataset_description(name: str) -> dict[str, Any]:
    """Return ``dataset_description.json`` of a converted raw dataset."""
    return {
        "Name": name,
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "raw",
        "GeneratedBy": [{"Name": "mrs-pipeline", "Version": __version__, "Description": "mrs-pipeline convert"}],
    }


def readme(name: str) -> str:
    """Return the README of a converted dataset."""
    return f"""# {name}

Single-voxel MR spectroscopy converted from scanner files by mrs-pipeline {__version__}.

- `sub-*/[ses-*/]mrs/`: metabolite spectra (`_svs`) and water references (`_mrsref`) as NIfTI-MRS, with sidecars.
- `sub-*/[ses-*/]anat/`: T1-weighted images.
- `code/conversion.tsv`: which scanner file became what, what was left and why. It names the original files: look
  through it before sharing the dataset.
- `code/provenance.json`: hashes of sources and results, versions.
- `code/study.toml`: the settings, where a study file was given.

The allocation to arms is not part of this dataset and must not be added to it.
"""


BIDSIGNORE = "code/\n"


def read_table(path: Path) -> Table:
    """Read a TSV file into its column names and rows.

    Raises
    ------
    InputError
        A row has another number of fields than the header.
    """
    text = path.read_text(encoding="utf-8-sig")
    reader = csv.reader(io.StringIO(text), delimiter="\t", quoting=csv.QUOTE_NONE)
    lines = [line for line in reader if any(field.strip() for field in line)]
    if not lines:
        raise InputError("the table is empty", remedy="write a header line with participant_id", path=path)
    header = lines[0]
    for number, line in enumerate(lines[1:], start=2):
        if len(line) != len(header):
            raise InputError(
                f"line {number} has {len(line)} fields, the header {len(header)}",
                remedy="separate fields by single tabs",
                path=path,
            )
    return header, [dict(zip(header, line, strict=True)) for line in lines[1:]]


def table_text(columns: Sequence[str], rows: Sequence[Mapping[str, str]]) -> str:
    """Return a TSV file; missing values are ``n/a``."""
    lines = ["\t".join(columns)]
    lines += ["\t".join(_cell(row.get(column)) for column in columns) for row in rows]
    return "\n".join(lines) + "\n"


def participants_table(present: Sequence[str], existing: Table | None, given: Table | None, path: Path) -> str:
    """Return ``participants.tsv``: the rows there are, with those converted now added.

    Parameters
    ----------
    present
        Participants of the dataset, with ``sub-``.
    existing
        The table that stands there; its rows and columns are kept.
    given
        A table with further columns for the participants (age, sex, ...), which wins where both state a value.
    path
        For messages.

    Raises
    ------
    StudyError
        A column would tell the arm.
    """
    columns = ["participant_id"]
    rows: dict[str, dict[str, str]] = {}
    for table in (existing, given):
        if table is None:
            continue
        header, lines = table
        _refuse_arms(header, path)
        columns += [column for column in header if column not in columns]
        for line in lines:
            key = "sub-" + line.get("participant_id", "").removeprefix("sub-")
            if table is existing or key in present:
                rows.setdefault(key, {}).update({**line, "participant_id": key})
    for participant in present:
        rows.setdefault(participant, {"participant_id": participant})
    return table_text(columns, [rows[key] for key in sorted(rows)])


def _refuse_arms(header: Sequence[str], path: Path) -> None:
    telling = [column for column in header if column.lower() in ARM_WORDS]
    if telling:
        raise StudyError(
            f"the column '{telling[0]}' would unblind the dataset",
            remedy="keep it in the allocation file, which only 'run ... group --allocation' reads",
            path=path,
        )


def _cell(value: str | None) -> str:
    text = "" if value is None else " ".join(value.split())
    return text or "n/a"
