"""A whole trial on disk: scanner files, study file, tables, and the truth kept apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mrs_pipeline.spectrum import ComplexArray, FloatArray
from mrs_pipeline.synthetic import heads, phenotype
from mrs_pipeline.synthetic.geometry import box_affine, rigid, rotation
from mrs_pipeline.synthetic.macromolecules import macromolecule_fid
from mrs_pipeline.synthetic.philips_io import write_sdat
from mrs_pipeline.synthetic.settings import SpectrumSettings, TrialSettings
from mrs_pipeline.synthetic.siemens_io import write_rda
from mrs_pipeline.synthetic.signal import TissueMix
from mrs_pipeline.synthetic.spectra import SpectrumTruth, clean_scan, draw_artefacts, signals_for, with_noise
from mrs_pipeline.synthetic.study_io import write_study, write_tables
from mrs_pipeline.synthetic.trial import Participant, PlannedScan, enrol, plan_scans, stream
from mrs_pipeline.synthetic.truth_io import write_truth

if TYPE_CHECKING:
    import nibabel as nib

Progress = Callable[[str], None]


@dataclass(frozen=True)
class ScanTruth:
    """What is true of one scan of the trial.

    Parameters
    ----------
    plan
        Whose, when, where, and the true concentrations.
    physics
        What the signal was made from; ``None`` where the scan was missed.
    affine
        Voxel box in the scanner's RAS mm.
    files
        Scanner files (metabolite, water), relative to the trial's folder.
    """

    plan: PlannedScan
    physics: SpectrumTruth | None
    affine: FloatArray
    files: tuple[str, ...]


@dataclass(frozen=True)
class TrialTruth:
    """Where the trial was written and everything planted in it.

    Parameters
    ----------
    folder
        The trial's folder.
    scanner, study, allocation
        Folder of scanner files, study.toml, allocation table.
    settings
        As given.
    participants, scans
        All enrolled participants; all planned scans.
    """

    folder: Path
    scanner: Path
    study: Path
    allocation: Path
    settings: TrialSettings
    participants: tuple[Participant, ...]
    scans: tuple[ScanTruth, ...]

    @property
    def broken(self) -> tuple[str, ...]:
        """Keys of the scans whose files were deliberately broken."""
        return tuple(scan.plan.key for scan in self.scans if scan.plan.broken)


def write_trial(
    out_dir: str | Path, settings: TrialSettings | None = None, progress: Progress | None = None
) -> TrialTruth:
    """Write a synthetic trial as scanner files; the layout is described in docs/synthetic.md.

    Parameters
    ----------
    out_dir
        Folder to write to; made when absent. The same settings give the same bytes.
    settings
        Everything about the trial.
    progress
        Called with a line of text per participant.

    Returns
    -------
    TrialTruth
        What was planted; the same is written below ``truth/``.
    """
    s = settings or TrialSettings()
    folder = Path(out_dir)
    say = progress or (lambda _line: None)
    people = enrol(s)
    plans = plan_scans(s, people)
    acq = s.spectrum.acquisition
    say(f"simulating {len(s.spectrum.concentrations)} metabolites ({acq.sequence}, TE {acq.echo_time * 1e3:g} ms)")
    signals = signals_for(s.spectrum)
    scans: list[ScanTruth] = []
    for index, person in enumerate(people):
        mine = [plan for plan in plans if plan.participant is person]
        if mine:
            say(f"{person.label}: {len(mine)} scans" + (", T1w" if person.has_t1w else ""))
            scans += _write_participant(folder, s, index, mine, signals)
    truth = TrialTruth(folder, folder / "scanner", folder / "study.toml", folder / "allocation" / "allocation.tsv", s, people,
                       tuple(scans))  # fmt: skip
    write_study(truth)
    write_tables(truth, [phenotype.clinical_course(s, i, person) for i, person in enumerate(people)])
    write_truth(truth)
    return truth


def _write_participant(
    folder: Path, s: TrialSettings, index: int, plans: list[PlannedScan], signals: Mapping[str, ComplexArray]
) -> list[ScanTruth]:
    """Write one participant's scans visit by visit."""
    rng = stream(s.seed, 6, index)
    head = heads.random_head(s.head, rng)
    broad = macromolecule_fid(s.spectrum.acquisition, s.spectrum.macromolecules, rng)
    out: list[ScanTruth] = []
    for v, visit in enumerate(s.visits):
        pose_rng = stream(s.seed, 7, index, v)
        pose = rigid(pose_rng.normal(0, s.head.pose_mm, 3), pose_rng.normal(0, s.head.pose_deg, 3))
        here = [plan for plan in plans if plan.visit == visit]
        for plan in here:
            rng = stream(s.seed, 8, index, v, s.regions.index(plan.region))
            out.append(_write_scan(folder, s, plan, head, pose, broad, signals, rng))
        if here[0].participant.has_t1w and not all(plan.missed for plan in here):
            image = heads.t1w_image(head, pose, s.head, stream(s.seed, 9, index, v))
            write_image(image, scan_folder(folder, here[0]) / f"{here[0].participant.label}_{visit}_T1w.nii.gz")
    return out


