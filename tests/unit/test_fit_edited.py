"""The fit of difference and sum spectra: planted GABA, macromolecules, Glx; creatine of the unedited condition."""

import numpy as np
import pytest

from mrs_pipeline.basis import Editing, share_left, simulate_basis
from mrs_pipeline.config import FitSection, preset_names
from mrs_pipeline.errors import BasisError, FitError
from mrs_pipeline.fit import fit_difference, fit_spectrum, fit_sum, with_creatine
from mrs_pipeline.fit.edited import (
    difference_members,
    difference_priors,
    edited_area,
    edited_priors,
    with_sum,
)
from mrs_pipeline.fit.edited_sum import peak_share, sum_priors
from mrs_pipeline.fit.priors import Peak, load_priors
from mrs_pipeline.spectrum import Spectrum

MHZ, BANDWIDTH, POINTS = 123.2, 2000.0, 2048
NAMES = ("GABA", "Gln", "Glu", "GSH", "NAA", "NAAG", "Cr", "PCr", "GPC", "PCh", "Ins")
TRUTH = {
    "GABA": 1.6, "Gln": 2.5, "Glu": 9.0, "GSH": 1.4, "NAA": 10.5, "NAAG": 1.5, "Cr": 5.0, "PCr": 4.0, "GPC": 1.1,
    "PCh": 0.6, "Ins": 6.0,
}  # fmt: skip
T2 = {"GABA": 0.09, "Gln": 0.12, "Glu": 0.13, "GSH": 0.1, "NAA": 0.28, "NAAG": 0.15}
GAUSS = np.pi**2 / (4 * np.log(2))
T = np.arange(POINTS) / BANDWIDTH


def simulated(edit, editing=None, names=NAMES, te2=0.0552):
    return simulate_basis(
        "mega-press", te1=0.0128, te2=te2, field_mhz=MHZ, bandwidth=BANDWIDTH, n_points=POINTS, names=names, edit=edit,
        editing=editing or Editing(), linewidth_hz=1.0,
    )  # fmt: skip


@pytest.fixture(scope="module")
def difference():
    return simulated("difference")


def planted(basis, noise, seed=0, mm3=1.6, mm09=2.4, names=NAMES, truth=TRUTH, broad=6.0):
    """Basis signals with T2, two 14 Hz macromolecule peaks in GABA equivalents, lineshape, phase, shift and noise."""
    rng = np.random.default_rng(seed)
    fid = sum(truth[name] * basis.fid(name) * np.exp(-T / T2.get(name, 0.15)) for name in names)
    if mm3 or mm09:
        area = edited_area(basis, "GABA")
        for ppm, size in ((3.0, mm3), (0.93, mm09)):
            fid = fid + size * area * np.exp(2j * np.pi * (ppm - 4.65) * MHZ * T - GAUSS * (14.0 * T) ** 2)
    fid = fid * np.exp(-GAUSS * (broad * T) ** 2 + 0.2j + 2j * np.pi * 1.5 * T)
    fid = fid + noise * (rng.normal(size=POINTS) + 1j * rng.normal(size=POINTS))
    return Spectrum(fid, 1 / BANDWIDTH, MHZ, echo_time=0.068)


def test_planted_gaba_difference_comes_back(difference):
    fits = [fit_difference(planted(difference, 0.15, seed), difference, FitSection()) for seed in range(8)]
    assert {fit.status for fit in fits} == {"ok"}
    assert fits[0].names == ("GABA", "Gln", "Glu", "GSH", "NAA", "NAAG", "MM09", "MM3co", "GABA+")
    mean = {name: np.mean([fit.combination({name: 1.0})[0] for fit in fits]) for name in fits[0].names}
    glx = np.mean([fit.combination(fit.weights("Glx"))[0] for fit in fits])
    assert mean["GABA+"] == pytest.approx(3.2, rel=0.03)
    assert mean["GABA"] == pytest.approx(1.6, rel=0.08)
    assert mean["MM3co"] == pytest.approx(1.6, rel=0.08)
    assert glx == pytest.approx(11.5, rel=0.03)
    assert mean["NAA"] == pytest.approx(10.5, rel=0.03)


def test_scatter_is_that_of_the_reported_sd(difference):
    fits = [fit_difference(planted(difference, 0.4, seed), difference, FitSection()) for seed in range(25)]
    for name in ("GABA+", "Glu", "NAA"):
        found = [fit.combination({name: 1.0}) for fit in fits]
        ratio = np.mean([item[2] for item in found]) / np.std([item[0] for item in found], ddof=1)
        assert 0.6 < ratio < 1.6, name


