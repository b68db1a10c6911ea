"""Parametric bootstrap: noise drawn anew on the fitted model, and the whole fit repeated."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mrs_pipeline.basis import Basis
from mrs_pipeline.config import FitSection
from mrs_pipeline.errors import FitError
from mrs_pipeline.fit.verdict import findings
from mrs_pipeline.spectrum import ComplexArray, FloatArray, Spectrum

if TYPE_CHECKING:
    from mrs_pipeline.fit.engine import Fitted

TAPER_PPM = 1.0
"""Width over which the fitted baseline falls to zero outside the window."""
LEAST_SHARE = 0.5
"""Share of refits that has to succeed."""


def resample(fitted: Fitted, basis: Basis, settings: FitSection, draws: int, seed: int) -> tuple[FloatArray, float]:
    """Refit the fitted model with new noise.

    Parameters
    ----------
    fitted
        The fit; its model is the truth of every refit, its noise SD that of the data.
    basis, settings
        As given to the fit: start, stiffness search, retries and priors are repeated in full.
    draws
        Number of refits.
    seed
        Seed of the noise.

    Returns
    -------
    amplitudes
        In the order of the fit's components, shape ``(n, K)``, ``n`` the refits that succeeded.
    failed
        Share of refits that failed.

    Raises
    ------
    FitError
        More than half of the refits failed.
    """
    from mrs_pipeline.fit.engine import minimise

    clean = modelled_spectrum(fitted)
    sd = fitted.prepared.noise / np.sqrt(clean.n_points)
    rng = np.random.default_rng(seed)
    names = fitted.objective.model.components.names
    rows = []
    for _ in range(draws):
        noise = sd * (rng.standard_normal(clean.n_points) + 1j * rng.standard_normal(clean.n_points))
        try:
            again = minimise(clean.with_fid(clean.fid + noise), basis, settings, fitted.prepared.priors)[0]
        except FitError:
            continue
        if not any(finding.fatal for finding in findings(again)):
            rows.append(_amplitudes(again, names))
    if len(rows) < max(2, LEAST_SHARE * draws):
        raise FitError(
            f"{draws - len(rows)} of {draws} refits of the bootstrap failed", remedy='set [fit] posterior = "none"'
        )
    return np.array(rows), 1.0 - len(rows) / draws


def _amplitudes(fitted: Fitted, names: tuple[str, ...]) -> list[float]:
    """Amplitudes by name; a component that this refit did not have (a bump of an artefact) counts as zero."""
    found = fitted.objective.at(fitted.solution.theta).solution.amplitudes
    by_name = dict(zip(fitted.objective.model.components.names, found, strict=True))
    return [float(by_name.get(name, 0.0)) for name in names]


def modelled_spectrum(fitted: Fitted) -> Spectrum:
    """Return the fitted model, baseline included, as a noise-free spectrum in the frame of the data.

    Notes
    -----
    The fit is to a real spectrum; the FID is the causal one whose zero-filled spectrum has that real part, which is the
    FID of the signals itself where there is no first-order phase. Outside the window the baseline falls to zero.
    """
    prepared, objective, theta = fitted.prepared, fitted.objective, fitted.solution.theta
    model = objective.model
    amplitudes = objective.at(theta).solution.amplitudes
    window = model.to_window(prepared.spectrum.fid).real
    baseline = objective.smooth(window - (amplitudes @ objective.at(theta).spectra).real)
    n_fft, (low, high) = 2 * model.time.size, model.bins
    step = float(model.offset_hz[1] - model.offset_hz[0])
    offset = model.offset_hz[0] + step * (np.arange(n_fft) - low)
    signal = np.fft.fftshift(np.fft.fft(amplitudes @ model.modulated(theta), n_fft))
    angle = theta[model.index["phi0"]] + 2.0 * np.pi * theta[model.index["phi1"]] * offset
    ends = TAPER_PPM * prepared.spectrum.carrier_mhz / step
    fid = causal_fid((signal * np.exp(1j * angle)).real + extended(baseline, low, n_fft - high, ends))
    return prepared.spectrum.with_fid(fid).phased(float(np.rad2deg(prepared.phase))).shifted(prepared.shift_hz)


def extended(values: FloatArray, before: int, after: int, width: float) -> FloatArray:
    """Extend a curve on both sides by its end values times a raised cosine that ends after ``width`` points."""
    fall = [0.5 * (1.0 + np.cos(np.pi * np.minimum(np.arange(1, n + 1) / width, 1.0))) for n in (before, after)]
    return np.concatenate([values[0] * fall[0][::-1], values, values[-1] * fall[1]])


def causal_fid(real_part: FloatArray) -> ComplexArray:
    """Return the FID of half the length whose zero-filled, centred spectrum has the given real part.

    Notes
    -----
    A real spectrum has the Hermitian time signal ``h``; the causal signal with the same real part is ``2 h`` for
    ``t > 0`` and ``h`` at 0.
    """
    hermitian = np.fft.ifft(np.fft.ifftshift(real_part))[: real_part.size // 2]
    fid = 2.0 * hermitian
    fid[0] = hermitian[0]
    return np.asarray(fid, dtype=np.complex128)
