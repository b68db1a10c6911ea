"""Segmentation and registration end to end; finer heads and more of them: benchmarks/anatomy_accuracy.py."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.transform import Rotation

from mrs_pipeline.anatomy import (
    fractions,
    load_image,
    load_maps,
    load_regions,
    place,
    read_maps,
    register,
    segment,
    voxel_mask,
)
from mrs_pipeline.anatomy.io import write_segmentation
from mrs_pipeline.anatomy.segmentation import Segmentation, is_whole_head, working_grid
from mrs_pipeline.config import TissueSection
from mrs_pipeline.errors import InputError

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def heads():
    name = "anatomy_heads"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


def box_at(head, mni, edge=28.0):
    distance = ((head.to_template - np.array(mni)) ** 2).sum(axis=-1)
    index = np.array(np.unravel_index(np.argmin(distance), distance.shape))
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", (20, -15, 25), degrees=True).as_matrix() * edge
    affine[:3, 3] = head.image.affine[:3, :3] @ index + head.image.affine[:3, 3]
    return affine


@pytest.mark.slow
def test_a_warped_whole_head_gives_its_fractions_and_places(tmp_path):
    head = heads().make_head(3, warp_mm=8.0, thinning=0.2, resolution=2.0)
    t1w = tmp_path / "sub-01_T1w.nii.gz"
    nib.save(head.image, t1w)
    maps = segment(t1w, tmp_path / "maps", TissueSection(resolution_mm=2.0))
    assert maps.head is True
    loaded, (regions, mni) = load_maps(maps), load_regions(maps)
    for where in ((0, 30, 24), (0, -52, 26), (-11, -18, 8)):
        affine = box_at(head, where)
        mask = voxel_mask(affine, head.image)
        truth = np.array([(mask * head.truth[name]).sum() for name in ("gm", "wm", "csf")])
        truth /= truth.sum()
        found = fractions(mask, loaded)
        assert found.gm == pytest.approx(truth[0], abs=0.04)
        assert found.csf == pytest.approx(truth[2], abs=0.06)
        placement = place(mask, affine, head.image, regions, mni)
        assert placement.mni_mm == pytest.approx(where, abs=7.0)
        assert placement.outside_head == pytest.approx(0.0, abs=0.01)
    assert fractions(voxel_mask(box_at(head, (11, -18, 8), 16), head.image), loaded).deep > 0.15


def phantom(shape=(60, 70, 56)):
    rng = np.random.default_rng(1)
    texture = ndimage.gaussian_filter(rng.normal(size=shape), 3.0)
    grid = np.indices(shape)
    ball = sum(((axis - n / 2) / (0.38 * n)) ** 2 for axis, n in zip(grid, shape, strict=True)) < 1
    return np.where(ball, 1.0 + 4.0 * texture, 0.0).astype(np.float32)


@pytest.mark.slow
def test_two_visits_are_registered_and_the_result_is_the_same_every_time(tmp_path):
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = (-60, -70, -56)
    move = np.eye(4)
    move[:3, :3] = Rotation.from_euler("xyz", (4, -6, 8), degrees=True).as_matrix()
    move[:3, 3] = (3.0, -4.0, 5.0)
    data = phantom()
    index = np.linalg.inv(affine) @ np.linalg.inv(move) @ affine  # the second visit's voxel to the first's
    moved = ndimage.affine_transform(data, index[:3, :3], index[:3, 3], order=1)
    first, second = tmp_path / "first.nii.gz", tmp_path / "second.nii.gz"
    nib.save(nib.Nifti1Image(data, affine), first)
    nib.save(nib.Nifti1Image(moved, affine), second)
    found = register(first, second, tmp_path / "one")
    corners = np.array([[x, y, z, 1.0] for x in (-30, 30) for y in (-30, 30) for z in (-30, 30)]).T
    error = np.linalg.norm((found @ move @ corners - corners)[:3], axis=0)
    assert error.max() < 1.0
    register(first, second, tmp_path / "two")
    assert (tmp_path / "one" / "visits.json").read_bytes() == (tmp_path / "two" / "visits.json").read_bytes()


def test_whole_heads_and_brains_are_told_apart():
    grid = np.indices((120, 140, 120)) * 2.0
    radius = np.sqrt(sum((axis - axis.max() / 2) ** 2 for axis in grid))
    brain = np.where(radius < 70, 1.0, 0.0)
    scalp = np.where((radius > 82) & (radius < 92), 1.2, 0.0)
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    noise = np.abs(np.random.default_rng(0).normal(0, 0.02, brain.shape))
    whole = nib.Nifti1Image((brain + scalp + noise).astype(np.float32), affine)
    stripped = nib.Nifti1Image(brain.astype(np.float32), affine)
    assert is_whole_head(working_grid(whole, 2.0))
    assert not is_whole_head(working_grid(stripped, 2.0))


def test_working_grid_keeps_scanner_coordinates():
    affine = np.array([[0, 0, 1.0, -30], [-0.94, 0, 0, 40], [0, -0.94, 0, 35], [0, 0, 0, 1]])
    data = np.zeros((80, 80, 60), dtype=np.float32)
    data[30:50, 25:45, 20:40] = 100
    image = nib.Nifti1Image(data, affine)
    grid = working_grid(image, 2.0)
    middle = np.array(ndimage.center_of_mass(grid.data))
    there = grid.affine[:3, :3] @ middle + grid.affine[:3, 3]
    expected = affine[:3, :3] @ np.array([39.5, 34.5, 29.5]) + affine[:3, 3]
    assert there == pytest.approx(expected, abs=0.2)
    assert np.all(np.diag(grid.affine[:3, :3]) > 0)


@pytest.mark.parametrize("data", [np.zeros((5, 5, 5), np.float32), np.ones((5, 5, 5, 2), np.float32)])
def test_an_image_without_contrast_or_of_four_dimensions_is_refused(data):
    with pytest.raises(InputError, match="three-dimensional image with contrast"):
        working_grid(nib.Nifti1Image(data, np.eye(4)), 2.0)


def ball_image(dtype=np.float32):
    radius = np.sqrt(sum((axis - 30.0) ** 2 for axis in np.indices((61, 61, 61))))
    return np.where(radius < 20, 400, 20).astype(dtype)


@pytest.mark.parametrize("change", ["one volume in 4-D", "uint16", "missing values", "negative noise"])
def test_unusual_but_whole_images_give_the_same_grid(change):
    data, affine = ball_image(), np.diag([2.0, 2.0, 2.0, 1.0])
    expected = working_grid(nib.Nifti1Image(data, affine), 2.0)
    changed = {
        "one volume in 4-D": data[..., None],
        "uint16": ball_image(np.uint16),
        "missing values": np.where(np.indices(data.shape)[0] < 3, np.nan, data).astype(np.float32),
        "negative noise": np.where(np.indices(data.shape)[0] < 3, -50, data).astype(np.float32),
    }[change]
    found = working_grid(nib.Nifti1Image(changed, affine), 2.0)
    np.testing.assert_allclose(found.affine, expected.affine)
    middle = tuple(n // 2 for n in expected.data.shape)
    assert expected.data[middle] > 300
    assert found.data[middle] - found.data[0, 0, 0] == pytest.approx(380, abs=25)


def test_a_broken_t1w_is_refused_with_its_name(tmp_path):
    path = tmp_path / "sub-01_T1w.nii.gz"
    path.write_bytes(b"not an image")
    with pytest.raises(InputError, match="could not be segmented") as error:
        segment(path, tmp_path / "maps", TissueSection())
    assert error.value.path == path


def smooth_head():
    """Return an oblique image of 1 mm with smooth texture."""
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", (5, -8, 12), degrees=True).as_matrix()
    affine[:3, 3] = (-30, -35, -28)
    return nib.Nifti1Image(1000 * np.maximum(phantom((60, 70, 57)), 0), affine)


def at(grid, points):
    """Sample a working grid at scanner coordinates of shape (n, 3)."""
    index = np.linalg.inv(grid.affine) @ np.column_stack([points, np.ones(len(points))]).T
    return ndimage.map_coordinates(grid.data, index[:3], order=1)


def thick_slices(image):
    """Return the image with three slices averaged into one: 1 x 1 x 3 mm."""
    data = image.get_fdata(dtype=np.float32)
    merged = data.reshape(*data.shape[:2], -1, 3).mean(axis=-1)
    join = np.diag([1.0, 1.0, 3.0, 1.0])
    join[2, 3] = 1.0
    return nib.Nifti1Image(merged, image.affine @ join)


def test_thick_slices_lie_where_thin_ones_do():
    image = smooth_head()
    points = np.random.default_rng(2).uniform(-14, 14, (2000, 3)) @ image.affine[:3, :3].T
    points += image.affine[:3, :3] @ np.array([29.5, 34.5, 28.0]) + image.affine[:3, 3]
    thin, thick = at(working_grid(image, 3.0), points), at(working_grid(thick_slices(image), 3.0), points)
    assert thick.mean() == pytest.approx(thin.mean(), rel=0.01)
    assert np.corrcoef(thin, thick)[0, 1] > 0.98
    moved = thick_slices(image)
    moved = nib.Nifti1Image(moved.dataobj, moved.affine @ nib.affines.from_matvec(np.eye(3), [0, 0, 1]))
    assert np.corrcoef(thin, at(working_grid(moved, 3.0), points))[0, 1] < 0.95


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_order_in_which_an_axis_is_stored_does_not_matter(axis):
    image = smooth_head()
    flip = np.eye(4)
    flip[axis, axis], flip[axis, 3] = -1, image.shape[axis] - 1
    other = nib.Nifti1Image(np.flip(np.asarray(image.dataobj), axis).copy(), image.affine @ flip)
    expected, found = working_grid(image, 2.0), working_grid(other, 2.0)
    np.testing.assert_allclose(found.affine, expected.affine, atol=1e-9)
    np.testing.assert_allclose(found.data, expected.data, atol=1e-2)


def test_an_offset_and_a_scale_of_all_intensities_do_not_matter():
    image = smooth_head()
    shifted = nib.Nifti1Image(250 + np.float32(0.5) * np.asarray(image.dataobj), image.affine)
    expected, found = working_grid(image, 2.0), working_grid(shifted, 2.0)
    np.testing.assert_allclose(found.data, expected.data / 2, atol=0.01)


def two_forms(path, q_code, s_code, shift_mm):
    """Save an image whose sform lies ``shift_mm`` beside its qform; return the qform."""
    image = smooth_head()
    beside = image.affine.copy()
    beside[0, 3] += shift_mm
    image.set_sform(beside, code=s_code)
    image.set_qform(image.get_qform() if q_code == 0 else smooth_head().affine, code=q_code)
    nib.save(image, path)
    return smooth_head().affine


@pytest.mark.parametrize(
    ("q_code", "s_code", "shift_mm", "kept"),
    [
        (1, 4, 30.0, "qform"),  # the sform holds MNI coordinates
        (1, 2, 5.0, "qform"),  # the sform was aligned to something else
        (2, 1, 5.0, "sform"),
        (1, 1, 0.5, "sform"),
        (0, 2, 30.0, "sform"),
    ],
)
def test_of_two_places_that_of_the_scanner_counts(tmp_path, q_code, s_code, shift_mm, kept):
    qform = two_forms(tmp_path / "T1w.nii.gz", q_code, s_code, shift_mm)
    loaded = load_image(tmp_path / "T1w.nii.gz")
    assert loaded.affine[0, 3] - qform[0, 3] == pytest.approx(0.0 if kept == "qform" else shift_mm, abs=1e-3)
    np.testing.assert_allclose(loaded.affine[1:], qform[1:], atol=1e-4)


@pytest.mark.parametrize("codes", [(1, 1), (2, 4), (2, 2)])
def test_two_places_without_a_choice_are_refused_in_words(tmp_path, codes):
    two_forms(tmp_path / "T1w.nii.gz", *codes, 12.0)
    with pytest.raises(InputError, match="up to 12 mm apart") as error:
        load_image(tmp_path / "T1w.nii.gz")
    assert "code 1" in error.value.remedy
    assert error.value.path == tmp_path / "T1w.nii.gz"


@pytest.mark.parametrize(("contrast", "doubtful"), [(1.4, True), (3.0, False)])
def test_low_contrast_is_said(tmp_path, contrast, doubtful):
    image = smooth_head()
    share = np.full((20, 20, 20), 0.3, dtype=np.float32)
    mni = np.zeros((5, 5, 5, 3), dtype=np.float32)
    regions = np.full(share.shape, 2, dtype=np.uint8)
    made = Segmentation(share, share, share, regions, mni, image.affine, image.affine, True, contrast)
    write_segmentation(made, image, tmp_path)
    warnings = read_maps(tmp_path).warnings
    assert warnings == (
        ("grey and white matter are only 1.4 SD apart: the tissue maps are doubtful",) if doubtful else ()
    )
