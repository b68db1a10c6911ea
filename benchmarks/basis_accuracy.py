"""Compare simulated basis sets with sets other people made, metabolite by metabolite.

    python benchmarks/basis_accuracy.py [--data DIR] [--shaped] [FILE TE1_MS TE2_MS] ...

For every metabolite of a reference file the simulated FID is aligned in shift, Lorentzian and Gaussian width, and three
numbers are printed: the normalised correlation of the complex spectra over 0.2-4.2 ppm, the same without the uncoupled
lines, and the area relative to creatine's. The time of the simulation stands in the heading.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.optimize import least_squares

from mrs_pipeline.basis import Basis, load_basis, molecule_names, simulate_basis
from mrs_pipeline.basis.names import SINGLETS

WINDOW_PPM = (0.2, 4.2)
SINGLET_HALF_WIDTH_PPM = 0.10
EXTRA_HZ = 2.0
EXTRA_SINGLETS = {"Cr": (3.913,), "PCr": (3.930,), "GSH": (3.769,)}
DEFAULT_DATA = Path(__file__).parents[2] / "shared" / "data"
FILES = (
    ("lcmodel_example/3t.basis", 10.0, 20.0),
    ("basis/press_30ms_3T.basis", 10.8, 19.2),
    ("basis/3T_PRESS_Philips_35ms_noMM.BASIS", 14.3, 20.7),
)


@dataclass(frozen=True)
class Comparison:
    """How one simulated metabolite compares with its reference."""

    correlation: float
    without_singlets: float
    area: float
    phase_deg: float
    shift_hz: float


def compare(reference: Basis, simulated: Basis, name: str) -> Comparison:
    """Return the comparison of one metabolite after alignment in shift and width."""
    t = reference.time
    ppm = reference.reference_ppm + np.fft.fftfreq(2 * len(t), reference.dwell) / reference.field_mhz
    inside = (ppm > WINDOW_PPM[0]) & (ppm < WINDOW_PPM[1])
    target = np.fft.fft(reference.fid(name) * np.exp(-np.pi * EXTRA_HZ * t), 2 * len(t))[inside]

    def model(p: np.ndarray) -> np.ndarray:
        envelope = np.pi * p[1] * t + np.sign(p[2]) * (np.pi * p[2] * t) ** 2 / (4 * np.log(2))
        return np.fft.fft(simulated.fid(name) * np.exp(2j * np.pi * p[0] * t - envelope), 2 * len(t))[inside]

    def misfit(p: np.ndarray) -> np.ndarray:
        m = model(p)
        return ((target - np.vdot(m, target) / np.vdot(m, m) * m) / np.linalg.norm(target)).view(float)

    starts = ([0.0, 1.5, 0.3], [0.0, 1.5, 3.0])
    best = min((least_squares(misfit, start, x_scale=[0.1, 1, 1]) for start in starts), key=lambda r: r.cost)
    m = model(best.x)
    amplitude = np.vdot(m, target) / np.vdot(m, m)
    lines = [*([SINGLETS[name][0]] if name in SINGLETS else []), *EXTRA_SINGLETS.get(name, ())]
    away = np.all([np.abs(ppm[inside] - line) > SINGLET_HALF_WIDTH_PPM for line in lines] or [[True] * len(m)], axis=0)
    return Comparison(
        _correlation(m, target),
        _correlation(m[away], target[away]),
        float(amplitude.real),
        float(np.angle(amplitude, deg=True)),
        float(best.x[0]),
    )


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(np.vdot(a, b)) / np.linalg.norm(a) / np.linalg.norm(b))


def report(path: Path, te1_ms: float, te2_ms: float, pulses: str) -> None:
    """Print the table of one reference file."""
    reference = load_basis(path)
    if reference.n_points > 4096:
        reference = reference.resampled(reference.dwell, 4096)
    names = [name for name in reference.names if name in molecule_names()]
    start = time.perf_counter()
    simulated = simulate_basis(
        "press",
        te1=te1_ms * 1e-3,
        te2=te2_ms * 1e-3,
        field_mhz=reference.field_mhz,
        dwell=reference.dwell,
        n_points=reference.n_points,
        names=names,
        pulses=pulses,
    )
    seconds = time.perf_counter() - start
    print(f"\n{path.name}: PRESS {te1_ms:g} + {te2_ms:g} ms, {reference.field_mhz:.3f} MHz, {pulses} ({seconds:.1f} s)")
    print(f"{'':8}{'corr':>8}{'no singlets':>13}{'area/Cr':>9}{'phase':>8}{'shift Hz':>10}")
    found = {name: compare(reference, simulated, name) for name in names}
    creatine = found["Cr"].area if "Cr" in found else 1.0
    for name, row in found.items():
        area = row.area / creatine
        mark = "  <" if row.correlation < 0.98 or abs(area - 1) > 0.01 else ""
        print(
            f"{name:8}{row.correlation:8.4f}{row.without_singlets:13.4f}{area:9.4f}{row.phase_deg:8.2f}"
            f"{row.shift_hz:10.2f}{mark}"
        )


def main() -> None:
    """Parse the command line and print every table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA, help="folder of the shared reference files")
    parser.add_argument("--shaped", action="store_true", help="also simulate the Philips set with shaped pulses")
    parser.add_argument("files", nargs="*", help="further triples FILE TE1_MS TE2_MS")
    args = parser.parse_args()
    triples = list(zip(args.files[0::3], args.files[1::3], args.files[2::3], strict=True))
    for name, te1, te2 in triples or FILES:
        report(args.data / name if not triples else Path(name), float(te1), float(te2), "ideal")
    if args.shaped:
        name, te1, te2 = FILES[-1]
        report(args.data / name, te1, te2, "shaped")


if __name__ == "__main__":
    main()
