"""The disk boundary: one line of known ppm and amplitude, in both conventions, and every way a file can be broken."""

from __future__ import annotations

import gzip
import json

import nibabel as nib
import numpy as np
import pytest

from mrs_pipeline.errors import InputError
from mrs_pipeline.files import atomic_write
from mrs_pipeline.nifti_mrs import (
    NiftiMrs,
    read,
    read_lcmodel_control,
    read_lcmodel_raw,
    reference_ppm_of,
    write,
)
from mrs_pipeline.spectrum import Spectrum

CARRIER = 127.755264
DWELL = 5e-4
AFFINE = np.array([[25.0, 0, 0, -12], [0, 30.0, 0, 4], [0, 0, 20.0, 9], [0, 0, 0, 1]])


def line(ppm=2.01, amplitude=3.0, n_points=2048, shape=(), dims=(), reference=4.65):
    t = np.arange(n_points) * DWELL
    fid = amplitude * np.exp(2j * np.pi * (ppm - reference) * CARRIER * t - np.pi * 4.0 * t)
    return Spectrum(
        np.broadcast_to(fid, (*shape, n_points)),
        DWELL,
        CARRIER,
        reference,
        echo_time=0.03,
        repetition_time=2.0,
        dims=dims,
    )


def peak_ppm(spectrum):
    return spectrum.ppm[np.argmax(np.abs(spectrum.spectrum()))]


def test_known_line_survives_disk_exactly(tmp_path):
    nifti = NiftiMrs(line(), AFFINE, {"Manufacturer": "ACME"})
    back = read(write(nifti, tmp_path / "x_svs.nii.gz"))
    np.testing.assert_array_equal(back.spectrum.fid, nifti.spectrum.fid)
    np.testing.assert_allclose(back.affine, AFFINE)
    assert abs(peak_ppm(back.spectrum) - 2.01) < 0.5 / (2048 * DWELL * CARRIER) + 1e-9
    assert back.spectrum.fid[0] == pytest.approx(3.0, rel=1e-12)
    assert (back.spectrum.echo_time, back.spectrum.repetition_time) == (0.03, 2.0)
    assert back.spectrum.dwell == DWELL
    assert back.spectrum.carrier_mhz == CARRIER
    assert back.manufacturer == "ACME"
    assert back.is_localised
    np.testing.assert_allclose(back.voxel_size_mm, [25, 30, 20])


def test_on_disk_a_line_below_water_has_positive_frequency(tmp_path):
    path = write(NiftiMrs(line(), AFFINE), tmp_path / "x.nii.gz")
    stored = np.asanyarray(nib.load(path).dataobj)[0, 0, 0]
    frequency = np.fft.fftfreq(stored.size, DWELL)[np.argmax(np.abs(np.fft.fft(stored)))]
    assert frequency == pytest.approx((4.65 - 2.01) * CARRIER, abs=1.0)


def test_the_reference_reader_agrees(tmp_path):
    nifti_mrs = pytest.importorskip("nifti_mrs.nifti_mrs")
    validator = pytest.importorskip("nifti_mrs.validator")
    spectrum = line(shape=(4, 8), dims=("DIM_COIL", "DIM_DYN"))
    path = write(NiftiMrs(spectrum, AFFINE), tmp_path / "x.nii.gz")
    theirs = nifti_mrs.NIFTI_MRS(str(path))
    validator.validate_nifti_mrs(theirs)
    np.testing.assert_array_equal(np.moveaxis(theirs[:][0, 0, 0], 0, -1), spectrum.fid)
    assert theirs.dim_tags[:2] == ["DIM_COIL", "DIM_DYN"]
    assert theirs.dwelltime == DWELL


