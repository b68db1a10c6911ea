"""Pulse sequences as lists of events: pulses, delays and coherence filters.

Every sequence ends where its last echo (or, without echo, its excitation) is centred: acquisition starts there.
Coherence order is m of the row minus m of the column of the density operator; detection of F+ sees order -1. A
sequence is laid out once; a kit fills it with ideal or with shaped pulses.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, Protocol, TypeAlias

from mrs_pipeline.basis.pulses import ShapedPulse, Waveform, gauss, hamming_sinc, hyperbolic_secant, product_refocusing
from mrs_pipeline.errors import BasisError

EditHalf: TypeAlias = Literal["on", "off"]

SEQUENCES: tuple[str, ...] = ("pulse-acquire", "press", "steam", "slaser", "special", "mega-press")
"""Sequences that can be simulated."""

EDIT_ON_PPM, EDIT_OFF_PPM = 1.9, 7.5
"""Centres of the editing pulses of GABA-edited MEGA-PRESS (Mullins 2014, doi:10.1016/j.neuroimage.2012.12.004)."""

EDIT_WIDTH_PPM = 0.7
"""Full width of an ideal editing pulse."""


@dataclass(frozen=True)
class Pulse:
    """A hard pulse on all protons: flip angle and phase in degrees (0 = x, 90 = y)."""

    flip: float
    phase: float = 0.0
    duration: float = 0.0
    isodelay: float = 0.0


@dataclass(frozen=True)
class SelectivePulse:
    """An ideal 180 on the protons within ``width_ppm / 2`` of ``centre_ppm``, nothing elsewhere."""

    centre_ppm: float
    width_ppm: float = EDIT_WIDTH_PPM
    duration: float = 0.0


@dataclass(frozen=True)
class Delay:
    """Free precession in seconds."""

    seconds: float


@dataclass(frozen=True)
class Keep:
    """Ideal crusher or phase cycle: only coherences of this order survive."""

    order: int


@dataclass(frozen=True)
class Inversion:
    """A slice-selective inversion that is switched on and off, the scans subtracted (one-dimensional ISIS)."""

    pulse: ShapedPulse


AnyPulse: TypeAlias = Pulse | SelectivePulse | ShapedPulse
Event: TypeAlias = AnyPulse | Inversion | Delay | Keep
Events: TypeAlias = tuple[Event, ...]


@dataclass(frozen=True)
class Timing:
    """Echo and mixing times in seconds; ``None`` where a sequence has none."""

    te1: float | None = None
    te2: float | None = None
    tm: float | None = None

    def needed(self, name: str, sequence: str) -> float:
        """Return a time, or refuse to go on without it."""
        value: float | None = getattr(self, name)
        if value is None:
            remedy = f"give {name} (seconds in Python, milliseconds on the command line)"
            raise BasisError(f"{sequence} needs {name}", remedy=remedy)
        return value

    def total(self, sequence: str) -> float:
        """Return the whole echo time."""
        return self.needed("te1", sequence) + (self.te2 or 0.0)

    def halves(self, sequence: str) -> tuple[float, float]:
        """Return the two echo periods of sLASER; an echo time alone is split evenly."""
        first = self.needed("te1", sequence)
        return (first, self.te2) if self.te2 is not None else (first / 2, first / 2)


class Kit(Protocol):
    """What fills the places of a sequence."""

    def excite(self, axis: str) -> Pulse | ShapedPulse:
        """Return the 90 of a slice axis."""

    def refocus(self, axis: str) -> Pulse | ShapedPulse:
        """Return the 180 of a slice axis."""

    def sweep(self, axis: str) -> Pulse | ShapedPulse:
        """Return the adiabatic 180 of a slice axis."""

    def edit(self, half: EditHalf) -> SelectivePulse | ShapedPulse:
        """Return the editing pulse."""

    def prepare(self) -> Events:
        """Return what SPECIAL plays before its excitation."""


@dataclass(frozen=True)
class IdealKit:
    """Instantaneous pulses that act on all protons alike."""

    def excite(self, axis: str) -> Pulse:  # noqa: ARG002  every axis is the same
        """Return the 90 of a slice axis."""
        return Pulse(90.0, 90.0)

    def refocus(self, axis: str) -> Pulse:  # noqa: ARG002
        """Return the 180 of a slice axis."""
        return Pulse(180.0, 0.0)

    def sweep(self, axis: str) -> Pulse:
        """Return the adiabatic 180 of a slice axis."""
        return self.refocus(axis)

    def edit(self, half: EditHalf) -> SelectivePulse:
        """Return the editing pulse."""
        return SelectivePulse(EDIT_ON_PPM if half == "on" else EDIT_OFF_PPM)

    def prepare(self) -> Events:
        """Return what SPECIAL plays before its excitation: an ideal inversion leaves nothing to see."""
        return ()


@dataclass(frozen=True, eq=False)
class ShapedKit:
    """Shaped, slice-selective pulses.

    Parameters
    ----------
    excitation, refocusing, adiabatic, editing
        Shapes.
    excitation_s, refocusing_s, adiabatic_s, editing_s
        Durations in seconds.
    carrier_hz
        Transmitter frequency of the slice-selective pulses, relative to the set's carrier.
    hz_per_ppm, reference_ppm
        Field and carrier, to place the editing pulses.
    """

    excitation: Waveform
    refocusing: Waveform
    adiabatic: Waveform
    editing: Waveform
    excitation_s: float = 0.0026
    refocusing_s: float = 0.0052
    adiabatic_s: float = 0.004
    editing_s: float = 0.014
    carrier_hz: float = 0.0
    hz_per_ppm: float = 123.2
    reference_ppm: float = 4.65

    def excite(self, axis: str) -> ShapedPulse:
        """Return the 90 of a slice axis."""
        return ShapedPulse(self.excitation, self.excitation_s, 90.0, 90.0, axis, self.carrier_hz)

    def refocus(self, axis: str) -> ShapedPulse:
        """Return the 180 of a slice axis."""
        return ShapedPulse(self.refocusing, self.refocusing_s, 180.0, 0.0, axis, self.carrier_hz)

    def sweep(self, axis: str) -> ShapedPulse:
        """Return the adiabatic 180 of a slice axis."""
        return ShapedPulse(self.adiabatic, self.adiabatic_s, 180.0, 0.0, axis, self.carrier_hz)

    def edit(self, half: EditHalf) -> ShapedPulse:
        """Return the editing pulse."""
        centre = EDIT_ON_PPM if half == "on" else EDIT_OFF_PPM
        offset = (centre - self.reference_ppm) * self.hz_per_ppm
        return ShapedPulse(self.editing, self.editing_s, 180.0, 0.0, "", offset)

    def prepare(self) -> Events:
        """Return what SPECIAL plays before its excitation."""
        return (Inversion(self.sweep("z")), Keep(0))

    def at(self, hz_per_ppm: float, reference_ppm: float, centre_ppm: float) -> ShapedKit:
        """Return the kit for a field and carrier, its slices on resonance at ``centre_ppm``."""
        carrier = (centre_ppm - reference_ppm) * hz_per_ppm
        return replace(self, carrier_hz=carrier, hz_per_ppm=hz_per_ppm, reference_ppm=reference_ppm)


def default_kit() -> ShapedKit:
    """Return generated pulses like those of 3 T product sequences.

    Notes
    -----
    90: Hamming sinc, 2.6 ms. 180: SLR, 5.2 ms, 1.0 kHz, the order of product PRESS
    (:func:`mrs_pipeline.basis.pulses.product_refocusing`). Adiabatic: hyperbolic secant, 4 ms, about 6 kHz (sLASER,
    inversion of SPECIAL). Editing: Gauss, 14 ms.
    """
    return ShapedKit(hamming_sinc(8.75), product_refocusing(), hyperbolic_secant(25.0), gauss())


def events(sequence: str, timing: Timing, kit: Kit, half: EditHalf = "on") -> Events:
    """Return the events of a sequence.

    Parameters
    ----------
    sequence
        One of :data:`SEQUENCES`.
    timing
        STEAM and SPECIAL take the echo time as ``te1`` (plus ``te2``, where both are given).
    kit
        The pulses.
    half
        Which half of MEGA-PRESS.

    Raises
    ------
    BasisError
        Unknown sequence, a missing time, or one too short for the pulses.

    Notes
    -----
    Times of the pulse centres after the excitation: PRESS te1/2, te1 + te2/2 (Bottomley 1987,
    doi:10.1111/j.1749-6632.1987.tb32915.x). STEAM te/2, te/2 + tm (Frahm 1989, doi:10.1002/mrm.1910090110), which
    leaves half of the magnetisation. sLASER te1/4, 3 te1/4, te1 + te2/4, te1 + 3 te2/4 (Scheenen 2008,
    doi:10.1002/mrm.21302). SPECIAL te/2 (Mlynarik 2006, doi:10.1002/mrm.21043). MEGA-PRESS: PRESS with editing
    pulses half-way between the refocusing pulses and TE/2 later (Mescher 1998,
    doi:10.1002/(SICI)1099-1492(199810)11:6<266::AID-NBM530>3.0.CO;2-J).
    """
    if sequence == "pulse-acquire":
        return _train(kit.excite("x"), -1, (), 0.0)
    if sequence == "press":
        return _press(timing.needed("te1", sequence), timing.needed("te2", sequence), kit)
    if sequence == "mega-press":
        return _mega_press(timing.needed("te1", sequence), timing.needed("te2", sequence), kit, half)
    if sequence == "slaser":
        return _slaser(*timing.halves(sequence), kit)
    if sequence == "special":
        te = timing.total(sequence)
        return (*kit.prepare(), *_train(kit.excite("x"), 1, ((te / 2, kit.refocus("y"), -1),), te))
    if sequence == "steam":
        return _steam(timing.total(sequence), timing.needed("tm", sequence), kit)
    raise BasisError(f"no sequence called {sequence!r}", remedy=f"use one of {', '.join(SEQUENCES)}")


_Station: TypeAlias = tuple[float, AnyPulse, int]
"""Time of a pulse's centre after the excitation, the pulse, and the coherence order kept after it."""


