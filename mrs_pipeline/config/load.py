"""Reading study.toml: strict keys, nearest known name, units checked."""

from __future__ import annotations

import difflib
import hashlib
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from mrs_pipeline.config.models import Section, Study
from mrs_pipeline.errors import StudyError
from mrs_pipeline.files import sha256

SETTINGS_FILES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "fit": ("priors", "peaks", "macromolecule_file"),
        "tissue": ("derivatives",),
        "quantify": ("preset",),
        "qc": ("rules",),
    }
)
"""Settings that may name a file or folder; the table of [tissue] and the basis set are data and go their own way."""
_PRESET_FILES = {".toml", ".tsv"}
_ALWAYS_FILES = {"macromolecule_file", "derivatives"}
_Settings = TypeVar("_Settings", bound=Section)


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


def locate_files(study: Study, folders: Sequence[Path], path: Path | None = None) -> Study:
    """Return the settings with every file they name as an absolute path.

    Parameters
    ----------
    study
        Settings as read; shipped presets stay names.
    folders
        Where a relative path may start, tried in order: the folder of study.toml first.
    path
        The study file, for messages.

    Raises
    ------
    StudyError
        A file is in none of the folders.
    """
    changed: dict[str, dict[str, str]] = {}
    for section, field, name in _file_settings(study):
        candidates = [Path(name)] if Path(name).is_absolute() else [folder / name for folder in folders]
        found = next((candidate.resolve() for candidate in candidates if candidate.exists()), None)
        if found is None:
            raise StudyError(
                f"[{section}] {field} = '{name}': there is no such file",
                remedy="put it beside study.toml or into the BIDS folder, or give its whole path",
                path=path,
            )
        changed.setdefault(section, {})[field] = str(found)
    return study.model_copy(
        update={section: getattr(study, section).model_copy(update=fields) for section, fields in changed.items()}
    )


def settings_files(study: Study) -> dict[str, Path]:
    """Return the files that the settings name, as ``"section.field"``; only those that are there."""
    found = {f"{section}.{field}": Path(name) for section, field, name in _file_settings(study)}
    return {key: path for key, path in found.items() if path.is_file()}


def portable(section: _Settings) -> _Settings:
    """Return a section in which files are told by name and content, wherever they lie.

    A file setting becomes ``"name SHA-256 digest"``, a folder its name: what is hashed and frozen follows what the
    files say and not where they are.
    """
    fields = {
        field: f"{Path(name).name} SHA-256 {sha256(name)}" if Path(name).is_file() else Path(name).name
        for _, field, name in _file_settings(section)
    }
    return section.model_copy(update=fields) if fields else section


def settings_hash(section: Section) -> str:
    """Return the SHA-256 of a settings section in canonical JSON, the content of the files it names included."""
    return hashlib.sha256(portable(section).model_dump_json().encode()).hexdigest()


def _file_settings(settings: Study | Section) -> Iterator[tuple[str, str, str]]:
    """Yield section, field and value of every setting that names a file."""
    for section, fields in SETTINGS_FILES.items():
        of_section = Study.model_fields[section].annotation
        part = getattr(settings, section) if isinstance(settings, Study) else settings
        if not (isinstance(of_section, type) and isinstance(part, of_section)):
            continue
        for field in fields:
            value = getattr(part, field)
            if value is not None and (field in _ALWAYS_FILES or Path(value).suffix in _PRESET_FILES):
                yield section, field, value


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
