"""How lines decay beyond T2: a Gaussian B0 distribution, or the distribution a real water FID shows."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from mrs_pipeline.errors import InputError
from mrs_pipeline.spectrum import ComplexArray, FloatArray, Spectrum

_USABLE_SNR = 10.0
"""A real FID is followed until it falls to this many noise SDs; from there on it is continued smoothly."""


def gaussian_decay(t: FloatArray, fwhm_hz: float) -> ComplexArray:
    """Return the decay of a Gaussian B0 distribution of the given full width at half maximum."""
    return np.asarray(np.exp(-((np.pi * fwhm_hz * t) ** 2) / (4 * np.log(2))), dtype=np.complex128)


def decay_from_water(water: Spectrum, t: FloatArray, t2: float) -> ComplexArray:
    """Return the B0 decay that a measured water FID shows, 1 at t = 0.

    Parameters
    ----------
    water
        Unsuppressed water scan, one FID.
    t
        Times wanted in seconds.
    t2
        Mean T2 of the water in seconds, divided out.

    Notes
    -----
    The first two points are not trusted (receive filters, halved first points): the start is extrapolated from points
    2 to 6. The mean frequency is taken out, so that the lineshape does not move lines. Where the signal reaches ten
    noise SDs the magnitude goes on with the exponential rate it had before, and the phase stops turning.
    """
    fid = np.asarray(water.fid).reshape(-1)
    noise = float(np.std(fid[-fid.size // 8 :]))
    above = np.flatnonzero(np.abs(fid) > _USABLE_SNR * noise)
    last = int(above[-1]) if above.size else 0
    if last < 16:
        raise InputError(
            "the water FID is too short or too noisy for a lineshape", remedy="choose an unsuppressed water scan"
        )
    log_size = np.log(np.abs(fid[:last])) + water.time[:last] / t2
    phase = np.unwrap(np.angle(fid[:last]))
    trusted = slice(2, 7)
    start_size = np.polynomial.Polynomial.fit(water.time[trusted], log_size[trusted], 1)
    start_phase = np.polynomial.Polynomial.fit(water.time[trusted], phase[trusted], 1)
    log_size[:2], phase[:2] = start_size(water.time[:2]), start_phase(water.time[:2])
    weight = np.exp(log_size - log_size[0])
    slope = np.polyfit(water.time[:last], phase, 1, w=weight)[0]
    phase = phase - phase[0] - slope * water.time[:last]
    rate = (log_size[last - 1] - log_size[last // 2]) / (water.time[last - 1] - water.time[last // 2])
    tail = np.minimum(rate, -1.0) * np.maximum(0.0, t - water.time[last - 1])
    size = np.interp(t, water.time[:last], log_size - log_size[0]) + tail
    return np.asarray(np.exp(size + 1j * np.interp(t, water.time[:last], phase)))


@lru_cache(maxsize=4)
def decay_from_file(path: str, dwell: float, n_points: int, t2: float) -> ComplexArray:
    """Return :func:`decay_from_water` of a NIfTI-MRS file, on an acquisition's grid."""
    from mrs_pipeline.nifti_mrs import read

    spectrum = read(path).spectrum
    if spectrum.fid.size != spectrum.n_points:
        raise InputError("the lineshape file holds several FIDs", remedy="average them first", path=path)
    return decay_from_water(spectrum, np.asarray(np.arange(n_points) * dwell, dtype=np.float64), t2)


def advance(fid: ComplexArray, dwell: float, delay: float, centre_hz: float) -> ComplexArray:
    """Return the FID as sampled ``delay`` seconds later (first-order phase), by a quintic spline.

    Parameters
    ----------
    centre_hz
        Middle of the lines: they are brought to zero frequency for the interpolation, where a spline is accurate.
    """
    if delay == 0:
        return fid
    from scipy.interpolate import make_interp_spline

    t = np.arange(fid.size) * dwell
    slow = fid * np.exp(-2j * np.pi * centre_hz * t)
    late = np.minimum(t + delay, t[-1])
    return np.asarray(make_interp_spline(t, slow, k=5)(late) * np.exp(2j * np.pi * centre_hz * (t + delay)))
