"""What would run, what is missing and what deviates from the protocol, before anything expensive starts."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mrs_pipeline.bids import Scan, clean_label, read_sidecar, survey
from mrs_pipeline.config import Study
from mrs_pipeline.errors import MrsError
from mrs_pipeline.fit import nucleus_of
from mrs_pipeline.nifti_mrs import NiftiMrs, judge_orientation, read

RUNS, RATIOS, CANNOT = "runs", "ratios only", "cannot run"


@dataclass(frozen=True)
class Preflight:
    """What is known of one scan before it is processed.

    Parameters
    ----------
    scan
        Its key.
    verdict
        ``"runs"`` (concentrations come out), ``"ratios only"`` (no usable water reference) or ``"cannot run"``.
    missing
        What is not there, and what is lost by it.
    deviations
        Where the scan is not what ``[protocol]`` says, beyond the tolerance.
    problems
        Why it cannot run, with the remedy.
    assumed
        What is assumed about its basis set.
    """

    scan: str
    verdict: str
    missing: tuple[str, ...] = ()
    deviations: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    assumed: tuple[str, ...] = ()

    @property
    def is_fine(self) -> bool:
        """Whether it runs and keeps to the protocol."""
        return self.verdict != CANNOT and not self.deviations


@dataclass(frozen=True)
class PreflightReport:
    """A dataset before it is processed: scan by scan, what is left aside, what visits lack, and the plan's faults."""

    scans: tuple[Preflight, ...]
    skipped: tuple[str, ...]
    incomplete: tuple[str, ...]
    plan: tuple[str, ...] = ()


def preflight(
    bids_dir: Path,
    study: Study,
    participants: Sequence[str] | None = None,
    sessions: Sequence[str] | None = None,
    tissue_table: Path | None = None,
    basis_file: Path | None = None,
) -> PreflightReport:
    """Check every scan of a dataset without processing it.

    Parameters
    ----------
    bids_dir
        BIDS dataset.
    study
        Settings.
    participants, sessions
        Labels to keep.
    tissue_table
        ``[tissue] table`` where it exists.
    basis_file
        The file of ``[basis] source``; ``None`` when the basis set is simulated.
    """
    found = survey(bids_dir, participants, sessions, nucleus_of(study.fit))
    rows = _table_rows(tissue_table)
    checked = tuple(check_scan(scan, study, rows, basis_file) for scan in found.scans)
    skipped = tuple(f"{item.path.relative_to(bids_dir).as_posix()}: {item.reason}" for item in found.skipped)
    return PreflightReport(
        checked, skipped, incomplete_visits(found.scans, study), plan_faults(found.scans, study, basis_file)
    )


def check_scan(
    scan: Scan, study: Study, tissue_rows: Sequence[dict[str, str]] = (), basis_file: Path | None = None
) -> Preflight:
    """Return what is known of one scan.

    Parameters
    ----------
    scan
        A scan of the index.
    study
        Settings.
    tissue_rows
        Rows of the tissue table.
    basis_file
        The file of ``[basis] source``; ``None`` when the basis set is simulated.
    """
    try:
        sidecar = read_sidecar(scan.svs)
        nifti = read(scan.svs, sidecar)
        problems = _unusable(nifti)
        assumed = () if problems else _basis(nifti, sidecar, study, basis_file)
    except MrsError as error:
        return Preflight(scan.key, CANNOT, problems=(_said(error),))
    missing = [text for text in scan.warnings if "no water" not in text]
    water, lost = _water(scan)
    missing += [*lost, *_tissue(scan, study, tissue_rows), *_timing(nifti)]
    deviations = (*_protocol(nifti, sidecar, study, scan), *_labels(scan, study))
    verdict = CANNOT if problems else RUNS if water else RATIOS
    return Preflight(scan.key, verdict, tuple(missing), deviations, tuple(problems), assumed)


def plan_faults(scans: Sequence[Scan], study: Study, basis_file: Path | None) -> tuple[str, ...]:
    """Return what ``[analysis] primary`` asks for and no scan will have, before anything is frozen."""
    from mrs_pipeline.basis import EDIT_TARGETS

    regions = {scan.voi for scan in scans if scan.voi}
    # what edited scans add to their tables; whether a scan is edited stands in its data
    edited = {"GABA+", "Glx_edited", *(f"{target}_edited" for target in EDIT_TARGETS if target != "GABA")}
    names = _reported_names(study, basis_file)
    lines = []
    for metabolite, voi in study.analysis.primary:
        if metabolite not in names and metabolite not in edited:
            lines.append(f"[analysis] primary names {metabolite}, which no fit gives: {', '.join(sorted(names))}")
        if voi not in regions:
            lines.append(f"[analysis] primary names the region {voi}, found in no scan: {', '.join(sorted(regions))}")
    return tuple(dict.fromkeys(lines))


def _reported_names(study: Study, basis_file: Path | None) -> set[str]:
    """Return the names of tables: the metabolites of the fit and their sums."""
    from mrs_pipeline.basis import COMBINED, reported_name
    from mrs_pipeline.fit import load_peaks
    from mrs_pipeline.interfaces.basis import imported, metabolites

    if study.fit.model == "peaks":
        return set(load_peaks(study.fit.peaks).names)
    known = metabolites(study.basis) if basis_file is None else imported(str(basis_file), study.basis, None)[0].names
    return {reported_name(name) for name in known} | set(COMBINED)


