"""Reading and writing NIfTI-MRS files."""

from __future__ import annotations

import gzip
import io
import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mrs_pipeline.errors import InputError
from mrs_pipeline.files import atomic_write
from mrs_pipeline.nifti_mrs.header import first_of, flip_angle_of, header_for, reference_ppm_of, timing_of
from mrs_pipeline.nifti_mrs.model import UNLOCALISED_AFFINE, NiftiMrs
from mrs_pipeline.spectrum import ComplexArray, FloatArray, Spectrum

if TYPE_CHECKING:
    from nibabel.nifti1 import Nifti1Image

EXTENSION_CODE = 44
STANDARD_VERSION = (0, 11)
TIME_UNITS_S = {0: 1.0, 8: 1.0, 16: 1e-3, 24: 1e-6}
"""Seconds per time unit of ``xyzt_units`` (unknown is taken as seconds)."""
FIRST_TAG_AXIS = 5
_CONVERT_AGAIN = "convert the scanner file again with mrs-pipeline convert"


def read(path: str | Path, sidecar: Mapping[str, Any] | None = None) -> NiftiMrs:
    """Read one single-voxel NIfTI-MRS file into the inside convention.

    Whether the spectrum looks mirrored is not judged here.

    Parameters
    ----------
    path
        A ``.nii`` or ``.nii.gz`` file.
    sidecar
        BIDS sidecar. By default the JSON file of the same name, when there is one.

    Raises
    ------
    InputError
        The file is missing, empty, truncated, not NIfTI-MRS, not single voxel, not finite, or states impossible times.
    """
    path = Path(path)
    image = _load(path)
    header = _extension(image, path)
    side = _adjacent_sidecar(path) if sidecar is None else sidecar
    fid, dims = _to_inside(_data(image, path), header, path)
    nucleus = str(first_of(header, "ResonantNucleus", str, path))
    spectrum = Spectrum(
        fid=fid,
        dwell=_dwell(image, path),
        carrier_mhz=float(first_of(header, "SpectrometerFrequency", float, path)),
        reference_ppm=reference_ppm_of(header, side, nucleus),
        echo_time=timing_of("EchoTime", header, side, path),
        repetition_time=timing_of("RepetitionTime", header, side, path),
        mixing_time=timing_of("MixingTime", header, side, path),
        flip_angle=flip_angle_of(header, side, path),
        dims=dims,
        nucleus=nucleus,
    )
    return NiftiMrs(spectrum=spectrum, affine=_affine(image), header=header, path=path)


def write(nifti: NiftiMrs, path: str | Path) -> Path:
    """Write a NIfTI-MRS file: atomic, and the same bytes for the same content.

    Data go out as complex64 where that loses nothing, else as complex128.

    Parameters
    ----------
    nifti
        What to write.
    path
        A ``.nii`` or ``.nii.gz`` path; its folder is made if need be.
    """
    path = Path(path)
    payload = _image_bytes(nifti)
    if path.name.endswith(".gz"):
        payload = _gzip(payload)
    return atomic_write(path, payload)


def _gzip(payload: bytes) -> bytes:
    """Compress without name and time, so that equal content gives equal bytes."""
    buffer = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=buffer, compresslevel=6, mtime=0) as file:
        file.write(payload)
    return buffer.getvalue()


def _load(path: Path) -> Nifti1Image:
    """Open the file, turning every way it can be broken into one error in words."""
    import nibabel as nib

    if not path.is_file():
        raise InputError("there is no such file", remedy="check the path", path=path)
    if path.stat().st_size == 0:
        raise InputError("the file is empty (0 bytes)", remedy=f"copy it again, or {_CONVERT_AGAIN}", path=path)
    try:
        image = nib.load(path)
    except (
        nib.filebasedimages.ImageFileError,
        nib.spatialimages.HeaderDataError,
        OSError,
        EOFError,
        zlib.error,
    ) as error:
        raise InputError(f"not a readable NIfTI file ({_one_line(error)})", remedy=_CONVERT_AGAIN, path=path) from error
    if not isinstance(image, nib.Nifti1Image):
        raise InputError(f"a {type(image).__name__}, not NIfTI", remedy=_CONVERT_AGAIN, path=path)
    return image


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _extension(image: Nifti1Image, path: Path) -> dict[str, Any]:
    """Return the JSON header extension."""
    found = [ext for ext in image.header.extensions if ext.get_code() == EXTENSION_CODE]
    if not found:
        raise InputError("a NIfTI file without the NIfTI-MRS header extension", remedy=_CONVERT_AGAIN, path=path)
    content = found[0].get_content()
    text = content if isinstance(content, str) else bytes(content).decode("utf-8", errors="replace")
    try:
        header = json.loads(text.rstrip("\x00 \n"))
    except json.JSONDecodeError as error:
        raise InputError(
            f"the NIfTI-MRS header is not valid JSON ({error})", remedy=_CONVERT_AGAIN, path=path
        ) from error
    if not isinstance(header, dict):
        raise InputError("the NIfTI-MRS header is not a JSON object", remedy=_CONVERT_AGAIN, path=path)
    return header


