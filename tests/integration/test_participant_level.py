"""The participant level on small BIDS datasets: what comes out, and what every kind of bad input ends in."""

import csv
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mrs_pipeline.basis import save_basis, simulate_basis
from mrs_pipeline.cli import main
from mrs_pipeline.nifti_mrs import NiftiMrs, read, write
from mrs_pipeline.synthetic import simulate_spectrum

AFFINE = np.array([[20.0, 0, 0, 0], [0, 20, 0, 30], [0, 0, 20, 40], [0, 0, 0, 1]])


@pytest.fixture(scope="module")
def good():
    metabolite, water, truth = simulate_spectrum(seed=5)
    return metabolite, water, truth


def sidecar(spectrum, **fields):
    facts = {
        "ResonantNucleus": ["1H"],
        "SpectrometerFrequency": [spectrum.carrier_mhz],
        "SpectralWidth": spectrum.bandwidth,
        "EchoTime": spectrum.echo_time,
        "RepetitionTime": spectrum.repetition_time,
        "PulseSequenceType": "PRESS",
        "Manufacturer": "Philips",
    } | fields
    return {key: value for key, value in facts.items() if value is not None}


def add(bids, name, spectrum, **fields):
    path = bids / f"sub-{name.split('_')[0]}" / "ses-baseline" / "mrs" / f"sub-{name}.nii.gz"
    path.parent.mkdir(parents=True, exist_ok=True)
    write(NiftiMrs(spectrum, AFFINE, {"Manufacturer": "Philips"}), path)
    path.with_name(path.name.replace(".nii.gz", ".json")).write_text(json.dumps(sidecar(spectrum, **fields)))
    return path


def dataset(tmp_path, study=""):
    bids = tmp_path / "bids"
    bids.mkdir()
    (bids / "dataset_description.json").write_text('{"Name": "t", "BIDSVersion": "1.10.0"}')
    (tmp_path / "study.toml").write_text(
        '[basis]\nsequence = "press"\nte1 = 0.011\nte2 = 0.019\npulses = "ideal"\n' + study
    )
    return bids


def run(tmp_path, *more):
    command = [
        "run",
        str(tmp_path / "bids"),
        str(tmp_path / "out"),
        "participant",
        "--study",
        str(tmp_path / "study.toml"),
    ]
    return main([*command, *more])


def status(tmp_path, person):
    path = next((tmp_path / "out" / f"sub-{person}").rglob("*_desc-status_mrs.json"))
    return json.loads(path.read_text())


def rows(tmp_path, person):
    path = next((tmp_path / "out" / f"sub-{person}").rglob("*_desc-concentrations_mrs.tsv"))
    with path.open(newline="") as stream:
        return {row["metabolite"]: row for row in csv.DictReader(stream, delimiter="\t")}


NAME = "ses-baseline_voi-acc"
TABLE = "participant_id\tsession\tvoi\tGM\tWM\tCSF\n"


@pytest.fixture(scope="module")
def mixed(tmp_path_factory, good):
    """One good participant and many bad ones, in one run."""
    tmp_path = tmp_path_factory.mktemp("mixed")
    metabolite, water, truth = good
    tissue = truth.tissue
    bids = dataset(tmp_path, '[tissue]\nsource = "table"\n')
    (tmp_path / "tissue.tsv").write_text(TABLE + f"sub-good\tbaseline\tacc\t{tissue.gm}\t{tissue.wm}\t{tissue.csf}\n")
    add(bids, f"good_{NAME}_svs", metabolite)
    add(bids, f"good_{NAME}_mrsref", water)
    add(bids, f"nowater_{NAME}_svs", metabolite)
    add(bids, f"note_{NAME}_svs", replace(metabolite, echo_time=None))
    add(bids, f"notr_{NAME}_svs", replace(metabolite, repetition_time=None))
    add(bids, f"notr_{NAME}_mrsref", replace(water, repetition_time=None))
    add(bids, f"millis_{NAME}_svs", replace(metabolite, echo_time=None), EchoTime=30)
    add(bids, f"shortwater_{NAME}_svs", metabolite)
    add(bids, f"shortwater_{NAME}_mrsref", water.with_fid(water.fid[:1024]))
    add(bids, f"mirrored_{NAME}_svs", metabolite.with_fid(metabolite.fid.conj()))
    add(bids, f"empty_{NAME}_svs", metabolite).write_bytes(b"")
    cut = add(bids, f"cut_{NAME}_svs", metabolite)
    cut.write_bytes(cut.read_bytes()[:4000])
    code = run(tmp_path, "--nprocs", "2")
    return tmp_path, code


