"""Sampled uncertainty: chains against analytic posteriors, bootstrap against the planted noise, files and report."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm, truncnorm

from mrs_pipeline.basis import Basis
from mrs_pipeline.config import FitSection
from mrs_pipeline.errors import FitError
from mrs_pipeline.fit import Posterior, fit_spectrum, read_fit, write_fit
from mrs_pipeline.fit import posterior_bootstrap as bootstrap_module
from mrs_pipeline.fit.engine import minimise
from mrs_pipeline.fit.posterior_bootstrap import causal_fid, extended, modelled_spectrum, resample
from mrs_pipeline.fit.posterior_emcee import (
    Conditional,
    Target,
    conditional_gaussian,
    covariance_root,
    crank_nicolson,
    sample,
    truncated_draw,
)
from mrs_pipeline.fit.posterior_result import Spread, spread, summarise_draws
from mrs_pipeline.fit.priors import load_priors
from mrs_pipeline.fit.start import noise_sd
from mrs_pipeline.fit.summary import summarise
from mrs_pipeline.nifti_mrs import NiftiMrs
from mrs_pipeline.spectrum import Spectrum


def linear_target(design, data, amplitude_sd, shift_design, shift_sd, off=0.7):
    """y = A a + B t with unit noise, t ~ N(0, shift_sd), a with a wide Gaussian prior: everything is known.

    The chains start ``off`` standard deviations from the centre.
    """

    def linear(values):
        left = data - shift_design @ values
        gram = design.T @ design + np.eye(design.shape[1]) / amplitude_sd**2
        return Conditional(gram, design.T @ left, float(left @ left + np.sum((values / shift_sd) ** 2)))

    count = design.shape[1]
    both = np.concatenate([design, shift_design], axis=1)
    prior = np.r_[np.full(count, amplitude_sd**-2.0), np.full(shift_design.shape[1], shift_sd**-2.0)]
    covariance = np.linalg.inv(both.T @ both + np.diag(prior))
    mean = covariance @ both.T @ data
    root = covariance_root(np.linalg.inv(covariance[count:, count:]))
    start = mean[count:] + off * np.sqrt(np.diag(covariance)[count:])
    target = Target(linear, start, root, np.arange(count), np.zeros(count, bool))
    return target, mean[:count], covariance[:count, :count]


@pytest.mark.parametrize("off", [0.0, 0.7])
def test_chains_reach_the_posterior_of_a_linear_model(off):
    """From the centre itself every proposal is accepted: the coordinates turn this posterior into a standard normal."""
    rng = np.random.default_rng(1)
    design, shift = rng.standard_normal((40, 3)), rng.standard_normal((40, 2))
    data = design @ [6.0, 8.0, 7.0] + shift @ [0.5, -1.0] + rng.standard_normal(40)
    target, mean, covariance = linear_target(design, data, 100.0, shift, 1.0, off)
    chains = sample(target, 8000, seed=2, thin=1)
    assert chains.acceptance > (0.999 if off == 0 else 0.5)
    assert chains.effective > 500
    sd = np.sqrt(np.diag(covariance))
    np.testing.assert_array_less(np.abs(chains.amplitudes.mean(axis=0) - mean), 4 * sd / np.sqrt(chains.effective))
    drawn = np.cov(chains.amplitudes.T) / np.outer(sd, sd)
    np.testing.assert_allclose(drawn, covariance / np.outer(sd, sd), atol=4 * np.sqrt(2 / chains.effective))


def test_chains_reach_a_truncated_posterior():
    """One amplitude two standard deviations below zero: a truncated Gaussian with known moments."""
    design = np.eye(2)
    target, mean, covariance = linear_target(design, np.array([-2.0, 5.0]), 1e3, np.zeros((2, 1)), 1.0)
    chains = sample(target, 8000, seed=3, thin=1)
    truth = truncnorm(2.0, np.inf, loc=mean[0], scale=np.sqrt(covariance[0, 0]))
    assert chains.amplitudes[:, 0].min() >= 0
    error = truth.std() / np.sqrt(chains.effective)
    assert chains.amplitudes[:, 0].mean() == pytest.approx(truth.mean(), abs=4 * error)
    assert chains.amplitudes[:, 0].std() == pytest.approx(truth.std(), rel=4 / np.sqrt(chains.effective))
    below = np.mean(chains.amplitudes[:, 0] < truth.median())
    assert below == pytest.approx(0.5, abs=2 / np.sqrt(chains.effective))
    assert chains.amplitudes[:, 1].mean() == pytest.approx(5.0, abs=4 / np.sqrt(chains.effective))


def test_truncation_reaches_back_into_the_nonlinear_parameters():
    """y1 = a + t, y2 = t with a >= 0: where the data pull a below zero, t gives way; by numerical integration."""
    target, _, _ = linear_target(np.array([[1.0], [0.0]]), np.array([-1.5, 1.0]), 1e3, np.ones((2, 1)), 10.0)
    t, a = np.meshgrid(np.linspace(-6, 6, 601), np.linspace(0, 8, 800, endpoint=False) + 0.005, indexing="ij")
    weight = np.exp(-0.5 * ((-1.5 - a - t) ** 2 + (1.0 - t) ** 2 + (t / 10) ** 2))
    truth = float((weight * a).sum() / weight.sum())
    chains = sample(target, 8000, seed=4, thin=1)
    error = chains.amplitudes[:, 0].std() / np.sqrt(chains.effective)
    assert chains.effective > 100
    assert chains.amplitudes[:, 0].mean() == pytest.approx(truth, abs=4 * error)


def test_the_density_itself_gives_the_truncated_mean_on_a_grid():
    """The same problem without chains: the density over (z, u), summed, against the integral over (t, a)."""
    target, _, _ = linear_target(np.array([[1.0], [0.0]]), np.array([-1.5, 1.0]), 1e3, np.ones((2, 1)), 10.0)
    grid = [target(np.array([z, u])) for z in np.linspace(-7, 5, 61) for u in np.linspace(-5, 5, 51)]
    density, amplitude = np.array(grid).T
    weight = np.exp(density - density.max())
    assert (weight * amplitude).sum() / weight.sum() == pytest.approx(0.5668, abs=2e-4)


def test_the_same_seed_gives_the_same_draws():
    target, _, _ = linear_target(np.eye(2), np.array([1.0, 5.0]), 10.0, np.ones((2, 1)), 1.0)
    first, again, other = (sample(target, 64, seed, thin=1).amplitudes for seed in (5, 5, 6))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0


def test_a_signed_amplitude_may_be_negative():
    mean, factor = np.array([-3.0, -3.0]), np.eye(2)
    values, log_weight = truncated_draw(mean, factor, np.array([True, False]), np.array([0.3, 0.3]))
    assert values[0] == pytest.approx(-2.7)
    assert values[1] >= 0
    assert log_weight == pytest.approx(norm.logcdf(-3.0))


def test_conditional_gaussian_is_the_inverse_of_the_normal_equations():
    rng = np.random.default_rng(7)
    root = rng.standard_normal((6, 4))
    problem = Conditional(root.T @ root, rng.standard_normal(4), 0.0)
    order = np.array([2, 0, 3, 1])
    mean, factor, log_root = conditional_gaussian(problem, order)
    np.testing.assert_allclose(mean, np.linalg.solve(problem.gram, problem.moment)[order], rtol=1e-9)
    np.testing.assert_allclose(factor @ factor.T, np.linalg.inv(problem.gram)[np.ix_(order, order)], rtol=1e-9)
    np.testing.assert_allclose(factor, np.tril(factor))
    assert log_root == pytest.approx(0.5 * np.linalg.slogdet(problem.gram)[1])


def test_proposals_leave_the_standard_normal_unchanged():
    random = np.random.RandomState(8)
    state = random.standard_normal((4000, 3))
    for _ in range(4):
        state, factor = crank_nicolson(state, random)
    assert np.abs(np.cov(state.T) - np.eye(3)).max() < 0.08
    moved, factor = crank_nicolson(state[:5], random)
    np.testing.assert_allclose(factor, 0.5 * ((moved**2).sum(axis=1) - (state[:5] ** 2).sum(axis=1)))


DWELL, MHZ, POINTS = 5e-4, 123.2, 1024
LINES = {
    "NAA": (2.008, 3, 11.0),
    "Cr": (3.027, 3, 5.0),
    "PCr": (3.9, 2, 4.0),
    "GPC": (3.21, 9, 1.6),
    "sIns": (3.34, 6, 0.0),
}  # ppm, protons, amplitude
SETTINGS = FitSection(macromolecules="none", lineshape="voigt", first_order_phase=False)


@pytest.fixture(scope="module")
def basis():
    """Singlets: a fit of a few milliseconds."""
    time = np.arange(POINTS) * DWELL
    fids = [protons * np.exp(2j * np.pi * (ppm - 4.65) * MHZ * time) for ppm, protons, _ in LINES.values()]
    return Basis(tuple(LINES), np.array(fids), DWELL, MHZ, 4.65)


@pytest.fixture(scope="module")
def spectrum(basis):
    time = np.arange(POINTS) * DWELL
    rng = np.random.default_rng(11)
    fid = (
        np.array([amount for _, _, amount in LINES.values()]) @ basis.fids * np.exp(-np.pi * 4 * time - (8 * time) ** 2)
    )
    noise = 0.6 * (rng.standard_normal(POINTS) + 1j * rng.standard_normal(POINTS))
    return Spectrum(fid + noise, DWELL, MHZ, 4.65).phased(25.0).shifted(3.0)


@pytest.fixture(scope="module")
def fitted(spectrum, basis):
    return minimise(spectrum, basis, SETTINGS)[0]


def test_the_modelled_spectrum_is_the_fit_and_fits_to_itself(fitted, basis):
    model, theta = fitted.objective.model, fitted.solution.theta
    clean = modelled_spectrum(fitted)
    back = clean.shifted(-fitted.prepared.shift_hz).phased(-np.rad2deg(fitted.prepared.phase))
    amplitudes = fitted.objective.at(theta).solution.amplitudes
    signal = (amplitudes @ model.spectra(theta)).real
    baseline = fitted.objective.smooth(model.to_window(fitted.prepared.spectrum.fid).real - signal)
    np.testing.assert_allclose(model.to_window(back.fid).real, signal + baseline, atol=1e-4 * signal.max())
    sd = fitted.prepared.noise / np.sqrt(clean.n_points)
    rng = np.random.default_rng(1)
    noise = sd * (rng.standard_normal(clean.n_points) + 1j * rng.standard_normal(clean.n_points))
    assert noise_sd(clean.with_fid(clean.fid + noise)) == pytest.approx(fitted.prepared.noise, rel=0.1)
    again = minimise(clean.with_fid(clean.fid + 1e-3 * noise), basis, SETTINGS)[0]
    np.testing.assert_allclose(again.objective.at(again.solution.theta).solution.amplitudes, amplitudes, atol=0.2)


def test_a_causal_fid_has_the_real_part_it_was_made_from():
    rng = np.random.default_rng(2)
    fid = rng.standard_normal(64) + 1j * rng.standard_normal(64)
    fid[0] = fid[0].real
    real = np.fft.fftshift(np.fft.fft(fid, 128)).real
    np.testing.assert_allclose(causal_fid(real), fid, atol=1e-12)


def test_an_extension_falls_smoothly_to_zero():
    curve = extended(np.array([2.0, 3.0, 4.0]), 6, 5, 4.0)
    assert curve[6:9].tolist() == [2.0, 3.0, 4.0]
    assert curve[:2] == pytest.approx([0.0, 0.0])
    assert curve[4] == pytest.approx(1.0)
    assert (np.diff(curve[8:]) <= 0).all()


def test_bootstrap_sd_agrees_with_amplitude_sd_on_planted_lines(fitted, spectrum, basis):
    """Well separated lines in white noise: the sandwich and the refits measure the same thing."""
    result = fit_spectrum(spectrum, basis, SETTINGS)
    draws, failed = resample(fitted, basis, SETTINGS, 80, seed=3)
    assert failed == 0
    for name in ("NAA", "Cr", "PCr", "GPC"):
        index = result.names.index(name)
        assert draws[:, index].std(ddof=1) == pytest.approx(result.amplitude_sd[index], rel=0.35), name
        assert draws[:, index].mean() == pytest.approx(result.amplitudes[index], rel=0.06), name
        assert abs(result.amplitudes[index] - LINES[name][2]) < 4 * result.total_sd[index], name


def test_emcee_agrees_with_the_posterior_covariance_on_planted_lines(spectrum, basis):
    settings = SETTINGS.model_copy(update={"posterior": "emcee", "posterior_draws": 400})
    exact = replace(load_priors("default"), basis_default=0.0, basis_error={})  # errors of the basis are not sampled
    result = fit_spectrum(spectrum, basis, settings, exact)
    posterior = result.posterior
    assert (posterior.method, posterior.draws, posterior.seed) == ("emcee", 400, 20260101)
    assert posterior.diagnostics["effective_draws"] > 50
    for name in ("NAA", "Cr", "GPC"):
        index, found = result.names.index(name), posterior.amplitudes[name]
        assert found.median == pytest.approx(result.amplitudes[index], abs=1.5 * result.total_sd[index])
        assert 0.6 < found.sd / result.total_sd[index] < 1.4
        assert found.low < found.median < found.high
    assert posterior.amplitudes["sIns"].low >= 0
    assert posterior.ratios["tCr"].sd == 0


def test_fit_files_keep_the_posterior(spectrum, basis, tmp_path):
    settings = SETTINGS.model_copy(update={"posterior": "bootstrap", "posterior_draws": 20, "posterior_seed": 9})
    result = fit_spectrum(spectrum, basis, settings)
    scan = NiftiMrs(spectrum, np.eye(4), {})
    write_fit(result, tmp_path / "a.json", tmp_path / "a.nii.gz", scan)
    back = read_fit(tmp_path / "a.json", tmp_path / "a.nii.gz").posterior
    assert back == result.posterior
    assert back.draws == 20
    assert back.diagnostics == {"failed_share": 0.0}
    again = fit_spectrum(spectrum, basis, settings).posterior
    assert again == back
    write_fit(replace(result, posterior=None), tmp_path / "b.json", tmp_path / "b.nii.gz", scan)
    assert "posterior" not in (tmp_path / "b.json").read_text()
    assert read_fit(tmp_path / "b.json", tmp_path / "b.nii.gz").posterior is None
    assert fit_spectrum(spectrum, basis, SETTINGS).posterior is None


def test_a_failed_fit_is_not_sampled(spectrum, basis, monkeypatch):
    def failed(*arguments):
        return replace(summarise(*arguments), status="failed")

    monkeypatch.setattr("mrs_pipeline.fit.posterior.summarise", failed)
    result = fit_spectrum(spectrum, basis, SETTINGS.model_copy(update={"posterior": "emcee"}))
    assert result.posterior is None
    assert "its uncertainty was not sampled: the fit failed" in result.notes


def test_walkers_that_start_outside_the_bounds_start_at_the_solution():
    def linear(values):
        return Conditional(np.eye(1), np.ones(1), float(values @ values)) if values[0] >= 0 else None

    target = Target(linear, np.zeros(1), np.eye(1), np.arange(1), np.zeros(1, bool))
    chains = sample(target, 3200, seed=1, thin=1)  # a half normal for the parameter, a truncated one for the amplitude
    assert chains.amplitudes.mean() == pytest.approx(truncnorm(-1.0, np.inf, loc=1.0).mean(), abs=0.1)
    nowhere = replace(target, linear=lambda _: None)
    with pytest.raises(FitError, match="cannot be sampled"):
        sample(nowhere, 32, seed=1)


def test_a_bootstrap_whose_refits_fail_is_an_error(fitted, basis, monkeypatch):
    def fail(*_):
        raise FitError("no", remedy="none")

    monkeypatch.setattr("mrs_pipeline.fit.engine.minimise", fail)
    with pytest.raises(FitError, match="4 of 4 refits"):
        bootstrap_module.resample(fitted, basis, SETTINGS, 4, 1)


def test_a_failure_of_the_sampling_does_not_cost_the_fit(spectrum, basis, monkeypatch):
    def fail(*_):
        raise FitError("9 of 9 refits failed", remedy="none")

    monkeypatch.setattr("mrs_pipeline.fit.posterior.sampled", fail)
    result = fit_spectrum(spectrum, basis, SETTINGS.model_copy(update={"posterior": "bootstrap"}))
    assert (result.status, result.posterior) == ("ok", None)
    assert "its uncertainty was not sampled: 9 of 9 refits failed" in result.notes


def test_intervals_of_a_bootstrap_turn_around_the_estimate():
    draws = np.linspace(1.0, 2.0, 1001)
    assert spread(draws).low == pytest.approx(1.025)
    basic = spread(draws, 2.0)
    assert (basic.low, basic.high) == pytest.approx((4.0 - 1.975, 4.0 - 1.025))
    assert spread(draws, 0.5).low == 0.0
    assert spread(draws, 0.0) == spread(draws)


def test_sums_and_ratios_are_taken_draw_by_draw():
    draws = np.array([[2.0, 1.0, 1.0], [4.0, 3.0, 1.0], [3.0, 0.0, 0.0]])
    found = summarise_draws("emcee", ("NAA", "Cr", "PCr"), draws, 1, {})
    assert found.amplitudes["tCr"].mean == pytest.approx(2.0)
    assert found.ratios["NAA"].mean == pytest.approx(1.0)  # the draw without creatine has no ratio
    assert Posterior.from_table(found.as_table()) == found
    assert Posterior.from_table(None) is None
    assert isinstance(found.ratios["tNAA"], Spread)
