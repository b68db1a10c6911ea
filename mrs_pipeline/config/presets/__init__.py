"""Presets: constants as TOML files, each value with its source."""

from __future__ import annotations

import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

from mrs_pipeline.errors import StudyError


def preset_names(kind: str) -> list[str]:
    """Names of the shipped presets of a kind (a subfolder here, for example ``"relaxation"``), sorted."""
    folder = resources.files(__package__) / kind
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def read_preset(kind: str, name: str) -> dict[str, Any]:
    """Read a shipped preset by name, or a user's TOML file by path.

    Raises
    ------
    StudyError
        Neither a shipped preset nor a readable TOML file.
    """
    if name.endswith(".toml"):
        path = Path(name)
        try:
            return tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, tomllib.TOMLDecodeError) as error:
            raise StudyError(
                f"the {kind} preset cannot be read ({error})", remedy="check the path and the TOML", path=path
            ) from error
    known = preset_names(kind)
    if name not in known:
        raise StudyError(
            f"unknown {kind} preset '{name}'", remedy=f"use one of {', '.join(known)}, or the path of a TOML file"
        )
    return tomllib.loads((resources.files(__package__) / kind / f"{name}.toml").read_text(encoding="utf-8"))
