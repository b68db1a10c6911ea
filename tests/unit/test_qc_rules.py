"""Quality rules: data in, verdict out."""

import json

import pytest

from mrs_pipeline.config import ProtocolSection
from mrs_pipeline.errors import StudyError
from mrs_pipeline.preprocess import METRIC_DEFINITIONS
from mrs_pipeline.qc import Rule, Verdict, assess, check_protocol, load_rules

GOOD = {
    "reference_z": 50.0,
    "snr_tcr": 60.0,
    "fwhm_ppm": 0.05,
    "fwhm_water_ppm": 0.06,
    "residual_water_before": 3.0,
    "residual_water": 0.1,
    "lipid_ratio": 0.12,
    "spurious_echo": 1.2,
    "baseline_asymmetry": 0.02,
    "share_kept": 1.0,
    "drift_hz_range": 3.0,
    "fit_status": "ok",
    "water_over_tcr": 5500.0,
    "voxel_inside": 1.0,
    "protocol_deviations": 0,
    "voxel_name": "as expected",
    "voxel_deep_grey": 0.0,
    "visit_dice": 0.9,
}


def test_a_good_scan_passes_with_every_rule_checked():
    verdict = assess(GOOD, "default")
    assert verdict.status == "pass"
    assert verdict.fired == ()
    assert verdict.not_checked == ()
    assert len(verdict.checked) == len(load_rules("default"))


@pytest.mark.parametrize(
    ("change", "status", "rule"),
    [
        ({"lipid_ratio": -0.27}, "warn", "lipid_inverted"),
        ({"lipid_ratio": 0.8}, "warn", "lipid_contamination"),
        ({"lipid_ratio": -1.5}, "fail", "lipid_inverted_dominates"),
        ({"fwhm_ppm": 0.12}, "warn", "linewidth_broad"),
        ({"fwhm_ppm": 0.2}, "fail", "linewidth_too_broad"),
        ({"snr_tcr": 3.0}, "fail", "snr_too_low"),
        ({"residual_water_before": 32.0}, "warn", "water_suppression_poor"),
        ({"share_kept": 0.4}, "fail", "most_transients_lost"),
        ({"fit_status": "failed"}, "fail", "fit_failed"),
        # 64 transients summed in one scan, averaged in the other
        ({"water_over_tcr": 5500.0 * 64}, "fail", "water_scale_high"),
        ({"water_over_tcr": 5500.0 / 64}, "fail", "water_scale_low"),
        ({"voxel_inside": 0.7}, "warn", "voxel_leaves_brain"),
        ({"protocol_deviations": 2}, "warn", "protocol_deviation"),
        ({"voxel_name": "elsewhere"}, "warn", "voxel_misnamed"),
        ({"voxel_deep_grey": 0.5}, "warn", "voxel_in_deep_grey"),
        ({"visit_dice": 0.4}, "warn", "voxel_moved"),
        ({"fit_status": "doubtful"}, "warn", "fit_doubtful"),
    ],
)
def test_each_fault_fires_its_rule(change, status, rule):
    verdict = assess({**GOOD, **change}, "default")
    assert verdict.status == status
    fired = {item.rule.name: item for item in verdict.fired}
    assert fired[rule].value == next(iter(change.values()))


def test_failures_come_first_and_sentences_hold_value_and_limit():
    verdict = assess({**GOOD, "fwhm_ppm": 0.2, "lipid_ratio": -0.3}, "default")
    assert verdict.fired[0].rule.severity == "fail"
    sentence = next(item.sentence for item in verdict.fired if item.rule.name == "lipid_inverted")
    assert sentence.startswith("an inverted lipid artefact")
    assert sentence.endswith("(lipid over NAA: -0.3, limit -0.1)")


