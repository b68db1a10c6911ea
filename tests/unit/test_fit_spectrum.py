"""The fit on spectra with known content, and its derivatives."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mrs_pipeline.basis import Basis, load_basis
from mrs_pipeline.config import FitSection, PreprocessSection
from mrs_pipeline.errors import FitError, InputError
from mrs_pipeline.fit import fit_spectrum, read_fit, uncertainty, write_fit
from mrs_pipeline.fit.baseline import make_baseline
from mrs_pipeline.fit.components import MACROMOLECULES, assemble
from mrs_pipeline.fit.engine import prepare
from mrs_pipeline.fit.model import lineshape_splines, make_model
from mrs_pipeline.fit.objective import Objective
from mrs_pipeline.fit.priors import load_priors
from mrs_pipeline.fit.result import fieller
from mrs_pipeline.fit.start import noise_sd
from mrs_pipeline.nifti_mrs import NiftiMrs, read
from mrs_pipeline.preprocess import preprocess
from mrs_pipeline.spectrum import Spectrum

SHARED = Path(__file__).parents[3] / "shared" / "data"
MHZ, DWELL, POINTS = 123.2, 4e-4, 1024
# rough positions (ppm, protons): enough structure to tell the molecules apart
LINES = {
    "NAA": [(2.008, 3.0), (2.49, 1.0), (2.67, 1.0)],
    "Cr": [(3.027, 3.0), (3.913, 2.0)],
    "PCr": [(3.029, 3.0), (3.930, 2.0)],
    "GPC": [(3.212, 9.0), (3.66, 2.0)],
    "Ins": [(3.27, 1.0), (3.52, 2.0), (3.61, 2.0), (4.05, 1.0)],
    "Glu": [(2.04, 1.0), (2.12, 1.0), (2.34, 2.0), (3.75, 1.0)],
    "Gln": [(2.12, 2.0), (2.44, 2.0), (3.76, 1.0)],
}
TRUTH = {"NAA": 10.0, "Cr": 5.0, "PCr": 4.0, "GPC": 1.8, "Ins": 6.0, "Glu": 9.0, "Gln": 3.0}


def stick_basis() -> Basis:
    time = np.arange(POINTS) * DWELL
    fids = [sum(p * np.exp(2j * np.pi * (ppm - 4.65) * MHZ * time) for ppm, p in lines) for lines in LINES.values()]
    return Basis(tuple(LINES), np.array(fids), DWELL, MHZ, 4.65, te1=0.03)


def planted(noise: float = 0.0, seed: int = 0, hz: float = 0.0, degrees: float = 0.0, gauss: float = 5.0) -> Spectrum:
    """Signal of the fit's own default model: T2 widths at their prior means, macromolecules at their prior ratios."""
    priors, basis = load_priors("default"), stick_basis()
    time = np.arange(POINTS) * DWELL
    fid = np.zeros(POINTS, complex)
    for name, amount in TRUTH.items():
        fid += amount * basis.fid(name) * np.exp(-np.pi * priors.metabolite_width(name)[0] * time)
    fid *= np.exp(-((np.pi * gauss * time) ** 2) / (4 * np.log(2)))
    spectrum = Spectrum(np.zeros(POINTS), DWELL, MHZ, 4.65)
    components = assemble(spectrum, basis, ((MACROMOLECULES, priors.macromolecules),))
    for peak in priors.macromolecules.peaks:
        decay = np.exp(-((np.pi * peak.width * MHZ * time) ** 2) / (4 * np.log(2)))
        fid += 4.0 * peak.ratio * components.fids[components.names.index(peak.name)] * decay
    rng = np.random.default_rng(seed)
    fid += noise * (rng.normal(size=POINTS) + 1j * rng.normal(size=POINTS))
    return spectrum.with_fid(fid).shifted(hz).phased(degrees)


