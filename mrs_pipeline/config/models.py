"""The settings of a study as frozen models: every key of study.toml, its default, unit and meaning.

The names are a contract (docs/architecture.md). Time is in seconds, chemical shift in ppm, angles in degrees.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.config import JsonDict


def _f(default: Any, description: str, unit: str | None = None, **limits: float) -> Any:  # noqa: ANN401  a field takes any default
    """Declare a field with its meaning and unit."""
    extra: JsonDict | None = {"unit": unit} if unit else None
    bounds: dict[str, Any] = dict(limits)
    return Field(default, description=description, json_schema_extra=extra, **bounds)


class Section(BaseModel):
    """Base of every settings section: frozen, and unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True)


class StudySection(Section):
    """Names of the study, its visits and regions."""

    name: str = _f("study", "Name of the study, as printed in reports.")
    visits: tuple[str, ...] = _f(("baseline", "week12"), "BIDS session labels in order; the first is the baseline.")
    regions: tuple[str, ...] = _f((), "voi labels to analyse; empty: all found.")


class ProtocolTolerance(Section):
    """How far a scan may deviate from the protocol before it is flagged."""

    echo_time: float = _f(0.001, "Allowed difference of the echo time.", "s", ge=0)
    repetition_time: float = _f(0.05, "Allowed difference of the repetition time.", "s", ge=0)
    voxel_size_mm: float = _f(0.5, "Allowed difference of each voxel edge.", "mm", ge=0)
    transients: int = _f(0, "Allowed difference of the number of transients.", ge=0)
    field_mhz: float = _f(1.5, "Allowed difference of the carrier frequency.", "MHz", ge=0)


class ProtocolFields(Section):
    """What a scan should be; empty fields are not checked."""

    sequence: str | None = _f(None, "Sequence name: press, slaser, steam, ...")
    echo_time: float | None = _f(None, "Echo time.", "s", gt=0)
    repetition_time: float | None = _f(None, "Repetition time.", "s", gt=0)
    voxel_size_mm: tuple[float, float, float] | None = _f(None, "Voxel edges.", "mm")
    transients: int | None = _f(None, "Number of transients.", gt=0)
    field_mhz: float | None = _f(None, "Carrier frequency.", "MHz", gt=0)
    manufacturer: str | None = _f(None, "Manufacturer as in the sidecar.")


class ProtocolSection(ProtocolFields):
    """The scanning protocol, with exceptions per region and tolerances."""

    tolerance: ProtocolTolerance = _f(ProtocolTolerance(), "Allowed deviations.")
    regions: dict[str, ProtocolFields] = _f({}, "Per voi label: the fields that differ there.")


class ConvertScan(Section):
    """One rule that tells which scanner files are what."""

    pattern: str = _f(
        ...,
        "Glob, or regular expression with named groups participant, visit, region, on the path below SCANNER_DIR.",
    )
    role: Literal["svs", "mrsref", "T1w"] = _f(..., "What the matching files are.")
    participant: str | None = _f(None, "Participant label where the pattern does not give it.")
    visit: str | None = _f(None, "Session label where the pattern does not give it.")
    region: str | None = _f(None, "voi label where the pattern does not give it.")
    reference: Literal["conc", "ecc", "both"] = _f("both", "What a water scan is for.")
    acq: str | None = _f(None, "BIDS acq label.")
    nucleus: str = _f("1H", "Resonant nucleus; another than 1H is written as the BIDS nuc label.")
    body_part: str = _f("BRAIN", "BIDS BodyPart, required with a voi label.")
    conjugate: bool = _f(False, "Conjugate the data: for files whose spectrum is mirrored about water.")
    echo_time: float | None = _f(None, "Echo time for files that do not state it.", "s", gt=0)
    repetition_time: float | None = _f(None, "Repetition time for files that do not state it.", "s", gt=0)
    reference_ppm: float | None = _f(None, "Chemical shift at the carrier for files that do not state it.", "ppm")
    spectral_width: float | None = _f(None, "Spectral width for LCModel RAW files without a control file.", "Hz", gt=0)
    carrier_mhz: float | None = _f(None, "Carrier frequency for LCModel RAW files without a control file.", "MHz", gt=0)


class ConvertSection(Section):
    """Rules from scanner files to BIDS."""

    scans: tuple[ConvertScan, ...] = _f((), "Rules, tried in order; the first that matches a file decides.")
    visits: dict[str, str] = _f({}, "Visit names in file names mapped to session labels.")


