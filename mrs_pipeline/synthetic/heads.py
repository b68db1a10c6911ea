"""Heads: the MNI152 tissue maps seen through an individual warp, as images and as fractions of voxel boxes.

A head is a continuous function from points to tissue: where the images are sampled has no part in the truth.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

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

_VENTRICLES = np.array([0.0, -14.0, 14.0])
_VENTRICLE_REACH = np.array([22.0, 34.0, 18.0])
"""Middle of the lateral ventricles and how far around it their enlargement acts, mm."""

_SCALP_PAD = 24
"""Margin around the template for skull and scalp, mm."""

_LAYERS_MM = (0.0, 1.5, 3.0, 4.5, 6.5, 8.0, 11.0, 13.5, 15.0)
_LAYERS = (230.0, 200.0, 60.0, 320.0, 60.0, 700.0, 1050.0, 500.0, 0.0)
"""T1w intensity against the distance from the brain: meninges, inner table, marrow, outer table, fat, skin, air."""


@dataclass(frozen=True, eq=False)
class Head:
    """One person's head in its own coordinates (RAS mm, close to MNI152 axes).

    Parameters
    ----------
    warp
        Coefficients of a cubic B-spline, the displacement to template space, shape (3, nx, ny, nz), mm.
    spacing_mm
        Distance of the control points.
    intensity
        T1w intensity of GM, WM and CSF, shape (3,).
    ventricle_scale
        Linear enlargement of the ventricles at their middle.
    thinning_mm
        How much of the outer and ventricular border of the brain tissue has become CSF.
    """

    warp: FloatArray
    spacing_mm: float
    intensity: FloatArray
    ventricle_scale: float = 1.0
    thinning_mm: float = 0.0

    @property
    def reach_mm(self) -> float:
        """Bound of the displacement, mm (a B-spline stays within its coefficients)."""
        warp = float(np.linalg.norm(self.warp, axis=0).max())
        return warp + (1 - 1 / self.ventricle_scale) * float(_VENTRICLE_REACH.max())


@lru_cache(maxsize=2)
def template(thinning_mm: float = 0.0) -> tuple[npt.NDArray[np.float32], FloatArray]:
    """Return the tissue maps of the template, shape (3, x, y, z) in GM, WM, CSF, and its affine.

    CSF is what grey and white matter leave of the brain (where the bundled T1 template is not zero). The maps are the
    ICBM 152 2009a symmetric ones bundled with nilearn (Fonov 2011, doi:10.1016/j.neuroimage.2010.07.033).

    Parameters
    ----------
    thinning_mm
        Greyscale erosion of the tissue (GM + WM) by this radius, 0 to 3 mm; what grey matter loses becomes CSF.
    """
    from nilearn import datasets

    grey = datasets.load_mni152_gm_template(resolution=1)
    gm = grey.get_fdata(dtype=np.float32)
    wm = datasets.load_mni152_wm_template(resolution=1).get_fdata(dtype=np.float32)
    brain = datasets.load_mni152_template(resolution=1).get_fdata(dtype=np.float32) > 0
    total = np.maximum(gm + wm, 1.0)
    gm, wm = gm / total, wm / total
    if thinning_mm > 0:
        gm = gm - np.minimum(gm, gm + wm - eroded(gm + wm, thinning_mm))
    csf = np.where(brain, np.clip(1 - gm - wm, 0, None), 0)
    return np.stack([gm, wm, csf]).astype(np.float32), np.asarray(grey.affine, dtype=np.float64)


def eroded(tissue: npt.NDArray[np.float32], radius_mm: float) -> npt.NDArray[np.float32]:
    """Return the greyscale erosion of a 1 mm map; the part of a millimetre is mixed in linearly."""
    from scipy.ndimage import generate_binary_structure, grey_erosion

    cross = generate_binary_structure(3, 1)
    whole, part = divmod(radius_mm, 1.0)
    out = tissue
    for _ in range(int(whole)):
        out = grey_erosion(out, footprint=cross)
    if part > 0:
        out = (1 - part) * out + part * grey_erosion(out, footprint=cross)
    return np.asarray(out, dtype=np.float32)


def random_head(settings: HeadSettings, rng: np.random.Generator) -> Head:
    """Draw a head: a smooth random warp scaled to its largest displacement, and intensities of its own."""
    from scipy.ndimage import gaussian_filter

    shape = np.ceil((_HIGH - _LOW) / settings.warp_scale_mm).astype(int) + 4
    field = rng.standard_normal((3, *shape))
    field = np.stack([gaussian_filter(axis, 0.5, mode="nearest") for axis in field])
    largest = float(np.linalg.norm(warp_at(field, settings.warp_scale_mm, _coarse_grid(8.0)), axis=-1).max())
    return Head(
        warp=field * (settings.warp_mm / largest),
        spacing_mm=settings.warp_scale_mm,
        intensity=np.array(settings.intensity) * (1 + settings.intensity_cv * rng.standard_normal(3)),
        ventricle_scale=float(rng.uniform(*settings.ventricle_scale)),
        thinning_mm=settings.thinning_mm,
    )


def to_template(head: Head, points: FloatArray) -> FloatArray:
    r"""Return where points of the head (RAS mm, shape (..., 3)) lie in the template.

    The warp is a cubic spline over the control points; enlarged ventricles add a pull towards their middle,
    :math:`-(1-1/s)\,d\,e^{-|d/r|^2/2}` at distance :math:`d` from it.
    """
    flat = points.reshape(-1, 3)
    moved = warp_at(head.warp, head.spacing_mm, flat)
    if head.ventricle_scale != 1:
        away = flat - _VENTRICLES
        fade = np.exp(-0.5 * ((away / _VENTRICLE_REACH) ** 2).sum(axis=-1, keepdims=True))
        moved = moved - (1 - 1 / head.ventricle_scale) * away * fade
    return np.asarray((flat + moved).reshape(points.shape), dtype=np.float64)


def warp_at(warp: FloatArray, spacing_mm: float, points: FloatArray) -> FloatArray:
    """Return the cubic B-spline of the given coefficients at points (n, 3), shape (n, 3)."""
    from scipy.ndimage import map_coordinates

    control = ((points - _LOW) / spacing_mm + 1.5).T
    moved = [map_coordinates(axis, control, order=3, mode="nearest", prefilter=False) for axis in warp]
    return np.asarray(np.stack(moved, axis=-1), dtype=np.float64)


def _coarse_grid(step_mm: float) -> FloatArray:
    """Return points all over the template, shape (n, 3)."""
    axes = [np.arange(low, high, step_mm) for low, high in zip(_LOW, _HIGH, strict=True)]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)


def from_template(head: Head, point: FloatArray) -> FloatArray:
    """Return the point of the head that lies at a template point, to 1e-6 mm, by a damped fixed-point iteration."""
    found = point.copy()
    for _ in range(500):
        step = point - to_template(head, found)
        if np.linalg.norm(step) < 1e-6:
            return found
        found = found + 0.8 * step
    raise ValueError("the warp of this head folds; choose a smaller warp_mm or a larger warp_scale_mm")


def folding(head: Head, step_mm: float = 4.0) -> float:
    """Return the smallest Jacobian determinant of the warp over the template; it must be positive."""
    axes = [np.arange(low, high, step_mm) for low, high in zip(_LOW, _HIGH, strict=True)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    moved = to_template(head, grid)
    gradient = np.stack([np.stack(np.gradient(moved[..., i], step_mm), axis=-1) for i in range(3)], axis=-2)
    return float(np.linalg.det(gradient).min())


def tissue_at(head: Head, points: FloatArray) -> FloatArray:
    """Return GM, WM and CSF at points of the head, shape (..., 3); the three sum to less than 1 outside the brain."""
    return _tissue_in_template(head.thinning_mm, to_template(head, points))


def _tissue_in_template(thinning_mm: float, points: FloatArray) -> FloatArray:
    from scipy.ndimage import map_coordinates

    maps, affine = template(thinning_mm)
    index = apply(np.linalg.inv(affine), points).reshape(-1, 3).T
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

    What lies outside the brain gives no signal and does not count. At 0.5 mm the fractions are good to 2e-4, at 1 mm
    to 1e-3 (docs/synthetic.md).
    """
    total = tissue_at(head, box_points(affine, step_mm)).sum(axis=0)
    if total.sum() <= 0:
        raise ValueError("the voxel box lies outside the brain")
    gm, wm, csf = (float(v) for v in total / total.sum())
    return TissueMix(gm, wm, csf)


