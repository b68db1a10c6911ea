"""Shared by all tests: where the real scanner files are, and skips counted as failures in CI."""

from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"):
    os.environ.setdefault(_name, "1")
os.environ["NO_ET"] = "1"

from pathlib import Path  # noqa: E402  threads have to be set before numpy is imported

import pytest  # noqa: E402
from hypothesis import settings  # noqa: E402

# CI judges a commit, not the day's random numbers; everywhere else hypothesis keeps looking for new cases
settings.register_profile("ci", derandomize=True, deadline=None)
settings.load_profile("ci" if os.environ.get("CI") or os.environ.get("MRS_PIPELINE_NO_SKIP") == "1" else "default")

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real scanner files; tests that ask for it skip where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"real scanner files are not at {SHARED_DATA}")
    return SHARED_DATA


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """With MRS_PIPELINE_NO_SKIP=1 (make test-all, CI) a skipped test is a failed one."""
    report = yield
    if report.skipped and os.environ.get("MRS_PIPELINE_NO_SKIP") == "1" and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, and skips count as failures here: {report.longrepr}"
    return report
