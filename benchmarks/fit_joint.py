"""What the joint fit of visits does to the change between them, on planted truth, against fits apart.

Run: ``python benchmarks/fit_joint.py [--people 40] [--scenario NAME ...] [--own 0.25] [--background 0.25]
[--draws 0]``

Truth is made like the panel ``same_basis`` of ``panels.py`` (imported shaped-pulse set, Birch's macromolecules,
lineshape of a real water FID), two visits per person. A person keeps concentrations up to changes with an SD of 5 % per
metabolite, shifts (up to 0.0005 ppm) and T2 widths (up to 3 %), and the macromolecule pattern (up to 3 % per peak); a
visit has its own linewidth, phase, shift, residual water, noise, and half the variance of lipids and humps that nobody
models.

Scenarios: ``good`` (SNR 20-60 at both visits), ``bad`` (follow-up with a third of the SNR and 6 Hz more), ``mm`` and
``lipid`` (20 % more macromolecules or lipid at follow-up, the same people as ``good``: what is printed is the
difference of the mean errors, which a treatment that does this in one arm would add to the comparison), ``three`` (a
further good visit between the two, which is missing in ``good``), ``bad middle`` (that visit bad) and ``unlike`` (at
follow-up, what a person keeps differs four times as much: 0.002 ppm, 12 % of T2, 12 % per macromolecule peak). Errors
are of the change from first to last visit, in per cent of the planted value at baseline: of the ratio to tCr, and of
the amplitude. ``cov s`` and ``cov t`` are the shares of errors within 1.96 of the sampling and the total SD, ``width``
is the median of 1.96 total SDs.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace

import numpy as np
from panels import (
    BIRCH,
    DWELL,
    ECHO,
    MHZ,
    POINTS,
    T2,
    background,
    draw_concentrations,
    imported_basis,
    water_lineshape,
)

from mrs_pipeline.config import FitSection
from mrs_pipeline.fit import COMBINED
from mrs_pipeline.fit.joint import Visit, fit_visits
from mrs_pipeline.fit.joint_problem import Sharing
from mrs_pipeline.fit.joint_result import Change, VisitAmplitudes
from mrs_pipeline.spectrum import ComplexArray, FloatArray, Spectrum

NAMES = ("Glu", "Ins", "Glx", "tNAA", "tCr", "tCho")
TIME = np.arange(POINTS) * DWELL
Z95 = 1.96


@dataclass(frozen=True)
class Scan:
    """Quality and content of one visit beside what the person keeps."""

    snr: float
    gauss_hz: float
    macromolecules: float = 1.0
    lipid: float = 1.0
    unlike: float = 1.0


@dataclass(frozen=True)
class Error:
    """One change: its error and SDs relative to the planted baseline value, by kind of fit."""

    error: float
    sd: float
    total: float


def amounts_of(seed: int, number: int) -> dict[str, float]:
    """Concentrations of a person at a visit."""
    basis = imported_basis()
    base = draw_concentrations(np.random.default_rng([seed, 1]))
    change = np.random.default_rng([seed, 2, number])
    return {
        name: value * (1.0 + (0.05 * change.standard_normal() if number else 0.0))
        for name, value in base.items()
        if name in basis.names
    }


def metabolites(seed: int, number: int, amounts: dict[str, float], unlike: float) -> ComplexArray:
    """Sum of metabolites with the person's shifts and widths, and what little of them changes."""
    kept, own = np.random.default_rng([seed, 3]), np.random.default_rng([seed, 4, number])
    adapted = imported_basis().resampled(DWELL, POINTS, MHZ, 4.65)
    out = np.zeros(POINTS, complex)
    for name, fid in zip(adapted.names, adapted.fids, strict=True):
        hertz = MHZ * (0.003 * kept.standard_normal() + unlike * 0.0005 * own.standard_normal())
        factor = max(0.5, 1.0 + 0.15 * kept.standard_normal() + unlike * 0.03 * own.standard_normal())
        width = factor / (np.pi * T2.get(name, 0.15))
        out += amounts.get(name, 0.0) * fid * np.exp((2j * np.pi * hertz - np.pi * width) * TIME)
    return out


def macromolecules(seed: int, number: int, size: float, unlike: float) -> ComplexArray:
    """Birch's pattern: 10 % per peak between people, 3 % between visits."""
    kept, own = np.random.default_rng([seed, 5]), np.random.default_rng([seed, 6, number])
    ppm, area, width = BIRCH.T
    total = size * max(0.5, 1 + 0.15 * kept.standard_normal() + 0.03 * own.standard_normal())
    spread = 0.1 * kept.standard_normal(area.size) + unlike * 0.03 * own.standard_normal(area.size)
    area = total * area / area[0] * (1 + spread)
    decay = (np.pi * width[:, None] * MHZ / 128.0 * TIME) ** 2 / (4 * np.log(2))
    return np.asarray((area[:, None] * np.exp(2j * np.pi * (ppm[:, None] - 4.65) * MHZ * TIME - decay)).sum(axis=0))


