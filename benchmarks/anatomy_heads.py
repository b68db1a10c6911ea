"""Whole heads with known tissue, warped far from the template whose maps also serve as priors.

The ventricles are widened, the cortex is thinned, deep grey matter is given an intensity close to white matter as on
a real T1w, outer CSF, skull, marrow, scalp and neck are added, and the whole is warped by 8 mm and more, tilted,
shaded by a bias field and made noisy (Rician). The truth is the warped tissue map itself.

Grey matter is not the same everywhere. Its intensity follows myelin: primary motor, sensory, visual and auditory
cortex are brighter than association cortex (Glasser and Van Essen 2011, doi:10.1523/JNEUROSCI.2180-11.2011), deep
layers brighter than outer ones, and every nucleus has its own. The pattern is from there, the sizes are assumed: the
cortex has a standard deviation of 6 % over some 35 mm, half of it at places named here and half at random, and 4 % up
and down with depth; white matter has 2.5 %. ``regional=False`` gives all of the cortex one intensity.

The maps are the average of many heads, so that hardly a voxel is pure (8 % of grey matter lies in voxels that hold 90
% of it). With ``drawn=True`` the tissue of one head is drawn from them (62 %).
"""

from __future__ import annotations

from dataclasses import dataclass

import nibabel as nib
import numpy as np
from scipy import ndimage, special

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
NUCLEI = (
    # centre and radii as above, intensity of grey matter; a later one covers an earlier one
    ((0.0, -62.0, -36.0), (54.0, 34.0, 24.0), 0.71),  # cerebellar cortex
    ((27.0, -24.0, -13.0), (9.0, 17.0, 9.0), 0.72),  # hippocampus
    ((13.0, 12.0, 8.0), (6.0, 14.0, 10.0), 0.78),  # caudate
    ((26.0, 2.0, 0.0), (7.0, 15.0, 10.0), 0.78),  # putamen
    ((19.0, -5.0, -1.0), (5.0, 8.0, 6.0), 0.93),  # pallidum
    ((11.0, -18.0, 7.0), (9.0, 13.0, 9.0), 0.84),  # thalamus
)
AREAS = (
    # centre (MNI mm, right side; mirrored), reach (mm, one SD), change of the cortex's intensity at the centre
    ((38.0, -24.0, 54.0), 18.0, 0.10),  # motor and sensory
    ((4.0, -30.0, 64.0), 14.0, 0.08),  # the same, medial
    ((8.0, -84.0, 4.0), 18.0, 0.10),  # visual
    ((46.0, -20.0, 8.0), 12.0, 0.08),  # auditory
    ((28.0, 50.0, 12.0), 24.0, -0.07),  # prefrontal
    ((6.0, 34.0, 16.0), 16.0, -0.05),  # anterior cingulate
    ((38.0, 6.0, 0.0), 12.0, -0.08),  # insula
    ((46.0, -4.0, -30.0), 20.0, -0.07),  # temporal
)
PATCH_SD, DEPTH_CHANGE, WHITE_SD = 0.04, 0.04, 0.025
PATCHES = (6, 7, 6)
"""Control points of the random part: one in 35 to 40 mm."""
FOLD_MM, SOFTNESS = 1.6, 0.3
"""Smoothness and edges of a drawn head."""


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


