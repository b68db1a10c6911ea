"""``mrs-pipeline submit``: the script it writes, run here with stand-ins for sbatch and for the command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mrs_pipeline.cli import build_parser, submit
from mrs_pipeline.errors import StudyError

EXAMPLE = submit.Plan(
    bids_dir=Path("/data/bids"),
    out_dir=Path("/data/derivatives/mrs-pipeline"),
    log_dir=Path("/data/derivatives/mrs-pipeline/logs/slurm"),
    run=("mrs-pipeline", "run"),
    sbatch=("--partition=main",),
)
REPOSITORY = Path(__file__).parents[2]
SBATCH = """#!/bin/bash
printf '%s\\n' "$@" > "$CALLS/sbatch-$(ls "$CALLS" | wc -l)"
[ -z "${REFUSE:-}" ] || { echo "sbatch: error: invalid partition" >&2; exit 1; }
echo "$((100 + $(ls "$CALLS" | wc -l)));cluster"
"""
STUB = """import json, os, sys
label = sys.argv[sys.argv.index("--participant-label") + 1] if "--participant-label" in sys.argv else "group"
with open(os.path.join(os.environ["CALLS"], "run-" + label), "w") as stream:
    json.dump(sys.argv[1:], stream)
sys.exit(3 if label == "bad" else 0)
"""


def parse(*words):
    return build_parser(["submit"]).parse_args(["submit", *map(str, words)])


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A BIDS folder with an awkward name, three participants, and stand-ins on PATH."""
    root = tmp_path / "it's a $HOME study"
    for name in ("sub-01/ses-a/mrs", "sub-bad/mrs", "sub-02/mrs", "sub-03/anat", "code"):
        (root / "bids" / name).mkdir(parents=True)
    calls, bin_dir = tmp_path / "calls", tmp_path / "bin"
    calls.mkdir()
    bin_dir.mkdir()
    (bin_dir / "sbatch").write_text(SBATCH)
    (bin_dir / "sbatch").chmod(0o755)
    stub = tmp_path / "stub.py"
    stub.write_text(STUB)
    monkeypatch.setenv("CALLS", str(calls))
    monkeypatch.setenv("PATH", f"{bin_dir}:{os.environ['PATH']}")
    monkeypatch.setenv(submit.COMMAND_VARIABLE, f"{sys.executable} {stub}")
    return root


def calls(study, start):
    folder = Path(os.environ["CALLS"])
    return [path.read_text() for path in sorted(folder.iterdir()) if path.name.startswith(start)]


def script_of(study):
    return study / "out" / "logs" / "slurm-1" / "slurm_array.sh"


def run_mode(study, mode, task=None):
    environment = dict(os.environ) | ({} if task is None else {"SLURM_ARRAY_TASK_ID": str(task)})
    return subprocess.run(
        ["bash", script_of(study), mode], capture_output=True, text=True, check=False, env=environment
    )


def test_hand_editable_script_is_the_one_that_is_submitted():
    assert (REPOSITORY / "containers" / "slurm_array.sh").read_text() == submit.render_script(EXAMPLE)


def test_every_setting_of_the_script_is_replaced():
    plan = submit.Plan(
        bids_dir=Path("/mine/b"), out_dir=Path("/mine/o"), log_dir=Path("/mine/l"), run=("mine", "run"),
        options=("--mine", r"a\1 b"), participant_options=("--mine-2",), sbatch=("--mine-3",),
        participant_resources=("--mine-4",), group_resources=("--mine-5",), array_limit=7, group=False,
    )  # fmt: skip
    ours, example = submit.render_script(plan).splitlines(), submit.render_script(EXAMPLE).splitlines()
    start, end = (index for index, line in enumerate(example) if line.startswith("# ----"))
    settings = [line for line in example[start:end] if not line.startswith("#")]
    assert [a for a, b in zip(ours, example, strict=True) if a != b] == [
        "BIDS_DIR=/mine/b", "OUT_DIR=/mine/o", "LOG_DIR=/mine/l", "RUN=(mine run)", r"OPTIONS=(--mine 'a\1 b')",
        "PARTICIPANT_OPTIONS=(--mine-2)", "SBATCH=(--mine-3)", "PARTICIPANT_RESOURCES=(--mine-4)",
        "GROUP_RESOURCES=(--mine-5)", "ARRAY_LIMIT=7", "GROUP=no",
    ]  # fmt: skip
    assert len(settings) == 11


def test_submits_an_array_and_the_group_after_it(study, capsys):
    args = parse(study / "bids", study / "out", "--partition", "long", "--array-limit", 2, "--mem", "3G", "--cpus", 2)
    assert submit.run(args) == 0
    array, group = (call.splitlines() for call in calls(study, "sbatch-"))
    assert "--array=1-3%2" in array
    assert {"--partition=long", "--mem=3G", "--cpus-per-task=2", "--time=02:00:00"} <= set(array)
    assert array[-2:] == [str(script_of(study)), "participant"]
    assert "--dependency=afterany:101" in group
    assert "--partition=long" in group
    assert group[-2:] == [str(script_of(study)), "group"]
    said = capsys.readouterr().out
    assert "participant job 101: 3 tasks, at most 2 at a time" in said
    assert "group job 102" in said
    assert (script_of(study).parent / "participants.txt").read_text() == "01\n02\nbad\n"


