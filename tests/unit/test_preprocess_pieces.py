"""The pieces of preprocessing against analytic truth."""

import numpy as np
import pytest

from mrs_pipeline.config import PreprocessSection
from mrs_pipeline.preprocess import align, coils, eddy, first_point, reference, subspace, transients, water
from mrs_pipeline.preprocess.hlsvd import decompose
from mrs_pipeline.preprocess.types import display
from mrs_pipeline.spectrum import Spectrum

MHZ = 123.25
DWELL = 5e-4
T = np.arange(2048) * DWELL
SINGLETS = ((2.008, 1.0), (3.027, 0.7), (3.211, 0.5), (3.91, 0.4))


def lines(*peaks, width=5.0, reference_ppm=4.65, time=T, mhz=MHZ):
    total = np.zeros(time.size, dtype=complex)
    for ppm, amplitude in peaks:
        total += amplitude * np.exp(2j * np.pi * (ppm - reference_ppm) * mhz * time - np.pi * width * time)
    return total


def scan(fid, dims=(), **fields):
    return Spectrum(fid, DWELL, MHZ, dims=dims, **fields)


def noise(rng, shape, sd):
    return sd * (rng.normal(size=shape) + 1j * rng.normal(size=shape))


class TestHlsvd:
    def test_exact_on_damped_lines(self):
        frequency, damping = np.array([-325.0, -200.0, 3.0, 8.0]), np.array([15.0, 25.0, 20.0, 60.0])
        amplitude = np.array([1.0, 0.5j, 40.0, -10.0 + 3j])
        fid = np.exp(T[:, None] * (2j * np.pi * frequency - damping)) @ amplitude
        found = decompose(fid, DWELL, 4)
        order = np.argsort(found.frequency)
        np.testing.assert_allclose(found.frequency[order], frequency, atol=1e-4)
        np.testing.assert_allclose(found.damping[order], damping, rtol=1e-4)
        np.testing.assert_allclose(found.amplitude[order], amplitude, rtol=1e-4)

    def test_agrees_with_hlsvdpropy(self):
        hlsvdpropy = pytest.importorskip("hlsvdpropy")
        rng = np.random.default_rng(0)
        fid = lines(*SINGLETS, (4.66, 20.0))[:512] + noise(rng, 512, 0.02)
        found = decompose(fid, DWELL, 5)
        _, _, frequency, _, amplitude, _ = hlsvdpropy.hlsvd(fid, 5, DWELL * 1e3)
        order, theirs = np.argsort(found.frequency), np.argsort(frequency)
        np.testing.assert_allclose(found.frequency[order], np.array(frequency)[theirs] * 1e3, atol=0.05)
        np.testing.assert_allclose(np.abs(found.amplitude[order]), np.array(amplitude)[theirs], rtol=0.02)

    def test_first_point_is_predicted_from_the_others(self):
        fid = lines(*SINGLETS)
        halved = fid.copy()
        halved[0] *= 0.5
        assert np.sum(decompose(halved, DWELL, 4, first=1).amplitude) == pytest.approx(fid[0], rel=1e-6)

    def test_growing_lines_do_not_explode(self):
        rng = np.random.default_rng(0)
        found = decompose(noise(rng, 2048, 1.0), DWELL, 20)
        assert np.all(found.damping >= 0)
        assert np.max(np.abs(found.fid(T))) < 100

    def test_zero_signal_gives_no_lines(self):
        assert decompose(np.zeros(256, dtype=complex), DWELL, 5).frequency.size == 0


class TestFirstPoint:
    @pytest.mark.parametrize(("factor", "verdict"), [(0.5, "halved"), (1.0, "true")])
    @pytest.mark.parametrize("noise_sd", [0.0, 0.02])
    def test_verdict(self, factor, verdict, noise_sd):
        fid = lines(*SINGLETS, (4.66, 3.0)) + noise(np.random.default_rng(1), 2048, noise_sd)
        fid[0] *= factor
        assert first_point.measure_first_point(fid, DWELL).verdict == verdict

    def test_noise_alone_is_undecided(self):
        fid = noise(np.random.default_rng(1), 2048, 1.0)
        assert first_point.measure_first_point(fid, DWELL).verdict == "undecided"

    def test_undo_doubles_only_the_first(self):
        undone = first_point.undo_halving(scan(np.ones(64))).fid
        assert undone[0] == 2.0
        assert np.all(undone[1:] == 1.0)


