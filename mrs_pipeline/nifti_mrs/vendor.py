"""Scanner files: which format a file is, what belongs to it, what it states, and which converter reads it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mrs_pipeline.errors import InputError

Format = Literal["sdat", "rda", "twix", "pfile", "data-list", "dicom", "nifti", "lcmodel-raw"]

_EXTENSIONS: Mapping[str, Format] = {
    ".sdat": "sdat",
    ".rda": "rda",
    ".dat": "twix",
    ".7": "pfile",
    ".data": "data-list",
    ".ima": "dicom",
    ".dcm": "dicom",
    ".nii": "nifti",
    ".nii.gz": "nifti",
    ".raw": "lcmodel-raw",
    ".h2o": "lcmodel-raw",
}
COMPANIONS = {".spar": "sdat", ".list": "data"}
"""Files read together with another one: their extension and that of the file they belong to."""

SUPPORTED = "Philips SDAT/SPAR and data/list, Siemens RDA, IMA and TWIX, GE P-file, DICOM, NIfTI(-MRS), LCModel RAW"
DICOM_MAGIC_AT = 128


@dataclass(frozen=True)
class Facts:
    """What a scanner file states that the NIfTI-MRS header has no place for, in BIDS names.

    ``header`` holds corrections and additions to the NIfTI-MRS header extension.
    """

    sidecar: Mapping[str, Any]
    header: Mapping[str, Any]


def format_of(path: Path) -> Format | None:
    """Return the format of a scanner file by name, or by its first bytes where DICOM files carry no extension."""
    name = path.name.lower()
    known = next((kind for extension, kind in _EXTENSIONS.items() if name.endswith(extension)), None)
    return known or ("dicom" if _is_dicom(path) else None)


def companion_of(path: Path) -> Path | None:
    """Return the file that a SPAR or LIST file is read together with, or ``None`` when there is none.

    Also the JSON file beside a NIfTI file.
    """
    name = path.name.lower()
    if name.endswith(".json"):
        stem = path.name[: -len(".json")]
        return next((p for p in (path.with_name(stem + ".nii.gz"), path.with_name(stem + ".nii")) if p.is_file()), None)
    wanted = COMPANIONS.get(path.suffix.lower())
    return None if wanted is None else sibling(path, wanted)


def sibling(path: Path, extension: str) -> Path | None:
    """Return the file of the same stem with another extension, whatever the letter case."""
    options = (path.with_suffix(f".{case}") for case in (extension, extension.upper(), extension.capitalize()))
    return next((option for option in options if option.is_file()), None)


def sources_of(path: Path, kind: Format) -> tuple[Path, ...]:
    """Return every file a conversion reads, the given one first.

    Raises
    ------
    InputError
        The SPAR of an SDAT, or the LIST or SPAR of a DATA file, is missing.
    """
    needed = {"sdat": ("spar",), "data-list": ("list", "spar")}.get(kind, ())
    out = [path]
    for extension in needed:
        found = sibling(path, extension)
        if found is None:
            raise InputError(
                f"there is no .{extension.upper()} file of the same name beside it, which holds its parameters",
                remedy=f"copy the .{extension.upper()} file into the same folder",
                path=path,
            )
        out.append(found)
    return tuple(out)


def check_scanner_file(path: Path, kind: Format) -> None:
    """Raise :class:`InputError` where a file is empty or shorter than its own header says."""
    if path.stat().st_size == 0:
        raise InputError("the file is empty (0 bytes)", remedy="export or copy it again", path=path)
    expected = _EXPECTED_SIZE.get(kind)
    wanted = expected(path) if expected else None
    size = path.stat().st_size
    if wanted is not None and size < wanted:
        raise InputError(
            f"the file is truncated: {size} of {wanted} bytes", remedy="export or copy it again", path=path
        )


def converter_arguments(paths: tuple[Path, ...], kind: Format, out_dir: Path, name: str) -> list[str]:
    """Return the spec2nii command line for a scanner file.

    Parameters
    ----------
    paths
        What :func:`sources_of` returned; for DICOM the folder that holds the files of one series.
    kind
        Format, not ``"nifti"`` or ``"lcmodel-raw"``, which need no converter.
    out_dir, name
        Where the result goes.
    """
    subcommand = [_dicom_subcommand(paths[0])] if kind == "dicom" else list(_SUBCOMMANDS[kind])
    return ["spec2nii", *subcommand, *map(str, paths), "-o", str(out_dir), "-f", name]


_SUBCOMMANDS: Mapping[str, tuple[str, ...]] = {
    "sdat": ("philips",),
    "rda": ("rda",),
    "twix": ("twix", "-e", "image", "-q"),
    "pfile": ("ge",),
    "data-list": ("philips_dl",),
}


def facts_of(path: Path, kind: Format) -> Facts:
    """Return what a scanner file states beyond what its converter carries over."""
    reader = _FACTS.get(kind)
    return reader(path) if reader else Facts({}, {})


def read_spar(path: Path) -> dict[str, str]:
    """Return the ``key : value`` lines of a Philips SPAR file, values as text without quotes."""
    fields: dict[str, str] = {}
    for line in path.read_text(encoding="latin-1").splitlines():
        if line.startswith("!") or ":" not in line:
            continue
        key, _, value = line.partition(":")
        fields[key.strip()] = value.strip().strip('"').strip()
    return fields


def read_rda_header(path: Path) -> dict[str, str]:
    """Return the text header of a Siemens RDA file; the position of the data stands under ``"_data_at"``."""
    content = path.read_bytes()
    marker = b">>> End of header <<<"
    end = content.find(marker)
    if end < 0:
        raise InputError("no RDA header", remedy="export the file again as RDA", path=path)
    lines = content[:end].decode("latin-1").splitlines()
    fields = {key.strip(): value.strip() for key, colon, value in (line.partition(":") for line in lines) if colon}
    after = content[end + len(marker) :][:2]
    return fields | {"_data_at": str(end + len(marker) + (2 if after == b"\r\n" else 1))}


def pulse_sequence_type(*names: str | None) -> str | None:
    """Return the kind of sequence that sequence and protocol names point to, or ``None``.

    >>> pulse_sequence_type("*svs_se", "svs_se_30"), pulse_sequence_type("eja_svs_slaser"), pulse_sequence_type("x")
    ('PRESS', 'sLASER', None)
    """
    text = " ".join(name for name in names if name).lower()
    return next((kind for kind, pattern in _SEQUENCES if re.search(pattern, text)), None)


_SEQUENCES = (
    ("MEGA-PRESS", r"mega|svs_edit"),
    ("sLASER", r"s-?_?laser|probe-sl"),
    ("SPECIAL", r"special"),
    ("STEAM", r"steam|svs_st(?!.*slaser)|probe-s\b"),
    ("PRESS", r"press|svs_se|probe-p"),
)


def _is_dicom(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        file.seek(DICOM_MAGIC_AT)
        return file.read(4) == b"DICM"


def _dicom_subcommand(path: Path) -> str:
    """Return the spec2nii reader of the DICOM's manufacturer."""
    first = next((p for p in sorted(path.iterdir()) if p.is_file()), path) if path.is_dir() else path
    maker = str(_dicom_header(first).get("Manufacturer", "")).lower()
    for word, command in (("siemens", "dicom"), ("philips", "philips_dcm"), ("uih", "uih"), ("united imaging", "uih")):
        if word in maker:
            return command
    raise InputError(
        f"spectroscopy DICOM of manufacturer '{maker or 'not stated'}' cannot be converted",
        remedy="export another format (" + SUPPORTED + ")",
        path=path,
    )


