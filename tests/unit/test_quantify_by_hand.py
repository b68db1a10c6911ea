"""Equations of the quantification against signals made the other way round: from moles to signal to moles again."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mrs_pipeline.quantify.equations import (
    Compartments,
    alpha_factor,
    metabolite_relaxation,
    molal_factor,
    molar_factor,
    mole_fractions,
    water_scaled_factor,
)
from mrs_pipeline.quantify.relaxation import PulseTiming, relaxation_factor, saturation

FRACTIONS = np.array([0.5, 0.3, 0.2])
CONTENT = np.array([0.8, 0.7, 1.0])
WATER = np.array([0.5, 0.6, 0.9])
METABOLITE = np.array([0.6, 0.4])
VOXEL = Compartments(FRACTIONS, CONTENT, WATER, METABOLITE)
MOLALITY, MOLARITY = 55510.0, 55348.0  # mmol per kg and per litre of pure water


def signal_ratio(grey, white):
    """Signal of a metabolite over that of water, per molecule, from mmol per kg of the water of GM and of WM."""
    litres_of_water = FRACTIONS * CONTENT  # of a voxel of one litre; one litre of water weighs MOLARITY / MOLALITY kg
    kilograms = litres_of_water * MOLARITY / MOLALITY
    metabolite = grey * kilograms[0] * METABOLITE[0] + white * kilograms[1] * METABOLITE[1]
    water = sum(MOLALITY * kilograms[i] * WATER[i] for i in range(3))
    return metabolite / water


def test_molality_of_a_voxel_made_of_known_moles():
    found = signal_ratio(8.0, 8.0) * molal_factor(VOXEL, MOLALITY, "mole", "per-compartment")
    assert found == pytest.approx(8.0, rel=1e-12)


def test_molality_by_volume_differs_by_what_csf_holds():
    exact, volume = (molal_factor(VOXEL, MOLALITY, csf, "per-compartment") for csf in ("mole", "volume"))
    # moles of water: 0.40, 0.21, 0.20; so CSF holds 20/81 of them and fills 20/100 of the voxel
    assert exact / volume == pytest.approx((1 - 20 / 100) / (1 - 20 / 81), rel=1e-12)


def test_molarity_of_a_voxel_made_of_known_moles():
    # 8 mmol per kg of tissue water; a litre of tissue holds (0.40 + 0.21) / 0.8 litres of water
    per_litre = 8.0 * (MOLARITY / MOLALITY) * (0.40 + 0.21) / 0.8
    found = signal_ratio(8.0, 8.0) * molar_factor(VOXEL, MOLARITY, "per-compartment")
    assert found == pytest.approx(per_litre, rel=1e-12)
    whole = signal_ratio(8.0, 8.0) * water_scaled_factor(VOXEL, MOLARITY, "per-compartment")
    assert whole == pytest.approx(per_litre * 0.8, rel=1e-12)


def test_relaxation_of_a_metabolite_is_weighted_by_where_it_is():
    # white holds half of grey's molality: shares 0.40 and 0.105 of 0.505
    expected = (0.40 * 0.6 + 0.105 * 0.4) / 0.505
    assert metabolite_relaxation(VOXEL, "per-compartment", 0.5) == pytest.approx(expected, rel=1e-12)
    assert metabolite_relaxation(VOXEL, "mean-times") == 0.6
    found = signal_ratio(8.0, 4.0) * molal_factor(VOXEL, MOLALITY, "mole", "per-compartment", 0.5)
    assert found == pytest.approx((0.40 * 8 + 0.21 * 4) / 0.61, rel=1e-12)  # mean over the tissue's water


def test_a_voxel_of_csf_alone_has_a_finite_relaxation():
    csf = Compartments(np.array([0.0, 0.0, 1.0]), CONTENT, WATER, METABOLITE)
    assert metabolite_relaxation(csf, "per-compartment") == pytest.approx(0.5)


@pytest.mark.parametrize(("means", "normal"), [(None, 1.0), ((0.6, 0.3), (0.6 + 0.5 * 0.3) / 0.9)])
def test_alpha_correction(means, normal):
    plain = water_scaled_factor(VOXEL, MOLARITY, "per-compartment", 0.5)
    found = alpha_factor(VOXEL, MOLARITY, "per-compartment", 0.5, means)
    assert found == pytest.approx(plain * normal / (0.5 + 0.5 * 0.3), rel=1e-12)


def test_mole_fractions_are_moles_over_moles():
    np.testing.assert_allclose(mole_fractions(FRACTIONS, CONTENT), np.array([40, 21, 20]) / 81, rtol=1e-14)


@pytest.mark.parametrize("flip", [20.0, 60.0, 90.0, 120.0])
def test_saturation_is_the_steady_state_of_repeated_pulses(flip):
    """The longitudinal magnetisation of many pulses in a row, pulse by pulse, against the closed form."""
    angle, m_z, seen = math.radians(flip), 1.0, 0.0
    for _ in range(400):
        seen = m_z * math.sin(angle)
        m_z = 1.0 + (m_z * math.cos(angle) - 1.0) * math.exp(-1.5 / 1.2)
    assert saturation(1.5, 1.2, flip) == pytest.approx(seen, rel=1e-12)


def test_full_relaxation_and_none():
    assert saturation(2.0, 0.0) == 1.0
    assert saturation(1e3, 1.0, 90.0) == pytest.approx(1.0)
    assert relaxation_factor(PulseTiming(None, 2.0), 1.0, 0.1) == 1.0


def test_echo_and_stimulated_echo_by_hand():
    # TR 2 s, T1 1 s, TE 30 ms, T2 100 ms: (1 - e^-2) e^-0.3
    assert relaxation_factor(PulseTiming(0.03, 2.0, 90.0), 1.0, 0.1) == pytest.approx(0.8646647 * 0.7408182, rel=1e-6)
    # TM 0.5 s: stored for it, and recovering only in the remaining 1.5 s: (1 - e^-1.5) e^-0.3 e^-0.5
    stimulated = relaxation_factor(PulseTiming(0.03, 2.0, 90.0, 0.5), 1.0, 0.1)
    assert stimulated == pytest.approx(0.7768698 * 0.7408182 * 0.6065307, rel=1e-6)
