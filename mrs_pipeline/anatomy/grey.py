"""The intensity of grey matter, which differs: brighter in motor and visual cortex, brighter still in the nuclei."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mrs_pipeline.anatomy.shading import Blocks
from mrs_pipeline.anatomy.urn import GREY_LEVELS, Urn

Float32 = npt.NDArray[np.float32]
Bool = npt.NDArray[np.bool_]

LOWEST_DENSITY = 1e-4
"""Of an intensity: what fits nothing tells nothing about grey matter."""


@dataclass(frozen=True)
class Expectation:
    """What is expected of a grey level before the image is seen, and how locally it is looked for.

    Parameters
    ----------
    level
        Expected grey level (CSF 0, white matter 1).
    spread
        Standard deviation of the expectation.
    reach_mm
        Standard deviation of the Gaussian neighbourhood.
    trust
        Share of a voxel's log-likelihood that counts: neighbours deviate from the model together, so that they are
        worth far fewer than their number.
    """

    level: float
    spread: float
    reach_mm: float
    trust: float


def local_grey(
    urn: Urn, values: Float32, prior: Float32, voxels: Bool, blocks: Blocks, expected: Expectation
) -> Float32:
    r"""Estimate the grey level around every voxel.

    Parameters
    ----------
    urn
        Model of the intensities.
    values, prior
        Intensities, shape (n,), and expected shares of CSF, GM and WM, shape (3, n).
    voxels
        Which of them tell, shape (n,).
    blocks
        Where they lie.
    expected
        What is expected beforehand.

    Returns
    -------
    array
        Grey level, shape (n,).

    Notes
    -----
    Posterior mean of :math:`g` over a grid, with the log posterior
    :math:`-\frac{(g-g_0)^2}{2s^2}+t\sum_i e^{-d_i^2/2r^2}\log p(y_i|g)` of voxels :math:`i` at distance :math:`d_i`:
    a local likelihood (Tibshirani and Hastie 1987, doi:10.1080/01621459.1987.10478466).
    """
    used = np.flatnonzero(voxels)
    some, there = values[used], prior[:, used]
    posterior = []
    for level in GREY_LEVELS:
        density = urn.likelihood(some, there, np.full(some.shape, level, dtype=np.float32))
        told = blocks.around(used, np.log(np.maximum(density, np.float32(LOWEST_DENSITY))), expected.reach_mm)
        posterior.append(expected.trust * told - 0.5 * ((level - expected.level) / expected.spread) ** 2)
    weight = np.exp(np.stack(posterior) - np.max(posterior, axis=0))
    return blocks.at(np.tensordot(GREY_LEVELS, weight, 1) / weight.sum(axis=0))
