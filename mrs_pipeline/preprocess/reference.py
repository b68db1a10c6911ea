"""Zero-order phase and frequency reference from tCr, tCho and NAA together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mrs_pipeline.preprocess.types import display
from mrs_pipeline.preprocess.water import noise_sd
from mrs_pipeline.spectrum import ComplexArray, FloatArray, Spectrum

SINGLETS: dict[str, float] = {"NAA": 2.008, "tCr": 3.027, "tCho": 3.211}
"""Chemical shifts in ppm (Govindaraju 2000, doi:10.1002/1099-1492(200005)13:3<129::AID-NBM619>3.0.CO;2-V)."""

_WINDOWS = ((1.88, 2.14), (2.92, 3.34))
_WIDTHS_HZ = (3.0, 5.0, 8.0, 12.0, 18.0)
_BROAD = 6.0  # baseline scale of the coarse search, in line widths
MIN_Z = 4.0
"""Amplitude over its SD of the joint peak pattern below which nothing is decided."""

MIN_COHERENCE = 0.8
"""Agreement of the peaks' phases, |sum of amplitudes| / sum of |amplitudes|, below which nothing is decided."""


@dataclass(frozen=True)
class ReferenceFit:
    """Where the three singlets lie and which phase they have.

    Parameters
    ----------
    shift_ppm
        The spectrum's own offset: positive when its peaks lie at higher ppm than they should.
    phase_deg
        The spectrum's own phase in degrees, (-180, 180].
    shift_sd_ppm, phase_sd_deg
        Standard errors from the noise.
    fwhm_hz
        Lorentzian width of the peaks in Hz.
    coherence
        |sum of complex amplitudes| / sum of their magnitudes, 0 to 1.
    z
        Smallest-noise measure of presence: amplitude of the pattern over its SD.
    amplitudes
        Amplitude of each peak at t = 0, real part after phasing, in units of the FID.
    """

    shift_ppm: float
    phase_deg: float
    shift_sd_ppm: float
    phase_sd_deg: float
    fwhm_hz: float
    coherence: float
    z: float
    amplitudes: dict[str, float]

    @property
    def confident(self) -> bool:
        """Whether shift and phase are certain enough to act on."""
        return self.z >= MIN_Z and self.coherence >= MIN_COHERENCE


def fit_reference(spectrum: Spectrum, max_shift_ppm: float) -> ReferenceFit:
    """Find the common shift and phase of NAA, tCr and tCho.

    Parameters
    ----------
    spectrum
        One FID with a true first point and little residual water, shape ``(n_points,)``.
    max_shift_ppm
        Largest shift searched in either direction.

    Notes
    -----
    Coarse: the sum over the three positions of a band-passed matched filter (a line minus a broad line of the same
    place, so that baseline and broad macromolecules drop out) is largest in magnitude at the common shift, whatever
    the phase. Fine: damped lines plus a straight complex baseline in each of two windows, amplitudes and baseline
    projected out (variable projection), shift and width by Gauss-Newton; the phase is that of the amplitude sum.
    """
    shift, width = _coarse(spectrum, max_shift_ppm)
    return _fine(spectrum, shift, width, max_shift_ppm)


def _coarse(spectrum: Spectrum, max_shift_ppm: float) -> tuple[float, float]:
    """Shift in ppm and width in Hz with the largest coherent matched-filter response."""
    step = 0.004
    reach = round(max_shift_ppm / step)
    shifts = np.asarray(np.arange(-reach, reach + 1) * step, dtype=np.float64)
    best, best_shift, best_width = -1.0, 0.0, _WIDTHS_HZ[0]
    for width in _WIDTHS_HZ:
        response = np.zeros(shifts.size, dtype=np.complex128)
        for place in SINGLETS.values():
            response += _matched(spectrum, place + shifts, width)
        score = np.abs(response)
        peak = int(np.argmax(score))
        if score[peak] > best:
            best, best_shift, best_width = float(score[peak]), float(shifts[peak]), width
    return best_shift, best_width


def _matched(spectrum: Spectrum, ppm: FloatArray, width: float) -> ComplexArray:
    """Band-passed matched filter at the given places, of unit gain for white noise."""
    t = spectrum.time
    kernel = np.exp(-np.pi * width * t) - np.exp(-np.pi * width * _BROAD * t)
    used = t < 3.0 / (np.pi * width)
    kernel = kernel / np.linalg.norm(kernel[used])
    hz = (ppm - spectrum.reference_ppm) * spectrum.carrier_mhz
    waves = np.exp(-2j * np.pi * np.outer(hz, t[used]))
    return np.asarray(waves @ (kernel[used] * spectrum.fid[used]), dtype=np.complex128)


