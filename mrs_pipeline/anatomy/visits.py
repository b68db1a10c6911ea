"""The same voxel at two visits: rigid registration of the heads, overlap of the boxes."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations, product

import numpy as np
import numpy.typing as npt

from mrs_pipeline.anatomy.geometry import box_edges, box_volume, spread_points
from mrs_pipeline.anatomy.tissue import TissueFractions
from mrs_pipeline.spectrum import FloatArray

POINTS = 1 << 17


@dataclass(frozen=True)
class Overlap:
    """How well a voxel was placed again.

    Parameters
    ----------
    dice
        Twice the common volume over the sum of both volumes.
    distance_mm
        Between the two centres.
    angle_deg
        Smallest rotation that turns one box's axes into the other's; exchanging equal edges does not count.
    tissue_change
        GM, WM, CSF of the second visit minus the first; ``None`` without fractions.
    """

    dice: float
    distance_mm: float
    angle_deg: float
    tissue_change: tuple[float, float, float] | None = None


def overlap(
    first: npt.ArrayLike,
    second: npt.ArrayLike,
    second_to_first: npt.ArrayLike | None = None,
    tissue: tuple[TissueFractions, TissueFractions] | None = None,
) -> Overlap:
    """Compare the boxes of two visits.

    Parameters
    ----------
    first, second
        Affines of the NIfTI-MRS images, each in its visit's scanner coordinates, shape (4, 4).
    second_to_first
        Rigid transform from the second visit's scanner coordinates to the first's, shape (4, 4); ``None`` if they are
        the same.
    tissue
        Fractions at both visits.

    Notes
    -----
    The common volume is the share of 131 072 evenly spread points of the first box that lie in the second (additive
    recurrence of the plastic constant, which no orientation of the boxes can align with): an error below 0.1 % of the
    volume.
    """
    one = np.asarray(first, dtype=float)
    two = (np.eye(4) if second_to_first is None else np.asarray(second_to_first, dtype=float)) @ np.asarray(
        second, dtype=float
    )
    grid = spread_points(POINTS)
    between = np.linalg.inv(two) @ one
    inside = np.all(np.abs(grid @ between[:3, :3].T + between[:3, 3]) <= 0.5, axis=1)
    common = float(inside.mean()) * box_volume(one)
    change = None
    if tissue is not None:
        before, after = tissue
        change = (after.gm - before.gm, after.wm - before.wm, after.csf - before.csf)
    return Overlap(
        dice=2 * common / (box_volume(one) + box_volume(two)),
        distance_mm=float(np.linalg.norm(two[:3, 3] - one[:3, 3])),
        angle_deg=_angle(one, two),
        tissue_change=change,
    )


def _angle(one: FloatArray, two: FloatArray) -> float:
    """Smallest rotation angle between two boxes over the rotations that map a box onto itself."""
    edges = box_edges(one)
    turn = (one[:3, :3] / edges).T @ (two[:3, :3] / box_edges(two))
    angles = []
    for order in permutations(range(3)):
        if not np.allclose(edges[list(order)], edges, rtol=0.02):
            continue
        for signs in product((1, -1), repeat=3):
            same = np.zeros((3, 3))
            same[list(order), range(3)] = signs
            cosine = (np.trace(turn @ same) - 1) / 2
            if np.linalg.det(turn @ same) > 0:
                angles.append(float(np.degrees(np.arccos(np.clip(cosine, -1, 1)))))
    return min(angles)


def register_heads(first: npt.NDArray[np.floating], second: npt.NDArray[np.floating], spacing: float) -> FloatArray:
    """Find the rigid transform between two heads on grids of the same spacing, by ANTs (Mattes mutual information).

    Parameters
    ----------
    first, second
        Images, shape (x, y, z).
    spacing
        Voxel size in mm.

    Returns
    -------
    array
        From millimetres on the second grid (index times spacing) to millimetres on the first, shape (4, 4).
    """
    import tempfile

    import ants

    from mrs_pipeline.anatomy.segmentation import SEED

    fixed, moving = (
        ants.from_numpy(np.ascontiguousarray(v / np.percentile(v, 99), dtype=np.float32), spacing=(spacing,) * 3)
        for v in (first, second)
    )
    ants.config._random_seed = SEED  # noqa: SLF001  the only way to the seed without the Repro transforms
    with tempfile.TemporaryDirectory() as folder:
        done = ants.registration(fixed, moving, "Rigid", outprefix=f"{folder}/r", aff_iterations=(500, 300, 100, 20))
        found = ants.read_transform(done["fwdtransforms"][0])
        parameters, centre = np.array(found.parameters), np.array(found.fixed_parameters)
    rotation, shift = parameters[:9].reshape(3, 3), parameters[9:]
    first_to_second = np.eye(4)
    first_to_second[:3, :3] = rotation
    first_to_second[:3, 3] = shift + centre - rotation @ centre
    return np.asarray(np.linalg.inv(first_to_second), dtype=np.float64)
