"""Simulation of whole basis sets."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal

import numpy as np

from mrs_pipeline.basis.engine import molecule_lines
from mrs_pipeline.basis.model import Basis
from mrs_pipeline.basis.names import DEFAULT_METABOLITES
from mrs_pipeline.basis.sequences import Events, ideal_events
from mrs_pipeline.basis.systems import molecule
from mrs_pipeline.errors import BasisError
from mrs_pipeline.spectrum import WATER_PPM

SHORTEST_TIME, LONGEST_TIME = 0.002, 0.5
"""Limits of te1, te2 (and te1 + te2) in seconds; anything outside is a wrong unit."""


def simulate_basis(
    sequence: str = "press",
    *,
    te1: float | None = None,
    te2: float | None = None,
    tm: float | None = None,
    field_mhz: float = 123.2,
    dwell: float | None = None,
    bandwidth: float | None = None,
    n_points: int = 2048,
    names: Iterable[str] = DEFAULT_METABOLITES,
    pulses: Literal["ideal", "shaped"] = "ideal",
    linewidth_hz: float = 1.0,
    reference_ppm: float = WATER_PPM,
    progress: Callable[[str], None] | None = None,
) -> Basis:
    """Simulate one FID per metabolite by density-matrix propagation.

    Parameters
    ----------
    sequence
        One of :data:`mrs_pipeline.basis.sequences.SEQUENCES`.
    te1, te2, tm
        Timing in seconds. STEAM and SPECIAL take the echo time as ``te1``.
    field_mhz
        Proton frequency in MHz.
    dwell, bandwidth
        Time between points in seconds, or spectral width in Hz; one of them.
    n_points
        Number of time points.
    names
        Metabolites, by any of their names.
    pulses
        ``"ideal"`` (instantaneous, every spin alike) or ``"shaped"``.
    linewidth_hz
        Lorentzian full width at half maximum of every line.
    reference_ppm
        Chemical shift at the carrier.
    progress
        Called with each metabolite's name when it is done.

    Returns
    -------
    Basis
        FIDs in the basis unit; a sequence that keeps only part of the magnetisation (STEAM) is scaled up to it.

    Raises
    ------
    BasisError
        Unknown sequence or metabolite, or a timing that is missing or outside 2-500 ms.
    """
    if pulses != "ideal":
        raise BasisError(f"{pulses} pulses are not available", remedy='use pulses = "ideal"')
    check_timing(te1=te1, te2=te2, tm=tm)
    step = _dwell(dwell, bandwidth)
    events = ideal_events(sequence, te1, te2, tm)
    members = tuple(molecule(name) for name in names)
    time = np.arange(n_points) * step
    response = singlet_response(events)
    fids = np.empty((len(members), n_points), dtype=np.complex128)
    for row, member in enumerate(members):
        fids[row] = molecule_lines(member, events, field_mhz, reference_ppm).fid(time, linewidth_hz) / response
        if progress is not None:
            progress(member.name)
    return Basis(
        names=tuple(member.name for member in members),
        fids=fids,
        dwell=step,
        field_mhz=field_mhz,
        reference_ppm=reference_ppm,
        te1=te1,
        te2=te2,
        tm=tm,
        sequence=sequence,
        pulses=pulses,
        source="mrs-pipeline simulation",
        notes=(f"every line has a Lorentzian width of {linewidth_hz:g} Hz",),
    )


def singlet_response(events: Events) -> complex:
    """Return the signal one uncoupled proton on resonance has at the start of acquisition."""
    from mrs_pipeline.basis.systems import Molecule, SpinGroup

    proton = Molecule("1H", "one proton", (SpinGroup(np.zeros(1), np.zeros((1, 1))),))
    lines = molecule_lines(proton, events, 1.0, 0.0)
    return complex(np.sum(lines.amplitudes))


def check_timing(**times: float | None) -> None:
    """Refuse a time in seconds that can only be a wrong unit.

    Raises
    ------
    BasisError
        A value is outside 2-500 ms.
    """
    for name, value in times.items():
        if value is not None and not SHORTEST_TIME <= value <= LONGEST_TIME:
            raise BasisError(
                f"{name} = {value:g} s is outside {SHORTEST_TIME * 1e3:g}-{LONGEST_TIME * 1e3:g} ms",
                remedy=f"give {name} in seconds in Python and study.toml, in milliseconds on the command line",
            )


def _dwell(dwell: float | None, bandwidth: float | None) -> float:
    if (dwell is None) == (bandwidth is None):
        raise BasisError("the time grid is not determined", remedy="give either dwell (s) or bandwidth (Hz)")
    return float(dwell) if dwell is not None else 1.0 / float(bandwidth or 1.0)
