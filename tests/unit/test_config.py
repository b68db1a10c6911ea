from pathlib import Path

import pytest

from mrs_pipeline.config import (
    Study,
    load_study,
    locate_files,
    portable,
    preset_names,
    read_preset,
    settings_files,
    settings_hash,
)
from mrs_pipeline.errors import StudyError


def study_file(tmp_path, text):
    path = tmp_path / "study.toml"
    path.write_text(text)
    return path


def test_the_file_may_be_left_out():
    assert load_study(None) == Study()


def test_defaults_of_the_contract():
    study = Study()
    assert study.study.visits == ("baseline", "week12")
    assert study.fit.ppm == (0.5, 4.0)
    assert study.basis.source == "simulate"
    assert study.basis.allow_te_mismatch is False
    assert study.analysis.unit == "molal"
    assert study.analysis.primary == ()
    assert study.quantify.units == ("ratio", "molal", "molar")


@pytest.mark.parametrize(
    ("text", "key", "near"),
    [
        ("[fit]\nbasline = 'auto'", "fit.basline", "baseline"),
        ("[fitt]", "fitt", "fit"),
        ("[[convert.scans]]\npattern='*'\nrole='svs'\nvisits='x'", "convert.scans.0.visits", "visit"),
        ("[preprocess.water_removal]\ncomponent = 3", "preprocess.water_removal.component", "components"),
        ("[protocol.regions.acc]\necho_tme = 0.03", "protocol.regions.acc.echo_tme", "echo_time"),
    ],
)
def test_an_unknown_key_names_the_nearest_known_one(tmp_path, text, key, near):
    with pytest.raises(StudyError) as caught:
        load_study(study_file(tmp_path, text))
    assert f"unknown key '{key}'" in caught.value.problem
    assert f"did you mean '{near}'?" in caught.value.remedy
    assert caught.value.path == tmp_path / "study.toml"


def test_a_wrong_value_is_named(tmp_path):
    with pytest.raises(StudyError, match=r"'analysis.alpha'.*got 5"):
        load_study(study_file(tmp_path, "[analysis]\nalpha = 5"))


def test_broken_toml_and_missing_file(tmp_path):
    with pytest.raises(StudyError, match="not valid TOML"):
        load_study(study_file(tmp_path, "[fit"))
    with pytest.raises(StudyError, match="cannot be read"):
        load_study(tmp_path / "absent.toml")


def test_the_hash_follows_the_settings_and_nothing_else(tmp_path):
    one = load_study(study_file(tmp_path, "[fit]\nppm = [0.5, 4.0]")).fit
    other = load_study(study_file(tmp_path, "[fit]\nppm = [0.2, 4.0]")).fit
    assert settings_hash(one) == settings_hash(Study().fit)
    assert settings_hash(one) != settings_hash(other)


FILES = """
[fit]
priors = "mine/priors.toml"
macromolecule_file = "mm.basis"
[quantify]
preset = "constants.toml"
[qc]
rules = "rules.toml"
[tissue]
derivatives = "maps"
"""


def study_with_files(folder):
    """A study file and everything it names, below one folder."""
    for name in ("mine/priors.toml", "mm.basis", "constants.toml", "rules.toml", "maps/x.json"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return load_study(study_file(folder, FILES))


def test_files_are_found_beside_the_study_file_wherever_the_command_runs(tmp_path, monkeypatch):
    monkeypatch.chdir("/")
    study = locate_files(study_with_files(tmp_path), [tmp_path / "elsewhere", tmp_path])
    assert study.fit.priors == str(tmp_path / "mine" / "priors.toml")
    assert study.fit.macromolecule_file == str(tmp_path / "mm.basis")
    assert study.quantify.preset == str(tmp_path / "constants.toml")
    assert study.qc.rules == str(tmp_path / "rules.toml")
    assert study.tissue.derivatives == str(tmp_path / "maps")
    assert study.tissue.table == "tissue.tsv"
    assert locate_files(study, []) == study
    assert sorted(settings_files(study)) == ["fit.macromolecule_file", "fit.priors", "qc.rules", "quantify.preset"]


def test_shipped_presets_stay_names(tmp_path):
    assert locate_files(Study(), [tmp_path]) == Study()
    assert settings_files(Study()) == {}


def test_a_file_that_is_nowhere_is_named(tmp_path):
    study = load_study(study_file(tmp_path, '[qc]\nrules = "rules.toml"'))
    with pytest.raises(StudyError, match=r"\[qc\] rules = 'rules.toml': there is no such file") as caught:
        locate_files(study, [tmp_path], tmp_path / "study.toml")
    assert caught.value.path == tmp_path / "study.toml"


def test_hashes_follow_what_the_files_say_and_not_where_they_are(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one, other = (locate_files(study_with_files(tmp_path / name), [tmp_path / name]) for name in "ab")
    assert one != other
    for section in ("fit", "tissue", "quantify", "qc"):
        assert settings_hash(getattr(one, section)) == settings_hash(getattr(other, section))
        assert str(tmp_path) not in portable(getattr(one, section)).model_dump_json()
    before = settings_hash(one.qc)
    Path(one.qc.rules).write_text("changed")
    assert settings_hash(one.qc) != before
    assert portable(Study().fit) == Study().fit


def test_every_field_is_documented():
    def check(model, seen):
        for name, field in model.model_fields.items():
            assert field.description, f"{model.__name__}.{name} has no description"
        assert model.__doc__
        return seen

    from mrs_pipeline.config import models

    for thing in vars(models).values():
        if isinstance(thing, type) and issubclass(thing, models.Section):
            check(thing, set())


def test_presets_are_found_by_name_and_by_path(tmp_path):
    assert "default" in preset_names("relaxation")
    with pytest.raises(StudyError, match="unknown relaxation preset 'nope'"):
        read_preset("relaxation", "nope")
    mine = tmp_path / "mine.toml"
    mine.write_text("a = 1")
    assert read_preset("relaxation", str(mine)) == {"a": 1}
