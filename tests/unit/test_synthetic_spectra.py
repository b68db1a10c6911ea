"""Synthetic spectra against hand calculation, against the quantification room, and against their own truth."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from mrs_pipeline.anatomy import TissueFractions
from mrs_pipeline.config.models import QuantifySection
from mrs_pipeline.errors import InputError
from mrs_pipeline.nifti_mrs import NiftiMrs, write
from mrs_pipeline.quantify import ScanTiming, fit_water, quantify
from mrs_pipeline.spectrum import Spectrum
from mrs_pipeline.synthetic import (
    Acquisition,
    Artefacts,
    Constants,
    Macromolecules,
    SpectrumSettings,
    TissueMix,
    no_artefacts,
    other_laboratory,
    simulate_spectrum,
    typical_concentrations,
)
from mrs_pipeline.synthetic.lineshape import advance, decay_from_water, gaussian_decay
from mrs_pipeline.synthetic.macromolecules import macromolecule_fid, proton_area
from mrs_pipeline.synthetic.signal import metabolite_moles, relaxation_weight
from mrs_pipeline.synthetic.spectra import metabolite_spectrum

NO_MM = Macromolecules(molal=0.0)


@pytest.fixture(scope="module")
def scan():
    return simulate_spectrum(seed=3)


def clean(**changes):
    settings = SpectrumSettings(artefacts=no_artefacts(), macromolecules=NO_MM)
    return replace(settings, **changes)


def test_relaxation_weight_by_hand():
    # (1 - e^-2) e^-0.5 for TR = 2 T1 and TE = T2 / 2
    assert relaxation_weight(1.0, 0.06, 2.0, 0.03) == pytest.approx((1 - np.exp(-2)) * np.exp(-0.5))
    # Ernst angle: cos a = E1 gives sqrt((1 - E1) / (1 + E1))
    e1 = np.exp(-0.5)
    found = relaxation_weight(2.0, 1e9, 1.0, 0.03, np.rad2deg(np.arccos(e1)))
    assert found == pytest.approx(np.sqrt((1 - e1) / (1 + e1)))


def test_water_amplitude_by_hand():
    acq = Acquisition(repetition_time=5.0, te1=0.015, te2=0.015)
    settings = clean(acquisition=acq, tissue=(1.0, 0.0, 0.0), gain=2.0)
    scan = simulate_spectrum(settings, seed=1)
    expected = 2.0 * 55510 * 0.78 * (1 - np.exp(-5 / 1.331)) * np.exp(-0.03 / 0.110)
    assert scan.truth.water_amplitude == pytest.approx(expected)
    assert abs(scan.water.fid[0]) == pytest.approx(2 * expected, rel=1e-4)


def test_a_singlet_has_its_protons_times_its_moles():
    acq = Acquisition(repetition_time=1e6)
    settings = clean(acquisition=acq, tissue=(0.0, 1.0, 0.0), concentrations={"sIns": 2.0}, gain=1.0)
    scan = simulate_spectrum(settings, seed=1)
    expected = 6 * 2.0 * 0.65 * np.exp(-acq.echo_time / 0.170)
    assert abs(scan.metabolite.fid[0]) == pytest.approx(expected, rel=1e-4)
    assert scan.truth.amplitudes["sIns"] == pytest.approx(expected / 6)


def test_white_to_grey_ratio_keeps_the_mean():
    constants = Constants(white_to_grey={"Glu": 0.5})
    mix = TissueMix(0.5, 0.3, 0.2)
    grey, white = metabolite_moles("Glu", 10.0, mix, constants)
    assert (white / (0.3 * 0.65)) / (grey / (0.5 * 0.78)) == pytest.approx(0.5)
    assert grey + white == pytest.approx(10.0 * (0.5 * 0.78 + 0.3 * 0.65))


@dataclass(frozen=True)
class TrueFit:
    """A fit that found the truth."""

    names: tuple[str, ...]
    amplitudes: tuple[float, ...]
    status: str = "ok"
    flags: tuple[str, ...] = ()

    def combination(self, weights):
        value = sum(w * self.amplitudes[self.names.index(n)] for n, w in weights.items())
        return value, 0.0, 0.0, 0.0

    def ratio(self, numerator, denominator):  # noqa: ARG002  the protocol of a fit
        return 1.0, 0.0, 1.0, 1.0


def as_overrides(constants, names):
    """The generator's constants as [quantify.overrides]."""
    water = constants.water
    tissues = ("gm", "wm", "csf")
    out = {f"water_{kind}_{t}": getattr(water, kind)[i] for kind in ("t1", "t2") for i, t in enumerate(tissues)}
    out |= {f"water_content_{t}": water.content[i] for i, t in enumerate(tissues)}
    out |= {"water_molality": water.molality, "water_density": water.density_kg_per_l}
    for key in ("t1_gm", "t1_wm", "t2_gm", "t2_wm"):
        out[f"metabolite_{key}"] = {name: getattr(constants.relaxation(name), key) for name in names}
    return out


