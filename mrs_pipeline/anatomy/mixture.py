r"""Tissue shares from intensities: what a voxel holds, given its T1w intensity and the template's shares there.

A voxel is thought of as twelve cells, drawn from an urn with the template's shares (Pólya's urn: every draw puts back
more of the same, so one concentration :math:`\kappa` leads from pure voxels, :math:`\kappa\to 0`, to evenly mixed
ones). The expected shares are the template's for every :math:`\kappa`, which is taken from the image by maximum
likelihood. Mixtures of all three tissues are part of the model (compare Santago and Gage 1993, doi:10.1109/42.241888,
for two). The intensity of a tissue is read where the template holds nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mrs_pipeline.anatomy.shading import SmoothField, robust_field

Float32 = npt.NDArray[np.float32]
Bool = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]

CELLS = 12
CONCENTRATIONS = (0.3, 0.6, 1.2, 2.5, 5.0)
NODES = 21
LEVELS = 61
SPREAD = 4.0
FLOOR = 0.01
EVEN_SPREAD = 1.5
"""Standard deviation of a voxel and its neighbours, over the noise, up to which all are taken for one tissue."""
RELOCATION_MM = 4.0
LARGEST_CHANGE = 5.0
FEWEST = 200


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
        Deep grey matter of the template, 0 to 1, which is brighter than cortex and left out where the intensity of
        grey matter is read.
    spacing
        Voxel size in mm.

    Notes
    -----
    Shading that N4 left is found first, from voxels where the template is almost pure white or grey matter and the
    image shows one tissue: next to another one the spread of the neighbourhood exceeds the noise. Where a
    head has wider sulci or ventricles than the template, the template's shares are wrong over many millimetres: after
    a first estimate they are scaled, tissue by tissue, by the ratio of found to expected shares in a neighbourhood
    (Gaussian, 4 mm), and the estimate is repeated.
    """
    inside = np.flatnonzero(mask.ravel())
    prior = np.stack([p.ravel()[inside] for p in priors]).astype(np.float32) + np.float32(FLOOR)
    prior /= prior.sum(axis=0)
    cores = _cores(mask, priors, deep, spacing)
    field = SmoothField(mask, spacing)
    values = _unshaded(image.ravel()[inside].astype(np.float32), mask, cores, field)
    means, sds = _intensities(values, cores)
    noise = _noise(values, mask, cores.wm)
    concentration = _concentration(values, prior, means, noise)
    shares = _expected(values, prior, means, noise, concentration)
    shares = _expected(values, _relocated(prior, shares, mask, spacing), means, noise, concentration)
    maps = [np.zeros(mask.shape, dtype=np.float32) for _ in range(3)]
    for target, share in zip(maps, shares, strict=True):
        target.ravel()[inside] = share
    return Mixture(maps[0], maps[1], maps[2], means, sds, noise, concentration)


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


def _concentration(values: Float32, prior: Float32, means: FloatArray, noise: float) -> float:
    """Concentration with the largest likelihood, over every seventh voxel."""
    some, there = values[::7], prior[:, ::7]

    def likelihood(concentration: float) -> float:
        table, levels = _tables(means, noise, concentration)
        return float(np.log(_look(table[3:], levels, some, there)).mean(dtype=np.float64))

    return max(CONCENTRATIONS, key=likelihood)


def _expected(values: Float32, prior: Float32, means: FloatArray, noise: float, concentration: float) -> Float32:
    """Posterior mean shares of CSF, GM and WM, shape (3, n)."""
    table, levels = _tables(means, noise, concentration)
    shares = _look(table[:3], levels, values, prior)
    return np.asarray(shares / np.maximum(shares.sum(axis=0), np.float32(1e-6)), dtype=np.float32)


def _tables(means: FloatArray, noise: float, concentration: float) -> tuple[FloatArray, FloatArray]:
    r"""Tabulate posterior mean shares and likelihood over prior shares and intensity.

    Returns
    -------
    table
        Expected CSF, GM, WM and the likelihood, shape (4, nodes of prior CSF, nodes of prior WM, intensities).
    levels
        The intensities, shape (intensities,).

    Notes
    -----
    Shares :math:`f=c/n` of :math:`n` cells have the Dirichlet-multinomial probability
    :math:`\binom{n}{c}\,\Gamma(\kappa)/\Gamma(n+\kappa)\prod_k\Gamma(c_k+\kappa q_k)/\Gamma(\kappa q_k)`, and the
    intensity is normal around :math:`\sum_k f_k\mu_k`.
    """
    shares = _compositions() / CELLS
    levels = np.linspace(means[0] - SPREAD * noise, means[2] + SPREAD * noise, LEVELS)
    weight = np.exp(_log_urn(_prior_nodes(), concentration))
    density = np.exp(-0.5 * ((levels[:, None] - shares @ means) / noise) ** 2) / (noise * np.sqrt(2 * np.pi))
    joint = [np.einsum("abj,yj->aby", weight, density * factor, optimize=True) for factor in (*shares.T, 1.0)]
    likelihood = np.maximum(joint[3], 1e-12)
    return np.stack([*(part / likelihood for part in joint[:3]), likelihood]), levels


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


def _look(table: FloatArray, levels: FloatArray, values: Float32, prior: Float32) -> Float32:
    """Interpolate tables at voxels, shape (tables, n)."""
    from scipy import ndimage

    height = (values - levels[0]) / (levels[1] - levels[0])
    where = np.stack([prior[0] * (NODES - 1), prior[2] * (NODES - 1), height]).astype(np.float32)
    found = [ndimage.map_coordinates(part.astype(np.float32), where, order=1, mode="nearest") for part in table]
    return np.asarray(found, dtype=np.float32)
