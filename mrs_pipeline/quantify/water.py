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


@dataclass(frozen=True)
class WaterFit:
    """The water reference of a scan, per molecule.

    Parameters
    ----------
    amplitude
        Signal of all water lines at t = 0 (the echo top) divided by the two protons of water, scanner units: the
        definition that the fit's amplitudes have, whose basis FIDs give one proton |y(0)| = 1.
    sd
        Standard error of ``amplitude`` from the noise of the scan: the Cramer-Rao bound of the lines found.
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
        ``"whole"``, ``"halved"`` or ``"deviating"``: the first stored point against the model, which never uses it.
    echo_point
        Index of the echo top, 0 unless points before it were stored.
    lines
        Number of damped sinusoids that describe the line.
    warnings
        Sentences for the report.
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

    def scaled(self, factor: float) -> WaterFit:
        """Return the same water line on another receiver scale."""
        from dataclasses import replace

        return replace(self, amplitude=self.amplitude * factor, sd=self.sd * factor)


def fit_water(water: Spectrum) -> WaterFit:
    r"""Fit the water line of an averaged reference scan.

    Parameters
    ----------
    water
        One FID, shape ``(n_points,)``, scanner units; eddy-current correction is not needed, because the model takes
        any lineshape.

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
    The FID is written as a sum of exponentially damped sinusoids found by the state-space method (Barkhuijsen 1987,
    doi:10.1016/0022-2364(87)90023-0), :math:`s_n=\sum_k c_k z_k^n`. Lines within 0.8 ppm of the strongest one are the
    water, so that a shim-distorted or eddy-current-distorted line is described as it is and lipids are left out. The
    first point is never used, because some vendors store half of it; the amplitude is the model's value at the echo
    top.
    """
    if water.fid.ndim != 1:
        raise QuantificationError(
            f"the water reference has {int(np.prod(water.fid.shape[:-1]))} FIDs",
            remedy="combine coils and average before fitting",
        )
    peak = np.abs(water.fid[: water.n_points // 4])
    if not np.isfinite(peak).all() or peak.max() == 0:
        raise QuantificationError("the water reference holds no signal", remedy="check the reference scan's file")
    top = echo_top(water.fid)
    fid = water.fid[top:]
    noise = _noise_sd(fid)
    poles = _poles(fid[1 : POINTS + 1], noise)
    used = fid[1 : max(8 * len(poles), POINTS) + 1]
    amplitudes, covariance = _amplitudes(used, poles, noise)
    is_water = _near_water(poles, amplitudes, water)
    return _summary(water, top, noise, poles, amplitudes, covariance, is_water, used)


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
    """Noise SD of the real part, from the second differences of the FID's end (a slow rest of signal cancels)."""
    tail = fid[-max(fid.size // 5, 16) :]
    second = tail[2:] - 2 * tail[1:-1] + tail[:-2]
    return float(np.sqrt(np.mean(np.abs(second) ** 2) / 12)) + 1e-12 * float(np.abs(fid).max())


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


def _amplitudes(fid: ComplexArray, poles: ComplexArray, noise: float) -> tuple[ComplexArray, ComplexArray]:
    """Amplitudes at t = 0 (one point before ``fid``) and their covariance, shapes (lines,) and (lines, lines).

    The covariance is the Cramer-Rao bound of amplitudes and poles together: poles taken as known would leave a third of
    the spread out.
    """
    n = np.arange(1, fid.size + 1)[:, None]
    design = poles[None, :] ** n
    amplitudes = np.asarray(np.linalg.pinv(design, rcond=1e-10) @ fid, dtype=np.complex128)
    jacobian = np.hstack([design, amplitudes * n * poles[None, :] ** (n - 1)])
    unit = np.maximum(np.linalg.norm(jacobian, axis=0), 1e-300)
    inverse = (np.linalg.pinv(jacobian / unit, rcond=1e-10) / unit[:, None])[: poles.size]
    return amplitudes, np.asarray(2 * noise**2 * (inverse @ inverse.conj().T), dtype=np.complex128)


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
    water: Spectrum,
    top: int,
    noise: float,
    poles: ComplexArray,
    amplitudes: ComplexArray,
    covariance: ComplexArray,
    is_water: npt.NDArray[np.bool_],
    used: ComplexArray,
) -> WaterFit:
    """Collect the water lines into one amplitude with its error and shape."""
    total = complex(amplitudes[is_water].sum())
    sd = float(np.sqrt(np.real(covariance[np.ix_(is_water, is_water)].sum()) / 2))
    n = np.arange(1, used.size + 1)
    left = used - (poles[None, :] ** n[:, None]) @ amplitudes
    energy = max(float(np.mean(np.abs(left) ** 2)) - 2 * noise**2, 0.0) / float(np.mean(np.abs(used) ** 2))
    model = (poles[None, is_water] ** np.arange(water.n_points)[:, None]) @ amplitudes[is_water]
    shift, width = _line(model / total, water)
    first, warnings = _first_point(complex(water.fid[top]), complex(amplitudes.sum()), top)
    if energy > 0.01:
        warnings.append(f"the water model leaves {100 * energy:.1f} % of the signal's energy")
    return WaterFit(
        amplitude=abs(total) / PROTONS,
        sd=sd / PROTONS,
        fwhm_hz=width,
        shift_ppm=shift,
        phase_deg=float(np.degrees(np.angle(total))),
        snr=abs(total) / noise,
        residual=energy,
        first_point=first,
        echo_point=top,
        lines=int(is_water.sum()),
        warnings=tuple(warnings),
    )


def _first_point(stored: complex, modelled: complex, top: int) -> tuple[str, list[str]]:
    """Judge the stored first point against the model."""
    warnings = [f"{top} points before the echo top: t = 0 is taken at point {top}"] if top else []
    ratio = abs(stored) / abs(modelled)
    if abs(ratio - 1) < 0.1:
        return "whole", warnings
    if abs(ratio - 0.5) < 0.1:
        return "halved", [
            *warnings,
            "the water scan's first point is stored halved; the amplitude is taken from the points after it",
        ]
    return "deviating", [*warnings, f"the water scan's first point is {ratio:.2f} of the model's; it is not used"]


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
