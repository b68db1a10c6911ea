"""From a fit, a water reference and tissue fractions to concentrations, with every missing piece named."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from mrs_pipeline.anatomy import TissueFractions
from mrs_pipeline.basis import COMBINED, canonical_name, is_background, is_whole, parts_of, reported_name
from mrs_pipeline.config import QuantifySection
from mrs_pipeline.quantify.constants import Constant, Constants, at_age, load_constants, with_alpha
from mrs_pipeline.quantify.draws import Origin, draws
from mrs_pipeline.quantify.factors import Factor, factor, inputs
from mrs_pipeline.quantify.relaxation import ScanTiming
from mrs_pipeline.quantify.sensitivity import Alternative, Setting, alternatives, sentence
from mrs_pipeline.quantify.uncertainty import Budget, doubts, propagate
from mrs_pipeline.quantify.units import ALPHA, NOT_ASKED, UNDEFINED, UNITS, missing_units
from mrs_pipeline.quantify.water import WaterFit
from mrs_pipeline.spectrum import FloatArray

REPORTED = ("tNAA", "tCr", "tCho", "Glx", "Glu", "mI", "GABA", "GSH")
"""Metabolites with a line of sensitivity in the report; the JSON has every one."""

JUDGED = ("ratio", *UNITS)
"""Starts of the columns whose missing numbers have a reason."""

_AIDS = ("Art", "-CrCH2", "CrCH2")
"""Starts of the names of what only helps the fit."""


def _is_molecule(name: str) -> bool:
    """Tell whether a component of a fit is a metabolite, which has a concentration."""
    return not (is_background(name) or name.startswith(_AIDS))


class Fit(Protocol):
    """What quantification needs of a fit (``mrs_pipeline.fit.FitResult``)."""

    @property
    def names(self) -> Sequence[str]:
        """Basis names, in the order of the arrays."""

    @property
    def status(self) -> str:
        """``"ok"``, ``"doubtful"`` or ``"failed"``."""

    @property
    def flags(self) -> Sequence[str]:
        """Short marks of the fit."""

    def combination(self, weights: dict[str, float]) -> tuple[float, float, float, float]:
        """Return value, crlb, amplitude_sd, total_sd of a weighted sum of amplitudes."""

    def ratio(self, numerator: str, denominator: str) -> tuple[float, float, float, float]:
        """Return value, sd, lo, hi of a ratio of (combined) metabolites."""


@dataclass(frozen=True)
class Concentration:
    """One row of ``group/concentrations.tsv`` without the scan's entities; ``None`` where there is no number.

    Parameters
    ----------
    metabolite
        Name as reported (mI for the basis name Ins; tNAA, tCr, tCho, Glx for sums).
    amplitude, crlb, amplitude_sd, total_sd
        Signal per molecule at t = 0 in scanner units and its three uncertainties (absolute).
    ratio_tCr, ratio_tCr_sd, ratio_tCr_lo, ratio_tCr_hi
        Ratio of amplitudes to tCr with 95 % interval; no relaxation correction.
    iu, iu_sd
        Institutional units: referenced to water without tissue data.
    molal, molal_sd
        mmol per kg of tissue water.
    molar, molar_sd
        mmol per litre of tissue without CSF.
    csf_only, csf_only_sd
        Institutional units over one minus the fraction of CSF.
    alpha_corrected, alpha_corrected_sd
        mmol per litre of grey matter, at a fixed white-to-grey ratio.
    alpha_normalised, alpha_normalised_sd
        The same at the fixed mean fractions of the baseline group.
    f_gm, f_wm, f_csf
        Volume fractions of the voxel.
    status, flags
        Of the fit, with marks of the quantification, joined by semicolons.
    reason
        Why a number is missing; empty when none is but an alpha correction that the settings do not define.
    """

    metabolite: str
    status: str
    flags: str
    reason: str
    amplitude: float | None = None
    crlb: float | None = None
    amplitude_sd: float | None = None
    total_sd: float | None = None
    ratio_tCr: float | None = None  # noqa: N815  the column's name is a contract
    ratio_tCr_sd: float | None = None  # noqa: N815  the same
    ratio_tCr_lo: float | None = None  # noqa: N815  the same
    ratio_tCr_hi: float | None = None  # noqa: N815  the same
    iu: float | None = None
    iu_sd: float | None = None
    molal: float | None = None
    molal_sd: float | None = None
    molar: float | None = None
    molar_sd: float | None = None
    csf_only: float | None = None
    csf_only_sd: float | None = None
    alpha_corrected: float | None = None
    alpha_corrected_sd: float | None = None
    alpha_normalised: float | None = None
    alpha_normalised_sd: float | None = None
    f_gm: float | None = None
    f_wm: float | None = None
    f_csf: float | None = None


@dataclass(frozen=True)
class Quantified:
    """Concentrations of one scan.

    Parameters
    ----------
    rows
        One per metabolite of the basis, then tNAA, tCr, tCho, Glx.
    preset, preset_title, preset_status
        Name of the constants, one line on them, and whether they are tested against outside numbers.
    constants
        Every constant with its DOI.
    budgets
        Uncertainty per metabolite and unit, split by source.
    sensitivity
        How numbers move under other presets, without tissue correction, with CSF-only and alpha correction.
    sensitivity_notes
        What could not be compared in this scan, in words.
    warnings
        Sentences for the report: everything that was missing or assumed.
    """

    rows: tuple[Concentration, ...]
    preset: str
    preset_title: str
    preset_status: str
    constants: Mapping[str, Constant]
    budgets: tuple[Budget, ...] = ()
    sensitivity: tuple[Alternative, ...] = ()
    sensitivity_notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def sensitivity_line(self, metabolite: str) -> str:
        """Return the sensitivity of a metabolite as one sentence; empty when nothing was quantified."""
        return sentence(metabolite, self.sensitivity)

    def sensitivity_lines(self) -> list[str]:
        """Return one sentence for each of the metabolites that studies report, then what could not be compared."""
        lines = [self.sensitivity_line(row.metabolite) for row in self.rows if row.metabolite in REPORTED]
        return [*(line for line in lines if line), *self.sensitivity_notes]

    def row(self, metabolite: str) -> Concentration:
        """Return the row of a metabolite by its reported name."""
        return next(row for row in self.rows if row.metabolite == metabolite)


@dataclass(frozen=True)
class _Scan:
    """Everything that does not change from metabolite to metabolite."""

    fit: Fit
    water: WaterFit | None
    tissue: TissueFractions | None
    timing: ScanTiming
    constants: Constants
    missing: Mapping[str, str] = field(default_factory=dict)
    marks: tuple[str, ...] = ()
    draws: Mapping[Origin, FloatArray] = field(default_factory=dict)
    factors: Mapping[tuple[str, str], Factor] = field(default_factory=dict)


def quantify(
    fit: Fit, water: WaterFit | None, tissue: TissueFractions | None, timing: ScanTiming, settings: QuantifySection
) -> Quantified:
    """Turn amplitudes into ratios and concentrations.

    What is missing downgrades the unit and is said in ``reason`` and ``warnings``; nothing is filled in silently.

    Parameters
    ----------
    fit
        Result of the linear-combination fit; amplitudes per molecule at t = 0.
    water
        Water reference, or ``None``: ratios only.
    tissue
        Tissue fractions of the voxel, or ``None``: institutional units at the most.
    timing
        TE, TR, flip angle of the metabolite and of the water scan, field, receiver scale.
    settings
        ``[quantify]`` of study.toml.

    Returns
    -------
    Quantified
        Rows, constants with DOI, uncertainty budgets, warnings.
    """
    constants = load_constants(settings.preset, timing.carrier_mhz, settings.overrides)
    if settings.age_dependence:
        constants = at_age(constants, timing.age)
    constants = with_alpha(constants, settings.alpha, settings.alpha_means)
    scan = _with_factors(_scan(fit, water, tissue, timing, constants, settings.units))
    members = _members(fit.names)
    budgets: list[Budget] = []
    rows = tuple(_row(scan, name, weights, budgets) for name, weights in members.items())
    sensitivity, notes = _sensitivity(scan, members)
    return Quantified(
        rows=rows,
        preset=constants.preset,
        preset_title=constants.title,
        preset_status=constants.status,
        constants=constants.flat(),
        budgets=tuple(budgets),
        sensitivity=sensitivity,
        sensitivity_notes=notes,
        warnings=tuple(
            dict.fromkeys([*constants.warnings, *_unused(settings, fit.names), *_warnings(scan), *doubts(budgets)])
        ),
    )


def _members(names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Basis names behind each reported name: the metabolites, then the sums whose members the basis has."""
    present = list(names)
    rows: dict[str, tuple[str, ...]] = {reported_name(name): (name,) for name in present}
    for name in COMBINED:
        found = parts_of(name, present)
        if found and name not in rows:
            rows[name] = found
    return rows


