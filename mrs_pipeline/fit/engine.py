"""Fit one spectrum: start, stiffness search, full fit, uncertainty, verdict."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cache, reduce

import numpy as np
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

from mrs_pipeline.basis import Basis
from mrs_pipeline.config import FitSection
from mrs_pipeline.errors import FitError, StudyError
from mrs_pipeline.fit.background import plan_background
from mrs_pipeline.fit.baseline import Baseline, make_baseline
from mrs_pipeline.fit.basis_check import checked_basis, require_lines, short_set
from mrs_pipeline.fit.components import (
    LIPIDS,
    MACROMOLECULES,
    METABOLITES,
    Components,
    artefact_components,
    assemble,
    seen,
)
from mrs_pipeline.fit.lineshape import LineshapeReach, lineshape_reach
from mrs_pipeline.fit.model import Model, make_model
from mrs_pipeline.fit.objective import Objective
from mrs_pipeline.fit.priors import (
    PeakFamily,
    Priors,
    capped_rows,
    family_ratio_rows,
    load_priors,
    metabolite_ratio_rows,
)
from mrs_pipeline.fit.result import FitResult
from mrs_pipeline.fit.selection import Search, no_search, stiffness_path
from mrs_pipeline.fit.solver import Solution, solve
from mrs_pipeline.fit.start import SEARCH_PPM, find_shift_and_phase, mirrored_match, noise_sd
from mrs_pipeline.fit.summary import summarise
from mrs_pipeline.fit.verdict import findings, residual
from mrs_pipeline.spectrum import WATER_PPM, FloatArray, Spectrum

LONGEST_FID_S = 0.5
START_WIDTHS_HZ = (3.0, 6.0, 10.0, 16.0)
COARSE_DIMENSIONS_PER_PPM = 2.0
CRITERION = "aic"
TOLERANCES = (1e-2, 1e-5)
"""Relative change of cost at which the first and the second full fit stop; tighter ones change nothing but the time."""
FAR_PPM = 0.02
"""Fitted shift from which a start search that ended at its limit was wrong."""
TURNED_RAD = 1.0
"""Fitted phase from which the start correction was wrong: the real part then hardly shows the lines."""
LEAST_POINTS = 32
"""Points of the fitted window below which a baseline alone explains it."""
MIRRORED = 3.0
"""How much better than the spectrum its mirror image must match the basis to be named as the reason of a failure."""
ARTEFACT_PPM = (0.6, 1.75)
ARTEFACT_LATER_PPM = 1.0
"""Where it is looked for from on in a window that starts above 0.6 ppm: beside the macromolecules at 0.9 ppm."""
ARTEFACT_SPACING_PPM = 0.12
ARTEFACT_DEPTH = 8.0
ARTEFACT_SHARE = 0.1
"""Depth under the line between 0.6 and 1.75 ppm, in noise SDs and as a share of the tallest metabolite peak, from which
a negative lipid artefact is modelled."""


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
        Prior set, with the background peaks that are modelled.
    notes
        What of the basis set is not used, and why.
    """

    spectrum: Spectrum
    components: Components
    shift_hz: float
    phase: float
    noise: float
    priors: Priors
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Fitted:
    """A finished minimisation with what it was run on.

    Parameters
    ----------
    prepared, objective, solution
        Data, problem and its solution.
    ppm
        Fitted window.
    evaluations
        Model evaluations of all stages.
    search
        What the choice of the baseline stiffness does to the amplitudes.
    lineshape
        How far from a Voigt line the spectrum asks the prior to reach; ``None`` where that was set.
    """

    prepared: Prepared
    objective: Objective
    solution: Solution
    ppm: tuple[float, float]
    evaluations: int
    search: Search
    lineshape: LineshapeReach | None = None


def fit_once(spectrum: Spectrum, basis: Basis, settings: FitSection, priors: Priors | None = None) -> FitResult:
    """Fit without sampling the uncertainty; everything else as :func:`mrs_pipeline.fit.posterior.fit_spectrum`."""
    with one_thread():
        return summarise(*minimise(spectrum, basis, settings, priors))


