"""How far a second fitting engine agrees with ours on the same spectrum."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from mrs_pipeline.basis import COMBINED, canonical_name, parts_of, reported_name
from mrs_pipeline.errors import FitError
from mrs_pipeline.fit.result import FitResult
from mrs_pipeline.nifti_mrs import LcmodelRow, LcmodelTable

NOTHING = 999.0
"""Per cent that LCModel prints for a bound of 999 % and more, or for a concentration of zero."""


@dataclass(frozen=True)
class Agreement:
    """One metabolite as both engines have it, relative to total creatine.

    Parameters
    ----------
    metabolite
        As in the tables of concentrations.
    ratio_tCr, ratio_tCr_sd
        Ours, with the SD from the total covariance; ``None`` where there is none.
    lcmodel_tCr, lcmodel_sd_percent
        LCModel's ratio and its bound of the concentration in per cent; ``None`` where LCModel gives none (999).
    difference
        LCModel minus ours.
    difference_percent
        The same in per cent of ours.
    apart
        Whether the difference is more than twice the SD of both together. Both see the same noise, so that this is
        an unlikely thing, and a sign of a model that does not hold.
    """

    metabolite: str
    ratio_tCr: float | None  # noqa: N815  the column's name
    ratio_tCr_sd: float | None  # noqa: N815
    lcmodel_tCr: float | None  # noqa: N815
    lcmodel_sd_percent: float | None
    difference: float | None
    difference_percent: float | None
    apart: bool


AGREEMENT_COLUMNS: dict[str, dict[str, str]] = {
    "metabolite": {
        "Description": "Metabolite; tNAA = NAA+NAAG, tCr = Cr+PCr, tCho = GPC+PCh, Glx = Glu+Gln, mI = myo-inositol"
    },
    "ratio_tCr": {"Description": "Our amplitude over that of total creatine", "Units": "1"},
    "ratio_tCr_sd": {"Description": "SD of ratio_tCr from the full covariance", "Units": "1"},
    "lcmodel_tCr": {"Description": "LCModel's concentration over that of total creatine", "Units": "1"},
    "lcmodel_sd_percent": {
        "Description": "LCModel's %SD: Cramer-Rao bound over the concentration, not the ratio",
        "Units": "%",
    },
    "difference": {"Description": "lcmodel_tCr minus ratio_tCr", "Units": "1"},
    "difference_percent": {"Description": "difference in per cent of ratio_tCr", "Units": "%"},
    "apart": {"Description": "Whether the difference exceeds twice the SD of both together: true or false"},
}
"""Columns of the table with meaning and unit."""


def compare_lcmodel(fit: FitResult, table: LcmodelTable, names: Iterable[str]) -> tuple[Agreement, ...]:
    """Set LCModel's ratios to total creatine against ours.

    Parameters
    ----------
    fit
        Our fit.
    table
        LCModel's results for the same spectrum and basis.
    names
        Metabolites of the basis, canonical names; sums come first.

    Returns
    -------
    tuple of Agreement
        One per sum and metabolite that both engines know; the sums first.

    Raises
    ------
    FitError
        LCModel found no creatine, so that it has no ratios.
    """
    sums = [label for label in COMBINED if parts_of(label, fit.names)]
    labels = [*sums, *(name for name in names if name in fit.names)]
    found = ((label, lcmodel_ratio(table, label)) for label in labels)
    return tuple(_agreement(fit, label, *theirs) for label, theirs in found if theirs is not None)


def lcmodel_ratio(table: LcmodelTable, label: str) -> tuple[float, float | None] | None:
    """Return LCModel's ratio of a metabolite or sum to total creatine.

    Parameters
    ----------
    table
        LCModel's results.
    label
        Canonical name, or a sum such as ``tNAA``.

    Returns
    -------
    tuple or None
        The ratio, and the bound of the concentration in per cent (``None`` where LCModel gives none); ``None`` when
        LCModel did not fit it.

    Raises
    ------
    FitError
        LCModel found no creatine, so that it has no ratios.
    """
    creatine = _concentration(table, COMBINED["tCr"])
    if creatine is None or not creatine.concentration > 0:
        raise FitError("LCModel found no creatine", remedy="look at its output: the fit went wrong")
    row = _concentration(table, COMBINED.get(label, (label,)))
    if row is None:
        return None
    # the printed ratio has a digit more than that of two printed concentrations
    ratio = row.ratio if row.ratio > 0 and creatine.ratio == 1.0 else row.concentration / creatine.concentration
    return ratio, row.sd_percent if row.sd_percent < NOTHING else None


def _concentration(table: LcmodelTable, members: tuple[str, ...]) -> LcmodelRow | None:
    """Return LCModel's row of a sum; of the one member it has where the basis holds no other."""
    by_name = {frozenset(canonical_name(part) for part in row.name.split("+")): row for row in table.rows}
    known = frozenset(name for name in members if frozenset({name}) in by_name)
    return by_name.get(frozenset(members), by_name.get(known))


def _agreement(fit: FitResult, label: str, theirs: float, per_cent: float | None) -> Agreement:
    ours, sd, _, _ = fit.ratio(label)
    apart = abs(theirs - ours)
    spread = math.hypot(sd, theirs * per_cent / 100.0) if per_cent is not None else sd
    return Agreement(
        metabolite=reported_name(label),
        ratio_tCr=_finite(ours),
        ratio_tCr_sd=_finite(sd),
        lcmodel_tCr=_finite(theirs),
        lcmodel_sd_percent=per_cent,
        difference=_finite(theirs - ours),
        difference_percent=_finite(100.0 * (theirs - ours) / ours) if ours else None,
        apart=bool(label != "tCr" and apart > 2.0 * spread),
    )


def agreement_table(rows: Iterable[Agreement]) -> str:
    """Return the rows as TSV with the columns of :data:`AGREEMENT_COLUMNS`; a missing value is ``n/a``."""
    lines = ["\t".join(AGREEMENT_COLUMNS)]
    lines += ["\t".join(_cell(value) for value in asdict(row).values()) for row in rows]
    return "\n".join(lines) + "\n"


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _cell(value: object) -> str:
    if value is None:
        return "n/a"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.6g}" if isinstance(value, float) else str(value)
