"""Whether the signals of a basis set can be fitted to a spectrum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mrs_pipeline.basis import SINGLETS, Basis, canonical_name, is_background
from mrs_pipeline.errors import BasisError
from mrs_pipeline.fit.model import token
from mrs_pipeline.spectrum import Spectrum

PRESENT = 1e-3
"""Least size of a member, relative to the largest, from which its lines are looked for."""
EDGE_PPM = 0.1
NARROWEST_HZ = 4.0
"""Width by which lines in vivo are at least broader than those of a set."""
SHORT_SHARE = 0.02
"""Share of the first point that is left at the end of a set, in vivo, from which it is said to be cut."""


def checked_basis(basis: Basis) -> Basis:
    """Return a set with the package's spelling of metabolites and without empty background signals.

    Raises
    ------
    BasisError
        A signal is not finite, or two members are the same metabolite or have names that differ in punctuation alone.
    """
    broken = [name for name, fid in zip(basis.names, basis.fids, strict=True) if not np.isfinite(fid).all()]
    if broken:
        raise BasisError(
            f"the signal of {', '.join(broken)} is not finite",
            remedy="export these metabolites again or leave them out",
            path=basis.file,
        )
    filled = [name for name in basis.names if not is_background(name) or np.any(basis.fid(name))]
    if len(filled) < len(basis.names):
        basis = basis.select(filled)
    spelled = [name if is_background(name) else canonical_name(name) for name in basis.names]
    keys = [token(name) for name in spelled]
    alike = [name for name, key in zip(basis.names, keys, strict=True) if keys.count(key) > 1]
    if alike:
        raise BasisError(
            f"{' and '.join(alike)} are one metabolite, or names that differ in punctuation alone",
            remedy="keep one of them or rename it",
            path=basis.file,
        )
    return replace(basis, names=tuple(spelled))


def require_lines(basis: Basis, unseen: Sequence[str], ppm: tuple[float, float]) -> None:
    """Refuse a set whose well-known lines are not where they should be.

    Parameters
    ----------
    basis
        The set.
    unseen
        Members without signal in the window.
    ppm
        Fitted window.

    Raises
    ------
    BasisError
        Most members with an uncoupled line inside the window show nothing there.
    """
    sizes = {name: float(np.abs(fid).max()) for name, fid in zip(basis.names, basis.fids, strict=True)}
    least = PRESENT * max(sizes.values(), default=0.0)
    inside = [
        name
        for name in basis.names
        if name in SINGLETS and ppm[0] + EDGE_PPM < SINGLETS[name][0] < ppm[1] - EDGE_PPM and sizes[name] > least
    ]
    wrong = [name for name in inside if name in unseen]
    if 2 * len(wrong) > len(inside):
        raise BasisError(
            f"the lines of {', '.join(wrong)} are not where they should be between {ppm[0]:g} and {ppm[1]:g} ppm",
            remedy="check that the set is not mirrored (complex conjugate) and states the shift at its carrier; "
            "load_basis corrects both",
            path=basis.file,
        )


def short_set(basis: Basis, spectrum: Spectrum) -> tuple[str, ...]:
    """Say that a set ends before the data while its signals still stand."""
    end = (basis.n_points - 1) * basis.dwell
    missing = (spectrum.n_points - 1) * spectrum.dwell - end
    left = np.exp(-np.pi * NARROWEST_HZ * end) * np.abs(basis.fids[:, -1]).max()
    if missing <= basis.dwell or left <= SHORT_SHARE * np.abs(basis.fids[:, 0]).max():
        return ()
    cut = f"the basis set ends {missing * 1e3:.0f} ms before the data and was continued with zeros"
    return (f"{cut}: its lines have the wrong shape",)
