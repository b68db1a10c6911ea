"""Writing concentrations: a TSV in the contract's columns and its data dictionary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mrs_pipeline import bids
from mrs_pipeline.bids import CONCENTRATIONS, SCAN_KEYS
from mrs_pipeline.files import atomic_write, write_json
from mrs_pipeline.quantify.concentrations import Quantified
from mrs_pipeline.quantify.sensitivity import Alternative

COLUMNS = tuple(CONCENTRATIONS)


def write_concentrations(quantified: Quantified, entities: Mapping[str, str | None], tsv: str | Path) -> Path:
    """Write ``..._desc-concentrations_mrs.tsv`` and its JSON data dictionary beside it.

    Parameters
    ----------
    quantified
        Concentrations of one scan.
    entities
        participant_id, session, voi, acq, run, task; what is absent becomes n/a.
    tsv
        Path of the table; the dictionary gets the suffix ``.json``.

    Returns
    -------
    Path
        Of the JSON dictionary.
    """
    path = Path(tsv)
    head = {key: entities.get(key) for key in SCAN_KEYS}
    lines = ["\t".join(COLUMNS)]
    lines += ["\t".join(_cell({**head, **asdict(row)}[column]) for column in COLUMNS) for row in quantified.rows]
    atomic_write(path, "\n".join(lines) + "\n")
    return write_json(data_dictionary(quantified), path.with_suffix(".json"))


def data_dictionary(quantified: Quantified) -> dict[str, Any]:
    """Return the data dictionary of the table, with preset, constants and warnings under ``Quantification``."""
    # a sidecar key that is also a BIDS entity is taken for metadata of the file and contradicts its name (pybids)
    described = {name: text for name, text in CONCENTRATIONS.items() if name not in {"session", "run", "task"}}
    return {
        **bids.data_dictionary(described),
        "Quantification": {
            "Preset": quantified.preset,
            "PresetTitle": quantified.preset_title,
            "PresetStatus": quantified.preset_status,
            "Constants": {key: asdict(constant) for key, constant in quantified.constants.items()},
            "UncertaintyBudget": [asdict(budget) for budget in quantified.budgets],
            "SensitivityInWords": quantified.sensitivity_lines(),
            "Sensitivity": [_rounded(item) for item in quantified.sensitivity],
            "Warnings": list(quantified.warnings),
        },
    }


def _rounded(item: Alternative) -> dict[str, Any]:
    return {**asdict(item), "value": float(f"{item.value:.6g}"), "change": round(item.change, 5)}


def _cell(value: object) -> str:
    """Format one cell: n/a for nothing, six significant digits for numbers."""
    if value is None or value == "":
        return "n/a"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
