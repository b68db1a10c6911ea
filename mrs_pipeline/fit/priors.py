"""Prior knowledge of the fit, read from a preset and laid out for one basis."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mrs_pipeline.config import read_preset
from mrs_pipeline.errors import StudyError
from mrs_pipeline.fit.priors_check import HELP, check_table
from mrs_pipeline.spectrum import FloatArray

SHAPES = ("near", "asymmetric")
"""Priors of the non-parametric lineshape: close to a Voigt line, and far from it."""


@dataclass(frozen=True)
class Peak:
    """One Gaussian peak of the macromolecule or lipid background.

    Parameters
    ----------
    name
        Component name.
    ppm, width
        Centre and full width at half maximum in ppm.
    ratio, sd
        Area relative to the family's reference peak: prior mean and standard deviation.
    shift_sd_ppm
        Prior SD of its own shift; ``None`` for the family's.
    """

    name: str
    ppm: float
    width: float
    ratio: float
    sd: float
    shift_sd_ppm: float | None = None

    @property
    def certain(self) -> bool:
        """Whether the peak is surely there, so that others can be measured by it."""
        return self.sd < self.ratio


@dataclass(frozen=True)
class PeakFamily:
    """Peaks that share a lineshape group, a shift and soft ratios to one reference peak."""

    reference: str
    protons: float
    shift_sd_ppm: float
    width_sd: float
    peaks: tuple[Peak, ...]

    def within(self, low: float, high: float) -> PeakFamily:
        r"""Keep the peaks that a window shows; none where less than :data:`SEEN_SHARE` of the area is left.

        Notes
        -----
        Ratios to a reference that is not seen say nothing, so the largest certain peak left takes its place:
        :math:`r_i' = r_i/r_0` with :math:`(s_i'/r_i')^2 = (s_i/r_i)^2 + (s_0/r_0)^2`.
        """
        kept = tuple(peak for peak in self.peaks if low - MARGIN_PPM <= peak.ppm <= high + MARGIN_PPM)
        if len(kept) == len(self.peaks):
            return self
        if sum(peak.ratio for peak in kept) < SEEN_SHARE * sum(peak.ratio for peak in self.peaks):
            return replace(self, peaks=())
        if self.reference in {peak.name for peak in kept}:
            return replace(self, peaks=kept)
        first = max(kept, key=lambda peak: (peak.certain, peak.ratio))
        return replace(self, reference=first.name, peaks=tuple(_over(peak, first) for peak in kept))

    def own_shift_sd(self, name: str) -> float:
        """Prior SD in ppm of the own shift of one peak, by name."""
        own = next((peak.shift_sd_ppm for peak in self.peaks if peak.name == name), None)
        return self.shift_sd_ppm if own is None else own


PROTON_MHZ_PER_T = 42.577478
MARGIN_PPM = 0.15
"""How far outside a window a background peak may stand and still be seen: about its width."""
SEEN_SHARE = 0.2
"""Share of a family's area inside a window from which it is fitted."""


def _over(peak: Peak, first: Peak) -> Peak:
    """Express the ratio of a peak relative to another one of its family."""
    if peak is first:
        return replace(peak, ratio=1.0, sd=0.0)
    ratio = peak.ratio / first.ratio
    return replace(peak, ratio=ratio, sd=ratio * float(np.hypot(peak.sd / peak.ratio, first.sd / first.ratio)))


@dataclass(frozen=True)
class LineshapePrior:
    """How far the common line may be from a Voigt line: SD of its phase and of the logarithm of its envelope.

    Parameters
    ----------
    phase_early_rad, envelope_early
        From the echo top on: eddy currents.
    phase_late_rad, envelope_late
        From ``reach_s`` on: the distribution of the field in the voxel.
    reach_s
        Time at which the late SDs are reached, seconds.
    """

    phase_early_rad: float
    phase_late_rad: float
    envelope_early: float
    envelope_late: float
    reach_s: float


