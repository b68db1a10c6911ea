"""``mrs-pipeline run``: the BIDS App, participant and group level. Also the container's entry point."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from mrs_pipeline import __version__
from mrs_pipeline.cli.arguments import add_labels, positive


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the ``run`` command; flags that fMRIPrep and MRIQC users know keep their names."""
    parser = subparsers.add_parser(
        "run",
        help="process participants, then compare at group level (BIDS App)",
        description="Participant level: preprocess, fit, quantify and report every scan. Group level: blinded tables; "
        "--freeze fixes the analysis set; --allocation compares the arms.",
    )
    parser.add_argument("bids_dir", type=Path, help="BIDS dataset with mrs/ folders")
    parser.add_argument("output_dir", type=Path, help="folder of the derivatives")
    parser.add_argument("level", choices=("participant", "group"), help="level of the analysis")
    parser.add_argument("--version", action="version", version=f"mrs-pipeline {__version__}")
    _add_selection(parser.add_argument_group("what to process"))
    _add_execution(parser.add_argument_group("how to run"))
    _add_group_level(parser.add_argument_group("group level"))


def _add_selection(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--study", "--config-file", type=Path, metavar="FILE", help="study.toml; every field has a default"
    )
    add_labels(group.add_argument)
    group.add_argument("--bids-filter-file", type=Path, metavar="FILE", help='JSON such as {"svs": {"voi": "acc"}}')
    group.add_argument(
        "--derivatives", type=Path, metavar="DIR", help="existing tissue maps (fMRIPrep, FreeSurfer, ...)"
    )
    group.add_argument(
        "--skip-bids-validation", "--skip_bids_validator", action="store_true", help="accepted; no validator is run"
    )
    group.add_argument("--dry-run", action="store_true", help="say what would run, and stop")
    group.add_argument(
        "--reports-only", action="store_true", help="write the reports again from what has been computed"
    )


def _add_execution(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--nprocs", "--n-cpus", "--n_cpus", type=positive, default=1, metavar="N", help="participants at a time"
    )
    group.add_argument(
        "--omp-nthreads", type=positive, default=1, metavar="N", help="threads of ITK (1 is reproducible)"
    )
    group.add_argument(
        "--mem-mb", "--mem", type=positive, metavar="MB", help="memory: lowers --nprocs where it would not fit"
    )
    group.add_argument("-w", "--work-dir", type=Path, metavar="DIR", help="working folder; default: OUTPUT_DIR-work")
    group.add_argument("--clean-workdir", action="store_true", help="empty the working folder first")
    group.add_argument("--stop-on-first-crash", action="store_true", help="stop at the first failing scan")
    group.add_argument("--write-graph", action="store_true", help="write the workflow graphs to OUTPUT_DIR/logs")
    group.add_argument("--notrack", action="store_true", help="accepted; nothing is ever sent anywhere")
    group.add_argument(
        "-v", "--verbose", action="count", default=0, help="also name the scans that came through, and their verdict"
    )


def _add_group_level(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--freeze", action="store_true", help="hash the analysis set, the ratings and the plan")
    group.add_argument("--refreeze", metavar="REASON", help="freeze again after a change; the reason is recorded")
    group.add_argument(
        "--allocation", type=Path, metavar="FILE", help="TSV: participant_id, arm, strata...; needs a freeze"
    )
    group.add_argument("--reference-arm", metavar="NAME", help="arm the others are compared with")
    group.add_argument("--concentrations", type=Path, metavar="FILE", help="a concentrations table from elsewhere")


def run(args: argparse.Namespace) -> int:
    """Run one level and return the exit code."""
    os.environ["ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"] = str(args.omp_nthreads)
    from mrs_pipeline.cli.settings import settings_for

    study, study_path = settings_for(args)
    if args.level == "participant":
        from mrs_pipeline.cli.participant import run_participants

        return run_participants(args, study, study_path)
    from mrs_pipeline.cli.group import run_group
    from mrs_pipeline.workflows.group import GroupRequest

    return run_group(
        GroupRequest(
            bids_dir=args.bids_dir,
            out_dir=args.output_dir,
            study=study,
            freeze=args.freeze,
            refreeze=args.refreeze,
            allocation=args.allocation,
            reference_arm=args.reference_arm,
            concentrations=args.concentrations,
        )
    )
