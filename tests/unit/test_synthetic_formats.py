"""Every file the generator writes, read back by the converters people use."""

import contextlib
import io
import json
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nibabel.affines import apply_affine

from mrs_pipeline.spectrum import Spectrum
from mrs_pipeline.synthetic import Acquisition
from mrs_pipeline.synthetic.dicom_io import write_dicom_series
from mrs_pipeline.synthetic.geometry import box_affine, rigid, rotation
from mrs_pipeline.synthetic.philips_io import write_sdat
from mrs_pipeline.synthetic.scanner_io import write_nifti_mrs
from mrs_pipeline.synthetic.siemens_io import write_rda
from mrs_pipeline.synthetic.spectra import metabolite_spectrum
from mrs_pipeline.synthetic.twix_io import write_twix
from mrs_pipeline.synthetic.vax import to_vax

ANGLES = [(0, 0, 0), (20, -15, 40), (80, 10, 5), (10, 85, -20), (170, 5, 5), (5, 3, -80)]


def spec2nii(*arguments):
    from spec2nii.spec2nii import spec2nii as program

    old, sys.argv = sys.argv, ["spec2nii", *map(str, arguments)]
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            program()
    finally:
        sys.argv = old


def random_spectrum(shape, dims=(), seed=0):
    rng = np.random.default_rng(seed)
    fid = rng.standard_normal(shape) + 1j * rng.standard_normal(shape)
    acq = Acquisition(n_points=shape[-1], dwell=1 / 2500, carrier_mhz=123.25)
    return metabolite_spectrum(acq, fid, dims)


def oblique(angles):
    return box_affine((12.3, -40.0, 33.0), (20.0, 25.0, 30.0), rotation(angles))


def read_back(path):
    """Return FIDs in the inside convention with time last, affine, dwell and header of a NIfTI-MRS file."""
    image = nib.load(path)
    data = np.moveaxis(np.conj(np.asanyarray(image.dataobj)[0, 0, 0]), 0, -1)
    header = image.header.extensions[0].get_content()
    header = header if isinstance(header, dict) else json.loads(header)
    return data, image.affine, float(image.header["pixdim"][4]), header


def check(path, spectrum, affine):
    data, found, dwell, header = read_back(path)
    assert data.shape == spectrum.fid.shape
    np.testing.assert_allclose(data, spectrum.fid, atol=1e-6 * np.abs(spectrum.fid).max())
    np.testing.assert_allclose(found, affine, atol=1e-4)
    assert dwell == pytest.approx(spectrum.dwell, rel=1e-6)
    assert header["SpectrometerFrequency"] == [pytest.approx(spectrum.carrier_mhz, abs=1e-6)]
    assert header["ResonantNucleus"] == ["1H"]
    assert header["EchoTime"] == pytest.approx(0.030)
    assert header["RepetitionTime"] == pytest.approx(2.0)


@pytest.mark.parametrize("angles", ANGLES)
def test_philips_round_trip(tmp_path, angles):
    spectrum, affine = random_spectrum((512,)), oblique(angles)
    write_sdat(spectrum, affine, tmp_path / "x.SDAT", averages=64, name="PRESS", halved_first_point=False)
    spec2nii("philips", "-o", tmp_path, "-f", "out", tmp_path / "x.SDAT", tmp_path / "x.SPAR")
    check(tmp_path / "out.nii.gz", spectrum, affine)


def test_philips_transients_are_rows(tmp_path):
    spectrum, affine = random_spectrum((6, 256), ("DIM_DYN",)), oblique(ANGLES[1])
    write_sdat(spectrum, affine, tmp_path / "x.SDAT", averages=1, name="PRESS", halved_first_point=False)
    spec2nii("philips", "-o", tmp_path, "-f", "out", tmp_path / "x.SDAT", tmp_path / "x.SPAR")
    check(tmp_path / "out.nii.gz", spectrum, affine)
    assert read_back(tmp_path / "out.nii.gz")[3]["dim_5"] == "DIM_DYN"


@pytest.mark.parametrize("angles", ANGLES)
def test_rda_round_trip(tmp_path, angles):
    spectrum, affine = random_spectrum((512,)), oblique(angles)
    write_rda(spectrum, affine, tmp_path / "x.rda", averages=64, name="svs_se_30")
    spec2nii("rda", "-o", tmp_path, "-f", "out", tmp_path / "x.rda")
    check(tmp_path / "out.nii.gz", spectrum, affine)


