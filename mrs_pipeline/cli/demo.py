"""``mrs-pipeline demo``: a synthetic trial through every stage, judged against what was planted."""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from mrs_pipeline.errors import StudyError

if TYPE_CHECKING:
    from mrs_pipeline.synthetic import TrialTruth

SHOWN = ("Glu", "Glx", "tNAA", "tCr", "tCho", "mI")
"""Metabolites in the final table."""
MARKER = "mrs-pipeline-demo.json"
"""Says that a folder was made by this command and may be overwritten by it."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the ``demo`` command."""
    parser = subparsers.add_parser(
        "demo",
        help="a synthetic two-arm trial through every stage, with planted truth",
        description="Writes a synthetic trial as scanner files, converts, processes and compares it with the commands "
        "a study uses, and prints the planted effects beside the estimates. Needs no network.",
    )
    parser.add_argument("output_dir", type=Path, help="a new folder, or one an earlier demo made")
    parser.add_argument(
        "--participants", type=int, default=24, metavar="N", help="scanned participants; twice as many are enrolled"
    )
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="seed of everything random")
    parser.add_argument("--nprocs", type=int, default=2, metavar="N", help="participants processed at a time")


def run(args: argparse.Namespace) -> int:
    """Run the demo; 0 when exactly the planted failure occurred."""
    if args.participants < 2:
        raise StudyError("a comparison needs at least 2 participants", remedy="give --participants 2 or more")
    start = time.monotonic()
    folder = _fresh(args.output_dir)
    truth = _write(args, folder)
    _stages(args, folder, truth)
    failed = failed_scans(folder / "derivatives")
    print_table(
        comparison(
            truth.folder / "truth" / "effects.tsv", folder / "derivatives" / "group" / "unblinded" / "effects.tsv"
        )
    )
    print_whereabouts(folder, truth, failed)
    print(f"\nThe demo took {time.monotonic() - start:.0f} s.")
    return 0 if set(failed) == set(truth.broken) else 1


def _fresh(folder: Path) -> Path:
    """Return an empty output folder; only what an earlier demo made is removed."""
    if folder.exists() and any(folder.iterdir()) and not (folder / MARKER).is_file():
        raise StudyError("the folder is not empty and no earlier demo made it", remedy="give a new folder", path=folder)
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    (folder / MARKER).write_text("{}\n", encoding="utf-8")
    return folder


def _write(args: argparse.Namespace, folder: Path) -> TrialTruth:
    """Write the trial's scanner files."""
    from mrs_pipeline.synthetic import TrialSettings, write_trial

    settings = TrialSettings(participants=2 * args.participants, scanned=args.participants, seed=args.seed)
    _heading(f"1. A synthetic trial: {settings.participants} enrolled, {settings.scanned} scanned, seed {args.seed}")
    truth = write_trial(folder / "trial", settings, progress=_every(20))
    print(f"   scanner files in {truth.scanner}; one of them is broken on purpose: {', '.join(truth.broken)}")
    print(f"   {settings.segmented_t1w} participant has T1w images to segment; the others' tissue comes from a table")
    bids = folder / "bids"
    bids.mkdir()
    for path in sorted(truth.folder.glob("participants.*")):
        shutil.copy(path, bids)
    shutil.copytree(truth.folder / "phenotype", bids / "phenotype")
    print("   participants.tsv and phenotype/ are put into the BIDS folder, as a study does; the allocation is not")
    return truth


def _stages(args: argparse.Namespace, folder: Path, truth: TrialTruth) -> None:
    """Run the commands of a study, one after the other, as a user would type them."""
    from mrs_pipeline.cli.main import main

    bids, out = str(folder / "bids"), str(folder / "derivatives")
    reference = truth.settings.arms[0]
    commands = [
        ("2. Scanner files to BIDS", ["convert", str(truth.scanner), bids, "--study", str(truth.study)], {0, 1}),
        (
            "3. Every scan: preprocess, fit, quantify, report",
            ["run", bids, out, "participant", "--study", str(truth.study), "--nprocs", str(args.nprocs)],
            {0, 1},
        ),
        ("4. Blinded tables and quality control", ["run", bids, out, "group"], {0}),
        ("5. The analysis set and the plan, frozen", ["run", bids, out, "group", "--freeze"], {0}),
        (
            "6. The arms compared",
            ["run", bids, out, "group", "--allocation", str(truth.allocation), "--reference-arm", reference],
            {0},
        ),
    ]
    for title, command, accepted in commands:
        _heading(f"{title}\n   $ mrs-pipeline {' '.join(command)}")
        code = main(command)
        if code not in accepted:
            raise StudyError(
                f"'mrs-pipeline {command[0]}' ended with exit code {code}", remedy="read the messages above"
            )


