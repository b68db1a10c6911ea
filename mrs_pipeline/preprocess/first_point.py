"""The halved first point: found by prediction from the later points, and undone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from mrs_pipeline.preprocess.hlsvd import decompose
from mrs_pipeline.spectrum import ComplexArray, Spectrum

Verdict = Literal["halved", "true", "undecided"]

_ORDERS = (3, 5, 8, 12)
_LENGTHS = (64, 128, 256, 512)
BOUNDARY = 2**-0.5
"""Ratio halfway (geometrically) between a halved (0.5) and a true (1.0) first point."""


@dataclass(frozen=True)
class FirstPoint:
    """What the first point of a FID looks like.

    Parameters
    ----------
    ratio
        Measured first point over the one predicted from the later points (real part, median over models); ``None`` when
        there is no signal to predict from.
    spread
        Half the interquartile range of the ratio over the models.
    verdict
        ``"halved"``, ``"true"`` or ``"undecided"``.
    """

    ratio: float | None
    spread: float
    verdict: Verdict


def measure_first_point(fid: ComplexArray, dwell: float) -> FirstPoint:
    """Compare the first point of a FID with its prediction from the later ones.

    Parameters
    ----------
    fid
        One FID, shape ``(n_points,)``.
    dwell
        Time between points in seconds.

    Returns
    -------
    FirstPoint
        Undecided when the models disagree, or when no signal stands above the noise.

    Notes
    -----
    Damped sinusoids fitted to points 1, 2, ... are continued to t = 0 (as in linear prediction), for several model
    orders and lengths. Some vendors and export tools store half the first point (Philips SDAT), others leave it;
    filters bend it a little.
    """
    noise = float(np.std(fid[-max(fid.size // 8, 2) :]))
    if fid.size < 2 * _LENGTHS[0] or np.max(np.abs(fid)) < 10 * noise:
        return FirstPoint(None, 0.0, "undecided")
    ratios = []
    for length in _LENGTHS:
        for order in _ORDERS:
            predicted = np.sum(decompose(fid[: min(length + 1, fid.size)], dwell, order, first=1).amplitude)
            if abs(predicted) > 3 * noise:
                ratios.append(float((fid[0] / predicted).real))
    if len(ratios) < len(_ORDERS):
        return FirstPoint(None, 0.0, "undecided")
    low, ratio, high = (float(value) for value in np.percentile(ratios, [25, 50, 75]))
    return FirstPoint(ratio, (high - low) / 2, _verdict(low, ratio, high))


def _verdict(low: float, ratio: float, high: float) -> Verdict:
    """Decide when both quartiles lie on one side of the boundary and the median near one of the two values."""
    if 0.3 < ratio < BOUNDARY and high < BOUNDARY:
        return "halved"
    if BOUNDARY < ratio < 1.6 and low > BOUNDARY:
        return "true"
    return "undecided"


def undo_halving(spectrum: Spectrum) -> Spectrum:
    """Return the acquisition with every first point doubled."""
    fid = np.array(spectrum.fid)
    fid[..., 0] *= 2.0
    return spectrum.with_fid(fid)