def _dicom_header(path: Path) -> Any:  # noqa: ANN401  pydicom is untyped
    import pydicom

    try:
        return pydicom.dcmread(path, stop_before_pixels=True)
    except (pydicom.errors.InvalidDicomError, OSError, EOFError, ValueError) as error:
        raise InputError(f"not a readable DICOM file ({error})", remedy="export it again", path=path) from error


def _sdat_size(path: Path) -> int | None:
    spar = sibling(path, "spar")
    fields = read_spar(spar) if spar else {}
    try:
        return 8 * int(fields["samples"]) * int(fields["rows"])
    except (KeyError, ValueError) as error:
        raise InputError(
            f"the SPAR file states no usable {error}", remedy="export SDAT and SPAR again", path=spar or path
        ) from error


def _rda_size(path: Path) -> int | None:
    fields = read_rda_header(path)
    try:
        grid = [int(fields.get(f"CSIMatrixSize[{axis}]", "1")) for axis in range(3)]
        return int(fields["_data_at"]) + 16 * int(fields["VectorSize"]) * grid[0] * grid[1] * grid[2]
    except (KeyError, ValueError) as error:
        raise InputError(f"the RDA header states no usable {error}", remedy="export it again", path=path) from error


_EXPECTED_SIZE: Mapping[str, Callable[[Path], int | None]] = {"sdat": _sdat_size, "rda": _rda_size}


