"""Which scans a run processes: labels, regions, the filter file, and what could not be converted."""

from __future__ import annotations

import argparse
import csv
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mrs_pipeline.cli.output import work_dir
from mrs_pipeline.config import Study
from mrs_pipeline.errors import StudyError

if TYPE_CHECKING:
    from mrs_pipeline.bids import Scan
    from mrs_pipeline.workflows.job import ParticipantJob, Unconverted


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
            table=args.data.table,
            basis_file=args.data.basis,
            stop_on_first_crash=args.stop_on_first_crash,
            write_graph=args.write_graph,
        )
        for person in found
    ]


def _select_scans(args: argparse.Namespace, study: Study, unconverted: list[Unconverted]) -> list[Scan]:
    """Return the scans asked for and say which files are left aside, and why."""
    from mrs_pipeline.bids import survey
    from mrs_pipeline.fit import nucleus_of

    root = args.bids_dir.resolve()
    without = {item.entities.sub for item in unconverted if not any(root.glob(f"{item.participant_id}/**/*_svs.nii*"))}
    labels = args.participant_label
    if labels is not None:  # a participant of whom nothing could be converted is known, although it has no scan
        labels = [label for label in labels if label.removeprefix("sub-") not in without]
    found = survey(root, labels, args.session_label, nucleus_of(study.fit))
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