def test_the_exit_code_says_that_some_failed(mixed):
    assert mixed[1] == 1


def test_a_good_scan_among_bad_ones_comes_out_right(mixed, good):
    found = rows(mixed[0], "good")
    truth = good[2]
    sums = {"tNAA": ("NAA", "NAAG"), "tCr": ("Cr", "PCr"), "tCho": ("GPC", "PCh"), "Glx": ("Glu", "Gln")}
    for name, tolerance in (("tNAA", 0.12), ("tCr", 0.12), ("tCho", 0.12), ("Glx", 0.25)):
        planted = sum(truth.molal[part] for part in sums[name])
        assert float(found[name]["molal"]) == pytest.approx(planted, rel=tolerance)
    assert found["tNAA"]["reason"] == "n/a"


def test_missing_water_leaves_ratios_and_says_so(mixed):
    row = rows(mixed[0], "nowater")["tNAA"]
    assert 1.0 < float(row["ratio_tCr"]) < 2.0
    assert row["molal"] == row["molar"] == row["iu"] == "n/a"
    assert "no water reference" in row["reason"]


@pytest.mark.parametrize(
    ("person", "words"),
    [
        ("note", "states no echo time"),
        ("millis", "seconds"),
        ("mirrored", "--conjugate"),
        ("empty", "sub-empty_ses-baseline_voi-acc_svs.nii.gz"),
        ("cut", "sub-cut_ses-baseline_voi-acc_svs.nii.gz"),
    ],
)
def test_a_bad_scan_fails_in_words(mixed, person, words):
    found = status(mixed[0], person)
    assert found["status"] == "failed"
    assert words in found["words"]
    assert "To fix it: " in found["words"]
    assert not found["problem"].startswith("unexpected")
    page = (mixed[0] / "out" / f"sub-{person}_{NAME}_report.html").read_text()
    assert found["remedy"][:30] in page
    assert not list((mixed[0] / "out" / f"sub-{person}").rglob("*_desc-concentrations_mrs.tsv"))


def test_missing_repetition_time_costs_the_absolute_units_only(mixed):
    row = rows(mixed[0], "notr")["tCr"]
    assert row["ratio_tCr"] == "1"
    assert row["molal"] == "n/a"
    assert "TR" in row["reason"]


@pytest.mark.parametrize(
    ("person", "said"),
    [
        ("good", r"tNAA \(molal\): [-+.0-9]+ % under [a-z-]+ to .*; molar [-+.0-9]+ % without tissue correction"),
        ("shortwater", r"tNAA \(iu\): .* % with 5 % CSF to \+.* % with 30 % CSF in the voxel.*the tissue is not known"),
        ("notr", r"only iu is compared, .*: .*TR of the metabolite scan|the tissue is not known"),
    ],
)
def test_every_report_says_what_other_conventions_would_give(mixed, person, said):
    page = (mixed[0] / "out" / f"sub-{person}_{NAME}_report.html").read_text()
    assert re.search(f"Under other conventions</dt>.*?{said}", page, re.DOTALL)


def test_the_csf_only_correction_is_in_the_table(mixed):
    row = rows(mixed[0], "good")["tNAA"]
    assert float(row["csf_only"]) == pytest.approx(float(row["iu"]) / (1 - float(row["f_csf"])), rel=1e-5)
    assert float(row["csf_only_sd"]) > float(row["iu_sd"])
    assert (row["alpha_corrected"], rows(mixed[0], "good")["Glu"]["alpha_normalised"]) == ("n/a", "n/a")
    assert float(rows(mixed[0], "good")["Glu"]["alpha_corrected"]) > float(rows(mixed[0], "good")["Glu"]["molar"])


