"""``mrs-pipeline submit``: the participants as a SLURM array job, then the group level.

The command fills in one shell script, ``OUT_DIR/logs/slurm-N/slurm_array.sh``, and runs it; the script is the whole
truth about what was submitted and can be edited and run again by hand. The script shipped here is whole, with example
settings (``containers/slurm_array.sh`` links to it); the command replaces its settings and nothing else.
"""

from __future__ import annotations

import argparse
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mrs_pipeline.cli.arguments import add_labels, positive
from mrs_pipeline.errors import StudyError

COMMAND_VARIABLE = "MRS_PIPELINE_COMMAND"
"""Environment variable that replaces the command of the jobs, for example ``srun --mpi=none mrs-pipeline run``."""

MAX_TASKS = 1000
"""Largest array of a default SLURM installation (MaxArraySize 1001)."""


@dataclass(frozen=True)
class Plan:
    """Everything the script needs; lists are arguments, not shell text."""

    bids_dir: Path
    out_dir: Path
    log_dir: Path
    run: tuple[str, ...]
    options: tuple[str, ...] = ()
    participant_options: tuple[str, ...] = ()
    sbatch: tuple[str, ...] = ()
    participant_resources: tuple[str, ...] = ("--time=02:00:00", "--mem=4G", "--cpus-per-task=1")
    group_resources: tuple[str, ...] = ("--time=01:00:00", "--mem=4G", "--cpus-per-task=1")
    array_limit: int = 50
    group: bool = True


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the ``submit`` command."""
    parser = subparsers.add_parser(
        "submit",
        help="run on a cluster: one participant a task, then the group level",
        description="Write a SLURM array script into OUTPUT_DIR/logs and submit it: one participant a task, then the "
        "group level once every task has ended, failed ones included.",
    )
    parser.add_argument("bids_dir", type=Path, help="BIDS dataset, on a file system every node sees")
    parser.add_argument("output_dir", type=Path, help="folder of the derivatives, on a file system every node sees")
    parser.add_argument("--scheduler", choices=("slurm",), default="slurm", help="only slurm so far")
    parser.add_argument("--dry-run", action="store_true", help="write the script, print it, submit nothing")
    parser.add_argument("--no-group", action="store_true", help="participants only")
    _add_selection(parser.add_argument_group("what to process"))
    _add_resources(parser.add_argument_group("what to ask the scheduler for"))
    _add_container(parser.add_argument_group("container"))


def _add_selection(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--study", "--config-file", type=Path, metavar="FILE", help="study.toml")
    add_labels(group.add_argument)
    group.add_argument("--derivatives", type=Path, metavar="DIR", help="existing tissue maps")
    group.add_argument("-w", "--work-dir", type=Path, metavar="DIR", help="working folder, best on a node's own disk")


def _add_resources(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--partition", metavar="NAME", help="partition; default: the cluster's")
    group.add_argument("--account", metavar="NAME", help="account to charge")
    group.add_argument(
        "--time", default="02:00:00", metavar="HH:MM:SS", help="time limit of a participant [%(default)s]"
    )
    group.add_argument("--mem", default="4G", metavar="SIZE", help="memory of a participant [%(default)s]")
    group.add_argument("--cpus", type=positive, default=1, metavar="N", help="CPUs of a participant [%(default)s]")
    group.add_argument("--array-limit", type=positive, default=50, metavar="N", help="tasks at a time [%(default)s]")
    group.add_argument(
        "--sbatch-option", action="append", default=[], metavar="OPT", help="such as =--qos=low; repeatable"
    )


def _add_container(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--container", metavar="IMAGE", help="run inside this image, for example mrs-pipeline.sif")
    group.add_argument("--container-runtime", choices=("apptainer", "singularity"), default="apptainer")


def run(args: argparse.Namespace) -> int:
    """Write the script and submit it; return 0, or 2 when it cannot be submitted."""
    import os

    labels = participants(args.bids_dir, args.participant_label)
    plan = make_plan(args, new_log_dir(args.output_dir), os.environ)
    script = write_script(plan, labels)
    if args.dry_run:
        print(script.read_text(encoding="utf-8"))
        print(f"# {len(labels)} participants; nothing was submitted. To submit: bash {shlex.quote(str(script))}")
        return 0
    print(submit(script), end="")
    print(f"script, logs and exit codes: {plan.log_dir}")
    return 0


def participants(bids_dir: Path, wanted: Sequence[str] | None) -> list[str]:
    """Return the labels of the participants with an ``mrs`` folder, or those of them that are wanted.

    Raises
    ------
    StudyError
        No such folder, nobody in it, an unknown label, or more participants than an array job takes.
    """
    if not bids_dir.is_dir():
        raise StudyError("there is no such BIDS folder", remedy="check the first argument", path=bids_dir)
    found = sorted({path.relative_to(bids_dir).parts[0][4:] for path in _mrs_folders(bids_dir)})
    labels = found if wanted is None else [label.removeprefix("sub-") for label in wanted]
    unknown = sorted(set(labels) - set(found))
    if unknown:
        raise StudyError(f"no MRS data of {', '.join(unknown)}", remedy="check --participant-label", path=bids_dir)
    if not labels:
        raise StudyError("no participant has an mrs folder", remedy="run 'mrs-pipeline convert' first", path=bids_dir)
    if len(labels) > MAX_TASKS:
        raise StudyError(
            f"{len(labels)} participants are more than the {MAX_TASKS} tasks of an array job",
            remedy="submit them in parts with --participant-label and --no-group, then run the group level",
        )
    return list(dict.fromkeys(labels))


def _mrs_folders(bids_dir: Path) -> list[Path]:
    return [path for pattern in ("sub-*/mrs", "sub-*/ses-*/mrs") for path in bids_dir.glob(pattern) if path.is_dir()]


def new_log_dir(out_dir: Path) -> Path:
    """Make and return ``OUT_DIR/logs/slurm-N`` with the first free N."""
    logs = out_dir.resolve() / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    number = 1
    while True:
        try:
            (logs / f"slurm-{number}").mkdir()
        except FileExistsError:
            number += 1
        else:
            return logs / f"slurm-{number}"


def make_plan(args: argparse.Namespace, log_dir: Path, environment: Mapping[str, str]) -> Plan:
    """Return the plan behind the command line; every path is made absolute."""
    bids_dir, out_dir = args.bids_dir.resolve(), args.output_dir.resolve()
    for path in (bids_dir, out_dir):
        if "%" in str(path):
            raise StudyError("SLURM gives '%' in a path a meaning of its own", remedy="rename the folder", path=path)
    sbatch = [f"--{name}={value}" for name in ("partition", "account") if (value := getattr(args, name))]
    resources = (f"--mem={args.mem}", f"--cpus-per-task={args.cpus}")
    return Plan(
        bids_dir=bids_dir,
        out_dir=out_dir,
        log_dir=log_dir,
        run=command(args, environment),
        options=_path_options(args, ("study", "derivatives")),
        participant_options=_path_options(args, ("work_dir",)) + _session_option(args),
        sbatch=(*sbatch, *args.sbatch_option),
        participant_resources=(f"--time={args.time}", *resources),
        group_resources=(f"--time={args.time}", f"--mem={args.mem}", "--cpus-per-task=1"),
        array_limit=args.array_limit,
        group=not args.no_group,
    )


def _path_options(args: argparse.Namespace, names: Sequence[str]) -> tuple[str, ...]:
    """Return the path options that were given, as arguments with absolute paths."""
    given = [(f"--{name.replace('_', '-')}", getattr(args, name)) for name in names if getattr(args, name) is not None]
    return tuple(part for flag, path in given for part in (flag, str(path.resolve())))


def _session_option(args: argparse.Namespace) -> tuple[str, ...]:
    return () if args.session_label is None else ("--session-label", *args.session_label)


def command(args: argparse.Namespace, environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the command of the jobs, up to the BIDS folder.

    :data:`COMMAND_VARIABLE` comes first, then ``--container``, then this very installation: the interpreter that runs
    now, so that a virtual environment needs no activation on the nodes.
    """
    if environment.get(COMMAND_VARIABLE):
        return tuple(shlex.split(environment[COMMAND_VARIABLE]))
    if args.container is None:
        return (sys.executable, "-m", "mrs_pipeline.cli", "run")
    return (args.container_runtime, "run", "--cleanenv", "--no-home", *_binds(args), _image(args.container))


