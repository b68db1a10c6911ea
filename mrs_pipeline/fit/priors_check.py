"""Whether the numbers of a prior set can be used; what cannot is named by its place in the file."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from mrs_pipeline.errors import StudyError

LEAST_SPLINES = 3
HELP = "start from a copy of config/presets/priors/default.toml; a very small SD holds a parameter"


def check_table(name: str, table: dict[str, Any]) -> None:
    """Refuse a prior set with impossible numbers.

    Parameters
    ----------
    name
        Preset name or path, for the message.
    table
        The file's content.

    Raises
    ------
    StudyError
        A number that is missing, no number or out of range, peaks of one name, or a reference peak that is none.
    """
    wrong = [*_out_of_range(table), *_elsewhere(table["width"]), *_families(table)]
    if wrong:
        raise StudyError(f"the prior set '{name}': {'; '.join(wrong)}", remedy=HELP)


def _out_of_range(table: dict[str, Any]) -> Iterator[str]:
    for place, value in _positive(table):
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
            yield f"{place} = {value!r} must be a number above 0"
    for place, value in {"basis.default": table["basis"]["default"], **_named("basis.error", table)}.items():
        if not isinstance(value, (int, float)) or not 0 <= value < math.inf:
            yield f"{place} = {value!r} must be a number from 0 on"
    for place, pair in _named("ratios.value", table).items():
        if not (isinstance(pair, list) and len(pair) == 2 and all(isinstance(part, (int, float)) for part in pair)):
            yield f"{place} = {pair!r} must be a mean and an SD"
        elif not 0 < pair[1] < math.inf:
            yield f"{place} = {pair!r} has no SD above 0"
    count = table["lineshape"]["spline_count"]
    if not isinstance(count, int) or count < LEAST_SPLINES:
        yield f"lineshape.spline_count = {count!r} must be {LEAST_SPLINES} or more"


def _positive(table: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Numbers that must be above zero, with their places."""
    fixed = {
        "phase": ("zero_sd_deg", "first_sd_s"),
        "shift": ("common_sd_ppm", "metabolite_sd_ppm"),
        "width": ("default_t2", "relative_sd"),
        "lineshape": ("gauss_start_hz", "gauss_max_hz", "lorentz_sd_hz"),
        "basis": ("window_ppm",),
        "macromolecules": ("reference_protons", "shift_sd_ppm", "width_sd"),
        "lipids": ("reference_protons", "shift_sd_ppm", "width_sd"),
    }
    for section, keys in fixed.items():
        yield from ((f"{section}.{key}", table[section][key]) for key in keys)
    for place in ("shift.metabolite", "width.t2", "width.relative_sd_of", "lineshape.near", "lineshape.asymmetric"):
        yield from _named(place, table).items()
    if "field_t" in table["width"]:
        yield "width.field_t", table["width"]["field_t"]
    for field, other in table["width"].get("other", {}).items():
        if _has_widths(field, other):
            yield from ((f"width.other.{field}.{key}", other[key]) for key in NEEDED)
            for key in TABLES:
                yield from ((f"width.other.{field}.{key}.{name}", value) for name, value in other.get(key, {}).items())


NEEDED, TABLES = ("scale", "relative_sd"), ("t2", "relative_sd_of")
"""Keys of the widths of another field: numbers that it needs, and tables of numbers by metabolite."""


def _elsewhere(width: dict[str, Any]) -> Iterator[str]:
    """Say which widths of other fields are none."""
    other = width.get("other", {})
    if other and "field_t" not in width:
        yield "width.other needs width.field_t, the field of width.t2"
    for field, table in other.items():
        if not _has_widths(field, table):
            keys = f"the numbers {', '.join(NEEDED)}, the tables {', '.join(TABLES)}"
            yield f'width.other.{field} must be a field in tesla in quotes ("7.0") with {keys} and nothing else'


def _has_widths(field: str, table: Any) -> bool:  # noqa: ANN401  whatever stands in the file
    try:
        known = 0 < float(field) < math.inf
    except ValueError:
        return False
    return (
        known
        and isinstance(table, dict)
        and set(NEEDED) <= set(table) <= {*NEEDED, *TABLES}
        and all(isinstance(table.get(key, {}), dict) for key in TABLES)
    )


def _named(place: str, table: dict[str, Any]) -> dict[str, Any]:
    """Entries of a table inside a section, by their places; none where it is left out."""
    section, _, key = place.partition(".")
    return {f"{place}.{name}": value for name, value in table[section].get(key, {}).items()}


def _families(table: dict[str, Any]) -> Iterator[str]:
    for section in ("macromolecules", "lipids"):
        peaks, reference = table[section]["peaks"], table[section]["reference"]
        names = [peak["name"] for peak in peaks]
        if len(set(names)) < len(names):
            yield f"{section}: two peaks share a name"
        if names and reference not in names:
            yield f"{section}: the reference '{reference}' is none of the peaks"
        for peak in peaks:
            keys = ("width", "ratio") if peak["name"] == reference else ("width", "ratio", "sd")
            for key in keys:
                value = peak[key]
                if not isinstance(value, (int, float)) or not 0 < value < math.inf:
                    yield f"{section}, {peak['name']}: {key} = {value!r} must be a number above 0"
