"""The common lineshape: how it starts, how far it may go, and which one the evidence takes."""

import numpy as np
import pytest

from mrs_pipeline.basis import simulate_basis
from mrs_pipeline.config import FitSection
from mrs_pipeline.fit import fit_spectrum
from mrs_pipeline.fit.components import MACROMOLECULES, assemble
from mrs_pipeline.fit.engine import prepare
from mrs_pipeline.fit.lineshape import lineshape_reach
from mrs_pipeline.fit.model import lineshape_splines, make_model, spline_centres
from mrs_pipeline.fit.objective import Objective
from mrs_pipeline.fit.priors import load_priors
from mrs_pipeline.fit.solver import solve
from mrs_pipeline.fit.uncertainty import hessian_inverse, information, reaction
from mrs_pipeline.spectrum import Spectrum

MHZ, DWELL, POINTS = 127.7, 5e-4, 2048
TIME = np.arange(POINTS) * DWELL
AMOUNTS = {"NAA": 10.0, "Cr": 5.0, "PCr": 4.0, "GPC": 1.5, "Ins": 6.0, "Glu": 9.0, "Gln": 2.5}


@pytest.fixture(scope="module")
def basis():
    return simulate_basis(
        "press", te1=0.015, te2=0.015, field_mhz=MHZ, dwell=DWELL, n_points=POINTS, names=tuple(AMOUNTS)
    )


def brain(basis, exponent, snr=60.0, seed=1):
    """Metabolites with T2 of 150 ms and one common exponent of the envelope and phase, and white noise."""
    rng = np.random.default_rng(seed)
    amounts = np.array([AMOUNTS[name] for name in basis.names])
    fid = (amounts @ basis.fids) * np.exp(-TIME / 0.15 + exponent)
    sd = 27.0 / (np.pi * 8.0 * DWELL) / snr / np.sqrt(POINTS)
    fid = fid + sd * (rng.standard_normal(POINTS) + 1j * rng.standard_normal(POINTS))
    return Spectrum(fid, DWELL, MHZ, basis.reference_ppm, echo_time=0.03)


def gaussian(fwhm_hz):
    return -((np.pi * fwhm_hz * TIME) ** 2) / (4 * np.log(2))


def test_the_line_keeps_its_area_and_has_no_pedestal():
    """Every function is zero at the echo top and goes with the square of time there."""
    fine = np.array([0.0, 1e-5, 2e-5, 4e-5])
    values = lineshape_splines(fine, 7)
    assert values[:, 0] == pytest.approx(0.0, abs=1e-15)
    assert values[0, 2] / values[0, 1] == pytest.approx(4.0, rel=1e-3)
    assert values[0, 3] / values[0, 2] == pytest.approx(4.0, rel=1e-3)


def test_functions_peak_where_their_centres_are():
    peaks = TIME[np.argmax(lineshape_splines(TIME, 7), axis=1)]
    centres = spline_centres(7)
    assert centres[-1] == pytest.approx(0.4)
    assert peaks[:5] == pytest.approx(centres[:5], rel=0.25)


@pytest.mark.parametrize("shape", ["near", "asymmetric"])
def test_prior_sds_grow_with_the_cumulants_of_a_field_distribution(basis, shape):
    """Phase from the third cumulant (t^3), envelope from the second (t^2), and what eddy currents may do at once."""
    priors = load_priors("default")
    empty = brain(basis, 0.0)
    components = assemble(empty, basis, ())
    model = make_model(empty, components, priors, (0.5, 4.2), lineshape=shape, first_order=True)
    spread, reach = priors.shapes[shape], np.minimum(1.0, spline_centres(7) / priors.shapes[shape].reach_s)
    phase = [model.sd[model.index[f"eddy_{number}"]] for number in range(7)]
    envelope = [model.sd[model.index[f"envelope_{number}"]] for number in range(7)]
    assert phase == pytest.approx(np.sqrt(spread.phase_early_rad**2 + (spread.phase_late_rad * reach**3) ** 2))
    assert envelope == pytest.approx(np.sqrt(spread.envelope_early**2 + (spread.envelope_late * reach**2) ** 2))


def test_a_voigt_line_is_taken_for_one_and_a_skewed_one_is_not(basis):
    """Skewed: a third of the voxel 7 Hz away."""
    skewed = np.log((2.0 + np.exp(2j * np.pi * 7.0 * TIME)) / 3.0)
    settings = FitSection(macromolecules="none")
    plain = fit_spectrum(brain(basis, gaussian(5.0)), basis, settings)
    bent = fit_spectrum(brain(basis, gaussian(5.0) + skewed), basis, settings)
    assert plain.metrics["lineshape_gain"] < -2.0
    assert bent.metrics["lineshape_gain"] > 10.0
    for fit, tolerance in ((plain, 0.04), (bent, 0.08)):
        assert fit.combination({"Cr": 1, "PCr": 1})[0] == pytest.approx(9.0, rel=tolerance)
        assert fit.ratio("NAA")[0] == pytest.approx(10.0 / 9.0, rel=0.04)