def test_a_water_scan_of_another_length_serves(mixed, good):
    with_all, with_half = rows(mixed[0], "good")["tCr"], rows(mixed[0], "shortwater")["tCr"]
    assert float(with_half["iu"]) == pytest.approx(float(with_all["iu"]), rel=0.02)
    assert "tissue" in with_half["reason"]


def test_derivatives_are_the_contract(mixed):
    out = mixed[0] / "out"
    found = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file() and "sub-good" in path.name}
    stem = f"sub-good/ses-baseline/mrs/sub-good_{NAME}_desc-"
    expected = {
        *(f"{stem}{kind}_mrs.json" for kind in ("fit", "concentrations", "qc", "status", "timing")),
        f"{stem}concentrations_mrs.tsv",
        *(
            f"{stem}{kind}{end}"
            for kind in ("preproc_svs", "preproc_mrsref", "fit_svs")
            for end in (".nii.gz", ".json")
        ),
        f"sub-good_{NAME}_report.html",
    }
    assert found == expected
    assert {"study.toml", "dataset_description.json", ".bidsignore"} <= {path.name for path in out.iterdir()}


def test_provenance_names_sources_and_no_place(mixed):
    out = mixed[0] / "out"
    for path in out.rglob("sub-good*"):
        if path.suffix in {".json", ".tsv", ".html"} and "timing" not in path.name:
            assert str(mixed[0]) not in path.read_text(), path.name
    block = status(mixed[0], "good")["provenance"]
    assert [item["Role"] for item in block["Sources"]] == ["svs", "conc", "ecc"]
    assert block["Sources"][0]["URI"] == f"bids:raw:sub-good/ses-baseline/mrs/sub-good_{NAME}_svs.nii.gz"
    assert set(block["SettingsSHA256"]) >= {"fit", "quantify", "qc", "preprocess", "basis"}
    assert "lmfit" in block["Versions"]


def test_qc_json_holds_metrics_drift_and_verdict(mixed):
    path = next((mixed[0] / "out" / "sub-good").rglob("*_desc-qc_mrs.json"))
    qc = json.loads(path.read_text())
    assert qc["snr_tcr"] > 5
    assert qc["drift_hz"] == qc["drift_deg"] == qc["kept"] == []
    assert qc["verdict"]["status"] in {"pass", "warn", "fail"}
    assert qc["fit_status"] in {"ok", "doubtful"}


def test_the_same_input_gives_the_same_bytes(tmp_path, mixed, good):
    metabolite, water, truth = good
    bids = dataset(tmp_path, '[tissue]\nsource = "table"\n')
    tissue = truth.tissue
    (tmp_path / "tissue.tsv").write_text(TABLE + f"sub-good\tbaseline\tacc\t{tissue.gm}\t{tissue.wm}\t{tissue.csf}\n")
    add(bids, f"good_{NAME}_svs", metabolite)
    add(bids, f"good_{NAME}_mrsref", water)
    assert run(tmp_path) == 0
    for path in (tmp_path / "out" / "sub-good").rglob("*"):
        if path.is_file() and "timing" not in path.name:
            twin = mixed[0] / "out" / path.relative_to(tmp_path / "out")
            assert path.read_bytes() == twin.read_bytes(), path.name
    assert (tmp_path / "out" / f"sub-good_{NAME}_report.html").read_bytes() == (
        mixed[0] / "out" / f"sub-good_{NAME}_report.html"
    ).read_bytes()


def test_a_scan_that_fails_later_leaves_no_stale_numbers(tmp_path, good):
    bids = dataset(tmp_path)
    path = add(bids, f"one_{NAME}_svs", good[0])
    assert run(tmp_path) == 0
    assert rows(tmp_path, "one")
    path.write_bytes(b"")
    assert run(tmp_path) == 1
    assert status(tmp_path, "one")["status"] == "failed"
    assert not list((tmp_path / "out" / "sub-one").rglob("*_desc-concentrations_mrs.*"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--participant-label", "nobody"], "nobody"),
        (["--session-label", "never"], "never"),
    ],
)
def test_labels_that_match_nothing_are_usage_errors(tmp_path, good, capsys, arguments, words):
    add(dataset(tmp_path), f"one_{NAME}_svs", good[0])
    assert run(tmp_path, *arguments) == 2
    assert words in capsys.readouterr().err


