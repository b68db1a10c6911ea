"""Macromolecules and lipids that a basis set brings: used, or set aside and said."""

from functools import cache

import numpy as np
import pytest

from mrs_pipeline.basis import (
    Basis,
    canonical_name,
    is_background,
    is_lipid,
    macromolecule_presets,
    save_basis,
    simulate_basis,
    with_macromolecules,
)
from mrs_pipeline.config import FitSection
from mrs_pipeline.errors import FitError, StudyError
from mrs_pipeline.fit import fit_spectrum
from mrs_pipeline.fit.background import plan_background
from mrs_pipeline.fit.components import gaussian_lines
from mrs_pipeline.fit.engine import prepare
from mrs_pipeline.fit.priors import load_priors
from mrs_pipeline.interfaces.lcmodel import write_lcmodel_inputs
from mrs_pipeline.spectrum import Spectrum

MHZ, DWELL, POINTS = 123.2, 4e-4, 1024
AMOUNTS = {"NAA": 10.0, "Cr": 9.0, "GPC": 1.8, "Ins": 6.0, "Glu": 9.0}
TIME = np.arange(POINTS) * DWELL


def line(*peaks: tuple[float, float, float]) -> np.ndarray:
    """Sum of Gaussian lines: ppm, area, width in Hz."""
    ppm, area, width = np.array(peaks).T
    return area @ gaussian_lines((ppm - 4.65) * MHZ, width, TIME)


@cache
def metabolites() -> Basis:
    return simulate_basis(
        "press", te1=0.015, te2=0.015, field_mhz=MHZ, dwell=DWELL, n_points=POINTS, names=tuple(AMOUNTS)
    )


def brain(macromolecules: np.ndarray | float = 0.0) -> Spectrum:
    """Metabolites with lines of 6 Hz at T2 of 0.2 s, macromolecules, and noise."""
    basis, rng = metabolites(), np.random.default_rng(1)
    fid = sum(amount * basis.fid(name) for name, amount in AMOUNTS.items())
    fid = fid * np.exp(-TIME / 0.2 - (np.pi * 6.0 * TIME) ** 2 / (4 * np.log(2))) + macromolecules
    noise = 0.2 * (rng.normal(size=POINTS) + 1j * rng.normal(size=POINTS))
    return Spectrum(fid + noise, DWELL, MHZ, basis.reference_ppm, echo_time=0.03)


WHOLE = line((0.91, 3.0, 21.0), (1.4, 1.5, 20.0), (2.05, 3.6, 28.0), (2.98, 1.0, 20.0), (3.8, 2.5, 60.0))


@pytest.mark.parametrize("name", ["MM", "MM09", "mm20", "Mac", "MMExp", "MM_PRESS_PCC", "Lip13a", "lip09"])
def test_background_is_known_by_its_name(name):
    assert is_background(name)
    assert is_lipid(name) == name.lower().startswith("lip")


def test_no_metabolite_is_taken_for_background():
    assert not [name for name in ("Ins", "mI", "Lac", "NAA", "Tau", "Asc", "PE", "GPC", "Ala") if is_background(name)]
    assert canonical_name("mac") == "MM"


@pytest.mark.parametrize("preset", ["fsl", "lcmodel", "osprey"])
def test_single_peaks_of_a_set_change_nothing_but_the_notes(preset):
    spectrum, alone = brain(WHOLE), metabolites()
    whole = with_macromolecules(alone, preset)
    expected, fit = (fit_spectrum(spectrum, basis, FitSection()) for basis in (alone, whole))
    assert fit.names == expected.names
    assert fit.amplitudes == pytest.approx(expected.amplitudes, rel=1e-12)
    added = [name for name in whole.names if name not in alone.names]
    said = [note for note in fit.notes if note not in expected.notes]
    assert len(said) == 1
    assert said[0].startswith(f"{', '.join(added)} of the basis set left out: macromolecules and lipids are modelled")