def test_a_file_of_the_reference_writer_reads_back(tmp_path):
    create = pytest.importorskip("nifti_mrs.create_nmrs")
    spectrum = line()
    made = create.gen_nifti_mrs(spectrum.fid[None, None, None], DWELL, CARRIER)
    made.save(str(tmp_path / "theirs.nii.gz"))
    back = read(tmp_path / "theirs.nii.gz").spectrum
    np.testing.assert_allclose(back.fid, spectrum.fid, atol=1e-12)
    assert back.ppm[np.argmax(np.abs(back.spectrum()))] == pytest.approx(2.01, abs=0.01)


def test_same_content_gives_same_bytes(tmp_path):
    nifti = NiftiMrs(line(), AFFINE)
    one = write(nifti, tmp_path / "a.nii.gz").read_bytes()
    two = write(nifti, tmp_path / "deeper" / "b.nii.gz").read_bytes()
    assert one == two
    assert one[4:8] == b"\0\0\0\0"  # gzip modification time


def test_single_precision_data_stay_single_precision(tmp_path):
    spectrum = line()
    single = spectrum.with_fid(spectrum.fid.astype(np.complex64))
    assert nib.load(write(NiftiMrs(single), tmp_path / "s.nii")).get_data_dtype() == np.complex64
    assert nib.load(write(NiftiMrs(spectrum), tmp_path / "d.nii")).get_data_dtype() == np.complex128


def test_failed_write_leaves_nothing(tmp_path, monkeypatch):
    target = tmp_path / "x.json"
    atomic_write(target, b"old")

    def full(_fd):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        atomic_write(target, b"new")
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_dimension_headers_follow_their_tag(tmp_path):
    header = {
        "dim_5": "DIM_COIL",
        "dim_6": "DIM_DYN",
        "dim_6_header": {"EchoTime": [1.0, 2.0, 3.0]},
        "dim_5_info": "coils",
    }
    nifti = NiftiMrs(line(shape=(3,), dims=("DIM_DYN",)), AFFINE, header)
    back = read(write(nifti, tmp_path / "x.nii.gz"))
    assert back.header["dim_5"] == "DIM_DYN"
    assert back.header["dim_5_header"] == {"EchoTime": [1.0, 2.0, 3.0]}
    assert "dim_6" not in back.header
    assert "dim_5_info" not in back.header


def test_processing_is_appended(tmp_path):
    nifti = NiftiMrs(line(), AFFINE, {"ProcessingApplied": [{"Method": "RF coil combination"}]})
    back = read(write(nifti.with_processing("Eddy current correction", "Klose"), tmp_path / "x.nii.gz"))
    assert [step["Method"] for step in back.header["ProcessingApplied"]] == [
        "RF coil combination",
        "Eddy current correction",
    ]


@pytest.mark.parametrize(
    ("header", "sidecar", "expected"),
    [
        ({}, {}, 4.65),
        ({"SpecFreqChemShift": 4.7}, {"ChemicalShiftOffset": 3.0}, 4.7),
        ({"SpecFreqChemShift": 4.7, "RxOffset": -1.7}, {}, 3.0),
        ({"RxOffset": -1.65}, {}, 3.0),
        ({}, {"ChemicalShiftOffset": 4.68}, 4.68),
        ({"TxOffset": -1.7}, {"ChemicalShiftReference": 3.0}, 4.65),  # transmitter, not receiver
    ],
)
def test_reference_ppm(header, sidecar, expected):
    assert reference_ppm_of(header, sidecar, "1H") == pytest.approx(expected)


def test_other_reference_ppm_survives_disk(tmp_path):
    back = read(
        write(NiftiMrs(line(reference=3.0), header={"RxOffset": -0.5, "TxOffset": -1.0}), tmp_path / "x.nii.gz")
    )
    assert back.spectrum.reference_ppm == pytest.approx(3.0, abs=1e-12)
    assert back.transmit_ppm == pytest.approx(2.5)
    assert not back.is_localised


