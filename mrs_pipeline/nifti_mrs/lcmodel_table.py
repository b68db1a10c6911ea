"""What LCModel returns: the concentration table and its coordinates."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mrs_pipeline.errors import InputError
from mrs_pipeline.spectrum import FloatArray

_SECTION = re.compile(
    r"^\s*(?:\$\$[A-Z]{4}\s*)?[\d*]+ lines in following (concentration|misc|diagnostic|table of input)", re.IGNORECASE
)
_HEADER = re.compile(r"Conc\.\s+%SD\s*/\s*(?P<reference>\S+)")
_CURVE = re.compile(r"^\s*(?:\d+ points on (ppm)-axis|NY (phased) data|NY points of the (fit)|NY (background) values)")
_OWN_CURVE = re.compile(r"^\s*(\S+)\s+Conc\. =")
_NUMBER = r"[+-]?\d*\.?\d+(?:E[+-]?\d+)?"
_MISC = {
    "fwhm_ppm": re.compile(rf"FWHM\s*=\s*({_NUMBER})\s*ppm"),
    "snr": re.compile(rf"S/N\s*=\s*({_NUMBER})"),
    "shift_ppm": re.compile(rf"Data shift\s*=\s*({_NUMBER})\s*ppm"),
    "phase_deg": re.compile(rf"Ph:\s*({_NUMBER})\s*deg"),
    "phase_deg_per_ppm": re.compile(rf"deg\s+({_NUMBER})\s*deg/ppm"),
}
_AGAIN = "look at LCModel's own output; the table may be cut short"


@dataclass(frozen=True)
class LcmodelRow:
    """One line of the concentration table.

    Parameters
    ----------
    name
        As LCModel prints it, for example ``NAA+NAAG``.
    concentration
        In mmol/L with water scaling, else in the unit of the data.
    sd_percent
        Cramér-Rao bound in per cent of the concentration; 999 is LCModel's word for more, or for a zero.
    ratio
        Concentration over that of the reference (:attr:`LcmodelTable.reference`).
    off_prior
        Whether LCModel marks the ratio as far from its soft prior (a ``+`` or ``-`` before the name).
    """

    name: str
    concentration: float
    sd_percent: float
    ratio: float
    off_prior: bool = False


@dataclass(frozen=True)
class LcmodelTable:
    """Results of one LCModel run.

    Parameters
    ----------
    version
        First line, for example ``LCModel (Version 6.3-1R)``.
    reference
        Denominator of the ratios, for example ``Cr+PCr``.
    rows
        Concentrations.
    fwhm_ppm, snr, shift_ppm, phase_deg, phase_deg_per_ppm
        Line width, signal to (twice the) noise, referencing shift and phases; ``None`` when not printed.
    diagnostics
        LCModel's messages, each with its severity, subprogram and number.
    """

    version: str
    reference: str
    rows: tuple[LcmodelRow, ...]
    fwhm_ppm: float | None = None
    snr: float | None = None
    shift_ppm: float | None = None
    phase_deg: float | None = None
    phase_deg_per_ppm: float | None = None
    diagnostics: tuple[str, ...] = ()

    def row(self, name: str) -> LcmodelRow | None:
        """Return the row of a name; the order of the parts of a sum does not matter."""
        wanted = sorted(name.split("+"))
        return next((row for row in self.rows if sorted(row.name.split("+")) == wanted), None)


@dataclass(frozen=True, eq=False)
class LcmodelCurves:
    """Curves of the .coord file, real parts on one axis.

    Parameters
    ----------
    ppm
        Descending axis, shape ``(n,)``.
    data, fit, background
        Phased data, fit with background, background, shape ``(n,)``.
    components
        Per metabolite: its curve on top of the background, shape ``(n,)``.
    """

    ppm: FloatArray
    data: FloatArray
    fit: FloatArray
    background: FloatArray
    components: dict[str, FloatArray] = field(default_factory=dict)


def read_lcmodel_table(path: str | Path) -> LcmodelTable:
    """Read the concentrations of a .table or .coord file.

    Raises
    ------
    InputError
        There is no file, or no concentration in it; LCModel's own diagnostics are then part of the message.
    """
    path = Path(path)
    lines = _lines(path)
    sections = _sections(lines)
    table = sections.get("concentration", [])
    header = next((found for line in table if (found := _HEADER.search(line))), None)
    rows = tuple(row for line in table if (row := _row(line)) is not None)
    diagnostics = tuple(text for line in sections.get("diagnostic", []) if (text := " ".join(line.split())))
    if header is None or not rows:
        said = f"; LCModel says: {'; '.join(diagnostics)}" if diagnostics else ""
        raise InputError(f"no concentrations in LCModel's output{said}", remedy=_AGAIN, path=path)
    misc = "\n".join(sections.get("misc", []))
    return LcmodelTable(
        version=_version(lines),
        reference=header["reference"],
        rows=rows,
        diagnostics=diagnostics,
        **{name: _first(pattern, misc) for name, pattern in _MISC.items()},
    )


def read_lcmodel_curves(path: str | Path) -> LcmodelCurves:
    """Read the curves of a .coord file.

    Raises
    ------
    InputError
        Axis, data, fit or background are missing, or their lengths differ.
    """
    path = Path(path)
    curves: dict[str, list[float]] = {}
    own: dict[str, list[float]] = {}
    into: list[float] | None = None
    for line in _lines(path):
        if common := _CURVE.match(line):
            into = curves.setdefault(next(name for name in common.groups() if name), [])
        elif single := _OWN_CURVE.match(line):
            into = own.setdefault(single[1], [])
        elif _SECTION.match(line):
            into = None
        elif into is not None:
            into.extend(_floats(line, path))
    arrays = {name: np.array(curves.get(name, [])) for name in ("ppm", "phased", "fit", "background")}
    count = arrays["ppm"].size
    if not count or any(values.size != count for values in arrays.values()):
        raise InputError("curves are missing or of different lengths", remedy=_AGAIN, path=path)
    components = {name: np.array(values) for name, values in own.items() if len(values) == count}
    return LcmodelCurves(arrays["ppm"], arrays["phased"], arrays["fit"], arrays["background"], components)


def _lines(path: Path) -> list[str]:
    if not path.is_file() or not path.stat().st_size:
        raise InputError("LCModel wrote no such file, or an empty one", remedy=_AGAIN, path=path)
    return path.read_text(encoding="latin-1").splitlines()


def _sections(lines: list[str]) -> dict[str, list[str]]:
    """Return the lines of each table, up to the next one or to a curve; the counts LCModel states are not relied on."""
    found: dict[str, list[str]] = {}
    current: list[str] | None = None
    for line in lines:
        if start := _SECTION.match(line):
            current = found.setdefault(start[1].lower().split()[0], [])
        elif _CURVE.match(line):
            current = None
        elif current is not None:
            current.append(line)
    return found


def _row(line: str) -> LcmodelRow | None:
    """Parse one row by its columns.

    Notes
    -----
    LCModel writes concentration (8 columns), per cent (4 and the sign), ratio (8), one column that is blank or the mark
    of a ratio far from its prior, and the name; fields may touch, so that only the place after ``%`` tells them apart.
    """
    found = re.match(rf"\s*({_NUMBER}|\*+)\s*(\d+)%(.{{8}})([ +-])(\S.*)$", line)
    if found is None:
        return None
    concentration, per_cent, ratio, mark, name = found.groups()
    return LcmodelRow(name.strip(), _real(concentration), float(per_cent), _real(ratio), mark != " ")


def _real(text: str) -> float:
    """Return a Fortran number; a field of asterisks is not a number."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def _floats(line: str, path: Path) -> list[float]:
    try:
        return [float(item) for item in line.split()]
    except ValueError as error:
        raise InputError(f"not a line of numbers: {line.strip()[:40]!r}", remedy=_AGAIN, path=path) from error


def _version(lines: list[str]) -> str:
    first = next((line for line in lines if line.strip()), "")
    return first.split("Copyright")[0].strip()


def _first(pattern: re.Pattern[str], text: str) -> float | None:
    found = pattern.search(text)
    return float(found[1]) if found else None
