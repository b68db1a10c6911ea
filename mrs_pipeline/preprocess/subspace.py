"""The space of signals that lie in a band: whatever water does there, shifted, broadened or out of phase."""

from __future__ import annotations

import numpy as np

from mrs_pipeline.spectrum import ComplexArray, FloatArray, Spectrum

_WIDTHS_HZ = (2.0, 6.0, 14.0)


def band_basis(spectrum: Spectrum, ppm: tuple[float, float], limit: float = 1e-4) -> ComplexArray:
    """Orthonormal basis of all damped lines whose place lies in a band.

    Parameters
    ----------
    spectrum
        Gives the time and ppm axes.
    ppm
        Band of the lines' centres.
    limit
        Dimensions kept: eigenvalues above this share of the largest. About its square root is left of a line's norm.

    Returns
    -------
    ndarray
        Shape ``(n_points, n_dimensions)``, orthonormal columns.

    Notes
    -----
    Unlike a filter, which cuts at the edges of the band and leaves a line's tails outside, the space holds whole
    lines, tails included: projecting it out leaves nothing of a line at any place of the band, of any width between
    1.5 and 35 Hz. Lines a few widths away are nearly orthogonal to it. Built from a grid of unit lines by the
    eigenvectors of their Gram matrix, whose entries are geometric sums.
    """
    frequency, damping = _grid(spectrum, ppm)
    poles = np.exp((2j * np.pi * frequency - damping) * spectrum.dwell)
    lengths = np.sqrt(_geometric(np.abs(poles) ** 2, spectrum.n_points).real)
    gram = _geometric(poles.conj()[:, None] * poles[None, :], spectrum.n_points) / np.outer(lengths, lengths)
    values, vectors = np.linalg.eigh(gram)
    kept = values > limit * values[-1]
    mixing = vectors[:, kept] / np.sqrt(values[kept]) / lengths[:, None]
    lines = np.exp(np.outer(spectrum.time, 2j * np.pi * frequency - damping))
    return np.asarray(lines @ mixing, dtype=np.complex128)


def split(fids: ComplexArray, basis: ComplexArray) -> tuple[ComplexArray, ComplexArray]:
    """Split FIDs into the parts outside and inside a space, shape ``(..., n_points)`` each; they add up exactly."""
    inside = (fids @ basis.conj()) @ basis.T
    return fids - inside, inside


def _grid(spectrum: Spectrum, ppm: tuple[float, float]) -> tuple[FloatArray, FloatArray]:
    """Frequencies (Hz) and dampings (1/s) of lines that fill the band."""
    low, high = ((edge - spectrum.reference_ppm) * spectrum.carrier_mhz for edge in (min(ppm), max(ppm)))
    frequency, damping = [], []
    for width in _WIDTHS_HZ:
        resolution = max(width, 0.5 / (spectrum.n_points * spectrum.dwell))
        places = np.linspace(low, high, max(2, round((high - low) / resolution) + 1))
        frequency.append(places)
        damping.append(np.full(places.size, np.pi * width))
    return np.concatenate(frequency), np.concatenate(damping)


def _geometric(ratio: ComplexArray | FloatArray, terms: int) -> ComplexArray:
    """Sum of ``ratio**k`` for k = 0 ... terms - 1."""
    ratio = np.asarray(ratio, dtype=np.complex128)
    near = np.abs(1 - ratio) < 1e-12
    safe = np.where(near, 0.0, ratio)
    return np.asarray(np.where(near, terms, (1 - safe**terms) / (1 - safe)), dtype=np.complex128)
