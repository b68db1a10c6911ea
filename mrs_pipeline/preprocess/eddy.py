"""Eddy-current correction with a water scan (Klose)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mrs_pipeline.spectrum import WATER_PPM, ComplexArray, FloatArray, Spectrum

MIN_SNR = 30.0
"""First point of the reference over its noise SD below which its phase would add noise."""

MIN_COVER = 0.04
"""Seconds the reference's signal must be followed for: most of an eddy current's life."""

_PHASE_SNR = 10.0  # the phase of a point is used while |y| exceeds this many noise SDs (phase SD below 0.1 rad)


@dataclass(frozen=True, eq=False)
class WaterPhase:
    """Phase of the water signal over time.

    Parameters
    ----------
    phase
        Unwrapped phase in radians at ``time``; the line's own frequency (``offset_hz``) is not in it.
    time
        Seconds, shape ``(n_points,)``.
    offset_hz
        Frequency of the water line relative to its nominal place, 4.65 ppm, in Hz.
    snr
        Largest magnitude over the noise SD.
    end
        Last time in seconds at which the phase is reliable.
    """

    phase: FloatArray
    time: FloatArray
    offset_hz: float
    snr: float
    end: float


def water_phase(water: Spectrum) -> WaterPhase:
    """Follow the phase of a water reference over time.

    Parameters
    ----------
    water
        One FID, shape ``(n_points,)``.

    Notes
    -----
    The phase is taken while the magnitude exceeds ten noise SDs and continued along its own late slope after that, so
    that the noise of the reference's tail does not enter the metabolites. The noise SD is that of the last eighth of
    the FID.
    """
    nominal = (WATER_PPM - water.reference_ppm) * water.carrier_mhz
    demodulated = water.fid * np.exp(-2j * np.pi * nominal * water.time)
    tail = demodulated[-max(demodulated.size // 8, 2) :]
    noise = max(float(np.std(tail - np.mean(tail))) / np.sqrt(2), np.finfo(float).tiny)
    magnitude = np.abs(demodulated)
    snr = float(magnitude.max() / noise)
    below = np.flatnonzero(magnitude < _PHASE_SNR * noise)
    reliable = int(below[0]) if below.size else demodulated.size
    phase = np.unwrap(np.angle(demodulated[: max(reliable, 2)]))
    phase = _continued(phase, demodulated.size)
    return WaterPhase(phase, water.time, _slope(phase, water.dwell), snr, max(reliable - 1, 0) * water.dwell)


def refusal(metabolite: Spectrum, water: Spectrum) -> str | None:
    """Say why a reference cannot correct a scan; ``None`` when it can.

    Parameters
    ----------
    metabolite, water
        The scan and its reference, one FID each.
    """
    if metabolite.nucleus != water.nucleus:
        return f"the reference is of {water.nucleus}, the scan of {metabolite.nucleus}"
    if abs(water.carrier_mhz / metabolite.carrier_mhz - 1.0) > 0.01:
        return (
            f"the reference was measured at {water.carrier_mhz:.2f} MHz, the scan at {metabolite.carrier_mhz:.2f} MHz"
        )
    return _weakness(water)


def _weakness(water: Spectrum) -> str | None:
    """Say why a reference's phase is not good enough; ``None`` when it is."""
    if not np.any(water.fid):
        return "the reference is empty"
    found = water_phase(water)
    if found.snr < MIN_SNR:
        return f"the reference is too weak (SNR {found.snr:.0f}, {MIN_SNR:.0f} needed)"
    if found.end < MIN_COVER:
        return (
            f"the reference's signal can be followed for {found.end * 1e3:.0f} ms only ({MIN_COVER * 1e3:.0f} needed)"
        )
    purity = _water_share(water)
    if purity < 0.5:
        return (
            f"the reference's largest signal is not water ({purity:.0%} of its energy lies within 0.5 ppm of 4.65 ppm)"
        )
    return None


def correct(metabolite: Spectrum, water: Spectrum) -> tuple[Spectrum, dict[str, float]]:
    r"""Take the water signal's phase from a scan, point by point.

    Parameters
    ----------
    metabolite
        FIDs, shape ``(..., n_points)``.
    water
        One FID; may have another length and dwell time.

    Returns
    -------
    Spectrum
        Corrected scan; the water line of the reference would lie at 4.65 ppm with phase zero.
    dict
        What was taken away: offset in Hz, phase at t = 0 in degrees, largest departure from a straight line in degrees.

    Notes
    -----
    :math:`y_c(t) = y(t)\,e^{-i\varphi_w(t)}` (Klose 1990, doi:10.1002/mrm.1910140104), :math:`\varphi_w` being
    counted from the nominal water frequency and interpolated linearly to the times of the scan; after the end of the
    reference it continues along its late slope.
    """
    found = water_phase(water)
    phase = _at(found, metabolite.time)
    corrected = metabolite.with_fid(metabolite.fid * np.exp(-1j * phase))
    inside = found.time <= found.end
    line = np.polynomial.Polynomial.fit(found.time[inside], found.phase[inside], 1)
    bend = float(np.max(np.abs(found.phase[inside] - line(found.time[inside]))))
    start = float(np.rad2deg(np.angle(np.exp(1j * found.phase[min(1, found.phase.size - 1)]))))
    return corrected, {
        "offset_hz": found.offset_hz,
        "phase_deg": start,
        "largest_bend_deg": float(np.rad2deg(bend)),
        "reference_snr": found.snr,
        "reference_end_s": found.end,
    }


def _at(found: WaterPhase, time: FloatArray) -> FloatArray:
    """Phase at other times: linear between the reference's points, along the late slope after them."""
    inside = np.interp(time, found.time, found.phase)
    dwell = float(found.time[1] - found.time[0])
    late = _late_slope(found.phase) / dwell
    return np.asarray(np.where(time > found.time[-1], found.phase[-1] + late * (time - found.time[-1]), inside))


def _continued(phase: FloatArray, size: int) -> FloatArray:
    """Continue an unwrapped phase to ``size`` points along its late slope."""
    if phase.size >= size:
        return phase
    extra = np.arange(1, size - phase.size + 1)
    return np.concatenate([phase, phase[-1] + _late_slope(phase) * extra])


def _late_slope(phase: FloatArray) -> float:
    """Slope per point over the last quarter of a phase course."""
    late = phase[-max(phase.size // 4, 2) :]
    return (
        float(np.polynomial.Polynomial.fit(np.arange(late.size), late, 1).convert().coef[-1]) if late.size > 1 else 0.0
    )


def _slope(phase: FloatArray, dwell: float) -> float:
    """Mean frequency in Hz of the first 50 ms of a phase course."""
    used = phase[: max(2, min(phase.size, round(0.05 / dwell)))]
    coefficients = np.polynomial.Polynomial.fit(np.arange(used.size) * dwell, used, 1).convert().coef
    return float(coefficients[-1] / (2 * np.pi)) if coefficients.size > 1 else 0.0


def _water_share(water: Spectrum) -> float:
    """Share of a reference's energy within 0.5 ppm of its strongest line near water's nominal place."""
    power = np.abs(water.spectrum()) ** 2
    near = np.abs(water.ppm - WATER_PPM) < 0.5
    return float(power[near].sum() / power.sum())


def phase_at_start(water: ComplexArray) -> float:
    """Phase of the second point of a FID in radians (the first may be bent by filters)."""
    return float(np.angle(water[min(1, water.size - 1)]))
