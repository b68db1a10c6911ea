"""Check of the three uncertainties against planted truth.

Run: ``python benchmarks/fit_uncertainty.py [--draws 200] [--spectra 40] [--workers 1]``

Table 1, sampling: one truth, many noise draws; the SD of the estimates over the median ``amplitude_sd`` and ``crlb``
(absolute amplitudes), at SNR 20, 40 and 60. The stiffness search runs afresh in every draw. ``amplitude_sd`` should
give 0.9-1.1.

Table 2, coverage: the independent panel of ``fit_accuracy``: share of 95 % intervals of the ratio to tCr that hold
the truth, their median width over the empirical 95 % range of the errors, and the interval score, for intervals built
from each of the three SDs.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from fit_accuracy import WATCHED, Case, Outcome, errors, plant, run_panel

from mrs_pipeline.config import FitSection
from mrs_pipeline.fit import FitResult, fit_spectrum
from mrs_pipeline.spectrum import FloatArray

NAMES = ("NAA", "tNAA", "tCr", "tCho", "Ins", "Glu", "Glx", "Gln", "GSH", "GABA")
SDS = ("crlb", "amplitude_sd", "total_sd")


@dataclass(frozen=True)
class Draw:
    """One noise draw of one truth."""

    seed: int
    snr: float
    noise_seed: int


def draw_fit(draw: Draw) -> dict[str, tuple[float, float, float, float]]:
    """Fit one draw; value and SDs of each combination."""
    clean, basis, _ = plant(Case(draw.seed, "independent", 1e9, 3.0))
    noisy, _, _ = plant(Case(draw.seed, "independent", draw.snr, 3.0))
    sd = float(np.sqrt(np.mean(np.abs(noisy.fid - clean.fid) ** 2) / 2))
    rng = np.random.default_rng(draw.noise_seed)
    noise = sd * (rng.standard_normal(clean.n_points) + 1j * rng.standard_normal(clean.n_points))
    fit = fit_spectrum(clean.with_fid(clean.fid + noise), basis, FitSection())
    return {name: fit.combination(fit.weights(name)) for name in NAMES}


def sampling_table(snr: float, draws: int, workers: int) -> str:
    """Empirical SD over reported SDs."""
    tasks = [Draw(3, snr, 1000 + number) for number in range(draws)]
    if workers == 1:
        fits = [draw_fit(task) for task in tasks]
    else:
        with ProcessPoolExecutor(workers) as pool:
            fits = list(pool.map(draw_fit, tasks))
    lines = [
        f"SNR {snr:g}, {draws} draws",
        f"{'name':8}{'SD %':>8}{'crlb':>10}{'sampling':>10}{'total':>10}   (reported / empirical)",
    ]
    for name in NAMES:
        values = np.array([fit[name] for fit in fits])
        empirical = values[:, 0].std(ddof=1)
        reported = np.median(values[:, 1:], axis=0) / empirical
        lines.append(
            f"{name:8}{100 * empirical / values[:, 0].mean():8.1f}" + "".join(f"{value:10.2f}" for value in reported)
        )
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
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--spectra", type=int, default=40)
    parser.add_argument("--snr", type=float, nargs="*", default=[20.0, 40.0, 60.0])
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    for snr in options.snr:
        print(sampling_table(snr, options.draws, options.workers), flush=True)
    if options.spectra:
        print(coverage_table(run_panel("independent", options.spectra, FitSection(), options.workers)))


if __name__ == "__main__":
    main()
