"""Planted truth of the benchmarks of the fit: spectra whose every part is known, and the basis sets to fit them with.

Panels (all with residual water, lipid of random size and broad humps that nobody models):

``independent``
    the fitter made nothing of the truth: metabolites of an imported set of shaped-pulse signals, fitted with our own
    simulation as the pipeline makes it for such a scan; macromolecules of Birch's table in one half, of a measured
    metabolite-nulled scan in the other; lineshape and eddy currents of two real water FIDs
``same_basis``
    the same spectra fitted with the imported set, as where a site has the set of its sequence
``corrected``
    the same after an ideal eddy-current correction, as a pipeline with a water scan hands them to a fit
``told``
    as ``corrected``, and the true macromolecules of each spectrum are a member of the set
``second``
    another truth: metabolites of the GAMMA set at TE 30 ms, fitted with the same set; macromolecules of the nulled scan
    (one of the four shapes that the priors lie between); skewed field distributions of three parts; T2 of other
    studies; broad humps of any phase
``ideal``
    the same spectra as ``independent``, fitted with our simulation of ideal pulses
``matched``
    a simulation of ideal pulses fitted with itself, Birch's macromolecules, Voigt lines

``Case.shape`` replaces the macromolecules of the independent panel by one kind (``macromolecule_shapes.py``).
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
from macromolecule_shapes import SHAPES

from mrs_pipeline.basis import Basis, load_basis
from mrs_pipeline.fit import COMBINED, FitResult
from mrs_pipeline.interfaces.basis import first_echo_period
from mrs_pipeline.spectrum import ComplexArray, FloatArray, Spectrum

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
BASIS_FILE = SHARED / "basis" / "3T_PRESS_Philips_35ms_noMM.BASIS"
WATER_FILES = (
    SHARED / "philips_te35_sub-01" / "sub-01_PRESS_35_ref.sdat",
    SHARED / "philips_sub-01" / "mrs" / "sub-01_ses-01_PRESS_raw-ref_noID.SDAT",
)
SECOND_BASIS_FILE = SHARED / "basis" / "press_30ms_3T.basis"
NULLED_FILE = SHARED / "philips_sub-01" / "mrs" / "sub-01_ses-01_PRESS-Inverted_TI-600_raw-act_noID.SDAT"
MHZ, DWELL, POINTS, ECHO = 127.731, 5e-4, 2048, 0.035
PANELS = ("independent", "same_basis", "corrected", "told", "second", "ideal", "matched")
HEADLINE = ("tNAA", "tCho", "Ins", "Glu", "Glx")
WATCHED = (*HEADLINE, "GSH", "GABA", "Gln", "NAA")

TYPICAL = {
    "NAA": 9.0, "NAAG": 1.6, "Cr": 4.6, "PCr": 4.0, "GPC": 1.2, "PCh": 0.6, "Ins": 6.0, "Glu": 9.0, "Gln": 2.6,
    "GSH": 1.5, "GABA": 1.6, "Asp": 2.2, "Tau": 1.3, "Lac": 0.7, "sIns": 0.3, "Asc": 0.9, "PE": 1.0,
}  # fmt: skip
"""Adult brain, mmol per kg (Govindaraju 2000); drawn with a CV of 15 %, 25 % below 3."""

T2 = {
    "NAA": 0.300, "NAAG": 0.150, "Cr": 0.156, "PCr": 0.156, "GPC": 0.230, "PCh": 0.230, "Ins": 0.199, "Glu": 0.126,
    "Gln": 0.140, "GSH": 0.117, "GABA": 0.089, "Asp": 0.124, "Tau": 0.113, "Lac": 0.132, "sIns": 0.143, "Asc": 0.144,
    "PE": 0.130,
}  # fmt: skip
"""Seconds at 3 T, mean of grey and white matter (Wyss 2018, doi:10.1002/mrm.27067); drawn with a CV of 15 %."""

SECOND_TYPICAL = {
    "NAA": 10.0, "NAAG": 1.4, "Cr": 5.5, "PCr": 4.2, "GPC": 1.6, "PCh": 0.8, "Ins": 5.8, "Glu": 8.8, "Gln": 2.2,
    "GSH": 1.4, "GABA": 2.0, "Asp": 2.3, "Tau": 1.3, "Lac": 0.7, "sIns": 0.2, "Ala": 0.4, "Glc": 1.0,
}  # fmt: skip
"""Healthy adults, medians over studies (mrs-database, MIT licence); drawn with a CV of 15 %, 25 % below 3."""

SECOND_T2 = {
    "NAA": 0.262, "NAAG": 0.130, "Cr": 0.155, "PCr": 0.155, "GPC": 0.220, "PCh": 0.220, "Ins": 0.197, "Glu": 0.180,
    "Gln": 0.134, "GSH": 0.100, "GABA": 0.088,
}  # fmt: skip
"""Seconds at 3 T, medians over studies (mrs-database), 0.14 for the rest; drawn with a CV of 20 %."""

BIRCH = np.array([
    (0.90, 0.72, 21.2), (1.21, 0.28, 19.2), (1.38, 0.38, 15.9), (1.63, 0.05, 7.5), (2.01, 0.45, 29.0), (2.09, 0.36,
    20.5), (2.25, 0.36, 17.9), (2.61, 0.04, 5.3), (2.96, 0.20, 14.0), (3.11, 0.11, 17.9), (3.67, 0.64, 33.5), (3.80,
    0.07, 11.9), (3.96, 1.00, 37.5),
])  # fmt: skip
"""Macromolecules measured at 3 T: ppm, area, Gaussian width in Hz at 128 MHz (Birch 2017, MRM 77:34)."""


@dataclass(frozen=True)
class Case:
    """One planted spectrum.

    Parameters
    ----------
    seed, panel
        Which one.
    snr
        Height of tCr over the noise SD.
    gauss_hz
        Extra linewidth.
    shape
        Kind of macromolecules; empty: as the panel has them.
    glu
        Factor on the concentration of Glu.
    suppressed
        Whether water suppression takes signals near water away as well.
    """

    seed: int
    panel: str
    snr: float
    gauss_hz: float
    shape: str = ""
    glu: float = 1.0
    suppressed: bool = False


@dataclass(frozen=True, eq=False)
class Outcome:
    """Planted and estimated ratios to tCr with SD and interval, and the seconds of the fit."""

    truth: dict[str, float]
    estimate: dict[str, tuple[float, float, float, float]]
    seconds: float
    fit: FitResult | None = None


@cache
def imported_basis() -> Basis:
    """Shaped-pulse Philips PRESS set that nobody here simulated."""
    return load_basis(BASIS_FILE)


@cache
def second_basis() -> Basis:
    """PRESS set of 30 ms by GAMMA, which nobody here simulated."""
    return load_basis(SECOND_BASIS_FILE)


RESIDUALS_PPM = ((1.96, 2.08), (2.98, 3.08), (3.16, 3.26), (3.86, 3.98))
"""Where a nulled scan still shows tNAA, tCr and tCho, of either sign: left out, bridged by broad lines."""


@cache
def nulled_fid(mhz: float) -> ComplexArray:
    """Macromolecules of a measured metabolite-nulled scan at a field in MHz, one proton at 0.9 ppm, ``(POINTS,)``.

    Non-negative least squares on Gaussians of 0.12-0.36 ppm width every 0.03 ppm and a constant, outside the places of
    residual metabolites; in and beside those places none is narrower than they are, or it would be drawn by nothing.
    Lines that broad have no room for the scan's noise.
    """
    from scipy.optimize import nnls

    from mrs_pipeline.config import PreprocessSection
    from mrs_pipeline.preprocess import preprocess

    scan = preprocess(_read_sdat(NULLED_FILE), None, None, PreprocessSection()).spectrum
    inside = (scan.ppm > 0.5) & (scan.ppm < 4.15)
    for low, high in RESIDUALS_PPM:
        inside &= (scan.ppm < low) | (scan.ppm > high)
    places = [(ppm, width) for width in (0.12, 0.18, 0.26, 0.36) for ppm in np.arange(0.7, 4.2, 0.03)]
    grid = [(ppm, width) for ppm, width in places if width > 0.15 or not _bridged(ppm)]
    lines = np.array([gaussian(ppm, width, scan.time, scan.carrier_mhz) for ppm, width in grid])
    design = np.array([scan.with_fid(line).spectrum().real[inside] for line in lines])
    norms = np.linalg.norm(design, axis=1)
    columns = np.concatenate([design / norms[:, None], np.ones((1, inside.sum())) / np.sqrt(inside.sum())])
    area = nnls(columns.T, scan.spectrum().real[inside])[0][:-1] / norms
    methyl = sum(value for value, (ppm, _) in zip(area, grid, strict=True) if 0.7 < ppm < 1.08)
    time = np.arange(POINTS) * DWELL
    signal = [gaussian(ppm, width, time, mhz) for ppm, width in grid]
    return np.asarray(area / methyl @ np.array(signal))


def _bridged(ppm: float) -> bool:
    """Tell whether a place lies in a gap of the nulled scan, or within 0.06 ppm of one."""
    return any(low - 0.06 < ppm < high + 0.06 for low, high in RESIDUALS_PPM)


def gaussian(ppm: float, width_ppm: float, time: FloatArray, mhz: float) -> ComplexArray:
    """FID of a Gaussian line of unit area."""
    decay = (np.pi * width_ppm * mhz * time) ** 2 / (4 * np.log(2))
    return np.asarray(np.exp(2j * np.pi * (ppm - 4.65) * mhz * time - decay))


@cache
def simulated_basis(points: int = POINTS) -> Basis:
    """Our ideal-pulse set of the same echo time."""
    return _simulated("ideal", points)


@cache
def shaped_basis() -> Basis:
    """Our shaped-pulse set."""
    return _simulated("shaped", POINTS)


def _simulated(pulses: Literal["ideal", "shaped"], points: int) -> Basis:
    from mrs_pipeline.basis import simulate_basis

    first = first_echo_period(ECHO)  # as the pipeline does for a scan whose two echo periods it is not told
    return simulate_basis(
        "press",
        te1=first,
        te2=ECHO - first,
        field_mhz=MHZ,
        dwell=DWELL,
        n_points=points,
        names=tuple(TYPICAL),
        pulses=pulses,
    )


@cache
def water_lineshape(path: Path = WATER_FILES[0]) -> ComplexArray:
    """Shape of a real water signal: its FID over its first point, on resonance, shape ``(POINTS,)``."""
    raw = _read_sdat(path)
    fid = raw.fid
    peak = np.argmax(np.abs(np.fft.fft(fid, 8 * fid.size)))
    hertz = np.fft.fftfreq(8 * fid.size, raw.dwell)[peak]
    rotated = fid * np.exp(-2j * np.pi * hertz * raw.time)
    time = np.arange(POINTS) * DWELL
    shape = np.interp(time, raw.time, rotated.real) + 1j * np.interp(time, raw.time, rotated.imag)
    shape = shape / shape[1]
    shape[0] = 1.0
    return np.where(time <= raw.time[-1], shape, 0.0)


def _read_sdat(path: Path) -> Spectrum:
    """Convert a Philips file with spec2nii in a temporary folder."""
    import subprocess

    from mrs_pipeline.nifti_mrs import read

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


def draw_concentrations(rng: np.random.Generator, typical: dict[str, float] = TYPICAL) -> dict[str, float]:
    """One person's concentrations."""
    return {
        name: value * max(0.2, 1.0 + (0.15 if value > 3 else 0.25) * rng.standard_normal())
        for name, value in typical.items()
    }