@pytest.mark.parametrize("angles", ANGLES)
def test_twix_round_trip(tmp_path, angles):
    spectrum, affine = random_spectrum((4, 6, 256), ("DIM_COIL", "DIM_DYN")), oblique(angles)
    write_twix(spectrum, affine, tmp_path / "x.dat", name="svs_se_30")
    spec2nii("twix", "-q", "-e", "image", "-o", tmp_path, "-f", "out", tmp_path / "x.dat")
    check(tmp_path / "out.nii.gz", spectrum, affine)
    header = read_back(tmp_path / "out.nii.gz")[3]
    assert (header["dim_5"], header["dim_6"]) == ("DIM_COIL", "DIM_DYN")


def test_nifti_mrs_round_trip(tmp_path):
    from nifti_mrs.nifti_mrs import NIFTI_MRS

    spectrum, affine = random_spectrum((3, 5, 256), ("DIM_COIL", "DIM_DYN")), oblique(ANGLES[1])
    write_nifti_mrs(spectrum, affine, tmp_path / "out.nii.gz", name="press")
    check(tmp_path / "out.nii.gz", spectrum, affine)
    assert NIFTI_MRS(str(tmp_path / "out.nii.gz")).dim_tags == ["DIM_COIL", "DIM_DYN", None]


@pytest.mark.parametrize("kind", ["philips", "rda", "twix"])
def test_a_line_below_the_carrier_has_positive_frequency_on_disk(tmp_path, kind):
    t = np.arange(512) / 2500
    fid = np.exp(2j * np.pi * (2.0 - 4.65) * 123.25 * t - 5 * np.pi * t)
    spectrum = Spectrum(fid, 1 / 2500, 123.25, echo_time=0.03, repetition_time=2.0)
    if kind == "philips":
        write_sdat(spectrum, oblique(ANGLES[1]), tmp_path / "x.SDAT", averages=1, name="x")
        arguments = [tmp_path / "x.SDAT", tmp_path / "x.SPAR"]
    elif kind == "rda":
        write_rda(spectrum, oblique(ANGLES[1]), tmp_path / "x.rda", averages=1, name="x")
        arguments = [tmp_path / "x.rda"]
    else:
        write_twix(spectrum, oblique(ANGLES[1]), tmp_path / "x.dat", name="x")
        arguments = ["-q", "-e", "image", tmp_path / "x.dat"]
    spec2nii(kind, "-o", tmp_path, "-f", "out", *arguments)
    disk = np.asanyarray(nib.load(tmp_path / "out.nii.gz").dataobj).squeeze()
    peak = np.fft.fftfreq(512, 1 / 2500)[np.argmax(np.abs(np.fft.fft(disk)))]
    assert peak == pytest.approx((4.65 - 2.0) * 123.25, abs=2500 / 512)


def test_philips_halves_the_first_point_unless_told_otherwise(tmp_path):
    spectrum = random_spectrum((64,))
    for halved, factor in ((True, 0.5), (False, 1.0)):
        write_sdat(spectrum, np.eye(4), tmp_path / "x.SDAT", averages=1, name="x", halved_first_point=halved)
        spec2nii("philips", "-o", tmp_path, "-f", "out", tmp_path / "x.SDAT", tmp_path / "x.SPAR")
        data = read_back(tmp_path / "out.nii.gz")[0]
        assert data[0] == pytest.approx(factor * spectrum.fid[0], rel=1e-6)
        assert data[1] == pytest.approx(spectrum.fid[1], rel=1e-6)


@pytest.mark.parametrize(
    ("value", "word"),
    [
        (1.0, 0x00004080),
        (-1.0, 0x0000C080),
        (3.5, 0x00004160),
        (-3.5, 0x0000C160),
        (3.14159, 0x0FD04149),
        (1e37, 0xBDC27DF0),
        (-1e-37, 0x1CEA8308),
        (0.0, 0),
    ],
)
def test_vax_floats_as_the_usgs_tables_have_them(value, word):
    # libvaxdata, USGS Open-File Report 2005-1424
    assert struct.unpack("<I", to_vax([value]))[0] == word


@pytest.mark.parametrize("value", [np.nan, np.inf, 3e38])
def test_vax_refuses_what_it_cannot_hold(value):
    with pytest.raises(ValueError, match="VAX"):
        to_vax([value])


