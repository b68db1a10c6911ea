"""Macromolecule signal: the peak table of a metabolite-nulled measurement, or a measured spectrum."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from mrs_pipeline.errors import InputError
from mrs_pipeline.spectrum import ComplexArray, Spectrum
from mrs_pipeline.synthetic.settings import Acquisition, Macromolecules

BIRCH_PEAKS: tuple[tuple[float, float, float], ...] = (
    (0.90, 0.72, 21.2),
    (1.21, 0.28, 19.2),
    (1.38, 0.38, 15.9),
    (1.63, 0.05, 7.5),
    (2.01, 0.45, 29.0),
    (2.09, 0.36, 20.5),
    (2.25, 0.36, 17.9),
    (2.61, 0.04, 5.3),
    (2.96, 0.20, 14.0),
    (3.11, 0.11, 17.9),
    (3.67, 0.64, 33.5),
    (3.80, 0.07, 11.9),
    (3.96, 1.00, 37.5),
)
"""Position (ppm), area relative to the 3.96 ppm peak, Gaussian FWHM (Hz at 128 MHz).

Birch 2017, Magn Reson Med 77:34-43.
"""

_BIRCH_MHZ = 128.0
_PROTONS = 3.0
"""Protons of the 0.9 ppm peak, which gives the pattern its size."""

_WINDOW_PPM = (0.7, 1.1)


def macromolecule_fid(acq: Acquisition, settings: Macromolecules, rng: np.random.Generator) -> ComplexArray:
    """Return one person's macromolecule FID in protons per molecule, on the acquisition's grid."""
    size = 1 + settings.person_cv * rng.standard_normal()
    if settings.file is not None:
        return np.asarray(size * measured_pattern(settings.file, acq))
    return np.asarray(size * peak_pattern(acq, settings, rng))


def peak_pattern(acq: Acquisition, settings: Macromolecules, rng: np.random.Generator) -> ComplexArray:
    """Return the 13 Gaussian peaks with each its own area, position and width; widths scale with the field."""
    t = np.arange(acq.n_points) * acq.dwell
    ppm, area, width = np.array(BIRCH_PEAKS).T
    area = area / area[0] * _PROTONS * np.maximum(0, 1 + settings.component_cv * rng.standard_normal(area.size))
    ppm = ppm + settings.shift_sd_ppm * rng.standard_normal(ppm.size)
    width = width * np.maximum(0.3, 1 + settings.width_cv * rng.standard_normal(width.size))
    width = width * acq.carrier_mhz / _BIRCH_MHZ
    hz = (ppm - acq.reference_ppm) * acq.carrier_mhz
    decay = np.exp(-((np.pi * width[:, None] * t) ** 2) / (4 * np.log(2)))
    return np.asarray((area[:, None] * np.exp(2j * np.pi * hz[:, None] * t) * decay).sum(axis=0))


@lru_cache(maxsize=4)
def measured_pattern(path: str, acq: Acquisition) -> ComplexArray:
    """Return a measured macromolecule FID resampled to the acquisition; its 0.7-1.1 ppm area counts three protons.

    Raises
    ------
    InputError
        The file holds several FIDs or no signal there.
    """
    from mrs_pipeline.basis import Basis
    from mrs_pipeline.nifti_mrs import read

    spectrum = read(path).spectrum
    if spectrum.fid.size != spectrum.n_points:
        raise InputError("the macromolecule file holds several FIDs", remedy="average them first", path=path)
    area = proton_area(spectrum)
    if area <= 0:
        raise InputError("no positive signal at 0.7-1.1 ppm", remedy="phase the macromolecule spectrum", path=path)
    fid = spectrum.fid.reshape(1, -1) * (_PROTONS / area)
    basis = Basis(("MM",), fid, spectrum.dwell, spectrum.carrier_mhz, spectrum.reference_ppm)
    return np.asarray(basis.resampled(acq.dwell, acq.n_points, acq.carrier_mhz, acq.reference_ppm).fids[0])


def proton_area(spectrum: Spectrum) -> float:
    """Return the signal at t = 0 of what lies at 0.7-1.1 ppm.

    Notes
    -----
    The real spectrum of a causal FID holds half its area in the absorption lines and, unless the first point is halved,
    the other half as a constant.
    """
    window = (spectrum.ppm > _WINDOW_PPM[0]) & (spectrum.ppm < _WINDOW_PPM[1])
    halved = spectrum.fid.copy()
    halved[0] *= 0.5
    return float(2 * spectrum.with_fid(halved).spectrum().real[window].sum() / spectrum.n_points)
