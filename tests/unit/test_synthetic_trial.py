"""Whole trials: the plan, the effects planted in it, the files, and that the same seed gives the same bytes."""

import csv
import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest

from mrs_pipeline.anatomy import read_tissue_table
from mrs_pipeline.config import load_study
from mrs_pipeline.synthetic import Acquisition, HeadSettings, SpectrumSettings, TrialSettings, write_trial
from mrs_pipeline.synthetic.phenotype import CYTOKINES, clinical_course, ema_rows, visit_rows
from mrs_pipeline.synthetic.settings import Transients
from mrs_pipeline.synthetic.trial import (
    effect_factor,
    enrol,
    mean_one_lognormal,
    permuted_blocks,
    plan_scans,
    visit_day,
)

SMALL = TrialSettings(
    participants=6,
    scanned=4,
    spectrum=SpectrumSettings(
        acquisition=Acquisition(n_points=512),
        concentrations={"NAA": 11.0, "Cr": 5.0, "PCr": 4.0, "Glu": 10.0, "Ins": 7.0},
    ),
    effects={"Glu": -0.12, "Ins@acc": 0.2},
    head=HeadSettings(resolution_mm=8.0, quadrature_mm=3.0),
    seed=7,
)


def rows(path):
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream, delimiter="\t"))


def digests(folder):
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


@pytest.fixture(scope="module")
def trial(tmp_path_factory):
    return write_trial(tmp_path_factory.mktemp("trial"), SMALL)


def test_every_scan_has_its_files(trial):
    assert len(trial.scans) == 4 * 2 * 2
    for scan in trial.scans:
        assert len(scan.files) == 2
        for name in scan.files:
            assert (trial.folder / name).is_file()
            assert (trial.folder / name).with_suffix(".SPAR").is_file()
    assert len(list(trial.scanner.rglob("*_T1w.nii.gz"))) == 2


def test_exactly_one_file_is_broken(trial):
    sizes = {p: p.stat().st_size for p in trial.scanner.rglob("*.SDAT")}
    short = [p for p, size in sizes.items() if size != 512 * 8]
    assert len(short) == 1
    assert len(trial.broken) == 1
    participant, visit, region = (part.partition("-")[2] for part in trial.broken[0].split("_"))
    assert short[0].name == f"{participant}_{visit}_{region}_act.SDAT"


def test_same_settings_same_bytes_and_other_seed_other_data(trial, tmp_path):
    again = write_trial(tmp_path / "again", SMALL)
    assert digests(again.folder) == digests(trial.folder)
    other = write_trial(tmp_path / "other", replace(SMALL, seed=8, segmented_t1w=0))
    assert digests(other.folder)["truth/scans.tsv"] != digests(trial.folder)["truth/scans.tsv"]


def test_checksums_list_every_file(trial):
    listed = {row["file"]: row["sha256"] for row in rows(trial.folder / "truth" / "files.tsv")}
    found = digests(trial.folder)
    found.pop("truth/files.tsv")
    assert listed == found


def test_study_file_is_valid_and_finds_every_scanner_file(trial):
    import re

    study = load_study(trial.study)
    assert study.study.visits == ("baseline", "week12")
    assert (study.basis.te1, study.basis.te2) == (0.011, 0.019)
    assert study.analysis.primary == (("Glu", "acc"), ("Glu", "insula"), ("mI", "acc"))
    seen = {"svs": 0, "mrsref": 0, "T1w": 0}
    for path in trial.scanner.rglob("*"):
        if path.suffix in {".SDAT", ".gz"}:
            name = path.relative_to(trial.scanner).as_posix()
            rule = next(r for r in study.convert.scans if re.search(r.pattern, name))
            seen[rule.role] += 1
    assert seen == {"svs": 16, "mrsref": 16, "T1w": 2}


@pytest.mark.parametrize("name", ["participants.tsv", "sessions.tsv", "tissue.tsv", "study.toml", "phenotype/fiqr.tsv"])
def test_no_arm_outside_allocation_and_truth(trial, name):
    text = (trial.folder / name).read_text().lower()
    assert "ldn" not in text
    assert "placebo" not in text


def test_allocation_has_everybody_and_is_balanced_among_the_scanned(trial):
    arms = {row["participant_id"]: row["arm"] for row in rows(trial.allocation)}
    assert len(arms) == 6
    scanned = [row["participant_id"] for row in rows(trial.folder / "participants.tsv") if row["scanned"] == "true"]
    assert sorted(arms[p] for p in scanned) == ["ldn", "ldn", "placebo", "placebo"]


