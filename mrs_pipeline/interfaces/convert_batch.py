"""Run many converter command lines in one process.

``python -m mrs_pipeline.interfaces.convert_batch JOBS.json RESULTS.json``. spec2nii spends a second on imports and a
hundredth on a file, so its command lines are run one after the other in this process; others (dcm2niix) are started as
programs. Each command is contained: one failing says so in the results, and the rest goes on. JOBS holds
``{"id", "argv"}`` entries, RESULTS ``{id: {"returncode", "message"}}``.
"""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def run_command(argv: Sequence[str]) -> dict[str, Any]:
    """Run one command line and return its exit code and last words."""
    try:
        return _spec2nii(argv) if argv[0] == "spec2nii" else _program(argv)
    except Exception as error:  # noqa: BLE001  whatever a converter raises belongs to that file alone
        return {"returncode": 1, "message": _last_words(f"{type(error).__name__}: {error}")}


def _spec2nii(argv: Sequence[str]) -> dict[str, Any]:
    """Run spec2nii in this process, with its output caught."""
    from spec2nii.spec2nii import spec2nii

    said = io.StringIO()
    old = sys.argv
    sys.argv = list(argv)
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            spec2nii()
    except SystemExit as leave:
        code = leave.code if isinstance(leave.code, int) else 1
        return {"returncode": code or 0, "message": _last_words(said.getvalue())}
    finally:
        sys.argv = old
    return {"returncode": 0, "message": _last_words(said.getvalue())}


def _program(argv: Sequence[str]) -> dict[str, Any]:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return {"returncode": done.returncode, "message": _last_words(done.stderr or done.stdout)}


def _last_words(text: str) -> str:
    """Last line that says something."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:400] if lines else ""


def main(jobs_file: str, results_file: str) -> int:
    """Run every job of a file and write the results."""
    jobs = json.loads(Path(jobs_file).read_text(encoding="utf-8"))
    results: dict[str, Any] = {}
    for job in jobs:
        results[job["id"]] = run_command(job["argv"])
    Path(results_file).write_text(json.dumps(results, indent=1), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
