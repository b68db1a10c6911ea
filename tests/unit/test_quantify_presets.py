"""Presets against worked numbers of the tools they reproduce.

Each expected value is the tool's own expression and literals (repository, file and commit named) evaluated by hand for
f = 0.55/0.30/0.15, TE 30 ms, TR 2 s; nothing of this package enters.
"""

from __future__ import annotations

import re

import numpy as np
import pytest

from mrs_pipeline.anatomy import TissueFractions
from mrs_pipeline.config import QuantifySection, preset_names
from mrs_pipeline.errors import StudyError
from mrs_pipeline.quantify import PulseTiming, ScanTiming, WaterFit, load_constants, quantify
from mrs_pipeline.quantify.constants import KINDS
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
FSL = (
    "https://github.com/wtclarke/fsl_mrs/blob/37cd9ef/fsl_mrs/utils/quantify.py (1 - f_CSF), "
    "https://github.com/wtclarke/fsl_mrs/blob/292234d/fsl_mrs/utils/constants.py"
)
LCMODEL = "https://github.com/schorschinho/LCModel/blob/63dccb1/source/LCModel.f (wconc, atth2o); manual 10.2"


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
        ("gannet", "molal", "GABA", "3", PRESS, 68922.139914429, GANNET + " ConcIU_TissCorr"),
        ("gannet", "molal", "NAA", "3", PRESS, 56210.021489364, GANNET + " ConcIU_TissCorr"),
        ("fsl-mrs", "molal", "NAA", "3", PRESS, 48938.890167303, FSL),
        ("fsl-mrs", "molar", "NAA", "3", PRESS, 37658.475983739, FSL),
        ("fsl-mrs", "iu", "NAA", "3", PRESS, 45437.547914543, FSL + ", no fractions"),
        ("fsl-mrs", "molal", "NAA", "7", PRESS, 41013.243591583, FSL),
        ("fsl-mrs", "molar", "NAA", "7", PRESS, 31559.690943723, FSL),
        ("lcmodel", "iu", "NAA", "3", PRESS, 25116.0, LCMODEL),  # 35880 x 0.7
    ],
)
def test_preset_gives_the_tools_number(preset, unit, metabolite, field, water, expected, source):
    assert factor_of(preset, unit, metabolite, field, water) == pytest.approx(expected, rel=5e-5), source
    assert re.match(r"https://github\.com/[\w.-]+/[\w.-]+/blob/[0-9a-f]{7,}/\S+", source)


@pytest.mark.parametrize(
    ("metabolite", "variant", "expected"),
    [
        ("GABA", "alpha", 61440.512764647),
        ("GABA", "alpha, group-normalised", 52405.143240434),
        ("NAA", "alpha", 46767.763991355),
    ],
)
def test_gannet_alpha_correction(metabolite, variant, expected):
    # GANNET above: ConcIU_AlphaTissCorr and ConcIU_AlphaTissCorr_GrpNorm
    settings = QuantifySection(preset="gannet", alpha_means=(0.60, 0.25))
    result = quantify(OneLine(metabolite), water(1.0), TISSUE, timing("3"), settings)
    found = {item.variant: item.value for item in result.sensitivity if item.metabolite == metabolite}
    assert found[variant] == pytest.approx(expected, rel=5e-5)
    row = result.row(metabolite)
    assert found["alpha"] == row.alpha_corrected
    assert found["alpha, group-normalised"] == row.alpha_normalised


def test_osprey_iu_is_modelled_on_its_expression():
    # OSPREY above, quantH2O and quantCSF, with TE and TR in s. The file itself divides by 1000 twice and gives 46222
    # for NAA (https://github.com/schorschinho/osprey/issues/657), later versions take one mean relaxation for all
    # metabolites (https://github.com/schorschinho/osprey/pull/818): so the preset does not count as tested there
    assert factor_of("osprey", "iu", "NAA") == pytest.approx(32127.647457984, rel=5e-5)
    assert factor_of("osprey", "iu", "Glu") == pytest.approx(34678.475878674, rel=5e-5)
    result = quantify(OneLine("NAA"), water(1.0), TISSUE, timing("3"), QuantifySection(preset="osprey"))
    found = {item.variant: item.value for item in result.sensitivity if item.metabolite == "NAA"}
    assert found["csf-only"] == pytest.approx(37797.232303511, rel=5e-5)
    assert "iu and csf-only modelled on quantH2O, untested" in result.preset_status


def test_fsl_mrs_own_test_suite_numbers():
    # https://github.com/wtclarke/fsl_mrs/blob/541e905/fsl_mrs/tests/test_utils_quantify.py:
    # without relaxation pure grey gives 55510 molal and 55510 x 0.78 molar
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