def test_dry_run_submits_nothing_and_shows_the_script(study, capsys):
    assert submit.run(parse(study / "bids", study / "out", "--dry-run")) == 0
    assert calls(study, "sbatch-") == []
    assert script_of(study).read_text() in capsys.readouterr().out


def test_a_second_submission_gets_its_own_folder(study):
    submit.run(parse(study / "bids", study / "out"))
    submit.run(parse(study / "bids", study / "out"))
    assert sorted(path.name for path in (study / "out" / "logs").iterdir()) == ["slurm-1", "slurm-2"]


def test_no_group(study):
    submit.run(parse(study / "bids", study / "out", "--no-group"))
    assert len(calls(study, "sbatch-")) == 1


def test_tasks_call_the_command_with_paths_that_need_quoting(study):
    toml = study / "study file.toml"
    toml.write_text("")
    submit.run(parse(study / "bids", study / "out", "--study", toml, "--session-label", "a", "b", "--dry-run"))
    (script_of(study).parent / "codes").mkdir()
    assert run_mode(study, "participant", task=1).returncode == 0
    assert json.loads(calls(study, "run-01")[0]) == [
        str(study / "bids"), str(study / "out"), "participant", "--participant-label", "01",
        "--study", str(toml), "--session-label", "a", "b",
    ]  # fmt: skip
    run_mode(study, "group")
    assert json.loads(calls(study, "run-group")[0]) == [
        str(study / "bids"), str(study / "out"), "group", "--study", str(toml),
    ]  # fmt: skip


def test_a_failing_participant_is_counted_and_does_not_stop_the_group(study):
    submit.run(parse(study / "bids", study / "out"))
    assert run_mode(study, "participant", task=1).returncode == 0
    assert run_mode(study, "participant", task=3).returncode == 3
    done = run_mode(study, "group")
    assert done.returncode == 1
    assert calls(study, "run-group")
    assert (script_of(study).parent / "exit-codes.tsv").read_text() == (
        "participant_id\texit_code\nsub-01\t0\nsub-02\tn/a\nsub-bad\t3\n"
    )
    assert "participants: 3, without error: 1, failed: 1, killed: 1" in done.stdout
    assert "bad (3)" in done.stdout
    assert "(time or memory limit, or cancelled): 02" in done.stdout


def test_all_well_ends_in_zero(study):
    submit.run(parse(study / "bids", study / "out", "--participant-label", "sub-01", "02"))
    for task in (1, 2):
        run_mode(study, "participant", task=task)
    done = run_mode(study, "group")
    assert done.returncode == 0
    assert "participants: 2, without error: 2, failed: 0, killed: 0" in done.stdout


def test_old_exit_codes_do_not_survive_a_new_submission(study):
    submit.run(parse(study / "bids", study / "out"))
    run_mode(study, "participant", task=1)
    assert run_mode(study, "submit").returncode == 0
    assert list((script_of(study).parent / "codes").iterdir()) == []


def test_by_hand_the_script_finds_the_participants_itself(study):
    submit.run(parse(study / "bids", study / "out", "--dry-run"))
    (script_of(study).parent / "participants.txt").unlink()
    assert run_mode(study, "submit").returncode == 0
    assert (script_of(study).parent / "participants.txt").read_text() == "01\n02\n03\nbad\n"


def test_refusal_of_slurm_is_reported(study, monkeypatch):
    monkeypatch.setenv("REFUSE", "1")
    with pytest.raises(StudyError, match="invalid partition"):
        submit.run(parse(study / "bids", study / "out", "--partition", "none"))


def test_without_sbatch_the_message_says_what_to_do(study, monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(StudyError, match="login node"):
        submit.run(parse(study / "bids", study / "out"))


@pytest.mark.parametrize(
    ("words", "message"),
    [(("--participant-label", "99"), "no MRS data of 99"), (("--participant-label", "03"), "no MRS data of 03")],
)
def test_unknown_participants_are_refused(study, words, message):
    with pytest.raises(StudyError, match=message):
        submit.run(parse(study / "bids", study / "out", *words))


def test_wrong_folders_are_refused(study, tmp_path):
    with pytest.raises(StudyError, match="no such BIDS folder"):
        submit.run(parse(tmp_path / "nothing", study / "out"))
    with pytest.raises(StudyError, match="no participant has an mrs folder"):
        submit.run(parse(study / "bids" / "code", study / "out"))
    with pytest.raises(StudyError, match="meaning of its own"):
        submit.run(parse(study / "bids", study / "out%j"))


def test_container_command_binds_parents_first_and_input_read_only(tmp_path):
    args = parse(tmp_path / "data" / "bids", tmp_path / "data" / "out", "--container", "docker://x/y")
    assert submit.command(args, {}) == (
        "apptainer", "run", "--cleanenv", "--no-home",
        "--bind", f"{tmp_path}/data:{tmp_path}/data:rw",
        "--bind", f"{tmp_path}/data/bids:{tmp_path}/data/bids:ro",
        "--bind", f"{tmp_path}/data/out:{tmp_path}/data/out:rw",
        "docker://x/y",
    )  # fmt: skip


def test_container_refuses_paths_it_cannot_bind(tmp_path):
    with pytest.raises(StudyError, match="cannot stand in a path"):
        submit.command(parse(tmp_path / "a:b", tmp_path / "out", "--container", "x.sif"), {})


def test_default_command_is_this_installation(tmp_path):
    assert submit.command(parse(tmp_path, tmp_path / "out"), {}) == (sys.executable, "-m", "mrs_pipeline.cli", "run")
