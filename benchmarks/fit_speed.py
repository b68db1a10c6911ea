"""Speed of the fit: CPU seconds and model evaluations per spectrum over basis size and points; memory over many fits.

Run: ``python benchmarks/fit_speed.py [--repeats 5] [--endurance 1000]`` with one thread (``OMP_NUM_THREADS=1``).
"""

from __future__ import annotations

import argparse
import resource
import time
from pathlib import Path

import numpy as np
from panels import DWELL, MHZ, Case, imported_basis, plant

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
    """Plant a short-echo spectrum of the panel ``same_basis``, cut to a number of points."""
    spectrum, _, _ = plant(Case(seed, "same_basis", 40.0, 3.0))
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


def endure(basis: Basis, count: int) -> None:
    """Fit different spectra one after the other and print resident memory at 1, 10, 100, 300, ... fits."""
    spectra = [spectrum_of(2048, seed) for seed in range(20)]
    marks = sorted({1, 10, *(n for n in (100, 300, 500, 700, 1000) if n <= count), count})
    begin = time.process_time()
    print(f"{'fits':>8}{'resident MB':>14}{'peak MB':>10}{'CPU s/fit':>11}")
    for done in range(1, count + 1):
        fit_spectrum(spectra[done % len(spectra)], basis, FitSection())
        if done in marks:
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            spent = (time.process_time() - begin) / done
            print(f"{done:8d}{resident_mb():14.1f}{peak:10.1f}{spent:11.3f}", flush=True)


def resident_mb() -> float:
    """Resident memory of this process in MB (Linux)."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 2**20


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--endurance", type=int, default=0, help="only fit this often in one process, and print memory")
    options = parser.parse_args()
    full = with_twenty(imported_basis())
    fit_spectrum(spectrum_of(2048, 0), full, FitSection())
    if options.endurance:
        endure(full, options.endurance)
        return
    print(f"{'metabolites':>12}{'points':>8}{'CPU s':>9}{'wall s':>9}{'evaluations':>13}")
    for basis in (full.select(SMALL), full):
        for points in (1024, 2048):
            cpu, wall, evaluations = measure(basis, points, options.repeats)
            print(f"{len(basis):12d}{points:8d}{cpu:9.3f}{wall:9.3f}{evaluations:13.0f}", flush=True)


if __name__ == "__main__":
    main()