def test_tissue_table_has_the_truth_of_those_without_t1w(trial):
    for scan in trial.scans:
        plan = scan.plan
        if plan.participant.has_t1w:
            continue
        key = (plan.participant.bids_id, plan.visit, plan.region)
        found = read_tissue_table(trial.folder / "tissue.tsv", *key)
        assert (found.gm, found.wm, found.csf) == pytest.approx(tuple(scan.physics.tissue.vector), abs=1e-6)


def test_truth_tables_agree_with_the_truth(trial):
    by_key = {(r["participant_id"], r["session"], r["voi"], r["metabolite"]): r
              for r in rows(trial.folder / "truth" / "concentrations.tsv")}  # fmt: skip
    scan = trial.scans[5]
    key = (scan.plan.participant.bids_id, f"ses-{scan.plan.visit}", scan.plan.region)
    row, molal = by_key[*key, "mI"], scan.physics.molal
    assert float(row["molal"]) == pytest.approx(molal["Ins"], rel=1e-6)
    assert float(row["ratio_tCr"]) == pytest.approx(molal["Ins"] / (molal["Cr"] + molal["PCr"]), rel=1e-6)
    assert float(row["amplitude"]) == pytest.approx(scan.physics.amplitudes["Ins"], rel=1e-6)
    scans = rows(trial.folder / "truth" / "scans.tsv")
    assert [r["failure"] for r in scans].count("truncated") == 1
    affine = np.array([float(scans[5][f"affine_{i}{j}"]) for i in range(3) for j in range(4)])
    np.testing.assert_allclose(affine, scan.affine[:3].ravel(), rtol=1e-6)


def test_planted_effects_are_listed_per_region(trial):
    planted = {(r["voi"], r["metabolite"]): r for r in rows(trial.folder / "truth" / "effects.tsv")}
    assert float(planted["acc", "Glu"]["relative"]) == pytest.approx(-0.12)
    assert float(planted["insula", "Glu"]["molal"]) == pytest.approx(-1.2)
    assert float(planted["acc", "mI"]["relative"]) == pytest.approx(0.2)
    assert float(planted["insula", "mI"]["relative"]) == 0.0
    assert float(planted["acc", "tCr"]["molal"]) == 0.0
    assert (planted["acc", "Glu"]["arm_a"], planted["acc", "Glu"]["arm_b"]) == ("placebo", "ldn")


def test_constants_and_settings_are_written(trial):
    constants = json.loads((trial.folder / "truth" / "constants.json").read_text())
    assert constants["constants"]["water"]["t1"] == [1.331, 0.832, 4.309]
    assert constants["constants"]["metabolites"]["Glu"]["t2_gm"] == 0.181
    assert constants["sources"]["preset"] == "relaxation/default, 3.0 T"
    assert constants["sources"]["Glu.t2_gm"] == "10.1002/nbm.1767"
    settings = json.loads((trial.folder / "truth" / "settings.json").read_text())
    assert settings["seed"] == 7
    assert settings["spectrum"]["artefacts"]["snr"] == [70.0, 110.0]


def test_effect_and_variation_of_a_large_plan():
    """600 scanned: the ratio of geometric means holds the planted factor, and the CVs are those asked for."""
    settings = replace(SMALL, participants=600, scanned=600, broken_scan=False, regions=("acc",))
    scans = plan_scans(settings, enrol(settings))
    level = {(s.participant.label, s.visit): s.molal["Glu"] for s in scans}
    people = [p for p in enrol(settings) if p.scanned]
    change = {arm: [np.log(level[p.label, "week12"] / level[p.label, "baseline"]) for p in people if p.arm == arm]
              for arm in settings.arms}  # fmt: skip
    difference = np.mean(change["ldn"]) - np.mean(change["placebo"])
    assert difference == pytest.approx(np.log(0.88), abs=4 * 0.04 * np.sqrt(2) * np.sqrt(2 / 300))
    assert np.std(change["placebo"]) == pytest.approx(0.04 * np.sqrt(2), rel=0.15)
    baseline = [level[p.label, "baseline"] for p in people]
    assert np.mean(baseline) == pytest.approx(10.0, rel=4 * 0.13 / np.sqrt(600))
    assert np.std(baseline) / np.mean(baseline) == pytest.approx(np.hypot(0.13, 0.04), rel=0.12)


