"""Preprocessing end to end: raw axes in any order to one clean spectrum."""

import json

import numpy as np
import pytest

from mrs_pipeline.config import PreprocessSection
from mrs_pipeline.errors import InputError
from mrs_pipeline.preprocess import (
    METHODS,
    METRIC_DEFINITIONS,
    Hints,
    display,
    hints_from_headers,
    load,
    load_evidence,
    preprocess,
    save,
)
from mrs_pipeline.spectrum import Spectrum

MHZ = 123.25
DWELL = 5e-4
T = np.arange(2048) * DWELL
SINGLETS = ((2.008, 1.0), (3.027, 0.7), (3.211, 0.5), (3.91, 0.4))
DEFAULT = PreprocessSection()


def lines(*peaks, width=5.0, time=T):
    total = np.zeros(time.size, dtype=complex)
    for ppm, amplitude in peaks:
        total += amplitude * np.exp(2j * np.pi * (ppm - 4.65) * MHZ * time - np.pi * width * time)
    return total


def noise(rng, shape, sd):
    return sd * (rng.normal(size=shape) + 1j * rng.normal(size=shape))


def spectrum(fid, dims=(), **fields):
    return Spectrum(fid, fields.pop("dwell", DWELL), fields.pop("mhz", MHZ), dims=dims, **fields)


def metabolites(seed=0, sd=0.01):
    return lines(*SINGLETS, (4.66, 5.0)) + noise(np.random.default_rng(seed), 2048, sd)


WATER = 1000 * lines((4.65, 1.0), width=7.0)


def naa_amplitude(result):
    """Amplitude of NAA at t = 0 by its area in a window, in the units of the FID."""
    ppm = result.spectrum.ppm
    inside = np.abs(ppm - 2.008) < 0.2
    turn = np.exp(2j * np.pi * (4.65 - result.spectrum.reference_ppm) * MHZ * T)
    pure = display(lines((2.008, 1.0)) * turn)[inside].real
    return float(display(result.spectrum.fid)[inside].real @ pure / (pure @ pure))


