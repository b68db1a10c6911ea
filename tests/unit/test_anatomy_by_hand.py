"""Geometry of boxes whose overlaps and displacements can be written down."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from mrs_pipeline.anatomy.geometry import box_edges, box_volume, coverage, voxel_mask
from mrs_pipeline.anatomy.placement import _distance, check_name, displaced, mni_centre


@dataclass(frozen=True, eq=False)
class Grid:
    shape: tuple[int, ...]
    affine: np.ndarray


def affine_of(axes, edges, centre):
    out = np.eye(4)
    out[:3, :3] = np.asarray(axes) * np.asarray(edges)
    out[:3, 3] = centre
    return out


EDGES = (7.3, 21.1, 33.7)
CENTRE = np.array([20.4, 31.7, 43.9])
T1W = Grid((40, 30, 22), np.diag([1.0, 2.0, 4.0, 1.0]))


def overlap(length, step, count, centre):
    """Share of each of ``count`` intervals of width ``step`` (centred at its index) inside an interval."""
    low, high = centre - length / 2, centre + length / 2
    left = np.arange(count) * step - step / 2
    return np.clip(np.minimum(left + step, high) - np.maximum(left, low), 0, None) / step


def test_a_straight_box_covers_the_product_of_its_overlaps():
    parts = [overlap(EDGES[i], (1.0, 2.0, 4.0)[i], T1W.shape[i], CENTRE[i]) for i in range(3)]
    exact = np.einsum("i,j,k->ijk", *parts)
    found = voxel_mask(affine_of(np.eye(3), EDGES, CENTRE), T1W)
    np.testing.assert_allclose(found, exact, atol=0.01)
    assert found.sum() == pytest.approx(exact.sum(), rel=1e-3)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
@pytest.mark.parametrize("degrees", [0.0, 17.0, 45.0])
def test_the_volume_of_an_oblique_box_is_kept(order, degrees):
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    box = affine_of(turn, np.array(EDGES)[list(order)], CENTRE)
    grid = Grid((70, 70, 50), affine_of(np.eye(3), (1.0, 2.0, 3.0), (-20.0, -30.0, -30.0)))
    found = voxel_mask(box, grid)
    assert found.sum() * 6.0 == pytest.approx(np.prod(EDGES), rel=2e-3)
    assert box_volume(box) == pytest.approx(np.prod(EDGES))
    np.testing.assert_allclose(box_edges(box), np.array(EDGES)[list(order)])
    assert coverage(found, box, grid) == pytest.approx(1.0, rel=2e-3)
    index = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), axis=-1)
    middle = (index * found[..., None]).sum(axis=(0, 1, 2)) / found.sum()
    np.testing.assert_allclose(
        middle * (1.0, 2.0, 3.0) + (-20.0, -30.0, -30.0), CENTRE, atol=0.15
    )  # slabs are counted at the middle of their voxel


def test_coverage_of_a_box_that_leaves_the_image():
    grid = Grid((20, 20, 20), np.diag([2.0, 2.0, 2.0, 1.0]))  # ends at -1 mm
    box = affine_of(np.eye(3), (10.0, 10.0, 10.0), (1.5, 20.0, 20.0))  # from -3.5 mm: a quarter lies outside
    assert coverage(voxel_mask(box, grid), box, grid) == pytest.approx(0.75, abs=1e-3)


def test_a_box_moves_along_its_own_axes():
    # first axis of the box points along scanner y, second along -x
    axes = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    moved = displaced(affine_of(axes, (20.0, 30.0, 40.0), (1.0, 2.0, 3.0)), -2.0, (0.5, 0.25, -1.0))
    np.testing.assert_allclose(moved[:3, 3], (1.0 + 0.5, 2.0 - 1.0, 3.0 + 2.0))
    np.testing.assert_allclose(moved[:3, :3], axes * (20.0, 30.0, 40.0))


def test_distances_are_in_millimetres():
    mask, target = np.zeros((30, 30, 30)), np.zeros((30, 30, 30), dtype=bool)
    mask[10:13, 10:13, 10:13] = 1.0
    target[10, 10, 20] = True
    assert _distance(mask, target, np.array([1.0, 2.0, 3.0])) == pytest.approx(8 * 3.0)
    target[10, 17, 10] = True
    assert _distance(mask, target, np.array([1.0, 2.0, 3.0])) == pytest.approx(5 * 2.0)
    target[11, 11, 11] = True
    assert _distance(mask, target, np.array([1.0, 2.0, 3.0])) == 0.0


def test_mni_coordinates_are_looked_up_at_the_box():
    grid = affine_of(np.eye(3), (2.0, 2.0, 2.0), (-10.0, 5.0, 7.0))
    index = np.stack(np.meshgrid(*(np.arange(n) for n in (20, 20, 20)), indexing="ij"), axis=-1)
    mm = index * 2.0 + (-10.0, 5.0, 7.0)
    coordinates = mm * (1.1, 0.9, 1.0) + (3.0, 0.0, -4.0)  # a linear map, which interpolation keeps
    found = mni_centre(affine_of(np.eye(3), (20.0, 20.0, 20.0), (4.3, 21.0, 30.9)), coordinates, grid)
    np.testing.assert_allclose(found, (4.3 * 1.1 + 3.0, 21.0 * 0.9, 30.9 - 4.0))
    assert mni_centre(affine_of(np.eye(3), (20.0,) * 3, (-10.1, 21.0, 30.9)), coordinates, grid) is None


@pytest.mark.parametrize(("x", "complains"), [(0.0, False), (24.9, False), (25.1, True), (-25.1, True)])
def test_a_label_is_believed_within_its_tolerance(x, complains):
    expected = {"acc": ((0.0, 30.0, 20.0), 25.0), "pcc": ((60.0, 30.0, 20.0), 25.0)}
    assert (check_name("acc", (x, 30.0, 20.0), expected) is not None) == complains
    assert "voi-pcc is expected" in check_name("acc", (60.0, 30.0, 20.0), expected)
