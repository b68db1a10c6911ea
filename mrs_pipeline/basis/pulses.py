"""Radio-frequency pulses: generated shapes, waveform files, and the rotation of one spin.

A :class:`Waveform` is a shape; :class:`ShapedPulse` gives it a duration, a strength and a role. Positions along a
slice gradient are offsets in Hz, so that no gradient strength or voxel size is needed: a slice is as wide as its
pulse's bandwidth.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from mrs_pipeline.errors import BasisError
from mrs_pipeline.spectrum import ComplexArray, FloatArray


@dataclass(frozen=True, eq=False)
class Waveform:
    """A pulse shape.

    Parameters
    ----------
    name
        What it is called in notes.
    b1
        Complex amplitude at equal time steps, largest magnitude 1, shape ``(n,)``; the phase is the transmitter's.
    gradient
        Slice gradient relative to its value in the middle, shape ``(n,)``; all 1 except for FOCI pulses.
    adiabatic
        Whether the flip angle is set by the sweep and not by the integral.
    """

    name: str
    b1: ComplexArray
    gradient: FloatArray
    adiabatic: bool = False

    def __post_init__(self) -> None:
        b1 = np.array(self.b1, dtype=np.complex128)
        largest = np.abs(b1).max(initial=0.0)
        if b1.ndim != 1 or len(b1) < 2 or not np.isfinite(b1).all() or largest == 0:
            raise ValueError(f"waveform {self.name} is empty, not finite or all zero")
        object.__setattr__(self, "b1", b1 / largest)
        object.__setattr__(self, "gradient", np.array(self.gradient, dtype=np.float64))


def _waveform(
    name: str, b1: ComplexArray | FloatArray, adiabatic: bool = False, gradient: FloatArray | None = None
) -> Waveform:
    flat = np.ones(len(b1)) if gradient is None else gradient
    return Waveform(name, np.asarray(b1, dtype=np.complex128), flat, adiabatic)


def _symmetric_axis(n: int) -> FloatArray:
    """Return the midpoints of ``n`` steps over [-1, 1]."""
    return np.asarray((np.arange(n) + 0.5) * (2.0 / n) - 1.0, dtype=np.float64)


def hamming_sinc(time_bandwidth: float = 6.0, n: int = 256) -> Waveform:
    """Return a sinc under a Hamming window.

    Parameters
    ----------
    time_bandwidth
        Number of zero crossings of the sinc, about duration times bandwidth.
    n
        Steps.
    """
    x = _symmetric_axis(n)
    window = 0.54 + 0.46 * np.cos(np.pi * x)
    return _waveform(f"Hamming sinc, {time_bandwidth:g} crossings", np.sinc(time_bandwidth * x / 2) * window)


def sinc_gauss(time_bandwidth: float = 6.0, truncation: float = 0.01, n: int = 256) -> Waveform:
    """Return a sinc under a Gaussian that falls to ``truncation`` at the ends."""
    x = _symmetric_axis(n)
    b1 = np.sinc(time_bandwidth * x / 2) * np.exp(np.log(truncation) * x**2)
    return _waveform(f"sinc-Gauss, {time_bandwidth:g} crossings", b1)


def gauss(truncation: float = 0.01, n: int = 256) -> Waveform:
    """Return a Gaussian that falls to ``truncation`` at the ends (editing pulses)."""
    return _waveform("Gauss", np.exp(np.log(truncation) * _symmetric_axis(n) ** 2))


def hyperbolic_secant(time_bandwidth: float = 25.0, truncation: float = 0.01, n: int = 512) -> Waveform:
    r"""Return an adiabatic full passage.

    Parameters
    ----------
    time_bandwidth
        Sweep width times duration.
    truncation
        Relative amplitude at the ends.
    n
        Steps.

    Notes
    -----
    :math:`B_1 = \mathrm{sech}(\beta x)^{1 + i\mu}` on x in [-1, 1] (Silver 1984,
    doi:10.1016/0022-2364(84)90181-1): the frequency sweeps over :math:`\pm\mu\beta/\pi T`.
    """
    x = _symmetric_axis(n)
    beta = np.arccosh(1 / truncation)
    mu = np.pi * time_bandwidth / (2 * beta)
    sech = 1 / np.cosh(beta * x)
    b1 = sech * np.exp(1j * mu * np.log(sech))
    return _waveform(f"hyperbolic secant, R = {time_bandwidth:g}", b1, adiabatic=True)


def foci(time_bandwidth: float = 25.0, factor: float = 5.0, truncation: float = 0.01, n: int = 512) -> Waveform:
    """Return a C-shaped FOCI pulse: a hyperbolic secant with B1, sweep and gradient raised together at its flanks.

    Notes
    -----
    Ordidge et al., Magn Reson Med 1996;36:562-566: the shape function is cosh(beta x) until it reaches ``factor``, and
    ``factor`` beyond, so that amplitude is constant in the middle of the sweep; the slice is ``factor`` times more
    selective.
    """
    base = hyperbolic_secant(time_bandwidth, truncation, n)
    x = _symmetric_axis(n)
    beta = np.arccosh(1 / truncation)
    shape = np.minimum(np.cosh(beta * x), factor)
    sweep = np.gradient(np.unwrap(np.angle(base.b1)), x) * shape
    phase = np.concatenate([[0.0], np.cumsum(0.5 * (sweep[1:] + sweep[:-1]) * np.diff(x))])
    b1 = np.abs(base.b1) * shape * np.exp(1j * phase)
    return _waveform(f"FOCI, factor {factor:g}", b1, adiabatic=True, gradient=shape)


def slr(flip: float, time_bandwidth: float = 6.0, ripple: float = 0.002, n: int = 256) -> Waveform:
    r"""Return a linear-phase pulse by the inverse Shinnar-Le Roux transform.

    Parameters
    ----------
    flip
        Flip angle in degrees: the shape belongs to it.
    time_bandwidth
        Duration times bandwidth.
    ripple
        Ripple of the filter behind the B polynomial, which sets its transition width.
    n
        Steps.

    Notes
    -----
    The B polynomial is a Kaiser-windowed low-pass filter scaled so that it nowhere exceeds sin(flip/2), A its
    minimum-phase partner (:math:`|A|^2 + |B|^2 = 1` on the unit circle), and the hard pulses come from the backward
    recursion (Pauly 1991, doi:10.1109/42.75611).
    """
    attenuation = -20 * np.log10(ripple)
    beta = 0.5842 * (attenuation - 21) ** 0.4 + 0.07886 * (attenuation - 21) if attenuation > 21 else 0.0
    x = _symmetric_axis(n)
    filter_ = np.sinc(time_bandwidth * x / 2) * np.kaiser(n, beta)
    highest = np.abs(np.fft.fft(filter_, 32 * n)).max()
    b = filter_ / highest * np.sin(np.deg2rad(flip) / 2)
    pulses = _inverse_slr(_minimum_phase_partner(b), b.astype(np.complex128))
    return _waveform(f"SLR {flip:g}, {time_bandwidth:g}", pulses)


def product_refocusing() -> Waveform:
    """Return a 180 like those of product PRESS: time times bandwidth is 6, edges are as sharp as ripples allow.

    Notes
    -----
    At 5.2 ms it inverts a band of 0.96 kHz with edges of 0.18 kHz. Where the edges are decides how much of the voxel
    coupled partners see refocused together: with edges of 0.28 kHz (ripple 0.2 %, as a textbook pulse) the aspartyl
    multiplet of NAA is 21 % off that of a set simulated with a vendor's pulses (docs/basis.md), GABA 14 % and Lac 11 %,
    with these 10, 6 and 4 %.
    """
    return slr(180.0, 6.0, ripple=0.05)


def _minimum_phase_partner(b: FloatArray) -> ComplexArray:
    """Return the minimum-phase polynomial A with |A|^2 = 1 - |B|^2, by the cepstrum."""
    size = 16 * 2 ** int(np.ceil(np.log2(len(b))))
    magnitude = np.sqrt(np.maximum(1e-12, 1 - np.abs(np.fft.fft(b, size)) ** 2))
    cepstrum = np.fft.ifft(np.log(magnitude))
    fold = np.concatenate([[1], np.full(size // 2 - 1, 2), [1], np.zeros(size // 2 - 1)])
    partner: ComplexArray = np.fft.ifft(np.exp(np.fft.fft(cepstrum * fold)))[: len(b)]
    return partner


def _inverse_slr(a: ComplexArray, b: ComplexArray) -> ComplexArray:
    """Return the hard pulses (radians, complex) that make the polynomials ``a`` and ``b``."""
    pulses = np.zeros(len(b), dtype=np.complex128)
    for k in range(len(b) - 1, -1, -1):
        ratio = b[0] / a[0]
        angle = 2 * np.arctan(np.abs(ratio))
        phase = np.angle(ratio)
        pulses[k] = angle * np.exp(1j * phase)
        c, s = np.cos(angle / 2), np.sin(angle / 2) * np.exp(1j * phase)
        a, b = (c * a + np.conj(s) * b)[:k], (c * b - s * a)[1:]
    return pulses[::-1]


def read_waveform(path: str | Path) -> Waveform:
    """Read a pulse shape from a file.

    Parameters
    ----------
    path
        Siemens ``.pta``, Bruker shape (``##`` headers, amplitude in percent, phase in degrees), or plain columns:
        amplitude, and phase in degrees where there is a second column.

    Raises
    ------
    BasisError
        The file is missing or holds no numbers.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="latin-1")
    except OSError as error:
        problem = f"the pulse cannot be read ({error})"
        raise BasisError(problem, remedy="check the path of the waveform", path=path) from error
    rows = [_row(line) for line in text.splitlines()]
    table = [row for row in rows if row]
    degrees = path.suffix.lower() != ".pta"
    if len(table) < 2:
        raise BasisError("no table of amplitudes found", remedy="give columns of amplitude and phase", path=path)
    amplitude = np.array([row[0] for row in table])
    phase = np.array([row[1] if len(row) > 1 else 0.0 for row in table])
    b1 = amplitude * np.exp(1j * (np.deg2rad(phase) if degrees else phase))
    sweeps = bool(np.abs(np.diff(np.unwrap(np.angle(b1[amplitude > 0]), discont=np.pi))).sum() > 4 * np.pi)
    try:
        return _waveform(path.name, b1, adiabatic=sweeps)
    except ValueError as error:
        raise BasisError(str(error), remedy="check the waveform file", path=path) from error