class TestAveraged:
    def test_every_step_is_recorded_with_its_method(self):
        result = preprocess(spectrum(metabolites()), spectrum(WATER), None, DEFAULT)
        assert [step.name for step in result.steps] == [
            "coil_combination",
            "outliers",
            "alignment",
            "averaging",
            "first_point",
            "eddy_current",
            "pre_echo",
            "water_removal",
            "phase",
            "reference",
        ]
        assert all(step.method == METHODS[step.name] and step.reason for step in result.steps)
        assert [step.name for step in result.steps if step.applied] == [
            "eddy_current",
            "water_removal",
            "phase",
            "reference",
        ]

    def test_amplitudes_and_places_are_kept(self):
        result = preprocess(spectrum(3e4 * metabolites()), spectrum(3e4 * WATER), None, DEFAULT)
        assert naa_amplitude(result) == pytest.approx(3e4, rel=0.01)
        assert abs(result.water.fid[0]) == pytest.approx(3e7, rel=1e-3)

    @pytest.mark.parametrize("degrees", [0.0, 90.0, 180.0, -140.0])
    @pytest.mark.parametrize("shift_ppm", [-0.2, 0.2])
    def test_phase_and_shift_are_undone(self, degrees, shift_ppm):
        moved = spectrum(metabolites()).shifted(shift_ppm * MHZ).phased(degrees)
        result = preprocess(moved, None, None, DEFAULT)
        shown = display(result.spectrum.fid)
        peak = result.spectrum.ppm[np.argmax(np.where(result.spectrum.ppm < 2.5, shown.real, 0))]
        assert peak == pytest.approx(2.008, abs=0.008)
        assert naa_amplitude(result) == pytest.approx(1.0, rel=0.02)

    def test_inverted_is_named(self):
        result = preprocess(spectrum(-metabolites()), None, None, DEFAULT)
        assert result.step("phase").parameters["inverted"] is True
        assert any("inverted" in warning for warning in result.warnings)

    def test_carrier_at_3_ppm(self):
        moved = spectrum(metabolites() * np.exp(2j * np.pi * 1.65 * MHZ * T), reference_ppm=3.0)
        result = preprocess(
            moved, spectrum(WATER * np.exp(2j * np.pi * 1.65 * MHZ * T), reference_ppm=3.0), None, DEFAULT
        )
        assert result.metrics["reference_shift_ppm"] == pytest.approx(0.0, abs=0.003)
        assert result.metrics["residual_water"] < 0.2
        assert naa_amplitude(result) == pytest.approx(1.0, rel=0.02)
        assert result.step("eddy_current").parameters["offset_hz"] == pytest.approx(0.0, abs=0.1)

    def test_halved_first_points_are_undone_in_scan_and_water(self):
        scan, reference = metabolites(), WATER.copy()
        scan[0] *= 0.5
        reference[0] *= 0.5
        whole = preprocess(spectrum(metabolites()), spectrum(WATER), None, DEFAULT)
        halved = preprocess(spectrum(scan), spectrum(reference), None, DEFAULT)
        assert halved.step("first_point").applied
        np.testing.assert_allclose(halved.spectrum.fid, whole.spectrum.fid, atol=1e-9)
        np.testing.assert_allclose(halved.water.fid, whole.water.fid, atol=1e-9)

    def test_header_decides_where_the_data_cannot(self):
        weak = noise(np.random.default_rng(0), 2048, 1.0)
        assert not preprocess(spectrum(weak), None, None, DEFAULT).step("first_point").applied
        told = preprocess(spectrum(weak), None, None, DEFAULT, hints=Hints(first_point_halved=True))
        assert told.step("first_point").applied

    def test_header_against_clear_data_is_said(self):
        result = preprocess(spectrum(metabolites()), None, None, DEFAULT, hints=Hints(first_point_halved=True))
        assert not result.step("first_point").applied
        assert any("disagree" in warning for warning in result.warnings)

    def test_water_of_another_length_and_dwell(self):
        t = np.arange(900) * 8e-4
        reference = spectrum(1000 * np.exp(-20 * t), dwell=8e-4)
        result = preprocess(spectrum(metabolites()), reference, None, DEFAULT)
        assert result.step("eddy_current").applied
        assert naa_amplitude(result) == pytest.approx(1.0, rel=0.01)

    def test_misfit_reference_is_refused_with_a_reason(self):
        result = preprocess(spectrum(metabolites()), spectrum(WATER, mhz=297.0), None, DEFAULT)
        assert not result.step("eddy_current").applied
        assert "297.00 MHz" in result.step("eddy_current").reason

    def test_ecc_reference_comes_before_the_concentration_reference(self):
        bend = np.exp(0.6j * np.exp(-T / 0.03))
        result = preprocess(spectrum(metabolites() * bend), spectrum(WATER), spectrum(WATER * bend), DEFAULT)
        assert result.step("eddy_current").parameters["largest_bend_deg"] > 10
        assert naa_amplitude(result) == pytest.approx(1.0, rel=0.01)

    @pytest.mark.parametrize("step", ["eddy_current", "water_removal", "phase", "reference"])
    def test_each_step_can_be_off(self, step):
        settings = PreprocessSection.model_validate({step: {"enabled": False}})
        record = preprocess(spectrum(metabolites()), spectrum(WATER), None, settings).step(step)
        assert not record.applied
        assert record.reason == "switched off"

    def test_uncertain_phase_is_left_alone_and_said(self):
        scan = spectrum(noise(np.random.default_rng(0), 2048, 1.0))
        result = preprocess(scan, None, None, DEFAULT)
        np.testing.assert_array_equal(result.spectrum.fid, scan.fid)
        assert any("left as they are" in warning for warning in result.warnings)

    @pytest.mark.parametrize(
        ("fid", "words"),
        [(np.zeros(2048), "all zero"), (np.full(2048, np.nan), "not finite"), (np.ones(8), "8 time points")],
    )
    def test_unusable_data_are_refused(self, fid, words):
        with pytest.raises(InputError, match=words):
            preprocess(spectrum(fid), None, None, DEFAULT)


