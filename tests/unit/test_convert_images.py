"""T1w images: what is taken over, what is left behind, and DICOM series made here."""

from __future__ import annotations

import gzip
import io
import json

import nibabel as nib
import numpy as np
import pytest

from mrs_pipeline.cli import main
from mrs_pipeline.errors import InputError
from mrs_pipeline.interfaces.convert_image import shareable_image
from mrs_pipeline.interfaces.convert_jobs import ConvertJob, _output_name, stage
from mrs_pipeline.nifti_mrs import converter_arguments, pulse_sequence_type

AFFINE = np.array([[1.0, 0, 0, -5], [0, 1.1, 0, 7], [0, 0, 1.2, 3], [0, 0, 0, 1]])
VOXELS = np.random.default_rng(1).integers(0, 1000, (6, 7, 8)).astype(np.int16)


def image_bytes(kind, *, private=False):
    image = kind(VOXELS, AFFINE)
    if private:
        image.header.extensions.append(nib.nifti1.Nifti1Extension(6, b"PatientName Doe"))
        if kind is nib.Nifti1Image:
            image.header["db_name"] = b"Doe^Jane"
    return image.to_bytes()


def named_gzip(raw):
    buffer = io.BytesIO()
    with gzip.GzipFile("Doe_Jane.nii", "wb", fileobj=buffer, mtime=1_600_000_000) as file:
        file.write(raw)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("private", [False, True])
@pytest.mark.parametrize("pack", [bytes, named_gzip, lambda raw: gzip.compress(raw[:400]) + gzip.compress(raw[400:])])
def test_the_image_stays_and_the_name_goes(tmp_path, kind, private, pack):
    out = shareable_image(pack(image_bytes(kind, private=private)))
    assert b"Doe" not in out
    assert b"Doe" not in gzip.decompress(out)
    assert out[3:8] == bytes(5)  # no name, no time
    (tmp_path / "x.nii.gz").write_bytes(out)
    back = nib.load(tmp_path / "x.nii.gz")
    np.testing.assert_array_equal(np.asanyarray(back.dataobj), VOXELS)
    np.testing.assert_allclose(back.affine, AFFINE)


def test_compressed_data_are_not_compressed_again():
    packed = named_gzip(image_bytes(nib.Nifti1Image))
    assert shareable_image(packed)[10:] == packed[10 + len("Doe_Jane.nii") + 1 :]


def dicom_series(folder, uid="1.2.3.4.5", slices=5):
    pydicom = pytest.importorskip("pydicom")
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(slices):
        meta = pydicom.dataset.FileMetaDataset()
        meta.MediaStorageSOPClassUID = pydicom.uid.MRImageStorage
        meta.MediaStorageSOPInstanceUID = f"{uid}.{number + 1}"
        meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
        ds = pydicom.dataset.FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
        ds.SOPClassUID, ds.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
        ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = "1.2.3", uid, "1.2.9"
        ds.PatientName, ds.PatientID, ds.PatientBirthDate = "Doe^Jane", "12345", "19700101"
        ds.Manufacturer, ds.Modality, ds.MagneticFieldStrength = "SIEMENS", "MR", 3.0
        ds.ProtocolName, ds.SeriesNumber, ds.InstanceNumber = "t1_mprage", 2, number + 1
        ds.Rows, ds.Columns, ds.SamplesPerPixel, ds.PhotometricInterpretation = 6, 7, 1, "MONOCHROME2"
        ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 0
        ds.PixelSpacing, ds.SliceThickness = [1.0, 1.0], 1.2
        ds.ImageOrientationPatient, ds.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [-3, -3, 1.2 * number]
        ds.RepetitionTime, ds.EchoTime, ds.FlipAngle = 2300, 2.98, 9
        ds.PixelData = np.full((6, 7), number + 1, np.uint16).tobytes()
        ds.save_as(folder / f"{uid}_{number}.dcm", enforce_file_format=True)


def convert(tmp_path, pattern):
    study = tmp_path / "study.toml"
    study.write_text(f"[[convert.scans]]\npattern = '{pattern}'\nrole = \"T1w\"\n")
    arguments = ["convert", str(tmp_path / "scanner"), str(tmp_path / "bids"), "--study", str(study)]
    return main(arguments)


def test_a_dicom_series_becomes_one_anonymous_image(tmp_path):
    dicom_series(tmp_path / "scanner" / "P1" / "t1")
    assert convert(tmp_path, "(?P<participant>P1)/t1/") == 0
    folder = tmp_path / "bids" / "sub-P1" / "anat"
    image = nib.load(folder / "sub-P1_T1w.nii.gz")
    assert sorted(image.shape) == [5, 6, 7]
    assert sorted(np.unique(np.asanyarray(image.dataobj))) == [1, 2, 3, 4, 5]
    text = (folder / "sub-P1_T1w.json").read_text()
    assert '"EchoTime": 0.00298' in text
    for word in ("Doe", "12345", "1970", "1.2.3.4"):
        assert word not in text
        assert word.encode() not in gzip.decompress((folder / "sub-P1_T1w.nii.gz").read_bytes())


def test_two_series_for_one_image_are_refused(tmp_path, capsys):
    dicom_series(tmp_path / "scanner" / "P1")
    dicom_series(tmp_path / "scanner" / "P1", uid="1.2.3.4.6", slices=1)
    assert convert(tmp_path, "(?P<participant>P1)/") == 1
    assert "DICOM files of 2 series would become one BIDS file" in capsys.readouterr().out


