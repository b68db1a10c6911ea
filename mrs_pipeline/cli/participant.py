"""The participant level: in how many processes, with progress and an exit code."""

from __future__ import annotations

import argparse
import sys
import time
from concurrent.futures import Future, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from mrs_pipeline import __version__
from mrs_pipeline.cli.output import prepare_output, prepare_work, write_log
from mrs_pipeline.cli.selection import select_jobs
from mrs_pipeline.config import Study

if TYPE_CHECKING:
    from collections.abc import Generator

    from mrs_pipeline.workflows.job import ParticipantJob, ScanOutcome

    Finished = Generator[tuple[ParticipantJob, list[ScanOutcome]], None, None]

MEMORY_PER_PROCESS_MB = 1500
"""Memory one participant needs at most (T1w segmentation; a fit alone stays under 600 MB)."""


def run_participants(args: argparse.Namespace, study: Study, study_path: Path | None) -> int:
    """Process the selected participants and return the exit code (0 all have a result, 1 some failed)."""
    jobs = select_jobs(args, study)
    if args.dry_run:
        _say_plan(jobs)
        return 0
    prepare_output(args, study)
    prepare_work(jobs, reports_only=args.reports_only)
    n_scans, n_workers = sum(len(job.scans) for job in jobs), _n_workers(args, jobs)
    print(f"mrs-pipeline {__version__}: {n_scans} scans of {len(jobs)} participants, {n_workers} at a time")
    start = time.monotonic()
    outcomes: list[ScanOutcome] = []
    with closing(run_jobs(jobs, n_workers)) as finished:
        for done, (job, of_job) in enumerate(finished, 1):
            outcomes += of_job
            _say_participant(job, of_job, f"[{done}/{len(jobs)}]", verbose=bool(args.verbose))
            if args.stop_on_first_crash and _failed(outcomes):
                break
    write_log(args, study_path, outcomes, time.monotonic() - start)
    return _summarise(args, outcomes, n_scans)


def _say_plan(jobs: list[ParticipantJob]) -> None:
    for scan in (scan for job in jobs for scan in job.scans):
        print(f"would run {scan.key}: {scan.svs.name}, water {_name(scan.conc)}, T1w {_name(scan.t1w)}")


def run_jobs(jobs: list[ParticipantJob], n_workers: int) -> Finished:
    """Run jobs in fresh processes and yield each as it ends; a process that dies costs only its own participant."""
    from mrs_pipeline.workflows.processes import process_pool

    suspects: list[ParticipantJob] = []
    with process_pool(n_workers) as pool:
        futures: dict[Future[list[ScanOutcome]], ParticipantJob] = {pool.submit(_work, job): job for job in jobs}
        for future in as_completed(futures):
            try:
                yield futures[future], future.result()
            except BrokenProcessPool:
                suspects.append(futures[future])
    for job in sorted(suspects, key=lambda j: j.participant_id):
        yield job, _run_alone(job)


def _run_alone(job: ParticipantJob) -> list[ScanOutcome]:
    """Run one participant in a process of its own, after a process died with several in flight."""
    from mrs_pipeline.workflows.participant import record_dead_process
    from mrs_pipeline.workflows.processes import process_pool

    with process_pool(1) as pool:
        try:
            return pool.submit(_work, job).result()
        except BrokenProcessPool:
            return record_dead_process(job)


def _work(job: ParticipantJob) -> list[ScanOutcome]:
    """Process one participant; top level, so that a spawned process can import it."""
    from mrs_pipeline.workflows.participant import run_participant

    return run_participant(job)


def _name(path: Path | None) -> str:
    return "none" if path is None else path.name


def _n_workers(args: argparse.Namespace, jobs: list[ParticipantJob]) -> int:
    by_memory: int = max(1, args.mem_mb // MEMORY_PER_PROCESS_MB) if args.mem_mb else args.nprocs
    wanted: int = args.nprocs
    return max(1, min(wanted, by_memory, len(jobs)))


def _failed(outcomes: list[ScanOutcome]) -> list[ScanOutcome]:
    return [outcome for outcome in outcomes if outcome.status == "failed"]


def _say_participant(job: ParticipantJob, outcomes: list[ScanOutcome], count: str, *, verbose: bool) -> None:
    words = f"{len(outcomes) - len(_failed(outcomes))} of {len(outcomes)} scans have a result"
    print(f"{count} {job.participant_id}: {words}", flush=True)
    for outcome in outcomes:
        if outcome.status == "failed":
            print(f"    {outcome.key} FAILED: {outcome.words}", file=sys.stderr, flush=True)
        elif verbose:
            print(f"    {outcome.key}: {outcome.words}", flush=True)


def _summarise(args: argparse.Namespace, outcomes: list[ScanOutcome], n_scans: int) -> int:
    failed, done = len(_failed(outcomes)), len(outcomes)
    print(
        f"{done - failed} of {max(n_scans, done)} scans have a result, {failed} failed; "
        f"reports are in {args.output_dir}"
    )
    return 1 if failed or done < n_scans else 0
