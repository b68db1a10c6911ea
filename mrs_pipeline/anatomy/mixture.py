"""Tissue shares from intensities: what a voxel holds, given its T1w intensity and the template's shares there.

The intensity of CSF and white matter is read where the template holds nothing else; that of grey matter, which differs
from region to region, is estimated locally (``grey.py``). What a voxel holds then follows from the urn model
(``urn.py``), whose concentration is taken from the image by maximum likelihood.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mrs_pipeline.anatomy.grey import Expectation, local_grey, regional_grey
from mrs_pipeline.anatomy.shading import Blocks, SmoothField, robust_field
from mrs_pipeline.anatomy.urn import Urn

Float32 = npt.NDArray[np.float32]
Bool = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]

CONCENTRATIONS = (0.3, 0.6, 1.2, 2.5, 5.0, 10.0)
FLOOR = 0.01
EVEN_SPREAD = 1.5
"""Standard deviation of a voxel and its neighbours, over the noise, up to which all are taken for one tissue."""
RELOCATION_MM = 4.0
LARGEST_CHANGE = 5.0
FEWEST = 200
ROUNDS = 2
SOME = 7
"""Every how many voxels one is asked for the concentration and the grey level of the cortex."""
CORTEX_SPREAD, CORTEX_REACH_MM = 0.06, 15.0
DEEP_LEVEL, DEEP_SPREAD, DEEP_REACH_MM = 0.82, 0.06, 6.0
"""Of thalamus and lentiform nucleus, on a scale on which CSF is 0 and white matter 1."""
MEAN_SD = 0.006
"""Of the cortex's mean level as the likelihood gives it where voxels are pure; it grows with their mixing."""
REGION_TRUST, DEEP_TRUST = 0.01, 0.01
"""Share of a voxel's log-likelihood that counts for the cortex's regions, and for the nuclei where voxels are pure."""


@dataclass(frozen=True, eq=False)
class Mixture:
    """Result of the classification.

    Parameters
    ----------
    csf, gm, wm
        Volume share of each tissue in every voxel, shape of the image, sum 1 in the mask.
    means, sds
        Intensity of pure CSF, GM, WM and its spread where the template is pure, shape (3,).
    noise
        Standard deviation of the noise.
    concentration
        Of the urn: small where voxels are pure, large where they are mixed.
    """

    csf: Float32
    gm: Float32
    wm: Float32
    means: FloatArray
    sds: FloatArray
    noise: float
    concentration: float


@dataclass(frozen=True, eq=False)
class _Cores:
    """Where the template is pure, over the voxels of the mask."""

    csf: Bool
    gm: Bool
    wm: Bool
    even: Bool