def of_planted(constants, overrides):
    """Quantify a scan whose fit found the truth."""
    acq = Acquisition(water_echo_time=0.035, water_repetition_time=5.0)
    scan = simulate_spectrum(clean(acquisition=acq, tissue=(0.5, 0.3, 0.2), constants=constants), seed=4)
    truth = scan.truth
    fit = TrueFit(tuple(truth.amplitudes), tuple(truth.amplitudes.values()))
    water = fit_water(scan.water)
    exact = replace(water, amplitude=truth.water_amplitude)
    tissue = TissueFractions(0.5, 0.3, 0.2, (0.0, 0.0, 0.0), "truth", ())
    timing = ScanTiming.of(scan.metabolite, scan.water)
    assert water.amplitude == pytest.approx(truth.water_amplitude, rel=2e-3)
    return truth, quantify(fit, exact, tissue, timing, QuantifySection(overrides=overrides))


@pytest.mark.parametrize(
    ("constants", "overrides"),
    [
        (Constants(), {}),  # default settings of the pipeline on default settings of the generator: no bias
        (other_laboratory(), as_overrides(other_laboratory(), typical_concentrations())),
    ],
)
def test_quantification_recovers_every_planted_concentration(constants, overrides):
    """Two rooms that share no code agree on the equations when given the same constants."""
    truth, found = of_planted(constants, overrides)
    assert len(truth.molal) == 20
    for name in truth.molal:
        row = found.row({"Ins": "mI"}.get(name, name))
        assert row.molal == pytest.approx(truth.molal[name], rel=1e-9), name
        assert row.molar == pytest.approx(truth.molar[name], rel=1e-9), name


def test_constants_of_another_laboratory_bias_as_the_equations_say():
    truth, found = of_planted(other_laboratory(), {})
    # water: f d (1 - e^(-TR/T1)) e^(-TE/T2) at TR 5 s and TE 35 ms for 0.5/0.3/0.2; CSF and white matter differ
    tissue = 0.5 * 0.78 * (1 - np.exp(-5 / 1.331)) * np.exp(-0.035 / 0.110)
    white = 0.3 * 0.65 * (1 - np.exp(-5 / 0.832))
    csf = 0.2 * 0.97
    planted = tissue + white * np.exp(-0.035 / 0.0792) + csf * (1 - np.exp(-5 / 3.817)) * np.exp(-0.035 / 0.503)
    assumed = tissue + white * np.exp(-0.035 / 0.0796) + csf * (1 - np.exp(-5 / 4.309)) * np.exp(-0.035 / 1.886)
    # glutamate: planted with T2 of 129 and 124 ms, quantified with 181 and 180 ms, TE 30 ms, TR 2 s, moles 0.39:0.195
    weights = np.array([0.39, 0.195]) * (1 - np.exp(-2 / np.array([1.27, 1.17])))
    decay = [weights @ np.exp(-0.03 / np.array(t2)) for t2 in ((0.129, 0.124), (0.181, 0.180))]
    assert found.row("Glu").molal / truth.molal["Glu"] == pytest.approx(
        assumed / planted * decay[0] / decay[1], rel=1e-6
    )


def test_snr_and_noise_are_what_the_truth_says(scan):
    truth = scan.truth
    noise = scan.metabolite.fid[-256:]
    assert np.std([noise.real, noise.imag]) == pytest.approx(truth.noise_sd, rel=0.1)
    ratio = np.std(scan.water.fid[-64:].real) / truth.noise_sd
    assert ratio == pytest.approx(np.sqrt(64 / 8), rel=0.35)
    quiet = simulate_spectrum(clean(artefacts=no_artefacts(snr=50.0)), seed=1)
    window = (quiet.metabolite.ppm > 1.9) & (quiet.metabolite.ppm < 2.15)
    height = simulate_spectrum(clean(), seed=1).metabolite.spectrum().real[window].max()
    far = quiet.metabolite.spectrum().real[quiet.metabolite.ppm < -1]
    assert height / far.std() == pytest.approx(50.0, rel=0.1)


def test_lines_are_where_they_belong(scan):
    settings = clean(concentrations={"Cr": 8.0, "NAA": 10.0})
    clean_scan = simulate_spectrum(settings, seed=1)
    spectrum, ppm = clean_scan.metabolite.spectrum().real, clean_scan.metabolite.ppm
    assert ppm[np.argmax(spectrum)] == pytest.approx(2.008, abs=0.01)
    creatine = (ppm > 2.9) & (ppm < 3.2)
    assert ppm[creatine][np.argmax(spectrum[creatine])] == pytest.approx(3.027, abs=0.01)
    assert scan.water.ppm[np.argmax(np.abs(scan.water.spectrum()))] == pytest.approx(4.65, abs=0.02)