def test_prior_sds_between_near_and_far_are_their_geometric_mean(basis):
    priors, empty = load_priors("default"), brain(basis, 0.0)
    components = assemble(empty, basis, ())
    near, far = (
        make_model(empty, components, priors, (0.5, 4.2), lineshape=shape, first_order=True)
        for shape in ("near", "asymmetric")
    )
    half = near.reaching(far, 0.5)
    assert half.sd[np.isfinite(near.sd)] == pytest.approx(np.sqrt(near.sd * far.sd)[np.isfinite(near.sd)])
    assert near.reaching(far, 0.0).parameters == near.parameters
    assert near.reaching(far, 1.0).sd == pytest.approx(far.sd)
    at = half.index["eddy_3"]
    assert half.parameters[at].upper == pytest.approx(10.0 * half.sd[at])
    assert half.parameters[half.index["shift_NAA"]] == near.parameters[near.index["shift_NAA"]]


def test_the_reach_of_the_lineshape_grows_with_the_skew_and_does_not_jump(basis):
    """A third of the voxel 0 to 8 Hz away, the same noise: what a switch would do in one step is done in many."""
    settings = FitSection(macromolecules="none", baseline=2.0)
    shares = []
    for hertz in (0.0, 2.0, 2.5, 3.0, 3.25, 3.5, 3.75, 4.0, 5.0, 8.0):
        skewed = np.log((2.0 + np.exp(2j * np.pi * hertz * TIME)) / 3.0)
        shares.append(fit_spectrum(brain(basis, gaussian(5.0) + skewed), basis, settings).metrics["lineshape_share"])
    assert shares[0] < 0.35
    assert shares[-1] > 0.75
    steps = np.diff(shares)
    assert steps.min() > -0.1
    assert steps.max() < 0.4


def test_the_reaction_to_the_data_has_the_choice_of_the_lineshape_in_it(basis):
    """Other noise moves the place of the prior, and that the amplitudes: finite differences of both fits in a row."""
    skewed = np.log((2.0 + np.exp(2j * np.pi * 2.5 * TIME)) / 3.0)
    prepared = prepare(brain(basis, gaussian(5.0) + skewed), basis, FitSection(macromolecules="none"))
    near, wide = (
        make_model(
            prepared.spectrum, prepared.components, prepared.priors, (0.5, 4.2), lineshape=shape, first_order=True
        )
        for shape in ("near", "asymmetric")
    )
    data = near.to_window(prepared.spectrum.fid).real
    rows = np.zeros((0, len(prepared.components)))

    def fitted(values, first_start, second_start):
        first = Objective(wide, values, prepared.noise, None, 0.0, rows)
        found = solve(first, first_start, tolerance=1e-13, max_evaluations=300).theta
        reach = lineshape_reach(first, found, near, prepared.noise)
        second = Objective(near.reaching(wide, reach.share), values, prepared.noise, None, 0.0, rows)
        theta = solve(second, second_start, tolerance=1e-13, max_evaluations=300).theta
        return found, reach, second, theta, second.at(theta).solution.amplitudes

    start = np.where(np.arange(near.start.size) == near.index["gauss"], 5.0, near.start)
    found, reach, second, theta, _ = fitted(data, start, start)
    problem = information(second, theta)
    inverse = hessian_inverse(problem)[1]
    direct = reaction(second, theta, problem, inverse)
    whole = reaction(second, theta, problem, inverse, reach.choice)
    rng = np.random.default_rng(7)
    moved, expected, without, places = [], [], [], []
    for _ in range(4):
        step = 0.02 * prepared.noise * rng.standard_normal(data.size)
        up, down = fitted(data + step, found, theta), fitted(data - step, found, theta)
        moved.append(up[-1] - down[-1])
        expected.append(2.0 * whole @ step)
        without.append(2.0 * direct @ step)
        places.append((up[1].share - down[1].share, 2.0 * float(reach.choice.response @ step)))
    seen, ours = np.array(places).T
    assert np.linalg.norm(ours - seen) < 0.1 * np.linalg.norm(seen)
    assert np.linalg.norm(np.subtract(moved, expected)) < 0.1 * np.linalg.norm(np.subtract(moved, without))


def test_curvature_is_the_second_derivative_of_the_model(basis):
    """Central differences of the first derivatives, contracted with the same residual."""
    priors = load_priors("default")
    spectrum = brain(basis, gaussian(5.0))
    components = assemble(spectrum, basis, ((MACROMOLECULES, priors.macromolecules),))
    model = make_model(spectrum, components, priors, (0.5, 4.2), lineshape="asymmetric", first_order=True)
    rng = np.random.default_rng(3)
    theta = model.start + np.where(np.isfinite(model.sd), model.sd, 1.0) * rng.uniform(-0.5, 0.5, model.start.size)
    amplitudes, residual = rng.uniform(0.5, 2.0, len(components)), rng.standard_normal(model.offset_hz.size)

    def slope(point):
        return model.derivatives(point, amplitudes, model.modulated(point), residual)[1] @ amplitudes

    exact = model.curvature(theta, amplitudes, model.modulated(theta), residual)
    for name in ("phi0", "phi1", "shift", "gauss", "lorentz", "eddy_0", "envelope_3", "width_group1", "shift_NAA"):
        position = model.index[name]
        step = np.zeros(theta.size)
        step[position] = 1e-4 * min(model.sd[position], 1.0)
        numeric = (slope(theta + step) - slope(theta - step)) / (2.0 * step[position])
        assert exact[position] == pytest.approx(numeric, rel=1e-4, abs=1e-5 * np.abs(numeric).max()), name
