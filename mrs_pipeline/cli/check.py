"""``mrs-pipeline check``: what would run, what is missing, what deviates from the protocol."""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from mrs_pipeline.cli.arguments import add_labels

if TYPE_CHECKING:
    from mrs_pipeline.workflows.preflight import Preflight, PreflightReport


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the ``check`` command."""
    parser = subparsers.add_parser(
        "check",
        help="say what will run, what is missing, what deviates from the protocol",
        description="Read every scan of a BIDS dataset without processing it, and look for its basis set. Exit code 0: "
        "every scan runs and keeps to [protocol]; 1: a scan cannot run or deviates, or [analysis] primary asks for "
        "what no scan has; 2: wrong usage or study file.",
    )
    parser.add_argument("bids_dir", type=Path, metavar="BIDS_DIR", help="BIDS dataset with mrs/ folders")
    parser.add_argument("--study", type=Path, metavar="FILE", help="study.toml; default: BIDS_DIR/code/study.toml")
    add_labels(parser.add_argument)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the result as JSON")


def run(args: argparse.Namespace) -> int:
    """Check, print the table, and return 0 or 1."""
    from mrs_pipeline.cli.settings import check_values, data_files, read_settings
    from mrs_pipeline.files import write_json
    from mrs_pipeline.workflows.preflight import preflight

    saved = args.bids_dir / "code" / "study.toml"
    study_path = args.study or (saved if saved.is_file() else None)
    study = read_settings(study_path, args.bids_dir)
    check_values(study, study_path)
    data = data_files(study, study_path, args.bids_dir)
    report = preflight(args.bids_dir, study, args.participant_label, args.session_label, data.table, data.basis)
    _print(report)
    if args.json is not None:
        write_json(asdict(report), args.json)
    return 0 if all(scan.is_fine for scan in report.scans) and not report.plan else 1


def _print(report: PreflightReport) -> None:
    """Print one line per scan with what is to be said below it, then what is left aside, then the counts."""
    width = max(len(scan.scan) for scan in report.scans)
    for scan in report.scans:
        print(f"{scan.scan:<{width}}  {scan.verdict}")
        for label, texts in _notes(scan):
            for text in texts:
                print(f"{'':<{width}}    {label}: {text}")
    assumed = Counter(text for scan in report.scans for text in scan.assumed)
    below = {
        "left aside": report.skipped,
        "incomplete": report.incomplete,
        "assumed of the basis set": [f"{text} ({n} scan{'s' if n > 1 else ''})" for text, n in assumed.items()],
        "plan": report.plan,
    }
    for title, lines in below.items():
        if lines:
            print(f"\n{title}:")
            print("\n".join(f"  {line}" for line in lines))
    counts = Counter(scan.verdict for scan in report.scans)
    deviating = sum(bool(scan.deviations) for scan in report.scans)
    parts = [f"{number} {verdict}" for verdict, number in sorted(counts.items())]
    print(f"\n{len(report.scans)} scans: {', '.join(parts)}; {deviating} not as the protocol says")


def _notes(scan: Preflight) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return ("problem", scan.problems), ("missing", scan.missing), ("protocol", scan.deviations)
