"""Scanner files made by hand, byte by byte, through the whole conversion: known lines come out where they belong."""

from __future__ import annotations

import csv
import gzip
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from mrs_pipeline.bids import index
from mrs_pipeline.cli import main
from mrs_pipeline.nifti_mrs import NiftiMrs, judge_orientation, read, water_over_metabolites, write
from mrs_pipeline.spectrum import Spectrum

CARRIER, DWELL, POINTS = 127.75, 5e-4, 1024
TRUTH = {2.01: 10.0, 3.03: 8.0, 3.22: 6.0}

SPAR = """!--- hand-made
examination_name : Jane Doe
scan_id : PRESS 30
patient_name : Doe^Jane
patient_birth_date : 1970.01.01
patient_position : "head_first"
patient_orientation : "supine"
samples : {points}
rows : 1
synthesizer_frequency : 127750000
offset_frequency : 0
sample_frequency : 2000
nucleus : 1H
echo_time : {te}
repetition_time : 2000
averages : 64
volume_selection_enable : "yes"
ap_size : 20
lr_size : 25
cc_size : 30
ap_off_center : 1
lr_off_center : 2
cc_off_center : 3
ap_angulation : 0
lr_angulation : 0
cc_angulation : 0
spectrum_inversion_time : 0
equipment_sw_verions : 5.1 ;
"""

RDA = """>>> Begin of header <<<
PatientName: Doe^Jane
PatientID: 12345
PatientSex: F
PatientBirthDate: 19700101
ProtocolName: svs_se_30
PatientPosition: HFS
ModelName: Prisma
DeviceSerialNumber: 99999
SoftwareVersion[0]: syngo MR E11
InstitutionName: Somewhere
TransmitCoil: Body
SequenceName: *svs_se
TR: 2000.0
TE: 30.0
TM: 0.0
TI: 0.0
DwellTime: 500
NumberOfAverages: 96.0
MRFrequency: 127.75
Nucleus: 1H
MagneticFieldStrength: 3.0
FlipAngle: 90.0
VectorSize: {points}
CSIMatrixSize[0]: 1
CSIMatrixSize[1]: 1
CSIMatrixSize[2]: 1
PositionVector[0]: 0.0
PositionVector[1]: 0.0
PositionVector[2]: 0.0
RowVector[0]: 1.0
RowVector[1]: 0.0
RowVector[2]: 0.0
ColumnVector[0]: 0.0
ColumnVector[1]: 1.0
ColumnVector[2]: 0.0
VOIPositionSag: 0.0
VOIPositionCor: 0.0
VOIPositionTra: 0.0
VOIThickness: 30.0
VOIPhaseFOV: 20.0
VOIReadoutFOV: 25.0
VOINormalSag: 0.0
VOINormalCor: 0.0
VOINormalTra: 1.0
VOIRotationInPlane: 0.0
FoVHeight: 20.0
FoVWidth: 25.0
FoV3D: 30.0
NumberOfRows: 1
NumberOfColumns: 1
NumberOf3DParts: 1
PixelSpacingRow: 20.0
PixelSpacingCol: 25.0
PixelSpacing3D: 30.0
SliceThickness: 30.0
>>> End of header <<<
"""


def fid(lines=None, seed=1):
    """FID of known lines in the inside convention with a little noise."""
    t = np.arange(POINTS) * DWELL
    lines = TRUTH if lines is None else lines
    signal = sum(a * np.exp(2j * np.pi * (ppm - 4.65) * CARRIER * t) for ppm, a in lines.items()) * np.exp(
        -np.pi * 5 * t
    )
    rng = np.random.default_rng(seed)
    return signal + 0.01 * (rng.standard_normal(POINTS) + 1j * rng.standard_normal(POINTS))


WATER = {4.65: 10_000.0}


def vax_f(values):
    """VAX F floats: the IEEE bits of four times the value, 16-bit words swapped."""
    bits = np.asarray(4 * np.asarray(values, np.float32), np.float32).view(np.uint32)
    return ((bits << np.uint32(16)) | (bits >> np.uint32(16))).astype("<u4").tobytes()


def write_sdat(path, signal, te=30):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(vax_f(np.column_stack([signal.real, signal.imag]).ravel()))
    path.with_suffix(".SPAR").write_text(SPAR.format(points=POINTS, te=te))


def write_rda(path, signal):
    """RDA holds double-precision pairs of the opposite sense."""
    path.parent.mkdir(parents=True, exist_ok=True)
    body = np.column_stack([signal.real, -signal.imag]).astype("<f8").tobytes()
    path.write_bytes(RDA.format(points=POINTS).replace("\n", "\r\n").encode() + body)


