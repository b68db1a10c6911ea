"""Check of the three uncertainties against planted truth.

Run: ``python benchmarks/fit_uncertainty.py [--draws 2000] [--planted 200] [--spectra 40] [--workers 1]``

Table 1, sampling: four truths, many noise draws of each; the SD of the estimates over the median ``amplitude_sd`` and
``crlb`` (absolute amplitudes), at SNR 20, 40 and 60. The stiffness search runs afresh in every draw. ``amplitude_sd``
should give 0.9-1.1.

Table 2, priors: coverage of the 95 % intervals of amplitudes and ratios when everything that has a prior (shifts,
widths, lineshape, macromolecule and metabolite ratios, errors of the basis) is drawn from it, and when each is one or
two prior SDs away with a random sign. 93-97 % is right for the first.

Table 3, coverage: three panels of ``panels.py``: share of 95 % intervals of the ratio to tCr that hold the truth,
their median width over the empirical 95 % range of the errors, and the interval score, for intervals built from each of
the three SDs.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from fit_accuracy import errors, run_panel
from panels import DWELL, ECHO, MHZ, POINTS, WATCHED, Case, Outcome, draw_concentrations, imported_basis, plant

from mrs_pipeline.basis import Basis
from mrs_pipeline.config import FitSection
from mrs_pipeline.fit import FitResult, fit_spectrum
from mrs_pipeline.fit.basis_error import windows
from mrs_pipeline.fit.components import LIPIDS, MACROMOLECULES, METABOLITES, assemble
from mrs_pipeline.fit.model import make_model
from mrs_pipeline.fit.priors import Priors, load_priors
from mrs_pipeline.spectrum import ComplexArray, FloatArray, Spectrum

NAMES = ("NAA", "tNAA", "tCr", "tCho", "Ins", "Glu", "Glx", "Gln", "GSH", "GABA")
SDS = ("crlb", "amplitude_sd", "total_sd")


@dataclass(frozen=True)
class Draw:
    """One noise draw of one truth."""

    seed: int
    snr: float
    noise_seed: int


@cache
def truth(seed: int, snr: float) -> tuple[Spectrum, Basis, float]:
    """Plant a spectrum without noise; its basis, and the SD of the noise that gives it an SNR."""
    clean, basis, _ = plant(Case(seed, "same_basis", 1e9, 3.0))
    noisy, _, _ = plant(Case(seed, "same_basis", snr, 3.0))
    return clean, basis, float(np.sqrt(np.mean(np.abs(noisy.fid - clean.fid) ** 2) / 2))


def draw_fit(draw: Draw) -> dict[str, tuple[float, float, float, float]]:
    """Fit one draw; value and SDs of each combination."""
    clean, basis, sd = truth(draw.seed, draw.snr)
    rng = np.random.default_rng(draw.noise_seed)
    noise = sd * (rng.standard_normal(clean.n_points) + 1j * rng.standard_normal(clean.n_points))
    fit = fit_spectrum(clean.with_fid(clean.fid + noise), basis, FitSection())
    return {name: fit.combination(fit.weights(name)) for name in NAMES}


TRUTHS = (0, 1, 2, 3)
"""Seeds of the truths of Table 1: macromolecules of the nulled scan and of Birch's table, with either water line."""


