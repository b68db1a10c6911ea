"""The JSON header extension: which field means what, and which values are believable."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mrs_pipeline import __version__
from mrs_pipeline.errors import InputError
from mrs_pipeline.spectrum import WATER_PPM, Spectrum

Header = Mapping[str, Any]

GYROMAGNETIC_MHZ_PER_T = {"1H": 42.577478, "2H": 6.536, "13C": 10.7084, "31P": 17.235, "19F": 40.078}
"""Gyromagnetic ratio over 2 pi, MHz/T (1H: CODATA 2018 shielded-independent value 42.577478518)."""

NOMINAL_PPM = {"1H": WATER_PPM, "2H": 4.8}
"""Chemical shift at the spectrometer frequency where the header is silent (NIfTI-MRS); 0 for other nuclei."""

TIMING_LIMITS_S = {"EchoTime": (0.002, 0.5), "RepetitionTime": (0.05, 60.0), "MixingTime": (0.0, 0.5)}
"""Believable values in seconds. A millisecond value written where seconds are meant falls outside; TE = 0 is an FID."""


def processing_step(method: str, details: str = "") -> dict[str, str]:
    """Return one ``ProcessingApplied`` entry; it holds no date, so that equal input gives equal bytes."""
    return {"Program": "mrs-pipeline", "Version": __version__, "Method": method, "Details": details}


def reference_ppm_of(header: Header, sidecar: Header, nucleus: str) -> float:
    """Return the chemical shift in ppm at zero frequency of the data.

    Parameters
    ----------
    header
        NIfTI-MRS header extension.
    sidecar
        BIDS sidecar (may be empty).
    nucleus
        Resonant nucleus, for the default.

    Notes
    -----
    In this order: ``SpecFreqChemShift`` (+ ``RxOffset``) of the header, NIfTI-MRS 0.11; ``ChemicalShiftOffset`` of the
    sidecar, which BIDS defines as the shift at 0 Hz; the default of the nucleus (1H: 4.65 ppm) + ``RxOffset``.
    ``TxOffset`` and the BIDS ``ChemicalShiftReference`` speak of the transmitter, not of the recorded frequency axis,
    and do not move it: Philips files commonly transmit at 3 ppm and receive at water.
    """
    received = float(header.get("RxOffset", 0.0))
    if "SpecFreqChemShift" in header:
        return float(header["SpecFreqChemShift"]) + received
    if "ChemicalShiftOffset" in sidecar:
        return float(sidecar["ChemicalShiftOffset"])
    return NOMINAL_PPM.get(nucleus, 0.0) + received


def timing_of(key: str, header: Header, sidecar: Header, path: Path) -> float | None:
    """Return a time in seconds from sidecar or header, or ``None`` when neither states it.

    Raises
    ------
    InputError
        Sidecar and header contradict each other by more than 1 ms, or the value cannot be in seconds.
    """
    values = [_number(source[key], key, path) for source in (sidecar, header) if source.get(key) is not None]
    if not values:
        return None
    if max(values) - min(values) > 1e-3:
        raise InputError(
            f"{key} is {values[0]:g} s in the sidecar and {values[1]:g} s in the NIfTI-MRS header",
            remedy=f"correct the wrong one; the sidecar is {path.name.split('.')[0]}.json",
            path=path,
        )
    return check_timing(key, values[0], path)


def check_timing(key: str, seconds: float, path: Path) -> float:
    """Return the value if it is believable in seconds, else raise :class:`InputError` naming the unit."""
    low, high = TIMING_LIMITS_S[key]
    if low <= seconds <= high or (key == "EchoTime" and seconds == 0):
        return seconds
    hint = f"; {seconds:g} ms would be {seconds / 1000:g} s" if low <= seconds / 1000 <= high else ""
    raise InputError(
        f"{key} is {seconds:g} s, outside {low:g} to {high:g} s{hint}",
        remedy=f"give {key} in seconds (the file may hold milliseconds)",
        path=path,
    )


def flip_angle_of(header: Header, sidecar: Header, path: Path) -> float | None:
    """Return the excitation flip angle in degrees, or ``None``."""
    value = sidecar.get("FlipAngle", header.get("ExcitationFlipAngle"))
    if value is None:
        return None
    degrees = _number(value, "FlipAngle", path)
    if not 0 < degrees <= 360:
        raise InputError(
            f"the flip angle is {degrees:g}", remedy="give FlipAngle in degrees, above 0 up to 360", path=path
        )
    return degrees


def first_of(header: Header, key: str, kind: type, path: Path) -> Any:  # noqa: ANN401  a float or a string, as asked
    """Return the first element of a required array field, accepting the scalar some programs write."""
    value = header.get(key)
    if isinstance(value, list | tuple) and value:
        value = value[0]
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(value, kind):
        raise InputError(
            f"the NIfTI-MRS header has no usable {key} (found {header.get(key)!r})",
            remedy="convert the scanner file again with mrs-pipeline convert",
            path=path,
        )
    return value


def header_for(spectrum: Spectrum, header: Header) -> dict[str, Any]:
    """Return the header extension to write: the given one, corrected to what the spectrum says."""
    out: dict[str, Any] = {
        "SpectrometerFrequency": [float(spectrum.carrier_mhz)],
        "ResonantNucleus": [spectrum.nucleus],
        "SpectralWidth": spectrum.bandwidth,
    }
    timing = {
        "EchoTime": spectrum.echo_time,
        "RepetitionTime": spectrum.repetition_time,
        "MixingTime": spectrum.mixing_time,
        "ExcitationFlipAngle": spectrum.flip_angle,
    }
    out |= {key: float(value) for key, value in timing.items() if value is not None}
    own = {*out, *timing, "SpecFreqChemShift"}
    kept = {key: value for key, value in header.items() if key not in own and not key.startswith("dim_")}
    return out | kept | _reference_field(spectrum, header) | _dimension_fields(spectrum, header)


def _reference_field(spectrum: Spectrum, header: Header) -> dict[str, float]:
    """Return ``SpecFreqChemShift`` as it stands where it is right, as it must be where it is not, else nothing."""
    if abs(reference_ppm_of(header, {}, spectrum.nucleus) - spectrum.reference_ppm) > 1e-9:
        return {"SpecFreqChemShift": spectrum.reference_ppm - float(header.get("RxOffset", 0.0))}
    return {"SpecFreqChemShift": header["SpecFreqChemShift"]} if "SpecFreqChemShift" in header else {}


def _dimension_fields(spectrum: Spectrum, header: Header) -> dict[str, Any]:
    """Dimension tags of the spectrum, with the old info and dynamic header of a tag that is still there."""
    old = {header.get(f"dim_{k}"): k for k in (5, 6, 7)}
    out: dict[str, Any] = {}
    for number, tag in enumerate(spectrum.dims, start=5):
        out[f"dim_{number}"] = tag
        for part in ("info", "header"):
            value = header.get(f"dim_{old[tag]}_{part}") if tag in old else None
            if value is not None and _fits(value, spectrum.fid.shape[number - 5]):
                out[f"dim_{number}_{part}"] = value
    return out


def _fits(value: Any, length: int) -> bool:  # noqa: ANN401  header values are any JSON
    """Whether a dynamic header still describes an axis of this length."""
    if not isinstance(value, Mapping):
        return True
    entries = (item["Value"] if isinstance(item, Mapping) and "Value" in item else item for item in value.values())
    return all(len(entry) == length for entry in entries if isinstance(entry, list))


def _number(value: Any, key: str, path: Path) -> float:  # noqa: ANN401  whatever stands in the file
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(
            f"{key} is {value!r}, not a number", remedy=f"write {key} as a plain number in seconds", path=path
        )
    return float(value)
