"""Voxel boxes: partial volumes, overlap of visits, displacement, place."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from mrs_pipeline.anatomy import (
    TissueFractions,
    box_volume,
    check_name,
    coverage,
    displaced,
    displaced_fractions,
    fractions,
    mni_centre,
    overlap,
    place,
    voxel_mask,
)
from mrs_pipeline.errors import InputError


@dataclass
class Grid:
    shape: tuple[int, int, int]
    affine: np.ndarray


def grid(shape=(80, 90, 70), spacing=(0.9375, 1.0, 1.2), angles=(5, -8, 12)):
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", angles, degrees=True).as_matrix() @ np.diag(spacing)
    affine[:3, 3] = -affine[:3, :3] @ (np.array(shape) - 1) / 2
    return Grid(shape, affine)


def box(edges, angles=(0, 0, 0), centre=(0, 0, 0)):
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", angles, degrees=True).as_matrix() @ np.diag(edges)
    affine[:3, 3] = centre
    return affine


@settings(deadline=None, max_examples=20)
@given(
    edges=st.tuples(*[st.floats(8, 30)] * 3),
    angles=st.tuples(*[st.floats(-90, 90)] * 3),
    centre=st.tuples(*[st.floats(-6, 6)] * 3),
)
def test_volume_and_centre_of_the_mask_are_the_boxs(edges, angles, centre):
    image, affine = grid(), box(edges, angles, centre)
    mask = voxel_mask(affine, image)
    voxel = abs(np.linalg.det(image.affine[:3, :3]))
    assert mask.sum() * voxel == pytest.approx(box_volume(affine), rel=0.001)
    index = np.argwhere(mask > 0)
    world = index @ image.affine[:3, :3].T + image.affine[:3, 3]
    weights = mask[mask > 0]
    assert (weights[:, None] * world).sum(0) / weights.sum() == pytest.approx(np.array(centre), abs=0.05)


def test_partial_volumes_of_an_aligned_box():
    image = Grid((20, 20, 20), np.eye(4))
    mask = voxel_mask(box((4.4, 4.0, 4.0), centre=(10, 10, 10)), image)
    # along x from 7.8 to 12.2: voxels 8 to 12 centred at integers, the outer ones cut at 0.3 -> 0.7 of a voxel
    assert mask[8, 10, 10] == pytest.approx(0.7, abs=0.005)
    assert mask[10, 10, 10] == 1.0
    assert mask[10, 8, 10] == pytest.approx(0.5, abs=0.005)
    assert mask[7, 10, 10] == 0.0


def test_partial_volumes_against_dense_sampling():
    image, affine = grid((40, 40, 40), (1.0, 1.0, 1.0)), box((14, 11, 17), (33, -21, 58), (1.3, -0.7, 2.1))
    coarse, fine = voxel_mask(affine, image), voxel_mask(affine, image, subdivisions=24)
    assert np.abs(coarse - fine).max() < 0.06
    assert coarse.sum() == pytest.approx(fine.sum(), rel=5e-4)


@pytest.mark.parametrize("turned", [False, True])
def test_volume_of_small_boxes_on_a_coarse_grid(turned):
    rng = np.random.default_rng(5)
    image = Grid((20, 20, 20), np.diag([3.0, 3.0, 3.0, 1.0]))
    for _ in range(100):
        angles = rng.uniform(-90, 90, 3) if turned else (0, 0, 0)
        affine = box(rng.uniform(10, 15, 3), angles, 28.5 + rng.uniform(-4, 4, 3))
        assert voxel_mask(affine, image).sum() * 27 == pytest.approx(box_volume(affine), rel=0.001)


def test_box_leaving_the_image_and_missing_it():
    image = Grid((20, 20, 20), np.eye(4))
    half = box((10, 10, 10), centre=(-0.5, 10, 10))
    assert coverage(voxel_mask(half, image), half, image) == pytest.approx(0.5, abs=5e-4)
    with pytest.raises(InputError, match="outside the T1w"):
        voxel_mask(box((10, 10, 10), centre=(200, 0, 0)), image)
    with pytest.raises(InputError, match="no volume"):
        voxel_mask(np.zeros((4, 4)), image)


def test_overlap_of_shifted_and_turned_boxes():
    one = box((20, 20, 20))
    assert overlap(one, one).dice == pytest.approx(1.0)
    shifted = overlap(one, box((20, 20, 20), centre=(5, 0, 0)))
    assert shifted.dice == pytest.approx(0.75, abs=0.001)
    assert shifted.distance_mm == pytest.approx(5.0)
    turned = overlap(one, box((20, 20, 20), (0, 0, 45)))
    # common area of two unit squares turned by 45 degrees: 2 (sqrt 2 - 1)
    assert turned.dice == pytest.approx(2 * (np.sqrt(2) - 1), abs=0.001)
    assert turned.angle_deg == pytest.approx(45.0)
    assert overlap(one, box((20, 20, 20), (0, 0, 90))).angle_deg == pytest.approx(0.0, abs=1e-5)
    assert overlap(box((30, 20, 10)), box((30, 20, 10), (0, 0, 90))).angle_deg == pytest.approx(90.0)


@settings(deadline=None, max_examples=20)
@given(angles=st.tuples(*[st.floats(-40, 40)] * 3), shift=st.tuples(*[st.floats(-30, 30)] * 3))
def test_a_moved_head_with_its_voxel_overlaps_fully(angles, shift):
    move = box((1, 1, 1), angles, shift)
    one = box((25, 20, 15), (10, 20, 30), (3, 4, 5))
    found = overlap(one, move @ one, np.linalg.inv(move))
    assert found.dice == pytest.approx(1.0, abs=1e-6)
    assert found.distance_mm == pytest.approx(0.0, abs=1e-6)
    assert found.angle_deg == pytest.approx(0.0, abs=1e-4)


def test_tissue_change_between_visits():
    pair = (TissueFractions(0.5, 0.3, 0.2), TissueFractions(0.45, 0.33, 0.22))
    assert overlap(box((20, 20, 20)), box((20, 20, 20)), tissue=pair).tissue_change == pytest.approx(
        (-0.05, 0.03, 0.02)
    )


def maps_by_halves(shape):
    gm = np.zeros(shape)
    gm[: shape[0] // 2] = 1
    return {"gm": gm, "wm": 1 - gm, "csf": np.zeros(shape)}


def test_fractions_of_a_box_on_a_plane_border():
    image = Grid((40, 40, 40), np.eye(4))
    mask = voxel_mask(box((10, 10, 10), centre=(21.5, 20, 20)), image)  # the border lies at 19.5
    found = fractions(mask, maps_by_halves(image.shape))
    assert (found.gm, found.wm, found.csf) == pytest.approx((0.3, 0.7, 0.0), abs=1e-6)


def test_chemical_shift_moves_the_box_along_its_own_axes():
    turned = box((20, 20, 20), (0, 0, 90), (1, 2, 3))
    moved = displaced(turned, -1.64, (1.5, 0.0, 0.0))
    assert moved[:3, 3] == pytest.approx((1, 2 - 1.64 * 1.5, 3))
    image = Grid((40, 40, 40), np.eye(4))
    found = displaced_fractions(
        box((10, 10, 10), centre=(19.5, 20, 20)),
        image,
        maps_by_halves(image.shape),
        (1.0, 0, 0),
        4.68,
        {"NAA": 2.01, "water": 4.68},
    )
    assert found["water"].gm == pytest.approx(0.5, abs=1e-6)
    assert found["NAA"].gm == pytest.approx(0.5 + 0.267, abs=0.006)


def test_place_says_what_leaves_the_head_and_how_far_things_are():
    image = Grid((60, 60, 60), np.eye(4))
    regions = np.zeros(image.shape, dtype=np.uint8)
    regions[10:50, 10:50, 10:50] = 1
    regions[15:45, 15:45, 15:45] = 2
    regions[28:32, 28:32, 40:44] = 4
    affine = box((10, 10, 10), centre=(29.5, 29.5, 24.5))
    found = place(voxel_mask(affine, image), affine, image, regions)
    assert found.outside_head == 0.0
    assert found.skull_mm == pytest.approx(6.0)  # voxel 20 to the last one outside, 14
    assert found.ventricle_mm == pytest.approx(11.0)  # voxel 29 to 40
    assert found.warnings == ()
    edge = box((10, 10, 10), centre=(9.5, 29.5, 29.5))
    leaving = place(voxel_mask(edge, image), edge, image, regions)
    assert leaving.outside_head == pytest.approx(0.5, abs=0.01)
    assert "50 % of the voxel lies outside the head" in leaving.warnings[0]
    assert leaving.skull_mm == 0.0


def test_a_box_that_hardly_touches_the_image_has_a_place_and_one_that_does_not_is_refused():
    image = Grid((60, 60, 60), np.eye(4))
    regions = np.full(image.shape, 2, dtype=np.uint8)
    regions[40:, :, :] = 4
    corner = box((10, 10, 10), centre=(-5.3, -5.3, -5.3))
    mask = voxel_mask(corner, image)
    assert 0 < mask.max() < 0.5
    assert place(mask, corner, image, regions).ventricle_mm == pytest.approx(40.0)  # voxel 0 to 40
    small = box((0.5, 0.5, 0.5), centre=(30, 30, 30))
    assert place(voxel_mask(small, image), small, image, regions).ventricle_mm == pytest.approx(10.0)
    with pytest.raises(InputError, match="outside the T1w"):
        voxel_mask(box((10, 10, 10), (0, 0, 45), (-6.4, -6.4, 20)), image)


def test_name_check_catches_swapped_labels():
    expected = {"acc": ((0.0, 30.0, 24.0), 20.0), "pcc": ((0.0, -52.0, 26.0), 20.0)}
    assert check_name("acc", (2.0, 28.0, 20.0), expected) is None
    assert check_name("insula", (0.0, 0.0, 0.0), expected) is None
    complaint = check_name("acc", (1.0, -50.0, 25.0), expected)
    assert "80 mm from where it is expected" in complaint
    assert "where voi-pcc is expected" in complaint
    assert "could not be checked" in check_name("acc", None, expected)


def test_mni_centre_is_interpolated():
    affine = np.diag([2.0, 2, 2, 1])
    axes = np.stack(np.meshgrid(*[np.arange(10.0)] * 3, indexing="ij"), axis=-1) * 2 - 7
    assert mni_centre(box((20, 20, 20), centre=(5, 6, 7)), axes, affine) == pytest.approx((-2, -1, 0))
    assert mni_centre(box((20, 20, 20), centre=(50, 6, 7)), axes, affine) is None
