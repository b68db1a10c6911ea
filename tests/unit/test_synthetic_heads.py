"""Heads: warps that do not fold, true fractions of oblique boxes, images that show the tissue planted in them."""

from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest

from mrs_pipeline.anatomy import fractions, voxel_mask
from mrs_pipeline.synthetic import REGIONS, HeadSettings, TissueMix, heads, strong_head
from mrs_pipeline.synthetic.geometry import apply, box_affine, rigid, rotation


@pytest.fixture(scope="module")
def head():
    return heads.random_head(HeadSettings(), np.random.default_rng(5))


@pytest.fixture(scope="module")
def strong():
    return heads.random_head(strong_head(), np.random.default_rng(5))


@pytest.mark.parametrize("name", ["head", "strong"])
def test_warps_do_not_fold_and_can_be_undone(name, request):
    one = request.getfixturevalue(name)
    assert heads.folding(one, step_mm=8.0) > 0.1
    for region in REGIONS.values():
        point = heads.from_template(one, np.array(region.mni))
        np.testing.assert_allclose(heads.to_template(one, point), region.mni, atol=1e-5)


def test_warps_are_as_strong_as_asked():
    rng = np.random.default_rng(1)
    one = heads.random_head(HeadSettings(warp_mm=9.0, warp_scale_mm=40.0), rng)
    grid = heads._coarse_grid(8.0)
    moved = np.linalg.norm(heads.to_template(one, grid) - grid, axis=-1)
    assert moved.max() == pytest.approx(9.0)


def test_a_warp_that_folds_is_an_error():
    wild = heads.random_head(HeadSettings(warp_mm=60.0, warp_scale_mm=15.0), np.random.default_rng(0))
    assert heads.folding(wild, step_mm=4.0) < 0
    with pytest.raises(ValueError, match="folds"):
        heads.from_template(wild, np.array(REGIONS["acc"].mni))


def test_template_tissue_sums_to_one_in_the_brain():
    maps, affine = heads.template()
    total = maps.sum(axis=0)
    assert affine.shape == (4, 4)
    assert total.max() == pytest.approx(1.0, abs=1e-6)
    # brain volume of the ICBM 152 template, about 1.9 litres with CSF
    assert 1.5e6 < total.sum() < 2.2e6


def test_ventricles_grow_and_cortex_thins():
    still = HeadSettings(warp_mm=1e-6)
    large = replace(still, ventricle_scale=(1.4, 1.4))
    thin = replace(still, thinning_mm=0.7)
    ventricle = box_affine((0, -14, 14), (44, 70, 40), np.eye(3))
    cortex = box_affine((40, 20, 40), (20, 20, 20), np.eye(3))
    plain, wide, eroded = (heads.random_head(s, np.random.default_rng(0)) for s in (still, large, thin))
    assert heads.box_tissue(wide, ventricle, 1.5).csf > 1.15 * heads.box_tissue(plain, ventricle, 1.5).csf
    assert heads.box_tissue(eroded, cortex, 1.0).gm < heads.box_tissue(plain, cortex, 1.0).gm - 0.02
    assert heads.box_tissue(eroded, cortex, 1.0).wm == pytest.approx(heads.box_tissue(plain, cortex, 1.0).wm, abs=0.01)


def test_true_fractions_of_oblique_boxes_agree_with_exact_geometry(head):
    """The head sampled at 1 mm, with the box's partial volumes from the anatomy room, gives the planted fractions."""
    low, shape = np.array([-60.0, -40.0, -25.0]), (75, 95, 75)
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), axis=-1) + low
    tissue = heads.tissue_at(head, grid.astype(float))
    affine = np.eye(4)
    affine[:3, 3] = low
    image = nib.Nifti1Image(tissue[..., 0], affine)
    for name in ("acc", "insula"):
        region = REGIONS[name]
        centre = heads.from_template(head, np.array(region.mni))
        box = box_affine(centre, region.size_mm, rotation((25.0, -20.0, 35.0)))
        truth = heads.box_tissue(head, box, step_mm=0.5)
        maps = {"gm": tissue[..., 0], "wm": tissue[..., 1], "csf": tissue[..., 2]}
        found = fractions(voxel_mask(box, image), maps)
        np.testing.assert_allclose([found.gm, found.wm, found.csf], truth.vector, atol=2e-3)


