"""Pulse shapes, their profiles and waveform files."""

from dataclasses import replace

import numpy as np
import pytest

from mrs_pipeline.basis.pulses import (
    ShapedPulse,
    cayley_klein,
    foci,
    hamming_sinc,
    hyperbolic_secant,
    product_refocusing,
    read_waveform,
    sinc_gauss,
    slr,
    waveform,
)
from mrs_pipeline.errors import BasisError


def refocusing(pulse, offsets):
    return np.abs(cayley_klein(pulse, np.atleast_1d(np.asarray(offsets, dtype=float)))[1]) ** 2


@pytest.mark.parametrize("shape", [hamming_sinc(6), sinc_gauss(6), slr(90.0, 6)])
def test_a_90_leaves_everything_transverse_on_resonance_and_nothing_far_off(shape):
    pulse = ShapedPulse(shape, 0.0026, 90.0)
    alpha, beta = cayley_klein(pulse, np.array([0.0, 1.5 * pulse.bandwidth_hz]))
    transverse = 2 * np.abs(alpha * beta)
    assert transverse[0] == pytest.approx(1.0, abs=1e-6)
    assert transverse[1] < 0.03


def test_rotation_is_unitary_and_a_hard_pulse_is_exact():
    block = ShapedPulse(waveform_of(np.ones(4)), 1e-6, 180.0)
    alpha, beta = cayley_klein(block, np.array([0.0]))
    assert abs(alpha[0]) == pytest.approx(0.0, abs=1e-9)
    assert beta[0] == pytest.approx(-1j, abs=1e-9)
    a, b = cayley_klein(ShapedPulse(slr(180.0), 0.005, 180.0), np.linspace(-2000, 2000, 41))
    np.testing.assert_allclose(np.abs(a) ** 2 + np.abs(b) ** 2, 1.0, atol=1e-12)


def waveform_of(values):
    from mrs_pipeline.basis.pulses import Waveform

    return Waveform("test", np.asarray(values, dtype=complex), np.ones(len(values)))


def test_slr_180_refocuses_a_sharper_slice_than_a_sinc_of_the_same_duration():
    sharp, soft = (ShapedPulse(w, 0.0052, 180.0) for w in (slr(180.0, 6), hamming_sinc(6)))
    for pulse in (sharp, soft):
        assert refocusing(pulse, 0.0)[0] == pytest.approx(1.0, abs=1e-4)
    assert refocusing(sharp, 0.4 * sharp.bandwidth_hz)[0] > refocusing(soft, 0.4 * soft.bandwidth_hz)[0]
    assert 900 < sharp.bandwidth_hz < 1300


def test_the_product_180_has_the_band_and_the_edges_it_is_said_to_have():
    """0.96 kHz at half height, 0.18 kHz from 10 to 90 %; nothing comes back 1 kHz away."""
    offsets = np.linspace(-1500, 1500, 3001)
    profile = refocusing(ShapedPulse(product_refocusing(), 0.0052, 180.0), offsets)
    assert (profile > 0.5).sum() == pytest.approx(959, abs=5)
    assert ((profile > 0.1).sum() - (profile > 0.9).sum()) / 2 == pytest.approx(179, abs=5)
    assert profile[np.abs(offsets) > 1000].max() < 0.01
    assert profile[np.abs(offsets) < 300].min() > 0.9


def test_hyperbolic_secant_inverts_its_band_and_tolerates_b1():
    pulse = ShapedPulse(hyperbolic_secant(25.0), 0.0045, 180.0)
    band = np.linspace(-0.35, 0.35, 9) * pulse.bandwidth_hz
    assert refocusing(pulse, band).min() > 0.97
    assert refocusing(replace(pulse, b1_hz=1.3 * pulse.amplitude_hz), band).min() > 0.97
    assert refocusing(pulse, 0.8 * pulse.bandwidth_hz)[0] < 0.02
    assert pulse.bandwidth_hz == pytest.approx(25.0 / 0.0045, rel=0.05)


def test_foci_is_more_selective_than_the_secant_it_comes_from():
    for make, limit in ((hyperbolic_secant, 1.0), (foci, 0.3)):
        pulse = ShapedPulse(make(25.0), 0.0045, 180.0)
        offsets = np.linspace(0.3, 0.8, 501) * pulse.bandwidth_hz
        profile = refocusing(pulse, offsets)
        width = np.ptp(offsets[(profile > 0.05) & (profile < 0.95)]) / pulse.bandwidth_hz
        assert width < 0.32 * limit


def test_isodelay_of_a_symmetric_excitation_is_half_its_duration():
    pulse = ShapedPulse(hamming_sinc(8.75), 0.0026, 90.0)
    assert pulse.isodelay == pytest.approx(0.0013, rel=0.04)


def test_carrier_moves_the_slice():
    pulse = ShapedPulse(slr(180.0), 0.0052, 180.0)
    moved = replace(pulse, carrier_hz=700.0)
    offsets = np.linspace(-500, 500, 11)
    np.testing.assert_allclose(refocusing(moved, offsets + 700.0), refocusing(pulse, offsets), atol=2e-3)


def test_waveform_files_of_three_kinds_read_alike(tmp_path):
    amplitude, degrees = np.array([10.0, 60.0, 100.0, 60.0, 10.0]), np.array([0.0, 0.0, 0.0, 180.0, 180.0])
    pta = tmp_path / "a.pta"
    rows = [
        f"{a / 100:.6f}\t{np.deg2rad(p):.6f}\t; ({i})" for i, (a, p) in enumerate(zip(amplitude, degrees, strict=True))
    ]
    pta.write_text("PULSENAME:\tTEST\nREFGRAD:\t12.5\nMINSLICE:\t1.0\n\n" + "\n".join(rows) + "\n")
    bruker = tmp_path / "shape"
    points = [f"{a:.5e}, {p:.5e}" for a, p in zip(amplitude, degrees, strict=True)]
    bruker.write_text("##TITLE= test\n##NPOINTS= 5\n##XYPOINTS= (XY..XY)\n" + "\n".join(points) + "\n##END=\n")
    columns = tmp_path / "a.dat"
    columns.write_text("# amplitude phase\n" + "\n".join(f"{a} {p}" for a, p in zip(amplitude, degrees, strict=True)))
    shapes = [read_waveform(path) for path in (pta, bruker, columns)]
    expected = amplitude / 100 * np.exp(1j * np.deg2rad(degrees))
    for shape in shapes:
        np.testing.assert_allclose(shape.b1, expected, atol=1e-5)


def test_unknown_shapes_and_empty_files_are_named(tmp_path):
    empty = tmp_path / "empty.dat"
    empty.write_text("nothing here\n")
    with pytest.raises(BasisError, match=r"empty\.dat"):
        waveform(empty)
    with pytest.raises(BasisError, match="cannot be read"):
        waveform("no-such-shape")