class BasisSection(Section):
    """Where the metabolite signals come from."""

    source: str = _f("simulate", "simulate, or the path of a .basis file, an FSL json folder, or a cached set.")
    sequence: Literal["press", "steam", "slaser", "special", "mega-press", "pulse-acquire"] | None = _f(
        None, "Sequence to simulate; empty: taken from the scan's sidecar, PRESS when that is silent."
    )
    pulses: Literal["auto", "ideal", "shaped"] = _f(
        "auto",
        "Pulses of the simulation; auto: shaped for a scanner's (MEGA-)PRESS at 2.9 T and above, whose narrow "
        "refocusing pulses change the multiplets, ideal otherwise and for data that state no manufacturer.",
    )
    te1: float | None = _f(
        None,
        "First echo period of PRESS; empty: 40 % of TE, 14 ms at least and half of TE at most, said in the report.",
        "s",
        gt=0,
    )
    te2: float | None = _f(None, "Second echo period of PRESS.", "s", gt=0)
    tm: float | None = _f(None, "Mixing time of STEAM.", "s", gt=0)
    edit_target: str | None = _f(None, "What an edited scan targets (GABA, GSH, ...); empty: as the scan states.")
    edit_on_ppm: float | None = _f(None, "Editing pulse of the edited condition; empty: as stated.", "ppm")
    edit_off_ppm: float | None = _f(None, "Editing pulse of the other condition; empty: as stated.", "ppm")
    edit_duration: float | None = _f(None, "Length of the Gaussian editing pulse; empty: as stated.", "s", gt=0, lt=0.1)
    exclude: tuple[str, ...] = _f((), "Metabolites of the default set to leave out.")
    include: tuple[str, ...] = _f((), "Metabolites to add to the default set.")
    allow_te_mismatch: bool = _f(False, "Fit with a basis of another TE; every number and the report are then marked.")


class Step(Section):
    """A preprocessing step."""

    enabled: bool = _f(True, "Whether the step runs.")


class CoilStep(Step):
    """Coil combination."""

    method: Literal["wsvd", "svd", "snr2"] = _f(
        "wsvd", "Whitened SVD, plain SVD, or weights by signal over noise squared."
    )
    noise_tail: float = _f(0.1, "Share of the FID's end that gives the noise covariance.", gt=0, lt=1)


class OutlierStep(Step):
    """Removal of corrupted transients."""

    ppm: tuple[float, float] = _f((0.2, 4.2), "Window of the distance.", "ppm")
    threshold: float = _f(4.0, "Robust standard deviations from the median spectrum.", gt=0)
    max_share: float = _f(0.3, "Largest share of transients that may be dropped.", ge=0, lt=1)


class AlignStep(Step):
    """Frequency and phase alignment of transients."""

    method: Literal["robust", "spectral-registration"] = _f("robust", "Estimator.")
    ppm: tuple[float, float] = _f((1.8, 4.2), "Window of the robust estimator.", "ppm")
    max_shift_hz: float = _f(30.0, "Largest shift searched.", "Hz", gt=0)


class AverageStep(Step):
    """Averaging of transients."""

    weighted: bool = _f(False, "Weight transients by their similarity to the median.")


class EddyStep(Step):
    """Eddy-current correction with the water scan (Klose)."""


class WaterStep(Step):
    """Removal of residual water by HLSVD."""

    ppm: tuple[float, float] = _f((4.2, 5.1), "Lines removed lie in this window.", "ppm")
    components: int = _f(20, "Number of damped sinusoids.", ge=1, le=100)


class PhaseStep(Step):
    """Zero-order phase."""


class ReferenceStep(Step):
    """Frequency reference from tCr, tCho and NAA."""

    max_shift_ppm: float = _f(0.3, "Largest shift searched.", "ppm", gt=0)


class PreprocessSection(Section):
    """Preprocessing in the consensus order (Near 2021, doi:10.1002/nbm.4257); each step can be off."""

    coil_combination: CoilStep = _f(CoilStep(), "Combination of receiver coils.")
    outliers: OutlierStep = _f(OutlierStep(), "Removal of corrupted transients.")
    alignment: AlignStep = _f(AlignStep(), "Frequency and phase alignment.")
    averaging: AverageStep = _f(AverageStep(), "Averaging.")
    eddy_current: EddyStep = _f(EddyStep(), "Eddy-current correction.")
    water_removal: WaterStep = _f(WaterStep(), "Residual-water removal.")
    phase: PhaseStep = _f(PhaseStep(), "Zero-order phase.")
    reference: ReferenceStep = _f(ReferenceStep(), "Frequency reference.")


