"""Nipype's settings, in one place: no network, content hashing, text crash files."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

os.environ["NO_ET"] = "1"


def configure_nipype(crash_dir: Path, *, stop_on_first_crash: bool = False) -> None:
    """Set what every workflow of ours relies on.

    Parameters
    ----------
    crash_dir
        Folder for crash files.
    stop_on_first_crash
        Stop at the first failing node instead of finishing the rest.
    """
    from nipype import config
    from nipype import logging as nipype_logging

    crash_dir.mkdir(parents=True, exist_ok=True)
    config.update_config(
        {
            "execution": {
                "hash_method": "content",
                "crashfile_format": "txt",
                "crashdump_dir": str(crash_dir),
                "remove_unnecessary_outputs": "false",
                "stop_on_first_crash": str(stop_on_first_crash).lower(),
                "stop_on_first_rerun": "false",
                "poll_sleep_duration": "0.1",
                "check_version": "false",
                "create_report": "false",
            },
            "monitoring": {"enabled": "false"},
            "logging": {"log_to_file": "false"},
        }
    )
    for name in ("workflow", "interface", "utils", "filemanip"):
        nipype_logging.getLogger(f"nipype.{name}").setLevel(logging.CRITICAL)


def run_linear(workflow: Any) -> None:  # noqa: ANN401  nipype is untyped
    """Run a workflow node after node; what depends on a failed node is skipped, the rest runs, then it is raised."""
    cwd = Path.cwd()
    try:
        workflow.run(plugin="Linear")
    finally:
        os.chdir(cwd)
