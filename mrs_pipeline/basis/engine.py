"""Density-matrix propagation of one spin group through a sequence, down to its spectral lines.

Everything happens in Hilbert space and in the Zeeman product basis. Ideal pulses are exact rotations. A
slice-selective pulse is computed on a grid of positions; because each pulse depends on its own axis only, and
crushers are ideal, the average over the voxel is an average after each axis in turn (one-dimensional projection,
Landheer 2019, doi:10.1002/nbm.4129; Zhang 2017, doi:10.1002/mp.12375), and PRESS costs three lines of positions
instead of a cube.
"""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass

import numpy as np

from mrs_pipeline.basis.pulses import ShapedPulse, cayley_klein
from mrs_pipeline.basis.sequences import Delay, Events, Inversion, Keep, Pulse, SelectivePulse
from mrs_pipeline.basis.spins import Eigensystem, diagonalise, magnetic_numbers, total_raising
from mrs_pipeline.basis.systems import Molecule, SpinGroup
from mrs_pipeline.spectrum import ComplexArray, FloatArray

VERSION = 2
"""Part of every cache key: raise it when results change."""

_LINE_HZ = 1e-4
"""Lines closer than this are one: over 1 s the phase error stays below 1e-3 rad."""

_NEGLIGIBLE = 1e-9
"""Transitions weaker than this share of the strongest are left out."""

_SEGMENT_S = 0.25e-3
"""Longest piece of a shaped pulse over which chemical shift with B1 and coupling act one after the other."""

_SHIFT_RANGE_PPM = (0.5, 5.4)
"""Chemical shifts whose slices the grid of positions must cover."""

_STEPS_PER_BANDWIDTH = 24


@dataclass(frozen=True)
class Frame:
    """Field and carrier of a simulation: proton frequency in MHz and chemical shift at zero frequency in ppm."""

    field_mhz: float
    reference_ppm: float

    def hz(self, ppm: float) -> float:
        """Return the offset of a chemical shift from the carrier."""
        return (ppm - self.reference_ppm) * self.field_mhz