STUDY = r"""
[study]
name = "hand-made"
visits = ["bl"]
regions = ["acc"]
[[convert.scans]]
pattern = '(?P<participant>P\d+)_(?P<region>\w+)_act'
role = "svs"
visit = "bl"
[[convert.scans]]
pattern = '(?P<participant>P\d+)_(?P<region>\w+)_ref'
role = "mrsref"
visit = "bl"
[[convert.scans]]
pattern = '(?P<participant>P\d+)_t1\.nii'
role = "T1w"
visit = "bl"
"""


def convert(scanner, bids, study=STUDY, *options):
    """Run the command; return its exit code."""
    (scanner.parent / "study.toml").write_text(study)
    arguments = ["convert", str(scanner), str(bids), "--study", str(scanner.parent / "study.toml"), *options]
    return main(arguments)


def table(bids):
    with (bids / "code" / "conversion.tsv").open() as file:
        return {row["source"]: row for row in csv.DictReader(file, delimiter="\t")}


def contents(bids):
    return {str(path.relative_to(bids)): path.read_bytes() for path in sorted(bids.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """One folder with good and broken files, converted twice."""
    root = tmp_path_factory.mktemp("convert")
    scanner, bids = root / "scanner", root / "bids"
    write_sdat(scanner / "a" / "P1_acc_act.SDAT", fid())
    write_sdat(scanner / "a" / "P1_acc_ref.SDAT", fid(WATER))
    write_rda(scanner / "P2_acc_act.rda", fid())
    nib.save(nib.Nifti1Image(np.ones((4, 4, 4), np.float32), np.eye(4)), scanner / "P1_t1.nii")
    write(NiftiMrs(Spectrum(fid(), DWELL, CARRIER, echo_time=0.03, repetition_time=2.0)), scanner / "P3_acc_act.nii.gz")
    (scanner / "P3_acc_act.json").write_text(
        json.dumps({"FlipAngle": 80, "PatientName": "Doe", "ReferenceSignal": "bids::x"})
    )
    # broken ones
    write_sdat(scanner / "P4_acc_act.SDAT", fid().conj())  # mirrored
    write_sdat(scanner / "P5_acc_act.SDAT", fid())
    (scanner / "P5_acc_act.SDAT").write_bytes((scanner / "P5_acc_act.SDAT").read_bytes()[:-100])
    write_sdat(scanner / "P6_insula_act.SDAT", fid())  # region not in the study
    write_sdat(scanner / "P7_acc_act.SDAT", fid(), te=30_000)
    (scanner / "P8_acc_act.rda").write_bytes(b"")
    (scanner / "notes.txt").write_text("left alone")
    (root / "participants.tsv").write_text("participant_id\tage\nP1\t50\nsub-P2\t60\nP99\t70\n")
    code = convert(scanner, bids)
    first = contents(bids)
    again = convert(scanner, bids, STUDY, "--nprocs", "2")
    return {"root": root, "scanner": scanner, "bids": bids, "code": code, "again": again, "first": first}


def visit(dataset, participant):
    return dataset["bids"] / f"sub-{participant}" / "ses-bl" / "mrs"


@pytest.mark.parametrize("participant", ["P1", "P2", "P3"])
def test_known_lines_come_out_right(dataset, participant):
    nifti = read(visit(dataset, participant) / f"sub-{participant}_ses-bl_voi-acc_svs.nii.gz")
    s = nifti.spectrum
    np.testing.assert_allclose(s.fid, fid(), atol=1e-5)
    for ppm, amplitude in TRUTH.items():
        near = np.abs(s.ppm - ppm) < 0.08
        peak = np.argmax(np.abs(s.spectrum()) * near)
        assert s.ppm[peak] == pytest.approx(ppm, abs=1 / (POINTS * DWELL * CARRIER))
        assert np.abs(s.spectrum())[peak] * DWELL * np.pi * 5 == pytest.approx(amplitude, rel=0.2)  # Lorentzian height
    assert (s.echo_time, s.repetition_time, s.dwell, s.carrier_mhz) == (0.03, 2.0, DWELL, CARRIER)


def test_on_disk_is_the_conjugate(dataset):
    stored = np.asanyarray(nib.load(visit(dataset, "P1") / "sub-P1_ses-bl_voi-acc_svs.nii.gz").dataobj)[0, 0, 0]
    np.testing.assert_allclose(stored, fid().conj(), atol=1e-5)


def test_sidecar_of_a_metabolite_scan(dataset):
    sidecar = json.loads((visit(dataset, "P1") / "sub-P1_ses-bl_voi-acc_svs.json").read_text())
    assert sidecar == {
        "ResonantNucleus": ["1H"],
        "SpectrometerFrequency": [127.75],
        "SpectralWidth": 2000.0,
        "EchoTime": 0.03,
        "RepetitionTime": 2.0,
        "NumberOfSpectralPoints": POINTS,
        "NumberOfTransients": 64,
        "AcquisitionVoxelSize": [25.0, 20.0, 30.0],
        "ChemicalShiftOffset": 4.65,
        "ChemicalShiftReference": 4.65,
        "MagneticFieldStrength": 3.0,
        "PulseSequenceType": "PRESS",
        "Manufacturer": "Philips",
        "SoftwareVersions": "5.1 ;",
        "ProtocolName": "PRESS 30",
        "BodyPart": "BRAIN",
        "BodyPartDetails": "acc",
        "WaterSuppression": True,
        "ReferenceSignal": "bids::sub-P1/ses-bl/mrs/sub-P1_ses-bl_voi-acc_mrsref.nii.gz",
        "AnatomicalImage": "bids::sub-P1/ses-bl/anat/sub-P1_ses-bl_T1w.nii.gz",
    }


def test_sidecars_of_other_sources(dataset):
    rda = json.loads((visit(dataset, "P2") / "sub-P2_ses-bl_voi-acc_svs.json").read_text())
    assert (rda["NumberOfTransients"], rda["FlipAngle"], rda["PulseSequenceType"]) == (96, 90.0, "PRESS")
    assert "MixingTime" not in rda
    assert "InversionTime" not in rda
    copied = json.loads((visit(dataset, "P3") / "sub-P3_ses-bl_voi-acc_svs.json").read_text())
    assert copied["FlipAngle"] == 80
    assert "ReferenceSignal" not in copied


def test_links_are_read_back_by_the_index(dataset):
    scans = {scan.key: scan for scan in index(dataset["bids"])}
    assert set(scans) == {f"sub-{p}_ses-bl_voi-acc" for p in ("P1", "P2", "P3")}
    assert scans["sub-P1_ses-bl_voi-acc"].warnings == ()
    assert scans["sub-P1_ses-bl_voi-acc"].conc.name == "sub-P1_ses-bl_voi-acc_mrsref.nii.gz"


def test_nobody_can_be_identified(dataset):
    for name, content in dataset["first"].items():
        plain = gzip.decompress(content) if name.endswith(".gz") else content
        for word in (b"Doe", b"1970", b"12345", b"99999", b"Somewhere"):
            assert word not in plain, (name, word)


def test_broken_files_are_told_and_the_rest_goes_on(dataset):
    assert dataset["code"] == dataset["again"] == 1
    rows = table(dataset["bids"])
    failed = {name: row["reason"] for name, row in rows.items() if row["status"] == "failed"}
    assert set(failed) == {
        "P4_acc_act.SDAT", "P5_acc_act.SDAT", "P6_insula_act.SDAT", "P7_acc_act.SDAT", "P8_acc_act.rda",
    }  # fmt: skip
    assert "mirrored about water" in failed["P4_acc_act.SDAT"]
    assert "--conjugate" in rows["P4_acc_act.SDAT"]["remedy"]
    assert "truncated: 8092 of 8192 bytes" in failed["P5_acc_act.SDAT"]
    assert "region 'insula'" in failed["P6_insula_act.SDAT"]
    assert "EchoTime is 30 s" in failed["P7_acc_act.SDAT"]
    assert "seconds" in rows["P7_acc_act.SDAT"]["remedy"]
    assert "empty" in failed["P8_acc_act.rda"]
    assert rows["notes.txt"]["status"] == "left"
    assert rows["a/P1_acc_act.SPAR"]["status"] == "companion"
    assert not list((dataset["bids"]).glob("sub-P[4-8]"))


def test_converting_again_changes_no_byte(dataset):
    assert contents(dataset["bids"]) == dataset["first"]


def test_participants_and_provenance(dataset):
    assert (
        dataset["bids"] / "participants.tsv"
    ).read_text() == "participant_id\tage\nsub-P1\t50\nsub-P2\t60\nsub-P3\tn/a\n"
    files = json.loads((dataset["bids"] / "code" / "provenance.json").read_text())["Files"]
    entry = files["sub-P1/ses-bl/mrs/sub-P1_ses-bl_voi-acc_svs.nii.gz"]
    assert [source["Name"] for source in entry["Sources"]] == ["a/P1_acc_act.SDAT", "a/P1_acc_act.SPAR"]
    assert entry["Converter"].startswith("spec2nii")
    assert entry["Rule"] == 1


def test_the_validator_accepts_it(dataset):
    places = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    validator = shutil.which("bids-validator-deno", path=places) or pytest.skip("bids-validator-deno is not installed")

    done = subprocess.run([validator, str(dataset["bids"]), "--json"], capture_output=True, text=True, check=False)
    issues = json.loads(done.stdout)["issues"]["issues"]
    assert [issue for issue in issues if issue["severity"] == "error"] == []


def test_pybids_finds_everything(dataset):
    bids = pytest.importorskip("bids")
    layout = bids.BIDSLayout(dataset["bids"])
    assert sorted(layout.get_subjects()) == ["P1", "P2", "P3"]
    (found,) = layout.get(subject="P1", suffix="svs", extension=".nii.gz")
    assert found.get_metadata()["EchoTime"] == 0.03


def test_a_differing_file_is_not_overwritten(dataset, tmp_path):
    bids = tmp_path / "bids"
    shutil.copytree(dataset["bids"], bids)
    target = bids / "sub-P2" / "ses-bl" / "mrs" / "sub-P2_ses-bl_voi-acc_svs.nii.gz"
    edited = target.with_name("sub-P2_ses-bl_voi-acc_svs.json")
    target.write_bytes(b"something else")
    sidecar = bids / "sub-P1" / "ses-bl" / "mrs" / "sub-P1_ses-bl_voi-acc_svs.json"
    mine = {**json.loads(sidecar.read_text()), "FlipAngle": 77}
    sidecar.write_text(json.dumps(mine))
    assert convert(dataset["scanner"], bids) == 1
    assert target.read_bytes() == b"something else"
    rows = table(bids)
    assert "already there with other content" in rows["P2_acc_act.rda"]["reason"]
    assert json.loads(sidecar.read_text())["FlipAngle"] == 77
    assert "kept" in rows["a/P1_acc_act.SDAT"]["reason"]
    convert(dataset["scanner"], bids, STUDY, "--overwrite")
    assert target.read_bytes() == dataset["first"][str(target.relative_to(bids))]
    assert "FlipAngle" not in json.loads(sidecar.read_text())
    assert edited.is_file()


def test_conjugate_undoes_mirroring_and_records_it(dataset, tmp_path):
    scanner = tmp_path / "scanner"
    write_sdat(scanner / "P4_acc_act.SDAT", fid().conj())
    assert convert(scanner, tmp_path / "bids", STUDY, "--conjugate", "P4*") == 0
    nifti = read(tmp_path / "bids" / "sub-P4" / "ses-bl" / "mrs" / "sub-P4_ses-bl_voi-acc_svs.nii.gz")
    np.testing.assert_allclose(nifti.spectrum.fid, fid(), atol=1e-5)
    assert [step["Method"] for step in nifti.header["ProcessingApplied"]] == ["Conjugation"]


def test_arms_in_participants_are_refused_before_anything_runs(dataset, tmp_path, capsys):
    bad = tmp_path / "participants.tsv"
    bad.write_text("participant_id\tArm\nP1\tA\n")
    assert convert(dataset["scanner"], tmp_path / "bids", STUDY, "--participants", str(bad)) == 2
    assert "'Arm' would unblind" in capsys.readouterr().err
    assert not (tmp_path / "bids").exists()


def test_dry_run_writes_nothing(dataset, tmp_path, capsys):
    assert convert(dataset["scanner"], tmp_path / "bids", STUDY, "--dry-run") == 1
    assert not (tmp_path / "bids").exists()
    assert "planned   a/P1_acc_act.SDAT -> sub-P1_ses-bl_voi-acc_svs.nii.gz" in capsys.readouterr().out


def test_orientation_verdicts():
    def spectrum(lines, seed=1):
        return Spectrum(fid(lines, seed), DWELL, CARRIER)

    good = spectrum({**TRUTH, 4.70: 300.0})
    assert judge_orientation(good).verdict == "straight"
    assert judge_orientation(good.with_fid(good.fid.conj())).verdict == "mirrored"
    assert judge_orientation(good.shifted(20).phased(70)).verdict == "straight"
    assert judge_orientation(spectrum(WATER)).verdict == "undecided"
    noise = [judge_orientation(spectrum({}, seed)).verdict for seed in range(30)]
    assert set(noise) == {"undecided"}
    assert water_over_metabolites(spectrum(WATER)) > 1000
    assert 30 < water_over_metabolites(good) < 60  # 300 / 10, over the height that the high-pass leaves
