r"""Tissue shares from intensities: a mixture of pure and mixed voxels with spatial priors.

Each voxel is pure CSF, GM or WM, or a mixture of two of them in an unknown proportion, which is what a voxel at a
tissue border is (Santago and Gage 1993, doi:10.1109/42.241888). Priors come from the template and from the
neighbours' current shares.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]
ITERATIONS = 12
FINAL_ITERATIONS = 5
PRIOR_POWER = 0.5
NOISE_SHARE = 0.45
SHADING_AT = (2, 5, 8)
SHADING_MM = 12.0
CORE = 0.85
PAIRS = ((0, 1), (1, 2), (0, 2))


@dataclass(frozen=True, eq=False)
class Mixture:
    """Result of the classification.

    Parameters
    ----------
    csf, gm, wm
        Volume share of each tissue in every voxel, shape of the image, sum 1 in the mask.
    means, sds
        Intensity of pure CSF, GM, WM and its standard deviation, shape (3,).
    """

    csf: Float32
    gm: Float32
    wm: Float32
    means: npt.NDArray[np.float64]
    sds: npt.NDArray[np.float64]


def classify(
    image: Float32, mask: npt.NDArray[np.bool_], priors: tuple[Float32, Float32, Float32], spacing: float = 1.0
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

    spacing
        Voxel size in mm.

    Notes
    -----
    Expectation-maximisation of means and standard deviations of the three tissues. With neighbour-weighted prior
    shares :math:`q`, a voxel is pure :math:`a` with prior :math:`q_a^2` and a mixture of :math:`a` and :math:`b` with
    :math:`2 q_a q_b` (two halves drawn independently); the likelihood of a mixture is the Gaussian averaged over a
    uniform proportion.

    Cortex at 1 mm is rarely free of CSF, so the peak of its intensities lies below that of pure grey matter, and taking
    one for the other hides CSF. The mean of grey matter is therefore also found by regressing intensities on prior
    shares, whose error is of the Berkson kind (the truth scatters around the prior), so that the slope is unbiased;
    the larger of both is used in the last iterations, with the noise of white matter as the only spread, so that what
    is darker than grey is partly CSF.
    """
    inside = np.flatnonzero(mask.ravel())
    values = image.ravel()[inside].astype(np.float32)
    prior = np.stack([p.ravel()[inside] for p in priors]).astype(np.float32) + np.float32(0.01)
    prior /= prior.sum(axis=0)
    means = np.array([float((p**2 * values).sum() / (p**2).sum()) for p in prior])
    sds = np.full(3, 0.08 * (means[2] - means[0]))
    shares, weight = prior.copy(), prior**PRIOR_POWER
    for iteration in range(ITERATIONS):
        local = weight * _neighbours(shares, inside, mask.shape)
        local /= local.sum(axis=0)
        shares, pure = _expectation(values, local, means, sds)
        means, sds = _maximisation(values, pure)
        if iteration in SHADING_AT:
            values = values / _shading(values / np.float32(means[2]), prior[2], inside, mask.shape, spacing)
    means, noise = _anchored(values, prior, means), np.full(3, NOISE_SHARE * sds[2])
    for _ in range(FINAL_ITERATIONS):
        local = prior * np.sqrt(_neighbours(shares, inside, mask.shape))
        local /= local.sum(axis=0)
        shares, _ = _expectation(values, local, means, noise)
    maps = [np.zeros(mask.shape, dtype=np.float32) for _ in range(3)]
    for target, share in zip(maps, shares, strict=True):
        target.ravel()[inside] = share
    return Mixture(maps[0], maps[1], maps[2], means, sds)