def test_missing_metrics_are_listed_not_judged():
    verdict = assess({"snr_tcr": None, "fwhm_ppm": float("nan"), "fit_status": 3.0, "lipid_ratio": 0.1}, "default")
    why = {item.metric: item.why for item in verdict.not_checked}
    assert verdict.status == "pass"
    assert "not available" in why["snr_tcr"]
    assert "not a number" in why["fwhm_ppm"]
    assert "3.0" in why["fit_status"]
    assert "not computed" in why["share_kept"]
    assert set(verdict.checked) == {rule.name for rule in load_rules("default") if rule.metric == "lipid_ratio"}


def test_verdict_survives_json():
    verdict = assess({**GOOD, "fwhm_ppm": 0.2, "share_kept": None}, "default")
    assert Verdict.from_dict(json.loads(json.dumps(verdict.to_dict()))) == verdict


@pytest.mark.parametrize("edge", ["<", "<=", ">", ">=", "==", "!="])
def test_operators_at_the_limit(edge):
    rule = Rule("r", "m", edge, 1.0, "warn", "words", "source")
    assert (assess({"m": 1.0}, (rule,)).status == "warn") is (edge in {"<=", ">=", "=="})


def test_default_rules_look_at_metrics_that_exist():
    known = set(METRIC_DEFINITIONS) | set(GOOD)
    assert {rule.metric for rule in load_rules("default")} <= known


def test_default_rules_judge_no_single_metabolite():
    assert not any("crlb" in rule.metric for rule in load_rules("default"))


RULE = 'name="a"\nmetric="m"\noperator="<"\nlimit=1\nseverity="warn"\nwords="w"\nsource="s"\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no \\[\\[rule"),
        ("[[rule]]\n" + RULE.replace('source="s"\n', ""), "misses source"),
        ("[[rule]]\n" + RULE + "colour=1\n", "unknown keys colour"),
        ("[[rule]]\n" + RULE.replace('"<"', '"=<"'), "operator '=<'"),
        ("[[rule]]\n" + RULE.replace('"warn"', '"error"'), "severity 'error'"),
        ("[[rule]]\n" + RULE.replace("limit=1", 'limit="x"'), "compares text"),
        ("[[rule]]\n" + RULE.replace("limit=1", "limit=true"), "neither number nor text"),
        ("[[rule]]\n" + RULE + "[[rule]]\n" + RULE, "occur twice"),
    ],
)
def test_a_faulty_rule_file_names_file_and_fault(tmp_path, text, words):
    path = tmp_path / "rules.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(StudyError, match=words) as caught:
        load_rules(str(path))
    assert caught.value.path == path


def test_unknown_rule_set_names_the_known_ones():
    with pytest.raises(StudyError, match="default"):
        load_rules("strictest")


PROTOCOL = ProtocolSection.model_validate(
    {
        "sequence": "press",
        "echo_time": 0.03,
        "transients": 64,
        "voxel_size_mm": [20, 25, 30],
        "regions": {"acc": {"echo_time": 0.035}},
    }
)


@pytest.mark.parametrize(
    ("facts", "voi", "within"),
    [
        ({"echo_time": 0.030}, None, True),
        ({"echo_time": 0.031}, None, True),  # at the tolerance of 1 ms, which floats put a little beyond it
        ({"echo_time": 0.029}, None, True),
        ({"echo_time": 0.0311}, None, False),
        ({"echo_time": 0.030}, "acc", False),
        ({"echo_time": 0.035}, "acc", True),
        ({"voxel_size_mm": (30.0, 20.5, 25.0)}, None, True),
        ({"voxel_size_mm": (30.0, 20.6, 25.0)}, None, False),
        ({"transients": 64}, None, True),
        ({"transients": 63}, None, False),
        ({"sequence": "SVS PRESS 30"}, None, True),
        ({"sequence": "svs_steam"}, None, False),
    ],
)
def test_a_scan_is_held_against_the_protocol(facts, voi, within):
    items = {item.name: item for item in check_protocol(facts, PROTOCOL, voi)}
    (name,) = facts
    assert items[name].within is within
    assert items[name].found == facts[name]
    assert all(item.within is None for other, item in items.items() if other != name)
    assert list(items) == ["sequence", "echo_time", "voxel_size_mm", "transients"]