def objective_at_prior() -> tuple[Objective, np.ndarray]:
    whole = planted(0.5)
    short = Spectrum(whole.fid[:256], whole.dwell, whole.carrier_mhz, whole.reference_ppm)
    prepared = prepare(short, stick_basis(), FitSection())
    model = make_model(
        prepared.spectrum, prepared.components, prepared.priors, (0.5, 4.2), lineshape="asymmetric", first_order=True
    )
    data = model.to_window(prepared.spectrum.fid).real
    baseline = make_baseline(data.size, 3.7)
    rows = np.random.default_rng(3).normal(size=(2, len(model.components))) * 0.01
    objective = Objective(model, data, prepared.noise, baseline, baseline.stiffness(6.0), rows)
    theta = model.start + 0.2 * np.where(np.isfinite(model.sd), np.minimum(model.sd, 1.0), 1.0)
    return objective, np.where(model.sd > 1e-8, theta, model.start)


def real_spectra(model, theta):
    """Real parts of the spectra by cosines and sines alone, so that complex parameters continue them analytically."""
    at = {name: theta[position] for name, position in model.index.items()}
    t, out = model.time, []
    splines = lineshape_splines(t, 7)
    n_fft = 2 * t.size
    angle = 2 * np.pi * np.outer(np.arange(t.size), np.arange(*model.bins) - n_fft // 2) / n_fft
    turn = at["phi0"] + 2 * np.pi * at["phi1"] * model.offset_hz
    for name, fid, group, width in zip(
        model.components.names, model.components.fids, model.components.group, model.components.width, strict=True
    ):
        hertz = at["shift"] + at[f"shift_{name}"] + (at[f"shift_group{group}"] if group else 0.0)
        if group:
            decay = (np.pi * width * t) ** 2 / (4 * np.log(2)) * at[f"width_group{group}"] ** 2
        else:
            decay = np.pi * (at["lorentz"] + at[f"width_{name}"]) * t + (np.pi * at["gauss"] * t) ** 2 / (4 * np.log(2))
        decay = decay + sum(at[f"envelope_{number}"] * splines[number] for number in range(7))
        skewed = sum(at[f"eddy_{number}"] * splines[number] for number in range(7))
        turned = 2 * np.pi * hertz * t + skewed
        real, imag = np.exp(-decay) * np.cos(turned), np.exp(-decay) * np.sin(turned)
        real, imag = fid.real * real - fid.imag * imag, fid.imag * real + fid.real * imag
        in_phase = real @ np.cos(angle) + imag @ np.sin(angle)
        quadrature = imag @ np.cos(angle) - real @ np.sin(angle)
        out.append(np.cos(turn) * in_phase - np.sin(turn) * quadrature)
    return np.array(out)


def test_forward_model_equals_its_equation():
    objective, theta = objective_at_prior()
    assert objective.model.spectra(theta).real == pytest.approx(real_spectra(objective.model, theta), abs=1e-8)


def test_jacobian_equals_complex_step():
    objective, theta = objective_at_prior()
    model, free = objective.model, objective.at(theta).solution.free
    analytic = objective.jacobian(theta)
    index, step = np.flatnonzero(free), 1e-30

    def projected(point):
        spectra = real_spectra(model, point)
        design = objective.whiten(spectra.real) + 1j * objective.whiten(spectra.imag)
        gram = design @ design.T + objective.rows.T @ objective.rows
        amplitudes = np.zeros(free.size, complex)
        amplitudes[index] = np.linalg.solve(gram[np.ix_(index, index)], (design @ objective.target)[index])
        return np.concatenate([objective.target - amplitudes @ design, -objective.rows @ amplitudes])

    for column, position in enumerate(objective.varying):
        moved = theta.astype(complex)
        moved[position] += 1j * step
        wanted = projected(moved).imag / step
        found = analytic[: wanted.size, column]
        assert np.abs(found - wanted).max() <= 1e-8 * max(np.abs(wanted).max(), 1.0), model.names[position]


def test_planted_amplitudes_come_back():
    fit = fit_spectrum(planted(0.02), stick_basis(), FitSection(lineshape="gaussian"))
    assert fit.status == "ok"
    for name, wanted in TRUTH.items():
        if name not in {"Cr", "PCr"}:
            assert fit.combination({name: 1.0})[0] == pytest.approx(wanted, rel=0.03), name
    assert fit.combination({"Cr": 1.0, "PCr": 1.0})[0] == pytest.approx(9.0, rel=0.02)
    assert fit.nonlinear["gauss"]["value"] == pytest.approx(5.0, abs=0.15)


@pytest.mark.parametrize("low", [1.0, 1.8, 2.4])
def test_the_window_may_leave_lipids_out(low):
    fit = fit_spectrum(planted(0.05), stick_basis(), FitSection(ppm=(low, 4.2)))
    assert fit.ppm[0] == pytest.approx(low, abs=0.02)
    assert fit.combination({"Cr": 1.0, "PCr": 1.0})[0] == pytest.approx(9.0, rel=0.05)
    assert fit.ratio("Ins")[0] == pytest.approx(6.0 / 9.0, rel=0.05)


@pytest.mark.parametrize(("hz", "degrees"), [(6.0, 40.0), (-9.0, 150.0), (3.0, -100.0)])
def test_shift_and_phase_do_not_matter(hz, degrees):
    basis, settings = stick_basis(), FitSection(lineshape="gaussian")
    plain = fit_spectrum(planted(0.1), basis, settings)
    moved = fit_spectrum(planted(0.1, hz=hz, degrees=degrees), basis, settings)
    for name in TRUTH:
        assert moved.combination({name: 1.0})[0] == pytest.approx(plain.combination({name: 1.0})[0], abs=0.1), name
    shift = moved.nonlinear["start_shift"]["value"] + moved.nonlinear["shift"]["value"]
    reference = plain.nonlinear["start_shift"]["value"] + plain.nonlinear["shift"]["value"]
    assert shift - reference == pytest.approx(hz, abs=0.05)


def test_amplitudes_scale_with_the_signal():
    basis, spectrum = stick_basis(), planted(0.2)
    one = fit_spectrum(spectrum, basis, FitSection())
    small = fit_spectrum(spectrum.with_fid(spectrum.fid * 1e-7), basis, FitSection())
    assert small.amplitudes == pytest.approx(one.amplitudes * 1e-7, rel=1e-4, abs=1e-9)
    assert small.amplitude_sd == pytest.approx(one.amplitude_sd * 1e-7, rel=1e-3)


def test_noise_sd_is_that_of_the_real_spectrum():
    rng = np.random.default_rng(5)
    fid = rng.normal(size=4096) + 1j * rng.normal(size=4096)
    assert noise_sd(Spectrum(fid, 2.5e-4, MHZ)) == pytest.approx(np.sqrt(4096), rel=0.1)


@pytest.mark.parametrize("low", [0.5, 0.8, 1.0])
def test_large_inverted_lipid_artefact_is_flagged_and_spares_glutamate(low):
    clean, settings = planted(0.1), FitSection(ppm=(low, 4.2))
    assert "lipid_artefact" not in fit_spectrum(clean, stick_basis(), settings).flags
    time = clean.time
    artefact = -60.0 * np.exp(2j * np.pi * (1.2 - 4.65) * MHZ * time - (np.pi * 25 * time) ** 2 / 4)
    spoilt = clean.with_fid(clean.fid + artefact)
    fit = fit_spectrum(spoilt, stick_basis(), settings)
    assert "lipid_artefact" in fit.flags
    assert fit.status == "doubtful"
    assert fit.ratio("Glu")[0] == pytest.approx(1.0, rel=0.1)
    assert fit.ratio("tNAA")[0] == pytest.approx(10 / 9, rel=0.1)


def test_errors_of_the_basis_are_in_the_total_uncertainty_alone():
    """Cr and PCr together are singlets, exact to 1 %; Glu is coupled, and off by what its prior says."""
    spectrum, basis, priors = planted(0.02, seed=5), stick_basis(), load_priors("default")
    doubted = replace(priors, basis_error={**priors.basis_error, "Glu": 0.2})
    exact, usual, worse = (
        fit_spectrum(spectrum, basis, FitSection(), prior)
        for prior in (replace(priors, basis_default=0.0, basis_error={}), priors, doubted)
    )
    row = exact.names.index("Glu")
    for fit in (usual, worse):
        np.testing.assert_array_equal(fit.amplitudes, exact.amplitudes)
        np.testing.assert_array_equal(fit.amplitude_sd, exact.amplitude_sd)
        assert np.all(fit.total_sd >= exact.total_sd)
    added = [
        np.sqrt(fit.total_sd[row] ** 2 - exact.total_sd[row] ** 2) / exact.amplitudes[row] for fit in (usual, worse)
    ]
    assert 0.02 < added[0] < 0.2
    assert added[1] > 2.0 * added[0]


def test_strained_macromolecules_scale_what_is_no_noise(monkeypatch):
    """Birge 1932: deviations from the priors are multiplied; errors of basis and baseline only by more than one."""
    spectrum, basis, priors = planted(0.02, seed=5), stick_basis(), load_priors("default")
    exact = replace(priors, basis_default=0.0, basis_error={})
    totals = {}
    for scale in (0.5, 1.0, 2.0, 3.0):
        monkeypatch.setattr(uncertainty, "strain", lambda *_, scale=scale: scale)
        totals[scale] = [
            fit_spectrum(spectrum, basis, FitSection(), prior).total_covariance for prior in (exact, priors)
        ]
    added = {scale: usual - without for scale, (without, usual) in totals.items()}
    both = totals[2.0][0] - totals[1.0][0]  # with the choice of stiffness, which is scaled upwards only
    rest = 2.0 * (totals[1.0][0] - totals[0.5][0])
    close = {"rtol": 1e-6, "atol": 1e-9 * both.max()}
    np.testing.assert_allclose(added[0.5], added[1.0], **close)
    np.testing.assert_allclose(added[3.0], 3.0 * added[1.0], **close)
    np.testing.assert_allclose(totals[3.0][0] - totals[2.0][0], both, **close)
    assert np.all(np.diagonal(both) >= np.diagonal(rest) * (1 - 1e-9))
    assert np.all(np.diagonal(rest) > 0)


def test_a_peak_may_have_a_shift_of_its_own_uncertainty():
    spectrum, priors = planted(0.02), load_priors("default")
    model = prepare(spectrum, stick_basis(), FitSection()).components
    parameters = make_model(spectrum, model, priors, (0.5, 4.2), lineshape="voigt", first_order=True)
    sd = dict(zip(parameters.names, parameters.sd / MHZ, strict=True))
    assert sd["shift_MM37"] == pytest.approx(0.018)
    assert sd["shift_MM20"] == pytest.approx(priors.macromolecules.shift_sd_ppm)
    assert sd["width_NAA"] * MHZ == pytest.approx(0.12 / (np.pi * 0.300))


def test_files_round_trip(tmp_path):
    spectrum = planted(0.1)
    fit = fit_spectrum(spectrum, stick_basis(), FitSection())
    write_fit(fit, tmp_path / "fit.json", tmp_path / "fit.nii.gz", NiftiMrs(spectrum))
    back = read_fit(tmp_path / "fit.json", tmp_path / "fit.nii.gz")
    assert back.names == fit.names
    assert np.array_equal(back.amplitudes, fit.amplitudes)
    assert back.ratio("Glx") == fit.ratio("Glx")
    scale = np.abs(fit.data).max()
    for name in ("data", "model", "baseline", "residual"):
        assert getattr(back, name) == pytest.approx(getattr(fit, name), abs=1e-5 * scale)
    assert back.components["Glu"] == pytest.approx(fit.components["Glu"], abs=1e-5 * scale)
    assert back.nonlinear == fit.nonlinear
    assert (back.status, back.flags, back.notes) == (fit.status, fit.flags, fit.notes)


def test_a_broken_fit_file_names_itself(tmp_path):
    (tmp_path / "fit.json").write_text("{}")
    with pytest.raises(InputError, match=r"fit\.json"):
        read_fit(tmp_path / "fit.json", tmp_path / "fit.nii.gz")


def test_combination_uses_the_covariance():
    fit = fit_spectrum(planted(0.5), stick_basis(), FitSection())
    value, _, sd, _ = fit.combination({"Cr": 1.0, "PCr": 1.0})
    i, j = fit.names.index("Cr"), fit.names.index("PCr")
    assert value == pytest.approx(fit.amplitudes[i] + fit.amplitudes[j])
    total = fit.covariance[i, i] + fit.covariance[j, j] + 2 * fit.covariance[i, j]
    assert sd == pytest.approx(np.sqrt(total))
    assert fit.correlation[i, j] < -0.1


def test_fieller_limits_solve_their_equation():
    q, sd, low, high = fieller(3.0, 2.0, 0.04, 0.09, 0.01, 0.95)
    assert (q, low < q < high) == (1.5, True)
    assert sd == pytest.approx(np.sqrt(0.04 - 2 * 1.5 * 0.01 + 1.5**2 * 0.09) / 2)
    for limit in (low, high):
        spread = np.sqrt(0.04 - 2 * limit * 0.01 + limit**2 * 0.09)
        assert abs(3.0 - limit * 2.0) / spread == pytest.approx(1.959964, rel=1e-5)
    assert fieller(1.0, 0.1, 0.01, 0.01, 0.0, 0.95)[2:] == (float("-inf"), float("inf"))


@pytest.mark.parametrize(
    ("spectrum", "settings", "words"),
    [
        (planted().with_fid(np.zeros(POINTS)), FitSection(), "empty"),
        (planted().with_fid(np.full(POINTS, np.nan)), FitSection(), "not finite"),
        (replace(planted(), dims=("DIM_DYN",), fid=planted().fid[None]), FitSection(), "average"),
        (planted(), FitSection(ppm=(-20.0, 4.2)), "bandwidth"),
        (planted().with_fid(planted().fid[:48]), FitSection(), "no noise can be measured in 48 points"),
    ],
)
def test_unusable_input_is_an_error_in_words(spectrum, settings, words):
    with pytest.raises(FitError, match=words):
        fit_spectrum(spectrum, stick_basis(), settings)


@pytest.mark.shared_data
@pytest.mark.skipif(not SHARED.is_dir(), reason="needs ../shared/data")
def test_strong_residual_water_and_an_inverted_lipid_still_give_naa(tmp_path):
    folder = SHARED / "philips_te35_sub-01"
    spectra = {}
    for kind in ("act", "ref"):
        name = f"sub-01_PRESS_35_{kind}"
        command = [Path(sys.executable).with_name("spec2nii"), "philips", "-o", tmp_path, "-f", kind]
        subprocess.run([*command, folder / f"{name}.sdat", folder / f"{name}.spar"], check=True, capture_output=True)
        spectra[kind] = read(tmp_path / f"{kind}.nii.gz").spectrum
    clean = preprocess(spectra["act"], spectra["ref"], None, PreprocessSection()).spectrum
    fit = fit_spectrum(clean, load_basis(SHARED / "basis" / "3T_PRESS_Philips_35ms_noMM.BASIS"), FitSection())
    assert 1.2 <= fit.ratio("tNAA")[0] <= 1.8
    assert "lipid_artefact" in fit.flags
    middle = (fit.ppm > 2.0) & (fit.ppm < 4.0)
    assert np.sqrt(np.mean(fit.residual.real[middle] ** 2)) < 0.02 * fit.data.real[middle].max()
