"""T1w images as a classic DICOM series, one file per slice."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mrs_pipeline.spectrum import FloatArray

if TYPE_CHECKING:
    import nibabel as nib
    from pydicom.dataset import Dataset, FileDataset

_ROOT = "1.2.826.0.1.3680043.8.498"
"""UID root of pydicom, free for anyone's use; the rest counts up from the series number."""

_MR_STORAGE = "1.2.840.10008.5.1.4.1.1.4"
_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def write_dicom_series(image: nib.Nifti1Image, folder: Path, *, patient: str, series: int, description: str) -> None:
    """Write a T1w image as MR Image Storage slices along its third axis.

    Parameters
    ----------
    image
        NIfTI image of int16 values.
    folder
        Folder to write to; files are called 0001.dcm, ...
    patient
        Patient name and ID.
    series
        Number that tells series apart; UIDs derive from it, so that bytes repeat.
    description
        Series description, from which converters take names.
    """
    folder.mkdir(parents=True, exist_ok=True)
    data = np.asanyarray(image.dataobj)
    lps = _TO_LPS @ np.asarray(image.affine, dtype=np.float64)
    for k in range(data.shape[2]):
        dataset = _slice(data[:, :, k], lps, k, series)
        dataset.PatientName = dataset.PatientID = patient
        dataset.SeriesDescription = dataset.ProtocolName = description
        dataset.save_as(folder / f"{k + 1:04d}.dcm", enforce_file_format=True)


def _slice(plane: npt.NDArray[np.int16], lps: FloatArray, k: int, series: int) -> FileDataset:
    """Return one slice; DICOM rows run along the image's second axis and columns along its first."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import UID, ExplicitVRLittleEndian

    uid = UID(f"{_ROOT}.{series}.{k + 1}")
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(_MR_STORAGE)
    meta.MediaStorageSOPInstanceUID = uid
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID = _MR_STORAGE, uid
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = f"{_ROOT}.{series}.0.1", f"{_ROOT}.{series}.0.2"
    dataset.FrameOfReferenceUID = f"{_ROOT}.{series}.0.3"
    _describe(dataset, series, k)
    _place(dataset, lps, k)
    _pixels(dataset, plane)
    return dataset


def _describe(dataset: Dataset, series: int, k: int) -> None:
    dataset.Modality, dataset.Manufacturer = "MR", "SIEMENS"
    dataset.StudyDate = dataset.SeriesDate = dataset.AcquisitionDate = "20260101"
    dataset.StudyTime = dataset.SeriesTime = dataset.AcquisitionTime = "120000"
    dataset.SeriesNumber, dataset.AcquisitionNumber, dataset.InstanceNumber = series, 1, k + 1
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "M", "ND"]
    dataset.ScanningSequence, dataset.SequenceVariant, dataset.MRAcquisitionType = "GR", "MP", "3D"
    dataset.RepetitionTime, dataset.EchoTime, dataset.InversionTime = "2300", "3", "900"
    dataset.FlipAngle, dataset.MagneticFieldStrength, dataset.PatientPosition = "9", "3", "HFS"
    dataset.SequenceName, dataset.ImagedNucleus = "tfl3d1", "1H"


def _place(dataset: Dataset, lps: FloatArray, k: int) -> None:
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    directions = lps[:3, :3] / spacing
    corner = lps @ np.array([0, 0, k, 1.0])
    dataset.ImagePositionPatient = [f"{v:.9g}" for v in corner[:3]]
    dataset.ImageOrientationPatient = [f"{v:.9f}" for v in (*directions[:, 0], *directions[:, 1])]
    dataset.PixelSpacing = [f"{spacing[1]:.9g}", f"{spacing[0]:.9g}"]
    dataset.SliceThickness = dataset.SpacingBetweenSlices = f"{spacing[2]:.9g}"
    dataset.SliceLocation = f"{float(corner[:3] @ np.cross(directions[:, 0], directions[:, 1])):.9g}"


def _pixels(dataset: Dataset, plane: npt.NDArray[np.int16]) -> None:
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = plane.shape[1], plane.shape[0]
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit, dataset.PixelRepresentation = 15, 1
    dataset.PixelData = np.ascontiguousarray(plane.T, dtype="<i2").tobytes()
