"""Points stored before the echo and dead time after it, by planted signals whose values are known at any time."""

from __future__ import annotations

import numpy as np
import pytest

from mrs_pipeline.basis import simulate_basis
from mrs_pipeline.config import FitSection, PreprocessSection
from mrs_pipeline.errors import InputError
from mrs_pipeline.fit import fit_spectrum
from mrs_pipeline.interfaces.preprocess import Preprocess, write_edited, write_preprocessed, write_water
from mrs_pipeline.nifti_mrs import NiftiMrs, read, write
from mrs_pipeline.preprocess import Hints, display, hints_from_headers, preprocess
from mrs_pipeline.preprocess.echo import Start, on_clock, plan, start_time, to_echo_top
from mrs_pipeline.quantify import fit_water
from mrs_pipeline.spectrum import Spectrum

MHZ = 123.25
DWELL = 5e-4
N = 2048
SINGLETS = ((2.008, 1.0), (3.027, 0.7), (3.211, 0.5), (3.91, 0.4))
DEFAULT = PreprocessSection()


def lines(time, *peaks, width=5.0):
    """Signal around an echo: it decays away from the echo top on both sides."""
    return sum(
        amplitude * np.exp(2j * np.pi * (ppm - 4.65) * MHZ * time - np.pi * width * np.abs(time))
        for ppm, amplitude in peaks
    )


def scans(start, sd=0.01, size=N, bend=None):
    """Metabolites and water whose first point lies ``start`` seconds after the echo top."""
    rng = np.random.default_rng(3)
    time = start + np.arange(size) * DWELL
    turn = 1.0 if bend is None else bend(time)
    noise = sd * (rng.normal(size=size) + 1j * rng.normal(size=size))
    metabolites = lines(time, *SINGLETS, (4.66, 3.0)) * turn + noise
    return Spectrum(metabolites, DWELL, MHZ), Spectrum(1000 * lines(time, (4.65, 1.0), width=7.0) * turn, DWELL, MHZ)


def amplitudes(result, remainder=0.0):
    """Amplitudes of the singlets at the echo top, by least squares against the planted lines."""
    time = remainder + np.arange(result.spectrum.n_points) * DWELL
    turn = np.exp(2j * np.pi * (4.65 - result.spectrum.reference_ppm) * MHZ * time)
    inside = (result.spectrum.ppm > 1.7) & (result.spectrum.ppm < 4.2)
    design = np.stack([display(lines(time, (ppm, 1.0)) * turn)[inside] for ppm, _ in SINGLETS], axis=1)
    return np.linalg.lstsq(design, display(result.spectrum.fid)[inside], rcond=None)[0]


@pytest.mark.parametrize(
    ("start", "restore", "expected"),
    [
        (0.0, True, Start(0, 0.0)),
        (-3 * DWELL, True, Start(-3, 0.0)),
        (-2.7 * DWELL, False, Start(-3, 0.3 * DWELL)),
        (-2.3 * DWELL, False, Start(-2, -0.3 * DWELL)),
        (2 * DWELL, True, Start(2, 0.0)),
        (2 * DWELL, False, Start(0, 2 * DWELL)),
        (0.4 * DWELL, True, Start(0, 0.4 * DWELL)),
        (4 * DWELL, True, Start(4, 0.0)),
        (5 * DWELL, True, Start(0, 5 * DWELL)),  # 2.5 ms are too long to be predicted
    ],
)
def test_whole_points_and_what_remains(start, restore, expected):
    found = plan(start, DWELL, restore=restore)
    assert found.points == expected.points
    assert found.remainder_s == pytest.approx(expected.remainder_s, abs=1e-12)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ({}, 0.0),
        ({"AcquisitionStartTime": -1e-3}, -1e-3),
        ({"AcquisitionStartTime": 0}, 0.0),
        ({"AcquisitionStartTime": "soon"}, 0.0),
        ({"AcquisitionStartTime": float("nan")}, 0.0),
    ],
)
def test_start_time_of_a_header(header, seconds):
    assert start_time(header) == seconds


def test_hints_carry_the_start_of_each_scan():
    found = hints_from_headers({"AcquisitionStartTime": -1e-3}, {"AcquisitionStartTime": 2e-3}, {})
    assert (found.start, found.water_start, found.eddy_start) == (-1e-3, 2e-3, 0.0)


