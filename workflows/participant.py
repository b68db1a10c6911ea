"""All scans of one participant: tissue maps once per T1w, then every scan on its own, failures contained."""

from __future__ import annotations

import json
import os
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mrs_pipeline.bids import Entities, Scan, derivative_path, read_sidecar
from mrs_pipeline.config import Study, settings_hash
from mrs_pipeline.errors import MrsError

SETTINGS_USED = ("basis", "preprocess", "fit", "tissue", "quantify", "qc", "protocol")
MADE_BY_A_FIT = (
    "preproc_svs", "preproc_mrsref", "fit", "fit_svs", "concentrations", "concentrations_dictionary", "qc",
    "voxel_mask",
)  # fmt: skip
"""Derivatives that must not outlive the failure of their scan."""


@dataclass(frozen=True)
class Unconverted:
    """A metabolite scan that the conversion could not bring into BIDS."""

    entities: Entities
    problem: str
    remedy: str
    file: str

    @property
    def participant_id(self) -> str:
        """Participant with its prefix."""
        return f"sub-{self.entities.sub}"


@dataclass(frozen=True)
class ParticipantJob:
    """What one process needs to process one participant.

    ``participant`` is the row of participants.tsv without any column that looks like an arm; ``table`` and
    ``basis_file`` are the resolved files of ``[tissue] table`` and ``[basis] source``.
    """

    participant_id: str
    scans: tuple[Scan, ...]
    bids_dir: Path
    out_dir: Path
    work_dir: Path
    study: Study
    unconverted: tuple[Unconverted, ...] = ()
    participant: dict[str, Any] = field(default_factory=dict)
    table: Path | None = None
    basis_file: Path | None = None
    stop_on_first_crash: bool = False
    write_graph: bool = False


@dataclass(frozen=True)
class ScanOutcome:
    """How one scan ended: ``ok``, ``doubtful`` or ``failed``, and why."""

    key: str
    status: str
    words: str


@dataclass(frozen=True)
class Maps:
    """Tissue maps of one T1w, or why there are none."""

    files: dict[str, str] | None
    problem: str = ""


def run_participant(job: ParticipantJob) -> list[ScanOutcome]:
    """Process one participant; a scan's own problem ends in its report and status, never here.

    Returns
    -------
    list of ScanOutcome
        One per scan, conversions that failed last.
    """
    os.environ["NO_ET"] = "1"
    from mrs_pipeline.workflows.config import configure_nipype

    configure_nipype(_work(job) / "crash", stop_on_first_crash=job.stop_on_first_crash)
    maps = _segment_all(job)
    transforms = _register_visits(job)
    outcomes = []
    for scan in _by_visit(job):
        outcomes.append(_run_scan(job, scan, maps, transforms))
        if job.stop_on_first_crash and outcomes[-1].status == "failed":
            return outcomes
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

    configure_nipype(_work(job) / "crash")
    return [_fail(job, scan.entities, problem, list(scan.warnings)) for scan in job.scans]


def _work(job: ParticipantJob) -> Path:
    return job.work_dir / job.participant_id


def _segment_all(job: ParticipantJob) -> dict[Path, Maps]:
    """Make tissue maps of every T1w that a scan needs."""
    if job.study.tissue.source not in {"segment", "derivatives"}:
        return {}
    return {t1w: _segment(job, t1w) for t1w in sorted({scan.t1w for scan in job.scans if scan.t1w is not None})}


def _segment(job: ParticipantJob, t1w: Path) -> Maps:
    """Make the tissue maps of one T1w; a failure costs the tissue correction, not the scan."""
    from mrs_pipeline.workflows.config import run_linear
    from mrs_pipeline.workflows.scan import init_segment_wf

    from mrs_pipeline.interfaces.sinks import copy_atomic

    name = "anat_" + _identifier(t1w.name.split(".")[0])
    entities = next(scan.entities for scan in job.scans if scan.t1w == t1w)
    workflow = init_segment_wf(
        name=name,
        t1w=t1w,
        participant_id=job.participant_id,
        session=entities.ses or "",
        settings=job.study.tissue.model_dump_json(),
    )
    workflow.base_dir = str(_work(job))
    try:
        run_linear(workflow)
    except Exception as error:  # noqa: BLE001  the reason is kept and printed in every report that misses the maps
        problem = _problem(_work(job) / name, error)
        return Maps(None, f"no tissue maps of {t1w.name}: {problem['problem']}. To fix it: {problem['remedy']}.")
    files = {key: str(value) for key, value in _outputs(_work(job) / name / "segment").items()}
    for key, kind in (("gm", "probseg_gm"), ("wm", "probseg_wm"), ("csf", "probseg_csf"), ("brain", "brain_mask")):
        if files[key]:
            copy_atomic(Path(files[key]), job.out_dir / derivative_path(entities, kind))
    return Maps(files)


