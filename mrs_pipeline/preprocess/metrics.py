"""Quality metrics of a spectrum and of a water scan, each with its definition."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mrs_pipeline.preprocess.types import display
from mrs_pipeline.spectrum import ComplexArray, FloatArray, Spectrum

METRIC_DEFINITIONS: dict[str, str] = {
    "snr_tcr": ("largest magnitude in 2.9-3.1 ppm over the SD of the noise (real part, -2 to 0 ppm, parabola removed)"),
    "snr_naa": "largest magnitude in 1.9-2.1 ppm over the same noise SD",
    "snr_spectral": (
        "largest |real part| in 0.5-4.2 ppm over sqrt(2) times the SD of the real part outside -2 to "
        "10 ppm, or of the outermost tenth of the band where the bandwidth ends before that"
    ),
    "noise_sd": "SD of the real part of the spectrum's noise, first point halved, in scanner units",
    "fwhm_tcr_hz": (
        "full width at half height of tCr (2.9-3.1 ppm), real part, eightfold zero filling, above the"
        " straight line between the window's ends, in Hz"
    ),
    "fwhm_naa_hz": "the same for NAA (1.9-2.1 ppm)",
    "fwhm_hz": "width of tCr or NAA, whichever is narrower, in Hz",
    "fwhm_ppm": "the same in ppm",
    "fwhm_water_hz": (
        "full width at half height of the water reference, real part after phasing its peak, "
        "eightfold zero filling, in Hz"
    ),
    "fwhm_water_ppm": "the same in ppm",
    "snr_water": "largest magnitude of the water reference's spectrum over its noise SD",
    "residual_water_before": "largest magnitude in 4.2-5.1 ppm before water removal over the NAA height",
    "residual_water": "largest magnitude in 4.2-5.1 ppm after water removal over the NAA height",
    "lipid_ratio": (
        "extreme real value in 0.9-1.6 ppm (boxcar of 0.05 ppm, baseline of the outer band removed) "
        "over the NAA height; negative: inverted"
    ),
    "baseline_asymmetry": "mean real part of 5.2-8 ppm minus that of -2 to 0.2 ppm, over the NAA height",
    "spurious_echo": "largest SD of the FID in any 20 ms window of its second half over the SD of its last tenth",
    "share_kept": "share of transients kept",
    "drift_hz_sd": "SD of the kept transients' frequency in Hz",
    "drift_hz_range": "largest minus smallest frequency of the kept transients in Hz",
    "drift_hz_slope": "slope of frequency over transient number in Hz per 100 transients (Theil-Sen)",
    "drift_deg_sd": "SD of the kept transients' phase in degrees",
    "reference_shift_ppm": "offset of NAA, tCr and tCho from their nominal places before referencing, in ppm",
    "reference_z": "joint amplitude of NAA, tCr and tCho over its SD",
    "reference_coherence": "agreement of their phases, 0 to 1",
    "phase_deg": "zero-order phase before phasing, in degrees",
}
"""What each metric is, in words."""

WATER_METRICS = ("fwhm_water_hz", "fwhm_water_ppm", "snr_water")
"""Metrics that need a water reference."""


def spectrum_metrics(spectrum: Spectrum, ppm_water: tuple[float, float]) -> dict[str, float | None]:
    """Measure a phased, referenced spectrum.

    Parameters
    ----------
    spectrum
        One FID with a true first point.
    ppm_water
        Window of the residual water.
    """
    shown = display(spectrum.fid)
    ppm = spectrum.ppm
    noise = _noise(ppm, shown)
    naa = _peak(ppm, shown, 1.9, 2.1)
    widths = {name: _width(spectrum, low, high) for name, low, high in (("tcr", 2.9, 3.1), ("naa", 1.9, 2.1))}
    found = [width for width in widths.values() if width is not None]
    fwhm = min(found) if found else None
    return {
        "snr_tcr": _ratio(_peak(ppm, shown, 2.9, 3.1), noise),
        "snr_naa": _ratio(naa, noise),
        "snr_spectral": _snr_spectral(ppm, shown),
        "noise_sd": noise,
        "fwhm_tcr_hz": widths["tcr"],
        "fwhm_naa_hz": widths["naa"],
        "fwhm_hz": fwhm,
        "fwhm_ppm": None if fwhm is None else fwhm / spectrum.carrier_mhz,
        "residual_water": _ratio(_peak(ppm, shown, *ppm_water), naa),
        "lipid_ratio": _lipid(ppm, shown, naa),
        "baseline_asymmetry": _asymmetry(ppm, shown, naa),
        "spurious_echo": _spurious_echo(spectrum),
    }


PROTON_METRICS = (
    "snr_tcr", "snr_naa", "snr_spectral", "noise_sd", "fwhm_tcr_hz", "fwhm_naa_hz", "fwhm_hz", "fwhm_ppm",
    "residual_water", "residual_water_before", "lipid_ratio", "baseline_asymmetry", "reference_shift_ppm",
    "reference_z", "reference_coherence", "phase_deg",
)  # fmt: skip
"""Metrics that are measured at places of proton lines."""


def other_nucleus_metrics(spectrum: Spectrum) -> dict[str, float | None]:
    """Measure what needs no proton line; the fit gives SNR and linewidth of such a scan."""
    return {**dict.fromkeys(PROTON_METRICS), "spurious_echo": _spurious_echo(spectrum)}


def water_metrics(water: Spectrum) -> dict[str, float | None]:
    """Measure a water reference, shape ``(n_points,)``."""
    shown = np.abs(display(water.fid))
    peak = int(np.argmax(shown))
    phase = float(np.angle(display(water.fid)[peak]))
    width = _half_width(water.phased(-np.rad2deg(phase)), peak_hz=float(water.frequency[peak]), reach_hz=60.0)
    noise = _noise(water.ppm, display(water.fid))
    return {
        "fwhm_water_hz": width,
        "fwhm_water_ppm": None if width is None else width / water.carrier_mhz,
        "snr_water": _ratio(float(shown[peak]), noise),
    }


def drift_metrics(
    hz: tuple[float | None, ...], deg: tuple[float | None, ...], kept: tuple[bool, ...]
) -> dict[str, float | None]:
    """Summarise the drift of the kept transients."""
    frequency = np.array([value for value in hz if value is not None])
    phase = np.array([value for value in deg if value is not None])
    if frequency.size < 2:
        names = ("drift_hz_sd", "drift_hz_range", "drift_hz_slope", "drift_deg_sd")
        return {**dict.fromkeys(names), "share_kept": float(np.mean(kept)) if kept else None}
    from scipy.stats import theilslopes

    number = np.array([index for index, value in enumerate(hz) if value is not None])
    return {
        "drift_hz_sd": float(np.std(frequency, ddof=1)),
        "drift_hz_range": float(np.ptp(frequency)),
        "drift_hz_slope": 100.0 * float(theilslopes(frequency, number).slope),
        "drift_deg_sd": float(np.std(phase, ddof=1)),
        "share_kept": float(np.mean(kept)),
    }


def _inside(ppm: FloatArray, low: float, high: float) -> npt.NDArray[np.bool_]:
    return np.asarray((ppm >= low) & (ppm <= high))


def _ratio(value: float | None, unit: float | None) -> float | None:
    return None if value is None or not unit else value / unit


def _peak(ppm: FloatArray, shown: ComplexArray, low: float, high: float) -> float | None:
    """Largest magnitude in a window; ``None`` when the band does not reach it."""
    used = np.abs(shown[_inside(ppm, low, high)])
    return float(used.max()) if used.size else None


def _noise(ppm: FloatArray, shown: ComplexArray) -> float | None:
    """SD of the real part between -2 and 0 ppm, a parabola taken away; the band's lower end when it does not reach."""
    used = _inside(ppm, -2.0, 0.0)
    if np.count_nonzero(used) < 32:
        used = ppm < np.quantile(ppm, 0.1)
    return _detrended_sd(ppm[used], shown.real[used])


