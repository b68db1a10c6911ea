"""The peak model beside pyAMARES (BSD, doi:10.3390/diagnostics14232668): its own 31P example, and planted truth.

    python -m venv peer && peer/bin/pip install . pyAMARES 'pandas<3'
    peer/bin/python benchmarks/fit_peaks_peer.py --draws 20 --figure fit.png

The example is a 31P FID of a human brain at 7 T with a table of prior knowledge (Ren 2015, doi:10.1002/nbm.3384), read
from the installed package. pyAMARES runs as its documentation recommends (``leastsq``, then ``least_squares`` from
there); ours gets the same table, starts, bounds and begin time over the whole band, and then its own table
``31p-brain``. ``shipped`` is the result file in the package, whose widths are not held by the bounds. Planted truth:
FIDs of that table with random amplitudes, shifts, widths and phase inside its bounds, and white noise, through both.
Ratios are over PCr; CRLB are in % of the amplitude. Without pyAMARES this says so and does nothing.
"""

from __future__ import annotations

import argparse
import csv
import logging
import re
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from mrs_pipeline.config import FitSection
from mrs_pipeline.fit import FitResult, PeakTable, fit_peaks, load_peaks
from mrs_pipeline.fit.peaks_model import token
from mrs_pipeline.fit.peaks_table import PeakLine
from mrs_pipeline.spectrum import Spectrum

MHZ, BANDWIDTH, DEAD_MS = 120.0, 10000.0, 0.3
"""Facts of the example as its documentation states them."""
NOISE = (0.22, 0.7)
"""Noise SD of each channel of the planted FIDs: that of the example, and three times that."""
OWN_NAMES = {"BATP": "bATP", "AATP": "aATP", "GATP": "gATP", "Pin": "Pi", "Pex": "Piex"}
"""Names of the example's peaks in our table, where they differ."""
SEEDS = 7


@dataclass(frozen=True)
class Found:
    """One fitted peak: amplitude at time 0, its CRLB, full width at half maximum in Hz."""

    amplitude: float
    crlb: float
    width: float


@dataclass(frozen=True)
class Line:
    """One line of a multiplet in the example's table: offset from its first (Hz), weight, bounds (ppm)."""

    offset: float
    weight: float
    ppm: tuple[float, float]


def peer() -> ModuleType | None:
    """Return pyAMARES, or say why there is none."""
    try:
        import pandas as pd
        import pyAMARES
    except ImportError:
        print("pyAMARES is not installed: nothing is compared (pip install pyAMARES 'pandas<3')")
        return None
    if not hasattr(pd.DataFrame, "applymap"):
        print(f"pyAMARES calls DataFrame.applymap, which pandas {pd.__version__} has not: pip install 'pandas<3'")
        return None
    logging.disable(logging.INFO)
    warnings.filterwarnings("ignore", category=FutureWarning)
    return pyAMARES


def equivalent(path: Path) -> tuple[PeakTable, dict[str, float]]:
    """Return the example's table of prior knowledge in our terms, and its start amplitudes.

    A column whose shift reads ``BATP-15Hz`` is a line of the multiplet BATP. Every parameter is free between the bounds
    of its column, as there; a multiplet moves as far as the bounds of all its lines let it. The shift of PCr is the
    common one.
    """
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    rows = [row for row in csv.reader(lines) if row and row[0] and not row[0].startswith("#")]
    names = rows[0][1:]
    start, bounds = (
        {row[0]: dict(zip(names, row[1:], strict=False)) for row in part} for part in (rows[2:7], rows[8:13])
    )
    groups: dict[str, list[Line]] = {}
    for name in names:
        tie = re.fullmatch(r"(\w+?)([+-][\d.]+)Hz", start["chemicalshift"][name])
        share = float(start["amplitude"][name].partition("/")[2] or 1.0)
        owner, offset = (tie[1], float(tie[2])) if tie else (name, 0.0)
        groups.setdefault(owner, []).append(Line(offset, 1.0 / share, _numbers(bounds["chemicalshift"][name])))
    lines = tuple(_multiplet(name, parts, start, bounds) for name, parts in groups.items())
    amplitudes = {name: float(start["amplitude"][name]) * sum(part.weight for part in groups[name]) for name in groups}
    reach = 0.5 * float(np.ptp(groups["PCr"][0].ppm))
    return PeakTable(lines, "31P", "PCr", None, reach, DEAD_MS), amplitudes