def classify(
    image: Float32,
    mask: Bool,
    priors: tuple[Float32, Float32, Float32],
    deep: Float32,
    spacing: float = 1.0,
) -> Mixture:
    """Estimate tissue shares.

    Parameters
    ----------
    image
        Bias-corrected T1w, any scale, shape (x, y, z).
    mask
        Brain with its CSF.
    priors
        Template shares of CSF, GM and WM on the same grid.
    deep
        Deep grey matter of the template, 0 to 1, which is brighter than cortex and has an intensity of its own.
    spacing
        Voxel size in mm.

    Notes
    -----
    Shading that N4 left is found first, from voxels where the template is almost pure white or grey matter and the
    image shows one tissue: next to another one the spread of the neighbourhood exceeds the noise. Where a
    head has wider sulci or ventricles than the template, the template's shares are wrong over many millimetres: after
    a first estimate they are scaled, tissue by tissue, by the ratio of found to expected shares in a neighbourhood
    (Gaussian, 4 mm), and the estimate is repeated. In between, the intensity of grey matter is estimated around every
    voxel, for the cortex and for the nuclei of their own; what is expected for the cortex is the intensity where the
    template holds nothing else.
    """
    inside = np.flatnonzero(mask.ravel())
    prior = np.stack([p.ravel()[inside] for p in priors]).astype(np.float32) + np.float32(FLOOR)
    prior /= prior.sum(axis=0)
    cores = _cores(mask, priors, deep, spacing)
    field = SmoothField(mask, spacing)
    values = _unshaded(image.ravel()[inside].astype(np.float32), mask, cores, field)
    means, sds = _intensities(values, cores)
    noise = _noise(values, mask, cores.wm)
    blocks, nuclei = Blocks(mask, spacing), np.clip(deep.ravel()[inside], 0, 1)
    level = float((means[1] - means[0]) / (means[2] - means[0]))
    grey = (level + nuclei * (DEEP_LEVEL - level)).astype(np.float32)
    urns = [Urn(float(means[0]), float(means[2]), noise, concentration) for concentration in CONCENTRATIONS]
    for _ in range(ROUNDS):
        urn = _likeliest(urns, values, prior, grey)
        moved = _relocated(prior, urn.shares(values, prior, grey), mask, spacing)
        grey = _grey_levels(urn, values, moved, nuclei, blocks, level)
    urn = _likeliest(urns, values, prior, grey)
    moved = _relocated(prior, urn.shares(values, prior, grey), mask, spacing)
    shares = urn.shares(values, moved, grey)
    maps = [np.zeros(mask.shape, dtype=np.float32) for _ in range(3)]
    for target, share in zip(maps, shares, strict=True):
        target.ravel()[inside] = share
    return Mixture(maps[0], maps[1], maps[2], means, sds, noise, urn.concentration)


def _cores(mask: Bool, priors: tuple[Float32, Float32, Float32], deep: Float32, spacing: float) -> _Cores:
    """Find where the template is almost pure; grey matter only where no CSF is near and not in deep nuclei."""
    from scipy import ndimage

    csf, gm, wm = priors
    reach = 2 * round(1 / spacing) + 1
    near = ndimage.maximum_filter(csf, reach)[mask]
    c, g, w, d = csf[mask], gm[mask], wm[mask], deep[mask]
    return _Cores(
        csf=_purest(c, 0.97, np.ones_like(c, dtype=bool)),
        gm=_purest(g, 0.85, (near < 0.1) & (d < 0.02)),
        wm=_purest(w, 0.95, np.ones_like(w, dtype=bool)),
        even=_purest(w, 0.85, (d < 0.3) | (w > 0.95)),
    )


def _purest(share: Float32, threshold: float, allowed: Bool) -> Bool:
    """Voxels above a threshold, or the purest few hundred where a coarse grid has none."""
    chosen = (share > threshold) & allowed
    if np.count_nonzero(chosen) >= FEWEST:
        return np.asarray(chosen)
    lowest = np.partition(share, -FEWEST)[-FEWEST] if share.size > FEWEST else 0.0
    return np.asarray(share >= lowest)


def _unshaded(values: Float32, mask: Bool, cores: _Cores, field: SmoothField) -> Float32:
    """Divide by the field that makes white and grey matter even, where the template is pure and the image flat."""
    flat = _local_spread(values, mask) < EVEN_SPREAD * _noise(values, mask, cores.wm)
    used = tuple(_kept(core, flat) for core in (cores.even, cores.gm))
    log_values = np.log(np.maximum(values, np.float32(1e-3)))
    return np.asarray(values / np.exp(robust_field(field, log_values, used)), dtype=np.float32)


def _local_spread(values: Float32, mask: Bool) -> Float32:
    """Find the standard deviation over every voxel and its neighbours (3 x 3 x 3), outside the mask 0, shape (n,)."""
    from scipy import ndimage

    volume = np.zeros(mask.shape, dtype=np.float32)
    volume[mask] = values
    mean = ndimage.uniform_filter(volume, 3)
    variance = ndimage.uniform_filter(volume**2, 3) - mean**2
    return np.asarray(np.sqrt(np.maximum(variance, 0)[mask]), dtype=np.float32)