def test_hints_from_headers():
    sdat = {"OriginalFile": ["a_act.SDAT", "a_act.SPAR"]}
    assert hints_from_headers(sdat, {"OriginalFile": ["b.dat"]}) == Hints(True, None)
    assert hints_from_headers({}) == Hints()


class TestTransients:
    def raw(self, count=16, sd=0.05, seed=0, signal=None):
        rng = np.random.default_rng(seed)
        hz, deg = np.linspace(0, 4, count), rng.normal(0, 10, count)
        turn = np.exp(1j * (2 * np.pi * np.outer(hz, T) + np.deg2rad(deg)[:, None]))
        signal = lines(*SINGLETS, (4.66, 2.0)) if signal is None else signal
        return turn * signal + noise(rng, (count, 2048), sd), hz, deg

    def test_drift_is_the_transients_own_offset(self):
        data, hz, deg = self.raw()
        result = preprocess(spectrum(data, ("DIM_DYN",)), None, None, DEFAULT)
        np.testing.assert_allclose(result.drift_hz, hz - np.median(hz), atol=0.15)
        np.testing.assert_allclose(result.drift_deg, deg - np.median(deg), atol=4.0)
        assert result.metrics["drift_hz_slope"] == pytest.approx(100 * 4 / 15, rel=0.1)

    def test_dropped_transients_have_no_drift(self):
        data, _, _ = self.raw()
        data[5] *= 0.1
        result = preprocess(spectrum(data, ("DIM_DYN",)), None, None, DEFAULT)
        assert result.kept[5] is False
        assert result.drift_hz[5] is None
        assert list(result.step("outliers").parameters["dropped"]) == ["6"]  # counted from 1
        assert result.metrics["share_kept"] == pytest.approx(15 / 16)

    def test_mean_not_sum(self):
        """64 transients against one of water: the ratio is that of the signals, not 64 times it."""
        data, _, _ = self.raw(count=64)
        result = preprocess(spectrum(data, ("DIM_DYN",)), spectrum(WATER), None, DEFAULT)
        assert naa_amplitude(result) == pytest.approx(1.0, rel=0.02)
        assert abs(result.water.fid[0]) == pytest.approx(1000.0, rel=1e-3)

    def test_stored_sums_are_divided(self):
        result = preprocess(
            spectrum(64 * metabolites()), spectrum(8 * WATER), None, DEFAULT, hints=Hints(summed=64, water_summed=8)
        )
        assert naa_amplitude(result) == pytest.approx(1.0, rel=0.02)
        assert abs(result.water.fid[0]) == pytest.approx(1000.0, rel=1e-3)

    def test_water_transients_are_averaged_too(self):
        data, _, _ = self.raw(count=8)
        waters = np.stack([WATER * np.exp(0.3j * k) for k in range(4)])
        result = preprocess(spectrum(data, ("DIM_DYN",)), spectrum(waters, ("DIM_DYN",)), None, DEFAULT)
        assert abs(result.water.fid[0]) == pytest.approx(1000.0, rel=1e-3)

    def test_order_of_transients_does_not_matter(self):
        data, _, _ = self.raw()
        order = np.random.default_rng(3).permutation(16)
        first = preprocess(spectrum(data, ("DIM_DYN",)), None, None, DEFAULT)
        second = preprocess(spectrum(data[order], ("DIM_DYN",)), None, None, DEFAULT)
        np.testing.assert_allclose(second.spectrum.fid, first.spectrum.fid, atol=0.01)
        np.testing.assert_allclose(second.drift_hz, np.array(first.drift_hz)[order], atol=0.02)

    @pytest.mark.parametrize("tag", ["DIM_MEAS", "DIM_PHASE_CYCLE", "DIM_USER_0"])
    def test_other_repetition_axes_are_averaged(self, tag):
        data, _, _ = self.raw()
        result = preprocess(spectrum(data.reshape(4, 4, 2048), (tag, "DIM_DYN")), None, None, DEFAULT)
        assert result.spectrum.dims == ()
        assert len(result.kept) == 16
        assert any("DIM_USER_0" in warning for warning in result.warnings) is (tag == "DIM_USER_0")

    def test_phase_cycle_left_in_the_data_does_not_cancel(self):
        """Four steps of 90 degrees in receiver phase, uncorrected: a plain mean would be zero."""
        data, hz, _ = self.raw()
        cycle = np.exp(0.5j * np.pi * np.arange(4))
        shaped = data.reshape(4, 4, 2048) * cycle[None, :, None]
        result = preprocess(spectrum(shaped, ("DIM_DYN", "DIM_PHASE_CYCLE")), None, None, DEFAULT)
        assert naa_amplitude(result) == pytest.approx(1.0, rel=0.02)
        np.testing.assert_allclose(result.drift_hz, hz - np.median(hz), atol=0.15)

    @pytest.mark.parametrize("tag", ["DIM_ISIS", "DIM_METCYCLE"])
    def test_axes_that_need_the_sequence_are_refused_with_the_reason(self, tag):
        with pytest.raises(InputError, match=tag) as caught:
            preprocess(spectrum(np.ones((2, 2048)), (tag,)), None, None, DEFAULT)
        assert "convert" in caught.value.remedy

    @pytest.mark.parametrize("tag", ["DIM_INDIRECT_0", "DIM_INDIRECT_1"])
    def test_axes_that_are_no_repetitions_are_refused(self, tag):
        with pytest.raises(InputError, match=tag):
            preprocess(spectrum(np.ones((2, 2048)), (tag,)), None, None, DEFAULT)

    def test_alignment_off_still_measures_drift(self):
        data, hz, _ = self.raw()
        settings = PreprocessSection.model_validate({"alignment": {"enabled": False}})
        result = preprocess(spectrum(data, ("DIM_DYN",)), None, None, settings)
        assert not result.step("alignment").applied
        np.testing.assert_allclose(result.drift_hz, hz - np.median(hz), atol=0.15)

    def test_outliers_off_keeps_every_transient(self):
        data, _, _ = self.raw()
        data[5] *= 0.1
        settings = PreprocessSection.model_validate({"outliers": {"enabled": False}})
        result = preprocess(spectrum(data, ("DIM_DYN",)), None, None, settings)
        assert result.step("outliers").reason == "switched off"
        assert all(result.kept)

    def test_averaging_off_is_overruled_aloud(self):
        data, _, _ = self.raw()
        settings = PreprocessSection.model_validate({"averaging": {"enabled": False}})
        result = preprocess(spectrum(data, ("DIM_DYN",)), None, None, settings)
        assert not result.step("averaging").applied
        assert any("Averaging cannot be switched off" in warning for warning in result.warnings)

    def test_every_step_of_raw_data_leaves_a_record_and_evidence(self):
        rng = np.random.default_rng(6)
        data, _, _ = self.raw()
        bend = np.exp(0.6j * np.exp(-T / 0.03))
        coils = np.array([1.0, 0.5j, -0.8])
        raw = coils[:, None, None] * (data * bend) + noise(rng, (3, 16, 2048), 0.02)
        water = spectrum(coils[:, None] * WATER * bend, ("DIM_COIL",))
        result = preprocess(spectrum(raw, ("DIM_COIL", "DIM_DYN")), water, None, DEFAULT)
        assert [record.name for record in result.steps] == [
            "coil_combination", "outliers", "alignment", "averaging", "first_point", "eddy_current",
            "pre_echo", "water_removal", "phase", "reference",
        ]  # fmt: skip
        for name in ("alignment", "eddy_current", "water_removal", "phase", "reference"):
            assert result.step(name).applied
            before, after = result.evidence[f"{name}.before"], result.evidence[f"{name}.after"]
            assert before.shape == after.shape == (2048,)
            assert not np.array_equal(before, after)
        assert result.evidence["coils.weight"].shape == (3,)
        assert result.evidence["transients.before"].shape == result.evidence["transients.after"].shape

    def test_weighted_mean_keeps_the_scale(self):
        data, _, _ = self.raw()
        data[2] += noise(np.random.default_rng(9), 2048, 0.1)
        settings = PreprocessSection.model_validate({"averaging": {"weighted": True}, "outliers": {"enabled": False}})
        result = preprocess(spectrum(data, ("DIM_DYN",)), None, None, settings)
        assert naa_amplitude(result) == pytest.approx(1.0, rel=0.02)


