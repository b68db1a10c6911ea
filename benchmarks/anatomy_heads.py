"""Whole heads with known tissue, warped far from the template whose maps also serve as priors.

The ventricles are widened, the cortex is thinned, deep grey matter is given an intensity close to white matter as on
a real T1w, outer CSF, skull, marrow, scalp and neck are added, and the whole is warped by 8 mm and more, tilted,
shaded by a bias field and made noisy (Rician). The truth is the warped tissue map itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import nibabel as nib
import numpy as np
from scipy import ndimage

# T1w intensities (white matter 1), as on a 3 T MPRAGE
INTENSITY = {
    "gm": 0.68,
    "wm": 1.0,
    "csf": 0.22,
    "deep": 0.84,
    "skull": 0.12,
    "marrow": 0.65,
    "scalp": 1.15,
    "muscle": 0.55,
}
OUTER_CSF_MM = 1.0
DEEP = (
    # centre (MNI mm, right side; mirrored), radii (mm): thalamus, putamen with pallidum
    ((11.0, -18.0, 7.0), (9.0, 13.0, 9.0)),
    ((25.0, 2.0, 0.0), (7.0, 14.0, 10.0)),
)


@dataclass(frozen=True)
class Head:
    """A synthetic T1w with its truth.

    Parameters
    ----------
    image
        T1w, whole head or brain only.
    truth
        ``gm``, ``wm``, ``csf`` on the same grid; outer CSF counts as CSF.
    to_template
        Template coordinates (mm) of every grid point, shape (x, y, z, 3).
    """

    image: nib.Nifti1Image
    truth: dict[str, np.ndarray]
    to_template: np.ndarray


def template_tissue(ventricle_mm: float, thinning: float, step: int = 1) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return tissue and head layers in template space (every ``step`` mm), after atrophy, and the affine."""
    from nilearn import datasets

    gm_image = datasets.load_mni152_gm_template(resolution=1)
    gm = gm_image.get_fdata(dtype=np.float32)
    wm = datasets.load_mni152_wm_template(resolution=1).get_fdata(dtype=np.float32)
    brain = datasets.load_mni152_template(resolution=1).get_fdata(dtype=np.float32) > 0
    gm, wm, brain = (values[::step, ::step, ::step] for values in (gm, wm, brain))
    affine = gm_image.affine @ np.diag([step, step, step, 1.0])
    total = np.maximum(gm + wm, 1.0)
    gm, wm = gm / total, wm / total
    csf = np.where(brain, np.clip(1 - gm - wm, 0, 1), 0).astype(np.float32)
    csf = _widen_ventricles(csf, affine, ventricle_mm)
    csf = np.maximum(csf, thinning * ndimage.grey_dilation(csf, size=3) + (1 - thinning) * csf) * brain
    scale = np.where(gm + wm > 0, (1 - csf) / np.maximum(gm + wm, 1e-6), 0) * brain
    scale = np.minimum(scale, 1 / np.maximum(gm + wm, 1e-6))
    gm, wm = gm * scale, wm * scale
    csf = np.where(brain, 1 - gm - wm, 0)
    return {"gm": gm, "wm": wm, "csf": csf, **_layers(brain, step)}, affine


def _widen_ventricles(csf: np.ndarray, affine: np.ndarray, width_mm: float) -> np.ndarray:
    """Grow the lateral ventricles by a distance."""
    grid = (
        np.stack(np.meshgrid(*(np.arange(n) for n in csf.shape), indexing="ij"), -1) @ affine[:3, :3].T + affine[:3, 3]
    )
    central = (
        (np.abs(grid[..., 0]) < 25)
        & (grid[..., 1] > -45)
        & (grid[..., 1] < 32)
        & (grid[..., 2] > 0)
        & (grid[..., 2] < 28)
    )
    labels, _ = ndimage.label((csf > 0.5) & central)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    ventricles = labels == np.argmax(sizes)
    distance = ndimage.distance_transform_edt(~ventricles) * affine[0, 0]
    return np.maximum(csf, np.clip(width_mm + 0.5 - distance, 0, 1)).astype(np.float32)


