"""Speed of the fit: CPU seconds and model evaluations per spectrum over basis size and points; memory over many fits.

Run: ``python benchmarks/fit_speed.py [--repeats 5] [--endurance 0]`` with ``OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1``.
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np
from fit_accuracy import DWELL, MHZ, Case, imported_basis, plant

from mrs_pipeline.basis import Basis
from mrs_pipeline.config import FitSection
from mrs_pipeline.fit import fit_spectrum
from mrs_pipeline.spectrum import Spectrum

SMALL = ("NAA", "Cr", "GPC", "Ins", "Glu", "Gln", "GSH", "GABA")


def with_twenty(basis: Basis) -> Basis:
    """Fill a set up to 20 metabolites with singlets at places of real ones."""
    time_axis = np.arange(basis.n_points) * basis.dwell
    for name, ppm, protons in (("Gly", 3.548, 2.0), ("Ala", 1.467, 3.0), ("Glc", 3.43, 2.0)):
        hertz = (ppm - basis.reference_ppm) * basis.field_mhz
        basis = basis.with_member(name, protons * np.exp((2j * np.pi * hertz - np.pi) * time_axis))
    return basis


def spectrum_of(points: int, seed: int) -> Spectrum:
    """Plant a short-echo spectrum of the independent panel, cut to a number of points."""
    spectrum, _, _ = plant(Case(seed, "independent", 40.0, 3.0))
    return Spectrum(spectrum.fid[:points], DWELL, MHZ, 4.65)


def measure(basis: Basis, points: int, repeats: int) -> tuple[float, float, float]:
    """Median CPU seconds, wall seconds and evaluations per spectrum."""
    rows = []
    for seed in range(repeats):
        spectrum = spectrum_of(points, seed)
        cpu, wall = time.process_time(), time.perf_counter()
        fit = fit_spectrum(spectrum, basis, FitSection())
        rows.append((time.process_time() - cpu, time.perf_counter() - wall, fit.evaluations))
    return tuple(np.median(rows, axis=0))  # type: ignore[return-value]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--endurance", type=int, default=0, help="fits in one process, with the growth of memory")
    options = parser.parse_args()
    full = with_twenty(imported_basis())
    fit_spectrum(spectrum_of(2048, 0), full, FitSection())
    print(f"{'metabolites':>12}{'points':>8}{'CPU s':>9}{'wall s':>9}{'evaluations':>13}")
    for basis in (full.select(SMALL), full):
        for points in (1024, 2048):
            cpu, wall, evaluations = measure(basis, points, options.repeats)
            print(f"{len(basis):12d}{points:8d}{cpu:9.3f}{wall:9.3f}{evaluations:13.0f}", flush=True)
    if options.endurance:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for seed in range(options.endurance):
            fit_spectrum(spectrum_of(1024, seed % 7), full, FitSection())
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        print(f"{options.endurance} fits: peak memory grew by {grown / 1024:.1f} MB")


if __name__ == "__main__":
    main()
