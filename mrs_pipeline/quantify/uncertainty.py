"""Standard deviation and interval of a concentration, and where they come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mrs_pipeline.quantify.draws import FIT, WATER, Origin
from mrs_pipeline.quantify.factors import Factor
from mrs_pipeline.spectrum import FloatArray

DOUBTFUL_TISSUE, DOUBTFUL_CONSTANTS = 0.10, 0.20
"""Relative SDs from tissue fractions and from constants beyond which the report says so."""


@dataclass(frozen=True)
class Budget:
    """Where the uncertainty of one concentration comes from.

    Parameters
    ----------
    fit, water, tissue, constants
        Relative standard deviations from each source.
    lo, hi
        Limits of the 95 % interval in the unit; uneven about the value where a relaxation time is poorly known.
    """

    metabolite: str
    unit: str
    fit: float
    water: float
    tissue: float
    constants: float
    lo: float
    hi: float


def propagate(
    metabolite: str,
    unit: str,
    value: float,
    sds: tuple[float, float],
    factors: Sequence[Factor],
    shares: FloatArray,
    z: Mapping[Origin, FloatArray],
) -> tuple[float, Budget]:
    r"""Return the SD of a concentration and its budget (propagation of distributions, JCGM 101:2008).

    Parameters
    ----------
    metabolite, unit
        What the number is of.
    value
        The concentration at the nominal inputs, in the unit.
    sds
        SD of the amplitude in the unit (from the fit) and relative SD of the water amplitude.
    factors, shares
        Of the members of a sum: their factors and their shares of it, shape ``(members,)``, sum 1.
    z
        Draws of what is uncertain.

    Notes
    -----
    Amplitude (:math:`x \pm s`), water (relative SD :math:`v`) and factor :math:`F` (drawn, over its nominal value)
    are independent: :math:`\mathrm{Var} = (x^2+s^2)(1+v^2)\,E[F^2] - x^2 E[F]^2`. For small errors this is the delta
    method. The interval is that of the draws.
    """
    by_constants, by_tissue, both = (
        np.sum([share * getattr(f, part) for share, f in zip(shares, factors, strict=True)], axis=0)
        for part in ("by_constants", "by_tissue", "spread")
    )
    fit, water = sds
    variance = (value**2 + fit**2) * (1 + water**2) * np.mean(both**2) - (value * both.mean()) ** 2
    drawn = (value + fit * z[FIT]) * both * np.exp(water * z[WATER])
    lo, hi = np.quantile(drawn, (0.025, 0.975))
    by_fit = fit / abs(value) if value else float("nan")
    budget = Budget(
        metabolite, unit, by_fit, water, float(by_tissue.std()), float(by_constants.std()), float(lo), float(hi)
    )
    return float(np.sqrt(np.maximum(variance, 0.0))), budget


def doubts(budgets: Sequence[Budget]) -> list[str]:
    """Say where tissue fractions or constants alone leave a number uncertain: much CSF, long echo times."""
    unit = next((unit for unit in ("molal", "molar", "iu") if any(b.unit == unit for b in budgets)), "")
    mine = [budget for budget in budgets if budget.unit == unit]
    found = []
    for source, limit, words in (
        ("tissue", DOUBTFUL_TISSUE, "the tissue fractions"),
        ("constants", DOUBTFUL_CONSTANTS, "the relaxation times assumed"),
    ):
        names = [budget.metabolite for budget in mine if getattr(budget, source) > limit]
        if names:
            most = 100 * max(getattr(budget, source) for budget in mine)
            which = "every metabolite" if len(names) == len(mine) else ", ".join(names)
            found.append(f"{words} alone leave {unit} uncertain by up to {most:.2g} %: {which}")
    return found
