"""Fits that went wrong are found, retried and marked."""

from __future__ import annotations

import numpy as np
import pytest

from mrs_pipeline.basis import Basis
from mrs_pipeline.config import FitSection
from mrs_pipeline.errors import StudyError
from mrs_pipeline.fit import fit_spectrum
from mrs_pipeline.fit.verdict import whiteness
from mrs_pipeline.nifti_mrs import NiftiMrs, write
from mrs_pipeline.spectrum import Spectrum

MHZ, DWELL, POINTS = 123.2, 4e-4, 512
LINES = {
    "NAA": [(2.008, 3.0), (2.49, 1.0), (2.67, 1.0)],
    "Cr": [(3.027, 3.0), (3.913, 2.0)],
    "GPC": [(3.212, 9.0), (3.66, 2.0)],
}
TRUTH = {"NAA": 11.0, "Cr": 9.0, "GPC": 1.8}


def stick_basis() -> Basis:
    time = np.arange(POINTS) * DWELL
    fids = [sum(p * np.exp(2j * np.pi * (ppm - 4.65) * MHZ * time) for ppm, p in lines) for lines in LINES.values()]
    return Basis(tuple(LINES), np.array(fids), DWELL, MHZ, 4.65, te1=0.03)


def spectrum_of(fid: np.ndarray, noise: float = 0.1, seed: int = 2) -> Spectrum:
    rng = np.random.default_rng(seed)
    return Spectrum(fid + noise * (rng.normal(size=POINTS) + 1j * rng.normal(size=POINTS)), DWELL, MHZ, 4.65)


def brain() -> np.ndarray:
    time = np.arange(POINTS) * DWELL
    fid = sum(TRUTH[name] * stick_basis().fid(name) for name in TRUTH)
    return fid * np.exp(-np.pi * 2 * time - (np.pi * 5.0 * time) ** 2 / (4 * np.log(2)))


@pytest.mark.parametrize("seed", range(6))
def test_noise_alone_fails_and_says_so(seed):
    fit = fit_spectrum(spectrum_of(np.zeros(POINTS), 1.0, seed), stick_basis(), FitSection())
    assert fit.status == "failed"
    assert {"no_signal", "no_tCr"} & set(fit.flags)
    assert len(fit.notes) == len(fit.flags)


def test_a_line_nobody_models_is_a_misfit():
    time = np.arange(POINTS) * DWELL
    stray = 40.0 * np.exp(2j * np.pi * (2.85 - 4.65) * MHZ * time - np.pi * 4 * time)
    fit = fit_spectrum(spectrum_of(brain() + stray), stick_basis(), FitSection())
    assert fit.status != "ok"
    assert "misfit" in fit.flags
    assert fit.fqn > 10


def test_a_far_shift_is_found_again():
    time = np.arange(POINTS) * DWELL
    moved = brain() * np.exp(2j * np.pi * 30.0 * time)
    fit = fit_spectrum(spectrum_of(moved), stick_basis(), FitSection())
    assert "refitted" in fit.flags
    shift = fit.nonlinear["start_shift"]["value"] + fit.nonlinear["shift"]["value"]
    assert shift == pytest.approx(30.0, abs=0.5)
    assert fit.ratio("NAA", "Cr")[0] == pytest.approx(11 / 9, rel=0.05)


def test_whiteness_of_noise_and_of_a_wave():
    rng = np.random.default_rng(0)
    assert whiteness(rng.normal(size=4000)) < 0.05
    assert whiteness(np.sin(np.arange(4000) / 30)) > 0.9


def test_structure_is_one_where_the_residual_is_noise():
    fit = fit_spectrum(spectrum_of(brain(), 0.5), stick_basis(), FitSection())
    assert fit.status == "ok"
    for name in TRUTH:
        assert 0.3 < fit.metrics[f"structure_{name}"] < 1.5


def test_measured_macromolecules_come_from_their_file(tmp_path):
    time = np.arange(POINTS) * DWELL
    humps = [(0.91, 1.0, 20.0), (2.05, 1.2, 26.0), (3.0, 0.4, 22.0)]
    pattern = sum(
        a * np.exp(2j * np.pi * (ppm - 4.65) * MHZ * time - (np.pi * w * time) ** 2 / (4 * np.log(2)))
        for ppm, a, w in humps
    )
    write(NiftiMrs(Spectrum(pattern, DWELL, MHZ, 4.65)), tmp_path / "mm.nii.gz")
    settings = FitSection(macromolecules="measured", macromolecule_file=str(tmp_path / "mm.nii.gz"))
    fit = fit_spectrum(spectrum_of(brain() + 12.0 * pattern), stick_basis(), settings)
    assert fit.combination({"MM_MM" if "MM_MM" in fit.names else "MM": 1.0})[0] == pytest.approx(12.0, rel=0.05)
    assert fit.ratio("NAA", "Cr")[0] == pytest.approx(11 / 9, rel=0.03)


def test_measured_macromolecules_without_a_file_are_an_error():
    with pytest.raises(StudyError, match="macromolecule_file"):
        fit_spectrum(spectrum_of(brain()), stick_basis(), FitSection(macromolecules="measured"))
