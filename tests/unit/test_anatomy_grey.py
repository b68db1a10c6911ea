"""The urn and the local intensity of grey matter."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from mrs_pipeline.anatomy.grey import Expectation, _between, local_grey, regional_grey
from mrs_pipeline.anatomy.mixture import classify
from mrs_pipeline.anatomy.shading import Blocks
from mrs_pipeline.anatomy.urn import CELLS, GREY_LEVELS, LEVELS, SPREAD, Urn


def normal(values, mean, sd):
    return np.exp(-0.5 * ((values - mean) / sd) ** 2) / (sd * np.sqrt(2 * np.pi))


def at_nodes(urn):
    """Return intensities at which nothing is interpolated."""
    return np.linspace(urn.csf - SPREAD * urn.noise, urn.wm + SPREAD * urn.noise, LEVELS)


@pytest.mark.parametrize("level", [GREY_LEVELS[3], GREY_LEVELS[12]])
def test_an_urn_of_pure_voxels_is_a_mixture_of_three_normals(level):
    urn = Urn(csf=0.2, wm=1.0, noise=0.08, concentration=1e-4)
    prior = np.array([0.2, 0.5, 0.3])
    values = at_nodes(urn)
    parts = prior[:, None] * [normal(values, mean, 0.08) for mean in (0.2, 0.2 + 0.8 * level, 1.0)]
    everywhere = np.repeat(prior[:, None], values.size, axis=1).astype(np.float32)
    grey = np.full(values.size, level)
    assert urn.likelihood(values, everywhere, grey) == pytest.approx(parts.sum(axis=0), abs=2e-3)
    likely = parts.sum(axis=0) > 0.05
    found = urn.shares(values, everywhere, grey)
    assert found[:, likely] == pytest.approx((parts / parts.sum(axis=0))[:, likely], abs=5e-3)


def test_an_urn_of_two_tissues_reads_the_share_from_the_intensity():
    # with hardly any noise a share of k / 12 of white matter in grey matter has one intensity
    urn = Urn(csf=0.0, wm=1.0, noise=0.004, concentration=2.0)
    share = np.arange(CELLS + 1) / CELLS
    level = GREY_LEVELS[8]
    values = level + (1 - level) * share
    prior = np.repeat(np.array([[0.0], [0.5], [0.5]], dtype=np.float32), share.size, axis=1)
    found = urn.shares(values, prior, np.full(share.size, level))
    assert found[2] == pytest.approx(share, abs=0.03)
    assert found.sum(axis=0) == pytest.approx(1.0, abs=1e-5)


def test_an_urns_likelihood_is_a_density_of_the_intensity():
    urn = Urn(csf=0.2, wm=1.0, noise=0.05, concentration=1.2)
    values = np.linspace(0.0, 1.2, 2001)
    for prior in ([0.1, 0.6, 0.3], [0.7, 0.25, 0.05]):
        everywhere = np.repeat(np.array(prior, dtype=np.float32)[:, None], values.size, axis=1)
        density = urn.likelihood(values, everywhere, np.full(values.size, 0.6))
        assert np.trapezoid(density, values) == pytest.approx(1.0, abs=2e-3)
        mean = 0.2 + 0.8 * (0.6 * prior[1] + prior[2])
        assert np.trapezoid(density * values, values) == pytest.approx(mean, abs=2e-3)


def test_a_sum_around_a_block_has_the_weight_of_a_gaussian():
    mask = np.ones((84, 84, 84), dtype=bool)
    blocks = Blocks(mask, 1.0)
    centre = np.ravel_multi_index((42, 42, 42), mask.shape)
    found = blocks.around(np.array([centre]), np.array([3.0]), 12.0)
    away = 4.0 * (np.indices(found.shape) - 10)
    expected = 3 * np.exp(-0.5 * (away**2).sum(axis=0) / 12**2)
    near = np.sqrt((away**2).sum(axis=0)) < 30
    assert found[near] == pytest.approx(expected[near], rel=0.04)
    assert blocks.total(np.ones(mask.size)) == pytest.approx(np.full(21**3, 64.0))
    ramp = np.indices(found.shape)[1] * 4.0
    place = np.indices(mask.shape)[1].ravel() - 1.5  # the middle of a block of four voxels
    np.testing.assert_allclose(blocks.at(ramp), np.clip(place, 0, 80), atol=1e-4)


LEVEL = Expectation(level=0.6, spread=0.06, reach_mm=8.0, trust=1.0)
"""Independent voxels may be trusted in full."""


def scattered(levels, rng, noise=0.03):
    """Return an urn and intensities of voxels that are drawn from it, whose grey level differs."""
    urn = Urn(csf=0.2, wm=1.0, noise=noise, concentration=1.0)
    shares = rng.dirichlet([0.15, 0.6, 0.25], levels.size)
    prior = np.repeat(np.array([[0.15], [0.6], [0.25]], dtype=np.float32), levels.size, axis=1)
    clean = 0.2 + 0.8 * (shares[:, 1] * levels + shares[:, 2])
    return urn, (clean + noise * rng.normal(size=levels.size)).astype(np.float32), prior


def test_grey_levels_of_two_sides_are_found():
    rng = np.random.default_rng(8)
    mask = np.ones((60, 40, 40), dtype=bool)
    side = (np.indices(mask.shape)[0] < 30).ravel()
    urn, values, prior = scattered(np.where(side, 0.54, 0.70), rng)
    found = local_grey(urn, values, prior, rng.random(values.size) < 0.3, Blocks(mask, 2.0), LEVEL)
    far = np.abs(np.indices(mask.shape)[0].ravel() - 29.5) > 15
    for where, level in ((side & far, 0.54), (~side & far, 0.70)):
        np.testing.assert_allclose(found[where], level, atol=0.03)
        assert np.median(found[where]) == pytest.approx(level, abs=0.01)


def test_where_nothing_tells_the_grey_level_is_the_expected_one():
    mask = np.ones((12, 12, 12), dtype=bool)
    urn, values, prior = scattered(np.full(mask.size, 0.7), np.random.default_rng(1))
    found = local_grey(urn, values, prior, np.zeros(mask.size, dtype=bool), Blocks(mask, 2.0), LEVEL)
    assert found == pytest.approx(0.6, abs=2e-3)


def quadratic(levels, error):
    """Return the log-likelihood of grey levels that were measured with a normal error, shape (grey levels, n)."""
    return -0.5 * ((GREY_LEVELS[:, None] - levels) / error) ** 2


def test_the_spread_between_places_is_what_their_errors_do_not_explain():
    rng = np.random.default_rng(4)
    true = 0.6 + 0.03 * rng.normal(size=4000)
    mean, spread = _between(quadratic(true + 0.02 * rng.normal(size=true.size), 0.02), 0.5)
    assert (mean, spread) == pytest.approx((0.6, 0.03), abs=1e-6)
    mean, spread = _between(quadratic(0.6 + 0.02 * rng.normal(size=4000), 0.02), 0.5)
    assert (mean, spread) == pytest.approx((0.6, 0.0025), abs=1e-6)
    assert _between(np.zeros((GREY_LEVELS.size, 5)), 0.5) == (0.5, 0.0025)


def test_grey_matter_of_one_level_gets_one_level_and_that_of_two_sides_two():
    rng = np.random.default_rng(8)
    mask = np.ones((60, 40, 40), dtype=bool)
    place = np.indices(mask.shape)[0].ravel()
    for levels, expected in ((0.60, (0.60, 0.60)), (np.where(place < 30, 0.54, 0.66), (0.54, 0.66))):
        urn, values, prior = scattered(np.broadcast_to(levels, place.shape), rng)
        told = rng.random(values.size) < 0.3
        found = regional_grey(urn, values, prior, told, Blocks(mask, 2.0), LEVEL, 1e-3)
        assert np.median(found[place < 15]) == pytest.approx(expected[0], abs=0.015)
        assert np.median(found[place > 44]) == pytest.approx(expected[1], abs=0.015)
        if expected[0] == expected[1]:
            assert np.ptp(found) < 0.01


def test_the_mean_grey_level_lies_between_the_expected_one_and_the_likelihoods():
    mask = np.ones((40, 40, 40), dtype=bool)
    urn, values, prior = scattered(np.full(mask.size, 0.56), np.random.default_rng(2))
    expected = Expectation(level=0.62, spread=0.06, reach_mm=8.0, trust=0.02)
    everywhere = np.ones(values.size, dtype=bool)
    for mean_sd, level in ((1e-3, 0.56), (0.06, 0.59), (6.0, 0.62)):
        found = regional_grey(urn, values, prior, everywhere, Blocks(mask, 2.0), expected, mean_sd)
        assert np.median(found) == pytest.approx(level, abs=0.008)


def striped():
    """Return tissue of layers 6 voxels thick (CSF, grey, white, grey), priors that are off, and a mask."""
    shape = (72, 48, 48)
    layer = np.indices(shape)[2] % 24 // 6
    truth = [ndimage.gaussian_filter(tissue.astype(np.float32), 0.6) for tissue in (layer == 0, layer % 2, layer == 2)]
    priors = [ndimage.gaussian_filter(tissue, 1.2) for tissue in truth]
    return truth, priors, np.ones(shape, dtype=bool)


def test_dark_cortex_is_not_taken_for_a_mixture_with_csf():
    truth, priors, mask = striped()
    first = np.indices(mask.shape)[0] < 36
    grey = np.where(first, 0.60, 0.74)
    rng = np.random.default_rng(3)
    image = 0.2 * truth[0] + grey * truth[1] + truth[2] + 0.03 * rng.normal(size=mask.shape)
    found = classify(image.astype(np.float32), mask, tuple(priors), np.zeros(mask.shape, dtype=np.float32), 1.0)
    for side in (np.s_[:24], np.s_[48:]):
        for tissue, expected in zip((found.csf, found.gm, found.wm), truth, strict=True):
            assert tissue[side].mean() == pytest.approx(float(expected[side].mean()), abs=0.02)


def test_nuclei_are_told_from_white_matter_by_an_intensity_of_their_own():
    truth, priors, mask = striped()
    deep = np.zeros(mask.shape, dtype=np.float32)
    deep[48:] = 1.0
    image = 0.2 * truth[0] + np.where(deep > 0, 0.86, 0.66) * truth[1] + truth[2]
    image += 0.03 * np.random.default_rng(6).normal(size=mask.shape)
    found = classify(image.astype(np.float32), mask, tuple(priors), deep, 1.0)
    inside = np.s_[52:]
    assert found.gm[inside].mean() == pytest.approx(float(truth[1][inside].mean()), abs=0.04)
    assert found.csf[inside].mean() == pytest.approx(float(truth[0][inside].mean()), abs=0.02)
