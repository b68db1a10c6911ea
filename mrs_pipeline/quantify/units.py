"""Units of a concentration, and why a scan does not allow one."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import numpy as np

from mrs_pipeline.anatomy import TissueFractions
from mrs_pipeline.quantify.constants import Constants
from mrs_pipeline.quantify.relaxation import PulseTiming, ScanTiming
from mrs_pipeline.quantify.water import WaterFit

ALPHA = ("alpha_corrected", "alpha_normalised")
UNITS = ("iu", "molal", "molar", "csf_only", *ALPHA)
"""Columns that refer to water; each has a column of its SD."""

RELAXED = ("molal", "molar", *ALPHA)
"""Those that need relaxation of water per compartment."""

NOT_ASKED = "unit not asked for in [quantify] units"
UNDEFINED = ""
"""Instead of a reason: a correction that the settings do not define (no ratio, no group means, a solution)."""

Cause = tuple[Iterable[str], str]
"""Units that are not possible, and why."""


def missing_units(
    water: WaterFit | None,
    tissue: TissueFractions | None,
    timing: ScanTiming,
    constants: Constants,
    asked: Collection[str],
) -> dict[str, str]:
    """Return the units a scan does not allow, each with the reason (or ``UNDEFINED``); of several reasons the first.

    Parameters
    ----------
    water, tissue, timing, constants
        What there is, as for :func:`mrs_pipeline.quantify.quantify`.
    asked
        ``[quantify] units``.
    """
    causes: list[Cause] = [([unit for unit in ("molal", "molar") if unit not in asked], NOT_ASKED)]
    if constants.is_solution:
        causes.append((("csf_only", *ALPHA), UNDEFINED))
    if not constants.group:
        causes.append((("alpha_normalised",), UNDEFINED))
    if water is None:
        causes.append((UNITS, "no water reference"))
    elif not (np.isfinite(water.amplitude) and water.amplitude > 0):
        causes.append((UNITS, "the water reference has no amplitude"))
    elif not timing.complete:
        unknown = PulseTiming(None, None)
        faults = timing.metabolite.fault("metabolite"), (timing.water or unknown).fault("water")
        causes.append((RELAXED, "; ".join(filter(None, faults))))
    if not constants.is_solution:
        causes += _tissue_causes(tissue, constants)
    missing: dict[str, str] = {}
    for units, why in causes:
        missing = {**dict.fromkeys(units, why), **missing}
    return missing


def _tissue_causes(tissue: TissueFractions | None, constants: Constants) -> list[Cause]:
    causes: list[Cause] = []
    if tissue is None:
        causes.append((UNITS[1:], "no tissue fractions"))
    elif tissue.csf > 0.999:
        causes.append((UNITS[1:], "the voxel holds only CSF"))
    if not constants.has_water_relaxation():
        causes.append((RELAXED, f"preset {constants.preset} defines institutional units only"))
    return causes
