"""Arguments that several commands share."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any


def positive(text: str) -> int:
    """Parse a whole number of at least 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def add_labels(add: Callable[..., Any]) -> None:
    """Add the choice of participants and sessions, by the names fMRIPrep and MRIQC give it.

    Parameters
    ----------
    add
        ``add_argument`` of a parser or a group.
    """
    add(
        "--participant-label", "--participant_label", nargs="+", metavar="LABEL",
        help="only these participants, with or without 'sub-'",
    )  # fmt: skip
    add(
        "--session-label", "--session-id", nargs="+", metavar="LABEL",
        help="only these sessions, with or without 'ses-'",
    )  # fmt: skip
