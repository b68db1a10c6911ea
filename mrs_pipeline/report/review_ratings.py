"""Reviewers' ratings as a table: ``group/ratings.tsv``, one row per scan and reviewer."""

from __future__ import annotations

import csv
import fcntl
import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from mrs_pipeline.errors import InputError
from mrs_pipeline.files import atomic_write, write_json
from mrs_pipeline.report.html import MISSING
from mrs_pipeline.stats import SCAN_KEYS

RATINGS = ("good", "doubtful", "bad")
"""Ratings, best first."""

OVERRIDES = (MISSING, "include", "exclude")
"""What a reviewer may decide against the automatic verdict."""

RATING_REASONS = (
    "linewidth",
    "SNR",
    "motion",
    "lipid artefact",
    "residual water",
    "spurious echo",
    "baseline",
    "poor fit",
    "wrong voxel",
    "protocol deviation",
    "other",
)
"""Closed list of reasons; more than one are joined by a semicolon."""

MAX_COMMENT = 1000
"""Longest comment, in characters."""

DESCRIPTIONS = {
    "participant_id": "Participant",
    "session": "BIDS session label of the visit",
    "voi": "BIDS voi label of the region",
    "acq": "BIDS acq label",
    "run": "BIDS run index",
    "task": "BIDS task label",
    "rating": "Reviewer's rating of the fit: good, doubtful or bad",
    "reason": "Reasons from a closed list, separated by semicolons",
    "override": "include or exclude: decision against the automatic verdict",
    "comment": "Free text",
    "reviewer": "Who rated",
}
"""Data dictionary of the table, written beside it."""


@dataclass(frozen=True)
class Rating:
    """One reviewer's word on one scan; absent entities and fields are ``n/a``."""

    participant_id: str
    session: str
    voi: str
    acq: str
    run: str
    task: str
    rating: str
    reason: str
    override: str
    comment: str
    reviewer: str

    @property
    def scan(self) -> tuple[str, ...]:
        """Return the entities of the scan."""
        return tuple(getattr(self, name) for name in SCAN_KEYS)


COLUMNS = tuple(field.name for field in fields(Rating))


def make_rating(
    scan: Mapping[str, str], *, rating: str, reasons: tuple[str, ...], override: str, comment: str, reviewer: str
) -> Rating:
    """Return a rating whose every field is one the table allows.

    Parameters
    ----------
    scan
        The scan's entities, by the names of ``SCAN_KEYS``.
    rating, override
        From :data:`RATINGS` and :data:`OVERRIDES`.
    reasons
        From :data:`RATING_REASONS`, in any order; at least one unless the rating is good.
    comment
        Free text; tabs and line ends become spaces. Required with an override.
    reviewer
        Printable name.

    Raises
    ------
    ValueError
        Said in words that fit into the page.
    """
    comment, reviewer = _one_line(comment), _one_line(reviewer)
    _require(rating in RATINGS, f"the rating must be one of {', '.join(RATINGS)}")
    _require(override in OVERRIDES, f"the override must be one of {', '.join(OVERRIDES)}")
    _require(set(reasons) <= set(RATING_REASONS), "a reason is not on the list")
    _require(rating == "good" or bool(reasons), "choose at least one reason for a rating that is not good")
    _require(override == MISSING or bool(comment), "an override needs a comment that says why")
    _require(len(comment) <= MAX_COMMENT, f"the comment is longer than {MAX_COMMENT} characters")
    _require(0 < len(reviewer) <= 64, "the reviewer's name must have 1 to 64 characters")
    ordered = [reason for reason in RATING_REASONS if reason in reasons]
    return Rating(
        **{name: scan[name] for name in SCAN_KEYS},
        rating=rating,
        reason=";".join(ordered) or MISSING,
        override=override,
        comment=comment or MISSING,
        reviewer=reviewer,
    )


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


def _one_line(text: str) -> str:
    """Return text without control characters, on one line."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def read_ratings(path: Path) -> tuple[Rating, ...]:
    """Read the table; a file that does not exist has no ratings.

    Raises
    ------
    InputError
        The file is no table of ratings.
    """
    if not path.exists():
        return ()
    try:
        rows = list(
            csv.DictReader(io.StringIO(path.read_text(encoding="utf-8")), delimiter="\t", quoting=csv.QUOTE_NONE)
        )
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"the ratings cannot be read ({error})", remedy="restore the file from a backup", path=path
        ) from error
    missing = [name for name in COLUMNS if rows and rows[0].get(name) is None]
    if missing:
        raise InputError(f"missing columns: {', '.join(missing)}", remedy="add them, filled with n/a", path=path)
    return tuple(Rating(**{name: row[name] or MISSING for name in COLUMNS}) for row in rows)


def save_rating(path: Path, rating: Rating) -> tuple[Rating, ...]:
    """Add a rating, or replace the same reviewer's rating of the same scan, and return all.

    The table is sorted, written atomically, and guarded by a lock, so that two reviewers on one folder lose nothing.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _locked(path.with_name(f".{path.name}.lock")):
        others = [old for old in read_ratings(path) if (old.scan, old.reviewer) != (rating.scan, rating.reviewer)]
        ratings = tuple(sorted([*others, rating], key=lambda item: (*item.scan, item.reviewer)))
        atomic_write(path, table(ratings))
        write_json({name: {"Description": DESCRIPTIONS[name]} for name in COLUMNS}, path.with_suffix(".json"))
    return ratings


def table(ratings: tuple[Rating, ...]) -> str:
    """Return the text of the table; fields hold no tab and no line end, so nothing is quoted."""
    rows = [COLUMNS, *(tuple(asdict(rating).values()) for rating in ratings)]
    return "".join("\t".join(row) + "\n" for row in rows)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on a file for the length of a block."""
    with path.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(stream, fcntl.LOCK_UN)
