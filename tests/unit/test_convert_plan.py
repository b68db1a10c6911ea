"""Rules: from scanner file names to BIDS names, and every way a name can fail."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest
from mrs_pipeline.workflows.convert_plan import make_plan

from mrs_pipeline.bids import Labels, Rule, Target, Unplaced, build_name, pattern_of, place
from mrs_pipeline.config import Study
from mrs_pipeline.errors import StudyError


def name_of(source, *rules, **labels):
    found = place(PurePosixPath(source), rules, Labels(**labels))
    return build_name(found.entities) if isinstance(found, Target) else found


REGEX = Rule(r"(?P<participant>\w+?)_(?P<visit>[a-z0-9]+)_(?P<region>[A-Za-z-]+)_act\.SDAT$", "svs")


@pytest.mark.parametrize(
    ("source", "rule", "expected"),
    [
        ("a/P01_bl_acc_act.SDAT", REGEX, "sub-P01_ses-bl_voi-acc_svs.nii.gz"),
        ("a/P01_bl_acc_act.sdat", REGEX, "sub-P01_ses-bl_voi-acc_svs.nii.gz"),  # letter case is ignored
        (
            "x/y.rda",
            Rule("*.rda", "svs", participant="sub-7", visit="bl", region="ACC"),
            "sub-7_ses-bl_voi-ACC_svs.nii.gz",
        ),
        (
            "P9/w.rda",
            Rule("{participant}/w*", "mrsref", reference="ecc", acq="press"),
            "sub-P9_acq-pressecc_mrsref.nii.gz",
        ),
        ("P9/a/b/w.rda", Rule("{participant}/**/*.rda", "mrsref", reference="conc"), "sub-P9_acq-conc_mrsref.nii.gz"),
        ("P9/t1.nii.gz", Rule("P?/[st]1.nii.gz", "T1w", participant="P9", region="acc"), "sub-P9_T1w.nii.gz"),
        ("P1_r2.rda", Rule(r"(?P<participant>P\d)_r(?P<run>\d)", "svs"), "sub-P1_run-2_svs.nii.gz"),
    ],
)
def test_names(source, rule, expected):
    assert name_of(source, rule) == expected


def test_the_first_rule_decides():
    rules = (Rule("*_ref.rda", "mrsref", participant="1"), Rule("*.rda", "svs", participant="1"))
    assert name_of("x_ref.rda", *rules) == "sub-1_mrsref.nii.gz"
    assert name_of("x.rda", *rules) == "sub-1_svs.nii.gz"


def test_study_labels_are_used_as_spelled_there():
    assert name_of("a/P01_bl_ACC_act.SDAT", REGEX, regions=("acc",)) == "sub-P01_ses-bl_voi-acc_svs.nii.gz"
    assert name_of("a/P01_bl_L-ins_act.SDAT", REGEX, regions=("Lins",)) == "sub-P01_ses-bl_voi-Lins_svs.nii.gz"
    assert (
        name_of("a/P01_t0_acc_act.SDAT", REGEX, visits=("bl",), visit_names={"t0": "bl"})
        == "sub-P01_ses-bl_voi-acc_svs.nii.gz"
    )


@pytest.mark.parametrize(
    ("source", "rule", "labels", "reason"),
    [
        (
            "P01_bl_pcc_act.SDAT",
            REGEX,
            {"regions": ("acc", "ins")},
            r"region 'pcc' is not one of \[study\] regions \(acc, ins\)",
        ),
        ("P01_w9_acc_act.SDAT", REGEX, {"visits": ("bl",)}, "visit 'w9' is not one of"),
        ("x.rda", Rule("*.rda", "svs"), {}, "no participant"),
    ],
)
def test_a_rule_that_cannot_place_a_file_is_a_failure(source, rule, labels, reason):
    found = name_of(source, rule, **labels)
    assert isinstance(found, Unplaced)
    assert found.failed
    import re

    assert re.search(reason, found.reason)
    assert found.remedy


def test_no_rule_is_no_failure():
    found = name_of("notes.txt", REGEX)
    assert isinstance(found, Unplaced)
    assert not found.failed


def test_bad_patterns():
    with pytest.raises(StudyError, match="not valid"):
        pattern_of("(?P<participant>[")
    with pytest.raises(StudyError, match="unknown group subject"):
        pattern_of("(?P<subject>x)")


def scanner(tmp_path, *names, content=b"x"):
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path


def study(*rules, **sections):
    return Study.model_validate({"convert": {"scans": list(rules)}, **sections})


def test_nothing_matches_is_explained(tmp_path):
    folder = scanner(tmp_path, "a.SDAT", "b.txt")
    with pytest.raises(StudyError, match=r"(?s)2 files \(a\.SDAT.*sub-LABEL.*\[\[convert\.scans\]\].*--study"):
        make_plan(folder, Study())
    with pytest.raises(StudyError, match="no rule of"):
        make_plan(folder, study({"pattern": "*.rda", "role": "svs"}))
    with pytest.raises(StudyError, match="no such folder"):
        make_plan(tmp_path / "absent", Study())


def test_two_files_for_one_name_both_fail(tmp_path):
    folder = scanner(tmp_path, "a.raw", "b.raw")
    plan = make_plan(folder, study({"pattern": "*.raw", "role": "svs", "participant": "1"}))
    assert plan.jobs == ()
    assert [line.status for line in plan.lines] == ["failed", "failed"]
    assert "2 files would become sub-1_svs.nii.gz: a.raw, b.raw" in plan.lines[0].reason


def test_echo_time_in_milliseconds_names_the_unit(tmp_path):
    folder = scanner(tmp_path, "a.raw")
    with pytest.raises(StudyError, match=r"echo_time = 30 s.*0\.03 if 30 ms is meant"):
        make_plan(folder, study({"pattern": "*.raw", "role": "svs", "participant": "1", "echo_time": 30}))


def test_empty_missing_and_unknown_files_fail_alone(tmp_path):
    folder = scanner(tmp_path, "1.SDAT", "2.doc")
    scanner(tmp_path, "3.rda", content=b"")
    rule = {"pattern": r"(?P<participant>\d)\.", "role": "svs"}
    plan = make_plan(folder, study(rule))
    reasons = {line.source: line.reason for line in plan.lines}
    assert "no .SPAR file of the same name" in reasons["1.SDAT"]
    assert "format is not known" in reasons["2.doc"]
    assert "empty" in reasons["3.rda"]


def test_hidden_files_are_ignored_and_companions_named(tmp_path):
    folder = scanner(
        tmp_path, "sub-1_act.SDAT", "sub-1_act.SPAR", ".DS_Store", ".cache/x", content=b"samples : 0\nrows : 0\n"
    )
    plan = make_plan(folder, Study())
    assert [job.name for job in plan.jobs] == ["sub-1_svs.nii.gz"]
    assert [(line.source, line.status) for line in plan.lines] == [("sub-1_act.SPAR", "companion")]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("sub-01/ses-a/sub-01_ses-a_voi-acc_act.rda", "sub-01_ses-a_voi-acc_svs.nii.gz"),
        ("sub-01_press_ref.rda", "sub-01_mrsref.nii.gz"),
        ("sub-01_press_raw-ref_noID.rda", "sub-01_mrsref.nii.gz"),
        ("sub-01/water_reference.rda", "sub-01_mrsref.nii.gz"),
        ("sub-01/preference.rda", "sub-01_svs.nii.gz"),
        ("sub-01/x.h2o", "sub-01_mrsref.nii.gz"),
        ("sub-01/anat/sub-01_T1w_defaced.nii.gz", "sub-01_T1w.nii.gz"),
        ("sub-01/anat/sub-01_T2w.nii.gz", None),
    ],
)
def test_default_rules(source, expected):
    from mrs_pipeline.workflows.convert_plan import DEFAULT_RULES, _names

    found = place(PurePosixPath(source), [_names(rule) for rule in DEFAULT_RULES], Labels())
    assert (build_name(found.entities) if isinstance(found, Target) else None) == expected


def test_conjugate_globs(tmp_path):
    folder = scanner(tmp_path, "a/1.raw", "b/2.raw")
    rules = study({"pattern": r"(?P<participant>\d)\.raw", "role": "svs"})

    def conjugated(globs):
        return [job.options["conjugate"] for job in make_plan(folder, rules, globs).jobs]

    assert conjugated(None) == [False, False]
    assert conjugated(()) == [True, True]
    assert conjugated(("b/*",)) == [False, True]


def test_two_people_never_become_one(tmp_path):
    folder = scanner(tmp_path, "A-1_x.raw", "A1_y.raw", "B_z.raw")
    plan = make_plan(folder, study({"pattern": r"(?P<participant>[AB]-?\d?)_(?P<visit>[xyz])\.raw", "role": "svs"}))
    assert [job.name for job in plan.jobs] == ["sub-B_ses-z_svs.nii.gz"]
    assert {line.source for line in plan.lines if "A-1 and A1 would both become sub-A1" in line.reason} == {
        "A-1_x.raw",
        "A1_y.raw",
    }


def test_the_dataset_is_not_searched_for_scanner_files(tmp_path):
    folder = scanner(tmp_path, "1.raw", "bids/sub-1/mrs/1.raw")
    rules = study({"pattern": r"(?P<participant>\d)\.raw", "role": "svs"})
    assert len(make_plan(folder, rules, None, tmp_path / "bids").jobs) == 1
    with pytest.raises(StudyError, match="written into the folder of scanner files"):
        make_plan(folder, rules, None, tmp_path)


def test_visit_labels_are_made_bids_labels():
    labels = {"visits": ("week 12",), "visit_names": {"T1": "week 12"}}
    rule = Rule(r"(?P<participant>P\d)_(?P<visit>\w+)\.rda", "svs")
    assert name_of("P1_Week12.rda", rule, **labels) == "sub-P1_ses-week12_svs.nii.gz"
    assert name_of("P1_T1.rda", rule, **labels) == "sub-P1_ses-week12_svs.nii.gz"