def template_tissue(
    ventricle_mm: float, thinning: float, step: int = 1, rng: np.random.Generator | None = None
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return tissue and head layers in template space (every ``step`` mm), after atrophy, and the affine.

    With ``rng`` the tissue of one head is drawn from the average, without it is the average itself.
    """
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
    if rng is not None:
        gm, wm, csf = _drawn((gm, wm, csf), rng, step)
    depth = _depth(gm, wm, np.where(brain, csf, 1), step)
    return {"gm": gm, "wm": wm, "csf": csf, "depth": depth, **_layers(brain, step)}, affine


def _drawn(shares: tuple[np.ndarray, ...], rng: np.random.Generator, step: int) -> list[np.ndarray]:
    """Draw one head from shares that are the average of many: each tissue is found as often as its share says.

    The largest of log share plus Gumbel noise falls on a tissue with the probability of its share; here the noise is
    smooth and the largest soft, so that patches of some 4 mm with blurred edges come out.
    """
    total = sum(shares)
    scores = []
    for share in shares:
        smooth = ndimage.gaussian_filter(rng.standard_normal(share.shape, dtype=np.float32), FOLD_MM / step)
        uniform = np.clip(special.ndtr(_unit_variance(smooth)), 1e-6, 1 - 1e-6)
        scores.append((np.log(np.maximum(share, 1e-6)) - np.log(-np.log(uniform))) / SOFTNESS)
    weights = [np.exp(score - np.maximum.reduce(scores)) for score in scores]
    return [total * weight / sum(weights) for weight in weights]


def _depth(gm: np.ndarray, wm: np.ndarray, outside: np.ndarray, step: int) -> np.ndarray:
    """Depth in the cortex: 1 where only white matter is near (1.5 mm), 2 less where only CSF is; mean over grey 0."""
    inner, outer = (ndimage.gaussian_filter(np.float32(m), 1.5 / step) for m in (wm, outside))
    depth = (inner - outer) / np.maximum(inner + outer, 0.05)
    return depth - (gm * depth).sum() / gm.sum()


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
    regional: bool = True,
    drawn: bool = False,
) -> Head:
    """Make one head; every effect can be turned off."""
    rng = np.random.default_rng(seed)
    step = max(1, int(resolution))
    tissue, affine = template_tissue(ventricle_mm, thinning, step, np.random.default_rng([seed, 2]) if drawn else None)
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
    if regional:
        grey, white = _regional_intensity(maps["depth"], there, np.random.default_rng([seed, 1]))
    else:
        grey, white = _uniform_intensity(there), INTENSITY["wm"]
    clean = _intensity(maps, grey, white, stripped=stripped)
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


def _ellipsoid(there: np.ndarray, centre: tuple[float, ...], radii: tuple[float, ...]) -> np.ndarray:
    """Return 1 in an ellipsoid of template space and in its mirror image, 0 outside, with a soft edge."""
    inside = np.zeros(there.shape[1:], dtype=np.float32)
    for side in (1, -1):
        distance = sum(((there[i] - (side if i == 0 else 1) * centre[i]) / radii[i]) ** 2 for i in range(3))
        inside = np.maximum(inside, np.clip((1.15 - distance) / 0.3, 0, 1))
    return inside


def _uniform_intensity(there: np.ndarray) -> np.ndarray:
    """Intensity of pure grey matter: one for all cortex, one for deep grey matter."""
    deep = np.maximum(*(_ellipsoid(there, centre, radii) for centre, radii in DEEP))
    return INTENSITY["gm"] + (INTENSITY["deep"] - INTENSITY["gm"]) * deep


def _regional_intensity(
    depth: np.ndarray, there: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Intensity of pure grey and pure white matter at every point."""
    shape = depth.shape
    change = np.zeros(shape, dtype=np.float32)
    for centre, reach, size in AREAS:
        x, y, z = (there[0] - np.sign(there[0]) * centre[0], there[1] - centre[1], there[2] - centre[2])
        change += size * np.exp(-0.5 * (x**2 + y**2 + z**2) / reach**2)
    grey_patches, white_patches = (_unit_variance(_smooth_zoom(rng.normal(size=PATCHES), shape)) for _ in range(2))
    grey = INTENSITY["gm"] * (1 + change + PATCH_SD * grey_patches) * (1 + DEPTH_CHANGE * depth)
    for centre, radii, intensity in NUCLEI:
        inside = _ellipsoid(there, centre, radii)
        grey = grey + (intensity * (1 + 0.25 * PATCH_SD * grey_patches) - grey) * inside
    return grey, INTENSITY["wm"] * (1 + WHITE_SD * white_patches)


def _unit_variance(field: np.ndarray) -> np.ndarray:
    return (field - field.mean()) / field.std()


def _intensity(
    maps: dict[str, np.ndarray], grey: np.ndarray, white: np.ndarray | float, *, stripped: bool
) -> np.ndarray:
    """T1w intensity of the tissue mixture and of what lies around the brain."""
    brain = maps["gm"] * grey + maps["wm"] * white + maps["csf"] * INTENSITY["csf"]
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
