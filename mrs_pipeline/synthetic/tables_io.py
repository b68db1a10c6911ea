"""Text files: tables, JSON and study.toml, with fixed formatting so that the same seed gives the same bytes."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any


def write_tsv(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, str]]) -> None:
    """Write a TSV; what a row lacks is ``n/a``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ["\t".join(columns)]
    lines += ["\t".join(row.get(column, "n/a") for column in columns) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")


def write_json(path: Path, value: object) -> None:
    """Write JSON with sorted keys; dataclasses and mappings become objects."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(plain(value), indent=2, sort_keys=True) + "\n", encoding="utf-8", newline="\n")


def plain(value: object) -> Any:  # noqa: ANN401  JSON values have no narrower type
    """Return a value made of dict, list, str and numbers alone."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return value


def number(value: float) -> str:
    """Format a number for a table: 7 significant digits."""
    return f"{value:.7g}"


def toml_value(value: object) -> str:
    """Return a TOML value; JSON strings, numbers, booleans and arrays are TOML too."""
    return json.dumps(plain(value))
