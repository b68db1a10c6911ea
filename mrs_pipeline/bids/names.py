"""BIDS file names to entities and back, a round trip."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, replace
from pathlib import Path

from mrs_pipeline.errors import InputError

_LABEL = re.compile(r"[0-9a-zA-Z+]+")
_INDEX_ENTITIES = frozenset({"run", "echo", "flip", "inv", "split"})
_SUFFIX = re.compile(r"[a-zA-Z0-9]+")


@dataclass(frozen=True)
class Entities:
    """The entities of one BIDS file name in the order of the specification (schema 1.10), its suffix and extension.

    Every label is text without its key (``sub="01"``); absent entities are ``None``.
    """

    sub: str | None = None
    ses: str | None = None
    sample: str | None = None
    task: str | None = None
    tracksys: str | None = None
    acq: str | None = None
    nuc: str | None = None
    voi: str | None = None
    ce: str | None = None
    trc: str | None = None
    stain: str | None = None
    rec: str | None = None
    dir: str | None = None
    run: str | None = None
    mod: str | None = None
    echo: str | None = None
    flip: str | None = None
    inv: str | None = None
    mt: str | None = None
    part: str | None = None
    proc: str | None = None
    hemi: str | None = None
    space: str | None = None
    split: str | None = None
    recording: str | None = None
    chunk: str | None = None
    seg: str | None = None
    res: str | None = None
    den: str | None = None
    label: str | None = None
    desc: str | None = None
    suffix: str = ""
    extension: str = ""

    def labels(self) -> dict[str, str]:
        """Return the entities that are present, in order, without suffix and extension."""
        return {key: value for key in ENTITY_ORDER if (value := getattr(self, key)) is not None}

    def with_(self, **changes: str | None) -> Entities:
        """Return a copy with entities, suffix or extension changed; ``None`` removes an entity."""
        return replace(self, **changes)  # type: ignore[arg-type]  # mypy checks one value type against every field

    @property
    def key(self) -> str:
        """The entities as they stand in the name, without suffix and extension."""
        return "_".join(f"{key}-{value}" for key, value in self.labels().items())


ENTITY_ORDER = tuple(field.name for field in fields(Entities) if field.name not in {"suffix", "extension"})
"""Keys of all entities in the order of the specification."""


def parse_name(name: str | Path) -> Entities:
    """Return the entities of a BIDS file name; folders are ignored.

    Raises
    ------
    InputError
        The name is not ``key-label_..._suffix.extension`` with known keys, each once, in BIDS order.
    """
    path = Path(name)
    stem, dot, extension = path.name.partition(".")
    *parts, suffix = stem.split("_")
    found: dict[str, str] = {}
    for part in parts:
        key, dash, label = part.partition("-")
        _check_entity(key, label, bool(dash), found, path)
        found[key] = label
    if not _SUFFIX.fullmatch(suffix):
        raise _bad_name(path, "it does not end in a suffix such as _svs")
    if list(found) != sorted(found, key=ENTITY_ORDER.index):
        right = build_name(Entities(**found, suffix=suffix, extension=dot + extension))
        raise _bad_name(path, "its entities are not in BIDS order", f"rename it to {right}")
    return Entities(**found, suffix=suffix, extension=dot + extension)


def build_name(entities: Entities) -> str:
    """Return the BIDS file name of entities, suffix and extension.

    Raises
    ------
    InputError
        A label is not alphanumeric.
    """
    for key, label in entities.labels().items():
        _check_entity(key, label, True, {}, Path(f"{key}-{label}"))
    parts = [part for part in (entities.key, entities.suffix) if part]
    return "_".join(parts) + entities.extension


def clean_label(text: str) -> str:
    """Return text as a BIDS label: letters and digits only.

    >>> clean_label("week 12 (post)")
    'week12post'
    """
    return re.sub(r"[^0-9a-zA-Z]", "", text)


def _check_entity(key: str, label: str, has_dash: bool, found: dict[str, str], path: Path) -> None:
    """Raise where one ``key-label`` part is not BIDS."""
    if not has_dash or key not in ENTITY_ORDER:
        raise _bad_name(path, f"'{key}' is not a BIDS entity")
    if key in found:
        raise _bad_name(path, f"the entity '{key}' stands twice")
    if not _LABEL.fullmatch(label):
        raise _bad_name(
            path,
            f"'{label}' is not a BIDS label",
            f"use letters and digits only, for example {key}-{clean_label(label) or 'x'}",
        )
    if key in _INDEX_ENTITIES and not label.isdecimal():
        raise _bad_name(path, f"'{key}-{label}' needs a number", f"use for example {key}-1")


def _bad_name(
    path: Path, problem: str, remedy: str = "rename it as sub-LABEL[_ses-LABEL][_voi-LABEL]_SUFFIX.EXTENSION"
) -> InputError:
    return InputError(f"not a BIDS file name: {problem}", remedy=remedy, path=path)
