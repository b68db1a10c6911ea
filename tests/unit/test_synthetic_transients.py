"""Single transients and coils: what was planted is there, and nothing else."""

from dataclasses import replace

import numpy as np
import pytest

from mrs_pipeline.synthetic import (
    Acquisition,
    Macromolecules,
    SpectrumSettings,
    Transients,
    no_artefacts,
    simulate_transients,
)
from mrs_pipeline.synthetic.transients import coil_array, noise_shape, slow_wander

STEADY = Transients(drift_hz=0.0, wander_hz=0.0, phase_drift_deg=0.0, phase_sd_deg=0.0, amplitude_cv=0.0)
SETTINGS = SpectrumSettings(
    acquisition=Acquisition(averages=24, water_averages=4, n_points=1024),
    concentrations={"NAA": 11.0, "Cr": 8.0, "Glu": 10.0},
    artefacts=no_artefacts(),
    macromolecules=Macromolecules(molal=0.0),
)


def test_without_drift_every_transient_is_the_clean_scan():
    scan = simulate_transients(SETTINGS, STEADY, seed=1)
    assert scan.metabolite.dims == ("DIM_DYN",)
    assert scan.metabolite.fid.shape == (24, 1024)
    assert scan.water.fid.shape == (4, 1024)
    size = np.abs(scan.truth.clean).max()
    np.testing.assert_allclose(scan.metabolite.fid - scan.truth.clean, 0, atol=1e-4 * size)


def test_drift_phase_and_amplitude_are_what_the_truth_says():
    plan = Transients(drift_hz=6.0, jumps=2, jump_hz=4.0, amplitude_cv=0.05)
    scan = simulate_transients(SETTINGS, plan, seed=2)
    truth, t = scan.truth, scan.metabolite.time
    turn = np.exp(1j * (2 * np.pi * truth.drift_hz[:, None] * t + np.deg2rad(truth.drift_deg)[:, None]))
    expected = truth.amplitude[:, None] * turn * truth.clean
    np.testing.assert_allclose(scan.metabolite.fid, expected, atol=1e-4 * np.abs(truth.clean).max())
    assert np.ptp(truth.drift_hz) > 2.0


def test_drift_moves_lines_to_higher_ppm_when_positive():
    scan = simulate_transients(replace(SETTINGS, concentrations={"NAA": 11.0}), replace(STEADY, drift_hz=40.0), seed=1)
    peaks = scan.metabolite.ppm[np.argmax(scan.metabolite.spectrum().real, axis=-1)]
    assert np.corrcoef(peaks, scan.truth.drift_hz)[0, 1] > 0.98
    hz, _ = scan.truth.relative_drift()
    assert np.median(hz) == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("kind", ["motion", "lipid", "water", "spike"])
def test_spoiled_transients_are_counted_and_differ(kind):
    plan = replace(STEADY, spoiled=0.25, spoil_kinds=(kind,))
    truth, fid = (scan := simulate_transients(SETTINGS, plan, seed=3)).truth, scan.metabolite.fid
    assert truth.spoiled.count(kind) == 6
    assert truth.kept.sum() == 18
    away = np.linalg.norm(fid - truth.clean, axis=-1) / np.linalg.norm(truth.clean)
    assert away[truth.kept].max() < 0.01
    assert away[~truth.kept].min() > 0.2


def test_best_coil_combination_has_the_noise_of_the_scan():
    noisy = replace(SETTINGS, artefacts=no_artefacts(snr=40.0))
    scan = simulate_transients(noisy, replace(STEADY, coils=8, noise_correlation=0.5), seed=4)
    assert scan.metabolite.dims == ("DIM_COIL", "DIM_DYN")
    truth = scan.truth
    weight = np.linalg.solve(truth.noise_covariance, truth.sensitivity)
    weight /= np.conj(truth.sensitivity) @ weight
    combined = np.tensordot(np.conj(weight), scan.metabolite.fid, axes=1)
    assert np.conj(weight) @ truth.sensitivity == pytest.approx(1.0)
    error = combined.mean(axis=0) - truth.clean
    assert np.std(error.real) == pytest.approx(truth.scan.noise_sd, rel=0.08)
    equal = (np.conj(truth.sensitivity) @ scan.metabolite.fid.reshape(8, -1)).reshape(24, -1).mean(axis=0)
    equal /= np.linalg.norm(truth.sensitivity) ** 2
    assert np.std((equal - truth.clean).real) > np.std(error.real)


def test_coil_noise_has_the_planted_covariance():
    noisy = replace(SETTINGS, artefacts=no_artefacts(snr=0.5))
    scan = simulate_transients(noisy, replace(STEADY, coils=4, noise_correlation=0.6), seed=5)
    truth = scan.truth
    noise = scan.metabolite.fid - truth.sensitivity[:, None, None] * truth.clean
    flat = noise.reshape(4, -1)
    found = flat @ flat.conj().T / flat.shape[1] / 2
    scale = np.abs(truth.noise_covariance).max()
    np.testing.assert_allclose(found, truth.noise_covariance, atol=0.03 * scale)


def test_noise_shape_is_a_covariance():
    shape = noise_shape(6, 0.7, np.random.default_rng(0))
    np.testing.assert_allclose(shape, shape.conj().T)
    assert np.linalg.eigvalsh(shape).min() > 0
    sensitivity, covariance = coil_array(Transients(coils=6), 0.3, np.random.default_rng(0))
    best = 1 / np.real(np.conj(sensitivity) @ np.linalg.solve(covariance, sensitivity))
    assert best == pytest.approx(0.3**2)


def test_slow_wander_is_smooth_and_of_unit_size():
    courses = np.stack([slow_wander(64, np.random.default_rng(k)) for k in range(400)])
    assert courses.std() == pytest.approx(1.0, rel=0.1)
    assert np.abs(np.diff(courses, axis=1)).max() < 0.6


def test_same_seed_same_numbers():
    plan = Transients(coils=3, spoiled=0.1)
    a, b = (simulate_transients(SETTINGS, plan, seed=6) for _ in range(2))
    np.testing.assert_array_equal(a.metabolite.fid, b.metabolite.fid)
    np.testing.assert_array_equal(a.water.fid, b.water.fid)
    assert a.truth.spoiled == b.truth.spoiled


@pytest.mark.parametrize("wrong", [{"coils": 0}, {"spoiled": 1.0}, {"noise_correlation": 1.0}, {"spoil_kinds": ("x",)}])
def test_impossible_plans_are_refused(wrong):
    with pytest.raises(ValueError, match=r"coils|spoil_kinds"):
        Transients(**wrong)
