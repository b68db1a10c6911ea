"""Command line: one module per command, heavy imports only after parsing."""

from __future__ import annotations

import os

# One thread per process, set before numpy or ITK can be imported: participants run in parallel, a fit does not.
for _name in (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
):
    os.environ.setdefault(_name, "1")
# No network, ever: nipype's telemetry is off before nipype is imported.
os.environ["NO_ET"] = "1"
os.environ.setdefault("NIPYPE_NO_ET", "1")

from mrs_pipeline.cli.main import build_parser, main  # noqa: E402  the environment has to be set first

__all__ = ["build_parser", "main"]
