"""Designs, small cells, outcomes, tables from elsewhere, and what the two reports say."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from mrs_pipeline.workflows.group import GroupRequest

from mrs_pipeline.bids import GROUP_FILES
from mrs_pipeline.cli.group import run_group
from mrs_pipeline.config import AnalysisSection, Study
from mrs_pipeline.errors import InputError, StudyError
from mrs_pipeline.report.group_svg import padded, ticks
from mrs_pipeline.stats import (
    CONCENTRATION_COLUMNS,
    SCAN_KEYS,
    Trial,
    arm_like_columns,
    baseline_table,
    collect,
    decide,
    effects,
    flow,
    improvement,
    off_window,
    outcome_values,
    read_external,
    reason_of_rule,
    responder_table,
    visit_day,
)

pytestmark = pytest.mark.xdist_group("group_designs")
VISITS = ("baseline", "week12")
OUTCOME = {"name": "pain", "table": "nrs.tsv", "column": "nrs", "responder_thresholds": [0.3]}


def person(i):
    return f"sub-{i:02d}"


def scan(who, visit, voi="acc", **more):
    key = dict.fromkeys(SCAN_KEYS, "n/a") | {"participant_id": who, "session": visit, "voi": voi}
    return key | {"usable": True, "included": True, "reason": "n/a", "metrics": {}} | more


def make_trial(values, arm, *, names=("placebo", "drug"), visits=VISITS, **more):
    """Trial of one metabolite from a table people x visits (NaN: not scanned)."""
    scans, rows = [], []
    for i, line in enumerate(values):
        for visit, value in zip(visits, line, strict=True):
            if np.isfinite(value):
                scans.append(scan(person(i), visit))
                key = {name: scans[-1][name] for name in SCAN_KEYS}
                rows.append(key | {"metabolite": "Glu", "molal": value, "status": "ok", "f_gm": 0.5 + 0.01 * i})
    people = pd.DataFrame({"participant_id": [person(i) for i in range(len(values))], "arm": arm})
    everyone = pd.DataFrame({"participant_id": people["participant_id"]})
    table = pd.DataFrame(rows).reindex(columns=list(CONCENTRATION_COLUMNS))
    return Trial(table, pd.DataFrame(scans), people, everyone, names, visits, **more)


@pytest.fixture
def normal():
    rng = np.random.default_rng(3)
    return 9 + rng.normal(size=(16, 1)) + 0.3 * rng.normal(size=(16, 2))


class TestDesigns:
    def test_single_arm(self, normal):
        table = effects(make_trial(normal, 0, names=("all", "")), AnalysisSection(design="single-arm")).table
        row = table.iloc[0]
        assert row["model"] == "paired-change"
        assert row["contrast"] == "week12 - baseline"
        assert row["estimate"] == pytest.approx((normal[:, 1] - normal[:, 0]).mean())
        assert (row["n_a"], row["n_b"], row["df"]) == (16, 0, 15)

    @pytest.mark.parametrize("unit", ["iu", "csf_only", "alpha_corrected", "alpha_normalised"])
    def test_every_unit_of_the_table_can_be_analysed(self, normal, unit):
        trial = make_trial(normal, 0, names=("all", ""))
        trial = replace(trial, concentrations=trial.concentrations.assign(**{unit: 3 * trial.concentrations["molal"]}))
        table = effects(trial, AnalysisSection(design="single-arm", unit=unit)).table
        row = table.iloc[0]
        assert (row["unit"], row["estimate"]) == (unit, pytest.approx(3 * (normal[:, 1] - normal[:, 0]).mean()))
        assert set(table["unit"]) == {unit, "molal"}  # the sensitivity rows

    def test_crossover(self, normal):
        arm = np.tile([0, 1], 8)
        first, second = normal[:, 0] + 2 * arm, normal[:, 0] + 2 * (1 - arm) + 0.1 * normal[:, 1]
        trial = make_trial(np.column_stack([first, second]), arm)
        row = effects(trial, AnalysisSection(design="crossover")).table.iloc[0]
        assert row["model"] == "crossover-hc3"
        assert row["ci_low"] < 2 < row["ci_high"]

    def test_fewer_scans_than_asked_are_described_only(self, normal):
        trial = make_trial(normal[:8], np.tile([0, 1], 4))
        found = effects(trial, AnalysisSection(min_scans_per_arm=5))
        row = found.table.iloc[0]
        assert row["model"] == "descriptive"
        change = normal[:8, 1] - normal[:8, 0]
        assert row["estimate"] == pytest.approx(change[1::2].mean() - change[::2].mean())
        assert np.isnan([row["se"], row["p"], row["ci_low"]]).all()
        assert "fewer than 5 complete participants" in found.notes.iloc[0]["note"]

    def test_one_follow_up_missing_counts_as_missing(self, normal):
        normal[3, 1] = np.nan
        row = effects(make_trial(normal, np.tile([0, 1], 8)), AnalysisSection()).table.iloc[0]
        assert (row["n_a"], row["n_b"], row["n_missing"]) == (8, 7, 1)

    @pytest.mark.parametrize(
        ("missing", "model"), [("constrained-lda", "clda-reml"), ("multiple-imputation", "ancova-mi")]
    )
    def test_missing_visits_as_the_plan_says(self, normal, missing, model):
        normal[3, 1] = np.nan
        table = effects(make_trial(normal, np.tile([0, 1], 8)), AnalysisSection(missing=missing)).table
        assert table.iloc[0]["model"] == model
        assert table.iloc[0]["n_a"] + table.iloc[0]["n_b"] == 16
        assert set(table["model"]) >= {"ancova-hc3", "change-hc3", model}

    def test_per_protocol_leaves_out_late_visits(self, normal):
        trial = make_trial(normal, np.tile([0, 1], 8), off_window={"week12": frozenset({person(0), person(1)})})
        table = effects(trial, AnalysisSection(per_protocol=True)).table.set_index("analysis_set")
        row = table.loc["per-protocol"]
        assert (row["n_a"], row["n_b"]) == (7, 7)

    def test_covariates_come_from_the_baseline_scan(self, normal):
        trial = make_trial(normal, np.tile([0, 1], 8))
        row = effects(trial, AnalysisSection(covariates=("f_gm",))).table.iloc[0]
        assert row["df"] == 16 - 4

    def test_an_unknown_covariate_is_named(self, normal):
        with pytest.raises(StudyError, match="'agee'"):
            effects(make_trial(normal, np.tile([0, 1], 8)), AnalysisSection(covariates=("agee",)))

    def test_runs_are_averaged_and_acquisitions_kept_apart(self, normal):
        trial = make_trial(normal, np.tile([0, 1], 8))
        again = trial.scans.assign(acq="slaser")
        values = trial.concentrations.assign(acq="slaser")
        scans = pd.concat([trial.scans, again], ignore_index=True)
        both = Trial(
            pd.concat([trial.concentrations, values]), scans, trial.people, trial.participants, trial.arms, VISITS
        )
        assert set(effects(both, AnalysisSection()).table["voi"]) == {"acc", "acc_acq-slaser"}

    def test_macromolecules_and_lipids_are_no_outcomes(self, normal):
        trial = make_trial(normal, np.tile([0, 1], 8))
        nuisance = pd.concat([trial.concentrations.assign(metabolite=name) for name in ("MM09", "Lip13", "Lac")])
        table = pd.concat([trial.concentrations, nuisance], ignore_index=True)
        more = Trial(table, trial.scans, trial.people, trial.participants, trial.arms, VISITS)
        assert set(effects(more, AnalysisSection()).table["metabolite"]) == {"Glu", "Lac"}


class TestVisits:
    def test_days_from_labels(self):
        assert [visit_day(v) for v in ("bl", "week12", "w12", "month3", "day10", "post")] == [
            0,
            84,
            84,
            91.3125,
            10,
            None,
        ]

    def test_window_around_the_planned_day_or_the_median(self):
        days = pd.DataFrame({"participant_id": ["a", "b", "c"], "session": "week12", "day": [80.0, 84.0, 110.0]})
        assert off_window(days, VISITS, 14) == {"week12": frozenset({"c"})}
        late = off_window(days.assign(session="post"), ("baseline", "post"), 5)
        assert late == {"post": frozenset({"c"})}


class TestFlow:
    def test_every_participant_is_usable_or_lost_for_one_reason(self):
        scans = pd.DataFrame(
            [
                scan("a", "baseline"),
                scan("a", "week12", included=False, reason="linewidth"),
                scan("b", "baseline"),
                scan("b", "week12"),
                scan("c", "baseline", usable=False, included=False, reason="fit failed"),
            ]
        )
        table = flow(scans, {"a", "b", "c", "d"}, VISITS)
        week12 = table[(table["session"] == "week12") & table["step"].isin(["usable", "lost"])]
        assert week12["n"].sum() == 3
        assert dict(zip(week12["reason"], week12["n"], strict=True)) == {"n/a": 1, "missed visit": 1, "linewidth": 1}
        pairs = table.loc[table["step"] == "usable at baseline and visit", "n"]
        assert list(pairs) == [1]
        assert table.loc[0, "n"] == 4

    @pytest.mark.parametrize(
        ("rule", "reason"),
        [
            ("linewidth_too_broad", "linewidth"),
            ("snr_too_low", "SNR"),
            ("no_metabolites", "SNR"),
            ("lipid_dominates", "artefact"),
            ("most_transients_lost", "motion"),
            ("fit_failed", "fit failed"),
            ("voxel_overlap_low", "wrong voxel"),
            ("anything_else", "quality rule"),
        ],
    )
    def test_rules_belong_to_the_closed_list(self, rule, reason):
        assert reason_of_rule(rule) == reason


class TestRatings:
    SCANS = pd.DataFrame(
        [
            scan("sub-1", "baseline")
            | {"processing": "ok", "stage": "n/a", "verdict": "pass", "rules": "n/a", "detail": ""}
        ]
    )

    def ratings(self, *rows):
        columns = ["rating", "reason", "reviewer", "override"]
        key = {name: self.SCANS.iloc[0][name] for name in SCAN_KEYS}
        return pd.DataFrame([key | dict(zip(columns, row, strict=True)) for row in rows])

    def decided(self, *rows):
        scans = self.SCANS.drop(columns=["usable", "included", "reason"])
        return decide(scans, self.ratings(*rows)).iloc[0]

    def test_one_bad_rating_leaves_out(self):
        row = self.decided(("good", "n/a", "anna", "n/a"), ("bad", "ghost", "bo", "n/a"))
        assert not row["included"]
        assert row["reason"] == "reviewer"
        assert "bo: ghost" in row["detail"]

    def test_doubtful_stays_in(self):
        assert self.decided(("doubtful", "broad", "anna", "n/a"))["included"]

    def test_an_override_is_stronger_than_a_rating(self):
        assert self.decided(("bad", "ghost", "anna", "n/a"), ("good", "agreed", "bo", "include"))["included"]

    def test_contradicting_overrides_are_an_error(self):
        with pytest.raises(InputError, match="contradict"):
            self.decided(("bad", "x", "anna", "exclude"), ("good", "y", "bo", "include"))

    @pytest.mark.parametrize(("stage", "reason"), [("fit", "fit failed"), ("read", "processing failed")])
    def test_nothing_includes_a_scan_without_result(self, stage, reason):
        scans = self.SCANS.drop(columns=["usable", "included", "reason"]).assign(processing="failed", stage=stage)
        row = decide(scans, self.ratings(("good", "n/a", "anna", "include"))).iloc[0]
        assert not row["included"]
        assert row["reason"] == reason

    def test_a_rating_of_an_unknown_scan_is_named(self):
        ratings = self.ratings(("bad", "x", "anna", "n/a")).assign(participant_id="sub-404")
        with pytest.raises(InputError, match="sub-404_baseline_acc"):
            decide(self.SCANS.drop(columns=["usable", "included", "reason"]), ratings)


class TestBlinding:
    @pytest.mark.parametrize(
        "name",
        ["arm", "Group", "study_group", "treatment", "treatment_guess", "allocation", "randomised_to", "drug", "trt"],
    )
    def test_names_that_could_reveal_the_arm(self, name):
        assert arm_like_columns(pd.DataFrame({name: ["x", "y"]})) == [name]

    @pytest.mark.parametrize("name", ["age", "sex", "age_group", "alarm", "charm", "pharmacy", "site"])
    def test_ordinary_names(self, name):
        assert arm_like_columns(pd.DataFrame({name: [1, 2]})) == []

    def test_values_that_give_the_arm_away(self):
        assert arm_like_columns(pd.DataFrame({"kit": ["placebo", "verum"]})) == ["kit"]


class TestOutcomes:
    def outcome(self, **more):
        return AnalysisSection.model_validate({"outcome": [OUTCOME | more]}).outcome[0]

    def test_by_session(self):
        table = pd.DataFrame(
            {"participant_id": ["a", "a"], "session_id": ["ses-baseline", "ses-week12"], "nrs": [8, 4]}
        )
        assert outcome_values(table, self.outcome(), VISITS).loc["a"].tolist() == [8, 4]

    def test_daily_ratings_are_averaged_in_the_window(self):
        table = pd.DataFrame({"participant_id": "a", "day": [-1, 0, 1, 40, 83, 84, 99], "nrs": [6, 7, 8, 1, 4, 5, 0]})
        wide = outcome_values(table, self.outcome(window_days=[-2, 2]), VISITS)
        assert wide.loc["a"].tolist() == [7, 4.5]

    def test_below_the_limit_of_quantification(self):
        table = pd.DataFrame({"participant_id": ["a", "b"], "session_id": "baseline", "nrs": ["<2", "4"]})
        wide = outcome_values(table, self.outcome(lower_limit=2.0, log_transform=True), VISITS)
        assert wide["baseline"].tolist() == pytest.approx([np.log(2 / np.sqrt(2)), np.log(4)])

    def test_without_session_or_day(self):
        with pytest.raises(StudyError, match="neither the session nor the day"):
            outcome_values(pd.DataFrame({"participant_id": ["a"], "nrs": [1]}), self.outcome(), VISITS)

    def test_improvement(self):
        assert improvement(10, 7, "lower-is-better") == pytest.approx(0.3)
        assert improvement(-10, -7, "higher-is-better") == pytest.approx(0.3)
        assert np.isnan(improvement(0, 7, "lower-is-better"))

    def test_missing_follow_up_is_no_response(self):
        wide = pd.DataFrame(
            {"baseline": [10.0] * 6, "week12": [7, 5, np.nan, 10, 7, np.nan]}, index=[person(i) for i in range(6)]
        )
        people = pd.DataFrame({"participant_id": [person(i) for i in range(6)], "arm": [0, 0, 0, 1, 1, 1]})
        table = responder_table({"pain": (self.outcome(), wide)}, people, VISITS, 0.05).set_index("missing_rule")
        first = table.loc["non-responder"]
        assert first[["responders_a", "n_a", "responders_b", "n_b"]].tolist() == [2, 3, 1, 3]
        assert table.loc["complete-case", ["n_a", "n_b"]].tolist() == [2, 2]
        assert first["risk_difference"] == pytest.approx(-1 / 3)


class TestExternalTables:
    ROWS = pd.DataFrame(
        {
            "participant_id": ["sub-1", "sub-1"],
            "session": VISITS,
            "voi": "acc",
            "metabolite": "Glu",
            "molar": [8.0, 9.0],
        }
    )

    def write(self, folder, provenance=None):
        path = folder / "mrsi.tsv"
        self.ROWS.to_csv(path, sep="\t", index=False)
        if provenance is not None:
            path.with_suffix(".json").write_text(json.dumps({"Provenance": provenance}))
        return path

    def test_provenance_is_required_and_its_gaps_are_named(self, tmp_path):
        with pytest.raises(InputError, match="provenance"):
            read_external(self.write(tmp_path))
        with pytest.raises(InputError, match="Version, Method"):
            read_external(self.write(tmp_path, {"Software": "MIDAS"}))

    def test_is_read_and_hashed(self, tmp_path):
        path = self.write(tmp_path, {"Software": "MIDAS", "Version": "2", "Method": "regional means"})
        sources = read_external(path)
        assert sources.concentrations["molar"].tolist() == [8.0, 9.0]
        assert tuple(sources.concentrations.columns) == CONCENTRATION_COLUMNS
        assert len(sources.scans) == 2
        assert set(sources.files) == {"external:mrsi.tsv", "external:mrsi.json"}

    def test_a_value_listed_twice_is_named(self, tmp_path):
        path = self.write(tmp_path, {"Software": "MIDAS", "Version": "2", "Method": "regional means"})
        pd.concat([self.ROWS, self.ROWS.iloc[[0]]]).to_csv(path, sep="\t", index=False)
        with pytest.raises(InputError, match="sub-1_baseline_acc_Glu"):
            read_external(path)

    def test_columns_are_required(self, tmp_path):
        path = tmp_path / "mrsi.tsv"
        self.ROWS.drop(columns=["voi", "molar"]).to_csv(path, sep="\t", index=False)
        with pytest.raises(InputError, match="missing columns: voi"):
            read_external(path)


class TestTables:
    def test_baseline_table_compares_arms_and_selection(self, normal):
        trial = make_trial(normal[:4], [0, 1, 0, 1])
        people = pd.concat([trial.people, pd.DataFrame({"participant_id": ["sub-90"], "arm": [0]})], ignore_index=True)
        ages = pd.DataFrame(
            {"participant_id": people["participant_id"], "age": [20.0, 30, 40, 50, 60], "sex": list("FFFMM")}
        )
        table = baseline_table(Trial(trial.concentrations, trial.scans, people, ages, trial.arms, VISITS)).set_index(
            "characteristic"
        )
        assert table.loc["participants"].tolist() == ["2", "2", "4", "1"]
        assert table.loc["age", "placebo"] == "30.0 (14.1)"
        assert table.loc["sex: F", "scanned"] == "3 (75 %)"

    def test_an_empty_folder_is_an_error_with_a_remedy(self, tmp_path):
        with pytest.raises(InputError, match="participant level first"):
            collect(tmp_path)

    def test_flat_and_nested_metrics_are_both_read(self, tmp_path):
        folder = tmp_path / "sub-1" / "ses-a" / "mrs"
        folder.mkdir(parents=True)
        fired = [{"name": "snr_too_low", "sentence": "too low."}]
        qc = {"snr_tcr": 3.5, "drift_hz": [0, 1], "fit_status": "ok", "verdict": {"status": "fail", "fired": fired}}
        (folder / "sub-1_ses-a_voi-acc_desc-qc_mrs.json").write_text(json.dumps(qc))
        (folder / "sub-1_ses-a_voi-acc_desc-status_mrs.json").write_text(
            json.dumps({"status": "failed", "words": "fit broke"})
        )
        row = collect(tmp_path).scans.iloc[0]
        assert row["metrics"] == {"snr_tcr": 3.5}
        assert (row["verdict"], row["rules"], row["detail"]) == ("fail", "snr_too_low", "fit broke")
        assert row["report"] == "sub-1_ses-a_voi-acc_report.html"


class Page(HTMLParser):
    """Links, texts and references of a page."""

    def __init__(self, text):
        super().__init__()
        self.links, self.sources, self.texts = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        if tag == "a":
            self.links.append(found.get("href"))
        if "src" in found or tag in {"link", "script", "iframe", "img"}:
            self.sources.append((tag, found.get("src") or found.get("href")))

    def handle_data(self, data):
        self.texts.append(data)


def write_out(root, *, effect=1.2, n=20):
    """Participant outputs of n people, two visits, one region, with a phenotype table and an allocation outside."""
    bids, out = root / "bids", root / "out"
    (bids / "phenotype").mkdir(parents=True)
    rng = np.random.default_rng(11)
    arm = ["sugarpill", "naltrexone"] * (n // 2)
    scores = []
    for i in range(n):
        own = rng.normal(0, 0.5)
        for k, visit in enumerate(VISITS):
            stem = f"{person(i)}_ses-{visit}_voi-acc"
            folder = out / person(i) / f"ses-{visit}" / "mrs"
            folder.mkdir(parents=True)
            broken = (i, k) == (4, 1)
            status = {"status": "failed", "words": "no <water> & truncated"} if broken else {"status": "ok"}
            qc = {"snr_tcr": 20 + own, "fwhm_ppm": 0.05 + 0.01 * abs(own), "verdict": {"status": "pass", "fired": []}}
            (folder / f"{stem}_desc-status_mrs.json").write_text(json.dumps(status))
            (folder / f"{stem}_desc-qc_mrs.json").write_text(json.dumps(qc))
            value = 9 + own + 0.2 * rng.normal() + effect * k * (i % 2)
            row = {"metabolite": "Glu", "molal": value, "ratio_tCr": value / 9, "molar": value, "status": "ok"}
            if not broken:
                pd.DataFrame([row]).to_csv(folder / f"{stem}_desc-concentrations_mrs.tsv", sep="\t", index=False)
            scores.append({"participant_id": person(i), "session_id": f"ses-{visit}", "nrs": 7 - k * (1 + (i % 3))})
    pd.DataFrame(scores).to_csv(bids / "phenotype" / "nrs.tsv", sep="\t", index=False)
    people = pd.DataFrame({"participant_id": [person(i) for i in range(n)], "age": range(30, 30 + n)})
    people.to_csv(bids / "participants.tsv", sep="\t", index=False)
    people.assign(arm=arm)[["participant_id", "arm"]].to_csv(root / "allocation.tsv", sep="\t", index=False)
    return bids, out


def study(**analysis):
    return Study.model_validate({"study": {"name": "Trial <1>"}, "analysis": {"outcome": [OUTCOME]} | analysis})


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    root = tmp_path_factory.mktemp("reports")
    bids, out = write_out(root)
    plan = study(primary=[["Glu", "acc"]])
    run_group(GroupRequest(bids, out, plan, freeze=True))
    run_group(GroupRequest(bids, out, plan, allocation=root / "allocation.tsv", reference_arm="sugarpill"))
    return out / "group"


class TestReports:
    def test_the_blinded_page_names_no_arm(self, reports):
        text = (reports / "group.html").read_text()
        assert not re.search("sugarpill|naltrexone", text)

    def test_nothing_blinded_names_an_arm(self, reports):
        blinded = [path for path in reports.iterdir() if path.is_file()]
        assert len(blinded) >= 8
        assert not [path.name for path in blinded if re.search(b"sugarpill|naltrexone", path.read_bytes())]

    @pytest.mark.parametrize("name", ["group.html", "unblinded/trial-report.html"])
    def test_a_page_is_one_file_without_network_date_or_absolute_path(self, reports, name):
        text = (reports / name).read_text()
        assert Page(text).sources == []
        assert not re.search(r"""(href|src)=["'](https?:)?//|@import|url\(""", text)
        assert str(reports.parent.parent) not in text
        assert "2026-" not in text

    def test_points_open_the_reports_of_their_scans(self, reports):
        links = Page((reports / "group.html").read_text()).links
        assert links.count("../sub-00_ses-baseline_voi-acc_report.html") >= 2
        assert "../sub-04_ses-week12_voi-acc_report.html" in links

    def test_a_failed_scan_is_listed_in_its_own_words_escaped(self, reports):
        text = (reports / "group.html").read_text()
        assert "no &lt;water&gt; &amp; truncated" in text
        assert "Trial &lt;1&gt;" in text

    def test_the_primary_result_comes_first_with_its_interval(self, reports):
        text = (reports / "unblinded" / "trial-report.html").read_text()
        row = pd.read_csv(reports / "unblinded" / "effects.tsv", sep="\t").iloc[0]
        assert text.index('id="primary"') < text.index('id="forest"') < text.index('id="exploratory"')
        assert f"naltrexone - sugarpill = {row['estimate']:.2f}" in text
        assert f"CI {row['ci_low']:.3f} to {row['ci_high']:.2f}" in text
        assert "Everything in this report is exploratory" not in text

    def test_the_page_carries_both_hashes(self, reports):
        text = (reports / "unblinded" / "trial-report.html").read_text()
        record = json.loads((reports / "unblinded" / "unblinding.json").read_text())["records"][0]
        assert record["freeze"] in text
        assert record["allocation_sha256"] in text

    def test_responders_and_correlations_are_written(self, reports):
        responders = pd.read_csv(reports / "unblinded" / "responders.tsv", sep="\t")
        assert responders["n_a"].tolist() == [10, 10]
        found = pd.read_csv(reports / "unblinded" / "correlations.tsv", sep="\t")
        assert found["scope"].tolist() == ["adjusted", "sugarpill", "naltrexone"]
        assert found["n"].tolist() == [19, 9, 10]

    def test_what_is_written_is_what_the_table_of_group_files_says(self, reports):
        written = {path.relative_to(reports.parent).as_posix() for path in reports.rglob("*") if path.is_file()}
        dictionaries = {name.replace(".tsv", ".json") for name in written if name.endswith(".tsv")}
        assert written - dictionaries == set(GROUP_FILES.values()) - {GROUP_FILES["ratings"]}
        assert dictionaries <= written

    def test_comparing_again_gives_the_same_bytes(self, reports):
        names = ("effects.tsv", "correlations.tsv", "responders.tsv", "flow.tsv", "trial-report.html")
        before = {name: (reports / "unblinded" / name).read_bytes() for name in names}
        root = reports.parent.parent
        plan = study(primary=[["Glu", "acc"]])
        run_group(
            GroupRequest(
                root / "bids", root / "out", plan, allocation=root / "allocation.tsv", reference_arm="sugarpill"
            )
        )
        assert {name: (reports / "unblinded" / name).read_bytes() for name in names} == before
        assert len(json.loads((reports / "unblinded" / "unblinding.json").read_text())["records"]) == 2

    def test_without_a_primary_outcome_page_one_says_so(self, tmp_path):
        bids, out = write_out(tmp_path, n=12)
        run_group(GroupRequest(bids, out, study(), freeze=True))
        run_group(GroupRequest(bids, out, study(), allocation=tmp_path / "allocation.tsv", reference_arm="sugarpill"))
        text = (out / "group" / "unblinded" / "trial-report.html").read_text()
        assert text.index("Everything in this report is exploratory") < text.index("<section")

    def test_a_freeze_replaced_after_unblinding_is_told_on_page_one(self, tmp_path):
        bids, out = write_out(tmp_path, n=12)
        run_group(GroupRequest(bids, out, study(), freeze=True))
        run_group(GroupRequest(bids, out, study(), allocation=tmp_path / "allocation.tsv", reference_arm="sugarpill"))
        changed = study(alpha=0.1)
        run_group(GroupRequest(bids, out, changed, refreeze="wanted another alpha"))
        run_group(GroupRequest(bids, out, changed, allocation=tmp_path / "allocation.tsv", reference_arm="sugarpill"))
        text = (out / "group" / "unblinded" / "trial-report.html").read_text()
        assert "After the arms had been compared:" in text
        assert "wanted another alpha" in text

    def test_single_arm_trials_need_no_allocation(self, tmp_path):
        bids, out = write_out(tmp_path, n=12)
        run_group(GroupRequest(bids, out, study(design="single-arm"), freeze=True))
        table = pd.read_csv(out / "group" / "unblinded" / "effects.tsv", sep="\t")
        assert set(table["model"]) == {"paired-change"}

    def test_a_table_from_elsewhere_goes_the_whole_way(self, tmp_path):
        bids, out = write_out(tmp_path, n=12)
        run_group(GroupRequest(bids, out, study(), freeze=True))
        table = pd.read_csv(out / "group" / "concentrations.tsv", sep="\t", keep_default_na=False, na_values=["n/a"])
        path = tmp_path / "mrsi.tsv"
        table[["participant_id", "session", "voi", "metabolite", "molal"]].to_csv(path, sep="\t", index=False)
        path.with_suffix(".json").write_text(
            json.dumps({"Provenance": {"Software": "a", "Version": "1", "Method": "b"}})
        )
        elsewhere = tmp_path / "elsewhere"
        run_group(GroupRequest(bids, elsewhere, study(), freeze=True, concentrations=path))
        allocation = {"allocation": tmp_path / "allocation.tsv", "reference_arm": "sugarpill"}
        run_group(GroupRequest(bids, elsewhere, study(), concentrations=path, **allocation))
        run_group(GroupRequest(bids, out, study(), **allocation))
        rows = [pd.read_csv(f / "group" / "unblinded" / "effects.tsv", sep="\t").iloc[0] for f in (out, elsewhere)]
        assert rows[0]["estimate"] == pytest.approx(rows[1]["estimate"])
        (elsewhere / "sub-00").symlink_to(out / "sub-00")
        with pytest.raises(StudyError, match=r"external:mrsi\.tsv is gone"):
            run_group(GroupRequest(bids, elsewhere, study(), **allocation))


class TestCharts:
    def test_ticks_are_round_and_inside(self):
        assert ticks(-3.2, 7.7) == [-2.5, 0, 2.5, 5, 7.5]
        assert ticks(0.0312, 0.0347, 4) == [0.032, 0.033, 0.034]

    def test_limits_never_collapse(self):
        for values in ([], [float("nan")], [5.0], [0.0, 0.0]):
            low, high = padded(values)
            assert high > low
