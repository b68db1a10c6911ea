"""Macromolecule signal from the peak table of a metabolite-nulled measurement."""

from __future__ import annotations

import numpy as np

from mrs_pipeline.spectrum import ComplexArray
from mrs_pipeline.synthetic.settings import Acquisition, Macromolecules

BIRCH_PEAKS: tuple[tuple[float, float, float], ...] = (
    (0.90, 0.72, 21.2), (1.21, 0.28, 19.2), (1.38, 0.38, 15.9), (1.63, 0.05, 7.5), (2.01, 0.45, 29.0), (2.09, 0.36, 20.5),
    (2.25, 0.36, 17.9), (2.61, 0.04, 5.3), (2.96, 0.20, 14.0), (3.11, 0.11, 17.9), (3.67, 0.64, 33.5), (3.80, 0.07, 11.9),
    (3.96, 1.00, 37.5),
)  # fmt: skip
"""Position (ppm), area relative to the 3.96 ppm peak and Gaussian FWHM (Hz at 128 MHz): Birch 2017, doi:10.1002/mrm.26183."""

_BIRCH_MHZ = 128.0
_PEAK_09_PROTONS = 3.0


def macromolecule_fid(acq: Acquisition, settings: Macromolecules, rng: np.random.Generator) -> ComplexArray:
    """Return one person's macromolecule FID per mmol/kg of ``settings.molal``, first point in protons.

    Every peak gets its own area, position and width; the widths scale with the field.
    """
    t = np.arange(acq.n_points) * acq.dwell
    ppm, area, width = np.array(BIRCH_PEAKS).T
    area = area / area[0] * _PEAK_09_PROTONS
    area = area * (1 + settings.person_cv * rng.standard_normal())
    area = area * np.maximum(0, 1 + settings.component_cv * rng.standard_normal(area.size))
    ppm = ppm + settings.shift_sd_ppm * rng.standard_normal(ppm.size)
    width = width * np.maximum(0.3, 1 + settings.width_cv * rng.standard_normal(width.size)) * acq.carrier_mhz / _BIRCH_MHZ
    hz = (ppm - acq.reference_ppm) * acq.carrier_mhz
    decay = np.exp(-((np.pi * width[:, None] * t) ** 2) / (4 * np.log(2)))
    return np.asarray((area[:, None] * np.exp(2j * np.pi * hz[:, None] * t) * decay).sum(axis=0))
