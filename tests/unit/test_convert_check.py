"""The preflight: one dataset with one scan of every kind of trouble."""

from __future__ import annotations

import json

import numpy as np
import pytest

from mrs_pipeline.basis import save_basis, simulate_basis
from mrs_pipeline.cli import main
from mrs_pipeline.nifti_mrs import NiftiMrs, write
from mrs_pipeline.spectrum import Spectrum

AFFINE = np.diag([25.0, 20.0, 30.0, 1.0])
STUDY = """
[study]
visits = ["bl", "w12"]
regions = ["acc"]
[protocol]
sequence = "press"
echo_time = 0.03
repetition_time = 2.0
voxel_size_mm = [20, 25, 30]
transients = 64
[protocol.tolerance]
echo_time = 0.0005
[tissue]
source = "table"
"""


def spectrum(**changes):
    t = np.arange(1024) * 5e-4
    fid = sum(a * np.exp(2j * np.pi * (ppm - 4.65) * 127.75 * t) for ppm, a in {2.01: 10, 3.03: 8, 3.22: 6}.items())
    values = {"echo_time": 0.03, "repetition_time": 2.0, **changes}
    return Spectrum(fid * np.exp(-15 * t), 5e-4, 127.75, **values)


def put(root, participant, visit="bl", suffix="svs", voi="acc", data=None, **sidecar):
    stem = f"sub-{participant}_ses-{visit}_voi-{voi}_{suffix}"
    path = root / f"sub-{participant}" / f"ses-{visit}" / "mrs" / f"{stem}.nii.gz"
    write(NiftiMrs(data or spectrum(), AFFINE), path)
    path.with_name(f"{stem}.json").write_text(
        json.dumps({"NumberOfTransients": 64, "PulseSequenceType": "PRESS", **sidecar})
    )
    return path


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    root = tmp_path_factory.mktemp("check")
    for participant in ("good", "te", "norow"):
        put(root, participant, suffix="mrsref")
    put(root, "good")
    put(root, "good", "w12")  # no water
    put(root, "te", data=spectrum(echo_time=0.035), NumberOfTransients=32)
    put(root, "norow", data=spectrum(repetition_time=None))
    put(root, "mirror", data=spectrum().with_fid(spectrum().fid.conj()))
    put(root, "pcc", voi="pcc")
    put(root, "ms", data=spectrum(echo_time=None, repetition_time=None), EchoTime=30)
    edited = spectrum()
    put(root, "edit", data=edited.with_fid(np.stack([edited.fid, edited.fid]), ("DIM_EDIT",)))
    put(root, "note", data=spectrum(echo_time=None))
    put(root, "broken").write_bytes(b"")
    put(root, "inv").rename(root / "sub-inv" / "ses-bl" / "mrs" / "sub-inv_ses-bl_inv-1_svs.nii.gz")
    (root / "code").mkdir()
    (root / "code" / "study.toml").write_text(STUDY)
    rows = ["participant_id\tsession\tvoi\tGM\tWM\tCSF", "sub-good\tn/a\tacc\t.5\t.4\t.1", "te\tbl\tacc\t.5\t.4\t.1"]
    (root / "tissue.tsv").write_text("\n".join(rows) + "\n")
    code = run(root, "--json", str(root / "check.json"))
    return code, json.loads((root / "check.json").read_text()), root


def run(root, *options):
    return main(["check", str(root), *options])


@pytest.mark.parametrize(
    ("scan", "verdict", "where", "text"),
    [
        ("sub-good_ses-bl_voi-acc", "runs", None, None),
        ("sub-good_ses-w12_voi-acc", "ratios only", "missing", "no water reference"),
        ("sub-te_ses-bl_voi-acc", "runs", "deviations", "echo_time is 0.035 s, planned 0.03 s"),
        ("sub-te_ses-bl_voi-acc", "runs", "deviations", "transients is 32, planned 64"),
        ("sub-norow_ses-bl_voi-acc", "runs", "missing", "no row in the tissue table"),
        ("sub-norow_ses-bl_voi-acc", "runs", "missing", "no repetition time"),
        ("sub-norow_ses-bl_voi-acc", "runs", "deviations", "repetition_time is not stated, planned 2 s"),
        ("sub-mirror_ses-bl_voi-acc", "cannot run", "problems", "--conjugate"),
        ("sub-pcc_ses-bl_voi-pcc", "ratios only", "deviations", "region 'pcc' is not one of [study] regions (acc)"),
        ("sub-ms_ses-bl_voi-acc", "cannot run", "problems", "EchoTime is 30 s"),
        ("sub-note_ses-bl_voi-acc", "cannot run", "problems", "no echo time"),
        ("sub-edit_ses-bl_voi-acc", "ratios only", "missing", "the difference and the sum are fitted"),
        ("sub-broken_ses-bl_voi-acc", "cannot run", "problems", "empty"),
    ],
)
def test_every_trouble_is_told(report, scan, verdict, where, text):
    _, content, _ = report
    (found,) = [item for item in content["scans"] if item["scan"] == scan]
    assert found["verdict"] == verdict
    if where is None:
        assert (found["missing"], found["deviations"], found["problems"]) == ([], [], [])
    else:
        assert any(text in line for line in found[where]), found


