"""The water line: amplitude at t = 0 whatever its shape, its first points and its neighbours."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import firwin

from mrs_pipeline.errors import QuantificationError
from mrs_pipeline.quantify import fit_water
from mrs_pipeline.quantify.water import _averaged
from mrs_pipeline.spectrum import Spectrum

N, DWELL, MHZ = 2048, 1 / 2000, 127.7
T = np.arange(N) * DWELL
TRUTH = 10000.0
SHAPES = {
    "lorentz": np.exp(-np.pi * 6 * T),
    "gauss": np.exp(-((np.pi * 8 * T) ** 2) / (4 * np.log(2))),
    "voigt": np.exp(-np.pi * 3 * T - (np.pi * 6 * T) ** 2 / (4 * np.log(2))),
    "two shims": 0.7 * np.exp(-np.pi * 4 * T) + 0.3 * np.exp(-np.pi * 12 * T + 10j * np.pi * T),
    "eddy currents": np.exp(-np.pi * 5 * T + 2j * (1 - np.exp(-T / 0.02))),
}


def scan(shape, noise=10.0, seed=0, lipid=0.0):
    rng = np.random.default_rng(seed)
    fid = 2 * TRUTH * np.exp(0.7j + 14j * np.pi * T) * shape
    fid = fid + lipid * np.exp(-np.pi * 15 * T - 2j * np.pi * 3.35 * MHZ * T)
    return Spectrum(fid + noise * (rng.normal(size=N) + 1j * rng.normal(size=N)), DWELL, MHZ)


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("noise", [1.0, 30.0])
def test_amplitude_per_molecule_for_any_shape(name, noise):
    found = [fit_water(scan(SHAPES[name], noise, seed)).amplitude for seed in range(4)]
    assert np.mean(found) == pytest.approx(TRUTH, rel=0.004)


@pytest.mark.parametrize("broad", [6.0, 20.0])
def test_csf_beside_broader_tissue(broad):
    line = 0.5 * np.exp(-np.pi * broad * T) + 0.5 * np.exp(-np.pi * 2 * T)
    found = [fit_water(scan(line, 10.0, seed)).amplitude for seed in range(4)]
    assert np.mean(found) == pytest.approx(TRUTH, rel=0.01)


def test_position_width_and_phase():
    fit = fit_water(scan(SHAPES["lorentz"]))
    assert fit.fwhm_hz == pytest.approx(6.0, abs=0.05)
    assert fit.shift_ppm == pytest.approx(7 / MHZ, abs=2e-3)
    assert fit.phase_deg == pytest.approx(np.degrees(0.7), abs=0.2)


def test_halved_first_point_does_not_matter_and_is_said():
    whole = scan(SHAPES["voigt"])
    fid = whole.fid.copy()
    fid[0] *= 0.5
    fit = fit_water(whole.with_fid(fid))
    assert fit.amplitude == pytest.approx(fit_water(whole).amplitude, rel=1e-12)
    assert fit.first_point == "halved"
    assert any("halved" in warning for warning in fit.warnings)


def test_points_before_the_echo_top_move_t0():
    rise = 12
    full = scan(SHAPES["lorentz"], noise=1.0)
    before = full.fid[0] * np.exp(np.linspace(-0.5, 0, rise, endpoint=False))
    fit = fit_water(full.with_fid(np.concatenate([before, full.fid[:-rise]])))
    assert fit.echo_point == rise
    assert fit.amplitude == pytest.approx(TRUTH, rel=0.005)


@pytest.mark.parametrize(("cutoff", "taps"), [(0.85, 73), (0.95, 321)])
def test_a_receive_filter_bends_the_first_points_and_leaves_the_amplitude(cutoff, taps):
    # eight times oversampled, linear-phase low pass, decimated: half a first point and an overshoot, as Philips stores
    over = 8
    t = np.arange(N * over // 2) * DWELL / over
    shape = np.exp(-np.pi * 3 * t - (np.pi * 6 * t) ** 2 / (4 * np.log(2)) + 0.6j * (1 - np.exp(-t / 0.02)))
    filtered = np.convolve(np.concatenate([np.zeros(taps // 2), shape]), firwin(taps, cutoff / over))
    rng = np.random.default_rng(3)
    stored = 2 * TRUTH * filtered[2 * (taps // 2) :][: t.size : over]
    stored = stored + 2 * (rng.normal(size=stored.size) + 1j * rng.normal(size=stored.size))
    assert abs(stored[0]) / abs(stored[1]) == pytest.approx(0.5, abs=0.07)
    fit = fit_water(Spectrum(stored, DWELL, MHZ))
    assert fit.amplitude == pytest.approx(TRUTH, rel=0.003)
    assert fit.first_point == "halved"


@pytest.mark.shared_data
@pytest.mark.parametrize(
    "stem",
    [
        "philips_sub-01/mrs/sub-01_ses-01_PRESS_raw-ref_noID",
        "philips_sub-01/mrs/sub-01_ses-01_PRESS-Inverted_TI-600_raw-ref_noID",
        "philips_te35_sub-01/sub-01_PRESS_35_ref",
    ],
)
def test_real_water_at_t0_is_what_its_magnitude_says(stem, shared_data):
    fid = sdat(shared_data, stem)
    plain = fit_water(Spectrum(fid, DWELL, MHZ))
    # the magnitude of points 3 to 23, continued by a parabola of its logarithm: no model of lines, no phase
    n = np.arange(3, 24)
    simple = np.exp(np.polyfit(n, np.log(np.abs(fid[n])), 2)[-1])
    assert 2 * plain.amplitude == pytest.approx(simple, rel=0.005)
    assert plain.first_point == "halved"
    still = Spectrum(
        np.abs(fid) + 0j, DWELL, MHZ
    )  # eddy currents taken out, first point doubled, as preprocessing does
    doubled = still.with_fid(np.concatenate([[2 * still.fid[0]], still.fid[1:]]))
    corrected = fit_water(doubled)
    assert corrected.amplitude == pytest.approx(plain.amplitude, rel=0.003)
    assert (corrected.first_point, corrected.warnings) == ("whole", ())


def sdat(shared_data, stem):
    """Read the one FID of a Philips SDAT file: VAX F floats, real and imaginary in turn."""
    path = next((shared_data / stem).parent.glob(f"{(shared_data / stem).name}.[sS][dD][aA][tT]"))
    words = np.frombuffer(path.read_bytes(), dtype="<u2").reshape(-1, 2).astype(np.uint32)
    bits = (words[:, 0] << 16) | words[:, 1]
    sign, exponent, fraction = bits >> 31, (bits >> 23) & 0xFF, bits & 0x7FFFFF
    values = (-1.0) ** sign * (0.5 + fraction / 2**24) * 2.0 ** (exponent.astype(float) - 128)
    values[exponent == 0] = 0.0
    return values[0::2] - 1j * values[1::2]


@pytest.mark.parametrize("name", ["lorentz", "voigt"])
def test_a_dead_time_is_bridged(name):
    full = scan(SHAPES[name], noise=1.0)
    lost = 4
    late = full.with_fid(full.fid[lost:])
    assert fit_water(late).amplitude == pytest.approx(TRUTH * abs(SHAPES[name][lost]), rel=0.002)
    assert fit_water(late, later=lost * DWELL).amplitude == pytest.approx(TRUTH, rel=0.003)


def test_stated_points_before_the_echo_are_left_out():
    full = scan(SHAPES["lorentz"], noise=1.0)
    early = full.with_fid(np.concatenate([np.full(6, full.fid[0]), full.fid[:-6]]))
    fit = fit_water(early, later=-6 * DWELL)
    assert (fit.echo_point, fit.amplitude) == (6, pytest.approx(TRUTH, rel=0.002))
    with pytest.raises(QuantificationError, match="AcquisitionStartTime"):
        fit_water(early, later=-10.0)


def test_a_reference_without_water_is_said():
    spoiled = scan(1e-4 * SHAPES["lorentz"], lipid=3000.0)
    assert any("at 1.30 ppm" in warning for warning in fit_water(spoiled).warnings)


def test_lipid_is_not_water():
    assert fit_water(scan(SHAPES["lorentz"], lipid=3000.0)).amplitude == pytest.approx(TRUTH, rel=0.002)


@pytest.mark.parametrize("name", ["lorentz", "two shims", "eddy currents"])
def test_reported_error_is_the_spread(name):
    fits = [fit_water(scan(SHAPES[name], 60.0, seed)) for seed in range(80)]
    spread = np.std([fit.amplitude for fit in fits], ddof=1)
    assert np.median([fit.sd for fit in fits]) == pytest.approx(spread, rel=0.25)


@pytest.mark.parametrize("snr", [30.0, 100.0])
@pytest.mark.parametrize("name", ["voigt", "csf beside tissue"])
def test_reported_error_holds_in_noise_that_hides_the_shape(name, snr):
    # the best of the courses alone states 0.55 and 0.65 of the error at 30
    line = SHAPES.get(name, 0.2 * np.exp(-np.pi * 2 * T) + 0.8 * np.exp(-np.pi * 12 * T))
    fits = [fit_water(scan(line, 2 * TRUTH / snr, seed)) for seed in range(80)]
    error = np.sqrt(np.mean([(fit.amplitude - TRUTH) ** 2 for fit in fits]))
    assert 0.75 < np.sqrt(np.mean([fit.sd**2 for fit in fits])) / error < 1.35


def test_courses_are_averaged_by_their_criteria():
    # two of equal weight, 0.2 apart at the point: 0.1 from their mean, with errors of 0.3 and 0.4; the third has none
    courses = [
        (10.0, np.array([1.0, 0.0]), 0.3),
        (10.0, np.array([1.0, 0.1, 0.0]), 0.4),
        (90.0, np.array([9.0, 0.0, 0.0, 0.0]), 5.0),
    ]
    mean, sd = _averaged(courses, -2.0)
    assert mean == pytest.approx([1.0, 0.05, 0.0, 0.0])
    assert sd == pytest.approx(np.sqrt((0.09 + 0.16) / 2 + 0.01))


def test_signal_to_noise_ratio_is_that_planted():
    found = [fit_water(scan(SHAPES["lorentz"], 40.0, seed)).snr for seed in range(8)]
    assert np.mean(found) == pytest.approx(2 * TRUTH / 40.0, rel=0.03)


def test_scaling_is_linear():
    one = scan(SHAPES["two shims"])
    assert fit_water(one.with_fid(one.fid * 7)).amplitude == pytest.approx(7 * fit_water(one).amplitude, rel=1e-6)


@pytest.mark.parametrize("fid", [np.zeros(N), np.full(N, np.nan)])
def test_no_signal_is_an_error(fid):
    with pytest.raises(QuantificationError, match="no signal"):
        fit_water(Spectrum(fid, DWELL, MHZ))


def test_several_fids_are_an_error():
    with pytest.raises(QuantificationError, match="2 FIDs"):
        fit_water(Spectrum(np.ones((2, N)), DWELL, MHZ, dims=("DIM_DYN",)))
