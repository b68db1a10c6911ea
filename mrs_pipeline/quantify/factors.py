"""From constants, fractions and timing to the factors of a signal ratio, with their uncertainty."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mrs_pipeline.anatomy import TissueFractions
from mrs_pipeline.quantify.constants import COMPARTMENTS, Constant, Constants
from mrs_pipeline.quantify.equations import Compartments, molal_factor, molar_factor
from mrs_pipeline.quantify.relaxation import ScanTiming, relaxation_factor
from mrs_pipeline.spectrum import FloatArray

UNITS = ("molal", "molar", "iu")


Origin = tuple[str, float, str]
"""Key, value and source of a constant: one number, even where several metabolites share it."""


@dataclass(frozen=True, eq=False)
class Factor:
    """What multiplies the ratio of signals per molecule to give a concentration.

    Parameters
    ----------
    value
        mmol/kg or mmol/L (or institutional units) per unit of :math:`S_m/S_w`.
    pulls
        Relative change of the factor for one standard deviation of each constant.
    tissue
        Relative change of the factor per unit of the fractions of GM, WM, CSF, shape (3,).
    """

    value: float
    pulls: Mapping[Origin, float]
    tissue: FloatArray


def relative_spread(
    factors: Sequence[Factor], shares: Sequence[float], tissue_sd: tuple[float, float, float] | None
) -> tuple[float, float]:
    r"""Return the relative SDs of a weighted sum of factors from tissue fractions and from constants.

    Parameters
    ----------
    factors, shares
        Of the members of a sum: their factors and their shares of it (sum 1).
    tissue_sd
        Standard errors of the three fractions; ``None`` without tissue data.

    Notes
    -----
    Members share constants (water, and metabolite values from one source), so their pulls add before they are squared:
    :math:`\sum_k (\sum_m w_m p_{mk})^2`.
    """
    pulls: dict[Origin, float] = {}
    gradient = np.zeros(3)
    for member, share in zip(factors, shares, strict=True):
        gradient += share * member.tissue
        for origin, pull in member.pulls.items():
            pulls[origin] = pulls.get(origin, 0.0) + share * pull
    constants = math.sqrt(sum(pull**2 for pull in pulls.values()))
    if tissue_sd is None:
        return 0.0, constants
    return math.sqrt(max(float(gradient @ fraction_covariance(tissue_sd) @ gradient), 0.0)), constants


def inputs(constants: Constants, tissue: TissueFractions | None, metabolite: str) -> dict[str, Constant]:
    """Return every number the factor of a metabolite depends on, under one flat key each."""
    numbers = {f"water_{key}": constant for key, constant in constants.water.items()}
    numbers |= {f"metabolite_{key}": constant for key, constant in constants.metabolite(metabolite).items()}
    if tissue is not None:
        for name, value in zip(COMPARTMENTS, (tissue.gm, tissue.wm, tissue.csf), strict=True):
            numbers[f"fraction_{name}"] = Constant(value, 0.0, tissue.source)
    return numbers


def evaluate(unit: str, numbers: Mapping[str, float], timing: ScanTiming, conventions: Mapping[str, str]) -> float:
    """Evaluate a factor from plain numbers; the function that is differentiated and sampled.

    Parameters
    ----------
    unit
        ``"molal"``, ``"molar"`` or ``"iu"``.
    numbers
        Values by the keys of :func:`inputs`.
    """
    if unit == "iu" and conventions["iu"] == "attenuation":
        return numbers["water_concentration"] * numbers["water_attenuation"]
    if unit == "iu" and conventions["iu"] == "single-compartment":
        return _single_compartment(numbers, timing)
    if conventions["iu"] == "solution":
        return _solution(unit, numbers, timing)
    rule = conventions["metabolite_relaxation"]
    voxel = voxel_of(numbers, timing, rule, assumed=unit == "iu")
    if unit == "molal":
        return molal_factor(voxel, numbers["water_molality"], conventions["csf"], rule)
    return molar_factor(voxel, numbers["water_molality"] * numbers["water_density"], rule)


def _single_compartment(numbers: Mapping[str, float], timing: ScanTiming) -> float:
    """Institutional units from one mean water compartment."""
    water = _water_factor(timing, numbers["water_t1_mean"], numbers["water_t2_mean"])
    return numbers["water_concentration"] * water / _metabolite_factors(numbers, timing, "mean-times")[0]


def _solution(unit: str, numbers: Mapping[str, float], timing: ScanTiming) -> float:
    """Concentration in a solution: mmol per kg of water, or per litre (molar and iu)."""
    water = _water_factor(timing, numbers["water_t1_mean"], numbers["water_t2_mean"])
    molal = numbers["water_molality"] * water / _metabolite_factors(numbers, timing, "mean-times")[0]
    return molal if unit == "molal" else molal * numbers["water_density"]


def _water_factor(timing: ScanTiming, t1: float, t2: float) -> float:
    return 1.0 if timing.water is None else relaxation_factor(timing.water, t1, t2)


def _metabolite_factors(numbers: Mapping[str, float], timing: ScanTiming, rule: str) -> tuple[float, float]:
    """Relaxation factors of the metabolite in GM and WM, or twice that of the mean relaxation times."""
    t1 = (numbers["metabolite_t1_gm"], numbers["metabolite_t1_wm"])
    t2 = (numbers["metabolite_t2_gm"], numbers["metabolite_t2_wm"])
    if rule == "mean-times":
        t1, t2 = (sum(t1) / 2,) * 2, (sum(t2) / 2,) * 2
    return relaxation_factor(timing.metabolite, t1[0], t2[0]), relaxation_factor(timing.metabolite, t1[1], t2[1])


def voxel_of(numbers: Mapping[str, float], timing: ScanTiming, rule: str, *, assumed: bool) -> Compartments:
    """Collect what the equations need; with ``assumed`` the preset's fractions without tissue data."""
    if assumed:
        grey, white = numbers["water_assumed_gm"], numbers["water_assumed_wm"]
        fractions = np.array([grey, white, 0.0]) / (grey + white)
    else:
        fractions = np.array([numbers[f"fraction_{name}"] for name in COMPARTMENTS])
    water = [_water_factor(timing, numbers[f"water_t1_{c}"], numbers[f"water_t2_{c}"]) for c in COMPARTMENTS]
    content = np.array([numbers[f"water_content_{c}"] for c in COMPARTMENTS])
    metabolite = np.array(_metabolite_factors(numbers, timing, rule))
    return Compartments(fractions, content, np.array(water), metabolite)