def _detrended_sd(axis: FloatArray, values: FloatArray) -> float | None:
    if axis.size < 8:
        return None
    trend = np.polynomial.Polynomial.fit(axis, values, 2)(axis)
    return float(np.sqrt(np.sum((values - trend) ** 2) / (axis.size - 3)))


def _snr_spectral(ppm: FloatArray, shown: ComplexArray) -> float | None:
    outside = (ppm < -2.0) | (ppm > 10.0)
    if np.count_nonzero(outside) < 64:
        outside = (ppm < np.quantile(ppm, 0.05)) | (ppm > np.quantile(ppm, 0.95))
    signal = np.abs(shown.real[_inside(ppm, 0.5, 4.2)])
    if not signal.size:
        return None
    return _ratio(float(signal.max()), float(np.sqrt(2) * np.std(shown.real[outside])))


def _width(spectrum: Spectrum, low: float, high: float) -> float | None:
    """Width of the largest real peak in a window, Hz."""
    inside = _inside(spectrum.ppm, low, high)
    if np.count_nonzero(inside) < 4:
        return None
    real = np.where(inside, display(spectrum.fid).real, -np.inf)
    peak = int(np.argmax(real))
    return _half_width(
        spectrum, peak_hz=float(spectrum.frequency[peak]), reach_hz=0.12 * spectrum.carrier_mhz, straight=True
    )