def test_no_gaba_gives_no_gaba(difference):
    truth = {**TRUTH, "GABA": 0.0}
    fit = fit_difference(planted(difference, 0.1, mm3=0.0, mm09=0.0, truth=truth), difference, FitSection())
    value, crlb, *_ = fit.combination({"GABA+": 1.0})
    assert value < 4 * crlb + 0.1


def test_gaba_plus_is_the_sum_with_its_covariance(difference):
    fit = fit_difference(planted(difference, 0.15), difference, FitSection())
    parts = fit.combination({"GABA": 1.0, "MM3co": 1.0})
    np.testing.assert_allclose(fit.combination({"GABA+": 1.0}), parts, rtol=1e-9)
    total = fit.components["GABA"] + fit.components["MM3co"]
    np.testing.assert_allclose(fit.components["GABA+"], total)
    gaba, mm = fit.names.index("GABA"), fit.names.index("MM3co")
    assert fit.correlation[gaba, mm] < 0  # they share the 3 ppm peak
    assert fit.amplitude_sd[fit.names.index("GABA+")] < fit.amplitude_sd[gaba] + fit.amplitude_sd[mm]


def test_unedited_condition_gives_the_creatine_of_the_ratio(difference):
    off_basis = simulated("off")
    off = fit_spectrum(planted(off_basis, 0.15, mm3=0.0, mm09=0.0), off_basis, FitSection(macromolecules="none"))
    fit = fit_difference(planted(difference, 0.15), difference, FitSection())
    both = with_creatine(fit, off)
    assert both.names[-2:] == ("Cr", "PCr")
    value, sd, low, high = both.ratio({"GABA+": 1.0}, "tCr")
    assert value == pytest.approx(3.2 / 9.0, rel=0.04)
    assert low < value < high
    parts = fit.combination({"GABA+": 1.0}), off.combination(off.weights("tCr"))
    wanted = value * np.hypot(parts[0][3] / parts[0][0], parts[1][3] / parts[1][0])
    assert sd == pytest.approx(wanted, rel=1e-6)
    with pytest.raises(FitError, match="no creatine"):
        with_creatine(fit, fit)


def test_a_doubtful_unedited_fit_makes_the_ratio_doubtful(difference):
    from dataclasses import replace

    fit = fit_difference(planted(difference, 0.15), difference, FitSection())
    off = with_sum(fit, "Cr", {"NAA": 1.0})
    marked = with_creatine(fit, replace(off, status="doubtful", flags=("misfit",)))
    assert marked.status == "doubtful"
    assert "off_misfit" in marked.flags


def test_gsh_edited_difference_comes_back():
    editing = Editing(4.56, 7.5, 0.020, target="GSH")
    names = ("GSH", "NAA", "NAAG", "Lac", "Asc", "Cr", "PCr", "GABA", "GPC", "PCh")
    basis = simulated("difference", editing, names, te2=0.1072)
    truth = {**TRUTH, "Lac": 0.7, "Asc": 0.9}
    fits = [
        fit_difference(planted(basis, 0.05, seed, 0.0, 0.0, names, truth), basis, FitSection(), "GSH")
        for seed in range(4)
    ]
    assert {fit.status for fit in fits} == {"ok"}
    assert "GABA+" not in fits[0].names
    assert np.mean([fit.combination({"GSH": 1.0})[0] for fit in fits]) == pytest.approx(1.4, rel=0.08)


def test_sum_without_macromolecules_is_that_of_any_spectrum():
    basis = simulated("sum")
    fit = fit_sum(planted(basis, 0.2, mm3=0.0, mm09=0.0), basis, FitSection(macromolecules="none"), Editing())
    assert fit.combination(fit.weights("tCr"))[0] == pytest.approx(9.0, rel=0.04)
    assert fit.combination(fit.weights("tNAA"))[0] == pytest.approx(12.0, rel=0.06)


