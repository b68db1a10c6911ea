"""What our Nipype interfaces share: a failure leaves its reason beside the crash file, wall time is measured once."""

from __future__ import annotations

import json
import time
import traceback
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from nipype.interfaces.base import SimpleInterface

from mrs_pipeline.errors import MrsError, file_trouble

PROBLEM_FILE = "problem.json"
"""Written into a failing node's folder; read by the participant workflow for that scan's report and status."""
SECONDS_FILE = "seconds.json"
"""Written into every node's folder: its wall time, the only thing allowed to differ between runs."""


class MrsInterface(SimpleInterface, ABC):
    """A thin interface: subclasses implement :meth:`_work`, which returns the outputs by name.

    A failing ``_work`` writes ``problem.json`` (problem, remedy, path, traceback) into the node's folder and raises on,
    so that Nipype records the crash and skips the dependents while the rest of the run goes on.
    """

    @abstractmethod
    def _work(self, cwd: Path) -> dict[str, Any]:
        """Do the node's work in its folder and return the outputs by name."""

    def _run_interface(self, runtime: Any) -> Any:  # noqa: ANN401  nipype's runtime object is untyped
        cwd = Path(runtime.cwd)
        start = time.perf_counter()
        try:
            outputs = self._work(cwd)
        except Exception as error:
            (cwd / PROBLEM_FILE).write_text(json.dumps(describe_problem(error), indent=1), encoding="utf-8")
            raise
        (cwd / PROBLEM_FILE).unlink(missing_ok=True)
        (cwd / SECONDS_FILE).write_text(
            json.dumps({type(self).__name__: time.perf_counter() - start}), encoding="utf-8"
        )
        self._results.update(
            {name: str(value) if isinstance(value, Path) else value for name, value in outputs.items()}
        )
        return runtime


def describe_problem(error: BaseException) -> dict[str, str | None]:
    """Return what went wrong in words, with the traceback for the folded part of the report."""
    details = "".join(traceback.format_exception(error))
    if isinstance(error, OSError) and error.filename is not None:
        error = file_trouble(error)
    if isinstance(error, MrsError):
        path = None if error.path is None else error.path.name
        return {
            "kind": type(error).__name__,
            "problem": error.problem,
            "remedy": error.remedy,
            "file": path,
            "details": details,
        }
    return {
        "kind": type(error).__name__,
        "problem": f"unexpected {type(error).__name__}: {error}",
        "remedy": "report this with the crash details below; the other scans are not affected",
        "file": None,
        "details": details,
    }
