"""Which side of water the metabolites lie on, for spectra whose lines are put there by hand."""

from __future__ import annotations

import numpy as np
import pytest

from mrs_pipeline.nifti_mrs import judge_orientation
from mrs_pipeline.spectrum import WATER_PPM, Spectrum

CARRIER, DWELL, POINTS = 127.75, 5e-4, 2048
TIME = np.arange(POINTS) * DWELL
BRAIN = {2.01: 10.0, 3.03: 8.0, 3.22: 6.0}


def fid(lines, *, shift=0.0, seed=1, noise=0.05):
    rng = np.random.default_rng(seed)
    signal = sum(a * np.exp(2j * np.pi * (ppm + shift - WATER_PPM) * CARRIER * TIME) for ppm, a in lines.items())
    damped = signal * np.exp(-np.pi * 5 * TIME)
    return damped + noise * (rng.standard_normal(POINTS) + 1j * rng.standard_normal(POINTS))


def verdict(data, dims=()):
    return judge_orientation(Spectrum(data, DWELL, CARRIER, dims=dims))


def mirror(lines):
    return {2 * WATER_PPM - ppm: height for ppm, height in lines.items()}


@pytest.mark.parametrize("shift", [-0.3, -0.1, 0.0, 0.2, 0.33])
def test_the_side_is_found_although_the_scan_is_off_its_frequency(shift):
    straight = verdict(fid(BRAIN, shift=shift))
    assert straight.verdict == "straight"
    assert straight.straight > 0.9
    mirrored = verdict(fid(mirror(BRAIN), shift=shift))
    assert mirrored.verdict == "mirrored"
    assert mirrored.mirrored > 0.9


def test_conjugation_exchanges_the_scores():
    # water's nominal place is the carrier here, so conjugating the FID mirrors the axis about water
    one, other = verdict(fid(BRAIN)), verdict(fid(BRAIN).conj())
    assert (one.verdict, other.verdict) == ("straight", "mirrored")
    assert other.mirrored == pytest.approx(one.straight, abs=1e-3)
    assert other.straight == pytest.approx(one.mirrored, abs=1e-3)


def test_signals_of_opposite_phase_do_not_cancel():
    """Coils and transients have any phase: the mean of these four is nothing but noise."""
    data = np.stack([turn * fid(BRAIN, seed=k) for k, turn in enumerate((1, -1, 1j, -1j))])
    assert verdict(data, ("DIM_COIL",)).verdict == "straight"


@pytest.mark.parametrize(
    "lines",
    [
        BRAIN | mirror(BRAIN),  # the pattern on both sides
        {WATER_PPM: 1000.0},
        {},
    ],
)
def test_what_shows_no_side_is_undecided(lines):
    data = fid(lines) if lines else fid({WATER_PPM: 0.0})
    assert verdict(data).verdict == "undecided"