def minimise(
    spectrum: Spectrum, basis: Basis, settings: FitSection, priors: Priors | None = None
) -> tuple[Fitted, tuple[str, ...], tuple[str, ...]]:
    """Fit with every retry, before anything is summarised: the minimisation, its flags and their words."""
    prepared = prepare(spectrum, basis, settings, priors)
    first = run(prepared, settings, settings.ppm)
    upright = _upright(first, settings)
    fitted, flags, notes = _tame_artefact(upright.prepared, settings, upright)
    notes = (*notes, *prepared.notes, *_baseline_notes(fitted, settings))
    if upright is not first:
        flags, notes = (*flags, "refitted"), (*notes, TURNED_NOTE)
    if findings(fitted):
        fitted, flags, notes = _retry(fitted, settings, flags, notes)
    if any(finding.fatal for finding in findings(fitted)) and _is_mirrored(spectrum, fitted.prepared):
        notes = (*notes, MIRRORED_NOTE)
    return fitted, flags, notes


def _baseline_notes(fitted: Fitted, settings: FitSection) -> tuple[str, ...]:
    """Say where the baseline cannot have the dimensions that the settings ask for."""
    baseline = fitted.objective.baseline
    if baseline is None or settings.baseline == "auto":
        return ()
    asked = float(settings.baseline)
    got = baseline.dimensions(fitted.objective.stiffness) / baseline.width_ppm
    if abs(got - asked) < 0.05 * asked:
        return ()
    return (f"a baseline of {asked:g} dimensions per ppm cannot be had in this window: {got:.2g} were used",)


TURNED_NOTE = "shift and phase were far from where the fit began; it was repeated from what it found"
MIRRORED_NOTE = (
    "the mirrored spectrum matches the basis far better: the FID, or else the basis set, is probably stored as its "
    "complex conjugate"
)


def _is_mirrored(spectrum: Spectrum, prepared: Prepared) -> bool:
    spectrum = shortened(spectrum)
    return mirrored_match(spectrum, prepared.components, prepared.priors) > MIRRORED


def _upright(fitted: Fitted, settings: FitSection) -> Fitted:
    """Take a large fitted phase, or a shift beyond the start search, out of the data and fit again.

    The start search does not reach a shift beyond its range, and its phase is then anything. The fit still finds both,
    but with the lines turned out of the real part that it fits, and that heights are read from.
    """
    index, theta = fitted.objective.model.index, fitted.solution.theta
    shift, phase = float(theta[index["shift"]]), float(theta[index["phi0"]])
    before = fitted.prepared
    hertz = before.spectrum.carrier_mhz
    cut_off = abs(before.shift_hz) > 0.95 * SEARCH_PPM * hertz and abs(shift) > FAR_PPM * hertz
    if abs(phase) < TURNED_RAD and not cut_off:
        return fitted
    moved = before.spectrum.shifted(-shift).phased(-np.rad2deg(phase))
    again = replace(before, spectrum=moved, shift_hz=before.shift_hz + shift, phase=before.phase + phase)
    other = run(again, settings, settings.ppm)
    return fitted if _badness(fitted)[:2] < _badness(other)[:2] else other


def _retry(
    fitted: Fitted, settings: FitSection, flags: tuple[str, ...], notes: tuple[str, ...]
) -> tuple[Fitted, tuple[str, ...], tuple[str, ...]]:
    """Start a doubtful fit again from other shifts and phases; keep the one with least wrong, then least left over."""
    best, before = fitted, findings(fitted)
    for again in _other_starts(fitted.prepared):
        other = _upright(run(again, settings, settings.ppm), settings)
        if _badness(other) < _badness(best):
            best = other
    if best is fitted:
        return fitted, flags, notes
    note = f"the first fit was doubtful ({', '.join(finding.code for finding in before)}); another start did better"
    return best, tuple(dict.fromkeys((*flags, "refitted"))), (*notes, note)


def _badness(fitted: Fitted) -> tuple[bool, int, float]:
    """Order fits: one that failed, then the number of findings, then the residual in steps of 2 %."""
    found = findings(fitted)
    left = float(np.sqrt(np.mean(residual(fitted) ** 2)))
    return any(finding.fatal for finding in found), len(found), round(float(np.log(left)) / 0.02)


