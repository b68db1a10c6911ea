"""All scans of one participant: tissue maps once per T1w, then every scan on its own, failures contained."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from mrs_pipeline.workflows.contain import contained
from mrs_pipeline.workflows.images import register_visits, segment_all
from mrs_pipeline.workflows.job import (
    Maps,
    ParticipantJob,
    ScanOutcome,
    Transforms,
    Unconverted,
    identifier,
    identity_json,
)
from mrs_pipeline.workflows.scan_inputs import SETTINGS_USED, scan_inputs
from mrs_pipeline.workflows.visits import fit_regions

from mrs_pipeline.bids import Entities, Scan, derivative_path

MADE_BY_A_FIT = (
    "preproc_svs", "preproc_mrsref", "edited_difference", "edited_sum", "difference_fit", "difference_fit_svs",
    "difference_concentrations", "difference_concentrations_dictionary", "sum_fit", "sum_fit_svs",
    "sum_concentrations", "sum_concentrations_dictionary", "fit", "fit_svs", "concentrations",
    "concentrations_dictionary", "agreement", "agreement_dictionary", "qc", "voxel_mask",
)  # fmt: skip
"""Derivatives that must not outlive the failure of their scan."""


def run_participant(job: ParticipantJob) -> list[ScanOutcome]:
    """Process one participant; a scan's own problem ends in its report and status, never here.

    Returns
    -------
    list of ScanOutcome
        One per scan, conversions that failed last.
    """
    os.environ["NO_ET"] = "1"
    from mrs_pipeline.workflows.config import configure_nipype

    configure_nipype(job.folder / "crash", stop_on_first_crash=job.stop_on_first_crash)
    maps = segment_all(job)
    transforms = register_visits(job)
    outcomes = []
    for scan in job.by_visit():
        outcomes.append(_run_scan(job, scan, maps, transforms))
        if job.stop_on_first_crash and outcomes[-1].status == "failed":
            return outcomes
    fit_regions(job, outcomes)
    return outcomes + [_report_unconverted(job, item) for item in job.unconverted]


def record_dead_process(job: ParticipantJob) -> list[ScanOutcome]:
    """Report every scan of a participant whose process was killed."""
    problem = {
        "kind": "BrokenProcessPool",
        "stage": "process",
        "problem": "the process was killed from outside while this participant was being processed",
        "remedy": "give the job more memory or fewer --nprocs, then start the same command again",
        "file": None,
        "details": "",
    }
    from mrs_pipeline.workflows.config import configure_nipype

    configure_nipype(job.folder / "crash")
    return [_fail(job, scan.entities, problem, list(scan.warnings)) for scan in job.scans]


def _run_scan(job: ParticipantJob, scan: Scan, maps: dict[Path, Maps], transforms: Transforms) -> ScanOutcome:
    """Run one scan's workflow and save its derivatives; on failure save what failed."""
    from mrs_pipeline.workflows.config import run_linear
    from mrs_pipeline.workflows.scan import OUTPUTS, init_scan_wf

    name = identifier(scan.key)
    folder = job.folder / name

    def process() -> None:
        settings = {section: getattr(job.study, section).model_dump_json() for section in SETTINGS_USED}
        workflow = init_scan_wf(name=name, inputs=scan_inputs(job, scan, maps, transforms), settings=settings)
        workflow.base_dir = str(job.folder)
        _connect_sink(workflow, job, scan.entities, OUTPUTS)
        if job.write_graph:
            _write_graph(workflow, job, scan)
        run_linear(workflow)
        _write_sidecars(job, scan)
        _write_timing(job, scan.entities, folder)

    problem = contained(folder, process)
    if problem is not None:
        return _fail(job, scan.entities, problem, list(scan.warnings))
    status = json.loads((job.out_dir / derivative_path(scan, "status")).read_text(encoding="utf-8"))
    return ScanOutcome(scan.key, status["status"], status["words"])


def _connect_sink(workflow: Any, job: ParticipantJob, entities: Entities, kinds: tuple[str, ...]) -> None:  # noqa: ANN401
    """Add saving to a workflow with an outputnode."""
    from mrs_pipeline.workflows.sinks import init_ds_wf

    names = {kind: str(derivative_path(entities, kind)) for kind in kinds}
    sink = init_ds_wf(name="sinks", base_directory=job.out_dir, names=names)
    workflow.connect([(workflow.get_node("outputnode"), sink, [(kind, f"inputnode.{kind}") for kind in kinds])])


