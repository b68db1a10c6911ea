"""The participant level: which scans, in how many processes, with progress, logs and an exit code."""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import shutil
import sys
import time
from concurrent.futures import Future, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from mrs_pipeline import __version__
from mrs_pipeline.config import Study
from mrs_pipeline.errors import StudyError

if TYPE_CHECKING:
    from collections.abc import Generator

    from mrs_pipeline.bids import Scan
    from mrs_pipeline.workflows.job import ParticipantJob, ScanOutcome, Unconverted

    Finished = Generator[tuple[ParticipantJob, list[ScanOutcome]], None, None]

MEMORY_PER_PROCESS_MB = 1500
"""Memory one participant needs at most (T1w segmentation; a fit alone stays under 600 MB)."""
DESCRIPTION = {
    "Name": "mrs-pipeline derivatives",
    "BIDSVersion": "1.10.0",
    "DatasetType": "derivative",
    "GeneratedBy": [{"Name": "mrs-pipeline", "Version": __version__}],
}


BIDSIGNORE = (
    "*_report.html",
    "*_mrs.*",
    "*_svs.*",
    "*_mrsref.*",
    "*_mask.*",
    "*_probseg.*",
    "logs/",
    "work/",
    "group/",
    "study.toml",
)
"""What the validator cannot know: the standard has no derivatives of spectroscopy yet."""


@dataclass
class Tally:
    """Outcomes so far."""

    outcomes: list[ScanOutcome] = field(default_factory=list)

    def count(self, status: str) -> int:
        """Count the scans with a status."""
        return sum(outcome.status == status for outcome in self.outcomes)


def run_participants(args: argparse.Namespace, study: Study, study_path: Path | None) -> int:
    """Process the selected participants and return the exit code (0 all have a result, 1 some failed)."""
    jobs = select_jobs(args, study)
    n_scans = sum(len(job.scans) for job in jobs)
    if args.dry_run:
        for job in jobs:
            for scan in job.scans:
                print(f"would run {scan.key}: {scan.svs.name}, water {_name(scan.conc)}, T1w {_name(scan.t1w)}")
        return 0
    _prepare_output(args, study)
    _prepare_work(jobs, reports_only=args.reports_only)
    print(
        f"mrs-pipeline {__version__}: {n_scans} scans of {len(jobs)} participants, {_n_workers(args, jobs)} at a time"
    )
    start = time.monotonic()
    tally = Tally()
    with closing(run_jobs(jobs, _n_workers(args, jobs))) as finished:
        for done, (job, outcomes) in enumerate(finished, 1):
            tally.outcomes += outcomes
            _say_participant(job, outcomes, f"[{done}/{len(jobs)}]", verbose=bool(args.verbose))
            if args.stop_on_first_crash and tally.count("failed"):
                break
    _write_log(args, study_path, tally, time.monotonic() - start)
    return _summarise(args, tally, n_scans)


def select_jobs(args: argparse.Namespace, study: Study) -> list[ParticipantJob]:
    """Return one job per participant with the scans asked for.

    Raises
    ------
    StudyError
        A participant, session or filter that matches nothing.
    """
    from mrs_pipeline.workflows.job import ParticipantJob

    unconverted = [item for item in failed_conversions(args.bids_dir) if _asked_for(item, args)]
    scans = _select_scans(args, study, unconverted)
    people = read_participants(args.bids_dir)
    found = sorted({scan.participant_id for scan in scans} | {item.participant_id for item in unconverted})
    if not found:
        raise StudyError(
            "no MRS scans match",
            remedy="check the labels, the filter file and [study] regions",
            path=args.bids_dir,
        )
    return [
        ParticipantJob(
            participant_id=person,
            scans=tuple(scan for scan in scans if scan.participant_id == person),
            unconverted=tuple(item for item in unconverted if item.participant_id == person),
            bids_dir=args.bids_dir.resolve(),
            out_dir=args.output_dir.resolve(),
            work_dir=work_dir(args),
            study=study,
            participant=people.get(person, {}),
            table=args.resolved["table"],
            basis_file=args.resolved["basis"],
            stop_on_first_crash=args.stop_on_first_crash,
            write_graph=args.write_graph,
        )
        for person in found
    ]


