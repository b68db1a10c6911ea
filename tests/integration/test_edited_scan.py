"""The participant level on a GABA-edited scan: unedited condition, difference and sum, each with its fit and table."""

import csv
import json

import numpy as np
import pytest

from mrs_pipeline.basis import Editing, simulate_basis
from mrs_pipeline.cli import main
from mrs_pipeline.fit import read_fit
from mrs_pipeline.nifti_mrs import NiftiMrs, write
from mrs_pipeline.spectrum import Spectrum

AFFINE = np.array([[30.0, 0, 0, 0], [0, 30, 0, 30], [0, 0, 30, 40], [0, 0, 0, 1]])
MHZ, BANDWIDTH, POINTS, TE = 123.25, 2000.0, 2048, 0.068
GAUSS = np.pi**2 / (4 * np.log(2))
TRUTH = {
    "GABA": 1.6, "Gln": 2.5, "Glu": 9.0, "GSH": 1.4, "NAA": 10.5, "NAAG": 1.5, "Cr": 5.0, "PCr": 4.0, "GPC": 1.1,
    "PCh": 0.6, "Ins": 6.0,
}  # fmt: skip
PULSES = {"ON": {"PulseOffset": 1.88, "PulseDuration": 0.016}, "OFF": {"PulseOffset": 7.46, "PulseDuration": 0.016}}
STUDY = '[basis]\npulses = "ideal"\nte1 = 0.0128\n[tissue]\nsource = "table"\ntable = "tissue.tsv"\n'
TISSUE = "participant_id\tsession\tvoi\tGM\tWM\tCSF\nsub-1\tn/a\tacc\t0.6\t0.3\t0.1\n"
NAME = "sub-1_acq-mega_voi-acc"


def acquired(count=6, noise=1.2, seed=3):
    """Water, and transients of both conditions: simulated signals, macromolecules, noise; on first."""
    rng = np.random.default_rng(seed)
    t = np.arange(POINTS) / BANDWIDTH
    decay = np.exp(-GAUSS * (5.0 * t) ** 2 - np.pi * 2.5 * t)
    fids = {}
    for edit in ("on", "off"):
        basis = simulate_basis(
            "mega-press", te1=0.0128, te2=TE - 0.0128, field_mhz=MHZ, bandwidth=BANDWIDTH, n_points=POINTS,
            names=list(TRUTH), edit=edit, editing=Editing(1.88, 7.46, 0.016), linewidth_hz=1.0,
        )  # fmt: skip
        fids[edit] = sum(value * basis.fid(name) for name, value in TRUTH.items()) * decay
    for ppm, size in ((3.0, 1.5), (0.93, 2.2)):
        line = size * 1.95 * np.exp(2j * np.pi * (ppm - 4.65) * MHZ * t - GAUSS * (14.0 * t) ** 2 - np.pi * 2.5 * t)
        fids["on"] = fids["on"] + line
    pair = np.stack([fids["on"], fids["off"]])
    shape = (count, 2, POINTS)
    data = pair + noise * (rng.normal(size=shape) + 1j * rng.normal(size=shape))
    timing = {"echo_time": TE, "repetition_time": 2.0, "flip_angle": 90.0}
    water = Spectrum(2 * 35000.0 * decay, 1 / BANDWIDTH, MHZ, **timing)
    return Spectrum(data, 1 / BANDWIDTH, MHZ, dims=("DIM_DYN", "DIM_EDIT"), **timing), water


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    root = tmp_path_factory.mktemp("mega")
    scan, water = acquired()
    folder = root / "bids" / "sub-1" / "mrs"
    folder.mkdir(parents=True)
    (root / "bids" / "dataset_description.json").write_text('{"Name": "t", "BIDSVersion": "1.10.0"}')
    header = {"EditPulse": PULSES, "dim_6": "DIM_EDIT", "dim_6_header": {"EditCondition": ["ON", "OFF"]}}
    facts = {"ResonantNucleus": ["1H"], "SpectrometerFrequency": [MHZ], "SpectralWidth": BANDWIDTH, "EchoTime": TE}
    for suffix, data, more in (("svs", scan, header), ("mrsref", water, {})):
        write(NiftiMrs(data, AFFINE, more), folder / f"{NAME}_{suffix}.nii.gz")
        sidecar = facts | {"RepetitionTime": 2.0, "PulseSequenceType": "MEGA-PRESS", "EditTarget": "GABA"}
        (folder / f"{NAME}_{suffix}.json").write_text(json.dumps(sidecar))
    (root / "study.toml").write_text(STUDY)
    (root / "tissue.tsv").write_text(TISSUE)
    command = ["run", str(root / "bids"), str(root / "out"), "participant", "--study", str(root / "study.toml")]
    assert main(command) == 0
    return root / "out"


