"""Preprocessing of measured scans (Philips SDAT), read from their published layout without any other tool."""

import re

import numpy as np
import pytest

from mrs_pipeline.config import PreprocessSection
from mrs_pipeline.preprocess import display, preprocess
from mrs_pipeline.qc import assess
from mrs_pipeline.spectrum import Spectrum

pytestmark = pytest.mark.shared_data


def vax_floats(raw):
    """VAX F floats: 16-bit words swapped, then IEEE with an exponent two higher."""
    words = np.frombuffer(raw, dtype="<u2").reshape(-1, 2)
    bits = (words[:, 0].astype(np.uint32) << 16) | words[:, 1]
    return np.where(bits == 0, 0.0, bits.view(np.float32).astype(float) / 4.0)


def read_sdat(path):
    """One SDAT with the SPAR beside it; the file has our sense (NAA at negative frequency)."""
    spar = next(other for other in path.parent.iterdir() if other.stem == path.stem and other.suffix.lower() == ".spar")
    text = spar.read_text(encoding="latin-1")
    header = dict(re.findall(r"^(\w+)\s*:\s*([-\d.]+)", text, flags=re.MULTILINE))
    values = vax_floats(path.read_bytes())
    fid = values[0::2] + 1j * values[1::2]
    carrier = float(header["synthesizer_frequency"]) / 1e6
    return Spectrum(fid, 1.0 / float(header["sample_frequency"]), carrier)


@pytest.fixture(scope="module")
def te35(shared_data):
    folder = shared_data / "philips_te35_sub-01"
    scan, water = (read_sdat(folder / f"sub-01_PRESS_35_{role}.sdat") for role in ("act", "ref"))
    return preprocess(scan, water, None, PreprocessSection())


@pytest.fixture(scope="module")
def te30(shared_data):
    folder = shared_data / "philips_sub-01" / "mrs"
    scan, water = (read_sdat(folder / f"sub-01_ses-01_PRESS_raw-{role}_noID.SDAT") for role in ("act", "ref"))
    return preprocess(scan, water, None, PreprocessSection())


@pytest.fixture(params=["te35", "te30"])
def result(request):
    return request.getfixturevalue(request.param)


def test_the_halved_first_point_is_found_and_undone(result):
    assert result.step("first_point").applied


def test_peaks_stand_where_they_should(result):
    shown, ppm = display(result.spectrum.fid).real, result.spectrum.ppm
    for place, reach in ((2.008, 0.1), (3.027, 0.08), (3.2, 0.07)):
        inside = np.abs(ppm - place) < reach
        assert ppm[inside][np.argmax(shown[inside])] == pytest.approx(place, abs=0.02)
    naa = shown[np.abs(ppm - 2.008) < 0.1].max()
    creatine = shown[np.abs(ppm - 3.027) < 0.08].max()
    assert 1.1 < naa / creatine < 2.0


def test_water_is_gone(result):
    assert result.metrics["residual_water_before"] > 3
    assert result.metrics["residual_water"] < 0.3


def test_linewidths_are_those_of_a_good_shim(result):
    assert 4 < result.metrics["fwhm_hz"] < 8
    assert 6 < result.metrics["fwhm_water_hz"] < 10


def test_inverted_lipids_are_named(te35, te30):
    """te35 carries a large inverted signal near 1.1 ppm; te30 has none."""
    assert te35.metrics["lipid_ratio"] < -0.2
    assert te30.metrics["lipid_ratio"] > 0
    assert "lipid_inverted" in {item.rule.name for item in assess(te35.metrics, "default").fired}
    assert assess(te30.metrics, "default").status == "pass"


def test_metabolite_nulled_scan_is_left_alone(shared_data):
    folder = shared_data / "philips_sub-01" / "mrs"
    stem = "sub-01_ses-01_PRESS-Inverted_TI-600_raw"
    scan, water = (read_sdat(folder / f"{stem}-{role}_noID.SDAT") for role in ("act", "ref"))
    nulled = preprocess(scan, water, None, PreprocessSection())
    assert not nulled.step("phase").applied
    assert assess(nulled.metrics, "default").status == "fail"