def test_every_preset_of_macromolecules_can_be_fitted_as_it_is():
    for preset in macromolecule_presets():
        basis = with_macromolecules(metabolites(), preset)
        fit = fit_spectrum(brain(WHOLE), basis, FitSection(macromolecules="basis"))
        mine = {name for name in basis.names if is_background(name)}
        modelled = set() if any(is_lipid(name) for name in mine) else {"Lip09", "Lip13", "Lip20"}
        assert {name for name in fit.names if is_background(name)} == mine | modelled
        assert not [note for note in fit.notes if "left out" in note]


def test_one_whole_spectrum_in_the_set_is_taken_for_a_measured_one():
    spectrum = brain(4.0 * WHOLE)
    fit = fit_spectrum(spectrum, metabolites().with_member("MM", WHOLE), FitSection())
    assert [name for name in fit.names if is_background(name)] == ["Lip09", "Lip13", "Lip20", "MM"]
    assert fit.combination({"MM": 1.0})[0] == pytest.approx(4.0, rel=0.05)
    assert [note for note in fit.notes if note.startswith("MM of the basis set is the background")]
    assert fit.ratio("Glu")[0] == pytest.approx(1.0, rel=0.03)
    assert fit.ratio("NAA")[0] == pytest.approx(10.0 / 9.0, rel=0.02)


def test_peaks_of_the_set_have_no_ratio_priors_since_their_units_are_the_sets_own():
    """MM20 of twenty times the area it has beside MM09 in the prior set is found as it is."""
    spectrum = brain(line((0.91, 2.0, 21.0), (2.05, 8.0, 28.0)))
    basis = metabolites().with_member("MM09", line((0.91, 20.0, 21.0))).with_member("MM20", line((2.05, 1.0, 28.0)))
    fit = fit_spectrum(spectrum, basis, FitSection(macromolecules="basis"))
    assert fit.combination({"MM20": 1.0})[0] == pytest.approx(8.0, rel=0.1)
    assert fit.combination({"MM09": 1.0})[0] == pytest.approx(0.1, rel=0.1)
    assert prepare(spectrum, basis, FitSection(macromolecules="basis")).priors.macromolecules.peaks == ()


def test_lipids_of_the_set_are_set_aside_with_a_measured_file_and_with_none():
    basis = metabolites().with_member("Lip13", line((1.28, 2.0, 20.0)))
    priors = load_priors("default")
    none = plan_background(priors, basis, FitSection(macromolecules="none"))
    assert (none.families(), none.signals, none.left_out) == ((), (), ("Lip13",))
    assert '"none"' in none.notes()[0]
    fit = fit_spectrum(brain(WHOLE), basis, FitSection(macromolecules="none"))
    assert not [name for name in fit.names if is_background(name)]


def test_a_measured_file_with_lipids_alone_is_refused(tmp_path):
    save_basis(Basis(("Lip13",), line((1.28, 2.0, 20.0))[None], DWELL, MHZ, 4.65, te1=0.03), tmp_path / "lipids.basis")
    settings = FitSection(macromolecules="measured", macromolecule_file=str(tmp_path / "lipids.basis"))
    with pytest.raises(StudyError, match="holds lipids alone"):
        fit_spectrum(brain(WHOLE), metabolites(), settings)


def test_a_set_without_macromolecules_cannot_give_them():
    with pytest.raises(FitError, match='macromolecules is "basis", and the basis set has none') as caught:
        fit_spectrum(brain(WHOLE), metabolites(), FitSection(macromolecules="basis"))
    assert 'macromolecules = "auto"' in str(caught.value)


def test_lcmodel_gets_the_metabolites_alone(tmp_path):
    basis = with_macromolecules(metabolites(), "lcmodel")
    write_lcmodel_inputs(brain(WHOLE), None, basis, tmp_path)
    text = (tmp_path / "basis.basis").read_text()
    assert "METABO='NAA'" in text.replace(" ", "")
    assert "MM09" not in text
    assert "Lip13" not in text


def test_a_set_with_nothing_but_macromolecules_is_refused():
    with pytest.raises(FitError, match="no metabolite"):
        fit_spectrum(brain(WHOLE), Basis(("MM",), WHOLE[None], DWELL, MHZ, 4.65), FitSection())