def table(out, desc):
    with (out / "sub-1" / "mrs" / f"{NAME}_desc-{desc}_mrs.tsv").open(newline="") as stream:
        return {row["metabolite"]: row for row in csv.DictReader(stream, delimiter="\t")}


def test_gaba_plus_and_glx_come_back_relative_to_the_creatine_of_the_unedited_condition(out):
    rows = table(out, "differenceconcentrations")
    found = {name: float(rows[name]["ratio_tCr"]) for name in ("GABA+", "GABA", "Glx")}
    assert found["GABA+"] == pytest.approx((1.6 + 1.5) / 9.0, rel=0.1)
    assert found["Glx"] == pytest.approx(11.5 / 9.0, rel=0.1)
    low, high = (float(rows["GABA+"][f"ratio_tCr_{end}"]) for end in ("lo", "hi"))
    assert low < (1.6 + 1.5) / 9.0 < high
    assert float(rows["GABA+"]["iu"]) > 0


def test_the_scans_table_has_both(out):
    rows = table(out, "concentrations")
    assert float(rows["tNAA"]["ratio_tCr"]) == pytest.approx(12.0 / 9.0, rel=0.1)
    difference = table(out, "differenceconcentrations")
    assert rows["GABA+"]["ratio_tCr"] == difference["GABA+"]["ratio_tCr"]
    assert rows["Glx_edited"]["ratio_tCr"] == difference["Glx"]["ratio_tCr"]
    assert len(rows) == len(set(rows))


def test_derivatives_of_the_difference_and_a_section_of_the_report(out):
    folder = out / "sub-1" / "mrs"
    fit = read_fit(folder / f"{NAME}_desc-differencefit_mrs.json", folder / f"{NAME}_desc-differencefit_svs.nii.gz")
    assert fit.status == "ok"
    assert {"GABA", "MM3co", "GABA+"} <= set(fit.names)
    page = next(out.glob("*report.html")).read_text()
    assert "Difference of the edited spectra" in page
    assert 'id="difference-table"' in page
    assert "pulses (Gauss, 16 ms) at 1.88 and 7.46 ppm" in page
    status = json.loads((folder / f"{NAME}_desc-status_mrs.json").read_text())
    assert not any("assumed" in text for text in status["warnings"] if text.startswith("difference"))


SUMS = {"tNAA": 12.0, "tCr": 9.0, "tCho": 1.7, "mI": 6.0, "Glu": 9.0, "Glx": 11.5}
TOLERANCE = {"tNAA": 0.05, "tCr": 0.05, "tCho": 0.05, "mI": 0.05, "Glu": 0.1, "Glx": 0.1}


def test_the_sum_comes_back_in_molecules_of_one_condition_and_relative_to_its_own_creatine(out):
    rows = table(out, "sumconcentrations")
    # two lines in one condition are no macromolecules that are known, and it is said
    assert {name: row["status"] for name, row in rows.items() if name in SUMS} == dict.fromkeys(SUMS, "doubtful")
    assert all("macromolecules_unlike" in row["flags"] for name, row in rows.items() if name in SUMS)
    found = {name: float(rows[name]["amplitude"]) for name in SUMS}
    assert found == {name: pytest.approx(value, rel=TOLERANCE[name]) for name, value in SUMS.items()}
    ratios = {name: float(rows[name]["ratio_tCr"]) for name in SUMS}
    assert ratios == {name: pytest.approx(value / 9.0, rel=TOLERANCE[name] + 0.02) for name, value in SUMS.items()}
    assert float(rows["tCr"]["ratio_tCr"]) == 1.0