def _heading(text: str) -> None:
    print(f"\n{text}", flush=True)


def _every(n: int) -> Callable[[str], None]:
    """Return a progress callback that prints every nth message."""
    count = 0

    def say(message: str) -> None:
        nonlocal count
        count += 1
        if count % n == 0:
            print(f"   {message}", flush=True)

    return say


def failed_scans(out: Path) -> dict[str, str]:
    """Return the scans whose status is failed, with the reason."""
    found = {}
    for path in sorted(out.glob("sub-*/ses-*/mrs/*_desc-status_mrs.json")):
        status = json.loads(path.read_text(encoding="utf-8"))
        if status["status"] == "failed":
            found[path.name.removesuffix("_desc-status_mrs.json")] = status["words"]
    return found


def comparison(planted_tsv: Path, effects_tsv: Path) -> list[dict[str, str]]:
    """Put the planted effects beside the estimates of the primary model.

    Returns
    -------
    list of dict
        ``voi``, ``metabolite``, ``planted``, ``estimate``, ``interval`` (per cent of the baseline mean) and ``holds``.
    """
    reported = {"Ins": "mI"}
    planted = {
        (row["voi"], reported.get(row["metabolite"], row["metabolite"])): float(row["relative"]) * 100
        for row in _rows(planted_tsv)
    }
    table = []
    for row in _rows(effects_tsv):
        primary = row["model"].startswith(("ancova", "descriptive")) and row["analysis_set"] == "itt"
        if not primary or row["unit"] != "molal" or row["metabolite"] not in SHOWN:
            continue
        truth = planted.get((row["voi"], row["metabolite"]))
        low, high = _number(row["pct_low"]), _number(row["pct_high"])
        judged = None if truth is None or low is None or high is None else low <= truth <= high
        table.append(
            {
                "voi": row["voi"],
                "metabolite": row["metabolite"],
                "planted": _percent(truth),
                "estimate": _percent(_number(row["pct"])),
                "interval": "none (too few scans)" if low is None else f"{low:+.1f} to {high:+.1f} %",
                "p": row["p"] if row["p"] == "n/a" else f"{float(row['p']):.3g}",
                "holds": {None: "-", True: "yes", False: "NO"}[judged],
            }
        )
    return sorted(table, key=lambda row: (row["voi"], SHOWN.index(row["metabolite"])))


def _number(text: str) -> float | None:
    return None if text == "n/a" else float(text)


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:+.1f} %"


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream, delimiter="\t"))


def print_table(table: list[dict[str, str]]) -> None:
    """Print planted values, estimates and whether the interval holds the truth."""
    from rich.console import Console
    from rich.table import Table

    _heading("Planted effect and estimate (molal, per cent of the baseline mean, 95 % interval)")
    shown = Table()
    for column in ("voi", "metabolite", "planted", "estimate", "interval", "p", "holds"):
        shown.add_column(column, justify="left" if column in {"voi", "metabolite"} else "right", no_wrap=True)
    for row in table:
        shown.add_row(*row.values())
    Console(file=sys.stdout, width=100).print(shown)


def print_whereabouts(folder: Path, truth: TrialTruth, failed: dict[str, str]) -> None:
    """Say which scans failed and where the reports are."""
    out = folder / "derivatives"
    print(f"\nFailed scans ({len(failed)}; planted: {', '.join(truth.broken) or 'none'}):")
    for key, words in failed.items():
        print(f"   {key}: {words}\n      {out / f'{key}_report.html'}")
    print("\nReports:")
    print(f"   one per scan         {out}/sub-*_report.html")
    print(f"   blinded group        {out / 'group' / 'group.html'}")
    print(f"   arm comparison       {out / 'group' / 'unblinded' / 'trial-report.html'}")
