"""LCModel as a second engine: run through a stand-in on PATH, compared with our fit, and every way it can fail."""

import json
import os
import stat
import sys
from pathlib import Path

import numpy as np
import pytest

from mrs_pipeline.basis import simulate_basis
from mrs_pipeline.cli.settings import check_values
from mrs_pipeline.config import FitSection, Study
from mrs_pipeline.errors import FitError, StudyError
from mrs_pipeline.fit import AGREEMENT_COLUMNS, agreement_table, compare_lcmodel, fit_spectrum, write_fit
from mrs_pipeline.interfaces.basis import write_basis_file
from mrs_pipeline.interfaces.lcmodel import SecondEngine, run_lcmodel
from mrs_pipeline.nifti_mrs import LcmodelRow, LcmodelTable, NiftiMrs, write
from mrs_pipeline.spectrum import Spectrum

STAND_IN = Path(__file__).with_name("lcmodel_stand_in.py")
NAMES = ("NAA", "NAAG", "Cr", "PCr", "GPC", "PCh", "Ins", "Glu", "Gln", "sIns", "Gly")
AMOUNTS = dict(zip(NAMES, (9.0, 1.5, 4.5, 3.5, 1.2, 0.6, 6.0, 9.0, 2.5, 0.4, 0.8), strict=True))
DWELL, MHZ, POINTS = 5e-4, 123.2, 1024


@pytest.fixture(scope="module")
def basis():
    return simulate_basis("press", te1=0.011, te2=0.019, field_mhz=MHZ, dwell=DWELL, n_points=POINTS, names=NAMES)


@pytest.fixture(scope="module")
def spectrum(basis):
    """Known amounts, 4 Hz wide, carrier at 4.70 ppm, little noise."""
    rng = np.random.default_rng(3)
    moved = basis.resampled(DWELL, POINTS, MHZ, 4.70)
    time = np.arange(POINTS) * DWELL
    fid = sum(AMOUNTS[name] * moved.fid(name) for name in NAMES) * np.exp(-np.pi * 4.0 * time)
    noise = 0.02 * (rng.standard_normal(POINTS) + 1j * rng.standard_normal(POINTS))
    return Spectrum(fid + noise, DWELL, MHZ, 4.70, echo_time=0.03)


@pytest.fixture(scope="module")
def fit(spectrum, basis):
    return fit_spectrum(spectrum, basis, FitSection(macromolecules="none", lineshape="voigt"))


@pytest.fixture
def lcmodel(tmp_path, monkeypatch):
    """A stand-in named lcmodel on PATH; returns a function that sets how it ends."""
    folder = tmp_path / "a bin"
    folder.mkdir()
    program = folder / "lcmodel"
    program.write_text(f"#!{sys.executable}\n" + STAND_IN.read_text())
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return lambda mode: monkeypatch.setenv("STAND_IN", mode)


def test_the_engine_gets_data_and_basis_in_its_own_sense(lcmodel, spectrum, basis, tmp_path):
    folder = tmp_path / "work of sub-01"
    folder.mkdir()
    water = Spectrum(1e4 * np.exp(-np.arange(POINTS) / 50), DWELL, MHZ, 4.70)
    table = run_lcmodel(spectrum, water, basis, folder)
    for name, lcmodel_name in (("NAA", "NAA"), ("Ins", "Ins"), ("Glu", "Glu"), ("sIns", "Scyllo"), ("Gln", "Gln")):
        assert table.row(lcmodel_name).ratio == pytest.approx(AMOUNTS[name] / 8.0, abs=0.02), name
    assert table.row("Cr+PCr").concentration == pytest.approx(8.0, rel=0.01)
    assert " DOWS=T\n" in (folder / "control").read_text()


def test_both_engines_agree_on_a_known_spectrum(lcmodel, spectrum, basis, fit, tmp_path):
    rows = {row.metabolite: row for row in compare_lcmodel(fit, run_lcmodel(spectrum, None, basis, tmp_path), NAMES)}
    assert list(rows)[:4] == ["tNAA", "tCr", "tCho", "Glx"]
    assert set(rows) == {"tNAA", "tCr", "tCho", "Glx", "mI", *NAMES} - {"Ins"}
    assert rows["tCr"].lcmodel_tCr == rows["tCr"].ratio_tCr == 1.0
    truth = {"tNAA": 10.5, "tCho": 1.8, "mI": 6.0, "Glu": 9.0, "Glx": 11.5}
    for name, amount in truth.items():
        row = rows[name]
        assert row.lcmodel_tCr == pytest.approx(amount / 8.0, rel=0.02), name
        assert row.difference == pytest.approx(row.lcmodel_tCr - row.ratio_tCr)
        assert row.difference_percent == pytest.approx(100 * row.difference / row.ratio_tCr)
        assert abs(row.difference_percent) < 6, name
    lines = agreement_table(rows.values()).splitlines()
    assert lines[0].split("\t") == list(AGREEMENT_COLUMNS)
    assert [line.split("\t")[0] for line in lines[1:]] == list(rows)


