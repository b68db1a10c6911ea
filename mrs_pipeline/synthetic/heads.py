"""Heads: the MNI152 tissue maps seen through an individual warp, as images and as fractions of voxel boxes.

A head is a continuous function from points to tissue: where the images are sampled has no part in the truth.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mrs_pipeline.spectrum import FloatArray
from mrs_pipeline.synthetic.geometry import apply
from mrs_pipeline.synthetic.settings import HeadSettings
from mrs_pipeline.synthetic.signal import TissueMix

if TYPE_CHECKING:
    import nibabel as nib

_LOW = np.array([-98.0, -134.0, -72.0])
_HIGH = np.array([98.0, 98.0, 116.0])
"""Corners of the template's grid in MNI152 millimetres."""


@dataclass(frozen=True, eq=False)
class Head:
    """One person's head in its own coordinates (RAS mm, close to MNI152 axes).

    Parameters
    ----------
    displacement
        Displacement to template space on a regular control grid over the template, shape (3, nx, ny, nz), mm.
    spacing_mm
        Distance of the control points.
    intensity
        T1w intensity of GM, WM and CSF.
    """

    displacement: FloatArray
    spacing_mm: float
    intensity: tuple[float, float, float]


@lru_cache(maxsize=1)
def template() -> tuple[FloatArray, FloatArray]:
    """Return the tissue maps of the template as float32, shape (3, x, y, z) in GM, WM, CSF, and its affine.

    CSF is what grey and white matter leave of the brain (where the bundled T1 template is not zero). The maps are the
    ICBM 152 2009a symmetric ones bundled with nilearn (Fonov 2011, doi:10.1016/j.neuroimage.2010.07.033).
    """
    from nilearn import datasets

    grey = datasets.load_mni152_gm_template(resolution=1)
    gm = grey.get_fdata(dtype=np.float32)
    wm = datasets.load_mni152_wm_template(resolution=1).get_fdata(dtype=np.float32)
    brain = datasets.load_mni152_template(resolution=1).get_fdata(dtype=np.float32) > 0
    total = np.maximum(gm + wm, 1.0)
    gm, wm = gm / total, wm / total
    csf = np.where(brain, np.clip(1 - gm - wm, 0, None), 0)
    return np.stack([gm, wm, csf]).astype(np.float32), np.asarray(grey.affine, dtype=np.float64)


def random_head(settings: HeadSettings, rng: np.random.Generator) -> Head:
    """Draw a head: a smooth random warp scaled to its largest displacement, and intensities of its own.

    The displacement's gradient stays well below 1, so that the warp cannot fold.
    """
    from scipy.ndimage import gaussian_filter

    shape = np.ceil((_HIGH - _LOW) / settings.warp_scale_mm).astype(int) + 4
    field = rng.standard_normal((3, *shape))
    field = np.stack([gaussian_filter(axis, 0.7, mode="nearest") for axis in field])
    largest = float(np.linalg.norm(field, axis=0).max())
    intensity = np.array(settings.intensity) * (1 + settings.intensity_cv * rng.standard_normal(3))
    return Head(field * (settings.warp_mm / largest), settings.warp_scale_mm, tuple(float(v) for v in intensity))


def to_template(head: Head, points: FloatArray) -> FloatArray:
    """Return where points of the head (RAS mm, shape (..., 3)) lie in the template (cubic spline warp)."""
    from scipy.ndimage import map_coordinates

    flat = points.reshape(-1, 3)
    control = ((flat - _LOW) / head.spacing_mm + 1.5).T
    moved = [map_coordinates(axis, control, order=3, mode="nearest") for axis in head.displacement]
    return np.asarray((flat + np.stack(moved, axis=-1)).reshape(points.shape))


def from_template(head: Head, point: FloatArray) -> FloatArray:
    """Return the point of the head that lies at a template point, by fixed-point iteration to 1e-6 mm."""
    found = point.copy()
    for _ in range(200):
        step = point - to_template(head, found)
        found = found + step
        if np.linalg.norm(step) < 1e-6:
            break
    return np.asarray(found)


def tissue_at(head: Head, points: FloatArray) -> FloatArray:
    """Return GM, WM and CSF at points of the head, shape (..., 3) -> (..., 3); they sum to less than 1 outside the brain."""
    from scipy.ndimage import map_coordinates

    maps, affine = template()
    index = apply(np.linalg.inv(affine), to_template(head, points)).reshape(-1, 3).T
    values = [map_coordinates(tissue, index, order=1, mode="constant") for tissue in maps]
    return np.asarray(np.stack(values, axis=-1).reshape(points.shape), dtype=np.float64)


