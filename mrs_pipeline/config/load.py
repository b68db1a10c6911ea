"""Reading study.toml: strict keys, nearest known name, units checked."""

from __future__ import annotations

import difflib
import hashlib
import tomllib
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from mrs_pipeline.config.models import Study
from mrs_pipeline.errors import StudyError


def load_study(path: str | Path | None) -> Study:
    """Read a study file; every field may be left out, and so may the file.

    Parameters
    ----------
    path
        A TOML file, or ``None`` for the defaults.

    Returns
    -------
    Study
        Frozen settings.

    Raises
    ------
    StudyError
        The file is missing, is not TOML, has an unknown key (the nearest known one is named) or a value out of range.
    """
    if path is None:
        return Study()
    path = Path(path)
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise StudyError(
            f"the study file cannot be read ({error.strerror})", remedy="check the path given to --study", path=path
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise StudyError(f"not valid TOML ({error})", remedy="correct the line named", path=path) from error
    try:
        return Study.model_validate(data)
    except ValidationError as error:
        problems = [_explain(item) for item in error.errors()]
        raise StudyError(
            "; ".join(problem for problem, _ in problems),
            remedy="; ".join(dict.fromkeys(r for _, r in problems)),
            path=path,
        ) from error


def settings_hash(section: BaseModel) -> str:
    """Return the SHA-256 of a settings section in canonical JSON."""
    return hashlib.sha256(section.model_dump_json().encode()).hexdigest()


def _explain(item: Any) -> tuple[str, str]:  # noqa: ANN401  pydantic's error dictionaries are loosely typed
    """Turn one validation error into problem and remedy."""
    location = [str(part) for part in item["loc"]]
    where = ".".join(location)
    if item["type"] == "extra_forbidden":
        known = _known_keys(location[:-1])
        near = difflib.get_close_matches(location[-1], known, n=1, cutoff=0.0)
        hint = f"did you mean '{near[0]}'? " if near else ""
        return f"unknown key '{where}'", f"{hint}known keys there: {', '.join(known)}"
    return (
        f"'{where}': {item['msg']} (got {item['input']!r})",
        f"set '{where}' to a value as docs/study-toml.md describes",
    )


def _known_keys(location: list[str]) -> list[str]:
    """Keys of the settings model at a location inside study.toml."""
    models: list[type[BaseModel]] = [Study]
    for part in location:
        if part.isdigit():
            continue
        fields = [model.model_fields[part] for model in models if part in model.model_fields]
        found = [found for field in fields for found in _models_in(field.annotation)]
        models = found or models
    return sorted({key for model in models for key in model.model_fields})


def _models_in(annotation: object) -> list[type[BaseModel]]:
    """Model classes named anywhere inside a type annotation."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models_in(argument)]