def test_absolute_values_of_the_sum_are_those_of_the_unedited_condition(out):
    """The sum holds the signal of two scans and its basis too, so the water amplitude of one scan belongs to both."""
    off, total = table(out, "concentrations"), table(out, "sumconcentrations")
    for unit in ("iu", "molal", "molar"):
        for name in SUMS:
            assert float(total[name][unit]) == pytest.approx(float(off[name][unit]), rel=2 * TOLERANCE[name])
    assert float(total["tCr"]["molal"]) / float(total["tCr"]["iu"]) == pytest.approx(
        float(off["tCr"]["molal"]) / float(off["tCr"]["iu"]), rel=1e-4
    )


def test_derivatives_of_the_sum_and_a_section_of_the_report(out):
    folder = out / "sub-1" / "mrs"
    fit = read_fit(folder / f"{NAME}_desc-sumfit_mrs.json", folder / f"{NAME}_desc-sumfit_svs.nii.gz")
    assert fit.flags == ("macromolecules_unlike",)
    dictionary = json.loads((folder / f"{NAME}_desc-sumconcentrations_mrs.json").read_text())
    assert dictionary.keys() == json.loads((folder / f"{NAME}_desc-concentrations_mrs.json").read_text()).keys()
    assert "per molecule of one condition" in dictionary["amplitude"]["Description"]
    other = json.loads((folder / f"{NAME}_desc-differenceconcentrations_mrs.json").read_text())
    assert "condition without editing" in other["ratio_tCr"]["Description"]
    sidecar = json.loads((folder / f"{NAME}_desc-sumfit_svs.json").read_text())
    assert sidecar["Description"] == "Model, baseline and residual of the fit of the sum spectrum"
    page = next(out.glob("*report.html")).read_text()
    assert "<summary>Sum of the edited spectra</summary>" in page
    assert 'id="sum-table"' in page
    assert "MEGA-PRESS, sum" in page


def test_the_scans_table_does_not_hold_the_same_metabolite_twice(out):
    rows = (out / "sub-1" / "mrs" / f"{NAME}_desc-concentrations_mrs.tsv").read_text().splitlines()
    names = [row.split("\t")[6] for row in rows]
    assert len(names) == len(set(names))


def test_conditions_are_aligned_on_choline_whatever_editing_does_to_its_neighbours():
    from mrs_pipeline.preprocess import align

    scan, _ = acquired(count=1, noise=0.0)
    on, off = (scan.with_fid(fid, ()) for fid in scan.fid[0])
    for hz, degrees in ((0.0, 0.0), (2.0, -20.0)):
        found = align.between(off, on.shifted(hz).phased(degrees), ((3.13, 3.32), (3.84, 4.0)), 30.0)
        assert found == pytest.approx((hz, degrees), abs=0.15)


def test_off_condition_is_told_by_naa(out):
    page = next(out.glob("*report.html")).read_text()
    assert "condition 2 has the larger NAA" in page


def test_what_was_assumed_for_difference_and_sum_is_said_once(tmp_path):
    from mrs_pipeline.interfaces.report import Report

    said = {"difference": ["te1 assumed", "GABA assumed"], "sum": ["te1 assumed"]}
    report = Report()
    for kind, warnings in said.items():
        path = tmp_path / f"{kind}.json"
        problem = "the sum spectrum was not fitted: so; to fix it: thus" if kind == "sum" else ""
        path.write_text(json.dumps({"kind": kind, "problem": problem, "warnings": warnings, "basis": None}))
        setattr(report.inputs, f"{kind}_record", str(path))
    assert report._edited_warnings() == [
        "difference and sum: te1 assumed",
        "difference: GABA assumed",
        "the sum spectrum was not fitted: so; to fix it: thus",
    ]