def _half_width(spectrum: Spectrum, *, peak_hz: float, reach_hz: float, straight: bool = False) -> float | None:
    """Full width at half height around a peak, after eightfold zero filling; ``None`` when a flank is missing."""
    size = 8 * spectrum.n_points
    halved = np.array(spectrum.fid)
    halved[0] *= 0.5
    axis = np.fft.fftshift(np.fft.fftfreq(size, spectrum.dwell))
    real = np.fft.fftshift(np.fft.fft(halved, size)).real
    used = np.abs(axis - peak_hz) <= reach_hz
    axis, real = axis[used], real[used]
    if axis.size < 8:
        return None
    if straight:
        ends = np.minimum(real[: axis.size // 8].mean(), real[-(axis.size // 8) :].mean())
        real = real - ends
    top = int(np.argmax(real))
    left = _crossing(axis[top::-1], real[top::-1])
    right = _crossing(axis[top:], real[top:])
    return None if left is None or right is None else right - left


def _crossing(axis: FloatArray, values: FloatArray) -> float | None:
    """Place where values first fall below half the first value, interpolated."""
    half = values[0] / 2
    below = np.flatnonzero(values < half)
    if not below.size:
        return None
    index = int(below[0])
    share = (values[index - 1] - half) / (values[index - 1] - values[index])
    return float(axis[index - 1] + share * (axis[index] - axis[index - 1]))


def _lipid(ppm: FloatArray, shown: ComplexArray, naa: float | None) -> float | None:
    inside = _inside(ppm, 0.9, 1.6)
    outer = _inside(ppm, -1.0, 0.3)
    if not naa or np.count_nonzero(inside) < 4 or not np.any(outer):
        return None
    boxcar = max(1, round(0.05 / float(ppm[1] - ppm[0])))
    smooth = np.convolve(shown.real, np.ones(boxcar) / boxcar, mode="same")[inside] - np.median(shown.real[outer])
    return float(smooth[int(np.argmax(np.abs(smooth)))]) / naa


def _asymmetry(ppm: FloatArray, shown: ComplexArray, naa: float | None) -> float | None:
    left, right = _inside(ppm, 5.2, 8.0), _inside(ppm, -2.0, 0.2)
    if not naa or not left.any() or not right.any():
        return None
    return float(shown.real[left].mean() - shown.real[right].mean()) / naa


def _spurious_echo(spectrum: Spectrum) -> float | None:
    """Largest RMS of a 20 ms window in the FID's second half over the RMS of its last tenth."""
    length = max(4, round(0.02 / spectrum.dwell))
    half = spectrum.fid[spectrum.n_points // 2 :]
    if half.size < 4 * length:
        return None
    power = np.convolve(np.abs(half) ** 2, np.ones(length) / length, mode="valid")
    tail = float(np.mean(np.abs(half[-(half.size // 5) :]) ** 2))
    return float(np.sqrt(power.max() / tail)) if tail > 0 else None