def test_dicom_series_keeps_geometry_and_values(tmp_path):
    dcm2niix = shutil.which("dcm2niix") or str(Path(sys.executable).parent / "dcm2niix")
    rng = np.random.default_rng(1)
    affine = rigid((-30, -40, 12.345), (10, -5, 4)) @ np.diag([2.0, 2.25, 2.5, 1.0])
    image = nib.Nifti1Image(rng.integers(0, 1000, (20, 24, 18)).astype(np.int16), affine)
    write_dicom_series(image, tmp_path / "series", patient="P001", series=3, description="T1w")
    command = [dcm2niix, "-b", "n", "-z", "n", "-f", "out", "-o", tmp_path, tmp_path / "series"]
    subprocess.run(command, check=True, capture_output=True)
    back = nib.load(tmp_path / "out.nii")
    corners = np.array([[0, 0, 0], [19, 0, 0], [0, 23, 0], [0, 0, 17], [3, 5, 7], [19, 23, 17]])
    there = apply_affine(np.linalg.inv(back.affine) @ affine, corners)
    np.testing.assert_allclose(there, np.rint(there), atol=0.01 / 2)
    data, original = np.asarray(back.dataobj), np.asarray(image.dataobj)
    assert all(data[tuple(np.rint(a).astype(int))] == original[tuple(b)] for a, b in zip(there, corners, strict=True))


def test_dicom_bytes_repeat(tmp_path):
    image = nib.Nifti1Image(np.arange(60, dtype=np.int16).reshape(3, 4, 5), np.eye(4))
    for name in ("a", "b"):
        write_dicom_series(image, tmp_path / name, patient="P", series=1, description="T1w")
    files = sorted((tmp_path / "a").iterdir())
    assert len(files) == 5
    assert all(f.read_bytes() == (tmp_path / "b" / f.name).read_bytes() for f in files)


def test_a_left_handed_box_is_refused(tmp_path):
    mirrored = np.diag([-20.0, 20.0, 20.0, 1.0])
    spectrum = random_spectrum((16,))
    for write, name in ((write_sdat, "x.SDAT"), (write_rda, "x.rda")):
        with pytest.raises(ValueError, match="right-handed"):
            write(spectrum, mirrored, tmp_path / name, averages=1, name="x")
    with pytest.raises(ValueError, match="right-handed"):
        write_twix(spectrum, mirrored, tmp_path / "x.dat", name="x")


def spar(path):
    pairs = (line.split(":", 1) for line in path.read_text("latin-1").splitlines() if ":" in line and line[0] != "!")
    return {key.strip(): value.strip() for key, value in pairs}


def rda(path):
    head = path.read_bytes().split(b">>> End")[0].decode("latin-1")
    return dict(line.split(": ", 1) for line in head.splitlines() if ": " in line)


@pytest.mark.shared_data
def test_spar_says_what_a_real_one_says_about_the_same_voxel(shared_data, tmp_path):
    sdat = next((shared_data / "philips_sub-01" / "mrs").glob("*PRESS_raw-act*.SDAT"))
    spec2nii("philips", "-o", tmp_path, "-f", "real", sdat, sdat.with_suffix(".SPAR"))
    data, affine, dwell, header = read_back(tmp_path / "real.nii.gz")
    spectrum = Spectrum(data, dwell, header["SpectrometerFrequency"][0], echo_time=0.03, repetition_time=2.0)
    write_sdat(spectrum, affine, tmp_path / "ours.SDAT", averages=48, name="PRESS", halved_first_point=False)
    real, ours = spar(sdat.with_suffix(".SPAR")), spar(tmp_path / "ours.SPAR")
    assert set(real) == set(ours)
    for key in ("samples", "synthesizer_frequency", "sample_frequency", "echo_time", "repetition_time", "averages"):
        assert float(ours[key]) == float(real[key]), key
    for axis in ("ap", "lr", "cc"):
        for kind in ("size", "off_center", "angulation"):
            assert float(ours[f"{axis}_{kind}"]) == pytest.approx(float(real[f"{axis}_{kind}"]), abs=1e-4)
    assert (tmp_path / "ours.SDAT").read_bytes() == sdat.read_bytes()


@pytest.mark.shared_data
def test_rda_says_what_a_real_one_says_about_the_same_voxel(shared_data, tmp_path):
    path = shared_data / "siemens" / "SVS_30.rda"
    spec2nii("rda", "-o", tmp_path, "-f", "real", path)
    data, affine, dwell, header = read_back(tmp_path / "real.nii.gz")
    spectrum = Spectrum(data, dwell, header["SpectrometerFrequency"][0], echo_time=0.03, repetition_time=2.0)
    write_rda(spectrum, affine, tmp_path / "ours.rda", averages=64, name="svs_se_30_LSTG")
    real, ours = rda(path), rda(tmp_path / "ours.rda")
    assert set(real) == set(ours)
    numeric = [
        key for key in real if key.startswith(("VOI", "Row", "Column", "PositionV", "FoV", "Pixel", "Slice", "T"))
    ]
    for key in numeric:
        if key.startswith(("Transmit",)):
            continue
        assert float(ours[key]) == pytest.approx(float(real[key]), abs=1e-4), key
    assert (tmp_path / "ours.rda").read_bytes()[-16 * data.size :] == path.read_bytes()[-16 * data.size :]
