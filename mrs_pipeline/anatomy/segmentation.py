"""Tissue maps from a T1w: N4 and registration by antspyx, priors from the bundled template, mixture model.

Works on whole heads and on skull-stripped images, which it tells apart itself. One thread, fixed seeds: the same
image gives the same bytes.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mrs_pipeline.anatomy.mixture import classify
from mrs_pipeline.anatomy.template import Float32, Template, template
from mrs_pipeline.errors import InputError

if TYPE_CHECKING:
    import nibabel as nib

BRAIN_LITRES = 2.3
COARSE_MM = 2.0
MARGIN_MM = 20.0
SEED = 20260101
HEAD, BRAIN, DEEP, VENTRICLE = 1, 2, 3, 4
"""Labels of the region map; 0 is outside the head."""


@dataclass(frozen=True, eq=False)
class Volume:
    """An image on an isotropic RAS grid of its own.

    Parameters
    ----------
    data
        Shape (x, y, z).
    affine
        Voxel indices to scanner mm, shape (4, 4).
    spacing
        Voxel size in mm.
    """

    data: Float32
    affine: npt.NDArray[np.float64]
    spacing: float


@dataclass(frozen=True, eq=False)
class Segmentation:
    """Tissue maps of one T1w on the working grid.

    Parameters
    ----------
    gm, wm, csf
        Volume shares, shape of the working grid.
    regions
        0 outside, 1 head, 2 brain, 3 deep grey matter, 4 ventricles.
    mni
        MNI152 coordinates (mm) of every voxel of a 2 mm grid, shape (x, y, z, 3).
    affine, mni_affine
        Of the working grid and of the 2 mm grid.
    head
        Whether the image shows a whole head (not only a brain).
    contrast
        Distance of the means of WM and GM over the larger SD of both: below 2 the maps are doubtful.
    """

    gm: Float32
    wm: Float32
    csf: Float32
    regions: npt.NDArray[np.uint8]
    mni: Float32
    affine: npt.NDArray[np.float64]
    mni_affine: npt.NDArray[np.float64]
    head: bool
    contrast: float


def segment_array(t1w: nib.Nifti1Image, resolution_mm: float = 1.0) -> Segmentation:
    """Segment an image in memory; call it in a process whose ITK runs one thread (``segment`` sees to that).

    Parameters
    ----------
    t1w
        T1w image with a scanner affine.
    resolution_mm
        Voxel size of the working grid.
    """
    coarse = working_grid(t1w, COARSE_MM)
    whole = is_whole_head(coarse)
    model = template(int(COARSE_MM))
    shown = _foreground(coarse.data)
    fixed = _flattened(coarse, _bias_field(coarse, shown, 8.0), shown)
    warp, mni = _register(fixed, model, whole_head=whole)
    coarse_mask = _brain_mask(warp(model.brain), coarse, whole_head=whole)
    fine = _around(working_grid(t1w, resolution_mm), coarse_mask, coarse)
    names = ("csf", "gm", "wm", "brain", "deep", "ventricles")
    maps = {name: _onto(warp(getattr(model, name)), coarse, fine) for name in names}
    mask = _brain_mask(maps["brain"], fine, whole_head=whole)
    field = _onto(_bias_field(coarse, coarse_mask, 6.0), coarse, fine, mode="nearest")
    flat = _flattened(fine, field, mask)
    mixture = classify(flat.data, mask, (maps["csf"], maps["gm"], maps["wm"]), maps["deep"], resolution_mm)
    return Segmentation(
        gm=mixture.gm,
        wm=mixture.wm,
        csf=mixture.csf,
        regions=_regions(_onto(shown.astype(np.float32), coarse, fine) > 0.5, mask, maps),
        mni=mni,
        affine=fine.affine,
        mni_affine=coarse.affine,
        head=whole,
        contrast=float((mixture.means[2] - mixture.means[1]) / max(mixture.sds[1:])),
    )


def working_grid(t1w: nib.Nifti1Image, spacing: float) -> Volume:
    """Resample to an isotropic RAS-ordered grid along the image's own axes, cropped to the head."""
    import nibabel as nib
    from scipy import ndimage

    image = nib.as_closest_canonical(t1w)
    data = _intensities(image)
    zooms = np.asarray(nib.affines.voxel_sizes(image.affine))
    low, high = _bounding_box(data > 0.1 * float(np.percentile(data, 98)), np.ceil(6 / zooms).astype(int))
    cropped = data[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    smooth = ndimage.gaussian_filter(cropped, np.maximum(spacing / zooms - 1, 0) / 2)
    count = np.maximum(np.round(np.array(cropped.shape) * zooms / spacing), 1).astype(int)
    step = spacing / zooms
    start = low + (step - 1) / 2
    grid = np.eye(4)
    grid[:3, :3], grid[:3, 3] = np.diag(step), (step - 1) / 2
    resampled = resample(smooth, grid, tuple(count), mode="nearest")
    affine = image.affine @ np.vstack([np.column_stack([np.diag(step), start]), [0, 0, 0, 1]])
    return Volume(resampled, affine, spacing)


def _intensities(image: nib.Nifti1Image) -> Float32:
    """Return one volume without negative or missing values, which count as no signal."""
    data = np.asarray(image.dataobj, dtype=np.float32)
    data = data.reshape(data.shape[:3]) if data.ndim > 3 and data.size == np.prod(data.shape[:3]) else data
    known = np.isfinite(data)
    if data.ndim != 3 or not known.any() or float(np.ptp(data[known])) == 0:
        raise InputError(
            "the T1w is not a three-dimensional image with contrast", remedy="check the file", path=image.get_filename()
        )
    lowest = float(data[known].min())
    floor = lowest if lowest >= 0 or (data[known] < 0).mean() > 0.5 else 0.0  # scaled about zero, or filtered noise
    return np.where(known, np.maximum(data - np.float32(floor), 0), 0).astype(np.float32)


def _around(image: Volume, mask: npt.NDArray[np.bool_], grid: Volume) -> Volume:
    """Crop an image to a mask that lives on another grid of the same axes, with a margin that holds skull and scalp."""
    low, high = _bounding_box(mask, np.full(3, round(MARGIN_MM / grid.spacing)))
    to_image = np.linalg.inv(image.affine) @ grid.affine
    first = np.maximum(np.floor(to_image[:3, :3] @ low + to_image[:3, 3]).astype(int), 0)
    last = np.minimum(np.ceil(to_image[:3, :3] @ high + to_image[:3, 3]).astype(int), np.array(image.data.shape))
    shift = np.eye(4)
    shift[:3, 3] = first
    cropped = image.data[tuple(slice(a, b) for a, b in zip(first, last, strict=True))].copy()
    return Volume(cropped, image.affine @ shift, image.spacing)


def _bounding_box(
    mask: npt.NDArray[np.bool_], margin: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """First and one-past-last index of a mask, with a margin."""
    spans = [np.flatnonzero(mask.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    low = np.array([span[0] for span in spans]) - margin
    high = np.array([span[-1] + 1 for span in spans]) + margin
    return np.maximum(low, 0), np.minimum(high, np.array(mask.shape))


def _foreground(data: Float32) -> npt.NDArray[np.bool_]:
    """Everything that gives signal and what it encloses (skull inside the scalp), largest component."""
    from scipy import ndimage

    bright = ndimage.median_filter(data, 3) > 0.2 * float(np.percentile(data[data > 0], 95))
    filled = ndimage.binary_fill_holes(bright)
    for axis in range(3):  # a head cut by the field of view encloses its skull only within slices
        filled |= np.stack([ndimage.binary_fill_holes(plane) for plane in np.moveaxis(filled, axis, 0)], axis)
    labels, _ = ndimage.label(filled)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return np.asarray(labels == int(np.argmax(sizes)))


def shows_whole_head(t1w: nib.Nifti1Image) -> bool:
    """Tell whether a T1w shows a whole head, not only a brain."""
    return is_whole_head(working_grid(t1w, COARSE_MM))


def is_whole_head(image: Volume) -> bool:
    """Tell a whole head from a stripped brain by the volume that gives signal (brains stay below 2.3 litres)."""
    litres = float(_foreground(image.data).sum()) * image.spacing**3 * 1e-6
    return litres > BRAIN_LITRES


def _ants(data: npt.NDArray[Any], spacing: float) -> Any:  # noqa: ANN401  antspyx ships no types
    """Wrap an array as an ANTs image without orientation, so that all headers agree."""
    import ants

    return ants.from_numpy(np.ascontiguousarray(data, dtype=np.float32), spacing=(spacing,) * 3)


def _bias_field(image: Volume, mask: npt.NDArray[np.bool_], sampling_mm: float) -> Float32:
    """Find the bias field (N4, doi:10.1109/TMI.2010.2046908) from every ``sampling_mm``, shape of the image."""
    import ants

    field = ants.n4_bias_field_correction(
        _ants(image.data, image.spacing),
        mask=_ants(mask, image.spacing),
        shrink_factor=max(1, round(sampling_mm / image.spacing)),
        convergence={"iters": [50, 50, 30], "tol": 1e-6},
        return_bias_field=True,
    )
    return np.asarray(field.numpy(), dtype=np.float32)


def _flattened(image: Volume, field: Float32, mask: npt.NDArray[np.bool_]) -> Volume:
    """Divide by a bias field and scale to 1 at the mask's 98th percentile."""
    corrected = image.data / np.maximum(field, np.float32(1e-3))
    scale = float(np.percentile(corrected[mask], 98))
    return Volume(np.clip(corrected / scale, 0, 1.5).astype(np.float32), image.affine, image.spacing)


def _register(fixed: Volume, model: Template, *, whole_head: bool) -> tuple[Callable[[Float32], Float32], Float32]:
    """Register the template to the image (affine, then SyN); return a warper of template maps and the MNI coordinates.

    For a whole head the metric is taken only in the template's brain and the dark ring around it, because the
    template shows nothing else.
    """
    import ants

    mask = {"moving_mask": _ants(model.near, model.spacing), "mask_all_stages": True} if whole_head else {}
    target, moving = _ants(np.minimum(fixed.data, 1.2), fixed.spacing), _ants(model.t1, model.spacing)
    ants.config._random_seed = SEED  # noqa: SLF001  the only way to the seed without the Repro transforms
    with tempfile.TemporaryDirectory() as folder:
        linear = ants.registration(
            target, moving, "Affine", outprefix=f"{folder}/a", aff_iterations=(500, 500, 200, 0), **mask
        )
        both = ants.registration(
            target,
            moving,
            "SyNOnly",
            initial_transform=linear["fwdtransforms"][0],
            outprefix=f"{folder}/s",
            reg_iterations=(100, 50, 0),
            **mask,
        )

        def warp(values: Float32) -> Float32:
            moved = ants.apply_transforms(target, _ants(values, model.spacing), both["fwdtransforms"])
            return np.asarray(moved.numpy(), dtype=np.float32)

        kept = {id(values): warp(values) for values in _template_maps(model)}
        axes = np.meshgrid(*(np.arange(n, dtype=np.float32) for n in model.t1.shape), indexing="ij")
        mni = np.stack([warp(axis) for axis in axes], axis=-1) @ model.affine[:3, :3].T + model.affine[:3, 3]
    return lambda values: kept[id(values)], np.asarray(mni, dtype=np.float32)


def _template_maps(model: Template) -> tuple[Float32, ...]:
    return (model.csf, model.gm, model.wm, model.brain, model.deep, model.ventricles)


def _onto(values: Float32, source: Volume, target: Volume, mode: str = "constant") -> Float32:
    """Resample linearly from one working grid to another of the same image."""
    return resample(values, np.linalg.inv(source.affine) @ target.affine, target.data.shape, mode=mode)


def resample(
    values: npt.NDArray[Any],
    matrix: npt.NDArray[np.float64],
    shape: tuple[int, ...],
    *,
    order: int = 1,
    mode: str = "constant",
) -> Float32:
    """Sample an image on another grid.

    Parameters
    ----------
    values
        Shape (x, y, z).
    matrix
        Indices of the new grid to indices of ``values``, shape (4, 4).
    shape
        Of the new grid.
    order, mode
        Of the interpolation (0 nearest, 1 linear) and beyond the edge, as in scipy.
    """
    from scipy import ndimage

    transform: Any = ndimage.affine_transform  # its stubs refuse untyped nibabel shapes
    moved = transform(
        values.astype(np.float32), matrix[:3, :3], matrix[:3, 3], output_shape=shape, order=order, mode=mode
    )
    return np.asarray(moved, dtype=np.float32)


def _brain_mask(warped: Float32, image: Volume, *, whole_head: bool) -> npt.NDArray[np.bool_]:
    """Brain with its outer CSF: the warped template mask, or what a skull-stripped image shows."""
    if whole_head:
        return np.asarray(warped > 0.5)
    from scipy import ndimage

    shown = image.data > 0.02 * float(np.percentile(image.data, 98))
    closed: npt.NDArray[np.bool_] = ndimage.binary_fill_holes(shown)
    return closed & (warped > 0.02)


def _regions(
    head: npt.NDArray[np.bool_], mask: npt.NDArray[np.bool_], maps: dict[str, Float32]
) -> npt.NDArray[np.uint8]:
    """Label head, brain, deep grey matter and ventricles."""
    labels = np.zeros(mask.shape, dtype=np.uint8)
    labels[head] = HEAD
    labels[mask] = BRAIN
    labels[(maps["deep"] > 0.5) & mask] = DEEP
    labels[(maps["ventricles"] > 0.5) & mask] = VENTRICLE
    return labels
