r"""The urn: what a voxel holds, given its intensity, the template's shares and the intensity of grey matter there.

A voxel is thought of as twelve cells, drawn from an urn with the template's shares (Pólya's urn: every draw puts back
more of the same, so one concentration :math:`\kappa` leads from pure voxels, :math:`\kappa\to 0`, to evenly mixed
ones). The expected shares are the template's for every :math:`\kappa`. Mixtures of all three tissues are part of the
model (compare Santago and Gage 1993, doi:10.1109/42.241888, for two).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]
FloatArray = npt.NDArray[np.float64]

CELLS = 12
NODES = 21
LEVELS = 61
SPREAD = 4.0
GREY_LEVELS = np.linspace(0.29, 0.95, 23)
"""Intensity of grey matter, on a scale on which CSF is 0 and white matter 1."""


@dataclass(frozen=True, eq=False)
class Urn:
    r"""Posterior mean shares and likelihood, tabulated over prior shares, grey level and intensity.

    Parameters
    ----------
    csf, wm
        Intensity of pure CSF and of pure white matter.
    noise
        Standard deviation of the noise, in the same unit.
    concentration
        :math:`\kappa`: small where voxels are pure, large where they are mixed.

    Notes
    -----
    Shares :math:`f=c/n` of :math:`n` cells have the Dirichlet-multinomial probability
    :math:`\binom{n}{c}\,\Gamma(\kappa)/\Gamma(n+\kappa)\prod_k\Gamma(c_k+\kappa q_k)/\Gamma(\kappa q_k)`, and the
    intensity is normal around :math:`\sum_k f_k\mu_k`, where
    :math:`\mu_\mathrm{GM}=\mu_\mathrm{CSF}+g\,(\mu_\mathrm{WM}-\mu_\mathrm{CSF})` with the grey level :math:`g`.
    """

    csf: float
    wm: float
    noise: float
    concentration: float

    @cached_property
    def _levels(self) -> FloatArray:
        return np.linspace(self.csf - SPREAD * self.noise, self.wm + SPREAD * self.noise, LEVELS)

    @cached_property
    def _tables(self) -> Float32:
        """Expected CSF, GM, WM and the likelihood, shape (4, prior CSF, prior WM, grey level, intensity)."""
        weight = np.exp(_log_urn(_prior_nodes(), self.concentration))
        return np.stack([self._slab(weight, float(level)) for level in GREY_LEVELS], axis=3)

    def _slab(self, weight: FloatArray, grey: float) -> Float32:
        """Tables of one grey level, shape (4, prior CSF, prior WM, intensity)."""
        shares = _compositions() / CELLS
        means = self.csf + np.array([0.0, grey, 1.0]) * (self.wm - self.csf)
        density = np.exp(-0.5 * ((self._levels[:, None] - shares @ means) / self.noise) ** 2)
        density /= self.noise * np.sqrt(2 * np.pi)
        joint = [np.einsum("abj,yj->aby", weight, density * part, optimize=True) for part in (*shares.T, 1.0)]
        likelihood = np.maximum(joint[3], 1e-12)
        return np.stack([*(part / likelihood for part in joint[:3]), likelihood]).astype(np.float32)

    def shares(self, values: Float32, prior: Float32, grey: Float32) -> Float32:
        """Return posterior mean shares of CSF, GM and WM.

        Parameters
        ----------
        values
            Intensities, shape (n,).
        prior
            Expected shares of CSF, GM and WM, shape (3, n).
        grey
            Grey level, shape (n,).

        Returns
        -------
        array
            Shape (3, n), sum 1.
        """
        found = self._look(slice(0, 3), values, prior, grey)
        return np.asarray(found / np.maximum(found.sum(axis=0), np.float32(1e-6)), dtype=np.float32)

    def likelihood(self, values: Float32, prior: Float32, grey: Float32) -> Float32:
        """Return the density of every intensity, shape (n,); the parameters are those of ``shares``."""
        return np.asarray(self._look(slice(3, 4), values, prior, grey)[0], dtype=np.float32)

    def _look(self, which: slice, values: Float32, prior: Float32, grey: Float32) -> Float32:
        """Interpolate tables at voxels, shape (tables, n)."""
        from scipy import ndimage

        step = GREY_LEVELS[1] - GREY_LEVELS[0]
        where = np.stack(
            [
                prior[0] * (NODES - 1),
                prior[2] * (NODES - 1),
                (grey - GREY_LEVELS[0]) / step,
                (values - self._levels[0]) / (self._levels[1] - self._levels[0]),
            ]
        ).astype(np.float32)
        found = [ndimage.map_coordinates(part, where, order=1, mode="nearest") for part in self._tables[which]]
        return np.asarray(found, dtype=np.float32)


def _compositions() -> FloatArray:
    """All ways to fill the cells with three tissues, shape (n, 3)."""
    pairs = [(a, b) for a in range(CELLS + 1) for b in range(CELLS + 1 - a)]
    return np.array([(a, b, CELLS - a - b) for a, b in pairs], dtype=float)


def _prior_nodes() -> FloatArray:
    """Prior shares on a grid of CSF by WM, shape (nodes, nodes, 3); impossible corners hold the nearest possible."""
    line = np.linspace(0, 1, NODES)
    csf, wm = np.meshgrid(line, line, indexing="ij")
    total = np.maximum(csf + wm, 1.0)
    shares = np.maximum(np.stack([csf / total, 1 - (csf + wm) / total, wm / total], axis=-1), 1e-3)
    return np.asarray(shares / shares.sum(axis=-1, keepdims=True))


def _log_urn(prior: FloatArray, concentration: float) -> FloatArray:
    """Log probability of every composition under the urn, shape (..., compositions)."""
    from scipy.special import gammaln

    counts, alpha = _compositions(), (concentration * prior)[..., None, :]
    ways = gammaln(CELLS + 1) - gammaln(counts + 1).sum(axis=-1)
    drawn = (gammaln(counts + alpha) - gammaln(alpha)).sum(axis=-1)
    return np.asarray(ways + drawn + gammaln(concentration) - gammaln(CELLS + concentration))