def sampling_table(snr: float, draws: int, workers: int) -> str:
    """Empirical SD over reported SDs, mean over the truths; of the sampling SD also the lowest and the highest."""
    tasks = [Draw(seed, snr, 1000 + number) for seed in TRUTHS for number in range(draws // len(TRUTHS))]
    if workers == 1:
        fits = [draw_fit(task) for task in tasks]
    else:
        with ProcessPoolExecutor(workers) as pool:
            fits = list(pool.map(draw_fit, tasks, chunksize=10))
    lines = [
        f"SNR {snr:g}, {len(tasks)} draws of {len(TRUTHS)} truths",
        f"{'name':8}{'SD %':>8}{'crlb':>10}{'sampling':>10}{'(range)':>14}{'total':>10}   (reported / empirical)",
    ]
    for name in NAMES:
        values = np.array([fit[name] for fit in fits]).reshape(len(TRUTHS), -1, 4)
        empirical = values[:, :, 0].std(axis=1, ddof=1)
        crlb, sampling, total = np.median(values[:, :, 1:], axis=1).T / empirical
        relative = 100 * np.mean(empirical / values[:, :, 0].mean(axis=1))
        spread = f"({sampling.min():.2f}-{sampling.max():.2f})"
        lines.append(
            f"{name:8}{relative:8.1f}{crlb.mean():10.2f}{sampling.mean():10.2f}{spread:>14}{total.mean():10.2f}"
        )
    return "\n".join(lines)


def planted_from_priors(seed: int, distance: float | None) -> tuple[Spectrum, Basis, FloatArray, tuple[str, ...]]:
    """Plant a spectrum whose every parameter with a prior is drawn from it, or is ``distance`` prior SDs away.

    Returns
    -------
    tuple
        Spectrum, basis, planted amplitudes ``(K,)`` and their names.
    """
    rng = np.random.default_rng([seed, 4])
    basis, priors = imported_basis(), load_priors("default")
    empty = Spectrum(np.zeros(POINTS, complex), DWELL, MHZ, 4.65, echo_time=ECHO)
    components = assemble(empty, basis, ((MACROMOLECULES, priors.macromolecules), (LIPIDS, priors.lipids)))
    model = make_model(empty, components, priors, FitSection().ppm, lineshape="asymmetric", first_order=True)
    step = _steps(rng, len(model.parameters), distance)
    theta = model.mean + np.where(np.isfinite(model.sd), model.sd * step, 0.0)
    theta = np.clip(theta, [p.lower for p in model.parameters], [p.upper for p in model.parameters])
    theta[model.index["phi0"]], theta[model.index["shift"]] = rng.normal(0, 0.1), rng.normal(0, 1.0)
    theta[model.index["gauss"]] = rng.uniform(4.0, 7.0)
    amplitudes = _amplitudes(rng, priors, components.names, distance)
    signals = model.modulated(theta)
    for row, (name, group) in enumerate(zip(components.names, components.group, strict=True)):
        if group == METABOLITES:
            signals[row] = disturbed(signals[row], priors, name, rng, distance)
    fid = np.exp(1j * theta[model.index["phi0"]]) * (amplitudes @ signals)
    creatine = amplitudes[components.names.index("Cr")] + amplitudes[components.names.index("PCr")]
    fid = fid + _humps(rng, creatine)
    sd = creatine * 3 / (np.pi * 7.0 * DWELL) / rng.uniform(20, 60) / np.sqrt(POINTS)
    noise = rng.standard_normal(POINTS) + 1j * rng.standard_normal(POINTS)
    return empty.with_fid(fid + sd * noise), basis, amplitudes, components.names


def disturbed(
    fid: ComplexArray, priors: Priors, name: str, rng: np.random.Generator, distance: float | None
) -> ComplexArray:
    """Multiply a signal's real spectrum by what the basis may be wrong by; a causal FID follows from its real part."""
    hertz = np.fft.fftfreq(2 * POINTS, DWELL)
    inside = np.flatnonzero(np.abs(hertz - (2.5 - 4.65) * MHZ) < 2.2 * MHZ)
    splines = windows(hertz[inside], priors.basis_window_ppm * MHZ)
    error = priors.basis_error.get(name, priors.basis_default) * _steps(rng, len(splines), distance)
    real = np.fft.fft(fid, 2 * POINTS).real
    real[inside] *= 1.0 + error @ splines
    back = 2.0 * np.fft.ifft(real)[:POINTS]
    back[0] /= 2.0
    return np.asarray(back)


def _steps(rng: np.random.Generator, count: int, distance: float | None) -> FloatArray:
    """Deviations from the prior means in prior SDs: normal, or all of one size."""
    if distance is None:
        return np.clip(rng.standard_normal(count), -3.0, 3.0)
    return distance * rng.choice([-1.0, 1.0], count)


def _amplitudes(rng: np.random.Generator, priors: Priors, names: tuple[str, ...], distance: float | None) -> FloatArray:
    """Typical amounts of the strong metabolites; everything with a ratio prior from it."""
    strong = draw_concentrations(rng)
    out = np.array([strong.get(name, 0.0) for name in names])
    total = sum(weight * out[names.index(name)] for name, weight in priors.ratio_denominator.items() if name in names)
    creatine = out[names.index("Cr")] + out[names.index("PCr")]
    step = dict(zip(names, _steps(rng, len(names), distance), strict=True))
    for name, (mean, sd) in priors.ratios.items():
        if name in names:
            out[names.index(name)] = max(0.0, total * (mean + sd * step[name]))
    for family, size in ((priors.macromolecules, 0.5 * creatine), (priors.lipids, 0.1 * creatine)):
        for peak in family.peaks:
            out[names.index(peak.name)] = max(0.0, size * (peak.ratio + peak.sd * step[peak.name]))
    return out


def _humps(rng: np.random.Generator, size: float) -> ComplexArray:
    """Two broad humps for the baseline to follow."""
    time = np.arange(POINTS) * DWELL
    out = np.zeros(POINTS, complex)
    for _ in range(2):
        hertz, width = (rng.uniform(0.5, 4.5) - 4.65) * MHZ, rng.uniform(150, 300)
        out += size * rng.normal(0, 1.0) * np.exp(2j * np.pi * hertz * time - (np.pi * width * time) ** 2 / 2.773)
    return out


def prior_case(task: tuple[int, float | None]) -> dict[str, tuple[bool, bool]]:
    """Whether the intervals of each amplitude and of its ratio to tCr hold the planted value."""
    spectrum, basis, amplitudes, names = planted_from_priors(*task)
    fit = fit_spectrum(spectrum, basis, FitSection())
    truth = dict(zip(names, amplitudes, strict=True))
    creatine = sum(truth[name] for name in fit.weights("tCr"))
    out = {}
    for name in NAMES:
        planted = sum(truth[part] for part in fit.weights(name))
        value, _, _, total = fit.combination(fit.weights(name))
        low, high = fit.ratio(name)[2:] if name != "tCr" else (0.0, np.inf)
        out[name] = (abs(value - planted) < 1.96 * total, low <= planted / creatine <= high)
    return out


def prior_table(count: int, workers: int) -> str:
    """Coverage of amplitudes and ratios, per cent, for truth from the priors and away from them."""
    kinds: dict[str, float | None] = {"from the priors": None, "1 SD away": 1.0, "2 SDs away": 2.0}
    lines = ["coverage of 95 % intervals (amplitude, ratio)", f"{'':18}" + "".join(f"{name:>10}" for name in NAMES)]
    for label, distance in kinds.items():
        tasks = [(seed, distance) for seed in range(count)]
        if workers == 1:
            found = [prior_case(task) for task in tasks]
        else:
            with ProcessPoolExecutor(workers) as pool:
                found = list(pool.map(prior_case, tasks))
        shares = [100 * np.mean([one[name] for one in found], axis=0) for name in NAMES]
        lines.append(f"{label:18}" + "".join(f"{amount:6.0f}{ratio:4.0f}" for amount, ratio in shares))
    return "\n".join(lines)


def with_spread(fit: FitResult, kind: str) -> FitResult:
    """Let the intervals of a fit be built from another of its covariances."""
    matrix = {"crlb": fit.crlb_covariance, "amplitude_sd": fit.covariance, "total_sd": fit.total_covariance}[kind]
    return replace(fit, total_covariance=matrix)


def coverage_table(outcomes: list[Outcome]) -> str:
    """Coverage, relative width and interval score of 95 % intervals from each SD."""
    head = "".join(f"{kind:>26}" for kind in SDS)
    lines = [f"{'ratio':8}{head}", " " * 8 + f"{'cover':>10}{'width':>8}{'score':>8}" * len(SDS)]
    for name in WATCHED:
        low, high = np.quantile(errors(outcomes, name), [0.025, 0.975])
        cells = ""
        for kind in SDS:
            intervals = np.array([with_spread(o.fit, kind).ratio(name)[2:] for o in outcomes])
            truth = np.array([o.truth[name] for o in outcomes])
            cells += _cell(intervals / truth[:, None], float(high - low))
        lines.append(f"{name:8}{cells}")
    return "\n".join(lines)


def _cell(intervals: FloatArray, spread: float) -> str:
    low, high = intervals.T
    score = np.mean((high - low) + 40.0 * (np.maximum(low - 1, 0) + np.maximum(1 - high, 0)))
    inside = np.mean((low <= 1) & (high >= 1))
    return f"{100 * inside:10.0f}{np.median(high - low) / spread:8.2f}{100 * score:8.0f}"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=2000)
    parser.add_argument("--planted", type=int, default=200)
    parser.add_argument("--spectra", type=int, default=40)
    parser.add_argument("--snr", type=float, nargs="*", default=[20.0, 40.0, 60.0])
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    for snr in options.snr:
        print(sampling_table(snr, options.draws, options.workers), flush=True)
    if options.planted:
        print(prior_table(options.planted, options.workers), flush=True)
    if options.spectra:
        for panel in ("independent", "same_basis", "second"):
            outcomes = run_panel(panel, options.spectra, FitSection(), options.workers)
            print(f"{panel} panel, {options.spectra} spectra\n{coverage_table(outcomes)}", flush=True)


if __name__ == "__main__":
    main()
