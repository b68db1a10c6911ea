"""Macromolecule presets and a measured macromolecule member."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mrs_pipeline.basis import (
    macromolecule_basis,
    macromolecule_presets,
    measured_macromolecules,
    simulate_basis,
    with_macromolecules,
)
from mrs_pipeline.basis.macromolecules import macromolecule_lines
from mrs_pipeline.config.presets import read_preset
from mrs_pipeline.errors import BasisError
from mrs_pipeline.spectrum import Spectrum

NULLED = (
    Path(__file__).parents[3] / "shared/data/philips_sub-01/mrs/sub-01_ses-01_PRESS-Inverted_TI-600_raw-act_noID.SDAT"
)
GRID = {"field_mhz": 123.2, "dwell": 0.0005, "n_points": 1024}


def test_presets_are_complete_and_sourced():
    assert set(macromolecule_presets()) >= {"lcmodel", "osprey", "fsl", "birch-3t"}
    for name in macromolecule_presets():
        assert "doi:10." in read_preset("macromolecules", name)["source"]
        assert all(lines for lines in macromolecule_lines(name, 123.2).values())


def test_a_component_has_its_protons_at_t_0_and_its_width():
    basis = macromolecule_basis("lcmodel", **GRID)
    assert basis.fid("MM09")[0] == pytest.approx(3.0)
    assert basis.fid("MM20")[0] == pytest.approx(1.33 + 0.33 + 0.33 + 0.4)
    spectrum = basis.spectrum("MM09").spectrum().real
    ppm = basis.spectrum("MM09").ppm
    above = ppm[spectrum > (spectrum.max() + np.median(spectrum)) / 2]
    assert np.ptp(above) == pytest.approx(0.14, abs=0.02)
    assert ppm[np.argmax(spectrum)] == pytest.approx(0.91, abs=0.01)


def test_presets_join_a_metabolite_set_on_its_grid():
    basis = simulate_basis("press", te1=0.011, te2=0.019, bandwidth=4000, n_points=256, names=["Cr"])
    joined = with_macromolecules(basis, "birch-3t")
    assert joined.names == ("Cr", "MM")
    assert joined.fids.shape == (2, 256)


def nulled(rng, residual=0.2):
    truth = macromolecule_basis("birch-3t", **GRID)
    metabolites = simulate_basis("press", te1=0.015, te2=0.015, dwell=0.0005, n_points=1024, names=["Cr", "NAA"])
    t = truth.time
    sharp = (0.6 * metabolites.fid("NAA") - metabolites.fid("Cr")) * np.exp(-np.pi * 4 * t) * residual / 5
    noise = rng.normal(size=(2, 1024)) * 0.004
    return truth, Spectrum(truth.fid("MM") + sharp + noise[0] + 1j * noise[1], 0.0005, 123.2, echo_time=0.03)


def test_measured_member_recovers_the_broad_signal_without_noise_and_metabolites():
    truth, scan = nulled(np.random.default_rng(5))
    found = measured_macromolecules(scan)
    member = found.basis.spectrum("MM").spectrum().real
    expected = truth.spectrum("MM").spectrum().real
    inside = (scan.ppm > 0.6) & (scan.ppm < 4.0)
    assert np.corrcoef(member[inside], expected[inside])[0, 1] > 0.99
    near = (scan.ppm > 0.70) & (scan.ppm < 1.08)
    ratio = member[near].sum() / expected[near].sum()
    scaled = expected[inside] * ratio
    assert np.abs(member[inside] - scaled).max() < 0.12 * scaled.max()
    assert np.std(member[inside] - scaled) < 0.04 * scaled.max()
    assert np.abs(found.metabolites).max() > 0
    assert found.basis.te1 == 0.03
    assert np.abs(found.basis.fids[0, -100:]).max() < 1e-6 * np.abs(found.basis.fids[0, 0])


def test_a_scan_of_the_wrong_phase_is_refused():
    _, scan = nulled(np.random.default_rng(5))
    with pytest.raises(BasisError, match=r"0\.9 ppm"):
        measured_macromolecules(scan.with_fid(-scan.fid))


def test_several_fids_are_refused():
    with pytest.raises(BasisError, match="several"):
        measured_macromolecules(Spectrum(np.ones((2, 16), dtype=complex), 0.0005, 123.2, dims=("DIM_DYN",)))


@pytest.mark.shared_data
@pytest.mark.skipif(not NULLED.exists(), reason="no shared data")
def test_the_nulled_philips_scan_becomes_a_smooth_member(tmp_path):
    from mrs_pipeline import nifti_mrs
    from mrs_pipeline.config.models import PreprocessSection
    from mrs_pipeline.preprocess import preprocess

    spec2nii = Path(sys.executable).with_name("spec2nii")
    files = [str(NULLED), str(NULLED.with_suffix(".SPAR"))]
    subprocess.run([spec2nii, "philips", *files, "-o", tmp_path, "-f", "nulled"], check=True, capture_output=True)
    raw = nifti_mrs.read(tmp_path / "nulled.nii.gz").spectrum
    scan = preprocess(raw, None, None, PreprocessSection()).spectrum
    found = measured_macromolecules(scan)
    noise = scan.spectrum().real[scan.ppm < -1].std()
    assert found.residual.std() < 1.2 * noise
    member = found.basis.spectrum("MM")
    peaks = [ppm for ppm in (0.90, 1.40, 1.63, 2.03) if _is_local_maximum(member, ppm)]
    assert peaks == [0.90, 1.40, 1.63, 2.03]
    creatine = np.abs(found.ppm - 3.92) < 0.05
    assert found.metabolites[creatine].max() > 5 * noise


def _is_local_maximum(member, ppm):
    values = member.spectrum().real
    centre = values[np.abs(member.ppm - ppm) < 0.06].max()
    return all(centre > np.interp(ppm + side, member.ppm, values) for side in (-0.13, 0.13))
