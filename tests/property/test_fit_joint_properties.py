"""What may never change a joint fit, and what must change it in a known way."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mrs_pipeline.basis import Basis
from mrs_pipeline.config import FitSection
from mrs_pipeline.fit.joint import Visit, fit_visits
from mrs_pipeline.spectrum import Spectrum

MHZ, DWELL, POINTS = 123.2, 8e-4, 512
LINES = {"NAA": (2.008, 3.0), "Cr": (3.027, 3.0), "GPC": (3.212, 9.0), "Glu": (2.34, 2.0), "Ins": (3.56, 4.0)}
AMOUNTS = {"NAA": 10.0, "Cr": 9.0, "GPC": 1.8, "Glu": 9.0, "Ins": 6.0}
TIME = np.arange(POINTS) * DWELL
SETTINGS = FitSection(lineshape="voigt", macromolecules="none", baseline=1.0)
few = settings(max_examples=4, deadline=None)


def basis() -> Basis:
    fids = [protons * np.exp(2j * np.pi * (ppm - 4.65) * MHZ * TIME) for ppm, protons in LINES.values()]
    return Basis(tuple(LINES), np.array(fids), DWELL, MHZ, 4.65, te1=0.03)


def visit(label: str, seed: int, noise: float) -> Visit:
    rng = np.random.default_rng(seed)
    decay = np.exp(-np.pi * 2.0 * TIME - (np.pi * rng.uniform(3, 7) * TIME) ** 2 / (4 * np.log(2)))
    fid = sum(a * rng.uniform(0.8, 1.2) * basis().fid(n) for n, a in AMOUNTS.items()) * decay
    fid = fid + noise * (rng.normal(size=POINTS) + 1j * rng.normal(size=POINTS))
    return Visit(label, Spectrum(fid, DWELL, MHZ, 4.65), basis())


@few
@given(st.integers(0, 1000), st.floats(0.1, 0.5), st.floats(0.1, 1.0))
def test_swapping_the_visits_flips_the_sign_of_every_change(seed, first_noise, second_noise):
    pair = [visit("a", 2 * seed, first_noise), visit("b", 2 * seed + 1, second_noise)]
    forth = fit_visits(pair, SETTINGS).joint
    back = fit_visits(pair[::-1], SETTINGS).joint
    for name in AMOUNTS:
        one, other = forth.ratio_change(name, "a", "b"), back.ratio_change(name, "b", "a")
        assert one.change == pytest.approx(-other.change, rel=1e-4, abs=1e-6)
        assert one.sd == pytest.approx(other.sd, rel=1e-4, abs=1e-9)
        assert (one.low, one.high) == pytest.approx((-other.high, -other.low), rel=1e-4, abs=1e-6)


@few
@given(st.integers(0, 1000), st.floats(1e-6, 1e6))
def test_the_gain_of_one_visit_does_not_change_ratios(seed, gain):
    pair = [visit("a", 2 * seed, 0.3), visit("b", 2 * seed + 1, 0.3)]
    spectrum = pair[1].spectrum
    louder = replace(pair[1], spectrum=spectrum.with_fid(gain * spectrum.fid))
    plain = fit_visits(pair, SETTINGS).joint
    scaled = fit_visits([pair[0], louder], SETTINGS).joint
    for name in AMOUNTS:
        one, other = (each.ratio_change(name, "a", "b") for each in (plain, scaled))
        assert one.change == pytest.approx(other.change, rel=1e-3, abs=1e-4)
        assert one.total_sd == pytest.approx(other.total_sd, rel=1e-3, abs=1e-6)
