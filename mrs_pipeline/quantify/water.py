"""Amplitude of the unsuppressed water signal at t = 0, with its real lineshape."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mrs_pipeline.errors import QuantificationError
from mrs_pipeline.spectrum import ComplexArray, FloatArray, Spectrum

PROTONS = 2
WINDOW_PPM = 0.8
POINTS = 512
MAX_LINES = 16
MAX_WIDTH_HZ = 150.0
ECHO_SEARCH = 64
SETTLED = 4
"""First point used for the amplitude: receive filters bend the ones before it."""

SMOOTH_S = 0.006
"""Seconds over which the water signal's phase is smoothed."""

DECAY = 0.4
"""The course is followed until the magnitude has fallen to this share."""

SHORTEST = 32
"""Points of the course at the least."""

ORDERS = (1, 2, 3)
FLOOR = 1e-3
"""Departure from a smooth course, relative, that is not worth another term."""


@dataclass(frozen=True)
class WaterFit:
    """The water reference of a scan, per molecule.

    Parameters
    ----------
    amplitude
        Signal of all water lines at t = 0 (the echo top) divided by the two protons of water, scanner units: the
        definition that the fit's amplitudes have, whose basis FIDs give one proton |y(0)| = 1.
    sd
        Standard error of ``amplitude``: noise of the scan, departures of the line from a smooth course, and the choice
        of the course.
    fwhm_hz
        Full width at half maximum of the modelled water line in Hz.
    shift_ppm
        Position of the water line against 4.65 ppm on the spectrum's own axis.
    phase_deg
        Phase of the water signal at t = 0 in degrees.
    snr
        Signal at t = 0 over the noise SD of one FID point (real part).
    residual
        Energy the model leaves beyond noise, relative to the signal's energy; real scans stay below 0.01.
    first_point
        ``"whole"``, ``"halved"`` or ``"deviating"``: the first stored point against the amplitude, which never uses it.
    echo_point
        Index of the echo top, 0 unless points before it were stored.
    lines
        Number of damped sinusoids that describe the line.
    warnings
        Sentences for the report.
    first_points
        Magnitude of the first four stored points over that of the smooth course: 1.14, 1.06, 1.00, 1.00 after a
        Philips receive filter (halved first point undone), all 1 without a filter.
    """

    amplitude: float
    sd: float
    fwhm_hz: float
    shift_ppm: float
    phase_deg: float
    snr: float
    residual: float
    first_point: str
    echo_point: int
    lines: int
    warnings: tuple[str, ...] = ()
    first_points: tuple[float, ...] = ()

    def scaled(self, factor: float) -> WaterFit:
        """Return the same water line on another receiver scale."""
        from dataclasses import replace

        return replace(self, amplitude=self.amplitude * factor, sd=self.sd * factor)