def _scan(
    fit: Fit,
    water: WaterFit | None,
    tissue: TissueFractions | None,
    timing: ScanTiming,
    constants: Constants,
    units: tuple[str, ...],
) -> _Scan:
    """Decide which units are possible, why the others are not, and what marks the numbers carry."""
    marks: list[str] = []
    measured = water is not None and bool(np.isfinite(water.amplitude) and water.amplitude > 0)
    if measured and not timing.complete and constants.conventions["iu"] != "attenuation":
        marks.append("relaxation_correction=incomplete")
    if constants.is_solution:
        marks.append("solution")
    elif water is not None and tissue is None:
        marks.append("tissue_correction=none")
    missing = missing_units(water, tissue, timing, constants, units)
    return _Scan(fit, water, tissue, timing, constants, missing, tuple(marks))


def _with_factors(scan: _Scan) -> _Scan:
    """Add the factor of every metabolite in the units that are possible, and the draws behind their uncertainty."""
    units = [unit for unit in UNITS if unit not in scan.missing] if scan.fit.status != "failed" else []
    names = [name for name in scan.fit.names if units and _is_molecule(name)]
    z = draws(inputs(scan.constants, None, name) for name in names)
    factors = {
        (unit, name): factor(unit, scan.constants, scan.tissue, scan.timing, name, z)
        for unit in units
        for name in names
        if unit not in ALPHA or scan.constants.has_alpha(name)
    }
    return replace(scan, draws=z, factors=factors)