def metabolite_fid(
    basis: Basis,
    amounts: dict[str, float],
    rng: np.random.Generator,
    *,
    mhz: float = MHZ,
    t2: dict[str, float] = T2,
    spread: float = 0.15,
) -> ComplexArray:
    """Sum of metabolites, each with its own small shift and Lorentzian width (T2 differs by metabolite)."""
    time = np.arange(POINTS) * DWELL
    adapted = basis.resampled(DWELL, POINTS, mhz, 4.65)
    out = np.zeros(POINTS, complex)
    for name, fid in zip(adapted.names, adapted.fids, strict=True):
        hertz = 0.003 * mhz * rng.standard_normal()
        width = max(0.5, 1.0 + spread * rng.standard_normal()) / (np.pi * t2.get(name, 0.14))
        out += amounts.get(name, 0.0) * fid * np.exp((2j * np.pi * hertz - np.pi * width) * time)
    return out


def birch_fid(rng: np.random.Generator, size: float) -> ComplexArray:
    """Birch's pattern with its 0.9 ppm peak at ``size`` protons x mmol and 10 % spread between peaks."""
    time = np.arange(POINTS) * DWELL
    ppm, area, width = BIRCH.T
    area = size * area / area[0] * (1.0 + 0.1 * rng.standard_normal(area.size))
    decay = (np.pi * width[:, None] * MHZ / 128.0 * time) ** 2 / (4 * np.log(2))
    return np.asarray((area[:, None] * np.exp(2j * np.pi * (ppm[:, None] - 4.65) * MHZ * time - decay)).sum(axis=0))


