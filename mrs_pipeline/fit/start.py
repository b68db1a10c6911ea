"""Robust start: frequency shift, zero-order phase and noise of a spectrum before the fit."""

from __future__ import annotations

import numpy as np

from mrs_pipeline.fit.components import METABOLITES, Components
from mrs_pipeline.fit.priors import Priors
from mrs_pipeline.spectrum import ComplexArray, FloatArray, Spectrum

SHARP_AFTER_S = 0.015
"""Earlier points are left out of the search: macromolecules, lipids and baseline have decayed by then."""

SEARCH_PPM = 0.12
"""How far the first search for the shift reaches."""
TYPICAL_PPM = (1.9, 4.1)
"""Where the usual metabolites are and lipids are not."""
ANY_PPM = (0.5, 4.2)


def find_shift_and_phase(
    spectrum: Spectrum, components: Components, priors: Priors, max_ppm: float = SEARCH_PPM
) -> tuple[float, float]:
    r"""Frequency offset (Hz) and phase (rad) of the data against the basis.

    Notes
    -----
    Maximum of the modulus of the cross-correlation :math:`\sum_t y(t)\bar x(t)e^{-2\pi i f t}` with the typical
    metabolite signal ``x``; its argument is the phase. Both are weighted by a matched decay, and the first
    milliseconds left out.
    """
    frequency, match = _best_match(spectrum, components, priors, max_ppm)
    return frequency, float(np.angle(match))


def mirrored_match(spectrum: Spectrum, components: Components, priors: Priors, max_ppm: float = 0.5) -> float:
    """How much better the complex conjugate of a spectrum matches the basis than the spectrum itself."""
    mirrored = spectrum.with_fid(spectrum.fid.conj())
    straight, turned = (abs(_best_match(each, components, priors, max_ppm)[1]) for each in (spectrum, mirrored))
    return turned / max(straight, 1e-300)


def _best_match(spectrum: Spectrum, components: Components, priors: Priors, max_ppm: float) -> tuple[float, complex]:
    """Shift (Hz) at which the data match the typical metabolite signal best, and the cross-correlation there."""
    typical = np.array([priors.typical.get(name, 0.0) for name in components.names])
    typical = np.where(components.group == METABOLITES, typical, 0.0)
    region = TYPICAL_PPM
    if not typical.any():  # a phantom, or a set of one's own: any of its metabolites, wherever they are
        size = np.abs(components.fids).max(axis=1)
        typical = np.where((components.group == METABOLITES) & (size > 0), 1.0 / np.maximum(size, 1e-300), 0.0)
        region = ANY_PPM
    reference = typical @ components.fids
    time = spectrum.time
    weight = np.exp(-np.pi * 5.0 * time) * (time >= SHARP_AFTER_S)
    data = _only(spectrum, region)
    n_fft = 8 * spectrum.n_points
    correlation = np.fft.fft(data * reference.conj() * weight, n_fft)
    frequency = np.fft.fftfreq(n_fft, spectrum.dwell)
    allowed = np.abs(frequency) <= max_ppm * spectrum.carrier_mhz
    peak = int(np.argmax(np.where(allowed, np.abs(correlation), -1.0)))
    return float(frequency[peak]), complex(correlation[peak])


def _only(spectrum: Spectrum, ppm: tuple[float, float]) -> ComplexArray:
    """FID of the part of a spectrum inside a window; circular at the edges, good enough for a start."""
    inside = (spectrum.ppm >= ppm[0]) & (spectrum.ppm <= ppm[1])
    return np.asarray(np.fft.ifft(np.fft.ifftshift(np.where(inside, spectrum.spectrum(), 0.0))))


def noise_sd(spectrum: Spectrum, ppm: tuple[float, float] = (-2.5, -0.5), parts: int = 4) -> float:
    """Estimate the SD of the noise in the real part of the unnormalised spectrum.

    Parameters
    ----------
    spectrum
        Data.
    ppm
        Region without metabolites; the end of the axis opposite to water when the bandwidth does not reach it.
    parts
        Stretches that are each freed of a quadratic trend; the median of their SDs is returned.

    Notes
    -----
    Real and imaginary part are both used. Zero-filling leaves the SD of a point unchanged.
    """
    axis, values = spectrum.ppm, spectrum.spectrum()
    inside = (axis >= ppm[0]) & (axis <= ppm[1])
    if inside.sum() < 16 * parts:
        inside = axis <= axis[0] + 0.08 * (axis[-1] - axis[0])
    stretches = np.array_split(values[inside], parts)
    return float(np.median([_detrended_sd(np.asarray(part)) for part in stretches]))


def _detrended_sd(values: ComplexArray) -> float:
    design = np.vander(np.linspace(-1.0, 1.0, values.size), 3)
    left: FloatArray = np.concatenate(
        [part - design @ np.linalg.lstsq(design, part, rcond=None)[0] for part in (values.real, values.imag)]
    )
    return float(np.sqrt(np.sum(left**2) / (left.size - 6))) if left.size > 6 else float("nan")