def _row(scan: _Scan, name: str, members: tuple[str, ...], budgets: list[Budget]) -> Concentration:
    """Quantify one metabolite or sum."""
    tissue = scan.tissue
    fractions = {
        "f_gm": None if tissue is None else tissue.gm,
        "f_wm": None if tissue is None else tissue.wm,
        "f_csf": None if tissue is None else tissue.csf,
    }
    flags = [*scan.fit.flags, *scan.marks]
    if not is_whole(name, members):
        flags.append(f"only={'+'.join(members)}")
    if scan.fit.status == "failed":
        return Concentration(name, "failed", ";".join(dict.fromkeys(flags)), "the fit failed", **fractions)
    amplitude, crlb, amplitude_sd, total_sd = scan.fit.combination(dict.fromkeys(members, 1.0))
    numbers: dict[str, float | None] = {
        "amplitude": amplitude, "crlb": crlb, "amplitude_sd": amplitude_sd, "total_sd": total_sd,
    }  # fmt: skip
    reasons: list[str] = []
    numbers |= _ratio(scan.fit, name, members, reasons)
    numbers |= _absolute(scan, name, members, reasons, budgets)
    broken = [key for key, number in numbers.items() if key.startswith(JUDGED) and not _is_finite(number)]
    if broken:
        reasons.append(f"{', '.join(broken)}: not a finite number")
    reason = "; ".join(dict.fromkeys(reasons))
    marks = ";".join(dict.fromkeys(flags))
    return Concentration(name, scan.fit.status, marks, reason, **fractions, **_finite(numbers))


