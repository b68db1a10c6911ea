"""Spin-1/2 operators and the free-precession Hamiltonian in the Zeeman product basis."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from mrs_pipeline.spectrum import ComplexArray, FloatArray


@cache
def magnetic_numbers(n: int) -> FloatArray:
    """Return m of every spin in every product state, shape ``(n, 2**n)``; spin 0 is the most significant bit."""
    states = np.arange(2**n)
    bits = (states[np.newaxis, :] >> np.arange(n - 1, -1, -1)[:, np.newaxis]) & 1
    result: FloatArray = 0.5 - bits
    result.setflags(write=False)
    return result


@cache
def total_raising(n: int) -> FloatArray:
    """Return F+ = sum of I+ over ``n`` spins, shape ``(2**n, 2**n)``, real."""
    size = 2**n
    operator = np.zeros((size, size))
    states = np.arange(size)
    for spin in range(n):
        bit = 1 << (n - 1 - spin)
        down = states[(states & bit) != 0]
        operator[down ^ bit, down] = 1.0
    operator.setflags(write=False)
    return operator


def hamiltonian(offsets_hz: FloatArray, couplings_hz: FloatArray) -> FloatArray:
    r"""Return the free-precession Hamiltonian in Hz.

    Parameters
    ----------
    offsets_hz
        Offset of each spin from the carrier, shape ``(n,)``.
    couplings_hz
        Symmetric couplings, shape ``(n, n)``.

    Returns
    -------
    FloatArray
        Real symmetric, shape ``(2**n, 2**n)``.

    Notes
    -----
    :math:`H/h = \sum_i \nu_i I_{iz} + \sum_{i<j} J_{ij}\,\mathbf I_i\cdot\mathbf I_j`, strong coupling kept. With
    :math:`\mathbf I_i\cdot\mathbf I_j = I_{iz}I_{jz} + \tfrac12(I_{i+}I_{j-} + I_{i-}I_{j+})` it is real.
    """
    n = len(offsets_hz)
    m = magnetic_numbers(n)
    energies = offsets_hz @ m
    h = np.zeros((2**n, 2**n))
    states = np.arange(2**n)
    for i in range(n):
        for j in range(i + 1, n):
            if couplings_hz[i, j] == 0:
                continue
            energies = energies + couplings_hz[i, j] * m[i] * m[j]
            flip = (1 << (n - 1 - i)) | (1 << (n - 1 - j))
            unlike = states[m[i] != m[j]]
            h[unlike ^ flip, unlike] += 0.5 * couplings_hz[i, j]
    h[states, states] += energies
    return h


@dataclass(frozen=True, eq=False)
class Eigensystem:
    """Diagonalised free precession of one group.

    Parameters
    ----------
    energies
        Eigenvalues in Hz, shape ``(d,)``.
    vectors
        Eigenvectors as columns in the Zeeman basis, real, shape ``(d, d)``.
    """

    energies: FloatArray
    vectors: FloatArray

    @property
    def n_spins(self) -> int:
        """Number of spins."""
        return int(np.log2(len(self.energies)) + 0.5)

    def propagator(self, seconds: float) -> ComplexArray:
        """Return exp(-2 pi i H t) in the Zeeman basis, shape ``(d, d)``."""
        phase = np.exp(-2j * np.pi * seconds * self.energies)
        propagator: ComplexArray = (self.vectors * phase) @ self.vectors.T
        return propagator

    def into(self, operator: FloatArray | ComplexArray) -> ComplexArray:
        """Return an operator given in the Zeeman basis in the eigenbasis."""
        rotated: ComplexArray = (self.vectors.T @ operator @ self.vectors).astype(np.complex128)
        return rotated


def diagonalise(offsets_hz: FloatArray, couplings_hz: FloatArray) -> Eigensystem:
    """Return the eigensystem of :func:`hamiltonian`, block by block of total m.

    Parameters
    ----------
    offsets_hz, couplings_hz
        As for :func:`hamiltonian`.
    """
    h = hamiltonian(offsets_hz, couplings_hz)
    total = magnetic_numbers(len(offsets_hz)).sum(axis=0)
    energies = np.zeros(len(h))
    vectors = np.zeros_like(h)
    start = 0
    for value in np.unique(total):
        block = np.flatnonzero(total == value)
        e, v = np.linalg.eigh(h[np.ix_(block, block)])
        stop = start + len(block)
        energies[start:stop] = e
        vectors[block, start:stop] = v
        start = stop
    return Eigensystem(energies, vectors)