def _other_starts(prepared: Prepared) -> tuple[Prepared, ...]:
    """Prepare the same data with the best shift of a search twice and four times as wide, and with opposite phase."""
    out = []
    for max_ppm, turn in ((0.3, 0.0), (0.5, 0.0), (0.12, np.pi)):
        shift, phase = find_shift_and_phase(prepared.spectrum, prepared.components, prepared.priors, max_ppm)
        moved = prepared.spectrum.shifted(-shift).phased(-np.rad2deg(phase + turn))
        if abs(shift) > 1.0 or abs(phase + turn) > 0.3:
            out.append(
                replace(
                    prepared, spectrum=moved, shift_hz=prepared.shift_hz + shift, phase=prepared.phase + phase + turn
                )
            )
    return tuple(out)


@cache
def _threads() -> ThreadpoolController:
    """Return the handle on the linear-algebra threads."""
    return ThreadpoolController()


def one_thread() -> AbstractContextManager[None]:
    """Hold linear algebra to one thread: for matrices this small a second one only costs time."""
    return _threads().limit(limits=1, user_api="blas")  # type: ignore[no-any-return]


def prepare(spectrum: Spectrum, basis: Basis, settings: FitSection, priors: Priors | None = None) -> Prepared:
    """Check the input, assemble the components and take out a first shift and phase."""
    _check(spectrum, settings)
    priors = (priors or load_priors(settings.priors)).at_field(spectrum.carrier_mhz).within(*settings.ppm)
    basis = checked_basis(basis)
    spectrum = shortened(spectrum)
    noise = _checked_noise(spectrum)
    background = plan_background(priors, basis, settings)
    whole = assemble(spectrum, basis, background.families())
    shown = seen(whole, spectrum, *settings.ppm)
    components, unseen = whole.subset(shown), whole.subset(~shown).names
    require_lines(basis, unseen, settings.ppm)
    if not (components.group == METABOLITES).any():
        raise FitError(
            f"no metabolite of the basis has a signal between {settings.ppm[0]:g} and {settings.ppm[1]:g} ppm",
            remedy="set [fit] ppm to a window that shows some, or use another basis",
        )
    components = reduce(Components.joined, background.components(spectrum), components)
    shift, phase = find_shift_and_phase(spectrum, components, priors)
    corrected = spectrum.shifted(-shift).phased(-np.rad2deg(phase))
    notes = (*background.notes(), *short_set(basis, spectrum), *priors.field_note(spectrum.carrier_mhz))
    if unseen:
        notes = (*notes, f"the window shows nothing of {', '.join(unseen)}: left out")
    return Prepared(corrected, components, shift, phase, noise, background.priors, notes)


def shortened(spectrum: Spectrum) -> Spectrum:
    """Cut the FID where lines in vivo have decayed, and zeros that were appended to it; data and model alike.

    Zero-filled points carry no information, and the noise of neighbouring points of the spectrum would not be
    independent, which every SD relies on.
    """
    from scipy.fft import next_fast_len

    measured = int(np.flatnonzero(spectrum.fid)[-1]) + 1
    count = min(int(next_fast_len(round(LONGEST_FID_S / spectrum.dwell))), measured)
    return spectrum if count >= spectrum.n_points else spectrum.with_fid(spectrum.fid[:count])


def _check(spectrum: Spectrum, settings: FitSection) -> None:
    if settings.model == "peaks":
        raise StudyError('fit_spectrum fits basis signals, and [fit] model is "peaks"', remedy="call fit_peaks instead")
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


def _checked_noise(spectrum: Spectrum) -> float:
    noise = noise_sd(spectrum)
    if not (np.isfinite(noise) and noise > 0):
        raise FitError(
            f"no noise can be measured in {spectrum.n_points} points", remedy="give at least 256 points of the FID"
        )
    return noise


