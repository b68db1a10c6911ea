"""Files of a joint fit: numbers in ``*_desc-joint_mrs.json``, changes between visits in ``*_desc-change_mrs.tsv``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from mrs_pipeline.basis import COMBINED
from mrs_pipeline.files import atomic_write, write_json
from mrs_pipeline.fit.joint_result import Change, JointFit, VisitAmplitudes

FORMAT = 1
SEEN = (
    "Sensitivity analysis: all visits were fitted together, so the values of the baseline have seen data acquired "
    "after randomisation. The fits of the visits apart are the primary analysis."
)
"""Said wherever numbers of the joint fit stand."""
FACTORED = ("iu", "molal", "molar", "csf_only", "alpha_corrected", "alpha_normalised")
"""Columns of concentrations.tsv that give a factor from amplitude to a unit of the same name."""
UNITS = ("amplitude", "ratio", *FACTORED)

_UNIT = "unit of the row"
COLUMNS: dict[str, tuple[str, str | None]] = {
    "participant_id": ("Participant", None),
    "voi": ("Region", None),
    "acq": ("BIDS acq label", None),
    "run": ("BIDS run index", None),
    "task": ("BIDS task label", None),
    "session_from": ("Earlier visit", None),
    "session": ("Later visit", None),
    "metabolite": ("Metabolite or combination", None),
    "unit": (
        "amplitude, ratio (to tCr of the same visit), or a column of concentrations.tsv: iu, molal, molar, ...",
        None,
    ),
    "first": ("Value at the earlier visit, joint fit", _UNIT),
    "first_sd": ("Its sampling SD", _UNIT),
    "second": ("Value at the later visit, joint fit", _UNIT),
    "second_sd": ("Its sampling SD", _UNIT),
    "correlation": ("Correlation of the sampling errors of the two values", "1"),
    "change": ("Later minus earlier, joint fit", _UNIT),
    "change_sd": ("Sampling SD of change, from the full covariance of both visits", _UNIT),
    "change_total_sd": ("SD of change with priors, misfit and the choice of baseline counted", _UNIT),
    "change_lo": ("Lower limit of the 95 % interval of change, from change_total_sd", _UNIT),
    "change_hi": ("Upper limit of the 95 % interval of change", _UNIT),
    "apart_change": ("Later minus earlier, from the fits of the visits apart", _UNIT),
    "apart_sd": ("Sampling SD of apart_change", _UNIT),
    "apart_total_sd": (
        "Total SD of apart_change; unlike change_total_sd it grows with the strain of macromolecules",
        _UNIT,
    ),
    "status": ("State of the joint fit: ok or doubtful", None),
    "flags": ("Flags of the joint fit, separated by semicolons", None),
}
"""Columns of the table: meaning and unit."""

Factors = Mapping[str, Mapping[str, Mapping[str, float]]]
"""Factor from amplitude by visit, unit and component."""


def unit_factors(rows: list[dict[str, str]]) -> dict[str, dict[str, float]]:
    """Factors from amplitude to each unit of one visit, by component.

    Parameters
    ----------
    rows
        Rows of ``concentrations.tsv`` of the visit.

    Notes
    -----
    Value over amplitude of the visit's own fit. A component that came out as zero there has the factor of the
    combination it belongs to, if that has one.
    """
    out = {}
    for unit in FACTORED:
        found = {row["metabolite"]: _factor(row, unit) for row in rows}
        shared = {part: found.get(whole, np.nan) for whole, parts in COMBINED.items() for part in parts}
        out[unit] = {name: value if np.isfinite(value) else shared.get(name, np.nan) for name, value in found.items()}
    return out


def _factor(row: Mapping[str, str], column: str) -> float:
    value, amplitude = (_number(row.get(name)) for name in (column, "amplitude"))
    return value / amplitude if amplitude > 0 else float("nan")


def _number(text: str | None) -> float:
    return float("nan") if text in {None, "", "n/a"} else float(str(text))


def change_rows(fit: JointFit, factors: Factors, identity: Mapping[str, str | None]) -> list[dict[str, Any]]:
    """List changes of every metabolite and combination from the first visit to each later one.

    Parameters
    ----------
    fit
        The joint fit.
    factors
        By visit: what :func:`unit_factors` returns. Units without a factor at both visits are left out.
    identity
        Entities of the region, under the names of the tables.
    """
    first, *later = fit.joint.visits
    names = [*fit.joint.names, *(name for name in COMBINED if fit.joint.has(name) and name not in fit.joint.names)]
    head = {name: identity.get(name) or "n/a" for name in ("participant_id", "voi", "acq", "run", "task")}
    rows = []
    for second in later:
        for name in names:
            for unit in UNITS:
                joint, apart = (
                    _change(each, name, unit, first, second, factors) for each in (fit.joint, fit.independent)
                )
                if np.isfinite(joint.change):
                    about = {"session_from": first, "session": second, "metabolite": name, "unit": unit}
                    rows.append({**head, **about, **_numbers(joint, apart), "status": fit.status, "flags": fit.flags})
    return rows


def _change(visits: VisitAmplitudes, name: str, unit: str, first: str, second: str, factors: Factors) -> Change:
    if unit == "ratio":
        return visits.ratio_change(name, first, second)
    known = [None if unit == "amplitude" else factors.get(visit, {}).get(unit, {}) for visit in (first, second)]
    return visits.change(visits.amount(name, first, known[0]), visits.amount(name, second, known[1]))


def _numbers(joint: Change, apart: Change) -> dict[str, float]:
    return {
        "first": joint.first,
        "first_sd": joint.first_sd,
        "second": joint.second,
        "second_sd": joint.second_sd,
        "correlation": joint.correlation,
        "change": joint.change,
        "change_sd": joint.sd,
        "change_total_sd": joint.total_sd,
        "change_lo": joint.low,
        "change_hi": joint.high,
        "apart_change": apart.change,
        "apart_sd": apart.sd,
        "apart_total_sd": apart.total_sd,
    }


def write_changes(rows: list[dict[str, Any]], path: str | Path) -> Path:
    """Write the table of changes and its data dictionary beside it; return the path of the dictionary."""
    lines = ["\t".join(COLUMNS), *("\t".join(_cell(row[name]) for name in COLUMNS) for row in rows)]
    atomic_write(path, "\n".join(lines) + "\n")
    dictionary: dict[str, Any] = {
        name: {"Description": text} | ({"Units": unit} if unit else {}) for name, (text, unit) in COLUMNS.items()
    }
    return write_json({"JointFit": SEEN, **dictionary}, Path(path).with_suffix(".json"))


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.10g}" if np.isfinite(value) else "n/a"
    return ";".join(value) or "n/a" if isinstance(value, tuple) else str(value)


def joint_record(fit: JointFit) -> dict[str, Any]:
    """Numbers of a joint fit as JSON: amplitudes of all visits, their covariances, what was shared, status."""
    return {
        "format": FORMAT,
        "words": SEEN,
        "status": fit.status,
        "flags": list(fit.flags),
        "notes": list(fit.notes),
        "visits": list(fit.joint.visits),
        "left_out": fit.left_out,
        "sharing": asdict(fit.sharing),
        "baseline_dimensions": list(fit.baseline_dimensions),
        "residual_ratio": list(fit.residual_ratio),
        "evaluations": fit.evaluations,
        "metrics": fit.metrics,
        "nonlinear": dict(zip(fit.joint.visits, fit.nonlinear, strict=True)),
        "names": list(fit.joint.names),
        "amplitudes": fit.joint.amplitudes.tolist(),
        "covariance": fit.joint.covariance.tolist(),
        "total_covariance": fit.joint.total_covariance.tolist(),
    }
