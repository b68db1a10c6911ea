"""What the choice of the baseline stiffness does to the amplitudes: weights by hand, noise by its moments."""

from __future__ import annotations

import numpy as np
import pytest

from mrs_pipeline.fit.baseline import make_baseline
from mrs_pipeline.fit.selection import (
    AIC_FACTOR,
    REDRAWS,
    StiffnessPath,
    no_search,
    redrawn_criteria,
    stiffness_path,
)

SIZE = 800


def path(aic, amplitudes, redrawn=None):
    """Three stiffnesses with given criteria and one amplitude each."""
    aic, amplitudes = np.array(aic), np.array(amplitudes)[:, None]
    grid = np.arange(aic.size, dtype=float)
    still = np.zeros((REDRAWS, aic.size)) if redrawn is None else redrawn
    return StiffnessPath(grid, 5.0 + grid, aic, aic, aic, aic, amplitudes, still)


def test_plausible_weights_are_akaike_weights():
    found = path([0.0, 2.0, 4.0], [1.0, 2.0, 3.0])
    raw = np.exp(-np.array([0.0, 2.0, 4.0]) / (2.0 * AIC_FACTOR))
    weight = raw / raw.sum()
    assert found.plausible("aic") == pytest.approx(weight)
    mean = weight @ [1.0, 2.0, 3.0]
    assert found.search("aic").plausible[0, 0] == pytest.approx(weight @ (np.array([1.0, 2.0, 3.0]) - mean) ** 2)


def test_without_noise_the_choice_never_moves():
    found = path([3.0, 0.0, 0.1], [1.0, 2.0, 9.0])
    assert found.drawn("aic") == pytest.approx([0.0, 1.0, 0.0])
    assert found.search("aic").drawn == pytest.approx(0.0)
    assert no_search(2).drawn == pytest.approx(np.zeros((2, 2)))


def test_two_stiffnesses_alike_are_chosen_half_of_the_time():
    noise = np.random.default_rng(1).standard_normal((REDRAWS, 1)) * np.array([[0.0, 1.0]])
    found = path([0.0, 0.0], [1.0, 3.0], noise)
    assert found.drawn("aic") == pytest.approx([0.5, 0.5], abs=0.08)
    assert found.search("aic").drawn[0, 0] == pytest.approx(1.0, abs=0.05)


def test_noise_moves_the_criterion_by_the_moments_of_a_noncentral_chi_square():
    """Modes of signal u that are held back wholly: variance 2k + 4 u'u (Johnson & Kotz), mean unchanged."""
    seen = np.array([2.0, -1.0, 0.5, 0.0])
    rss = np.array([1e9])
    change = redrawn_criteria(np.zeros((1, 4)), seen, rss, SIZE)[:, 0] * rss[0] / SIZE
    assert change.mean() == pytest.approx(0.0, abs=0.9)
    assert change.var() == pytest.approx(2 * 4 + 4 * seen @ seen, rel=0.25)


def test_modes_that_pass_do_not_move_the_criterion():
    seen = np.array([2.0, -1.0, 0.5])
    change = redrawn_criteria(np.array([[1.0, 1.0, 1.0], [1.0, 1.0, 0.0]]), seen, np.array([SIZE, SIZE + 0.25]), SIZE)
    assert change[:, 0] == pytest.approx(0.0, abs=1e-12)
    assert change[:, 1].std() > 0.5


def test_neighbours_share_their_noise():
    """Two nearly equal stiffnesses: the criterion moves by much, its difference by little."""
    rng = np.random.default_rng(2)
    seen, shrink = 3.0 * rng.standard_normal(20), rng.uniform(0.2, 0.8, 20)
    change = redrawn_criteria(np.array([shrink, shrink + 0.01]), seen, np.full(2, 900.0), SIZE)
    assert np.diff(change, axis=1).std() < 0.1 * change[:, 0].std()


def test_the_choices_of_real_redraws_spread_as_far_within_a_factor_of_two():
    """A hump, two lines and 60 draws of white noise: how far the chosen stiffness moves along the grid."""
    ppm = np.linspace(0.5, 4.2, 700)
    baseline = make_baseline(ppm.size, 3.7)
    spectra = np.exp(-0.5 * ((ppm - np.array([[2.0], [3.0]])) / 0.03) ** 2)
    truth = 60.0 * spectra.sum(axis=0) + 4.0 * np.exp(-0.5 * ((ppm - 2.4) / 0.35) ** 2)
    rng, rows, signed = np.random.default_rng(5), np.zeros((0, 2)), np.zeros(2, bool)
    paths = [
        stiffness_path(spectra, truth + rng.standard_normal(ppm.size), np.ones(ppm.size), baseline, rows, signed)
        for _ in range(60)
    ]
    index = np.arange(paths[0].dimensions.size)
    empirical = np.std([int(np.argmin(found.aic)) for found in paths])
    weights = [found.drawn("aic") for found in paths]
    predicted = np.sqrt(np.mean([weight @ index**2 - (weight @ index) ** 2 for weight in weights]))
    assert empirical > 0.3
    assert 0.5 < predicted / empirical < 2.0
