"""The tables of the group level are a contract: code, documentation and the participant level agree on it."""

import re
from pathlib import Path

import pytest

from mrs_pipeline import stats
from mrs_pipeline.bids import DERIVATIVES, GROUP_FILES, Entities, derivative_path
from mrs_pipeline.quantify import COLUMNS as PARTICIPANT_COLUMNS

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
        "ratio_tCr_sd, ratio_tCr_lo, ratio_tCr_hi, iu, iu_sd, molal, molal_sd, molar, molar_sd, csf_only, csf_only_sd, "
        "alpha_corrected, alpha_corrected_sd, alpha_normalised, alpha_normalised_sd, f_gm, f_wm, f_csf, "
        "status, flags, reason"
    )


def test_participant_and_group_level_have_the_same_columns():
    assert PARTICIPANT_COLUMNS == stats.CONCENTRATION_COLUMNS


@pytest.mark.parametrize("name", TABLES)
def test_every_column_is_documented_with_its_unit_in_order(name):
    section = OUTPUTS.split(f"## {name}\n", 1)[1].split("\n## ", 1)[0]
    rows = [line.split(" | ") for line in section.splitlines() if line.startswith("| `")]
    documented = {row[0].strip("| `"): row[1].strip() for row in rows}
    assert documented == {column: unit or "" for column, (_, unit) in TABLES[name].items()}
    assert list(documented) == list(TABLES[name])


def documented_files(folder):
    """File names of one folder of the listing in docs/outputs.md, braces expanded, without the scan's entities."""
    listing = OUTPUTS.split("    dataset_description.json", 1)[1].split("\n\n", 1)[0]
    section = re.split(r"\n    (?=\S)", re.split(rf"\n    {folder}/\s", listing, maxsplit=1)[1], maxsplit=1)[0]
    names = re.findall(r"(?<![\w-])[\w.{},-]+\.(?:nii\.gz|json|tsv|html)(?!\S)", section)
    return {name.removeprefix("..._") for text in names for name in expanded(text)}


def expanded(text):
    found = re.search(r"\{(.*)\}", text)
    return [text.replace(found[0], part) for part in found[1].split(",")] if found else [text]


@pytest.mark.parametrize("folder", ["sub-X/ses-Y/mrs", "sub-X/ses-Y/anat", "sub-X/mrs"])
def test_the_listing_names_every_derivative_of_a_scan_or_region_and_no_other(folder):
    entities = Entities(sub="X", ses="Y", voi="Z")
    paths = [derivative_path(entities, kind) for kind in DERIVATIVES]
    names = [path.name for path in paths if path.parent.as_posix() == folder]
    stem = re.compile(r"sub-X_(ses-Y_)?(voi-Z_)?")
    assert documented_files(folder) == {stem.sub("", name, count=1) for name in names}


@pytest.mark.parametrize("folder", ["group", "group/unblinded"])
def test_the_listing_names_every_group_file_and_no_other(folder):
    names = {Path(path).name for path in GROUP_FILES.values() if Path(path).parent.as_posix() == folder}
    assert documented_files(folder) == names


def test_the_listing_names_the_report_and_the_files_of_the_whole_output():
    report = derivative_path(Entities(sub="X", ses="Y", voi="Z"), "report")
    assert [kind for kind, pattern in DERIVATIVES.items() if not pattern.folder] == ["report"]
    assert f"\n    {report}\n" in OUTPUTS


def test_every_reason_is_documented():
    assert ", ".join(stats.REASONS) in " ".join(OUTPUTS.split())


def test_every_exported_name_exists_and_is_no_module():
    kinds = {name: type(getattr(stats, name)).__name__ for name in stats.__all__}
    assert [name for name, kind in kinds.items() if kind == "module"] == []
