"""Combination of receiver coils by whitened singular-value decomposition."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mrs_pipeline.spectrum import ComplexArray, FloatArray, Spectrum

_SIGNAL_SECONDS = 0.3  # the sensitivities come from the FID's first part, where the signal is
_SAMPLES_PER_COIL = 50  # noise samples per coil that make the loss by an estimated covariance about 2 %
_SINGULAR_SAMPLES = 4  # per coil; with fewer the covariance is close to singular by estimation alone
_FEWEST_SAMPLES = 10  # per coil; a noise scan with fewer serves worse than the tails of all transients
_BAND = 0.475  # of the sampling rate; receivers fall off at the edge of the band
_SMOOTH_BINS = 3  # to either side
_NOISE_PPM = (-0.5, 9.0)  # what lies outside is noise in a proton spectrum


@dataclass(frozen=True, eq=False)
class CoilWeights:
    """Weights that turn coil signals into one.

    Parameters
    ----------
    weights
        Complex weights, shape ``(n_coils,)``; the combined signal is ``sum(weights * coil signals)``.
    sensitivity
        Relative sensitivities, unit length, shape ``(n_coils,)``.
    noise_sd
        Noise SD of each coil, scanner units.
    noise_samples
        Number of complex samples behind the noise covariance; 0 when it was not used.
    dominance
        Share of the whitened signal energy above the noise that one signal explains; 1 for a single source.
    method
        Method really used.
    """

    weights: ComplexArray
    sensitivity: ComplexArray
    noise_sd: FloatArray
    noise_samples: int
    dominance: float
    method: str


def coil_first(scan: Spectrum) -> ComplexArray:
    """Return the FIDs as ``(n_coils, n_others, n_points)``."""
    axis = scan.dims.index("DIM_COIL")
    moved = np.moveaxis(scan.fid, axis, 0)
    return moved.reshape(moved.shape[0], -1, scan.n_points)


def coil_weights(
    signal: Spectrum, noise: Spectrum, *, method: str, noise_tail: float, noise_scan: Spectrum | None = None
) -> CoilWeights:
    r"""Find the weights of the largest signal-to-noise ratio.

    Parameters
    ----------
    signal
        Scan that gives the sensitivities (the water reference, or the metabolite scan itself), with ``DIM_COIL``.
    noise
        Scan that gives the noise covariance, with the same coils.
    method
        ``"wsvd"``: noise whitened first; ``"svd"``: noise taken as equal and independent; ``"snr2"``: as independent
        but unequal, which weights each coil by its signal over its noise squared.
    noise_tail
        Share of the FID's end that gives the noise.
    noise_scan
        Scan without excitation, with the same coils; gives the covariance instead, brought to the level of ``noise``.

    Notes
    -----
    With coil signals :math:`y_c = s_c\,x + n_c` and noise covariance :math:`\Psi` the weights
    :math:`w = \Psi^{-1} s / (s^H \Psi^{-1} s)`, applied as :math:`w^H y`, have the largest SNR and leave the signal's
    scale, with s of unit length: the root sum of squares over coils. Its whitened form is the leading left singular
    vector of the whitened data (Rodgers and Robson 2010, doi:10.1002/mrm.22230), found here as an eigenvector of the
    small coil-by-coil matrix. The common phase is chosen so that the signal that gave the sensitivities starts with
    phase zero; neither the order of the coils nor a phase common to all of them changes the result.
    """
    covariance, samples = noise_covariance(noise, noise_tail)
    if noise_scan is not None:
        covariance, samples = noise_scan_covariance(noise_scan, level=float(np.trace(covariance).real))
    covariance = _as_method(covariance, method)
    used = coil_first(signal)[..., : max(16, round(_SIGNAL_SECONDS / signal.dwell))]
    root = np.linalg.cholesky(covariance)
    whitening = np.asarray(np.linalg.inv(root), dtype=np.complex128)
    values, vectors = np.linalg.eigh(_signal_matrix(whitening, used))
    sensitivity = root @ vectors[:, -1]
    sensitivity = sensitivity / np.linalg.norm(sensitivity)
    solved = np.linalg.solve(covariance, sensitivity)
    weights = (solved / np.vdot(sensitivity, solved).real).conj()
    start = np.sum(weights @ used[..., :4].sum(axis=-1))
    turn = np.exp(-1j * np.angle(start))
    excess = np.maximum(values, 0.0)
    return CoilWeights(
        weights=np.asarray(weights * turn),
        sensitivity=np.asarray(sensitivity / turn),
        noise_sd=np.sqrt(np.diag(covariance).real / 2.0),
        noise_samples=samples,
        dominance=float(excess[-1] / excess.sum()) if excess.sum() > 0 else 0.0,
        method=method,
    )


def _signal_matrix(whitening: ComplexArray, data: ComplexArray) -> ComplexArray:
    r"""Whitened coil-by-coil matrix of the signal, noise subtracted, frequencies weighted by the signal in them.

    Notes
    -----
    With signal power :math:`\lambda` over unit noise at a frequency (summed over coils, mean over transients) the
    weight :math:`\lambda/(1+\lambda)` keeps noise from frequencies without signal out of the sensitivities, which
    matters where weak metabolites, not water, have to give them.
    """
    n_coils, n_others, n_points = data.shape
    spectra = np.fft.fft(data, axis=-1) / np.sqrt(n_points)
    spectra = (whitening @ spectra.reshape(n_coils, -1)).reshape(n_coils, n_others, n_points)
    power = np.mean(np.abs(spectra) ** 2, axis=(0, 1))
    excess = n_coils * np.maximum(power - 1.0 - 3.0 / np.sqrt(n_coils * n_others), 0.0)
    weight = np.sqrt(excess / (1.0 + excess))
    if not np.any(weight):
        weight = np.ones(n_points)
    weighted = (spectra * weight).reshape(n_coils, -1)
    noise = n_others * float(np.sum(weight**2))
    return np.asarray((weighted @ weighted.conj().T - noise * np.eye(n_coils)) / noise, dtype=np.complex128)


def _as_method(covariance: ComplexArray, method: str) -> ComplexArray:
    """Noise covariance as a method sees it: whole, its diagonal, or the same for every coil."""
    if method == "wsvd":
        return covariance
    diagonal = np.diag(covariance).real
    if method == "svd":
        diagonal = np.full(diagonal.size, diagonal.mean())
    return np.diag(diagonal).astype(np.complex128)


def combine(scan: Spectrum, weights: ComplexArray) -> Spectrum:
    """Combine the coils of a scan; the other axes keep their order."""
    axis = scan.dims.index("DIM_COIL")
    combined = np.tensordot(weights, scan.fid, axes=(0, axis))
    return scan.with_fid(combined, tuple(tag for tag in scan.dims if tag != "DIM_COIL"))


def noise_covariance(scan: Spectrum, noise_tail: float) -> tuple[ComplexArray, int]:
    """Noise covariance between coils and the number of complex samples behind it.

    Parameters
    ----------
    scan
        Scan with ``DIM_COIL``.
    noise_tail
        Share of the FID's end used.

    Notes
    -----
    Signals that live until the end (water on resonance) are kept out by using only those frequencies of the tail that
    lie outside -0.5 to 9 ppm; when the band does not reach so far, all frequencies with the mean taken away. With
    fewer than 50 samples per coil the same frequencies of the whole FID are taken instead, as the SNR lost by an
    estimated covariance is about coils / samples (Reed 1974, doi:10.1109/TAES.1974.307893), and with them those
    frequencies inside -0.5 to 9 ppm that hold no more than noise. What signal is left there lies along the
    sensitivities, where it does not turn the weights.
    """
    data = coil_first(scan)
    n_coils, _, n_points = data.shape
    tail = max(32, round(noise_tail * n_points))
    samples = _quiet(data[..., -tail:], scan)
    if samples.shape[1] < _SAMPLES_PER_COIL * n_coils:
        samples = max((samples, _quiet(data, scan), _empty(data, scan)), key=lambda found: found.shape[1])
    return _shrunk(samples), samples.shape[1]


def noise_scan_covariance(scan: Spectrum, level: float) -> tuple[ComplexArray, int]:
    """Noise covariance between coils from a scan without excitation, and the number of complex samples behind it.

    Parameters
    ----------
    scan
        Noise scan with ``DIM_COIL``; every point is a sample.
    level
        Trace the covariance is scaled to, scanner units squared: the scan's own noise. A noise scan may have another
        bandwidth or receiver gain, which changes its level but not the correlation between coils.
    """
    samples = coil_first(scan).reshape(_coils(scan), -1)
    covariance = _shrunk(samples - samples.mean(axis=1, keepdims=True))
    total = float(np.trace(covariance).real)
    scale = level / total if level > 0.0 and total > 0.0 else 1.0
    return np.asarray(covariance * scale), samples.shape[1]


def noise_scan_refusal(noise: Spectrum, scan: Spectrum) -> str | None:
    """Return why a noise scan cannot serve the coils of a scan, as a clause, or ``None`` if it can.

    Notes
    -----
    A signal decays, noise does not: a scan whose first tenth holds more than twice the power of its last tenth was
    acquired with excitation.
    """
    if "DIM_COIL" not in noise.dims:
        return "it has no coil axis"
    data, wanted = coil_first(noise), _coils(scan)
    tenth = max(noise.n_points // 10, 1)
    start, end = (np.mean(np.abs(part) ** 2) for part in (data[..., :tenth], data[..., -tenth:]))
    checks = (
        (data.shape[0] != wanted, f"it has {data.shape[0]} coils, the scan {wanted}"),
        (not np.all(np.isfinite(data)), "it holds values that are not finite"),
        (not np.all(np.any(data, axis=(1, 2))), "a coil of it holds nothing but zeros"),
        (data[0].size < _FEWEST_SAMPLES * wanted, f"it has only {data[0].size} samples for {wanted} coils"),
        (bool(start > 2.0 * end), "it holds a signal that decays"),
    )
    return next((words for failed, words in checks if failed), None)


def _coils(scan: Spectrum) -> int:
    return int(scan.fid.shape[scan.dims.index("DIM_COIL")])


def _shrunk(samples: ComplexArray) -> ComplexArray:
    """Covariance of noise samples ``(n_coils, n_samples)``; with fewer than 4 per coil its off-diagonal is shrunk.

    Notes
    -----
    The share is coils / samples. With more samples nothing is shrunk: the loss by estimation is then the same for any
    covariance, while shrinking cost a quarter of the SNR where coils were so correlated that the covariance was nearly
    singular (condition number 1000, 32 coils).
    """
    n_coils = samples.shape[0]
    covariance = samples @ samples.conj().T / samples.shape[1]
    few = samples.shape[1] < _SINGULAR_SAMPLES * n_coils
    share = min(1.0, n_coils / samples.shape[1]) if few else 0.0
    shrunk = (1 - share) * covariance + share * np.diag(np.diag(covariance))
    floor = 1e-12 * max(float(np.mean(np.diag(shrunk).real)), np.finfo(float).tiny)
    return np.asarray(shrunk + floor * np.eye(n_coils))


def _empty(data: ComplexArray, scan: Spectrum) -> ComplexArray:
    """Noise samples at all frequencies whose power, in units of the quiet ones', does not rise above the noise."""
    n_coils, n_others, n_points = data.shape
    level = np.mean(np.abs(_quiet(data, scan)) ** 2, axis=1)
    spectra = np.fft.fft(data, axis=-1) / np.sqrt(n_points)
    power = np.mean(np.abs(spectra) ** 2 / np.maximum(level, np.finfo(float).tiny)[:, None, None], axis=(0, 1))
    smooth = np.mean([np.roll(power, shift) for shift in range(-_SMOOTH_BINS, _SMOOTH_BINS + 1)], axis=0)
    limit = 1.0 + 3.0 / np.sqrt((2 * _SMOOTH_BINS + 1) * n_coils * n_others)
    edge = np.abs(np.fft.fftfreq(n_points)) > _BAND
    return np.asarray(spectra[..., (smooth < limit) & ~edge].reshape(n_coils, -1))


def _quiet(data: ComplexArray, scan: Spectrum) -> ComplexArray:
    """Noise samples at frequencies outside the proton range, scaled as time points, ``(n_coils, n_samples)``."""
    n_points = data.shape[-1]
    ppm = scan.reference_ppm + np.fft.fftfreq(n_points, scan.dwell) / scan.carrier_mhz
    edge = np.abs(np.fft.fftfreq(n_points)) > _BAND
    outside = ((ppm < _NOISE_PPM[0]) | (ppm > _NOISE_PPM[1])) & ~edge
    if np.count_nonzero(outside) < max(8, n_points // 20):
        quiet = data - data.mean(axis=-1, keepdims=True)
    else:
        quiet = np.fft.fft(data, axis=-1)[..., outside] / np.sqrt(n_points)
    return np.asarray(quiet.reshape(data.shape[0], -1))
