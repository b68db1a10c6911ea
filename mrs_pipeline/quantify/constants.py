"""Constants of a quantification preset: values with uncertainty and source, for one field strength."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from mrs_pipeline.basis import COMBINED, canonical_name
from mrs_pipeline.config import read_preset
from mrs_pipeline.errors import StudyError

PROTON_MHZ_PER_TESLA = 42.577478
COMPARTMENTS = ("gm", "wm", "csf")
OVERRIDDEN = "study.toml [quantify.overrides]"
"""Source of a constant that the user gave; age does not change it."""

GIVEN_ALPHA, GIVEN_MEANS = "study.toml [quantify] alpha", "study.toml [quantify] alpha_means"
"""Sources of what the user gave for the alpha correction."""

YOUNGEST, OLDEST = 18.0, 80.0
"""Years between which T2 follows age."""

KINDS = ("primary", "tables", "table", "choice", "definition")
"""How far a value was checked: in the paper, in two independent tables, in one table, own choice, no measurement."""

CONVENTIONS: dict[str, tuple[str, ...]] = {
    "csf": ("mole", "volume"),
    "metabolite_relaxation": ("per-compartment", "mean-times"),
    "iu": ("assumed-fractions", "single-compartment", "attenuation", "solution"),
}


@dataclass(frozen=True)
class Constant:
    """One number with its range and where it comes from.

    Parameters
    ----------
    value
        In seconds, fractions or mmol/kg, as the key says.
    sd
        Standard deviation that stands for the range in the literature; 0 for a definition.
    doi
        DOI or address of the source.
    kind
        One of ``KINDS``; ``"user"`` for an override, empty where a preset reproduces another tool.
    """

    value: float
    sd: float = 0.0
    doi: str = ""
    kind: str = ""


@dataclass(frozen=True)
class Constants:
    """All constants of a preset at one field strength.

    Parameters
    ----------
    preset, title
        Name of the preset and one line on it.
    status
        ``"tested"`` against numbers from outside, or ``"modelled on, untested"``.
    field_tesla
        Field strength the relaxation constants are for.
    conventions
        Choices of equation, see ``CONVENTIONS``.
    water
        ``t1_gm`` ... ``t2_csf`` (s), ``content_gm`` ... ``content_csf`` (relative to pure water), ``molality`` (mmol
        per kg of water), ``density`` (kg/L), and what the ``iu`` convention needs.
    metabolites
        Per metabolite (and ``default``): ``t1_gm``, ``t1_wm``, ``t2_gm``, ``t2_wm`` in s.
    alpha
        White-to-grey concentration ratio per metabolite, by basis name.
    group
        ``gm``, ``wm``: fixed mean fractions of the baseline group for the alpha correction; empty without them.
    age_slopes
        Relative change of T2 per year of age for metabolites and ``water`` (grey and white matter), and
        ``reference_age``; empty where nothing is published.
    warnings
        Sentences for the report.
    """

    preset: str
    title: str
    status: str
    field_tesla: float
    conventions: Mapping[str, str]
    water: Mapping[str, Constant]
    metabolites: Mapping[str, Mapping[str, Constant]]
    alpha: Mapping[str, Constant] = field(default_factory=dict)
    group: Mapping[str, Constant] = field(default_factory=dict)
    age_slopes: Mapping[str, Constant] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def metabolite(self, name: str) -> Mapping[str, Constant]:
        """Relaxation constants of a metabolite, the preset's default where it has no own."""
        return self.metabolites.get(canonical_name(name), self.metabolites.get("default", {}))

    @property
    def is_solution(self) -> bool:
        """Whether the preset is for a solution in water, which has no tissue."""
        return self.conventions["iu"] == "solution"

    def has_water_relaxation(self) -> bool:
        """Whether the preset knows relaxation per compartment, as molal and molar of tissue need."""
        return "t1_gm" in self.water

    def has_alpha(self, name: str) -> bool:
        """Whether the white-to-grey ratio of a metabolite is known."""
        return canonical_name(name) in self.alpha

    def flat(self) -> dict[str, Constant]:
        """Every constant under one key (``water_t1_gm``, ``metabolite_t2_wm.Glu``), for reports and provenance."""
        water = {f"water_{key}": constant for key, constant in self.water.items()}
        metabolites = {
            f"metabolite_{key}.{name}": constant
            for name, table in self.metabolites.items()
            for key, constant in table.items()
        }
        group = {f"group_{name}": constant for name, constant in self.group.items()}
        return {**water, **metabolites, **{f"alpha.{name}": constant for name, constant in self.alpha.items()}, **group}


