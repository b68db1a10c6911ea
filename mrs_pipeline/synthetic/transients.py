"""Single transients and receiver coils: drift, movement, spoiled transients, correlated noise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mrs_pipeline.spectrum import ComplexArray, FloatArray, Spectrum
from mrs_pipeline.synthetic import artefacts as art
from mrs_pipeline.synthetic.macromolecules import macromolecule_fid
from mrs_pipeline.synthetic.settings import SpectrumSettings, Transients
from mrs_pipeline.synthetic.spectra import (
    CleanScan,
    SpectrumTruth,
    clean_scan,
    complex_noise,
    draw_artefacts,
    metabolite_spectrum,
    signals_for,
    times,
    water_spectrum,
)


@dataclass(frozen=True, eq=False)
class TransientTruth:
    """What was done to the transients of a scan.

    Parameters
    ----------
    scan
        Truth of the scan they add up to.
    drift_hz, drift_deg
        Each metabolite transient's own frequency (positive: higher ppm) and phase (positive: counter-clockwise) on top
        of the scan's, shape (transients,).
    amplitude
        Relative size of each transient, shape (transients,).
    spoiled
        What spoiled each transient; empty where nothing did.
    sensitivity
        Complex coil sensitivities, shape (coils,).
    noise_covariance
        Covariance of the coils' complex noise in one point of a metabolite transient, ``E[n n^H] / 2``, shape
        (coils, coils).
    clean
        Noise-free, drift-free metabolite FID of one combined transient, shape (n_points,).
    """

    scan: SpectrumTruth
    drift_hz: FloatArray
    drift_deg: FloatArray
    amplitude: FloatArray
    spoiled: tuple[str, ...]
    sensitivity: ComplexArray
    noise_covariance: ComplexArray
    clean: ComplexArray

    @property
    def kept(self) -> npt.NDArray[np.bool_]:
        """Which transients nothing spoiled."""
        return np.array([kind == "" for kind in self.spoiled])

    def relative_drift(self) -> tuple[FloatArray, FloatArray]:
        """Return frequency (Hz) and phase (degrees) relative to the median of the kept transients."""
        kept = self.kept
        return self.drift_hz - np.median(self.drift_hz[kept]), self.drift_deg - np.median(self.drift_deg[kept])


class TransientScan(NamedTuple):
    """Transients of a metabolite scan and of its water reference, and the truth behind both."""

    metabolite: Spectrum
    water: Spectrum
    truth: TransientTruth


def simulate_transients(
    settings: SpectrumSettings | None = None,
    transients: Transients | None = None,
    seed: int | np.random.Generator = 1,
    signals: Mapping[str, ComplexArray] | None = None,
) -> TransientScan:
    """Simulate a scan as single transients (and coils) in the inside convention.

    Parameters
    ----------
    settings
        Physics and artefacts; ``acquisition.averages`` is the number of transients, and ``artefacts.snr`` that of
        their perfect combination and average.
    transients
        Drift, movement, coils.
    seed, signals
        As for :func:`mrs_pipeline.synthetic.simulate_spectrum`.

    Returns
    -------
    TransientScan
        ``(metabolite, water, truth)``; dims ``("DIM_COIL", "DIM_DYN")``, or ``("DIM_DYN",)`` with one coil.
    """
    s = settings or SpectrumSettings()
    rng = np.random.default_rng(seed)
    drawn = draw_artefacts(s.artefacts, rng)
    broad = macromolecule_fid(s.acquisition, s.macromolecules, rng)
    clean = clean_scan(s, drawn, signals or signals_for(s), broad, rng)
    return split(s, clean, transients or Transients(), rng)


def split(s: SpectrumSettings, clean: CleanScan, plan: Transients, rng: np.random.Generator) -> TransientScan:
    """Turn a noise-free scan into transients of several coils with noise."""
    acq = s.acquisition
    hz, deg = drift(acq.averages, plan, rng)
    size = 1 + plan.amplitude_cv * rng.standard_normal(acq.averages)
    spoiled = choose_spoiled(acq.averages, plan, rng)
    dry = size[:, None] * turned(clean.metabolite, times(acq), hz, deg)
    for index, kind in enumerate(spoiled):
        if kind:
            dry[index] = spoil(dry[index], kind, s, abs(clean.water[0]), rng)
    wet_deg = plan.phase_sd_deg / 4 * rng.standard_normal(acq.water_averages)
    wet = turned(clean.water, times(acq), np.zeros(acq.water_averages), wet_deg)
    sensitivity, covariance = coil_array(plan, clean.truth.noise_sd * float(np.sqrt(acq.averages)), rng)
    dims: tuple[str, ...] = ("DIM_COIL", "DIM_DYN")
    received = [receive(fids, sensitivity, covariance, rng) for fids in (dry, wet)]
    if plan.coils == 1:
        dims, received = ("DIM_DYN",), [fids[0] for fids in received]
    truth = TransientTruth(clean.truth, hz, deg, size, spoiled, sensitivity, covariance, clean.metabolite)
    return TransientScan(metabolite_spectrum(acq, received[0], dims), water_spectrum(acq, received[1], dims), truth)


def drift(n: int, plan: Transients, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Draw each transient's frequency (Hz) and phase (degrees): linear drift, slow wander, jumps, jitter."""
    position = np.linspace(-0.5, 0.5, n) if n > 1 else np.zeros(1)
    hz = rng.choice([-1.0, 1.0]) * plan.drift_hz * position
    hz = hz + plan.wander_hz * slow_wander(n, rng)
    for _ in range(plan.jumps):
        hz = hz + rng.normal(0, plan.jump_hz) * (np.arange(n) >= rng.integers(1, max(2, n)))
    deg = rng.choice([-1.0, 1.0]) * plan.phase_drift_deg * position + plan.phase_sd_deg * rng.standard_normal(n)
    return np.asarray(hz), np.asarray(deg)


