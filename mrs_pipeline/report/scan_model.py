"""What a scan's report shows, as plain frozen values.

Nothing here depends on another room: the interfaces fill these from the objects of the rooms, so that a report can be
made from files alone. No value may be an absolute path, a date, a host name or an arm.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

FloatArray: TypeAlias = npt.NDArray[np.float64]
AnyArray: TypeAlias = npt.NDArray[Any]
Status: TypeAlias = Literal["pass", "warn", "fail"]


@dataclass(frozen=True)
class Identity:
    """Which scan this is; absent entities are ``None``."""

    participant_id: str
    session: str | None = None
    voi: str | None = None
    acq: str | None = None
    run: str | None = None
    task: str | None = None
    study: str = ""

    @property
    def key(self) -> str:
        """Return the scan's name, for example ``sub-01_ses-bl_voi-acc``."""
        parts = (("ses", self.session), ("acq", self.acq), ("voi", self.voi), ("task", self.task), ("run", self.run))
        return "_".join([self.participant_id, *(f"{name}-{value}" for name, value in parts if value)])


@dataclass(frozen=True)
class FiredRule:
    """A quality rule that spoke: what it says, on which metric (in words), value and limit, with their unit."""

    name: str
    status: Status
    words: str
    value: float | None = None
    limit: float | None = None
    unit: str = ""


@dataclass(frozen=True)
class VerdictView:
    """The verdict on a scan; ``not_checked`` says each measure that was missing, once."""

    status: Status
    fired: tuple[FiredRule, ...] = ()
    not_checked: tuple[str, ...] = ()


@dataclass(frozen=True)
class ProtocolCheck:
    """One line of the protocol: planned, found, and whether that is within tolerance (``None``: not stated)."""

    name: str
    planned: object
    found: object
    within: bool | None
    unit: str = ""


@dataclass(frozen=True, eq=False)
class FitView:
    """A fit as drawn.

    Parameters
    ----------
    ppm
        Chemical shifts of the fitted window in ppm, shape ``(n,)``, any order.
    data, model, baseline, residual
        Real or complex spectra, shape ``(n,)``; the real part is drawn. ``model`` includes the baseline.
    components
        Spectrum of each basis signal without baseline, shape ``(n,)`` each, in the order drawn.
    noise_sd
        Standard deviation of the noise of the real part, in the unit of ``data``.
    status, flags, notes
        As the fit gives them.
    landmarks
        Peaks named in the figure, name to ppm; ``None``: the singlets of 1H spectra.
    """

    ppm: FloatArray
    data: AnyArray
    model: AnyArray
    baseline: AnyArray
    residual: AnyArray
    components: Mapping[str, AnyArray] = field(default_factory=dict)
    noise_sd: float | None = None
    status: str = "ok"
    flags: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    landmarks: Mapping[str, float] | None = None


@dataclass(frozen=True)
class Metric:
    """A quality metric with the limit it is judged by and the definition used."""

    name: str
    value: float | None
    unit: str = ""
    limit: str = ""
    definition: str = ""
    status: Status | None = None
    key: bool = False
    """Whether it stands on the first screen."""


@dataclass(frozen=True)
class StepView:
    """A preprocessing step: whether it ran and why (not)."""

    name: str
    applied: bool
    reason: str = ""
    method: str = ""
    parameters: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class StepPair:
    """Real or complex spectra before and after a step, shape ``(n,)`` each, on one ppm axis."""

    step: str
    ppm: FloatArray
    before: AnyArray
    after: AnyArray


@dataclass(frozen=True, eq=False)
class TransientsView:
    """Single transients.

    Parameters
    ----------
    kept
        One flag a transient, shape ``(n,)``.
    drift_hz, drift_deg
        Offset of each transient from the median of the kept ones in Hz and degrees, shape ``(n,)``, NaN where dropped.
    ppm
        Axis of the spectra in ppm, shape ``(p,)``.
    before, after
        Transients before and after alignment, real or complex, shape ``(n, p)``.
    """

    kept: npt.NDArray[np.bool_]
    drift_hz: FloatArray | None = None
    drift_deg: FloatArray | None = None
    ppm: FloatArray | None = None
    before: AnyArray | None = None
    after: AnyArray | None = None


@dataclass(frozen=True, eq=False)
class VoxelView:
    """The voxel on the T1w image.

    Parameters
    ----------
    t1w
        Image intensities, shape ``(i, j, k)``.
    t1w_affine
        Index to scanner millimetres (RAS+), shape ``(4, 4)``.
    voxel_affine
        The NIfTI-MRS affine: columns are the box's edges in mm, the last column its centre, shape ``(4, 4)``.
    """

    t1w: AnyArray
    t1w_affine: FloatArray
    voxel_affine: FloatArray