def test_offset_and_phase_are_what_the_truth_says():
    base = no_artefacts()
    turned = replace(base, frequency_offset_sd_hz=5.0, phase_sd_deg=40.0)
    a = simulate_spectrum(clean(artefacts=base), seed=9)
    b = simulate_spectrum(clean(artefacts=turned), seed=9)
    expected = a.metabolite.shifted(b.truth.offset_hz).phased(b.truth.phase_deg).fid
    np.testing.assert_allclose(b.metabolite.fid, expected, atol=2e-5 * np.abs(expected).max())
    assert abs(b.truth.offset_hz) > 0.01
    assert abs(b.truth.phase_deg) > 0.1


def test_eddy_currents_turn_both_scans_alike():
    eddy = replace(no_artefacts(), eddy_deg=(60.0, 60.0), eddy_tau_s=(0.02, 0.02))
    straight, bent = (simulate_spectrum(clean(artefacts=a), seed=2) for a in (no_artefacts(), eddy))
    phase = np.angle(bent.water.fid[:200] / straight.water.fid[:200])
    t = bent.water.time[:200]
    expected = np.deg2rad(bent.truth.eddy_deg) * (1 - np.exp(-t / 0.02))
    np.testing.assert_allclose(phase, expected, atol=1e-3)
    undone = bent.metabolite.fid[:200] * np.exp(-1j * phase)
    np.testing.assert_allclose(undone, straight.metabolite.fid[:200], atol=1e-3 * np.abs(undone).max())


@pytest.mark.parametrize("name", ["residual_water", "lipid_protons", "spurious_echo", "baseline_roll"])
def test_an_artefact_adds_what_is_asked_and_nothing_else(name):
    base = no_artefacts()
    half, full = (replace(base, **{name: (v, v)}) for v in (0.02, 0.04))
    none, small, large = (simulate_spectrum(clean(artefacts=a), seed=5).metabolite.fid for a in (base, half, full))
    added = np.abs(small - none).max()
    assert added > 1e-8
    np.testing.assert_allclose(large - none, 2 * (small - none), atol=1e-3 * added + 1e-4 * np.abs(none).max())


def test_delay_gives_the_first_order_phase_of_a_late_start():
    t = np.arange(1024) * 5e-4
    rates = 2j * np.pi * np.array([-340.0, -150.0]) - np.array([12.0, 20.0])
    fid, late = (np.exp(np.outer(rates, t + d)).sum(axis=0) for d in (0.0, 2e-4))
    np.testing.assert_allclose(advance(fid, 5e-4, 2e-4, -200.0)[:900], late[:900], atol=3e-4)


def test_lineshape_of_a_real_water_scan_is_recovered():
    t = np.arange(2048) * 5e-4
    truth = gaussian_decay(t, 6.0) * np.exp(1j * 0.4 * (1 - np.exp(-t / 0.05)))
    rng = np.random.default_rng(0)
    noise = 1e-5 * (rng.standard_normal(2048) + 1j * rng.standard_normal(2048))
    fid = truth * np.exp(-t / 0.085) + noise
    fid[0] *= 0.5
    found = decay_from_water(Spectrum(fid, 5e-4, 127.75), t, 0.085)
    early = t < 0.15
    np.testing.assert_allclose(np.abs(found[early]), np.abs(truth[early]), atol=0.01)
    # a mean frequency is a shift, not a shape: only what is left of the phase after it can be compared
    left = np.unwrap(np.angle(found[early] / truth[early]))
    line = np.polyval(np.polyfit(t[early], left, 1), t[early])
    assert np.abs(left - line).max() < 0.02


def test_lineshape_needs_signal():
    rng = np.random.default_rng(0)
    noise = rng.standard_normal(256) + 1j * rng.standard_normal(256)
    with pytest.raises(InputError, match="lineshape"):
        decay_from_water(Spectrum(noise, 5e-4, 127.75), np.arange(256) * 5e-4, 0.08)


def test_macromolecule_peak_at_09_has_three_protons():
    acq = Acquisition(n_points=8192)
    still = Macromolecules(person_cv=0.0, component_cv=0.0, shift_sd_ppm=0.0, width_cv=0.0)
    fid = macromolecule_fid(acq, still, np.random.default_rng(0))
    assert proton_area(metabolite_spectrum(acq, fid)) == pytest.approx(3.0, rel=0.05)
    # all 13 Birch areas together, relative to the 0.9 ppm peak
    assert fid[0].real == pytest.approx(3.0 * 4.66 / 0.72, rel=1e-6)


