"""Prior knowledge of the peak model: a table of lines with their links, from a preset, a TOML or a TSV file."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from mrs_pipeline.config import FitSection, read_preset
from mrs_pipeline.errors import StudyError
from mrs_pipeline.fit.model import token

LEAST_RANGE_PPM = 1e-4
NOT_NEGATIVE = (
    "j_sd_hz",
    "shift_sd_ppm",
    "width_sd_hz",
    "width_min_hz",
    "gauss_hz",
    "gauss_sd_hz",
    "phase_sd_deg",
    "ratio_sd",
    "start",
)
HELP = "see the keys in docs/peaks.md, or start from a copy of config/presets/peaks/31p-brain.toml"


@dataclass(frozen=True)
class PeakLine:
    """One named peak (a singlet or a first-order multiplet) and what is known of it.

    An SD of 0 fixes a parameter, an infinite one leaves it free between its limits, anything between is the SD of a
    Gaussian prior. ``*_with`` names the peak whose parameter is taken over.

    Parameters
    ----------
    name
        Name in the results.
    ppm
        Chemical shift of the multiplet's centre.
    nuclei
        Nuclei per molecule in the peak: amplitudes are per molecule.
    pattern
        Relative weights of the multiplet's lines, from high to low frequency.
    j_hz, j_sd_hz
        Distance of its lines in Hz.
    shift_sd_ppm, shift_max_ppm, shift_with
        Own shift against the common one; the limit is five SDs where not given.
    width_hz, width_sd_hz, width_min_hz, width_max_hz, width_with, width_factor
        Lorentzian full width at half maximum.
    gauss_hz, gauss_sd_hz, gauss_max_hz, gauss_with
        Gaussian full width at half maximum.
    phase_deg, phase_sd_deg, phase_with
        Phase against the common one.
    ratio_to, ratio, ratio_sd
        Amplitude relative to another peak's: SD 0 holds it exactly.
    start
        Rough relative amplitude, to find the first shift.
    signed
        Whether the amplitude may be negative.
    """

    name: str
    ppm: float
    nuclei: float = 1.0
    pattern: tuple[float, ...] = (1.0,)
    j_hz: float = 0.0
    j_sd_hz: float = 0.0
    shift_sd_ppm: float = 0.02
    shift_max_ppm: float | None = None
    shift_with: str = ""
    width_hz: float = 5.0
    width_sd_hz: float = math.inf
    width_min_hz: float = 0.1
    width_max_hz: float = 100.0
    width_with: str = ""
    width_factor: float = 1.0
    gauss_hz: float = 0.0
    gauss_sd_hz: float = 0.0
    gauss_max_hz: float = 100.0
    gauss_with: str = ""
    phase_deg: float = 0.0
    phase_sd_deg: float = 0.0
    phase_with: str = ""
    ratio_to: str = ""
    ratio: float = 1.0
    ratio_sd: float = 0.0
    start: float = 1.0
    signed: bool = False


@dataclass(frozen=True)
class PeakTable:
    """A whole table of prior knowledge.

    Parameters
    ----------
    lines
        The peaks.
    nucleus
        Nucleus it is for.
    reference
        Peak whose position is the phase pivot, whose width is reported, and that ratios are formed with.
    ppm
        Fitted window; ``None``: that of the settings.
    shift_range_ppm
        How far the common shift is searched.
    begin_ms, begin_sd_ms
        Time of the first point after the signal's origin (AMARES' begin time), prior mean and SD.
    skip
        First points of the FID left out of data and model, which suppresses broad signals.
    title
        One line for the report.
    """

    lines: tuple[PeakLine, ...]
    nucleus: str = "1H"
    reference: str = ""
    ppm: tuple[float, float] | None = None
    shift_range_ppm: float = 0.2
    begin_ms: float = 0.0
    begin_sd_ms: float = 0.0
    skip: int = 0
    title: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the peaks."""
        return tuple(line.name for line in self.lines)

    def line(self, name: str) -> PeakLine:
        """Return a peak by name."""
        return self.lines[self.names.index(name)]


def nucleus_of(settings: FitSection) -> str:
    """Return the nucleus a study analyses: that of the table of peaks, 1H for basis signals."""
    return load_peaks(settings.peaks).nucleus if settings.model == "peaks" else "1H"


def load_peaks(name: str) -> PeakTable:
    """Read a table of peaks by preset name, or from a ``.toml`` or ``.tsv`` file.

    Raises
    ------
    StudyError
        Unknown preset, unreadable file, an unknown key, a link to no peak or round in a circle.
    """
    path = Path(name)
    table = _read_tsv(path) if path.suffix.lower() == ".tsv" else read_preset("peaks", name)
    try:
        return checked(_table(table))
    except StudyError:
        raise
    except (KeyError, TypeError, ValueError) as error:
        raise StudyError(
            f"the table of peaks '{name}' cannot be used ({type(error).__name__}: {error})", remedy=HELP
        ) from error


def _table(table: Mapping[str, Any]) -> PeakTable:
    head = {key: value for key, value in table.items() if key not in {"peaks", "defaults"}}
    if "ppm" in head:
        low, high = head["ppm"]
        head["ppm"] = (float(low), float(high))
    defaults = dict(table.get("defaults", {}))
    lines = tuple(_line({**defaults, **entry}) for entry in table["peaks"])
    if not lines:
        raise ValueError("it holds no peak")
    head.setdefault("reference", lines[0].name)
    return PeakTable(lines, **head)


