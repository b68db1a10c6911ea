"""Water content, relaxation times and typical concentrations from which the synthetic signals are summed.

These are re-entered from the literature on their own, not read from the quantification presets, so that planted truth
does not depend on the code it judges. What a trial used is written to ``truth/constants.json``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

TISSUES = ("gm", "wm", "csf")
"""Order of every three-vector of tissue values."""

DEFAULT_RELAXATION = (1.340, 1.190, 0.140, 0.169)
"""T1 grey, T1 white, T2 grey, T2 white (s) of metabolites without an entry of their own."""

_METABOLITE_RELAXATION: dict[str, tuple[float, float, float, float]] = {
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

SOURCES: Mapping[str, str] = MappingProxyType(
    {
        "water_t1": "Wansapura 1999, doi:10.1002/(SICI)1522-2586(199904)9:4<531::AID-JMRI4>3.0.CO;2-L (GM, WM); "
        "Lu 2005, doi:10.1002/jmri.20356 (CSF)",
        "water_t2": "Wansapura 1999 (GM, WM); Piechnik 2009, doi:10.1002/mrm.21897 (CSF)",
        "water_content": "Ernst, Kreis, Ross 1993, doi:10.1006/jmrb.1993.1055",
        "metabolite_t1": "Mlynarik 2001, doi:10.1002/nbm.713",
        "metabolite_t2": "Wyss 2018, doi:10.1002/mrm.27067",
        "gaba": "Puts 2013, doi:10.1002/jmri.23817 (T1); Edden 2012, doi:10.1002/jmri.22865 (T2)",
        "concentrations": "typical healthy adult values: Gudmundson 2023, doi:10.1016/j.ab.2023.115227",
    }
)
"""Where the default numbers come from."""


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
        Relaxation times in seconds at 3 T.
    molality
        Pure water in mmol per kg.
    density_kg_per_l
        Density of water at body temperature, for values per litre of tissue.
    """

    content: tuple[float, float, float] = (0.78, 0.65, 0.97)
    t1: tuple[float, float, float] = (1.331, 0.832, 3.817)
    t2: tuple[float, float, float] = (0.110, 0.0792, 0.503)
    molality: float = 55510.0
    density_kg_per_l: float = 0.9933


def _relaxation_table() -> Mapping[str, Relaxation]:
    return MappingProxyType({name: Relaxation(*values) for name, values in _METABOLITE_RELAXATION.items()})


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
    """

    water: WaterConstants = field(default_factory=WaterConstants)
    metabolites: Mapping[str, Relaxation] = field(default_factory=_relaxation_table)
    other: Relaxation = field(default_factory=lambda: Relaxation(*DEFAULT_RELAXATION))
    white_to_grey: Mapping[str, float] = field(default_factory=dict)

    def relaxation(self, name: str) -> Relaxation:
        """Return the relaxation times of a metabolite."""
        return self.metabolites.get(name, self.other)


def typical_concentrations() -> dict[str, float]:
    """Return typical concentrations in mmol per kg tissue water for the default set of 20 metabolites."""
    return dict(_CONCENTRATIONS)


def typical_between_cv() -> dict[str, float]:
    """Return typical between-person coefficients of variation; others are taken as 0.25."""
    return dict(_BETWEEN_CV)
