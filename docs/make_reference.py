"""Write docs/study-toml.md from the settings models, so that the reference cannot drift from the code."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from mrs_pipeline.config import Study

TARGET = Path(__file__).parent / "study-toml.md"
HEADER = """# study.toml

One file holds every setting. Every field may be left out, and so may the file; unknown keys are errors that name the
nearest known one. Times are in seconds, chemical shifts in ppm. Arms are never in this file: they come from
`--allocation` at group level.

A file or folder named here is looked for beside study.toml, then in the BIDS folder, its `code` folder and the folder
the command runs in. What a file says, and not where it lies, enters the recorded hashes and the frozen plan; when it
changes, the scans are computed again.

This page is generated from the settings models by `make docs`.
"""


def model_of(field: FieldInfo) -> type[BaseModel] | None:
    """Return the settings model a field holds, directly or inside a container."""
    candidates = [field.annotation, *get_args(field.annotation)]
    return next((c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)), None)


def type_words(field: FieldInfo) -> str:
    """Return a field's type as a reader of TOML understands it."""
    text = str(
        field.annotation if get_args(field.annotation) else getattr(field.annotation, "__name__", field.annotation)
    )
    for old, new in (
        ("typing.", ""),
        ("NoneType", "empty"),
        ("None", "empty"),
        ("Literal", "one of "),
        ("tuple", "list"),
    ):
        text = text.replace(old, new)
    text = re.sub(r"\bstr\b", "text", text)
    return text.split("Annotated[")[0].replace("|", "\\|") if "Annotated" not in text else "text or number"


def default_words(field: FieldInfo) -> str:
    """Return a field's default as TOML."""
    if field.is_required():
        return "required"
    value = field.default
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        return f"`{list(value)}`".replace("'", '"')
    return f"`{value!r}`".replace("'", '"')


def rows(model: type[BaseModel]) -> list[str]:
    """Return the table of one section's plain fields."""
    lines = ["| key | type | default | unit | meaning |", "| --- | --- | --- | --- | --- |"]
    for name, field in model.model_fields.items():
        if model_of(field) is None:
            extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
            cells = (f"`{name}`", type_words(field), default_words(field), extra.get("unit", ""), field.description)
            lines.append("| " + " | ".join(str(cell) for cell in cells) + " |")
    return lines if len(lines) > 2 else []


def section(name: str, model: type[BaseModel], *, repeated: bool = False) -> list[str]:
    """Return a section with its subsections."""
    title = f"[[{name}]]" if repeated else f"[{name}]"
    text = [f"## `{title}`", "", (model.__doc__ or "").strip(), "", *rows(model), ""]
    for key, field in model.model_fields.items():
        inner = model_of(field)
        if inner is not None:
            suffix = ".<name>" if "dict" in str(field.annotation) else ""
            text += section(f"{name}.{key}{suffix}", inner, repeated="tuple" in str(field.annotation))
    return text


def reference() -> str:
    """Return the whole page."""
    parts = [HEADER]
    for name, field in Study.model_fields.items():
        model = model_of(field)
        assert model is not None
        parts.append("\n".join(section(name, model)))
    return "\n".join(parts).rstrip() + "\n"


if __name__ == "__main__":
    TARGET.write_text(reference(), encoding="utf-8")
    sys.stdout.write(f"wrote {TARGET}\n")
