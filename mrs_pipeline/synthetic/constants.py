"""Water content, relaxation times and typical concentrations from which the synthetic signals are summed.

The numbers are those of the preset ``default`` of the quantification, read from the same data file, so that the planted
concentrations are what a pipeline with its default settings should find; the equations are this room's own. What other
constants do to the numbers is seen with :func:`other_laboratory`. What a trial used is written to
``truth/constants.json``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from mrs_pipeline.config import read_preset

TISSUES = ("gm", "wm", "csf")
"""Order of every three-vector of tissue values."""

PRESET = "default"
FIELD = "3.0"
"""Preset of the constants and the field strength in it; the generator makes 3 T data."""

CONCENTRATION_SOURCE = "typical healthy adult values: Gudmundson 2023, doi:10.1016/j.ab.2023.115227"

_OTHER_RELAXATION: dict[str, tuple[float, float, float, float]] = {
    # name: T1 grey, T1 white, T2 grey, T2 white (s)
    "NAA": (1.470, 1.350, 0.258, 0.343),
    "NAAG": (1.340, 1.190, 0.118, 0.185),
    "Cr": (1.460, 1.240, 0.146, 0.166),
    "PCr": (1.460, 1.240, 0.146, 0.166),
    "GPC": (1.300, 1.080, 0.248, 0.218),
    "PCh": (1.300, 1.080, 0.248, 0.218),
    "Ins": (1.230, 1.010, 0.237, 0.161),
    "Glu": (1.270, 1.170, 0.129, 0.124),
    "Gln": (1.340, 1.190, 0.111, 0.168),
    "GSH": (1.340, 1.190, 0.089, 0.145),
    "GABA": (1.310, 1.310, 0.089, 0.089),
    "Lac": (1.340, 1.190, 0.105, 0.159),
    "Asp": (1.340, 1.190, 0.101, 0.148),
    "Asc": (1.340, 1.190, 0.115, 0.172),
    "Tau": (1.340, 1.190, 0.113, 0.113),
    "sIns": (1.340, 1.190, 0.116, 0.170),
    "Gly": (1.340, 1.190, 0.092, 0.152),
    "PE": (1.340, 1.190, 0.103, 0.158),
    "Glc": (1.340, 1.190, 0.103, 0.155),
}

_CONCENTRATIONS: dict[str, float] = {
    "NAA": 11.5, "NAAG": 1.6, "Cr": 5.6, "PCr": 4.4, "GPC": 1.4, "PCh": 0.6, "Ins": 7.0, "Glu": 11.0, "Gln": 2.6,
    "GSH": 1.5, "GABA": 1.8, "Lac": 0.7, "Asp": 2.4, "Tau": 1.4, "PE": 1.5, "sIns": 0.30, "Glc": 1.0, "Asc": 0.9,
    "Ala": 0.4, "Gly": 0.7,
}  # fmt: skip

_BETWEEN_CV: dict[str, float] = {
    "NAA": 0.09, "NAAG": 0.20, "Cr": 0.11, "PCr": 0.11, "GPC": 0.15, "PCh": 0.15, "Ins": 0.15, "Glu": 0.13, "Gln": 0.25,
    "GSH": 0.20,
}  # fmt: skip


@dataclass(frozen=True)
class Relaxation:
    """Relaxation times of one substance in grey and white matter, in seconds."""

    t1_gm: float
    t1_wm: float
    t2_gm: float
    t2_wm: float


@dataclass(frozen=True)
class WaterConstants:
    """Water content and relaxation of the three compartments, each as (GM, WM, CSF).

    Parameters
    ----------
    content
        Relative water content: water per tissue volume, pure water = 1.
    t1, t2
        Relaxation times in seconds.
    molality
        Pure water in mmol per kg.
    density_kg_per_l
        Density of water at body temperature, for values per litre of tissue.
    """

    content: tuple[float, float, float]
    t1: tuple[float, float, float]
    t2: tuple[float, float, float]
    molality: float
    density_kg_per_l: float


@lru_cache(maxsize=1)
def _preset() -> dict[str, Any]:
    """Read the preset once."""
    return read_preset("relaxation", PRESET)


def _preset_water() -> WaterConstants:
    """Return water content and relaxation of the preset."""
    raw, at_field = _preset()["water"], _preset()["field"][FIELD]["water"]

    def three(table: Mapping[str, Any], key: str) -> tuple[float, float, float]:
        grey, white, fluid = (float(table[f"{key}_{tissue}"]["value"]) for tissue in TISSUES)
        return grey, white, fluid

    return WaterConstants(
        content=three(raw, "content"),
        t1=three(at_field, "t1"),
        t2=three(at_field, "t2"),
        molality=float(raw["molality"]["value"]),
        density_kg_per_l=float(raw["density"]["value"]),
    )


def _preset_relaxation() -> tuple[Mapping[str, Relaxation], Relaxation]:
    """Return the relaxation times per metabolite of the preset, and those of all others."""
    times = {
        name: Relaxation(**{key: float(entry["value"]) for key, entry in table.items()})
        for name, table in _preset()["field"][FIELD]["metabolite"].items()
    }
    other = times.pop("default")
    return MappingProxyType(times), other


def _preset_sources() -> Mapping[str, str]:
    """Return the source of every number, and the preset it was read from."""
    at_field = _preset()["field"][FIELD]
    tables = {"water": {**_preset()["water"], **at_field["water"]}, **at_field["metabolite"]}
    found = {f"{name}.{key}": str(entry["doi"]) for name, table in tables.items() for key, entry in table.items()}
    return MappingProxyType(
        {"preset": f"relaxation/{PRESET}, {FIELD} T", "concentrations": CONCENTRATION_SOURCE, **found}
    )


@dataclass(frozen=True)
class Constants:
    """Everything physical that a synthetic spectrum is summed from.

    Parameters
    ----------
    water
        Water content and relaxation.
    metabolites
        Relaxation per metabolite.
    other
        Relaxation of metabolites without an entry.
    white_to_grey
        Concentration in white matter over that in grey, per metabolite and per kg tissue water; 1 where absent.
    sources
        Where the numbers come from, by key of the preset.
    """

    water: WaterConstants = field(default_factory=_preset_water)
    metabolites: Mapping[str, Relaxation] = field(default_factory=lambda: _preset_relaxation()[0])
    other: Relaxation = field(default_factory=lambda: _preset_relaxation()[1])
    white_to_grey: Mapping[str, float] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=_preset_sources)

    def relaxation(self, name: str) -> Relaxation:
        """Return the relaxation times of a metabolite."""
        return self.metabolites.get(name, self.other)


def other_laboratory() -> Constants:
    """Return constants another laboratory might hold: older values for CSF, and one study for all T2.

    Wansapura 1999, doi:10.1002/(SICI)1522-2586(199904)9:4<531::AID-JMRI4>3.0.CO;2-L (tissue water); Lu 2005,
    doi:10.1002/jmri.20356, and Piechnik 2009, doi:10.1002/mrm.21897 (T1 and T2 of CSF); Mlynarik 2001,
    doi:10.1002/nbm.713, and Puts 2013, doi:10.1002/jmri.23817 (T1); Wyss 2018, doi:10.1002/mrm.27067 (T2).
    """
    return Constants(
        water=replace(_preset_water(), t1=(1.331, 0.832, 3.817), t2=(0.110, 0.0792, 0.503)),
        metabolites=MappingProxyType({name: Relaxation(*values) for name, values in _OTHER_RELAXATION.items()}),
        other=Relaxation(1.340, 1.190, 0.140, 0.169),
        sources=MappingProxyType({"preset": "none", "concentrations": CONCENTRATION_SOURCE}),
    )


def typical_concentrations() -> dict[str, float]:
    """Return typical concentrations in mmol per kg tissue water for the default set of 20 metabolites."""
    return dict(_CONCENTRATIONS)


def typical_between_cv() -> dict[str, float]:
    """Return typical between-person coefficients of variation; others are taken as 0.25."""
    return dict(_BETWEEN_CV)