class FitSection(Section):
    """The fit: a linear combination of basis signals, or a sum of peaks."""

    model: Literal["basis", "peaks"] = _f(
        "basis", "Basis signals with a baseline, or a sum of peaks for phantoms, long TE and other nuclei than 1H."
    )
    peaks: str = _f("1h-long-te", "Table of the peak model: 1h-long-te, 1h-phantom, 31p-brain, a TOML or a TSV file.")
    ppm: tuple[float, float] = _f((0.5, 4.0), "Fitted range.", "ppm")
    baseline: Literal["auto", "none"] | Annotated[float, Field(gt=0)] = _f(
        "auto", "Effective baseline dimensions per ppm, or auto: found by the criterion."
    )
    macromolecules: Literal["auto", "parametric", "basis", "measured", "none"] = _f(
        "auto",
        "Macromolecules: peaks with soft ratios, those of the basis set, a measured file, or none. "
        "auto: one whole macromolecule spectrum in the basis set is used, else peaks.",
    )
    macromolecule_file: str | None = _f(None, "Measured macromolecule spectrum (NIfTI-MRS or .basis) for 'measured'.")
    lineshape: Literal["auto", "gaussian", "lorentzian", "voigt", "asymmetric"] = _f("auto", "Common lineshape.")
    first_order_phase: bool = _f(True, "Fit a first-order phase under its prior.")
    priors: str = _f("default", "Named prior set (config/presets/priors.toml) or a TOML file.")
    joint_visits: bool = _f(False, "Also fit a participant's visits jointly, as a declared sensitivity analysis.")
    second_engine: Literal["none", "lcmodel"] = _f(
        "none", "Second engine for cross-checking; lcmodel: an installed LCModel, the command lcmodel on the PATH."
    )
    posterior: Literal["none", "emcee", "bootstrap"] = _f(
        "none", "Optional sampling of the uncertainty: Markov chains, or refits of the fitted model with new noise."
    )
    posterior_draws: int | None = _f(None, "Draws; empty: 2000 with emcee, 200 with bootstrap.", ge=20)
    posterior_seed: int = _f(20260101, "Seed of the draws.", ge=0, lt=2**32)

    @model_validator(mode="after")
    def _peaks_stand_alone(self) -> FitSection:
        """Refuse with the peak model what only a fit of basis signals can do."""
        if self.model == "peaks":
            for key, off in (("second_engine", "none"), ("joint_visits", False), ("posterior", "none")):
                if getattr(self, key) != off:
                    raise ValueError(f'{key} belongs to model = "basis": leave it out with model = "peaks"')
        return self


class ExpectedPlace(Section):
    """Where a region's voxel should lie."""

    mni: tuple[float, float, float] = _f(..., "Expected centre in MNI152 space (RAS).", "mm")
    tolerance_mm: float = _f(25.0, "Allowed distance of the voxel centre.", "mm", gt=0)


class TissueSection(Section):
    """Tissue fractions of the voxel."""

    source: Literal["segment", "derivatives", "fsl", "spm", "table", "none"] = _f(
        "segment",
        "Where the fractions come from: our segmentation, existing maps, an installed FSL (FAST) or SPM12, a table.",
    )
    table: str = _f("tissue.tsv", "Table with participant_id, session, voi, GM, WM, CSF for source = 'table'.")
    derivatives: str | None = _f(None, "BIDS derivatives folder for source = 'derivatives'.")
    resolution_mm: float = _f(1.0, "Voxel size of the segmentation.", "mm", gt=0)
    chemical_shift_mm: tuple[float, float, float] | None = _f(
        None, "Displacement of the box per ppm along the voxel's own axes.", "mm/ppm"
    )
    expected: dict[str, ExpectedPlace] = _f({}, "Per voi label: where the voxel should lie.")

    @property
    def needs_t1w(self) -> bool:
        """Whether the fractions come from maps of a T1w image; a table and ``none`` do without."""
        return self.source in {"segment", "derivatives", "fsl", "spm"}


