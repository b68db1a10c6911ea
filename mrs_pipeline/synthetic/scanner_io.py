"""One scan in a vendor's format: which files, and what is wrong with them."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import TYPE_CHECKING

from mrs_pipeline.spectrum import FloatArray, Spectrum
from mrs_pipeline.synthetic.philips_io import write_sdat
from mrs_pipeline.synthetic.settings import TrialSettings
from mrs_pipeline.synthetic.siemens_io import write_rda
from mrs_pipeline.synthetic.twix_io import write_twix

if TYPE_CHECKING:
    import nibabel as nib

ENDINGS = {"philips": ".SDAT", "siemens": ".rda", "siemens-twix": ".dat", "nifti-mrs": ".nii.gz"}
"""File ending of each vendor's spectroscopy files."""


def write_spectrum(s: TrialSettings, spectrum: Spectrum, affine: FloatArray, stem: Path, averages: int) -> Path:
    """Write one scan in the trial's format; ``stem`` has no ending. Returns the main file."""
    path = stem.with_name(stem.name + ENDINGS[s.vendor])
    path.parent.mkdir(parents=True, exist_ok=True)
    name = s.spectrum.acquisition.sequence.upper()
    halved = s.vendor == "philips" if s.halved_first_point is None else s.halved_first_point
    behind = 1 if "DIM_DYN" in spectrum.dims else averages
    if s.vendor == "philips":
        write_sdat(spectrum, affine, path, averages=behind, name=name, halved_first_point=halved)
    elif s.vendor == "siemens":
        write_rda(spectrum, affine, path, averages=behind, name=name, halved_first_point=halved)
    elif s.vendor == "siemens-twix":
        write_twix(with_half_point(spectrum, halved=halved), affine, path, name=name)
    else:
        write_nifti_mrs(with_half_point(spectrum, halved=halved), affine, path, name=name)
    return path


def with_half_point(spectrum: Spectrum, *, halved: bool) -> Spectrum:
    """Return the spectrum, with its first point halved if asked."""
    if not halved:
        return spectrum
    fid = spectrum.fid.copy()
    fid[..., 0] *= 0.5
    return spectrum.with_fid(fid)


def write_nifti_mrs(spectrum: Spectrum, affine: FloatArray, path: Path, *, name: str) -> None:
    """Write NIfTI-MRS in single precision, as converters do."""
    from mrs_pipeline.nifti_mrs import NiftiMrs, write

    header = {"Manufacturer": "synthetic", "ProtocolName": name, "SequenceName": name}
    write(NiftiMrs(spectrum.with_fid(spectrum.fid.astype("c8")), affine, header), path)


def truncate(path: Path) -> None:
    """Cut a file in the middle, as an interrupted export does."""
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2 - 3])


def write_t1w(s: TrialSettings, image: nib.Nifti1Image, stem: Path, patient: str, series: int) -> None:
    """Write a T1w image in the trial's format; ``stem`` has no ending."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    if s.t1w_format == "dicom":
        from mrs_pipeline.synthetic.dicom_io import write_dicom_series

        write_dicom_series(image, stem, patient=patient, series=series, description="T1w")
        return
    path = stem.with_name(stem.name + ".nii.gz")
    with path.open("wb") as raw, gzip.GzipFile(filename="", mode="wb", fileobj=raw, compresslevel=3, mtime=0) as out:
        out.write(image.to_bytes())
