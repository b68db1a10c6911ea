"""Presets against worked numbers of the tools they reproduce.

Each expected value is the tool's own expression and literals (repository, file and commit named) evaluated by hand for
f = 0.55/0.30/0.15, TE 30 ms, TR 2 s; nothing of this package enters.
"""

from __future__ import annotations

import numpy as np
import pytest

from mrs_pipeline.anatomy import TissueFractions
from mrs_pipeline.config import QuantifySection, preset_names
from mrs_pipeline.errors import StudyError
from mrs_pipeline.quantify import PulseTiming, ScanTiming, WaterFit, load_constants, quantify
from mrs_pipeline.quantify.equations import mole_fractions
from mrs_pipeline.quantify.factors import evaluate, inputs

TISSUE = TissueFractions(0.55, 0.30, 0.15)
PRESS = PulseTiming(0.030, 2.0)
LONG = PulseTiming(0.028, 10.0)
MHZ = {"1.5": 63.87, "3": 127.7, "7": 298.0}


def timing(field, water=PRESS):
    return ScanTiming(PRESS, water, MHZ[field])


def factor_of(preset, unit, metabolite, field="3", water=PRESS, tissue=TISSUE):
    constants = load_constants(preset, MHZ[field])
    numbers = {key: constant.value for key, constant in inputs(constants, tissue, metabolite).items()}
    return evaluate(unit, numbers, timing(field, water), constants.conventions)


SPANT = "https://github.com/martin3141/spant/blob/04742ed/R/amp_scaling.R get_corr_factor"
OSPREY = "https://github.com/schorschinho/osprey/blob/d2c346f/quantify/OspreyQuantify.m"
GANNET = "https://github.com/markmikkelsen/Gannet/blob/11e02ca/GannetQuantify.m"
FSL = "https://github.com/wtclarke/fsl_mrs utils/quantify.py at 37cd9ef, utils/constants.py at 292234d (1 - f_CSF)"


@pytest.mark.parametrize(
    ("preset", "unit", "metabolite", "field", "water", "expected", "source"),
    [
        ("spant", "molal", "NAA", "1.5", PRESS, 51718.389354952, SPANT),
        ("spant", "molal", "NAA", "3", PRESS, 56815.617546779, SPANT),
        ("spant", "molal", "NAA", "7", PRESS, 43846.084191276, SPANT),
        ("spant", "iu", "NAA", "3", PRESS, 35880 * 0.7, SPANT),
        ("osprey", "molal", "NAA", "3", PRESS, 55933.063329905, OSPREY + " quantTiss"),
        ("osprey", "molal", "Glu", "3", PRESS, 60373.962645198, OSPREY + " quantTiss"),
        ("osprey", "molal", "GSH", "3", PRESS, 62456.035353987, OSPREY + " quantTiss"),
        ("osprey", "molal", "Asp", "3", LONG, 85117.071632853, OSPREY + " quantTiss, water TE 28 ms TR 10 s"),
        ("osprey", "molal", "NAA", "7", PRESS, 45197.474071366, OSPREY + " quantTiss"),
        ("osprey", "iu", "NAA", "3", PRESS, 32127.647457984, OSPREY + " quantH2O"),
        ("osprey", "iu", "Glu", "3", PRESS, 34678.475878674, OSPREY + " quantH2O"),
        ("gannet", "molal", "GABA", "3", PRESS, 68922.139914429, GANNET + " ConcIU_TissCorr"),
        ("gannet", "molal", "NAA", "3", PRESS, 56210.021489364, GANNET + " ConcIU_TissCorr"),
        ("fsl-mrs", "molal", "NAA", "3", PRESS, 48938.890167303, FSL),
        ("fsl-mrs", "molar", "NAA", "3", PRESS, 37658.475983739, FSL),
        ("fsl-mrs", "iu", "NAA", "3", PRESS, 45437.547914543, FSL + ", no fractions"),
        ("fsl-mrs", "molal", "NAA", "7", PRESS, 41013.243591583, FSL),
        ("fsl-mrs", "molar", "NAA", "7", PRESS, 31559.690943723, FSL),
        ("lcmodel", "iu", "NAA", "3", PRESS, 25116.0, "LCModel manual 10.2: WCONC 35880 x ATTH2O 0.7"),
    ],
)
def test_preset_gives_the_tools_number(preset, unit, metabolite, field, water, expected, source):
    assert factor_of(preset, unit, metabolite, field, water) == pytest.approx(expected, rel=5e-5), source


