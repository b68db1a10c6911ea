"""Density-matrix propagation of one spin group through a sequence, down to its spectral lines."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from mrs_pipeline.basis.sequences import Delay, Events, Keep, Pulse
from mrs_pipeline.basis.spins import Eigensystem, diagonalise, magnetic_numbers, total_raising
from mrs_pipeline.basis.systems import Molecule, SpinGroup
from mrs_pipeline.spectrum import ComplexArray, FloatArray

_LINE_HZ = 1e-4
"""Lines closer than this are one: over 1 s the phase error stays below 1e-3 rad."""

_NEGLIGIBLE = 1e-9
"""Transitions weaker than this share of the strongest are left out."""


@dataclass(frozen=True, eq=False)
class Lines:
    """A spectrum as undamped lines: complex amplitudes at t = 0 and offsets from the carrier in Hz, both ``(n_lines,)``."""

    amplitudes: ComplexArray
    frequencies: FloatArray

    def fid(self, time: FloatArray, linewidth_hz: float = 0.0) -> ComplexArray:
        """Return the FID at ``time`` (seconds), damped to a Lorentzian width at half maximum of ``linewidth_hz``."""
        total = np.zeros(len(time), dtype=np.complex128)
        for start in range(0, len(self.frequencies), 256):
            part = slice(start, start + 256)
            total += self.amplitudes[part] @ np.exp(2j * np.pi * self.frequencies[part, np.newaxis] * time)
        return total * np.exp(-np.pi * linewidth_hz * time)


def molecule_lines(molecule: Molecule, events: Events, field_mhz: float, reference_ppm: float) -> Lines:
    """Return all lines of a molecule after a sequence with ideal pulses.

    Parameters
    ----------
    molecule
        Spin system.
    events
        Sequence.
    field_mhz
        Proton frequency in MHz.
    reference_ppm
        Chemical shift at the carrier.

    Notes
    -----
    Amplitudes are in the basis unit: one proton's transverse magnetisation right after an ideal 90 degree pulse is 1.
    """
    parts = [group_lines(group, events, field_mhz, reference_ppm) for group in molecule.groups]
    return merge_lines(np.concatenate([p.amplitudes for p in parts]), np.concatenate([p.frequencies for p in parts]))


def group_lines(group: SpinGroup, events: Events, field_mhz: float, reference_ppm: float) -> Lines:
    """Return the lines of one spin group, averaged over the states of its heteronuclei."""
    offsets = (group.shifts - reference_ppm) * field_mhz
    states = group.static_offsets()
    parts = [_state_lines(diagonalise(offsets + extra, group.couplings), events) for extra in states]
    amplitudes = np.concatenate([p.amplitudes for p in parts]) * (group.weight / len(states))
    return merge_lines(amplitudes, np.concatenate([p.frequencies for p in parts]))


def _state_lines(system: Eigensystem, events: Events) -> Lines:
    n = system.n_spins
    equilibrium = np.diag(magnetic_numbers(n).sum(axis=0)).astype(np.complex128)
    rho = propagate(system.into(equilibrium), events, system)
    return detect(rho, system)


def propagate(rho: ComplexArray, events: Events, system: Eigensystem) -> ComplexArray:
    """Return the density operator (eigenbasis, shape ``(d, d)``) after the events."""
    for event in events:
        if isinstance(event, Delay):
            rho = system.delay(rho, event.seconds)
        elif isinstance(event, Pulse):
            rotation = system.into(hard_pulse(system.n_spins, event.flip, event.phase))
            rho = rotation @ rho @ rotation.conj().T
        else:
            rho = keep_order(rho, event, system)
    return rho


@cache
def hard_pulse(n: int, flip: float, phase: float) -> ComplexArray:
    r"""Return :math:`\exp(-i\theta(F_x\cos\phi + F_y\sin\phi))` for ``n`` spins in the Zeeman basis, shape ``(2**n, 2**n)``."""
    half, phi = np.deg2rad(flip) / 2, np.deg2rad(phase)
    single = np.array(
        [
            [np.cos(half), -1j * np.sin(half) * np.exp(-1j * phi)],
            [-1j * np.sin(half) * np.exp(1j * phi), np.cos(half)],
        ]
    )
    rotation = np.ones((1, 1), dtype=np.complex128)
    for _ in range(n):
        rotation = np.kron(rotation, single)
    rotation.setflags(write=False)
    return rotation


def keep_order(rho: ComplexArray, keep: Keep, system: Eigensystem) -> ComplexArray:
    """Return ``rho`` with all coherences but those of order m_row - m_column = ``keep.order`` removed."""
    m = np.round(2 * (magnetic_numbers(system.n_spins).sum(axis=0) @ np.abs(system.vectors) ** 2)) / 2
    mask = (m[:, np.newaxis] - m[np.newaxis, :]) == keep.order
    return rho * mask


def detect(rho: ComplexArray, system: Eigensystem) -> Lines:
    r"""Return the lines seen by quadrature detection of :math:`\mathrm{Tr}(\rho(t) F_+)`.

    Notes
    -----
    Element (a, b) of rho turns as exp(-2 pi i (E_a - E_b) t) and meets element (b, a) of F+. Division by Tr(I_x^2) = d/4 makes one
    proton's transverse magnetisation 1.
    """
    raising = system.into(total_raising(system.n_spins))
    amplitudes = rho * raising.T / (len(system.energies) / 4)
    frequencies = system.energies[np.newaxis, :] - system.energies[:, np.newaxis]
    strong = np.abs(amplitudes) > _NEGLIGIBLE * np.abs(amplitudes).max(initial=1e-300)
    return merge_lines(amplitudes[strong], np.broadcast_to(frequencies, amplitudes.shape)[strong])


def merge_lines(amplitudes: ComplexArray, frequencies: FloatArray) -> Lines:
    """Return the lines with those of (almost) one frequency added up."""
    order = np.argsort(frequencies)
    frequencies, amplitudes = frequencies[order], amplitudes[order]
    starts = np.flatnonzero(np.concatenate([[True], np.diff(frequencies) > _LINE_HZ]))
    sums = np.add.reduceat(amplitudes, starts)
    return Lines(sums, np.add.reduceat(frequencies, starts) / np.diff(np.append(starts, len(frequencies))))
