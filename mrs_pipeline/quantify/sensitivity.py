"""How much a concentration moves under other conventions: presets, no tissue, CSF-only and alpha correction."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from mrs_pipeline.anatomy import TissueFractions
from mrs_pipeline.basis import canonical_name
from mrs_pipeline.config import preset_names
from mrs_pipeline.errors import MrsError
from mrs_pipeline.quantify.constants import Constants, load_constants
from mrs_pipeline.quantify.equations import alpha_factor
from mrs_pipeline.quantify.factors import evaluate, inputs, voxel_of
from mrs_pipeline.quantify.relaxation import ScanTiming
from mrs_pipeline.spectrum import FloatArray

Concentrate = Callable[[Mapping[str, float]], float]
"""Turns a factor per basis name into a concentration (the fit's weighted sum over the water amplitude)."""


@dataclass(frozen=True)
class Alternative:
    """One number another convention would have given.

    Parameters
    ----------
    metabolite, unit
        Which concentration; ``unit`` is that of the number it is compared with.
    variant
        ``preset:NAME``, ``no tissue correction``, ``csf-only``, ``alpha`` (grey-matter concentration) or ``alpha,
        group-normalised``.
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


def alternatives(
    metabolite: str,
    members: tuple[str, ...],
    concentrate: Concentrate,
    constants: Constants,
    tissue: TissueFractions,
    timing: ScanTiming,
    alpha: Mapping[str, float],
    means: FloatArray | None,
) -> tuple[Alternative, ...]:
    """Evaluate every other convention for one metabolite or sum.

    Parameters
    ----------
    metabolite, members
        Reported name and the basis names behind it.
    concentrate
        From a factor per member to the concentration.
    constants, tissue, timing
        As in the main number.
    alpha
        White-to-grey ratio by basis or reported name, over the preset's own.
    means
        Fixed group means of GM and WM for the normalised alpha correction, shape (2,).
    """

    def number(unit: str, used: Constants) -> float:
        return concentrate({m: _factor(unit, used, tissue, timing, m) for m in members})

    found: list[Alternative] = []

    def add(unit: str, variant: str, value: float) -> None:
        found.append(Alternative(metabolite, unit, variant, value, value / base[unit] - 1 if base[unit] else 0.0))

    base = {unit: number(unit, constants) for unit in ("molal", "molar")}
    for name, other in _other_presets(constants, timing).items():
        for unit in ("molal", "molar"):
            add(unit, f"preset:{name}", number(unit, other))
    uncorrected = number("iu", constants)
    add("molar", "no tissue correction", uncorrected)
    add("molar", "csf-only", uncorrected / (1 - tissue.csf))
    ratios = {m: _alpha(m, metabolite, constants, alpha) for m in members}
    if all(ratio is not None for ratio in ratios.values()):
        for variant, group in (("alpha", None), ("alpha, group-normalised", means)):
            if variant == "alpha" or group is not None:
                factors = {
                    m: _alpha_factor(constants, tissue, timing, m, float(r or 0), group) for m, r in ratios.items()
                }
                add("molar", variant, concentrate(factors))
    return tuple(found)


def _factor(unit: str, constants: Constants, tissue: TissueFractions, timing: ScanTiming, member: str) -> float:
    numbers = {key: constant.value for key, constant in inputs(constants, tissue, member).items()}
    return float(evaluate(unit, numbers, timing, constants.conventions))


def _other_presets(constants: Constants, timing: ScanTiming) -> dict[str, Constants]:
    """Shipped presets that know tissue water at this field and are not the one in use."""
    found = {}
    for name in preset_names("relaxation"):
        try:
            other = load_constants(name, timing.carrier_mhz)
        except MrsError:
            continue
        if name != constants.preset and other.has_water_relaxation() and not other.warnings:
            found[name] = other
    return found


def _alpha(member: str, metabolite: str, constants: Constants, given: Mapping[str, float]) -> float | None:
    """White-to-grey ratio of a metabolite: from study.toml by basis or reported name, else the preset's."""
    for name in (member, metabolite, canonical_name(member)):
        if name in given:
            return given[name]
    own = constants.alpha.get(canonical_name(member))
    return None if own is None else own.value


def _alpha_factor(
    constants: Constants,
    tissue: TissueFractions,
    timing: ScanTiming,
    member: str,
    alpha: float,
    means: FloatArray | None,
) -> float:
    numbers = {key: constant.value for key, constant in inputs(constants, tissue, member).items()}
    rule = constants.conventions["metabolite_relaxation"]
    voxel = voxel_of(numbers, timing, rule, assumed=False)
    return float(alpha_factor(voxel, numbers["water_molality"] * numbers["water_density"], rule, alpha, means))


def sentence(metabolite: str, found: tuple[Alternative, ...], unit: str = "molal") -> str:
    """Sum up the alternatives of one metabolite for a report.

    Returns
    -------
    str
        Range over the other presets, and the change without tissue correction; empty without alternatives.
    """
    mine = [item for item in found if item.metabolite == metabolite]
    presets = [item for item in mine if item.unit == unit and item.variant.startswith("preset:")]
    plain = [item for item in mine if item.variant == "no tissue correction"]
    if not presets or not plain:
        return ""
    changes = np.array([item.change for item in presets]) * 100
    low, high = presets[int(np.argmin(changes))], presets[int(np.argmax(changes))]
    names = [item.variant.removeprefix("preset:") for item in (low, high)]
    return (
        f"{metabolite} ({unit}): {changes.min():+.1f} % under {names[0]} to {changes.max():+.1f} % under {names[1]}; "
        f"molar {100 * plain[0].change:+.1f} % without tissue correction"
    )
