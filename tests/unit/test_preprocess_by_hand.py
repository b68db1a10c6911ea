"""Signs, slopes and scales of the preprocessing, for signals that were bent by a known amount."""

from __future__ import annotations

import numpy as np
import pytest

from mrs_pipeline.config import PreprocessSection
from mrs_pipeline.preprocess import align
from mrs_pipeline.preprocess.coils import coil_weights, noise_scan_covariance
from mrs_pipeline.preprocess.eddy import correct, water_phase
from mrs_pipeline.preprocess.transients import _independent_share, _robust_z, _Scores, _verdicts
from mrs_pipeline.spectrum import WATER_PPM, Spectrum

CARRIER, DWELL, POINTS = 127.75, 5e-4, 2048
TIME = np.arange(POINTS) * DWELL


def noise(shape, sd, seed=0):
    rng = np.random.default_rng(seed)
    return sd * (rng.standard_normal(shape) + 1j * rng.standard_normal(shape))


@pytest.mark.parametrize("reference_ppm", [4.65, 3.0])
@pytest.mark.parametrize("hz", [-7.0, 4.0])
def test_the_phase_of_water_is_counted_from_its_nominal_place(reference_ppm, hz):
    nominal = (WATER_PPM - reference_ppm) * CARRIER
    bend = 0.6 * np.exp(-TIME / 0.05)
    fid = 1e4 * np.exp(-TIME / 0.08 + 2j * np.pi * (nominal + hz) * TIME + 1j * bend) + noise(POINTS, 1.0)
    found = water_phase(Spectrum(fid, DWELL, CARRIER, reference_ppm))
    used = TIME < 0.3
    np.testing.assert_allclose(found.phase[used], (2 * np.pi * hz * TIME + bend)[used], atol=0.06)
    # after its signal has gone the phase goes on along its slope; the bend has died away by then
    late = (found.phase[-1] - found.phase[-201]) / (200 * DWELL * 2 * np.pi)
    assert late == pytest.approx(hz, abs=0.1)
    # mean frequency of the first 50 ms, the bend's own 0.6 (1 - 1 / e) rad included
    assert found.offset_hz == pytest.approx(hz, abs=3.0)
    assert found.snr == pytest.approx(1e4, rel=0.15)  # the SD of one channel is 1


def test_offsets_are_taken_away_with_their_sign():
    hz, deg = np.array([3.0, -5.5]), np.array([20.0, -70.0])
    line = np.exp(-TIME / 0.1)
    bent = line * np.exp(2j * np.pi * hz[:, None] * TIME + 1j * np.deg2rad(deg)[:, None])
    np.testing.assert_allclose(align.apply(bent, DWELL, hz, deg), np.broadcast_to(line, bent.shape), atol=1e-12)


def test_coil_weights_are_those_of_the_largest_signal_to_noise_ratio():
    """Unit response, and noise 1 / (s^H C^-1 s), which no other weights undercut (Roemer 1990)."""
    rng = np.random.default_rng(3)
    sensitivity = rng.standard_normal(4) + 1j * rng.standard_normal(4)
    sensitivity /= np.linalg.norm(sensitivity)
    mix = np.eye(4) + 0.5 * (rng.standard_normal((4, 4)) + 1j * rng.standard_normal((4, 4)))
    covariance = 2 * mix @ mix.conj().T
    water = 1e5 * np.exp(-TIME / 0.06)
    data = sensitivity[:, None] * water + mix @ noise((4, POINTS), 1.0)
    scan = Spectrum(data, DWELL, CARRIER, dims=("DIM_COIL",))
    pure_noise = Spectrum(mix @ noise((4, 40 * POINTS), 1.0, seed=9), DWELL, CARRIER, dims=("DIM_COIL",))
    found = coil_weights(scan, pure_noise, method="wsvd", noise_tail=0.9)
    assert abs(found.weights @ sensitivity) == pytest.approx(1.0, rel=1e-3)
    assert np.angle(found.weights @ sensitivity) == pytest.approx(0.0, abs=1e-3)
    best = 1 / np.vdot(sensitivity, np.linalg.solve(covariance, sensitivity)).real
    reached = (found.weights.conj() @ covariance.conj() @ found.weights).real
    assert reached == pytest.approx(best, rel=5e-3)
    np.testing.assert_allclose(found.noise_sd, np.sqrt(np.diag(covariance).real / 2), rtol=0.1)


def test_robust_sd_is_that_of_a_normal_law():
    values = np.random.default_rng(1).normal(5.0, 2.0, 100_000)
    z = _robust_z(values, np.ones(values.size, dtype=bool), 0.0)
    assert np.std(z) == pytest.approx(1.0, rel=0.01)
    assert np.std(_robust_z(values, np.ones(values.size, dtype=bool), 4.0)) == pytest.approx(0.5, rel=0.01)


def test_independent_bins_of_an_apodised_spectrum():
    # an exponential of rate a: (sum e^-2at)^2 / sum e^-4at = 1 / (a dwell) points, a = 5 pi
    share = _independent_share(Spectrum(np.ones((1, POINTS)), DWELL, CARRIER, dims=("DIM_DYN",)))
    assert share == pytest.approx(1 / (np.pi * 5 * DWELL) / POINTS, rel=0.02)


def test_a_scan_longer_than_its_reference_is_corrected_to_the_end():
    """The phase of both is taken away, and after the reference's last point a straight line is what is left of it."""
    hz, short = 3.0, 512
    turn = np.exp(2j * np.pi * hz * TIME + 0.8j * np.exp(-TIME / 0.03))
    metabolite = np.exp(-TIME / 0.5 - 2j * np.pi * 300 * TIME)
    water = Spectrum(1e6 * (np.exp(-TIME / 0.2) * turn)[:short], DWELL, CARRIER, WATER_PPM)
    corrected, facts = correct(Spectrum(metabolite * turn, DWELL, CARRIER, WATER_PPM), water)
    np.testing.assert_allclose(corrected.fid, metabolite, atol=0.03)
    assert facts["offset_hz"] == pytest.approx(hz, abs=3.5)


def test_the_worst_transients_are_dropped_first_and_no_more_than_allowed():
    z = np.array([0.0, 9.0, 5.0, 1.0, 7.0, 6.0, 0.5])  # four of seven lie beyond 4
    settings = PreprocessSection.model_validate({"outliers": {"threshold": 4.0, "max_share": 0.4}})
    reasons, spared = _verdicts(_Scores({"noise": z}, z), settings)
    assert list(reasons) == [1, 4]  # 40 % of 7 are 2.8
    assert spared == 2
    assert reasons[1] == "noise (9.0 robust SD)"


def test_a_noise_scan_gives_correlation_and_the_scan_the_level():
    covariance = np.array([[4.0, 1.0 - 1.0j], [1.0 + 1.0j, 2.0]])
    samples = np.linalg.cholesky(covariance) @ noise((2, 100_000), np.sqrt(0.5))
    found, count = noise_scan_covariance(Spectrum(7 * samples, DWELL, CARRIER, dims=("DIM_COIL",)), level=12.0)
    np.testing.assert_allclose(found, 2 * covariance, atol=0.06)
    assert count == 100_000
