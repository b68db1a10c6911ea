"""The conversion of scanner files to BIDS: converters and staging in parallel chunks, then one careful publication."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mrs_pipeline.workflows.convert_plan import Line, Plan, make_plan
from mrs_pipeline.workflows.convert_publish import publish, read_staged, sorted_lines, write_table, write_top_files
from mrs_pipeline.workflows.processes import process_pool

from mrs_pipeline.bids import participants_table, read_table
from mrs_pipeline.config import Study
from mrs_pipeline.interfaces.convert_jobs import ConvertJob, Problem, Staged, job_to_dict

os.environ["NO_ET"] = "1"

CHUNK = 32
"""Most conversions per workflow: progress is said after each; its one process imports the converters once."""


@dataclass(frozen=True)
class ConvertRequest:
    """What to convert, where to, and how.

    Parameters
    ----------
    scanner_dir, bids_dir
        Folder of scanner files; dataset, made when absent.
    study, study_path
        Settings, and the file they came from.
    participants
        Table with further columns for ``participants.tsv``.
    conjugate
        Globs of mirrored files; empty means all, ``None`` only what the rules say.
    overwrite
        Replace files that are there with other content.
    nprocs
        Processes.
    """

    scanner_dir: Path
    bids_dir: Path
    study: Study
    study_path: Path | None = None
    participants: Path | None = None
    conjugate: tuple[str, ...] | None = None
    overwrite: bool = False
    nprocs: int = 1


@dataclass(frozen=True)
class ConvertOutcome:
    """The conversion table, and where it was written."""

    lines: tuple[Line, ...]
    table: Path

    @property
    def failed(self) -> int:
        """Number of files that a rule meant and that gave nothing."""
        return sum(line.status == "failed" for line in self.lines)


def init_convert_wf(*, jobs: Sequence[ConvertJob], base_dir: Path, name: str = "convert_wf") -> Any:  # noqa: ANN401
    """Build the workflow that converts a chunk of scanner files.

    Scanner files were converted to NIfTI-MRS with spec2nii (Clarke et al. 2022, doi:10.1002/mrm.29418).

    Parameters
    ----------
    jobs
        The conversions.
    base_dir
        Working folder.
    name
        Name of the workflow.

    Inputs
    ------
    jobs_file
        The jobs as JSON (set here).

    Outputs
    -------
    staged_file
        JSON of the files staged and of the problems.
    """
    from nipype.interfaces.utility import IdentityInterface
    from nipype.pipeline import engine as pe

    from mrs_pipeline.interfaces.convert import PrepareConverters, RunConverters, StageFiles

    base_dir.mkdir(parents=True, exist_ok=True)
    jobs_file = base_dir / f"{name}_jobs.json"
    jobs_file.write_text(json.dumps([job_to_dict(job) for job in jobs], indent=1), encoding="utf-8")
    workflow = pe.Workflow(name=name, base_dir=str(base_dir))
    inputnode = pe.Node(IdentityInterface(fields=["jobs_file"]), name="inputnode")
    inputnode.inputs.jobs_file = str(jobs_file)
    prepare = pe.Node(PrepareConverters(), name="prepare")
    convert = pe.Node(RunConverters(), name="convert")
    stage = pe.Node(StageFiles(), name="stage")
    outputnode = pe.Node(IdentityInterface(fields=["staged_file"]), name="outputnode")
    workflow.connect(
        [
            (inputnode, prepare, [("jobs_file", "jobs_file")]),
            (inputnode, stage, [("jobs_file", "jobs_file")]),
            (prepare, convert, [("commands_file", "commands_file")]),
            (prepare, stage, [("folder", "folder")]),
            (convert, stage, [("results_file", "results_file")]),
            (stage, outputnode, [("staged_file", "staged_file")]),
        ]
    )
    return workflow


def run_chunk(jobs: Sequence[ConvertJob], base_dir: Path, name: str) -> Path:
    """Convert a chunk and return the file that says what became of it."""
    from mrs_pipeline.workflows.config import configure_nipype, run_linear

    configure_nipype(base_dir / "crash")
    run_linear(init_convert_wf(jobs=jobs, base_dir=base_dir, name=name))
    return base_dir / name / "stage" / "staged.json"


def convert(request: ConvertRequest, progress: Callable[[str], None]) -> ConvertOutcome:
    """Convert a folder of scanner files.

    Parameters
    ----------
    request
        What, where to and how.
    progress
        Called with one line of text at a time.

    Raises
    ------
    StudyError
        Nothing can be converted as asked; see :func:`mrs_pipeline.workflows.convert_plan.make_plan`.
    """
    plan = make_plan(request.scanner_dir, request.study, request.conjugate, request.bids_dir)
    for table in (request.participants, request.bids_dir / "participants.tsv"):
        if table is not None and table.is_file():  # one that cannot be used stops the run before it starts
            participants_table([], None, read_table(table), table)
    with tempfile.TemporaryDirectory(prefix="mrs-convert-") as work:
        staged, problems = _convert_all(plan, Path(work), request.nprocs, progress)
        lines, done = publish(
            request.bids_dir,
            plan.jobs,
            staged,
            problems,
            overwrite=request.overwrite,
            needs_t1w=request.study.tissue.needs_t1w,
        )
    write_top_files(request.bids_dir, request.study, request.study_path, request.participants, done)
    every = sorted_lines([*plan.lines, *lines])
    return ConvertOutcome(tuple(every), write_table(request.bids_dir, every))


def _convert_all(
    plan: Plan, work: Path, nprocs: int, progress: Callable[[str], None]
) -> tuple[list[Staged], list[Problem]]:
    """Run all chunks, in this process or in several."""
    chunks = _chunks(plan.jobs, nprocs)
    staged: list[Staged] = []
    problems: list[Problem] = []
    counted = 0

    def take(result: Path, chunk: Sequence[ConvertJob]) -> None:
        nonlocal counted
        files, bad = read_staged(result)
        staged.extend(files)
        problems.extend(bad)
        counted += len(chunk)
        progress(f"converted {counted - len(problems)} of {len(plan.jobs)}, {len(problems)} failed")

    if nprocs == 1 or len(chunks) == 1:
        for number, chunk in enumerate(chunks):
            take(run_chunk(chunk, work, f"chunk{number}"), chunk)
        return staged, problems
    with process_pool(nprocs) as pool:
        waiting = {pool.submit(run_chunk, chunk, work, f"chunk{k}"): chunk for k, chunk in enumerate(chunks)}
        for future in as_completed(waiting):
            take(future.result(), waiting[future])
    return staged, problems


def _chunks(jobs: Sequence[ConvertJob], nprocs: int) -> list[Sequence[ConvertJob]]:
    """Divide jobs evenly over the processes, at most :data:`CHUNK` at a time."""
    if not jobs:
        return []
    size = max(1, min(CHUNK, -(-len(jobs) // nprocs)))
    return [jobs[start : start + size] for start in range(0, len(jobs), size)]