def test_people_are_alike_between_regions_as_asked():
    settings = replace(SMALL, participants=600, scanned=600, broken_scan=False, within_cv=1e-6)
    level = {(s.participant.label, s.region): s.molal["NAA"] for s in plan_scans(settings, enrol(settings))}
    labels = sorted({label for label, _ in level})
    pairs = np.log([[level[label, r] for r in settings.regions] for label in labels])
    assert np.corrcoef(pairs.T)[0, 1] == pytest.approx(0.6, abs=0.09)


def test_effects_grow_over_the_visits():
    settings = replace(SMALL, visits=("bl", "w6", "w12"))
    factors = [effect_factor(settings, "ldn", v, "acc", "Glu") for v in settings.visits]
    assert factors == pytest.approx([1.0, 0.94, 0.88])
    assert effect_factor(settings, "placebo", "w12", "acc", "Glu") == 1.0
    assert effect_factor(settings, "ldn", "w12", "insula", "Ins") == 1.0


def test_drop_out_and_missed_and_failed_scans():
    settings = replace(SMALL, participants=300, scanned=300, drop_out=0.3, missed_scan=0.1, failed_scans=0.2)
    scans = plan_scans(settings, enrol(settings))
    first = [s.failure for s in scans if s.visit == "baseline"]
    last = [s.failure for s in scans if s.visit == "week12"]
    assert first.count("missed") / len(first) == pytest.approx(0.1, abs=0.05)
    assert last.count("missed") / len(last) == pytest.approx(0.37, abs=0.08)
    kinds = [f for f in first if f not in ("", "missed", "truncated")]
    assert set(kinds) == set(settings.failure_kinds)
    assert len(kinds) / len(first) == pytest.approx(0.18, abs=0.06)
    assert [s.failure for s in scans].count("truncated") == 1


def test_failed_scans_on_disk(tmp_path):
    quick = replace(SMALL, segmented_t1w=0, broken_scan=False, failed_scans=1.0)
    no_water = write_trial(tmp_path / "a", replace(quick, failure_kinds=("no-water",)))
    assert all(len(scan.files) == 1 for scan in no_water.scans)
    assert not list(no_water.scanner.rglob("*_ref*"))
    empty = write_trial(tmp_path / "b", replace(quick, failure_kinds=("empty",)))
    assert all((empty.folder / scan.files[0]).stat().st_size == 0 for scan in empty.scans)
    assert len(empty.broken) == 16
    wide = write_trial(tmp_path / "c", replace(quick, failure_kinds=("linewidth",)))
    assert min(scan.physics.gauss_hz for scan in wide.scans) > 14.0
    assert wide.broken == ()


@pytest.mark.parametrize(
    ("vendor", "ending", "transients"),
    [
        ("siemens", ".rda", None),
        ("siemens-twix", ".dat", Transients(coils=2)),
        ("nifti-mrs", ".nii.gz", Transients(coils=2, spoiled=0.25)),
        ("philips", ".SDAT", Transients()),
    ],
)
def test_other_formats(tmp_path, vendor, ending, transients):
    acq = Acquisition(n_points=256, averages=4, water_averages=2)
    settings = replace(
        SMALL,
        participants=1,
        scanned=1,
        segmented_t1w=0,
        broken_scan=False,
        vendor=vendor,
        transients=transients,
        spectrum=replace(SMALL.spectrum, acquisition=acq),
    )
    truth = write_trial(tmp_path, settings)
    assert all(name.endswith(ending) for scan in truth.scans for name in scan.files)
    assert all((scan.transients is not None) == (transients is not None) for scan in truth.scans)
    assert load_study(truth.study).convert.scans[0].pattern.endswith(ending.replace(".", r"\.") + "$")
    if transients:
        drift = rows(tmp_path / "truth" / "transients.tsv")
        assert len(drift) == 4 * 4
        first = truth.scans[0].transients
        assert float(drift[1]["drift_hz"]) == pytest.approx(first.drift_hz[1], rel=1e-6)


def test_dicom_heads(tmp_path):
    truth = write_trial(tmp_path, replace(SMALL, participants=1, scanned=1, t1w_format="dicom", broken_scan=False))
    slices = sorted(truth.scanner.rglob("*.dcm"))
    assert len(slices) == 2 * 25
    assert slices[0].parent.name == "P001_baseline_T1w"