class TestCoils:
    def raw(self, axes):
        rng = np.random.default_rng(1)
        sensitivity = rng.normal(size=6) + 1j * rng.normal(size=6)
        data = sensitivity[:, None, None] * lines(*SINGLETS, (4.66, 2.0)) + noise(rng, (6, 8, 2048), 0.05)
        tags = ("DIM_COIL", "DIM_DYN")
        order = [tags.index(tag) for tag in axes]
        water = sensitivity[:, None] * WATER + noise(rng, (6, 2048), 0.05)
        return (
            spectrum(np.transpose(data, (*order, 2)), axes),
            spectrum(water, ("DIM_COIL",)),
            np.linalg.norm(sensitivity),
        )

    def test_axes_in_any_order(self):
        first = preprocess(*self.raw(("DIM_COIL", "DIM_DYN"))[:2], None, DEFAULT)
        second = preprocess(*self.raw(("DIM_DYN", "DIM_COIL"))[:2], None, DEFAULT)
        np.testing.assert_allclose(second.spectrum.fid, first.spectrum.fid, atol=1e-9)

    def test_water_and_metabolites_share_one_scale(self):
        scan, water, norm = self.raw(("DIM_COIL", "DIM_DYN"))
        result = preprocess(scan, water, None, DEFAULT)
        assert naa_amplitude(result) == pytest.approx(norm, rel=0.02)
        assert abs(result.water.fid[0]) == pytest.approx(1000 * norm, rel=0.01)

    def test_without_water_it_is_said(self):
        scan, _, norm = self.raw(("DIM_COIL", "DIM_DYN"))
        result = preprocess(scan, None, None, DEFAULT)
        assert naa_amplitude(result) == pytest.approx(norm, rel=0.03)
        assert any("metabolite scan itself" in warning for warning in result.warnings)

    def test_noise_scan_gives_the_covariance(self):
        scan, water, norm = self.raw(("DIM_COIL", "DIM_DYN"))
        quiet = spectrum(noise(np.random.default_rng(4), (6, 4096), 0.4), ("DIM_COIL",), dwell=1e-4)
        result = preprocess(scan, water, None, DEFAULT, noise=quiet)
        step = result.step("coil_combination")
        assert step.parameters["noise_source"] == "noise scan"
        assert step.parameters["noise_samples"] == 4096
        assert naa_amplitude(result) == pytest.approx(norm, rel=0.02)
        np.testing.assert_allclose(result.evidence["coils.noise_sd"], 0.05, rtol=0.1)  # at the level of the scan
        assert not any("noise scan" in warning for warning in result.warnings)

    @pytest.mark.parametrize(
        ("shape", "dims", "words"),
        [
            ((5, 2048), ("DIM_COIL",), "5 coils, the scan 6"),
            ((2048,), (), "no coil axis"),
            ((6, 40), ("DIM_COIL",), "40 samples"),
        ],
    )
    def test_noise_scan_that_does_not_fit_is_said(self, shape, dims, words):
        scan, water, _ = self.raw(("DIM_COIL", "DIM_DYN"))
        quiet = spectrum(noise(np.random.default_rng(4), shape, 0.4), dims)
        result = preprocess(scan, water, None, DEFAULT, noise=quiet)
        assert any(words in warning and "tails" in warning for warning in result.warnings)
        assert result.step("coil_combination").parameters["noise_source"] == "tails of the FIDs"
        plain = preprocess(scan, water, None, DEFAULT)
        np.testing.assert_array_equal(result.spectrum.fid, plain.spectrum.fid)

    def test_water_scan_labelled_as_noise_is_not_believed(self):
        scan, water, _ = self.raw(("DIM_COIL", "DIM_DYN"))
        result = preprocess(scan, water, None, DEFAULT, noise=water)
        assert any("holds a signal" in warning for warning in result.warnings)

    @pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (1, 3, 0, 2)])
    def test_four_axes_in_any_order(self, order):
        """Coils, dynamics, a phase cycle and a user axis: 6 x 2 x 2 x 2, one mean."""
        scan, water, norm = self.raw(("DIM_COIL", "DIM_DYN"))
        tags = ("DIM_COIL", "DIM_DYN", "DIM_PHASE_CYCLE", "DIM_USER_0")
        shaped = np.transpose(scan.fid.reshape(6, 2, 2, 2, 2048), (*order, 4))
        result = preprocess(spectrum(shaped, tuple(tags[i] for i in order)), water, None, DEFAULT)
        assert result.spectrum.dims == ()
        assert len(result.kept) == 8
        assert naa_amplitude(result) == pytest.approx(norm, rel=0.02)

    def test_combined_water_against_single_coils_is_said(self):
        scan, _, _ = self.raw(("DIM_COIL", "DIM_DYN"))
        result = preprocess(scan, spectrum(WATER), None, DEFAULT)
        assert any("scale factor" in warning for warning in result.warnings)

    def test_switched_off_is_refused(self):
        settings = PreprocessSection.model_validate({"coil_combination": {"enabled": False}})
        with pytest.raises(InputError, match="switched off"):
            preprocess(self.raw(("DIM_COIL", "DIM_DYN"))[0], None, None, settings)


