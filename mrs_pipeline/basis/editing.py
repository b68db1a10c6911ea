"""J-difference editing: where the editing pulses stand, what a scan says about them, and the kit that plays them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from mrs_pipeline.basis.engine import Frame
from mrs_pipeline.basis.pulses import ShapedPulse, cayley_klein, gauss
from mrs_pipeline.basis.sequences import (
    EDIT_OFF_PPM,
    EDIT_ON_PPM,
    EditHalf,
    Events,
    IdealKit,
    Kit,
    Pulse,
    SelectivePulse,
)
from mrs_pipeline.errors import BasisError
from mrs_pipeline.spectrum import FloatArray

EDIT_TARGETS: dict[str, tuple[float, float]] = {
    "GABA": (EDIT_ON_PPM, EDIT_OFF_PPM),
    "GSH": (4.56, 7.5),
    "Lac": (4.1, 7.5),
    "PE": (3.22, 7.5),
    "Asc": (4.13, 7.5),
    "NAAG": (4.61, 7.5),
}
"""Usual places of the editing pulses by target, on and off, ppm: Mescher 1998 and Mullins 2014
(doi:10.1016/j.neuroimage.2012.12.004) for GABA; the partner spins of Govindaraju 2000
(doi:10.1002/1099-1492(200005)13:3<129::AID-NBM619>3.0.CO;2-V) for the others."""

GAUSS_TRUNCATION = 0.1
"""Amplitude of the Gaussian editing pulse at its ends: 14 ms then invert 81 Hz, 20 ms 57 Hz, close to the 88 and 61 Hz
of the sinc-Gauss and Gauss pulses in use (Harris 2015, doi:10.1002/mrm.25549)."""
DEFAULT_DURATION_S = 0.014
LONGEST_S, LONGEST_MS = 0.1, 100.0
"""A duration above the first is in milliseconds, above the second in microseconds."""


@dataclass(frozen=True)
class Editing:
    """The editing pulses of a two-condition experiment.

    Parameters
    ----------
    on_ppm, off_ppm
        Centres of the pulses in the two conditions.
    duration
        Seconds.
    shape
        ``"gauss"``: Gaussian pulse of that duration; ``"ideal"``: an instantaneous 180 on ``width_ppm`` around the
        centre.
    width_ppm
        Full width of the ideal pulse.
    target
        What is edited.
    """

    on_ppm: float = EDIT_ON_PPM
    off_ppm: float = EDIT_OFF_PPM
    duration: float = DEFAULT_DURATION_S
    shape: Literal["gauss", "ideal"] = "gauss"
    width_ppm: float = 0.7
    target: str = "GABA"

    @property
    def words(self) -> str:
        """What is played, in words."""
        pulse = f"Gauss, {1e3 * self.duration:g} ms" if self.shape == "gauss" else f"ideal, {self.width_ppm:g} ppm"
        return f"editing {self.target}: pulses ({pulse}) at {self.on_ppm:g} and {self.off_ppm:g} ppm"


@dataclass(frozen=True, eq=False)
class EditedKit:
    """The pulses of another kit, with these editing pulses."""

    base: Kit
    editing: Editing
    frame: Frame

    def excite(self, axis: str) -> Pulse | ShapedPulse:
        """Return the 90 of a slice axis."""
        return self.base.excite(axis)

    def refocus(self, axis: str) -> Pulse | ShapedPulse:
        """Return the 180 of a slice axis."""
        return self.base.refocus(axis)

    def sweep(self, axis: str) -> Pulse | ShapedPulse:
        """Return the adiabatic 180 of a slice axis."""
        return self.base.sweep(axis)

    def prepare(self) -> Events:
        """Return what SPECIAL plays before its excitation."""
        return self.base.prepare()

    def edit(self, half: EditHalf) -> SelectivePulse | ShapedPulse:
        """Return the editing pulse."""
        centre = self.editing.on_ppm if half == "on" else self.editing.off_ppm
        if self.editing.shape == "ideal":
            return SelectivePulse(centre, self.editing.width_ppm)
        return ShapedPulse(gauss(GAUSS_TRUNCATION), self.editing.duration, 180.0, 0.0, "", self.frame.hz(centre))


def share_left(editing: Editing, half: EditHalf, ppm: FloatArray, field_mhz: float) -> FloatArray:
    r"""Return what the editing pulses of one condition leave of the signal of uncoupled protons.

    Parameters
    ----------
    editing
        The pulses.
    half
        Which condition.
    ppm
        Chemical shifts, any shape.
    field_mhz
        Proton frequency in MHz.

    Returns
    -------
    ndarray
        Share between 0 (turned by 180 degrees and dephased) and 1 (untouched), same shape.

    Notes
    -----
    The crushers around each of the two pulses pass what keeps its order of coherence, :math:`\alpha^{*2}` and
    :math:`\alpha^2` in Cayley-Klein parameters, together :math:`|\alpha|^4 = (1 - P)^2` with the probability P of
    inversion (Mescher 1998, doi:10.1002/(SICI)1099-1492(199810)11:6<266::AID-NBM530>3.0.CO;2-J).
    """
    centre = editing.on_ppm if half == "on" else editing.off_ppm
    pulse = EditedKit(IdealKit(), editing, Frame(field_mhz, centre)).edit(half)
    distance = np.asarray(ppm, dtype=np.float64) - centre
    if isinstance(pulse, SelectivePulse):
        return np.where(np.abs(distance) < pulse.width_ppm / 2, 0.0, 1.0)
    kept, _ = cayley_klein(pulse, distance * field_mhz)
    return np.asarray(np.abs(kept) ** 4)


def editing_of(
    stated: Mapping[str, Any],
    target: str | None = None,
    on_ppm: float | None = None,
    off_ppm: float | None = None,
    duration: float | None = None,
) -> tuple[Editing, tuple[str, ...]]:
    """Return the editing pulses of a scan and what had to be assumed, as sentences.

    Parameters
    ----------
    stated
        Header extension and sidecar in one: ``EditPulse`` by condition (NIfTI-MRS: ``PulseOffset`` in ppm and
        ``PulseDuration`` in seconds; BIDS: ``FrequencyOffset`` in ppm and ``PulseDuration`` in milliseconds) and
        ``EditTarget``.
    target, on_ppm, off_ppm, duration
        Settings, which go before what the scan states; seconds.

    Raises
    ------
    BasisError
        The target is unknown and no places are given, or a condition has several pulses.
    """
    name = target or _stated_target(stated)
    places, seconds = _stated_pulses(stated)
    assumed: list[str] = []
    if name is None:
        name = _target_at(places.get("on", on_ppm))
        if "on" not in places and on_ppm is None:
            assumed.append("the scan does not say what is edited: GABA was assumed ([basis] edit_target)")
    if name not in EDIT_TARGETS and (on_ppm is None and "on" not in places):
        raise BasisError(
            f"nothing is known of editing {name}",
            remedy=f"set [basis] edit_on_ppm, or a target of {', '.join(EDIT_TARGETS)}",
        )
    usual = EDIT_TARGETS.get(name, EDIT_TARGETS["GABA"])
    on = _known((on_ppm, places.get("on")), usual[0], "on_ppm", assumed)
    off = _known((off_ppm, places.get("off")), usual[1], "off_ppm", assumed)
    length = _known((duration, seconds), DEFAULT_DURATION_S, "duration", assumed)
    return Editing(on, off, length, target=name), tuple(assumed)


def _known(values: tuple[float | None, float | None], default: float, key: str, assumed: list[str]) -> float:
    """Return the first value that is there, else the default, which is then said."""
    found = next((value for value in values if value is not None), None)
    if found is None:
        shown = f"{1e3 * default:g} ms" if key == "duration" else f"{default:g} ppm"
        assumed.append(f"editing pulse, {key.partition('_')[0]}: {shown} assumed ([basis] edit_{key})")
    return default if found is None else float(found)


def _stated_target(stated: Mapping[str, Any]) -> str | None:
    """Return what a sidecar says is edited, by its usual name; ``None`` for nothing or for several."""
    value = stated.get("EditTarget")
    if isinstance(value, list | tuple) and len(value) == 1:
        value = value[0]
    if not isinstance(value, str):
        return None
    plain = value.replace("+", "").strip().lower()
    return next((name for name in EDIT_TARGETS if name.lower() == plain), value.strip())


def _target_at(on_ppm: float | None) -> str:
    """Return the target whose pulse usually stands there (within 0.15 ppm), GABA otherwise."""
    if on_ppm is None:
        return "GABA"
    name = min(EDIT_TARGETS, key=lambda key: abs(EDIT_TARGETS[key][0] - on_ppm))
    return name if abs(EDIT_TARGETS[name][0] - on_ppm) < 0.15 else "GABA"


def _stated_pulses(stated: Mapping[str, Any]) -> tuple[dict[str, float], float | None]:
    """Return the places of the pulses by condition (``on``, ``off``) and their duration in seconds."""
    pulses = stated.get("EditPulse")
    if not isinstance(pulses, Mapping):
        return {}, None
    places: dict[str, float] = {}
    seconds: float | None = None
    for condition, facts in pulses.items():
        if not isinstance(facts, Mapping):
            continue
        offset = facts.get("PulseOffset", facts.get("FrequencyOffset"))
        if isinstance(offset, list | tuple):
            if len(offset) != 1:
                raise BasisError(
                    f"edit condition {condition} has {len(offset)} pulses",
                    remedy="only two conditions with one editing pulse each (MEGA) can be simulated",
                )
            offset = offset[0]
        key = str(condition).strip().lower()
        if key in {"on", "off"} and isinstance(offset, int | float):
            places[key] = float(offset)
        if isinstance(facts.get("PulseDuration"), int | float):
            seconds = _in_seconds(float(facts["PulseDuration"]))
    return places, seconds


def _in_seconds(value: float) -> float | None:
    """Return a pulse duration in seconds whatever its unit; ``None`` for none.

    >>> _in_seconds(0.02), _in_seconds(16.0), _in_seconds(16000.0)
    (0.02, 0.016, 0.016)
    """
    if value <= 0:
        return None
    return value if value < LONGEST_S else value / 1e3 if value <= LONGEST_MS else value / 1e6