def _line(entry: Mapping[str, Any]) -> PeakLine:
    values = dict(entry)
    if "pattern" in values:
        values["pattern"] = tuple(float(weight) for weight in values["pattern"])
    return PeakLine(**values)


def checked(table: PeakTable) -> PeakTable:
    """Return a table whose links and limits make sense.

    Raises
    ------
    StudyError
        They do not.
    """
    names = table.names
    _refuse(len(set(names)) < len(names), f"two peaks share a name: {', '.join(names)}")
    _refuse(table.reference not in names, f"the reference peak '{table.reference}' is not in the table")
    _refuse(table.ppm is not None and not table.ppm[0] < table.ppm[1], f"ppm = {table.ppm} runs the wrong way")
    _check_numbers("", table, least={"shift_range_ppm": LEAST_RANGE_PPM, "begin_sd_ms": 0.0, "skip": 0.0})
    for line in table.lines:
        _check_numbers(f"{line.name}: ", line, least=dict.fromkeys(NOT_NEGATIVE, 0.0))
        _refuse(line.ratio == 0, f"{line.name}: ratio = 0 leaves nothing to fit")
    keys = [token(name) for name in names]
    alike = [name for name, key in zip(names, keys, strict=True) if keys.count(key) > 1]
    _refuse(bool(alike), f"names that differ in punctuation alone: {', '.join(alike)}")
    for line in table.lines:
        _refuse(not sum(line.pattern) > 0 or not line.nuclei > 0, f"{line.name}: pattern and nuclei must be positive")
        _refuse(
            not line.width_min_hz <= line.width_hz <= line.width_max_hz,
            f"{line.name}: width_hz = {line.width_hz:g} is outside its limits",
        )
        for kind in ("shift", "width", "gauss", "phase"):
            linked_to(table, line.name, kind)
        linked_to(table, line.name, "ratio")
    return table


def _check_numbers(place: str, owner: PeakTable | PeakLine, least: Mapping[str, float]) -> None:
    """Refuse entries that are no numbers where numbers belong, not finite (SDs and limits may be) or too small."""
    for entry in fields(owner):
        value = getattr(owner, entry.name)
        if str(entry.type) not in {"float", "int", "float | None"} or value is None:
            continue
        number = isinstance(value, (int, float)) and not isinstance(value, bool) and not math.isnan(value)
        _refuse(not number, f"{place}{entry.name} = {value!r} is no number")
        unlimited = "_sd" in entry.name or "_max" in entry.name
        _refuse(math.isinf(value) and not unlimited, f"{place}{entry.name} = {value!r} is not finite")
        smallest = least.get(entry.name, -math.inf)
        _refuse(value < smallest, f"{place}{entry.name} = {value:g} is below {smallest:g}")


def linked_to(table: PeakTable, name: str, kind: str) -> list[str]:
    """Return the chain of links of a parameter from a peak to the one that owns it, that one last.

    Raises
    ------
    StudyError
        The chain leads to no peak or in a circle.
    """
    key = "ratio_to" if kind == "ratio" else f"{kind}_with"
    chain = [name]
    while following := getattr(table.line(chain[-1]), key):
        _refuse(following not in table.names, f"{chain[-1]}: {key} = '{following}' is not in the table")
        if kind == "ratio" and table.line(chain[-1]).ratio_sd > 0:
            break  # a soft ratio leaves the amplitude its own
        _refuse(following in chain, f"{key} leads in a circle: {' - '.join([*chain, following])}")
        chain.append(following)
    return chain


def _refuse(wrong: bool, problem: str) -> None:
    if wrong:
        raise StudyError(f"table of peaks: {problem}", remedy=HELP)


def _read_tsv(path: Path) -> dict[str, Any]:
    """Read a table with one peak per row; ``# key = value`` lines above the header are the table's own settings.

    Cells may be empty; a pattern is written ``1:2:1``.
    """
    try:
        text = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise StudyError(
            f"the table of peaks cannot be read ({error})",
            remedy="check the path, and that the text is UTF-8",
            path=path,
        ) from error
    head: dict[str, Any] = {}
    for comment in (row for row in text if row.startswith("#")):
        key, sign, value = comment.lstrip("# ").partition("=")
        if sign:
            head[key.strip()] = _value(PeakTable, key.strip(), value.strip(), path)
    rows = csv.DictReader((row for row in text if not row.startswith("#")), delimiter="\t")
    return head | {
        "peaks": [{key: _value(PeakLine, key, cell.strip(), path) for key, cell in row.items() if cell} for row in rows]
    }


def _value(owner: type, key: str, text: str, path: Path) -> Any:  # noqa: ANN401  the type of the field
    """Turn a cell into the type of its field."""
    kinds = {field.name: str(field.type) for field in fields(owner)}
    if key not in kinds:
        raise StudyError(f"unknown column or setting '{key}' in the table of peaks", remedy=HELP, path=path)
    kind = kinds[key]
    try:
        if kind.startswith("tuple"):
            return tuple(float(part) for part in text.replace(",", ":").split(":"))
        if kind == "bool":
            return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}[text.lower()]
        return text if kind == "str" else int(text) if kind == "int" else float(text)
    except (ValueError, KeyError) as error:
        raise StudyError(f"{key} = '{text}' is not a {kind}", remedy=HELP, path=path) from error