def fit_water(water: Spectrum, *, later: float = 0.0) -> WaterFit:
    r"""Fit the water line of an averaged reference scan.

    Parameters
    ----------
    water
        One FID, shape ``(n_points,)``, scanner units; eddy-current correction is not needed, because the model takes
        any lineshape.
    later
        Seconds by which the first stored point comes later after the echo than that of the metabolite scan (dead
        time; ``AcquisitionStartTime`` of NIfTI-MRS). The amplitude is continued back by it, so that both scans' refer
        to the same time after the echo; a negative value names points that were stored before that time.

    Returns
    -------
    WaterFit
        Amplitude per molecule at t = 0 with its standard error.

    Raises
    ------
    QuantificationError
        The scan holds several FIDs, no signal, or no line near the carrier's water frequency.

    Notes
    -----
    The signal's own phase is taken out point by point (Klose 1990, doi:10.1002/mrm.1910140104), so that eddy currents
    and shim leave the amplitude alone. The rest is written as a sum of exponentially damped sinusoids found by the
    state-space method (Barkhuijsen 1987, doi:10.1016/0022-2364(87)90023-0), :math:`s_n=\sum_k c_k z_k^n`; lines
    further than 0.8 ppm from water (lipids, metabolites) are subtracted. What remains is water, and its magnitude is
    continued to the echo top from point 4 on with :math:`\ln|w(t)| = \ln A + a_1 t + a_2 t^2 + a_3 t^3`, of which a
    Lorentzian line is the first order and a Voigt line the second. The orders are averaged by their probabilities under
    the Bayesian information criterion, and what lies between them counts in the standard error (Hoeting 1999,
    doi:10.1214/ss/1009212519): in noise the data do not tell which course it is.

    Points 0 to 3 are not used. A sampled signal that starts at t = 0 comes out of a linear-phase receive filter with
    half its first point and an overshoot after it, whatever its lines; metabolites go through the same filter, and
    what their fit sees are the lines behind it.
    """
    if water.fid.ndim != 1:
        raise QuantificationError(
            f"the water reference has {int(np.prod(water.fid.shape[:-1]))} FIDs",
            remedy="combine coils and average before fitting",
        )
    if water.n_points < SHORTEST:
        raise QuantificationError(
            f"the water reference has only {water.n_points} time points", remedy="check the conversion of the file"
        )
    peak = np.abs(water.fid[: water.n_points // 4])
    if not np.isfinite(peak).all() or peak.max() == 0:
        raise QuantificationError("the water reference holds no signal", remedy="check the reference scan's file")
    top = max(echo_top(water.fid), round(-later / water.dwell))
    if water.n_points - top < SHORTEST:
        raise QuantificationError(
            f"the water reference's echo would lie at point {top} of {water.n_points}",
            remedy="check AcquisitionStartTime in the headers of both scans",
        )
    fid = water.fid[top:]
    noise = _noise_sd(fid)
    phase = own_phase(fid, noise, water.dwell)
    still = fid * np.exp(-1j * phase)
    poles = _poles(still[1 : POINTS + 1], noise)
    used = still[1 : max(8 * len(poles), POINTS) + 1]
    amplitudes = _amplitudes(used, poles)
    is_water = _near_water(poles, amplitudes, water)
    lines = _Lines(poles, amplitudes, is_water)
    start = _start(still, lines, noise, before=max(later, 0.0) / water.dwell)
    return _summary(water, top, noise, phase, lines, start, used)


@dataclass(frozen=True, eq=False)
class _Lines:
    """Damped sinusoids of a FID and which of them are water, shapes ``(lines,)``."""

    poles: ComplexArray
    amplitudes: ComplexArray
    is_water: npt.NDArray[np.bool_]

    def signal(self, n_points: int, which: npt.NDArray[np.bool_]) -> ComplexArray:
        """Return the FID of some lines from t = 0 on."""
        powers = self.poles[None, which] ** np.arange(n_points)[:, None]
        return np.asarray(powers @ self.amplitudes[which], dtype=np.complex128)


@dataclass(frozen=True)
class _Start:
    """Magnitude at the echo top, its relative standard error, and the first stored points against the course."""

    value: float
    sd: float
    first: tuple[float, ...]


def _start(still: ComplexArray, lines: _Lines, noise: float, before: float = 0.0) -> _Start:
    """Continue the magnitude of the water signal along its smooth course to ``before`` points before the first."""
    size = min(POINTS, still.size)
    width = -np.log(np.minimum(np.abs(lines.poles), 1.0)) / np.pi
    other = ~lines.is_water & (np.abs(np.angle(lines.poles)) > np.pi * width)
    magnitude = np.abs(still[:size] - lines.signal(size, other))
    magnitude = np.maximum(magnitude, noise)
    n = np.arange(SETTLED, max(_course_end(magnitude), SETTLED + min(SHORTEST, size - SETTLED)))
    sigma = np.hypot(noise / magnitude[n], FLOOR)
    courses = [_course(n, np.log(magnitude[n]), sigma, order) for order in ORDERS]
    course, sd = _averaged(courses, -before)
    early = np.exp(np.polynomial.polynomial.polyval(np.arange(SETTLED), course))
    value = float(np.exp(np.polynomial.polynomial.polyval(-before, course)))
    return _Start(value, sd, tuple(np.round(np.abs(still[:SETTLED]) / early, 4).tolist()))


def _course_end(magnitude: FloatArray) -> int:
    """Index where the magnitude has fallen below a share of its start for good enough a course."""
    below = np.flatnonzero(magnitude[SETTLED:] < DECAY * magnitude[SETTLED])
    return SETTLED + int(below[0]) if below.size else magnitude.size


def _course(
    n: npt.NDArray[np.int_], logarithm: FloatArray, sigma: FloatArray, order: int
) -> tuple[float, FloatArray, float]:
    """Fit a polynomial in time to a logarithm: information criterion, coefficients, standard error of the constant.

    The standard error grows with the departures when they exceed what noise and the floor explain.
    """
    scale = float(n[-1])
    design = np.vander(n / scale, order + 1, increasing=True) / sigma[:, None]
    coefficients = np.linalg.lstsq(design, logarithm / sigma, rcond=None)[0]
    left = logarithm / sigma - design @ coefficients
    chi2 = float(left @ left)
    excess = max(1.0, chi2 / max(n.size - order - 1, 1))
    sd = float(np.sqrt(np.linalg.inv(design.T @ design)[0, 0] * excess))
    return chi2 + (order + 1) * np.log(n.size), coefficients / scale ** np.arange(order + 1), sd


def _averaged(courses: list[tuple[float, FloatArray, float]], at: float) -> tuple[FloatArray, float]:
    """Average courses by the weights of their information criteria: coefficients, standard error at one point."""
    criteria = np.array([criterion for criterion, _, _ in courses])
    weights = np.exp((criteria.min() - criteria) / 2)
    weights /= weights.sum()
    padded = np.array(
        [np.pad(coefficients, (0, max(ORDERS) + 1 - coefficients.size)) for _, coefficients, _ in courses]
    )
    mean = weights @ padded
    apart = np.polynomial.polynomial.polyval(at, (padded - mean).T)
    errors = np.array([sd for _, _, sd in courses])
    return mean, float(np.sqrt(weights @ (errors**2 + apart**2)))


def own_phase(fid: ComplexArray, noise: float, dwell: float) -> FloatArray:
    """Return the phase of a FID's strongest signal over time in radians, unwrapped, shape ``(n_points,)``.

    It is followed while the magnitude exceeds ten noise SDs, smoothed over some 6 ms (the beat of other lines against
    the strongest is not its phase), and continued along its late slope; too weak a signal has none (zeros).
    """
    from scipy.signal import savgol_filter

    weak = np.flatnonzero(np.abs(fid) < 10 * noise)
    end = int(weak[0]) if weak.size else fid.size
    if end < 16:
        return np.zeros(fid.size)
    phase = np.unwrap(np.angle(fid[:end]))
    window = min(2 * round(SMOOTH_S / (2 * dwell)) + 1, (end - 1) // 2 * 2 + 1)
    if window > 3:
        phase = savgol_filter(phase, window, 2)
    late = phase[-max(end // 4, 4) :]
    slope = np.polyfit(np.arange(late.size), late, 1)[0]
    return np.concatenate([phase, phase[-1] + slope * np.arange(1, fid.size - end + 1)])


def echo_top(fid: ComplexArray) -> int:
    """Return the index of the echo top: 0, or where the magnitude peaks when points before the top were stored.

    A rise must be steady and lift the magnitude by more than 2 % before it counts, so that beats and noise do not
    move t = 0. A halved first point is not a rise of the echo: only points after it are looked at.
    """
    magnitude = np.abs(fid[1 : ECHO_SEARCH + 1])
    top = int(np.argmax(magnitude))
    rising = top > 1 and bool(np.all(np.diff(magnitude[: top + 1]) > 0)) and magnitude[top] > 1.02 * magnitude[0]
    return top + 1 if rising else 0


def _noise_sd(fid: ComplexArray) -> float:
    r"""Noise SD of the real part: median of the second differences over the later half of the FID.

    A slow rest of signal cancels; the median passes over what a filter wraps round to the end. The median of a
    Rayleigh variate is :math:`\sigma\sqrt{2\ln 2}`, and a second difference has six times the variance of a point.
    """
    tail = fid[fid.size // 2 :]
    second = tail[2:] - 2 * tail[1:-1] + tail[:-2]
    return float(np.median(np.abs(second)) / np.sqrt(12 * np.log(2))) + 1e-12 * float(np.abs(fid).max())


def _poles(fid: ComplexArray, noise: float) -> ComplexArray:
    """Signal poles of the FID by HSVD, model order from the noise floor of the singular values."""
    from scipy.linalg import hankel, lstsq, svd

    rows = fid.size // 2
    left, singular, _ = svd(hankel(fid[:rows], fid[rows - 1 :]), full_matrices=False)
    floor = noise * np.sqrt(2) * (np.sqrt(rows) + np.sqrt(fid.size - rows + 1))
    order = int(np.clip(np.count_nonzero(singular > floor), 1, MAX_LINES))
    basis = left[:, :order]
    poles = np.linalg.eigvals(lstsq(basis[:-1], basis[1:])[0])
    return np.asarray(poles[np.abs(poles) < 1.0 + 1e-6], dtype=np.complex128)


def _amplitudes(fid: ComplexArray, poles: ComplexArray) -> ComplexArray:
    """Amplitudes at t = 0 (one point before ``fid``), shape (lines,)."""
    n = np.arange(1, fid.size + 1)[:, None]
    return np.asarray(np.linalg.pinv(poles[None, :] ** n, rcond=1e-10) @ fid, dtype=np.complex128)


def _near_water(poles: ComplexArray, amplitudes: ComplexArray, water: Spectrum) -> npt.NDArray[np.bool_]:
    """Mark the lines that belong to the water signal: near the strongest one and not absurdly broad."""
    hz = np.angle(poles) / (2 * np.pi * water.dwell)
    width = -np.log(np.minimum(np.abs(poles), 1.0)) / (np.pi * water.dwell)
    strength = np.where(width < MAX_WIDTH_HZ, np.abs(amplitudes), 0.0)
    if not strength.max() > 0:
        raise QuantificationError(
            "no water line was found in the reference scan", remedy="check that it is not water-suppressed"
        )
    centre = hz[int(np.argmax(strength))]
    near: npt.NDArray[np.bool_] = (np.abs(hz - centre) < WINDOW_PPM * water.carrier_mhz) & (width < MAX_WIDTH_HZ)
    return near


def _summary(
    water: Spectrum, top: int, noise: float, phase: FloatArray, lines: _Lines, start: _Start, used: ComplexArray
) -> WaterFit:
    """Collect amplitude, shape and verdicts."""
    left = used - lines.signal(used.size + 1, np.ones(lines.poles.size, dtype=bool))[1:]
    energy = max(float(np.mean(np.abs(left) ** 2)) - 2 * noise**2, 0.0) / float(np.mean(np.abs(used) ** 2))
    turned = lines.signal(water.n_points, lines.is_water)
    model = turned / turned[0]
    place, width = _line(model, water)
    hz, at_start = _straight(phase, np.abs(model), water.dwell)
    first, warnings = _first_point(start.first[0], top)
    if energy > 0.01:
        warnings.append(f"the water model leaves {100 * energy:.1f} % of the signal's energy")
    shift = place + hz / water.carrier_mhz
    if abs(shift) > WINDOW_PPM:
        warnings.append(
            f"the strongest line of the reference lies at {4.65 + shift:.2f} ppm: it may not be water, and no "
            "concentration can be trusted"
        )
    if start.sd > 0.02:
        warnings.append(f"the water amplitude is uncertain by {100 * start.sd:.0f} %")
    return WaterFit(
        amplitude=start.value / PROTONS,
        sd=start.value * start.sd / PROTONS,
        fwhm_hz=width,
        shift_ppm=shift,
        phase_deg=float(np.degrees(np.angle(turned[0] * np.exp(1j * at_start)))),
        snr=start.value / noise,
        residual=energy,
        first_point=first,
        echo_point=top,
        lines=int(lines.is_water.sum()),
        warnings=tuple(warnings),
        first_points=start.first,
    )


def _straight(phase: FloatArray, envelope: FloatArray, dwell: float) -> tuple[float, float]:
    """Frequency in Hz and phase at t = 0 in radians of the straight line that a phase course follows, by magnitude."""
    size = min(phase.size, envelope.size)
    weight = np.maximum(envelope[:size], 0.0) ** 2
    weight[:SETTLED] = 0.0
    slope = np.polyfit(np.arange(size), phase[:size], 1, w=np.sqrt(weight))[0]
    at_start = np.polyfit(np.arange(SETTLED, 20), phase[SETTLED:20], 1)[1]
    return float(slope / (2 * np.pi * dwell)), float(at_start)


def _first_point(ratio: float, top: int) -> tuple[str, list[str]]:
    """Judge the stored first point over the amplitude at the echo top.

    Receive filters leave 0.50 to 0.65 of a halved and 0.9 to 1.2 of a whole (or doubled) first point.
    """
    warnings = [f"{top} points before the echo top: t = 0 is taken at point {top}"] if top else []
    if 0.8 < ratio < 1.25:
        return "whole", warnings
    if 0.4 < ratio < 0.7:
        return "halved", [
            *warnings,
            "the water scan's first point is stored halved; the amplitude is taken from the points after it",
        ]
    return "deviating", [
        *warnings,
        f"the water scan's first point is {ratio:.2f} of the later course's; it is not used",
    ]


def _line(model: ComplexArray, water: Spectrum) -> tuple[float, float]:
    """Position in ppm against 4.65 and full width at half maximum in Hz of the modelled, phased line."""
    n = 1 << int(np.ceil(np.log2(16 * water.n_points)))
    halved = model.copy()
    halved[0] *= 0.5
    real: FloatArray = np.fft.fftshift(np.fft.fft(halved, n)).real
    hz = np.fft.fftshift(np.fft.fftfreq(n, water.dwell))
    top = int(np.argmax(real))
    half = real[top] / 2
    low = top - int(np.argmax(real[top::-1] < half))
    high = top + int(np.argmax(real[top:] < half))
    left = np.interp(half, [real[low], real[low + 1]], [hz[low], hz[low + 1]])
    right = np.interp(-half, [-real[high - 1], -real[high]], [hz[high - 1], hz[high]])
    return float(water.reference_ppm + hz[top] / water.carrier_mhz - 4.65), float(right - left)
