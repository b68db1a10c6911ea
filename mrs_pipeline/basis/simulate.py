"""Simulation of whole basis sets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from mrs_pipeline.basis.cache import LineCache
from mrs_pipeline.basis.editing import EditedKit, Editing
from mrs_pipeline.basis.engine import Frame, Lines, molecule_lines, singlet_response
from mrs_pipeline.basis.model import Basis
from mrs_pipeline.basis.names import DEFAULT_METABOLITES, SINGLETS
from mrs_pipeline.basis.sequences import EditHalf, Events, IdealKit, Kit, ShapedKit, Timing, default_kit, events
from mrs_pipeline.basis.systems import molecule
from mrs_pipeline.errors import BasisError
from mrs_pipeline.spectrum import WATER_PPM, ComplexArray

SHORTEST_TIME, LONGEST_TIME = 0.002, 0.5
"""Limits of echo and mixing times in seconds; anything outside is a wrong unit."""

SLICE_PPM = 3.0
"""Chemical shift whose slice is on resonance: the middle of the metabolite range."""

Edit = Literal["on", "off", "difference", "sum"]

EDIT_WEIGHTS: dict[Edit, dict[EditHalf, float]] = {
    "on": {"on": 1.0},
    "off": {"off": 1.0},
    "difference": {"on": 1.0, "off": -1.0},
    "sum": {"on": 1.0, "off": 1.0},
}
"""Weights of the two conditions in each spectrum of MEGA-PRESS."""


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
    kit: ShapedKit | None = None,
    edit: Edit = "difference",
    editing: Editing | None = None,
    linewidth_hz: float = 1.0,
    reference_ppm: float = WATER_PPM,
    processes: int = 1,
    cache_dir: Path | None = None,
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
        ``"ideal"`` (instantaneous, every spin alike) or ``"shaped"`` (slice-selective, averaged over the voxel).
    kit
        The shaped pulses; ``None``: :func:`mrs_pipeline.basis.sequences.default_kit`.
    edit
        Which spectrum of MEGA-PRESS; the difference is on minus off.
    editing
        Editing pulses of MEGA-PRESS; ``None``: those of the kit, at 1.9 and 7.5 ppm.
    linewidth_hz
        Lorentzian full width at half maximum of every line.
    reference_ppm
        Chemical shift at the carrier.
    processes
        Metabolites simulated at the same time; the result does not depend on it.
    cache_dir
        Folder that keeps simulated lines, keyed by everything they depend on; ``None``: nothing is kept.
    progress
        Called with each metabolite's name when it is done.

    Returns
    -------
    Basis
        FIDs in the basis unit: divided by the response of the 3.027 ppm line of Cr, so that a sequence that keeps
        only part of the magnetisation (STEAM, shaped pulses) is scaled like an imported set. The sum of MEGA-PRESS
        holds the signal of two scans: a proton that no editing pulse touches has 2.

    Raises
    ------
    BasisError
        Unknown sequence or metabolite, or a timing that is missing, outside 2-500 ms or too short for the pulses.
    """
    check_timing(te1=te1, te2=te2, tm=tm)
    step = _dwell(dwell, bandwidth)
    frame = Frame(field_mhz, reference_ppm)
    played = _kit(pulses, kit, frame)
    played = played if editing is None else EditedKit(played, editing, frame)
    plan = _Plan(sequence, Timing(te1, te2, tm), played, frame, edit)
    known = tuple(molecule(name).name for name in names)
    fids = np.empty((len(known), n_points), dtype=np.complex128)
    for row, lines in enumerate(_all_lines(plan, known, processes, cache_dir)):
        fids[row] = lines.fid(n_points, step, linewidth_hz)
        if progress is not None:
            progress(known[row])
    return Basis(
        names=known,
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
        notes=(f"every line has a Lorentzian width of {linewidth_hz:g} Hz", *plan.notes()),
    )


