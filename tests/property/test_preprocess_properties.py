"""Invariants of preprocessing."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mrs_pipeline.config import PreprocessSection
from mrs_pipeline.preprocess import align, eddy, preprocess
from mrs_pipeline.spectrum import Spectrum

MHZ = 123.25
DWELL = 5e-4
T = np.arange(1024) * DWELL
SINGLETS = ((2.008, 1.0), (3.027, 0.7), (3.211, 0.5), (3.91, 0.4), (4.66, 2.0))
SIGNAL = sum(a * np.exp(2j * np.pi * (ppm - 4.65) * MHZ * T - np.pi * 5.0 * T) for ppm, a in SINGLETS)


def noise(seed, shape, sd=0.03):
    rng = np.random.default_rng(seed)
    return sd * (rng.normal(size=shape) + 1j * rng.normal(size=shape))


def drifted(seed, count=12):
    rng = np.random.default_rng(seed)
    turn = np.exp(1j * (2 * np.pi * np.outer(rng.uniform(-6, 6, count), T) + rng.uniform(-1, 1, (count, 1))))
    return Spectrum(turn * SIGNAL + noise(seed, (count, T.size)), DWELL, MHZ, dims=("DIM_DYN",))


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10_000), power=st.integers(-6, 8))
def test_scaling_the_data_scales_the_result(seed, power):
    scan = Spectrum(SIGNAL + noise(seed, T.size), DWELL, MHZ)
    water = Spectrum(500 * np.exp(-20 * T) + noise(seed + 1, T.size), DWELL, MHZ)
    factor = 10.0**power
    first = preprocess(scan, water, None, PreprocessSection())
    second = preprocess(scan.with_fid(factor * scan.fid), water.with_fid(factor * water.fid), None, PreprocessSection())
    largest = np.abs(first.spectrum.fid).max()
    np.testing.assert_allclose(second.spectrum.fid / factor, first.spectrum.fid, atol=1e-5 * largest)
    for name in ("snr_tcr", "fwhm_hz", "lipid_ratio", "residual_water", "phase_deg"):
        np.testing.assert_allclose(second.metrics[name], first.metrics[name], rtol=1e-3, atol=1e-3)


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_alignment_is_idempotent(seed):
    scan = drifted(seed)
    first = align.estimate(scan)
    again = align.estimate(scan.with_fid(align.apply(scan.fid, scan.dwell, first.hz, first.deg)))
    assert np.max(np.abs(again.hz)) < 0.5 * first.sd_hz
    assert np.max(np.abs(again.deg)) < 0.5 * first.sd_deg


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10_000), degrees=st.floats(-180, 180), hz=st.floats(-10, 10))
def test_a_common_offset_changes_no_relative_drift(seed, degrees, hz):
    scan = drifted(seed)
    first = align.estimate(scan)
    second = align.estimate(scan.phased(degrees).shifted(hz))
    # the estimate moves by less than its own standard error
    assert np.max(np.abs(second.hz - first.hz)) < first.sd_hz
    turned = np.angle(np.exp(1j * np.deg2rad(second.deg - first.deg)), deg=True)
    assert np.max(np.abs(turned)) < first.sd_deg


@settings(max_examples=20, deadline=None)
@given(depth=st.floats(-1.5, 1.5), decay=st.floats(0.01, 0.1), degrees=st.floats(-180, 180), hz=st.floats(-20, 20))
def test_eddy_currents_seen_by_both_scans_cancel(depth, decay, degrees, hz):
    bend = np.exp(1j * (depth * np.exp(-T / decay) + np.deg2rad(degrees) + 2 * np.pi * hz * T))
    water = Spectrum(300 * np.exp(-20 * T) * bend, DWELL, MHZ)
    corrected, _ = eddy.correct(Spectrum(SIGNAL * bend, DWELL, MHZ), water)
    followed = T < 0.2
    np.testing.assert_allclose(corrected.fid[followed], SIGNAL[followed], atol=1e-5)