def test_points_before_the_echo_are_cut_in_metabolites_and_water():
    start = -4 * DWELL
    result = preprocess(*scans(start), None, DEFAULT, hints=Hints(start=start, water_start=start))
    assert result.spectrum.n_points == result.water.n_points == N - 4
    assert np.abs(result.water.fid[:2]) == pytest.approx([1000.0, 1000 * np.exp(-np.pi * 7 * DWELL)], rel=1e-3)
    assert np.abs(amplitudes(result)) == pytest.approx([1.0, 0.7, 0.5, 0.4], rel=0.01)
    assert np.angle(amplitudes(result)) == pytest.approx(np.zeros(4), abs=0.02)
    step = result.step("pre_echo")
    assert step.applied
    assert step.parameters == {"start_s": start, "points": -4, "remainder_s": 0.0}
    assert step.reason == "4 points before the echo cut (AcquisitionStartTime -2 ms)"
    assert not result.step("first_point").applied
    assert result.warnings == ()


def test_the_rest_of_a_point_stays_as_first_order_phase():
    start = -2.3 * DWELL
    result = preprocess(*scans(start), None, DEFAULT, hints=Hints(start=start, water_start=start))
    rest = result.step("pre_echo").parameters["remainder_s"]
    assert rest == pytest.approx(-0.3 * DWELL)
    assert np.abs(amplitudes(result, rest)) == pytest.approx([1.0, 0.7, 0.5, 0.4], rel=0.01)


@pytest.mark.parametrize("points", [1, 2])
def test_missing_points_are_put_back(points):
    start = points * DWELL
    result = preprocess(*scans(start), None, DEFAULT, hints=Hints(start=start, water_start=start))
    assert result.step("pre_echo").parameters["points"] == points
    assert np.abs(amplitudes(result)) == pytest.approx([1.0, 0.7, 0.5, 0.4], rel=0.02)
    assert np.angle(amplitudes(result)) == pytest.approx(np.zeros(4), abs=0.03)
    assert result.water.n_points == N
    assert any(f"{points} points after the echo predicted" in text for text in result.warnings)


@pytest.fixture(scope="module")
def brain():
    """FID of seven metabolites and broad lines around an echo, sampled from its top on, and the basis set."""
    names = {"NAA": 10.0, "Cr": 4.0, "PCr": 4.0, "GPC": 1.5, "Ins": 6.0, "Glu": 9.0, "Gln": 3.0}
    timing = {"te1": 0.011, "te2": 0.019, "bandwidth": 1 / DWELL, "names": list(names)}
    pure = simulate_basis("press", n_points=N + 8, field_mhz=MHZ, linewidth_hz=1e-3, **timing)
    time = np.arange(N + 8) * DWELL
    decay = np.exp(-np.pi * 4 * time - (np.pi * 4 * time) ** 2 / (4 * np.log(2)))
    fid = sum(amount * pure.fid(name) for name, amount in names.items()) * decay
    broad = np.exp(-((np.pi * 25 * time) ** 2) / (4 * np.log(2)))
    for ppm, amount in ((0.9, 5.0), (1.4, 5.0), (2.05, 7.0), (3.0, 3.0)):
        fid = fid + amount * np.exp(2j * np.pi * (ppm - 4.65) * MHZ * time) * broad
    rng = np.random.default_rng(1)
    fid = fid + 0.25 * (rng.normal(size=N + 8) + 1j * rng.normal(size=N + 8))
    return fid, simulate_basis("press", n_points=N, field_mhz=MHZ, **timing)


def fitted(brain, points, hint):
    """Amplitudes of the fit to a scan whose first points are missing."""
    scan = Spectrum(brain[0][points : N + points], DWELL, MHZ, echo_time=0.03)
    result = preprocess(scan, None, None, DEFAULT, hints=Hints(start=hint))
    found = fit_spectrum(result.spectrum, brain[1], FitSection())
    groups = (("NAA",), ("Cr", "PCr"), ("GPC",), ("Ins",), ("Glu", "Gln"))
    return np.array([found.combination(dict.fromkeys(group, 1.0))[0] for group in groups])


def test_the_fit_finds_the_amplitudes_at_the_echo_after_a_dead_time(brain):
    whole = fitted(brain, 0, 0.0)
    assert fitted(brain, 2, 2 * DWELL) == pytest.approx(whole, rel=5e-3)
    assert fitted(brain, 4, 4 * DWELL) == pytest.approx(whole, rel=0.02)
    assert np.max(np.abs(fitted(brain, 2, 0.0) / whole - 1)) > 0.03  # what an unstated start costs


def test_a_long_dead_time_is_left_and_said():
    start = 3e-3
    result = preprocess(*scans(start), None, DEFAULT, hints=Hints(start=start, water_start=start))
    assert result.spectrum.n_points == N
    assert not result.step("pre_echo").applied
    assert result.step("pre_echo").parameters["remainder_s"] == pytest.approx(start)
    assert [text for text in result.warnings if "starts 3 ms after its echo" in text]


