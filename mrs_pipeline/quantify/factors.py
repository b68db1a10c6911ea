"""From constants, fractions and timing to the factors of a signal ratio, with their uncertainty."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from mrs_pipeline.anatomy import TissueFractions
from mrs_pipeline.quantify.constants import COMPARTMENTS, Constant, Constants
from mrs_pipeline.quantify.equations import Compartments, Values, molal_factor, molar_factor
from mrs_pipeline.quantify.relaxation import ScanTiming, relaxation_factor
from mrs_pipeline.spectrum import FloatArray

Origin = tuple[str, str]
"""An uncertain input and its source: one number, even where metabolites or both tissues share it."""

FIT, WATER, CSF, GREY = ((name, "") for name in ("fit", "water", "csf", "grey"))
"""What varies besides constants: amplitudes, water amplitude, CSF against tissue, grey against white matter."""

POINTS = 2**13
CUT = 4.0
"""Standard deviations at which every distribution ends, see :func:`drawn_constants`."""


@lru_cache(maxsize=8)
def normal_points(columns: int) -> FloatArray:
    """Return standard normal variates cut at ``CUT``, shape ``(columns, POINTS)``: a scrambled Sobol sequence.

    The sequence is the same at every call, and its moments are exact to some 0.1 %.

    Examples
    --------
    >>> z = normal_points(3)
    >>> bool(np.all(np.abs(z @ z.T / POINTS - np.eye(3)) < 2e-3))
    True
    """
    from scipy.stats import norm, qmc

    uniform = qmc.Sobol(columns, seed=1).random(POINTS).T
    edge = norm.cdf(-CUT)
    return np.asarray(norm.ppf(edge + (1 - 2 * edge) * uniform), dtype=np.float64)


def draws(constants: Constants, metabolites: Iterable[str]) -> dict[Origin, FloatArray]:
    """Return a standard normal variate for everything uncertain in a scan, each of shape ``(POINTS,)``."""
    uncertain = [key for name in metabolites for key, _ in _uncertain(inputs(constants, None, name))]
    origins = list(dict.fromkeys([FIT, WATER, CSF, GREY, *uncertain]))
    return dict(zip(origins, normal_points(len(origins)), strict=True))


def _uncertain(given: Mapping[str, Constant]) -> list[tuple[Origin, str]]:
    """Origin and key of every uncertain constant; one relaxation time for both tissues has one origin."""
    found = []
    for key, constant in given.items():
        if constant.sd > 0 and constant.value > 0:
            name = key.rpartition("_")[0] if key.startswith("metabolite_") else key
            found.append(((name, f"{constant.value:g} {constant.doi}"), key))
    return found


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
    if tissue is not None:
        for name, value in zip(COMPARTMENTS, (tissue.gm, tissue.wm, tissue.csf), strict=True):
            numbers[f"fraction_{name}"] = Constant(value, 0.0, tissue.source)
    return numbers


def evaluate(unit: str, numbers: Mapping[str, Values], timing: ScanTiming, conventions: Mapping[str, str]) -> Values:
    """Evaluate a factor from numbers, or from arrays of one length for some of them.

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


def drawn_constants(given: Mapping[str, Constant], z: Mapping[Origin, FloatArray]) -> dict[str, FloatArray]:
    r"""Return the uncertain constants over their distributions, each of shape ``(POINTS,)``.

    Notes
    -----
    Constants are positive, so they vary lognormally: the stated value is the median, sd / value the SD of the
    logarithm. A normal variate would reach T2 = 0, where :math:`e^{TE/T_2}` has no mean; of T2 and of 1/T2 the
    lognormal says the same; and for a monotone course the number at the nominal constants is the median of the result.
    Still :math:`E[e^{2TE/T_2}]` exists only within bounds, for which the distribution ends at ``CUT`` SDs.
    """
    return {
        key: np.asarray(given[key].value * np.exp(z[origin] * given[key].sd / given[key].value), dtype=np.float64)
        for origin, key in _uncertain(given)
    }


def drawn_fractions(tissue: TissueFractions, z: Mapping[Origin, FloatArray]) -> dict[str, FloatArray]:
    """Return the tissue fractions over their errors, each of shape ``(POINTS,)``.

    They vary normally with :func:`fraction_covariance`; what would be negative stays just above 0.
    """
    nominal = np.array([tissue.gm, tissue.wm, tissue.csf])
    covariance = fraction_covariance(tissue.sd)
    csf = covariance[:, 2] / math.sqrt(covariance[2, 2]) if covariance[2, 2] > 0 else np.zeros(3)
    grey = math.sqrt(max(covariance[0, 0] - csf[0] ** 2, 0.0))
    moved = nominal[:, None] + np.outer(csf, z[CSF]) + np.outer([grey, -grey, 0.0], z[GREY])
    moved = np.maximum(moved, 1e-3 * nominal[:, None])
    moved /= moved.sum(axis=0)
    return {f"fraction_{name}": column for name, column in zip(COMPARTMENTS, moved, strict=True)}


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