def _by_visit(job: ParticipantJob) -> list[Scan]:
    """Sort scans by visit, so that the baseline is there when a later visit is compared with it."""
    order = {visit: number for number, visit in enumerate(job.study.study.visits)}
    return sorted(job.scans, key=lambda scan: (order.get(scan.session or "", len(order)), scan.key))


def _baseline_of(job: ParticipantJob, scan: Scan) -> Scan | None:
    """Return the first visit's scan of the same region and kind; ``None`` for the baseline itself."""
    first = job.study.study.visits[0]
    if scan.session == first:
        return None
    same = [s for s in job.scans if s.session == first and s.entities.with_(ses=scan.session) == scan.entities]
    return same[0] if same else None


def _register_visits(job: ParticipantJob) -> dict[tuple[Path, Path], str]:
    """Register every later T1w to the baseline's, where a region was scanned at both visits."""
    pairs = set()
    for scan in job.scans:
        baseline = _baseline_of(job, scan)
        if baseline is not None and baseline.t1w is not None and scan.t1w is not None:
            pairs.add((baseline.t1w, scan.t1w))
    return {pair: transform for pair in sorted(pairs) if (transform := _register(job, *pair))}


def _register(job: ParticipantJob, first: Path, second: Path) -> str:
    """Register two T1w; empty where that failed: the overlap is then listed as not checked."""
    from mrs_pipeline.workflows.config import run_linear
    from mrs_pipeline.workflows.scan import init_register_wf

    name = "visits_" + _identifier(second.name.split(".")[0])
    workflow = init_register_wf(name=name, first=first, second=second)
    workflow.base_dir = str(_work(job))
    try:
        run_linear(workflow)
    except Exception:  # noqa: BLE001  QC lists the overlap as not checked; the crash file has the reason
        return ""
    return str(_outputs(_work(job) / name / "register")["transform"])


def _outputs(node_dir: Path) -> dict[str, Any]:
    """Return the outputs of a finished node, from nipype's result file."""
    from nipype.utils.filemanip import loadpkl

    found: dict[str, Any] = loadpkl(str(node_dir / f"result_{node_dir.name}.pklz")).outputs.get()
    return found


def _run_scan(
    job: ParticipantJob, scan: Scan, maps: dict[Path, Maps], transforms: dict[tuple[Path, Path], str]
) -> ScanOutcome:
    """Run one scan's workflow and save its derivatives; on failure save what failed."""
    from mrs_pipeline.workflows.config import run_linear
    from mrs_pipeline.workflows.scan import OUTPUTS, init_scan_wf

    name = _identifier(scan.key)
    folder = _work(job) / name
    try:
        settings = {section: getattr(job.study, section).model_dump_json() for section in SETTINGS_USED}
        workflow = init_scan_wf(name=name, inputs=_inputs(job, scan, maps, transforms), settings=settings)
        workflow.base_dir = str(_work(job))
        _connect_sink(workflow, job, scan.entities, OUTPUTS)
        if job.write_graph:
            _write_graph(workflow, job, scan)
        _forget_problems(folder)
        run_linear(workflow)
        _write_sidecars(job, scan)
        _write_timing(job, scan.entities, folder)
    except Exception as error:  # noqa: BLE001  one bad scan stops nothing: it ends in that scan's report and status
        return _fail(job, scan.entities, _problem(folder, error), list(scan.warnings))
    status = json.loads((job.out_dir / derivative_path(scan, "status")).read_text(encoding="utf-8"))
    return ScanOutcome(scan.key, status["status"], status["words"])


def _connect_sink(workflow: Any, job: ParticipantJob, entities: Entities, kinds: tuple[str, ...]) -> None:  # noqa: ANN401
    """Add saving to a workflow with an outputnode."""
    from mrs_pipeline.workflows.sinks import init_ds_wf

    names = {kind: str(derivative_path(entities, kind)) for kind in kinds}
    sink = init_ds_wf(name="sinks", base_directory=job.out_dir, names=names)
    workflow.connect([(workflow.get_node("outputnode"), sink, [(kind, f"inputnode.{kind}") for kind in kinds])])


def _visit_inputs(job: ParticipantJob, scan: Scan, transforms: dict[tuple[Path, Path], str]) -> dict[str, str | None]:
    """Files of the baseline that a later visit is compared with."""
    baseline = _baseline_of(job, scan)
    if baseline is None:
        return {}
    node = _work(job) / _identifier(baseline.key)
    if not (job.out_dir / derivative_path(baseline, "concentrations")).is_file():
        node = Path(os.devnull)  # the baseline has no result in this run
    files = {
        "baseline_tissue": node / "tissue" / "tissue.json",
        "baseline_concentrations": node / "quantify" / "concentrations.tsv",
    }
    transform = transforms.get((baseline.t1w, scan.t1w)) if baseline.t1w and scan.t1w else None
    return {
        "baseline_svs": str(baseline.svs),
        "baseline_session": baseline.session,
        "visit_transform": transform,
        **{name: str(path) if path.is_file() else None for name, path in files.items()},
    }


