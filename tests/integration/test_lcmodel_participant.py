"""The participant level with LCModel as second engine: a stand-in on PATH, its failure, and its absence."""

import csv
import json
import os
import stat
import sys
from pathlib import Path

import numpy as np
import pytest

from mrs_pipeline.cli import main
from mrs_pipeline.nifti_mrs import NiftiMrs, write
from mrs_pipeline.synthetic import simulate_spectrum

STAND_IN = Path(__file__).parents[1] / "unit" / "lcmodel_stand_in.py"
STUDY = """\
[basis]
sequence = "press"
te1 = 0.011
te2 = 0.019
pulses = "ideal"
[tissue]
source = "none"
[fit]
second_engine = "lcmodel"
"""
NAME = "sub-01_ses-baseline_voi-acc"


def add(folder, suffix, spectrum):
    affine = np.array([[20.0, 0, 0, 0], [0, 20, 0, 30], [0, 0, 20, 40], [0, 0, 0, 1]])
    write(NiftiMrs(spectrum, affine, {}), folder / f"{NAME}_{suffix}.nii.gz")
    facts = {
        "ResonantNucleus": ["1H"],
        "SpectrometerFrequency": [spectrum.carrier_mhz],
        "SpectralWidth": spectrum.bandwidth,
        "EchoTime": spectrum.echo_time,
        "RepetitionTime": spectrum.repetition_time,
        "PulseSequenceType": "PRESS",
    }
    if suffix != "svs":
        facts["ReferenceSignal"] = "water"
    (folder / f"{NAME}_{suffix}.json").write_text(json.dumps(facts))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    root = tmp_path_factory.mktemp("study")
    folder = root / "bids" / "sub-01" / "ses-baseline" / "mrs"
    folder.mkdir(parents=True)
    (root / "bids" / "dataset_description.json").write_text('{"Name": "t", "BIDSVersion": "1.10.0"}')
    (root / "study.toml").write_text(STUDY)
    metabolite, water, _ = simulate_spectrum(seed=5)
    add(folder, "svs", metabolite)
    add(folder, "mrsref", water)
    program = root / "bin" / "lcmodel"
    program.parent.mkdir()
    program.write_text(f"#!{sys.executable}\n" + STAND_IN.read_text())
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return root


def run(root):
    return main(["run", str(root / "bids"), str(root / "out"), "participant", "--study", str(root / "study.toml")])


def derivative(root, ending):
    return root / "out" / "sub-01" / "ses-baseline" / "mrs" / f"{NAME}_desc-{ending}"


@pytest.mark.slow
def test_both_engines_stand_side_by_side_then_a_sampled_fit_without_the_second(dataset, monkeypatch):
    monkeypatch.setenv("PATH", f"{dataset / 'bin'}{os.pathsep}{os.environ['PATH']}")
    assert run(dataset) == 0
    with derivative(dataset, "lcmodel_mrs.tsv").open(newline="") as stream:
        rows = {row["metabolite"]: row for row in csv.DictReader(stream, delimiter="\t")}
    with derivative(dataset, "concentrations_mrs.tsv").open(newline="") as stream:
        ours = {row["metabolite"]: row for row in csv.DictReader(stream, delimiter="\t")}
    assert rows["tNAA"]["ratio_tCr"] == ours["tNAA"]["ratio_tCr"]
    # the stand-in has no baseline and no macromolecules: near, not equal
    assert float(rows["tNAA"]["lcmodel_tCr"]) == pytest.approx(float(ours["tNAA"]["ratio_tCr"]), rel=0.4)
    record = json.loads(derivative(dataset, "lcmodel_mrs.json").read_text())
    assert " DOWS=T\n" in record["SecondEngine"]["Control"]
    page = (dataset / "out" / f"{NAME}_report.html").read_text()
    assert 'id="agreement-table"' in page
    assert "Provencher 1993" in page
    before = derivative(dataset, "concentrations_mrs.tsv").read_text()

    (dataset / "bin" / "lcmodel").write_text("#!/bin/sh\nexit 3\n")
    (dataset / "study.toml").write_text(STUDY + 'posterior = "emcee"\nposterior_draws = 32\n')
    assert run(dataset) == 0
    assert not derivative(dataset, "lcmodel_mrs.tsv").exists()
    assert derivative(dataset, "concentrations_mrs.tsv").read_text() == before
    assert json.loads(derivative(dataset, "fit_mrs.json").read_text())["posterior"]["draws"] == 32
    assert "95 % emcee" in (dataset / "out" / f"{NAME}_report.html").read_text()
    warnings = json.loads(derivative(dataset, "status_mrs.json").read_text())["warnings"]
    assert any(
        "no cross-check by LCModel for this scan: LCModel could not run: exit code 3" in item for item in warnings
    )


def test_without_the_program_nothing_starts(dataset, monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    (dataset / "study.toml").write_text(STUDY)
    assert run(dataset) == 2
    assert "no program lcmodel on the PATH" in capsys.readouterr().err
