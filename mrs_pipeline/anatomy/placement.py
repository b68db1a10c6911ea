"""Where the voxel lies: in the head, in MNI space, near skull and ventricles, and displaced by chemical shift."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mrs_pipeline.anatomy.geometry import Image, box_centre, voxel_mask
from mrs_pipeline.anatomy.segmentation import BRAIN, DEEP, HEAD, VENTRICLE
from mrs_pipeline.anatomy.tissue import TissueFractions, fractions
from mrs_pipeline.spectrum import FloatArray

LEAVES_HEAD = 0.02


@dataclass(frozen=True)
class Placement:
    """Place of one voxel.

    Parameters
    ----------
    mni_mm
        Centre in MNI152 space; ``None`` when there is no registration.
    outside_head
        Share of the box outside the head (or, for a stripped T1w, outside the brain).
    skull_mm
        Shortest distance from the box to the outside of the brain with its CSF; 0 where it touches.
    ventricle_mm
        Shortest distance from the box to the ventricles; ``None`` when they are not known.
    deep_grey
        Share of the box in thalamus or lentiform nucleus, where GM and WM cannot be told apart by intensity.
    warnings
        Sentences for the report.
    """

    mni_mm: tuple[float, float, float] | None
    outside_head: float
    skull_mm: float
    ventricle_mm: float | None
    deep_grey: float
    warnings: tuple[str, ...] = ()


def place(
    mask: FloatArray,
    affine: npt.ArrayLike,
    t1w: Image,
    regions: npt.NDArray[np.uint8],
    mni: tuple[FloatArray, FloatArray] | None = None,
) -> Placement:
    """Describe a voxel's place.

    Parameters
    ----------
    mask
        Partial-volume mask on the T1w grid, shape (x, y, z).
    affine
        Of the NIfTI-MRS image, shape (4, 4).
    t1w
        Image whose grid mask and regions have.
    regions
        0 outside, 1 head, 2 brain, 3 deep grey matter, 4 ventricles, shape (x, y, z).
    mni
        MNI coordinates of a grid, shape (x, y, z, 3), and that grid's affine.
    """
    total = float(mask.sum())
    outside = float(mask[regions < HEAD].sum()) / total
    deep = float(mask[regions == DEEP].sum()) / total
    warnings = []
    if outside > LEAVES_HEAD:
        warnings.append(f"{100 * outside:.0f} % of the voxel lies outside the head")
    spacing = np.linalg.norm(np.asarray(t1w.affine, dtype=float)[:3, :3], axis=0)
    ventricles = regions == VENTRICLE
    return Placement(
        mni_mm=None if mni is None else mni_centre(affine, *mni),
        outside_head=outside,
        skull_mm=_distance(mask, regions < BRAIN, spacing),
        ventricle_mm=_distance(mask, ventricles, spacing) if ventricles.any() else None,
        deep_grey=deep,
        warnings=tuple(warnings),
    )


def _distance(mask: FloatArray, target: npt.NDArray[np.bool_], spacing: FloatArray) -> float:
    """Shortest distance in mm from the voxel (mask above one half of its largest) to a region; 0 where they touch."""
    from scipy import ndimage

    inside = mask > 0.5 * mask.max()
    if (inside & target).any():
        return 0.0
    reach = np.ceil(60.0 / spacing).astype(int)  # a crop keeps the distance transform small
    index = np.argwhere(inside)
    low, high = np.maximum(index.min(axis=0) - reach, 0), index.max(axis=0) + reach + 1
    crop = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    if not target[crop].any():
        return 60.0
    away = ndimage.distance_transform_edt(~target[crop], sampling=spacing)
    return float(away[inside[crop]].min())


def mni_centre(affine: npt.ArrayLike, coordinates: FloatArray, grid: FloatArray) -> tuple[float, float, float] | None:
    """Look up the MNI coordinates of the box's centre; ``None`` outside the registered head."""
    from scipy import ndimage

    centre = np.append(box_centre(affine), 1.0)
    index = (np.linalg.inv(grid) @ centre)[:3]
    if np.any(index < 0) or np.any(index > np.array(coordinates.shape[:3]) - 1):
        return None
    x, y, z = (float(ndimage.map_coordinates(coordinates[..., i], index[:, None], order=1)[0]) for i in range(3))
    return x, y, z