class TestEdited:
    ON = ((2.008, 0.1), (3.0, 0.15), (3.027, 0.7), (3.211, 0.5), (3.91, 0.4), (3.75, 0.2))

    def raw(self, offset_hz=2.0, degrees=8.0):
        rng = np.random.default_rng(0)
        off = lines(*SINGLETS, (4.66, 1.0))
        on = lines(*self.ON, (4.66, 1.0)) * np.exp(1j * (2 * np.pi * offset_hz * T + np.deg2rad(degrees)))
        return np.stack([on, off])[None].repeat(24, axis=0) + noise(rng, (24, 2, 2048), 0.05)

    def test_difference_holds_the_edited_signals_only(self):
        result = preprocess(spectrum(self.raw(), ("DIM_DYN", "DIM_EDIT")), None, None, DEFAULT)
        assert set(result.edited) == {"on", "off", "difference", "sum"}
        difference = result.edited["difference"]
        shown = display(difference.fid).real
        expected = display(lines(*self.ON) - lines(*SINGLETS)).real
        inside = (difference.ppm > 1.5) & (difference.ppm < 4.0)
        scale = np.abs(display(lines(*SINGLETS))).max()
        assert np.max(np.abs(shown - expected)[inside]) < 0.05 * scale
        assert result.step("edited").parameters["shift_hz"] == pytest.approx(2.0, abs=0.2)

    def test_order_of_axes_and_conditions(self):
        raw = self.raw()
        first = preprocess(spectrum(raw, ("DIM_DYN", "DIM_EDIT")), None, None, DEFAULT)
        swapped = np.transpose(raw[:, ::-1], (1, 0, 2))
        second = preprocess(spectrum(swapped, ("DIM_EDIT", "DIM_DYN")), None, None, DEFAULT)
        np.testing.assert_allclose(second.edited["difference"].fid, first.edited["difference"].fid, atol=1e-6)
        assert first.step("edited").parameters["off"] == 2
        assert second.step("edited").parameters["off"] == 1

    def test_averaged_pair(self):
        result = preprocess(spectrum(self.raw().mean(axis=0), ("DIM_EDIT",)), None, None, DEFAULT)
        assert naa_amplitude(result) == pytest.approx(1.0, rel=0.03)
        np.testing.assert_allclose(
            result.edited["sum"].fid, result.edited["on"].fid + result.edited["off"].fid, atol=0.02
        )