def _basis(nifti: NiftiMrs, sidecar: dict[str, object], study: Study, basis_file: Path | None) -> tuple[str, ...]:
    """Return what is assumed about the basis set of a scan.

    Raises
    ------
    BasisError
        There is no basis set for the scan.
    """
    from mrs_pipeline.interfaces.basis import foreseen, refuse_other_nuclei

    if study.fit.model == "peaks":
        return ()
    refuse_other_nuclei(nifti.spectrum)
    return foreseen(nifti, sidecar, study.basis, None if basis_file is None else str(basis_file))


def incomplete_visits(scans: Sequence[Scan], study: Study) -> tuple[str, ...]:
    """Return which participants lack a visit or a region that the study plans (or that others have)."""
    visits = study.study.visits if "visits" in study.study.model_fields_set else ()
    visits = visits or tuple(sorted({scan.session for scan in scans if scan.session}))
    regions = study.study.regions or tuple(sorted({scan.voi for scan in scans if scan.voi}))
    there = {(scan.participant_id, scan.session, scan.voi) for scan in scans}
    lines = []
    for participant in sorted({scan.participant_id for scan in scans}):
        lacking = [
            " ".join(part for part in (visit, region) if part)
            for visit in visits or (None,)
            for region in regions or (None,)
            if (participant, visit, region) not in there
        ]
        if lacking:
            lines.append(f"{participant}: no scan of {', '.join(lacking)}")
    return tuple(lines)


def _unusable(nifti: NiftiMrs) -> list[str]:
    """Return what stops a scan that can be read."""
    problems: list[str] = []
    if nifti.spectrum.nucleus != "1H":
        return problems  # neither an echo time nor the pattern of NAA, creatine and choline is expected
    if nifti.spectrum.echo_time is None:
        problems.append("no echo time: add EchoTime in seconds to its sidecar")
    if judge_orientation(nifti.spectrum).verdict == "mirrored":
        problems.append("the spectrum is mirrored about water: convert it again with --conjugate")
    return problems


def _water(scan: Scan) -> tuple[bool, list[str]]:
    """Return whether concentrations can be computed, and what the references lack."""
    if scan.conc is None:
        return False, ["no water reference: only ratios"]
    lost = []
    usable = True
    for role, path in {"conc": scan.conc, "ecc": scan.ecc}.items():
        if path is None:
            lost.append("no reference for eddy currents: no eddy-current correction")
            continue
        if role == "ecc" and path == scan.conc:
            continue
        try:
            reference = read(path, read_sidecar(path)).spectrum
        except MrsError as error:
            lost.append(f"water reference unusable: {_said(error)}")
            usable = usable and role != "conc"
            continue
        if role == "conc" and (reference.echo_time is None or reference.repetition_time is None):
            lost.append("the water reference states no TE or TR: no relaxation correction of water")
    return usable, lost


def _tissue(scan: Scan, study: Study, rows: Sequence[dict[str, str]]) -> list[str]:
    """Return what the tissue correction lacks."""
    if study.tissue.source == "none" or any(_is_of(row, scan) for row in rows):
        return []
    if not study.tissue.needs_t1w:
        return ["no row in the tissue table: no tissue correction"]
    if scan.t1w is None:
        return ["no T1w image of this visit and no row in a tissue table: no tissue correction"]
    return []


def _is_of(row: dict[str, str], scan: Scan) -> bool:
    """Whether a row of the tissue table is this scan's."""
    if row.get("participant_id", "").removeprefix("sub-") != scan.participant_id.removeprefix("sub-"):
        return False
    wanted = {"session": scan.session, "voi": scan.voi}
    return all(row.get(key) in {"n/a", "", None, label} for key, label in wanted.items())


def _timing(nifti: NiftiMrs) -> list[str]:
    out = []
    if nifti.spectrum.repetition_time is None:
        out.append("no repetition time: no relaxation correction")
    if not nifti.is_localised:
        out.append("the file does not say where the voxel is: no tissue fractions from the T1w")
    if "DIM_EDIT" in nifti.spectrum.dims:
        out.append(
            "edited spectra: the condition without editing, the difference and the sum are fitted, each with a table"
        )
    return out


def _protocol(nifti: NiftiMrs, sidecar: dict[str, object], study: Study, scan: Scan) -> list[str]:
    """Return where the scan is not what the protocol says."""
    from mrs_pipeline.interfaces.qc import scan_facts
    from mrs_pipeline.qc import check_protocol

    items = check_protocol(scan_facts(nifti, sidecar), study.protocol, scan.voi)
    texts = {
        False: "{name} is {found} {unit}, planned {planned} {unit}",
        None: "{name} is not stated, planned {planned} {unit}",
    }
    return [
        " ".join(
            texts[item.within]
            .format(name=item.name, found=_shown(item.found), planned=_shown(item.planned), unit=item.unit)
            .split()
        ).replace(" ,", ",")
        for item in items
        if item.within is not True
    ]


def _labels(scan: Scan, study: Study) -> list[str]:
    """Return labels that the study does not know."""
    out = []
    regions = study.study.regions
    if regions and scan.voi not in regions:
        out.append(f"region '{scan.voi or 'n/a'}' is not one of [study] regions ({', '.join(regions)})")
    visits = study.study.visits if "visits" in study.study.model_fields_set else ()
    if visits and scan.session not in [clean_label(visit) for visit in visits]:
        out.append(f"session '{scan.session or 'n/a'}' is not one of [study] visits ({', '.join(visits)})")
    return out


def _shown(value: object) -> str:
    if isinstance(value, tuple | list):
        return " x ".join(_shown(item) for item in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _table_rows(path: Path | None) -> list[dict[str, str]]:
    if path is None:
        return []
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def _said(error: MrsError) -> str:
    where = f"{error.path.name}: " if error.path else ""
    return f"{where}{error.problem}; {error.remedy}"
