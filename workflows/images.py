"""What the scans of a visit share: tissue maps once per T1w, registration of the visits' heads once per pair."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mrs_pipeline.workflows.contain import contained
from mrs_pipeline.workflows.job import Maps, ParticipantJob, Transform, Transforms, identifier

from mrs_pipeline.bids import derivative_path

MAPS = {"gm": "probseg_gm", "wm": "probseg_wm", "csf": "probseg_csf", "brain": "brain_mask"}
"""Outputs of the segmentation and the kind of derivative each becomes."""


def segment_all(job: ParticipantJob) -> dict[Path, Maps]:
    """Make tissue maps of every T1w that a scan needs."""
    if not job.study.tissue.needs_t1w:
        return {}
    return {t1w: _segment(job, t1w) for t1w in sorted({scan.t1w for scan in job.scans if scan.t1w is not None})}


def _segment(job: ParticipantJob, t1w: Path) -> Maps:
    """Make the tissue maps of one T1w; a failure costs the tissue correction, not the scan."""
    from mrs_pipeline.workflows.config import run_linear
    from mrs_pipeline.workflows.scan import init_segment_wf

    from mrs_pipeline.files import atomic_write

    name = "anat_" + identifier(t1w.name.split(".")[0])
    entities = next(scan.entities for scan in job.scans if scan.t1w == t1w)
    workflow = init_segment_wf(
        name=name,
        t1w=t1w,
        participant_id=job.participant_id,
        session=entities.ses or "",
        settings=job.study.tissue.model_dump_json(),
    )
    workflow.base_dir = str(job.folder)
    files: dict[str, str] = {}

    def make() -> None:
        run_linear(workflow)
        files.update({key: str(value) for key, value in _outputs(job.folder / name / "segment").items()})
        for key, kind in MAPS.items():
            if files[key]:
                atomic_write(job.out_dir / derivative_path(entities, kind), Path(files[key]).read_bytes())

    problem = contained(job.folder / name, make)
    if problem is not None:
        return Maps(None, f"no tissue maps of {t1w.name}: {problem['problem']}. To fix it: {problem['remedy']}.")
    return Maps(files)


def register_visits(job: ParticipantJob) -> Transforms:
    """Register every later T1w to the baseline's, where a region was scanned at both visits."""
    pairs = set()
    for scan in job.scans:
        baseline = job.baseline_of(scan)
        if baseline is not None and baseline.t1w is not None and scan.t1w is not None:
            pairs.add((baseline.t1w, scan.t1w))
    return {pair: _register(job, *pair) for pair in sorted(pairs)}


def _register(job: ParticipantJob, first: Path, second: Path) -> Transform:
    """Register two T1w; a failure costs the comparison of the voxels, and is said."""
    from mrs_pipeline.workflows.config import run_linear
    from mrs_pipeline.workflows.scan import init_register_wf

    name = "visits_" + identifier(second.name.split(".")[0])
    workflow = init_register_wf(name=name, first=first, second=second)
    workflow.base_dir = str(job.folder)
    problem = contained(job.folder / name, lambda: run_linear(workflow))
    if problem is not None:
        return Transform(None, f"the voxels of the visits were not compared: {problem['problem']}")
    return Transform(str(_outputs(job.folder / name / "register")["transform"]))


def _outputs(node_dir: Path) -> dict[str, Any]:
    """Return the outputs of a finished node, from nipype's result file."""
    from nipype.utils.filemanip import loadpkl

    found: dict[str, Any] = loadpkl(str(node_dir / f"result_{node_dir.name}.pklz")).outputs.get()
    return found
