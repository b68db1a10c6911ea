"""Sidecars, merged by the inheritance principle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mrs_pipeline.bids.names import parse_name
from mrs_pipeline.errors import InputError
from mrs_pipeline.files import read_json


def read_sidecar(path: str | Path) -> dict[str, Any]:
    """Return the metadata of a BIDS file, merged by inheritance.

    Parameters
    ----------
    path
        A data file inside a BIDS dataset.

    Returns
    -------
    dict
        Fields of every applicable JSON file from the dataset's root down to the file's folder; the nearer and the more
        specific wins. Empty when there is none.

    Notes
    -----
    A JSON file applies when it has the same suffix and all its entities are those of the data file (BIDS, inheritance
    principle).
    """
    path = Path(path)
    target = parse_name(path.name)
    wanted = target.labels()
    merged: dict[str, Any] = {}
    for folder in _folders(path):
        for sidecar in _applicable(folder, target.suffix, wanted):
            merged |= read_json(sidecar)
    return merged


def dataset_root(path: Path) -> Path:
    """Return the root of the dataset a file belongs to: the folder that holds its ``sub-`` folder."""
    for parent in path.parents:
        if parent.name.startswith("sub-"):
            return parent.parent
    return path.parent


def _folders(path: Path) -> list[Path]:
    """Folders from the dataset's root to the file's own."""
    root = dataset_root(path)
    inside = [parent for parent in path.parents if parent == root or root in parent.parents]
    return inside[::-1]


def _applicable(folder: Path, suffix: str, wanted: dict[str, str]) -> list[Path]:
    """Sidecars of one folder that apply, the least specific first."""
    found = []
    for candidate in [*folder.glob(f"*_{suffix}.json"), *folder.glob(f"{suffix}.json")]:
        try:
            labels = parse_name(candidate.name).labels()
        except InputError:
            continue
        if labels.items() <= wanted.items():
            found.append((len(labels), candidate.name, candidate))
    return [candidate for *_, candidate in sorted(found)]