def test_an_unknown_key_stops_before_any_work(tmp_path, good, capsys):
    add(dataset(tmp_path, "[fit]\nbasline = 3\n"), f"one_{NAME}_svs", good[0])
    assert run(tmp_path) == 2
    assert "did you mean 'baseline'?" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_dry_run_writes_nothing(tmp_path, good, capsys):
    add(dataset(tmp_path), f"one_{NAME}_svs", good[0])
    assert run(tmp_path, "--dry-run") == 0
    assert "sub-one_ses-baseline_voi-acc" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def damaged(tmp_path_factory, good):
    """References and images that are damaged, beside good metabolite scans."""
    tmp_path = tmp_path_factory.mktemp("damaged")
    bids = dataset(tmp_path)
    for person in ("badjson", "badt1w"):
        add(bids, f"{person}_{NAME}_svs", good[0])
        water = add(bids, f"{person}_{NAME}_mrsref", good[1])
        if person == "badjson":
            water.with_name(water.name.replace(".nii.gz", ".json")).write_text("{not json")
    anat = bids / "sub-badt1w" / "ses-baseline" / "anat"
    anat.mkdir()
    (anat / "sub-badt1w_ses-baseline_T1w.nii.gz").write_bytes(b"")
    return tmp_path, run(tmp_path, "--nprocs", "2")


def test_a_damaged_water_sidecar_costs_the_absolute_units_only(damaged):
    assert damaged[1] == 0
    row = rows(damaged[0], "badjson")["tNAA"]
    assert float(row["ratio_tCr"]) > 1
    assert row["iu"] == "n/a"
    assert any("not valid JSON" in text for text in status(damaged[0], "badjson")["warnings"])


def test_an_empty_t1w_costs_the_tissue_correction_only(damaged):
    row = rows(damaged[0], "badt1w")["tNAA"]
    assert float(row["iu"]) > 1
    assert row["molal"] == "n/a"
    assert any("T1w.nii.gz" in text for text in status(damaged[0], "badt1w")["warnings"])


def test_an_edited_scan_gives_the_unedited_fit_and_difference_and_sum(tmp_path, good):
    bids = dataset(tmp_path)
    metabolite = good[0]
    t = metabolite.time
    edited = metabolite.fid + 3e-4 * np.exp(2j * np.pi * (3.01 - 4.65) * metabolite.carrier_mhz * t - 20 * t)
    pair = metabolite.with_fid(np.stack([edited, metabolite.fid]), ("DIM_EDIT",))
    add(bids, f"edit_{NAME}_svs", pair)
    assert run(tmp_path) == 0
    folder = tmp_path / "out" / "sub-edit" / "ses-baseline" / "mrs"
    spectra = {
        kind: read(folder / f"sub-edit_{NAME}_desc-{kind}_svs.nii.gz").spectrum
        for kind in ("preproc", "difference", "sum")
    }
    ppm, difference = spectra["difference"].ppm, np.abs(spectra["difference"].spectrum())
    assert ppm[difference.argmax()] == pytest.approx(3.01, abs=0.02)
    naa = np.abs(ppm - 2.008) < 0.05
    heights = {kind: np.abs(spectrum.spectrum())[naa].max() for kind, spectrum in spectra.items()}
    assert heights["sum"] == pytest.approx(2 * heights["preproc"], rel=0.02)
    assert heights["difference"] < 0.05 * heights["preproc"]
    # an echo time of 30 ms has no room for editing pulses: that costs difference and sum, not the scan
    for kind in ("difference", "sum"):
        assert any(f"{kind} spectrum was not fitted" in text for text in status(tmp_path, "edit")["warnings"])
        assert not list(folder.glob(f"*desc-{kind}fit_*"))
        assert not list(folder.glob(f"*desc-{kind}concentrations_*"))
    assert status(tmp_path, "edit")["status"] != "failed"


