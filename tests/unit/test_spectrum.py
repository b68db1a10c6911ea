import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mrs_pipeline.spectrum import Spectrum

N, DWELL, F0 = 1024, 1 / 2000, 127.755


def line(ppm: float, amplitude: complex = 1.0, width: float = 4.0) -> Spectrum:
    t = np.arange(N) * DWELL
    f = (ppm - 4.65) * F0
    return Spectrum(amplitude * np.exp(2j * np.pi * f * t - np.pi * width * t), DWELL, F0)


def test_a_line_stands_at_its_ppm():
    s = line(2.008)
    assert s.ppm[np.abs(s.spectrum()).argmax()] == pytest.approx(2.008, abs=0.5 / (N * DWELL) / F0)


def test_lower_ppm_than_the_carrier_is_negative_frequency():
    s = line(2.008)
    assert s.frequency[np.abs(s.spectrum()).argmax()] < 0


def test_axes():
    s = line(3.0)
    assert s.bandwidth == pytest.approx(2000.0)
    assert s.time[-1] == pytest.approx((N - 1) * DWELL)
    assert s.frequency[0] == -1000.0
    assert s.ppm[N // 2] == pytest.approx(4.65)


@given(st.floats(-40, 40), st.floats(-180, 180))
@settings(max_examples=20, deadline=None)
def test_shift_and_phase_act_as_said(hz, degrees):
    expected = line(2.5 + hz / F0, np.exp(1j * np.deg2rad(degrees)))
    np.testing.assert_allclose(line(2.5).shifted(hz).phased(degrees).fid, expected.fid, atol=1e-9)


def test_lorentzian_broadening_adds_widths():
    np.testing.assert_allclose(line(2.0, width=4.0).broadened(lorentz_hz=3.0).fid, line(2.0, width=7.0).fid, atol=1e-12)


def test_gaussian_broadening_has_the_width_asked_for():
    t = np.arange(8192) / 2000
    s = Spectrum(np.ones(8192, complex), 1 / 2000, F0).broadened(gauss_hz=10.0)
    real = np.fft.fftshift(np.fft.fft(np.where(t == 0, 0.5, 1.0) * s.fid, 8 * 8192)).real
    width = (real > real.max() / 2).sum() * 2000 / (8 * 8192)
    assert width == pytest.approx(10.0, abs=0.05)


def test_data_are_frozen_and_copied():
    fid = np.ones(8, complex)
    s = Spectrum(fid, DWELL, F0)
    fid[0] = 5
    assert s.fid[0] == 1
    with pytest.raises(ValueError, match="read-only"):
        s.fid[0] = 2


def test_leading_axes_have_to_be_named():
    with pytest.raises(ValueError, match="leading axes"):
        Spectrum(np.ones((2, 8), complex), DWELL, F0)


@pytest.mark.parametrize(("dwell", "carrier"), [(0.0, 127.0), (1e-3, 0.0), (-1e-3, 127.0)])
def test_impossible_axes_are_refused(dwell, carrier):
    with pytest.raises(ValueError, match="positive"):
        Spectrum(np.ones(8, complex), dwell, carrier)
