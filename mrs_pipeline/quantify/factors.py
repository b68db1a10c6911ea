"""From constants, fractions and timing to the factors of a signal ratio, with their uncertainty."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mrs_pipeline.anatomy import TissueFractions
from mrs_pipeline.basis import canonical_name
from mrs_pipeline.quantify.constants import COMPARTMENTS, Constant, Constants
from mrs_pipeline.quantify.draws import POINTS, Origin, drawn_constants, drawn_fractions
from mrs_pipeline.quantify.equations import Compartments, Values, alpha_factor, molal_factor, molar_factor
from mrs_pipeline.quantify.relaxation import ScanTiming, relaxation_factor
from mrs_pipeline.spectrum import FloatArray


@dataclass(frozen=True, eq=False)
class Factor:
    """What multiplies the ratio of signals per molecule to give a concentration.

    Parameters
    ----------
    value
        mmol/kg or mmol/L (or institutional units) per unit of :math:`S_m/S_w`, at the nominal inputs.
    spread
        Factor over ``value`` with all inputs drawn, shape ``(POINTS,)``.
    by_constants, by_tissue
        The same with only the constants or only the tissue fractions drawn.
    """

    value: float
    spread: FloatArray
    by_constants: FloatArray
    by_tissue: FloatArray


def inputs(constants: Constants, tissue: TissueFractions | None, metabolite: str) -> dict[str, Constant]:
    """Return every number the factor of a metabolite depends on, under one flat key each."""
    numbers = {f"water_{key}": constant for key, constant in constants.water.items()}
    numbers |= {f"metabolite_{key}": constant for key, constant in constants.metabolite(metabolite).items()}
    numbers |= {f"group_{key}": constant for key, constant in constants.group.items()}
    if constants.has_alpha(metabolite):
        numbers["alpha"] = constants.alpha[canonical_name(metabolite)]
    if tissue is not None:
        for name, value in zip(COMPARTMENTS, (tissue.gm, tissue.wm, tissue.csf), strict=True):
            numbers[f"fraction_{name}"] = Constant(value, 0.0, tissue.source)
    return numbers


def evaluate(unit: str, numbers: Mapping[str, Values], timing: ScanTiming, conventions: Mapping[str, str]) -> Values:
    """Evaluate a factor from numbers, or from arrays of one length for some of them.

    Parameters
    ----------
    unit
        One of :data:`mrs_pipeline.quantify.units.UNITS`.
    numbers
        Values by the keys of :func:`inputs`.

    Notes
    -----
    ``csf_only`` is ``iu`` over one minus the fraction of CSF.
    """
    if unit == "csf_only":
        return evaluate("iu", numbers, timing, conventions) / (1.0 - numbers["fraction_csf"])
    if unit == "iu" and conventions["iu"] == "attenuation":
        return numbers["water_concentration"] * numbers["water_attenuation"]
    if unit == "iu" and conventions["iu"] == "single-compartment":
        return _single_compartment(numbers, timing)
    if conventions["iu"] == "solution":
        return _solution(unit, numbers, timing)
    return _tissue(unit, numbers, timing, conventions)


def _tissue(unit: str, numbers: Mapping[str, Values], timing: ScanTiming, conventions: Mapping[str, str]) -> Values:
    """Concentration from the water of three compartments."""
    rule = conventions["metabolite_relaxation"]
    voxel = voxel_of(numbers, timing, rule, assumed=unit == "iu")
    if unit == "molal":
        return molal_factor(voxel, numbers["water_molality"], conventions["csf"], rule)
    molarity = numbers["water_molality"] * numbers["water_density"]
    if unit in {"iu", "molar"}:
        return molar_factor(voxel, molarity, rule)
    means = (numbers["group_gm"], numbers["group_wm"]) if unit == "alpha_normalised" else None
    return alpha_factor(voxel, molarity, rule, numbers["alpha"], means)


def _single_compartment(numbers: Mapping[str, Values], timing: ScanTiming) -> Values:
    """Institutional units from one mean water compartment."""
    water = _water_factor(timing, numbers["water_t1_mean"], numbers["water_t2_mean"])
    return numbers["water_concentration"] * water / _metabolite_factors(numbers, timing, "mean-times")[0]


def _solution(unit: str, numbers: Mapping[str, Values], timing: ScanTiming) -> Values:
    """Concentration in a solution: mmol per kg of water, or per litre (molar and iu)."""
    water = _water_factor(timing, numbers["water_t1_mean"], numbers["water_t2_mean"])
    molal = numbers["water_molality"] * water / _metabolite_factors(numbers, timing, "mean-times")[0]
    return molal if unit == "molal" else molal * numbers["water_density"]


def _water_factor(timing: ScanTiming, t1: Values, t2: Values) -> Values:
    """Relaxation factor of water, 1 unless both scans can be corrected: half a correction is worse than none."""
    return relaxation_factor(timing.water, t1, t2) if timing.complete and timing.water is not None else 1.0


def _metabolite_factors(numbers: Mapping[str, Values], timing: ScanTiming, rule: str) -> tuple[Values, Values]:
    """Relaxation factors of the metabolite in GM and WM, or twice that of the mean relaxation times.

    They are 1 unless both scans can be corrected.
    """
    if not timing.complete:
        return 1.0, 1.0
    t1 = (numbers["metabolite_t1_gm"], numbers["metabolite_t1_wm"])
    t2 = (numbers["metabolite_t2_gm"], numbers["metabolite_t2_wm"])
    if rule == "mean-times":
        t1, t2 = ((t1[0] + t1[1]) / 2,) * 2, ((t2[0] + t2[1]) / 2,) * 2
    return relaxation_factor(timing.metabolite, t1[0], t2[0]), relaxation_factor(timing.metabolite, t1[1], t2[1])


def voxel_of(numbers: Mapping[str, Values], timing: ScanTiming, rule: str, *, assumed: bool) -> Compartments:
    """Collect what the equations need; with ``assumed`` the preset's fractions without tissue data."""
    if assumed:
        grey, white = numbers["water_assumed_gm"], numbers["water_assumed_wm"]
        fractions: list[Values] = [grey / (grey + white), white / (grey + white), 0.0]
    else:
        fractions = [numbers[f"fraction_{name}"] for name in COMPARTMENTS]
    content = [numbers[f"water_content_{c}"] for c in COMPARTMENTS]
    water = [_water_factor(timing, numbers[f"water_t1_{c}"], numbers[f"water_t2_{c}"]) for c in COMPARTMENTS]
    metabolite = _metabolite_factors(numbers, timing, rule)
    columns = np.broadcast_arrays(*fractions, *content, *water, *metabolite)
    return Compartments(*(np.stack(columns[start : start + 3]) for start in (0, 3, 6, 9)))


def factor(
    unit: str,
    constants: Constants,
    tissue: TissueFractions | None,
    timing: ScanTiming,
    metabolite: str,
    z: Mapping[Origin, FloatArray],
) -> Factor:
    """Return the factor of a unit and metabolite, with what it is over the draws ``z`` of its inputs."""
    given = inputs(constants, tissue, metabolite)
    values: dict[str, Values] = {key: constant.value for key, constant in given.items()}
    value = float(evaluate(unit, values, timing, constants.conventions))

    def over(drawn: Mapping[str, FloatArray]) -> FloatArray:
        found = evaluate(unit, {**values, **drawn}, timing, constants.conventions) / value
        return np.broadcast_to(np.asarray(found, dtype=np.float64), (POINTS,))

    by_constants = drawn_constants(given, z)
    by_tissue = {} if tissue is None else drawn_fractions(tissue, z)
    return Factor(value, over(by_constants | by_tissue), over(by_constants), over(by_tissue))
