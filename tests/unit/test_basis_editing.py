"""Editing pulses: what a scan says about them, and the signals they leave."""

import numpy as np
import pytest

from mrs_pipeline.basis import Editing, editing_of, share_left, simulate_basis
from mrs_pipeline.errors import BasisError

TIMING = {"te1": 0.0128, "te2": 0.0552, "bandwidth": 2000.0, "n_points": 2048, "linewidth_hz": 2.0}


def area(basis, name, low, high):
    """Area in protons between two shifts."""
    s = basis.spectrum(name)
    fid = np.array(s.fid)
    fid[0] *= 0.5
    shown = np.fft.fftshift(np.fft.fft(fid)).real
    return 2 * shown[(s.ppm >= low) & (s.ppm <= high)].sum() / s.n_points


def mega(edit, editing, names=("GABA",), **timing):
    return simulate_basis("mega-press", edit=edit, editing=editing, names=names, **{**TIMING, **timing})


@pytest.mark.parametrize(("seconds", "low", "high"), [(0.014, 0.47, 0.50), (0.020, 0.45, 0.48)])
def test_editing_efficiency_of_gaba_at_68_ms_is_the_published_one(seconds, low, high):
    """Half the difference over the whole 3.0 ppm signal: 0.5 for weak coupling and perfect pulses, 0.45 to 0.5 for
    Gaussian ones (Mullins 2014, doi:10.1016/j.neuroimage.2012.12.004)."""
    whole = area(simulate_basis("pulse-acquire", bandwidth=2000.0, names=["GABA"], linewidth_hz=2.0), "GABA", 2.8, 3.2)
    assert whole == pytest.approx(2.0, rel=0.04)
    difference = area(mega("difference", Editing(duration=seconds)), "GABA", 2.8, 3.2)
    assert low < difference / 2 / whole < high
    ideal = area(mega("difference", Editing(shape="ideal")), "GABA", 2.8, 3.2)
    assert ideal / 2 / whole == pytest.approx(0.5, abs=0.01)
    assert difference < ideal


def test_difference_of_gaba_is_a_doublet_of_its_outer_lines():
    """Two outer lines of slightly unequal height, and a smaller central one (Near 2013, Magn Reson Med 70:1183)."""
    s = mega("difference", Editing(), linewidth_hz=3.0).spectrum("GABA")
    real = s.broadened(lorentz_hz=2.0).spectrum().real
    at = {shift: np.interp(3.013 + shift, s.ppm, real) for shift in (-0.06, 0.0, 0.06)}
    assert at[-0.06] > 2.5 * at[0.0]
    assert at[0.06] > 2.5 * at[0.0]
    assert at[0.06] == pytest.approx(at[-0.06], rel=0.3)


def test_the_pulse_at_1_9_ppm_saturates_naa_and_leaves_creatine_alone():
    difference = mega("difference", Editing(), ("NAA", "Cr", "GPC"))
    assert area(difference, "NAA", 1.9, 2.1) == pytest.approx(-3.0, rel=0.1)
    assert np.abs(difference.fid("Cr")).max() < 0.02
    assert np.abs(difference.fid("GPC")).max() < 0.03


def test_glx_is_co_edited_and_gsh_only_when_its_partner_is_hit():
    gaba = mega("difference", Editing(), ("Glu", "Gln", "GSH"))
    assert area(gaba, "Glu", 3.6, 3.9) > 0.3
    gsh = mega("difference", Editing(4.56, 7.5, target="GSH", duration=0.020), ("GSH", "GABA", "Cr"), te2=0.1072)
    assert area(gsh, "GSH", 2.8, 3.1) > 0.5
    assert np.abs(gsh.fid("GABA")).max() < 0.05
    assert np.abs(gsh.fid("Cr")).max() < 0.05


def test_symmetric_pulses_leave_a_line_in_the_middle_alike():
    """Off at 1.5 instead of 7.5 ppm: GABA stays edited, since only the pulse at 1.9 reaches its partner."""
    plain, symmetric = (mega("difference", Editing(off_ppm=off, duration=0.020)) for off in (7.5, 1.5))
    ratio = area(symmetric, "GABA", 2.8, 3.2) / area(plain, "GABA", 2.8, 3.2)
    assert 0.75 < ratio < 1.0