def _data(image: Nifti1Image, path: Path) -> npt.NDArray[Any]:
    """Return the raw array, checked for being one voxel's finite complex FIDs."""
    try:
        data = np.asanyarray(image.dataobj)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise InputError(
            f"the file is truncated or damaged ({_one_line(error)})", remedy="copy it again from the source", path=path
        ) from error
    if not np.iscomplexobj(data):
        raise InputError(
            f"the data are {data.dtype}, not complex", remedy="give the time-domain FID, not an image", path=path
        )
    if data.ndim < FIRST_TAG_AXIS - 1 or data.shape[:3] != (1, 1, 1):
        raise InputError(
            f"not a single voxel: the array is {' x '.join(map(str, data.shape))}",
            remedy="reduce MRSI to regions first and give the table at group level (--concentrations)",
            path=path,
        )
    if not np.all(np.isfinite(data)):
        raise InputError("the data hold values that are not finite", remedy=_CONVERT_AGAIN, path=path)
    if not np.any(data):
        raise InputError("every data point is zero", remedy="check the export at the scanner", path=path)
    return data


def _to_inside(data: npt.NDArray[Any], header: Mapping[str, Any], path: Path) -> tuple[ComplexArray, tuple[str, ...]]:
    """Turn disk order and sign into ``(..., time)`` in the inside convention, with the tags of the leading axes."""
    signal = np.moveaxis(data[0, 0, 0], 0, -1)
    keep: list[str] = []
    squeeze: list[int] = []
    for axis, length in enumerate(signal.shape[:-1]):
        tag = header.get(f"dim_{axis + FIRST_TAG_AXIS}")
        if isinstance(tag, str):
            keep.append(tag)
        elif length == 1:
            squeeze.append(axis)
        else:
            raise InputError(
                f"dimension {axis + FIRST_TAG_AXIS} has {length} entries and no tag",
                remedy=f"set dim_{axis + FIRST_TAG_AXIS} in the header (DIM_COIL, DIM_DYN, ...)",
                path=path,
            )
    return np.conj(np.squeeze(signal, axis=tuple(squeeze))).astype(np.complex128), tuple(keep)


def _dwell(image: Nifti1Image, path: Path) -> float:
    """Return the dwell time in seconds, undoing the single-precision rounding of NIfTI-1."""
    stored = image.header["pixdim"][4]
    value = float(str(stored)) if stored.dtype == np.float32 else float(stored)
    seconds = value * TIME_UNITS_S.get(int(image.header["xyzt_units"]) & 0x38, 1.0)
    if not 0 < seconds < 0.1:
        raise InputError(f"the dwell time is {seconds:g} s", remedy=_CONVERT_AGAIN, path=path)
    return seconds


def _affine(image: Nifti1Image) -> FloatArray:
    """Return the voxel's affine; simulated data (no qform, no sform) has no place."""
    header = image.header
    if int(header["sform_code"]) == 0 and int(header["qform_code"]) == 0:
        return UNLOCALISED_AFFINE
    return np.asarray(image.affine, dtype=np.float64)


def _adjacent_sidecar(path: Path) -> dict[str, Any]:
    """Return the JSON file of the same name, or nothing."""
    sidecar = path.with_name(path.name.removesuffix(".gz").removesuffix(".nii") + ".json")
    if not sidecar.is_file():
        return {}
    try:
        content = json.loads(sidecar.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"not valid JSON ({error})", remedy="correct the sidecar", path=sidecar) from error
    if not isinstance(content, dict):
        raise InputError("the sidecar is not a JSON object", remedy="correct the sidecar", path=sidecar)
    return content


def _image_bytes(nifti: NiftiMrs) -> bytes:
    """Return the uncompressed NIfTI-2 file."""
    import nibabel as nib

    header = header_for(nifti.spectrum, nifti.header)
    disk = np.moveaxis(np.conj(nifti.spectrum.fid), -1, 0)[None, None, None]
    single = disk.astype(np.complex64)
    data = single if np.array_equal(single.astype(np.complex128), disk) else disk
    image = nib.Nifti2Image(data, nifti.affine)
    code = 1 if nifti.is_localised else 0
    image.header.set_qform(nifti.affine, code=code)
    image.header.set_sform(nifti.affine, code=code)
    image.header["pixdim"][4] = nifti.spectrum.dwell
    image.header.set_xyzt_units(xyz="mm", t="sec")
    image.header["intent_name"] = "mrs_v{}_{}".format(*STANDARD_VERSION).encode()
    text = json.dumps(header, ensure_ascii=False, allow_nan=False)
    image.header.extensions.append(nib.nifti1.Nifti1Extension(EXTENSION_CODE, text.encode("utf-8")))
    return bytes(image.to_bytes())
