"""Joint fit of the visits of each region of a participant, after all scans; a failure costs the joint fit alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mrs_pipeline.workflows.contain import contained
from mrs_pipeline.workflows.job import ParticipantJob, ScanOutcome, identifier, identity_json
from mrs_pipeline.workflows.sinks import init_ds_wf

from mrs_pipeline.bids import Entities, Scan, derivative_path
from mrs_pipeline.errors import InputError

KINDS = ("joint", "change", "change_dictionary", "joint_report")
"""Derivatives of the joint fit of one participant and region."""
SETTINGS = ("basis", "preprocess", "fit", "quantify")
"""Sections of study.toml that decide its numbers."""


def fit_regions(job: ParticipantJob, outcomes: list[ScanOutcome]) -> None:
    """Fit every region with two visits or more; what an earlier run left of the others is removed."""
    failed = {outcome.key: outcome.words for outcome in outcomes if outcome.status == "failed"}
    for region, scans in regions(job).items():
        if not (job.study.fit.joint_visits and len(scans) > 1):
            remove(job, region)
            continue
        problem = contained(job.folder / _name(region), lambda r=region, s=scans: _fit(job, r, s, failed))  # type: ignore[misc]
        if problem is not None:
            _fail(job, region, scans, problem)


def regions(job: ParticipantJob) -> dict[Entities, list[Scan]]:
    """Group scans that differ in nothing but the visit, in the order of the visits; other sessions are left out."""
    found: dict[Entities, list[Scan]] = {}
    for scan in job.by_visit():
        if scan.session in job.study.study.visits:
            found.setdefault(_region(scan), []).append(scan)
    return found


def _region(scan: Scan) -> Entities:
    return scan.entities.with_(ses=None)


def _name(region: Entities) -> str:
    return identifier(region.key) + "_joint"


def remove(job: ParticipantJob, region: Entities) -> None:
    """Take away the derivatives of the joint fit."""
    for kind in KINDS:
        (job.out_dir / derivative_path(region, kind)).unlink(missing_ok=True)


def _fit(job: ParticipantJob, region: Entities, scans: list[Scan], failed: dict[str, str]) -> None:
    """Run the workflow of one region on the visits that have a result."""
    from mrs_pipeline.workflows.config import run_linear

    from mrs_pipeline.fit import check_joint

    check_joint(job.study.fit)
    usable = [scan for scan in scans if scan.key not in failed]
    absent = {str(scan.session): failed[scan.key] for scan in scans if scan.key in failed}
    absent |= {
        str(item.entities.ses): f"not converted: {item.problem}"
        for item in job.unconverted
        if item.entities.with_(ses=None).key == region.key
    }
    workflow = init_joint_wf(name=_name(region), inputs=_inputs(job, region, usable, absent))
    workflow.base_dir = str(job.folder)
    names = {kind: str(derivative_path(region, kind)) for kind in KINDS}
    sink = init_ds_wf(name="sinks", base_directory=job.out_dir, names=names)
    workflow.connect([(workflow.get_node("outputnode"), sink, [(kind, f"inputnode.{kind}") for kind in KINDS])])
    run_linear(workflow)


def _inputs(job: ParticipantJob, region: Entities, scans: list[Scan], absent: dict[str, str]) -> dict[str, Any]:
    """Files that the workflows of the scans left, and facts, as inputs of the node."""
    folders = [job.folder / identifier(scan.key) for scan in scans]
    return {
        "sessions": [str(scan.session) for scan in scans],
        "svs": [_left(folder / "preprocess" / "preproc_svs.nii.gz") for folder in folders],
        "basis": [_left(folder / "basis" / "basis.npz") for folder in folders],
        "concentrations": [_left(folder / "quantify" / "concentrations.tsv") for folder in folders],
        "absent": json.dumps(absent),
        "identity": identity_json(region, job.study.study.name),
        "provenance": json.dumps(_provenance(job, scans)),
        "settings": job.study.fit.model_dump_json(),
    }


def _left(path: Path) -> str:
    """Path of what a scan's workflow left."""
    if not path.is_file():
        raise InputError(
            "a visit has no such file, so its kind of fit cannot be joined",
            remedy="set [fit] joint_visits = false",
            path=path,
        )
    return str(path)


def _provenance(job: ParticipantJob, scans: list[Scan]) -> dict[str, Any]:
    """Record the preprocessed spectra with their hashes, the settings and the versions."""
    from mrs_pipeline.config import settings_hash
    from mrs_pipeline.files import sha256
    from mrs_pipeline.interfaces.provenance import package_versions

    paths = {str(scan.session): derivative_path(scan, "preproc_svs") for scan in scans}
    sources = [
        {"Role": session, "URI": f"bids::{path.as_posix()}", "SHA256": sha256(job.out_dir / Path(path))}
        for session, path in paths.items()
    ]
    hashes = {section: settings_hash(getattr(job.study, section)) for section in SETTINGS}
    return {"Sources": sources, "SettingsSHA256": hashes, "Versions": package_versions()}


def _fail(job: ParticipantJob, region: Entities, scans: list[Scan], problem: dict[str, Any]) -> None:
    """Say in words why there is no joint fit; the scans' own results stand."""
    from mrs_pipeline.files import write_json

    remove(job, region)
    record = {
        "status": "failed",
        "words": f"no joint fit of {', '.join(str(scan.session) for scan in scans)}: {problem['problem']}",
        "remedy": problem["remedy"],
        "details": problem["details"],
    }
    write_json(record, job.out_dir / derivative_path(region, "joint"))


def init_joint_wf(*, name: str, inputs: dict[str, Any]) -> Any:  # noqa: ANN401  nipype is untyped
    """Build the workflow that fits the visits of one participant and region jointly.

    Visits share what does not change between them (relative shifts and widths, macromolecule and lipid pattern,
    baseline stiffness); amplitudes, phases, common shift and lineshape belong to the visit.

    Parameters
    ----------
    name
        Name of the workflow, unique for the participant.
    inputs
        Inputs of :class:`mrs_pipeline.interfaces.joint.FitVisits`.

    Outputs
    -------
    outputnode
        One field per kind in :data:`KINDS`.
    """
    from nipype.interfaces import utility as niu
    from nipype.pipeline import engine as pe

    from mrs_pipeline.interfaces.joint import FitVisits

    workflow = pe.Workflow(name=name)
    joint = pe.Node(FitVisits(**inputs), name="joint")
    outputnode = pe.Node(niu.IdentityInterface(fields=list(KINDS)), name="outputnode")
    workflow.connect([(joint, outputnode, [(kind, kind) for kind in KINDS])])
    return workflow
