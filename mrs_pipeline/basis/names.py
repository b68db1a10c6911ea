"""Metabolite names: one canonical spelling, and where each molecule's uncoupled line stands."""

from __future__ import annotations

from collections.abc import Iterable

DEFAULT_METABOLITES: tuple[str, ...] = (
    "Ala", "Asc", "Asp", "Cr", "GABA", "Glc", "Gln", "Glu", "Gly", "GPC",
    "GSH", "Ins", "Lac", "NAA", "NAAG", "PCh", "PCr", "PE", "sIns", "Tau",
)  # fmt: skip
"""Metabolites of a short-echo 1H spectrum of the brain, simulated unless others are asked for."""

_VARIANTS: dict[str, tuple[str, ...]] = {
    "Ace": ("acetate",),
    "Ala": ("alanine",),
    "Asc": ("ascorbate", "ascorbicacid", "vitc"),
    "AscT": (),
    "Asp": ("aspartate",),
    "bHB": ("bhb", "bhydb", "betahb", "bohb", "3hb"),
    "Cho": ("choline",),
    "Cr": ("creatine", "cre"),
    "CrCH2": ("-crch2", "crch2", "mcrch2"),
    "EtOH": ("ethanol", "eth"),
    "GABA": (),
    "Glc": ("glucose", "glu-cose", "bglc"),
    "Gln": ("glutamine",),
    "Glu": ("glutamate",),
    "Gly": ("glycine",),
    "GPC": ("glycerophosphocholine", "glycerophosphorylcholine"),
    "GSH": ("glutathione", "gsh_v2"),
    "H2O": ("water", "h2o"),
    "Ins": ("mi", "mins", "m-ins", "myo-ins", "myoins", "inositol", "myo-inositol", "myoinositol", "ino"),
    "Lac": ("lactate",),
    "MM": ("mac", "macro", "mmexp", "mm_cmr", "macromolecules"),
    "NAA": ("nacetylaspartate",),
    "NAAG": (),
    "PCh": ("pcho", "phosphocholine", "phosphorylcholine"),
    "PCr": ("phosphocreatine",),
    "PE": ("peth", "pea", "phosphoethanolamine", "phosphorylethanolamine"),
    "Ser": ("serine",),
    "sIns": (
        "scyllo",
        "scy",
        "si",
        "sin",
        "s-ins",
        "scylloins",
        "scyllo-inositol",
        "scylloinositol",
        "scyllo-ins",
        "sino",
    ),
    "Tau": ("taurine",),
    "Thr": ("threonine",),
}

_CANONICAL: dict[str, str] = {
    variant.lower(): name for name, variants in _VARIANTS.items() for variant in (name, *variants)
}

COMBINED: dict[str, tuple[str, ...]] = {
    "tNAA": ("NAA", "NAAG"),
    "tCr": ("Cr", "PCr"),
    "tCho": ("GPC", "PCh"),
    "Glx": ("Glu", "Gln"),
}
"""Sums that are reported beside single metabolites."""

_ONE_SIGNAL: dict[str, tuple[str, ...]] = {"tCho": ("Cho",)}
"""Members of basis sets that stand for a whole sum as one signal."""

REPORTED_NAMES: dict[str, str] = {"Ins": "mI"}
"""Names in tables where they differ from the basis."""

SINGLETS: dict[str, tuple[float, int]] = {
    "Cr": (3.027, 3),
    "PCr": (3.029, 3),
    "NAA": (2.008, 3),
    "NAAG": (2.042, 3),
    "GPC": (3.212, 9),
    "PCh": (3.208, 9),
    "Cho": (3.185, 9),
    "sIns": (3.340, 6),
    "Gly": (3.548, 2),
    "Ace": (1.904, 3),
}
"""Chemical shift (ppm) and number of protons of each molecule's strongest uncoupled line (Govindaraju 2000)."""


_BACKGROUND = ("mm", "lip", "mac")
"""Starts of the names of macromolecules and lipids in basis sets, whatever their case."""


def is_background(name: str) -> bool:
    """Tell whether a member of a basis set is macromolecules or lipids (MM09, Mac, MMExp, Lip13a)."""
    return canonical_name(name).lower().startswith(_BACKGROUND)


def is_lipid(name: str) -> bool:
    """Tell whether a member of a basis set is a lipid signal."""
    return canonical_name(name).lower().startswith("lip")


def parts_of(name: str, names: Iterable[str]) -> tuple[str, ...]:
    """Return the members behind a metabolite (in any spelling) or a sum, of those that there are.

    Parameters
    ----------
    name
        Metabolite, or a sum such as ``tCho``.
    names
        Members of the basis set, or components of the fit.

    Returns
    -------
    tuple
        A member of that very name alone, else the parts of the sum that are there; empty where there is none.
    """
    there = tuple(names)
    if name in there:
        return (name,)
    wanted = (*COMBINED[name], *_ONE_SIGNAL.get(name, ())) if name in COMBINED else (canonical_name(name),)
    return tuple(part for part in wanted if part in there)


def is_whole(name: str, parts: Iterable[str]) -> bool:
    """Tell whether members make up a whole sum; a metabolite is its own."""
    found = set(parts)
    return name not in COMBINED or found >= set(COMBINED[name]) or bool(found & {name, *_ONE_SIGNAL.get(name, ())})


def reported_name(name: str) -> str:
    """Return a basis name as tables have it."""
    return REPORTED_NAMES.get(name, name)


def canonical_name(name: str) -> str:
    """Return the package's spelling of a metabolite name; unknown names come back stripped but unchanged."""
    stripped = name.strip()
    return _CANONICAL.get(stripped.lower(), stripped)