@pytest.mark.parametrize(
    "impossible",
    [{"metabolite_t2": 0.0}, {"water_t2_gm": -0.1}, {"water_content_csf": 0.0}, {"metabolite_t1": {"Glu": -1.0}}],
)
def test_an_impossible_override_is_refused(impossible):
    with pytest.raises(StudyError, match="no possible value"):
        load_constants("default", 127.7, impossible)


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


ONE_TABLE = {
    "1.5": {
        "water": {"t1", "t2"},
        "t1": {"NAA", "Cr", "PCr", "GPC", "PCh", "Ins", "Glu", "default"},
        "t2": {"NAA", "Cr", "PCr", "GPC", "PCh", "Ins"},
    },
    "3": {"water": set(), "t1": set(), "t2": {"Glu", "Glc"}},
    "7": {"water": set(), "t1": {"NAA"}, "t2": {"Lac"}},
}
"""What docs/quantification.md says of the constants that rest on one secondary table."""


@pytest.mark.parametrize("field", MHZ)
def test_the_default_says_how_far_each_value_was_checked(field):
    constants = load_constants("default", MHZ[field])
    assert {constant.kind for constant in constants.flat().values()} <= set(KINDS)
    assert {constant.kind for constant in constants.age_slopes.values()} <= {"table", "choice"}
    for name, constant in constants.flat().items():
        assert constant.kind == "choice" or not constant.doi.startswith(("choice", "assumption")), name
        assert constant.kind == "definition" or constant.sd > 0 or name == "water_density", name
    single = {key for key, constant in constants.flat().items() if constant.kind == "table"}
    water = {f"water_{time}_{tissue}" for time in ONE_TABLE[field]["water"] for tissue in ("gm", "wm")}
    metabolites = {
        f"metabolite_{time}_{tissue}.{name}"
        for time in ("t1", "t2")
        for tissue in ("gm", "wm")
        for name in ONE_TABLE[field][time]
    }
    assert single == water | metabolites


def test_values_read_in_papers():
    three, seven = (load_constants("default", MHZ[field]) for field in ("3", "7"))
    # Puts 2013: 1.31 +- 0.16 s; Andreychenko 2013: 1334 +- 158 and 87 ms; CSF: 4308.7 +- 146.9 and 1885.5 ms
    assert (three.metabolite("GABA")["t1_gm"].value, three.metabolite("GABA")["t1_gm"].sd) == (1.31, 0.16)
    assert (seven.metabolite("GABA")["t1_gm"].value, seven.metabolite("GABA")["t1_gm"].sd) == (1.334, 0.158)
    assert seven.metabolite("GABA")["t2_wm"].value == 0.087
    assert (three.water["t1_csf"].value, three.water["t1_csf"].sd) == (4.309, 0.147)
    assert three.water["t2_csf"].value == 1.886


@pytest.mark.parametrize(
    ("name", "key", "seconds", "doi"),
    [
        # Puts 2013: 1.31 s; Edden 2012: 88 +- 12 ms; Choi 2013: 397 +- 44 ms; Ganji 2012: 181 and 180 ms;
        # Madan 2015: 240 ms
        ("GABA", "t1_gm", 1.31, "10.1002/jmri.23817"),
        ("GABA", "t2_gm", 0.088, "10.1002/jmri.22865"),
        ("GSH", "t1_gm", 0.397, "10.1002/nbm.2815"),
        ("Glu", "t2_gm", 0.1805, "10.1002/nbm.1767"),
        ("Lac", "t2_gm", 0.240, "10.1002/mrm.25352 (brain tumours)"),
    ],
)
def test_sources_of_the_gannet_preset_say_what_it_takes_from_them(name, key, seconds, doi):
    constant = load_constants("gannet", MHZ["3"]).metabolite(name)[key]
    assert constant.value == pytest.approx(seconds, rel=0.01)
    assert constant.doi == doi


@pytest.mark.parametrize(
    ("name", "key", "regions"),
    [
        # Marjanska 2012 at 7 T: occipital, motor, basal ganglia, cerebellum, ms
        ("NAA", "t2_gm", (132, 168, 130, 191)),
        ("Cr", "t2_gm", (95, 113, 90, 131)),
        ("GPC", "t2_gm", (152, 139, 121, 200)),
        ("Ins", "t2_gm", (95, 100, 87, 160)),
        ("Tau", "t2_gm", (93, 90, 85, 120)),
        ("sIns", "t2_gm", (96, 112, 80, 130)),
        ("GSH", "t2_gm", (61, 97, 80)),
        ("Lac", "t2_gm", (94, 182)),  # Dehghani 2020, Chen 2017
    ],
)
def test_means_over_regions_at_7_t(name, key, regions):
    found = load_constants("default", MHZ["7"]).metabolite(name)[key].value
    assert found == pytest.approx(np.mean(regions) / 1000, abs=0.0006)