def test_sidecar_fills_what_the_header_lacks(tmp_path):
    spectrum = Spectrum(line().fid, DWELL, CARRIER)
    path = write(NiftiMrs(spectrum), tmp_path / "x_svs.nii.gz")
    (tmp_path / "x_svs.json").write_text(json.dumps({"EchoTime": 0.035, "RepetitionTime": 2, "FlipAngle": 85}))
    back = read(path).spectrum
    assert (back.echo_time, back.repetition_time, back.flip_angle) == (0.035, 2.0, 85.0)
    assert read(path, {}).spectrum.echo_time is None


@pytest.mark.parametrize(
    ("sidecar", "message"),
    [
        ({"EchoTime": 35}, r"EchoTime is 35 s.*35 ms would be 0\.035 s.*seconds"),
        ({"RepetitionTime": 2000}, "RepetitionTime is 2000 s"),
        ({"EchoTime": "35"}, "not a number"),
        ({"FlipAngle": 0}, "flip angle"),
    ],
)
def test_wrong_units_are_named(tmp_path, sidecar, message):
    path = write(NiftiMrs(Spectrum(line().fid, DWELL, CARRIER)), tmp_path / "x.nii.gz")
    with pytest.raises(InputError, match=message):
        read(path, sidecar)


def test_contradicting_echo_times_are_an_error(tmp_path):
    path = write(NiftiMrs(line()), tmp_path / "x.nii.gz")
    with pytest.raises(InputError, match=r"0\.035 s in the sidecar and 0\.03 s"):
        read(path, {"EchoTime": 0.035})


def _damaged(tmp_path, kind):
    path = tmp_path / "x.nii.gz"
    good = write(NiftiMrs(line(), AFFINE), tmp_path / "good.nii.gz").read_bytes()
    raw = gzip.decompress(good)
    content = {
        "empty": b"",
        "truncated gzip": good[: len(good) // 2],
        "truncated data": gzip.compress(raw[:-1000]),
        "garbage": b"not a nifti at all",
        "half header": gzip.compress(raw[:200]),
    }[kind]
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("kind", ["empty", "truncated gzip", "truncated data", "garbage", "half header"])
def test_damaged_files_are_named(tmp_path, kind):
    path = _damaged(tmp_path, kind)
    with pytest.raises(InputError, match=r"x\.nii\.gz: .*To fix it"):
        read(path)


def test_missing_file():
    with pytest.raises(InputError, match="no such file"):
        read("/nowhere/x.nii.gz")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (np.zeros((1, 1, 1, 64), np.complex64), "zero"),
        (np.full((1, 1, 1, 64), np.nan + 0j, np.complex64), "not finite"),
        (np.ones((2, 1, 1, 64), np.complex64), "not a single voxel"),
        (np.ones((1, 1, 1, 64), np.float32), "not complex"),
        (np.ones((1, 1, 1, 64, 3), np.complex64), "dimension 5 has 3 entries and no tag"),
    ],
)
def test_unusable_data(tmp_path, data, message):
    image = nib.Nifti2Image(data, np.eye(4))
    image.header["pixdim"][4] = DWELL
    text = json.dumps({"SpectrometerFrequency": [CARRIER], "ResonantNucleus": ["1H"]}).encode()
    image.header.extensions.append(nib.nifti1.Nifti1Extension(44, text))
    nib.save(image, tmp_path / "x.nii.gz")
    with pytest.raises(InputError, match=message):
        read(tmp_path / "x.nii.gz")


def test_plain_nifti_is_not_nifti_mrs(tmp_path):
    nib.save(nib.Nifti1Image(np.ones((2, 2, 2), np.float32), np.eye(4)), tmp_path / "t1.nii.gz")
    with pytest.raises(InputError, match="without the NIfTI-MRS header"):
        read(tmp_path / "t1.nii.gz")


