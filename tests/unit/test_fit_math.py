"""Linear algebra of the fit against scipy and against complex-step derivatives."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.interpolate import BSpline
from scipy.optimize import nnls

from mrs_pipeline.fit.baseline import bspline_matrix, make_baseline
from mrs_pipeline.fit.priors import load_priors
from mrs_pipeline.fit.projection import nonnegative_solve


@pytest.mark.parametrize("seed", range(5))
def test_nonnegative_solve_equals_scipy(seed):
    rng = np.random.default_rng(seed)
    design = rng.normal(size=(60, 25)) + 2.0 * rng.normal(size=(60, 1))
    target = design @ np.maximum(rng.normal(size=25), 0) + rng.normal(size=60)
    wanted, _ = nnls(design, target)
    found = nonnegative_solve(design.T @ design, design.T @ target, np.zeros(25, bool))
    assert found.amplitudes == pytest.approx(wanted, abs=1e-9)
    warm = nonnegative_solve(design.T @ design, design.T @ target, np.zeros(25, bool), rng.random(25) < 0.5)
    assert warm.amplitudes == pytest.approx(wanted, abs=1e-9)


def test_signed_components_are_plain_least_squares():
    rng = np.random.default_rng(0)
    design, target = rng.normal(size=(40, 6)), rng.normal(size=40)
    wanted = np.linalg.lstsq(design, target, rcond=None)[0]
    assert (wanted < 0).any()
    found = nonnegative_solve(design.T @ design, design.T @ target, np.ones(6, bool))
    assert found.amplitudes == pytest.approx(wanted, abs=1e-10)


def test_bspline_matrix_equals_scipy():
    n_splines, degree = 12, 3
    segments = n_splines - degree
    knots = np.arange(-degree, segments + degree + 1, dtype=float)
    x = np.linspace(0, segments, 101)
    wanted = BSpline.design_matrix(x[:-1], knots, degree).toarray()
    assert bspline_matrix(101, n_splines)[:-1] == pytest.approx(wanted, abs=1e-12)


def test_baseline_projection_is_the_penalised_minimum():
    rng = np.random.default_rng(1)
    baseline = make_baseline(200, 3.7)
    signal = rng.normal(size=200)
    splines = bspline_matrix(200, baseline.penalty.size)
    difference = np.diff(np.eye(baseline.penalty.size), n=2, axis=0)
    stiffness = 3.0
    stacked = np.concatenate([splines, np.sqrt(stiffness) * difference])
    wanted = np.linalg.lstsq(stacked, np.concatenate([signal, np.zeros(difference.shape[0])]), rcond=None)[0]
    assert baseline.estimate(stiffness, signal) == pytest.approx(splines @ wanted, abs=1e-8)
    cost = np.sum((signal - splines @ wanted) ** 2) + stiffness * np.sum((difference @ wanted) ** 2)
    assert np.sum(baseline.annihilate(stiffness, signal) ** 2) == pytest.approx(cost, rel=1e-7)
    hat = splines @ np.linalg.solve(splines.T @ splines + stiffness * difference.T @ difference, splines.T)
    assert baseline.dimensions(stiffness) == pytest.approx(np.trace(hat), rel=1e-8)


def test_straight_lines_pass_the_stiffest_baseline():
    baseline = make_baseline(150, 3.7)
    line = np.linspace(-2.0, 5.0, 150)
    assert baseline.annihilate(baseline.stiffness(2.01), line) == pytest.approx(np.zeros(150), abs=1e-6)


@pytest.mark.parametrize("wanted", [3.0, 8.0, 20.0])
def test_stiffness_gives_the_wanted_dimensions(wanted):
    baseline = make_baseline(300, 3.7)
    assert baseline.dimensions(baseline.stiffness(wanted)) == pytest.approx(wanted, rel=1e-6)


def test_background_peaks_outside_the_window_are_left_out_with_their_ratios_turned():
    family = load_priors("default").macromolecules
    assert family.within(0.5, 4.2) is family
    turned = {peak.name: peak for peak in family.within(1.8, 4.2).peaks}
    assert set(turned) == {"MM17", "MM20", "MM22", "MM26", "MM30", "MM32", "MM37", "MM38", "MM40", "MMplateau"}
    before = {peak.name: peak for peak in family.peaks}
    first = before[family.within(1.8, 4.2).reference]
    assert first.ratio == max(before[name].ratio for name in turned if before[name].sd < before[name].ratio)
    assert (turned[first.name].ratio, turned[first.name].sd) == (1.0, 0.0)
    assert turned["MM30"].ratio == pytest.approx(before["MM30"].ratio / first.ratio)
    spread = np.hypot(before["MM30"].sd / before["MM30"].ratio, first.sd / first.ratio)
    assert turned["MM30"].sd == pytest.approx(turned["MM30"].ratio * spread)
    assert load_priors("default").lipids.within(1.8, 4.2).peaks == ()
    assert load_priors("default").lipids.within(1.0, 4.2).reference == "Lip13"
