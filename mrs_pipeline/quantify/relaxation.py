"""Relaxation weighting of a signal: what is left of it at the sequence's TE and TR."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from mrs_pipeline.quantify.equations import Values
from mrs_pipeline.spectrum import Spectrum

LONGEST_TE = 5.0
"""Seconds; a longer echo time was given in milliseconds."""


@dataclass(frozen=True)
class PulseTiming:
    """Timing of one acquisition.

    Parameters
    ----------
    echo_time, repetition_time
        TE and TR in seconds; ``None`` when not known (the signal is then not corrected, and that is said).
    flip_angle
        Excitation flip angle in degrees; ``None`` counts as 90.
    mixing_time
        TM of STEAM in seconds; ``None`` for spin-echo sequences.
    """

    echo_time: float | None
    repetition_time: float | None
    flip_angle: float | None = None
    mixing_time: float | None = None

    @classmethod
    def of(cls, spectrum: Spectrum) -> PulseTiming:
        """Take the timing from a spectrum's own header."""
        return cls(spectrum.echo_time, spectrum.repetition_time, spectrum.flip_angle, spectrum.mixing_time)

    @property
    def complete(self) -> bool:
        """Whether relaxation can be corrected."""
        return not self.fault("")

    def fault(self, scan: str) -> str:
        """Say why relaxation of a scan (``"water"``, ``"metabolite"``) cannot be corrected; empty when it can."""
        te, tr, tm, flip = self.echo_time, self.repetition_time, self.mixing_time or 0.0, self.flip_angle
        if te is None or tr is None:
            return f"TE or TR of the {scan} scan is not known"
        possible = 0 <= te < min(tr, LONGEST_TE) and 0 <= tm < tr < math.inf and (flip is None or 0 < flip < 180)
        if possible:
            return ""
        stated = f"TE {te:g} s, TR {tr:g} s, TM {tm:g} s" + ("" if flip is None else f", flip angle {flip:g} degrees")
        return f"the timing of the {scan} scan cannot be right ({stated})"


@dataclass(frozen=True)
class ScanTiming:
    """Timing of the metabolite scan and of its water reference, which need not agree.

    Parameters
    ----------
    metabolite, water
        Timing of each acquisition; ``water`` is ``None`` without a reference.
    carrier_mhz
        Transmitter frequency in MHz: decides for which field strength the constants are taken.
    water_scale
        Factor that brings the water signal to the metabolite scan's receiver scale (receiver gain, sum against mean
        of transients).
    age
        Age of the participant in years, for constants with a published age dependence; ``None`` when unknown.
    """

    metabolite: PulseTiming
    water: PulseTiming | None
    carrier_mhz: float
    water_scale: float = 1.0
    age: float | None = None

    @property
    def complete(self) -> bool:
        """Whether relaxation of both scans can be corrected."""
        return self.metabolite.complete and self.water is not None and self.water.complete

    @classmethod
    def of(
        cls, metabolite: Spectrum, water: Spectrum | None, *, water_scale: float = 1.0, age: float | None = None
    ) -> ScanTiming:
        """Take both timings from the spectra themselves."""
        return cls(
            PulseTiming.of(metabolite),
            None if water is None else PulseTiming.of(water),
            metabolite.carrier_mhz,
            water_scale,
            age,
        )


def saturation(repetition_time: float, t1: Values, flip_angle: float = 90.0) -> Values:
    r"""Return the steady-state longitudinal factor of a spoiled sequence.

    Parameters
    ----------
    repetition_time, t1
        Seconds; a ``t1`` of 0 stands for full relaxation. ``t1`` may be an array.
    flip_angle
        Degrees.

    Notes
    -----
    :math:`\sin\alpha\,(1-E_1)/(1-\cos\alpha\,E_1)`, :math:`E_1 = e^{-TR/T_1}`; at 90 degrees :math:`1-E_1` (Ernst and
    Anderson 1966, doi:10.1063/1.1719961). The short delays between the refocusing pulses of an echo are neglected, as
    in the consensus equations (Near 2021, doi:10.1002/nbm.4257).

    Examples
    --------
    >>> round(float(saturation(2.0, 1.331)), 4)
    0.7775
    """
    e1 = np.exp(-repetition_time / t1) if np.all(np.greater(t1, 0)) else 0.0
    angle = math.radians(flip_angle)
    return np.float64(math.sin(angle)) * (1 - e1) / (1 - math.cos(angle) * e1)


def relaxation_factor(timing: PulseTiming, t1: Values, t2: Values) -> Values:
    r"""Return the share of the equilibrium signal that is left at TE and TR.

    Parameters
    ----------
    timing
        Timing of the acquisition; incomplete timing gives 1 (no correction).
    t1, t2
        Seconds, numbers or arrays.

    Notes
    -----
    :math:`R = S(TR', \alpha)\,e^{-TE/T_2}\,e^{-TM/T_1}` with :math:`TR' = TR - TM` for stimulated echoes, whose
    magnetisation starts to recover after the third pulse.
    """
    if timing.echo_time is None or timing.repetition_time is None or not timing.complete:
        return 1.0
    mixing = timing.mixing_time or 0.0
    stored = np.exp(-mixing / t1) if np.all(np.greater(t1, 0)) else 1.0
    recovered = saturation(
        timing.repetition_time - mixing, t1, 90.0 if timing.flip_angle is None else timing.flip_angle
    )
    return recovered * stored * np.exp(-timing.echo_time / t2)
