"""Invariants of basis sets."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mrs_pipeline.basis import Basis, simulate_basis
from mrs_pipeline.basis.engine import Frame, group_lines
from mrs_pipeline.basis.normalise import normalise
from mrs_pipeline.basis.sequences import IdealKit, Timing, events
from mrs_pipeline.basis.systems import SpinGroup

couplings = st.floats(-18, 18)
shifts = st.floats(0.9, 4.2)
times = st.floats(0.002, 0.15)


@st.composite
def groups(draw):
    n = draw(st.integers(1, 3))
    j = np.zeros((n, n))
    for a in range(n):
        for b in range(a):
            j[a, b] = j[b, a] = draw(couplings)
    return SpinGroup(np.array([draw(shifts) for _ in range(n)]), j)


@settings(max_examples=15, deadline=None)
@given(group=groups(), te1=times, te2=times)
def test_no_sequence_makes_more_signal_than_there_are_protons(group, te1, te2):
    frame = Frame(123.2, 4.65)
    press = group_lines(group, events("press", Timing(te1, te2), IdealKit()), frame)
    assert abs(press.amplitudes.sum()) <= len(group.shifts) + 1e-9
    start = group_lines(group, events("pulse-acquire", Timing(), IdealKit()), frame)
    assert abs(start.amplitudes.sum() - len(group.shifts)) < 1e-9


@settings(max_examples=15, deadline=None)
@given(group=groups(), te1=times, te2=times, offset=st.floats(-200, 200))
def test_echoes_refocus_a_common_offset(group, te1, te2, offset):
    press = events("press", Timing(te1, te2), IdealKit())
    here = group_lines(group, press, Frame(123.2, 4.65)).fid(64, 0.0005)
    moved = group_lines(group, press, Frame(123.2, 4.65 + offset / 123.2)).fid(64, 0.0005)
    turn = np.exp(-2j * np.pi * offset * np.arange(64) * 0.0005)
    np.testing.assert_allclose(moved, here * turn, atol=1e-6)


@settings(max_examples=15, deadline=None)
@given(group=groups(), te1=times, te2=times)
def test_reversing_all_couplings_mirrors_the_phase_only(group, te1, te2):
    press = events("press", Timing(te1, te2), IdealKit())
    flipped = SpinGroup(-group.shifts + 9.3, -group.couplings)
    a = group_lines(group, press, Frame(123.2, 4.65)).fid(32, 0.0005)
    b = group_lines(flipped, press, Frame(123.2, 4.65)).fid(32, 0.0005)
    np.testing.assert_allclose(np.conj(b), a, atol=1e-6)


BASE = simulate_basis(
    "press", te1=0.011, te2=0.019, bandwidth=2500, n_points=512, names=["Cr", "NAA", "Glu"], linewidth_hz=4
)


@settings(max_examples=10, deadline=None)
@given(factor=st.floats(1e-6, 1e6), phase=st.floats(-3.0, 3.0))
def test_the_unit_does_not_depend_on_the_scale_of_the_file(factor, phase):
    scaled = Basis(BASE.names, BASE.fids * factor * np.exp(1j * phase), BASE.dwell, BASE.field_mhz)
    back = normalise(scaled)
    np.testing.assert_allclose(np.abs(back.fids[:, 0]), np.abs(BASE.fids[:, 0]), rtol=2e-5)


@settings(max_examples=15, deadline=None)
@given(dwell=st.floats(0.0002, 0.0006), reference=st.floats(2.5, 4.9))
def test_resampling_there_and_back_is_the_identity_where_both_grids_reach(dwell, reference):
    n = int(512 * BASE.dwell / dwell)
    there = BASE.resampled(dwell, n, reference_ppm=reference)
    back = there.resampled(BASE.dwell, 400, reference_ppm=BASE.reference_ppm)
    np.testing.assert_allclose(back.fids[:, :380], BASE.fids[:, :380], atol=5e-3)