def background(rng: np.random.Generator, size: float, *, mhz: float = MHZ, turn: float = 0.0) -> ComplexArray:
    """Residual water, a lipid signal and two broad humps nobody models, of a phase up to ``turn`` either way."""
    time = np.arange(POINTS) * DWELL
    out = np.zeros(POINTS, complex)
    for _ in range(3):
        hertz, phase = (rng.normal(4.68, 0.03) - 4.65) * mhz, rng.uniform(0, 2 * np.pi)
        out += (
            size * rng.uniform(0.2, 1.5) * np.exp((2j * np.pi * hertz - np.pi * rng.uniform(5, 12)) * time + 1j * phase)
        )
    for ppm, width, weight in ((1.3, 20.0, rng.uniform(0, 1.0)), (0.89, 18.0, rng.uniform(0, 0.5))):
        out += size * weight * np.exp(2j * np.pi * (ppm - 4.65) * mhz * time - (np.pi * width * time) ** 2 / 2.77)
    for _ in range(2):
        ppm, width = rng.uniform(0.5, 4.5), rng.uniform(120, 250)
        hump = size * rng.normal(0, 1.5) * np.exp(2j * np.pi * (ppm - 4.65) * mhz * time)
        phase = turn * rng.uniform(-1, 1) if turn else 0.0
        out += hump * np.exp(1j * phase - (np.pi * width * time) ** 2 / 2.77)
    return out


