"""Removal of residual water by HLSVD in a stated window."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mrs_pipeline.preprocess.hlsvd import decompose
from mrs_pipeline.preprocess.types import display
from mrs_pipeline.spectrum import ComplexArray, Spectrum

_PASSES = 3
_STOP = 5.0  # a pass more while the window's peak exceeds this many noise SDs


@dataclass(frozen=True, eq=False)
class WaterRemoval:
    """A spectrum without its residual water.

    Parameters
    ----------
    spectrum
        The cleaned FID.
    model
        What was taken away, same shape as the FID.
    lines
        Number of damped lines taken away.
    passes
        Number of decompositions; 0 when no water stood above the noise.
    peak_before, peak_after
        Largest magnitude in the window over the noise SD of the spectrum.
    """

    spectrum: Spectrum
    model: ComplexArray
    lines: int
    passes: int
    peak_before: float
    peak_after: float


def remove_water(spectrum: Spectrum, ppm: tuple[float, float], components: int) -> WaterRemoval:
    """Model the FID by damped lines and subtract those inside a window.

    Parameters
    ----------
    spectrum
        One FID with a true first point, shape ``(n_points,)``.
    ppm
        Window; lines whose frequency lies in it are subtracted.
    components
        Number of damped lines of the whole model.

    Returns
    -------
    WaterRemoval
        The spectrum is unchanged when nothing in the window exceeds five noise SDs.

    Notes
    -----
    The whole FID is decomposed, metabolites and all, so that the tail of the water line is told from the signals it
    runs under (Pijnappel 1992, J Magn Reson 97:122-134). A second and third pass work on what the first
    left, as the leading components of a huge, non-Lorentzian residue leave no room for the rest. The first point must
    not be halved: the subtraction would otherwise leave half a first point of water, a flat offset of the spectrum.
    """
    noise = noise_sd(spectrum)
    before = _window_peak(spectrum, ppm) / noise
    current, model, lines, passes, peak = spectrum, np.zeros_like(spectrum.fid), 0, 0, before
    while passes < _PASSES and peak > _STOP:
        found = decompose(current.fid, current.dwell, components)
        place = spectrum.reference_ppm + found.frequency / spectrum.carrier_mhz
        inside = found.select((place >= min(ppm)) & (place <= max(ppm)))
        part = inside.fid(spectrum.time)
        candidate = current.with_fid(current.fid - part)
        after = _window_peak(candidate, ppm) / noise
        if inside.frequency.size == 0 or after >= peak:
            break
        current, model, lines, passes, peak = candidate, model + part, lines + inside.frequency.size, passes + 1, after
    return WaterRemoval(current, model, lines, passes, before, peak)


def noise_sd(spectrum: Spectrum) -> float:
    """SD of the real part of the spectrum's noise, from the last quarter of the FID.

    Notes
    -----
    Noise of SD s per channel in time has SD s sqrt(n) per channel in the spectrum. The power spectrum of the FID's
    tail has median 2 s^2 ln 2 for noise alone; what is left of the lines fills few bins and hardly moves the median.
    """
    tail = spectrum.fid[..., -max(spectrum.n_points // 4, 8) :]
    power = np.fft.fft(tail, axis=-1)
    levels = np.abs(power) ** 2 / tail.shape[-1]
    median = float(np.median(levels))
    variance = median / np.log(2.0)
    return max(float(np.sqrt(variance / 2.0 * spectrum.n_points)), np.finfo(float).tiny)


def _window_peak(spectrum: Spectrum, ppm: tuple[float, float]) -> float:
    """Largest magnitude of the spectrum in a window."""
    inside = (spectrum.ppm >= min(ppm)) & (spectrum.ppm <= max(ppm))
    return float(np.max(np.abs(display(spectrum.fid)[inside]), initial=0.0))