def test_scalar_header_fields_of_other_programs_are_accepted(tmp_path):
    image = nib.Nifti1Image(np.ones((1, 1, 1, 64), np.complex64), np.eye(4))
    image.header["pixdim"][4] = 0.5
    image.header.set_xyzt_units("mm", "msec")
    text = json.dumps({"SpectrometerFrequency": 123, "ResonantNucleus": "1H"}).encode()
    image.header.extensions.append(nib.nifti1.Nifti1Extension(44, text))
    nib.save(image, tmp_path / "x.nii.gz")
    spectrum = read(tmp_path / "x.nii.gz").spectrum
    assert spectrum.carrier_mhz == 123.0
    assert spectrum.dwell == 0.5e-3


def _raw(tmp_path, spectrum, fmt="(2E15.6)", extra="", pattern="{:15.6E}"):
    disk = np.conj(spectrum.fid)
    rows = [pattern.format(z.real) + pattern.format(z.imag) for z in disk]
    text = f" $NMID ID='x', FMTDAT='{fmt}'\n VOLUME=2.0\n TRAMP=4.0{extra}\n $END\n" + "\n".join(rows) + "\n"
    path = tmp_path / "x.raw"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("fmt", "pattern"), [("(2E15.6)", "{:15.6E}"), ("(2e13.6)", "{:13.6E}"), ("(2(E15.6,1X))", "{:15.6E} ")]
)
def test_lcmodel_raw_known_line(tmp_path, fmt, pattern):
    spectrum = line()
    back = read_lcmodel_raw(_raw(tmp_path, spectrum, fmt, pattern=pattern), DWELL, CARRIER)
    np.testing.assert_allclose(back.fid, 2.0 * spectrum.fid, atol=1e-5)
    assert peak_ppm(back) == pytest.approx(2.01, abs=0.01)


def test_lcmodel_raw_bruker_is_of_the_other_sense(tmp_path):
    spectrum = line()
    flipped = spectrum.with_fid(spectrum.fid.conj())
    back = read_lcmodel_raw(_raw(tmp_path, flipped, extra="\n BRUKER=T"), DWELL, CARRIER)
    assert peak_ppm(back) == pytest.approx(2.01, abs=0.01)


def test_lcmodel_raw_broken(tmp_path):
    path = tmp_path / "x.raw"
    path.write_text(" $NMID FMTDAT='(2E15.6)' $END\n  1.0E+00\n")
    with pytest.raises(InputError, match="pairs"):
        read_lcmodel_raw(path, DWELL, CARRIER)
    path.write_text(" $NMID FMTDAT='(2E15.6)', SEQACQ=T $END\n  1.0E+00  1.0E+00\n")
    with pytest.raises(InputError, match="SEQACQ"):
        read_lcmodel_raw(path, DWELL, CARRIER)
    path.write_text(" $NMID FMTDAT='(2E15.6)' VOLUME=0 $END\n  1.0E+00  1.0E+00\n")
    with pytest.raises(InputError, match="VOLUME is 0"):
        read_lcmodel_raw(path, DWELL, CARRIER)
    path.write_text("1 2 3 4\n")
    with pytest.raises(InputError, match="NMID"):
        read_lcmodel_raw(path, DWELL, CARRIER)
    path.write_text("")
    with pytest.raises(InputError, match="empty"):
        read_lcmodel_raw(path, DWELL, CARRIER)


@pytest.mark.shared_data
def test_lcmodel_own_example(shared_data):
    folder = shared_data / "lcmodel_example"
    control = read_lcmodel_control(folder / "control.file")
    assert (control.dwell, control.carrier_mhz, control.n_points) == (5e-4, 127.786142, 1024)
    assert (control.raw, control.basis) == ("data.raw", "3t.basis")
    spectrum = read_lcmodel_raw(folder / control.raw, control.dwell, control.carrier_mhz)
    assert spectrum.n_points == 1024
    assert spectrum.fid[0] == pytest.approx(1.376081e-3 + 3.446260e-5j)
    magnitude = np.abs(spectrum.spectrum())
    window = (spectrum.ppm > 1.0) & (spectrum.ppm < 2.6)
    assert spectrum.ppm[window][np.argmax(magnitude[window])] == pytest.approx(2.01, abs=0.08)  # NAA where it belongs
