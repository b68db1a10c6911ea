"""The BIDS sidecar of a NIfTI-MRS file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mrs_pipeline.nifti_mrs.header import GYROMAGNETIC_MHZ_PER_T
from mrs_pipeline.nifti_mrs.model import NiftiMrs
from mrs_pipeline.nifti_mrs.vendor import pulse_sequence_type

COPIED = (
    "Manufacturer",
    "ManufacturersModelName",
    "SoftwareVersions",
    "SequenceName",
    "ProtocolName",
    "InversionTime",
)
REPEATS = frozenset({"DIM_DYN", "DIM_PHASE_CYCLE", "DIM_MEAS", "DIM_EDIT", "DIM_ISIS", "DIM_METCYCLE"})
"""Dimensions whose entries are single applications of the sequence."""
NOMINAL_FIELDS_T = (1.5, 3.0, 4.0, 4.7, 7.0, 9.4)


def sidecar_of(nifti: NiftiMrs, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the required, recommended and known optional BIDS fields of an MRS file.

    Parameters
    ----------
    nifti
        The file; its frequency, nucleus and timing give the required fields, written as the arrays the header holds.
    facts
        Fields that only the scanner file states; they override.

    Notes
    -----
    Links (``ReferenceSignal``, ``AnatomicalImage``), region and water suppression are the caller's.
    """
    s = nifti.spectrum
    header = nifti.header
    sequence = pulse_sequence_type(_text(header, "SequenceName"), _text(header, "ProtocolName"))
    fields: dict[str, Any] = {
        "ResonantNucleus": [s.nucleus],
        "SpectrometerFrequency": [s.carrier_mhz],
        "SpectralWidth": s.bandwidth,
        "EchoTime": s.echo_time,
        "RepetitionTime": s.repetition_time,
        "MixingTime": s.mixing_time or None,
        "FlipAngle": s.flip_angle,
        "NumberOfSpectralPoints": s.n_points,
        "NumberOfTransients": _transients(nifti),
        "AcquisitionVoxelSize": [round(float(mm), 4) for mm in nifti.voxel_size_mm] if nifti.is_localised else None,
        "ChemicalShiftOffset": s.reference_ppm,
        "ChemicalShiftReference": nifti.transmit_ppm if "TxOffset" in header else None,
        "MagneticFieldStrength": field_strength(s.carrier_mhz, s.nucleus),
        "ReceiveCoilName": _text(header, "RxCoil"),
        "PulseSequenceType": sequence,
    }
    fields |= {key: header[key] for key in COPIED if header.get(key)}
    fields |= facts
    return {key: value for key, value in fields.items() if value is not None and value != ""}


def field_strength(carrier_mhz: float, nucleus: str) -> float | None:
    """Return the field in tesla that a carrier frequency means, the nominal value where one is within 4 %.

    >>> field_strength(127.75, "1H"), field_strength(123.23, "1H")
    (3.0, 3.0)
    """
    gamma = GYROMAGNETIC_MHZ_PER_T.get(nucleus)
    if gamma is None:
        return None
    tesla = carrier_mhz / gamma
    nominal = min(NOMINAL_FIELDS_T, key=lambda value: abs(value - tesla))
    return nominal if abs(nominal - tesla) < 0.04 * nominal else round(tesla, 3)


def _transients(nifti: NiftiMrs) -> int | None:
    """Return the number of applications of the sequence that the dimensions show; ``None`` for averaged data."""
    s = nifti.spectrum
    lengths = [n for tag, n in zip(s.dims, s.fid.shape[:-1], strict=True) if tag in REPEATS]
    total = 1
    for length in lengths:
        total *= length
    return total if lengths else None


def _text(header: Mapping[str, Any], key: str) -> str | None:
    value = header.get(key)
    return str(value) if value else None