def _inputs(job: ParticipantJob, scan: Scan, maps: dict[Path, Maps], transforms: dict[tuple[Path, Path], str]) -> Any:  # noqa: ANN401  ScanInputs, imported lazily
    """Collect the node inputs of a scan."""
    from mrs_pipeline.workflows.scan import ScanInputs

    from mrs_pipeline.interfaces.provenance import provenance

    files = {"svs": scan.svs, "conc": scan.conc, "ecc": scan.ecc, "noise": scan.noise, "t1w": scan.t1w}
    found = maps.get(scan.t1w, Maps(None)) if scan.t1w is not None else Maps(None)
    hashes = {section: settings_hash(getattr(job.study, section)) for section in SETTINGS_USED}
    sidecars, warnings = _sidecars(files)
    return ScanInputs(
        identity=_identity(scan.entities, job.study.study.name),
        sidecars=json.dumps(sidecars, sort_keys=True),
        participant=json.dumps(job.participant, sort_keys=True),
        provenance=json.dumps(provenance(files, job.bids_dir, hashes)),
        basis_cache=str(job.work_dir / "basis-cache"),
        basis_file=None if job.basis_file is None else str(job.basis_file),
        table=None if job.table is None else str(job.table),
        maps=found.files,
        maps_problem=found.problem,
        warnings=[*scan.warnings, *warnings],
        **_visit_inputs(job, scan, transforms),  # type: ignore[arg-type]
        **{role: None if path is None else str(path) for role, path in files.items()},  # type: ignore[arg-type]
    )


def _sidecars(files: dict[str, Path | None]) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Read the sidecars by role; a reference whose sidecar is damaged is taken out of ``files``, and that is said.

    Raises
    ------
    InputError
        The sidecar of the metabolite scan itself cannot be read.
    """
    sidecars, warnings = {}, []
    for role, path in files.items():
        if path is None or role == "t1w":
            continue
        try:
            sidecars[role] = read_sidecar(path)
        except MrsError as error:
            if role == "svs":
                raise
            files[role] = None
            warnings.append(f"{error.path.name if error.path else path.name}: {error.problem}; not used as {role}")
    return sidecars, list(dict.fromkeys(warnings))


def _identity(entities: Entities, study: str) -> str:
    """Entities of a scan as JSON, under the names of the tables."""
    named = {
        "participant_id": f"sub-{entities.sub}", "session": entities.ses, "voi": entities.voi, "acq": entities.acq,
        "run": entities.run, "task": entities.task, "study": study,
    }  # fmt: skip
    return json.dumps(named)


def _write_sidecars(job: ParticipantJob, scan: Scan) -> None:
    """Write a JSON sidecar with the provenance beside every NIfTI derivative."""
    from mrs_pipeline.files import atomic_write

    descriptions = {
        "preproc_svs": "Preprocessed metabolite spectrum, first point whole",
        "preproc_mrsref": "Preprocessed water reference, first point whole",
        "fit_svs": "Model, baseline and residual of the fit",
        "voxel_mask": "Share of each T1w voxel that lies in the spectroscopy box",
    }
    status = json.loads((job.out_dir / derivative_path(scan, "status")).read_text(encoding="utf-8"))
    for kind, text in descriptions.items():
        image = job.out_dir / derivative_path(scan, kind)
        if image.is_file():
            sidecar = image.with_name(image.name.replace(".nii.gz", ".json"))
            content = {"Description": text, "provenance": status["provenance"]}
            atomic_write(sidecar, json.dumps(content, indent=2) + "\n")


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


def _forget_problems(folder: Path) -> None:
    """Remove what nodes said in an earlier run, so that an old reason never stands for a new one."""
    from mrs_pipeline.interfaces.base import PROBLEM_FILE

    for path in folder.glob(f"**/{PROBLEM_FILE}"):
        path.unlink()


def _problem(folder: Path, error: Exception) -> dict[str, Any]:
    """Return what went wrong below a working folder: what the failing node wrote, else the exception itself."""
    from mrs_pipeline.interfaces.base import PROBLEM_FILE, describe_problem

    for path in sorted(folder.glob(f"**/{PROBLEM_FILE}")):
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return {"stage": path.parent.name, **found}
    return {"stage": "workflow", **describe_problem(error)}


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
        (job.out_dir / derivative_path(entities, kind)).unlink(missing_ok=True)
    workflow = init_failed_scan_wf(
        name=_identifier(entities.key) + "_failed",
        identity=_identity(entities, job.study.study.name),
        problem=json.dumps(problem),
        warnings=warnings,
    )
    workflow.base_dir = str(_work(job))
    _connect_sink(workflow, job, entities, ("report", "status"))
    run_linear(workflow)
    status = json.loads((job.out_dir / derivative_path(entities, "status")).read_text(encoding="utf-8"))
    return ScanOutcome(entities.key, "failed", status["words"])


def _identifier(text: str) -> str:
    """Return a text as a name nipype accepts."""
    return re.sub(r"\W", "_", text)