@dataclass(frozen=True, eq=False)
class _Plan:
    """What is simulated for every metabolite."""

    sequence: str
    timing: Timing
    kit: Kit
    frame: Frame
    edit: Edit

    def halves(self) -> list[tuple[float, Events]]:
        """Return the scans the spectrum is made of, with their weights."""
        if self.sequence != "mega-press":
            return [(1.0, events(self.sequence, self.timing, self.kit))]
        return [(weight, self.events(half)) for half, weight in EDIT_WEIGHTS[self.edit].items()]

    def events(self, half: EditHalf) -> Events:
        """Return the events of one condition."""
        return events(self.sequence, self.timing, self.kit, half)

    def notes(self) -> tuple[str, ...]:
        """Return what the reader of the set should know."""
        notes = [] if self.sequence != "mega-press" else [f"MEGA-PRESS, {self.edit}"]
        kit = self.kit
        if isinstance(kit, EditedKit):
            notes.append(kit.editing.words)
            kit = kit.base
        if isinstance(kit, ShapedKit):
            shapes = (kit.excitation, kit.refocusing, kit.adiabatic)
            notes.append(f"pulses: {'; '.join(shape.name for shape in shapes)}")
        return tuple(notes)


def _all_lines(plan: _Plan, names: tuple[str, ...], processes: int, cache_dir: Path | None) -> Iterator[Lines]:
    """Yield the lines of each metabolite in order, each scan from the cache where it is known.

    Scans are kept one by one, so that difference and sum of MEGA-PRESS share them.
    """
    halves = plan.halves()
    response = singlet_response(plan.events("off"), plan.frame, SINGLETS["Cr"][0])
    caches = [LineCache(cache_dir, [(1.0, part)], plan.frame) for _, part in halves]
    stored = {name: [cache.read(name) for cache in caches] for name in names}
    jobs = [
        (name, part, plan.frame)
        for name in names
        for (_, part), known in zip(halves, stored[name], strict=True)
        if known is None
    ]
    computed = _computed(jobs, processes)
    for name in names:
        parts = []
        for cache, known in zip(caches, stored[name], strict=True):
            lines = next(computed) if known is None else known
            if known is None:
                cache.write(name, lines)
            parts.append(lines)
        yield _combined([weight for weight, _ in halves], parts, response)


def _combined(weights: list[float], parts: list[Lines], response: complex) -> Lines:
    """Return the weighted lines of all scans in the basis unit."""
    amplitudes = [weight * lines.amplitudes for weight, lines in zip(weights, parts, strict=True)]
    joined: ComplexArray = np.concatenate(amplitudes) / response
    return Lines(joined, np.concatenate([lines.frequencies for lines in parts]))


_Job = tuple[str, Events, Frame]


def _computed(jobs: list[_Job], processes: int) -> Iterator[Lines]:
    if processes <= 1 or len(jobs) <= 1:
        yield from map(_simulate_one, jobs)
        return
    import multiprocessing

    with ProcessPoolExecutor(min(processes, len(jobs)), mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(_simulate_one, jobs)


def _simulate_one(job: _Job) -> Lines:
    name, part, frame = job
    return molecule_lines(molecule(name), part, frame)


def _kit(pulses: str, kit: ShapedKit | None, frame: Frame) -> Kit:
    if pulses == "ideal":
        return IdealKit()
    if pulses != "shaped":
        raise BasisError(f"no pulses called {pulses!r}", remedy='use "ideal" or "shaped"')
    return (kit or default_kit()).at(frame.field_mhz, frame.reference_ppm, SLICE_PPM)


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
    if dwell is not None and bandwidth is None and dwell > 0:
        return float(dwell)
    if bandwidth is not None and dwell is None and bandwidth > 0:
        return 1.0 / float(bandwidth)
    raise BasisError("the time grid is not determined", remedy="give either dwell (s) or bandwidth (Hz), above zero")