def test_another_nucleus_keeps_its_begin_time_for_the_fit_of_peaks():
    scan = Spectrum(scans(2 * DWELL)[0].fid, DWELL, 49.9, nucleus="31P", reference_ppm=0.0)
    result = preprocess(scan, None, None, DEFAULT, hints=Hints(start=2 * DWELL))
    assert result.spectrum.n_points == N
    assert result.step("pre_echo").reason.endswith("1 ms after the echo; the fit of peaks finds its begin time")
    assert not any("after its echo" in text for text in result.warnings)
    early = preprocess(scan, None, None, DEFAULT, hints=Hints(start=-2 * DWELL))
    assert early.spectrum.n_points == N - 2


def test_the_eddy_phase_is_taken_at_the_same_time_after_the_echo():
    def bend(time):
        return np.exp(1.5j * np.exp(-np.abs(time) / 0.01))

    metabolite, _ = scans(-8 * DWELL, bend=bend)
    _, water = scans(0.0, bend=bend)
    result = preprocess(metabolite, water, None, DEFAULT, hints=Hints(start=-8 * DWELL))
    assert np.abs(amplitudes(result)) == pytest.approx([1.0, 0.7, 0.5, 0.4], rel=0.01)
    mistimed = preprocess(metabolite, water, None, DEFAULT, hints=Hints(start=-8 * DWELL, water_start=-8 * DWELL))
    assert np.max(np.abs(np.abs(amplitudes(mistimed)) - [1.0, 0.7, 0.5, 0.4])) > 0.02


def test_a_reference_moves_to_the_clock_of_the_scan():
    water = scans(0.0)[1]
    assert np.array_equal(on_clock(water, 0.0).fid, water.fid)
    assert np.array_equal(on_clock(water, -3 * DWELL).fid, water.fid[3:])
    assert np.array_equal(on_clock(water, 2 * DWELL).fid, [water.fid[0], water.fid[0], *water.fid])


def test_an_echo_behind_the_data_is_refused():
    with pytest.raises(InputError, match="2040 of 2048 points would lie before the echo") as caught:
        to_echo_top(scans(0.0)[0], -2040)
    assert "AcquisitionStartTime" in caught.value.remedy


def test_evidence_has_one_axis():
    start = -4 * DWELL
    result = preprocess(*scans(start), None, DEFAULT, hints=Hints(start=start, water_start=start))
    assert result.evidence["ppm"].shape == (N - 4,)
    for name in ("eddy_current", "pre_echo", "water_removal"):
        assert result.evidence[f"{name}.before"].shape == result.evidence[f"{name}.after"].shape == (N - 4,)


def test_the_interface_takes_the_start_from_the_headers(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    start = {"AcquisitionStartTime": -4 * DWELL}
    for scan, name in zip(scans(-4 * DWELL), ("svs", "mrsref"), strict=True):
        write(NiftiMrs(scan, header=start), tmp_path / f"{name}.nii.gz")
    run = Preprocess(
        svs=str(tmp_path / "svs.nii.gz"), conc=str(tmp_path / "mrsref.nii.gz"), settings=DEFAULT.model_dump_json()
    ).run()
    out = read(run.outputs.svs)
    assert out.spectrum.n_points == read(run.outputs.mrsref).spectrum.n_points == N - 4
    assert out.header["AcquisitionStartTime"] == 0.0
    details = [step["Details"] for step in out.header["ProcessingApplied"]]
    assert any("pre_echo: 4 points before the echo cut" in text for text in details)


@pytest.mark.parametrize(("points", "water_left"), [(-4, 0), (2, 2)])
def test_files_state_the_start_that_is_left(tmp_path, points, water_left):
    start = points * DWELL
    metabolite, water = scans(start)
    header = {"AcquisitionStartTime": start}
    result = preprocess(metabolite, water, None, DEFAULT, hints=hints_from_headers(header, header))
    write_preprocessed(result, NiftiMrs(metabolite, header=header), tmp_path / "svs.nii.gz")
    write_water(result, NiftiMrs(water, header=header), tmp_path / "water.nii.gz")
    assert start_time(read(tmp_path / "svs.nii.gz").header) == 0.0
    later = start_time(read(tmp_path / "water.nii.gz").header)
    assert later == pytest.approx(water_left * DWELL)
    assert 2 * fit_water(result.water, later=later).amplitude == pytest.approx(1000.0, rel=5e-3)
    assert write_edited(result, "difference", NiftiMrs(metabolite, header=header), tmp_path) == ""