@dataclass(frozen=True)
class WidthPrior:
    """Lorentzian widths of the metabolites at one field.

    Parameters
    ----------
    field_t
        Field of the T2, tesla; ``None`` where a prior set does not say.
    t2, default_t2
        T2 of what is known and of the rest, seconds.
    relative_sd_of, relative_sd
        Relative SDs of what has one of its own and of the rest.
    """

    field_t: float | None
    t2: dict[str, float]
    default_t2: float
    relative_sd_of: dict[str, float]
    relative_sd: float

    def width(self, name: str) -> tuple[float, float]:
        r"""Prior mean and SD of the Lorentzian width :math:`1/(\pi T_2)` in Hz."""
        mean = 1.0 / (np.pi * self.t2.get(name, self.default_t2))
        return mean, self.relative_sd_of.get(name, self.relative_sd) * mean

    def off(self, field: float) -> float:
        """How far another field is, as the absolute logarithm of the ratio."""
        return abs(float(np.log(field / self.field_t))) if self.field_t else 0.0


@dataclass(frozen=True)
class Priors:
    """The prior knowledge of one fit (units as in the preset file)."""

    phase_zero_sd: float
    phase_first_sd: float
    pivot_ppm: float
    common_shift_sd: float
    shift_sd: dict[str, float]
    shift_default: float
    lineshape: dict[str, float]
    shapes: dict[str, LineshapePrior]
    width: WidthPrior
    fields: tuple[WidthPrior, ...]
    typical: dict[str, float]
    ratio_denominator: dict[str, float]
    ratios: dict[str, tuple[float, float]]
    macromolecules: PeakFamily
    lipids: PeakFamily
    basis_window_ppm: float
    basis_default: float
    basis_error: dict[str, float]

    def within(self, low: float, high: float) -> Priors:
        """Keep of the background what a window shows (ppm)."""
        families = {name: getattr(self, name).within(low, high) for name in ("macromolecules", "lipids")}
        return replace(self, **families)

    def metabolite_shift_sd(self, name: str) -> float:
        """Prior SD of a metabolite's own shift in ppm."""
        return self.shift_sd.get(name, self.shift_default)

    def at_field(self, carrier_mhz: float) -> Priors:
        """Take the widths of the nearest of the fields that are known."""
        field = carrier_mhz / PROTON_MHZ_PER_T
        return replace(self, width=min(self.fields, key=lambda width: width.off(field)))

    def field_note(self, carrier_mhz: float) -> tuple[str, ...]:
        """Say so where the T2 behind the widths are those of another field, by more than a fifth."""
        field = carrier_mhz / PROTON_MHZ_PER_T
        if self.width.field_t is None or abs(field / self.width.field_t - 1.0) < 0.2:
            return ()
        return (f"the widths are expected from T2 at {self.width.field_t:g} T, and the scan is one of {field:.1f} T",)

    def metabolite_width(self, name: str) -> tuple[float, float]:
        """Prior mean and SD of a metabolite's Lorentzian width in Hz."""
        return self.width.width(name)


def load_priors(name: str) -> Priors:
    """Read a prior set by preset name or TOML path.

    Raises
    ------
    StudyError
        Unknown preset, unreadable file, a key that is missing or unknown, or a number that cannot be.
    """
    table = read_preset("priors", name)
    try:
        check_table(name, table)
        return _from_table(table)
    except KeyError as error:
        raise StudyError(f"the prior set '{name}' lacks the key {error}", remedy=HELP) from error
    except (TypeError, ValueError, AttributeError) as error:
        raise StudyError(
            f"the prior set '{name}' cannot be used ({type(error).__name__}: {error})", remedy=HELP
        ) from error


def _from_table(table: dict[str, Any]) -> Priors:
    width, elsewhere = _width(table["width"]), table["width"].get("other", {})
    return Priors(
        phase_zero_sd=float(np.deg2rad(table["phase"]["zero_sd_deg"])),
        phase_first_sd=float(table["phase"]["first_sd_s"]),
        pivot_ppm=float(table["phase"]["pivot_ppm"]),
        common_shift_sd=float(table["shift"]["common_sd_ppm"]),
        shift_sd=dict(table["shift"].get("metabolite", {})),
        shift_default=float(table["shift"]["metabolite_sd_ppm"]),
        lineshape={key: value for key, value in table["lineshape"].items() if key not in SHAPES},
        shapes={name: LineshapePrior(**table["lineshape"][name]) for name in SHAPES},
        width=width,
        fields=(width, *(_width_elsewhere(width, float(field), other) for field, other in elsewhere.items())),
        typical=dict(table["start"]),
        ratio_denominator=dict(table["ratios"]["denominator"]),
        ratios={key: (float(mean), float(sd)) for key, (mean, sd) in table["ratios"]["value"].items()},
        macromolecules=_family(table["macromolecules"]),
        lipids=_family(table["lipids"]),
        basis_window_ppm=float(table["basis"]["window_ppm"]),
        basis_default=float(table["basis"]["default"]),
        basis_error=dict(table["basis"]["error"]),
    )