def _train(first: Pulse | ShapedPulse, order: int, stations: tuple[_Station, ...], end: float) -> Events:
    """Return an excitation followed by pulses centred at given times, and acquisition at ``end``."""
    train: list[Event] = [first, Keep(order)]
    clock = first.isodelay
    for time, pulse, kept in stations:
        train += [_gap(time - pulse.duration / 2 - clock), pulse, Keep(kept)]
        clock = time + pulse.duration / 2
    return (*train, _gap(end - clock) if stations else Delay(end - clock))


def _gap(seconds: float) -> Delay:
    if seconds < -1e-9:
        problem = f"the pulses overlap by {-seconds * 1e3:.2f} ms at these echo times"
        raise BasisError(problem, remedy="use shorter pulses, ideal pulses, or the echo times of the scan")
    return Delay(max(seconds, 0.0))


def _press(te1: float, te2: float, kit: Kit) -> Events:
    stations = ((te1 / 2, kit.refocus("y"), 1), (te1 + te2 / 2, kit.refocus("z"), -1))
    return _train(kit.excite("x"), -1, stations, te1 + te2)


def _mega_press(te1: float, te2: float, kit: Kit, half: EditHalf) -> Events:
    if te2 <= te1:
        raise BasisError("MEGA-PRESS needs te2 longer than te1", remedy="give the short echo period as te1")
    te = te1 + te2
    editing = kit.edit(half)
    stations = (
        (te1 / 2, kit.refocus("y"), 1),
        (te1 / 2 + te / 4, editing, 1),
        (te1 / 2 + te / 2, kit.refocus("z"), -1),
        (te1 / 2 + 3 * te / 4, editing, -1),
    )
    return _train(kit.excite("x"), -1, stations, te)


def _steam(te: float, tm: float, kit: Kit) -> Events:
    stations = ((te / 2, kit.excite("y"), 0), (te / 2 + tm, kit.excite("z"), -1))
    return _train(kit.excite("x"), 1, stations, te + tm)


def _slaser(te1: float, te2: float, kit: Kit) -> Events:
    first, second = kit.sweep("y"), kit.sweep("z")
    stations = (
        (te1 / 4, first, 1),
        (3 * te1 / 4, first, -1),
        (te1 + te2 / 4, second, 1),
        (te1 + 3 * te2 / 4, second, -1),
    )
    return _train(kit.excite("x"), -1, stations, te1 + te2)