class TestEddy:
    PHASE = 0.8 * np.exp(-T / 0.03) + 0.3

    def test_known_phase_is_taken_away(self):
        clean = lines(*SINGLETS)
        reference_scan = scan(100 * np.exp(-15 * T) * np.exp(1j * self.PHASE))
        corrected, numbers = eddy.correct(scan(clean * np.exp(1j * self.PHASE)), reference_scan)
        used = T < 0.3
        np.testing.assert_allclose(corrected.fid[used], clean[used], atol=1e-6)
        assert numbers["offset_hz"] == pytest.approx(-0.8 / 0.05 / 2 / np.pi, abs=1.5)

    @pytest.mark.parametrize(("dwell", "n_points"), [(2.5e-4, 4096), (8e-4, 700), (5e-4, 512), (3.1e-4, 999)])
    def test_another_length_and_dwell(self, dwell, n_points):
        t = np.arange(n_points) * dwell
        bent = 0.8 * np.exp(-t / 0.03) + 0.3
        reference_scan = Spectrum(100 * np.exp(-15 * t) * np.exp(1j * bent), dwell, MHZ)
        clean = lines(*SINGLETS)
        corrected, _ = eddy.correct(scan(clean * np.exp(1j * self.PHASE)), reference_scan)
        used = T < 0.2
        np.testing.assert_allclose(corrected.fid[used], clean[used], atol=2e-3)

    def test_reference_with_carrier_elsewhere(self):
        reference_scan = scan(np.exp(2j * np.pi * (4.65 - 3.0) * MHZ * T - 15 * T), reference_ppm=3.0)
        corrected, numbers = eddy.correct(scan(lines(*SINGLETS)), reference_scan)
        assert numbers["offset_hz"] == pytest.approx(0.0, abs=1e-6)
        np.testing.assert_allclose(corrected.fid, lines(*SINGLETS), atol=1e-6)

    @pytest.mark.parametrize(
        ("water_scan", "words"),
        [
            (Spectrum(np.exp(-15 * T), DWELL, 297.2), "MHz"),
            (Spectrum(np.exp(-15 * T), DWELL, MHZ, nucleus="31P"), "31P"),
            (Spectrum(np.exp(-15 * T[:50]), DWELL, MHZ), "followed for"),
            (Spectrum(np.zeros(2048), DWELL, MHZ), "empty"),
            (scan(np.exp(-15 * T) + noise(np.random.default_rng(0), 2048, 0.1)), "too weak"),
            (scan(lines(*SINGLETS)), "not water"),
        ],
    )
    def test_refusal_names_the_reason(self, water_scan, words):
        assert words in eddy.refusal(scan(lines(*SINGLETS)), water_scan)

    def test_noise_of_the_reference_tail_stays_out(self):
        rng = np.random.default_rng(0)
        reference_scan = scan(100 * np.exp(-40 * T) + noise(rng, 2048, 0.1))
        corrected, _ = eddy.correct(scan(lines((2.008, 1.0), width=0.3)), reference_scan)
        turn = np.angle(corrected.fid[1000:] / lines((2.008, 1.0), width=0.3)[1000:])
        assert np.std(np.diff(turn)) < 1e-6


class TestWaterRemoval:
    @pytest.mark.parametrize("ratio", [1.0, 30.0, 3000.0])
    def test_metabolites_survive_any_amount_of_water(self, ratio):
        rng = np.random.default_rng(0)
        clean = lines(*SINGLETS) + noise(rng, 2048, 0.01)
        residual = ratio * (lines((4.63, 1.0), (4.66, 0.6), width=6.0) * np.exp(1.1j) + lines((4.70, -0.3), width=15.0))
        found = water.remove_water(scan(clean + residual), (4.2, 5.1), 20)
        inside = (found.spectrum.ppm > 1.5) & (found.spectrum.ppm < 4.0)
        error = np.abs(display(found.spectrum.fid) - display(clean))[inside]
        assert error.max() < 0.02 * np.abs(display(clean)).max()

    def test_harmless_without_water(self):
        clean = scan(lines(*SINGLETS, width=4.0) + noise(np.random.default_rng(0), 2048, 0.02))
        found = water.remove_water(clean, (4.2, 5.1), 20)
        assert found.passes == 0
        np.testing.assert_array_equal(found.spectrum.fid, clean.fid)

    def test_noise_sd_is_that_of_the_real_spectrum(self):
        fid = noise(np.random.default_rng(0), 8192, 0.3) + 50 * np.exp(-20 * np.arange(8192) * DWELL)
        assert water.noise_sd(scan(fid)) == pytest.approx(0.3 * np.sqrt(8192), rel=0.06)


