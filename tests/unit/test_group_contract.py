"""The tables of the group level are a contract: code, documentation and the participant level agree on it."""

from pathlib import Path

import pytest

from mrs_pipeline import stats
from mrs_pipeline.bids import GROUP_FILES
from mrs_pipeline.quantify import COLUMNS as PARTICIPANT_COLUMNS
from mrs_pipeline.quantify import DICTIONARY as PARTICIPANT_DICTIONARY

OUTPUTS = (Path(__file__).parents[2] / "docs" / "outputs.md").read_text(encoding="utf-8")
TABLES = {
    "group/concentrations.tsv": stats.CONCENTRATIONS,
    "group/qc.tsv": stats.QC,
    "group/flow.tsv": stats.FLOW,
    "group/unblinded/effects.tsv": stats.EFFECTS,
    "group/unblinded/responders.tsv": stats.RESPONDERS,
    "group/unblinded/correlations.tsv": stats.CORRELATIONS,
}


def test_effects_have_the_columns_of_the_design():
    assert ", ".join(stats.EFFECT_COLUMNS) == (
        "voi, metabolite, session, unit, analysis_set, model, contrast, n_a, n_b, n_missing, df, estimate, se, ci_low, "
        "ci_high, p, p_adj, pct, pct_low, pct_high, hedges_g, g_low, g_high, alpha, family"
    )


def test_concentrations_have_the_columns_of_the_design():
    assert ", ".join(stats.CONCENTRATION_COLUMNS) == (
        "participant_id, session, voi, acq, run, task, metabolite, amplitude, crlb, amplitude_sd, total_sd, ratio_tCr, "
        "ratio_tCr_sd, ratio_tCr_lo, ratio_tCr_hi, iu, iu_sd, molal, molal_sd, molar, molar_sd, f_gm, f_wm, f_csf, "
        "status, flags, reason"
    )


def test_participant_and_group_level_agree_on_columns_and_units():
    assert PARTICIPANT_COLUMNS == stats.CONCENTRATION_COLUMNS
    for name in ("ratio_tCr", "molal", "molar", "f_gm"):
        assert PARTICIPANT_DICTIONARY[name]["Units"] == stats.CONCENTRATIONS[name][1]


@pytest.mark.parametrize("name", TABLES)
def test_every_column_is_documented_with_its_unit_in_order(name):
    section = OUTPUTS.split(f"## {name}\n", 1)[1].split("\n## ", 1)[0]
    rows = [line.split(" | ") for line in section.splitlines() if line.startswith("| `")]
    documented = {row[0].strip("| `"): row[1].strip() for row in rows}
    assert documented == {column: unit or "" for column, (_, unit) in TABLES[name].items()}
    assert list(documented) == list(TABLES[name])


def test_every_group_file_is_documented():
    for path in GROUP_FILES.values():
        assert Path(path).name in OUTPUTS


def test_every_reason_is_documented():
    assert ", ".join(stats.REASONS) in OUTPUTS


def test_every_exported_name_exists_and_is_no_module():
    kinds = {name: type(getattr(stats, name)).__name__ for name in stats.__all__}
    assert [name for name, kind in kinds.items() if kind == "module"] == []
