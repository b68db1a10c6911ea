"""The page of a joint fit of visits: change by the joint fit beside change by the fits apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mrs_pipeline.files import atomic_write
from mrs_pipeline.report.html import render

SHOWN = ("tNAA", "tCr", "tCho", "Ins", "Glu", "Glx", "Gln", "GSH", "GABA", "MM09", "Lip13")
"""Rows of the page in their order; the table of changes has all."""
UNIT_TITLES = {
    "ratio": "Ratio to total creatine",
    "molal": "Millimoles per kilogram of tissue water",
    "molar": "Millimoles per litre of tissue",
    "amplitude": "Amplitude in the unit of the basis set",
}
"""Units in the order of the page."""


@dataclass(frozen=True)
class ChangeTable:
    """Changes between two visits in one unit."""

    title: str
    first: str
    second: str
    rows: tuple[Mapping[str, Any], ...]


def write_joint_report(
    record: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], identity: Mapping[str, str | None], path: str | Path
) -> Path:
    """Write the page of a joint fit as one self-contained HTML file.

    Parameters
    ----------
    record
        Content of ``desc-joint_mrs.json``.
    rows
        Rows of ``desc-change_mrs.tsv``.
    identity
        Entities of the region.
    path
        The file to write.
    """
    name = " ".join(str(identity[key]) for key in ("participant_id", "voi", "acq", "run", "task") if identity.get(key))
    return atomic_write(path, render("joint.html", record=record, tables=change_tables(rows), name=name))


def change_tables(rows: Sequence[Mapping[str, Any]]) -> tuple[ChangeTable, ...]:
    """Rows that the page shows, by later visit and unit; only tCr has a table row where its ratio would be 1."""
    pairs = dict.fromkeys((row["session_from"], row["session"]) for row in rows)
    tables = []
    for first, second in pairs:
        for unit, title in UNIT_TITLES.items():
            found = {
                row["metabolite"]: row
                for row in rows
                if (row["session_from"], row["session"], row["unit"]) == (first, second, unit)
                and not (unit == "ratio" and row["metabolite"] == "tCr")
            }
            chosen = tuple(found[name] for name in SHOWN if name in found)
            if chosen:
                tables.append(ChangeTable(title, first, second, chosen))
    return tuple(tables)