def _layers(brain: np.ndarray, step: int) -> dict[str, np.ndarray]:
    """Outer CSF, skull, marrow, scalp and neck as distance shells around the brain."""
    filled = ndimage.binary_closing(np.pad(brain, 20), iterations=8 // step)[20:-20, 20:-20, 20:-20] | brain
    d = ndimage.distance_transform_edt(~filled).astype(np.float32) * np.float32(step)
    shell = lambda a, b: (np.clip(d - a, 0, 1) * np.clip(b - d, 0, 1)).astype(np.float32)  # noqa: E731  three uses
    outer = (np.clip(OUTER_CSF_MM + 0.5 - d, 0, 1) * ~brain).astype(np.float32)
    return {"outer": outer, "marrow": shell(5.0, 8.0), "scalp": shell(10.0, 16.0)}


def _smooth_zoom(coarse: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Enlarge a coarse field: cubic to an eighth of the size, then linear."""
    middle = ndimage.zoom(coarse, [n / 8 / m for n, m in zip(shape, coarse.shape, strict=True)], order=3)
    factors = [n / m for n, m in zip(shape, middle.shape, strict=True)]
    return ndimage.zoom(middle.astype(np.float32), factors, order=1)


def random_warp(shape: tuple[int, ...], largest_mm: float, rng: np.random.Generator) -> np.ndarray:
    """Return a smooth displacement field with its largest vector of ``largest_mm``, shape (3, x, y, z)."""
    coarse = rng.normal(size=(3, 7, 8, 7))
    field = np.stack([_smooth_zoom(c, shape) for c in coarse])
    return field * (largest_mm / np.sqrt((field**2).sum(0)).max())


def make_head(
    seed: int,
    *,
    warp_mm: float = 10.0,
    ventricle_mm: float = 3.0,
    thinning: float = 0.5,
    bias: float = 0.3,
    noise: float = 0.03,
    stripped: bool = False,
    resolution: float = 1.0,
) -> Head:
    """Make one head; every effect can be turned off."""
    rng = np.random.default_rng(seed)
    step = max(1, int(resolution))
    tissue, affine = template_tissue(ventricle_mm, thinning, step)
    margin = 18
    shape = tuple(int(np.ceil((n + 2 * margin) / resolution)) for n in (197, 233, 189))
    grid_affine = np.diag([resolution] * 3 + [1.0])
    grid_affine[:3, 3] = affine[:3, 3] - margin
    index = np.stack(np.meshgrid(*(np.arange(n, dtype=np.float32) for n in shape), indexing="ij"))
    world = index * np.float32(resolution) + grid_affine[:3, 3, None, None, None].astype(np.float32)
    warp = random_warp(shape, warp_mm, rng) if warp_mm else 0.0
    angles = np.deg2rad(rng.uniform(-8, 8, 3))
    turn = _rotation(angles)
    scale = rng.uniform(0.93, 1.07, 3)
    matrix = (turn @ np.diag(scale)).astype(np.float32)
    there = np.stack([sum(matrix[i, j] * world[j] for j in range(3)) for i in range(3)]) + warp
    sample = np.stack([(there[i] - affine[i, 3]) / step for i in range(3)])
    maps = {name: ndimage.map_coordinates(m, sample, order=1, mode="constant") for name, m in tissue.items()}
    clean = _intensity(maps, there, stripped=stripped)
    field = _smooth_zoom(rng.normal(size=(4, 4, 4)), shape)
    shaded = clean * np.exp(bias * field / np.abs(field).max()) * 1000
    pair = rng.standard_normal((2, *shape), dtype=np.float32) * np.float32(noise * 1000)
    measured = np.hypot(shaded + pair[0], pair[1]).astype(np.float32)
    if stripped:
        measured[maps["gm"] + maps["wm"] + maps["csf"] < 0.5] = 0
    image = nib.Nifti1Image(measured, grid_affine)
    truth = {"gm": maps["gm"], "wm": maps["wm"], "csf": maps["csf"] + (0 if stripped else maps["outer"])}
    return Head(image, truth, np.moveaxis(there, 0, -1).astype(np.float32))


def _rotation(angles: np.ndarray) -> np.ndarray:
    c, s = np.cos(angles), np.sin(angles)
    x = np.array([[1, 0, 0], [0, c[0], -s[0]], [0, s[0], c[0]]])
    y = np.array([[c[1], 0, s[1]], [0, 1, 0], [-s[1], 0, c[1]]])
    z = np.array([[c[2], -s[2], 0], [s[2], c[2], 0], [0, 0, 1]])
    return x @ y @ z


def _intensity(maps: dict[str, np.ndarray], there: np.ndarray, *, stripped: bool) -> np.ndarray:
    """T1w intensity of the tissue mixture, deep grey brighter than cortex."""
    deep = np.zeros_like(maps["gm"])
    for centre, radii in DEEP:
        for side in (1, -1):
            distance = sum(((there[i] - (side if i == 0 else 1) * centre[i]) / radii[i]) ** 2 for i in range(3))
            deep = np.maximum(deep, np.clip((1.15 - distance) / 0.3, 0, 1))
    grey = INTENSITY["gm"] + (INTENSITY["deep"] - INTENSITY["gm"]) * deep
    brain = maps["gm"] * grey + maps["wm"] * INTENSITY["wm"] + maps["csf"] * INTENSITY["csf"]
    if stripped:
        return brain
    rest = np.clip(1 - maps["gm"] - maps["wm"] - maps["csf"], 0, 1)
    outside = (
        maps["outer"] * INTENSITY["csf"]
        + maps["marrow"] * INTENSITY["marrow"]
        + maps["scalp"] * INTENSITY["scalp"]
        + (1 - maps["outer"] - maps["marrow"] - maps["scalp"]).clip(0, 1) * 0.05
    )
    return brain + rest * outside