@pytest.mark.parametrize(
    ("metabolite", "variant", "expected"),
    [
        ("GABA", "alpha", 61440.512764647),
        ("GABA", "alpha, group-normalised", 52405.143240434),
        ("NAA", "alpha", 46767.763991355),
    ],
)
def test_gannet_alpha_correction(metabolite, variant, expected):
    settings = QuantifySection(preset="gannet", alpha_means=(0.60, 0.25))
    result = quantify(OneLine(metabolite), water(1.0), TISSUE, timing("3"), settings)
    found = {item.variant: item.value for item in result.sensitivity if item.metabolite == metabolite}
    assert found[variant] == pytest.approx(expected, rel=5e-5)


def test_osprey_csf_correction_is_the_raw_value_over_one_minus_csf():
    result = quantify(OneLine("NAA"), water(1.0), TISSUE, timing("3"), QuantifySection(preset="osprey"))
    found = {item.variant: item.value for item in result.sensitivity if item.metabolite == "NAA"}
    assert found["csf-only"] == pytest.approx(37797.232303511, rel=5e-5)


def test_fsl_mrs_own_test_suite_numbers():
    # fsl_mrs/tests/test_utils_quantify.py at 541e905: without relaxation pure grey gives 55510 molal,
    # and 55510 x 0.78 molar
    instant = PulseTiming(1e-10, 1e5)
    constants = load_constants("fsl-mrs", MHZ["7"])
    grey = TissueFractions(1.0, 0.0, 0.0)
    numbers = {key: constant.value for key, constant in inputs(constants, grey, "NAA").items()}
    scan = ScanTiming(instant, instant, MHZ["7"])
    assert evaluate("molal", numbers, scan, constants.conventions) == pytest.approx(55510)
    assert evaluate("molar", numbers, scan, constants.conventions) == pytest.approx(55510 * 0.78)


def test_mole_fractions_of_the_fsl_mrs_test():
    found = mole_fractions(np.array([0.45, 0.40, 0.15]), np.array([0.78, 0.65, 0.97]))
    total = 0.45 * 0.78 + 0.40 * 0.65 + 0.15 * 0.97
    assert found == pytest.approx(np.array([0.351, 0.26, 0.1455]) / total)


@pytest.mark.parametrize("name", preset_names("relaxation"))
def test_every_value_of_every_preset_names_its_source(name):
    for mhz in MHZ.values():
        for key, constant in load_constants(name, mhz).flat().items():
            assert constant.doi, key
            assert constant.value >= 0, key


@pytest.mark.parametrize("name", preset_names("relaxation"))
def test_a_preset_says_whether_it_is_tested(name):
    assert load_constants(name, 127.7).status.startswith(("tested", "own convention", "modelled on, untested"))


def test_overrides_replace_single_constants():
    constants = load_constants(
        "default",
        127.7,
        {"water_t1_gm": 1.5, "water_content": 0.8, "metabolite_t2": {"Glu": 0.2}, "metabolite_t1": 1.4},
    )
    assert constants.water["t1_gm"].value == 1.5
    assert {constants.water[f"content_{c}"].value for c in ("gm", "wm", "csf")} == {0.8}
    assert (constants.metabolite("Glu")["t2_gm"].value, constants.metabolite("Glu")["t2_wm"].value) == (0.2, 0.2)
    assert constants.metabolite("NAA")["t1_wm"].value == 1.4
    assert constants.metabolite("NAA")["t2_wm"].value == 0.343


def test_an_unknown_override_names_the_nearest():
    with pytest.raises(StudyError, match="did you mean 'water_t1_gm'"):
        load_constants("default", 127.7, {"water_t1_grey": 1.0})


def test_a_field_without_constants_is_said():
    assert "2.35 T" not in load_constants("default", 127.7).warnings
    assert "no constants for 9.39 T" in load_constants("default", 400.0).warnings[0]


def water(amplitude):
    return WaterFit(amplitude, 0.0, 5.0, 0.0, 0.0, 1e4, 0.0, "whole", 0, 1)


class OneLine:
    """A fit with one metabolite of amplitude 1."""

    status = "ok"
    flags = ()

    def __init__(self, name):
        self.names = (name,)

    def combination(self, weights):
        return sum(weights.values()), 0.0, 0.0, 0.0

    def ratio(self, *_names):
        return 1.0, 0.0, 1.0, 1.0
