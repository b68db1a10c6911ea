"""``mrs-pipeline submit`` on a real SLURM of one node, started here on the loopback address.

The participant command is a stand-in: these tests are about the scheduler. Needs root and ``make system-deps``.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mrs_pipeline.cli import main, submit

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.xdist_group("cluster")]

PROGRAMS = ("sbatch", "scontrol", "slurmctld", "slurmd", "munged", "runuser")
PATIENCE = 60.0
CONFIGURATION = """\
ClusterName=test
SlurmctldHost=localhost(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={root}/munge/munge.socket
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
StateSaveLocation={root}/state
SlurmdSpoolDir={root}/spool
SlurmctldPidFile={root}/slurmctld.pid
SlurmdPidFile={root}/slurmd.pid
SlurmctldLogFile={root}/slurmctld.log
SlurmdLogFile={root}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerType=sched/backfill
SchedulerParameters=sched_min_interval=0,batch_sched_delay=0,sched_interval=1,bf_interval=1
DefMemPerCPU=200
MailProg=/bin/true
ReturnToService=2
SlurmctldTimeout=30
SlurmdTimeout=30
InactiveLimit=0
KillWait=5
MinJobAge=300
NodeName=localhost NodeAddr=127.0.0.1 NodeHostname=localhost CPUs={cpus} RealMemory={memory} State=UNKNOWN
PartitionName=main Nodes=localhost Default=YES MaxTime=INFINITE State=UP
"""
STUB = """\
import json, os, signal, sys, time
level = sys.argv[3]
label = sys.argv[5] if level == "participant" else "group"
record = {"argv": sys.argv[1:], "threads": os.environ["OMP_NUM_THREADS"], "start": time.time()}
if label == "killed":
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(30)
time.sleep(0.5)
with open(os.path.join(sys.argv[2], "ran-" + label), "w") as stream:
    json.dump({**record, "end": time.time()}, stream)
sys.exit(7 if label == "bad" else 0)
"""


def free_ports():
    with socket.socket() as first, socket.socket() as second:
        first.bind(("127.0.0.1", 0))
        second.bind(("127.0.0.1", 0))
        return first.getsockname()[1], second.getsockname()[1]


def wait_for(condition, what):
    deadline = time.monotonic() + PATIENCE
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what} within {PATIENCE:.0f} s"
        time.sleep(0.2)
    return value


def start_munge(root):
    """Start an authentication daemon with a key, socket and user of its own."""
    folder = root / "munge"
    folder.mkdir(mode=0o755)
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)
    for path in (folder, key):
        shutil.chown(path, "munge", "munge")
    subprocess.run(
        [
            "runuser", "-u", "munge", "--", shutil.which("munged"), "--force", f"--key-file={key}",
            f"--socket={folder}/munge.socket", f"--pid-file={folder}/munged.pid", f"--log-file={folder}/munged.log",
            f"--seed-file={folder}/munged.seed",
        ],
        check=True,
    )  # fmt: skip
    wait_for((folder / "munged.pid").exists, "munged to start")
    return int((folder / "munged.pid").read_text())


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A running one-node SLURM; the environment points the client programs at it."""
    absent = [name for name in PROGRAMS if shutil.which(name) is None]
    if absent:
        pytest.skip(f"no SLURM here: {', '.join(absent)} not installed (make system-deps)")
    if os.geteuid() != 0:
        pytest.skip("a local SLURM needs root")
    root = Path("/tmp") / f"mrs-slurm-{os.getpid()}"  # noqa: S108  munge refuses the private parents of pytest's folders
    for name in ("state", "spool"):
        (root / name).mkdir(parents=True)
    root.chmod(0o755)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    text = CONFIGURATION.format(
        root=root, ports=free_ports(), cpus=min(2, os.cpu_count()), memory=min(4000, memory // 2)
    )
    (root / "slurm.conf").write_text(text)
    before = {name: os.environ.get(name) for name in ("SLURM_CONF", "LOGNAME")}
    os.environ.update(SLURM_CONF=str(root / "slurm.conf"), LOGNAME="root")
    munge = start_munge(root)
    try:
        subprocess.run(["slurmctld"], check=True)
        subprocess.run(["slurmd", "-N", "localhost"], check=True)
        wait_for(lambda: re.search("State=(IDLE|MIXED)", show("node", "localhost")), "the node to become idle")
        yield root
    finally:
        stop(root, munge)
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})


