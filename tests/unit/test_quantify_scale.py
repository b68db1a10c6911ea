"""Receiver gain of the two scans: what the files state, what a setting overrides, and what is said."""

from __future__ import annotations

import numpy as np
import pytest

from mrs_pipeline.errors import InputError
from mrs_pipeline.interfaces.quantify import start_times
from mrs_pipeline.nifti_mrs import NiftiMrs
from mrs_pipeline.quantify import receiver_scale
from mrs_pipeline.spectrum import Spectrum


@pytest.mark.parametrize(
    ("metabolite", "water", "factor"),
    [
        ({}, {}, 1.0),
        ({"ReceiveGain": 30}, {"ReceiveGain": 30.0}, 1.0),
        # 6.0206 dB is a factor of two in amplitude: water received at half the gain counts twice
        ({"ReceiveGain": 6.020599913}, {"ReceiveGain": 0.0}, 2.0),
        ({"ReceiveGain": [10.0, 99.0]}, {"ReceiveGain": [30.0, 99.0]}, 0.1),
        ({"ReceiveGain": {"Value": 40.0, "Description": "dB"}}, {"ReceiveGain": 0.0}, 100.0),
    ],
)
def test_gains_in_decibels(metabolite, water, factor):
    scale = receiver_scale(metabolite, water)
    assert scale.factor == pytest.approx(factor)
    assert scale.warnings == ()


@pytest.mark.parametrize(
    ("metabolite", "water", "stated"), [({"ReceiveGain": 12.0}, {}, "metabolite"), ({}, {"ReceiveGain": 12.0}, "water")]
)
def test_a_gain_stated_by_one_scan_alone_is_said(metabolite, water, stated):
    scale = receiver_scale(metabolite, water)
    assert scale.factor == 1.0
    assert f"only the {stated} scan states its receiver gain (12 dB)" in scale.warnings[0]


def test_the_setting_wins_and_contradiction_is_said():
    both = {"ReceiveGain": 20.0}, {"ReceiveGain": 0.0}
    assert receiver_scale({}, {}, 64.0).factor == 64.0
    assert receiver_scale(*both, 10.0).warnings == ()
    scale = receiver_scale(*both, 64.0)
    assert scale.factor == 64.0
    assert "against the files' receiver gains, which mean 10" in scale.warnings[0]


def test_a_gain_that_is_no_number_is_refused():
    with pytest.raises(InputError, match="ReceiveGain of the metabolite scan is nan"):
        receiver_scale({"ReceiveGain": float("nan")}, {})
    with pytest.raises(InputError, match="ReceiveGain of the water scan is 'high'"):
        receiver_scale({}, {"ReceiveGain": "high"})


@pytest.mark.parametrize(
    ("metabolite", "water", "later", "said"),
    [
        ({}, {}, 0.0, []),
        ({"AcquisitionStartTime": 0.0}, {"AcquisitionStartTime": 1e-5}, 1e-5, []),
        ({}, {"AcquisitionStartTime": 2e-3}, 2e-3, ["the water scan starts 2 ms later"]),
        (
            {"AcquisitionStartTime": 1e-3},
            {"AcquisitionStartTime": 1e-3},
            0.0,
            [],
        ),
        (
            {"AcquisitionStartTime": 1e-3},
            {},
            -1e-3,
            ["the water scan starts -1 ms later"],
        ),
    ],
)
def test_start_of_the_acquisition_after_the_echo(metabolite, water, later, said):
    fid = Spectrum(np.ones(64), 5e-4, 127.7)
    found, warnings = start_times(NiftiMrs(fid, header=metabolite), NiftiMrs(fid, header=water))
    assert found == pytest.approx(later)
    assert [text.startswith(start) for text, start in zip(warnings, said, strict=True)] == [True] * len(said)