def factor(
    unit: str, constants: Constants, tissue: TissueFractions | None, timing: ScanTiming, metabolite: str
) -> Factor:
    """Return the factor of a unit and metabolite with what each input does to it (central differences)."""
    given = inputs(constants, tissue, metabolite)
    values = {key: constant.value for key, constant in given.items()}
    value = evaluate(unit, values, timing, constants.conventions)

    def slope(key: str) -> float:
        step = 1e-4 * max(abs(values[key]), 1e-2)
        up = evaluate(unit, {**values, key: values[key] + step}, timing, constants.conventions)
        down = evaluate(unit, {**values, key: values[key] - step}, timing, constants.conventions)
        return (up - down) / (2 * step) / value

    pulls = {(key, k.value, k.doi): slope(key) * k.sd for key, k in given.items() if k.sd > 0}
    has_tissue = tissue is not None and unit != "iu" and not constants.is_solution
    gradient = [slope(f"fraction_{name}") for name in COMPARTMENTS] if has_tissue else [0.0, 0.0, 0.0]
    return Factor(value, pulls, np.array(gradient))


def fraction_covariance(sd: tuple[float, float, float]) -> FloatArray:
    r"""Return the covariance of three fractions that sum to one, shape (3, 3).

    Notes
    -----
    Errors sum to zero, so :math:`2\,\mathrm{cov}_{ab} = \sigma_c^2-\sigma_a^2-\sigma_b^2`. Where the three standard
    deviations cannot belong to such errors (one larger than the sum of the others), the largest is cut to that sum.
    """
    s = np.array(sd, dtype=float)
    order = np.argsort(s)
    s[order[2]] = min(s[order[2]], s[order[0]] + s[order[1]])
    variance = s**2
    cov = np.diag(variance)
    for a, b, c in ((0, 1, 2), (0, 2, 1), (1, 2, 0)):
        cov[a, b] = cov[b, a] = (variance[c] - variance[a] - variance[b]) / 2
    return cov