def t1w_image(head: Head, pose: FloatArray, settings: HeadSettings, rng: np.random.Generator) -> nib.Nifti1Image:
    """Return a T1w NIfTI image (int16) of the head in scanner space.

    Parameters
    ----------
    pose
        Rigid transform (4, 4) from head to scanner coordinates.
    """
    import nibabel as nib

    affine, shape = image_grid(settings)
    to_head = np.linalg.inv(pose) @ affine
    clean = np.zeros(shape, dtype=np.float32)
    for k in range(shape[2]):
        clean[..., k] = _plane(head, to_head, shape, k, skull=settings.skull)
    bright = clean * bias_field(shape, settings.bias_field, rng)
    noisy = rician(bright, settings.noise * float(head.intensity[1]), rng)
    image = nib.Nifti1Image(np.clip(np.rint(noisy), 0, 32767).astype(np.int16), affine)
    image.header.set_xyzt_units("mm")
    image.set_qform(affine, code=1)
    image.set_sform(affine, code=1)
    return image


def image_grid(settings: HeadSettings) -> tuple[FloatArray, tuple[int, int, int]]:
    """Return affine and shape of the T1w image: axis-aligned, over the template and the scalp if there is one."""
    margin = _SCALP_PAD if settings.skull else 0
    affine = np.diag([settings.resolution_mm] * 3 + [1.0])
    affine[:3, 3] = _LOW - margin
    count = np.ceil((_HIGH - _LOW + 2 * margin) / settings.resolution_mm).astype(int) + 1
    return affine, (int(count[0]), int(count[1]), int(count[2]))


