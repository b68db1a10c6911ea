"""Time and memory of preprocessing, end to end, on one core.

Prints seconds and peak memory for 32 coils x 128 transients x 2048 points (limits: 3 s, 2 GB) and for averaged input.

Run: ``OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/preprocess_speed.py``
"""

from __future__ import annotations

import argparse
import resource
import sys
import time

import numpy as np

from mrs_pipeline.config import PreprocessSection
from mrs_pipeline.preprocess import preprocess
from mrs_pipeline.spectrum import Spectrum

DWELL = 5e-4
CARRIER = 123.25


def raw_scan(n_coils: int, count: int, n_points: int) -> tuple[Spectrum, Spectrum]:
    """Multi-coil transients with drift, and a multi-coil water scan."""
    rng = np.random.default_rng(1)
    t = np.arange(n_points) * DWELL
    lines = ((2.008, 1.0), (3.027, 0.7), (3.211, 0.5), (3.91, 0.4), (4.66, 3.0), (2.3, 0.5), (1.3, 0.4))
    signal = sum(a * np.exp(2j * np.pi * (ppm - 4.65) * CARRIER * t - 18.0 * t) for ppm, a in lines)
    water = 1000 * np.exp(2j * np.pi * 1.0 * t - 20.0 * t)
    sensitivity = rng.normal(size=n_coils) + 1j * rng.normal(size=n_coils)
    turn = np.exp(1j * (2 * np.pi * np.outer(np.linspace(0, 5, count), t) + rng.normal(0, 0.2, (count, 1))))
    data = sensitivity[:, None, None] * (turn * signal)
    data += 0.5 * (rng.normal(size=data.shape) + 1j * rng.normal(size=data.shape))
    reference = sensitivity[:, None] * water + 0.5 * rng.normal(size=(n_coils, n_points))
    return (
        Spectrum(data, DWELL, CARRIER, dims=("DIM_COIL", "DIM_DYN")),
        Spectrum(reference, DWELL, CARRIER, dims=("DIM_COIL",)),
    )


def main() -> int:
    """Print the table; exit code 1 when a limit is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--coils", type=int, default=32)
    parser.add_argument("--transients", type=int, default=128)
    parser.add_argument("--points", type=int, default=2048)
    options = parser.parse_args()
    scan, water = raw_scan(options.coils, options.transients, options.points)
    begin, cpu = time.perf_counter(), time.process_time()
    result = preprocess(scan, water, None, PreprocessSection())
    seconds, cpu = time.perf_counter() - begin, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"{options.coils} coils x {options.transients} transients x {options.points} points, imports included:")
    print(f"  {seconds:.2f} s wall, {cpu:.2f} s CPU (limit 3), peak memory {peak:.2f} GB (limit 2)")
    begin, cpu_averaged = time.perf_counter(), time.process_time()
    preprocess(result.spectrum, result.water, None, PreprocessSection())
    print(f"averaged input: {time.perf_counter() - begin:.2f} s wall, {time.process_time() - cpu_averaged:.2f} s CPU")
    return 0 if cpu < 3.0 and peak < 2.0 else 1


if __name__ == "__main__":
    sys.exit(main())
