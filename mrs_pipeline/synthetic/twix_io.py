"""Siemens TWIX (.dat) as written since software version VD: single transients of every coil.

The layout is that of the format itself (a multi-measurement header, the protocol as named text buffers, then one
192-byte scan header per transient followed by a 32-byte header and the samples of each channel); the code is our own.
Only what a single-voxel measurement needs is filled in.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mrs_pipeline.spectrum import ComplexArray, FloatArray, Spectrum
from mrs_pipeline.synthetic.geometry import TO_LPS, edges_and_turn, siemens_slice

_RAID_HEADER = 10240
_MEASUREMENTS = 64
_SCAN_HEADER = 192
_CHANNEL_HEADER = 32
_MEASUREMENT_ID = 1
_ACQUISITION_END, _ONLINE = 1, 1 << 3
_FIRST_SCAN, _LAST_SCAN = 1 << 28, 1 << 29
_SOFTWARE = "syngo MR E11"


def write_twix(spectrum: Spectrum, affine: FloatArray, path: Path, *, name: str) -> None:
    """Write a TWIX file.

    Parameters
    ----------
    spectrum
        Inside convention, which TWIX shares; dims ("DIM_COIL", "DIM_DYN"), ("DIM_DYN",) or none. Stored as complex64.
    affine
        Voxel box in RAS mm, right-handed.
    path
        File ending in .dat.
    name
        Protocol name.
    """
    fids = _as_coils(spectrum)
    header = _measurement_header(protocol_buffers(spectrum, affine, fids.shape[1], name))
    scans = b"".join(_scan(fids[:, k], k, fids.shape[1]) for k in range(fids.shape[1]))
    body = header + scans + _end_marker(fids.shape[1])
    body += b"\0" * (-len(body) % 512)
    path.write_bytes(_raid_header(len(body), name) + body)


def _as_coils(spectrum: Spectrum) -> ComplexArray:
    """Return FIDs as (coils, transients, n_points)."""
    known = {(): (1, 1), ("DIM_DYN",): (1, -1), ("DIM_COIL", "DIM_DYN"): None}
    if spectrum.dims not in known:
        raise ValueError(f"a TWIX file is written from coils and transients, not from {spectrum.dims}")
    shape = known[spectrum.dims]
    return np.asarray(spectrum.fid if shape is None else spectrum.fid.reshape(*shape, spectrum.n_points))


def _raid_header(length: int, name: str) -> bytes:
    """Return the file header: one measurement that starts right after it."""
    text = [label.encode("ascii")[:63].ljust(64, b"\0") for label in ("synthetic", name)]
    entry = struct.pack("<IIQQ", _MEASUREMENT_ID, 1, _RAID_HEADER, length) + text[0] + text[1]
    return (struct.pack("<II", 0, 1) + entry).ljust(_RAID_HEADER, b"\0")


def _measurement_header(buffers: Mapping[str, str]) -> bytes:
    """Return the protocol: its length, the number of buffers, and each buffer's name, length and text."""
    body = struct.pack("<I", len(buffers))
    for name, text in buffers.items():
        data = text.encode("latin-1") + b"\0"
        body += name.encode("ascii") + b"\0" + struct.pack("<I", len(data)) + data
    length = 4 + len(body)
    padded = length + (-length % 32)
    return (struct.pack("<I", padded) + body).ljust(padded, b"\0")


def _scan(fids: ComplexArray, index: int, count: int) -> bytes:
    """Return one transient of all channels, shape (coils, n_points)."""
    coils, points = fids.shape
    length = _SCAN_HEADER + coils * (_CHANNEL_HEADER + 8 * points)
    flags = _ONLINE | (_FIRST_SCAN if index == 0 else 0) | (_LAST_SCAN if index == count - 1 else 0)
    out = [_scan_header(length, index, flags, points, coils)]
    for channel, fid in enumerate(fids):
        size = (_CHANNEL_HEADER + 8 * points) << 8
        out.append(struct.pack("<IiIIIIHHI", size, _MEASUREMENT_ID, index + 1, 0, 0, 0, channel, 0, 0))
        out.append(fid.astype("<c8").tobytes())
    return b"".join(out)


def _scan_header(length: int, index: int, flags: int, points: int, coils: int) -> bytes:
    """Return the 192-byte header of one scan; the loop counter of averages counts the transients."""
    loops = [0] * 14
    loops[1] = index
    return b"".join((
        struct.pack("<IiIII", length, _MEASUREMENT_ID, index + 1, 0, 0),
        bytes(20),
        struct.pack("<II", flags, 0),
        struct.pack("<HH14H", points, coils, *loops),
        struct.pack("<HHHHfIHH", 0, 0, 0, 0, 0.0, 0, 0, 0),
        bytes(28 + 48 + 8),
        struct.pack("<HHI", 0, 0, 0),
    ))  # fmt: skip