def _width(table: dict[str, Any]) -> WidthPrior:
    return WidthPrior(
        field_t=float(table["field_t"]) if "field_t" in table else None,
        t2=dict(table["t2"]),
        default_t2=float(table["default_t2"]),
        relative_sd_of=dict(table.get("relative_sd_of", {})),
        relative_sd=float(table["relative_sd"]),
    )


def _width_elsewhere(usual: WidthPrior, field_t: float, table: dict[str, Any]) -> WidthPrior:
    """Widths at another field: what is known there, and the T2 of the rest times ``scale``."""
    scale = float(table["scale"])
    return WidthPrior(
        field_t=field_t,
        t2={name: scale * t2 for name, t2 in usual.t2.items()} | table["t2"],
        default_t2=scale * usual.default_t2,
        relative_sd_of=dict(table.get("relative_sd_of", {})),
        relative_sd=float(table["relative_sd"]),
    )


def _family(table: dict[str, Any]) -> PeakFamily:
    return PeakFamily(
        reference=table["reference"],
        protons=float(table["reference_protons"]),
        shift_sd_ppm=float(table["shift_sd_ppm"]),
        width_sd=float(table["width_sd"]),
        peaks=tuple(Peak(**peak) for peak in table["peaks"]),
    )


def metabolite_ratio_rows(priors: Priors, names: tuple[str, ...], amplitudes: FloatArray) -> FloatArray:
    r"""Rows that hold weak metabolites near their usual share of the strong ones.

    Parameters
    ----------
    priors
        Prior set.
    names
        Component names, length K.
    amplitudes
        Current amplitudes, shape ``(K,)``; only their sum of strong metabolites sets the scale of the rows.

    Returns
    -------
    ndarray
        Rows ``(m, K)`` such that ``rows @ amplitudes`` has prior mean 0 and SD 1.

    Notes
    -----
    Row of metabolite j: :math:`(a_j - r_j D) / (s_j \hat D)`, :math:`D = \sum w_i a_i`, with the scale
    :math:`\hat D` held at its current value so that the rows stay linear.
    """
    weights = np.array([priors.ratio_denominator.get(name, 0.0) for name in names])
    scale = float(weights @ amplitudes)
    if not scale > 0:
        return np.zeros((0, len(names)))
    return _ratio_rows(names, priors.ratios, weights, scale)


def family_ratio_rows(family: PeakFamily, names: tuple[str, ...], scale: float) -> FloatArray:
    """Rows that hold the peaks of a family near their ratios to the reference peak, of rough amplitude ``scale``."""
    if family.reference not in names or not scale > 0:
        return np.zeros((0, len(names)))
    weights = np.array([1.0 if name == family.reference else 0.0 for name in names])
    wanted = {peak.name: (peak.ratio, peak.sd) for peak in family.peaks if peak.sd > 0}
    return _ratio_rows(names, wanted, weights, scale)


def _ratio_rows(
    names: tuple[str, ...], wanted: dict[str, tuple[float, float]], weights: FloatArray, scale: float
) -> FloatArray:
    rows = []
    for index, name in enumerate(names):
        if name in wanted:
            mean, sd = wanted[name]
            row = -mean * weights
            row[index] += 1.0
            rows.append(row / (sd * scale))
    return np.array(rows).reshape(-1, len(names))


STIFFEST_ROW = 1e4
"""Largest slope of a prior row per noise SD of an amplitude."""


def capped_rows(rows: FloatArray, design: FloatArray) -> FloatArray:
    """Hold rows on amplitudes that came out as next to nothing to a slope that arithmetic can carry.

    Parameters
    ----------
    rows
        Prior rows on the amplitudes, shape ``(m, K)``.
    design
        Whitened signals at unit amplitude, shape ``(K, n)``.

    Notes
    -----
    A ratio is weighed by the amplitude that it is relative to. Where that is far below its own noise the row would tie
    amplitudes to each other many orders closer than the data know them, and the normal equations be singular.
    """
    size = np.sqrt(np.sum(design**2, axis=1))
    slope = np.sqrt(np.sum((rows / np.where(size > 0, size, np.inf)) ** 2, axis=1, keepdims=True))
    return np.asarray(rows / np.maximum(slope / STIFFEST_ROW, 1.0))