def lipid(ppm: float, width: float) -> ComplexArray:
    """Gaussian line at unit area."""
    return np.asarray(np.exp(2j * np.pi * (ppm - 4.65) * MHZ * TIME - (np.pi * width * TIME) ** 2 / (4 * np.log(2))))


def plant(seed: int, number: int, scan: Scan, draw: int | None = None) -> Spectrum:
    """Make one visit of one person; ``draw`` changes the noise alone."""
    rng = np.random.default_rng([seed, 7, number])
    amounts = amounts_of(seed, number)
    creatine = sum(amounts_of(seed, 0)[name] for name in ("Cr", "PCr"))
    decay = np.exp(-((np.pi * scan.gauss_hz * TIME) ** 2) / (4 * np.log(2)))
    lineshape = water_lineshape()
    fid = metabolites(seed, number, amounts, scan.unlike) * decay * lineshape
    eddy = lineshape / np.maximum(np.abs(lineshape), 1e-12)
    fid += eddy * scan.macromolecules * macromolecules(seed, number, 1.5 * creatine, scan.unlike)
    kept = background(np.random.default_rng([seed, 8]), creatine)
    fid += np.sqrt(0.5) * (kept + background(rng, creatine))
    fid += creatine * 0.5 * scan.lipid * (lipid(1.3, 20.0) + 0.5 * lipid(0.89, 18.0))
    fid *= np.exp(1j * rng.normal(0, 0.1) + 2j * np.pi * rng.normal(0, 1.0) * TIME)
    height = np.abs(np.fft.fft(3 * creatine * decay * lineshape * np.exp(-np.pi * 2.6 * TIME))).max()
    sd = height / scan.snr / np.sqrt(POINTS)
    noise = rng if draw is None else np.random.default_rng([seed, 10, number, draw])
    fid += sd * (noise.standard_normal(POINTS) + 1j * noise.standard_normal(POINTS))
    return Spectrum(fid, DWELL, MHZ, 4.65, echo_time=ECHO)


def scans(seed: int, scenario: str) -> dict[str, tuple[int, Scan]]:
    """Visits of a person: label, number of the draw, quality. The change is from ``a`` to ``c``."""
    rng = np.random.default_rng([seed, 9])
    first, last, middle = (Scan(float(rng.uniform(20, 60)), float(rng.uniform(1, 5))) for _ in range(3))
    poor = {"snr": 1 / 3, "gauss_hz": 6.0}
    if scenario == "bad":
        last = Scan(last.snr * poor["snr"], last.gauss_hz + poor["gauss_hz"])
    elif scenario == "mm":
        last = replace(last, macromolecules=1.2)
    elif scenario == "lipid":
        last = replace(last, lipid=1.2)
    elif scenario == "unlike":
        last = replace(last, unlike=4.0)
    visits = {"a": (0, first), "c": (1, last)}
    if scenario == "three":
        visits["b"] = (2, middle)
    elif scenario == "bad middle":
        visits["b"] = (2, Scan(middle.snr * poor["snr"], middle.gauss_hz + poor["gauss_hz"]))
    return dict(sorted(visits.items()))


def truth(amounts: dict[str, float], name: str) -> float:
    """Planted amplitude of a metabolite or combination."""
    return sum(amounts.get(part, 0.0) for part in COMBINED.get(name, (name,)))


def change_of(visits: VisitAmplitudes, kind: str, name: str) -> Change:
    """Estimated change of a ratio or an amplitude."""
    return visits.ratio_change(name, "a", "c") if kind == "ratio" else visits.amount_change(name, "a", "c")


def person(seed: int, scenario: str, sharing: Sharing) -> dict[tuple[str, str, str], Error]:
    """Plant, fit, compare: errors by fit (apart, joint), kind (ratio, amplitude) and name."""
    visits = [
        Visit(label, plant(seed, number, scan), imported_basis())
        for label, (number, scan) in scans(seed, scenario).items()
    ]
    fit = fit_visits(visits, FitSection(), sharing)
    before, after = amounts_of(seed, 0), amounts_of(seed, 1)
    out = {}
    for kind in ("ratio", "amplitude"):
        for name in NAMES:
            unit = [truth(amounts, "tCr") if kind == "ratio" else 1.0 for amounts in (before, after)]
            start = truth(before, name) / unit[0]
            wanted = truth(after, name) / unit[1] - start
            for label, amplitudes in (("apart", fit.independent), ("joint", fit.joint)):
                found = change_of(amplitudes, kind, name)
                out[label, kind, name] = Error(
                    (found.change - wanted) / start, found.sd / start, found.total_sd / start
                )
    return out


def column(people: list[dict[tuple[str, str, str], Error]], *key: str) -> FloatArray:
    """Errors and SDs of all people, shape ``(n, 3)``."""
    chosen = [each[key[0], key[1], key[2]] for each in people]
    return np.array([(one.error, one.sd, one.total) for one in chosen])