def load_constants(
    preset: str, carrier_mhz: float, overrides: Mapping[str, float | dict[str, float]] | None = None
) -> Constants:
    """Read a preset for the field strength nearest to a carrier frequency, with single constants replaced.

    Parameters
    ----------
    preset
        Name of a shipped preset, or the path of a TOML file of the same form.
    carrier_mhz
        Transmitter frequency in MHz.
    overrides
        As ``[quantify.overrides]``: ``water_t1_gm``, ``water_content_wm``, ``metabolite_t2`` (all compartments; a
        number for all metabolites or a table per metabolite), ``metabolite_t1_gm`` ... in seconds and fractions; a
        T1 of 0 stands for full relaxation.

    Raises
    ------
    StudyError
        Unknown preset or override, or an impossible value.
    """
    raw = read_preset("relaxation", preset) if preset.endswith(".toml") else _shipped(preset)
    tesla = carrier_mhz / PROTON_MHZ_PER_TESLA
    fields: dict[str, Any] = raw["field"]
    nearest = min(fields, key=lambda name: abs(float(name) - tesla))
    warnings = []
    if abs(float(nearest) / tesla - 1) > 0.1:
        warnings.append(f"the preset has no constants for {tesla:.2f} T; those for {nearest} T are used")
    chosen = fields[nearest]
    constants = Constants(
        preset=str(raw["name"]),
        title=str(raw["title"]),
        status=str(raw["status"]),
        field_tesla=float(nearest),
        conventions={key: _choice(key, raw["conventions"][key]) for key in CONVENTIONS},
        water={**_table(raw.get("water", {})), **_table(chosen.get("water", {}))},
        metabolites={name: _table(table) for name, table in chosen.get("metabolite", {}).items()},
        alpha=_table(raw.get("alpha", {})),
        age_slopes=_table(chosen.get("age", {})),
        warnings=tuple(warnings),
    )
    for key, value in (overrides or {}).items():
        constants = _overridden(constants, key, value)
    return constants


@lru_cache(maxsize=16)
def _shipped(name: str) -> dict[str, Any]:
    """Parse a shipped preset once."""
    return read_preset("relaxation", name)


def _table(raw: Mapping[str, Any]) -> dict[str, Constant]:
    return {
        key: Constant(float(entry["value"]), float(entry.get("sd", 0.0)), str(entry["doi"]), str(entry.get("kind", "")))
        for key, entry in raw.items()
    }


def _choice(key: str, value: str) -> str:
    if value not in CONVENTIONS[key]:
        raise StudyError(
            f"convention {key} = '{value}' is not known", remedy=f"use one of {', '.join(CONVENTIONS[key])}"
        )
    return value


def _overridden(constants: Constants, key: str, value: float | dict[str, float]) -> Constants:
    """Replace one constant (or one kind of constant) by a user's value."""
    for number in value.values() if isinstance(value, dict) else (value,):
        if not (math.isfinite(number) and (number > 0 or (number == 0 and "_t1" in key))):
            raise StudyError(
                f"{key} = {number:g} in [quantify.overrides] is no possible value",
                remedy="give relaxation times in seconds and water contents above 0",
            )
    kind, _, rest = key.partition("_")
    if kind == "water" and not isinstance(value, dict):
        known = [f"water_{name}" for name in constants.water]
        names = (
            [rest]
            if rest in constants.water
            else [f"{rest}_{c}" for c in (*COMPARTMENTS, "mean") if f"{rest}_{c}" in constants.water]
        )
        if names:
            new = {name: Constant(value, 0.0, OVERRIDDEN, "user") for name in names}
            return replace(constants, water={**constants.water, **new})
        raise _unknown(key, known)
    if kind == "metabolite" and rest in METABOLITE_KEYS:
        per_metabolite = (
            _by_basis_name(value) if isinstance(value, dict) else dict.fromkeys(constants.metabolites, value)
        )
        metabolites = dict(constants.metabolites)
        for name, seconds in per_metabolite.items():
            new = {k: Constant(seconds, 0.0, OVERRIDDEN, "user") for k in METABOLITE_KEYS[rest]}
            metabolites[name] = {**constants.metabolite(name), **new}
        return replace(constants, metabolites=metabolites)
    raise _unknown(
        key, [f"water_{name}" for name in constants.water] + [f"metabolite_{name}" for name in METABOLITE_KEYS]
    )