def test_quadrature_error_is_what_the_docs_say(head):
    region = REGIONS["insula"]
    box = box_affine(heads.from_template(head, np.array(region.mni)), region.size_mm, rotation((10.0, 5.0, -12.0)))
    fine = heads.box_tissue(head, box, step_mm=0.3).vector
    assert np.abs(heads.box_tissue(head, box, step_mm=0.5).vector - fine).max() < 3e-4
    assert np.abs(heads.box_tissue(head, box, step_mm=1.0).vector - fine).max() < 1e-3


def test_box_points_fill_the_box():
    box = box_affine((1.0, 2.0, 3.0), (10.0, 20.0, 30.0), rotation((30.0, 10.0, -50.0)))
    points = heads.box_points(box, 1.0)
    inside = apply(np.linalg.inv(box), points)
    assert points.shape == (6000, 3)
    assert np.abs(inside).max() == pytest.approx(0.5 - 0.5 / 30)
    np.testing.assert_allclose(points.mean(axis=0), (1.0, 2.0, 3.0), atol=1e-9)


def test_a_box_outside_the_brain_is_an_error(head):
    with pytest.raises(ValueError, match="outside"):
        heads.box_tissue(head, box_affine((0, 0, 200), (20, 20, 20), np.eye(3)), 2.0)


def test_t1w_shows_the_planted_tissue_where_the_pose_puts_it(head):
    settings = HeadSettings(resolution_mm=4.0, noise=0.0, bias_field=0.0)
    pose = rigid((3.0, -2.0, 4.0), (5.0, -3.0, 8.0))
    image = heads.t1w_image(head, pose, settings, np.random.default_rng(0))
    assert image.get_data_dtype() == np.int16
    index = np.argwhere(np.asarray(image.dataobj) > 100)[::97]
    points = apply(np.linalg.inv(pose) @ image.affine, index)
    expected = heads.tissue_at(head, points) @ head.intensity
    np.testing.assert_allclose(np.asarray(image.dataobj)[tuple(index.T)], expected, atol=0.51)


def test_skull_lies_around_the_brain(strong):
    settings = replace(strong_head(), resolution_mm=5.0, noise=0.0, bias_field=0.0)
    image = heads.t1w_image(strong, np.eye(4), settings, np.random.default_rng(0))
    data = np.asarray(image.dataobj)
    grid = np.argwhere(np.ones(data.shape, bool))
    moved = heads.to_template(strong, apply(image.affine, grid))
    away = heads.distance_to_brain(moved, order=1)
    value = data.reshape(-1).astype(float)
    assert value[(away > 10.5) & (away < 11.5)].mean() > 900
    assert value[(away > 2.7) & (away < 3.3)].mean() < 120
    assert value[away > 16].max() == 0


def test_bias_field_stays_within_its_limit():
    field = heads.bias_field((20, 25, 30), 0.2, np.random.default_rng(0))
    assert field.shape == (20, 25, 30)
    assert np.abs(field - 1).max() == pytest.approx(0.2)


def test_rician_noise_floor():
    empty = heads.rician(np.zeros((40, 40, 40)), 10.0, np.random.default_rng(0))
    # mean of a Rayleigh distribution
    assert empty.mean() == pytest.approx(10.0 * np.sqrt(np.pi / 2), rel=0.01)


@pytest.mark.parametrize("wrong", [(0.5, 0.4, 0.2), (-0.1, 0.6, 0.5)])
def test_fractions_have_to_be_fractions(wrong):
    with pytest.raises(ValueError, match="sum to 1"):
        TissueMix(*wrong)
