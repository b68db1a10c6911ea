"""Concentrations against a signal summed from moles per compartment, which does not import the room's equations."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from mrs_pipeline.anatomy import TissueFractions
from mrs_pipeline.config import QuantifySection
from mrs_pipeline.quantify import (
    COLUMNS,
    PulseTiming,
    ScanTiming,
    WaterFit,
    amplitudes_only,
    load_constants,
    quantify,
    write_concentrations,
)
from mrs_pipeline.quantify.constants import Constant, with_alpha
from mrs_pipeline.quantify.draws import draws, fraction_covariance
from mrs_pipeline.quantify.factors import evaluate, factor, inputs
from mrs_pipeline.quantify.relaxation import saturation
from mrs_pipeline.quantify.units import UNITS

MHZ = 127.7
MET = PulseTiming(0.030, 2.0, 90.0)
WATER = PulseTiming(0.028, 10.0, 90.0)
TIMING = ScanTiming(MET, WATER, MHZ)
EXACT = TissueFractions(0.55, 0.30, 0.15, sd=(0.0, 0.0, 0.0))


class LinearFit:
    """A fit result reduced to what quantification asks: amplitudes with a covariance."""

    status = "ok"
    flags = ()

    def __init__(self, amplitudes, covariance=None, status="ok"):
        self.names = tuple(amplitudes)
        self.values = np.array(list(amplitudes.values()), dtype=float)
        self.covariance = (
            np.zeros((len(self.names),) * 2) if covariance is None else np.asarray(covariance, dtype=float)
        )
        self.status = status

    def combination(self, weights):
        w = np.array([weights.get(name, 0.0) for name in self.names])
        sd = float(np.sqrt(w @ self.covariance @ w))
        return float(w @ self.values), sd, sd, sd

    def ratio(self, numerator, denominator):
        parts = {"tCr": ("Cr", "PCr"), "tNAA": ("NAA", "NAAG"), "tCho": ("GPC", "PCh"), "Glx": ("Glu", "Gln")}
        total = [
            sum(self.values[self.names.index(p)] for p in parts.get(n, (n,)) if p in self.names)
            for n in (numerator, denominator)
        ]
        return total[0] / total[1], 0.0, 0.0, 0.0


def decay(timing, t1, t2):
    """Signal left: for STEAM the magnetisation waits TM along the field and recovers from the third pulse on."""
    tm = timing.mixing_time or 0.0
    e1, a = math.exp(-(timing.repetition_time - tm) / t1), math.radians(timing.flip_angle)
    steady = math.sin(a) * (1 - e1) / (1 - math.cos(a) * e1)
    return steady * math.exp(-tm / t1) * math.exp(-timing.echo_time / t2)


def voxel_signals(per_kg_tissue_water, fractions, met, water, metabolite, *, gain=1.0, mhz=MHZ):
    """Sum a litre of voxel, mole by mole: returns both signals per molecule and mmol per litre of tissue."""
    c = load_constants("default", mhz)
    names = ("gm", "wm", "csf")
    kg_water = {n: f * c.water[f"content_{n}"].value * 0.9933 for n, f in zip(names, fractions, strict=True)}
    moles_water = {n: kg * 55.510 for n, kg in kg_water.items()}
    s_water = sum(m * decay(water, c.water[f"t1_{n}"].value, c.water[f"t2_{n}"].value) for n, m in moles_water.items())
    table = c.metabolite(metabolite)
    moles = {n: kg_water[n] * per_kg_tissue_water * 1e-3 for n in ("gm", "wm")}
    s_met = sum(m * decay(met, table[f"t1_{n}"].value, table[f"t2_{n}"].value) for n, m in moles.items())
    molar = 1e3 * sum(moles.values()) / (fractions[0] + fractions[1])
    return s_met * gain, s_water * gain, molar


def water_fit(amplitude, sd=0.0):
    return WaterFit(amplitude, sd, 5.0, 0.0, 0.0, 1e4, 0.0, "whole", 0, 1)


fraction_sets = st.tuples(st.floats(0.05, 1), st.floats(0.05, 1), st.floats(0, 1)).map(
    lambda f: tuple(np.array(f) / sum(f))
)


@settings(deadline=None, max_examples=40)
@given(
    fractions=fraction_sets,
    te=st.floats(0.01, 0.15),
    tr=st.floats(1.0, 10.0),
    flip=st.floats(30, 90),
    name=st.sampled_from(["NAA", "Glu", "GSH", "Ins", "Xyz"]),
    gain=st.floats(1e-3, 1e6),
    tm=st.floats(0.0, 0.1),
    mhz=st.sampled_from([63.87, MHZ, 298.0]),
)
def test_moles_per_compartment_come_back(fractions, te, tr, flip, name, gain, tm, mhz):
    met, water = PulseTiming(te, tr, flip, tm), PulseTiming(0.03, 5.0, 80.0, tm / 2)
    s_met, s_water, molar = voxel_signals(8.0, fractions, met, water, name, gain=gain, mhz=mhz)
    tissue = TissueFractions(*map(float, fractions), sd=(0, 0, 0))
    result = quantify(
        LinearFit({name: s_met}), water_fit(s_water), tissue, ScanTiming(met, water, mhz), QuantifySection()
    )
    row = result.rows[0]
    assert row.molal == pytest.approx(8.0, rel=1e-9)
    assert row.molar == pytest.approx(molar, rel=1e-9)


@settings(deadline=None, max_examples=40)
@given(fractions=fraction_sets)
def test_molar_over_molal_is_the_water_content_of_tissue(fractions):
    tissue = TissueFractions(*map(float, fractions), sd=(0, 0, 0))
    row = quantify(LinearFit({"NAA": 1.0}), water_fit(5000.0), tissue, TIMING, QuantifySection()).rows[0]
    content = (fractions[0] * 0.78 + fractions[1] * 0.65) / (fractions[0] + fractions[1])
    assert row.molar / row.molal == pytest.approx(0.9933 * content, rel=1e-9)


def test_without_csf_and_relaxation_the_simple_case_remains():
    still = PulseTiming(1e-9, 1e4, 90.0)
    tissue = TissueFractions(1.0, 0.0, 0.0)
    row = quantify(
        LinearFit({"NAA": 2.0}), water_fit(100.0), tissue, ScanTiming(still, still, MHZ), QuantifySection()
    ).rows[0]
    assert row.molal == pytest.approx(0.02 * 55510)
    assert row.molar == pytest.approx(0.02 * 55510 * 0.9933 * 0.78)


def test_institutional_units_are_moles_per_litre_at_the_assumed_tissue():
    s_met, s_water, molar = voxel_signals(8.0, (0.6, 0.4, 0.0), MET, WATER, "Glu")
    row = quantify(LinearFit({"Glu": s_met}), water_fit(s_water), None, TIMING, QuantifySection()).rows[0]
    assert row.iu == pytest.approx(molar, rel=1e-9)


def test_csf_only_correction_gives_moles_per_litre_where_relaxation_is_alike():
    # without relaxation and with the assumed mixture of grey and white, CSF that holds no metabolite only dilutes; what
    # csf-only leaves out is the water of the CSF itself: 0.97 x 0.2 beside 0.728 x 0.8
    still = PulseTiming(1e-9, 1e4, 90.0)
    fractions = (0.48, 0.32, 0.2)
    s_met, s_water, molar = voxel_signals(8.0, fractions, still, still, "Glu")
    tissue = TissueFractions(*fractions, sd=(0, 0, 0))
    result = quantify(
        LinearFit({"Glu": s_met}), water_fit(s_water), tissue, ScanTiming(still, still, MHZ), QuantifySection()
    )
    row, found = result.row("Glu"), molar * 0.728 / (0.728 * 0.8 + 0.97 * 0.2)
    assert (row.csf_only, row.iu) == pytest.approx((found, 0.8 * found), rel=1e-6)
    assert next(item.value for item in result.sensitivity if item.variant == "csf-only") == row.csf_only


def test_csf_only_and_its_sd_by_hand():
    # LCModel's constants have no error: iu = 1 / 1000 x 25116, CSF-only 25.116 / 0.85; of the fraction 0.15 +- 0.02
    # comes 0.02 / 0.85 = 2.35 %, of the fit 3 %, of the water 1 %: together 3.94 %
    tissue = TissueFractions(0.55, 0.30, 0.15, sd=(0.03, 0.035, 0.02))
    fit = LinearFit({"NAA": 1.0}, [[0.03**2]])
    result = quantify(fit, water_fit(1000.0, 10.0), tissue, TIMING, QuantifySection(preset="lcmodel"))
    row = result.row("NAA")
    assert (row.iu, row.csf_only) == pytest.approx((25.116, 25.116 / 0.85), rel=1e-12)
    assert row.csf_only_sd == pytest.approx(0.0394 * row.csf_only, rel=0.01)
    assert row.iu_sd == pytest.approx(math.hypot(0.03, 0.01) * row.iu, rel=0.01)
    assert row.reason.endswith("; molal, molar: preset lcmodel defines institutional units only")
    assert result.sensitivity_line("NAA").endswith("; +17.6 % with the csf-only correction")
    assert "not corrected for tissue: preset lcmodel defines institutional units only" in result.sensitivity_notes[0]


HARRIS = TissueFractions(0.60, 0.25, 0.15, sd=(0.0, 0.0, 0.0))
STILL = ScanTiming(PulseTiming(1e-9, 1e4, 90.0), PulseTiming(1e-9, 1e4, 90.0), MHZ)


def test_alpha_correction_against_harris_2015_by_hand():
    # doi:10.1002/jmri.24903 with alpha 0.5 and full relaxation: water per litre of voxel 0.60 x 0.78 + 0.25 x 0.65 +
    # 0.15 x 0.97 = 0.776 of pure water's 55510 x 0.9933 = 55138.1 mmol; signals as 1 : 5000: 8.5574 mmol per litre;
    # over 0.60 + 0.5 x 0.25 = 0.725: 11.8034 in grey matter; a group of 0.58 and 0.30: x (0.58 + 0.15) / 0.88 = 9.7914
    settings = QuantifySection(alpha_means=(0.58, 0.30))
    result = quantify(LinearFit({"GABA": 1.0, "NAA": 1.0}), water_fit(5000.0), HARRIS, STILL, settings)
    row = result.row("GABA")
    assert row.alpha_corrected == pytest.approx(11.8034, rel=1e-5)
    assert row.alpha_normalised == pytest.approx(9.7914, rel=1e-5)
    assert row.reason == "ratio: the basis has no creatine"
    assert result.constants["group_wm"].value == 0.30
    naa = result.row("NAA")
    assert (naa.alpha_corrected, naa.alpha_normalised_sd) == (None, None)
    assert naa.reason == "ratio: the basis has no creatine"  # nothing on what the settings do not define
    gone = quantify(LinearFit({"GABA": 1.0, "NAA": 1.0}), water_fit(5000.0), None, STILL, settings)
    assert gone.row("GABA").reason.endswith("molar, csf_only, alpha_corrected, alpha_normalised: no tissue fractions")
    assert gone.row("NAA").reason.endswith("; molal, molar, csf_only: no tissue fractions")


def test_the_ratio_of_alpha_has_an_error_of_its_own():
    # all else exact: 1 / (0.60 + 0.25 a), a lognormal about 0.5 with SD 0.1 / 0.5; slope 0.125 / 0.725 x 0.2 = 3.4 %
    constants = with_alpha(load_constants("gannet", MHZ), {}, (0.58, 0.30))
    constants = replace(constants, alpha={"GABA": Constant(0.5, 0.1, "doi")})
    z = draws([inputs(constants, HARRIS, "GABA")])
    found = factor("alpha_corrected", constants, HARRIS, STILL, "GABA", z)
    assert found.by_constants.std() == pytest.approx(0.125 / 0.725 * 0.2, rel=0.03)
    assert found.by_tissue.std() == 0.0
    # of the group the correction moves the voxel only by what its grey share differs: 0.125 / 0.725 - 0.15 / 0.73
    normal = factor("alpha_normalised", constants, HARRIS, STILL, "GABA", z)
    assert normal.by_constants.std() == pytest.approx(abs(0.125 / 0.725 - 0.15 / 0.73) * 0.2, rel=0.05)


def test_ratios_given_for_a_sum_stand_for_its_members():
    given_ratios = QuantifySection(alpha={"Glx": 0.4, "Gln": 0.8, "tCr": 0.7, "mI": 1.0})
    fit = LinearFit({"Glu": 1.0, "Gln": 1.0, "Cr": 1.0, "Ins": 1.0})
    found = quantify(fit, water_fit(5000.0), HARRIS, STILL, given_ratios)
    voxel = 8.557433  # mmol per litre, as above
    for name, alpha in (("Glu", 0.4), ("Gln", 0.8), ("tCr", 0.7), ("mI", 1.0)):
        assert found.row(name).alpha_corrected == pytest.approx(voxel / (0.60 + 0.25 * alpha), rel=1e-6), name
    both = found.row("Glu").alpha_corrected + found.row("Gln").alpha_corrected
    assert found.row("Glx").alpha_corrected == pytest.approx(both, rel=1e-9)


@settings(deadline=None, max_examples=25)
@given(tr=st.floats(1.0, 10.0), te=st.floats(0.01, 0.1), mm=st.floats(0.1, 100.0))
def test_a_solution_of_known_concentration_comes_back(tr, te, mm):
    # mm mmol in a litre of solution that holds 0.9982 kg of water at 20 C, each with its own T1 and T2
    timing = ScanTiming(PulseTiming(te, tr, 90.0), PulseTiming(te / 2, 2 * tr, 90.0), MHZ)
    s_met = mm * decay(timing.metabolite, 1.4, 0.5)
    s_water = 0.9982 * 55510 * decay(timing.water, 2.7, 1.6)
    given_times = {"water_t1": 2.7, "water_t2": 1.6, "metabolite_t1": {"tCr": 1.4}, "metabolite_t2": 0.5}
    result = quantify(
        LinearFit({"Cr": s_met}),
        water_fit(s_water),
        None,
        timing,
        QuantifySection(preset="phantom", overrides=given_times),
    )
    row = result.row("tCr")
    assert (row.molar, row.iu, row.molal) == pytest.approx((mm, mm, mm / 0.9982), rel=1e-9)
    assert result.warnings == ()


def test_a_solution_without_relaxation_times_says_what_it_assumes():
    ratio = 10.0 / (55510 * 0.9982)
    fit = LinearFit({"Cr": ratio * 3e7, "NAA": ratio * 3e7})
    result = quantify(fit, water_fit(3e7), EXACT, TIMING, QuantifySection(preset="phantom"))
    assert result.row("tCr").molar == pytest.approx(10.0, rel=1e-5)
    assert result.rows[0].flags == "solution"
    assert any("not given for water, Cr, NAA" in warning for warning in result.warnings)
    assert any("tissue fractions are not used" in warning for warning in result.warnings)


def test_settings_for_a_metabolite_the_basis_lacks_are_said():
    asked = QuantifySection(overrides={"metabolite_t2": {"Ins": 0.2, "Glutamat": 0.2}}, alpha={"GABA": 0.5, "Glx": 0.5})
    result = quantify(LinearFit({"Ins": 1.0}), None, None, TIMING, asked)
    assert [w for w in result.warnings if "does not have" in w] == [
        "[quantify] overrides.metabolite_t2 names Glutamat, which the basis set does not have",
        "[quantify] alpha names GABA, which the basis set does not have",
    ]


def test_an_override_reaches_a_metabolite_by_its_reported_name():
    fit = LinearFit({"Ins": 1.0})
    plain, changed = (
        quantify(fit, water_fit(100.0), EXACT, TIMING, QuantifySection(overrides=given_times)).rows[0].molal
        for given_times in ({}, {"metabolite_t2": {"mI": 0.1}})
    )
    grey, white = (math.exp(-0.03 / t2) / math.exp(-0.03 / 0.1) for t2 in (0.2365, 0.161))
    assert white < changed / plain < grey


def test_receiver_scale_and_gain():
    s_met, s_water, _ = voxel_signals(8.0, (0.55, 0.30, 0.15), MET, WATER, "NAA")
    scaled = replace(TIMING, water_scale=64.0)
    result = quantify(LinearFit({"NAA": s_met}), water_fit(s_water / 64), EXACT, scaled, QuantifySection())
    assert result.rows[0].molal == pytest.approx(8.0)
    assert any("multiplied by 64" in warning for warning in result.warnings)


def test_sums_use_each_members_own_relaxation():
    naa, water, _ = voxel_signals(9.0, (0.55, 0.30, 0.15), MET, WATER, "NAA")
    naag, _, _ = voxel_signals(2.0, (0.55, 0.30, 0.15), MET, WATER, "NAAG")
    result = quantify(
        LinearFit({"NAA": naa, "NAAG": naag, "Ins": naa}), water_fit(water), EXACT, TIMING, QuantifySection()
    )
    assert result.row("tNAA").molal == pytest.approx(11.0)
    assert [row.metabolite for row in result.rows] == ["NAA", "NAAG", "mI", "tNAA"]


def test_flip_angle_against_a_worked_number():
    # sin 60 (1 - E1) / (1 - cos 60 E1) with E1 = exp(-1): 0.86603 * 0.63212 / 0.81606
    assert saturation(1.0, 1.0, 60.0) == pytest.approx(0.67082, abs=1e-5)
    assert saturation(1.0, 1.0) == pytest.approx(0.63212, abs=1e-5)


@pytest.mark.parametrize(
    ("water", "tissue", "timing", "missing", "present"),
    [
        (None, EXACT, TIMING, {"iu", "molal", "molar"}, "no water reference"),
        (water_fit(100.0), None, TIMING, {"molal", "molar"}, "no tissue fractions"),
        (
            water_fit(100.0),
            EXACT,
            replace(TIMING, water=PulseTiming(None, 2.0)),
            {"molal", "molar"},
            "TE or TR of the water",
        ),
        (
            water_fit(100.0),
            EXACT,
            replace(TIMING, metabolite=PulseTiming(0.03, None)),
            {"molal", "molar"},
            "TE or TR of the metab",
        ),
        (water_fit(100.0), TissueFractions(0, 0, 1), TIMING, {"molal", "molar"}, "only CSF"),
        (water_fit(0.0), EXACT, TIMING, {"iu", "molal", "molar"}, "no amplitude"),
    ],
)
def test_what_is_missing_downgrades_and_says_why(water, tissue, timing, missing, present):
    result = quantify(LinearFit({"NAA": 1.0, "Cr": 0.7, "PCr": 0.3}), water, tissue, timing, QuantifySection())
    row = result.row("NAA")
    assert row.ratio_tCr == pytest.approx(1.0)
    assert {unit for unit in ("iu", "molal", "molar") if getattr(row, unit) is None} == missing
    assert present in row.reason
    assert any(present in warning for warning in result.warnings)


@pytest.mark.parametrize(
    "wrong",
    [
        PulseTiming(0.03, 0.0, 90.0),
        PulseTiming(0.03, float("nan"), 90.0),
        PulseTiming(30.0, 2000.0, 90.0),  # milliseconds
        PulseTiming(-0.03, 2.0, 90.0),
        PulseTiming(0.03, 2.0, 0.0),
        PulseTiming(0.03, 2.0, 180.0),
        PulseTiming(0.02, 1.0, 90.0, 1.5),  # mixing longer than TR
    ],
)
@pytest.mark.parametrize("scan", ["metabolite", "water"])
def test_impossible_timing_is_named_and_not_used(scan, wrong):
    timing = replace(TIMING, **{scan: wrong})
    result = quantify(LinearFit({"NAA": 1.0}), water_fit(100.0), EXACT, timing, QuantifySection())
    row = result.rows[0]
    assert (row.molal, row.molar) == (None, None)
    assert f"molal, molar: the timing of the {scan} scan cannot be right (TE" in row.reason
    assert any(f"timing of the {scan} scan cannot be right" in warning for warning in result.warnings)


@pytest.mark.parametrize("unknown", ["metabolite", "water"])
def test_half_a_relaxation_correction_is_not_made(unknown):
    # 0.01 x 55510 x 0.9933 x (0.6 x 0.78 + 0.4 x 0.65): neither signal is corrected when one cannot be
    timing = replace(TIMING, **{unknown: PulseTiming(0.03, None)})
    result = quantify(LinearFit({"NAA": 1.0}), water_fit(100.0), EXACT, timing, QuantifySection())
    assert result.rows[0].iu == pytest.approx(0.01 * 55510 * 0.9933 * 0.728)
    assert "relaxation_correction=incomplete" in result.rows[0].flags
    assert "iu: no relaxation correction, neither of the metabolites nor of the water" in result.warnings


def test_a_number_that_is_none_has_a_reason():
    fit = LinearFit({"NAA": float("nan"), "Cr": 1.0})
    row = quantify(fit, water_fit(100.0), EXACT, TIMING, QuantifySection()).rows[0]
    assert (row.molal, row.iu) == (None, None)
    assert "molal, molal_sd, molar, molar_sd, csf_only, csf_only_sd: not a finite number" in row.reason
    unsure = quantify(LinearFit({"NAA": 1.0}, [[float("nan")]]), water_fit(100.0), EXACT, TIMING, QuantifySection())
    assert unsure.rows[0].molal is not None
    assert "iu_sd, molal_sd, molar_sd, csf_only_sd: not a finite number" in unsure.rows[0].reason


@pytest.mark.parametrize("fractions", [(0.0, 0.85, 0.15), (0.85, 0.0, 0.15), (0.25, 0.15, 0.60), (0.0, 0.05, 0.95)])
def test_moles_come_back_from_extreme_voxels_and_long_echoes(fractions):
    for water in (PulseTiming(0.288, 1.5, 90.0), PulseTiming(0.02, 2.0, 90.0, 0.05), PulseTiming(0.03, 10.0, 35.0)):
        s_met, s_water, molar = voxel_signals(8.0, fractions, MET, water, "Glu")
        scan = ScanTiming(MET, water, MHZ)
        tissue = TissueFractions(*fractions)
        row = quantify(LinearFit({"Glu": s_met}), water_fit(s_water), tissue, scan, QuantifySection()).rows[0]
        assert (row.molal, row.molar) == pytest.approx((8.0, molar), rel=1e-9)
        assert row.molal_sd > 0


def test_what_leaves_a_number_doubtful_is_said():
    fit = LinearFit({"NAA": 9.0, "Ins": 7.0}, np.eye(2) * 0.05)
    doubts = lambda tissue, timing: [  # noqa: E731
        w for w in quantify(fit, water_fit(55000.0), tissue, timing, QuantifySection()).warnings if " alone leave " in w
    ]
    assert doubts(EXACT, TIMING) == []
    (csf,) = doubts(TissueFractions(0.15, 0.10, 0.75), TIMING)
    assert csf.startswith("the tissue fractions alone leave molal uncertain by up to ")
    assert csf.endswith(": every metabolite")
    long = PulseTiming(0.144, 2.0, 90.0)
    (echo,) = doubts(EXACT, ScanTiming(long, MET, 63.87))
    assert echo.startswith("the relaxation times assumed alone leave molal uncertain by up to ")
    assert echo.endswith(": mI")
    (water,) = doubts(None, replace(TIMING, water=PulseTiming(0.288, 2.0, 90.0)))
    assert "leave iu uncertain" in water


def test_without_tissue_the_flag_says_so():
    result = quantify(LinearFit({"NAA": 1.0}), water_fit(100.0), None, TIMING, QuantifySection())
    assert "tissue_correction=none" in result.rows[0].flags


def test_a_failed_fit_gives_no_numbers():
    result = quantify(LinearFit({"NAA": 1.0}, status="failed"), water_fit(100.0), EXACT, TIMING, QuantifySection())
    assert result.rows[0].amplitude is None
    assert result.rows[0].reason == "the fit failed"


def test_macromolecules_have_no_concentration():
    row = quantify(LinearFit({"MM09": 1.0}), water_fit(100.0), EXACT, TIMING, QuantifySection()).rows[0]
    assert (row.amplitude, row.molal) == (1.0, None)
    assert "macromolecule" in row.reason


def test_units_not_asked_for_stay_empty():
    row = quantify(
        LinearFit({"NAA": 1.0}), water_fit(100.0), EXACT, TIMING, QuantifySection(units=("ratio", "molal"))
    ).rows[0]
    assert row.molar is None
    assert row.molal is not None


SPREAD = TissueFractions(0.55, 0.30, 0.15, sd=(0.03, 0.035, 0.02))
MEANS = (0.58, 0.30)
SUMS = {"tNAA": ("NAA", "NAAG"), "tCr": ("Cr", "PCr"), "tCho": ("GPC", "PCh"), "Glx": ("Glu", "Gln")}


class MonteCarlo:
    """Draw every input and evaluate the textbook equations directly, without the room's own draws or equations.

    Constants are lognormal about their value and end at four SDs; strata keep the noise of the draws below 1 %. One
    number from one source is drawn once, also where two metabolites or both tissues share it.
    """

    def __init__(self, mhz, tissue, water, n=40000):
        self.n, self.tissue, self.water = n, tissue, water
        self.constants = load_constants("default", mhz)
        self.rng = np.random.default_rng(7)
        self.normal = lru_cache(self._normal)
        f = self.rng.multivariate_normal([tissue.gm, tissue.wm, tissue.csf], fraction_covariance(tissue.sd), n).T
        self.fractions = np.maximum(f, 0) / np.maximum(f, 0).sum(0)

    def _normal(self, _key):
        u = (self.rng.permutation(self.n) + self.rng.random(self.n)) / self.n
        return norm.ppf(norm.cdf(-4) + u * (1 - 2 * norm.cdf(-4)))

    def draw(self, constant, name):
        z = self.normal((name, constant.value, constant.doi))
        return constant.value * np.exp(z * constant.sd / constant.value)

    def concentrations(self, amplitudes, covariance, unit, te, tr=2.0):
        """Return drawn concentrations of the sum of some metabolites, in mmol/kg or mmol/L."""
        w, keys = self.constants.water, ("gm", "wm", "csf")
        relax = lambda t1, t2: (1 - np.exp(-tr / t1)) * np.exp(-te / t2)  # noqa: E731
        f = self.fractions
        csf = f[2]
        if unit in {"iu", "csf_only"}:
            grey, white = (self.draw(w[f"assumed_{k}"], k) for k in keys[:2])
            f = np.stack([grey, white, np.zeros(self.n)]) / (grey + white)
        moles = f * np.stack([self.draw(w[f"content_{k}"], k) for k in keys])
        r = np.stack([relax(self.draw(w[f"t1_{k}"], f"w1 {k}"), self.draw(w[f"t2_{k}"], f"w2 {k}")) for k in keys])
        kilograms = moles[:2].sum(0) if unit == "molal" else f[:2].sum(0) / 0.9933
        if unit == "csf_only":
            kilograms = kilograms * (1 - csf)
        fitted = self.rng.multivariate_normal(list(amplitudes.values()), covariance, self.n).T
        total = 0.0
        for amplitude, name in zip(fitted, amplitudes, strict=True):
            t = self.constants.metabolite(name)
            m = np.stack([relax(self.draw(t[f"t1_{k}"], "t1"), self.draw(t[f"t2_{k}"], "t2")) for k in keys[:2]])
            in_tissue = moles[:2]
            if unit.startswith("alpha"):
                a = self.draw(self.constants.alpha[name], "alpha")
                normal = 1.0 if unit == "alpha_corrected" else (MEANS[0] + a * MEANS[1]) / sum(MEANS)
                in_tissue, kilograms = moles[:2] * [np.ones(self.n), a], (f[0] + a * f[1]) / normal / 0.9933
            r_m = (in_tissue * m).sum(0) / in_tissue.sum(0)
            total = total + amplitude * (moles * r).sum(0) / (kilograms * r_m)
        return total / self.rng.normal(self.water.amplitude, self.water.sd, self.n) * 55510


@pytest.mark.parametrize("mhz", [63.87, 127.7, 298.0])
@pytest.mark.parametrize("te", [0.030, 0.035, 0.068, 0.144])
@pytest.mark.parametrize("tissue", [SPREAD, TissueFractions(0.25, 0.15, 0.60, sd=(0.04, 0.04, 0.03))])
def test_uncertainty_is_that_of_a_monte_carlo(mhz, te, tissue):
    """Every metabolite and sum in every unit: SD within 5 %, and 2.5 % beyond each end of the interval."""
    single = [name for name in load_constants("default", mhz).metabolites if name != "default"] + ["Xyz"]
    amplitudes = {name: 5.0 + 0.3 * i for i, name in enumerate(single)}
    covariance = np.diag(np.full(len(single), 0.10))
    for pair in SUMS.values():
        i, j = (single.index(name) if name in single else -1 for name in pair)
        if min(i, j) >= 0:
            covariance[i, j] = covariance[j, i] = -0.06
    water = water_fit(55000.0, 400.0)
    scan = PulseTiming(te, 2.0, 90.0)
    fit = LinearFit(amplitudes, covariance)
    result = quantify(fit, water, tissue, ScanTiming(scan, scan, mhz), QuantifySection(alpha_means=MEANS))
    sampling = MonteCarlo(mhz, tissue, water)
    budgets = {(budget.metabolite, budget.unit): budget for budget in result.budgets}
    with_alpha_too = {"GABA", "Glu", "Gln", "Glx"} & {row.metabolite for row in result.rows}
    assert len(budgets) == 4 * len(result.rows) + 2 * len(with_alpha_too)
    for row in result.rows:
        members = {n: amplitudes[n] for n in SUMS.get(row.metabolite, (_basis_name(row.metabolite),)) if n in single}
        picked = [single.index(n) for n in members]
        for unit in UNITS if row.metabolite in with_alpha_too else UNITS[:4]:
            drawn = sampling.concentrations(members, covariance[np.ix_(picked, picked)], unit, te)
            what = f"{row.metabolite} {unit}"
            assert getattr(row, f"{unit}_sd") == pytest.approx(drawn.std(), rel=0.05), what
            ends = budgets[row.metabolite, unit]
            assert np.mean(drawn < ends.lo) == pytest.approx(0.025, abs=0.007), what
            assert np.mean(drawn > ends.hi) == pytest.approx(0.025, abs=0.007), what


def _basis_name(reported):
    return "Ins" if reported == "mI" else reported


def test_small_errors_are_those_of_the_delta_method():
    """With a tenth of every SD: the root of the summed squares of slope times SD, slopes by differences."""
    full = load_constants("default", MHZ)
    small = lambda table: {k: replace(c, sd=c.sd / 10) for k, c in table.items()}  # noqa: E731
    constants = replace(
        full, water=small(full.water), metabolites={n: small(table) for n, table in full.metabolites.items()}
    )
    given = inputs(constants, SPREAD, "Glu")
    at = {key: constant.value for key, constant in given.items()}
    for unit in ("iu", "molal", "molar"):
        value = evaluate(unit, at, TIMING, constants.conventions)
        first_order = math.hypot(*(
            (evaluate(unit, {**at, key: c.value + c.sd}, TIMING, constants.conventions) / value - 1)
            for key, c in given.items()
        ))  # fmt: skip
        found = factor(unit, constants, SPREAD, TIMING, "Glu", draws([given]))
        assert found.by_constants.std() == pytest.approx(first_order, rel=0.02)


def test_one_number_for_both_tissues_errs_as_one():
    # 1.5 T: one T2 of myo-inositol, 200 +- 80 ms, and one T1 stand for grey and white matter
    constants = load_constants("default", 63.87)
    still = {key: replace(c, sd=0.0) for key, c in constants.water.items()}
    constants = replace(constants, water=still)
    scan = ScanTiming(PulseTiming(0.03, 1e3), PulseTiming(0.03, 1e3), 63.87)
    found = factor("molal", constants, EXACT, scan, "Ins", draws([inputs(constants, EXACT, "Ins")]))
    drawn = np.exp(0.03 / 0.2 * np.exp(-0.4 * norm.ppf((np.arange(100000) + 0.5) / 100000)) - 0.15)
    assert found.spread.std() == pytest.approx(drawn.std(), rel=0.01)


def test_a_metabolite_of_amplitude_zero_still_has_an_uncertainty():
    fit = LinearFit({"GABA": 0.0}, [[0.04]])
    result = quantify(fit, water_fit(55000.0, 400.0), SPREAD, TIMING, QuantifySection())
    one = quantify(LinearFit({"GABA": 1.0}), water_fit(55000.0), EXACT, TIMING, QuantifySection()).rows[0]
    row, budget = result.rows[0], next(b for b in result.budgets if b.unit == "molal")
    assert row.molal == 0.0
    assert row.molal_sd == pytest.approx(0.2 * one.molal, rel=0.05)
    assert budget.lo < 0 < budget.hi


def test_the_budget_of_a_negative_amplitude_is_a_standard_deviation():
    result = quantify(LinearFit({"GABA": -0.1}, [[0.04]]), water_fit(55000.0, 400.0), SPREAD, TIMING, QuantifySection())
    assert [budget.fit for budget in result.budgets] == pytest.approx([2.0] * 5)


@pytest.mark.parametrize("mhz", [63.87, 298.0])
def test_without_published_slopes_age_is_left_out_and_that_is_said(mhz):
    old = replace(TIMING, carrier_mhz=mhz, age=70.0)
    plain, aged = (
        quantify(LinearFit({"NAA": 1.0}), water_fit(5000.0), EXACT, old, QuantifySection(age_dependence=asked))
        for asked in (False, True)
    )
    assert aged.rows[0].molal == plain.rows[0].molal
    assert aged.warnings == ("age dependence: the preset has none for this field", *plain.warnings)


def test_alpha_correction_removes_the_tissue_dependence_it_models():
    # grey matter 10, white 5 mmol per litre: the alpha-corrected value is grey matter's at any mixture
    c = load_constants("default", MHZ)
    for fractions in ((0.7, 0.2, 0.1), (0.3, 0.6, 0.1)):
        water = sum(
            f
            * c.water[f"content_{n}"].value
            * 0.9933
            * 55510
            * decay(WATER, c.water[f"t1_{n}"].value, c.water[f"t2_{n}"].value)
            for n, f in zip(("gm", "wm", "csf"), fractions, strict=True)
        )
        signal = sum(
            f * conc * decay(MET, c.metabolite("GABA")[f"t1_{n}"].value, c.metabolite("GABA")[f"t2_{n}"].value)
            for n, f, conc in (("gm", fractions[0], 10.0), ("wm", fractions[1], 5.0))
        )
        tissue = TissueFractions(*fractions, sd=(0, 0, 0))
        result = quantify(
            LinearFit({"GABA": signal}),
            water_fit(water),
            tissue,
            TIMING,
            QuantifySection(alpha={"GABA": 0.5}, alpha_means=(0.6, 0.3)),
        )
        found = {item.variant: item.value for item in result.sensitivity}
        assert found["alpha"] == pytest.approx(10.0, rel=0.01)
        # normalised to a group of 60 % grey and 30 % white: what its mean voxel holds per litre of tissue
        assert found["alpha, group-normalised"] == pytest.approx((0.6 * 10 + 0.3 * 5) / 0.9, rel=0.01)


def sensitivity(preset="default", tissue=EXACT, timing=TIMING, water=water_fit(5000.0), fit=None):  # noqa: B008
    given_fit = LinearFit({"Glu": 1.0}) if fit is None else fit
    return quantify(given_fit, water, tissue, timing, QuantifySection(preset=preset))


@pytest.mark.parametrize(
    ("preset", "mhz", "names"),
    [
        ("default", 63.87, {"fsl-mrs", "lcmodel", "spant"}),
        ("default", 127.7, {"fsl-mrs", "gannet", "lcmodel", "osprey", "spant"}),
        ("lcmodel", 298.0, {"default", "fsl-mrs", "osprey", "spant"}),
        ("default", 170.3, set()),
    ],
)
def test_without_tissue_institutional_units_are_compared(preset, mhz, names):
    result = sensitivity(preset, None, replace(TIMING, carrier_mhz=mhz))
    found = {item.variant: item for item in result.sensitivity}
    assert {item.unit for item in result.sensitivity} == {"iu"}
    assert {name.removeprefix("preset:") for name in found if name.startswith("preset:")} == names
    for name in names:
        other = sensitivity(name, None, replace(TIMING, carrier_mhz=mhz)).row("Glu").iu
        assert found[f"preset:{name}"].value == pytest.approx(other, rel=1e-9)
        assert found[f"preset:{name}"].change == pytest.approx(other / result.row("Glu").iu - 1, rel=1e-9)
    assert ("no other preset states a scale of water at 4 T" in result.sensitivity_notes) == (not names)


def test_what_tissue_would_change_is_shown_on_examples():
    # iu of the default is molar of 60 % GM and 40 % WM; with CSF the water of a litre of voxel over that of its tissue
    found = {item.variant: item.change for item in sensitivity(tissue=None, timing=STILL).sensitivity}
    tissue_water = 0.6 * 0.78 + 0.4 * 0.65
    assert found["5 % CSF"] == pytest.approx((0.95 * tissue_water + 0.05 * 0.97) / 0.95 / tissue_water - 1, rel=1e-6)
    assert found["30 % CSF"] == pytest.approx((0.70 * tissue_water + 0.30 * 0.97) / 0.70 / tissue_water - 1, rel=1e-6)
    result = sensitivity("lcmodel", None)
    assert result.sensitivity_line("Glu").endswith("; +5.3 % with 5 % CSF to +42.9 % with 30 % CSF in the voxel")
    (note,) = result.sensitivity_notes
    assert note.startswith("the tissue is not known, nor what correcting for it would change: voxels of 5 and 30 % CSF")


def test_every_scan_has_a_line_of_sensitivity():
    at_4_tesla = sensitivity(timing=replace(TIMING, carrier_mhz=170.3))
    assert at_4_tesla.sensitivity_lines()[0] == "Glu: molar -22.7 % without tissue correction"
    assert at_4_tesla.sensitivity_notes == ("no other preset states tissue water at 4 T",)
    unknown = sensitivity(timing=replace(TIMING, water=PulseTiming(None, 2.0)))
    assert unknown.sensitivity_line("Glu").endswith("; +17.6 % with the csf-only correction")
    assert unknown.sensitivity_notes[0].endswith("not corrected for tissue: TE or TR of the water scan is not known")
    assert "the voxel holds only CSF" in sensitivity(tissue=TissueFractions(0, 0, 1)).sensitivity_lines()[-1]
    assert sensitivity(fit=LinearFit({"Glu": 0.0})).sensitivity_lines()[0] == "Glu: zero under every convention"
    for result, said in (
        (sensitivity(water=None), "only ratios (no water reference), which"),
        (sensitivity(water=water_fit(0.0)), "only ratios (the water reference has no amplitude), which"),
        (sensitivity("phantom"), "other presets and tissue correction are for tissue, not for a solution"),
        (sensitivity(fit=LinearFit({"Glu": 1.0}, status="failed")), "no concentrations to compare: the fit failed"),
        (amplitudes_only(LinearFit({"PCr": 1.0}), "31P"), "only amplitudes, which depend on neither preset nor tissue"),
    ):
        (line,) = result.sensitivity_lines()
        assert line.startswith(said)


def test_sensitivity_line_names_presets_and_the_uncorrected_change():
    result = quantify(LinearFit({"Glu": 1.0}), water_fit(5000.0), EXACT, TIMING, QuantifySection())
    line = result.sensitivity_line("Glu")
    assert "without tissue correction" in line
    assert "under fsl-mrs" in line
    assert result.sensitivity_lines() == [line, result.sensitivity_line("Glx")]


def test_age_shortens_t2_only_when_asked():
    old = replace(TIMING, age=70.0)
    plain = quantify(LinearFit({"NAA": 1.0}), water_fit(5000.0), EXACT, old, QuantifySection()).rows[0]
    aged = quantify(LinearFit({"NAA": 1.0}), water_fit(5000.0), EXACT, old, QuantifySection(age_dependence=True)).rows[
        0
    ]
    # Deelchand 2020, 21 against 74 years: T2 of NAA 322, 304, 355 against 286, 279, 316 ms, of water 62, 56, 65 against
    # 53, 50, 56 ms; the participant is 45 years beyond the reference age
    naa = 1 + (np.mean([286 / 322, 279 / 304, 316 / 355]) - 1) * 45 / 53
    wet = 1 + (np.mean([53 / 62, 50 / 56, 56 / 65]) - 1) * 45 / 53
    more = {t2: math.exp(0.03 / (t2 * naa) - 0.03 / t2) for t2 in (0.258, 0.343)}
    less = {t2: math.exp(0.028 / t2 - 0.028 / (t2 * wet)) for t2 in (0.11, 0.0796)}
    assert more[0.343] * less[0.0796] * 0.997 < aged.molal / plain.molal < more[0.258] * less[0.11] * 1.01
    mine = {"water_t2": 0.1, "metabolite_t2": 0.2}
    kept = [
        quantify(
            LinearFit({"NAA": 1.0}),
            water_fit(5000.0),
            EXACT,
            old,
            QuantifySection(age_dependence=ageing, overrides=mine),
        )
        .rows[0]
        .molal
        for ageing in (False, True)
    ]
    assert kept[0] == kept[1]
    for age, said in ((None, "age is not known"), (math.nan, "age is not known"), (91.0, "taken at 80 instead of 91")):
        asked = QuantifySection(age_dependence=True)
        aside = quantify(LinearFit({"NAA": 1.0}), water_fit(5000.0), EXACT, replace(TIMING, age=age), asked)
        assert any(said in warning for warning in aside.warnings)
        assert aside.rows[0].molal is not None


def test_table_and_dictionary(tmp_path):
    result = quantify(LinearFit({"NAA": 1.0, "Cr": 1.0}), water_fit(5000.0), None, TIMING, QuantifySection())
    path = tmp_path / "sub-01_desc-concentrations_mrs.tsv"
    dictionary = write_concentrations(result, {"participant_id": "sub-01", "voi": "acc"}, path)
    with path.open(newline="") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    assert tuple(rows[0]) == COLUMNS
    assert (rows[0]["session"], rows[0]["molal"], rows[0]["f_gm"]) == ("n/a", "n/a", "n/a")
    assert float(rows[0]["iu"]) == pytest.approx(result.rows[0].iu, rel=1e-5)
    described = json.loads(dictionary.read_text())
    # session, run and task would be read as metadata that contradict the file name (pybids)
    assert set(COLUMNS) - set(described) == {"session", "run", "task"}
    assert described["Quantification"]["Constants"]["water_t1_gm"]["doi"]
    assert described["Quantification"]["SensitivityInWords"] == result.sensitivity_lines()
    assert described["csf_only"]["Units"] == "institutional units"


def test_columns_are_the_contract():
    contract = (
        "participant_id session voi acq run task metabolite amplitude crlb amplitude_sd total_sd ratio_tCr "
        "ratio_tCr_sd ratio_tCr_lo ratio_tCr_hi iu iu_sd molal molal_sd molar molar_sd csf_only csf_only_sd "
        "alpha_corrected alpha_corrected_sd alpha_normalised alpha_normalised_sd f_gm f_wm f_csf status flags reason"
    )
    assert tuple(contract.split()) == COLUMNS
