"""The truth tables of a trial, kept apart from everything the pipeline reads."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from mrs_pipeline.basis import COMBINED, reported_name
from mrs_pipeline.synthetic.signal import per_litre
from mrs_pipeline.synthetic.tables_io import number, plain, write_json, write_tsv
from mrs_pipeline.synthetic.trial import PlannedScan, effect_factor, with_sums

if TYPE_CHECKING:
    from mrs_pipeline.synthetic.write import ScanTruth, TrialTruth

Row = dict[str, str]

_PHYSICS = (
    "gauss_hz", "fwhm_hz", "snr", "noise_sd", "offset_hz", "phase_deg", "delay_s", "water_offset_hz", "water_phase_deg",
    "eddy_deg", "eddy_tau_s", "residual_water", "lipid_protons", "spurious_echo", "baseline_roll", "water_amplitude",
)  # fmt: skip


def write_truth(truth: TrialTruth) -> None:
    """Write scans.tsv, concentrations.tsv, transients.tsv, effects.tsv, constants.json, settings.json and files.tsv."""
    folder = truth.folder / "truth"
    scan_columns = (
        "participant_id",
        "session",
        "voi",
        "arm",
        "failure",
        "f_gm",
        "f_wm",
        "f_csf",
        *_PHYSICS,
        *_affine_names(),
        "files",
    )
    write_tsv(folder / "scans.tsv", scan_columns, [_scan_row(scan) for scan in truth.scans])
    columns = (
        "participant_id",
        "session",
        "voi",
        "metabolite",
        "molal",
        "molar",
        "ratio_tCr",
        "amplitude",
        "effect_factor",
    )
    write_tsv(
        folder / "concentrations.tsv", columns, [row for scan in truth.scans for row in _metabolite_rows(truth, scan)]
    )
    if any(scan.transients is not None for scan in truth.scans):
        drift = [row for scan in truth.scans for row in _transient_rows(scan)]
        write_tsv(folder / "transients.tsv", tuple(drift[0]), drift)
    effects = effect_rows(truth)
    write_tsv(folder / "effects.tsv", tuple(effects[0]) if effects else _EFFECT_COLUMNS, effects)
    constants = plain(truth.settings.spectrum.constants)
    write_json(folder / "constants.json", {"sources": constants.pop("sources"), "constants": constants})
    write_json(folder / "settings.json", truth.settings)
    _write_checksums(truth)


def _affine_names() -> tuple[str, ...]:
    return tuple(f"affine_{i}{j}" for i in range(3) for j in range(4))


def _key(plan: PlannedScan) -> Row:
    return {"participant_id": plan.participant.bids_id, "session": f"ses-{plan.visit}", "voi": plan.region}


def _scan_row(scan: ScanTruth) -> Row:
    plan = scan.plan
    row = {
        **_key(plan),
        "arm": plan.participant.arm,
        "failure": plan.failure or "n/a",
        "files": ",".join(scan.files) or "n/a",
    }
    row |= dict(zip(_affine_names(), (number(float(v)) for v in scan.affine[:3].ravel()), strict=True))
    if scan.physics is None:
        return row
    fractions = zip(("f_gm", "f_wm", "f_csf"), (number(v) for v in scan.physics.tissue.vector), strict=True)
    return row | dict(fractions) | {name: number(getattr(scan.physics, name)) for name in _PHYSICS}


def _metabolite_rows(truth: TrialTruth, scan: ScanTruth) -> list[Row]:
    """Return one row per metabolite and usual sum."""
    if scan.physics is None:
        return []
    plan, constants = scan.plan, truth.settings.spectrum.constants
    molal = with_sums(scan.physics.molal)
    amplitude = with_sums(scan.physics.amplitudes)
    rows = []
    for name, value in molal.items():
        factor = effect_factor(truth.settings, plan.participant.arm, plan.visit, plan.region, name)
        rows.append({
            **_key(plan), "metabolite": reported_name(name), "molal": number(value),
            "molar": number(per_litre(value, scan.physics.tissue, constants)),
            "ratio_tCr": number(value / molal["tCr"]) if "tCr" in molal else "n/a",
            "amplitude": number(amplitude[name]),
            "effect_factor": number(factor) if name not in COMBINED else "n/a",
        })  # fmt: skip
    return rows


def _transient_rows(scan: ScanTruth) -> list[Row]:
    """Return one row per metabolite transient."""
    truth = scan.transients
    if truth is None:
        return []
    return [
        {
            **_key(scan.plan),
            "transient": str(k),
            "drift_hz": number(float(truth.drift_hz[k])),
            "drift_deg": number(float(truth.drift_deg[k])),
            "amplitude": number(float(truth.amplitude[k])),
            "spoiled": kind or "n/a",
        }
        for k, kind in enumerate(truth.spoiled)
    ]


_EFFECT_COLUMNS = (
    "voi",
    "metabolite",
    "session",
    "arm_a",
    "arm_b",
    "relative",
    "molal",
    "molar",
    "realised_molal",
    "n_a",
    "n_b",
)


def effect_rows(truth: TrialTruth) -> list[Row]:
    """Return the planted arm effects at the last visit, arm_b minus arm_a (the reference).

    ``molal`` and ``molar`` are the effect on the mean of the population; ``realised_molal`` is the difference in change
    that this sample's true concentrations have, within-person variation included.
    """
    s = truth.settings
    return [
        _effect_row(truth, region, name, arm)
        for region in s.regions
        for name in with_sums(dict.fromkeys(s.spectrum.concentrations, 0.0))
        for arm in s.arms[1:]
    ]


def _population_mean(truth: TrialTruth, region: str, name: str, arm: str) -> float:
    """Return the population mean in an arm at the last visit, summed over the parts of a sum."""
    s = truth.settings
    return sum(
        s.spectrum.concentrations[part]
        * s.region_factor.get(f"{part}@{region}", 1.0)
        * effect_factor(s, arm, s.visits[-1], region, part)
        for part in COMBINED.get(name, (name,))
    )


def _effect_row(truth: TrialTruth, region: str, name: str, arm: str) -> Row:
    s = truth.settings
    base = _population_mean(truth, region, name, s.arms[0])
    change = _population_mean(truth, region, name, arm) - base
    fractions = [scan.physics.tissue for scan in truth.scans if scan.physics is not None and scan.plan.region == region]
    molar = (
        float(np.mean([per_litre(change, mix, s.spectrum.constants) for mix in fractions]))
        if fractions
        else float("nan")
    )
    a, b = (_true_changes(truth, region, name, which) for which in (s.arms[0], arm))
    realised = number(float(np.mean(b) - np.mean(a))) if a and b else "n/a"
    return {
        "voi": region, "metabolite": reported_name(name), "session": f"ses-{s.visits[-1]}",
        "arm_a": s.arms[0], "arm_b": arm, "relative": number(change / base) if base else "n/a",
        "molal": number(change), "molar": number(molar), "realised_molal": realised,
        "n_a": str(len(a)), "n_b": str(len(b)),
    }  # fmt: skip


def _true_changes(truth: TrialTruth, region: str, name: str, arm: str) -> list[float]:
    """Return each participant's true change from the first to the last visit."""
    first, last = truth.settings.visits[0], truth.settings.visits[-1]
    values: dict[str, dict[str, float]] = {}
    for scan in truth.scans:
        plan = scan.plan
        if plan.region == region and plan.participant.arm == arm and scan.physics is not None and not plan.failure:
            values.setdefault(plan.participant.label, {})[plan.visit] = with_sums(plan.molal)[name]
    return [v[last] - v[first] for v in values.values() if first in v and last in v]


def _write_checksums(truth: TrialTruth) -> None:
    """List every file of the trial with its SHA-256."""
    target = truth.folder / "truth" / "files.tsv"
    files = sorted(p for p in truth.folder.rglob("*") if p.is_file() and p != target)
    rows = [
        {
            "file": p.relative_to(truth.folder).as_posix(),
            "bytes": str(p.stat().st_size),
            "sha256": hashlib.sha256(p.read_bytes()).hexdigest(),
        }
        for p in files
    ]
    write_tsv(target, ("file", "bytes", "sha256"), rows)
