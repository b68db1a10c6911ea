"""Geometry of the spectroscopy voxel: an oblique box given by the affine of a one-voxel image."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from mrs_pipeline.errors import InputError
from mrs_pipeline.spectrum import FloatArray

SUBDIVISIONS = 14
PLASTIC = 1.2207440846057596
"""Root of g^4 = g + 1."""
CHUNK = 4096


class Image(Protocol):
    """The part of a nibabel image that geometry needs."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Grid size."""

    @property
    def affine(self) -> npt.NDArray[np.floating]:
        """Voxel indices to millimetres, shape (4, 4)."""


def box_centre(affine: npt.ArrayLike) -> FloatArray:
    """Return the centre of the box in mm, shape (3,): where index (0, 0, 0) of the one-voxel image lies."""
    return np.asarray(affine, dtype=float)[:3, 3].copy()


def box_edges(affine: npt.ArrayLike) -> FloatArray:
    """Return the edge lengths of the box in mm, shape (3,)."""
    return np.asarray(np.linalg.norm(np.asarray(affine, dtype=float)[:3, :3], axis=0))


def box_volume(affine: npt.ArrayLike) -> float:
    """Return the volume of the box in mm^3."""
    return float(abs(np.linalg.det(np.asarray(affine, dtype=float)[:3, :3])))


def voxel_mask(affine: npt.ArrayLike, t1w_image: Image, *, subdivisions: int = SUBDIVISIONS) -> FloatArray:
    r"""Return the share of every T1w voxel that lies inside the oblique box.

    Parameters
    ----------
    affine
        Affine of the NIfTI-MRS image, shape (4, 4): its columns are the edges of the box, its offset the centre, in
        scanner mm.
    t1w_image
        Image (nibabel) whose grid is used.
    subdivisions
        Cube root of the number of points in a voxel that the surface of the box crosses; 14 leaves an error of the
        total volume below 0.1 %.

    Returns
    -------
    array
        Shape of the T1w, 0 to 1.

    Raises
    ------
    InputError
        The box has no volume or does not touch the image.

    Notes
    -----
    In the box's own coordinates :math:`u = A^{-1}x` the box is :math:`|u_i| \le 1/2`. Voxels are whole inside or
    outside where their farthest or nearest extent along every :math:`u_i` says so; only the rest is sampled, at points
    spread evenly over the voxel.
    """
    to_box = _to_box(affine, t1w_image)
    low, high = _index_range(to_box, t1w_image.shape[:3])
    grid = np.stack(np.meshgrid(*(np.arange(a, b) for a, b in zip(low, high, strict=True)), indexing="ij"), axis=-1)
    centres = grid.reshape(-1, 3) @ to_box[:3, :3].T + to_box[:3, 3]
    reach = np.abs(to_box[:3, :3]).sum(axis=1) / 2
    inside = np.all(np.abs(centres) + reach <= 0.5, axis=1)
    edge = np.all(np.abs(centres) - reach < 0.5, axis=1) & ~inside
    share = inside.astype(float)
    share[edge] = _sampled(centres[edge], to_box[:3, :3], subdivisions)
    if not share.any():
        raise _outside()
    mask = np.zeros(t1w_image.shape[:3])
    mask[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = share.reshape(grid.shape[:3])
    return mask


def _to_box(affine: npt.ArrayLike, image: Image) -> FloatArray:
    """Map from T1w voxel indices to box coordinates, shape (4, 4)."""
    box = np.asarray(affine, dtype=float)
    if box.shape != (4, 4) or not np.isfinite(box).all() or box_volume(box) < 1e-3:
        raise InputError(
            "the spectroscopy voxel has no volume or no position", remedy="check the affine of the NIfTI-MRS file"
        )
    return np.asarray(np.linalg.inv(box) @ np.asarray(image.affine, dtype=float))


def _index_range(to_box: FloatArray, shape: tuple[int, ...]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Smallest block of T1w voxels that holds the box: first and one-past-last index per axis."""
    corners = np.array([[x, y, z, 1.0] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])
    index = (corners @ np.linalg.inv(to_box).T)[:, :3]
    low = np.maximum(np.floor(index.min(axis=0)).astype(np.int64), 0)
    high = np.minimum(np.ceil(index.max(axis=0)).astype(np.int64) + 1, np.array(shape[:3]))
    if np.any(high <= low):
        raise _outside()
    return low, high


def _outside() -> InputError:
    return InputError(
        "the spectroscopy voxel lies outside the T1w image",
        remedy="check that spectrum and T1w were measured in one session and that both keep scanner coordinates",
    )


def _sampled(centres: FloatArray, step: FloatArray, n: int) -> FloatArray:
    """Share of sub-points inside the box for voxels at ``centres`` (box coordinates), in chunks."""
    offsets = spread_points(n**3) @ step.T
    share = np.empty(len(centres))
    for start in range(0, len(centres), CHUNK):
        part = centres[start : start + CHUNK]
        inside = np.ones((len(part), len(offsets)), dtype=bool)
        for axis in range(3):
            inside &= np.abs(part[:, axis, None] + offsets[None, :, axis]) <= 0.5
        share[start : start + CHUNK] = inside.mean(axis=1)
    return share


def spread_points(count: int) -> FloatArray:
    """Return points spread evenly over the unit cube about 0, shape (count, 3).

    Notes
    -----
    Additive recurrence with the powers of 1 / g, g^4 = g + 1 (the plastic constant of three dimensions). Along every
    axis all points differ, so that a face of a box is placed well in any orientation, also parallel to the grid, where
    n^3 points of a regular sub-grid place it to 1 / n only.
    """
    return np.asarray(np.mod(0.5 + np.arange(count)[:, None] * PLASTIC ** -np.arange(1.0, 4.0), 1.0) - 0.5)


def coverage(mask: FloatArray, affine: npt.ArrayLike, t1w_image: Image) -> float:
    """Return the share of the box's volume that lies inside the T1w's field of view."""
    voxel = abs(float(np.linalg.det(np.asarray(t1w_image.affine, dtype=float)[:3, :3])))
    return float(mask.sum()) * voxel / box_volume(affine)