def _is_finite(number: float | None) -> bool:
    return number is None or bool(np.isfinite(number))


def _finite(numbers: Mapping[str, float | None]) -> dict[str, float | None]:
    return {key: float(value) if value is not None and np.isfinite(value) else None for key, value in numbers.items()}


def _ratio(fit: Fit, name: str, members: tuple[str, ...], reasons: list[str]) -> dict[str, float | None]:
    """Ratio to total creatine with its interval, or why there is none."""
    keys = ("ratio_tCr", "ratio_tCr_sd", "ratio_tCr_lo", "ratio_tCr_hi")
    creatine = parts_of("tCr", fit.names)
    if not creatine:
        reasons.append("ratio: the basis has no creatine")
        return dict.fromkeys(keys)
    if not fit.combination(dict.fromkeys(creatine, 1.0))[0] > 0:
        reasons.append("ratio: tCr is not above zero")
        return dict.fromkeys(keys)
    return dict(zip(keys, fit.ratio(name if name in COMBINED else members[0], "tCr"), strict=True))


def _absolute(
    scan: _Scan, name: str, members: tuple[str, ...], reasons: list[str], budgets: list[Budget]
) -> dict[str, float | None]:
    """Concentrations in every unit with their SDs; where there is none, the reason is said once for all it concerns."""
    numbers: dict[str, float | None] = {}
    absent: dict[str, list[str]] = {}
    for unit in UNITS:
        value, sd, budget, why = _in_unit(scan, name, members, unit)
        numbers |= {unit: value, f"{unit}_sd": sd}
        if budget is not None:
            budgets.append(budget)
        if why:
            absent.setdefault(why, []).append(unit)
    reasons += [f"{', '.join(units)}: {why}" for why, units in absent.items()]
    return numbers


def _in_unit(
    scan: _Scan, name: str, members: tuple[str, ...], unit: str
) -> tuple[float | None, float | None, Budget | None, str]:
    """Value, SD, budget and reason of one unit."""
    if not all(_is_molecule(member) for member in members):
        return None, None, None, "a macromolecule or lipid signal has no molar concentration"
    if unit in ALPHA and not all(map(scan.constants.has_alpha, members)):
        return None, None, None, UNDEFINED
    if unit in scan.missing:
        return None, None, None, scan.missing[unit]
    assert scan.water is not None
    factors = {m: scan.factors[unit, m] for m in members}
    water = scan.water.amplitude * scan.timing.water_scale
    value, _, amplitude_sd, total_sd = scan.fit.combination({m: f.value / water for m, f in factors.items()})
    spread = total_sd if np.isfinite(total_sd) else amplitude_sd
    sds = spread, scan.water.sd / scan.water.amplitude
    sd, budget = propagate(name, unit, value, sds, list(factors.values()), _shares(scan.fit, factors), scan.draws)
    return value, sd, budget, ""


def _shares(fit: Fit, factors: Mapping[str, Factor]) -> FloatArray:
    """Share of each member in a sum, shape ``(members,)``; equal shares of nothing."""
    parts = np.array([fit.combination({m: 1.0})[0] * f.value for m, f in factors.items()])
    return np.asarray(parts / parts.sum() if parts.sum() != 0 else np.full(parts.size, 1 / parts.size))