class TestReference:
    @pytest.mark.parametrize("shift", [-0.2, 0.0, 0.2])
    @pytest.mark.parametrize("degrees", [-120.0, 0.0, 65.0, 180.0])
    def test_shift_and_phase_come_back(self, shift, degrees):
        rng = np.random.default_rng(3)
        moved = scan(lines(*SINGLETS)).shifted(shift * MHZ).phased(degrees)
        found = reference.fit_reference(moved.with_fid(moved.fid + noise(rng, 2048, 0.02)), 0.3)
        assert found.confident
        assert found.shift_ppm == pytest.approx(shift, abs=0.002)
        assert np.angle(np.exp(1j * np.deg2rad(found.phase_deg - degrees)), deg=True) == pytest.approx(0.0, abs=2.0)

    def test_carrier_at_3_ppm(self):
        fid = lines(*SINGLETS, reference_ppm=3.0)
        found = reference.fit_reference(scan(fid, reference_ppm=3.0), 0.3)
        assert found.shift_ppm == pytest.approx(0.0, abs=0.001)

    def test_standard_errors_are_those_seen(self):
        rng = np.random.default_rng(4)
        fits = [reference.fit_reference(scan(lines(*SINGLETS) + noise(rng, 2048, 0.1)), 0.1) for _ in range(40)]
        assert np.std([fit.shift_ppm for fit in fits]) == pytest.approx(
            np.mean([f.shift_sd_ppm for f in fits]), rel=0.4
        )
        assert np.std([fit.phase_deg for fit in fits]) == pytest.approx(
            np.mean([f.phase_sd_deg for f in fits]), rel=0.4
        )

    def test_noise_is_not_confident(self):
        fits = [reference.fit_reference(scan(noise(np.random.default_rng(seed), 2048, 1.0)), 0.3) for seed in range(20)]
        assert sum(fit.confident for fit in fits) <= 1


class TestBandBasis:
    def test_holds_lines_of_the_band_and_little_else(self):
        basis = subspace.band_basis(scan(T), (4.5, 4.8))
        np.testing.assert_allclose(basis.conj().T @ basis, np.eye(basis.shape[1]), atol=1e-8)
        for width in (2.0, 6.0, 12.0):
            inside = lines((4.61, 1.0), width=width)
            rest, part = subspace.split(inside, basis)
            np.testing.assert_allclose(rest + part, inside, atol=1e-12)
            assert np.linalg.norm(rest) < 0.07 * np.linalg.norm(inside)
        far = lines((2.008, 1.0))
        assert np.linalg.norm(subspace.split(far, basis)[1]) < 0.2 * np.linalg.norm(far)


