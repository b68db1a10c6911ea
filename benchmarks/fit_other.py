"""Planted truth for the fits beside the short-TE one: GABA-edited differences and sums, and 31P by the peak model.

    python benchmarks/fit_other.py --draws 20

Difference: simulated signals, T2, Gaussian line, two macromolecule peaks and noise. ``matched`` is fitted with the
pulses and macromolecules it was made with; ``other`` has editing pulses 0.04 ppm (5 Hz) off and 16 instead of 14 ms
long, an asymmetric 3 ppm macromolecule peak (as measured ones are, doi:10.1002/mrm.30158) and a broad hump. 31P: lines
of the table with random shifts and widths, phase and begin time. Sum: the same transients fitted as the unedited
condition alone and as on plus off, with macromolecules as the fit expects them apart from their ratios (``matched``),
and with couplings that evolve over TE in one condition and are refocused in the other (``coupled``).
SNR is the tallest peak over the noise SD.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from mrs_pipeline.basis import Basis, Editing, share_left, simulate_basis
from mrs_pipeline.basis.sequences import EditHalf
from mrs_pipeline.basis.simulate import Edit
from mrs_pipeline.config import FitSection
from mrs_pipeline.fit import fit_difference, fit_peaks, fit_spectrum, fit_sum, load_peaks
from mrs_pipeline.fit.edited import edited_area
from mrs_pipeline.fit.peaks_model import line_weights, make_peak_model
from mrs_pipeline.fit.priors import load_priors
from mrs_pipeline.spectrum import Spectrum

MHZ, BANDWIDTH, POINTS = 123.2, 2000.0, 2048
GAUSS = np.pi**2 / (4 * np.log(2))
BRAIN = {"GABA": 1.6, "Gln": 2.5, "Glu": 9.0, "GSH": 1.4, "NAA": 10.5, "NAAG": 1.5}
WHOLE = BRAIN | {
    "Cr": 5.0, "PCr": 4.0, "GPC": 1.1, "PCh": 0.6, "Ins": 6.0, "Tau": 1.2, "Asp": 1.5, "sIns": 0.3, "Lac": 0.7,
    "PE": 1.2, "Asc": 0.8,
}  # fmt: skip
SHOWN = ("tNAA", "tCr", "tCho", "Ins", "Glu", "Glx", "GSH")
T2 = {"GABA": 0.09, "Gln": 0.12, "Glu": 0.13, "GSH": 0.1, "NAA": 0.28, "NAAG": 0.15}
PHOSPHORUS = {
    "PE": 2.5, "PC": 0.7, "Piex": 0.4, "Pi": 1.2, "GPE": 1.0, "GPC": 1.6, "MP": 3.0, "PCr": 4.5, "gATP": 3.0,
    "aATP": 3.0, "NAD": 0.5, "bATP": 3.0,
}  # fmt: skip


def basis_of(editing: Editing, edit: Edit = "difference", names: list[str] | None = None) -> Basis:
    """Simulate the set of one kind of editing pulse."""
    return simulate_basis(
        "mega-press", te1=0.0128, te2=0.0552, field_mhz=MHZ, bandwidth=BANDWIDTH, n_points=POINTS,
        names=names or list(BRAIN), edit=edit, editing=editing, linewidth_hz=1.0,
    )  # fmt: skip


def difference(basis: Basis, unit: float, noise: float, rng: np.random.Generator, other: bool) -> Spectrum:
    """Make one difference spectrum."""
    t = np.arange(POINTS) / BANDWIDTH
    fid = sum(value * basis.fid(name) * np.exp(-t / T2[name]) for name, value in BRAIN.items())
    peaks = [(0.93, 14.0, 2.4), (3.0, 14.0, 1.6)]
    if other:
        peaks = [(0.93, 16.0, 2.4), (3.01, 14.0, 1.1), (2.93, 20.0, 0.5), (2.4, 90.0, 1.0)]
    for ppm, width, size in peaks:
        fid = fid + size * unit * np.exp(2j * np.pi * (ppm - 4.65) * MHZ * t - GAUSS * (width * t) ** 2)
    fid = fid * np.exp(-GAUSS * (rng.uniform(4.0, 8.0) * t) ** 2 + 1j * rng.normal() * 0.1)
    fid = fid + noise * (rng.normal(size=POINTS) + 1j * rng.normal(size=POINTS))
    return Spectrum(fid, 1 / BANDWIDTH, MHZ, echo_time=0.068)


def edited_panel(draws: int) -> None:
    """Print bias, SD and coverage of the difference fit."""
    ours = basis_of(Editing())
    unit = edited_area(ours, "GABA")
    for label, truth in (("matched", ours), ("other", basis_of(Editing(1.86, 7.5, 0.016)))):
        for noise in (0.15, 0.5):
            rng = np.random.default_rng(7)
            start = time.process_time()
            fits = [
                fit_difference(difference(truth, unit, noise, rng, label == "other"), ours, FitSection())
                for _ in range(draws)
            ]
            seconds = (time.process_time() - start) / draws
            snr = np.mean([fit.snr for fit in fits])
            print(f"difference, {label}, SNR {snr:.0f}: {seconds:.2f} CPU s, ", end="")
            print(f"{sum(fit.status == 'ok' for fit in fits)} of {draws} ok")
            for name, value in {"GABA+": 3.2, "GABA": 1.6, "Glx": 11.5, "GSH": 1.4, "NAA": 10.5}.items():
                report(name, value, [fit.combination(fit.weights(name)) for fit in fits])


def background(half: EditHalf, coupled: bool) -> np.ndarray:
    """Return macromolecules of one condition at unit size: Gaussian peaks with what the editing pulse cuts out of them.

    ``coupled``: at TE 68 ms a third of a peak's area is left, and more of it where editing refocuses its coupling: 0.9
    and 2.05 ppm, 1.7 and 3.0 ppm (Edden 2012, doi:10.1002/mrm.24391), 2.1 and 3.7 ppm.
    """
    t, hz = np.arange(POINTS) / BANDWIDTH, np.fft.fftfreq(4 * POINTS, 1 / BANDWIDTH)
    left = share_left(Editing(), half, 4.65 + hz / MHZ, MHZ)
    total = np.zeros(POINTS, dtype=complex)
    for number, peak in enumerate(load_priors("default").macromolecules.peaks):
        size = peak.ratio * (1.15 if number % 2 else 0.85 if number else 1.0)
        if coupled:
            size *= {"MM09": 0.8, "MM30": 0.6, "MM37": 0.4}.get(peak.name, 0.3) if half == "on" else 0.3
        profile = np.exp(-4 * np.log(2) * ((hz - (peak.ppm - 4.65) * MHZ) / (peak.width * MHZ)) ** 2)
        weights = left * profile / profile.sum()
        seen = weights > 1e-6 * profile.max() / profile.sum()
        total += 3.0 * size * (weights[seen] @ np.exp(2j * np.pi * hz[seen][:, None] * t))
    return total


def conditions(
    bases: dict[str, Basis], broad: dict[str, np.ndarray], sd: float, rng: np.random.Generator
) -> dict[str, Spectrum]:
    """Make the averaged unedited condition and the sum of one scan; the noise of the two conditions is independent."""
    t = np.arange(POINTS) / BANDWIDTH
    t2, decay = load_priors("default").width.t2, np.exp(-GAUSS * (rng.uniform(4.0, 8.0) * t) ** 2)
    fids = {}
    for half, basis in bases.items():
        fid = sum(value * basis.fid(name) * np.exp(-t / t2.get(name, 0.15)) for name, value in WHOLE.items())
        noise = sd * (rng.normal(size=POINTS) + 1j * rng.normal(size=POINTS))
        fids[half] = (fid + broad[half] * np.exp(-t / 0.15)) * decay + noise
    made = {"off": fids["off"], "sum": fids["on"] + fids["off"]}
    return {kind: Spectrum(fid, 1 / BANDWIDTH, MHZ, echo_time=0.068) for kind, fid in made.items()}


def sum_panel(draws: int) -> None:
    """Print bias and SD of the unedited condition alone and of the sum, for the same scans."""
    bases = {edit: basis_of(Editing(), edit, list(WHOLE)) for edit in ("on", "off", "sum")}
    halves = {half: bases[half] for half in ("on", "off")}
    fit = {
        "off": lambda data: fit_spectrum(data, bases["off"], FitSection()),
        "sum": lambda data: fit_sum(data, bases["sum"], FitSection(), Editing()),
        "sum, usual priors": lambda data: fit_spectrum(data, bases["sum"], FitSection()),
    }
    for label, size, noise in (
        ("matched", 2.0, 0.6),
        ("coupled", 4.0, 0.6),
        ("matched", 2.0, 2.0),
        ("coupled", 4.0, 2.0),
    ):
        broad = {half: size * background(half, label == "coupled") for half in ("on", "off")}
        rng = np.random.default_rng(7)
        scans = [conditions(halves, broad, noise, rng) for _ in range(draws)]
        for kind, run in fit.items():
            fits = [run(scan[kind.partition(",")[0]]) for scan in scans]
            ok, snr = sum(found.status == "ok" for found in fits), np.mean([found.snr for found in fits])
            print(f"{kind}, {label}, SNR {snr:.0f}: {ok} of {draws} ok")
            for name in SHOWN:
                parts = fits[0].weights(name)
                truth = sum(WHOLE[part] for part in parts if part in WHOLE)
                report(name, truth, [found.combination(parts) for found in fits])
            ratios = np.array([[found.ratio(name)[0] for name in SHOWN] for found in fits])
            spread = 100 * ratios.std(axis=0, ddof=1) / ratios.mean(axis=0)
            shown = ", ".join(f"{name} {sd:.1f}" for name, sd in zip(SHOWN, spread, strict=True) if name != "tCr")
            print(f"  SD of the ratio to tCr, in %: {shown}")


def phosphorus_panel(draws: int) -> None:
    """Print the same of the 31P brain table."""
    table = load_peaks("31p-brain")
    empty = Spectrum(np.ones(1024), 1 / 5000, 51.7, 0.0, nucleus="31P")
    model = make_peak_model(empty, table, table.ppm)
    amplitudes = np.array([PHOSPHORUS[name] for name in table.names])
    for noise in (0.1, 0.5):
        rng = np.random.default_rng(7)
        fits, start = [], time.process_time()
        for _ in range(draws):
            theta = model.start.copy()
            for name, place in model.index.items():
                known = model.parameters[place]
                theta[place] += rng.normal() * known.sd if np.isfinite(known.sd) else 0.0
                theta[place] *= rng.uniform(0.7, 1.4) if name.startswith("width_") else 1.0
            theta[model.index["phi0"]], theta[model.index["shift"]] = rng.uniform(-3, 3), rng.uniform(-40, 40)
            theta = np.clip(theta, [p.lower for p in model.parameters], [p.upper for p in model.parameters])
            fid = amplitudes @ (line_weights(table) @ model.line_fids(theta)) / np.r_[np.sqrt(0.5), np.ones(1023)]
            data = empty.with_fid(fid + noise * (rng.normal(size=1024) + 1j * rng.normal(size=1024)))
            fits.append(fit_peaks(data, FitSection(model="peaks", peaks="31p-brain")))
        seconds = (time.process_time() - start) / draws
        print(f"31P, SNR {np.mean([fit.snr for fit in fits]):.0f}: {seconds:.2f} CPU s, ", end="")
        print(f"{sum(fit.status == 'ok' for fit in fits)} of {draws} ok")
        for name in ("PCr", "gATP", "bATP", "Pi", "PE", "GPC", "NAD"):
            report(name, PHOSPHORUS[name], [fit.combination({name: 1.0}) for fit in fits])


def report(name: str, truth: float, found: list[tuple[float, float, float, float]]) -> None:
    """Print bias, SD, the reported SDs over it, and the share of 95 % intervals that hold the truth."""
    values, crlb, _, total = np.array(found).T
    sd = values.std(ddof=1)
    cover = np.mean(np.abs(values - truth) < 1.96 * total)
    print(
        f"  {name:6s} bias {100 * (values.mean() / truth - 1):6.1f} %  SD {100 * sd / truth:5.1f} %  "
        f"CRLB/SD {crlb.mean() / sd:4.2f}  total/SD {total.mean() / sd:4.2f}  cover {100 * cover:3.0f} %"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=20)
    arguments = parser.parse_args()
    edited_panel(arguments.draws)
    sum_panel(arguments.draws)
    phosphorus_panel(arguments.draws)
