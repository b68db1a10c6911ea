"""Spin systems: chemical shifts and couplings of each molecule, read from ``spin_systems.toml``."""

from __future__ import annotations

import difflib
import itertools
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import numpy as np

from mrs_pipeline.basis.names import canonical_name
from mrs_pipeline.errors import BasisError
from mrs_pipeline.spectrum import FloatArray

SPIN_STATES: dict[str, tuple[float, ...]] = {"31P": (-0.5, 0.5), "14N": (-1.0, 0.0, 1.0), "13C": (-0.5, 0.5)}
"""Magnetic quantum numbers of the nuclei that may couple weakly to protons."""


@dataclass(frozen=True, eq=False)
class SpinGroup:
    """Protons that couple to one another, or one uncoupled line.

    Parameters
    ----------
    shifts
        Chemical shifts in ppm, one per proton, shape ``(n,)``.
    couplings
        Proton-proton couplings in Hz, symmetric, shape ``(n, n)``.
    weight
        Factor of the group's signal (number of equivalent uncoupled protons, anomer fraction).
    heteronuclei
        Pairs of nucleus and its couplings to each proton in Hz, shape ``(n,)``.
    sources
        Keys of the literature table.
    """

    shifts: FloatArray
    couplings: FloatArray
    weight: float = 1.0
    heteronuclei: tuple[tuple[str, FloatArray], ...] = ()
    sources: tuple[str, ...] = ()

    @property
    def n_protons(self) -> float:
        """Protons the group contributes to one molecule."""
        return self.weight * len(self.shifts)

    def static_offsets(self) -> list[FloatArray]:
        """Return the proton offsets in Hz for every state of the heteronuclei, each equally populated.

        Notes
        -----
        A weakly coupled nucleus that meets no pulse keeps its quantum number m, so the protons see a constant offset
        J m: the group is an average over the states, which is exact and needs no larger spin space.
        """
        states = [[m * couplings for m in SPIN_STATES[nucleus]] for nucleus, couplings in self.heteronuclei]
        zero = np.zeros(len(self.shifts))
        return [np.sum([zero, *combination], axis=0) for combination in itertools.product(*states)]


@dataclass(frozen=True, eq=False)
class Molecule:
    """A molecule as a sum of groups that do not couple to one another."""

    name: str
    title: str
    groups: tuple[SpinGroup, ...]

    @property
    def n_protons(self) -> float:
        """Observed protons of the molecule."""
        return sum(group.n_protons for group in self.groups)


@cache
def _table() -> dict[str, Any]:
    text = (resources.files("mrs_pipeline.basis") / "spin_systems.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def molecule_names() -> tuple[str, ...]:
    """Return the names of all molecules that can be simulated."""
    return tuple(_table()["molecules"])


def literature() -> dict[str, dict[str, str]]:
    """Return the literature table: key -> ``{"doi", "pmid" or "url": ..., "checked": ..., "text": ...}``."""
    return dict(_table()["sources"])


def molecule(name: str) -> Molecule:
    """Return a molecule by any of its names.

    Raises
    ------
    BasisError
        The molecule is not in the table; the nearest known name is given.
    """
    known = _table()["molecules"]
    key = canonical_name(name)
    if key not in known:
        near = difflib.get_close_matches(key, known, n=1, cutoff=0.0)
        raise BasisError(f"no spin system for {name!r}", remedy=f"use one of {', '.join(known)} (nearest: {near[0]})")
    entry = known[key]
    return Molecule(key, entry["title"], tuple(_group(group) for group in entry["groups"]))


def _group(entry: dict[str, Any]) -> SpinGroup:
    shifts = np.array(entry["shifts"], dtype=float)
    couplings = np.zeros((len(shifts), len(shifts)))
    for pair, value in entry.get("couplings", {}).items():
        i, j = (int(part) - 1 for part in pair.split("-"))
        couplings[i, j] = couplings[j, i] = value
    hetero = tuple(
        (nucleus["nucleus"], _proton_couplings(nucleus["couplings"], len(shifts)))
        for nucleus in entry.get("heteronuclei", [])
    )
    keys = ("source", "shift_source", "coupling_source")
    sources = tuple(dict.fromkeys(entry[key] for key in keys if key in entry))
    return SpinGroup(shifts, couplings, float(entry.get("weight", 1.0)), hetero, sources)


def _proton_couplings(table: dict[str, float], n: int) -> FloatArray:
    values = np.zeros(n)
    for proton, value in table.items():
        values[int(proton) - 1] = value
    return values
