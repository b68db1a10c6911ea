"""What every derivative records: its sources with hashes, the settings it used, package versions."""

from __future__ import annotations

import hashlib
import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mrs_pipeline.errors import InputError
from mrs_pipeline.files import sha256

__all__ = ["PACKAGES", "code_digest", "cpu_model", "package_versions", "provenance", "sha256", "sources"]

PACKAGES = (
    "mrs-pipeline", "antspyx", "lmfit", "nibabel", "nifti-mrs", "nilearn", "nipype", "numpy", "scipy", "spec2nii",
    "statsmodels",
)  # fmt: skip
"""Packages whose versions decide the numbers."""


@cache
def package_versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide the numbers."""
    versions = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    return versions


@cache
def code_digest() -> str:
    """SHA-256 over our own code and presets as installed: what decides the numbers besides :data:`PACKAGES`."""
    # located, not imported: interfaces stand below workflows
    specs = [find_spec(name) for name in ("mrs_pipeline", "mrs_pipeline.workflows")]
    roots = {Path(path).resolve() for spec in specs if spec for path in spec.submodule_search_locations or ()}
    files = {path for root in roots for path in root.rglob("*") if path.suffix in {".py", ".toml"}}
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def sources(paths: dict[str, Path | None], bids_dir: Path) -> list[dict[str, str]]:
    """Source files as BIDS URIs with hashes, in the order given.

    Raises
    ------
    InputError
        A file cannot be read: no permission, or a link whose content has not been fetched.
    """
    try:
        return [
            {"Role": role, "URI": f"bids:raw:{path.relative_to(bids_dir).as_posix()}", "SHA256": sha256(path)}
            for role, path in paths.items()
            if path is not None
        ]
    except OSError as error:
        raise InputError(
            f"the file cannot be read ({error.strerror})",
            remedy="fetch its content (git-annex, DataLad), or set its permissions",
            path=error.filename,
        ) from error


@cache
def cpu_model() -> str:
    """Name of the processor; results are byte-identical only on one type of CPU."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def provenance(paths: dict[str, Path | None], bids_dir: Path, settings_hashes: dict[str, str]) -> dict[str, Any]:
    """Return the provenance block of a scan's derivatives: no paths outside the dataset, no dates, no host."""
    return {"Sources": sources(paths, bids_dir), "SettingsSHA256": settings_hashes, "Versions": package_versions()}
