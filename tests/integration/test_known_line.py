"""A line of known ppm and amplitude through disk, preprocessing, fit and quantification."""

import numpy as np
import pytest

from mrs_pipeline.anatomy import TissueFractions
from mrs_pipeline.basis import Basis
from mrs_pipeline.config import FitSection, PreprocessSection, QuantifySection
from mrs_pipeline.fit import fit_spectrum
from mrs_pipeline.nifti_mrs import NiftiMrs, read, write
from mrs_pipeline.preprocess import preprocess
from mrs_pipeline.quantify import ScanTiming, fit_water, quantify
from mrs_pipeline.spectrum import Spectrum

F0, DWELL, N = 127.755, 1 / 2000, 2048
TE, TR = 0.030, 2.0
T = np.arange(N) * DWELL
LINES = {"NAA": ((2.008, 3),), "Cr": ((3.027, 3), (3.913, 2)), "PCh": ((3.208, 9),)}
PLANTED = {"NAA": 12.0, "Cr": 8.0, "PCh": 1.6}
SCALE = 3.7e-4
"""Signal of one proton of one molecule per kg of water and mmol, in the scanner's arbitrary units."""


def damped(ppm, protons, hz):
    return protons * np.exp(2j * np.pi * (ppm - 4.65) * F0 * T - np.pi * hz * T)


def metabolite_fid(name, hz):
    return sum(damped(ppm, protons, hz) for ppm, protons in LINES[name])


def test_it_comes_out_right(tmp_path):
    rng = np.random.default_rng(7)
    # pure water without relaxation: a preset of ones would hide the equation, so long T1 and T2 make both factors 1
    fid = sum(PLANTED[name] * SCALE * metabolite_fid(name, 4.0) for name in LINES)
    noise = 2e-4 * (rng.standard_normal(N) + 1j * rng.standard_normal(N))
    facts = {"echo_time": TE, "repetition_time": TR}
    shifted = np.exp(2j * np.pi * 3.0 * T) * np.exp(1j * np.deg2rad(35))
    for name, data in (("svs", fid * shifted + noise), ("mrsref", 55510 * SCALE * damped(4.65, 2, 5.0) * np.exp(0.4j))):
        write(NiftiMrs(Spectrum(data, DWELL, F0, **facts)), tmp_path / f"{name}.nii.gz")
    svs, water = (read(tmp_path / f"{name}.nii.gz").spectrum for name in ("svs", "mrsref"))

    clean = preprocess(svs, water, water, PreprocessSection())
    shown = np.abs(clean.spectrum.spectrum())
    near = (clean.spectrum.ppm > 1.8) & (clean.spectrum.ppm < 2.2)
    assert clean.spectrum.ppm[near][shown[near].argmax()] == pytest.approx(2.008, abs=0.006)

    basis = Basis(
        tuple(LINES),
        np.array([metabolite_fid(name, 0.5) for name in LINES]),
        DWELL,
        F0,
        te1=TE / 2,
        te2=TE / 2,
        sequence="press",
    )
    fit = fit_spectrum(clean.spectrum, basis, FitSection(macromolecules="none"))
    for name in LINES:
        found = fit.amplitudes[fit.names.index(name)]
        assert found == pytest.approx(PLANTED[name] * SCALE, rel=0.03), name

    water_fit = fit_water(clean.water)
    assert water_fit.amplitude == pytest.approx(55510 * SCALE, rel=0.01)
    long = {f"water_t1_{t}": 1e-3 for t in ("gm", "wm", "csf")} | {f"water_t2_{t}": 1e3 for t in ("gm", "wm", "csf")}
    settings = QuantifySection(overrides={**long, "metabolite_t1": 1e-3, "metabolite_t2": 1e3})
    tissue = TissueFractions(0.6, 0.4, 0.0, sd=(0.0, 0.0, 0.0))
    result = quantify(fit, water_fit, tissue, ScanTiming.of(clean.spectrum, clean.water), settings)
    for name in LINES:
        assert result.row(name).molal == pytest.approx(PLANTED[name], rel=0.03), name
