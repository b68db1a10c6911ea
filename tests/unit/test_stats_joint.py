"""Changes of the joint fit at the group level: the model against published numbers, the plan, the freeze."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from mrs_pipeline.workflows.group import GroupRequest

from mrs_pipeline.cli.group import run_group
from mrs_pipeline.config import AnalysisSection, Study
from mrs_pipeline.errors import StudyError
from mrs_pipeline.stats import (
    CONCENTRATION_COLUMNS,
    JOINT_MODEL,
    SCAN_KEYS,
    Trial,
    between_variance,
    effects,
    freeze_of,
    joint_change,
    read_blinded_trial,
    read_changes,
    verify,
    weighted_fit,
)

BCG = np.array([
    (4, 119, 11, 128, 44), (6, 300, 29, 274, 55), (3, 228, 11, 209, 42), (62, 13536, 248, 12619, 52),
    (33, 5036, 47, 5761, 13), (180, 1361, 372, 1079, 44), (8, 2537, 10, 619, 19), (505, 87886, 499, 87892, 13),
    (29, 7470, 45, 7232, 27), (17, 1699, 65, 1600, 42), (186, 50448, 141, 27197, 18), (5, 2493, 3, 2338, 33),
    (27, 16886, 29, 17825, 33),
], dtype=float)  # fmt: skip
"""Trials of the BCG vaccine (Colditz 1994, doi:10.1001/jama.1994.03510330076038): ill and well of the vaccinated and of
the others, latitude."""


def bcg():
    ill, well, other_ill, other_well, latitude = BCG.T
    risk = np.log(ill / (ill + well) * (other_ill + other_well) / other_ill)
    return risk, 1 / ill - 1 / (ill + well) + 1 / other_ill - 1 / (other_ill + other_well), latitude


def test_variance_between_trials_as_published():
    """R metafor 1.0 and later, ``rma(yi, vi, method="REML")`` on dat.bcg: tau2 0.3132, -0.7145 (0.1798)."""
    y, variance, _ = bcg()
    ones = np.ones((13, 1))
    tau2 = between_variance(y, variance, ones)
    beta, covariance, _ = weighted_fit(y, variance + tau2, ones)
    assert tau2 == pytest.approx(0.3132, abs=5e-5)
    assert (beta[0], np.sqrt(covariance[0, 0])) == pytest.approx((-0.7145, 0.1798), abs=5e-5)


def test_regression_on_latitude_as_published():
    """The same with ``mods = ~ ablat``: tau2 0.0764, 0.2515 (0.2491), -0.0291 (0.0072)."""
    y, variance, latitude = bcg()
    design = np.column_stack([np.ones(13), latitude])
    tau2 = between_variance(y, variance, design)
    beta, covariance, _ = weighted_fit(y, variance + tau2, design)
    assert tau2 == pytest.approx(0.0763, abs=1e-4)
    assert beta == pytest.approx((0.2515, -0.0291), abs=5e-5)
    assert np.sqrt(np.diagonal(covariance)) == pytest.approx((0.2491, 0.0072), abs=5e-5)


def test_knapp_and_hartung_as_published():
    """The same with ``test = "knha"``: standard error 0.1808 on 12 degrees of freedom."""
    y, variance, _ = bcg()
    found = joint_change(y, np.sqrt(variance), np.zeros(13), np.empty((13, 0)))
    assert (found.value, found.se, found.df) == pytest.approx((-0.7145, 0.1808, 12), abs=5e-5)


def test_equal_error_variances_give_the_two_sample_t_test():
    rng = np.random.default_rng(2)
    arm = np.repeat([0.0, 1.0], 12)
    y = rng.normal(size=24) + 0.5 * arm
    from scipy import stats

    for sd in (0.1, 3.0):
        found = joint_change(y, np.full(24, sd), arm, np.empty((24, 0)))
        assert found.value == pytest.approx(y[12:].mean() - y[:12].mean())
        assert found.p == pytest.approx(stats.ttest_ind(y[12:], y[:12]).pvalue, rel=1e-6)


def test_a_noisy_participant_counts_for_little():
    rng = np.random.default_rng(3)
    arm = np.repeat([0.0, 1.0], 10)
    y, sd = 0.1 * rng.normal(size=20), np.full(20, 0.1)
    y[-1], sd[-1] = 30.0, 30.0
    found = joint_change(y, sd, arm, np.empty((20, 0)))
    assert abs(found.value) < 0.15
    assert found.se < 0.2


def test_too_few_participants_are_said():
    found = joint_change(np.array([1.0, 2.0]), np.array([0.1, 0.1]), np.array([0.0, 1.0]), np.empty((2, 0)))
    assert np.isnan(found.se)
    same = joint_change(np.ones(8), np.full(8, 0.1), np.repeat([0.0, 1.0], 4), np.empty((8, 0)))
    assert np.isnan(same.se)
    assert any("does not vary" in note for note in same.notes)
    assert any("too few" in note for note in found.notes)
    assert any("randomisation" in note for note in found.notes)


def person(number):
    return f"sub-{number:02d}"


def change_row(number, change, sd, unit="molal", **more):
    row = {"participant_id": person(number), "voi": "acc", "acq": "n/a", "run": "n/a", "task": "n/a"}
    row |= {"session_from": "baseline", "session": "week12", "metabolite": "Glu", "unit": unit}
    return row | {"change": change, "change_sd": sd} | more


def make_trial(changes, left_out=()):
    """Trial of 20 people with Glu at two visits, arms in turn; scans of ``left_out`` at week12 are not included."""
    rng = np.random.default_rng(0)
    scans, rows = [], []
    for number in range(20):
        for visit in ("baseline", "week12"):
            key = dict.fromkeys(SCAN_KEYS, "n/a")
            key |= {"participant_id": person(number), "session": visit, "voi": "acc"}
            included = not (visit == "week12" and number in left_out)
            scans.append(key | {"usable": True, "included": included, "reason": "n/a", "metrics": {}})
            rows.append(key | {"metabolite": "Glu", "molal": 9.0 + rng.normal(), "status": "ok"})
    people = pd.DataFrame({"participant_id": [person(i) for i in range(20)], "arm": [0, 1] * 10})
    table = pd.DataFrame(rows).reindex(columns=list(CONCENTRATION_COLUMNS))
    everyone = people[["participant_id"]]
    visits = ("baseline", "week12")
    return Trial(table, pd.DataFrame(scans), people, everyone, ("placebo", "drug"), visits, changes=changes)


def joint_rows(table):
    return table[table["model"] == JOINT_MODEL]


def test_the_joint_fit_is_one_sensitivity_row_with_its_sentence():
    rng = np.random.default_rng(1)
    changes = pd.DataFrame([change_row(i, 1.0 * (i % 2) + 0.1 * rng.normal(), 0.1) for i in range(20)])
    found = effects(make_trial(changes), AnalysisSection(primary=(("Glu", "acc"),)))
    row = joint_rows(found.table)
    assert len(row) == 1
    assert row.iloc[0]["family"] == "sensitivity"
    assert row.iloc[0]["estimate"] == pytest.approx(1.0, abs=0.15)
    assert (row.iloc[0]["n_a"], row.iloc[0]["n_b"], row.iloc[0]["df"]) == (10, 10, 18)
    assert np.isnan(row.iloc[0]["p_adj"])
    said = found.notes[found.notes["model"] == JOINT_MODEL]["note"]
    assert said.str.contains("after randomisation").all()
    assert len(joint_rows(effects(make_trial(changes.iloc[:0]), AnalysisSection()).table)) == 0


def test_only_changes_between_included_scans_of_the_unit_count():
    jitter = 0.01 * np.random.default_rng(4).normal(size=20)
    rows = [change_row(i, i % 2 + jitter[i], 0.1) for i in range(20)]
    changes = pd.DataFrame(rows + [change_row(i, 50.0, 0.1, "ratio") for i in range(20)])
    row = joint_rows(effects(make_trial(changes, left_out=(3, 5)), AnalysisSection()).table).iloc[0]
    assert (row["n_a"], row["n_b"], row["n_missing"]) == (10, 8, 2)
    assert row["estimate"] == pytest.approx(1.0, abs=0.02)


def test_runs_are_averaged_with_their_variances():
    from mrs_pipeline.stats.joint_changes import changes_of

    table = pd.DataFrame([change_row(1, 1.0, 0.3, run="1"), change_row(1, 2.0, 0.4, run="2")]).assign(region="acc")
    scans = pd.DataFrame(
        [
            {"participant_id": person(1), "session": visit, "voi": "acc", "acq": "n/a", "run": run, "task": "n/a"}
            for visit in ("baseline", "week12")
            for run in ("1", "2")
        ]
    ).assign(included=True)
    names = {"region": "acc", "metabolite": "Glu", "unit": "molal"}
    found = changes_of(table, scans, ("baseline", "week12"), names).loc[person(1)]
    assert (found["change"], found["change_sd"]) == pytest.approx((1.5, 0.25))


def write_outputs(tmp_path, people=(1, 2)):
    """Participant outputs of some people, of whom the first alone has a joint fit."""
    bids, out = tmp_path / "bids", tmp_path / "out"
    bids.mkdir()
    for number in people:
        for visit in ("baseline", "week12"):
            stem = out / person(number) / f"ses-{visit}" / "mrs" / f"{person(number)}_ses-{visit}_voi-acc"
            stem.parent.mkdir(parents=True)
            value = {"metabolite": "Glu", "molal": 9.0 + 0.1 * (7 * number % 5), "status": "ok", "flags": "n/a"}
            frame = pd.DataFrame([value | {"reason": "n/a"}])
            frame.to_csv(f"{stem}_desc-concentrations_mrs.tsv", sep="\t", index=False)
            for kind, content in (("status", {"status": "ok", "words": ""}), ("qc", {"metrics": {}, "fired": []})):
                stem.with_name(f"{stem.name}_desc-{kind}_mrs.json").write_text(json.dumps(content))
        folder = out / person(number) / "mrs"
        folder.mkdir()
        record = folder / f"{person(number)}_voi-acc_desc-joint_mrs.json"
        record.write_text(json.dumps({"status": "ok" if number == 1 else "failed"}))
    table = out / person(1) / "mrs" / f"{person(1)}_voi-acc_desc-change_mrs.tsv"
    pd.DataFrame([change_row(1, 0.5, 0.2)]).to_csv(table, sep="\t", index=False)
    return bids, out, table


def test_changes_are_read_hashed_and_frozen(tmp_path):
    bids, out, path = write_outputs(tmp_path)
    study = Study.model_validate({"fit": {"joint_visits": True}})
    blinded = read_blinded_trial(bids, out, study)
    assert blinded.changes["change"].tolist() == [0.5]
    assert any("sub-02_voi-acc" in warning for warning in blinded.warnings)
    frozen = freeze_of(blinded, study, {"mrs-pipeline": "1"})
    assert sum("desc-change" in name or "desc-joint" in name for name in frozen["files"]) == 3
    path.write_text(path.read_text().replace("0.5", "0.6"))
    again = freeze_of(read_blinded_trial(bids, out, study), study, {"mrs-pipeline": "1"})
    with pytest.raises(StudyError, match=r"desc-change_mrs\.tsv changed"):
        verify(frozen, again)


def test_without_the_setting_nothing_is_read_and_a_missing_joint_fit_is_said(tmp_path):
    bids, out, path = write_outputs(tmp_path)
    assert read_blinded_trial(bids, out, Study()).changes.empty
    assert len(read_changes(out, ("pcc",))[0]) == 0
    path.unlink()
    assert any("no participant has a joint fit" in words for words in read_changes(out)[2])


def test_from_participant_outputs_to_the_trial_report(tmp_path):
    people = tuple(range(1, 17))
    bids, out, first = write_outputs(tmp_path, people)
    rng = np.random.default_rng(6)
    for number in people:
        path = out / person(number) / "mrs" / f"{person(number)}_voi-acc_desc-change_mrs.tsv"
        row = change_row(number, 0.8 * (number % 2) + 0.1 * rng.normal(), 0.1)
        pd.DataFrame([row]).to_csv(path, sep="\t", index=False)
    assert first.is_file()
    allocation = tmp_path / "secret" / "allocation.tsv"
    allocation.parent.mkdir()
    arms = pd.DataFrame({"participant_id": map(person, people), "arm": [("a", "b")[i % 2] for i in people]})
    arms.to_csv(allocation, sep="\t", index=False)
    study = Study.model_validate(
        {
            "study": {"visits": ["baseline", "week12"]},
            "fit": {"joint_visits": True},
            "analysis": {"primary": [["Glu", "acc"]]},
        }
    )
    assert run_group(GroupRequest(bids, out, study, freeze=True)) == 0
    frozen = json.loads((out / "group" / "analysis-set.json").read_text())
    assert sum("desc-change" in name for name in frozen["files"]) == len(people)
    assert run_group(GroupRequest(bids, out, study, allocation=allocation, reference_arm="a")) == 0
    table = pd.read_csv(out / "group" / "unblinded" / "effects.tsv", sep="\t")
    row = joint_rows(table).iloc[0]
    assert (row["family"], row["n_a"], row["n_b"]) == ("sensitivity", 8, 8)
    assert row["estimate"] == pytest.approx(0.8, abs=0.15)
    page = (out / "group" / "unblinded" / "trial-report.html").read_text()
    assert "joint fit, change, REML" in page
    assert "have seen data acquired after randomisation" in page