def _sdat_facts(path: Path) -> Facts:
    spar = sibling(path, "spar")
    fields = read_spar(spar) if spar else {}
    sidecar = _present(
        NumberOfTransients=_whole(fields.get("averages")),
        PulseSequenceType=pulse_sequence_type(fields.get("scan_id")),
        MixingTime=_seconds(fields.get("mixing_time")),
    )
    inversion = _seconds(fields.get("spectrum_inversion_time"))  # spec2nii 0.8.15 copies milliseconds
    return Facts(sidecar, {"InversionTime": inversion})


def _rda_facts(path: Path) -> Facts:
    fields = read_rda_header(path)
    sidecar = _present(
        NumberOfTransients=_whole(fields.get("NumberOfAverages")),
        MagneticFieldStrength=_positive(fields.get("MagneticFieldStrength")),
        ReceiveCoilName=fields.get("ReceiveCoil") or None,
    )
    return Facts(sidecar, {})


def _dicom_facts(path: Path) -> Facts:
    header = _dicom_header(path)
    averages = _whole(str(header.get("NumberOfAverages", ""))) or _siemens_averages(header)
    sidecar = _present(
        NumberOfTransients=averages,
        MagneticFieldStrength=_positive(str(header.get("MagneticFieldStrength", ""))),
        PulseSequenceType=pulse_sequence_type(header.get("ProtocolName"), header.get("SeriesDescription")),
    )
    return Facts(sidecar, {})


def _siemens_averages(header: Any) -> int | None:  # noqa: ANN401  pydicom is untyped
    """Return the number of averages of a Siemens spectroscopy DICOM, from its private CSA header."""
    import warnings

    with warnings.catch_warnings():  # nibabel warns of its DICOM readers on import; only the CSA header is read
        warnings.simplefilter("ignore")
        from nibabel.nicom.csareader import CSAReadError, get_csa_header

    try:
        csa = get_csa_header(header, "image")
        items = csa["tags"]["NumberOfAverages"]["items"] if csa else []
    except (CSAReadError, KeyError):
        return None
    return _whole(str(items[0])) if items else None


_FACTS: Mapping[str, Callable[[Path], Facts]] = {"sdat": _sdat_facts, "rda": _rda_facts, "dicom": _dicom_facts}


def _present(**values: Any) -> dict[str, Any]:  # noqa: ANN401  sidecar values are any JSON
    return {key: value for key, value in values.items() if value is not None}


def _positive(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if value > 0 else None


def _whole(text: str | None) -> int | None:
    value = _positive(text)
    return None if value is None else round(value)


def _seconds(milliseconds: str | None) -> float | None:
    value = _positive(milliseconds)
    return None if value is None else value / 1000