def _design(spectrum: Spectrum, shift_ppm: float, width: float, mask: FloatArray) -> ComplexArray:
    """Lines and a straight baseline per window in the frequency domain, shape ``(n_used, 3 + 4)``."""
    t = spectrum.time
    hz = (np.array(list(SINGLETS.values())) + shift_ppm - spectrum.reference_ppm) * spectrum.carrier_mhz
    lines = display(np.exp(2j * np.pi * hz[:, None] * t - np.pi * width * t)).T
    ppm = spectrum.ppm
    columns = [lines]
    for low, high in _WINDOWS:
        inside = (ppm >= low + shift_ppm) & (ppm <= high + shift_ppm)
        centred = (ppm - shift_ppm - (low + high) / 2) / (high - low)
        columns.append(
            np.stack([inside.astype(float), inside * centred, inside * centred**2], axis=1).astype(np.complex128)
        )
    return np.asarray(np.concatenate(columns, axis=1)[mask.astype(bool)], dtype=np.complex128)


def _fine(spectrum: Spectrum, shift: float, width: float, max_shift_ppm: float) -> ReferenceFit:
    """Refine shift and width by variable projection and read off phase and amplitudes."""
    from scipy.optimize import least_squares

    ppm = spectrum.ppm
    inside = np.zeros(ppm.size, dtype=bool)
    for low, high in _WINDOWS:
        inside |= (ppm >= low + shift) & (ppm <= high + shift)
    data = display(spectrum.fid)[inside]
    scale = max(float(np.linalg.norm(data)), np.finfo(float).tiny)

    def residual(parameters: FloatArray) -> FloatArray:
        design = _design(spectrum, parameters[0], float(np.exp(parameters[1])), inside)
        rest = (data - design @ np.linalg.lstsq(design, data, rcond=None)[0]) / scale
        return np.concatenate([rest.real, rest.imag])

    reach = max_shift_ppm + 0.02
    bounds = ([max(shift - 0.05, -reach), np.log(1.0)], [min(shift + 0.05, reach), np.log(40.0)])
    start = np.clip([shift, np.log(width)], np.array(bounds[0]) + 1e-6, np.array(bounds[1]) - 1e-6)
    found = least_squares(residual, start, bounds=bounds, x_scale=[0.005, 0.2])
    return _summarise(spectrum, found.x, np.asarray(found.jac, dtype=np.float64) * scale, data, inside)


def _summarise(
    spectrum: Spectrum, parameters: FloatArray, jacobian: FloatArray, data: ComplexArray, inside: FloatArray
) -> ReferenceFit:
    """Phase, coherence and standard errors at the minimum."""
    design = _design(spectrum, float(parameters[0]), float(np.exp(parameters[1])), inside)
    amplitudes = np.linalg.lstsq(design, data, rcond=None)[0][: len(SINGLETS)]
    rest = data - design @ np.linalg.lstsq(design, data, rcond=None)[0]
    # what the model does not describe counts as noise too
    noise = max(noise_sd(spectrum), float(np.sqrt(np.mean(np.abs(rest) ** 2) / 2)))
    covariance = np.linalg.inv(design.conj().T @ design)[: len(SINGLETS), : len(SINGLETS)] * 2 * noise**2
    total = complex(np.sum(amplitudes))
    total_sd = float(np.sqrt(np.sum(covariance).real))
    strength = max(abs(total), np.finfo(float).tiny)
    curvature = jacobian.T @ jacobian
    shift_sd = noise * float(np.sqrt(max(np.linalg.pinv(curvature)[0, 0], 0.0)))
    phase = float(np.angle(total))
    fwhm = float(np.exp(parameters[1]))
    step = 1e-4  # ppm; an error of the shift turns the phase as well
    moved = _design(spectrum, float(parameters[0]) + step, fwhm, inside)
    turned = np.angle(np.sum(np.linalg.lstsq(moved, data, rcond=None)[0][: len(SINGLETS)]) * np.exp(-1j * phase))
    phase_sd = float(np.hypot(total_sd / strength / np.sqrt(2), shift_sd * turned / step))
    return ReferenceFit(
        shift_ppm=float(parameters[0]),
        phase_deg=float(np.rad2deg(phase)),
        shift_sd_ppm=shift_sd,
        phase_sd_deg=float(np.rad2deg(min(phase_sd, np.pi))),
        fwhm_hz=fwhm,
        coherence=strength / max(float(np.sum(np.abs(amplitudes))), np.finfo(float).tiny),
        z=strength / max(total_sd, np.finfo(float).tiny),
        amplitudes={
            name: float(value.real) for name, value in zip(SINGLETS, amplitudes * np.exp(-1j * phase), strict=True)
        },
    )
