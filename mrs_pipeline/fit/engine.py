"""Fit one spectrum: start, stiffness search, full fit, uncertainty, verdict."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mrs_pipeline.basis import Basis
from mrs_pipeline.config import FitSection
from mrs_pipeline.errors import FitError
from mrs_pipeline.fit.baseline import Baseline, make_baseline
from mrs_pipeline.fit.components import LIPIDS, MACROMOLECULES, METABOLITES, Components, assemble
from mrs_pipeline.fit.model import Model, make_model
from mrs_pipeline.fit.objective import Objective
from mrs_pipeline.fit.priors import PeakFamily, Priors, family_ratio_rows, load_priors, metabolite_ratio_rows
from mrs_pipeline.fit.result import FitResult
from mrs_pipeline.fit.selection import stiffness_path
from mrs_pipeline.fit.solver import Solution, solve
from mrs_pipeline.fit.start import find_shift_and_phase, noise_sd
from mrs_pipeline.fit.summary import summarise
from mrs_pipeline.spectrum import FloatArray, Spectrum

START_WIDTHS_HZ = (3.0, 6.0, 10.0, 16.0)
COARSE_DIMENSIONS_PER_PPM = 2.0
CRITERION = "aic"
LIPID_REGION_PPM = (0.5, 1.75)
CLEAN_REGION_PPM = (1.9, 4.1)
ARTEFACT_RATIO = 3.0


@dataclass(frozen=True, eq=False)
class Prepared:
    """A spectrum made ready: corrected for its start shift and phase, with its components.

    Parameters
    ----------
    spectrum
        Data after the start correction.
    components
        What is combined.
    shift_hz, phase
        Start correction that was taken out, Hz and rad.
    noise
        Noise SD of the real spectrum.
    priors
        Prior set.
    """

    spectrum: Spectrum
    components: Components
    shift_hz: float
    phase: float
    noise: float
    priors: Priors


@dataclass(frozen=True, eq=False)
class Fitted:
    """A finished minimisation with what it was run on."""

    prepared: Prepared
    objective: Objective
    solution: Solution
    ppm: tuple[float, float]
    evaluations: int


def fit_spectrum(spectrum: Spectrum, basis: Basis, settings: FitSection) -> FitResult:
    """Fit a linear combination of metabolites, macromolecules, lipids and a smooth baseline.

    Parameters
    ----------
    spectrum
        One preprocessed FID (true first point, water removed), shape ``(n_points,)``.
    basis
        Metabolite signals for the same sequence and field; resampled here.
    settings
        The ``[fit]`` section.

    Returns
    -------
    FitResult
        Amplitudes per molecule in basis units with covariances, curves, status and flags.

    Raises
    ------
    FitError
        The spectrum cannot be fitted at all: more than one FID, no signal, not finite, or a window outside its bandwidth.
    """
    prepared = prepare(spectrum, basis, settings)
    fitted = run(prepared, settings, settings.ppm)
    fitted, flags, notes = _tame_artefact(prepared, settings, fitted)
    return summarise(fitted, flags, notes)


def prepare(spectrum: Spectrum, basis: Basis, settings: FitSection) -> Prepared:
    """Check the input, assemble the components and take out a first shift and phase."""
    _check(spectrum, settings)
    priors = load_priors(settings.priors)
    components = assemble(spectrum, basis, _families(priors, settings))
    shift, phase = find_shift_and_phase(spectrum, components, priors)
    corrected = spectrum.shifted(-shift).phased(-np.rad2deg(phase))
    return Prepared(corrected, components, shift, phase, noise_sd(spectrum), priors)


def _check(spectrum: Spectrum, settings: FitSection) -> None:
    if spectrum.dims:
        raise FitError(
            f"{spectrum.fid.shape} FIDs given, one expected", remedy="combine coils and average transients first"
        )
    if not np.isfinite(spectrum.fid).all() or not np.abs(spectrum.fid).max() > 0:
        raise FitError(
            "the spectrum is empty or not finite", remedy="check the input file and the preprocessing report"
        )
    low, high = spectrum.ppm[0], spectrum.ppm[-1]
    if settings.ppm[0] >= settings.ppm[1] or settings.ppm[0] < low or settings.ppm[1] > high:
        raise FitError(
            f"the fitted window {settings.ppm} ppm is not inside the bandwidth ({low:.1f} to {high:.1f} ppm)",
            remedy="set [fit] ppm to two ascending values inside it",
        )


def _families(priors: Priors, settings: FitSection) -> tuple[tuple[int, PeakFamily], ...]:
    if settings.macromolecules == "none":
        return ()
    return ((MACROMOLECULES, priors.macromolecules), (LIPIDS, priors.lipids))


def run(prepared: Prepared, settings: FitSection, ppm: tuple[float, float]) -> Fitted:
    """Coarse fit, stiffness, full fit, stiffness again, final fit."""
    model = _model(prepared, settings, ppm)
    data = _window_data(model, prepared.spectrum)
    baseline = None if settings.baseline == "none" else make_baseline(data.size, ppm[1] - ppm[0])
    coarse = 0.0 if baseline is None else baseline.stiffness(COARSE_DIMENSIONS_PER_PPM * baseline.width_ppm)
    first = Objective(model, data, prepared.noise, baseline, coarse, np.zeros((0, len(prepared.components))))
    theta = _coarse(first)
    spent = first.evaluations
    noise = _effective_noise(first, theta, prepared.noise)
    amplitudes = first.at(theta).solution.amplitudes
    fitted: Fitted | None = None
    for tolerance in (1e-3, 1e-6):
        rows = _amplitude_rows(prepared, amplitudes)
        stiffness = _stiffness(settings, model, theta, data, noise, baseline, rows)
        objective = Objective(model, data, noise, baseline, stiffness, rows)
        solution = solve(objective, theta, tolerance=tolerance)
        theta, amplitudes = solution.theta, objective.at(solution.theta).solution.amplitudes
        spent += objective.evaluations
        fitted = Fitted(prepared, objective, solution, ppm, spent)
    assert fitted is not None
    return fitted


def _model(prepared: Prepared, settings: FitSection, ppm: tuple[float, float]) -> Model:
    lineshape = "asymmetric" if settings.lineshape == "auto" else settings.lineshape
    return make_model(
        prepared.spectrum,
        prepared.components,
        prepared.priors,
        ppm,
        lineshape=lineshape,
        first_order=settings.first_order_phase,
    )


def _window_data(model: Model, spectrum: Spectrum) -> FloatArray:
    return np.asarray(model.to_window(spectrum.fid).real)


def _coarse(objective: Objective) -> FloatArray:
    """Best of a few start widths, then the common parameters alone."""
    model = objective.model
    starts = []
    for width in START_WIDTHS_HZ:
        theta = model.start.copy()
        theta[model.index["gauss"]] = width
        starts.append(theta)
    start = min(starts, key=objective.cost)
    common = np.array([model.index[name] for name in ("phi0", "shift", "gauss")])
    return solve(objective, start, common, tolerance=1e-3, max_evaluations=25).theta


def _effective_noise(objective: Objective, theta: FloatArray, noise: float) -> float:
    """Noise SD that priors are weighed against: the larger of noise and structured misfit of the coarse fit."""
    residual = objective.at(theta).residual
    return float(noise * max(1.0, np.sqrt(np.mean(residual**2))))


def _amplitude_rows(prepared: Prepared, amplitudes: FloatArray) -> FloatArray:
    names, group = prepared.components.names, prepared.components.group
    parts = [metabolite_ratio_rows(prepared.priors, names, np.where(group == METABOLITES, amplitudes, 0.0))]
    for number, family in ((MACROMOLECULES, prepared.priors.macromolecules), (LIPIDS, prepared.priors.lipids)):
        member = group == number
        if member.any():
            parts.append(family_ratio_rows(family, names, _family_scale(family, names, np.abs(amplitudes))))
    return np.concatenate(parts)


def _family_scale(family: PeakFamily, names: tuple[str, ...], amplitudes: FloatArray) -> float:
    """Amplitude of the reference peak as the whole family suggests it."""
    total = sum(amplitudes[names.index(peak.name)] for peak in family.peaks)
    return float(total / sum(peak.ratio for peak in family.peaks))


def _stiffness(
    settings: FitSection,
    model: Model,
    theta: FloatArray,
    data: FloatArray,
    noise: float,
    baseline: Baseline | None,
    rows: FloatArray,
) -> float:
    if baseline is None:
        return 0.0
    if settings.baseline != "auto":
        return baseline.stiffness(float(settings.baseline) * baseline.width_ppm)
    return stiffness_path(model, theta, data, noise, baseline, rows).best(CRITERION)


def _tame_artefact(
    prepared: Prepared, settings: FitSection, fitted: Fitted
) -> tuple[Fitted, tuple[str, ...], tuple[str, ...]]:
    """Refit with signed lipids, then without the lipid region, when that region does not fit."""
    before = artefact_ratio(fitted)
    if before < ARTEFACT_RATIO:
        return fitted, (), ()
    signed = run(replace(prepared, components=prepared.components.with_signed(LIPIDS)), settings, settings.ppm)
    after = artefact_ratio(signed)
    if after < ARTEFACT_RATIO:
        note = f"the residual at {_span(LIPID_REGION_PPM)} was {before:.1f} times that elsewhere; lipid peaks of either sign explain it"
        return signed, ("lipid_artefact",), (note,)
    window = (LIPID_REGION_PPM[1], settings.ppm[1])
    trimmed = run(replace(prepared, components=prepared.components.without(LIPIDS)), settings, window)
    note = f"the residual at {_span(LIPID_REGION_PPM)} is {min(before, after):.1f} times that elsewhere; only {_span(window)} was fitted"
    return trimmed, ("lipid_artefact", "window_trimmed"), (note,)


def _span(ppm: tuple[float, float]) -> str:
    return f"{ppm[0]:g}-{ppm[1]:g} ppm"


def artefact_ratio(fitted: Fitted) -> float:
    """Residual in the lipid region over that between 1.9 and 4.1 ppm (root mean squares)."""
    model = fitted.objective.model
    spectrum = fitted.prepared.spectrum
    ppm = fitted.prepared.priors.pivot_ppm + model.offset_hz / spectrum.carrier_mhz
    residual = fitted.objective.at(fitted.solution.theta).residual
    inside = (ppm >= LIPID_REGION_PPM[0]) & (ppm <= LIPID_REGION_PPM[1])
    clean = (ppm >= CLEAN_REGION_PPM[0]) & (ppm <= CLEAN_REGION_PPM[1])
    if inside.sum() < 8:
        return 0.0
    return float(np.sqrt(np.mean(residual[inside] ** 2) / np.mean(residual[clean] ** 2)))