def _write_scan(
    folder: Path,
    s: TrialSettings,
    plan: PlannedScan,
    head: heads.Head,
    pose: FloatArray,
    broad: ComplexArray,
    signals: Mapping[str, ComplexArray],
    rng: np.random.Generator,
) -> ScanTruth:
    """Write one metabolite scan and its water reference."""
    box = place_box(s, plan.region, head, rng)
    affine = pose @ box
    if plan.missed:
        return ScanTruth(plan, None, affine, ())
    mix = heads.box_tissue(head, box, step_mm=s.head.quadrature_mm)
    spectrum = _spectrum_settings(s, plan, mix)
    scan = with_noise(spectrum, clean_scan(spectrum, draw_artefacts(spectrum.artefacts, rng), signals, broad, rng), rng)
    stem = scan_folder(folder, plan) / f"{plan.participant.label}_{plan.visit}_{plan.region}"
    acq = s.spectrum.acquisition
    halved = s.vendor == "philips" if s.halved_first_point is None else s.halved_first_point
    writer, ending = (write_sdat, ".SDAT") if s.vendor == "philips" else (write_rda, ".rda")
    files = []
    for kind, spectrum, averages in (("act", scan.metabolite, acq.averages), ("ref", scan.water, acq.water_averages)):
        path = stem.with_name(f"{stem.name}_{kind}{ending}")
        path.parent.mkdir(parents=True, exist_ok=True)
        writer(spectrum, affine, path, averages=averages, name=acq.sequence.upper(), halved_first_point=halved)
        files.append(path.relative_to(folder).as_posix())
    if plan.broken:
        truncate(folder / files[0])
    return ScanTruth(plan, scan.truth, affine, tuple(files))


def _spectrum_settings(s: TrialSettings, plan: PlannedScan, mix: TissueMix) -> SpectrumSettings:
    return replace(s.spectrum, concentrations=plan.molal, tissue=(mix.gm, mix.wm, mix.csf))


def place_box(s: TrialSettings, region: str, head: heads.Head, rng: np.random.Generator) -> FloatArray:
    """Return a scan's box in head coordinates: the region's place in this head, with the operator's scatter."""
    spec = s.region(region)
    centre = heads.from_template(head, np.array(spec.mni)) + rng.normal(0, spec.position_sd_mm, 3)
    angles = np.array(spec.angles_deg) + rng.normal(0, spec.angle_sd_deg, 3)
    return box_affine(centre, spec.size_mm, rotation(angles))


def scan_folder(folder: Path, plan: PlannedScan) -> Path:
    """Return the folder of a participant's visit."""
    return folder / "scanner" / plan.participant.label / plan.visit


def truncate(path: Path) -> None:
    """Cut a file in the middle, as an interrupted export does."""
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2 - 3])


def write_image(image: nib.Nifti1Image, path: Path) -> None:
    """Write a gzipped NIfTI file without a time stamp, so that the bytes repeat."""
    import gzip

    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as raw, gzip.GzipFile(filename="", mode="wb", fileobj=raw, compresslevel=3, mtime=0) as packed:
        packed.write(image.to_bytes())
