"""Other homes of basis sets: FSL-MRS json folders, folders of NIfTI-MRS files, jMRUI text."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mrs_pipeline.basis.model import Basis
from mrs_pipeline.basis.names import canonical_name
from mrs_pipeline.errors import BasisError
from mrs_pipeline.spectrum import WATER_PPM, ComplexArray, FloatArray, Spectrum

_TIMES = ("te1", "te2", "tm")
_HEADER_KEY = "BasisSet"


@dataclass(frozen=True, eq=False)
class _Member:
    """One metabolite as a file holds it."""

    name: str
    fid: ComplexArray
    dwell: float
    field_mhz: float
    reference_ppm: float
    details: dict[str, Any]


def _assemble(members: list[_Member], path: Path) -> Basis:
    """Return a set from single members, which must share one grid.

    Raises
    ------
    BasisError
        No member, names that stand twice, or members on different grids.
    """
    if not members:
        raise BasisError("no basis member found", remedy="give a folder with one file per metabolite", path=path)
    first = members[0]
    for member in members[1:]:
        same = np.allclose([member.dwell, member.field_mhz], [first.dwell, first.field_mhz], rtol=1e-6)
        if not same or len(member.fid) != len(first.fid):
            problem = f"{member.name} and {first.name} differ in dwell time, field or length"
            raise BasisError(problem, remedy="export all metabolites with one setting", path=path)
    names = tuple(canonical_name(member.name) for member in members)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise BasisError(f"{', '.join(twice)} stands more than once", remedy="keep one file per metabolite", path=path)
    details = first.details
    return Basis(
        names=names,
        fids=np.array([member.fid for member in members]),
        dwell=first.dwell,
        field_mhz=first.field_mhz,
        reference_ppm=first.reference_ppm,
        te1=details.get("te1"),
        te2=details.get("te2"),
        tm=details.get("tm"),
        sequence=str(details.get("sequence", "unknown")).lower(),
        pulses=str(details.get("pulses", "unknown")),
        source=str(path),
    )


def _details(basis: Basis) -> dict[str, Any]:
    times = {key: getattr(basis, key) for key in _TIMES if getattr(basis, key) is not None}
    return {**times, "sequence": basis.sequence, "pulses": basis.pulses}


# ------------------------------------------------------------------------------------------------------------- FSL-MRS


def read_fsl(folder: Path) -> Basis:
    """Read a folder of FSL-MRS json files, one per metabolite.

    Raises
    ------
    BasisError
        A file is not json or lacks the basis keys.

    Notes
    -----
    ``basis_re``, ``basis_im``, ``basis_dwell`` (s), ``basis_centre`` (ppm at zero frequency, or the carrier in MHz
    in older files), ``basis_name``; field and timing come from ``basis_field_mhz`` and ``seq`` where they are stated.
    """
    return _assemble([_fsl_member(path) for path in sorted(folder.glob("*.json"))], folder)


def _fsl_member(path: Path) -> _Member:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        body = content["basis"]
        fid = np.array(body["basis_re"], dtype=float) + 1j * np.array(body["basis_im"], dtype=float)
        centre, dwell = float(body["basis_centre"]), float(body["basis_dwell"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BasisError(f"not an FSL-MRS basis file ({error})", remedy="export it again", path=path) from error
    sequence = content.get("seq") or {}
    field = _fsl_field(body, sequence, centre)
    if field is None:
        raise BasisError("the field strength is not stated", remedy='add "basis_field_mhz" to the file', path=path)
    reference = centre if centre < 20 else WATER_PPM
    details = {**content.get("mrs_pipeline", {})}
    if "sequenceName" in sequence:
        details.setdefault("sequence", sequence["sequenceName"])
    return _Member(str(body.get("basis_name") or path.stem), fid.ravel(), dwell, field, reference, details)


def _fsl_field(body: dict[str, Any], sequence: dict[str, Any], centre: float) -> float | None:
    if "basis_field_mhz" in body:
        return float(body["basis_field_mhz"])
    if centre > 20:
        return centre
    tesla = sequence.get("B0")
    return None if tesla is None else float(tesla) * 42.577478518


def fsl_files(basis: Basis) -> dict[str, bytes]:
    """Return the files of an FSL-MRS json folder: name -> content."""
    from mrs_pipeline.basis.lcmodel import linewidth_ppm

    width = linewidth_ppm(basis) * basis.field_mhz
    tesla = basis.field_mhz / 42.577478518
    files = {}
    for name, fid in zip(basis.names, basis.fids, strict=True):
        body = {
            "basis_re": fid.real.tolist(),
            "basis_im": fid.imag.tolist(),
            "basis_dwell": basis.dwell,
            "basis_centre": basis.reference_ppm,
            "basis_width": width,
            "basis_name": name,
            "basis_field_mhz": basis.field_mhz,
        }
        content = {"seq": {"sequenceName": basis.sequence, "B0": tesla}, "basis": body, "mrs_pipeline": _details(basis)}
        files[f"{name}.json"] = (json.dumps(content) + "\n").encode()
    return files


# ----------------------------------------------------------------------------------------------------------- NIfTI-MRS


def read_nifti_folder(folder: Path) -> Basis:
    """Read a folder of NIfTI-MRS files, one per metabolite, named after it."""
    from mrs_pipeline import nifti_mrs

    members = []
    for path in sorted([*folder.glob("*.nii.gz"), *folder.glob("*.nii")]):
        nifti = nifti_mrs.read(path)
        spectrum = nifti.spectrum
        if spectrum.fid.ndim != 1:
            raise BasisError("a basis member holds one FID only", remedy="average the file first", path=path)
        stated = nifti.header.get(_HEADER_KEY)
        details = dict(stated.get("Value", {})) if isinstance(stated, dict) else {}
        if "te1" not in details and spectrum.echo_time:
            details["te1"] = spectrum.echo_time
        name = path.name.removesuffix(".gz").removesuffix(".nii")
        members.append(
            _Member(name, spectrum.fid, spectrum.dwell, spectrum.carrier_mhz, spectrum.reference_ppm, details)
        )
    return _assemble(members, folder)


def write_nifti_folder(basis: Basis, folder: Path) -> None:
    """Write one NIfTI-MRS file per metabolite; timing and pulses stand in the header key ``BasisSet``."""
    from mrs_pipeline import nifti_mrs

    folder.mkdir(parents=True, exist_ok=True)
    header = {
        _HEADER_KEY: {
            "Description": "Simulated basis set: sequence, pulses, timing in seconds",
            "Value": _details(basis),
        }
    }
    for name, fid in zip(basis.names, basis.fids, strict=True):
        spectrum = Spectrum(
            fid,
            basis.dwell,
            basis.field_mhz,
            basis.reference_ppm,
            echo_time=basis.echo_time,
            mixing_time=basis.tm,
        )
        nifti_mrs.write(nifti_mrs.NiftiMrs(spectrum, header=header), folder / f"{name}.nii.gz")


# --------------------------------------------------------------------------------------------------------------- jMRUI


def read_jmrui(path: Path) -> Basis:
    """Read a jMRUI text file whose signals are metabolites.

    Raises
    ------
    BasisError
        The header lacks a key, or the table does not hold the signals it announces.
    """
    text = path.read_text(encoding="latin-1")
    header = dict(re.findall(r"^\s*(\w+)\s*:[ \t]*(.*?)\s*$", text, re.MULTILINE))
    try:
        n, count = int(header["PointsInDataset"]), int(header["DatasetsInFile"])
        dwell, field = float(header["SamplingInterval"]) * 1e-3, float(header["TransmitterFrequency"]) * 1e-6
    except (KeyError, ValueError) as error:
        raise BasisError(
            f"not a jMRUI text file ({error})", remedy="export it from jMRUI as text", path=path
        ) from error
    table = _jmrui_table(text)
    if table.shape[0] != n * count:
        problem = f"the table has {table.shape[0]} rows where {count} signals of {n} points are announced"
        raise BasisError(problem, remedy="export the file again", path=path)
    fids = (table[:, 0] + 1j * table[:, 1]).reshape(count, n)
    names = [name.strip() for name in header.get("SignalNames", "").split(";") if name.strip()]
    if len(names) != count:
        raise BasisError("SignalNames does not name every signal", remedy="add SignalNames: Glu;Gln;...", path=path)
    details = _jmrui_details(header.get("AdditionalInfo", ""))
    members = [_Member(name, fid, dwell, field, WATER_PPM, details) for name, fid in zip(names, fids, strict=True)]
    return _assemble(members, path)


def _jmrui_table(text: str) -> FloatArray:
    rows = []
    for line in text.splitlines():
        parts = line.split()
        try:
            rows.append((float(parts[0]), float(parts[1])))
        except (IndexError, ValueError):
            continue
    return np.array(rows, dtype=float).reshape(-1, 2)


def _jmrui_details(text: str) -> dict[str, Any]:
    pairs = dict(re.findall(r"(\w[\w-]*)=([\w.-]+)", text))
    times = {key: float(pairs[key]) * 1e-3 for key in _TIMES if key in pairs}
    return {**times, **{key: pairs[key] for key in ("sequence", "pulses") if key in pairs}}


def format_jmrui(basis: Basis) -> str:
    """Return the text of a jMRUI file: FID and spectrum of every member, carrier at 4.65 ppm."""
    times = [f"{key}={getattr(basis, key) * 1e3:.6g}" for key in _TIMES if getattr(basis, key) is not None]
    info = " ".join([f"sequence={basis.sequence}", f"pulses={basis.pulses}", *times])
    lines = [
        "jMRUI Data Textfile",
        "",
        "Filename: basis.txt",
        "",
        f"PointsInDataset: {basis.n_points}",
        f"DatasetsInFile: {len(basis)}",
        f"SamplingInterval: {basis.dwell * 1e3:.12E}",
        "ZeroOrderPhase: 0E0",
        "BeginTime: 0E0",
        f"TransmitterFrequency: {basis.field_mhz * 1e6:.9E}",
        f"MagneticField: {basis.field_mhz / 42.577478518:.6E}",
        "TypeOfNucleus: 0E0",
        "NameOfPatient: ",
        "DateOfExperiment: ",
        "Spectrometer: ",
        f"AdditionalInfo: {info}",
        f"SignalNames: {';'.join(basis.names)}",
        "",
        "Signal and FFT",
        "sig(real)\tsig(imag)\tfft(real)\tfft(imag)",
    ]
    for index, fid in enumerate(basis.fids):
        lines.append(f"Signal {index + 1} out of {len(basis)} in file")
        columns = np.column_stack(
            [fid.view(np.float64).reshape(-1, 2), np.fft.fft(fid).view(np.float64).reshape(-1, 2)]
        )
        lines += ["\t".join(f"{value:.9E}" for value in row) for row in columns]
        lines.append("")
    return "\n".join(lines) + "\n"