def test_notes_and_cache_know_the_pulses(tmp_path):
    first = mega("difference", Editing(), cache_dir=tmp_path)
    second = mega("difference", Editing(duration=0.020), cache_dir=tmp_path)
    assert "editing GABA: pulses (Gauss, 14 ms) at 1.9 and 7.5 ppm" in first.notes
    assert len(list(tmp_path.iterdir())) == 4  # one file for each condition
    assert np.abs(first.fids - second.fids).max() > 0.01
    again = mega("difference", Editing(), cache_dir=tmp_path)
    np.testing.assert_array_equal(again.fids, first.fids)


def test_difference_and_sum_share_the_lines_of_both_conditions(tmp_path):
    mega("difference", Editing(), cache_dir=tmp_path)
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    fids = {edit: mega(edit, Editing(), cache_dir=tmp_path).fids for edit in ("on", "off", "difference", "sum")}
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == kept
    np.testing.assert_allclose(fids["sum"], fids["on"] + fids["off"], atol=1e-12)
    np.testing.assert_allclose(fids["difference"], fids["on"] - fids["off"], atol=1e-12)


@pytest.mark.parametrize("editing", [Editing(), Editing(1.9, 1.5, 0.020), Editing(shape="ideal")])
def test_what_an_editing_pulse_leaves_of_uncoupled_protons_is_what_the_simulation_leaves(editing):
    from mrs_pipeline.basis.editing import EditedKit
    from mrs_pipeline.basis.engine import Frame, singlet_response
    from mrs_pipeline.basis.sequences import IdealKit, Timing, events

    frame = Frame(123.2, 4.65)
    kit = EditedKit(IdealKit(), editing, frame)
    places = np.array([0.9, 1.5, 1.66, 1.9, 2.05, 2.25, 3.0])
    for half in ("on", "off"):
        part = events("mega-press", Timing(0.0128, 0.0552, None), kit, half)
        simulated = [abs(singlet_response(part, frame, place)) for place in places]
        np.testing.assert_allclose(share_left(editing, half, places, 123.2), simulated, atol=1e-3)


def test_the_gaba_pulse_takes_all_at_its_centre_and_half_of_that_at_its_half_width():
    """14 ms Gauss, 81 Hz: an inversion of one half leaves a quarter."""
    left = share_left(Editing(), "on", 1.9 + np.array([0.0, 0.5 * 81 / 123.2, 1.1]), 123.2)
    assert left == pytest.approx([0.0, 0.25, 1.0], abs=0.02)


NIFTI = {"ON": {"PulseOffset": 1.88, "PulseDuration": 0.016}, "OFF": {"PulseOffset": 7.46, "PulseDuration": 0.016}}
BIDS = {"ON": {"FrequencyOffset": 1.88, "PulseDuration": 16}, "OFF": {"FrequencyOffset": [7.46], "PulseDuration": 16}}


@pytest.mark.parametrize("pulses", [NIFTI, BIDS])
def test_pulses_are_read_from_header_and_sidecar(pulses):
    found, assumed = editing_of({"EditPulse": pulses, "EditTarget": "GABA"})
    assert found == Editing(1.88, 7.46, 0.016, target="GABA")
    assert assumed == ()


@pytest.mark.parametrize(
    ("stated", "settings", "target", "on", "said"),
    [
        ({}, {}, "GABA", 1.9, "GABA was assumed"),
        ({"EditTarget": ["GSH"]}, {}, "GSH", 4.56, "4.56 ppm assumed"),
        ({"EditTarget": "GABA+"}, {}, "GABA", 1.9, "1.9 ppm assumed"),
        ({"EditPulse": {"ON": {"PulseOffset": 4.58}}}, {}, "GSH", 4.58, "7.5 ppm assumed"),
        ({"EditTarget": "GABA"}, {"target": "GSH"}, "GSH", 4.56, "4.56 ppm assumed"),
        ({}, {"target": "bHB", "on_ppm": 4.13}, "bHB", 4.13, "14 ms assumed"),
    ],
)
def test_what_is_not_stated_is_assumed_and_said(stated, settings, target, on, said):
    found, assumed = editing_of(stated, **settings)
    assert (found.target, found.on_ppm) == (target, on)
    assert any(said in text for text in assumed)


def test_what_cannot_be_simulated_is_refused():
    with pytest.raises(BasisError, match="2 pulses"):
        editing_of({"EditPulse": {"A": {"PulseOffset": [1.9, 4.56]}}})
    with pytest.raises(BasisError, match="nothing is known of editing bHB"):
        editing_of({"EditTarget": "bHB"})