def _plane(head: Head, to_head: FloatArray, shape: tuple[int, int, int], k: int, *, skull: bool) -> FloatArray:
    """Return one plane of the noise-free T1w; only points that the warp can bring into the head are computed."""
    grid = np.meshgrid(np.arange(shape[0]), np.arange(shape[1]), [k], indexing="ij")
    points = apply(to_head, np.stack(grid, axis=-1)[:, :, 0].astype(np.float64))
    reach = head.reach_mm + 2.0 + (_LAYERS_MM[-1] if skull else 0.0)
    inside = distance_to_brain(points, order=0) <= reach
    moved = to_template(head, points[inside])
    value = _tissue_in_template(head.thinning_mm, moved) @ head.intensity
    if skull:
        away = distance_to_brain(moved, order=1)
        value = np.where(away > 0.5, np.interp(away, _LAYERS_MM, _LAYERS), value)
    out = np.zeros(points.shape[:2], dtype=np.float64)
    out[inside] = value
    return out


@lru_cache(maxsize=1)
def _distance_map() -> npt.NDArray[np.float32]:
    """Return the distance (mm) of every template voxel from the brain, padded for skull and scalp."""
    from scipy.ndimage import distance_transform_edt

    maps, _ = template()
    outside = np.pad(maps.sum(axis=0) < 0.5, _SCALP_PAD, constant_values=True)
    return np.asarray(distance_transform_edt(outside), dtype=np.float32)


def distance_to_brain(points: FloatArray, order: Literal[0, 1]) -> FloatArray:
    """Return the distance (mm) of template points (..., 3) from the brain: nearest voxel (order 0) or trilinear (1)."""
    from scipy.ndimage import map_coordinates

    _, affine = template()
    index = apply(np.linalg.inv(affine), points).reshape(-1, 3).T + _SCALP_PAD
    out = map_coordinates(_distance_map(), index, order=order, mode="nearest")
    return np.asarray(out.reshape(points.shape[:-1]), dtype=np.float64)


def bias_field(shape: tuple[int, ...], largest: float, rng: np.random.Generator) -> FloatArray:
    """Return a smooth multiplicative field between ``1 - largest`` and ``1 + largest``."""
    from scipy.ndimage import zoom

    coarse = zoom(rng.standard_normal((4, 4, 4)), 4, order=3)
    field = zoom(coarse, [(n + 0.5) / 16 for n in shape], order=1)[tuple(slice(n) for n in shape)]
    return np.asarray(1 + largest * field / np.abs(field).max())


def rician(clean: FloatArray, sd: float, rng: np.random.Generator) -> FloatArray:
    """Return the magnitude of an image with complex Gaussian noise.

    See Gudbjartsson & Patz 1995, doi:10.1002/mrm.1910340618.
    """
    pair = rng.standard_normal((2, *clean.shape), dtype=np.float32) * np.float32(sd)
    return np.asarray(np.hypot(clean + pair[0], pair[1]), dtype=np.float64)
