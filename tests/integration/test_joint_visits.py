"""The joint fit of visits as part of the participant level: what it writes, and what its failure costs."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from mrs_pipeline.cli import main
from mrs_pipeline.nifti_mrs import NiftiMrs, write
from mrs_pipeline.synthetic import simulate_spectrum

AFFINE = np.array([[20.0, 0, 0, 0], [0, 20, 0, 30], [0, 0, 20, 40], [0, 0, 0, 1]])
STUDY = """
[study]
visits = ["baseline", "week12", "week24"]
[basis]
sequence = "press"
te1 = 0.011
te2 = 0.019
pulses = "ideal"
[tissue]
source = "none"
[fit]
joint_visits = true
"""


def add(bids, person, session, spectrum, suffix="svs"):
    path = bids / f"sub-{person}" / f"ses-{session}" / "mrs" / f"sub-{person}_ses-{session}_voi-acc_{suffix}.nii.gz"
    path.parent.mkdir(parents=True, exist_ok=True)
    write(NiftiMrs(spectrum, AFFINE, {"Manufacturer": "Philips"}), path)
    facts = {
        "ResonantNucleus": ["1H"],
        "SpectrometerFrequency": [spectrum.carrier_mhz],
        "SpectralWidth": spectrum.bandwidth,
        "EchoTime": spectrum.echo_time,
        "RepetitionTime": spectrum.repetition_time,
        "PulseSequenceType": "PRESS",
        "Manufacturer": "Philips",
    }
    path.with_name(path.name.replace(".nii.gz", ".json")).write_text(json.dumps(facts))
    return path


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """Two good visits and a damaged one; a good and a damaged one; one visit."""
    folder = tmp_path_factory.mktemp("joint")
    bids = folder / "bids"
    bids.mkdir()
    (bids / "dataset_description.json").write_text('{"Name": "t", "BIDSVersion": "1.10.0"}')
    (folder / "study.toml").write_text(STUDY)
    metabolite, water, _ = simulate_spectrum(seed=5)
    rng = np.random.default_rng(1)
    noise = np.abs(metabolite.fid[-200:]).std() * (rng.normal(size=(2, metabolite.n_points)))
    again = metabolite.with_fid(metabolite.fid + noise[0] + 1j * noise[1])
    for person in ("two", "half"):
        add(bids, person, "baseline", metabolite)
        add(bids, person, "baseline", water, "mrsref")
        add(bids, person, "week24", metabolite).write_bytes(b"")
    add(bids, "two", "week12", again)
    add(bids, "two", "week12", water, "mrsref")
    add(bids, "one", "baseline", metabolite)
    command = ["run", str(bids), str(folder / "out"), "participant", "--study", str(folder / "study.toml")]
    return folder / "out", main(command), command


def record(out, person):
    return json.loads((out / f"sub-{person}" / "mrs" / f"sub-{person}_voi-acc_desc-joint_mrs.json").read_text())


def changes(out):
    path = out / "sub-two" / "mrs" / "sub-two_voi-acc_desc-change_mrs.tsv"
    with path.open(newline="") as stream:
        return {(row["metabolite"], row["unit"]): row for row in csv.DictReader(stream, delimiter="\t")}


def test_two_good_visits_are_fitted_jointly_and_the_damaged_one_is_named(ran):
    found = record(ran[0], "two")
    assert found["visits"] == ["baseline", "week12"]
    assert list(found["left_out"]) == ["week24"]
    assert "randomisation" in found["words"]
    assert [source["Role"] for source in found["provenance"]["Sources"]] == ["baseline", "week12"]
    count = len(found["visits"]) * len(found["names"])
    assert np.array(found["covariance"]).shape == (count, count)


def test_the_table_has_changes_in_every_unit_that_both_visits_have(ran):
    rows = changes(ran[0])
    assert {unit for _, unit in rows} == {"amplitude", "ratio", "iu"}
    for name in ("Glu", "tNAA", "Glx"):
        row = {key: float(rows[name, "ratio"][key]) for key in ("change", "change_sd", "change_lo", "change_hi")}
        assert row["change_lo"] < row["change"] < row["change_hi"]
        assert abs(row["change"]) < 3.0 * row["change_sd"]
        assert float(rows[name, "ratio"]["correlation"]) > 0.0
    iu, amplitude = rows["tNAA", "iu"], rows["tNAA", "amplitude"]
    assert float(iu["change"]) == pytest.approx(float(iu["second"]) - float(iu["first"]), rel=1e-6)
    scales = [float(iu[visit]) / float(amplitude[visit]) for visit in ("first", "second")]
    assert scales[1] == pytest.approx(scales[0], rel=0.05)  # each visit's own water, one scanner


def test_the_fits_apart_stay_as_they_are(ran):
    rows = changes(ran[0])
    values = []
    for session in ("baseline", "week12"):
        path = (
            ran[0] / "sub-two" / f"ses-{session}" / "mrs" / f"sub-two_ses-{session}_voi-acc_desc-concentrations_mrs.tsv"
        )
        with path.open(newline="") as stream:
            table = {row["metabolite"]: row for row in csv.DictReader(stream, delimiter="\t")}
        values.append(float(table["Glu"]["ratio_tCr"]))
    assert float(rows["Glu", "ratio"]["apart_change"]) == pytest.approx(values[1] - values[0], abs=2e-5)


def test_the_page_shows_both_changes_and_what_they_are(ran):
    page = (ran[0] / "sub-two" / "mrs" / "sub-two_voi-acc_desc-joint_mrs.html").read_text()
    for words in ("week12 minus baseline", "change, apart", "after randomisation", "week24 is not in the joint fit"):
        assert words in page


def test_a_joint_fit_that_cannot_be_costs_only_itself(ran):
    out, code, _ = ran
    assert code == 1  # the damaged scans, not the joint fit
    found = record(out, "half")
    assert found["status"] == "failed"
    assert "two visits" in found["words"]
    folder = out / "sub-half" / "mrs"
    assert sorted(path.name for path in folder.iterdir()) == ["sub-half_voi-acc_desc-joint_mrs.json"]
    status = json.loads(next(out.glob("sub-half/ses-baseline/mrs/*_desc-status_mrs.json")).read_text())
    assert status["status"] != "failed"
    assert not (out / "sub-one" / "mrs").exists()


@pytest.mark.slow
def test_a_second_run_gives_the_same_bytes_and_without_the_setting_the_files_go(ran):
    out, _, command = ran
    folder = out / "sub-two" / "mrs"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    main(command)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    study = out.parent / "study.toml"
    study.write_text(STUDY.replace("joint_visits = true", "joint_visits = false"))
    main(command)
    assert list(folder.iterdir()) == []
