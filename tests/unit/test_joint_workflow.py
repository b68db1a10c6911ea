"""Which scans a joint fit takes, and what it says where it cannot be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from mrs_pipeline.workflows.job import ParticipantJob, ScanOutcome, Unconverted
from mrs_pipeline.workflows.visits import KINDS, fit_regions, regions

from mrs_pipeline.bids import Entities, Scan, derivative_path
from mrs_pipeline.config import Study


def scan(session, voi="acc", run=None):
    entities = Entities(sub="01", ses=session, voi=voi, run=run, suffix="svs", extension=".nii.gz")
    return Scan("sub-01", session, voi, None, run, None, Path("x.nii.gz"), None, None, None, (), entities)


def job(tmp_path, scans, fit=None, unconverted=()):
    study = Study.model_validate({"study": {"visits": ["bl", "w12"]}, "fit": {"joint_visits": True} | (fit or {})})
    return ParticipantJob("sub-01", tuple(scans), tmp_path, tmp_path / "out", tmp_path / "work", study, unconverted)


def record(tmp_path, region):
    return json.loads((tmp_path / "out" / derivative_path(region, "joint")).read_text())


def test_a_region_is_what_differs_in_the_visit_alone(tmp_path):
    scans = [scan("w12"), scan("bl"), scan("bl", "pcc"), scan("bl", run="1"), scan("w12", run="1"), scan("extra")]
    found = {region.key: [item.session for item in items] for region, items in regions(job(tmp_path, scans)).items()}
    assert found == {"sub-01_voi-acc": ["bl", "w12"], "sub-01_voi-pcc": ["bl"], "sub-01_voi-acc_run-1": ["bl", "w12"]}


@pytest.mark.parametrize("kind", KINDS)
def test_files_of_the_joint_fit_have_no_session(kind):
    path = derivative_path(scan("bl").entities, kind)
    assert path.parent.as_posix() == "sub-01/mrs"
    assert path.name.startswith("sub-01_voi-acc_desc-")


def test_the_peak_model_has_no_joint_fit_and_that_is_said(tmp_path):
    with pytest.raises(ValueError, match="joint_visits belongs to model"):
        job(tmp_path, [scan("bl"), scan("w12")], {"model": "peaks"})


def test_a_visit_without_its_files_fails_in_words_and_leaves_nothing_old(tmp_path):
    asked = job(tmp_path, [scan("bl"), scan("w12")])
    region = next(iter(regions(asked)))
    old = tmp_path / "out" / derivative_path(region, "change")
    old.parent.mkdir(parents=True)
    old.write_text("old")
    fit_regions(asked, [])
    assert record(tmp_path, region)["status"] == "failed"
    assert not old.exists()


def test_a_single_visit_or_no_setting_removes_what_was_there(tmp_path):
    for asked in (job(tmp_path, [scan("bl")]), job(tmp_path, [scan("bl"), scan("w12")], {"joint_visits": False})):
        region = next(iter(regions(asked)))
        path = tmp_path / "out" / derivative_path(region, "joint")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
        fit_regions(asked, [])
        assert not path.exists()


def test_visits_that_were_never_converted_are_named(tmp_path, monkeypatch):
    from mrs_pipeline.workflows import visits

    item = Unconverted(scan("w24").entities, "the file is empty", "", "x")
    other = Unconverted(scan("w24", "pcc").entities, "another region", "", "y")
    asked = job(tmp_path, [scan("bl"), scan("w12")], unconverted=(item, other))
    seen = {}
    monkeypatch.setattr(visits, "_inputs", lambda _job, _region, scans, absent: seen.update(absent) or {"x": scans})
    monkeypatch.setattr(visits, "init_joint_wf", lambda **_: (_ for _ in ()).throw(RuntimeError("stop here")))
    fit_regions(asked, [ScanOutcome("sub-01_ses-w12_voi-acc", "failed", "no signal")])
    assert seen == {"w12": "no signal", "w24": "not converted: the file is empty"}
