"""Invariants of the generator, for any input."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mrs_pipeline.synthetic import Constants, SpectrumSettings, TissueMix
from mrs_pipeline.synthetic.geometry import (
    TO_LPS,
    apply,
    box_affine,
    edges_and_turn,
    rotation,
    rotation_angles,
    siemens_slice,
    unrotated_phase,
)
from mrs_pipeline.synthetic.settings import Transients
from mrs_pipeline.synthetic.signal import metabolite_moles, per_litre, water_moles
from mrs_pipeline.synthetic.spectra import water_fid
from mrs_pipeline.synthetic.transients import coil_array
from mrs_pipeline.synthetic.vax import to_vax

angles = st.tuples(st.floats(-179, 179), st.floats(-89, 89), st.floats(-179, 179))
sizes = st.tuples(*[st.floats(5, 60)] * 3)
centres = st.tuples(*[st.floats(-120, 120)] * 3)


@st.composite
def mixes(draw):
    parts = np.array(draw(st.tuples(st.floats(0.05, 1), st.floats(0.05, 1), st.floats(0, 1))))
    return TissueMix(*(float(v) for v in parts / parts.sum()))


@given(angles)
def test_rotation_angles_round_trip(turn):
    matrix = rotation(turn)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(rotation(rotation_angles(matrix)), matrix, atol=1e-9)


@given(angles, sizes, centres)
def test_boxes_keep_edges_and_centre(turn, size, centre):
    affine = box_affine(centre, size, rotation(turn))
    found, matrix = edges_and_turn(affine)
    np.testing.assert_allclose(found, size, rtol=1e-9)
    np.testing.assert_allclose(matrix, rotation(turn), atol=1e-9)
    np.testing.assert_allclose(apply(affine, np.zeros(3)), centre)


@given(angles)
def test_siemens_description_gives_the_box_back(turn):
    """Turning the unrotated phase direction about the normal by the in-plane angle gives the second edge."""
    matrix = rotation(turn)
    normal, angle = siemens_slice(matrix)
    phase = unrotated_phase(normal)
    read = np.cross(normal, phase)
    np.testing.assert_allclose(np.cos(angle) * phase - np.sin(angle) * read, TO_LPS @ matrix[:, 1], atol=1e-9)
    np.testing.assert_allclose(normal, -TO_LPS @ matrix[:, 2], atol=1e-12)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(-(2.0**126), 2.0**126, width=32, allow_subnormal=False), min_size=1, max_size=20))
def test_vax_floats_come_back_from_the_converter(values):
    from spec2nii.Philips.philips import _vax_to_ieee_single_float

    back = np.array(_vax_to_ieee_single_float(to_vax(values)))
    np.testing.assert_array_equal(back, np.array(values, dtype=np.float32))


@given(mixes(), st.floats(0.1, 20), st.floats(0, 2))
def test_moles_and_litres_are_one_thing(mix, molal, ratio):
    """c = b (f_GM d_GM + f_WM d_WM) / (f_GM + f_WM) times the density (Near 2021), whatever the profile."""
    constants = Constants(white_to_grey={"Glu": ratio})
    moles = metabolite_moles("Glu", molal, mix, constants)
    litres = per_litre(molal, mix, constants)
    assert moles.sum() * constants.water.density_kg_per_l == pytest.approx(litres * (mix.gm + mix.wm))
    assert moles.min() >= 0


@given(mixes(), st.floats(0.1, 10))
def test_water_signal_is_linear_in_gain_and_additive_over_tissue(mix, gain):
    from dataclasses import replace

    base = SpectrumSettings(gain=gain)
    whole = water_fid(base, mix)
    parts = sum(f * water_fid(base, TissueMix(*pure)) for f, pure in zip(mix.vector, np.eye(3), strict=True))
    np.testing.assert_allclose(whole, parts, rtol=1e-9)
    np.testing.assert_allclose(water_fid(replace(base, gain=2 * gain), mix), 2 * whole, rtol=1e-12)
    assert water_moles(mix, base.constants).sum() < 55510


@given(st.integers(2, 12), st.floats(0, 0.9), st.integers(0, 1000))
def test_coil_noise_is_always_a_covariance_of_the_asked_size(coils, correlation, seed):
    plan = Transients(coils=coils, noise_correlation=correlation)
    sensitivity, covariance = coil_array(plan, 0.7, np.random.default_rng(seed))
    np.testing.assert_allclose(covariance, covariance.conj().T)
    assert np.linalg.eigvalsh(covariance).min() > 0
    assert np.real(np.conj(sensitivity) @ np.linalg.solve(covariance, sensitivity)) == pytest.approx(1 / 0.49)