def test_missed_scans_leave_no_trace_but_in_the_truth(tmp_path):
    truth = write_trial(tmp_path, replace(SMALL, drop_out=1.0, segmented_t1w=0))
    assert not list(truth.scanner.glob("*/week12"))
    assert {r["session"] for r in rows(tmp_path / "phenotype" / "fiqr.tsv")} == {"ses-baseline"}
    assert {r["session_id"] for r in rows(tmp_path / "sessions.tsv")} == {"ses-baseline"}
    failures = [r["failure"] for r in rows(tmp_path / "truth" / "scans.tsv")]
    assert failures.count("missed") == 8


def test_clinical_outcomes_are_planned_on_request(tmp_path):
    truth = write_trial(tmp_path, replace(SMALL, scanned=1, segmented_t1w=0, clinical_outcomes=True))
    outcomes = {o.name: o for o in load_study(truth.study).analysis.outcome}
    assert outcomes["il6"].lower_limit == 0.7
    assert outcomes["pain"].responder_thresholds == (0.15, 0.3, 0.5)


def test_daily_ratings_are_whole_numbers_around_the_course():
    settings = replace(SMALL, participants=40, scanned=40)
    people = enrol(settings)
    for index in range(3):
        course = clinical_course(settings, index, people[index])
        ratings = ema_rows(settings, index, course)
        pain, day = (np.array([int(r[k]) for r in ratings]) for k in ("pain_nrs", "day"))
        assert -7 <= day.min() < 0
        assert 75 < day.max() <= 84
        assert pain.min() >= 0
        assert pain.max() <= 10
        assert 0.7 < len(ratings) / 92 < 0.98
        assert pain[day <= 0].mean() == pytest.approx(course.pain[0], abs=1.5)


def test_cytokines_are_censored_below_their_limit():
    settings = replace(SMALL, participants=200, scanned=200)
    limits = {name: limit for name, _median, _sd, limit in CYTOKINES}
    values = [r for i, p in enumerate(enrol(settings))
              for r in visit_rows(settings, i, clinical_course(settings, i, p))[1]]  # fmt: skip
    censored = [r for r in values if r["il10"].startswith("<")]
    assert 0.05 < len(censored) / len(values) < 0.4
    for name, limit in limits.items():
        assert {r[name] for r in values if r[name].startswith("<")} <= {f"<{limit:g}"}
        assert min(float(r[name]) for r in values if not r[name].startswith("<")) >= limit


def test_blocks_are_balanced_at_every_multiple():
    rng = np.random.default_rng(0)
    for n in (1, 2, 5, 6, 24):
        arms = permuted_blocks(n, ("a", "b"), rng)
        assert len(arms) == n
        assert abs(arms.count("a") - arms.count("b")) <= 1
    long = permuted_blocks(40, ("a", "b"), rng)
    assert all(long[i : i + 4].count("a") == 2 for i in range(0, 40, 4))


def test_lognormal_has_mean_one():
    z = np.random.default_rng(0).standard_normal(20000)
    values = np.array([mean_one_lognormal(0.25, float(v)) for v in z])
    assert values.mean() == pytest.approx(1.0, abs=0.008)
    assert values.std() == pytest.approx(0.25, rel=0.03)


def test_visit_days():
    settings = replace(SMALL, visits=("bl", "m1", "m3"))
    assert settings.days == (0, 42, 84)
    days = [visit_day(settings, i, 2) for i in range(200)]
    assert np.mean(days) == pytest.approx(84, abs=1)
    assert np.std(days) == pytest.approx(3.0, rel=0.25)
    assert {visit_day(settings, i, 0) for i in range(5)} == {0}


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"scanned": 9}, "scanned"),
        ({"regions": ("nowhere",)}, "unknown regions"),
        ({"arms": ("a", "a")}, "distinct"),
        ({"effects": {"XYZ": 0.1}}, "not simulated"),
        ({"visit_days": (0,)}, "visit_days"),
        ({"vendor": "siemens", "transients": Transients()}, "RDA"),
        ({"transients": Transients(coils=4)}, "combined"),
        ({"failure_kinds": ("fire",)}, "failure_kinds"),
    ],
)
def test_impossible_trials_are_refused(wrong, words):
    with pytest.raises(ValueError, match=words):
        replace(SMALL, **wrong)
