import pytest

from mrs_pipeline.config import Study, load_study, preset_names, read_preset, settings_hash
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
    assert study.fit.ppm == (0.5, 4.2)
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
    one = load_study(study_file(tmp_path, "[fit]\nppm = [0.5, 4.2]")).fit
    other = load_study(study_file(tmp_path, "[fit]\nppm = [0.2, 4.2]")).fit
    assert settings_hash(one) == settings_hash(Study().fit)
    assert settings_hash(one) != settings_hash(other)


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