def _row(line: str) -> list[float]:
    """Return the numbers of a data line; header and comment lines give none."""
    data = re.split(r"[;#!]", line.replace(",", " "), maxsplit=1)[0]
    try:
        return [float(part) for part in data.split()]
    except ValueError:
        return []


@dataclass(frozen=True, eq=False)
class ShapedPulse:
    """A waveform with duration, strength, transmitter frequency and slice axis.

    Parameters
    ----------
    waveform
        The shape.
    duration
        Seconds.
    flip
        Flip angle on resonance in degrees; for adiabatic pulses 180.
    phase
        Transmitter phase in degrees (0 = x).
    axis
        Name of the slice axis; ``""`` for a pulse without gradient. Pulses of one axis select the same slice.
    carrier_hz
        Transmitter frequency relative to the set's carrier; its phase is the stated one in the middle of the pulse.
    b1_hz
        Peak amplitude in Hz; ``None``: from the flip angle, or, for adiabatic pulses, well above the adiabatic
        threshold.
    """

    waveform: Waveform
    duration: float
    flip: float
    phase: float = 0.0
    axis: str = ""
    carrier_hz: float = 0.0
    b1_hz: float | None = None

    @property
    def amplitude_hz(self) -> float:
        """Peak B1 in Hz."""
        if self.b1_hz is not None:
            return self.b1_hz
        if self.waveform.adiabatic:
            return self._adiabatic_amplitude
        turns = self.flip / 360 / self.duration
        return turns / float(np.abs(np.mean(self.waveform.b1)))

    @cached_property
    def _adiabatic_amplitude(self) -> float:
        """Return the amplitude with a K factor of 4 at the steepest part of the sweep on resonance."""
        step = self.duration / len(self.waveform.b1)
        strong = np.abs(self.waveform.b1) > 0.5
        sweep = np.gradient(np.unwrap(np.angle(self.waveform.b1)), step) / (2 * np.pi)
        rate = np.abs(np.gradient(sweep, step))[strong].max()
        return float(np.sqrt(4 * rate / (2 * np.pi)))

    @cached_property
    def drive_hz(self) -> ComplexArray:
        """Complex B1 in Hz in the frame of the set's carrier, shape ``(n,)``."""
        middle = (np.arange(len(self.waveform.b1)) + 0.5) / len(self.waveform.b1) - 0.5
        turn = np.exp(2j * np.pi * self.carrier_hz * self.duration * middle + 1j * np.deg2rad(self.phase))
        drive: ComplexArray = self.amplitude_hz * self.waveform.b1 * turn
        return drive

    @property
    def refocuses(self) -> bool:
        """Whether the pulse turns coherences into their opposite (flip above 135 degrees)."""
        return self.flip > 135

    @cached_property
    def isodelay(self) -> float:
        """Time from the effective centre of an excitation to the end of the pulse, in seconds.

        Notes
        -----
        The transverse magnetisation ends with the phase 2 pi nu t_iso at offset nu: its slope around resonance is
        the isodelay.
        """
        offsets = np.linspace(-0.05, 0.05, 11) * self.bandwidth_hz
        alpha, beta = cayley_klein(replace(self, carrier_hz=0.0), offsets)
        phase = np.unwrap(np.angle(beta * np.conj(alpha)))
        return float(np.polyfit(offsets, phase, 1)[0] / (2 * np.pi))

    @cached_property
    def bandwidth_hz(self) -> float:
        """Full width at half maximum of the excited transverse or refocused magnetisation, in Hz."""
        reach, profile = 4 / self.duration, np.ones(1)
        while max(profile[0], profile[-1]) > 0.1:
            reach *= 2
            offsets = np.linspace(-reach, reach, 2049)
            alpha, beta = cayley_klein(replace(self, carrier_hz=0.0), offsets)
            profile = np.abs(beta) ** 2 if self.refocuses else 2 * np.abs(alpha * beta)
        above = offsets[profile > 0.5 * profile.max()]
        return float(above[-1] - above[0])


