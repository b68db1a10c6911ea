"""study.toml and the tables a site would hand over: participants, allocation, tissue, phenotype."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mrs_pipeline.synthetic.phenotype import CYTOKINES, Clinical, ema_rows, visit_rows
from mrs_pipeline.synthetic.tables_io import number, toml_value, write_json, write_tsv

if TYPE_CHECKING:
    from mrs_pipeline.synthetic.write import TrialTruth

_ENDING = {"philips": "SDAT", "siemens": "rda"}


def write_study(truth: TrialTruth) -> None:
    """Write study.toml: conversion rules, basis timing, tissue source and analysis plan."""
    s, acq = truth.settings, truth.settings.spectrum.acquisition
    place = r"(?P<participant>[A-Za-z0-9]+)/(?P<visit>[A-Za-z0-9]+)/"
    file = place + r"[A-Za-z0-9]+_[A-Za-z0-9]+_(?P<region>[A-Za-z0-9]+)_{kind}\." + _ENDING[s.vendor] + "$"
    scans = [
        ("svs", file.replace("{kind}", "act")),
        ("mrsref", file.replace("{kind}", "ref")),
        ("T1w", place + r".*_T1w\.nii\.gz$"),
    ]
    lines = [
        "[study]",
        'name = "synthetic trial"',
        f"visits = {toml_value(s.visits)}",
        f"regions = {toml_value(s.regions)}",
        "",
    ]
    for role, pattern in scans:
        lines += ["[[convert.scans]]", f"pattern = '{pattern}'", f'role = "{role}"', ""]
    primary = [
        [key.partition("@")[0], region]
        for key in s.effects
        for region in s.regions
        if key.partition("@")[2] in ("", region)
    ]
    lines += [
        "[protocol]", f'sequence = "{acq.sequence}"', f"echo_time = {acq.echo_time}",
        f"repetition_time = {acq.repetition_time}", f"transients = {acq.averages}", f"field_mhz = {acq.carrier_mhz}", "",
        "[basis]", f'sequence = "{acq.sequence}"', f"te1 = {acq.te1}", f"te2 = {acq.te2}", "",
        "[tissue]", 'source = "segment"', 'table = "tissue.tsv"', "",
        "[analysis]", 'design = "parallel"', f"primary = {toml_value(primary)}", f"primary_visit = {toml_value(s.visits[-1])}",
        'unit = "molal"', "",
    ]  # fmt: skip
    truth.folder.mkdir(parents=True, exist_ok=True)
    truth.study.write_text("\n".join(lines), encoding="utf-8", newline="\n")


def write_tables(truth: TrialTruth, clinical: list[Clinical]) -> None:
    """Write participants, allocation, tissue and phenotype tables with their data dictionaries."""
    _write_participants(truth)
    rows = [{"participant_id": p.bids_id, "arm": p.arm} for p in truth.participants]
    write_tsv(truth.allocation, ("participant_id", "arm"), rows)
    _write_tissue(truth)
    _write_phenotype(truth, clinical)


def _write_participants(truth: TrialTruth) -> None:
    rows = [
        {
            "participant_id": p.bids_id,
            "age": str(p.age),
            "sex": p.sex,
            "bmi": f"{p.bmi:.1f}",
            "scanned": str(p.scanned).lower(),
        }
        for p in truth.participants
    ]
    write_tsv(truth.folder / "participants.tsv", ("participant_id", "age", "sex", "bmi", "scanned"), rows)
    described = {
        "age": {"Description": "Age at enrolment", "Units": "year"},
        "sex": {"Description": "Sex", "Levels": {"F": "female", "M": "male"}},
        "bmi": {"Description": "Body-mass index", "Units": "kg/m^2"},
        "scanned": {
            "Description": "Whether in the scanned sub-study",
            "Levels": {"true": "scanned", "false": "not scanned"},
        },
    }
    write_json(truth.folder / "participants.json", described)


def _write_tissue(truth: TrialTruth) -> None:
    """Write the fractions of participants without a T1w to be segmented."""
    rows = []
    for scan in truth.scans:
        if scan.physics is None or scan.plan.participant.has_t1w:
            continue
        gm, wm, csf = (number(v) for v in scan.physics.tissue.vector)
        plan = scan.plan
        rows.append(
            {
                "participant_id": plan.participant.bids_id,
                "session": plan.visit,
                "voi": plan.region,
                "GM": gm,
                "WM": wm,
                "CSF": csf,
            }
        )
    write_tsv(truth.folder / "tissue.tsv", ("participant_id", "session", "voi", "GM", "WM", "CSF"), rows)


def _write_phenotype(truth: TrialTruth, clinical: list[Clinical]) -> None:
    s, folder = truth.settings, truth.folder / "phenotype"
    pairs = [visit_rows(s, i, course) for i, course in enumerate(clinical)]
    daily = [row for i, course in enumerate(clinical) for row in ema_rows(s, i, course)]
    write_tsv(folder / "pain.tsv", ("participant_id", "day", "pain_nrs"), daily)
    write_tsv(folder / "fiqr.tsv", ("participant_id", "session", "fiqr_total"), [r for fiqr, _ in pairs for r in fiqr])
    names = tuple(name for name, *_ in CYTOKINES)
    write_tsv(folder / "cytokines.tsv", ("participant_id", "session", *names), [r for _, c in pairs for r in c])
    write_json(folder / "pain.json", {
        "day": {"Description": "Day relative to the first dose (0)", "Units": "day"},
        "pain_nrs": {"Description": "Daily pain rating, 0 none to 10 worst imaginable; days without an answer are not listed"},
    })  # fmt: skip
    write_json(folder / "fiqr.json", {"fiqr_total": {"Description": "Synthetic FIQR-like total, 0 best to 100 worst"}})
    write_json(folder / "cytokines.json", {
        name: {"Description": f"Synthetic {name}; values below the limit are written <limit",
               "Units": "mg/L" if name == "hscrp" else "pg/mL", "LowerLimitOfQuantification": limit}
        for name, _median, _sd, limit in CYTOKINES
    })  # fmt: skip