def test_an_image_that_is_none(tmp_path, capsys):
    (tmp_path / "scanner").mkdir()
    (tmp_path / "scanner" / "P1_T1w.nii.gz").write_bytes(b"junk")
    nib.save(nib.Nifti1Image(np.ones((2, 2, 2, 3), np.float32), np.eye(4)), tmp_path / "scanner" / "P2_T1w.nii")
    assert convert(tmp_path, r"(?P<participant>P\d)_T1w") == 1
    said = capsys.readouterr().out
    assert "P1_T1w.nii.gz: not a readable image" in said
    assert "P2_T1w.nii: not a T1-weighted volume: the array is 2 x 2 x 2 x 3" in said


@pytest.mark.parametrize(
    ("kind", "files", "expected"),
    [
        ("sdat", ("a.SDAT", "a.SPAR"), ["philips", "a.SDAT", "a.SPAR"]),
        ("rda", ("a.rda",), ["rda", "a.rda"]),
        ("twix", ("a.dat",), ["twix", "-e", "image", "-q", "a.dat"]),
        ("pfile", ("P1.7",), ["ge", "P1.7"]),
        ("data-list", ("a.data", "a.list", "a.SPAR"), ["philips_dl", "a.data", "a.list", "a.SPAR"]),
    ],
)
def test_converter_command_lines(tmp_path, kind, files, expected):
    from pathlib import Path

    argv = converter_arguments(tuple(map(Path, files)), kind, tmp_path, "main")
    assert argv == ["spec2nii", *expected, "-o", str(tmp_path), "-f", "main"]


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("main", "sub-1_acq-press_svs.nii.gz"),
        ("main_ref", "sub-1_acq-press_mrsref.nii.gz"),
        ("main_ref_ecc", "sub-1_acq-pressecc_mrsref.nii.gz"),
        ("main_ref_no_ovs", "sub-1_acq-pressconc_mrsref.nii.gz"),
        ("main_quant", "sub-1_acq-pressconc_mrsref.nii.gz"),
        ("main_STD_0", "sub-1_acq-press_svs.nii.gz"),
        ("main_STD_1", "sub-1_acq-press_mrsref.nii.gz"),
        ("main_rf_off", "sub-1_acq-pressecc_mrsref.nii.gz"),
        ("main_rf_grads_ovs_off", "sub-1_acq-pressconc_mrsref.nii.gz"),
        ("main_NOI", None),
    ],
)
def test_water_scans_inside_a_file_get_their_role(tmp_path, output, expected):
    job = ConvertJob(0, ("P1.7",), ("P1.7",), "pfile", "svs", "sub-1_acq-press_svs.nii.gz", 1)
    assert _output_name(job, tmp_path / f"{output}.nii.gz", alone=False) == expected


def test_a_converter_that_writes_nothing_or_fails_is_named(tmp_path):
    job = ConvertJob(0, ("/x/P1.rda",), ("x/P1.rda",), "rda", "svs", "sub-1_svs.nii.gz", 1)
    with pytest.raises(InputError, match=r"x/P1\.rda: spec2nii reported success and wrote nothing"):
        stage(job, tmp_path, {"returncode": 0, "message": "done"}, tmp_path / "out")
    with pytest.raises(InputError, match=r"spec2nii could not convert it \(KeyError: 'TE'\)"):
        stage(job, tmp_path, {"returncode": 1, "message": "KeyError: 'TE'"}, tmp_path / "out")


def test_edited_files_are_refused(tmp_path):
    job = ConvertJob(0, ("P1.7",), ("P1.7",), "pfile", "svs", "sub-1_svs.nii.gz", 1)
    with pytest.raises(InputError, match="several acquisitions"):
        _output_name(job, tmp_path / "main_edited.nii.gz", alone=False)


def test_the_batch_contains_every_failure(tmp_path):
    from mrs_pipeline.interfaces.convert_batch import main

    jobs = [
        {"id": "a", "argv": ["spec2nii", "rda", str(tmp_path / "absent.rda"), "-o", str(tmp_path), "-f", "x"]},
        {"id": "b", "argv": ["spec2nii", "nonsense"]},
        {"id": "c", "argv": ["/nowhere/program"]},
        {"id": "d", "argv": ["true"]},
    ]
    (tmp_path / "jobs.json").write_text(json.dumps(jobs))
    assert main(str(tmp_path / "jobs.json"), str(tmp_path / "results.json")) == 0
    results = json.loads((tmp_path / "results.json").read_text())
    assert {key: value["returncode"] != 0 for key, value in results.items()} == {
        "a": True,
        "b": True,
        "c": True,
        "d": False,
    }
    assert "absent.rda" in results["a"]["message"]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("*svs_se", None), "PRESS"),
        (("svs_slaser_dkd", None), "sLASER"),
        (("%CustomerSeq%\\eja_svs_mslaser",), "sLASER"),
        (("svs_st",), "STEAM"),
        (("MEGA-PRESS",), "MEGA-PRESS"),
        (("probe-p",), "PRESS"),
        (("probe-s",), "STEAM"),
        (("fid",), None),
    ],
)
def test_sequence_names(names, expected):
    assert pulse_sequence_type(*names) == expected
