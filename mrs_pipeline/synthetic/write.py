"""A whole trial on disk: scanner files, study file, tables, and the truth kept apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mrs_pipeline.spectrum import ComplexArray, FloatArray, Spectrum
from mrs_pipeline.synthetic import heads, phenotype
from mrs_pipeline.synthetic.geometry import box_affine, rigid, rotation
from mrs_pipeline.synthetic.macromolecules import macromolecule_fid
from mrs_pipeline.synthetic.scanner_io import truncate, write_spectrum, write_t1w
from mrs_pipeline.synthetic.settings import SpectrumSettings, Transients, TrialSettings
from mrs_pipeline.synthetic.spectra import (
    CleanScan,
    Drawn,
    SpectrumTruth,
    clean_scan,
    draw_artefacts,
    signals_for,
    with_noise,
)
from mrs_pipeline.synthetic.study_io import write_study, write_tables
from mrs_pipeline.synthetic.transients import TransientTruth, split
from mrs_pipeline.synthetic.trial import Participant, PlannedScan, enrol, plan_scans, stream
from mrs_pipeline.synthetic.truth_io import write_truth

Progress = Callable[[str], None]


@dataclass(frozen=True)
class ScanTruth:
    """What is true of one scan of the trial.

    Parameters
    ----------
    plan
        Whose, when, where, the true concentrations, and what is wrong with it.
    physics
        What the signal was made from; ``None`` where the scan was missed.
    affine
        Voxel box in the scanner's RAS mm.
    files
        Scanner files (metabolite, water), relative to the trial's folder.
    transients
        Drift and spoiled transients, where single transients were written.
    """

    plan: PlannedScan
    physics: SpectrumTruth | None
    affine: FloatArray
    files: tuple[str, ...]
    transients: TransientTruth | None = None


@dataclass(frozen=True)
class TrialTruth:
    """Where the trial was written and everything planted in it.

    Parameters
    ----------
    folder
        The trial's folder.
    settings
        As given.
    participants, scans
        All enrolled participants; all planned scans.
    """

    folder: Path
    settings: TrialSettings
    participants: tuple[Participant, ...]
    scans: tuple[ScanTruth, ...]

    @property
    def scanner(self) -> Path:
        """Folder of scanner files."""
        return self.folder / "scanner"

    @property
    def study(self) -> Path:
        """The study file."""
        return self.folder / "study.toml"

    @property
    def allocation(self) -> Path:
        """The allocation table."""
        return self.folder / "allocation" / "allocation.tsv"

    @property
    def broken(self) -> tuple[str, ...]:
        """Keys of the scans whose files cannot be converted."""
        return tuple(scan.plan.key for scan in self.scans if scan.plan.unreadable)


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
    truth = TrialTruth(folder, s, people, tuple(scans))
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
            out.append(_write_scan(folder, s, plan, (head, pose), (signals, broad), rng))
        if here[0].participant.has_t1w and not all(plan.missed for plan in here):
            image = heads.t1w_image(head, pose, s.head, stream(s.seed, 9, index, v))
            label = here[0].participant.label
            stem = scan_folder(folder, here[0]) / f"{label}_{visit}_T1w"
            write_t1w(s, image, stem, label, 1 + index * len(s.visits) + v)
    return out


def _write_scan(
    folder: Path,
    s: TrialSettings,
    plan: PlannedScan,
    place: tuple[heads.Head, FloatArray],
    parts: tuple[Mapping[str, ComplexArray], ComplexArray],
    rng: np.random.Generator,
) -> ScanTruth:
    """Write one metabolite scan and its water reference.

    Parameters
    ----------
    place
        Head, and its pose in the scanner.
    parts
        Metabolite signals, and the person's macromolecules.
    """
    head, pose = place
    box = place_box(s, plan.region, head, rng)
    if plan.missed:
        return ScanTruth(plan, None, pose @ box, ())
    mix = heads.box_tissue(head, box, step_mm=s.head.quadrature_mm)
    spectrum = replace(s.spectrum, concentrations=plan.molal, tissue=(mix.gm, mix.wm, mix.csf))
    drawn = worsened(draw_artefacts(spectrum.artefacts, rng), plan.failure)
    clean = clean_scan(spectrum, drawn, *parts, rng)
    metabolite, water, transients = _sampled(s, spectrum, clean, rng)
    stem = scan_folder(folder, plan) / f"{plan.participant.label}_{plan.visit}_{plan.region}"
    acq = spectrum.acquisition
    files = [write_spectrum(s, metabolite, pose @ box, stem.with_name(f"{stem.name}_act"), acq.averages)]
    if plan.failure != "no-water":
        stem = stem.with_name(f"{stem.name}_ref")
        files.append(write_spectrum(s, water, pose @ box, stem, acq.water_averages))
    damage(files[0], plan.failure)
    names = tuple(path.relative_to(folder).as_posix() for path in files)
    return ScanTruth(plan, clean.truth, pose @ box, names, transients)


def _sampled(
    s: TrialSettings, spectrum: SpectrumSettings, clean: CleanScan, rng: np.random.Generator
) -> tuple[Spectrum, Spectrum, TransientTruth | None]:
    """Return metabolite and water scan as averages, or as the transients the format is to hold."""
    plan = s.transients or (Transients() if s.vendor == "siemens-twix" else None)
    if plan is None:
        scan = with_noise(spectrum, clean, rng)
        return scan.metabolite, scan.water, None
    return split(spectrum, clean, plan, rng)


def worsened(drawn: Drawn, failure: str) -> Drawn:
    """Return the nuisance values of a scan that failed in a way that shows in its signal."""
    if failure == "linewidth":
        return replace(drawn, gauss_hz=4 * drawn.gauss_hz)
    if failure == "motion":
        return replace(drawn, gauss_hz=2.5 * drawn.gauss_hz, snr=drawn.snr / 5)
    if failure == "lipid":
        return replace(drawn, lipid_protons=150.0)
    return drawn


def damage(path: Path, failure: str) -> None:
    """Damage a written file where the failure is one of the file."""
    if failure == "truncated":
        truncate(path)
    elif failure == "empty":
        path.write_bytes(b"")


def place_box(s: TrialSettings, region: str, head: heads.Head, rng: np.random.Generator) -> FloatArray:
    """Return a scan's box in head coordinates: the region's place in this head, with the operator's scatter."""
    spec = s.region(region)
    centre = heads.from_template(head, np.array(spec.mni)) + rng.normal(0, spec.position_sd_mm, 3)
    angles = np.array(spec.angles_deg) + rng.normal(0, spec.angle_sd_deg, 3)
    return box_affine(centre, spec.size_mm, rotation(angles))


def scan_folder(folder: Path, plan: PlannedScan) -> Path:
    """Return the folder of a participant's visit."""
    return folder / "scanner" / plan.participant.label / plan.visit


__all__ = ["ScanTruth", "TrialTruth", "write_trial"]
