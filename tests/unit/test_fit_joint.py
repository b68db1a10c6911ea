"""Joint fit of visits: what is shared, derivatives, limits, and changes that are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mrs_pipeline.basis import Basis
from mrs_pipeline.config import FitSection
from mrs_pipeline.errors import FitError
from mrs_pipeline.fit.components import MACROMOLECULES, assemble
from mrs_pipeline.fit.engine import minimise
from mrs_pipeline.fit.joint import Visit, fit_visits
from mrs_pipeline.fit.joint_problem import JointObjective, Row, Sharing, amplitude_rows, couple, parameter_rows
from mrs_pipeline.fit.joint_uncertainty import joint_information
from mrs_pipeline.fit.objective import Objective
from mrs_pipeline.fit.priors import load_priors
from mrs_pipeline.fit.uncertainty import information
from mrs_pipeline.spectrum import Spectrum

MHZ, DWELL, POINTS = 123.2, 4e-4, 1024
LINES = {
    "NAA": [(2.008, 3.0), (2.49, 1.0), (2.67, 1.0)],
    "Cr": [(3.027, 3.0), (3.913, 2.0)],
    "GPC": [(3.212, 9.0), (3.66, 2.0)],
    "Ins": [(3.27, 1.0), (3.52, 2.0), (3.61, 2.0), (4.05, 1.0)],
    "Glu": [(2.04, 1.0), (2.12, 1.0), (2.34, 2.0), (3.75, 1.0)],
    "Gln": [(2.12, 2.0), (2.44, 2.0), (3.76, 1.0)],
}
TRUTH = {"NAA": 10.0, "Cr": 9.0, "GPC": 1.8, "Ins": 6.0, "Glu": 9.0, "Gln": 3.0}
SETTINGS = FitSection(lineshape="voigt")
FIXED = FitSection(lineshape="voigt", baseline=2.0)


def stick_basis() -> Basis:
    time = np.arange(POINTS) * DWELL
    fids = [sum(p * np.exp(2j * np.pi * (ppm - 4.65) * MHZ * time) for ppm, p in lines) for lines in LINES.values()]
    return Basis(tuple(LINES), np.array(fids), DWELL, MHZ, 4.65, te1=0.03)


def planted(noise=0.2, seed=0, gauss=5.0, hz=0.0, degrees=0.0, own_hz=0.0, **changed) -> Spectrum:
    """T2 widths at their prior means, macromolecules at their prior ratios; Glu moved by ``own_hz``."""
    priors, basis = load_priors("default"), stick_basis()
    time = np.arange(POINTS) * DWELL
    fid = np.zeros(POINTS, complex)
    for name, amount in (TRUTH | changed).items():
        moved = np.exp(2j * np.pi * own_hz * time) if name == "Glu" else 1.0
        fid += amount * basis.fid(name) * moved * np.exp(-np.pi * priors.metabolite_width(name)[0] * time)
    fid *= np.exp(-((np.pi * gauss * time) ** 2) / (4 * np.log(2)))
    spectrum = Spectrum(np.zeros(POINTS), DWELL, MHZ, 4.65)
    components = assemble(spectrum, basis, ((MACROMOLECULES, priors.macromolecules),))
    for peak in priors.macromolecules.peaks:
        decay = np.exp(-((np.pi * peak.width * MHZ * time) ** 2) / (4 * np.log(2)))
        fid += 4.0 * peak.ratio * components.fids[components.names.index(peak.name)] * decay
    rng = np.random.default_rng(seed)
    fid += noise * (rng.normal(size=POINTS) + 1j * rng.normal(size=POINTS))
    return spectrum.with_fid(fid).shifted(hz).phased(degrees)


def visits(*spectra: Spectrum) -> list[Visit]:
    return [Visit(f"v{number}", spectrum, stick_basis()) for number, spectrum in enumerate(spectra)]


@pytest.fixture(scope="module")
def problems():
    """Problems of two visits with different noise as their own fits leave them, and their parameters."""
    fitted = [minimise(planted(noise, seed), stick_basis(), FitSection())[0] for noise, seed in ((0.2, 1), (0.5, 2))]
    return [item.objective for item in fitted], [item.solution.theta for item in fitted]


@pytest.mark.parametrize("count", [2, 3, 5])
@pytest.mark.parametrize("between", [0.01, 0.3, 0.9])
def test_coupled_rows_are_independent_with_unit_variance(count, between):
    coupling = couple([Row(visit, "shift_Glu", between) for visit in range(count)])
    correlation = 1.0 - between**2
    covariance = np.full((count, count), correlation) + between**2 * np.eye(count)
    assert coupling.matrix @ covariance @ coupling.matrix.T == pytest.approx(np.eye(count), abs=1e-9)
    assert coupling.contrast.tolist() == [False] + [True] * (count - 1)


def test_rows_of_one_visit_and_loose_rows_stay_as_they_are():
    rows = [Row(0, "shift_Glu", 0.3), Row(0, "phi0", 1.0), Row(1, "shift_Glu", 0.3), Row(1, "phi0", 1.0)]
    rows.append(Row(1, "shift_Lac", 0.3))
    coupling = couple(rows)
    for position in (1, 3, 4):
        assert np.array_equal(coupling.matrix[position], np.eye(5)[position])
    assert np.flatnonzero(coupling.contrast).tolist() == [2]


def test_what_is_shared_and_what_belongs_to_the_visit(problems):
    objective = problems[0][0]
    rows = parameter_rows(objective, 0, Sharing(own=0.2, background=0.4))
    kept = {row.subject: row.between for row in rows}
    wanted = {f"{kind}_{name}": 0.2 for kind in ("shift", "width") for name in TRUTH}
    wanted |= {f"{kind}_group{number}": 0.4 for kind in ("shift", "width") for number in (1, 2)}
    wanted |= {f"shift_{name}": 0.4 for name in objective.model.components.names if name.startswith(("MM", "Lip"))}
    assert {name: value for name, value in kept.items() if value < 1.0} == wanted
    assert {"phi0", "phi1", "shift", "lorentz"} <= {name for name, value in kept.items() if value == 1.0}


def test_ratios_of_the_background_are_shared_those_of_metabolites_are_not(problems):
    rows = amplitude_rows(problems[0][0], 0, Sharing(background=0.4))
    for row in rows:
        assert row.between == (0.4 if "MM09" in row.subject or "Lip13" in row.subject else 1.0), row.subject
    assert {row.between for row in rows} == {0.4, 1.0}


def shortened(objective: Objective) -> Objective:
    """The same problem with a random shared row more, so that every term of the derivative is there."""
    rng = np.random.default_rng(3)
    rows = np.concatenate([objective.rows, 0.05 * rng.normal(size=(1, len(objective.model.components)))])
    return Objective(
        objective.model,
        rng.normal(size=objective.target.size) + objective.target * objective.noise_sd,
        objective.noise_sd,
        objective.baseline,
        objective.stiffness,
        rows,
        objective.weight,
    )


def test_joint_jacobian_equals_complex_step(problems):
    objectives, thetas = problems
    joint = JointObjective([shortened(objective) for objective in objectives], Sharing(0.3, 0.5))
    rng = np.random.default_rng(8)
    sds = np.where(np.isfinite(joint.model.sd), np.minimum(joint.model.sd, 1.0), 1.0)
    theta = np.concatenate(thetas)
    theta[joint.varying] += 0.1 * (sds * rng.normal(size=sds.size))[joint.varying]
    free = np.flatnonzero(joint.at(theta).solution.free)
    analytic = joint.jacobian(theta)

    def real_spectra(model, point):
        """Continue the real part analytically: half of S(z) plus the conjugate of S at the conjugate of z."""
        return 0.5 * (model.spectra(point) + model.spectra(point.conj()).conj())

    def projected(point):
        blocks, target = [], np.concatenate([visit.target for visit in joint.visits])
        for visit, part in zip(joint.visits, joint.split(point), strict=True):
            spectra = real_spectra(visit.model, part)
            blocks.append(visit.whiten(spectra.real) + 1j * visit.whiten(spectra.imag))
        design = np.zeros((joint.rows.shape[1], target.size), complex)
        row, start = 0, 0
        for block in blocks:
            design[row : row + block.shape[0], start : start + block.shape[1]] = block
            row, start = row + block.shape[0], start + block.shape[1]
        gram = design @ design.T + joint.rows.T @ joint.rows
        amplitudes = np.zeros(joint.rows.shape[1], complex)
        amplitudes[free] = np.linalg.solve(gram[np.ix_(free, free)], (design @ target)[free])
        return np.concatenate([target - amplitudes @ design, -joint.rows @ amplitudes])

    for column, position in list(enumerate(joint.varying))[::3]:
        direction = 1j * sds[position] * (np.arange(theta.size) == position)
        near, far = (projected(theta + step * direction).imag / step for step in (1e-3, 2e-3))
        wanted = (4.0 * near - far) / 3.0
        found = analytic[: wanted.size, column] * sds[position]
        assert np.abs(found - wanted).max() <= 1e-8 * max(np.abs(wanted).max(), 1.0), joint.model.names[position]
    prior = analytic[wanted.size :]
    assert joint.residual(theta)[wanted.size :] == pytest.approx(
        prior @ (theta - [p.mean for p in joint.model.parameters])[joint.varying], abs=1e-9
    )


def test_without_sharing_the_problem_is_the_sum_of_its_visits(problems):
    objectives, thetas = problems
    joint = JointObjective(objectives, Sharing.none())
    theta = np.concatenate(thetas)
    apart = sum(objective.cost(part) for objective, part in zip(objectives, thetas, strict=True))
    assert joint.cost(theta) == pytest.approx(apart, rel=1e-10)
    found, _ = joint_information(joint, theta)
    own = [information(objective, part) for objective, part in zip(objectives, thetas, strict=True)]
    assert np.sum(found.jacobian**2) == pytest.approx(sum(np.sum(each.jacobian**2) for each in own), rel=1e-9)
    assert np.sum(found.own**2) == pytest.approx(sum(np.sum(each.own**2) for each in own), rel=1e-9)


def test_without_sharing_the_joint_fit_is_the_fits_apart():
    fit = fit_visits(visits(planted(0.3, 1), planted(0.6, 2, Glu=10.0)), SETTINGS, Sharing.none())
    scale = np.sqrt(np.diagonal(fit.independent.covariance)).reshape(2, -1)
    assert np.abs(fit.joint.amplitudes - fit.independent.amplitudes) == pytest.approx(
        0.0 * scale, abs=0.02 * scale.max()
    )
    count = len(fit.joint.names)
    assert np.abs(fit.joint.covariance[:count, count:]).max() <= 1e-9 * np.abs(fit.joint.covariance).max()
    for name in ("Glu", "tNAA", "tCr"):
        joint, apart = (each.amount_change(name, "v0", "v1") for each in (fit.joint, fit.independent))
        assert joint.change == pytest.approx(apart.change, abs=0.03 * apart.sd)
        assert joint.sd == pytest.approx(apart.sd, rel=0.05)
        assert joint.correlation == pytest.approx(0.0, abs=1e-9)


def test_tight_sharing_makes_own_shifts_equal_and_says_where_that_does_not_suit():
    pair = visits(planted(0.2, 1, own_hz=0.4), planted(0.2, 2, own_hz=-0.2))
    apart, tight = (fit_visits(pair, FIXED, sharing) for sharing in (Sharing.none(), Sharing(own=0.0, background=0.0)))
    shifts = [[part["shift_Glu"] for part in fit.nonlinear] for fit in (apart, tight)]
    assert shifts[0][0] - shifts[0][1] > 0.2
    assert shifts[1][0] == pytest.approx(shifts[1][1], abs=1e-3)
    assert {"shift", "gauss", "phi0"} <= set(tight.nonlinear[0])
    assert apart.flags == ()
    assert "sharing_misfit" in tight.flags
    assert tight.status == "doubtful"


def test_identical_visits_do_not_change():
    spectrum = planted(0.3, 4)
    fit = fit_visits(visits(spectrum, spectrum), SETTINGS)
    assert fit.status == "ok"
    assert fit.joint.amplitudes[0] == pytest.approx(fit.joint.amplitudes[1], rel=1e-5, abs=1e-6)
    count = len(fit.joint.names)
    for matrix in (fit.joint.covariance, fit.joint.total_covariance):
        assert matrix == pytest.approx(matrix.T, rel=1e-6, abs=1e-9 * np.abs(matrix).max())
        first, second = matrix[:count, :count], matrix[count:, count:]
        assert first == pytest.approx(second, rel=1e-3, abs=1e-5 * np.abs(matrix).max())
    change = fit.joint.ratio_change("Glu", "v0", "v1")
    assert change.change == pytest.approx(0.0, abs=1e-4)
    assert change.correlation > 0.0
    assert change.low < 0.0 < change.high


def test_planted_change_comes_back_within_its_interval():
    first = planted(0.3, 5, gauss=5.0, hz=2.0)
    second = planted(0.3, 6, gauss=7.0, hz=-3.0, degrees=20.0, Glu=10.35, Ins=5.4)
    fit = fit_visits(visits(first, second), SETTINGS)
    wanted = {"Glu": 1.35 / 9, "Ins": -0.6 / 9, "tNAA": 0.0, "tCho": 0.0, "Glx": 1.35 / 9}
    for name, value in wanted.items():
        change = fit.joint.ratio_change(name, "v0", "v1")
        assert change.low <= value <= change.high, name
        assert change.change == pytest.approx(value, abs=4.0 * change.sd), name
        apart = fit.independent.ratio_change(name, "v0", "v1")
        assert change.total_sd < apart.total_sd, name


def test_a_noisy_visit_hardly_moves_a_good_one():
    good, noisy = planted(0.15, 7), planted(3.0, 8)
    alone = fit_visits(visits(good, noisy), FIXED, Sharing.none()).joint
    together = fit_visits(visits(good, noisy), FIXED).joint
    sd = np.sqrt(np.diagonal(alone.covariance)).reshape(2, -1)
    strong = [alone.names.index(name) for name in ("NAA", "Cr", "Glu", "Ins", "GPC")]
    moved = np.abs(together.amplitudes - alone.amplitudes)[0, strong]
    assert (moved < 0.5 * sd[0, strong]).all()


def test_three_visits_have_changes_that_add_up():
    three = visits(planted(0.3, 1), planted(0.4, 2, Glu=9.9), planted(0.3, 3, Glu=10.8))
    fit = fit_visits(three, FIXED)
    assert fit.joint.amplitudes.shape[0] == 3
    steps = [fit.joint.amount_change("Glu", *pair).change for pair in (("v0", "v1"), ("v1", "v2"), ("v0", "v2"))]
    assert steps[0] + steps[1] == pytest.approx(steps[2])
    assert steps[2] == pytest.approx(1.8, abs=0.6)


def test_a_visit_without_signal_is_left_out_and_said():
    rng = np.random.default_rng(0)
    noise = planted().with_fid(rng.normal(size=POINTS) + 1j * rng.normal(size=POINTS))
    fit = fit_visits(visits(planted(0.3, 1), noise, planted(0.3, 2)), FIXED)
    assert fit.joint.visits == ("v0", "v2")
    assert list(fit.left_out) == ["v1"]
    assert "visit_left_out" in fit.flags
    assert any("v1" in note for note in fit.notes)
    with pytest.raises(FitError, match="two visits"):
        fit_visits(visits(planted(0.3, 1), noise), FIXED)
    with pytest.raises(FitError, match="not in the joint fit"):
        fit.joint.amount("Glu", "v1")


def test_a_visit_whose_basis_set_cannot_be_used_is_left_out_and_said():
    good, bad, last = visits(planted(0.3, 1), planted(0.3, 2), planted(0.3, 3))
    broken = replace(bad.basis, fids=np.where(np.arange(POINTS) == 3, np.nan, bad.basis.fids))
    fit = fit_visits([good, replace(bad, basis=broken), last], FIXED)
    assert fit.joint.visits == ("v0", "v2")
    assert "not finite" in fit.left_out["v1"]


def test_a_ratio_over_nothing_has_no_finite_interval():
    fit = fit_visits(visits(planted(0.3, 1), planted(0.3, 2)), FIXED).joint
    empty = replace(fit, amplitudes=np.where(np.array(fit.names) == "Cr", 0.0, fit.amplitudes))
    assert np.isnan(empty.ratio("Glu", "v0").value)
    weak = replace(fit, total_covariance=1e4 * fit.total_covariance).ratio_change("Glu", "v0", "v1")
    assert (weak.low, weak.high) == (-np.inf, np.inf)
