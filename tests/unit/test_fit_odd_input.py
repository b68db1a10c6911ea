"""Odd spectra, basis sets and settings: fitted all the same, or refused in words."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import mrs_pipeline.config
from mrs_pipeline.basis import Basis, Editing, is_whole, parts_of, save_basis, simulate_basis, with_macromolecules
from mrs_pipeline.cli.settings import check_values
from mrs_pipeline.config import FitSection, Study, read_preset
from mrs_pipeline.errors import BasisError, FitError, StudyError
from mrs_pipeline.fit import FitResult, Visit, fit_difference, fit_peaks, fit_spectrum, fit_sum, fit_visits
from mrs_pipeline.fit.components import gaussian_lines
from mrs_pipeline.fit.engine import prepare
from mrs_pipeline.fit.peaks_table import PeakLine, PeakTable, checked, load_peaks
from mrs_pipeline.fit.priors import STIFFEST_ROW, capped_rows, load_priors
from mrs_pipeline.fit.projection import nonnegative_solve, projected_jacobian
from mrs_pipeline.fit.selection import stiffness_path
from mrs_pipeline.fit.start import mirrored_match
from mrs_pipeline.fit.verdict import misfit
from mrs_pipeline.spectrum import Spectrum

MHZ, DWELL, POINTS, ECHO = 123.2, 4e-4, 1024, 0.03
AMOUNTS = {"NAA": 10.0, "Cr": 9.0, "GPC": 1.8, "Ins": 6.0, "Glu": 9.0}
TIME = np.arange(POINTS) * DWELL
SIMPLE = FitSection(macromolecules="none")


@cache
def metabolites(n_points: int = POINTS, names: tuple[str, ...] = tuple(AMOUNTS)) -> Basis:
    return simulate_basis("press", te1=0.012, te2=0.018, field_mhz=MHZ, dwell=DWELL, n_points=n_points, names=names)


def line(ppm: float, width: float, area: float = 1.0) -> np.ndarray:
    return area * gaussian_lines(np.array([(ppm - 4.65) * MHZ]), np.array([width]), TIME)[0]


def brain(basis: Basis | None = None, noise: float = 0.3, added: np.ndarray | float = 0.0) -> Spectrum:
    """Metabolites with lines of 6 Hz at T2 of 0.2 s, and noise."""
    basis, rng = basis or metabolites(), np.random.default_rng(1)
    fid = sum(AMOUNTS.get(name, 10.0) * basis.fid(name) for name in basis.names)
    fid = fid * np.exp(-TIME / 0.2 - (np.pi * 6.0 * TIME) ** 2 / (4 * np.log(2))) + added
    return Spectrum(fid + noise * (rng.normal(size=(POINTS, 2)) @ [1, 1j]), DWELL, MHZ, 4.65, echo_time=ECHO)


@cache
def usual() -> FitResult:
    return fit_spectrum(brain(), metabolites(), SIMPLE)


def renamed(basis: Basis, **names: str) -> Basis:
    return replace(basis, names=tuple(names.get(name, name) for name in basis.names))


# --------------------------------------------------------------------------------------------------------------- basis


def test_names_in_another_spelling_are_the_same_metabolites():
    fit = fit_spectrum(brain(), renamed(metabolites(), NAA="naa", Cr="creatine", Ins="mI"), SIMPLE)
    assert fit.names == usual().names
    assert fit.amplitudes == pytest.approx(usual().amplitudes, rel=1e-12)
    assert fit.ratio("mI") == fit.ratio("Ins")


def test_sums_as_members_are_their_own_component():
    fit = fit_spectrum(brain(), renamed(metabolites(), NAA="tNAA", Cr="tCr", GPC="tCho"), SIMPLE)
    assert fit.ratio("tNAA", "tCr")[0] == pytest.approx(10.0 / 9.0, rel=0.05)
    assert fit.weights("tCho") == {"tCho": 1.0}


@pytest.mark.parametrize(
    ("mhz", "name", "seconds", "relative"),
    [
        (63.9, "NAA", np.mean([0.361, 0.317, 0.357]), 0.15),  # Traber 2004, three regions
        (127.7, "NAA", 0.300, 0.12),
        (170.3, "Glu", 0.125, 0.25),  # Deelchand 2012
        (297.2, "Cr", np.mean([0.095, 0.113, 0.090, 0.131]), 0.15),  # Marjanska 2012, four regions
        (399.7, "NAA", np.mean([0.1105, 0.098]), 0.15),  # Murali-Manohar 2020, Deelchand 2010
        (297.2, "Asp", 0.65 * 0.124, 0.25),  # not measured: as at 3 T, times the ratio of those that were
        (297.2, "a metabolite of one's own", 0.65 * 0.150, 0.25),
    ],
)
def test_widths_are_those_of_the_field(mhz, name, seconds, relative):
    priors = load_priors("default").at_field(mhz)
    mean, sd = priors.metabolite_width(name)
    assert mean == pytest.approx(1.0 / (np.pi * seconds), rel=0.01)
    assert sd == pytest.approx(relative * mean)
    assert priors.field_note(mhz) == ()
    assert priors.at_field(127.7) == load_priors("default")


def test_a_line_that_no_one_knows_leaves_an_interval():
    """Macromolecules strained 37 times: the uncertainty is scaled, the ratio still tells something."""
    peaks = load_priors("default").macromolecules.peaks
    known = sum(line(peak.ppm, peak.width * MHZ, 12.0 * peak.ratio) for peak in peaks)
    fit = fit_spectrum(brain(added=known + line(3.8, 8.0, 20.0)), metabolites(), FitSection())
    assert fit.metrics["macromolecule_strain"] > 20.0
    assert "macromolecules_unlike" in fit.flags
    _, _, low, high = fit.ratio("NAA")
    assert 0.5 < low < AMOUNTS["NAA"] / AMOUNTS["Cr"] < high < 1.6


def test_a_scan_is_fitted_with_the_widths_of_its_field():
    mhz, time = 297.2, np.arange(POINTS) * DWELL
    basis = simulate_basis(
        "press", te1=0.012, te2=0.018, field_mhz=mhz, dwell=DWELL, n_points=POINTS, names=("NAA", "Cr")
    )
    fid = (10 * basis.fid("NAA") + 9 * basis.fid("Cr")) * np.exp(-40 * time)
    noise = np.random.default_rng(1).normal(size=(POINTS, 2)) @ [0.3, 0.3j]
    prepared = prepare(Spectrum(fid + noise, DWELL, mhz, 4.65, echo_time=ECHO), basis, SIMPLE)
    assert prepared.priors.metabolite_width("Cr")[0] == pytest.approx(1 / (np.pi * 0.107))


@pytest.mark.parametrize("field", ["4.0", "7.0", "9.4"])
def test_what_was_not_measured_at_a_field_goes_with_what_was(field):
    width = read_preset("priors", "default")["width"]
    known = width["other"][field]["t2"]
    ratios = [known[name] / width["t2"][name] for name in ("NAA", "Cr", "GPC", "Ins", "Glu")]
    assert width["other"][field]["scale"] == pytest.approx(np.mean(ratios), abs=0.006)


def test_widths_of_another_field_are_said():
    priors = load_priors("default")
    assert priors.at_field(127.7) == priors
    for mhz, nearest, field in ((90.0, "1.5", "2.1"), (92.4, "3", "2.2")):  # by ratio, not by difference
        words = f"the widths are expected from T2 at {nearest} T, and the scan is one of {field} T"
        assert priors.at_field(mhz).field_note(mhz) == (words,)
    alone = replace(priors, fields=(priors.width,))
    assert alone.at_field(297.2).field_note(297.2) == (
        "the widths are expected from T2 at 3 T, and the scan is one of 7.0 T",
    )


def test_choline_as_one_signal_is_total_choline():
    """In a set of its own, beside what GPC and PCh give in another."""
    fit = fit_spectrum(brain(), renamed(metabolites(), GPC="Cho"), SIMPLE)
    assert fit.weights("tCho") == {"Cho": 1.0}
    assert fit.ratio("tCho")[0] == pytest.approx(usual().ratio("tCho")[0], rel=0.02)
    assert parts_of("tCho", ("GPC", "PCh", "Cr")) == ("GPC", "PCh")
    assert [is_whole("tCho", parts) for parts in (("Cho",), ("GPC", "PCh"), ("GPC",), ("tCho",))] == [
        True,
        True,
        False,
        True,
    ]


@pytest.mark.parametrize(
    ("noises", "share", "found"),
    [(2.9, 0.2, False), (3.1, 0.07, True), (4.0, 0.03, False), (5.1, 0.03, True), (40.0, 0.01, False)],
)
def test_a_misfit_is_one_beside_the_noise_and_beside_the_peak(noises, share, found):
    assert [finding.code for finding in misfit(noises, 1.0, noises / share)] == ["misfit"] * found


@pytest.mark.parametrize(("first", "second"), [("NAA", "naa"), ("Glc-a", "Glc/a"), ("Ins", "mI")])
def test_members_that_cannot_be_told_apart_are_named(first, second):
    basis = metabolites().with_member(first, metabolites().fid("NAA")).with_member(second, metabolites().fid("Glu"))
    with pytest.raises(BasisError, match=f"{first} and {second} are one metabolite"):
        fit_spectrum(brain(), basis, SIMPLE)


@pytest.mark.parametrize("name", ["Cr", "MM"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_signal_that_is_not_finite_is_named(name, value):
    basis = metabolites().with_member(name, np.where(np.arange(POINTS) == 7, value, line(3.0, 1.0)))
    with pytest.raises(BasisError, match=f"signal of {name} is not finite"):
        fit_spectrum(brain(), basis, FitSection())


def test_macromolecules_of_zeros_are_none():
    fit = fit_spectrum(brain(), metabolites().with_member("MM", np.zeros(POINTS)), FitSection())
    expected = fit_spectrum(brain(), metabolites(), FitSection())
    assert fit.names == expected.names
    assert fit.amplitudes == pytest.approx(expected.amplitudes, rel=1e-12)


def test_two_members_with_one_signal_share_it():
    same = line(0.91, 20.0)
    basis = metabolites().with_member("MM", same).with_member("Lip09", same)
    fit = fit_spectrum(brain(added=5.0 * same), basis, FitSection(macromolecules="basis"))
    assert fit.combination({"MM": 1.0, "Lip09": 1.0})[0] == pytest.approx(5.0, rel=0.05)
    assert fit.ratio("NAA")[0] == pytest.approx(10.0 / 9.0, rel=0.02)


def test_a_mirrored_set_is_refused_and_a_mirrored_spectrum_explained():
    basis = metabolites()
    with pytest.raises(BasisError, match="the lines of NAA, Cr, GPC are not where they should be"):
        fit_spectrum(brain(), replace(basis, fids=basis.fids.conj()), SIMPLE)
    mirrored = brain().with_fid(brain().fid.conj())
    fit = fit_spectrum(mirrored, basis, SIMPLE)
    assert fit.status == "failed"
    assert [note for note in fit.notes if "complex conjugate" in note]
    noise = brain().with_fid(np.random.default_rng(0).normal(size=(POINTS, 2)) @ [1, 1j])
    assert not [note for note in fit_spectrum(noise, basis, SIMPLE).notes if "complex conjugate" in note]


def test_a_set_without_known_lines_in_the_window_is_not_taken_for_mirrored():
    fit = fit_spectrum(brain(), metabolites().select(["NAA", "Cr"]), FitSection(macromolecules="none", ppm=(2.6, 4.2)))
    assert fit.names == ("NAA", "Cr")


def test_a_set_that_ends_early_is_said():
    fit = fit_spectrum(brain(), metabolites(128), SIMPLE)
    assert [note for note in fit.notes if note.startswith("the basis set ends 358 ms before the data")]
    assert not [note for note in fit_spectrum(brain(), metabolites(700), SIMPLE).notes if "ends" in note]


def test_sets_of_any_scale_give_the_same_ratios():
    basis = metabolites()
    for scale in (1e-12, 1e12):
        fit = fit_spectrum(brain(), replace(basis, fids=basis.fids * scale), SIMPLE)
        assert fit.amplitudes * scale == pytest.approx(usual().amplitudes, rel=1e-9)
        assert fit.total_sd * scale == pytest.approx(usual().total_sd, rel=1e-6)


@pytest.mark.parametrize(("hz", "degrees"), [(8.0, 100.0), (-10.0, 180.0)])
def test_metabolites_without_a_typical_concentration_find_their_shift_and_phase(hz, degrees):
    basis = metabolites(names=("Lac", "GABA"))
    fit = fit_spectrum(brain(basis, 0.1).shifted(hz).phased(degrees), basis, SIMPLE)
    assert fit.nonlinear["start_shift"]["value"] == pytest.approx(hz, abs=2.0)
    assert fit.amplitudes == pytest.approx([10.0, 10.0], rel=0.03)
    assert "refitted" not in fit.flags


def test_a_measured_file_may_hold_lipids_but_no_metabolites(tmp_path):
    whole = with_macromolecules(metabolites(), "lcmodel")
    added = [name for name in whole.names if name not in AMOUNTS]
    background = save_basis(whole.select(added), tmp_path / "mm.basis")
    settings = FitSection(macromolecules="measured", macromolecule_file=str(background))
    fit = fit_spectrum(brain(added=3.0 * whole.fid("Lip09")), metabolites(), settings)
    assert sorted(fit.names) == sorted(whole.names)
    assert fit.combination({"MM09": 1.0, "Lip09": 1.0})[0] == pytest.approx(3.0, rel=0.2)
    settings = FitSection(macromolecules="measured", macromolecule_file=str(save_basis(whole, tmp_path / "all.basis")))
    with pytest.raises(StudyError, match=r"macromolecule_file holds metabolites \(NAA, Cr, "):
        fit_spectrum(brain(), metabolites(), settings)


def test_a_sum_does_not_use_the_macromolecules_of_its_set():
    basis = metabolites().with_member("MM", line(0.91, 20.0))
    fit = fit_sum(brain(), basis, FitSection(), Editing())
    assert "MM" not in fit.names
    assert [note for note in fit.notes if note.startswith("MM of the basis set left out")]


def test_a_difference_set_without_what_is_edited_is_refused():
    with pytest.raises(BasisError, match="no difference signal of GABA"):
        fit_difference(brain(), metabolites(), FitSection())
    assert (
        "GSH"
        in fit_difference(
            brain(metabolites(names=("GSH", "NAA"))), metabolites(names=("GSH", "NAA")), FitSection(), "GSH"
        ).names
    )


def test_a_difference_set_in_another_unit_is_said_to_be_so():
    usual_unit = metabolites(names=("GABA", "NAA"))
    small = replace(usual_unit, fids=1e-3 * usual_unit.fids)
    with pytest.raises(BasisError, match=r"its largest signal is 0\.00\d+ protons: is it in another unit"):
        fit_difference(brain(), small, FitSection())


# ------------------------------------------------------------------------------------------------------------ spectrum


@pytest.mark.parametrize("hz", [-40.0, -20.0, 20.0])
def test_a_shift_beyond_the_start_search_leaves_the_lines_upright(hz):
    fit = fit_spectrum(brain().shifted(hz), metabolites(), SIMPLE)
    assert fit.snr == pytest.approx(usual().snr, rel=0.1)
    assert (fit.status, fit.flags) == ("ok", ("refitted",))
    assert fit.nonlinear["start_shift"]["value"] + fit.nonlinear["shift"]["value"] == pytest.approx(hz, abs=0.5)
    assert fit.ratio("Glu")[0] == pytest.approx(usual().ratio("Glu")[0], rel=0.03)


def test_appended_zeros_change_nothing():
    longer = brain().with_fid(np.r_[brain().fid, np.zeros(POINTS)])
    fit = fit_spectrum(longer, metabolites(), SIMPLE)
    for name in ("amplitudes", "crlb", "total_sd"):
        assert getattr(fit, name) == pytest.approx(getattr(usual(), name), rel=1e-9)
    cut = brain().with_fid(np.where(TIME < 0.16, brain().fid, 0.0))
    alone = fit_spectrum(cut.with_fid(cut.fid[:400]), metabolites(), SIMPLE)
    assert fit_spectrum(cut, metabolites(), SIMPLE).crlb == pytest.approx(alone.crlb, rel=1e-9)


def test_a_strong_inverted_lipid_is_no_crash():
    lipid = -30.0 * np.exp(2j * np.pi * (1.3 - 4.65) * MHZ * TIME - TIME / 0.02)
    fit = fit_spectrum(brain(added=lipid), metabolites(), FitSection())
    assert "lipid_artefact" in fit.flags
    assert fit.ratio("Ins")[0] == pytest.approx(6.0 / 9.0, rel=0.1)


@pytest.mark.parametrize("fid", [np.ones(POINTS), np.eye(1, POINTS)[0]])
def test_data_without_noise_are_refused(fid):
    with pytest.raises(FitError, match="no noise can be measured"):
        fit_spectrum(brain().with_fid(fid), metabolites(), SIMPLE)
    with pytest.raises(FitError, match="no noise can be measured"):
        fit_peaks(brain().with_fid(fid), FitSection(model="peaks"))


def test_peaks_need_points():
    short = brain().with_fid(brain().fid[:16])
    with pytest.raises(FitError, match="16 points given, the table skips 0"):
        fit_peaks(short, FitSection(model="peaks"))
    with pytest.raises(FitError, match="the table skips 1000"):
        fit_peaks(brain(), FitSection(model="peaks"), replace(load_peaks("1h-long-te"), skip=1000))


# ------------------------------------------------------------------------------------------------------------ settings


@pytest.mark.parametrize("ppm", [(2.9, 3.1), (3.0, 3.01)])
def test_a_window_without_points_is_refused(ppm):
    with pytest.raises(FitError, match="at least 32 are needed"):
        fit_spectrum(brain(), metabolites(), FitSection(ppm=ppm))


def test_a_baseline_that_cannot_be_had_is_said():
    notes = fit_spectrum(brain(), metabolites(), FitSection(macromolecules="none", baseline=50.0)).notes
    assert "a baseline of 50 dimensions per ppm cannot be had in this window: 16 were used" in notes
    notes = fit_spectrum(brain(), metabolites(), FitSection(macromolecules="none", baseline=3.0)).notes
    assert not [note for note in notes if "baseline" in note]


def test_visits_and_peaks_have_names_of_their_own():
    visit = Visit("01", brain(), metabolites())
    with pytest.raises(StudyError, match="two visits share a label: 01, 01"):
        fit_visits([visit, visit], SIMPLE)
    with pytest.raises(StudyError, match="punctuation alone: P-a, P/a"):
        checked(PeakTable((PeakLine("P-a", 1.0), PeakLine("P/a", 2.0)), reference="P-a"))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("ratio = 0.34, sd = 0.12", "ratio = 0.34, sdd = 0.12", "lacks the key 'sd'"),
        ("ratio = 0.34, sd = 0.12", "ratio = 0.34, sd = 0.12, foo = 1", "TypeError.*'foo'"),
        (
            "ratio = 0.34, sd = 0.12",
            "ratio = 0.34, sd = 0.0",
            r"macromolecules, MM12: sd = 0\.0 must be a number above 0",
        ),
        ('"MM12"', '"MM14"', "two peaks share a name"),
        ('reference = "MM09"', 'reference = "MM99"', "the reference 'MM99' is none of the peaks"),
        ("Asp = [0.07, 0.04]", "Asp = [0.07, 0.0]", r"ratios\.value\.Asp = \[0\.07, 0\.0\] has no SD above 0"),
        ("Asp = [0.07, 0.04]", "Asp = 0.07", r"ratios\.value\.Asp = 0\.07 must be a mean and an SD"),
        ("metabolite_sd_ppm = 0.004", "metabolite_sd_ppm = 0", r"shift\.metabolite_sd_ppm = 0 must be"),
        ("NAA = 0.300", "NAA = inf", r"width\.t2\.NAA = inf must be"),
        ("scale = 0.65", "scale = 0.0", r"width\.other\.7\.0\.scale = 0\.0 must be"),
        ("scale = 0.65", "scales = 0.65", r"width\.other\.7\.0 must be a field in tesla in quotes"),
        ('other."7.0"', "other.7.0", r"width\.other\.7 must be a field in tesla in quotes"),
        ('other."7.0"', 'other."-7"', r"width\.other\.-7 must be a field in tesla in quotes"),
        ("field_t = 3.0", "field_t = 0", r"width\.field_t = 0 must be"),
        ("field_t = 3.0", "", r"width\.other needs width\.field_t"),
        ("t2 = { NAA = 0.104", "t2 = 0.1 # ", r"width\.other\.9\.4 must be a field .* the tables t2"),
        ("t2 = { NAA = 0.104", "t2 = { NAA = -1", r"width\.other\.9\.4\.t2\.NAA = -1 must be"),
        ("phase_early_rad = 0.03", "phase_early_rad = 0.0", r"lineshape\.near\.phase_early_rad = 0\.0 must be"),
        ("spline_count = 7", "spline_count = 1", r"spline_count = 1 must be 3 or more"),
        ("window_ppm = 0.25", "window_ppm = -1", r"basis\.window_ppm = -1 must be"),
    ],
)
def test_a_prior_set_with_impossible_numbers_is_refused(tmp_path, old, new, words):
    text = (Path(mrs_pipeline.config.__file__).parent / "presets" / "priors" / "default.toml").read_text()
    assert text.count(old) >= 1
    (tmp_path / "mine.toml").write_text(text.replace(old, new, 1))
    with pytest.raises(StudyError, match=words):
        load_priors(str(tmp_path / "mine.toml"))
    with pytest.raises(StudyError, match=words):
        check_values(Study(fit=FitSection(priors=str(tmp_path / "mine.toml"))), None)


def test_a_measured_background_without_a_file_is_refused_before_any_work():
    with pytest.raises(StudyError, match='"measured" without a file'):
        check_values(Study(fit=FitSection(macromolecules="measured")), None)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("name\tppm\tratio_to\tratio_sd\nA\t2.0\tB\t0.1\n", "A: ratio_to = 'B' is not in the table"),
        ("name\tppm\tratio_to\tratio\nA\t2.0\t\t\nB\t3.0\tA\t0\n", "B: ratio = 0"),
        ("name\tppm\nA\tnan\n", "A: ppm = nan is no number"),
        ("name\tppm\nA\tinf\n", "A: ppm = inf is not finite"),
        ("name\tppm\tshift_sd_ppm\nA\t2.0\t-1\n", "A: shift_sd_ppm = -1 is below 0"),
        ("name\tppm\twidth_min_hz\nA\t2.0\t-1\n", "A: width_min_hz = -1 is below 0"),
        ("# skip = -5\nname\tppm\nA\t2.0\n", "skip = -5 is below 0"),
        ("# shift_range_ppm = 0\nname\tppm\nA\t2.0\n", "shift_range_ppm = 0 is below 0.0001"),
        ("# ppm = 4:1\nname\tppm\nA\t2.0\n", "runs the wrong way"),
    ],
)
def test_a_table_of_peaks_with_impossible_numbers_is_refused(tmp_path, table, words):
    (tmp_path / "mine.tsv").write_text(table)
    with pytest.raises(StudyError, match=words):
        load_peaks(str(tmp_path / "mine.tsv"))


def test_other_faults_of_a_table_of_peaks_are_told(tmp_path):
    (tmp_path / "mine.toml").write_text("[[peaks]]\nname = 'A'\nppm = 'x'\n")
    with pytest.raises(StudyError, match="A: ppm = 'x' is no number"):
        load_peaks(str(tmp_path / "mine.toml"))
    (tmp_path / "mine.tsv").write_bytes("name\tppm\nÄ\t2.0\n".encode("latin-1"))
    with pytest.raises(StudyError, match="the text is UTF-8"):
        load_peaks(str(tmp_path / "mine.tsv"))
    narrow = PeakTable((PeakLine("Cr", 3.03),), reference="Cr", ppm=(3.02, 3.04))
    with pytest.raises(FitError, match="2 points for 5 parameters"):
        fit_peaks(brain(), FitSection(model="peaks"), narrow)


# ---------------------------------------------------------------------------------------------------------- arithmetic


def test_rows_of_next_to_nothing_are_held_to_what_arithmetic_can_carry():
    design = np.diag([2.0, 4.0])
    usual_rows, wild = np.array([[1.0, -3.0]]), np.array([[1e12, -3e12]])
    assert capped_rows(usual_rows, design) is not usual_rows
    assert np.array_equal(capped_rows(usual_rows, design), usual_rows)
    held = capped_rows(wild, design)
    assert np.linalg.norm(held / [2.0, 4.0]) == pytest.approx(STIFFEST_ROW)
    assert held[0, 1] / held[0, 0] == pytest.approx(-3.0)


def test_amplitudes_of_equal_columns_are_shared_out():
    column = np.array([3.0, 4.0])
    design = np.array([column, column])
    solution = nonnegative_solve(design @ design.T, design @ (2.0 * column), np.zeros(2, bool))
    assert solution.amplitudes == pytest.approx([1.0, 1.0])
    free, still = np.ones(2, bool), np.zeros((1, 2))
    slope = projected_jacobian(design, np.zeros((0, 2)), design @ design.T, free, np.array([[4.0, -3.0]]), still)
    assert slope[:, 0] == pytest.approx([-4.0, 3.0])


def test_criteria_of_data_without_noise_are_finite():
    from mrs_pipeline.fit.baseline import make_baseline

    signal = np.exp(-0.5 * np.linspace(-4, 4, 200) ** 2)[None]
    path = stiffness_path(
        signal, 3.0 * signal[0], np.ones(200), make_baseline(200, 3.0), np.zeros((0, 1)), np.zeros(1, bool)
    )
    assert np.isfinite(path.aic).all()
    assert path.amplitudes[:, 0] == pytest.approx(3.0)


def test_mirror_image_matches_as_much_better_as_it_is():
    from mrs_pipeline.fit.engine import prepare

    prepared = prepare(brain(), metabolites(), SIMPLE)
    priors = load_priors("default")
    straight = mirrored_match(brain(), prepared.components, priors)
    turned = mirrored_match(brain().with_fid(brain().fid.conj()), prepared.components, priors)
    assert straight * turned == pytest.approx(1.0, rel=1e-6)
    assert turned > 10.0


def test_bound_and_parameter_sds_of_one_line_are_the_analytic_ones():
    r"""Fisher information of amplitude and width, and of phase and shift, which do not mix with those."""
    size, width = 20.0, 6.0
    basis = Basis(("Cr",), line(3.027, 0.0, 3.0)[None], DWELL, MHZ, 4.65)
    lorentz = load_priors("default").metabolite_width("Cr")[0]
    unit = basis.fids[0] * np.exp(-np.pi * lorentz * TIME - (np.pi * width * TIME) ** 2 / (4 * np.log(2)))
    noise = np.random.default_rng(0).normal(size=(POINTS, 2)) @ [1, 1j]
    settings = FitSection(
        macromolecules="none", baseline="none", lineshape="gaussian", first_order_phase=False, ppm=(-2.0, 4.0)
    )
    fit = fit_spectrum(Spectrum(size * unit + noise, DWELL, MHZ, 4.65), basis, settings)
    sd = fit.noise_sd / np.sqrt(POINTS)
    power = np.abs(unit) ** 2
    bent = -(np.pi**2) * width * TIME**2 / (2 * np.log(2))
    amplitude = np.linalg.inv([[power.sum(), power @ bent], [power @ bent, power @ bent**2]])[0, 0]
    turn = 2 * np.pi * TIME
    phase = np.linalg.inv([[power.sum(), power @ turn], [power @ turn, power @ turn**2]])[0, 0]
    assert fit.crlb[0] == pytest.approx(sd * np.sqrt(amplitude), rel=0.05)
    assert fit.nonlinear["phi0"]["sd"] == pytest.approx(sd * np.sqrt(phase) / size, rel=0.05)
    assert fit.nonlinear["phi0"]["unit"] == "rad"


# ------------------------------------------------------------------------------------------------------ macromolecules


def with_peaks(**factors: float) -> FitResult:
    """Fit the brain on macromolecules of the prior's mean shape, single peaks of it multiplied."""
    peaks = load_priors("default").macromolecules.peaks
    shape = sum(line(p.ppm, p.width * MHZ, p.ratio * factors.get(p.name, 1.0)) for p in peaks)
    return fit_spectrum(brain(added=12.0 * shape), metabolites(), FitSection())


def test_macromolecules_of_an_unknown_shape_are_said():
    known, unlike = with_peaks(), with_peaks(MM22=4.0)
    assert known.metrics["macromolecule_strain"] < 1.5
    assert known.status == "ok"
    assert unlike.metrics["macromolecule_strain"] > 3.0
    assert "macromolecules_unlike" in unlike.flags
    assert unlike.status == "doubtful"
    assert any("MM22 is" in note and "too large" in note for note in unlike.notes)


def test_lipids_of_odd_ratios_are_no_odd_macromolecules():
    lipids = line(1.28, 0.15 * MHZ, 60.0) + line(0.89, 0.14 * MHZ, 60.0)
    peaks = load_priors("default").macromolecules.peaks
    shape = 12.0 * sum(line(p.ppm, p.width * MHZ, p.ratio) for p in peaks)
    fit = fit_spectrum(brain(added=shape + lipids), metabolites(), FitSection())
    assert fit.metrics["prior_scale_background_ratio"] > fit.metrics["macromolecule_strain"]


def test_a_phantom_without_macromolecules_has_none_that_could_be_unlike():
    fit = fit_spectrum(brain(), metabolites(), FitSection())
    assert "macromolecules_unlike" not in fit.flags
