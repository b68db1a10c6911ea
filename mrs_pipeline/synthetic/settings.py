"""Every knob of the generator, as frozen dataclasses with a unit and a meaning.

Ranges are ``(low, high)`` and drawn uniformly. Nothing is hidden: what was drawn is written to the truth tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from mrs_pipeline.synthetic.constants import Constants, typical_between_cv, typical_concentrations

Range = tuple[float, float]


@dataclass(frozen=True)
class Acquisition:
    """How the spectrum and its water reference are acquired.

    Parameters
    ----------
    sequence
        Sequence name as the basis simulation knows it.
    te1, te2
        Echo periods in seconds; the echo time is their sum.
    repetition_time
        Seconds between excitations of the metabolite scan.
    water_echo_time, water_repetition_time
        Of the water scan, in seconds; ``None``: as the metabolite scan.
    n_points
        Points of the FID.
    dwell
        Seconds between points.
    carrier_mhz
        Transmitter frequency in MHz.
    reference_ppm
        Chemical shift at the carrier in ppm.
    averages, water_averages
        Transients behind the averaged FIDs.
    """

    sequence: str = "press"
    te1: float = 0.011
    te2: float = 0.019
    repetition_time: float = 2.0
    water_echo_time: float | None = None
    water_repetition_time: float | None = None
    n_points: int = 2048
    dwell: float = 0.0005
    carrier_mhz: float = 127.75
    reference_ppm: float = 4.65
    averages: int = 64
    water_averages: int = 8

    @property
    def echo_time(self) -> float:
        """Echo time in seconds."""
        return round(self.te1 + self.te2, 9)

    @property
    def water_te(self) -> float:
        """Echo time of the water scan in seconds."""
        return self.echo_time if self.water_echo_time is None else self.water_echo_time

    @property
    def water_tr(self) -> float:
        """Repetition time of the water scan in seconds."""
        return self.repetition_time if self.water_repetition_time is None else self.water_repetition_time


@dataclass(frozen=True)
class Macromolecules:
    """Broad signals under the metabolites.

    Parameters
    ----------
    molal
        Size: mmol per kg tissue water of a molecule whose 0.9 ppm peak has three protons, as seen at this TE and TR.
        0 leaves them out.
    person_cv
        Between-person coefficient of variation of the whole pattern.
    component_cv
        Between-person coefficient of variation of each peak on its own.
    shift_sd_ppm
        Between-person SD of each peak's position.
    width_cv
        Between-person coefficient of variation of each peak's width.
    file
        NIfTI-MRS file of a measured (metabolite-nulled, cleaned) macromolecule spectrum to use instead of the peaks;
        only ``person_cv`` then varies.
    """

    molal: float = 7.0
    person_cv: float = 0.10
    component_cv: float = 0.10
    shift_sd_ppm: float = 0.005
    width_cv: float = 0.05
    file: str | None = None


@dataclass(frozen=True)
class Artefacts:
    """What scanners and people add to the ideal signal; zeros switch an effect off.

    Parameters
    ----------
    gauss_fwhm_hz
        Gaussian width of the B0 distribution over the voxel, in Hz; T2 decay comes on top.
    snr
        Height of the NAA singlet over the SD of the real noise in the averaged metabolite spectrum.
    frequency_offset_sd_hz, phase_sd_deg
        SD of the metabolite scan's frequency and zero-order phase.
    water_offset_sd_hz, water_phase_sd_deg
        SD of the water scan's frequency and of its phase relative to the metabolite scan.
    delay_s
        Range of the acquisition delay after the echo top (first-order phase), in seconds.
    residual_water
        Share of the water signal left by the suppression.
    eddy_deg, eddy_tau_s
        Initial phase and decay time of the eddy-current phase, the same in both scans.
    lipid_protons
        Subcutaneous lipid in mmol of CH2 protons per litre of box, with its own phase and frequency.
    spurious_echo
        Height of a gradient-recalled echo of unsuppressed water late in the FID, relative to the NAA amplitude.
    baseline_roll
        Height of a rolling baseline relative to the NAA peak height.
    """

    gauss_fwhm_hz: Range = (3.5, 6.5)
    snr: Range = (70.0, 110.0)
    frequency_offset_sd_hz: float = 2.0
    phase_sd_deg: float = 15.0
    water_offset_sd_hz: float = 0.5
    water_phase_sd_deg: float = 2.0
    delay_s: Range = (0.0, 0.0)
    residual_water: Range = (0.002, 0.01)
    eddy_deg: Range = (0.0, 20.0)
    eddy_tau_s: Range = (0.01, 0.06)
    lipid_protons: Range = (0.0, 0.0)
    spurious_echo: Range = (0.0, 0.0)
    baseline_roll: Range = (0.0, 0.0)


def no_artefacts(gauss_fwhm_hz: float = 5.0, snr: float = 1e6) -> Artefacts:
    """Return settings of a spectrum with nothing but a Gaussian B0 distribution and noise."""
    width, height = (gauss_fwhm_hz, gauss_fwhm_hz), (snr, snr)
    return Artefacts(width, height, 0.0, 0.0, 0.0, 0.0, (0.0, 0.0), (0.0, 0.0), (0.0, 0.0))


@dataclass(frozen=True)
class SpectrumSettings:
    """One spectrum with its water reference.

    Parameters
    ----------
    acquisition
        Timing and sampling.
    concentrations
        mmol per kg tissue water by basis name.
    tissue
        Volume fractions (GM, WM, CSF) of the voxel.
    constants
        Water content and relaxation.
    macromolecules, artefacts
        The rest of the signal.
    gain
        Scanner units per mmol of protons and litre of voxel.
    basis
        ``"simulate"`` (ideal pulses), or a file or folder that ``mrs_pipeline.basis.load_basis`` reads: shaped pulses,
        another laboratory's constants.
    lineshape
        NIfTI-MRS file of a real water scan whose B0 distribution all lines take instead of the Gaussian.
    """

    acquisition: Acquisition = field(default_factory=Acquisition)
    concentrations: Mapping[str, float] = field(default_factory=typical_concentrations)
    tissue: tuple[float, float, float] = (0.55, 0.35, 0.10)
    constants: Constants = field(default_factory=Constants)
    macromolecules: Macromolecules = field(default_factory=Macromolecules)
    artefacts: Artefacts = field(default_factory=Artefacts)
    gain: float = 1e-5
    basis: str = "simulate"
    lineshape: str | None = None


@dataclass(frozen=True)
class Transients:
    """Single transients and receiver coils behind a scan.

    Parameters
    ----------
    coils
        Receiver channels; with 1 there is no coil axis.
    drift_hz
        Linear frequency drift from the first to the last metabolite transient; its sign is drawn.
    wander_hz
        SD of a slow random frequency wander on top.
    jumps, jump_hz
        Number of sudden lasting frequency changes (head movement) and their SD.
    phase_drift_deg, phase_sd_deg
        Linear phase drift over the scan (sign drawn) and independent phase per transient.
    amplitude_cv
        Coefficient of variation of the transients' size.
    spoiled
        Share of metabolite transients spoiled by motion, rounded; which ones and how is drawn.
    spoil_kinds
        What may happen to them: ``"motion"`` (loss, broadening, shift), ``"lipid"`` (scalp signal), ``"water"``
        (suppression fails), ``"spike"`` (RF bursts).
    noise_correlation
        Share of the coils' noise that comes from common sources, 0 to below 1.
    sensitivity_sd
        SD of the logarithm of the coils' sensitivity.
    """

    coils: int = 1
    drift_hz: float = 3.0
    wander_hz: float = 0.4
    jumps: int = 0
    jump_hz: float = 3.0
    phase_drift_deg: float = 10.0
    phase_sd_deg: float = 4.0
    amplitude_cv: float = 0.01
    spoiled: float = 0.0
    spoil_kinds: tuple[str, ...] = ("motion", "lipid", "water", "spike")
    noise_correlation: float = 0.2
    sensitivity_sd: float = 0.5

    def __post_init__(self) -> None:
        if self.coils < 1 or not 0 <= self.spoiled < 1 or not 0 <= self.noise_correlation < 1:
            raise ValueError("coils must be at least 1; spoiled and noise_correlation in [0, 1)")
        unknown = set(self.spoil_kinds) - {"motion", "lipid", "water", "spike"}
        if unknown:
            raise ValueError(f"unknown spoil_kinds: {sorted(unknown)}")


@dataclass(frozen=True)
class Region:
    """Where a voxel is prescribed and how steadily.

    Parameters
    ----------
    mni
        Intended centre in MNI152 space (RAS mm).
    size_mm
        Edges of the box along its own axes (left-right, posterior-anterior, foot-head before rotation).
    angles_deg
        Intended rotation about x, y and z (intrinsic).
    position_sd_mm, angle_sd_deg
        Scatter of the prescription between scans, per axis.
    """

    mni: tuple[float, float, float]
    size_mm: tuple[float, float, float] = (20.0, 20.0, 20.0)
    angles_deg: tuple[float, float, float] = (0.0, 0.0, 0.0)
    position_sd_mm: float = 1.0
    angle_sd_deg: float = 2.0


REGIONS: Mapping[str, Region] = {
    "acc": Region((0.0, 34.0, 20.0), (20.0, 25.0, 20.0), (25.0, 0.0, 0.0)),
    "insula": Region((-36.0, 6.0, 2.0), (18.0, 30.0, 20.0), (10.0, 0.0, -12.0)),
    "thalamus": Region((-13.0, -19.0, 7.0), (18.0, 22.0, 20.0), (0.0, 0.0, 20.0)),
    "pcc": Region((0.0, -52.0, 28.0), (20.0, 25.0, 20.0), (-20.0, 0.0, 0.0)),
}
"""Regions known by name."""


@dataclass(frozen=True)
class HeadSettings:
    """How heads differ from the MNI152 template.

    Parameters
    ----------
    warp_mm
        Largest displacement of the individual nonlinear warp.
    warp_scale_mm
        Smoothness of the warp: distance between its control points.
    ventricle_scale
        Range of the ventricles' linear enlargement (1: as the template).
    thinning_mm
        How much of the cortex' outer border has become CSF, 0 to 3 mm.
    pose_mm, pose_deg
        SD of the head's position and rotation in the scanner, per visit.
    intensity
        T1w intensity of GM, WM and CSF.
    intensity_cv
        Person-to-person variation of those.
    bias_field
        Largest relative deviation of the smooth receive bias field.
    noise
        SD of Rician noise relative to white matter.
    skull
        Add meninges, skull and scalp; without them the image is skull-stripped.
    resolution_mm
        Voxel size of the T1w image.
    quadrature_mm
        Step of the quadrature that gives the true fractions of a box.
    """

    warp_mm: float = 4.0
    warp_scale_mm: float = 30.0
    ventricle_scale: Range = (1.0, 1.0)
    thinning_mm: float = 0.0
    pose_mm: float = 4.0
    pose_deg: float = 4.0
    intensity: tuple[float, float, float] = (600.0, 850.0, 230.0)
    intensity_cv: float = 0.03
    bias_field: float = 0.15
    noise: float = 0.03
    skull: bool = False
    resolution_mm: float = 1.0
    quadrature_mm: float = 1.0


def strong_head() -> HeadSettings:
    """Return heads far from the template: 9 mm warps, ventricles up to half as large again, thinner cortex, a skull."""
    return HeadSettings(
        warp_mm=9.0,
        warp_scale_mm=40.0,
        ventricle_scale=(1.3, 1.5),
        thinning_mm=0.7,
        bias_field=0.25,
        noise=0.05,
        intensity_cv=0.06,
        skull=True,
    )


@dataclass(frozen=True)
class TrialSettings:
    """A whole two-arm (or more) trial.

    Parameters
    ----------
    participants, scanned
        Enrolled, and how many of them are in the scanned sub-study.
    visits
        Session labels in order; the first is the baseline.
    regions
        voi labels; names of :data:`REGIONS` unless ``region_table`` has them.
    region_table
        Definition of further regions by label.
    arms
        Arm labels; the first is the reference.
    effects
        Relative change caused by every other arm at the last visit, by basis name, ``"Glu"`` in all regions or
        ``"Glu@acc"`` in one. Visits between have their share in proportion.
    seed
        Seed of everything random.
    vendor
        Format of the spectroscopy files: Philips SDAT/SPAR, Siemens RDA, Siemens TWIX or NIfTI-MRS. One per trial, so
        that one basis serves.
    transients
        Write single transients (and, where the format has them, coils) instead of averages. TWIX always has them; RDA
        never has.
    t1w_format
        T1w as NIfTI file or as a DICOM series.
    halved_first_point
        Store the first point halved; ``None``: as the vendor does (Philips SDAT yes, Siemens RDA no).
    broken_scan
        Truncate exactly one metabolite file, as an interrupted export does.
    failed_scans
        Probability that a scan is bad in another way, drawn from ``failure_kinds``: ``"linewidth"`` (shim four times as
        wide), ``"motion"`` (broad and a fifth of the SNR), ``"lipid"`` (scalp signal), ``"no-water"`` (no water file),
        ``"empty"`` (metabolite file of 0 bytes).
    failure_kinds
        What may go wrong.
    segmented_t1w
        How many participants get a T1w at every visit; the others are listed in ``tissue.tsv``.
    spectrum
        Physics common to all scans; its concentrations are the population means in grey and white matter.
    region_factor
        Concentration relative to ``spectrum`` by ``"name@region"``.
    between_cv
        Between-person coefficient of variation by basis name; 0.25 where absent.
    within_cv
        Coefficient of variation of one person between visits, for every metabolite.
    region_correlation
        Correlation of a person's deviation between regions.
    head
        Heads.
    drop_out
        Probability that a scanned participant has no visit after the baseline.
    missed_scan
        Probability that a single region is not scanned at a visit.
    placebo_pain_change, arm_pain_change
        Mean change of pain (0-10) in the reference arm and the further change in the others.
    ema_days
        Days of daily pain ratings after the first dose.
    visit_days
        Planned day of each visit; ``None``: evenly spread over ``ema_days``.
    visit_jitter_days
        SD of the actual day of follow-up visits.
    clinical_outcomes
        Also plan the clinical tables as outcomes in study.toml.
    """

    participants: int = 48
    scanned: int = 24
    visits: tuple[str, ...] = ("baseline", "week12")
    regions: tuple[str, ...] = ("acc", "insula")
    region_table: Mapping[str, Region] = field(default_factory=dict)
    arms: tuple[str, ...] = ("placebo", "ldn")
    effects: Mapping[str, float] = field(default_factory=lambda: {"Glu": -0.12})
    seed: int = 1
    vendor: Literal["philips", "siemens", "siemens-twix", "nifti-mrs"] = "philips"
    transients: Transients | None = None
    t1w_format: Literal["nifti", "dicom"] = "nifti"
    halved_first_point: bool | None = None
    broken_scan: bool = True
    failed_scans: float = 0.0
    failure_kinds: tuple[str, ...] = ("linewidth", "motion", "lipid", "no-water", "empty")
    segmented_t1w: int = 1
    spectrum: SpectrumSettings = field(default_factory=SpectrumSettings)
    region_factor: Mapping[str, float] = field(default_factory=dict)
    between_cv: Mapping[str, float] = field(default_factory=typical_between_cv)
    within_cv: float = 0.04
    region_correlation: float = 0.6
    head: HeadSettings = field(default_factory=HeadSettings)
    drop_out: float = 0.0
    missed_scan: float = 0.0
    placebo_pain_change: float = -0.9
    arm_pain_change: float = -0.3
    ema_days: int = 84
    visit_days: tuple[int, ...] | None = None
    visit_jitter_days: float = 3.0
    clinical_outcomes: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.scanned <= self.participants:
            raise ValueError(f"scanned ({self.scanned}) must be between 1 and participants ({self.participants})")
        if len(self.arms) < 1 or len(set(self.arms)) != len(self.arms):
            raise ValueError(f"arms must be distinct: {self.arms}")
        strange = [key for key in self.effects if key.partition("@")[0] not in self.spectrum.concentrations]
        if strange:
            raise ValueError(f"effects on metabolites that are not simulated: {strange}")
        if self.visit_days is not None and len(self.visit_days) != len(self.visits):
            raise ValueError("visit_days needs one day per visit")
        if self.transients is not None and self.vendor == "siemens":
            raise ValueError("RDA files hold averages; choose siemens-twix for single transients")
        if self.transients is not None and self.vendor == "philips" and self.transients.coils > 1:
            raise ValueError("SDAT files hold combined coils; set transients.coils = 1")
        wrong = set(self.failure_kinds) - {"linewidth", "motion", "lipid", "no-water", "empty"}
        if wrong:
            raise ValueError(f"unknown failure_kinds: {sorted(wrong)}")
        unknown = [name for name in self.regions if name not in self.region_table and name not in REGIONS]
        if unknown:
            raise ValueError(f"unknown regions {unknown}; known: {sorted(REGIONS)}; define others in region_table")

    @property
    def days(self) -> tuple[int, ...]:
        """Planned day of each visit."""
        if self.visit_days is not None:
            return self.visit_days
        steps = max(1, len(self.visits) - 1)
        return tuple(round(self.ema_days * i / steps) for i in range(len(self.visits)))

    def region(self, name: str) -> Region:
        """Return a region's definition."""
        return self.region_table.get(name) or REGIONS[name]
