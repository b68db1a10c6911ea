"""How much a concentration moves under other conventions: presets, no tissue, CSF-only and alpha correction."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mrs_pipeline.anatomy import TissueFractions
from mrs_pipeline.config import preset_names
from mrs_pipeline.errors import MrsError
from mrs_pipeline.quantify.constants import PROTON_MHZ_PER_TESLA, Constants, load_constants
from mrs_pipeline.quantify.factors import evaluate, inputs
from mrs_pipeline.quantify.relaxation import ScanTiming
from mrs_pipeline.quantify.units import ALPHA, NOT_ASKED

Concentrate = Callable[[Mapping[str, float]], float]
"""Turns a factor per basis name into a concentration (the fit's weighted sum over the water amplitude)."""

EXAMPLES = (0.05, 0.30)
"""Fractions of CSF that stand for a voxel of unknown tissue: few voxels of a brain have less or more; own choice."""

CORRECTIONS = {"csf_only": "csf-only", "alpha_corrected": "alpha", "alpha_normalised": "alpha, group-normalised"}
"""Units that are the number by another correction, and what they are called here."""


@dataclass(frozen=True)
class Alternative:
    """One number another convention would have given.

    Parameters
    ----------
    metabolite, unit
        Which concentration; ``unit`` is that of the number it is compared with.
    variant
        ``preset:NAME``, ``no tissue correction``, ``csf-only``, ``alpha`` (grey-matter concentration), ``alpha,
        group-normalised``, or ``5 % CSF`` for a voxel of unknown tissue that held it.
    value
        mmol/kg or mmol/L.
    change
        Relative difference from the reported number.
    """

    metabolite: str
    unit: str
    variant: str
    value: float
    change: float


@dataclass(frozen=True)
class Setting:
    """What a number was made with, and what may be compared.

    Parameters
    ----------
    constants, tissue, timing
        As in the main number.
    missing
        Units that are not possible, with the reason.
    """

    constants: Constants
    tissue: TissueFractions | None
    timing: ScanTiming
    missing: Mapping[str, str]

    def allows(self, unit: str) -> bool:
        """Whether a unit is possible, asked for or not."""
        return self.missing.get(unit, NOT_ASKED) == NOT_ASKED

    @property
    def compared(self) -> tuple[str, ...]:
        """Units compared between presets: molal and molar, else institutional units."""
        return ("molal", "molar") if self.allows("molal") and self.allows("molar") else ("iu",)

    def others(self) -> dict[str, Constants]:
        """Return the shipped presets other than the one in use that give the units compared at this field."""
        found = {}
        for name in preset_names("relaxation"):
            try:
                other = load_constants(name, self.timing.carrier_mhz)
            except MrsError:
                continue
            apt = other.has_water_relaxation() or self.compared == ("iu",)
            if name != self.constants.preset and apt and not other.is_solution and not other.warnings:
                found[name] = other
        return found

    def notes(self, others: Mapping[str, Constants]) -> tuple[str, ...]:
        """Say what cannot be compared in this scan, and what stands for it."""
        found = []
        if not others:
            what = "a scale of water" if self.compared == ("iu",) else "tissue water"
            found.append(f"no other preset states {what} at {self.timing.carrier_mhz / PROTON_MHZ_PER_TESLA:.2g} T")
        if self.tissue is None:
            few, much = (f"{100 * share:.0f}" for share in EXAMPLES)
            found.append(
                f"the tissue is not known, nor what correcting for it would change: voxels of {few} and {much} % CSF, "
                "the rest 60 % GM and 40 % WM, are examples"
            )
        elif self.compared == ("iu",):
            why = next(self.missing[unit] for unit in ("molal", "molar") if not self.allows(unit))
            found.append(f"only iu is compared, which is not corrected for tissue: {why}")
        return tuple(found)


def alternatives(
    metabolite: str,
    members: tuple[str, ...],
    concentrate: Concentrate,
    setting: Setting,
    others: Mapping[str, Constants],
) -> tuple[Alternative, ...]:
    """Evaluate every other convention for one metabolite or sum.

    Parameters
    ----------
    metabolite, members
        Reported name and the basis names behind it.
    concentrate
        From a factor per member to the concentration.
    setting
        What the number was made with.
    others
        Presets to compare with, from :meth:`Setting.others`.
    """

    def number(
        unit: str, used: Constants = setting.constants, tissue: TissueFractions | None = setting.tissue
    ) -> float:
        return concentrate({m: _factor(unit, used, tissue, setting.timing, m) for m in members})

    base = {unit: number(unit) for unit in setting.compared}
    found: list[Alternative] = []

    def add(unit: str, variant: str, value: float) -> None:
        found.append(Alternative(metabolite, unit, variant, value, value / base[unit] - 1 if base[unit] else 0.0))

    for name, other in others.items():
        for unit in base:
            add(unit, f"preset:{name}", number(unit, other))
    if "molar" in base:
        add("molar", "no tissue correction", number("iu"))
    if setting.tissue is None:
        for share in EXAMPLES:
            example = TissueFractions(0.6 * (1 - share), 0.4 * (1 - share), share)
            full = setting.constants.has_water_relaxation() and setting.timing.complete
            add("iu", f"{100 * share:.0f} % CSF", number("molar" if full else "csf_only", tissue=example))
    for unit, variant in CORRECTIONS.items():
        if setting.allows(unit) and (unit not in ALPHA or all(map(setting.constants.has_alpha, members))):
            add("molar" if "molar" in base else "iu", variant, number(unit))
    return tuple(found)


def _factor(unit: str, constants: Constants, tissue: TissueFractions | None, timing: ScanTiming, member: str) -> float:
    numbers = {key: constant.value for key, constant in inputs(constants, tissue, member).items()}
    return float(evaluate(unit, numbers, timing, constants.conventions))


def sentence(metabolite: str, found: tuple[Alternative, ...]) -> str:
    """Sum up the alternatives of one metabolite for a report.

    Returns
    -------
    str
        Range over the other presets, and the change without tissue correction, with the CSF-only one where the number
        has none, or in voxels of some CSF where the tissue is not known; empty without alternatives.
    """
    mine = [item for item in found if item.metabolite == metabolite]
    if mine and not any(item.value for item in mine):
        return f"{metabolite}: zero under every convention"
    unit = mine[0].unit if mine else ""
    presets = sorted(
        (item for item in mine if item.unit == unit and item.variant.startswith("preset:")),
        key=lambda item: item.change,
    )
    ends = [f"{_percent(item)} under {item.variant.removeprefix('preset:')}" for item in presets]
    parts = [" to ".join(dict.fromkeys([ends[0], ends[-1]]))] if ends else []
    by_variant = {item.variant: item for item in mine}
    examples = [f"{_percent(item)} with {item.variant}" for item in mine if item.variant.endswith("% CSF")]
    if "no tissue correction" in by_variant:
        parts.append(f"molar {_percent(by_variant['no tissue correction'])} without tissue correction")
    elif examples:
        parts.append(" to ".join(examples) + " in the voxel")
    elif "csf-only" in by_variant:
        parts.append(f"{_percent(by_variant['csf-only'])} with the csf-only correction")
    head = f"{metabolite} ({unit})" if ends or unit == "iu" else metabolite
    return f"{head}: {'; '.join(parts)}" if parts else ""


def _percent(item: Alternative) -> str:
    return f"{100 * item.change:+.1f} %"
