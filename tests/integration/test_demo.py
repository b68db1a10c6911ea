"""The demo: a small trial through every stage with the commands a user types."""

import csv
import json

import pytest

from mrs_pipeline.cli import main
from mrs_pipeline.cli.demo import failed_scans

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo") / "out"
    return folder, main(["demo", str(folder), "--participants", "4", "--seed", "3"])


def rows(path):
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream, delimiter="\t"))


def test_it_exits_0_because_only_the_planted_failure_occurred(demo):
    folder, code = demo
    assert code == 0
    broken = [row for row in rows(folder / "trial" / "truth" / "scans.tsv") if row["failure"] == "truncated"]
    assert len(broken) == len(failed_scans(folder / "derivatives")) == 1


def test_the_broken_scan_is_reported_with_reason_and_remedy(demo):
    folder, _ = demo
    ((key, words),) = failed_scans(folder / "derivatives").items()
    assert "truncated" in words
    assert "truncated" in (folder / "derivatives" / f"{key}_report.html").read_text()
    qc = {(row["participant_id"], row["session"], row["voi"]): row for row in rows(folder / "derivatives/group/qc.tsv")}
    assert [row["processing"] for row in qc.values()].count("failed") == 1


def test_one_participant_is_segmented_and_the_others_come_from_the_table(demo):
    sources = set()
    for path in (demo[0] / "derivatives").glob("sub-*_report.html"):
        text = path.read_text()
        sources |= {word for word in ("table tissue.tsv", "own segmentation") if word in text}
    assert sources == {"table tissue.tsv", "own segmentation"}
    assert len(list((demo[0] / "derivatives").glob("sub-*/ses-*/anat/*_label-GM_probseg.nii.gz"))) == 2


def test_effects_are_there_for_both_regions_and_nothing_names_an_arm_before_unblinding(demo):
    group = demo[0] / "derivatives" / "group"
    effects = rows(group / "unblinded" / "effects.tsv")
    assert {row["voi"] for row in effects} == {"acc", "insula"}
    assert {row["contrast"] for row in effects} == {"ldn - placebo"}
    for path in (demo[0] / "derivatives").rglob("*"):
        if (
            path.is_file()
            and path.suffix in {".tsv", ".json", ".html"}
            and "unblinded" not in path.parts
            and "logs" not in path.parts
        ):
            text = path.read_text(encoding="utf-8").lower()
            assert "placebo" not in text, path
    unblinding = json.loads((group / "unblinded" / "unblinding.json").read_text())
    assert len(unblinding["records"][-1]["allocation_sha256"]) == 64


def test_a_folder_of_something_else_is_refused(tmp_path, capsys):
    (tmp_path / "mine.txt").write_text("keep me")
    assert main(["demo", str(tmp_path)]) == 2
    assert (tmp_path / "mine.txt").read_text() == "keep me"
    assert "not empty" in capsys.readouterr().err
