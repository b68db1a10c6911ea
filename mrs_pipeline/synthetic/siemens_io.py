"""Siemens RDA: a text header followed by the averaged FID as 64-bit floats."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mrs_pipeline.spectrum import FloatArray, Spectrum
from mrs_pipeline.synthetic.geometry import TO_LPS, edges_and_turn, siemens_slice

_TESLA_PER_MHZ = 1 / 42.577478518
"""Proton gyromagnetic ratio over 2 pi, CODATA 2018."""


def write_rda(
    spectrum: Spectrum, affine: FloatArray, path: Path, *, averages: int, name: str, halved_first_point: bool = False
) -> None:
    """Write an RDA file.

    Parameters
    ----------
    spectrum
        Inside convention, shape (n_points,); RDA holds its conjugate.
    affine
        Voxel box in RAS mm, right-handed; its three edges become column spacing, row spacing and thickness.
    averages, name
        Number of transients, protocol name.
    halved_first_point
        Store the first point halved (Siemens does not).
    """
    fid = np.conj(spectrum.fid)
    if fid.ndim != 1:
        raise ValueError("an RDA file holds one averaged FID")
    if halved_first_point:
        fid[0] *= 0.5
    header = "\r\n".join(
        [">>> Begin of header <<<", *rda_lines(spectrum, affine, averages, name), ">>> End of header <<<", ""]
    )
    path.write_bytes(header.encode("ascii") + np.stack([fid.real, fid.imag], axis=-1).astype("<f8").tobytes())


def rda_lines(spectrum: Spectrum, affine: FloatArray, averages: int, name: str) -> list[str]:
    """Return the ``key: value`` lines of an RDA header."""
    return [*_patient(name), *_sequence(spectrum, averages), *_geometry(affine)]


def _patient(name: str) -> list[str]:
    return [
        "PatientName: synthetic", "PatientID: synthetic", "PatientSex: O", "PatientBirthDate: ",
        "StudyDate: 20260101",
        "StudyTime: 120000.000000", "StudyDescription: ", "PatientAge: ", "PatientWeight: 0.000000",
        "SeriesDate: 20260101", "SeriesTime: 120000.000000", f"SeriesDescription: {name}", f"ProtocolName: {name}",
        "PatientPosition: HFS",
        "SeriesNumber: 1", "InstitutionName: ", "StationName: ", "ModelName: synthetic", "DeviceSerialNumber: ",
        "SoftwareVersion[0]: synthetic", "InstanceDate: 20260101", "InstanceTime: 120000.000000", "InstanceNumber: 1",
        "InstanceComments: ", "AcquisitionNumber: 1", "SequenceName: *svs_se", "SequenceDescription: *svs_se",
    ]  # fmt: skip


def _sequence(spectrum: Spectrum, averages: int) -> list[str]:
    if spectrum.echo_time is None or spectrum.repetition_time is None:
        raise ValueError("an RDA file needs the echo time and the repetition time")
    csi = [f"{key}[{i}]: {value}" for key, value in _CSI for i in range(3)]
    return [
        f"TR: {spectrum.repetition_time * 1e3:.6f}", f"TE: {spectrum.echo_time * 1e3:.6f}", "TM: 0.000000",
        "TI: 0.000000",
        f"DwellTime: {spectrum.dwell * 1e6:.9g}", "EchoNumber: 0", f"NumberOfAverages: {averages:.6f}",
        f"MRFrequency: {spectrum.carrier_mhz:.6f}", f"Nucleus: {spectrum.nucleus}",
        f"MagneticFieldStrength: {spectrum.carrier_mhz * _TESLA_PER_MHZ:.6f}", "NumOfPhaseEncodingSteps: 1",
        f"FlipAngle: {spectrum.flip_angle or 90.0:.6f}", f"VectorSize: {spectrum.n_points}", *csi, "HammingFilter: Off",
        "FrequencyCorrection: NO", "TransmitCoil: Body", "TransmitRefAmplitude[1H]: 300.000000",
    ]  # fmt: skip


_CSI = (("CSIMatrixSize", 1), ("CSIMatrixSizeOfScan", 1), ("CSIGridShift", 0))


def _geometry(affine: FloatArray) -> list[str]:
    """Return the box in LPS: RowVector carries the column spacing, ColumnVector the row spacing."""
    size, turn = edges_and_turn(affine)
    if np.linalg.det(turn) < 0:
        raise ValueError("an RDA file can only hold a right-handed box")
    row, column, _ = (TO_LPS @ turn).T
    normal, angle = siemens_slice(turn)
    centre = TO_LPS @ affine[:3, 3]
    corner = centre - row * size[0] / 2 - column * size[1] / 2
    vectors = [("PositionVector", corner), ("RowVector", row), ("ColumnVector", column)]
    lines = [f"SliceThickness: {size[2]:.6f}"]
    lines += [f"{key}[{i}]: {value[i]:.9f}" for key, value in vectors for i in range(3)]
    lines += [f"VOIPosition{axis}: {v:.9f}" for axis, v in zip(("Sag", "Cor", "Tra"), centre, strict=True)]
    lines += [f"VOIThickness: {size[2]:.6f}", f"VOIPhaseFOV: {size[1]:.6f}", f"VOIReadoutFOV: {size[0]:.6f}"]
    lines += [f"VOINormal{axis}: {v:.9f}" for axis, v in zip(("Sag", "Cor", "Tra"), normal, strict=True)]
    return [
        *lines, f"VOIRotationInPlane: {angle:.9f}", f"FoVHeight: {size[1]:.6f}",
        f"FoVWidth: {size[0]:.6f}", f"FoV3D: {size[2]:.6f}", "PercentOfRectFoV: 1.000000", "NumberOfRows: 1",
        "NumberOfColumns: 1", "NumberOf3DParts: 1", f"PixelSpacingRow: {size[1]:.6f}",
        f"PixelSpacingCol: {size[0]:.6f}",
        f"PixelSpacing3D: {size[2]:.6f}",
    ]  # fmt: skip