def cayley_klein(
    pulse: ShapedPulse, offsets_hz: FloatArray, part: slice | None = None, fixed_hz: FloatArray | float = 0.0
) -> tuple[ComplexArray, ComplexArray]:
    r"""Return the rotation of a spin by (part of) a pulse.

    Parameters
    ----------
    pulse
        The pulse.
    offsets_hz
        Offsets due to position, scaled by the pulse's gradient shape, any shape.
    part
        Steps of the waveform; ``None``: all.
    fixed_hz
        Offsets due to chemical shift, broadcast against ``offsets_hz``.

    Returns
    -------
    tuple of ComplexArray
        :math:`\alpha, \beta` of the SU(2) matrix :math:`[[\alpha, -\beta^*], [\beta, \alpha^*]]` in the order (up,
        down).

    Notes
    -----
    Each step is exact: a turn by :math:`2\pi\,dt\,\sqrt{\nu^2 + B_1^2}` about (B1x, B1y, nu).
    """
    steps = range(len(pulse.waveform.b1))[part or slice(None)]
    dt = pulse.duration / len(pulse.waveform.b1)
    drive = pulse.drive_hz
    shape = np.broadcast_shapes(np.shape(offsets_hz), np.shape(fixed_hz))
    alpha, beta = np.ones(shape, dtype=np.complex128), np.zeros(shape, dtype=np.complex128)
    for k in steps:
        offset = offsets_hz * pulse.waveform.gradient[k] + fixed_hz
        size = np.maximum(np.sqrt(offset**2 + np.abs(drive[k]) ** 2), 1e-30)
        half = np.pi * dt * size
        sine = np.sin(half) / size
        a = np.cos(half) - 1j * offset * sine
        b = -1j * drive[k] * sine
        alpha, beta = a * alpha - np.conj(b) * beta, b * alpha + np.conj(a) * beta
    return alpha, beta


Shape = Callable[[], Waveform]

SHAPES: dict[str, Shape] = {
    "hamming-sinc": hamming_sinc,
    "sinc-gauss": sinc_gauss,
    "gauss": gauss,
    "slr-90": lambda: slr(90.0),
    "slr-180": product_refocusing,
    "hs": hyperbolic_secant,
    "foci": foci,
}
"""Shapes by the names used on the command line and in settings."""


def waveform(name_or_path: str | Path) -> Waveform:
    """Return a generated shape by name, or read a waveform file."""
    maker = SHAPES.get(str(name_or_path))
    return maker() if maker is not None else read_waveform(name_or_path)
