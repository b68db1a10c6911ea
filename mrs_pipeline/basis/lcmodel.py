"""LCModel .basis files, read and written."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from mrs_pipeline.basis.model import Basis
from mrs_pipeline.basis.names import canonical_name
from mrs_pipeline.errors import BasisError
from mrs_pipeline.spectrum import WATER_PPM, ComplexArray, FloatArray

_NAMELIST = re.compile(r"[$&](\w+)(.*?)[$&]END\b", re.IGNORECASE | re.DOTALL)
_ENTRY = re.compile(
    r"(\w+)\s*(?:\(\d+\))?\s*=\s*('(?:[^']|'')*'|[^'=$&]*?)(?=,?\s*\w+\s*(?:\(\d+\))?\s*=|[,\s]*$)", re.DOTALL
)
_COLUMNS = 4
_MAX_NAME = 6
_MAX_TITLE = 76
_LCMODEL_NAMES = {"sIns": "Scyllo", "CrCH2": "-CrCH2"}
_FORMAT = re.compile(r"(\d+)\s*[EFDG]\s*(\d+)", re.IGNORECASE)


def read_lcmodel(path: Path) -> Basis:
    """Read an LCModel .basis file as it stands, with its nominal carrier; ``normalise`` comes after.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    BasisError
        A block or key that is needed is missing, or the numbers do not match NDATAB.

    Notes
    -----
    Case, spacing, commas and line breaks of the namelists vary between writers and do not matter. A block holds the
    unnormalised spectrum of the FID in LCModel's sense, zero frequency first: the FID is the conjugate of its
    inverse FFT. ISHIFT is the number of points by which LCModel moves the spectrum to put the carrier at 4.65 ppm.
    """
    text = path.read_text(encoding="latin-1")
    header, blocks = _split(text, path)
    dwell = _number(header, "BADELT", path)
    field = _number(header, "HZPPPM", path)
    n = int(_number(header, "NDATAB", path))
    width = _FORMAT.search(header.get("FMTBAS", ""))
    spectra = [_values(body, n, int(width[2]) if width else None, entry, path) for entry, body in blocks]
    fids = np.conj(np.fft.ifft(np.array(spectra), axis=1))
    shifts = {int(float(entry.get("ISHIFT") or 0)) for entry, _ in blocks}
    shift_ppm = shifts.pop() / (n * dwell * field) if len(shifts) == 1 else 0.0
    te1, te2, tm = _timing(header)
    notes = ("the split of the echo time is not stated",) if te1 is not None and te2 is None and tm is None else ()
    return Basis(
        names=_unique([canonical_name(entry.get("METABO") or entry.get("ID", "")) for entry, _ in blocks], path),
        fids=fids,
        dwell=dwell,
        field_mhz=field,
        reference_ppm=WATER_PPM + shift_ppm,
        te1=te1,
        te2=te2,
        tm=tm,
        sequence=(header.get("SEQ") or "unknown").strip().lower(),
        pulses=_pulses(header),
        source=str(path),
        notes=notes,
    )


def format_lcmodel(basis: Basis) -> str:
    """Return the text of an LCModel .basis file.

    Parameters
    ----------
    basis
        The set, carrier at 4.65 ppm.

    Raises
    ------
    BasisError
        A name is longer than LCModel's six characters.

    Notes
    -----
    As in the files that LCModel's own makebasis writes: FIDs with a halved first point, zero-filled to twice their
    length, in LCModel's sense (conjugate), unnormalised FFT, zero frequency first. te1, te2 and tm stand in IDBASI,
    which LCModel only prints.
    """
    names = [_LCMODEL_NAMES.get(name, name) for name in basis.names]
    long = [name for name in names if len(name) > _MAX_NAME]
    if long:
        remedy = "shorten these names or leave these members out"
        raise BasisError(f"LCModel allows {_MAX_NAME} characters per name: {', '.join(long)}", remedy=remedy)
    fids = basis.fids.copy()
    fids[:, 0] /= 2
    spectra = np.fft.fft(np.conj(fids), 2 * basis.n_points, axis=1)
    blocks = [_block(name, spectrum) for name, spectrum in zip(names, spectra, strict=True)]
    return "".join([_header(basis), *blocks])


def _header(basis: Basis) -> str:
    echo = f"{basis.echo_time * 1e3:.6g}" if basis.echo_time is not None else "0."
    return (
        " $SEQPAR\n"
        f" FWHMBA = {linewidth_ppm(basis):.6f},\n"
        f" HZPPPM = {basis.field_mhz:.6f},\n"
        f" ECHOT = {echo},\n"
        f" SEQ = '{basis.sequence.upper()[:10]}'\n"
        " $END\n"
        " $BASIS1\n"
        f" IDBASI = '{_title(basis)}',\n"
        f" FMTBAS = '({_COLUMNS}E17.9)',\n"
        f" BADELT = {basis.dwell:.12g},\n"
        f" NDATAB = {2 * basis.n_points}\n"
        " $END\n"
    )


def _title(basis: Basis) -> str:
    times = (("te1", basis.te1), ("te2", basis.te2), ("tm", basis.tm))
    stated = " ".join(f"{key}={value * 1e3:.6g}" for key, value in times if value is not None)
    return f"mrs-pipeline {basis.pulses} {stated} ms"[:_MAX_TITLE]


def _block(name: str, spectrum: ComplexArray) -> str:
    head = (
        " $NMUSED\n XTRASH = 0.\n $END\n $BASIS\n"
        f" ID = '{name}',\n METABO = '{name}',\n CONC = 1.,\n TRAMP = 1.,\n VOLUME = 1.,\n ISHIFT = 0\n $END\n"
    )
    numbers = spectrum.view(np.float64).reshape(-1, _COLUMNS)
    return head + "".join("".join(f"{value:17.9E}" for value in row) + "\n" for row in numbers)


def linewidth_ppm(basis: Basis) -> float:
    """Return the width at half maximum of the set's lines, from the decay of the member that decays most slowly.

    Notes
    -----
    The envelope of the FID falls to 1/e at t; a Lorentzian line of that decay is 1/(pi t) wide.
    """
    widths = []
    for fid in basis.fids:
        envelope = np.maximum.accumulate(np.abs(fid)[::-1])[::-1]
        below = np.flatnonzero(envelope < envelope[0] / np.e)
        widths.append(1 / (np.pi * (below[0] if len(below) else basis.n_points) * basis.dwell))
    return float(min(widths)) / basis.field_mhz


def _split(text: str, path: Path) -> tuple[dict[str, str], list[tuple[dict[str, str], str]]]:
    header: dict[str, str] = {}
    blocks: list[tuple[dict[str, str], str]] = []
    matches = list(_NAMELIST.finditer(text))
    for index, match in enumerate(matches):
        entries = _entries(match[2])
        if match[1].upper() != "BASIS":
            if match[1].upper() in {"SEQPAR", "BASIS1"}:
                header.update(entries)
            continue
        stop = matches[index + 1].start() if index + 1 < len(matches) else len(text)
        blocks.append((entries, text[match.end() : stop]))
    if not blocks:
        raise BasisError("no $BASIS block found", remedy="give an LCModel .basis file", path=path)
    return header, blocks


def _entries(text: str) -> dict[str, str]:
    return {key.upper(): value.strip().rstrip(",").strip().strip("'").strip() for key, value in _ENTRY.findall(text)}


def _number(header: dict[str, str], key: str, path: Path) -> float:
    try:
        return float(header[key].upper().replace("D", "E"))
    except (KeyError, ValueError):
        raise BasisError(
            f"{key} is missing or not a number", remedy=f"add {key} to the file's header", path=path
        ) from None


def _values(body: str, n: int, width: int | None, entry: dict[str, str], path: Path) -> ComplexArray:
    try:
        numbers = np.array(body.upper().replace("D", "E").split(), dtype=float)
    except ValueError:
        numbers = _fixed_width(body, width, entry, path)
    if len(numbers) != 2 * n:
        name = entry.get("METABO", "?")
        problem = f"{name} has {len(numbers)} numbers where NDATAB = {n} asks for {2 * n}"
        raise BasisError(problem, remedy="the file is cut short or edited: export it again", path=path)
    return numbers[0::2] + 1j * numbers[1::2]


def _fixed_width(body: str, width: int | None, entry: dict[str, str], path: Path) -> FloatArray:
    """Read numbers that touch one another, by the width of FMTBAS."""
    step = width or 1
    lines = [line for line in body.upper().replace("D", "E").splitlines() if line.strip()]
    try:
        return np.array([float(line[i : i + step]) for line in lines for i in range(0, len(line.rstrip()), step)])
    except ValueError:
        name = entry.get("METABO", "?")
        raise BasisError(
            f"the numbers of {name} are unreadable or cut short", remedy="export the file again", path=path
        ) from None


def _timing(header: dict[str, str]) -> tuple[float | None, float | None, float | None]:
    """Return te1, te2 and tm in seconds: ECHOT, and the split where IDBASI states it as ``te1=...``."""
    title = header.get("IDBASI", "")
    total = _milliseconds(header.get("ECHOT", ""))
    te1, te2, tm = (_milliseconds(_stated(title, key)) for key in ("te1", "te2", "tm"))
    if te1 is not None and te2 is None and total is not None and total > te1:
        te2 = total - te1
    if te1 is None:
        te1, te2 = total, None
    return te1, te2, tm


def _stated(title: str, key: str) -> str:
    match = re.search(rf"\b{key}\s*=\s*([\d.]+)", title, re.IGNORECASE)
    return match[1].rstrip(".") if match else ""


def _milliseconds(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return round(value * 1e-3, 9) if value > 0 else None


def _pulses(header: dict[str, str]) -> str:
    match = re.search(r"\b(ideal|shaped)\b", header.get("IDBASI", ""), re.IGNORECASE)
    return match[1].lower() if match else "unknown"


def _unique(names: list[str], path: Path) -> tuple[str, ...]:
    twice = {name for name in names if names.count(name) > 1}
    if twice or "" in names:
        what = ", ".join(sorted(twice)) or "an unnamed metabolite"
        raise BasisError(f"{what} stands more than once", remedy="keep one block per metabolite", path=path)
    return tuple(names)