def _by_basis_name(values: Mapping[str, float]) -> dict[str, float]:
    """Give every member of a sum its value, and every metabolite its basis name (mI: Ins)."""
    members = {name: COMBINED.get(name, (name,)) for name in values}
    return {canonical_name(member): values[name] for name, parts in members.items() for member in parts}


def with_alpha(
    constants: Constants, ratios: Mapping[str, float], means: tuple[float, float] | None = None
) -> Constants:
    """Take ratios and group means of the alpha correction from study.toml.

    Parameters
    ----------
    ratios
        White-to-grey ratio by reported or basis name, over the preset's own; a sum (``tCr``) stands for its members,
        a member's own entry comes before that of the sum.
    means
        Fixed mean fractions of GM and WM of the baseline group.
    """
    sums = {name: value for name, value in ratios.items() if name in COMBINED}
    single = {name: value for name, value in ratios.items() if name not in COMBINED}
    given = {**_by_basis_name(sums), **_by_basis_name(single)}
    alpha = {name: Constant(value, 0.0, GIVEN_ALPHA, "user") for name, value in given.items()}
    group = (
        {}
        if means is None
        else {name: Constant(value, 0.0, GIVEN_MEANS, "user") for name, value in zip(("gm", "wm"), means, strict=True)}
    )
    return replace(constants, alpha={**constants.alpha, **alpha}, group=group)


def at_age(constants: Constants, age: float | None) -> Constants:
    r"""Shorten T2 of metabolites and of tissue water with age where a study gives the change.

    Parameters
    ----------
    age
        Years; ``None`` or no number leaves the constants as they are, with a warning.

    Notes
    -----
    :math:`T_2(a) = T_2\,[1 + s\,(a - a_0)]`, with the age held between 18 and 80 years; the slope's SD is added to
    that of T2.
    """
    if not constants.age_slopes:
        return replace(constants, warnings=(*constants.warnings, "age dependence: the preset has none for this field"))
    if age is None or not math.isfinite(age):
        return replace(constants, warnings=(*constants.warnings, "age dependence: the participant's age is not known"))
    held = min(max(age, YOUNGEST), OLDEST)
    if held != age:
        said = f"age dependence: taken at {held:g} instead of {age:g} years, beyond which nothing was measured"
        constants = replace(constants, warnings=(*constants.warnings, said))
    years = held - constants.age_slopes["reference_age"].value
    metabolites = dict(constants.metabolites)
    water = dict(constants.water)
    for name, slope in constants.age_slopes.items():
        if name in metabolites:
            metabolites[name] = {key: _aged(key, old, slope, years) for key, old in metabolites[name].items()}
        elif name == "water":
            water |= {key: _aged(key, water[key], slope, years) for key in ("t2_gm", "t2_wm")}
    return replace(constants, water=water, metabolites=metabolites)


def _aged(key: str, old: Constant, slope: Constant, years: float) -> Constant:
    if not key.startswith("t2") or old.doi == OVERRIDDEN:
        return old
    factor = 1 + slope.value * years
    sd = math.hypot(old.sd * factor, old.value * slope.sd * years)
    kind = old.kind if old.kind == "choice" else slope.kind  # the weaker of the two
    return Constant(old.value * factor, sd, f"{old.doi}; age: {slope.doi}", kind)


METABOLITE_KEYS: dict[str, tuple[str, ...]] = {
    "t1": ("t1_gm", "t1_wm"),
    "t2": ("t2_gm", "t2_wm"),
    **{name: (name,) for name in ("t1_gm", "t1_wm", "t2_gm", "t2_wm")},
}


def _unknown(key: str, known: list[str]) -> StudyError:
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.0)
    hint = f"did you mean '{near[0]}'? " if near else ""
    return StudyError(f"unknown constant '{key}' in [quantify.overrides]", remedy=f"{hint}known: {', '.join(known)}")