def box_points(affine: FloatArray, step_mm: float) -> FloatArray:
    """Return the midpoints of a fine grid that fills a box, shape (n, 3)."""
    size = np.linalg.norm(affine[:3, :3], axis=0)
    count = np.maximum(1, np.ceil(size / step_mm)).astype(int)
    axes = [(np.arange(n) + 0.5) / n - 0.5 for n in count]
    return apply(affine, np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3))


def box_tissue(head: Head, affine: FloatArray, step_mm: float = 0.5) -> TissueMix:
    """Return the tissue fractions of a box given in head coordinates, by midpoint quadrature.

    What lies outside the brain gives no signal and does not count.
    """
    total = tissue_at(head, box_points(affine, step_mm)).sum(axis=0)
    if total.sum() <= 0:
        raise ValueError("the voxel box lies outside the brain")
    gm, wm, csf = (float(v) for v in total / total.sum())
    return TissueMix(gm, wm, csf)


def t1w_image(head: Head, pose: FloatArray, settings: HeadSettings, rng: np.random.Generator) -> nib.Nifti1Image:
    """Return a T1w NIfTI image of the head in scanner space.

    Parameters
    ----------
    pose
        Rigid transform (4, 4) from head to scanner coordinates.
    """
    import nibabel as nib

    affine = np.diag([settings.resolution_mm] * 3 + [1.0])
    affine[:3, 3] = _LOW
    shape = np.ceil((_HIGH - _LOW) / settings.resolution_mm).astype(int) + 1
    to_head = np.linalg.inv(pose) @ affine
    clean = np.zeros(tuple(shape), dtype=np.float32)
    for k in range(int(shape[2])):
        clean[..., k] = _plane(head, to_head, shape, k)
    noisy = _rician(clean * bias_field(clean.shape, settings.bias_field, rng), settings.noise * head.intensity[1], rng)
    image = nib.Nifti1Image(np.clip(np.rint(noisy), 0, 32767).astype(np.int16), affine)
    image.header.set_xyzt_units("mm")
    image.set_qform(affine, code=1)
    image.set_sform(affine, code=1)
    return image


def _plane(head: Head, to_head: FloatArray, shape: FloatArray, k: int) -> FloatArray:
    """Return one plane of the noise-free T1w; only points that the warp can bring into the brain are computed."""
    grid = np.meshgrid(np.arange(shape[0]), np.arange(shape[1]), [k], indexing="ij")
    points = apply(to_head, np.stack(grid, axis=-1)[:, :, 0])
    inside = near_brain(points, float(np.linalg.norm(head.displacement, axis=0).max()))
    out = np.zeros(points.shape[:2], dtype=np.float32)
    out[inside] = tissue_at(head, points[inside]) @ np.array(head.intensity)
    return out


@lru_cache(maxsize=1)
def _distance_to_brain() -> FloatArray:
    from scipy.ndimage import distance_transform_edt

    maps, _ = template()
    return np.asarray(distance_transform_edt(maps.sum(axis=0) == 0), dtype=np.float32)


def near_brain(points: FloatArray, margin_mm: float) -> npt.NDArray[np.bool_]:
    """Return which points lie within a margin of the template's brain."""
    _, affine = template()
    distance = _distance_to_brain()
    index = np.rint(apply(np.linalg.inv(affine), points)).astype(int)
    index = np.clip(index, 0, np.array(distance.shape) - 1)
    return np.asarray(distance[tuple(np.moveaxis(index, -1, 0))] <= margin_mm + 2.0)


def bias_field(shape: tuple[int, ...], largest: float, rng: np.random.Generator) -> FloatArray:
    """Return a smooth multiplicative field between ``1 - largest`` and ``1 + largest``."""
    from scipy.ndimage import zoom

    coarse = zoom(rng.standard_normal((4, 4, 4)), 4, order=3)
    field = zoom(coarse, [n / 16 for n in shape], order=1)[tuple(slice(n) for n in shape)]
    return np.asarray(1 + largest * field / np.abs(field).max(), dtype=np.float32)


def _rician(clean: FloatArray, sd: float, rng: np.random.Generator) -> FloatArray:
    pair = rng.standard_normal((2, *clean.shape), dtype=np.float32) * np.float32(sd)
    return np.asarray(np.hypot(clean + pair[0], pair[1]))