def run(prepared: Prepared, settings: FitSection, ppm: tuple[float, float]) -> Fitted:
    """Fit coarsely, then twice in full, each time at the stiffness the criterion finds.

    With ``lineshape = "auto"`` the first full fit lets the line go far from Voigt; the second holds it as close to
    Voigt as the evidence of the first says.
    """
    auto = settings.lineshape == "auto"
    model = _model(prepared, settings, ppm, "asymmetric" if auto else settings.lineshape)
    data = np.asarray(model.to_window(prepared.spectrum.fid).real)
    if data.size < LEAST_POINTS:
        raise FitError(
            f"the fitted window {ppm} ppm has {data.size} points, at least {LEAST_POINTS} are needed",
            remedy="set [fit] ppm to a wider window",
        )
    weight = water_weight(_axis(model, prepared))
    baseline = None if settings.baseline == "none" else make_baseline(data.size, ppm[1] - ppm[0], weight)
    coarse = 0.0 if baseline is None else baseline.stiffness(COARSE_DIMENSIONS_PER_PPM * baseline.width_ppm)
    none = np.zeros((0, len(prepared.components)))
    objective = Objective(model, data, prepared.noise, baseline, coarse, none, weight)
    solution = _coarse(objective)
    spent, reach = objective.evaluations, None
    for tolerance in TOLERANCES:
        theta = solution.theta
        noise = _effective_noise(objective, theta, prepared.noise)
        point = objective.at(theta)
        rows = capped_rows(_amplitude_rows(prepared, point.solution.amplitudes), point.design)
        drawn = prepared.noise / noise
        stiffness, search = _stiffness(settings, model, point.spectra.real, data, weight / noise, baseline, rows, drawn)
        objective = Objective(model, data, noise, baseline, stiffness, rows, weight)
        solution = solve(objective, theta, tolerance=tolerance)
        spent += objective.evaluations
        if auto and reach is None:
            near = _model(prepared, settings, ppm, "near")
            left = _effective_noise(objective, solution.theta, noise * 1e-3)
            reach = lineshape_reach(objective, solution.theta, near, left)
            model = near.reaching(model, reach.share)
    return Fitted(prepared, objective, solution, ppm, spent, search, reach)


def _axis(model: Model, prepared: Prepared) -> FloatArray:
    """Chemical shift of each window point in ppm."""
    return np.asarray(prepared.priors.pivot_ppm + model.offset_hz / prepared.spectrum.carrier_mhz)


def water_weight(ppm: FloatArray) -> FloatArray:
    """Weight of each point: 1 up to 4.0 ppm, falling to 0.2 at 4.2 ppm and beyond on the water side.

    Water suppression attenuates what is within about 0.6 ppm of water, and the wings of residual water are largest
    there: the basis is not expected to hold to the noise. The weight stands for that extra variance.
    """
    return np.asarray(np.interp(np.abs(ppm - WATER_PPM), [WATER_PPM - 4.2, WATER_PPM - 4.0], [0.2, 1.0]))


def _model(prepared: Prepared, settings: FitSection, ppm: tuple[float, float], lineshape: str) -> Model:
    return make_model(
        prepared.spectrum,
        prepared.components,
        prepared.priors,
        ppm,
        lineshape=lineshape,
        first_order=settings.first_order_phase,
    )


def _coarse(objective: Objective) -> Solution:
    """Best of a few start widths, then the common parameters alone."""
    model = objective.model
    starts = []
    for width in START_WIDTHS_HZ:
        theta = model.start.copy()
        theta[model.index["gauss"]] = width
        starts.append(theta)
    start = min(starts, key=objective.cost)
    common = np.array([model.index[name] for name in ("phi0", "shift", "gauss")])
    return solve(objective, start, common, tolerance=1e-2, max_evaluations=10)


def _effective_noise(objective: Objective, theta: FloatArray, noise: float) -> float:
    """Noise SD that priors are weighed against: the larger of the noise and of what the last fit left over."""
    point = objective.at(theta)
    spent = float(point.solution.free.sum())
    if objective.baseline is not None:
        spent += objective.baseline.dimensions(objective.stiffness)
    left = np.sum(point.residual**2) / max(point.residual.size - spent, 0.2 * point.residual.size)
    return float(max(noise, objective.noise_sd * np.sqrt(left)))


def _amplitude_rows(prepared: Prepared, amplitudes: FloatArray) -> FloatArray:
    names, group = prepared.components.names, prepared.components.group
    parts = [metabolite_ratio_rows(prepared.priors, names, np.where(group == METABOLITES, amplitudes, 0.0))]
    for number, family in ((MACROMOLECULES, prepared.priors.macromolecules), (LIPIDS, prepared.priors.lipids)):
        member = group == number
        if member.any():
            parts.append(family_ratio_rows(family, names, _family_scale(family, names, np.abs(amplitudes))))
    return np.concatenate(parts)