@dataclass(frozen=True, eq=False)
class Lines:
    """A spectrum as undamped lines.

    Parameters
    ----------
    amplitudes
        Complex amplitudes at t = 0, shape ``(n_lines,)``.
    frequencies
        Offsets from the carrier in Hz, shape ``(n_lines,)``.
    """

    amplitudes: ComplexArray
    frequencies: FloatArray

    def fid(self, n_points: int, dwell: float, linewidth_hz: float = 0.0) -> ComplexArray:
        """Return the FID on a uniform grid.

        Parameters
        ----------
        n_points, dwell
            Grid; dwell in seconds.
        linewidth_hz
            Lorentzian full width at half maximum given to every line.

        Notes
        -----
        With k = q j + r the phase factors split into exp(w q j) exp(w r), and the sum over lines is a matrix product.
        """
        block = max(1, int(np.sqrt(n_points)))
        rate = (2j * np.pi * self.frequencies - np.pi * linewidth_hz) * dwell
        coarse = np.exp(rate[:, np.newaxis] * (block * np.arange(-(-n_points // block))))
        fine = np.exp(rate[:, np.newaxis] * np.arange(block))
        total: ComplexArray = ((coarse.T * self.amplitudes) @ fine).reshape(-1)[:n_points]
        return total


def molecule_lines(molecule: Molecule, events: Events, frame: Frame) -> Lines:
    """Return all lines of a molecule after a sequence.

    Parameters
    ----------
    molecule
        Spin system.
    events
        Sequence.
    frame
        Field and carrier.

    Notes
    -----
    Amplitudes are in units of one proton's transverse magnetisation right after an ideal 90 degree pulse; with
    shaped pulses they are averages over the grid of positions, to be divided by :func:`singlet_response`.
    """
    parts = [group_lines(group, events, frame) for group in molecule.groups]
    return merge_lines(np.concatenate([p.amplitudes for p in parts]), np.concatenate([p.frequencies for p in parts]))


def singlet_response(events: Events, frame: Frame, ppm: float) -> complex:
    """Return the signal of one uncoupled proton at ``ppm`` when acquisition starts."""
    group = SpinGroup(np.array([ppm]), np.zeros((1, 1)))
    return complex(np.sum(group_lines(group, events, frame).amplitudes))


def group_lines(group: SpinGroup, events: Events, frame: Frame) -> Lines:
    """Return the lines of one spin group, averaged over the states of its heteronuclei."""
    offsets = (group.shifts - frame.reference_ppm) * frame.field_mhz
    states = group.static_offsets()
    parts = [_state_lines(SpinSystem(offsets + extra, group.couplings), events, frame) for extra in states]
    amplitudes = np.concatenate([p.amplitudes for p in parts])
    share = group.weight / len(states)
    return merge_lines(
        np.asarray(amplitudes * share, dtype=np.complex128), np.concatenate([p.frequencies for p in parts])
    )


@dataclass(frozen=True, eq=False)
class SpinSystem:
    """Protons with their offsets (Hz, shape ``(n,)``) and couplings (Hz, shape ``(n, n)``)."""

    offsets: FloatArray
    couplings: FloatArray

    @property
    def n(self) -> int:
        """Number of protons."""
        return len(self.offsets)

    @property
    def total_m(self) -> FloatArray:
        """Total magnetic quantum number of each product state, shape ``(2**n,)``."""
        total: FloatArray = magnetic_numbers(self.n).sum(axis=0)
        return total


def _state_lines(spins: SpinSystem, events: Events, frame: Frame) -> Lines:
    free = diagonalise(spins.offsets, spins.couplings)
    rho = np.diag(spins.total_m).astype(np.complex128)
    return detect(propagate(rho, events, spins, free, frame), free)


def propagate(rho: ComplexArray, events: Events, spins: SpinSystem, free: Eigensystem, frame: Frame) -> ComplexArray:
    """Return the density operator after the events, averaged over the voxel, shape ``(d, d)``."""
    open_axis = ""
    known: dict[int, ComplexArray] = {}
    for event in events:
        if isinstance(event, Pulse | SelectivePulse | ShapedPulse):
            axis = event.axis if isinstance(event, ShapedPulse) else ""
            if open_axis and axis != open_axis:
                rho = rho.mean(axis=0)
            open_axis = axis
            if id(event) not in known:
                known[id(event)] = _rotation(event, spins, frame)
            rho = sandwich(known[id(event)], rho)
        elif isinstance(event, Inversion):
            rho = rho - sandwich(_rotation(event.pulse, spins, frame), rho).mean(axis=0)
        elif isinstance(event, Delay):
            rho = sandwich(free.propagator(event.seconds), rho)
        elif isinstance(event, Keep):
            rho = rho * order_mask(spins.n, event.order)
    return rho.mean(axis=0) if open_axis else rho


def sandwich(u: ComplexArray, rho: ComplexArray) -> ComplexArray:
    """Return U rho U^+ (either may carry a leading axis of positions)."""
    turned: ComplexArray = u @ rho @ np.conj(np.swapaxes(u, -1, -2))
    return turned


@functools.cache
def order_mask(n: int, order: int) -> FloatArray:
    """Return 1 where m of the row minus m of the column is ``order``, else 0, shape ``(2**n, 2**n)``."""
    m = magnetic_numbers(n).sum(axis=0)
    mask: FloatArray = (np.round(m[:, np.newaxis] - m[np.newaxis, :]) == order).astype(np.float64)
    return mask


def _rotation(event: Pulse | SelectivePulse | ShapedPulse, spins: SpinSystem, frame: Frame) -> ComplexArray:
    if isinstance(event, Pulse):
        return product_rotation([hard_pulse(event.flip, event.phase)] * spins.n)
    if isinstance(event, SelectivePulse):
        distance = np.abs(spins.offsets - frame.hz(event.centre_ppm))
        inside = distance < event.width_ppm / 2 * frame.field_mhz
        flip = hard_pulse(180.0, 0.0)
        return product_rotation([flip if hit else np.eye(2, dtype=np.complex128) for hit in inside])
    propagators = shaped_propagator(event, spins, positions(event, frame))
    return propagators if event.axis else propagators[0]


def hard_pulse(flip: float, phase: float) -> ComplexArray:
    r"""Return :math:`\exp(-i\theta(I_x\cos\phi + I_y\sin\phi))` of one spin, shape ``(2, 2)``; degrees."""
    half, phi = np.deg2rad(flip) / 2, np.deg2rad(phase)
    across = -1j * np.sin(half)
    return np.array([[np.cos(half), across * np.exp(-1j * phi)], [across * np.exp(1j * phi), np.cos(half)]])


def product_rotation(singles: list[ComplexArray]) -> ComplexArray:
    """Return the rotation of all spins from those of each, shape ``(2**n, 2**n)``."""
    return functools.reduce(_kron, singles, np.ones((1, 1), dtype=np.complex128))


def _kron(left: ComplexArray, right: ComplexArray) -> ComplexArray:
    return np.asarray(np.kron(left, right), dtype=np.complex128)


def positions(pulse: ShapedPulse, frame: Frame) -> FloatArray:
    """Return the positions of a pulse as offsets in Hz, shape ``(n,)``; a single 0 for a pulse without gradient."""
    if not pulse.axis:
        return np.zeros(1)
    lowest, highest = (frame.hz(ppm) for ppm in _SHIFT_RANGE_PPM)
    reach = 0.85 * pulse.bandwidth_hz
    start, stop = pulse.carrier_hz - highest - reach, pulse.carrier_hz - lowest + reach
    count = int(np.ceil((stop - start) / pulse.bandwidth_hz * _STEPS_PER_BANDWIDTH))
    return start + (np.arange(count, dtype=np.float64) + 0.5) * ((stop - start) / count)


def shaped_propagator(pulse: ShapedPulse, spins: SpinSystem, grid: FloatArray) -> ComplexArray:
    r"""Return the propagator of a shaped pulse at each position.

    Parameters
    ----------
    pulse
        The pulse; an excitation includes the lobes that rephase its slice.
    spins
        Protons.
    grid
        Positions as offsets in Hz, shape ``(p,)``.

    Returns
    -------
    ComplexArray
        Shape ``(p, d, d)``.

    Notes
    -----
    Strang splitting over pieces of at most 0.25 ms: half the coupling, the exact rotation of every proton by B1,
    shift and gradient, half the coupling. The coupling commutes with B1 and gradient (both turn all protons alike),
    so that the error is of second order in the piece and in the differences of chemical shift alone.
    """
    n_steps, size = len(pulse.waveform.b1), 2**spins.n
    n_pieces = max(1, int(np.ceil(pulse.duration / _SEGMENT_S)))
    edges = np.linspace(0, n_steps, n_pieces + 1).round().astype(int)
    coupling = diagonalise(np.zeros(spins.n), spins.couplings)
    step = pulse.duration / n_steps
    u = np.repeat(np.eye(size, dtype=np.complex128)[:, np.newaxis, :], len(grid), axis=1)
    pending = 0.0
    for first, last in itertools.pairwise(edges):
        half = (last - first) * step / 2
        couple(u, coupling, pending + half)
        alpha, beta = cayley_klein(pulse, grid[:, np.newaxis], slice(first, last), spins.offsets)
        turn_each(u, alpha, beta)
        pending = half
    couple(u, coupling, pending)
    propagators = np.ascontiguousarray(np.swapaxes(u, 0, 1))
    return propagators if pulse.refocuses or not pulse.axis else _rephase(propagators, pulse, spins, grid)


def couple(u: ComplexArray, coupling: Eigensystem, seconds: float) -> None:
    """Let the couplings act on ``u`` (shape ``(d, p, d)``, changed in place), one block of total m at a time."""
    propagator = coupling.propagator(seconds)
    total = magnetic_numbers(coupling.n_spins).sum(axis=0)
    for value in np.unique(total):
        block = np.flatnonzero(total == value)
        rows = u[block].reshape(len(block), -1)
        u[block] = (propagator[np.ix_(block, block)] @ rows).reshape(len(block), *u.shape[1:])


def turn_each(u: ComplexArray, alpha: ComplexArray, beta: ComplexArray) -> None:
    """Turn every spin of ``u`` (shape ``(d, p, d)``, changed in place) by its Cayley-Klein parameters (``(p, n)``)."""
    size, p, _ = u.shape
    for spin in range(alpha.shape[1]):
        view = u.reshape(2**spin, 2, -1, p, size)
        a, b = alpha[:, spin, np.newaxis], beta[:, spin, np.newaxis]
        up = a * view[:, 0] - np.conj(b) * view[:, 1]
        view[:, 1] = b * view[:, 0] + np.conj(a) * view[:, 1]
        view[:, 0] = up


def _rephase(u: ComplexArray, pulse: ShapedPulse, spins: SpinSystem, grid: FloatArray) -> ComplexArray:
    """Add the gradient lobes before and after a 90 that undo the dephasing across its slice."""
    m = spins.total_m
    after = np.exp(2j * np.pi * pulse.isodelay * grid[:, np.newaxis] * m)
    before = np.exp(2j * np.pi * (pulse.duration - pulse.isodelay) * grid[:, np.newaxis] * m)
    lobed: ComplexArray = after[:, :, np.newaxis] * u * before[:, np.newaxis, :]
    return lobed


def detect(rho: ComplexArray, free: Eigensystem) -> Lines:
    r"""Return the lines seen by quadrature detection of :math:`\mathrm{Tr}(\rho(t) F_+)`.

    Notes
    -----
    In the eigenbasis, element (a, b) of rho turns as exp(-2 pi i (E_a - E_b) t) and meets element (b, a) of F+.
    Division by Tr(I_x^2) = d/4 makes one proton's transverse magnetisation 1.
    """
    raising = free.into(total_raising(free.n_spins))
    amplitudes = free.into(rho) * raising.T / (len(free.energies) / 4)
    frequencies = free.energies[np.newaxis, :] - free.energies[:, np.newaxis]
    strong = np.abs(amplitudes) > _NEGLIGIBLE * np.abs(amplitudes).max(initial=1e-300)
    return merge_lines(amplitudes[strong], frequencies[strong])


def merge_lines(amplitudes: ComplexArray, frequencies: FloatArray) -> Lines:
    """Return the lines with those of (almost) one frequency added up."""
    if len(frequencies) == 0:
        return Lines(amplitudes, frequencies)
    order = np.argsort(frequencies)
    frequencies, amplitudes = frequencies[order], amplitudes[order]
    starts = np.flatnonzero(np.concatenate([[True], np.diff(frequencies) > _LINE_HZ]))
    counts = np.diff(np.append(starts, len(frequencies)))
    return Lines(np.add.reduceat(amplitudes, starts), np.add.reduceat(frequencies, starts) / counts)