class QuantifySection(Section):
    """From amplitudes to concentrations."""

    preset: str = _f("default", "Named set of constants: default, osprey, spant, fsl-mrs, gannet, lcmodel, phantom.")
    units: tuple[Literal["ratio", "molal", "molar"], ...] = _f(
        ("ratio", "molal", "molar"), "Units reported; institutional units and the corrections are always."
    )
    overrides: dict[str, float | dict[str, float]] = _f(
        {}, "Single constants in seconds and fractions: water_t1_gm, water_t2_wm, metabolite_t2.Glu, ..."
    )
    alpha: dict[str, float] = _f({}, "White-to-grey concentration ratio per metabolite for the alpha correction.")
    alpha_means: tuple[float, float] | None = _f(
        None, "Fixed mean GM and WM fractions of the baseline group, for the group-normalised alpha correction."
    )
    water_scale: float | None = _f(
        None, "Factor that brings the water signal to the metabolite scan's scale; empty: from both ReceiveGain.", gt=0
    )
    age_dependence: bool = _f(False, "Use published age dependence of relaxation where there is one.")


class QcSection(Section):
    """Quality rules."""

    rules: str = _f("default", "Named rule set or a TOML file.")


class AnalysisOutcome(Section):
    """One clinical outcome column of a phenotype table."""

    name: str = _f(..., "Name as printed.")
    table: str = _f(..., "File below phenotype/, for example fiqr.tsv.")
    column: str = _f(..., "Column with the value.")
    window_days: tuple[float, float] | None = _f(
        None, "Days around the visit that count; for daily ratings their mean."
    )
    direction: Literal["lower-is-better", "higher-is-better"] = _f("lower-is-better", "Which change is improvement.")
    responder_thresholds: tuple[float, ...] = _f((), "Relative improvements that make a responder, as fractions.")
    log_transform: bool = _f(False, "Analyse the logarithm (cytokines).")
    lower_limit: float | None = _f(None, "Lower limit of quantification; values below enter as limit/sqrt(2).")


class Estimand(Section):
    """What the comparison estimates (ICH E9 R1)."""

    population: str = _f("all randomised participants scanned at baseline", "Population.")
    intercurrent_events: str = _f("treatment policy", "Strategy for intercurrent events.")


class AnalysisSection(Section):
    """The statistical plan of the arm comparison."""

    design: Literal["parallel", "single-arm", "crossover"] = _f("parallel", "Trial design.")
    primary: tuple[tuple[str, str], ...] = _f((), "Pairs of [metabolite, voi]; empty: everything is exploratory.")
    unit: Literal["ratio", "molal", "molar", "iu", "csf_only", "alpha_corrected", "alpha_normalised"] = _f(
        "molal", "Unit of the primary analysis."
    )
    primary_visit: str | None = _f(None, "Session compared with baseline; empty: the last of [study] visits.")
    covariates: tuple[str, ...] = _f((), "Columns of participants.tsv, or f_gm, snr, fwhm_hz, in the model.")
    strata: tuple[str, ...] = _f((), "Stratification columns of the allocation file, always in the model.")
    estimand: Estimand = _f(Estimand(), "Population and intercurrent events.")
    visit_window_days: float | None = _f(None, "Allowed deviation of a visit from its day, for per-protocol.", "day")
    missing: Literal["complete-case", "constrained-lda", "multiple-imputation"] = _f(
        "complete-case", "Handling of missing visits in the primary analysis."
    )
    per_protocol: bool = _f(False, "Also analyse the per-protocol set.")
    min_scans_per_arm: int = _f(5, "Fewer scans per arm give descriptive numbers only.", ge=2)
    alpha: float = _f(0.05, "Two-sided significance level.", gt=0, lt=1)
    multiplicity: Literal["holm", "bonferroni", "none"] = _f("holm", "Adjustment within the primary family.")
    seed: int = _f(20260101, "Seed of every random procedure.", ge=0)
    outcome: tuple[AnalysisOutcome, ...] = _f((), "Clinical outcomes.")


class Study(Section):
    """A whole study.toml."""

    study: StudySection = _f(StudySection(), "Study, visits, regions.")
    protocol: ProtocolSection = _f(ProtocolSection(), "What each scan should be.")
    convert: ConvertSection = _f(ConvertSection(), "Scanner files to BIDS.")
    basis: BasisSection = _f(BasisSection(), "Metabolite signals.")
    preprocess: PreprocessSection = _f(PreprocessSection(), "Preprocessing.")
    fit: FitSection = _f(FitSection(), "Fit.")
    tissue: TissueSection = _f(TissueSection(), "Tissue fractions.")
    quantify: QuantifySection = _f(QuantifySection(), "Concentrations.")
    qc: QcSection = _f(QcSection(), "Quality rules.")
    analysis: AnalysisSection = _f(AnalysisSection(), "Arm comparison.")
