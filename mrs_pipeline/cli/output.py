"""The output and working folders of the participant level: what describes them, what is stale, what ran when."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from mrs_pipeline import __version__
from mrs_pipeline.config import Study
from mrs_pipeline.errors import StudyError

if TYPE_CHECKING:
    from mrs_pipeline.workflows.job import ParticipantJob, ScanOutcome

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


def work_dir(args: argparse.Namespace) -> Path:
    """Return the working folder: --work-dir, else beside the output, else (where that may not be written) inside it."""
    out: Path = args.output_dir.resolve()
    if args.work_dir:
        given: Path = args.work_dir.resolve()
        return given
    beside = out.with_name(f"{out.name}-work")
    return beside if beside.is_dir() or os.access(out.parent, os.W_OK) else out / "work"


def prepare_output(args: argparse.Namespace, study: Study) -> None:
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


def prepare_work(jobs: list[ParticipantJob], *, reports_only: bool) -> None:
    """Empty working folders that other software wrote or that moved; forget the reports where only they are wanted.

    Nipype knows by its inputs whether a node has to run again; that the code, a package or a file named in the settings
    has changed it does not see. Its results name files by their full paths, so a folder that is reached by another path
    (moved, copied, mounted elsewhere in a container) would point to nothing, or to the files of another run.

    Raises
    ------
    StudyError
        ``--reports-only`` where nothing has been computed, or by other software, or under another path.
    """
    from mrs_pipeline.config import settings_files
    from mrs_pipeline.files import atomic_write, sha256
    from mrs_pipeline.interfaces.provenance import code_digest, package_versions

    files = {name: sha256(path) for name, path in settings_files(jobs[0].study).items()}
    facts = {
        "code": code_digest(),
        "versions": package_versions(),
        "files": files,
        "work_dir": str(jobs[0].work_dir),
    }
    stamp = json.dumps(facts, indent=1) + "\n"
    for job in jobs:
        folder = job.work_dir / job.participant_id
        file = folder / "software.json"
        same = file.is_file() and file.read_text(encoding="utf-8") == stamp
        if reports_only and not same:
            state = (
                "was computed by other software, with other files or in another place"
                if file.is_file()
                else "has not been computed yet"
            )
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


def write_log(args: argparse.Namespace, study_path: Path | None, outcomes: list[ScanOutcome], seconds: float) -> None:
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
        "scans": {outcome.key: {"status": outcome.status, "words": outcome.words} for outcome in outcomes},
    }
    name = f"run-{now:%Y%m%dT%H%M%S%f}.json"
    atomic_write(args.output_dir / "logs" / name, json.dumps(record, indent=1) + "\n")