def table_of(**rows):
    return LcmodelTable("v", "Cr+PCr", tuple(LcmodelRow(name, *values) for name, values in rows.items()))


def test_what_lcmodel_did_not_find_is_missing_and_what_differs_is_marked(fit):
    table = table_of(Cr=(8.0, 3.0, 1.0), NAA=(20.0, 3.0, 2.5), Glu=(0.0, 999.0, 0.0), MM09=(1.0, 9.0, 0.1))
    rows = {row.metabolite: row for row in compare_lcmodel(fit, table, NAMES)}
    assert set(rows) == {"tNAA", "tCr", "Glx", "NAA", "Glu", "Cr"}
    assert rows["tNAA"].lcmodel_tCr == 2.5
    assert rows["tNAA"].apart
    assert rows["Glu"].lcmodel_sd_percent is None
    assert rows["Glu"].lcmodel_tCr == 0.0
    assert not rows["tCr"].apart


def test_ratios_are_made_where_lcmodel_refers_to_something_else(fit):
    table = table_of(**{"Cr+PCr": (4.0, 3.0, 0.5), "NAA": (5.0, 3.0, 0.625)})
    rows = {row.metabolite: row for row in compare_lcmodel(fit, table, NAMES)}
    assert rows["NAA"].lcmodel_tCr == 1.25


def test_no_creatine_is_an_error(fit):
    with pytest.raises(FitError, match="no creatine"):
        compare_lcmodel(fit, table_of(NAA=(5.0, 3.0, 1.0)), NAMES)


@pytest.fixture
def node(spectrum, basis, fit, tmp_path):
    """Inputs of the SecondEngine interface as files."""
    scan = NiftiMrs(spectrum, np.diag([20.0, 20.0, 20.0, 1.0]), {})
    write(scan, tmp_path / "svs.nii.gz")
    write_basis_file(basis, tmp_path / "basis.npz")
    write_fit(fit, tmp_path / "fit.json", tmp_path / "fit_svs.nii.gz", scan)
    folder = tmp_path / "node"
    folder.mkdir()
    names = {"svs": "svs.nii.gz", "basis": "basis.npz", "fit": "fit.json", "fit_svs": "fit_svs.nii.gz"}
    return SecondEngine(**{key: str(tmp_path / name) for key, name in names.items()}), folder


def test_the_interface_writes_table_and_record(lcmodel, node):
    interface, folder = node
    outputs = interface.run(cwd=str(folder)).outputs
    record = json.loads(Path(outputs.record).read_text())
    assert Path(outputs.agreement).read_text().splitlines()[0].split("\t") == list(AGREEMENT_COLUMNS)
    assert {key: record[key] for key in AGREEMENT_COLUMNS} == AGREEMENT_COLUMNS
    second = record["SecondEngine"]
    assert second["Version"] == "LCModel (Version 6.3-1R)"
    assert second["Problem"] is None
    assert second["Numbers"]["reference"] == "Cr+PCr"
    assert second["Control"].startswith(" $LCMODL")
    assert str(folder) not in json.dumps(record)


@pytest.mark.parametrize(
    ("mode", "words"),
    [("silent", "no such file"), ("fatal", "FATAL MYBASI 4"), ("crash", "could not run")],
)
def test_a_failure_of_lcmodel_is_said_and_costs_nothing_else(lcmodel, node, mode, words):
    interface, folder = node
    (folder / "out.table").write_text("left by an earlier run")
    lcmodel(mode)
    outputs = interface.run(cwd=str(folder)).outputs
    assert outputs.agreement == ""
    record = json.loads(Path(outputs.record).read_text())
    assert words in record["SecondEngine"]["Problem"]
    assert record["SecondEngine"]["Warnings"][0].startswith("no cross-check by LCModel for this scan")


def test_without_the_program_the_run_is_refused_before_any_work(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StudyError, match="lcmodel"):
        check_values(Study(fit=FitSection(second_engine="lcmodel")), None)
    check_values(Study(), None)


def test_with_the_program_the_setting_passes(lcmodel):
    check_values(Study(fit=FitSection(second_engine="lcmodel")), None)


def test_a_program_that_vanished_is_a_fit_error(monkeypatch, spectrum, basis, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FitError, match="could not run"):
        run_lcmodel(spectrum, None, basis, tmp_path)


def test_names_too_long_for_lcmodel_are_left_out_and_said(lcmodel, node, basis, tmp_path):
    interface, folder = node
    write_basis_file(basis.with_member("Glutathio", basis.fid("Gly")), tmp_path / "basis.npz")
    outputs = interface.run(cwd=str(folder)).outputs
    warnings = json.loads(Path(outputs.record).read_text())["SecondEngine"]["Warnings"]
    assert warnings == ["LCModel fitted without Glutathio, whose names are too long for it"]