def stop(root, munge):
    """Stop exactly the daemons that were started here."""
    subprocess.run(["scontrol", "shutdown"], capture_output=True, check=False)
    time.sleep(1)
    pids = [int(path.read_text()) for name in ("slurmd", "slurmctld") if (path := root / f"{name}.pid").exists()]
    for pid in (*pids, munge):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    shutil.rmtree(root, ignore_errors=True)


def show(kind, name):
    return subprocess.run(["scontrol", "show", kind, str(name)], capture_output=True, text=True, check=False).stdout


def job_state(number):
    return set(re.findall(r"JobState=(\w+)", show("job", number)))


@pytest.fixture
def study(cluster, tmp_path, monkeypatch):
    for label in ("01", "02", "03", "bad", "killed"):
        (tmp_path / "a study" / "bids" / f"sub-{label}" / "mrs").mkdir(parents=True)
    stub = tmp_path / "stub.py"
    stub.write_text(STUB)
    monkeypatch.setenv(submit.COMMAND_VARIABLE, f"{sys.executable} {stub}")
    return tmp_path / "a study"


def submit_study(study, capsys, *words):
    (study / "out").mkdir(exist_ok=True)
    resources = ("--mem", "100M", "--time", "00:05:00")
    assert main(["submit", str(study / "bids"), str(study / "out"), *resources, *words]) == 0
    said = capsys.readouterr().out
    return [int(number) for number in re.findall(r"job (\d+)", said)]


def test_failing_and_killed_participants_do_not_stop_the_group(study, capsys):
    array, group = submit_study(study, capsys, "--array-limit", "2", "--partition", "main")
    wait_for(lambda: job_state(group) & {"COMPLETED", "FAILED"}, "the group job to end")
    logs = study / "out" / "logs" / "slurm-1"
    assert (logs / "exit-codes.tsv").read_text() == (
        "participant_id\texit_code\nsub-01\t0\nsub-02\t0\nsub-03\t0\nsub-bad\t7\nsub-killed\tn/a\n"
    )
    said = (logs / f"group-{group}.log").read_text()
    assert "participants: 5, without error: 3, failed: 1, killed: 1" in said
    assert "bad (7)" in said
    assert "group level: exit code 0" in said
    assert job_state(group) == {"FAILED"}
    assert {"COMPLETED", "FAILED"} <= job_state(array)
    ran = {path.name[4:]: json.loads(path.read_text()) for path in (study / "out").glob("ran-*")}
    assert set(ran) == {"01", "02", "03", "bad", "group"}
    assert ran["01"]["argv"] == [str(study / "bids"), str(study / "out"), "participant", "--participant-label", "01"]
    assert ran["01"]["threads"] == "1"
    assert ran["group"]["start"] >= max(run["end"] for label, run in ran.items() if label != "group")
    assert len(list(logs.glob(f"participant-{array}_*.log"))) == 5


def test_all_well_completes(study, capsys):
    _array, group = submit_study(study, capsys, "--participant-label", "01", "02")
    wait_for(lambda: job_state(group) & {"COMPLETED", "FAILED"}, "the group job to end")
    assert job_state(group) == {"COMPLETED"}


def test_the_script_can_be_run_again_by_hand(study, capsys):
    _array, group = submit_study(study, capsys, "--participant-label", "01")
    wait_for(lambda: job_state(group) & {"COMPLETED", "FAILED"}, "the group job to end")
    (study / "out" / "ran-group").unlink()
    script = study / "out" / "logs" / "slurm-1" / "slurm_array.sh"
    done = subprocess.run(["bash", script], capture_output=True, text=True, check=True)
    again = int(re.findall(r"group job (\d+)", done.stdout)[0])
    wait_for(lambda: job_state(again) & {"COMPLETED", "FAILED"}, "the second group job to end")
    assert (study / "out" / "ran-group").exists()