def check_name(
    label: str,
    mni_mm: tuple[float, float, float] | None,
    expected: Mapping[str, tuple[tuple[float, float, float], float]],
) -> str | None:
    """Compare a voxel's centre with where its label says it should be.

    Parameters
    ----------
    label
        voi label of the scan.
    mni_mm
        Centre in MNI152 space.
    expected
        Per label: centre (mm) and tolerance (mm), as ``[tissue.expected]``.

    Returns
    -------
    str or None
        The complaint, naming the label that would fit, or ``None`` when all is well or nothing is expected.
    """
    if label not in expected:
        return None
    if mni_mm is None:
        return f"the place of voi-{label} could not be checked: no registration to MNI space"
    distance = {name: float(np.linalg.norm(np.subtract(mni_mm, centre))) for name, (centre, _) in expected.items()}
    if distance[label] <= expected[label][1]:
        return None
    nearest = min(distance, key=lambda name: distance[name])
    hint = f"; it lies where voi-{nearest} is expected" if distance[nearest] <= expected[nearest][1] else ""
    where = ", ".join(f"{value:.0f}" for value in mni_mm)
    return (
        f"the voxel called voi-{label} has its centre at MNI ({where}), {distance[label]:.0f} mm "
        f"from where it is expected (tolerance {expected[label][1]:.0f} mm){hint}"
    )


def displaced(affine: npt.ArrayLike, shift_ppm: float, mm_per_ppm: tuple[float, float, float]) -> FloatArray:
    r"""Move a box by the chemical-shift displacement of one resonance.

    Parameters
    ----------
    affine
        Of the NIfTI-MRS image, shape (4, 4): true at the transmitter's frequency.
    shift_ppm
        Chemical shift of the resonance minus that of the transmitter.
    mm_per_ppm
        Displacement per ppm along the box's own axes, signed: selection bandwidth and gradient polarity
        (:math:`\Delta x_i = \mathrm{edge}_i\,\Delta\delta\,f_0/BW_i`).

    Returns
    -------
    array
        Affine of the displaced box, shape (4, 4).
    """
    moved = np.array(affine, dtype=float)
    axes = moved[:3, :3] / np.linalg.norm(moved[:3, :3], axis=0)
    moved[:3, 3] += axes @ (np.asarray(mm_per_ppm) * shift_ppm)
    return moved


RESONANCES = {"NAA": 2.01, "Glu": 2.35, "Cr": 3.03, "GPC": 3.21, "Ins": 3.54, "water": 4.68}
"""Chemical shifts (ppm) of the resonances whose boxes are reported."""


def displaced_fractions(
    affine: npt.ArrayLike,
    t1w: Image,
    maps: Mapping[str, FloatArray],
    mm_per_ppm: tuple[float, float, float],
    transmitter_ppm: float,
    resonances: Mapping[str, float] | None = None,
) -> dict[str, TissueFractions]:
    """Return the tissue fractions of the displaced box of each resonance.

    Parameters
    ----------
    transmitter_ppm
        Chemical shift on which the localisation pulses were played.
    resonances
        Name to chemical shift in ppm; by default ``RESONANCES``.
    """
    chosen = RESONANCES if resonances is None else resonances
    return {
        name: fractions(
            voxel_mask(displaced(affine, ppm - transmitter_ppm, mm_per_ppm), t1w),
            maps,
            source=f"box displaced to {name} ({ppm:.2f} ppm)",
        )
        for name, ppm in chosen.items()
    }
