"""Frequency and phase of single transients, and their alignment."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mrs_pipeline.spectrum import ComplexArray, FloatArray, Spectrum

_ROUNDS = 4


@dataclass(frozen=True, eq=False)
class Alignment:
    """Offsets of transients.

    Parameters
    ----------
    hz, deg
        Each transient's own offset from the common template, shape ``(n_transients,)``: frequency in Hz, positive towards
        higher ppm, and phase in degrees. The correction is the negative of it.
    rounds
        Number of template updates.
    """

    hz: FloatArray
    deg: FloatArray
    rounds: int


def apply(fids: ComplexArray, dwell: float, hz: FloatArray, deg: FloatArray) -> ComplexArray:
    """Take offsets away: ``y(t) exp(-i (2 pi f t + phase))``, shape ``(n_transients, n_points)``."""
    time = np.arange(fids.shape[-1]) * dwell
    return np.asarray(fids * np.exp(-1j * (2 * np.pi * np.multiply.outer(hz, time) + np.deg2rad(deg)[..., None])))


def estimate(transients: Spectrum, ppm: tuple[float, float] | None, max_shift_hz: float) -> Alignment:
    """Estimate the offsets of transients from their own common signal.

    Parameters
    ----------
    transients
        FIDs, shape ``(n_transients, n_points)``.
    ppm
        Band used; ``None``: everything, residual water too (time-domain spectral registration).
    max_shift_hz
        Largest shift searched between a transient and the template.

    Notes
    -----
    For :math:`y = A\\,e^{i(2\\pi f t+\\varphi)}\\,s(t) + n` in white noise the maximum-likelihood frequency maximises
    :math:`|\\sum_t y\\,s^*\\,e^{-2\\pi i f t}|` and the phase is that of the sum. The template s is the aligned average, updated
    each round (Near 2015, doi:10.1002/mrm.25094, uses one transient and a least-squares search for the same model).
    """
    fids = transients.fid
    hz, deg = np.zeros(fids.shape[0]), np.zeros(fids.shape[0])
    template = _first_template(transients, ppm)
    for _ in range(_ROUNDS):
        hz, deg = _against(fids, _band(transients, template, ppm), transients.dwell, max_shift_hz)
        template = np.mean(apply(fids, transients.dwell, hz, deg), axis=0)
    return Alignment(hz, deg, _ROUNDS)


def _first_template(transients: Spectrum, ppm: tuple[float, float] | None) -> ComplexArray:
    """Transient of middle energy in the band: a typical one."""
    energy = np.sum(np.abs(_band(transients, transients.fid, ppm)) ** 2, axis=-1)
    return np.asarray(transients.fid[int(np.argsort(energy)[energy.size // 2])])


def _band(transients: Spectrum, fid: ComplexArray, ppm: tuple[float, float] | None) -> ComplexArray:
    """Keep a band of the spectrum, with cosine edges of 0.1 ppm."""
    if ppm is None:
        return fid
    axis, low, high, edge = transients.ppm, min(ppm), max(ppm), 0.1
    rise = np.clip((axis - low) / edge + 0.5, 0, 1) * np.clip((high - axis) / edge + 0.5, 0, 1)
    window = np.fft.ifftshift(np.sin(np.pi / 2 * rise) ** 2)
    return np.asarray(np.fft.ifft(np.fft.fft(fid, axis=-1) * window, axis=-1))


def _against(
    fids: ComplexArray, template: ComplexArray, dwell: float, max_shift_hz: float
) -> tuple[FloatArray, FloatArray]:
    """Maximum-likelihood frequency (Hz) and phase (degrees) of each transient against a template."""
    size = 4 * fids.shape[-1]
    product = fids * template.conj()
    hz_axis = np.fft.fftfreq(size, dwell)
    searched = np.abs(hz_axis) <= max_shift_hz
    score = np.where(searched, np.abs(np.fft.fft(product, size, axis=-1)), 0.0)
    hz = hz_axis[np.argmax(score, axis=-1)]
    time = np.arange(fids.shape[-1]) * dwell
    for _ in range(3):
        hz = hz + _newton(product * np.exp(-2j * np.pi * hz[:, None] * time), time, 1 / (size * dwell))
    total = np.sum(product * np.exp(-2j * np.pi * hz[:, None] * time), axis=-1)
    return np.asarray(hz), np.asarray(np.rad2deg(np.angle(total)))


def _newton(product: ComplexArray, time: FloatArray, limit: float) -> FloatArray:
    """Newton step in Hz of ``log |sum product exp(-2 pi i f t)|`` at f = 0, limited."""
    s0, s1, s2 = (np.sum(product * time**k, axis=-1) for k in range(3))
    power = np.abs(s0) ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = (s0.conj() * s1).imag / power
        curvature = (np.abs(s1) ** 2 - (s0.conj() * s2).real) / power - 2 * slope**2
        curvature = np.where(np.isfinite(curvature), curvature, -1.0)
        step = np.where(curvature < 0, -slope / curvature, 0.0) / (2 * np.pi)
    return np.asarray(np.clip(np.nan_to_num(step), -limit, limit))
