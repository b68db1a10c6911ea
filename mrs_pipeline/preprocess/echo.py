"""Where a scan's first stored point lies against the echo top, and bringing it there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mrs_pipeline.errors import InputError
from mrs_pipeline.preprocess.hlsvd import decompose
from mrs_pipeline.spectrum import Spectrum

LONGEST_S = 2e-3
"""Dead time in seconds up to which the missing points are predicted."""

SHORTEST = 32
"""Points that must be left after points before the echo are cut."""

_LINES = 15
_POINTS = 1024
_GROWTH = 1.0  # a line that would grow by more than exp(this) over the missing points is noise


@dataclass(frozen=True)
class Start:
    """What brings a scan's first point to the echo top.

    Parameters
    ----------
    points
        Whole points to cut (negative: stored before the echo) or to put in front (positive: missing after it).
    remainder_s
        Time of the first point after that, in seconds from the echo top; it stays as first-order phase.
    """

    points: int
    remainder_s: float


def start_time(header: Mapping[str, Any]) -> float:
    """Return ``AcquisitionStartTime`` of a NIfTI-MRS header in seconds after the echo; 0 where it is not stated."""
    value = header.get("AcquisitionStartTime")
    stated = isinstance(value, int | float) and np.isfinite(value)
    return float(value) if stated and value is not None else 0.0


def plan(start: float, dwell: float, *, restore: bool) -> Start:
    """Say how many whole points stand between the first stored point and the echo top.

    Parameters
    ----------
    start
        Seconds from the echo top to the first stored point; negative: points before the echo were stored.
    dwell
        Time between points in seconds.
    restore
        Whether missing points are put in front; if not, or if too many are missing, a dead time is left as it is.
    """
    points = round(start / dwell)
    if points > 0 and (not restore or points * dwell > LONGEST_S * (1 + 1e-6)):
        points = 0
    return Start(points, start - points * dwell)


def to_echo_top(spectrum: Spectrum, points: int) -> Spectrum:
    """Cut points before the echo, or put missing ones in front.

    Parameters
    ----------
    spectrum
        One FID, shape ``(n_points,)``.
    points
        As in :class:`Start`.

    Returns
    -------
    Spectrum
        One FID, shape ``(n_points + points,)``.

    Raises
    ------
    InputError
        Too few points would be left.

    Notes
    -----
    Missing points are those of damped sinusoids fitted to the stored ones and continued back to the echo top
    (Barkhuijsen 1987, doi:10.1016/0022-2364(87)90023-0), so that all lines have one phase and their amplitudes
    are those at the echo top.
    """
    if points <= 0:
        if spectrum.n_points + points < SHORTEST:
            raise InputError(
                f"{-points} of {spectrum.n_points} points would lie before the echo",
                remedy="check AcquisitionStartTime in the headers (NIfTI-MRS: seconds)",
            )
        return spectrum if points == 0 else spectrum.with_fid(spectrum.fid[-points:])
    lines = decompose(spectrum.fid[:_POINTS], spectrum.dwell, _LINES)
    lines = lines.select(lines.damping * points * spectrum.dwell < _GROWTH)
    missing = lines.fid(-spectrum.time[points:0:-1])
    return spectrum.with_fid(np.concatenate([missing, spectrum.fid]))


def on_clock(reference: Spectrum, later: float) -> Spectrum:
    """Return a reference that starts when another scan does.

    Parameters
    ----------
    reference
        One FID.
    later
        Seconds by which the reference's first point comes later after the echo than the scan's; negative: earlier.

    Notes
    -----
    Whole points are dropped, or the first one is repeated in front: its phase is then that of the earlier points.
    """
    points = round(later / reference.dwell)
    if points > 0:
        return reference.with_fid(np.pad(reference.fid, (points, 0), mode="edge"))
    return to_echo_top(reference, points)
