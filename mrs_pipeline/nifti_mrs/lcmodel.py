"""LCModel text files: RAW data and the control file that says how to read them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mrs_pipeline.errors import InputError
from mrs_pipeline.spectrum import WATER_PPM, ComplexArray, FloatArray, Spectrum

Namelist = dict[str, str]
_VALUE = re.compile(
    r"""(?P<key>[A-Za-z]\w*(?:\s*\([^)]*\))?)\s*=\s*   # KEY or KEY(1) =
    (?P<value>'(?:[^']|'')*'|"[^"]*"|.*?)\s*            # quoted text, or anything
    (?=,?\s*[A-Za-z]\w*\s*(?:\([^)]*\))?\s*=|,?\s*$)   # up to the next key or the end""",
    re.DOTALL | re.VERBOSE,
)
_FORMAT = re.compile(r"^\(\s*(?:\d*P,?)?\s*(?P<repeat>\d*)[EFDG](?P<width>\d+)(?:\.\d+)?(?:E\d+)?\s*\)$", re.IGNORECASE)
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[EeDd][+-]?\d+)?")


@dataclass(frozen=True)
class LcmodelControl:
    """What an LCModel control file says about its data.

    Parameters
    ----------
    dwell
        Time between points in seconds (``DELTAT``).
    carrier_mhz
        Field in MHz (``HZPPPM``).
    n_points
        Points of the unfilled data (``NUNFIL``); ``None`` when not stated.
    echo_time
        Seconds (``ECHOT``, milliseconds in the file); ``None`` when not stated.
    raw, water, basis
        Files named by the control file.
    """

    dwell: float
    carrier_mhz: float
    n_points: int | None = None
    echo_time: float | None = None
    raw: str | None = None
    water: str | None = None
    basis: str | None = None


def read_lcmodel_control(path: str | Path) -> LcmodelControl:
    """Read the fields of an LCModel control file that describe the data.

    Raises
    ------
    InputError
        ``DELTAT`` or ``HZPPPM`` is missing or not a number.
    """
    path = Path(path)
    fields = _namelist(_text(path), "LCMODL", path)
    points, echo = fields.get("NUNFIL"), fields.get("ECHOT")
    return LcmodelControl(
        dwell=_required(fields, "DELTAT", path),
        carrier_mhz=_required(fields, "HZPPPM", path),
        n_points=None if points is None else int(points),
        echo_time=None if echo is None else _real(echo, "ECHOT", path) / 1000,
        raw=_unquoted(fields.get("FILRAW")),
        water=_unquoted(fields.get("FILH2O")),
        basis=_unquoted(fields.get("FILBAS")),
    )


def read_lcmodel_raw(
    path: str | Path,
    dwell: float,
    carrier_mhz: float,
    *,
    reference_ppm: float = WATER_PPM,
    echo_time: float | None = None,
    repetition_time: float | None = None,
) -> Spectrum:
    """Read an LCModel RAW (or .h2o) file into the inside convention.

    Parameters
    ----------
    path
        Text file with a ``$NMID`` namelist and the complex FID as pairs of numbers in the format it states.
    dwell
        Time between points in seconds; the file does not state it.
    carrier_mhz
        Transmitter frequency in MHz; the file does not state it.
    reference_ppm
        Chemical shift at zero frequency in ppm.
    echo_time, repetition_time
        Seconds. Without ``echo_time``, ``ECHOT`` of a ``$SEQPAR`` namelist is used when there is one.

    Returns
    -------
    Spectrum
        One FID, shape ``(n_points,)``, multiplied by ``TRAMP / VOLUME`` as LCModel does.

    Raises
    ------
    InputError
        The namelist is missing, the numbers do not come in pairs, or they were sampled sequentially (``SEQACQ``).

    Notes
    -----
    RAW data have the sense of NIfTI-MRS on disk: NAA, below water, lies at positive frequency under numpy's FFT
    (measured on LCModel's own test data). They are therefore conjugated once. ``BRUKER = T`` marks data of the opposite
    sense, which LCModel conjugates on reading (MYDATA of LCModel 6.3); these are taken as they stand.
    """
    path = Path(path)
    text = _text(path)
    fields = _namelist(text, "NMID", path)
    if _is_true(fields.get("SEQACQ")):
        raise InputError(
            "SEQACQ = T: real and imaginary part were sampled one after the other",
            remedy="convert the data to simultaneous sampling first",
            path=path,
        )
    on_disk = _complex_pairs(text, fields, path)
    inside = on_disk if _is_true(fields.get("BRUKER")) else on_disk.conj()
    return Spectrum(
        fid=inside,
        dwell=dwell,
        carrier_mhz=carrier_mhz,
        reference_ppm=reference_ppm,
        echo_time=echo_time if echo_time is not None else _echo_time(text, path),
        repetition_time=repetition_time,
    )