def table(people: list[dict[tuple[str, str, str], Error]], kind: str) -> str:
    """SD and bias of the change, coverage of its interval by sampling and total SD, median half width, in per cent."""
    head = f"{'SD':>7}{'bias':>7}{'cov s':>7}{'cov t':>7}{'width':>7}"
    lines = [f"{kind:10}{'apart':^35}{'joint':^35}{'SD joint/apart':>16}", " " * 10 + head + head]
    ratios = []
    for name in NAMES:
        if kind == "ratio" and name == "tCr":
            continue
        cells, spread = "", []
        for fit in ("apart", "joint"):
            error, sd, total = column(people, fit, kind, name).T
            spread.append(error.std(ddof=1))
            inside = [100 * np.mean(np.abs(error) <= Z95 * each) for each in (sd, total)]
            cells += f"{100 * spread[-1]:7.1f}{100 * error.mean():7.1f}{inside[0]:7.0f}{inside[1]:7.0f}"
            cells += f"{100 * Z95 * np.median(total):7.1f}"
        ratios.append(spread[1] / spread[0])
        lines.append(f"{name:10}{cells}{ratios[-1]:16.2f}")
    lines.append(f"geometric mean of SD joint/apart: {np.exp(np.mean(np.log(ratios))):.2f}")
    return "\n".join(lines)


def shift_table(people: list[dict[tuple[str, str, str], Error]], usual: list[dict[tuple[str, str, str], Error]]) -> str:
    """Print what the scenario adds to the mean error of the change, with its standard error, in per cent."""
    lines = [f"{'':10}{'ratio apart':>16}{'ratio joint':>16}{'amplitude apart':>18}{'amplitude joint':>18}"]
    for name in NAMES:
        cells = []
        for kind in ("ratio", "amplitude"):
            for fit in ("apart", "joint"):
                moved = 100 * (column(people, fit, kind, name)[:, 0] - column(usual, fit, kind, name)[:, 0])
                cells.append(f"{moved.mean():+.1f} ({moved.std(ddof=1) / np.sqrt(moved.size):.1f})")
        lines.append(f"{name:10}{cells[0]:>16}{cells[1]:>16}{cells[2]:>18}{cells[3]:>18}")
    return "\n".join(lines)


def draws_table(count: int, sharing: Sharing, seed: int = 3) -> str:
    """SD of the change of the ratio over draws of the noise of one person at SNR 40, and what was reported of it."""
    scan, basis = Scan(40.0, 3.0), imported_basis()
    fits = [
        fit_visits(
            [Visit(label, plant(seed, n, scan, draw), basis) for n, label in enumerate("ac")], FitSection(), sharing
        )
        for draw in range(count)
    ]
    lines = [f"{'':10}{'apart: SD':>12}{'reported/SD':>14}{'joint: SD':>12}{'reported/SD':>14}{'joint/apart':>14}"]
    for name in NAMES:
        if name == "tCr":
            continue
        found = [[each.ratio_change(name, "a", "c") for each in (fit.independent, fit.joint)] for fit in fits]
        change, sd = (np.array([[getattr(one, key) for one in both] for both in found]) for key in ("change", "sd"))
        spread = change.std(axis=0, ddof=1)
        size = abs(np.mean([both[0].first for both in found]))
        reported = np.median(sd, axis=0) / spread
        cells = "".join(f"{100 * own / size:12.1f}{told:14.2f}" for own, told in zip(spread, reported, strict=True))
        lines.append(f"{name:10}{cells}{spread[1] / spread[0]:14.2f}")
    return "\n".join(lines)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=40)
    parser.add_argument("--scenario", nargs="*", default=["bad", "unlike", "mm", "lipid", "three", "bad middle"])
    parser.add_argument("--own", type=float, default=Sharing().own)
    parser.add_argument("--background", type=float, default=Sharing().background)
    parser.add_argument("--own-stiffness", action="store_true", help="each visit keeps its own baseline stiffness")
    parser.add_argument("--draws", type=int, default=0, help="only: noise draws of one person, SD against reported SD")
    options = parser.parse_args()
    sharing = Sharing(options.own, options.background, stiffness=not options.own_stiffness)
    if options.draws:
        print(f"{options.draws} draws of the noise\n{draws_table(options.draws, sharing)}")
        return
    usual = [person(seed, "good", sharing) for seed in range(options.people)]
    for kind in ("ratio", "amplitude"):
        print(f"good, {options.people} people\n{table(usual, kind)}", flush=True)
    for scenario in options.scenario:
        people = [person(seed, scenario, sharing) for seed in range(options.people)]
        if scenario in {"mm", "lipid"}:
            print(f"{scenario} + 20 %: what it adds to the change\n{shift_table(people, usual)}", flush=True)
        else:
            print(f"{scenario}\n{table(people, 'ratio')}", flush=True)


if __name__ == "__main__":
    main()