@pytest.mark.parametrize(
    ("settings", "code", "words"),
    [
        ("", 0, "te1 is not set: 14 ms are taken as the first echo period of PRESS (2 scans)"),
        ("[basis]\nte1 = 0.015\nte2 = 0.02\n", 1, "the basis set is for TE 35.0 ms, the scan has TE 30.0 ms"),
        ('[basis]\nsequence = "steam"\ntm = 0.01\n', 0, "the basis set is of steam, the scan states press (2 scans)"),
        ('[basis]\nexclude = ["Glutamin"]\n', 1, "[basis] exclude names Glutamin"),
        ('[basis]\ninclude = ["Unobtainium"]\n', 1, "Unobtainium"),
        ('[analysis]\nprimary = [["Glu", "acc"], ["tCr", "acc"]]\n', 0, "0 not as the protocol says"),
        ('[analysis]\nprimary = [["Ins", "acc"]]\n', 1, "primary names Ins, which no fit gives: Ala, "),
        ('[analysis]\nprimary = [["mI", "ACC"]]\n', 1, "primary names the region ACC, found in no scan: acc"),
        ('[basis]\nsource = "other.basis"\n', 2, "the basis set 'other.basis' is not there"),
    ],
)
def test_the_basis_set_and_the_plan_are_checked_before_anything_runs(tmp_path, capsys, settings, code, words):
    for visit in ("bl", "w12"):
        put(tmp_path, "good", visit)
        put(tmp_path, "good", visit, suffix="mrsref")
    (tmp_path / "study.toml").write_text('[tissue]\nsource = "none"\n' + settings)
    assert run(tmp_path, "--study", str(tmp_path / "study.toml")) == code
    captured = capsys.readouterr()
    assert words in captured.out + captured.err


def test_a_basis_file_is_held_against_every_scan(tmp_path, capsys):
    put(tmp_path, "good")
    put(tmp_path, "te", data=spectrum(echo_time=0.035))
    basis = simulate_basis(
        "press", te1=0.015, te2=0.015, field_mhz=127.75, dwell=5e-4, n_points=64, names=("Cr", "NAA")
    )
    save_basis(basis, tmp_path / "set.basis")
    (tmp_path / "study.toml").write_text(
        '[tissue]\nsource = "none"\n[basis]\nsource = "set.basis"\n[analysis]\nprimary = [["GABA", "acc"]]\n'
    )
    assert run(tmp_path, "--study", str(tmp_path / "study.toml")) == 1
    out = capsys.readouterr().out
    assert "the basis set is for TE 30.0 ms, the scan has TE 35.0 ms" in out
    assert out.count("problem") == 1
    assert "primary names GABA, which no fit gives: Cr, Glx, NAA, tCho, tCr, tNAA" in out


def test_what_is_left_aside_and_incomplete(report):
    code, content, _ = report
    assert code == 1
    assert len(content["scans"]) == 10
    assert any("inv-1" in line and "inversion" in line for line in content["skipped"])
    assert "sub-te: no scan of w12 acc" in content["incomplete"]
    assert not any(line.startswith("sub-good") for line in content["incomplete"])


def test_a_clean_selection_gives_exit_code_0(report, capsys):
    _, _, root = report
    assert run(root, "--participant-label", "good") == 0
    out = capsys.readouterr().out
    assert "2 scans: 1 ratios only, 1 runs; 0 not as the protocol says" in out
    assert run(root, "--participant-label", "nobody") == 2
    assert "participant nobody" in capsys.readouterr().err