class TestAlign:
    def planted(self, count=32, sigma=0.02, extra=None, seed=0):
        rng = np.random.default_rng(seed)
        hz, deg = rng.uniform(-8, 8, count), rng.uniform(-60, 60, count)
        turn = np.exp(1j * (2 * np.pi * np.outer(hz, T) + np.deg2rad(deg)[:, None]))
        signal = lines(*SINGLETS) + (0 if extra is None else extra)
        return scan(turn * signal + noise(rng, (count, 2048), sigma), ("DIM_DYN",)), hz, deg

    def test_sign_convention_of_a_planted_offset(self):
        fid = np.tile(lines(*SINGLETS), (9, 1))
        fid[4] *= np.exp(1j * (2 * np.pi * 5.0 * T + np.deg2rad(20.0)))
        rng = np.random.default_rng(0)
        found = align.estimate(scan(fid + noise(rng, fid.shape, 1e-4), ("DIM_DYN",)))
        assert found.hz[4] == pytest.approx(5.0, abs=0.01)
        assert found.deg[4] == pytest.approx(20.0, abs=0.1)
        assert np.max(np.abs(np.delete(found.hz, 4))) < 0.01

    @pytest.mark.parametrize("method", ["robust", "spectral-registration"])
    def test_planted_drift_comes_back_within_its_standard_error(self, method):
        data, hz, deg = self.planted()
        found = align.estimate(data, method=method)
        error = found.hz - hz - np.median(found.hz - hz)
        assert np.std(error) < 1.3 * found.sd_hz
        turned = np.angle(np.exp(1j * np.deg2rad(found.deg - deg)), deg=True)
        assert np.std(turned) < 1.3 * found.sd_deg

    def test_standard_error_is_the_cramer_rao_bound(self):
        data, _, _ = self.planted(sigma=0.05)
        power = np.abs(lines(*SINGLETS)) ** 2
        moments = np.array([[np.sum(power * T**2), np.sum(power * T)], [np.sum(power * T), np.sum(power)]])
        bound = 0.05 * np.sqrt(np.linalg.inv(moments)[0, 0]) / (2 * np.pi)
        assert align.estimate(data).sd_hz == pytest.approx(bound, rel=0.15)

    def test_unsteady_water_does_not_pull(self):
        rng = np.random.default_rng(5)
        data, hz, _ = self.planted(sigma=0.02)
        own = 5 * rng.uniform(0.2, 2, 32) * np.exp(2j * np.pi * rng.uniform(size=32))
        unsteady = own[:, None] * lines((4.67, 1.0)) * np.exp(2j * np.pi * np.outer(hz, T))
        found = align.estimate(data.with_fid(data.fid + unsteady))
        error = found.hz - hz - np.median(found.hz - hz)
        assert np.std(error) < 1.4 * found.sd_hz
        assert found.water_weight < 0.1

    def test_steady_water_helps(self):
        data, hz, _ = self.planted(sigma=0.02, extra=lines((4.67, 3.0)))
        found = align.estimate(data)
        error = found.hz - hz - np.median(found.hz - hz)
        assert found.water_weight > 0.4
        assert np.std(error) < align.estimate(self.planted(sigma=0.02)[0]).sd_hz

    def test_steps_of_20_hz(self):
        rng = np.random.default_rng(1)
        hz = np.where(np.arange(32) < 12, 0.0, 20.0)
        fid = lines(*SINGLETS) * np.exp(2j * np.pi * np.outer(hz, T)) + noise(rng, (32, 2048), 0.05)
        found = align.estimate(scan(fid, ("DIM_DYN",)))
        assert np.median(found.hz[12:]) - np.median(found.hz[:12]) == pytest.approx(20.0, abs=0.2)

    def test_noise_alone_moves_nothing(self):
        found = align.estimate(scan(noise(np.random.default_rng(0), (16, 2048), 1.0), ("DIM_DYN",)))
        assert np.isinf(found.sd_hz)
        assert not np.any(found.hz)

    def test_difference_of_two_spectra_from_chosen_peaks(self):
        other = scan(lines(*SINGLETS[1:], (2.008, -0.4), (3.0, 0.1))).shifted(2.5).phased(12.0)
        hz, deg = align.between(scan(lines(*SINGLETS)), other, ((3.13, 3.32), (3.84, 4.0)), 30.0)
        assert hz == pytest.approx(2.5, abs=0.3)
        assert deg == pytest.approx(12.0, abs=5.0)


class TestTransients:
    def test_corrupted_ones_are_dropped_with_reason(self):
        rng = np.random.default_rng(2)
        fid = np.tile(lines(*SINGLETS), (24, 1)) + noise(rng, (24, 2048), 0.05)
        fid[3] *= 0.2
        fid[9] += lines((1.3, 2.0), width=25.0)
        fid[15] += noise(rng, 2048, 0.3)
        found = transients.judge(scan(fid, ("DIM_DYN",)), PreprocessSection())
        assert set(found.reasons) == {3, 9, 15}
        assert "lipids" in found.reasons[9]
        assert np.flatnonzero(~found.kept).tolist() == [3, 9, 15]

    def test_clean_ones_are_kept(self):
        rng = np.random.default_rng(2)
        fid = np.tile(lines(*SINGLETS), (64, 1)) + noise(rng, (64, 2048), 0.1)
        assert transients.judge(scan(fid, ("DIM_DYN",)), PreprocessSection()).kept.all()

    def test_no_more_than_the_stated_share(self):
        rng = np.random.default_rng(2)
        fid = np.tile(lines(*SINGLETS), (20, 1)) + noise(rng, (20, 2048), 0.05)
        fid[:9] += lines((1.3, 1.0), width=25.0) * rng.uniform(1, 4, (9, 1))
        settings = PreprocessSection.model_validate({"outliers": {"max_share": 0.2}})
        found = transients.judge(scan(fid, ("DIM_DYN",)), settings)
        assert (~found.kept).sum() <= 4
        assert found.limited > 0


