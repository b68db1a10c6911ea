"""Sampled uncertainty against planted truth: emcee and bootstrap beside the SDs that every fit has.

Run: ``python benchmarks/fit_posterior.py [--spectra 12] [--draws 1000] [--refits 60] [--panel same_basis]`` with one
thread (``OMP_NUM_THREADS=1``).

Per ratio to tCr: SD of the bootstrap over the delta-method SD from ``covariance`` (``amplitude_sd``), SD of the chains
over that from ``total_covariance``, each the median over spectra; share of 95 % intervals that hold the planted ratio,
and their median width over the truth, for Fieller's interval of every fit, the posterior and the basic bootstrap.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass

import numpy as np
from panels import WATCHED, Case, cases, plant, ratios

from mrs_pipeline.config import FitSection
from mrs_pipeline.fit import FitResult, Posterior, fit_spectrum
from mrs_pipeline.spectrum import FloatArray

INTERVALS = ("fit", "emcee", "bootstrap")


@dataclass(frozen=True, eq=False)
class Outcome:
    """One spectrum: its planted ratios, its fit, both samplings, and their CPU seconds."""

    truth: dict[str, float]
    fit: FitResult
    sampled: dict[str, Posterior]
    seconds: dict[str, float]


def sample_case(case: Case, draws: int, refits: int) -> Outcome:
    """Plant, fit, and sample both ways."""
    spectrum, basis, amounts = plant(case)
    sampled, seconds = {}, {}
    for method, count in (("emcee", draws), ("bootstrap", refits)):
        begin = time.process_time()
        fit = fit_spectrum(spectrum, basis, FitSection(posterior=method, posterior_draws=count))
        seconds[method] = time.process_time() - begin
        if fit.posterior is None:
            raise RuntimeError(f"spectrum {case.seed}: {'; '.join(fit.notes)}")
        sampled[method] = fit.posterior
    return Outcome(ratios(amounts), fit, sampled, seconds)


def sampling_sd(fit: FitResult, name: str) -> float:
    """SD of a ratio to tCr by the delta method on the sampling covariance."""
    top, bottom = (np.array([float(n in fit.weights(label)) for n in fit.names]) for label in (name, "tCr"))
    y = float(bottom @ fit.amplitudes)
    gradient = top / y - bottom * float(top @ fit.amplitudes) / y**2
    return float(np.sqrt(gradient @ fit.covariance @ gradient))


def limits(outcome: Outcome, name: str) -> dict[str, tuple[float, float]]:
    """95 % limits of a ratio by each way."""
    _, _, low, high = outcome.fit.ratio(name)
    spreads = {method: posterior.ratios[name] for method, posterior in outcome.sampled.items()}
    return {"fit": (low, high)} | {method: (found.low, found.high) for method, found in spreads.items()}


def row(outcomes: list[Outcome], name: str) -> str:
    """One line of the table."""
    boot = np.median([o.sampled["bootstrap"].ratios[name].sd / sampling_sd(o.fit, name) for o in outcomes])
    chain = np.median([o.sampled["emcee"].ratios[name].sd / o.fit.ratio(name)[1] for o in outcomes])
    found = [limits(o, name) for o in outcomes]
    truth = np.array([o.truth[name] for o in outcomes])
    text = f"{name:8}{boot:9.2f}{chain:9.2f}"
    for method in INTERVALS:
        low, high = np.array([item[method] for item in found]).T
        text += f"{100 * np.mean((low <= truth) & (truth <= high)):9.0f}{100 * np.median((high - low) / truth):7.0f}"
    return text


def worst(outcomes: list[Outcome], key: str) -> FloatArray:
    """Collect one diagnostic of the chains over the spectra, shape ``(n,)``."""
    return np.array([o.sampled["emcee"].diagnostics[key] for o in outcomes])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spectra", type=int, default=12)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--refits", type=int, default=60)
    parser.add_argument("--panel", default="same_basis", choices=["independent", "same_basis", "matched"])
    options = parser.parse_args()
    outcomes = [sample_case(case, options.draws, options.refits) for case in cases(options.panel, options.spectra)]
    heading = "".join(f"{method:>16}" for method in INTERVALS)
    print(f"{options.panel} panel, {options.spectra} spectra; 95 % intervals: cover %, width %")
    print(f"{'ratio':8}{'boot/sd':>9}{'mcmc/sd':>9}{heading}")
    for name in WATCHED:
        print(row(outcomes, name))
    seconds = {method: np.median([o.seconds[method] for o in outcomes]) for method in ("emcee", "bootstrap")}
    effective, accepted = worst(outcomes, "effective_draws"), worst(outcomes, "acceptance")
    print(
        f"CPU s: emcee {seconds['emcee']:.0f} ({options.draws} draws, {effective.min():.0f}-{effective.max():.0f} "
        f"independent, {100 * np.median(accepted):.0f} % accepted), bootstrap {seconds['bootstrap']:.0f} "
        f"({options.refits} refits)"
    )


if __name__ == "__main__":
    main()