class TestMetrics:
    def test_every_metric_is_defined_and_every_definition_measured(self):
        result = preprocess(spectrum(metabolites()), spectrum(WATER), None, DEFAULT)
        assert set(result.metrics) == set(METRIC_DEFINITIONS)

    def test_linewidths_and_snr_of_known_lines(self):
        sd = 0.01
        result = preprocess(spectrum(metabolites(sd=sd)), spectrum(WATER), None, DEFAULT)
        assert result.metrics["fwhm_water_hz"] == pytest.approx(7.0, rel=0.03)
        assert result.metrics["fwhm_hz"] == pytest.approx(5.0, rel=0.12)
        height = np.abs(display(lines(*SINGLETS)))[np.abs(result.spectrum.ppm - 2.008) < 0.1].max()
        assert result.metrics["snr_naa"] == pytest.approx(height / (sd * np.sqrt(2048)), rel=0.12)

    def test_lipid_ratio_has_the_sign_of_the_artefact(self):
        for sign in (1, -1):
            fid = metabolites() + sign * lines((1.3, 2.0), width=25.0)
            ratio = preprocess(spectrum(fid), None, None, DEFAULT).metrics["lipid_ratio"]
            assert np.sign(ratio) == sign
            assert abs(ratio) == pytest.approx(2.0 * 5 / 25, rel=0.25)

    def test_spurious_echo_is_seen(self):
        fid = metabolites()
        late = (T > 0.6) & (T < 0.62)
        quiet = preprocess(spectrum(fid), None, None, DEFAULT).metrics["spurious_echo"]
        fid[late] += 0.1 * np.exp(2j * np.pi * 300 * T[late])
        assert quiet < 1.5
        assert preprocess(spectrum(fid), None, None, DEFAULT).metrics["spurious_echo"] > 5