def test_what_no_longer_comes_out_leaves_no_old_file(tmp_path, good):
    bids = dataset(tmp_path)
    add(bids, f"one_{NAME}_svs", good[0])
    water = add(bids, f"one_{NAME}_mrsref", good[1])
    assert run(tmp_path) == 0
    kept = tmp_path / "out" / "sub-one" / "ses-baseline" / "mrs" / f"sub-one_{NAME}_desc-preproc_mrsref.nii.gz"
    assert kept.is_file()
    water.unlink()
    assert run(tmp_path) == 0
    assert not kept.exists()
    assert not kept.with_name(kept.name.replace(".nii.gz", ".json")).exists()


def test_an_unknown_metabolite_to_exclude_is_named(tmp_path, good):
    bids = dataset(tmp_path)
    (tmp_path / "study.toml").write_text('[basis]\nsequence = "press"\npulses = "ideal"\nexclude = ["Foo"]\n')
    add(bids, f"one_{NAME}_svs", good[0])
    assert run(tmp_path) == 1
    assert "Foo" in status(tmp_path, "one")["words"]


def test_pybids_indexes_the_derivatives(mixed):
    bids = pytest.importorskip("bids")
    layout = bids.BIDSLayout(mixed[0] / "out", validate=False, is_derivative=True)
    assert "good" in layout.get_subjects()


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("source", "words"),
    [("basis/3T_PRESS_Philips_35ms_noMM.BASIS", "35.0 ms"), ("basis/press_30ms_3T.basis", "123.20 MHz")],
)
def test_a_basis_of_another_scan_is_refused(tmp_path, good, shared_data, source, words):
    bids = dataset(tmp_path)
    (tmp_path / "study.toml").write_text(f'[basis]\nsource = "{Path(shared_data / source).as_posix()}"\n')
    add(bids, f"one_{NAME}_svs", good[0])
    assert run(tmp_path) == 1
    assert words in status(tmp_path, "one")["words"]


@pytest.mark.shared_data
def test_a_basis_set_in_a_folder_is_used_and_read_again_when_it_changes(tmp_path, good):
    metabolite = good[0]
    bids = dataset(tmp_path)
    add(bids, "01_ses-baseline_svs", metabolite)
    basis = simulate_basis(
        "press", te1=0.011, te2=0.019, field_mhz=metabolite.carrier_mhz, dwell=metabolite.dwell, n_points=2048,
        names=("NAA", "Cr", "PCr", "GPC", "PCh", "Ins", "Glu", "Gln"),
    )  # fmt: skip
    folder = tmp_path / "set.fsl"
    for names in (basis.names, basis.names[:-1]):
        shutil.rmtree(folder, ignore_errors=True)
        save_basis(basis.select(names), folder)
        (tmp_path / "study.toml").write_text(f'[basis]\nsource = "{folder.as_posix()}"\n[tissue]\nsource = "none"\n')
        assert run(tmp_path) == 0
        fit = next((tmp_path / "out").rglob("*_desc-fit_mrs.json"))
        assert ("Gln" in json.loads(fit.read_text())["names"]) == (names == basis.names)


def test_a_te_mismatch_that_is_allowed_marks_every_number(tmp_path, good, shared_data):
    bids = dataset(tmp_path)
    source = (shared_data / "basis" / "3T_PRESS_Philips_35ms_noMM.BASIS").as_posix()
    (tmp_path / "study.toml").write_text(f'[basis]\nsource = "{source}"\nallow_te_mismatch = true\n')
    add(bids, f"one_{NAME}_svs", good[0])
    assert run(tmp_path) == 0
    assert {"basis_te_mismatch" in row["flags"] for row in rows(tmp_path, "one").values()} == {True}
    assert "TE" in " ".join(status(tmp_path, "one")["warnings"])


