"""``mrs-pipeline convert``: scanner files to a BIDS dataset."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mrs_pipeline.cli.arguments import positive

if TYPE_CHECKING:
    from mrs_pipeline.workflows.convert_plan import Line

MOST_LEFT = 20
"""Most files printed that no rule matches; an export of a whole study holds thousands."""

DESCRIPTION = """\
Convert Philips SDAT/SPAR and data/list, Siemens RDA, IMA and TWIX, GE P-files, DICOM,
LCModel RAW and NIfTI-MRS to a BIDS dataset, with T1w images.

[[convert.scans]] of the study file says what is what; without it, names that hold sub-LABEL
(and ses-LABEL, voi-LABEL) are understood. Converting again changes nothing. docs/convert.md
"""
EXAMPLES = """\
examples:
  mrs-pipeline convert scanner/ bids/ --study study.toml --nprocs 4
  mrs-pipeline convert scanner/ bids/ --study study.toml --dry-run        say what would become what
  mrs-pipeline convert scanner/ bids/ --conjugate 'site2/**'              these files are mirrored about water
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the ``convert`` command."""
    parser = subparsers.add_parser(
        "convert",
        help="convert scanner files to a BIDS dataset",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("scanner_dir", type=Path, metavar="SCANNER_DIR", help="folder of scanner files")
    parser.add_argument("bids_dir", type=Path, metavar="BIDS_DIR", help="dataset; made when absent")
    parser.add_argument("--study", type=Path, metavar="FILE", help="study.toml; every field has a default")
    parser.add_argument(
        "--participants", type=Path, metavar="FILE",
        help="TSV with age, sex, ... for participants.tsv; default: participants.tsv beside the study file",
    )  # fmt: skip
    parser.add_argument(
        "--conjugate",
        nargs="*",
        metavar="GLOB",
        help="conjugate these files (all, without GLOB): their spectra are mirrored",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace files that are there with other content")
    parser.add_argument("--dry-run", action="store_true", help="say what would become what, and stop")
    parser.add_argument("--nprocs", "--n-cpus", type=positive, default=1, metavar="N", help="processes")


def run(args: argparse.Namespace) -> int:
    """Convert, print the table, and return 0, or 1 when a file failed."""
    from mrs_pipeline.config import load_study
    from mrs_pipeline.workflows.convert import ConvertRequest, convert
    from mrs_pipeline.workflows.convert_plan import make_plan

    study = load_study(args.study)
    conjugate = None if args.conjugate is None else tuple(args.conjugate)
    if args.dry_run:
        plan = make_plan(args.scanner_dir, study, conjugate, args.bids_dir)
        _print_lines([*plan.lines, *(_planned(job.shown[0], job.role, job.name) for job in plan.jobs)])
        return 1 if any(line.status == "failed" for line in plan.lines) else 0
    request = ConvertRequest(
        scanner_dir=args.scanner_dir,
        bids_dir=args.bids_dir,
        study=study,
        study_path=args.study,
        participants=_participants(args),
        conjugate=conjugate,
        overwrite=args.overwrite,
        nprocs=args.nprocs,
    )
    outcome = convert(request, lambda text: print(text, file=sys.stderr, flush=True))
    _print_lines(outcome.lines)
    print(f"table: {outcome.table}")
    return 1 if outcome.failed else 0


def _participants(args: argparse.Namespace) -> Path | None:
    """Return the table given, or the one beside the study file."""
    from mrs_pipeline.errors import StudyError

    given: Path | None = args.participants
    if given is not None:
        if not given.is_file():
            raise StudyError("there is no such table of participants", remedy="check --participants", path=given)
        return given
    beside = args.study.with_name("participants.tsv") if args.study is not None else None
    return beside if beside is not None and beside.is_file() else None


def _planned(source: str, role: str, name: str) -> Line:
    from mrs_pipeline.workflows.convert_plan import Line

    return Line(source, "planned", role, name)


def _print_lines(lines: Sequence[Line]) -> None:
    """Print what became what, then what was left, then what failed, then the counts."""
    for line in lines:
        if line.output and line.status != "failed":
            note = f"   ({line.reason})" if line.reason else ""
            print(f"{line.status:<9} {line.source} -> {line.output}{note}")
    left = [line for line in lines if line.status == "left"]
    for line in left[:MOST_LEFT]:
        print(f"left      {line.source}: {line.reason}")
    if len(left) > MOST_LEFT:
        print(f"left      ... and {len(left) - MOST_LEFT} more, all in the table")
    for line in lines:
        if line.status == "failed":
            print(f"failed    {line.source}: {line.reason}. To fix it: {line.remedy}.")
    counts = Counter(line.status for line in lines)
    print(", ".join(f"{number} {status}" for status, number in sorted(counts.items())) or "nothing to do")