def _family_scale(family: PeakFamily, names: tuple[str, ...], amplitudes: FloatArray) -> float:
    """Amplitude of the reference peak as the peaks suggest that are surely there."""
    present = [peak for peak in family.peaks if peak.name in names and peak.certain]
    total = sum(amplitudes[names.index(peak.name)] for peak in present)
    return float(total / sum(peak.ratio for peak in present)) if present else 0.0


def _stiffness(
    settings: FitSection,
    model: Model,
    spectra: FloatArray,
    data: FloatArray,
    scale: FloatArray,
    baseline: Baseline | None,
    rows: FloatArray,
    drawn: float,
) -> tuple[float, Search]:
    """Stiffness to use, and what choosing it does to the amplitudes."""
    fixed = no_search(len(model.components))
    if baseline is None:
        return 0.0, fixed
    if settings.baseline != "auto":
        return baseline.stiffness(float(settings.baseline) * baseline.width_ppm), fixed
    path = stiffness_path(spectra, data, scale, baseline, rows, model.components.signed, drawn)
    return path.best(CRITERION), path.search(CRITERION)


def _tame_artefact(
    prepared: Prepared, settings: FitSection, fitted: Fitted
) -> tuple[Fitted, tuple[str, ...], tuple[str, ...]]:
    """Refit with bumps of either sign below 1.75 ppm where a negative lipid artefact stands, and say so."""
    low, high = ARTEFACT_PPM[0] if settings.ppm[0] <= ARTEFACT_PPM[0] else ARTEFACT_LATER_PPM, ARTEFACT_PPM[1]
    if settings.ppm[0] > low:
        return fitted, (), ()
    depth, share = artefact_depth(fitted, (low, high))
    if depth < ARTEFACT_DEPTH or share < ARTEFACT_SHARE:
        return fitted, (), ()
    again = run(replace(prepared, components=_with_bumps(prepared, (low, high))), settings, settings.ppm)
    note = (
        f"an inverted signal of {depth:.0f} noise SDs stands at {low:g}-{high:g} ppm (lipid "
        "from outside the voxel, or a subtraction error); free bumps there took it up, and macromolecules, lipids, "
        "lactate and alanine are not to be trusted"
    )
    return again, ("lipid_artefact",), (note,)


def _with_bumps(prepared: Prepared, window: tuple[float, float]) -> Components:
    centres = np.asarray(np.arange(*window, ARTEFACT_SPACING_PPM), dtype=np.float64)
    bumps = artefact_components(prepared.spectrum, centres, 2.0 * ARTEFACT_SPACING_PPM)
    return prepared.components.joined(bumps)


def artefact_depth(fitted: Fitted, window: tuple[float, float]) -> tuple[float, float]:
    """Depth of the signal in a window (ppm): in SDs of the noise that the fit found, and over the tallest peak.

    Notes
    -----
    Data minus metabolites, smoothed by the bumps alone; the straight line through its ends is the reference, so that an
    offset or tilt of the whole spectrum does not count. Macromolecules and lipids are positive: what lies below is
    neither.
    """
    model, prepared = fitted.objective.model, fitted.prepared
    ppm = _axis(model, prepared)
    point = fitted.objective.at(fitted.solution.theta)
    metabolites = np.where(model.components.group == METABOLITES, point.solution.amplitudes, 0.0)
    signal = (metabolites @ point.spectra).real
    left = model.to_window(prepared.spectrum.fid).real - signal
    inside = (ppm >= window[0]) & (ppm <= window[1])
    width = max(1, round(0.08 / float(ppm[1] - ppm[0])))
    smooth = np.convolve(left, np.ones(width) / width, mode="same")[inside]
    line = np.interp(ppm[inside], ppm[inside][[0, -1]], [np.median(smooth[:width]), np.median(smooth[-width:])])
    depth = float(-np.min(smooth - line))
    return depth / fitted.objective.noise_sd, depth / float(max(signal.max(), 1e-300))