def _multiplet(name: str, parts: list[Line], start: dict[str, Any], bounds: dict[str, Any]) -> PeakLine:
    """Return one multiplet about its centre."""
    parts = sorted(parts, key=lambda part: -part.offset)
    centre = float(np.mean([part.offset for part in parts]))
    low = max(part.ppm[0] - (part.offset - centre) / MHZ for part in parts)
    high = min(part.ppm[1] - (part.offset - centre) / MHZ for part in parts)
    narrow, wide = _numbers(bounds["linewidth"][name])
    return PeakLine(
        name, 0.5 * (low + high), pattern=tuple(part.weight for part in parts),
        j_hz=parts[0].offset - parts[1].offset if len(parts) > 1 else 0.0,
        shift_sd_ppm=0.0 if name == "PCr" else np.inf, shift_max_ppm=0.5 * (high - low),
        width_hz=float(start["linewidth"][name]), width_min_hz=narrow, width_max_hz=wide,
    )  # fmt: skip


def _numbers(text: str) -> tuple[float, float]:
    low, high = (float(part) for part in text.strip("() ").split(","))
    return low, high


def run_peer(package: ModuleType, fid: np.ndarray, path: Path) -> dict[str, Found]:
    """Fit with pyAMARES as its documentation recommends."""
    given = package.initialize_FID(
        fid=fid, priorknowledgefile=str(path), MHz=MHZ, sw=BANDWIDTH, deadtime=1e-3 * DEAD_MS, preview=False,
        normalize_fid=False, xlim=(10, -20),
    )  # fmt: skip
    first = package.fitAMARES(
        fid_parameters=given, fitting_parameters=given.initialParams, method="leastsq", ifplot=False
    )
    second = package.fitAMARES(
        fid_parameters=first, fitting_parameters=first.fittedParams, method="least_squares", ifplot=False
    )
    rows = second.result_sum[["amplitude", "CRLB(%)", "LW(Hz)"]].astype(float).itertuples()
    return {str(name): Found(value, value * crlb / 100, width) for name, value, crlb, width in rows}


def spectrum_of(fid: np.ndarray) -> Spectrum:
    """Return an FID of the example's kind; PCr is at the carrier."""
    return Spectrum(fid, 1 / BANDWIDTH, MHZ, 0.0, nucleus="31P")


def run_ours(fid: np.ndarray, table: PeakTable) -> tuple[FitResult, dict[str, Found]]:
    """Fit with our peak model, over the whole band where the table states no window."""
    spectrum = spectrum_of(fid)
    settings = FitSection(model="peaks", ppm=(float(spectrum.ppm[0]), float(spectrum.ppm[-1])))
    fit = fit_peaks(spectrum, settings, table)
    rows = zip(fit.names, fit.amplitudes, fit.crlb, strict=True)
    return fit, {name: Found(value, crlb, fit.metrics[f"width_{token(name)}_hz"] or 0.0) for name, value, crlb in rows}