class TestCoils:
    def planted(self, seed=0, n_coils=8, count=16, level=0.05):
        rng = np.random.default_rng(seed)
        sensitivity = rng.normal(size=n_coils) + 1j * rng.normal(size=n_coils)
        mixing = np.eye(n_coils) + 0.3 * (
            rng.normal(size=(n_coils, n_coils)) + 1j * rng.normal(size=(n_coils, n_coils))
        )
        root = mixing * rng.uniform(0.5, 2, n_coils)[:, None] * level
        raw = (root @ noise(rng, (n_coils, count * 2048), 1.0)).reshape(n_coils, count, 2048)
        data = sensitivity[:, None, None] * lines(*SINGLETS) + raw
        return scan(data, ("DIM_COIL", "DIM_DYN")), sensitivity, 2 * root @ root.conj().T

    def test_within_two_percent_of_the_optimal_snr(self):
        data, sensitivity, covariance = self.planted()
        found = coils.coil_weights(data, data, method="wsvd", noise_tail=0.1).weights
        best = np.sqrt(np.vdot(sensitivity, np.linalg.solve(covariance, sensitivity)).real)
        got = abs(found @ sensitivity) / np.sqrt((found @ covariance @ found.conj()).real)
        assert got > 0.98 * best

    @pytest.mark.parametrize("count", [1, 16])
    def test_many_coils_whose_noise_is_nearly_singular(self, count):
        """32 coils with a condition number of some thousand: shrinking the covariance would lose a third of the SNR.

        One FID has too few quiet frequencies for 32 coils; the empty ones between the peaks serve too.
        """
        data, sensitivity, covariance = self.planted(n_coils=32, count=count, level=5.0)
        assert np.linalg.cond(covariance) > 1000
        water = data.with_fid(data.fid[:, :1] + 500 * sensitivity[:, None, None] * lines((4.65, 1.0)))
        found = coils.coil_weights(water, data, method="wsvd", noise_tail=0.1)
        best = np.sqrt(np.vdot(sensitivity, np.linalg.solve(covariance, sensitivity)).real)
        got = abs(found.weights @ sensitivity) / np.sqrt((found.weights @ covariance @ found.weights.conj()).real)
        assert found.noise_samples > 1200
        assert got > 0.98 * best

    def test_a_noise_scan_gives_the_covariance_at_the_level_of_the_scan(self):
        data, sensitivity, covariance = self.planted(count=4)
        rng = np.random.default_rng(11)
        root = np.linalg.cholesky(covariance / 2)
        quiet = data.with_fid((7.0 * root @ noise(rng, (8, 20000), 1.0)).reshape(8, 1, 20000))
        found = coils.coil_weights(data, data, method="wsvd", noise_tail=0.1, noise_scan=quiet)
        best = np.sqrt(np.vdot(sensitivity, np.linalg.solve(covariance, sensitivity)).real)
        got = abs(found.weights @ sensitivity) / np.sqrt((found.weights @ covariance @ found.weights.conj()).real)
        assert found.noise_samples == 20000
        assert got > 0.99 * best
        np.testing.assert_allclose(found.noise_sd, np.sqrt(np.diag(covariance).real / 2), rtol=0.1)

    def test_scale_is_the_root_sum_of_squares(self):
        data, sensitivity, _ = self.planted()
        found = coils.coil_weights(data, data, method="wsvd", noise_tail=0.1).weights
        assert abs(found @ sensitivity) == pytest.approx(np.linalg.norm(sensitivity), rel=0.02)

    def test_noise_covariance(self):
        data, _, covariance = self.planted(count=64)
        found, samples = coils.noise_covariance(data, 0.1)
        assert samples > 1000
        np.testing.assert_allclose(found, covariance, atol=0.05 * np.abs(covariance).max())

    def test_coil_order_and_common_phase_do_not_matter(self):
        data, _, _ = self.planted()
        order = np.random.default_rng(1).permutation(8)
        other = data.with_fid(data.fid[order] * np.exp(0.7j))
        first = coils.combine(data, coils.coil_weights(data, data, method="wsvd", noise_tail=0.1).weights)
        second = coils.combine(other, coils.coil_weights(other, other, method="wsvd", noise_tail=0.1).weights)
        np.testing.assert_allclose(second.fid, first.fid, atol=1e-8)