def test_macromolecules_differ_between_people_but_not_within_a_seed():
    acq, settings = Acquisition(), Macromolecules()
    one, again, other = (macromolecule_fid(acq, settings, np.random.default_rng(k)) for k in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).max() > 0.1


def test_measured_macromolecules_keep_their_shape(tmp_path):
    acq = Acquisition()
    still = Macromolecules(person_cv=0.0, component_cv=0.0, shift_sd_ppm=0.0, width_cv=0.0)
    fid = macromolecule_fid(acq, still, np.random.default_rng(0))
    write(NiftiMrs(metabolite_spectrum(acq, 7.3 * fid)), tmp_path / "mm.nii.gz")
    measured = replace(still, file=str(tmp_path / "mm.nii.gz"))
    found = macromolecule_fid(acq, measured, np.random.default_rng(0))
    # three protons in the window instead of in the peak alone
    np.testing.assert_allclose(found / found[0], fid / fid[0], atol=2e-3)
    assert proton_area(metabolite_spectrum(acq, found)) == pytest.approx(3.0, rel=0.02)


def test_real_water_scan_as_lineshape_of_a_whole_spectrum(tmp_path):
    wide = simulate_spectrum(clean(artefacts=no_artefacts(gauss_fwhm_hz=9.0)), seed=1)
    write(NiftiMrs(wide.water), tmp_path / "water.nii.gz")
    borrowed = simulate_spectrum(clean(lineshape=str(tmp_path / "water.nii.gz")), seed=1)
    direct = simulate_spectrum(clean(artefacts=no_artefacts(gauss_fwhm_hz=9.0)), seed=1)
    a, b = borrowed.metabolite.spectrum(), direct.metabolite.spectrum()
    assert np.linalg.norm(a - b) < 0.05 * np.linalg.norm(b)


def test_same_seed_same_numbers_and_other_seed_other_numbers(scan):
    again, other = simulate_spectrum(seed=3), simulate_spectrum(seed=4)
    np.testing.assert_array_equal(scan.metabolite.fid, again.metabolite.fid)
    np.testing.assert_array_equal(scan.water.fid, again.water.fid)
    assert scan.truth == again.truth
    assert not np.allclose(scan.metabolite.fid, other.metabolite.fid)


def test_linewidth_of_the_creatine_singlet_is_what_the_truth_says():
    settings = clean(concentrations={"Cr": 8.0}, acquisition=Acquisition(n_points=16384))
    scan = simulate_spectrum(settings, seed=1)
    spectrum, ppm = scan.metabolite.spectrum().real, scan.metabolite.ppm
    line = (ppm > 2.9) & (ppm < 3.15)
    above = ppm[line][spectrum[line] > spectrum[line].max() / 2]
    width = (above[-1] - above[0]) * scan.metabolite.carrier_mhz
    assert width == pytest.approx(scan.truth.fwhm_hz, abs=0.3)


def test_defaults_look_like_a_3t_press_spectrum(scan):
    """Ratios of a healthy brain: tNAA/tCr between 1.2 and 1.8, water some thousand times a metabolite."""
    a = scan.truth.amplitudes
    assert 1.2 < (a["NAA"] + a["NAAG"]) / (a["Cr"] + a["PCr"]) < 1.8
    assert 2000 < scan.truth.water_amplitude / a["NAA"] < 8000


def test_no_artefacts_are_none():
    assert no_artefacts(5.0, 80.0) == Artefacts(
        (5.0, 5.0), (80.0, 80.0), 0.0, 0.0, 0.0, 0.0, (0.0, 0.0), (0.0, 0.0), (0.0, 0.0)
    )
    assert Constants().water.molality == 55510.0


@pytest.mark.shared_data
def test_metabolite_signals_of_another_laboratory(shared_data):
    path = shared_data / "basis" / "3T_PRESS_Philips_35ms_noMM.BASIS"
    acq = Acquisition(te1=0.0175, te2=0.0175, carrier_mhz=127.75)
    settings = clean(acquisition=acq, concentrations={"NAA": 11.0, "Cr": 8.0, "Glu": 10.0}, basis=str(path))
    theirs = simulate_spectrum(settings, seed=1).metabolite
    ours = simulate_spectrum(replace(settings, basis="simulate"), seed=1).metabolite
    assert theirs.ppm[np.argmax(theirs.spectrum().real)] == pytest.approx(2.008, abs=0.015)
    difference = np.abs(theirs.spectrum() - ours.spectrum()).max() / np.abs(ours.spectrum()).max()
    assert 0.005 < difference < 0.5
