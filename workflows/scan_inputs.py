"""Files and facts of one scan as node inputs."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from mrs_pipeline.workflows.job import Maps, ParticipantJob, Transform, Transforms, identifier, identity_json
from mrs_pipeline.workflows.scan import ScanInputs

from mrs_pipeline.bids import Scan, derivative_path, read_sidecar
from mrs_pipeline.config import settings_hash
from mrs_pipeline.errors import MrsError

SETTINGS_USED = ("basis", "preprocess", "fit", "tissue", "quantify", "qc", "protocol")
"""Sections of study.toml that decide a scan's numbers."""


def scan_inputs(job: ParticipantJob, scan: Scan, maps: dict[Path, Maps], transforms: Transforms) -> ScanInputs:
    """Collect the node inputs of a scan."""
    from mrs_pipeline.interfaces.provenance import provenance

    files = {"svs": scan.svs, "conc": scan.conc, "ecc": scan.ecc, "noise": scan.noise, "t1w": scan.t1w}
    found = maps.get(scan.t1w, Maps(None)) if scan.t1w is not None else Maps(None)
    hashes = {section: settings_hash(getattr(job.study, section)) for section in SETTINGS_USED}
    sidecars, warnings = _sidecars(files)
    return ScanInputs(
        identity=identity_json(scan.entities, job.study.study.name),
        sidecars=json.dumps(sidecars, sort_keys=True),
        participant=json.dumps(job.participant, sort_keys=True),
        provenance=json.dumps(provenance(files, job.bids_dir, hashes)),
        basis_cache=str(job.work_dir / "basis-cache"),
        basis_file=None if job.basis_file is None else str(job.basis_file),
        table=None if job.table is None else str(job.table),
        edited=_is_edited(scan.svs),
        maps=found.files,
        maps_problem=found.problem,
        warnings=[*scan.warnings, *warnings, *_visit_warnings(job, scan, transforms)],
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


def _is_edited(svs: Path) -> bool:
    """Whether a scan holds several edit conditions; a file that cannot be read is told by the node that needs it."""
    from mrs_pipeline.nifti_mrs import read

    try:
        scan = read(svs).spectrum
    except MrsError:
        return False
    return "DIM_EDIT" in scan.dims and scan.fid.shape[scan.dims.index("DIM_EDIT")] > 1


def _visit_inputs(job: ParticipantJob, scan: Scan, transforms: Transforms) -> dict[str, str | None]:
    """Files of the baseline that a later visit is compared with."""
    baseline = job.baseline_of(scan)
    if baseline is None:
        return {}
    node = job.folder / identifier(baseline.key)
    if not (job.out_dir / derivative_path(baseline, "concentrations")).is_file():
        node = Path(os.devnull)  # the baseline has no result in this run
    files = {
        "baseline_tissue": node / "tissue" / "tissue.json",
        "baseline_concentrations": node / "quantify" / "concentrations.tsv",
    }
    transform = _transform(baseline, scan, transforms)
    return {
        "baseline_svs": str(baseline.svs),
        "baseline_session": baseline.session,
        "visit_transform": transform.file,
        **{name: str(path) if path.is_file() else None for name, path in files.items()},
    }


def _visit_warnings(job: ParticipantJob, scan: Scan, transforms: Transforms) -> list[str]:
    """Say why a visit could not be compared with the baseline."""
    baseline = job.baseline_of(scan)
    problem = "" if baseline is None else _transform(baseline, scan, transforms).problem
    return [problem] if problem else []


def _transform(baseline: Scan, scan: Scan, transforms: Transforms) -> Transform:
    """Return the registration of two visits' T1w; an empty one where there was nothing to register."""
    if baseline.t1w is None or scan.t1w is None:
        return Transform(None)
    return transforms.get((baseline.t1w, scan.t1w), Transform(None))
