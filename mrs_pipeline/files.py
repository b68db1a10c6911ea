"""Reading and writing the project's own files: nobody ever sees half of one, and JSON is the same everywhere."""

from __future__ import annotations

import hashlib
import json
import math
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mrs_pipeline.errors import InputError


def atomic_write(path: str | Path, content: bytes | str) -> Path:
    """Write a file so that it is either absent, as before, or complete (temporary file, fsync, rename).

    Parameters
    ----------
    path
        The file; its folder is made when absent.
    content
        Bytes, or text that is written as UTF-8.

    Returns
    -------
    Path
        The file written.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with temporary.open("xb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)  # still there only when something went wrong
    return path


def sha256(path: str | Path) -> str:
    """SHA-256 of a file's bytes; of a folder, that of its files' names and hashes."""
    path = Path(path)
    if path.is_dir():
        files = sorted(item for item in path.rglob("*") if item.is_file())
        listed = "".join(f"{item.relative_to(path).as_posix()} {sha256(item)}\n" for item in files)
        return hashlib.sha256(listed.encode()).hexdigest()
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def read_json(path: str | Path, *, remedy: str = "correct the file, or make it again") -> dict[str, Any]:
    """Read a JSON object.

    Parameters
    ----------
    path
        The file.
    remedy
        What to do when it cannot be used.

    Raises
    ------
    InputError
        The file is missing, empty, not JSON or not an object.
    """
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", remedy=remedy, path=path) from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"not valid JSON ({error})", remedy=remedy, path=path) from error
    if not isinstance(content, dict):
        raise InputError("not a JSON object", remedy=remedy, path=path)
    return content


def json_text(content: Mapping[str, Any]) -> str:
    """Return JSON as it is written everywhere: indented, in the order given, ending in a line feed.

    JSON has no word for a number that is not finite: it becomes ``null``, which is how a missing number reads.
    """
    return json.dumps(_plain(content), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def write_json(content: Mapping[str, Any], path: str | Path) -> Path:
    """Write JSON atomically, in the form of :func:`json_text`."""
    return atomic_write(path, json_text(content))


def _plain(value: Any) -> Any:  # noqa: ANN401  whatever JSON can hold
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
