"""Writing concentrations: a TSV in the contract's columns and its data dictionary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from mrs_pipeline.files import atomic_write, write_json
from mrs_pipeline.quantify.concentrations import Concentration, Quantified
from mrs_pipeline.quantify.sensitivity import Alternative

ENTITIES = ("participant_id", "session", "voi", "acq", "run", "task")
_LAST = ("status", "flags", "reason")
_FIELDS = tuple(entry.name for entry in fields(Concentration))
COLUMNS = (*ENTITIES, *(name for name in _FIELDS if name not in _LAST), *_LAST)
_SIGNAL = "scanner units, signal per molecule at t = 0"
DICTIONARY: dict[str, dict[str, str]] = {
    "participant_id": {"Description": "Participant"},
    "session": {"Description": "Visit (BIDS session label)"},
    "voi": {"Description": "Region (BIDS voi label)"},
    "acq": {"Description": "BIDS acq label"},
    "run": {"Description": "BIDS run index"},
    "task": {"Description": "BIDS task label"},
    "metabolite": {
        "Description": "Metabolite; tNAA = NAA+NAAG, tCr = Cr+PCr, tCho = GPC+PCh, Glx = Glu+Gln, mI = myo-inositol"
    },
    "amplitude": {"Description": "Fitted amplitude", "Units": _SIGNAL},
    "crlb": {"Description": "Cramer-Rao lower bound (SD) from the data alone", "Units": _SIGNAL},
    "amplitude_sd": {
        "Description": "Sampling SD of the estimator used, priors and penalties included",
        "Units": _SIGNAL,
    },
    "total_sd": {"Description": "amplitude_sd with the choice of baseline and macromolecule model", "Units": _SIGNAL},
    "ratio_tCr": {"Description": "Ratio of amplitudes to total creatine, no relaxation correction", "Units": "1"},
    "ratio_tCr_sd": {"Description": "SD of ratio_tCr from the full covariance", "Units": "1"},
    "ratio_tCr_lo": {"Description": "Lower end of the 95 % interval of ratio_tCr", "Units": "1"},
    "ratio_tCr_hi": {"Description": "Upper end of the 95 % interval of ratio_tCr", "Units": "1"},
    "iu": {"Description": "Institutional units: referenced to water, no tissue correction", "Units": "i.u."},
    "iu_sd": {"Description": "SD of iu: fit, water fit and constants", "Units": "i.u."},
    "molal": {
        "Description": "Concentration per kg of tissue water, CSF-corrected by mole fraction",
        "Units": "mmol/kg",
    },
    "molal_sd": {"Description": "SD of molal: fit, water fit, tissue fractions and constants", "Units": "mmol/kg"},
    "molar": {"Description": "Concentration per litre of tissue without CSF", "Units": "mmol/L"},
    "molar_sd": {"Description": "SD of molar: fit, water fit, tissue fractions and constants", "Units": "mmol/L"},
    "f_gm": {"Description": "Volume fraction of grey matter in the voxel", "Units": "1"},
    "f_wm": {"Description": "Volume fraction of white matter in the voxel", "Units": "1"},
    "f_csf": {"Description": "Volume fraction of CSF in the voxel", "Units": "1"},
    "status": {"Description": "Status of the fit: ok, doubtful or failed"},
    "flags": {"Description": "Marks of fit and quantification, separated by semicolons"},
    "reason": {"Description": "Why a number is n/a"},
}


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
    head = {key: entities.get(key) for key in ENTITIES}
    lines = ["\t".join(COLUMNS)]
    lines += ["\t".join(_cell({**head, **asdict(row)}[column]) for column in COLUMNS) for row in quantified.rows]
    atomic_write(path, "\n".join(lines) + "\n")
    return write_json(data_dictionary(quantified), path.with_suffix(".json"))


def data_dictionary(quantified: Quantified) -> dict[str, Any]:
    """Return the data dictionary of the table, with preset, constants and warnings under ``Quantification``."""
    # a sidecar key that is also a BIDS entity is taken for metadata of the file and contradicts its name (pybids)
    columns = {name: text for name, text in DICTIONARY.items() if name not in {"session", "run", "task"}}
    return {
        **columns,
        "Quantification": {
            "Preset": quantified.preset,
            "PresetTitle": quantified.preset_title,
            "PresetStatus": quantified.preset_status,
            "Constants": {key: asdict(constant) for key, constant in quantified.constants.items()},
            "UncertaintyBudget": [asdict(budget) for budget in quantified.budgets],
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