def _sensitivity(
    scan: _Scan, members: Mapping[str, tuple[str, ...]]
) -> tuple[tuple[Alternative, ...], tuple[str, ...]]:
    """Other conventions' numbers for every metabolite, and in words what cannot be compared."""
    if scan.fit.status == "failed":
        return (), ("no concentrations to compare: the fit failed",)
    if scan.water is None or "iu" in scan.missing:
        return (), (f"only ratios ({scan.missing['iu']}), which depend on neither preset nor tissue correction",)
    if scan.constants.is_solution:
        return (), ("other presets and tissue correction are for tissue, not for a solution",)
    water = scan.water.amplitude * scan.timing.water_scale
    setting = Setting(scan.constants, scan.tissue, scan.timing, scan.missing)
    others = setting.others()

    def concentrate(factors: Mapping[str, float]) -> float:
        return scan.fit.combination({m: f / water for m, f in factors.items()})[0]

    found = tuple(
        item
        for name, parts in members.items()
        if all(_is_molecule(part) for part in parts)
        for item in alternatives(name, parts, concentrate, setting, others)
    )
    return found, setting.notes(others)


def _unused(settings: QuantifySection, names: Iterable[str]) -> list[str]:
    """Name the metabolites that settings speak of and the basis does not have."""
    known = {*names, *(reported_name(name) for name in names), *COMBINED}
    tables = {f"overrides.{key}": value for key, value in settings.overrides.items() if isinstance(value, dict)}
    return [
        f"[quantify] {key} names {name}, which the basis set does not have"
        for key, table in {**tables, "alpha": settings.alpha}.items()
        for name in table
        if name not in known and canonical_name(name) not in known
    ]


def _warnings(scan: _Scan) -> list[str]:
    """Say what was missing or assumed."""
    found: list[str] = []
    if "relaxation_correction=incomplete" in scan.marks:
        found.append("iu: no relaxation correction, neither of the metabolites nor of the water")
    sentences = [] if scan.water is None else [f"water: {text}" for text in scan.water.warnings]
    if scan.tissue is not None:
        sentences += [f"tissue: {text}" for text in scan.tissue.warnings]
    absent: dict[str, list[str]] = {}
    for unit in UNITS:
        if scan.missing.get(unit, NOT_ASKED) not in {NOT_ASKED, UNDEFINED}:
            absent.setdefault(scan.missing[unit], []).append(unit.replace("_", "-"))
    reasons = [f"no {', '.join(units)} concentrations: {why}" for why, units in absent.items()]
    for timing, what in ((scan.timing.metabolite, "metabolite"), (scan.timing.water, "water")):
        if timing is not None and timing.complete and timing.flip_angle is None and scan.water is not None:
            found.append(f"the {what} scan states no flip angle: 90 degrees assumed")
    if scan.water is not None and scan.timing.water_scale != 1.0:
        found.append(
            f"water amplitude multiplied by {scan.timing.water_scale:.4g} (receiver scale of the metabolite scan)"
        )
    return [*reasons, *found, *_solution_warnings(scan), *sentences]


def _solution_warnings(scan: _Scan) -> list[str]:
    """Say what a solution's numbers take for granted."""
    if not scan.constants.is_solution or scan.water is None:
        return []
    found: list[str] = []
    if scan.tissue is not None:
        found.append("tissue fractions are not used: the preset is for a solution in water")
    members = {name: scan.constants.metabolite(name) for name in scan.fit.names if _is_molecule(name)}
    assumed = [name for name, table in members.items() if any(_is_assumed(entry) for entry in table.values())]
    if any(_is_assumed(scan.constants.water[key]) for key in ("t1_mean", "t2_mean")):
        assumed.insert(0, "water")
    if assumed:
        found.append(
            f"T1 or T2 in the solution is not given for {', '.join(assumed)}: fully relaxed signals without decay are "
            "assumed, which is wrong by tens of per cent unless TR is several T1 and TE far below T2; give water_t1, "
            "water_t2, metabolite_t1 and metabolite_t2 under [quantify.overrides]"
        )
    return found


def _is_assumed(constant: Constant) -> bool:
    return constant.doi.startswith("assumption")