@pytest.mark.parametrize(
    ("field", "name", "key", "regions"),
    [
        # Ethofer 2003 at 1.5 T: occipital and motor cortex; occipital and frontoparietal white matter, s
        ("1.5", "NAA", "t1_gm", (1.27, 1.17)),
        ("1.5", "NAA", "t1_wm", (1.36, 1.19)),
        ("1.5", "Cr", "t1_gm", (1.24, 1.16)),
        ("1.5", "Cr", "t1_wm", (1.24, 1.15)),
        ("1.5", "GPC", "t1_gm", (1.15, 1.08)),
        ("1.5", "GPC", "t1_wm", (1.03, 1.04)),
        ("1.5", "Ins", "t1_gm", (1.00, 1.04)),
        ("1.5", "Ins", "t1_wm", (0.97, 0.93)),
        # Xin 2013 at 7 T, occipital
        ("7", "NAA", "t1_gm", (1.83,)),
        ("7", "NAA", "t1_wm", (1.90,)),
        ("7", "Cr", "t1_wm", (1.78,)),
        ("7", "Glu", "t1_gm", (1.61,)),
        # Li 2019 at 7 T: medial frontal grey, left frontal white matter
        ("7", "Glu", "t2_gm", (0.1175,)),
        ("7", "Glu", "t2_wm", (0.1073,)),
    ],
)
def test_values_of_tables_that_differ_from_other_tools(field, name, key, regions):
    found = load_constants("default", MHZ[field]).metabolite(name)[key].value
    assert found == pytest.approx(np.mean(regions), abs=0.0006)


@pytest.mark.parametrize(
    ("name", "occipital", "cingulate", "white"),
    [
        # Wyss 2018 at 3 T, ms
        ("NAA", 263, 253, 343),
        ("NAAG", 107, 128, 185),
        ("Cr", 144, 148, 166),
        ("GPC", 222, 274, 218),
        ("PCh", 221, 274, 213),
        ("Ins", 229, 244, 161),
        ("Gln", 99, 122, 168),
        ("GSH", 77, 100, 145),
        ("Lac", 99, 110, 159),
        ("Asp", 90, 111, 148),
        ("Asc", 105, 125, 172),
        ("sIns", 107, 125, 170),
        ("Gly", 81, 102, 152),
        ("PE", 86, 119, 158),
    ],
)
def test_t2_per_tissue_at_3_t(name, occipital, cingulate, white):
    table = load_constants("default", MHZ["3"]).metabolite(name)
    assert table["t2_gm"].value == pytest.approx((occipital + cingulate) / 2000)
    assert table["t2_wm"].value == pytest.approx(white / 1000)


def test_what_is_carried_over_to_1_5_t():
    # Traber 2004: NAA, Cr, Cho at 1.5 T (three regions) and at 3 T (six regions), ms
    low = np.array([np.mean(v) for v in ((361, 317, 357), (215, 208, 216), (330, 300, 332))])
    high = (301, 247, 254, 279, 221, 287), (178, 162, 161, 169, 143, 178), (222, 222, 265, 242, 201, 276)
    ratio = np.mean(low / np.array([np.mean(v) for v in high]))
    assert ratio == pytest.approx(1.3, abs=0.02)
    field, three = load_constants("default", MHZ["1.5"]), load_constants("default", MHZ["3"])
    assert [field.metabolite(n)["t2_gm"].value for n in ("NAA", "Cr", "GPC")] == pytest.approx(low / 1000, abs=5e-4)
    assert field.metabolite("Glu")["t2_gm"].value == pytest.approx(
        1.3 * three.metabolite("Glu")["t2_gm"].value, abs=0.001
    )
    other = three.metabolite("default")
    mean = (other["t2_gm"].value + other["t2_wm"].value) / 2
    assert field.metabolite("Gln")["t2_wm"].value == pytest.approx(1.3 * mean, abs=0.002)
    # mI: Frahm 1989 (four regions), Kreis 1993 (two), Kreis 2005, Posse 1995, Soher 2005
    studies = np.mean([np.mean((130, 110, 150, 130)), np.mean((270, 301)), 150, 66, 363])
    assert field.metabolite("Ins")["t2_gm"].value == pytest.approx(studies / 1000, abs=0.002)