class TestFiles:
    def test_round_trip_is_exact_and_reproducible(self, tmp_path):
        data = np.stack([metabolites(seed) for seed in range(8)])
        result = preprocess(spectrum(data, ("DIM_DYN",)), spectrum(WATER), None, DEFAULT)
        save(result, tmp_path / "a.json", tmp_path / "a.npz")
        save(result, tmp_path / "b.json", tmp_path / "b.npz")
        assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
        assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
        back = load(tmp_path / "a.json", tmp_path / "a.npz", result.spectrum, result.water)
        assert back.to_dict() == result.to_dict()
        assert back.kept == result.kept
        for key, value in load_evidence(tmp_path / "a.npz").items():
            np.testing.assert_array_equal(value, result.evidence[key])
        assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []

    @pytest.mark.parametrize("text", ["", "[1]", '{"steps": []}'])
    def test_damaged_record_is_an_input_error(self, tmp_path, text):
        (tmp_path / "p.json").write_text(text, encoding="utf-8")
        with pytest.raises(InputError, match=r"p\.json"):
            load(tmp_path / "p.json", None, spectrum(metabolites()))

    def test_evidence_fits_its_axes(self):
        data = np.stack([metabolites(seed) for seed in range(8)])
        result = preprocess(spectrum(data, ("DIM_DYN",)), spectrum(WATER), None, DEFAULT)
        for key, value in result.evidence.items():
            if key.endswith((".before", ".after")) and not key.startswith("transients"):
                assert value.shape == result.evidence["ppm"].shape
        assert result.evidence["transients.before"].shape == (8, result.evidence["transients.ppm"].size)
        json.dumps(result.to_dict(), allow_nan=False)