def _complex_pairs(text: str, fields: Namelist, path: Path) -> ComplexArray:
    """Return the numbers after ``$NMID`` as a complex FID, shape ``(n_points,)``, times ``TRAMP / VOLUME``."""
    numbers = _numbers(_after_namelist(text, "NMID"), _unquoted(fields.get("FMTDAT")))
    if numbers.size == 0 or numbers.size % 2:
        raise InputError(
            f"{numbers.size} numbers after $NMID, which are not pairs of real and imaginary part",
            remedy="check that the file is complete (it may have been truncated)",
            path=path,
        )
    scale = _positive(fields.get("TRAMP", "1"), "TRAMP", path) / _positive(fields.get("VOLUME", "1"), "VOLUME", path)
    return np.asarray((numbers[0::2] + 1j * numbers[1::2]) * scale, dtype=np.complex128)


def _echo_time(text: str, path: Path) -> float | None:
    """Return ``ECHOT`` of the optional ``$SEQPAR`` namelist in seconds."""
    if not re.search(r"[$&]\s*SEQPAR", text, re.IGNORECASE):
        return None
    echo = _namelist(text, "SEQPAR", path).get("ECHOT")
    return None if echo is None else _real(echo, "ECHOT", path) / 1000


def _text(path: Path) -> str:
    if not path.is_file():
        raise InputError("there is no such file", remedy="check the path", path=path)
    content = path.read_bytes()
    if not content.strip():
        raise InputError("the file is empty", remedy="export it again", path=path)
    return content.decode("latin-1")


def _namelist(text: str, name: str, path: Path) -> Namelist:
    """Return the entries of a Fortran namelist, keys in upper case, values as text."""
    match = re.search(
        rf"[$&]\s*{name}\b(.*?)(?:[$&]\s*END|^\s*/|\s/\s*$)", text, re.IGNORECASE | re.DOTALL | re.MULTILINE
    )
    if match is None:
        raise InputError(f"no ${name} ... $END block", remedy="check that this is an LCModel file", path=path)
    return {
        item["key"].upper(): item["value"].strip().rstrip(",").strip() for item in _VALUE.finditer(match[1].strip())
    }


def _after_namelist(text: str, name: str) -> str:
    """Return what follows the namelist, where the data stand."""
    start = re.search(rf"[$&]\s*{name}\b", text, re.IGNORECASE)
    assert start is not None
    end = re.compile(r"[$&]\s*END[^\n]*\n|^\s*/\s*\n", re.IGNORECASE | re.MULTILINE).search(text, start.end())
    return text[end.end() :] if end else ""


def _numbers(body: str, fortran_format: str | None) -> FloatArray:
    """Parse the numbers, in fixed columns when the format states them (fields may touch), else by pattern."""
    fixed = _FORMAT.match((fortran_format or "").strip())
    if fixed is None:
        tokens = _NUMBER.findall(body)
    else:
        width, repeat = int(fixed["width"]), int(fixed["repeat"] or 1)
        lines = (line.rstrip("\r") for line in body.splitlines())
        fields = (line[k * width : (k + 1) * width].strip() for line in lines for k in range(repeat))
        tokens = [field for field in fields if field]
        if not all(_NUMBER.fullmatch(token) for token in tokens):  # not written in the columns it claims
            tokens = _NUMBER.findall(body)
    return np.array([float(token.upper().replace("D", "E")) for token in tokens], dtype=np.float64)


def _required(fields: Namelist, key: str, path: Path) -> float:
    if key not in fields:
        raise InputError(f"{key} is not stated", remedy=f"add {key} to the control file", path=path)
    return _real(fields[key], key, path)


def _real(text: str, key: str, path: Path) -> float:
    try:
        return float(text.upper().replace("D", "E"))
    except ValueError as error:
        raise InputError(f"{key} is {text!r}, not a number", remedy=f"correct {key}", path=path) from error


def _positive(text: str, key: str, path: Path) -> float:
    value = _real(text, key, path)
    if value <= 0:
        raise InputError(
            f"{key} is {value:g}, which LCModel refuses too", remedy=f"give {key} > 0, or leave it out", path=path
        )
    return value


def _unquoted(text: str | None) -> str | None:
    return None if text is None else text.strip("'\" ")


def _is_true(text: str | None) -> bool:
    return text is not None and text.strip(". ").upper().startswith("T")