def _write_sidecars(job: ParticipantJob, scan: Scan) -> None:
    """Write a JSON sidecar with the provenance beside every NIfTI derivative."""
    from mrs_pipeline.files import atomic_write

    descriptions = {
        "preproc_svs": "Preprocessed metabolite spectrum, first point whole",
        "preproc_mrsref": "Preprocessed water reference, first point whole",
        "edited_difference": "Difference of edited sub-spectra, with minus without editing",
        "edited_sum": "Sum of edited sub-spectra",
        "difference_fit_svs": "Model, baseline and residual of the fit of the difference spectrum",
        "sum_fit_svs": "Model, baseline and residual of the fit of the sum spectrum",
        "fit_svs": "Model, baseline and residual of the fit",
        "voxel_mask": "Share of each T1w voxel that lies in the spectroscopy box",
    }
    status = json.loads((job.out_dir / derivative_path(scan, "status")).read_text(encoding="utf-8"))
    for kind, text in descriptions.items():
        image = job.out_dir / derivative_path(scan, kind)
        content = {"Description": text, "provenance": status["provenance"]}
        if image.is_file():
            atomic_write(_sidecar_of(image), json.dumps(content, indent=2) + "\n")
        else:
            _sidecar_of(image).unlink(missing_ok=True)


def _sidecar_of(image: Path) -> Path:
    return image.with_name(image.name.replace(".nii.gz", ".json"))


def _write_timing(job: ParticipantJob, entities: Entities, folder: Path) -> None:
    """Write the wall time of every node: the one derivative that may differ between runs."""
    from mrs_pipeline.files import atomic_write
    from mrs_pipeline.interfaces.base import SECONDS_FILE
    from mrs_pipeline.interfaces.provenance import cpu_model

    seconds = {
        f"{path.parent.name}_seconds": round(next(iter(json.loads(path.read_text(encoding="utf-8")).values())), 4)
        for path in sorted(folder.glob(f"*/{SECONDS_FILE}"))
    }
    text = json.dumps({**seconds, "cpu": cpu_model()}, indent=2) + "\n"
    atomic_write(job.out_dir / derivative_path(entities, "timing"), text)


def _write_graph(workflow: Any, job: ParticipantJob, scan: Scan) -> None:  # noqa: ANN401  nipype is untyped
    """Write the graph of a scan's workflow in dot format (drawn too where graphviz is installed)."""
    logs = job.out_dir / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    drawn = "svg" if shutil.which("dot") else "dot"
    workflow.write_graph(str(logs / f"{scan.key}_graph.dot"), graph2use="flat", format=drawn, simple_form=True)


def _report_unconverted(job: ParticipantJob, item: Unconverted) -> ScanOutcome:
    problem = {
        "kind": "InputError", "stage": "convert", "problem": item.problem, "remedy": item.remedy, "file": item.file,
        "details": "",
    }  # fmt: skip
    return _fail(job, item.entities, problem, [])


def _fail(job: ParticipantJob, entities: Entities, problem: dict[str, Any], warnings: list[str]) -> ScanOutcome:
    """Save report and status of a failed scan and take away what an earlier run may have left of it."""
    from mrs_pipeline.workflows.config import run_linear
    from mrs_pipeline.workflows.scan import init_failed_scan_wf

    for kind in MADE_BY_A_FIT:
        made = job.out_dir / derivative_path(entities, kind)
        made.unlink(missing_ok=True)
        _sidecar_of(made).unlink(missing_ok=True)
    workflow = init_failed_scan_wf(
        name=identifier(entities.key) + "_failed",
        identity=identity_json(entities, job.study.study.name),
        problem=json.dumps(problem),
        warnings=warnings,
    )
    workflow.base_dir = str(job.folder)
    _connect_sink(workflow, job, entities, ("report", "status"))
    run_linear(workflow)
    status = json.loads((job.out_dir / derivative_path(entities, "status")).read_text(encoding="utf-8"))
    return ScanOutcome(entities.key, "failed", status["words"])
