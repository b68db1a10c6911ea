"""Holding back failures: one bad scan or image stops nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any


def contained(folder: Path, action: Callable[[], None]) -> dict[str, Any] | None:
    """Do one part of a participant; return what went wrong in words, or nothing.

    The one place where any error is held back: one bad scan or image must stop nothing else.
    """
    from mrs_pipeline.interfaces.base import PROBLEM_FILE

    for path in folder.glob(f"**/{PROBLEM_FILE}"):
        path.unlink()  # an old reason must never stand for a new one
    try:
        action()
    except Exception as error:  # noqa: BLE001  it ends in that part's report and status
        return problem_below(folder, error)
    return None


def problem_below(folder: Path, error: Exception) -> dict[str, Any]:
    """Return what went wrong below a working folder: what the failing node wrote, else the exception itself."""
    from mrs_pipeline.interfaces.base import PROBLEM_FILE, describe_problem

    said = sorted(folder.glob(f"**/{PROBLEM_FILE}"))
    if not said:
        return {"stage": "workflow", **describe_problem(error)}
    return {"stage": said[0].parent.name, **json.loads(said[0].read_text(encoding="utf-8"))}
