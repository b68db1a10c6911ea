"""What one participant's process is given, and what it gives back."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from mrs_pipeline.bids import Entities, Scan
from mrs_pipeline.config import Study


@dataclass(frozen=True)
class Unconverted:
    """A metabolite scan that the conversion could not bring into BIDS."""

    entities: Entities
    problem: str
    remedy: str
    file: str

    @property
    def participant_id(self) -> str:
        """Participant with its prefix."""
        return f"sub-{self.entities.sub}"


@dataclass(frozen=True)
class ParticipantJob:
    """What one process needs to process one participant.

    ``participant`` is the row of participants.tsv without any column that looks like an arm; ``table`` and
    ``basis_file`` are the resolved files of ``[tissue] table`` and ``[basis] source``.
    """

    participant_id: str
    scans: tuple[Scan, ...]
    bids_dir: Path
    out_dir: Path
    work_dir: Path
    study: Study
    unconverted: tuple[Unconverted, ...] = ()
    participant: dict[str, Any] = field(default_factory=dict)
    table: Path | None = None
    basis_file: Path | None = None
    stop_on_first_crash: bool = False
    write_graph: bool = False

    @property
    def folder(self) -> Path:
        """Working folder of the participant."""
        return self.work_dir / self.participant_id

    def by_visit(self) -> list[Scan]:
        """Sort scans by visit, so that the baseline is there when a later visit is compared with it."""
        order = {visit: number for number, visit in enumerate(self.study.study.visits)}
        return sorted(self.scans, key=lambda scan: (order.get(scan.session or "", len(order)), scan.key))

    def baseline_of(self, scan: Scan) -> Scan | None:
        """Return the first visit's scan of the same region and kind; ``None`` for the baseline itself."""
        first = self.study.study.visits[0]
        if scan.session == first:
            return None
        same = (s for s in self.scans if s.session == first and s.entities.with_(ses=scan.session) == scan.entities)
        return next(same, None)


@dataclass(frozen=True)
class ScanOutcome:
    """How one scan ended: ``ok``, ``doubtful`` or ``failed``, and why."""

    key: str
    status: str
    words: str


@dataclass(frozen=True)
class Maps:
    """Tissue maps of one T1w, or why there are none."""

    files: dict[str, str] | None
    problem: str = ""


@dataclass(frozen=True)
class Transform:
    """Rigid transform between two visits' T1w, or why there is none."""

    file: str | None
    problem: str = ""


Transforms: TypeAlias = dict[tuple[Path, Path], Transform]
"""Registrations by the pair of T1w images: baseline, later visit."""


def identity_json(entities: Entities, study: str) -> str:
    """Entities of a scan as JSON, under the names of the tables."""
    named = {
        "participant_id": f"sub-{entities.sub}", "session": entities.ses, "voi": entities.voi, "acq": entities.acq,
        "run": entities.run, "task": entities.task, "study": study,
    }  # fmt: skip
    return json.dumps(named)


def identifier(text: str) -> str:
    """Return a text as a name nipype accepts."""
    return re.sub(r"\W", "_", text)
