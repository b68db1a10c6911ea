"""Invariants of the fit: changes made to a spectrum come back, and every solver reaches the same minimum."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.optimize import least_squares

from mrs_pipeline.basis import Basis
from mrs_pipeline.config import FitSection
from mrs_pipeline.fit import fit_spectrum
from mrs_pipeline.fit.engine import prepare, run
from mrs_pipeline.fit.projection import nonnegative_solve
from mrs_pipeline.fit.solver import solve
from mrs_pipeline.fit.start import find_shift_and_phase
from mrs_pipeline.spectrum import Spectrum

MHZ, DWELL, POINTS = 123.2, 4e-4, 512
LINES = {
    "NAA": [(2.008, 3.0), (2.49, 1.0), (2.67, 1.0)],
    "Cr": [(3.027, 3.0), (3.913, 2.0)],
    "GPC": [(3.212, 9.0), (3.66, 2.0)],
    "Ins": [(3.27, 1.0), (3.52, 2.0), (3.61, 2.0), (4.05, 1.0)],
    "Glu": [(2.04, 1.0), (2.12, 1.0), (2.34, 2.0), (3.75, 1.0)],
}
TRUTH = {"NAA": 11.0, "Cr": 9.0, "GPC": 1.8, "Ins": 6.0, "Glu": 9.0}
WITHOUT_MM = FitSection(macromolecules="none", lineshape="voigt")
FEW = settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def basis() -> Basis:
    time = np.arange(POINTS) * DWELL
    fids = [sum(p * np.exp(2j * np.pi * (ppm - 4.65) * MHZ * time) for ppm, p in lines) for lines in LINES.values()]
    return Basis(tuple(LINES), np.array(fids), DWELL, MHZ, 4.65, te1=0.03)


def planted(noise: float = 0.05, seed: int = 1) -> Spectrum:
    time = np.arange(POINTS) * DWELL
    fid = sum(TRUTH[name] * basis().fid(name) for name in TRUTH)
    fid = fid * np.exp(-np.pi * 1.8 * time - (np.pi * 5.0 * time) ** 2 / (4 * np.log(2)))
    rng = np.random.default_rng(seed)
    noise_fid = noise * (rng.normal(size=POINTS) + 1j * rng.normal(size=POINTS))
    return Spectrum(fid + noise_fid, DWELL, MHZ, 4.65)


def amplitudes(fit) -> dict[str, float]:
    return {name: fit.combination({name: 1.0})[0] for name in TRUTH}


@FEW
@given(st.floats(1e-6, 1e6))
def test_amplitudes_follow_the_scale(scale):
    one = amplitudes(fit_spectrum(planted(), basis(), WITHOUT_MM))
    other = amplitudes(fit_spectrum(planted().with_fid(planted().fid * scale), basis(), WITHOUT_MM))
    for name, value in one.items():
        assert other[name] == pytest.approx(value * scale, rel=1e-4)


@FEW
@given(st.floats(-12.0, 12.0), st.floats(-170.0, 170.0))
def test_shift_and_phase_are_found_whatever_they_are(hertz, degrees):
    moved = planted().shifted(hertz).phased(degrees)
    prepared = prepare(planted(), basis(), WITHOUT_MM)
    shift, phase = find_shift_and_phase(moved, prepare(moved, basis(), WITHOUT_MM).components, prepared.priors)
    assert shift == pytest.approx(hertz, abs=1.0)  # the rest is the fit's own shift
    assert np.cos(phase - np.deg2rad(degrees)) > 0.95


@FEW
@given(st.floats(1.0, 6.0))
def test_broadening_is_recovered_and_leaves_amplitudes(extra):
    plain = fit_spectrum(planted(0.01), basis(), WITHOUT_MM)
    broad = fit_spectrum(planted(0.01).broadened(gauss_hz=extra), basis(), WITHOUT_MM)
    wanted = np.hypot(plain.nonlinear["gauss"]["value"], extra)
    assert broad.nonlinear["gauss"]["value"] == pytest.approx(wanted, rel=0.05)
    for name, value in amplitudes(plain).items():
        assert amplitudes(broad)[name] == pytest.approx(value, rel=0.03), name


def test_every_strategy_reaches_the_same_minimum():
    fitted = run(prepare(planted(0.3), basis(), FitSection()), FitSection(), (0.5, 4.2))
    objective, best = fitted.objective, fitted.solution
    model, use = objective.model, objective.varying
    rng = np.random.default_rng(0)
    scale = np.where(np.isfinite(model.sd), model.sd, 1.0)
    start = best.theta.copy()
    start[use] += 0.5 * scale[use] * rng.standard_normal(use.size)
    ours = solve(objective, start, tolerance=1e-10, max_evaluations=200).cost

    def full(values):
        theta = start.copy()
        theta[use] = values
        return theta

    def cost_with(**options):
        found = least_squares(
            lambda v: objective.residual(full(v)), start[use], x_scale=scale[use], ftol=1e-10, xtol=1e-12, **options
        )
        return 2.0 * found.cost

    assert ours == pytest.approx(best.cost, rel=1e-4)
    assert cost_with(jac=lambda v: objective.jacobian(full(v)), method="lm") == pytest.approx(ours, rel=1e-5)
    assert cost_with(jac="2-point", method="trf", max_nfev=60) == pytest.approx(ours, rel=1e-5)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 15))
def test_nonnegative_solution_meets_its_optimality_conditions(seed, size):
    rng = np.random.default_rng(seed)
    design = rng.normal(size=(30, size))
    target = rng.normal(size=30)
    gram, moment = design.T @ design, design.T @ target
    found = nonnegative_solve(gram, moment, np.zeros(size, bool)).amplitudes
    slope = gram @ found - moment
    assert (found >= 0).all()
    assert slope.min() > -1e-8
    assert abs(slope @ found) < 1e-8
