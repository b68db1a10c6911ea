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

from mrs_pipeline.anatomy import TissueFractions
from mrs_pipeline.config import QuantifySection
from mrs_pipeline.quantify import (
    COLUMNS,
    PulseTiming,
    ScanTiming,
    WaterFit,
    load_constants,
    quantify,
    write_concentrations,
)
from mrs_pipeline.quantify.factors import fraction_covariance
from mrs_pipeline.quantify.relaxation import saturation

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
    found = next(item.value for item in result.sensitivity if item.variant == "csf-only")
    assert found == pytest.approx(molar * 0.728 / (0.728 * 0.8 + 0.97 * 0.2), rel=1e-6)


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


@pytest.mark.parametrize(
    ("mhz", "row", "amplitudes", "tolerance"),
    [
        (63.87, "tNAA", {"NAA": 9.0, "NAAG": 2.0}, 0.05),
        (127.7, "tNAA", {"NAA": 9.0, "NAAG": 2.0}, 0.05),
        (127.7, "Glx", {"Glu": 9.0, "Gln": 2.0}, 0.05),
        (127.7, "tCho", {"GPC": 2.0, "PCh": 0.8}, 0.05),
        (298.0, "tCr", {"Cr": 5.0, "PCr": 4.0}, 0.05),
        # T2 known to 40 and 28 % only: the first order falls short of the whole distribution
        (63.87, "mI", {"Ins": 7.0}, 0.12),
        (298.0, "Glx", {"Glu": 9.0, "Gln": 2.0}, 0.08),
    ],
)
def test_delta_method_agrees_with_monte_carlo(mhz, row, amplitudes, tolerance):
    covariance = np.array([[0.25, -0.15], [-0.15, 0.20]])[: len(amplitudes), : len(amplitudes)]
    tissue = TissueFractions(0.55, 0.30, 0.15, sd=(0.03, 0.035, 0.02))
    water = water_fit(55000.0, 400.0)
    scan = replace(TIMING, carrier_mhz=mhz)
    reported = quantify(LinearFit(amplitudes, covariance), water, tissue, scan, QuantifySection()).row(row)
    sampled = {unit: monte_carlo(amplitudes, covariance, tissue, water, unit, mhz) for unit in ("molal", "molar")}
    assert reported.molal_sd == pytest.approx(sampled["molal"].std(), rel=tolerance)
    assert reported.molar_sd == pytest.approx(sampled["molar"].std(), rel=tolerance)


def monte_carlo(amplitudes, covariance, tissue, water, unit, mhz, n=40000):
    """Draw every input and evaluate the textbook equations directly; relaxation times are lognormal.

    One number is drawn once, also where two metabolites share it.
    """
    rng = np.random.default_rng(7)
    c = load_constants("default", mhz)
    normal = lru_cache(lambda _key, _k: rng.normal(0.0, 1.0, n))

    def draw(k, key):
        if key[:2] in {"t1", "t2"}:
            return k.value * np.exp(normal(key, k) * k.sd / k.value)
        return k.value + normal(key, k) * k.sd

    amp = rng.multivariate_normal(list(amplitudes.values()), covariance, n)
    f = rng.multivariate_normal([tissue.gm, tissue.wm, tissue.csf], fraction_covariance(tissue.sd), n).T
    keys = ("gm", "wm", "csf")
    d = np.stack([draw(c.water[f"content_{k}"], f"content_{k}") for k in keys])
    relax = lambda scan, t1, t2: (1 - np.exp(-scan.repetition_time / t1)) * np.exp(-scan.echo_time / t2)  # noqa: E731
    r = np.stack(
        [relax(WATER, draw(c.water[f"t1_{k}"], f"t1_{k} w"), draw(c.water[f"t2_{k}"], f"t2_{k} w")) for k in keys]
    )
    moles = f * d
    total = 0.0
    for column, name in zip(amp.T, amplitudes, strict=True):
        table = c.metabolite(name)
        m = np.stack(
            [relax(MET, draw(table[f"t1_{k}"], f"t1_{k}"), draw(table[f"t2_{k}"], f"t2_{k}")) for k in keys[:2]]
        )
        r_m = (moles[:2] * m).sum(0) / moles[:2].sum(0)
        kilograms = moles[:2].sum(0) if unit == "molal" else f[:2].sum(0) / 0.9933
        total = total + column * (moles * r).sum(0) / (kilograms * r_m)
    return total / rng.normal(water.amplitude, water.sd, n) * 55510


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
    unknown = quantify(LinearFit({"NAA": 1.0}), water_fit(5000.0), EXACT, TIMING, QuantifySection(age_dependence=True))
    assert any("age is not known" in warning for warning in unknown.warnings)


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


def test_columns_are_the_contract():
    contract = (
        "participant_id session voi acq run task metabolite amplitude crlb amplitude_sd total_sd ratio_tCr "
        "ratio_tCr_sd ratio_tCr_lo ratio_tCr_hi iu iu_sd molal molal_sd molar molar_sd f_gm f_wm f_csf "
        "status flags reason"
    )
    assert tuple(contract.split()) == COLUMNS
