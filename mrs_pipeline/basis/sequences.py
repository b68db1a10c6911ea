"""Pulse sequences as lists of events: pulses, delays and coherence filters.

Every sequence ends where its last echo (or, without echo, its excitation) is centred: acquisition starts there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from mrs_pipeline.errors import BasisError


@dataclass(frozen=True)
class Pulse:
    """A hard pulse on all protons: flip angle and phase in degrees (0 = x, 90 = y)."""

    flip: float
    phase: float = 0.0


@dataclass(frozen=True)
class Delay:
    """Free precession in seconds."""

    seconds: float


@dataclass(frozen=True)
class Keep:
    """Ideal crusher or phase cycle: only coherences of this order survive (F+ detection sees order -1)."""

    order: int


Event: TypeAlias = Pulse | Delay | Keep
Events: TypeAlias = tuple[Event, ...]

SEQUENCES: tuple[str, ...] = ("pulse-acquire", "press", "steam", "slaser", "special", "mega-press")
"""Sequences that can be simulated."""

_EXCITE = Pulse(90.0, 90.0)
_REFOCUS = Pulse(180.0, 0.0)


def press(te1: float, te2: float) -> Events:
    """Return ideal PRESS: 90 - te1/2 - 180 - (te1 + te2)/2 - 180 - te2/2 (Bottomley 1987, doi:10.1111/j.1749-6632.1987.tb32915.x)."""
    return (_EXCITE, Delay(te1 / 2), _REFOCUS, Delay((te1 + te2) / 2), _REFOCUS, Delay(te2 / 2))


def spin_echo(te: float) -> Events:
    """Return 90 - te/2 - 180 - te/2: SPECIAL after its inversion is cycled out (Mlynarik 2006, doi:10.1002/mrm.21043)."""
    return (_EXCITE, Delay(te / 2), _REFOCUS, Delay(te / 2))


def steam(te: float, tm: float) -> Events:
    """Return STEAM with pathway +1, 0, -1 (Frahm 1989, doi:10.1002/mrm.1910090110): half of the magnetisation is left."""
    ninety = Pulse(90.0, 90.0)
    return (ninety, Delay(te / 2), Keep(1), ninety, Keep(0), Delay(tm), ninety, Keep(-1), Delay(te / 2))


def slaser(te1: float, te2: float) -> Events:
    """Return semi-LASER: 90 and two pairs of 180s, one pair per te (Scheenen 2008, doi:10.1002/mrm.21302).

    Notes
    -----
    The refocusing pulses stand at te1/4, 3 te1/4, te1 + te2/4 and te1 + 3 te2/4, so that each pair ends in an echo; te1 = te2 gives
    the evenly spaced train.
    """
    delays = (te1 / 4, te1 / 2, te1 / 4 + te2 / 4, te2 / 2)
    train = tuple(event for delay in delays for event in (Delay(delay), _REFOCUS))
    return (_EXCITE, *train, Delay(te2 / 4))


def ideal_events(sequence: str, te1: float | None, te2: float | None, tm: float | None) -> Events:
    """Return the events of a sequence with ideal pulses.

    Parameters
    ----------
    sequence
        One of :data:`SEQUENCES` except ``"mega-press"``.
    te1, te2, tm
        Timing in seconds; STEAM and SPECIAL take the echo time as ``te1`` (plus ``te2``, where both are given).

    Raises
    ------
    BasisError
        Unknown sequence, or a timing it needs is missing.
    """
    if sequence == "pulse-acquire":
        return (_EXCITE,)
    first = _needed(te1, "te1", sequence)
    second = te2 or 0.0
    if sequence == "press":
        return press(first, _needed(te2, "te2", sequence))
    if sequence == "slaser":
        return slaser(first, second) if te2 is not None else slaser(first / 2, first / 2)
    if sequence == "special":
        return spin_echo(first + second)
    if sequence == "steam":
        return steam(first + second, _needed(tm, "tm", sequence))
    raise BasisError(f"no sequence called {sequence!r}", remedy=f"use one of {', '.join(SEQUENCES)}")


def _needed(value: float | None, name: str, sequence: str) -> float:
    if value is None:
        raise BasisError(
            f"{sequence} needs {name}", remedy=f"give {name} (seconds in Python, milliseconds on the command line)"
        )
    return value
