"""Macromolecules measured from a metabolite-nulled scan, against planted ones.

Run: ``python benchmarks/nulled_accuracy.py [--scans 4]``

Truth is Birch's table and the four shapes of ``macromolecule_shapes.py``, with residual tNAA, tCr (both lines), tCho,
Glu and mI of random size and either sign, and noise. Printed per shape: RMS error over 0.5-4.1 ppm, and the largest
error within 0.03 ppm of each residual line, in % of the height at 0.9 ppm; the member is scaled to the truth first.
"""

from __future__ import annotations

import argparse

import numpy as np
from macromolecule_shapes import SHAPES
from panels import DWELL, ECHO, MHZ, POINTS, birch_fid, imported_basis

from mrs_pipeline.basis import measured_macromolecules
from mrs_pipeline.spectrum import ComplexArray, FloatArray, Spectrum

TIME = np.arange(POINTS) * DWELL
CREATINE, T2 = 0.67, 0.15
SINGLETS = ((2.008, 3.3, -0.03), (3.027, 3.0, -0.02), (3.21, 1.8, 0.0), (3.92, 2.0, 0.12))
"""Position in ppm, size in protons x tCr, mean share left by the nulling (SD 0.05): about those of the shared scan."""
MULTIPLETS = (("Glu", 1.1), ("Ins", 0.7))
SNR = 35.0


def nulled_scan(shape: str, seed: int) -> tuple[Spectrum, ComplexArray]:
    """Return a scan and its macromolecules, 1 at 0.9 ppm."""
    rng = np.random.default_rng([seed, 5])
    line = np.exp(-((np.pi * rng.uniform(3, 7) * TIME) ** 2) / (4 * np.log(2)) - TIME / T2)
    truth = birch_fid(rng, 1.0) if shape == "Birch" else SHAPES[shape].fid(1.0, TIME, MHZ, line)
    signal = truth.copy()
    for ppm, protons, mean in SINGLETS:
        size = CREATINE * protons * rng.normal(mean, 0.05)
        signal += size * np.exp(2j * np.pi * (ppm - 4.65) * MHZ * TIME) * line
    basis = imported_basis().resampled(DWELL, POINTS, MHZ, 4.65)
    for name, ratio in MULTIPLETS:
        signal += CREATINE * ratio * rng.normal(0, 0.04) * basis.fid(name) * line
    sd = np.abs(np.fft.fft(truth)).max() / SNR / np.sqrt(POINTS)
    noise = sd * (rng.standard_normal(POINTS) + 1j * rng.standard_normal(POINTS))
    return Spectrum(signal + noise, DWELL, MHZ, 4.65, echo_time=ECHO), truth


def errors(shape: str, seed: int) -> FloatArray:
    """RMS error and the largest errors at the residual lines, relative to the height at 0.9 ppm."""
    scan, truth = nulled_scan(shape, seed)
    found = measured_macromolecules(scan).basis.fids[0]
    ppm = scan.ppm
    inside, methyl = (ppm > 0.5) & (ppm < 4.1), (ppm > 0.8) & (ppm < 1.0)
    member, planted = (scan.with_fid(fid).spectrum().real for fid in (found, truth))
    scale = member[inside] @ planted[inside] / (member[inside] @ member[inside])
    error = (scale * member - planted) / planted[methyl].max()
    lines = [np.abs(error[np.abs(ppm - place) < 0.03]).max() for place, _, _ in SINGLETS]
    return np.array([np.sqrt(np.mean(error[inside] ** 2)), *lines])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scans", type=int, default=4, help="per shape")
    count = parser.parse_args().scans
    print(f"{'shape':16}{'RMS %':>8}" + "".join(f"{ppm:>10.2f}" for ppm, _, _ in SINGLETS))
    found = {shape: np.mean([errors(shape, seed) for seed in range(count)], axis=0) for shape in ("Birch", *SHAPES)}
    found["mean"] = np.mean(list(found.values()), axis=0)
    for shape, values in found.items():
        print(f"{shape:16}{100 * values[0]:8.1f}" + "".join(f"{100 * value:10.1f}" for value in values[1:]))


if __name__ == "__main__":
    main()
