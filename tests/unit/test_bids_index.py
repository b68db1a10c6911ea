"""Index of a dataset: links by the four rules, inheritance, and what is left aside."""

from __future__ import annotations

import json

import pytest

from mrs_pipeline.bids import (
    Entities,
    build_name,
    clean_label,
    derivative_path,
    index,
    parse_name,
    read_sidecar,
    survey,
)
from mrs_pipeline.errors import InputError, StudyError


def tree(root, files):
    """Write a dataset from a dict of path -> JSON content or None for an empty data file."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("" if content is None else json.dumps(content))
    return root


@pytest.mark.parametrize("image", ["sub-01/ses-bl/anat/sub-01_ses-bl_T1w.nii.gz", "sub-02/anat/sub-02_T1w.nii.gz"])
def test_an_image_of_another_visit_or_participant_is_taken_only_by_name_and_said(tmp_path, image):
    visit = "sub-01/ses-w12"
    files = {f"{visit}/mrs/sub-01_ses-w12_svs.nii.gz": None, f"{visit}/mrs/sub-01_ses-w12_mrsref.nii.gz": None}
    own = f"{visit}/anat/sub-01_ses-w12_T1w.nii.gz"
    for named, said in ((image, 1), (own, 0)):
        link = {f"{visit}/mrs/sub-01_ses-w12_svs.json": {"AnatomicalImage": f"bids::{named}"}}
        (scan,) = index(tree(tmp_path, {**files, image: None, own: None, **link}))
        assert scan.t1w == tmp_path / named
        assert sum("of another participant or visit" in warning for warning in scan.warnings) == said


def test_scan_of_a_visit(tmp_path):
    base = "sub-01/ses-bl"
    root = tree(
        tmp_path,
        {
            f"{base}/mrs/sub-01_ses-bl_voi-acc_svs.nii.gz": None,
            f"{base}/mrs/sub-01_ses-bl_voi-acc_mrsref.nii.gz": None,
            f"{base}/mrs/sub-01_ses-bl_voi-insula_mrsref.nii.gz": None,
            f"{base}/anat/sub-01_ses-bl_T1w.nii.gz": None,
        },
    )
    (scan,) = index(root)
    assert scan.key == "sub-01_ses-bl_voi-acc"
    assert (scan.participant_id, scan.session, scan.voi, scan.acq, scan.run, scan.task) == (
        "sub-01",
        "bl",
        "acc",
        None,
        None,
        None,
    )
    assert scan.conc == scan.ecc == root / f"{base}/mrs/sub-01_ses-bl_voi-acc_mrsref.nii.gz"
    assert scan.t1w == root / f"{base}/anat/sub-01_ses-bl_T1w.nii.gz"
    assert scan.warnings == ()


def references(tmp_path, *names, svs="sub-01_acq-press_run-1_svs", signal=None):
    files = {f"sub-01/mrs/{name}.nii.gz": None for name in (svs, *names)}
    if signal is not None:
        files[f"sub-01/mrs/{svs}.json"] = {"ReferenceSignal": signal}
    files["sub-01/anat/sub-01_T1w.nii.gz"] = None
    (scan,) = index(tree(tmp_path, files))
    return scan


@pytest.mark.parametrize(
    "signal",
    [
        "bids::sub-01/mrs/sub-01_task-x_mrsref.nii.gz",
        ["mrs/sub-01_task-x_mrsref.nii.gz"],
        "sub-01/mrs/sub-01_task-x_mrsref.nii.gz",
    ],
)
def test_rule_1_reference_signal(tmp_path, signal):
    scan = references(tmp_path, "sub-01_task-x_mrsref", "sub-01_acq-press_run-1_mrsref", signal=signal)
    assert scan.conc.name == scan.ecc.name == "sub-01_task-x_mrsref.nii.gz"
    assert scan.warnings == ()


def test_rule_1_list_with_roles(tmp_path):
    names = ["sub-01_acq-conc_mrsref", "sub-01_acq-ecc_mrsref"]
    scan = references(tmp_path, *names, signal=[f"bids::sub-01/mrs/{name}.nii.gz" for name in names])
    assert (scan.conc.name, scan.ecc.name) == ("sub-01_acq-conc_mrsref.nii.gz", "sub-01_acq-ecc_mrsref.nii.gz")


def test_rule_1_missing_file_is_said_and_rule_2_tried(tmp_path):
    scan = references(tmp_path, "sub-01_acq-press_run-1_mrsref", signal="bids::sub-01/mrs/gone.nii.gz")
    assert scan.conc.name == "sub-01_acq-press_run-1_mrsref.nii.gz"
    assert "gone.nii.gz" in scan.warnings[0]


def test_rule_2_identical_entities(tmp_path):
    scan = references(tmp_path, "sub-01_acq-press_run-1_mrsref", "sub-01_acq-press_run-2_mrsref")
    assert scan.conc.name == "sub-01_acq-press_run-1_mrsref.nii.gz"
    assert scan.warnings == ()


def test_rule_2_roles_in_the_acq_label(tmp_path):
    scan = references(tmp_path, "sub-01_acq-pressconc_run-1_mrsref", "sub-01_acq-pressecc_run-1_mrsref")
    assert scan.conc.name == "sub-01_acq-pressconc_run-1_mrsref.nii.gz"
    assert scan.ecc.name == "sub-01_acq-pressecc_run-1_mrsref.nii.gz"


def test_rule_3_without_acq_and_run_warns(tmp_path):
    scan = references(tmp_path, "sub-01_mrsref")
    assert scan.conc.name == "sub-01_mrsref.nii.gz"
    assert scan.warnings == ("water reference matched without acq and run",)


def test_rule_4_none(tmp_path):
    scan = references(tmp_path, "sub-01_voi-pcc_mrsref")
    assert scan.conc is None
    assert scan.ecc is None
    assert "only ratios" in scan.warnings[0]


def test_a_noise_scan_is_no_water(tmp_path):
    scan = references(tmp_path, "sub-01_acq-noise_mrsref", "sub-01_acq-press_run-1_mrsref")
    assert scan.conc.name == scan.ecc.name == "sub-01_acq-press_run-1_mrsref.nii.gz"
    assert scan.noise.name == "sub-01_acq-noise_mrsref.nii.gz"
    assert not any("water references" in warning for warning in scan.warnings)


def test_the_noise_scan_that_shares_most_is_taken(tmp_path):
    scan = references(tmp_path, "sub-01_acq-noise_mrsref", "sub-01_acq-noise_run-1_mrsref")
    assert scan.conc is None
    assert scan.noise.name == "sub-01_acq-noise_run-1_mrsref.nii.gz"


def test_without_a_noise_scan(tmp_path):
    assert references(tmp_path, "sub-01_acq-press_run-1_mrsref").noise is None


def test_only_an_eddy_current_reference(tmp_path):
    scan = references(tmp_path, "sub-01_acq-ecc_mrsref", svs="sub-01_svs")
    assert scan.conc is None
    assert scan.ecc.name == "sub-01_acq-ecc_mrsref.nii.gz"
    assert "only ratios" in scan.warnings[0]


def test_t1w_of_another_visit_is_not_taken(tmp_path):
    root = tree(
        tmp_path,
        {"sub-01/ses-b/mrs/sub-01_ses-b_svs.nii.gz": None, "sub-01/ses-a/anat/sub-01_ses-a_T1w.nii.gz": None},
    )
    (scan,) = index(root)
    assert scan.t1w is None
    assert not any("T1w" in text for text in scan.warnings)  # whether it is missed depends on [tissue] source


def test_the_plain_t1w_is_preferred(tmp_path):
    root = tree(
        tmp_path,
        {
            "sub-01/mrs/sub-01_svs.nii.gz": None,
            "sub-01/anat/sub-01_ce-gd_T1w.nii.gz": None,
            "sub-01/anat/sub-01_run-2_T1w.nii.gz": None,
            "sub-01/anat/sub-01_T1w.nii.gz": None,
        },
    )
    (scan,) = index(root)
    assert scan.t1w.name == "sub-01_T1w.nii.gz"
    assert any("3 T1w images" in text for text in scan.warnings)


def test_selection_and_unknown_labels(tmp_path):
    root = tree(
        tmp_path, {f"sub-{s}/ses-{v}/mrs/sub-{s}_ses-{v}_svs.nii.gz": None for s in ("01", "02") for v in ("a", "b")}
    )
    assert [scan.key for scan in index(root)] == ["sub-01_ses-a", "sub-01_ses-b", "sub-02_ses-a", "sub-02_ses-b"]
    assert [scan.key for scan in index(root, participants=["sub-02"], sessions=["b"])] == ["sub-02_ses-b"]
    with pytest.raises(StudyError, match=r"participant 07.*choose from: 01, 02"):
        index(root, participants=["07"])
    with pytest.raises(StudyError, match="session c"):
        index(root, sessions=["ses-c"])


def test_what_is_left_aside_is_said(tmp_path):
    names = [
        "sub-01_svs",
        "sub-01_inv-1_svs",
        "sub-01_nuc-31P_svs",
        "sub-01_mrsi",
        "sub-02_svs",
        "sub-01_colour-red_svs",
    ]
    root = tree(tmp_path, {f"sub-01/mrs/{name}.nii.gz": None for name in names})
    found = survey(root)
    assert [scan.key for scan in found.scans] == ["sub-01"]
    reasons = {item.path.name: item.reason for item in found.skipped}
    assert "inversion" in reasons["sub-01_inv-1_svs.nii.gz"]
    assert "31P" in reasons["sub-01_nuc-31P_svs.nii.gz"]
    assert "single-voxel" in reasons["sub-01_mrsi.nii.gz"]
    assert "folders" in reasons["sub-02_svs.nii.gz"]
    assert "colour" in reasons["sub-01_colour-red_svs.nii.gz"]


def test_no_scan_at_all(tmp_path):
    with pytest.raises(InputError, match="no single-voxel spectrum"):
        index(tmp_path)
    with pytest.raises(StudyError, match="no such BIDS folder"):
        index(tmp_path / "absent")


def test_inheritance(tmp_path):
    root = tree(
        tmp_path,
        {
            "svs.json": {"EchoTime": 0.03, "Manufacturer": "ACME", "RepetitionTime": 1.5},
            "acq-press_svs.json": {"RepetitionTime": 2.0},
            "acq-slaser_svs.json": {"RepetitionTime": 9.0},
            "sub-01/sub-01_svs.json": {"FlipAngle": 90},
            "sub-01/mrs/sub-01_acq-press_svs.json": {"EchoTime": 0.035},
            "sub-01/mrs/sub-01_acq-press_mrsref.json": {"EchoTime": 0.1},
            "sub-01/mrs/sub-01_acq-press_svs.nii.gz": None,
        },
    )
    assert read_sidecar(root / "sub-01/mrs/sub-01_acq-press_svs.nii.gz") == {
        "EchoTime": 0.035,
        "Manufacturer": "ACME",
        "RepetitionTime": 2.0,
        "FlipAngle": 90,
    }


def test_broken_sidecar_is_named(tmp_path):
    root = tree(tmp_path, {"sub-01/mrs/sub-01_svs.nii.gz": None})
    (root / "sub-01/mrs/sub-01_svs.json").write_text("{")
    with pytest.raises(InputError, match=r"sub-01_svs\.json: not valid JSON"):
        read_sidecar(root / "sub-01/mrs/sub-01_svs.nii.gz")
    (scan,) = index(root)
    assert any("not valid JSON" in text for text in scan.warnings)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("sub-01_colour-red_svs.nii.gz", "'colour' is not a BIDS entity"),
        ("sub-01_voi-acc_acq-x_svs.nii.gz", "rename it to sub-01_acq-x_voi-acc_svs.nii.gz"),
        ("sub-0_1_svs.nii.gz", "'1' is not a BIDS entity"),
        ("sub-01_sub-02_svs.nii.gz", "stands twice"),
        ("sub-01_voi-a.c_svs.nii.gz", "not a BIDS"),
        ("sub-01_run-a_svs.nii.gz", "needs a number"),
    ],
)
def test_bad_names(name, message):
    with pytest.raises(InputError, match=message):
        parse_name(name)


def test_entities():
    entities = parse_name("anywhere/sub-01_ses-bl_acq-press_voi-acc_run-02_svs.nii.gz")
    assert entities.labels() == {"sub": "01", "ses": "bl", "acq": "press", "voi": "acc", "run": "02"}
    assert (entities.suffix, entities.extension) == ("svs", ".nii.gz")
    assert build_name(entities.with_(suffix="mrsref", run=None)) == "sub-01_ses-bl_acq-press_voi-acc_mrsref.nii.gz"
    assert clean_label("L-insula 2") == "Linsula2"


def test_derivative_names():
    entities = Entities(sub="01", ses="bl", voi="acc")
    expected = {
        "preproc_svs": "sub-01/ses-bl/mrs/sub-01_ses-bl_voi-acc_desc-preproc_svs.nii.gz",
        "preproc_mrsref": "sub-01/ses-bl/mrs/sub-01_ses-bl_voi-acc_desc-preproc_mrsref.nii.gz",
        "fit": "sub-01/ses-bl/mrs/sub-01_ses-bl_voi-acc_desc-fit_mrs.json",
        "fit_svs": "sub-01/ses-bl/mrs/sub-01_ses-bl_voi-acc_desc-fit_svs.nii.gz",
        "concentrations": "sub-01/ses-bl/mrs/sub-01_ses-bl_voi-acc_desc-concentrations_mrs.tsv",
        "voxel_mask": "sub-01/ses-bl/anat/sub-01_ses-bl_voi-acc_space-T1w_desc-voxel_mask.nii.gz",
        "probseg_gm": "sub-01/ses-bl/anat/sub-01_ses-bl_label-GM_probseg.nii.gz",
        "report": "sub-01_ses-bl_voi-acc_report.html",
    }
    assert {kind: str(derivative_path(entities, kind)) for kind in expected} == expected
    assert str(derivative_path(Entities(sub="01"), "qc")) == "sub-01/mrs/sub-01_desc-qc_mrs.json"


def test_entity_order_is_the_schemas():
    schema = pytest.importorskip("bidsschematools.schema").load_schema()
    order = [schema.objects.entities[name].name for name in schema.rules.entities]
    from mrs_pipeline.bids import ENTITY_ORDER

    assert [name for name in order if name in ENTITY_ORDER] == list(ENTITY_ORDER)
