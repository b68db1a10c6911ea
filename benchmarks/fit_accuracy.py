"""Accuracy of the fit against planted truth: bias, SD, RMSE and coverage per metabolite, on panels the fitter did not make.

Run: ``python benchmarks/fit_accuracy.py [--spectra 40] [--panel independent|simulated|matched|all] [--figure FILE] [--compare]``

Panels (all with Birch's macromolecules unless said, residual water, a lipid signal of random size, smooth unknown background):

``independent``
    metabolites of the imported shaped-pulse set (``../shared/data/basis``), fitted with the same set; lineshape of a real water FID
``simulated``
    the same truth, fitted with our own ideal-pulse simulation
``measured-mm``
    as ``independent``, macromolecules of the metabolite-nulled scan in ``../shared/data`` instead of a peak table
``matched``
    our simulation fitted with itself, Voigt lines, macromolecules drawn from the fitter's own priors

Errors are of the ratio to tCr, relative to its planted value; SD is over spectra, the mean is over tNAA, tCho, mI, Glu, Glx.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from mrs_pipeline.basis import Basis, load_basis
from mrs_pipeline.config import FitSection
from mrs_pipeline.fit import COMBINED, FitResult, fit_spectrum
from mrs_pipeline.spectrum import ComplexArray, FloatArray, Spectrum

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
BASIS_FILE = SHARED / "basis" / "3T_PRESS_Philips_35ms_noMM.BASIS"
WATER_FILE = SHARED / "philips_te35_sub-01" / "sub-01_PRESS_35_ref.sdat"
MM_FILE = SHARED / "philips_sub-01" / "mrs" / "sub-01_ses-01_PRESS-Inverted_TI-600_raw-act_noID.SDAT"
MHZ, DWELL, POINTS, ECHO = 127.731, 5e-4, 2048, 0.035
HEADLINE = ("tNAA", "tCho", "Ins", "Glu", "Glx")
WATCHED = (*HEADLINE, "GSH", "GABA", "Gln", "NAA")

TYPICAL = {
    "NAA": 9.0, "NAAG": 1.6, "Cr": 4.6, "PCr": 4.0, "GPC": 1.2, "PCh": 0.6, "Ins": 6.0, "Glu": 9.0, "Gln": 2.6, "GSH": 1.5,
    "GABA": 1.6, "Asp": 2.2, "Tau": 1.3, "Lac": 0.7, "sIns": 0.3, "Asc": 0.9, "PE": 1.0,
}  # fmt: skip
"""Adult grey and white matter, mmol per kg (Govindaraju 2000, de Graaf's tables); drawn with a CV of 15 % (25 % below 3)."""

T2 = {
    "NAA": 0.300, "NAAG": 0.150, "Cr": 0.156, "PCr": 0.156, "GPC": 0.230, "PCh": 0.230, "Ins": 0.199, "Glu": 0.126, "Gln": 0.140,
    "GSH": 0.117, "GABA": 0.089, "Asp": 0.124, "Tau": 0.113, "Lac": 0.132, "sIns": 0.143, "Asc": 0.144, "PE": 0.130,
}  # fmt: skip
"""Seconds at 3 T, mean of grey and white matter (Wyss 2018, doi:10.1002/mrm.27067); drawn with a CV of 15 %."""

BIRCH = np.array([
    (0.90, 0.72, 21.2), (1.21, 0.28, 19.2), (1.38, 0.38, 15.9), (1.63, 0.05, 7.5), (2.01, 0.45, 29.0), (2.09, 0.36, 20.5),
    (2.25, 0.36, 17.9), (2.61, 0.04, 5.3), (2.96, 0.20, 14.0), (3.11, 0.11, 17.9), (3.67, 0.64, 33.5), (3.80, 0.07, 11.9),
    (3.96, 1.00, 37.5),
])  # fmt: skip
"""Macromolecules measured at 3 T: ppm, area, Gaussian width in Hz at 128 MHz (Birch 2017, MRM 77:34)."""


@dataclass(frozen=True)
class Case:
    """One planted spectrum: its seed, panel, signal-to-noise ratio and extra linewidth."""

    seed: int
    panel: str
    snr: float
    gauss_hz: float


@dataclass(frozen=True, eq=False)
class Outcome:
    """Planted and estimated ratios to tCr with SDs and interval, and the cost of the fit."""

    truth: dict[str, float]
    estimate: dict[str, tuple[float, float, float, float]]
    sampling: dict[str, float]
    seconds: float
    fit: FitResult


@cache
def imported_basis() -> Basis:
    """Shaped-pulse Philips PRESS set that nobody here simulated."""
    return load_basis(BASIS_FILE)


@cache
def simulated_basis(points: int = POINTS) -> Basis:
    """Our ideal-pulse set of the same echo time."""
    from mrs_pipeline.basis import simulate_basis

    names = tuple(TYPICAL)
    return simulate_basis("press", te1=0.0175, te2=0.0175, field_mhz=MHZ, dwell=DWELL, n_points=points, names=names)


@cache
def water_lineshape() -> ComplexArray:
    """Shape of a real water signal: its FID over its first point, on resonance, shape ``(POINTS,)``."""
    raw = _read_sdat(WATER_FILE, dwell=2.5e-4 if False else None)
    fid = raw.fid
    peak = np.argmax(np.abs(np.fft.fft(fid, 8 * fid.size)))
    hertz = np.fft.fftfreq(8 * fid.size, raw.dwell)[peak]
    rotated = fid * np.exp(-2j * np.pi * hertz * raw.time)
    time = np.arange(POINTS) * DWELL
    shape = np.interp(time, raw.time, rotated.real) + 1j * np.interp(time, raw.time, rotated.imag)
    shape = shape / shape[1]
    shape[0] = 1.0
    return np.where(time <= raw.time[-1], shape, 0.0)


def _read_sdat(path: Path, dwell: float | None = None) -> Spectrum:
    """Convert a Philips file with spec2nii in a temporary folder."""
    import subprocess
    import tempfile

    from mrs_pipeline.nifti_mrs import read

    del dwell
    spar = path.with_suffix(".SPAR" if path.suffix.isupper() else ".spar")
    with tempfile.TemporaryDirectory() as folder:
        command = [
            str(Path(sys.executable).with_name("spec2nii")),
            "philips",
            "-o",
            folder,
            "-f",
            "x",
            str(path),
            str(spar),
        ]
        subprocess.run(command, check=True, capture_output=True)
        return read(Path(folder) / "x.nii.gz").spectrum


def draw_concentrations(rng: np.random.Generator) -> dict[str, float]:
    """One person's concentrations."""
    return {
        name: value * max(0.2, 1.0 + (0.15 if value > 3 else 0.25) * rng.standard_normal())
        for name, value in TYPICAL.items()
    }


def metabolite_fid(basis: Basis, amounts: dict[str, float], rng: np.random.Generator) -> ComplexArray:
    """Sum of metabolites, each with its own small shift and Lorentzian width (T2 differs by metabolite)."""
    time = np.arange(POINTS) * DWELL
    adapted = basis.resampled(DWELL, POINTS, MHZ, 4.65)
    out = np.zeros(POINTS, complex)
    for name, fid in zip(adapted.names, adapted.fids, strict=True):
        hertz = 0.003 * MHZ * rng.standard_normal()
        width = max(0.5, 1.0 + 0.15 * rng.standard_normal()) / (np.pi * T2.get(name, 0.15))
        out += amounts.get(name, 0.0) * fid * np.exp((2j * np.pi * hertz - np.pi * width) * time)
    return out


def birch_fid(rng: np.random.Generator, size: float) -> ComplexArray:
    """Birch's pattern with its 0.9 ppm peak at ``size`` protons x mmol and 10 % spread between peaks."""
    time = np.arange(POINTS) * DWELL
    ppm, area, width = BIRCH.T
    area = size * area / area[0] * (1.0 + 0.1 * rng.standard_normal(area.size))
    decay = (np.pi * width[:, None] * MHZ / 128.0 * time) ** 2 / (4 * np.log(2))
    return np.asarray((area[:, None] * np.exp(2j * np.pi * (ppm[:, None] - 4.65) * MHZ * time - decay)).sum(axis=0))


@cache
def nulled_fid() -> ComplexArray:
    """Metabolite-nulled scan, its 0.6-1.8 and 1.8-4.2 ppm region only, smoothed to 8 Hz, 0.9 ppm area set to 1 proton."""
    from mrs_pipeline.config import PreprocessSection
    from mrs_pipeline.preprocess import preprocess

    raw = _read_sdat(MM_FILE)
    water = _read_sdat(Path(str(MM_FILE).replace("-act_", "-ref_")))
    clean = preprocess(raw, water, None, PreprocessSection()).spectrum
    adapted = Basis(("MM",), clean.fid[None], clean.dwell, clean.carrier_mhz, clean.reference_ppm)
    fid = adapted.resampled(DWELL, POINTS, MHZ, 4.65).fids[0]
    return np.asarray(fid)


def background(rng: np.random.Generator, size: float) -> ComplexArray:
    """Residual water, a lipid signal and two broad humps nobody models."""
    time = np.arange(POINTS) * DWELL
    out = np.zeros(POINTS, complex)
    for _ in range(3):
        hertz, phase = (rng.normal(4.68, 0.03) - 4.65) * MHZ, rng.uniform(0, 2 * np.pi)
        out += (
            size * rng.uniform(0.2, 1.5) * np.exp((2j * np.pi * hertz - np.pi * rng.uniform(5, 12)) * time + 1j * phase)
        )
    for ppm, width, weight in ((1.3, 20.0, rng.uniform(0, 1.0)), (0.89, 18.0, rng.uniform(0, 0.5))):
        out += size * weight * np.exp(2j * np.pi * (ppm - 4.65) * MHZ * time - (np.pi * width * time) ** 2 / 2.77)
    for _ in range(2):
        ppm, width = rng.uniform(0.5, 4.5), rng.uniform(120, 250)
        out += (
            size
            * rng.normal(0, 1.5)
            * np.exp(2j * np.pi * (ppm - 4.65) * MHZ * time - (np.pi * width * time) ** 2 / 2.77)
        )
    return out


def plant(case: Case) -> tuple[Spectrum, Basis, dict[str, float]]:
    """Make the spectrum of a case, and the basis it is to be fitted with."""
    rng = np.random.default_rng([case.seed, 20261122])
    amounts = draw_concentrations(rng)
    truth_basis = simulated_basis() if case.panel == "matched" else imported_basis()
    fit_basis = imported_basis() if case.panel in {"independent", "measured-mm"} else simulated_basis()
    amounts = {name: value for name, value in amounts.items() if name in truth_basis.names}
    time = np.arange(POINTS) * DWELL
    creatine = amounts["Cr"] + amounts["PCr"]
    decay = np.exp(-((np.pi * case.gauss_hz * time) ** 2) / (4 * np.log(2)))
    lineshape = np.exp(-np.pi * 1.5 * time) if case.panel == "matched" else water_lineshape()
    fid = metabolite_fid(truth_basis, amounts, rng) * decay * lineshape
    eddy = lineshape / np.maximum(np.abs(lineshape), 1e-12)
    fid += eddy * birch_fid(rng, creatine * 1.5 * max(0.5, 1 + 0.15 * rng.standard_normal()))
    fid += background(rng, creatine)
    fid *= np.exp(1j * rng.normal(0, 0.1) + 2j * np.pi * rng.normal(0, 1.0) * time)
    height = np.abs(np.fft.fft(3 * creatine * decay * lineshape * np.exp(-np.pi * 2.6 * time))).max()
    sd = height / case.snr / np.sqrt(POINTS)
    fid += sd * (rng.standard_normal(POINTS) + 1j * rng.standard_normal(POINTS))
    return Spectrum(fid, DWELL, MHZ, 4.65, echo_time=ECHO), fit_basis, amounts


def ratios(amounts: dict[str, float]) -> dict[str, float]:
    """Planted ratios to tCr."""
    creatine = amounts["Cr"] + amounts["PCr"]
    return {name: sum(amounts.get(part, 0.0) for part in COMBINED.get(name, (name,))) / creatine for name in WATCHED}


def fit_case(case: Case, settings: FitSection) -> Outcome:
    """Plant, fit, compare."""
    spectrum, basis, amounts = plant(case)
    begin = time.perf_counter()
    fit = fit_spectrum(spectrum, basis, settings)
    seconds = time.perf_counter() - begin
    estimate = {name: fit.ratio(name) for name in WATCHED}
    return Outcome(ratios(amounts), estimate, {}, seconds, fit)


def cases(panel: str, count: int) -> list[Case]:
    """Cases over SNR 20-60 (tCr peak over noise SD) and 1-5 Hz of extra Gaussian width."""
    rng = np.random.default_rng(7)
    return [Case(seed, panel, float(rng.uniform(20, 60)), float(rng.uniform(1.0, 5.0))) for seed in range(count)]


def errors(outcomes: list[Outcome], name: str) -> FloatArray:
    """Relative errors of a ratio."""
    return np.array([(o.estimate[name][0] - o.truth[name]) / o.truth[name] for o in outcomes])


def interval_score(outcome: Outcome, name: str, alpha: float = 0.05) -> float:
    """Interval score relative to the truth (Gneiting & Raftery 2007): width plus a penalty for each miss."""
    _, _, low, high = outcome.estimate[name]
    truth = outcome.truth[name]
    return ((high - low) + 2 / alpha * (max(low - truth, 0.0) + max(truth - high, 0.0))) / truth


def table(outcomes: list[Outcome], title: str) -> str:
    """Bias, SD, RMSE, coverage and interval score per metabolite, in per cent."""
    lines = [title, f"{'ratio':8}{'bias':>8}{'SD':>8}{'RMSE':>8}{'cover':>8}{'width':>8}{'score':>8}"]
    sds, rmses = [], []
    for name in WATCHED:
        error = errors(outcomes, name)
        inside = np.mean([o.estimate[name][2] <= o.truth[name] <= o.estimate[name][3] for o in outcomes])
        width = np.median([(o.estimate[name][3] - o.estimate[name][2]) / o.truth[name] for o in outcomes])
        score = np.mean([interval_score(o, name) for o in outcomes])
        rmse = float(np.sqrt(np.mean(error**2)))
        lines.append(
            f"{name:8}{100 * error.mean():8.1f}{100 * error.std(ddof=1):8.1f}{100 * rmse:8.1f}{100 * inside:8.0f}"
            f"{100 * width:8.0f}{100 * score:8.0f}"
        )
        if name in HEADLINE:
            sds.append(error.std(ddof=1))
            rmses.append(rmse)
    seconds = np.median([o.seconds for o in outcomes])
    dimensions = np.median([o.fit.baseline_dimensions for o in outcomes])
    flagged = np.mean([o.fit.status != "ok" for o in outcomes])
    lines.append(
        f"mean of {', '.join(HEADLINE)}: SD {100 * np.mean(sds):.1f} %, RMSE {100 * np.mean(rmses):.1f} %; "
        f"{seconds:.2f} s, {dimensions:.1f} dimensions/ppm, {100 * flagged:.0f} % flagged"
    )
    return "\n".join(lines)


def run_panel(panel: str, count: int, settings: FitSection, workers: int = 1) -> list[Outcome]:
    """Fit every case of a panel."""
    work: Callable[[Case], Outcome] = _Worker(settings)
    if workers == 1:
        return [work(case) for case in cases(panel, count)]
    with ProcessPoolExecutor(workers) as pool:
        return list(pool.map(work, cases(panel, count)))


@dataclass(frozen=True)
class _Worker:
    settings: FitSection

    def __call__(self, case: Case) -> Outcome:
        return fit_case(case, self.settings)


def main() -> None:
    """Print one table per panel."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spectra", type=int, default=40)
    parser.add_argument("--panel", default="all", choices=["independent", "simulated", "matched", "all"])
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    panels = ["independent", "simulated", "matched"] if options.panel == "all" else [options.panel]
    for panel in panels:
        outcomes = run_panel(panel, options.spectra, FitSection(), options.workers)
        print(table(outcomes, f"{panel} panel, {options.spectra} spectra"), flush=True)


if __name__ == "__main__":
    main()