def test_what_is_left_aside_is_said(tmp_path, good, capsys):
    bids = dataset(tmp_path, '[study]\nregions = ["acc"]\n')
    path = add(bids, f"one_{NAME}_svs", good[0])
    add(bids, "two_ses-baseline_voi-pcc_svs", good[0])
    path.with_name("press (1).nii.gz").write_bytes(b"")
    assert run(tmp_path, "--dry-run") == 0
    said = capsys.readouterr()
    assert "sub-two" not in said.out
    assert "sub-two_ses-baseline_voi-pcc: region 'pcc' is not one of [study] regions (acc)" in said.err
    assert "press (1).nii.gz: not a BIDS file name" in said.err


def test_a_folder_in_place_of_a_spectrum_is_left_aside(tmp_path, good, capsys):
    bids = dataset(tmp_path)
    add(bids, f"one_{NAME}_svs", good[0])
    path = add(bids, f"two_{NAME}_svs", good[0])
    path.unlink()
    path.mkdir()
    assert run(tmp_path, "--dry-run") == 0
    assert "a folder, not a file" in capsys.readouterr().err


def test_reports_only_needs_results_and_writes_only_reports(tmp_path, good, capsys):
    bids = dataset(tmp_path)
    add(bids, f"one_{NAME}_svs", good[0])
    assert run(tmp_path, "--reports-only") == 2
    assert "sub-one has not been computed yet" in capsys.readouterr().err
    assert run(tmp_path) == 0
    page = tmp_path / "out" / f"sub-one_{NAME}_report.html"
    content = page.read_bytes()
    page.unlink()
    nodes = tmp_path / "out-work" / "sub-one" / "sub_one_ses_baseline_voi_acc"
    before = (nodes / "fit" / "fit.json").stat().st_mtime_ns, (nodes / "report" / "report.html").stat().st_mtime_ns
    assert run(tmp_path, "--reports-only") == 0
    assert page.read_bytes() == content
    assert (nodes / "fit" / "fit.json").stat().st_mtime_ns == before[0]
    assert (nodes / "report" / "report.html").stat().st_mtime_ns > before[1]


def test_results_of_other_software_are_not_used_again(tmp_path, good):
    bids = dataset(tmp_path)
    add(bids, f"one_{NAME}_svs", good[0])
    assert run(tmp_path) == 0
    folder = tmp_path / "out-work" / "sub-one"
    fit = folder / "sub_one_ses_baseline_voi_acc" / "fit" / "fit.json"
    first = fit.stat().st_mtime_ns
    assert run(tmp_path) == 0
    assert fit.stat().st_mtime_ns == first
    stamp = json.loads((folder / "software.json").read_text())
    stamp["versions"]["numpy"] = "0.1"
    (folder / "software.json").write_text(json.dumps(stamp))
    assert run(tmp_path) == 0
    assert fit.stat().st_mtime_ns > first


def test_a_study_folder_that_moved_runs_again_as_if_new(tmp_path, good, capsys):
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    bids = dataset(old)
    add(bids, f"one_{NAME}_svs", good[0])
    add(bids, f"one_{NAME}_mrsref", good[1])
    assert run(old) == 0
    table = Path("sub-one", "ses-baseline", "mrs", f"sub-one_{NAME}_desc-concentrations_mrs.tsv")
    before = (old / "out" / table).read_bytes()
    old.rename(new)
    assert run(new, "--reports-only") == 2
    assert "in another place" in capsys.readouterr().err
    assert run(new) == 0
    assert (new / "out" / table).read_bytes() == before


RULES = """[[rule]]
name = "mine"
metric = "snr_tcr"
operator = ">"
limit = {limit}
severity = "warn"
words = "the scan is too good"
source = "test"
"""