def slow_wander(n: int, rng: np.random.Generator) -> FloatArray:
    """Return a smooth random course of unit SD: the first four cosines with random weights."""
    order = np.arange(1, 5)
    position = (np.arange(n) + 0.5) / n
    weight = rng.standard_normal(4) / order
    scale = np.sqrt((1 / order**2).sum() / 2)
    return np.asarray(weight @ np.cos(np.pi * order[:, None] * position) / scale)


def turned(fid: ComplexArray, t: FloatArray, hz: FloatArray, deg: FloatArray) -> ComplexArray:
    """Return one copy of the FID per frequency and phase, shape (transients, n_points)."""
    return np.asarray(fid * np.exp(1j * (2 * np.pi * hz[:, None] * t + np.deg2rad(deg)[:, None])))


def choose_spoiled(n: int, plan: Transients, rng: np.random.Generator) -> tuple[str, ...]:
    """Draw which transients are spoiled, and how."""
    out = [""] * n
    for index in rng.choice(n, round(plan.spoiled * n), replace=False):
        out[int(index)] = str(rng.choice(plan.spoil_kinds))
    return tuple(out)


def spoil(fid: ComplexArray, kind: str, s: SpectrumSettings, water0: float, rng: np.random.Generator) -> ComplexArray:
    """Return a transient after movement, scalp lipid, failed water suppression or RF spikes."""
    acq, t = s.acquisition, times(s.acquisition)
    if kind == "motion":
        decay = np.exp(-np.pi * rng.uniform(10, 30) * t)
        turn = np.exp(1j * (2 * np.pi * rng.normal(0, 8) * t + rng.uniform(-np.pi, np.pi)))
        return np.asarray(rng.uniform(0.2, 0.7) * fid * decay * turn)
    if kind == "lipid":
        size = s.gain * 3 * s.concentrations.get("NAA", 10.0) * rng.uniform(3, 15)
        return np.asarray(fid + size * art.lipid(t, acq.carrier_mhz, acq.reference_ppm, rng))
    if kind == "water":
        return np.asarray(fid + art.residual_water(t, acq.carrier_mhz, rng.uniform(0.05, 0.3) * water0, rng))
    where = rng.choice(t.size, 6, replace=False)
    out = fid.copy()
    out[where] += abs(fid[0]) * rng.uniform(1, 4, 6) * np.exp(2j * np.pi * rng.random(6))
    return out


def coil_array(plan: Transients, noise_sd: float, rng: np.random.Generator) -> tuple[ComplexArray, ComplexArray]:
    """Draw sensitivities and noise covariance such that the best combination has unit signal and noise ``noise_sd``.

    Notes
    -----
    The best combination has noise variance :math:`1/(b^H C^{-1} b)` (Roemer 1990, doi:10.1002/mrm.1910160203).
    """
    n = plan.coils
    if n == 1:
        return np.ones(1, dtype=np.complex128), np.array([[noise_sd**2]], dtype=np.complex128)
    sensitivity = np.exp(plan.sensitivity_sd * rng.standard_normal(n) + 2j * np.pi * rng.random(n))
    covariance = noise_shape(n, plan.noise_correlation, rng)
    gain = np.real(np.conj(sensitivity) @ np.linalg.solve(covariance, sensitivity))
    return np.asarray(sensitivity), np.asarray(covariance * noise_sd**2 * gain)


def noise_shape(n: int, correlation: float, rng: np.random.Generator) -> ComplexArray:
    """Return a Hermitian positive-definite noise covariance with uneven coils and common sources."""
    level = np.exp(0.2 * rng.standard_normal(n))
    source = complex_noise(1.0, (n, max(2, n // 2)), rng)
    source /= np.linalg.norm(source, axis=1, keepdims=True)
    shape = (1 - correlation) * np.eye(n) + correlation * source @ source.conj().T
    return np.asarray(level[:, None] * shape * level)


def receive(
    fids: ComplexArray, sensitivity: ComplexArray, covariance: ComplexArray, rng: np.random.Generator
) -> ComplexArray:
    """Return what the coils receive, shape (coils, transients, n_points)."""
    noise = complex_noise(1.0, (sensitivity.size, *fids.shape), rng)
    coloured = np.tensordot(np.linalg.cholesky(covariance), noise, axes=1)
    return np.asarray(sensitivity[:, None, None] * fids + coloured)