def _shading(
    ratio: Float32, white: Float32, inside: npt.NDArray[np.int64], shape: tuple[int, ...], spacing: float
) -> Float32:
    """Estimate what shading is left, from the core of white matter: values at ``inside``.

    Parameters
    ----------
    ratio
        Intensity over the mean of white matter.
    white
        Prior share of white matter; only its core (above 0.85) counts, where a deviation is not a mixture.

    Notes
    -----
    Log ratios, averaged in blocks of 4 mm and smoothed by a Gaussian of 12 mm with a weak prior of no shading.
    """
    from scipy import ndimage

    core = (white > CORE) & (ratio > 0.7) & (ratio < 1.3)
    block = max(1, round(4 / spacing))
    size = tuple(-(-n // block) for n in shape)
    place = np.unravel_index(inside[core], shape)
    flat = np.ravel_multi_index(tuple(axis // block for axis in place), size)
    count = np.bincount(flat, minlength=int(np.prod(size))).reshape(size) / block**3
    total = np.bincount(flat, np.log(ratio[core]), minlength=int(np.prod(size))).reshape(size) / block**3
    sigma = SHADING_MM / (block * spacing)
    smooth = ndimage.gaussian_filter(total, sigma) / (ndimage.gaussian_filter(count, sigma) + 0.01)
    where = np.stack([(axis + 0.5) / block - 0.5 for axis in np.unravel_index(inside, shape)])
    return np.asarray(np.exp(ndimage.map_coordinates(smooth, where, order=1, mode="nearest")), dtype=np.float32)


def _anchored(values: Float32, prior: Float32, means: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Raise the mean of grey matter to that of a regression on the priors, within a quarter of the way to white."""
    normal = (prior @ prior.T).astype(np.float64)
    regressed = float(np.linalg.solve(normal, (prior @ values).astype(np.float64))[1])
    highest = means[1] + 0.25 * (means[2] - means[1])
    return np.array([means[0], np.clip(regressed, means[1], highest), means[2]])


def _neighbours(shares: Float32, inside: npt.NDArray[np.int64], shape: tuple[int, ...]) -> Float32:
    """Mean shares of the 26 neighbours and the voxel itself, inside the mask, with a floor."""
    from scipy import ndimage

    volume = np.zeros(shape, dtype=np.float32)
    found = np.empty_like(shares)
    for k, share in enumerate(shares):
        volume.ravel()[inside] = share
        found[k] = ndimage.uniform_filter(volume, 3, mode="constant").ravel()[inside]
    return np.asarray(found / found.sum(axis=0) + np.float32(0.02), dtype=np.float32)


def _expectation(
    values: Float32, local: Float32, means: npt.NDArray[np.float64], sds: npt.NDArray[np.float64]
) -> tuple[Float32, Float32]:
    """Posterior shares of the tissues and posterior probabilities of pure voxels, each of shape (3, n)."""
    weights = [local[k] ** 2 * _gaussian(values, means[k], sds[k]) for k in range(3)]
    proportions = []
    for a, b in PAIRS:
        likelihood, proportion = _mixed(values, means[a], means[b], (sds[a] + sds[b]) / 2)
        weights.append(2 * local[a] * local[b] * likelihood)
        proportions.append(proportion)
    posterior = np.stack(weights)
    posterior /= np.maximum(posterior.sum(axis=0), np.float32(1e-20))
    pure = posterior[:3]
    shares = pure.copy()
    for (a, b), proportion, weight in zip(PAIRS, proportions, posterior[3:], strict=True):
        shares[a] += weight * (1 - proportion)
        shares[b] += weight * proportion
    total = shares.sum(axis=0)
    shares = np.where(total > 1e-6, shares / np.maximum(total, np.float32(1e-6)), local)
    return np.asarray(shares, dtype=np.float32), np.asarray(pure, dtype=np.float32)


def _gaussian(values: Float32, mean: float, sd: float) -> Float32:
    z = (values - np.float32(mean)) / np.float32(sd)
    return np.asarray(np.exp(-0.5 * z**2) / np.float32(sd * np.sqrt(2 * np.pi)), dtype=np.float32)


def _mixed(values: Float32, low: float, high: float, sd: float) -> tuple[Float32, Float32]:
    r"""Likelihood of a mixture of uniform proportion, and the posterior mean proportion of the brighter tissue.

    Notes
    -----
    :math:`p(y) = [\Phi(z_a)-\Phi(z_b)]/(\mu_b-\mu_a)` with :math:`z=(y-\mu)/\sigma`; the mean of the mixture
    intensity given :math:`y` is that of a Gaussian at :math:`y` cut to :math:`[\mu_a, \mu_b]`.
    """
    from scipy.special import ndtr

    za = (values - np.float32(low)) / np.float32(sd)
    zb = (values - np.float32(high)) / np.float32(sd)
    area = np.maximum(ndtr(za) - ndtr(zb), np.float32(1e-12))
    density = np.float32(sd / np.sqrt(2 * np.pi)) * (np.exp(-0.5 * zb**2) - np.exp(-0.5 * za**2))
    middle = np.clip(values - density / area, low, high)
    return np.asarray(area / (high - low), dtype=np.float32), np.asarray(
        (middle - low) / (high - low), dtype=np.float32
    )


def _maximisation(values: Float32, pure: Float32) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Means and standard deviations of the pure tissues, kept in the order CSF < GM < WM with a positive spread."""
    weight = np.maximum(pure.sum(axis=1, dtype=np.float64), 1e-6)
    means = (pure * values).sum(axis=1, dtype=np.float64) / weight
    spread = np.array([float((p * (values - m) ** 2).sum(dtype=np.float64)) for p, m in zip(pure, means, strict=True)])
    means = np.maximum.accumulate(means + np.array([0.0, 1e-3, 2e-3]) * np.abs(means).max())
    floor = 0.01 * max(means[2] - means[0], 1e-6)
    return means, np.maximum(np.sqrt(spread / weight), floor)