def _end_marker(index: int) -> bytes:
    """Return the scan that ends the measurement."""
    return _scan_header(_SCAN_HEADER, index, _ACQUISITION_END, 0, 0)


def protocol_buffers(spectrum: Spectrum, affine: FloatArray, transients: int, name: str) -> dict[str, str]:
    """Return the text buffers of the protocol by name."""
    if spectrum.echo_time is None or spectrum.repetition_time is None:
        raise ValueError("a TWIX file needs the echo time and the repetition time")
    ascconv = _ascconv(
        {
            "sTXSPEC.asNucleusInfo[0].tNucleus": f'"{spectrum.nucleus}"',
            "sRXSPEC.alDwellTime[0]": str(round(spectrum.dwell * 1e9)),
            "alTE[0]": str(round(spectrum.echo_time * 1e6)),
            "alTR[0]": str(round(spectrum.repetition_time * 1e6)),
            "adFlipAngleDegree[0]": f"{spectrum.flip_angle or 90.0:g}",
            "lAverages": str(transients),
            **voi_fields(affine),
        }
    )
    return {
        "Config": _xprotocol({"SequenceFileName": "%SiemensSeq%\\svs_se"}),
        "Dicom": _xprotocol(_dicom_fields(spectrum, name)),
        "Meas": _xprotocol(_meas_fields(spectrum, name)),
        "MeasYaps": ascconv,
        "Phoenix": ascconv,
        "Spice": _xprotocol({"Synthetic": "written by mrs-pipeline"}),
    }


def _dicom_fields(spectrum: Spectrum, name: str) -> dict[str, str | float]:
    return {
        "SoftwareVersions": _SOFTWARE,
        "Manufacturer": "SIEMENS",
        "ManufacturersModelName": "synthetic",
        "DeviceSerialNumber": "0",
        "InstitutionName": "synthetic",
        "InstitutionAddress": "none",
        "tProtocolName": name,
        "lFrequency": round(spectrum.carrier_mhz * 1e6),
    }


def _meas_fields(spectrum: Spectrum, name: str) -> dict[str, str | float]:
    return {
        "tSequenceString": "svs_se",
        "tSequenceFileName": "%SiemensSeq%\\svs_se",
        "tICEProgramName": "%SiemensIceProgs%\\IceProgramSpecSVS",
        "tProtocolName": name,
        "Frequency": round(spectrum.carrier_mhz * 1e6),
        "ResonantNucleus": spectrum.nucleus,
        "TR": round((spectrum.repetition_time or 0) * 1e6),
        "FlipAngle": spectrum.flip_angle or 90.0,
        "lFinalMatrixSizePhase": 1,
        "lFinalMatrixSizeRead": 1,
        "lFinalMatrixSizeSlice": 1,
        "lVectorSize": spectrum.n_points,
        "PatientPosition": "HFS",
        "PatientName": "synthetic",
        "flUsedPatientWeight": 70.0,
        "PatientBirthDay": "19700101",
        "PatientSex": 3,
    }


def _xprotocol(values: Mapping[str, str | float]) -> str:
    lines = ["<XProtocol>", "{", '  <ParamMap."">', "  {"]
    for key, value in values.items():
        kind, text = ("String", f'"{value}"') if isinstance(value, str) else ("Double", f"{value!r}")
        lines.append(f'    <Param{kind}."{key}"> {{ {text} }}')
    return "\n".join([*lines, "  }", "}", ""])


def _ascconv(values: Mapping[str, str]) -> str:
    lines = [f"{key} = {value}" for key, value in values.items()]
    return "\n".join(["### ASCCONV BEGIN ###", *lines, "### ASCCONV END ###", ""])


def voi_fields(affine: FloatArray) -> dict[str, str]:
    """Return the voxel of a box: normal, centre, edges and in-plane rotation in patient (LPS) coordinates."""
    size, turn = edges_and_turn(affine)
    if np.linalg.det(turn) < 0:
        raise ValueError("a TWIX file can only hold a right-handed box")
    normal, angle = siemens_slice(turn)
    centre = TO_LPS @ affine[:3, 3]
    axes = ("dSag", "dCor", "dTra")
    fields = {f"sSpecPara.sVoI.sPosition.{a}": f"{v:.9f}" for a, v in zip(axes, centre, strict=True)}
    fields |= {f"sSpecPara.sVoI.sNormal.{a}": f"{v:.12f}" for a, v in zip(axes, normal, strict=True)}
    edges = {"dReadoutFOV": size[0], "dPhaseFOV": size[1], "dThickness": size[2], "dInPlaneRot": angle}
    return fields | {f"sSpecPara.sVoI.{key}": f"{value:.12f}" for key, value in edges.items()}