def suppress(fid: ComplexArray) -> ComplexArray:
    """Attenuate what lies near water: 32 % is lost at 4.06 ppm, 8 % at 3.92 ppm, nothing from 3.7 ppm on.

    The profile is made up (VAPOR's depends on its bandwidth): 1 - exp(-(distance from 4.68 ppm / 0.6 ppm)^4).
    """
    ppm = 4.65 + np.fft.fftfreq(fid.size, DWELL) / MHZ
    return np.asarray(np.fft.ifft(np.fft.fft(fid) * (1.0 - np.exp(-((np.abs(ppm - 4.68) / 0.6) ** 4)))))


def skewed_line(rng: np.random.Generator, gauss_hz: float) -> ComplexArray:
    """FID of a field distribution of three Gaussian parts, and an eddy current that bends its phase."""
    time = np.arange(POINTS) * DWELL
    out = np.zeros(POINTS, complex)
    side = rng.choice([-1.0, 1.0])
    for weight, hertz, width in ((0.70, 0.0, 4.0), (0.22, 5.0, 6.0), (0.08, 11.0, 9.0)):
        decay = (np.pi * np.hypot(width, gauss_hz) * time) ** 2 / (4 * np.log(2))
        out += weight * np.exp(2j * np.pi * side * hertz * time - decay)
    eddy = rng.normal(0, 0.15) * (1 - np.exp(-time / rng.uniform(0.008, 0.03)))
    return np.asarray(out * np.exp(1j * eddy))


def plant_second(case: Case) -> tuple[Spectrum, Basis, dict[str, float]]:
    """Make a spectrum of the second panel."""
    rng = np.random.default_rng([case.seed, 20261128])
    basis, time = second_basis(), np.arange(POINTS) * DWELL
    mhz, line = basis.field_mhz, skewed_line(rng, case.gauss_hz)
    amounts = draw_concentrations(rng, SECOND_TYPICAL)
    creatine = amounts["Cr"] + amounts["PCr"]
    fid = metabolite_fid(basis, amounts, rng, mhz=mhz, t2=SECOND_T2, spread=0.2)
    size = creatine * 1.5 * max(0.5, 1 + 0.15 * rng.standard_normal())
    moved = np.exp(2j * np.pi * rng.normal(0, 0.008) * mhz * time)
    fid = (fid + size * nulled_fid(mhz) * moved) * line
    fid += background(rng, creatine, mhz=mhz, turn=np.pi)
    fid *= np.exp(1j * rng.normal(0, 0.1) + 2j * np.pi * rng.normal(0, 1.0) * time)
    height = np.abs(np.fft.fft(3 * creatine * line * np.exp(-np.pi * 2.1 * time))).max()
    sd = height / case.snr / np.sqrt(POINTS)
    fid += sd * (rng.standard_normal(POINTS) + 1j * rng.standard_normal(POINTS))
    return Spectrum(fid, DWELL, mhz, 4.65, echo_time=0.030), basis, amounts


