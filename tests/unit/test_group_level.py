"""The group level on synthetic participant outputs: blinded tables, freeze, comparison, refusals."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mrs_pipeline.workflows.group import GroupRequest

from mrs_pipeline.cli.group import run_group
from mrs_pipeline.config import Study
from mrs_pipeline.errors import InputError, StudyError
from mrs_pipeline.stats import CONCENTRATION_COLUMNS, EFFECT_COLUMNS, FLOW_COLUMNS, read_allocation

pytestmark = pytest.mark.xdist_group("group_level")
REGIONS = {"acc": 1.0, "ins": 0.9}
METABOLITES = {"Glu": 8.8, "Gln": 2.2, "tNAA": 11.3, "tCr": 10.2}
EFFECT = 1.5


def people(n=24):
    return [f"sub-{i:02d}" for i in range(1, n + 1)]


def write_scan(out, person, session, voi, values, *, verdict="pass", failed=False):
    folder = out / person / f"ses-{session}" / "mrs"
    folder.mkdir(parents=True, exist_ok=True)
    stem = folder / f"{person}_ses-{session}_voi-{voi}"
    fired = []
    if verdict != "pass":
        fired = [
            {"name": "snr_too_low", "severity": verdict, "words": "tCr drowns", "sentence": "tCr drowns (snr_tcr = 3)."}
        ]
    qc = {
        "metrics": {"snr_tcr": 30.0, "fwhm_hz": 6.5, "fit_status": "ok"},
        "verdict": {"status": verdict, "fired": fired},
    }
    Path(f"{stem}_desc-qc_mrs.json").write_text(json.dumps(qc))
    status = {"status": "failed", "words": "the file is truncated"} if failed else {"status": "ok", "words": ""}
    Path(f"{stem}_desc-status_mrs.json").write_text(json.dumps(status))
    if failed:
        return
    rows = [
        {"metabolite": name, "amplitude": v, "ratio_tCr": v / values["tCr"], "molal": v, "molar": 0.8 * v, "f_gm": 0.6}
        for name, v in values.items()
    ]
    frame = pd.DataFrame(rows).assign(status="ok", flags="n/a", reason="n/a")
    frame.to_csv(f"{stem}_desc-concentrations_mrs.tsv", sep="\t", index=False, na_rep="n/a")


def make_trial(tmp_path):
    """Write BIDS and output of 24 scanned of 30 people, an effect of 1.5 in ACC Glu, and the allocation elsewhere."""
    bids, out = tmp_path / "bids", tmp_path / "out"
    bids.mkdir()
    rng = np.random.default_rng(7)
    arm = {person: ("placebo", "ldn")[i % 2] for i, person in enumerate(people(30))}
    pd.DataFrame({"participant_id": people(30), "age": np.arange(30, 60)}).to_csv(
        bids / "participants.tsv", sep="\t", index=False
    )
    for person in people():
        own = rng.normal(0, 0.08)
        for session in ("baseline", "week12"):
            for voi, factor in REGIONS.items():
                values = {name: v * factor * (1 + own + rng.normal(0, 0.03)) for name, v in METABOLITES.items()}
                if session == "week12" and voi == "acc" and arm[person] == "ldn":
                    values["Glu"] += EFFECT
                bad = person == "sub-05" and session == "week12" and voi == "ins"
                broken = person == "sub-09" and session == "week12" and voi == "acc"
                write_scan(out, person, session, voi, values, verdict="fail" if bad else "pass", failed=broken)
    allocation = tmp_path / "secret" / "allocation.tsv"
    allocation.parent.mkdir()
    table = pd.DataFrame(
        {"participant_id": people(30), "arm": [arm[p] for p in people(30)], "site": ["a", "a", "b"] * 10}
    )
    table.to_csv(allocation, sep="\t", index=False)
    return bids, out, allocation


@pytest.fixture
def trial(tmp_path):
    return make_trial(tmp_path)


STUDY = Study.model_validate({"analysis": {"primary": [["Glu", "acc"], ["Glu", "ins"]]}})


def tsv(path):
    return pd.read_csv(path, sep="\t", keep_default_na=False, na_values=["n/a"])


def tree(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


class TestBlinded:
    def test_tables_have_the_columns_of_the_contract(self, trial):
        bids, out, _ = trial
        assert run_group(GroupRequest(bids, out, STUDY)) == 0
        concentrations = tsv(out / "group" / "concentrations.tsv")
        assert tuple(concentrations.columns) == CONCENTRATION_COLUMNS
        assert len(concentrations) == (24 * 4 - 1) * len(METABOLITES)
        assert tuple(tsv(out / "group" / "flow.tsv").columns) == FLOW_COLUMNS
        dictionary = json.loads((out / "group" / "concentrations.json").read_text())
        assert dictionary["molal"]["Units"] == "mmol/kg"
        assert set(dictionary) == set(CONCENTRATION_COLUMNS)

    def test_flow_counts_every_loss_with_its_reason(self, trial):
        bids, out, _ = trial
        run_group(GroupRequest(bids, out, STUDY))
        flow = pd.read_csv(out / "group" / "flow.tsv", sep="\t", keep_default_na=False)
        rows = {(r.step, r.session, r.voi, r.reason): r.n for r in flow.itertuples()}
        assert rows["enrolled", "n/a", "n/a", "n/a"] == 30
        assert rows["scanned", "n/a", "n/a", "n/a"] == 24
        assert rows["lost", "week12", "ins", "SNR"] == 1
        assert rows["lost", "week12", "acc", "processing failed"] == 1
        assert rows["usable at baseline and visit", "week12", "acc", "n/a"] == 23

    def test_an_arm_like_column_is_named_and_never_written(self, trial, capsys):
        bids, out, _ = trial
        table = pd.read_csv(bids / "participants.tsv", sep="\t").assign(treatment="verumX")
        table.to_csv(bids / "participants.tsv", sep="\t", index=False)
        run_group(GroupRequest(bids, out, STUDY))
        assert "'treatment'" in capsys.readouterr().err
        assert not [name for name, data in tree(out).items() if b"verumX" in data]

    def test_without_participant_outputs_the_remedy_is_named(self, tmp_path):
        with pytest.raises(InputError, match="participant level first"):
            run_group(GroupRequest(tmp_path, tmp_path / "out", STUDY))

    def test_ratings_are_read_back(self, trial):
        bids, out, _ = trial
        (out / "group").mkdir()
        header = "participant_id\tsession\tvoi\tacq\trun\ttask\trating\treason\treviewer\toverride\n"
        rows = "sub-01\tbaseline\tacc\tn/a\tn/a\tn/a\tbad\tghost\tanna\tn/a\n"
        rows += "sub-05\tweek12\tins\tn/a\tn/a\tn/a\tgood\tfine\tanna\tinclude\n"
        (out / "group" / "ratings.tsv").write_text(header + rows)
        run_group(GroupRequest(bids, out, STUDY))
        qc = tsv(out / "group" / "qc.tsv").set_index(["participant_id", "session", "voi"])
        assert qc.loc[("sub-01", "baseline", "acc"), "included"] == "no"
        assert qc.loc[("sub-01", "baseline", "acc"), "reason"] == "reviewer"
        assert qc.loc[("sub-05", "week12", "ins"), "included"] == "yes"


class TestFreeze:
    def test_is_deterministic_and_idempotent(self, trial):
        bids, out, _ = trial
        run_group(GroupRequest(bids, out, STUDY, freeze=True))
        first = tree(out)
        run_group(GroupRequest(bids, out, STUDY, freeze=True))
        assert tree(out) == first
        frozen = json.loads(first["group/analysis-set.json"])
        assert len(frozen["hash"]) == 64
        assert {"voi": "acc", "session": "week12", "scans": 24, "included": 23} in frozen["n"]
        (left_out,) = [row for row in frozen["scans"] if row["participant_id"] == "sub-05" and not row["included"]]
        assert left_out["reason"] == "SNR"

    def test_a_different_freeze_is_refused_without_a_reason(self, trial):
        bids, out, _ = trial
        run_group(GroupRequest(bids, out, STUDY, freeze=True))
        before = (out / "group" / "analysis-set.json").read_bytes()
        changed = STUDY.model_copy(update={"analysis": STUDY.analysis.model_copy(update={"alpha": 0.01})})
        with pytest.raises(StudyError, match=r"settings section \[analysis\]"):
            run_group(GroupRequest(bids, out, changed, freeze=True))
        assert (out / "group" / "analysis-set.json").read_bytes() == before
        run_group(GroupRequest(bids, out, changed, refreeze="protocol amendment 2"))
        history = json.loads((out / "group" / "analysis-set.json").read_text())["history"]
        assert history[0]["reason"] == "protocol amendment 2"
        assert history[0]["replaced"] == json.loads(before)["hash"]
        assert history[0]["after_unblinding"] is False

    def test_an_unknown_primary_outcome_is_refused(self, trial):
        bids, out, _ = trial
        study = Study.model_validate({"analysis": {"primary": [["Glu", "acx"]]}})
        with pytest.raises(StudyError, match=r"\[Glu, acx\].*regions found: acc, ins"):
            run_group(GroupRequest(bids, out, study, freeze=True))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    bids, out, allocation = make_trial(tmp_path_factory.mktemp("compared"))
    run_group(GroupRequest(bids, out, STUDY, freeze=True))
    run_group(GroupRequest(bids, out, STUDY, allocation=allocation, reference_arm="placebo"))
    return out, allocation


@pytest.fixture(scope="module")
def compared(finished):
    return tsv(finished[0] / "group" / "unblinded" / "effects.tsv")


class TestComparison:
    def test_the_planted_effect_is_found(self, compared):
        assert tuple(compared.columns) == EFFECT_COLUMNS
        primary = compared[compared["family"] == "primary"].set_index("voi")
        assert list(primary.index) == ["acc", "ins"]
        acc = primary.loc["acc"]
        assert acc["contrast"] == "ldn - placebo"
        assert acc["ci_low"] < EFFECT < acc["ci_high"]
        assert acc["p_adj"] < 0.001
        assert (acc["n_a"], acc["n_b"], acc["n_missing"]) == (11, 12, 1)
        assert acc["df"] == 23 - 4
        assert primary.loc["ins", "p"] > 0.01

    def test_families_are_adjusted_apart(self, compared):
        primary = compared[compared["family"] == "primary"]
        assert primary["p_adj"].min() == pytest.approx(2 * primary["p"].min())
        assert compared.loc[compared["family"] == "sensitivity", "p_adj"].isna().all()

    def test_a_value_without_variation_is_said_and_not_guessed(self, compared):
        row = compared[(compared["metabolite"] == "tCr") & (compared["unit"] == "ratio")].iloc[0]
        assert np.isnan(row["estimate"])

    def test_every_model_and_set_is_named(self, compared):
        acc = compared[(compared["voi"] == "acc") & (compared["metabolite"] == "Glu")]
        rows = set(zip(acc["unit"], acc["analysis_set"], acc["model"], strict=True))
        assert rows == {
            ("molal", "itt", "ancova-hc3"),
            ("ratio", "itt", "ancova-hc3"),
            ("molar", "itt", "ancova-hc3"),
            ("molal", "qc-all", "ancova-hc3"),
            ("molal", "itt", "change-hc3"),
            ("molal", "itt", "clda-reml"),
        }

    def test_needs_a_freeze(self, trial):
        bids, out, allocation = trial
        with pytest.raises(StudyError, match="--freeze"):
            run_group(GroupRequest(bids, out, STUDY, allocation=allocation, reference_arm="placebo"))

    def test_names_what_changed_since_the_freeze(self, trial):
        bids, out, allocation = trial
        run_group(GroupRequest(bids, out, STUDY, freeze=True))
        changed = out / "sub-03" / "ses-baseline" / "mrs" / "sub-03_ses-baseline_voi-acc_desc-concentrations_mrs.tsv"
        changed.write_text(changed.read_text().replace("ok", "doubtful"))
        with pytest.raises(StudyError, match=r"sub-03_ses-baseline_voi-acc_desc-concentrations_mrs\.tsv changed"):
            run_group(GroupRequest(bids, out, STUDY, allocation=allocation, reference_arm="placebo"))
        assert not (out / "group" / "unblinded").exists()

    def test_an_edited_freeze_is_noticed(self, trial):
        bids, out, allocation = trial
        run_group(GroupRequest(bids, out, STUDY, freeze=True))
        path = out / "group" / "analysis-set.json"
        path.write_text(path.read_text().replace('"included": false', '"included": true'))
        with pytest.raises(Exception, match="edited"):
            run_group(GroupRequest(bids, out, STUDY, allocation=allocation, reference_arm="placebo"))

    @pytest.mark.parametrize(
        ("edit", "message"),
        [
            (lambda t: pd.concat([t, t.iloc[[3]]]), "listed twice: sub-04"),
            (
                lambda t: t.assign(participant_id=t["participant_id"].replace("sub-30", "sub-99")),
                "unknown to the study: sub-99",
            ),
            (lambda t: t[t["participant_id"] != "sub-07"], "without an arm: sub-07"),
            (lambda t: t.assign(arm=["x", "y", "z"] * 10), "found 3: x, y, z"),
            (lambda t: t.assign(arm="placebo"), "found 1: placebo"),
            (lambda t: t.assign(arm=t["arm"].replace("placebo", "sugar")), "'placebo' is not an arm"),
            (lambda t: t.drop(columns="arm"), "missing columns: arm"),
        ],
    )
    def test_a_wrong_allocation_is_named(self, tmp_path, edit, message):
        table = pd.DataFrame(
            {"participant_id": people(30), "arm": ["placebo", "ldn"] * 15, "site": ["a", "a", "b"] * 10}
        )
        path = tmp_path / "allocation.tsv"
        edit(table).to_csv(path, sep="\t", index=False)
        with pytest.raises(StudyError, match=message):
            read_allocation(path, reference_arm="placebo", known=set(people(30)), scanned=set(people(24)))

    def test_a_wrong_allocation_stops_the_run_and_leaves_nothing(self, trial):
        bids, out, allocation = trial
        run_group(GroupRequest(bids, out, STUDY, freeze=True))
        allocation.write_text(allocation.read_text().replace("sub-30", "sub-99"))
        before = tree(out)
        with pytest.raises(StudyError, match="unknown to the study: sub-99"):
            run_group(GroupRequest(bids, out, STUDY, allocation=allocation, reference_arm="placebo"))
        assert tree(out) == before

    def test_the_record_says_which_allocation_on_which_freeze(self, finished):
        out, allocation = finished
        record = json.loads((out / "group" / "unblinded" / "unblinding.json").read_text())["records"][0]
        assert record["allocation_sha256"] == hashlib.sha256(allocation.read_bytes()).hexdigest()
        assert record["freeze"] == json.loads((out / "group" / "analysis-set.json").read_text())["hash"]

    def test_an_allocation_inside_the_data_is_refused(self, trial):
        bids, out, allocation = trial
        run_group(GroupRequest(bids, out, STUDY, freeze=True))
        inside = bids / "allocation.tsv"
        inside.write_bytes(allocation.read_bytes())
        with pytest.raises(StudyError, match="inside the data"):
            run_group(GroupRequest(bids, out, STUDY, allocation=inside, reference_arm="placebo"))


@pytest.mark.parametrize("flag", ["allocation", "concentrations"])
def test_a_folder_given_as_a_table_is_a_usage_error(tmp_path, flag):
    bids, folder = tmp_path / "bids", tmp_path / "folder"
    bids.mkdir()
    folder.mkdir()
    with pytest.raises(StudyError, match=f"with --{flag}"):
        run_group(GroupRequest(bids, tmp_path / "out", STUDY, **{flag: folder}))