def _select_scans(args: argparse.Namespace, study: Study, unconverted: list[Unconverted]) -> list[Scan]:
    """Return the scans asked for and say which files are left aside, and why."""
    from mrs_pipeline.bids import survey

    root = args.bids_dir.resolve()
    without = {item.entities.sub for item in unconverted if not any(root.glob(f"{item.participant_id}/**/*_svs.nii*"))}
    labels = args.participant_label
    if labels is not None:  # a participant of whom nothing could be converted is known, although it has no scan
        labels = [label for label in labels if label.removeprefix("sub-") not in without]
    found = survey(root, labels, args.session_label)
    people = None if args.participant_label is None else {name.removeprefix("sub-") for name in args.participant_label}
    aside: dict[str, list[str]] = {}
    for item in found.skipped:
        name = item.path.relative_to(root)
        if people is None or name.parts[0].removeprefix("sub-") in people:
            aside.setdefault(item.reason, []).append(name.as_posix())
    for scan in found.scans:
        if not _in_regions(scan, study):
            known = ", ".join(study.study.regions)
            aside.setdefault(f"region '{scan.voi}' is not one of [study] regions ({known})", []).append(scan.key)
    for reason, names in aside.items():
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        print(f"left aside: {names[0]}{more}: {reason}", file=sys.stderr)
    filters = _filters(args.bids_filter_file)
    kept: list[Scan] = [scan for scan in found.scans if _in_regions(scan, study) and _passes(scan, filters)]
    return kept


def work_dir(args: argparse.Namespace) -> Path:
    """Return the working folder: --work-dir, else beside the output, else (where that may not be written) inside it."""
    out: Path = args.output_dir.resolve()
    if args.work_dir:
        given: Path = args.work_dir.resolve()
        return given
    beside = out.with_name(f"{out.name}-work")
    return beside if beside.is_dir() or os.access(out.parent, os.W_OK) else out / "work"


def read_participants(bids_dir: Path) -> dict[str, dict[str, str]]:
    """Rows of participants.tsv by participant, without any column that could reveal an arm."""
    from mrs_pipeline.stats import read_participants as read_blinded

    table, warnings = read_blinded(bids_dir)
    for sentence in warnings:
        print(f"warning: {sentence}", file=sys.stderr)
    rows = table.astype(object).where(table.notna(), None).to_dict(orient="records")
    return {str(row["participant_id"]): {str(k): str(v) for k, v in row.items() if v is not None} for row in rows}


def failed_conversions(bids_dir: Path) -> list[Unconverted]:
    """Metabolite scans that the conversion table says could not be brought into this dataset."""
    from mrs_pipeline.bids import parse_name
    from mrs_pipeline.workflows.job import Unconverted

    table = bids_dir / "code" / "conversion.tsv"
    if not table.is_file():
        return []
    with table.open(encoding="utf-8", newline="") as stream:
        rows = [
            row for row in csv.DictReader(stream, delimiter="\t") if row["status"] == "failed" and row["role"] == "svs"
        ]
    return [
        Unconverted(
            entities=parse_name(row["output"]).with_(suffix="", extension=""),
            problem=row["reason"],
            remedy=row["remedy"],
            file=row["source"],
        )
        for row in rows
        if row["output"] != "n/a" and not list(bids_dir.glob(f"**/{row['output']}"))
    ]


def _asked_for(item: Unconverted, args: argparse.Namespace) -> bool:
    """Whether a scan that was not converted is among the participants and sessions asked for."""
    asked = {"sub-": args.participant_label, "ses-": args.session_label}
    stated = {"sub-": item.entities.sub, "ses-": item.entities.ses}
    return all(
        labels is None or stated[prefix] in {label.removeprefix(prefix) for label in labels}
        for prefix, labels in asked.items()
    )


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


def _in_regions(scan: Scan, study: Study) -> bool:
    """Whether a scan is of a region of the study; one whose name states no region is."""
    return not study.study.regions or scan.voi is None or scan.voi in study.study.regions


def _passes(scan: Scan, filters: dict[str, object]) -> bool:
    """Whether a scan passes the filter file."""
    return all(getattr(scan, entity, None) in _as_list(value) for entity, value in filters.items())


def _as_list(value: object) -> list[object]:
    return list(value) if isinstance(value, list) else [value]


def _filters(filter_file: Path | None) -> dict[str, object]:
    """Entity filters of the ``svs`` query in a BIDS filter file."""
    if filter_file is None:
        return {}
    try:
        query = json.loads(filter_file.read_text(encoding="utf-8")).get("svs", {})
    except (OSError, ValueError, AttributeError) as error:
        raise StudyError(
            f"the filter file cannot be used ({error})",
            remedy='write JSON such as {"svs": {"voi": "acc"}}',
            path=filter_file,
        ) from error
    unknown = set(query) - {"voi", "acq", "run", "task", "session", "suffix", "datatype"}
    if unknown:
        raise StudyError(
            f"unknown entities {sorted(unknown)} in the filter",
            remedy="use voi, acq, run, task, session",
            path=filter_file,
        )
    return {key: value for key, value in query.items() if key not in {"suffix", "datatype"}}


