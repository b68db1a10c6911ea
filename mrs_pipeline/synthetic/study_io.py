"""study.toml and the tables a site would hand over: participants, sessions, allocation, tissue, phenotype."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mrs_pipeline.basis import reported_name
from mrs_pipeline.synthetic.phenotype import CYTOKINES, Clinical, ema_rows, visit_rows
from mrs_pipeline.synthetic.scanner_io import ENDINGS
from mrs_pipeline.synthetic.settings import TrialSettings
from mrs_pipeline.synthetic.tables_io import number, toml_value, write_json, write_tsv
from mrs_pipeline.synthetic.trial import visit_day

if TYPE_CHECKING:
    from mrs_pipeline.synthetic.write import TrialTruth


def write_study(truth: TrialTruth) -> None:
    """Write study.toml: conversion rules, protocol, basis timing, tissue source and analysis plan."""
    s = truth.settings
    blocks = [_study_block(s), *_convert_blocks(s), _protocol_block(s), _basis_block(s)]
    blocks += [["[tissue]", 'source = "segment"', 'table = "tissue.tsv"'], _analysis_block(s), *_outcome_blocks(s)]
    text = "\n\n".join("\n".join(block) for block in blocks) + "\n"
    truth.folder.mkdir(parents=True, exist_ok=True)
    truth.study.write_text(text, encoding="utf-8", newline="\n")


def _study_block(s: TrialSettings) -> list[str]:
    names = [f"visits = {toml_value(s.visits)}", f"regions = {toml_value(s.regions)}"]
    return ["[study]", 'name = "synthetic trial"', *names]


def _convert_blocks(s: TrialSettings) -> list[list[str]]:
    place = r"(?P<participant>[A-Za-z0-9]+)/(?P<visit>[A-Za-z0-9]+)/"
    stem = place + r"[A-Za-z0-9]+_[A-Za-z0-9]+_(?P<region>[A-Za-z0-9]+)_"
    ending = ENDINGS[s.vendor].replace(".", r"\.") + "$"
    t1w = r"[A-Za-z0-9]+_[A-Za-z0-9]+_T1w" + (r"\.nii\.gz$" if s.t1w_format == "nifti" else r"/[0-9]+\.dcm$")
    rules = [("svs", f"{stem}act{ending}"), ("mrsref", f"{stem}ref{ending}"), ("T1w", place + t1w)]
    return [["[[convert.scans]]", f"pattern = '{pattern}'", f'role = "{role}"'] for role, pattern in rules]


def _protocol_block(s: TrialSettings) -> list[str]:
    acq = s.spectrum.acquisition
    return [
        "[protocol]",
        f'sequence = "{acq.sequence}"',
        f"echo_time = {acq.echo_time}",
        f"repetition_time = {acq.repetition_time}",
        f"transients = {acq.averages}",
        f"field_mhz = {acq.carrier_mhz}",
    ]


def _basis_block(s: TrialSettings) -> list[str]:
    acq = s.spectrum.acquisition
    return ["[basis]", f'sequence = "{acq.sequence}"', f"te1 = {acq.te1}", f"te2 = {acq.te2}", 'pulses = "ideal"']


def _analysis_block(s: TrialSettings) -> list[str]:
    """Plan the metabolites with a planted effect as primary, in the regions where they have one."""
    split = [key.partition("@") for key in s.effects]
    primary = [[reported_name(name), region] for name, _, only in split for region in s.regions if only in ("", region)]
    return [
        "[analysis]",
        'design = "parallel"',
        f"primary = {toml_value(primary)}",
        f"primary_visit = {toml_value(s.visits[-1])}",
        'unit = "molal"',
    ]


def _outcome_blocks(s: TrialSettings) -> list[list[str]]:
    if not s.clinical_outcomes:
        return []
    head = "[[analysis.outcome]]"
    pain = ['name = "pain"', 'table = "pain.tsv"', 'column = "pain_nrs"', "window_days = [-7, 0]"]
    fiqr = ['name = "FIQR"', 'table = "fiqr.tsv"', 'column = "fiqr_total"']
    thresholds = "responder_thresholds = [0.15, 0.3, 0.5]"
    blood = [
        [head, f'name = "{name}"', 'table = "cytokines.tsv"', f'column = "{name}"', "log_transform = true",
         f"lower_limit = {limit}"]
        for name, _median, _sd, limit in CYTOKINES
    ]  # fmt: skip
    return [[head, *pain, thresholds], [head, *fiqr, thresholds], *blood]


def write_tables(truth: TrialTruth, clinical: list[Clinical]) -> None:
    """Write participants, sessions, allocation, tissue and phenotype tables with their data dictionaries."""
    _write_participants(truth)
    _write_sessions(truth)
    rows = [{"participant_id": p.bids_id, "arm": p.arm} for p in truth.participants]
    write_tsv(truth.allocation, ("participant_id", "arm"), rows)
    _write_tissue(truth)
    _write_phenotype(truth, clinical)


def _write_participants(truth: TrialTruth) -> None:
    columns = ("participant_id", "age", "sex", "bmi", "scanned")
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
    write_tsv(truth.folder / "participants.tsv", columns, rows)
    levels = {"true": "in the scanned sub-study", "false": "enrolled only"}
    described = {
        "age": {"Description": "Age at enrolment", "Units": "year"},
        "sex": {"Description": "Sex", "Levels": {"F": "female", "M": "male"}},
        "bmi": {"Description": "Body-mass index", "Units": "kg/m^2"},
        "scanned": {"Description": "Whether in the scanned sub-study", "Levels": levels},
    }
    write_json(truth.folder / "participants.json", described)


def _write_sessions(truth: TrialTruth) -> None:
    """Write the day of every visit that took place."""
    s = truth.settings
    attended = {(scan.plan.participant.label, scan.plan.visit) for scan in truth.scans if not scan.plan.missed}
    rows = [
        {"participant_id": person.bids_id, "session_id": f"ses-{visit}", "day": str(visit_day(s, i, v))}
        for i, person in enumerate(truth.participants)
        for v, visit in enumerate(s.visits)
        if (person.label, visit) in attended
    ]
    write_tsv(truth.folder / "sessions.tsv", ("participant_id", "session_id", "day"), rows)


def _write_tissue(truth: TrialTruth) -> None:
    """Write the fractions of participants without a T1w to be segmented."""
    rows = []
    for scan in truth.scans:
        plan = scan.plan
        if scan.physics is None or plan.participant.has_t1w:
            continue
        gm, wm, csf = (number(v) for v in scan.physics.tissue.vector)
        key = {"participant_id": plan.participant.bids_id, "session": plan.visit, "voi": plan.region}
        rows.append({**key, "GM": gm, "WM": wm, "CSF": csf})
    write_tsv(truth.folder / "tissue.tsv", ("participant_id", "session", "voi", "GM", "WM", "CSF"), rows)


def _write_phenotype(truth: TrialTruth, clinical: list[Clinical]) -> None:
    s, folder = truth.settings, truth.folder / "phenotype"
    pairs = [visit_rows(s, i, course) for i, course in enumerate(clinical)]
    daily = [row for i, course in enumerate(clinical) for row in ema_rows(s, i, course)]
    write_tsv(folder / "pain.tsv", ("participant_id", "day", "pain_nrs"), daily)
    write_tsv(folder / "fiqr.tsv", ("participant_id", "session", "fiqr_total"), [r for fiqr, _ in pairs for r in fiqr])
    names = tuple(name for name, *_ in CYTOKINES)
    write_tsv(folder / "cytokines.tsv", ("participant_id", "session", *names), [r for _, c in pairs for r in c])
    answer = "Daily pain rating, 0 none to 10 worst imaginable; days without an answer are not listed"
    day = {"Description": "Day relative to the first dose (0)", "Units": "day"}
    write_json(folder / "pain.json", {"day": day, "pain_nrs": {"Description": answer}})
    write_json(folder / "fiqr.json", {"fiqr_total": {"Description": "Synthetic FIQR-like total, 0 best to 100 worst"}})
    described = {
        name: {
            "Description": f"Synthetic {name}; a value below the limit is written <limit",
            "Units": "mg/L" if name == "hscrp" else "pg/mL",
            "LowerLimitOfQuantification": limit,
        }
        for name, _median, _sd, limit in CYTOKINES
    }
    write_json(folder / "cytokines.json", described)