def example(package: ModuleType, folder: Path, table: PeakTable, figure: Path | None) -> None:
    """Print both fits of the example, and ours with our own table."""
    fid = np.loadtxt(folder / "fid.txt") @ np.array([1.0, 1.0j])
    clocks = [time.perf_counter()]
    theirs = run_peer(package, fid, folder / "example_human_brain_31P_7T.csv")
    clocks.append(time.perf_counter())
    fit, ours = run_ours(fid, table)
    clocks.append(time.perf_counter())
    own_fit, own = run_ours(fid, load_peaks("31p-brain"))
    clocks.append(time.perf_counter())
    seconds = np.diff(clocks)
    print(f"seconds: pyAMARES {seconds[0]:.2f}, ours {seconds[1]:.2f}, ours with 31p-brain {seconds[2]:.2f}")
    print(f"ours: {fit.status}, chi2 over noise {fit.fqn:.3f}; with 31p-brain {own_fit.status}, {own_fit.fqn:.3f}")
    tail = fid[-len(fid) // 4 :]
    print(f"noise variance of the FID's last quarter: real {tail.real.var():.2g}, imaginary {tail.imag.var():.2g}")
    shipped = shipped_ratios(folder / "simple_example.csv")
    print("peak   ratio: pyAMARES, ours, difference | width (Hz)  | CRLB (%)    | ratio: shipped, 31p-brain, its width")
    for name, left in theirs.items():
        right, mine = ours[name], own.get(OWN_NAMES.get(name, name))
        ratio = [part.amplitude / whole["PCr"].amplitude for part, whole in ((left, theirs), (right, ours))]
        crlb = [100 * part.crlb / part.amplitude for part in (left, right)]
        nuclei = 2.0 if name == "NAD" else 1.0  # per molecule in our own table
        shown = "" if mine is None else f"{nuclei * mine.amplitude / own['PCr'].amplitude:6.3f} {mine.width:6.1f}"
        print(
            f"{name:5s} {ratio[0]:10.3f} {ratio[1]:7.3f} {100 * (ratio[1] / ratio[0] - 1):6.1f} %      | "
            f"{left.width:5.1f} {right.width:5.1f} | {crlb[0]:5.1f} {crlb[1]:5.1f} | {shipped[name]:6.3f} {shown}"
        )
    if figure is not None:
        draw(own_fit, figure)


def shipped_ratios(path: Path) -> dict[str, float]:
    """Return the amplitudes over PCr in the result that the package ships."""
    rows = {row["name"]: float(row["amplitude"]) for row in csv.DictReader(path.open(encoding="utf-8-sig"))}
    return {name: value / rows["PCr"] for name, value in rows.items()}


def draw(fit: FitResult, path: Path) -> None:
    """Draw a fit as the report does."""
    from mrs_pipeline.report.figures import fit_figure

    fig = fit_figure(fit.ppm, fit.data, fit.model, fit.baseline, fit.residual, fit.noise_sd, {})
    fig.savefig(path, dpi=110)


def planted(
    table: PeakTable, amplitudes: dict[str, float], noise: float, rng: np.random.Generator
) -> tuple[np.ndarray, dict[str, float]]:
    """Make one FID by the equation of AMARES, and say what is in it."""
    time_s = np.arange(1024) / BANDWIDTH
    since = time_s + 1e-3 * DEAD_MS
    truth = {name: value * rng.uniform(0.7, 1.3) for name, value in amplitudes.items()}
    fid = np.zeros(since.size, dtype=complex)
    for line in table.lines:
        shift = 0.0 if line.name == "PCr" else rng.uniform(-0.5, 0.5) * (line.shift_max_ppm or 0.0)
        width = line.width_min_hz + rng.uniform(0.25, 0.75) * (line.width_max_hz - line.width_min_hz)
        for number, weight in enumerate(line.pattern):
            hz = (line.ppm + shift) * MHZ + (0.5 * (len(line.pattern) - 1) - number) * line.j_hz
            share = truth[line.name] * weight / sum(line.pattern)
            fid += share * np.exp((2j * np.pi * hz - np.pi * width) * since)
    fid *= np.exp(1j * rng.uniform(-0.5, 0.5))
    return fid + noise * (rng.normal(size=fid.size) + 1j * rng.normal(size=fid.size)), truth


def compare_planted(
    package: ModuleType, path: Path, table: PeakTable, amplitudes: dict[str, float], draws: int
) -> None:
    """Print bias, SD and CRLB over SD of both on the same planted FIDs."""
    for noise in NOISE:
        rng = np.random.default_rng(SEEDS)
        seconds = np.zeros(2)
        errors: dict[str, list[tuple[float, float, float, float]]] = {name: [] for name in amplitudes}
        for _ in range(draws):
            fid, truth = planted(table, amplitudes, noise, rng)
            clocks = [time.perf_counter()]
            theirs = run_peer(package, fid, path)
            clocks.append(time.perf_counter())
            _, ours = run_ours(fid, table)
            clocks.append(time.perf_counter())
            seconds += np.diff(clocks)
            for name, value in truth.items():
                pair = (theirs[name], ours[name])
                errors[name].append(tuple(x for part in pair for x in (part.amplitude / value - 1, part.crlb / value)))
        print(f"planted, noise {noise:g}: seconds pyAMARES {seconds[0] / draws:.2f}, ours {seconds[1] / draws:.2f}")
        print("peak   bias (%): pyAMARES, ours | SD (%)      | CRLB over SD")
        for name, found in errors.items():
            their, their_crlb, our, our_crlb = np.array(found).T
            print(
                f"{name:5s} {100 * their.mean():8.1f} {100 * our.mean():6.1f}        | {100 * their.std(ddof=1):5.1f} "
                f"{100 * our.std(ddof=1):5.1f} | {their_crlb.mean() / their.std(ddof=1):5.2f} "
                f"{our_crlb.mean() / our.std(ddof=1):5.2f}"
            )


def main() -> None:
    """Run both comparisons."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--figure", type=Path, help="where to draw the fit with our own table")
    arguments = parser.parse_args()
    package = peer()
    if package is None:
        return
    folder = Path(package.__file__).parent / "examples"
    path = folder / "example_human_brain_31P_7T.csv"
    table, amplitudes = equivalent(path)
    example(package, folder, table, arguments.figure)
    compare_planted(package, path, table, amplitudes, arguments.draws)


if __name__ == "__main__":
    main()