def _kept(core: Bool, flat: Bool) -> Bool:
    """Keep the voxels of a core with an even neighbourhood; all of it where a coarse grid leaves few."""
    even = core & flat
    return even if int(even.sum()) >= max(FEWEST, int(core.sum()) // 10) else core


def _intensities(values: Float32, cores: _Cores) -> tuple[FloatArray, FloatArray]:
    """Intensity of CSF, GM and WM and their spread (median and 1.4826 MAD of the cores), in ascending order."""
    grey, white = values[cores.gm], values[cores.wm]
    fluid = values[cores.csf]
    dark = fluid[fluid < 0.8 * np.median(grey)]  # ventricles narrower than the template's leave tissue in its core
    samples = (dark if dark.size > fluid.size / 10 else fluid, grey, white)
    means = np.array([float(np.median(sample)) for sample in samples])
    sds = np.array([1.4826 * float(np.median(np.abs(s - m))) for s, m in zip(samples, means, strict=True)])
    step = 1e-3 * max(float(np.abs(means).max()), 1e-6)
    means = np.maximum.accumulate(means + step * np.arange(3))
    return means, np.maximum(sds, step)


def _noise(values: Float32, mask: Bool, core: Bool) -> float:
    """Estimate the noise from what a voxel of white matter differs from its neighbourhood's mean."""
    from scipy import ndimage

    volume = np.zeros(mask.shape, dtype=np.float32)
    volume[mask] = values
    rough = (volume - ndimage.uniform_filter(volume, 3))[mask][core]
    found = 1.4826 * float(np.median(np.abs(rough - np.median(rough)))) / float(np.sqrt(26 / 27))
    return max(found, 0.01 * float(np.median(values[core])))


def _relocated(prior: Float32, shares: Float32, mask: Bool, spacing: float) -> Float32:
    """Scale the template's shares to what a neighbourhood was found to hold."""
    from scipy import ndimage

    box = tuple(slice(int(axis.min()), int(axis.max()) + 1) for axis in np.nonzero(mask))
    volume = np.zeros(mask.shape, dtype=np.float32)

    def smooth(share: Float32) -> Float32:
        volume[mask] = share
        around = ndimage.gaussian_filter(volume[box], RELOCATION_MM / spacing, truncate=2.5)
        return np.asarray(around[mask[box]], dtype=np.float32)

    change = [smooth(f) / np.maximum(smooth(q), np.float32(1e-3)) for f, q in zip(shares, prior, strict=True)]
    moved = prior * np.clip(np.stack(change), 1 / LARGEST_CHANGE, LARGEST_CHANGE)
    moved = np.maximum(moved, np.float32(0.003))
    return np.asarray(moved / moved.sum(axis=0), dtype=np.float32)


def _likeliest(urns: list[Urn], values: Float32, prior: Float32, grey: Float32) -> Urn:
    """Return the urn under which some of the voxels are most likely."""
    some, there, levels = values[::SOME], prior[:, ::SOME], grey[::SOME]
    return max(urns, key=lambda urn: float(np.log(urn.likelihood(some, there, levels)).mean(dtype=np.float64)))


def _grey_levels(urn: Urn, values: Float32, prior: Float32, nuclei: Float32, blocks: Blocks, level: float) -> Float32:
    """Estimate the grey level of the cortex and of the nuclei, each from its own voxels.

    The more mixed the voxels are, the less do their intensities tell it (benchmarks/anatomy_accuracy.py): the mean of
    the cortex comes out too dark, and the nuclei are taken for mixtures.
    """
    mixed = 1 + urn.concentration
    sparse = np.arange(values.size) % SOME == 0
    cortex = Expectation(level, CORTEX_SPREAD, CORTEX_REACH_MM, SOME * REGION_TRUST)
    told = (nuclei < 0.02) & (prior[1] > 0.2) & sparse
    outside = regional_grey(urn, values, prior, told, blocks, cortex, MEAN_SD * mixed)
    deep = Expectation(DEEP_LEVEL, DEEP_SPREAD, DEEP_REACH_MM, DEEP_TRUST / mixed)
    inside = local_grey(urn, values, prior, (nuclei > 0.5) & (prior[1] > 0.3), blocks, deep)
    return np.asarray(outside + nuclei * (inside - outside), dtype=np.float32)