def _n_workers(args: argparse.Namespace, jobs: list[ParticipantJob]) -> int:
    by_memory: int = max(1, args.mem_mb // MEMORY_PER_PROCESS_MB) if args.mem_mb else args.nprocs
    wanted: int = args.nprocs
    return max(1, min(wanted, by_memory, len(jobs)))


def _prepare_output(args: argparse.Namespace, study: Study) -> None:
    """Write what describes the derivatives as a whole, and empty the working folder if asked."""
    import tomli_w

    from mrs_pipeline.files import atomic_write

    if args.clean_workdir:
        shutil.rmtree(work_dir(args), ignore_errors=True)
    out = args.output_dir
    for folder, flag in ((out, "OUTPUT_DIR"), (work_dir(args), "--work-dir")):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StudyError(
                f"the folder cannot be made ({error.strerror})",
                remedy=f"give a folder you may write as {flag}",
                path=folder,
            ) from error
    settings = study.model_dump(mode="json", exclude_none=True)
    atomic_write(out / "study.toml", tomli_w.dumps(settings))
    atomic_write(out / "dataset_description.json", json.dumps(DESCRIPTION, indent=2) + "\n")
    atomic_write(out / ".bidsignore", "\n".join(BIDSIGNORE) + "\n")


def _prepare_work(jobs: list[ParticipantJob], *, reports_only: bool) -> None:
    """Empty the working folders that other software has written, and forget the reports where only they are wanted.

    Nipype knows by its inputs whether a node has to run again; that the code or a package has changed it does not see.

    Raises
    ------
    StudyError
        ``--reports-only`` where nothing has been computed, or by other software.
    """
    from mrs_pipeline.files import atomic_write
    from mrs_pipeline.interfaces.provenance import code_digest, package_versions

    stamp = json.dumps({"code": code_digest(), "versions": package_versions()}, indent=1) + "\n"
    for job in jobs:
        folder = job.work_dir / job.participant_id
        file = folder / "software.json"
        same = file.is_file() and file.read_text(encoding="utf-8") == stamp
        if reports_only and not same:
            state = "was computed by another version of the software" if file.is_file() else "has not been computed yet"
            raise StudyError(
                f"{job.participant_id} {state}, so there is nothing to write its reports from",
                remedy="run without --reports-only, or give the working folder of that run with --work-dir",
                path=folder,
            )
        if not same:
            shutil.rmtree(folder, ignore_errors=True)
            atomic_write(file, stamp)
        if reports_only:
            for report in folder.glob("*/report"):
                shutil.rmtree(report)


def _say_participant(job: ParticipantJob, outcomes: list[ScanOutcome], count: str, *, verbose: bool) -> None:
    bad = [outcome for outcome in outcomes if outcome.status == "failed"]
    words = f"{len(outcomes) - len(bad)} of {len(outcomes)} scans have a result"
    print(f"{count} {job.participant_id}: {words}", flush=True)
    for outcome in outcomes:
        if outcome.status == "failed":
            print(f"    {outcome.key} FAILED: {outcome.words}", file=sys.stderr, flush=True)
        elif verbose:
            print(f"    {outcome.key}: {outcome.words}", flush=True)


def _summarise(args: argparse.Namespace, tally: Tally, n_scans: int) -> int:
    failed = tally.count("failed")
    done = len(tally.outcomes)
    print(
        f"{done - failed} of {max(n_scans, done)} scans have a result, {failed} failed; "
        f"reports are in {args.output_dir}"
    )
    return 1 if failed or done < n_scans else 0


def _write_log(args: argparse.Namespace, study_path: Path | None, tally: Tally, seconds: float) -> None:
    """Record what ran, when and where: the only place with dates, host and command."""
    from mrs_pipeline.files import atomic_write
    from mrs_pipeline.interfaces.provenance import cpu_model, package_versions

    now = datetime.now(UTC)
    record = {
        "command": sys.argv,
        "study_file": None if study_path is None else str(study_path),
        "ended": now.isoformat(timespec="seconds"),
        "seconds": round(seconds, 1),
        "host": platform.node(),
        "cpu": cpu_model(),
        "versions": package_versions(),
        "scans": {outcome.key: {"status": outcome.status, "words": outcome.words} for outcome in tally.outcomes},
    }
    name = f"run-{now:%Y%m%dT%H%M%S%f}.json"
    atomic_write(args.output_dir / "logs" / name, json.dumps(record, indent=1) + "\n")
