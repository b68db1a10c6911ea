"""A solution of 10 mmol/L through the command a user types: files with sidecars in, mmol/L out."""

import csv
import json

import numpy as np
import pytest

from mrs_pipeline.basis import load_basis, save_basis, simulate_basis
from mrs_pipeline.cli import main
from mrs_pipeline.nifti_mrs import NiftiMrs, write
from mrs_pipeline.spectrum import Spectrum

MHZ, DWELL, N = 123.25, 1 / 2000, 2048
TE, TR = 0.030, 2.0
NAMES = ("NAA", "Cr", "PCh", "Glu", "Ins")
MILLIMOLAR = 10.0
WATER_MILLIMOLAR = 1e3 * 998.2 / 18.015
"""A litre of water at 20 C weighs 998.2 g; 18.015 g are a mole."""

T1 = {"water": 2.7, "metabolites": 1.4}
T2 = {"water": 1.6, "metabolites": 0.5}
STUDY = """
[basis]
source = "{basis}"
[tissue]
source = "none"
[fit]
macromolecules = "none"
[quantify]
preset = "phantom"
[quantify.overrides]
water_t1 = 2.7
water_t2 = 1.6
metabolite_t1 = 1.4
metabolite_t2 = 0.5
"""


def left(what, tr):
    return (1 - np.exp(-tr / T1[what])) * np.exp(-TE / T2[what])


def scans(basis, noise=0.3):
    """Signals of a litre; the metabolite scan has 20 dB more gain, the water scan its own TR."""
    t = np.arange(N) * DWELL
    rng = np.random.default_rng(5)
    dirt = [noise * (rng.standard_normal(N) + 1j * rng.standard_normal(N)) for _ in range(2)]
    metabolites = MILLIMOLAR * left("metabolites", TR) * basis.fids.sum(axis=0)
    shape = np.exp(-2.0 * np.pi * t)
    turn = np.exp(2j * np.pi * 4.0 * t + 0.6j)
    yield "svs", 10 * 3.1e-3 * (metabolites * shape * turn + dirt[0]), TR, 20.0
    yield "mrsref", 3.1e-3 * (2 * WATER_MILLIMOLAR * left("water", 5.0) * shape * turn + dirt[1]), 5.0, 0.0


def dataset(root):
    made = simulate_basis(
        "press", te1=TE / 2, te2=TE / 2, field_mhz=MHZ, dwell=DWELL, n_points=N, names=NAMES, linewidth_hz=0.5
    )
    save_basis(made, root / "press.basis")
    folder = root / "bids" / "sub-phantom" / "mrs"
    folder.mkdir(parents=True)
    (root / "bids" / "dataset_description.json").write_text(json.dumps({"Name": "phantom", "BIDSVersion": "1.10.0"}))
    for kind, fid, tr, gain in scans(load_basis(root / "press.basis")):
        spectrum = Spectrum(fid, DWELL, MHZ, echo_time=TE, repetition_time=tr, flip_angle=90.0)
        write(NiftiMrs(spectrum, affine=np.diag([20.0, 20.0, 20.0, 1.0])), folder / f"sub-phantom_{kind}.nii.gz")
        sidecar = {"EchoTime": TE, "RepetitionTime": tr, "FlipAngle": 90, "ReceiveGain": gain}
        sidecar |= {"ResonantNucleus": ["1H"], "SpectrometerFrequency": [MHZ], "SpectralWidth": 1 / DWELL}
        if kind == "svs":
            sidecar["ReferenceSignal"] = "bids::sub-phantom/mrs/sub-phantom_mrsref.nii.gz"
        (folder / f"sub-phantom_{kind}.json").write_text(json.dumps(sidecar))
    (root / "study.toml").write_text(STUDY.format(basis=(root / "press.basis").as_posix()))


def test_ten_millimolar_come_out_of_the_command(tmp_path):
    dataset(tmp_path)
    arguments = [str(tmp_path / "bids"), str(tmp_path / "out"), "participant", "--nprocs", "1"]
    assert main(["run", *arguments, "--study", str(tmp_path / "study.toml")]) == 0
    table = next((tmp_path / "out").rglob("*_desc-concentrations_mrs.tsv"))
    with table.open(newline="") as stream:
        rows = {row["metabolite"]: row for row in csv.DictReader(stream, delimiter="\t")}
    for name in ("NAA", "Cr", "PCh", "Glu", "mI"):
        assert float(rows[name]["molar"]) == pytest.approx(MILLIMOLAR, rel=0.02), name
        assert float(rows[name]["molal"]) == pytest.approx(MILLIMOLAR / 0.9982, rel=0.02), name
        assert rows[name]["flags"] == "solution", name
    said = json.loads(table.with_suffix(".json").read_text())["Quantification"]["Warnings"]
    assert any("multiplied by 10 (receiver scale" in sentence for sentence in said)
    (report,) = (tmp_path / "out").glob("*_report.html")
    assert "T1w image" not in report.read_text(encoding="utf-8")  # [tissue] source = "none" would not have used one
