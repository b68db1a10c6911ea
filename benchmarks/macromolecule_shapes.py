"""Macromolecules that had no part in the priors of the fit: areas relative to the 0.9 ppm peak, and widths.

Numbers are quoted from public files; what had to be added is said with each. They differ by field, echo time and
inversion, which is the point: nobody knows which of them a scan has.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mrs_pipeline.spectrum import ComplexArray, FloatArray


@dataclass(frozen=True)
class Shape:
    """Gaussian peaks: positions and full widths in ppm, areas relative to the 0.9 ppm peak.

    Parameters
    ----------
    ppm, area, width
        One entry per peak.
    broadened
        Whether the widths are those before the line of the scan, as in tables made for a fit.
    """

    ppm: tuple[float, ...]
    area: tuple[float, ...]
    width: tuple[float, ...]
    broadened: bool = False

    def fid(self, size: float, time: FloatArray, mhz: float, line: ComplexArray) -> ComplexArray:
        """FID with ``size`` at 0.9 ppm; ``line`` is the FID of the metabolites' line, shape ``(n,)``."""
        ppm, area, width = (np.array(values)[:, None] for values in (self.ppm, self.area, self.width))
        decay = (np.pi * width * mhz * time) ** 2 / (4 * np.log(2))
        peaks = (area * np.exp(2j * np.pi * (ppm - 4.65) * mhz * time - decay)).sum(axis=0)
        return np.asarray(size * peaks * (np.abs(line) if self.broadened else 1.0))


_MURALI_PPM = (0.916, 1.21, 1.39, 1.67, 2.04, 2.26, 2.56, 2.70, 2.99, 3.21, 3.62, 3.75, 3.86, 4.03)
_MURALI_WIDTH = (0.15, 0.15, 0.17, 0.20, 0.22, 0.20, 0.17, 0.13, 0.20, 0.20, 0.17, 0.17, 0.17, 0.17)

SHAPES = {
    # Murali-Manohar 2020 (doi:10.1002/mrm.28174), 9.4 T, double inversion, TE 32 ms, mean of 11 people: amounts of
    # single peaks in the LCModel tables of github.com/mrshub/mm-94T-TE-series-fit-settings (BSD-3). Widths are not
    # given: about those of Birch at 3 T.
    "grey, 9.4 T": Shape(
        _MURALI_PPM,
        (1.0, 0.466, 0.764, 0.866, 1.323, 1.344, 0.346, 0.186, 0.540, 0.386, 0.203, 0.282, 0.619, 0.0),
        _MURALI_WIDTH,
    ),
    "white, 9.4 T": Shape(
        _MURALI_PPM,
        (1.0, 0.217, 0.654, 0.987, 1.109, 1.126, 0.266, 0.196, 0.444, 0.382, 0.079, 0.223, 0.330, 0.021),
        _MURALI_WIDTH,
    ),
    # Landheer 2020 (doi:10.1002/mrm.28282), 3 T: widths, T2 and scales as github.com/dennisvds/MRS-Digital-Phantom has
    # them (second hand), each area taken to TE 30 ms by its own T2.
    "Landheer, 3 T": Shape(
        (0.92, 1.21, 1.39, 1.67, 2.04, 2.26, 2.70, 2.99, 3.21, 3.75),
        (1.0, 0.55, 0.56, 1.15, 1.41, 1.63, 0.86, 1.02, 0.27, 1.41),
        (0.205, 0.171, 0.231, 0.310, 0.301, 0.263, 0.287, 0.227, 0.140, 0.463),
    ),
    # github.com/schorschinho/osprey, mm-definitions/MMLipLCModelMRSF.json (MIT): protons over 3, least widths; its
    # source is not stated.
    "Osprey MRSF": Shape(
        (0.91, 1.19, 1.38, 1.65, 2.03, 2.27, 2.60, 2.99, 3.20, 3.65, 3.79, 3.95, 4.20),
        (1.0, 0.60, 0.83, 0.97, 1.46, 0.86, 0.40, 0.59, 0.20, 0.32, 0.45, 0.65, 0.25),
        (0.14, 0.08, 0.12, 0.20, 0.15, 0.14, 0.22, 0.12, 0.10, 0.12, 0.09, 0.14, 0.15),
        broadened=True,
    ),
}
"""The four shapes by name."""
