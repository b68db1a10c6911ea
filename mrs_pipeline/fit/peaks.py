"""Fit a sum of peaks with prior knowledge: phantoms, long echo times and other nuclei."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from mrs_pipeline.config import FitSection
from mrs_pipeline.errors import FitError
from mrs_pipeline.fit.baseline import make_baseline
from mrs_pipeline.fit.engine import one_thread
from mrs_pipeline.fit.objective import Objective
from mrs_pipeline.fit.peaks_model import PeakModel, expansion, make_peak_model, owners
from mrs_pipeline.fit.peaks_table import PeakTable, load_peaks
from mrs_pipeline.fit.result import FitResult
from mrs_pipeline.fit.solver import Solution, solve
from mrs_pipeline.fit.start import noise_sd
from mrs_pipeline.spectrum import FloatArray, Spectrum

START_STEP_SHARE = 0.5
"""Grid of start shifts in units of the narrowest start width."""
BEGIN_STARTS = (0.0, -1.0, 1.0, -2.0, 2.0)
"""Begin times tried, in prior SDs."""
KEPT_STARTS = 3
EDGE_SHARE = 0.04
"""Share of the band at either end where receiver filters fall off."""
CLEARLY_QUIETER = 0.8
MAX_EVALUATIONS = 300
LEAST_POINTS = 64
"""Points of the FID below which no peak is told from another."""


@dataclass(frozen=True, eq=False)
class FittedPeaks:
    """A finished minimisation with what it was run on.

    Parameters
    ----------
    spectrum
        Data after the start shift was taken out.
    table
        Prior knowledge.
    objective, solution
        Problem and solution.
    model
        The objective's model.
    shift_hz
        Start shift that was taken out.
    noise
        Noise SD of the real spectrum.
    evaluations
        Model evaluations of all stages.
    notes
        What the reader should know about the input.
    """

    spectrum: Spectrum
    table: PeakTable
    objective: Objective
    solution: Solution
    model: PeakModel
    shift_hz: float
    noise: float
    evaluations: int
    notes: tuple[str, ...] = ()

    @property
    def amplitudes(self) -> FloatArray:
        """Amplitudes of all peaks, those held by exact ratios included, shape ``(peaks,)``."""
        free = self.objective.at(self.solution.theta).solution.amplitudes
        return np.asarray(expansion(self.table) @ free)


def fit_peaks(spectrum: Spectrum, settings: FitSection, table: PeakTable | None = None) -> FitResult:
    """Fit a sum of peaks.

    Parameters
    ----------
    spectrum
        One preprocessed FID, shape ``(n_points,)``, of any nucleus.
    settings
        The ``[fit]`` section: ``peaks``, ``baseline`` (a number of dimensions per ppm adds a spline), ``ppm`` where the
        table states no window.
    table
        Prior knowledge; ``None``: ``settings.peaks``.

    Returns
    -------
    FitResult
        Amplitude per molecule (signal at time 0 over the number of nuclei), the same type as of ``fit_spectrum``.

    Raises
    ------
    FitError
        The spectrum cannot be fitted at all, or the table is for another nucleus.
    """
    from mrs_pipeline.fit.peaks_result import findings, summarise

    table = table or load_peaks(settings.peaks)
    ppm, notes = _window(spectrum, table, settings)
    _check(spectrum, table)
    best: FittedPeaks | None = None
    refitted = False
    with one_thread():
        for start in starts(spectrum, table, ppm):
            fitted = _run(spectrum, table, settings, ppm, start, notes)
            refitted = best is not None and fitted.solution.cost < best.solution.cost
            best = fitted if best is None or refitted else best
            if not findings(best):
                break
        if best is None:
            raise FitError("no start was found", remedy="check the spectrum and the table of peaks")
        return summarise(best, ("refitted",) if refitted else ())


def _check(spectrum: Spectrum, table: PeakTable) -> None:
    if spectrum.dims:
        raise FitError(
            f"{spectrum.fid.shape} FIDs given, one expected", remedy="combine coils and average transients first"
        )
    if not np.isfinite(spectrum.fid).all() or not np.abs(spectrum.fid).max() > 0:
        raise FitError(
            "the spectrum is empty or not finite", remedy="check the input file and the preprocessing report"
        )
    if table.nucleus != spectrum.nucleus:
        raise FitError(
            f"the table of peaks is for {table.nucleus}, the scan is of {spectrum.nucleus}",
            remedy=f"set [fit] peaks to a table with nucleus = '{spectrum.nucleus}'",
        )
    if spectrum.n_points < LEAST_POINTS + table.skip:
        raise FitError(
            f"{spectrum.n_points} points given, the table skips {table.skip}; {LEAST_POINTS} are needed at least",
            remedy="give the whole FID, or lower skip in the table of peaks",
        )
    noise = peak_noise(spectrum, table)
    if not (np.isfinite(noise) and noise > 0):
        raise FitError(
            f"no noise can be measured in {spectrum.n_points} points", remedy="give at least 256 points of the FID"
        )


def _window(spectrum: Spectrum, table: PeakTable, settings: FitSection) -> tuple[tuple[float, float], tuple[str, ...]]:
    """Return the fitted window inside the band, and what was cut off."""
    wanted = table.ppm or settings.ppm
    low, high = max(wanted[0], float(spectrum.ppm[0])), min(wanted[1], float(spectrum.ppm[-1]))
    outside = [line.name for line in table.lines if not low <= line.ppm <= high]
    if not low < high or table.reference in outside:
        raise FitError(
            f"the window {wanted} ppm or the peak {table.reference} is not inside the bandwidth "
            f"({spectrum.ppm[0]:.1f} to {spectrum.ppm[-1]:.1f} ppm)",
            remedy="check reference frequency and nucleus of the file, or ppm in the table of peaks",
        )
    if outside:
        raise FitError(
            f"{', '.join(outside)} of the table of peaks lie outside the fitted window ({low:.1f} to {high:.1f} ppm)",
            remedy="take them out of the table, or widen its ppm where the bandwidth allows it",
        )
    if (low, high) == wanted:
        return wanted, ()
    return (low, high), (f"the fitted window was cut to the bandwidth: {low:.2f} to {high:.2f} ppm",)


def peak_noise(spectrum: Spectrum, table: PeakTable) -> float:
    """Estimate the noise SD of the real spectrum.

    Notes
    -----
    Taken in the widest stretch of the band without a peak of the table; where the last tenth of the FID is clearly
    quieter than that, the stretch holds tails of strong lines, and the FID's end counts.
    """
    margin = EDGE_SHARE * float(spectrum.ppm[-1] - spectrum.ppm[0])
    low, high = float(spectrum.ppm[0]) + margin, float(spectrum.ppm[-1]) - margin
    places = [line.ppm for line in table.lines if low < line.ppm < high]
    gaps = list(pairwise([low, *sorted(places), high]))
    left, right = max(gaps, key=lambda gap: gap[1] - gap[0])
    inset = 0.2 * (right - left)
    near_edges = (left if left == low else left + inset, right if right == high else right - inset)
    between = noise_sd(spectrum, near_edges)
    tail = spectrum.fid[-max(spectrum.n_points // 10, 8) :]
    end = float(np.sqrt(0.5 * np.mean(np.abs(tail - tail.mean()) ** 2) * spectrum.n_points))
    return end if end < CLEARLY_QUIETER * between else between


@dataclass(frozen=True)
class Start:
    """Where a minimisation begins: common shift (Hz), phase (rad), begin time (s)."""

    shift_hz: float
    phase: float
    begin: float


def starts(spectrum: Spectrum, table: PeakTable, ppm: tuple[float, float]) -> list[Start]:
    r"""Return the most promising starts, best first.

    Notes
    -----
    Shifts: largest :math:`\sum_k|\langle y, s_k\rangle|^2/\lVert s_k\rVert^2` over the table's range, which asks
    neither for phases nor for amplitudes. For each of the best and each begin time the phase is that of
    :math:`\sum_k\langle s_k, y\rangle`, and the objective is evaluated with its amplitudes projected out.
    """
    model = make_peak_model(spectrum, table, ppm)
    data = spectrum.fid * model.used
    candidates = []
    for shift in _best_shifts(spectrum, table, model):
        for count in BEGIN_STARTS if "begin" in model.index else (0.0,):
            begin = 1e-3 * (table.begin_ms + count * table.begin_sd_ms)
            theta = _theta(model, Start(0.0, 0.0, begin))
            fids = model.modulated(theta)
            moved = data * np.exp(-2j * np.pi * shift * spectrum.time)
            weight = np.array([table.line(name).start for name in owners(table)])
            start = Start(shift, float(np.angle(weight @ (fids.conj() @ moved))), begin)
            candidates.append((_start_cost(spectrum, table, model, start), start))
    return [start for _, start in sorted(candidates, key=lambda pair: pair[0])[:KEPT_STARTS]]


def _best_shifts(spectrum: Spectrum, table: PeakTable, model: PeakModel) -> list[float]:
    """Return the shifts (Hz) of the highest local maxima of the incoherent match, best first."""
    fids = model.modulated(model.start)
    narrowest = min(float(np.min(model.width.at(model.start))), 10.0)
    reach = table.shift_range_ppm * spectrum.carrier_mhz
    grid = np.arange(-reach, reach + 1e-9, max(START_STEP_SHARE * narrowest, 2.0 * reach / 400))
    turned = np.exp(-2j * np.pi * grid[:, None] * spectrum.time) * (spectrum.fid * model.used)
    norm = np.sum(np.abs(fids) ** 2, axis=1)
    score = np.sum(np.abs(turned @ fids.conj().T) ** 2 / norm, axis=1)
    padded = np.concatenate([[-np.inf], score, [-np.inf]])
    peaks = np.flatnonzero((padded[1:-1] >= padded[:-2]) & (padded[1:-1] >= padded[2:]))
    return [float(grid[index]) for index in peaks[np.argsort(-score[peaks])][:KEPT_STARTS]]


def _theta(model: PeakModel, start: Start) -> FloatArray:
    """Start values with phase and begin time; the shift is taken out of the data."""
    theta = model.start.copy()
    theta[model.index["phi0"]] = start.phase
    if "begin" in model.index:
        theta[model.index["begin"]] = start.begin
    return theta


def _start_cost(spectrum: Spectrum, table: PeakTable, model: PeakModel, start: Start) -> float:
    moved = spectrum.shifted(-start.shift_hz)
    data = model.to_window(moved.fid * model.used).real
    rows = np.zeros((0, len(model.components)))
    return Objective(model, data, peak_noise(spectrum, table), None, 0.0, rows).cost(_theta(model, start))


def _run(
    spectrum: Spectrum,
    table: PeakTable,
    settings: FitSection,
    ppm: tuple[float, float],
    start: Start,
    notes: tuple[str, ...],
) -> FittedPeaks:
    """Fit the common parameters, then everything, then again with the noise and soft ratios of what was left over."""
    moved = spectrum.shifted(-start.shift_hz)
    model = make_peak_model(moved, table, ppm)
    data = np.asarray(model.to_window(moved.fid * model.used).real)
    noise = peak_noise(spectrum, table)
    baseline, stiffness = None, 0.0
    if not isinstance(settings.baseline, str):
        baseline = make_baseline(data.size, ppm[1] - ppm[0])
        stiffness = baseline.stiffness(float(settings.baseline) * baseline.width_ppm)
    rows = np.zeros((0, len(model.components)))
    objective = Objective(model, data, noise, baseline, stiffness, rows)
    unknown = objective.varying.size + len(model.components)
    if data.size <= unknown:
        raise FitError(
            f"the fitted window {ppm} ppm has {data.size} points for {unknown} parameters",
            remedy="widen ppm in the table of peaks, or fix and link parameters there",
        )
    common = np.array([model.index[name] for name in ("phi0", "shift", "begin") if name in model.index])
    solution = solve(objective, _theta(model, start), common, tolerance=1e-3, max_evaluations=30)
    spent = objective.evaluations
    for tolerance in (1e-4, 1e-10):
        theta = solution.theta
        sd = _effective_noise(objective, theta, noise)
        rows = _ratio_rows(table, objective.at(theta).solution.amplitudes)
        objective = Objective(model, data, sd, baseline, stiffness, rows)
        solution = solve(objective, theta, tolerance=tolerance, max_evaluations=MAX_EVALUATIONS)
        spent += objective.evaluations
    return FittedPeaks(moved, table, objective, solution, model, start.shift_hz, noise, spent, notes)


def _effective_noise(objective: Objective, theta: FloatArray, noise: float) -> float:
    """Return the noise SD that priors are weighed against: the larger of the noise and of what was left over."""
    left = objective.at(theta).residual
    freedom = max(left.size - objective.varying.size - len(objective.model.components), 0.2 * left.size)
    return float(max(noise, objective.noise_sd * np.sqrt(np.sum(left**2) / freedom)))


def _ratio_rows(table: PeakTable, amplitudes: FloatArray) -> FloatArray:
    r"""Return the rows of the soft ratios, :math:`(a_i - r a_j)/(s\hat a_j)`, shape ``(m, K)``."""
    names, rows = owners(table), []
    for line in table.lines:
        if line.ratio_to and line.ratio_sd > 0:
            weights = expansion(table)[table.names.index(line.ratio_to)]
            scale = abs(float(weights @ amplitudes))
            if scale > 0:
                row = -line.ratio * weights
                row[names.index(line.name)] += 1.0
                rows.append(row / (line.ratio_sd * scale))
    return np.array(rows).reshape(-1, len(names))
