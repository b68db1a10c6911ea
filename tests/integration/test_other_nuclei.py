"""The participant level for a nucleus other than 1H, from BIDS file to report, with the peak model."""

import csv
import json

import numpy as np
import pytest

from mrs_pipeline.cli import main
from mrs_pipeline.fit import load_peaks, read_fit
from mrs_pipeline.nifti_mrs import NiftiMrs, read, write
from mrs_pipeline.spectrum import Spectrum

AFFINE = np.array([[40.0, 0, 0, 0], [0, 40, 0, 30], [0, 0, 40, 40], [0, 0, 0, 1]])
MHZ, DWELL, POINTS = 51.72, 1 / 5000, 1024
TRUTH = {
    "PE": 2.5, "PC": 0.7, "Piex": 0.4, "Pi": 1.2, "GPE": 1.0, "GPC": 1.6, "MP": 3.0, "PCr": 4.5, "gATP": 3.0,
    "aATP": 3.0, "NAD": 0.5, "bATP": 3.0,
}  # fmt: skip
RULE = '[[convert.scans]]\npattern = "*_31P.nii.gz"\nrole = "svs"\nparticipant = "1"\nregion = "occ"\n'
STUDY = '[fit]\nmodel = "peaks"\npeaks = "31p-brain"\n[tissue]\nsource = "none"\n'


def transients(count=8, noise=0.3, seed=2):
    """31P transients with drift of frequency and phase, written line by line from the table's shifts."""
    rng = np.random.default_rng(seed)
    t = np.arange(POINTS) * DWELL
    fid = np.zeros(POINTS, complex)
    for line in load_peaks("31p-brain").lines:
        for number, weight in enumerate(line.pattern):
            hz = line.ppm * MHZ + ((len(line.pattern) - 1) / 2 - number) * line.j_hz
            size = TRUTH[line.name] * line.nuclei * weight / sum(line.pattern)
            fid += size * np.exp(2j * np.pi * hz * (t + 3e-4) - np.pi * line.width_hz * (t + 3e-4))
    fids = []
    for _ in range(count):
        turn = np.exp(2j * np.pi * (6.0 + rng.normal() * 2) * t + 1j * (0.7 + rng.normal() * 0.1))
        fids.append(fid * turn + noise * (rng.normal(size=POINTS) + 1j * rng.normal(size=POINTS)))
    return Spectrum(np.array(fids), DWELL, MHZ, 0.0, None, 3.0, flip_angle=60.0, dims=("DIM_DYN",), nucleus="31P")


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    root = tmp_path_factory.mktemp("p31")
    (root / "scanner").mkdir()
    write(NiftiMrs(transients(), AFFINE, {"Manufacturer": "Siemens"}), root / "scanner" / "a_31P.nii.gz")
    study = ["--study", str(root / "study.toml")]
    (root / "study.toml").write_text(RULE + STUDY)
    assert main(["convert", str(root / "scanner"), str(root / "bids"), *study]) == 1  # the rule says 1H
    assert 'set nucleus = "31P"' in (root / "bids" / "code" / "conversion.tsv").read_text()
    (root / "study.toml").write_text(RULE + 'nucleus = "31P"\n' + STUDY)
    assert main(["convert", str(root / "scanner"), str(root / "bids"), *study]) == 0
    assert main(["run", str(root / "bids"), str(root / "out"), "participant", *study]) == 0
    return root / "out"


def found(out, ending):
    return next((out / "sub-1").rglob(f"sub-1_nuc-31P_voi-occ_desc-{ending}"))


def test_amplitudes_come_back_with_their_ratios(out):
    fit = read_fit(found(out, "fit_mrs.json"), found(out, "fit_svs.nii.gz"))
    assert fit.status == "ok"
    for name, value in TRUTH.items():
        position = fit.names.index(name)
        assert fit.amplitudes[position] == pytest.approx(value, abs=4 * fit.crlb[position] + 0.01), name
    assert fit.metrics["ratio_gATP_PCr"] == pytest.approx(3.0 / 4.5, abs=0.04)
    assert fit.metrics["ph"] == pytest.approx(7.02, abs=0.05)


def test_nothing_is_referred_to_water_or_creatine_and_that_is_said(out):
    with found(out, "concentrations_mrs.tsv").open(newline="") as stream:
        rows = {row["metabolite"]: row for row in csv.DictReader(stream, delimiter="\t")}
    assert set(rows) == set(TRUTH)
    for row in rows.values():
        assert {row[name] for name in ("ratio_tCr", "iu", "molal", "molar")} == {"n/a"}
        assert "31P" in row["reason"]
    status = json.loads(found(out, "status_mrs.json").read_text())
    assert any("amplitudes only" in text for text in status["warnings"])


def test_steps_of_protons_are_left_out_with_a_reason_and_the_axis_is_that_of_31p(out):
    spectrum = read(found(out, "preproc_svs.nii.gz")).spectrum
    assert (spectrum.nucleus, spectrum.reference_ppm, spectrum.dims) == ("31P", 0.0, ())
    header = read(found(out, "preproc_svs.nii.gz")).header
    methods = [step["Method"] for step in header["ProcessingApplied"]]
    assert "Frequency and phase correction" in methods  # of the transients
    assert not {"Nuisance peak removal", "Phasing", "Eddy current correction"} & set(methods)
    page = next((out).glob("sub-1*report.html")).read_text()
    assert "31P has no water line" in page
    assert "tCho" not in page.split("<svg")[1].split("</svg>")[0]
    qc = json.loads(found(out, "qc_mrs.json").read_text())
    assert qc["snr_tcr"] is None
    assert qc["residual_water"] is None
    assert qc["verdict"]["status"] in {"pass", "warn"}


def test_transients_are_aligned_over_the_whole_band(out):
    qc = json.loads(found(out, "qc_mrs.json").read_text())
    assert all(qc["kept"])
    assert qc["drift_hz_sd"] == pytest.approx(2.0, abs=1.2)