def test_planted_macromolecules_of_the_sum_come_back_in_units_of_one_condition():
    """Profiles of the default set with what each pulse cuts out: the whole set is twice that of one scan."""
    basis, family = simulated("sum"), load_priors("default").macromolecules
    fid = planted(basis, 0.2, mm3=0.0, mm09=0.0).fid
    hertz = np.fft.fftfreq(4 * T.size, T[1] - T[0])
    left = sum(share_left(Editing(), half, 4.65 + hertz / MHZ, MHZ) for half in ("on", "off"))
    for peak in family.peaks:
        profile = np.exp(-4 * np.log(2) * ((hertz - (peak.ppm - 4.65) * MHZ) / (peak.width * MHZ)) ** 2)
        line = np.fft.fft(np.conj(left * profile / profile.sum())).conj()[: T.size]
        fid = fid + 2.0 * peak.ratio * family.protons * line * np.exp(0.2j + 2j * np.pi * 1.5 * T)
    fit = fit_sum(Spectrum(fid, 1 / BANDWIDTH, MHZ, echo_time=0.068), basis, FitSection(), Editing())
    assert fit.combination({"MM09": 1.0})[0] == pytest.approx(2.0, rel=0.1)
    assert fit.combination(fit.weights("tCr"))[0] == pytest.approx(9.0, rel=0.04)
    assert fit.combination(fit.weights("tNAA"))[0] == pytest.approx(12.0, rel=0.06)
    assert fit.combination(fit.weights("Glx"))[0] == pytest.approx(11.5, rel=0.12)


def test_macromolecules_near_the_pulse_are_expected_half_in_the_sum():
    usual, known = load_priors("default"), sum_priors(load_priors("default"), Editing(), MHZ)
    before, after = ({peak.name: peak for peak in priors.macromolecules.peaks} for priors in (usual, known))
    left = {name: after[name].ratio / before[name].ratio for name in before}
    assert left["MM20"] == pytest.approx(0.5, abs=0.03)
    assert left["MM17"] == pytest.approx(0.56, abs=0.03)
    assert left["MM22"] == pytest.approx(0.66, abs=0.03)
    assert all(left[name] == pytest.approx(1.0, abs=0.01) for name in ("MM09", "MM30", "MM32", "MM37", "MM40"))
    assert left["MM12"] == pytest.approx(0.97, abs=0.01)
    assert after["MM20"].sd == pytest.approx(
        np.hypot(0.5 * before["MM20"].sd, 0.5 * before["MM20"].ratio * 0.5), rel=0.05
    )
    assert after["MM30"].sd == pytest.approx(before["MM30"].sd, rel=0.05)
    assert known.macromolecules.protons == 2 * usual.macromolecules.protons
    assert known.ratios == usual.ratios


def test_a_symmetric_pulse_also_takes_what_lies_at_it():
    shares = [peak_share(Peak("MM14", 1.40, 0.15, 0.7, 0.25), Editing(1.9, off, 0.020), MHZ) for off in (7.5, 1.5)]
    assert shares[0] > 0.95
    assert shares[1] == pytest.approx(0.5, abs=0.1)


def test_measured_macromolecules_of_one_condition_are_not_those_of_the_sum():
    basis = simulated("sum")
    settings = FitSection(macromolecules="measured", macromolecule_file="of-one-condition.nii.gz")
    fit = fit_sum(planted(basis, 0.2, mm3=0.0, mm09=0.0), basis, settings, Editing())
    assert "MM20" in fit.names
    assert any("macromolecules given are those of one condition" in note for note in fit.notes)


def test_members_that_editing_cancels_are_left_out(difference):
    assert difference_members(difference, ()).names == ("GABA", "Gln", "Glu", "GSH", "NAA", "NAAG")
    with pytest.raises(BasisError, match="no difference signal"):
        difference_members(difference.select(["Cr", "Ins"]), ())


def test_symmetric_suppression_takes_the_macromolecules_out_of_the_prior(difference):
    known = edited_priors("GABA")
    usual, suppressed = (difference_priors(load_priors("default"), known, difference, off) for off in (7.5, 1.5))
    assert [peak.ratio for peak in usual.macromolecules.peaks] == [1.0, 0.67]
    assert [peak.ratio for peak in suppressed.macromolecules.peaks] == [1.0, 0.0]
    assert usual.macromolecules.protons == pytest.approx(edited_area(difference, "GABA"))


def test_area_of_a_whole_spectrum_is_its_first_point():
    basis = simulate_basis("pulse-acquire", bandwidth=BANDWIDTH, names=["Cr"], linewidth_hz=2.0)
    assert edited_area(basis, "Cr", (-100.0, 100.0)) == pytest.approx(5.0, rel=1e-6)


@pytest.mark.parametrize("name", preset_names("editing"))
def test_presets_are_complete(name):
    known = edited_priors(name)
    assert known.ppm[0] < known.ppm[1]
    assert all(sd > 0 for _, sd in known.table["ratios"]["value"].values())
    assert edited_priors("something else").table["title"] == edited_priors("other").table["title"]
