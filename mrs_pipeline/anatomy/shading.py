"""Smooth fields over the brain, from scattered voxels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]
FloatArray = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]

BLOCK_MM = 4.0
SHORTEST_MM = 90.0
"""Shortest wavelength of the field: what N4 leaves is smoother than the anatomy that it must not follow."""
STIFFNESS = 1e4
CUTOFF = 4.685
"""Of the bisquare, in robust standard deviations: 95 % efficient where all errors are normal."""
SMALLEST_SPREAD = 0.01


class Blocks:
    """Sums of scattered voxels over blocks of some millimetres.

    Parameters
    ----------
    mask
        Brain, shape (x, y, z); voxels are counted in its order.
    spacing
        Voxel size in mm.
    """

    def __init__(self, mask: Bool, spacing: float) -> None:
        low = [int(axis.min()) for axis in np.nonzero(mask)]
        block = max(1, round(BLOCK_MM / spacing))
        place = [(axis - first) / block for axis, first in zip(np.nonzero(mask), low, strict=True)]
        self.edge_mm = block * spacing
        self.size = tuple(int(axis.max()) + 1 for axis in place)
        self._flat = np.ravel_multi_index(tuple(axis.astype(np.int64) for axis in place), self.size)
        self._where = np.stack([axis - 0.5 + 0.5 / block for axis in place]).astype(np.float32)

    def total(self, values: Float32, used: npt.NDArray[np.int64] | slice = slice(None)) -> FloatArray:
        """Return the sum of the values in every block, shape (blocks,); ``used`` are the voxels that have one."""
        summed = np.bincount(self._flat[used], values, minlength=int(np.prod(self.size)))
        return np.asarray(summed, dtype=np.float64)

    def around(self, used: npt.NDArray[np.int64], values: Float32, reach_mm: float) -> FloatArray:
        """Return the sum around every block with the weight exp(-d^2 / 2 reach^2), shape of the blocks."""
        from scipy import ndimage

        reach = reach_mm / self.edge_mm
        mean = ndimage.gaussian_filter(self.total(values, used).reshape(self.size), reach, mode="constant")
        return np.asarray(mean * (2 * np.pi) ** 1.5 * reach**3)

    def at(self, field: FloatArray) -> Float32:
        """Interpolate a field of blocks at the voxels, shape (n,)."""
        from scipy import ndimage

        return np.asarray(ndimage.map_coordinates(field, self._where, order=1, mode="nearest"), dtype=np.float32)


class SmoothField:
    r"""Cosines up to a shortest wavelength, fitted by weighted least squares with a penalty on curvature.

    Parameters
    ----------
    mask
        Brain, shape (x, y, z).
    spacing
        Voxel size in mm.

    Notes
    -----
    Voxels are averaged in blocks of 4 mm. The penalty of the cosine of wave number :math:`k` (cycles per 2 mm of
    length) is :math:`\lambda\,|k|^4` times the total weight, the bending energy up to a constant.
    """

    def __init__(self, mask: npt.NDArray[np.bool_], spacing: float) -> None:
        self._blocks = Blocks(mask, spacing)
        size = self._blocks.size
        lengths = [n * self._blocks.edge_mm for n in size]
        waves = [np.arange(int(2 * length / SHORTEST_MM) + 2) for length in lengths]
        self._cosines = [
            np.cos(np.pi * np.outer((np.arange(n) + 0.5) / n, wave)) for n, wave in zip(size, waves, strict=True)
        ]
        squares = np.meshgrid(*((w / length) ** 2 for w, length in zip(waves, lengths, strict=True)), indexing="ij")
        self._penalty = np.maximum(STIFFNESS * np.sum(squares, axis=0).ravel() ** 2, 1e-9)

    def fit(self, weight: Float32, values: Float32) -> Float32:
        """Fit values with weights at the voxels of the mask; return the field there, shape (n,)."""
        total, summed = self._blocks.total(weight), self._blocks.total(weight * values)
        known = np.flatnonzero(total > 0)
        if known.size == 0:
            return np.zeros_like(values)
        x, y, z = (
            cosine[i] for cosine, i in zip(self._cosines, np.unravel_index(known, self._blocks.size), strict=True)
        )
        design = (x[:, :, None, None] * y[:, None, :, None] * z[:, None, None, :]).reshape(known.size, -1)
        normal = (design * total[known, None]).T @ design + np.diag(self._penalty * total.sum())
        found = np.linalg.solve(normal, design.T @ summed[known])
        shape = tuple(cosine.shape[1] for cosine in self._cosines)
        field = np.einsum("xa,yb,zc,abc->xyz", *self._cosines, found.reshape(shape), optimize=True)
        return self._blocks.at(field)


def robust_field(field: SmoothField, log_values: Float32, cores: tuple[Bool, ...], passes: int = 10) -> Float32:
    r"""Fit a field to several sets of voxels, each even but for the field, some of whose voxels are something else.

    Parameters
    ----------
    field
        What is fitted.
    log_values
        Logarithm of the intensities, shape (n,).
    cores
        Voxels of one tissue each, shape (n,); the level of each is found too.
    passes
        Rounds of reweighting.

    Returns
    -------
    array
        Logarithm of the field, shape (n,).

    Notes
    -----
    Iteratively reweighted least squares with Tukey's bisquare (Beaton and Tukey 1974,
    doi:10.1080/00401706.1974.10489171): weight :math:`(1-u^2)^2/s^2` for :math:`u=r/(4.685\,s)`, 0 beyond
    :math:`|u|=1`, with :math:`s` 1.4826 times the median absolute deviation of the core's residuals :math:`r`. What
    lies far off is another tissue: a least-squares mean would follow it, and what it pulls is one-sided (the rim of
    white matter is only ever too dark) and differs from place to place as the registration does.
    """
    found = np.zeros_like(log_values)
    used = [core for core in cores if core.any()]
    levels = [float(np.median(log_values[core])) for core in used]
    for _ in range(passes):
        weight, target = np.zeros_like(log_values), np.zeros_like(log_values)
        for i, core in enumerate(used):
            residual = log_values[core] - found[core] - levels[i]
            trust = _bisquare(residual)
            total = max(float(trust.sum(dtype=np.float64)), 1e-9)
            levels[i] += float((trust * residual).sum(dtype=np.float64)) / total
            weight[core], target[core] = trust, log_values[core] - levels[i]
        found = field.fit(weight, target)
    return found


def _bisquare(residual: Float32) -> Float32:
    """Weights of residuals over the square of their spread, 0 for what is far off."""
    spread = max(1.4826 * float(np.median(np.abs(residual - np.median(residual)))), SMALLEST_SPREAD)
    inside = np.maximum(1 - (residual / np.float32(CUTOFF * spread)) ** 2, 0)
    return np.asarray(inside**2 / np.float32(spread**2), dtype=np.float32)