def plant(case: Case) -> tuple[Spectrum, Basis, dict[str, float]]:
    """Make the spectrum of a case, and the basis it is to be fitted with."""
    if case.panel == "second":
        return plant_second(case)
    rng = np.random.default_rng([case.seed, 20261122])
    amounts = draw_concentrations(rng)
    truth_basis = simulated_basis() if case.panel == "matched" else imported_basis()
    amounts = {name: value for name, value in amounts.items() if name in truth_basis.names}
    amounts["Glu"] *= case.glu
    time = np.arange(POINTS) * DWELL
    creatine = amounts["Cr"] + amounts["PCr"]
    lineshape, line = panel_lineshape(case), scan_line(case)
    fid = metabolite_fid(truth_basis, amounts, rng) * line
    eddy = lineshape / np.maximum(np.abs(lineshape), 1e-12)
    background_signal = panel_macromolecules(case, rng, creatine * 1.5 * max(0.5, 1 + 0.15 * rng.standard_normal()))
    fid += eddy * background_signal
    if case.suppressed:
        fid = suppress(fid)
    fid += background(rng, creatine)
    fid *= np.exp(1j * rng.normal(0, 0.1) + 2j * np.pi * rng.normal(0, 1.0) * time)
    height = np.abs(np.fft.fft(3 * creatine * line * np.exp(-np.pi * 2.6 * time))).max()
    sd = height / case.snr / np.sqrt(POINTS)
    fid += sd * (rng.standard_normal(POINTS) + 1j * rng.standard_normal(POINTS))
    basis = fitting_basis(case.panel)
    if case.panel == "told":
        basis = basis.resampled(DWELL, POINTS, MHZ, 4.65).with_member("MM", background_signal / creatine)
    return Spectrum(fid, DWELL, MHZ, 4.65, echo_time=ECHO), basis, amounts


def fitting_basis(panel: str) -> Basis:
    """Return the set that the spectra of a panel are fitted with."""
    makers = {"independent": shaped_basis, "second": second_basis, "ideal": simulated_basis, "matched": simulated_basis}
    return makers.get(panel, imported_basis)()


def panel_lineshape(case: Case) -> ComplexArray:
    """Line of every metabolite beside its T2 and the Gaussian broadening, shape ``(POINTS,)``."""
    if case.panel == "matched":
        return np.asarray(np.exp(-np.pi * 1.5 * np.arange(POINTS) * DWELL).astype(complex))
    line = water_lineshape(WATER_FILES[case.seed // 2 % 2])
    return np.abs(line).astype(complex) if case.panel in {"corrected", "told"} else line


def scan_line(case: Case) -> ComplexArray:
    """Line of a case's scan with its Gaussian broadening, shape ``(POINTS,)``."""
    time = np.arange(POINTS) * DWELL
    return panel_lineshape(case) * np.exp(-((np.pi * case.gauss_hz * time) ** 2) / (4 * np.log(2)))


def panel_macromolecules(case: Case, rng: np.random.Generator, size: float) -> ComplexArray:
    """Macromolecules with ``size`` protons x mmol at 0.9 ppm: Birch's, or in every other spectrum measured ones."""
    time = np.arange(POINTS) * DWELL
    if case.shape == "Birch" or (not case.shape and (case.panel == "matched" or case.seed % 2)):
        return birch_fid(rng, size)
    moved = np.exp(2j * np.pi * rng.normal(0, 0.008) * MHZ * time)
    if case.shape in SHAPES:
        return np.asarray(SHAPES[case.shape].fid(size, time, MHZ, scan_line(case)) * moved)
    return size * nulled_fid(MHZ) * moved


def ratios(amounts: dict[str, float]) -> dict[str, float]:
    """Planted ratios to tCr."""
    creatine = amounts["Cr"] + amounts["PCr"]
    return {name: sum(amounts.get(part, 0.0) for part in COMBINED.get(name, (name,))) / creatine for name in WATCHED}


def cases(panel: str, count: int) -> list[Case]:
    """Cases over SNR 20-60 (tCr peak over noise SD) and 1-5 Hz of extra Gaussian width."""
    rng = np.random.default_rng(7)
    return [Case(seed, panel, float(rng.uniform(20, 60)), float(rng.uniform(1.0, 5.0))) for seed in range(count)]