def test_files_named_in_the_settings_are_found_beside_study_toml_and_read_again_when_they_change(
    tmp_path, good, monkeypatch
):
    bids = dataset(tmp_path, '[qc]\nrules = "rules.toml"\n')
    (tmp_path / "rules.toml").write_text(RULES.format(limit=0.0))
    add(bids, f"one_{NAME}_svs", good[0])
    monkeypatch.chdir("/")
    seen = []
    for limit in (0.0, 1e6):
        (tmp_path / "rules.toml").write_text(RULES.format(limit=limit))
        assert run(tmp_path) == 0
        qc = json.loads(next((tmp_path / "out" / "sub-one").rglob("*_desc-qc_mrs.json")).read_text())
        assert qc["verdict"]["rules"] == "rules.toml"
        assert qc["limits"] == {"snr_tcr": [[">", limit, "warn"]]}
        seen.append((qc["verdict"]["status"], qc["provenance"]["SettingsSHA256"]["qc"]))
    assert [verdict for verdict, _ in seen] == ["warn", "pass"]
    assert seen[0][1] != seen[1][1]
    for path in (tmp_path / "out").rglob("sub-one*"):
        if path.suffix in {".json", ".tsv", ".html"}:
            assert str(tmp_path) not in path.read_text(), path.name


def test_a_participant_without_any_converted_scan_is_reported(tmp_path, good, capsys):
    bids = dataset(tmp_path)
    add(bids, f"one_{NAME}_svs", good[0])
    add(bids, f"two_{NAME}_mrsref", good[1])
    (bids / "code").mkdir()
    (bids / "code" / "conversion.tsv").write_text(
        "source\tstatus\trole\toutput\treason\tremedy\n"
        f"two_act.SDAT\tfailed\tsvs\tsub-two_{NAME}_svs.nii.gz\tthe file is empty (0 bytes)\texport it again\n"
    )
    assert run(tmp_path, "--participant-label", "two") == 1
    assert "two_act.SDAT: the file is empty" in capsys.readouterr().err
    assert status(tmp_path, "two")["stage"] == "convert"


def test_a_place_that_cannot_be_written_is_said_without_a_traceback(tmp_path, good, capsys):
    bids = dataset(tmp_path)
    add(bids, f"one_{NAME}_svs", good[0])
    blocked = tmp_path / "study.toml" / "result.json"
    assert main(["check", str(bids), "--json", str(blocked)]) == 1
    assert "refused a file" in capsys.readouterr().err


def test_a_link_to_nothing_fails_in_words(tmp_path, good, capsys):
    bids = dataset(tmp_path)
    path = add(bids, f"one_{NAME}_svs", good[0])
    path.unlink()
    path.symlink_to(tmp_path / "annex" / "object")
    assert run(tmp_path) == 1
    assert "FAILED: sub-one_ses-baseline_voi-acc_svs.nii.gz: the file cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[fit]\nppm = [4.2, 0.5]", "lower limit first"),
        ('[fit]\npriors = "nope"', "unknown priors preset 'nope'"),
        ('[qc]\nrules = "nope"', "unknown qc preset 'nope'"),
        ('[qc]\nrules = "nope.toml"', "[qc] rules = 'nope.toml': there is no such file"),
        ('[quantify]\npreset = "nope"', "unknown relaxation preset 'nope'"),
        ("[quantify.overrides]\nwater_t1_gmm = 1.4", "water_t1_gm"),
        ("[protocol]\necho_time = 30", "30 ms is 0.03"),
    ],
)
@pytest.mark.parametrize("command", ["run", "check"])
def test_a_setting_that_would_fail_every_scan_is_a_usage_error(tmp_path, good, capsys, text, words, command):
    bids = dataset(tmp_path, text + "\n")
    add(bids, f"one_{NAME}_svs", good[0])
    study = ["--study", str(tmp_path / "study.toml")]
    assert (run(tmp_path) if command == "run" else main(["check", str(bids), *study])) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_damaged_water_scan_costs_the_absolute_units_only(tmp_path, good):
    bids = dataset(tmp_path)
    add(bids, f"one_{NAME}_svs", good[0])
    water = add(bids, f"one_{NAME}_mrsref", good[1])
    water.write_bytes(water.read_bytes()[:3000])
    assert run(tmp_path) == 0
    row = rows(tmp_path, "one")["tNAA"]
    assert 1.0 < float(row["ratio_tCr"]) < 2.0
    assert row["molal"] == "n/a"
    said = " ".join(status(tmp_path, "one")["warnings"])
    assert "mrsref.nii.gz was left out: the file is truncated or damaged" in said
    assert str(tmp_path) not in said