def _image(name: str) -> str:
    """Return an image file as an absolute path, a registry address as it is."""
    return name if "://" in name else str(Path(name).resolve())


def _binds(args: argparse.Namespace) -> list[str]:
    """Return the bind options, parents first: what is read is mounted read-only, at the path it has outside."""
    work = args.output_dir.resolve().parent if args.work_dir is None else args.work_dir
    read = [path for path in (args.bids_dir, args.study, args.derivatives) if path is not None]
    modes = {str(path.resolve()): "ro" for path in read} | {
        str(path.resolve()): "rw" for path in (args.output_dir, work)
    }
    for path in modes:
        if re.search("[,:]", path):
            raise StudyError("',' and ':' cannot stand in a path bound into a container", remedy="rename it", path=path)
    return [part for path in sorted(modes) for part in ("--bind", f"{path}:{path}:{modes[path]}")]


def render_script(plan: Plan) -> str:
    """Return the script with the plan's settings in place of the examples, every value quoted for the shell."""
    values = {
        "BIDS_DIR": shlex.quote(str(plan.bids_dir)),
        "OUT_DIR": shlex.quote(str(plan.out_dir)),
        "LOG_DIR": shlex.quote(str(plan.log_dir)),
        "RUN": f"({shlex.join(plan.run)})",
        "OPTIONS": f"({shlex.join(plan.options)})",
        "PARTICIPANT_OPTIONS": f"({shlex.join(plan.participant_options)})",
        "SBATCH": f"({shlex.join(plan.sbatch)})",
        "PARTICIPANT_RESOURCES": f"({shlex.join(plan.participant_resources)})",
        "GROUP_RESOURCES": f"({shlex.join(plan.group_resources)})",
        "ARRAY_LIMIT": str(plan.array_limit),
        "GROUP": "yes" if plan.group else "no",
    }
    text = (Path(__file__).parent / "templates" / "slurm_array.sh").read_text(encoding="utf-8")
    lines = text.split("\n")
    for index, line in enumerate(lines):
        name, _, _ = line.partition("=")
        if name in values:
            lines[index] = f"{name}={values.pop(name)}"
    assert not values, f"the script lacks {', '.join(values)}"
    return "\n".join(lines)


def write_script(plan: Plan, labels: Sequence[str]) -> Path:
    """Write the script and the list of participants into the log folder and return the script's path."""
    (plan.log_dir / "participants.txt").write_text("".join(f"{label}\n" for label in labels), encoding="utf-8")
    script = plan.log_dir / "slurm_array.sh"
    script.write_text(render_script(plan), encoding="utf-8")
    script.chmod(0o755)
    return script


def submit(script: Path) -> str:
    """Run the script, which submits itself, and return what it printed.

    Raises
    ------
    StudyError
        There is no ``sbatch`` here, or SLURM refused a job.
    """
    import shutil

    if shutil.which("sbatch") is None:
        raise StudyError(
            "sbatch is not on PATH, so nothing can be submitted from here",
            remedy=f"run 'bash {shlex.quote(str(script))}' on a login node of the cluster, or use 'mrs-pipeline run'",
            path=script,
        )
    done = subprocess.run(["bash", str(script)], capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().replace("\n", "; ")
        already = f" (already submitted: {done.stdout.strip()})" if done.stdout.strip() and done.stderr else ""
        raise StudyError(
            f"SLURM refused the job: {said}{already}",
            remedy="correct the options, or edit the script and run it with bash",
            path=script,
        )
    return done.stdout
