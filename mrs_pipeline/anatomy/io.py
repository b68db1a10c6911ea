"""Reading tissue tables and maps."""

from __future__ import annotations

import csv
from pathlib import Path

from mrs_pipeline.anatomy.tissue import SEGMENTATION_SD, TissueFractions
from mrs_pipeline.errors import InputError

COLUMNS = ("participant_id", "session", "voi", "GM", "WM", "CSF")


def read_tissue_table(path: str | Path, participant_id: str, session: str | None, voi: str | None) -> TissueFractions:
    """Take a scan's tissue fractions from a table.

    Parameters
    ----------
    path
        TSV with participant_id, session, voi, GM, WM, CSF (fractions, or percentages summing to 100); optionally
        GM_sd, WM_sd, CSF_sd. A cell of session or voi that is n/a or empty matches every scan.
    participant_id
        With or without the ``sub-`` prefix.
    session, voi
        BIDS labels, ``None`` when the scan has none.

    Raises
    ------
    InputError
        Missing file, column or row, several matching rows, or values that are no fractions.
    """
    path = Path(path)
    rows = [row for row in _rows(path) if _matches(row, participant_id, session, voi)]
    wanted = f"participant {participant_id}, session {session or 'n/a'}, voi {voi or 'n/a'}"
    if len(rows) != 1:
        raise InputError(
            f"{len(rows) or 'no'} rows for {wanted}",
            remedy="give exactly one row per scan in the tissue table",
            path=path,
        )
    return _fractions(rows[0], path, wanted)


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, delimiter="\t")
            missing = [name for name in COLUMNS if name not in (reader.fieldnames or [])]
            rows = list(reader)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"the tissue table cannot be read ({error})", remedy="check [tissue] table in study.toml", path=path
        ) from error
    if missing:
        raise InputError(
            f"the tissue table has no column {', '.join(missing)}",
            remedy=f"use tab-separated columns {', '.join(COLUMNS)}",
            path=path,
        )
    return rows


def _matches(row: dict[str, str], participant_id: str, session: str | None, voi: str | None) -> bool:
    def same(cell: str, label: str | None, prefix: str) -> bool:
        cell = (cell or "").strip().removeprefix(prefix)
        return cell in ("", "n/a") or cell == (label or "").removeprefix(prefix)

    return (
        (row["participant_id"] or "").strip().removeprefix("sub-") == participant_id.removeprefix("sub-")
        and same(row["session"], session, "ses-")
        and same(row["voi"], voi, "voi-")
    )


def _fractions(row: dict[str, str], path: Path, wanted: str) -> TissueFractions:
    """Turn a row into fractions, percentages accepted."""
    try:
        values = [float(row[name]) for name in ("GM", "WM", "CSF")]
        errors = [float(row[f"{name}_sd"]) for name in ("GM", "WM", "CSF")] if "GM_sd" in row else None
    except (TypeError, ValueError, KeyError) as error:
        raise InputError(
            f"the row of {wanted} holds no numbers ({error})", remedy="give GM, WM, CSF as numbers", path=path
        ) from error
    total = sum(values)
    scale = 100.0 if abs(total - 100) < 1 else 1.0
    if abs(total / scale - 1) > 0.01 or min(values) < 0:
        raise InputError(
            f"the fractions of {wanted} sum to {total:g}",
            remedy="give volume fractions that sum to 1 (or percentages to 100)",
            path=path,
        )
    gm, wm, csf = (value / total for value in values)
    sd = SEGMENTATION_SD if errors is None else (errors[0] / scale, errors[1] / scale, errors[2] / scale)
    return TissueFractions(gm, wm, csf, sd=sd, source=f"table {path.name}")