@dataclass(frozen=True)
class TissueView:
    """Volume fractions of the voxel, their source and what may be wrong with them."""

    gm: float
    wm: float
    csf: float
    sd: float | None = None
    source: str = ""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class VisitView:
    """Another visit of the same participant and region: how the voxel was placed again, and what changed.

    Parameters
    ----------
    session
        Label of the other visit.
    overlap_dice, shift_mm, angle_deg
        Dice overlap of the two boxes, distance of their centres, and rotation between them; ``None`` where not known.
    changes
        Rows with ``metabolite``, ``unit``, ``change``, ``minimal_detectable_change``.
    tissue_change
        GM, WM, CSF fractions of the scan of this report minus those at the other visit.
    """

    session: str
    overlap_dice: float | None = None
    shift_mm: float | None = None
    changes: tuple[Mapping[str, object], ...] = ()
    angle_deg: float | None = None
    tissue_change: tuple[float, float, float] | None = None


@dataclass(frozen=True)
class PosteriorView:
    """Sampled uncertainty of the ratios to total creatine.

    Parameters
    ----------
    heading
        Heading of the column, for example ``95 % bootstrap``.
    intervals
        Lower and upper limit by metabolite, named as in the concentrations.
    words
        How the intervals were made, one sentence.
    """

    heading: str
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    words: str = ""


@dataclass(frozen=True)
class AgreementView:
    """The same spectrum fitted by a second engine.

    Parameters
    ----------
    engine
        Name and version as the engine states them.
    rows
        Rows with the columns of ``desc-lcmodel_mrs.tsv``; empty when the engine gave no result.
    facts
        What the engine says of its own fit: label to value.
    problem
        Why there is no result; empty when there is one.
    """

    engine: str
    rows: tuple[Mapping[str, object], ...] = ()
    facts: Mapping[str, object] = field(default_factory=dict)
    problem: str = ""


@dataclass(frozen=True)
class Reference:
    """A published source of a method or constant."""

    text: str
    doi: str = ""


@dataclass(frozen=True)
class ErrorView:
    """What stopped a stage: problem, remedy, and the folded details for whoever mends it."""

    stage: str
    problem: str
    remedy: str = ""
    file: str = ""
    details: str = ""


@dataclass(frozen=True, eq=False)
class EditedView:
    """Difference or sum spectrum of an edited scan.

    Parameters
    ----------
    fit
        As drawn; ``None`` where it could not be fitted.
    rows
        Rows with the columns of ``concentrations.tsv``.
    problem
        Why there is no fit; empty where there is one.
    facts
        What was simulated: label to value.
    """

    fit: FitView | None = None
    rows: tuple[Mapping[str, object], ...] = ()
    problem: str = ""
    facts: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class ScanReport:
    """Everything a scan's report shows; a failed scan simply has less.

    Parameters
    ----------
    identity
        Which scan.
    verdict
        The quality verdict; ``None`` when the scan failed before it could be judged.
    protocol
        The protocol, line by line; empty when the study states none.
    fit
        The fit as drawn, or ``None``.
    concentrations
        Rows with the columns of ``concentrations.tsv``.
    primary
        Metabolites that stand on the first screen, in order.
    posterior
        Sampled intervals of the ratios, or ``None`` when nothing was sampled.
    difference, sum
        On minus off and on plus off of an edited scan.
    agreement
        The second engine's results, or ``None`` when there is no second engine.
    metrics
        Quality metrics.
    steps, pairs, transients
        Preprocessing: the record, before/after spectra, single transients.
    voxel, tissue, visits
        Placement, tissue fractions, and the other visits of the same region.
    basis, quantification
        What the basis set is, and which constants were used: label to value.
    provenance
        Versions, settings hash, sources with hashes: label to value.
    warnings
        Sentences, shown on the first screen.
    errors
        What went wrong.
    methods, references
        Sentences of the methods text, and their sources.
    """

    identity: Identity
    verdict: VerdictView | None = None
    protocol: tuple[ProtocolCheck, ...] = ()
    fit: FitView | None = None
    concentrations: tuple[Mapping[str, object], ...] = ()
    primary: tuple[str, ...] = ("tNAA", "tCr", "tCho", "mI", "Glx", "Glu", "Gln", "GABA", "GSH")
    posterior: PosteriorView | None = None
    agreement: AgreementView | None = None
    difference: EditedView | None = None
    sum: EditedView | None = None
    metrics: tuple[Metric, ...] = ()
    steps: tuple[StepView, ...] = ()
    pairs: tuple[StepPair, ...] = ()
    transients: TransientsView | None = None
    voxel: VoxelView | None = None
    tissue: TissueView | None = None
    visits: tuple[VisitView, ...] = ()
    basis: Mapping[str, object] = field(default_factory=dict)
    quantification: Mapping[str, object] = field(default_factory=dict)
    provenance: Mapping[str, object] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    errors: tuple[ErrorView, ...] = ()
    methods: tuple[str, ...] = ()
    references: tuple[Reference, ...] = ()
