"""What scanners add: residual water, eddy currents, lipid, spurious echoes, rolling baselines."""

from __future__ import annotations

import numpy as np

from mrs_pipeline.spectrum import ComplexArray, FloatArray


def eddy_phase(t: FloatArray, initial_deg: float, tau: float) -> ComplexArray:
    """Return the phase factor of a field that decays as ``exp(-t / tau)`` and turns by ``initial_deg`` in all."""
    return np.asarray(np.exp(1j * np.deg2rad(initial_deg) * (1 - np.exp(-t / tau))))


def residual_water(t: FloatArray, carrier_mhz: float, amplitude: float, rng: np.random.Generator) -> ComplexArray:
    """Return what water suppression leaves: four damped lines near the carrier, each with a phase of its own."""
    hz = rng.normal(0, 0.05, 4) * carrier_mhz
    width = rng.uniform(4, 15, 4)
    phase = rng.uniform(0, 2 * np.pi, 4)
    size = amplitude * rng.dirichlet(np.ones(4))
    lines = np.exp((2j * np.pi * hz[:, None] - np.pi * width[:, None]) * t + 1j * phase[:, None])
    return np.asarray(size @ lines)


def lipid(t: FloatArray, carrier_mhz: float, reference_ppm: float, rng: np.random.Generator) -> ComplexArray:
    """Return subcutaneous lipid of unit CH2 signal: peaks at 1.28, 0.90, 2.04, 2.25 and 2.80 ppm.

    It comes from outside the voxel, hence one phase and a shift of its own.
    """
    ppm = np.array([1.28, 0.90, 2.04, 2.25, 2.80]) + rng.normal(0, 0.03)
    size = np.array([1.0, 0.40, 0.12, 0.08, 0.03])
    width = np.array([0.16, 0.15, 0.16, 0.16, 0.20]) * carrier_mhz
    hz = (ppm - reference_ppm) * carrier_mhz
    lines = np.exp(2j * np.pi * hz[:, None] * t - (np.pi * width[:, None] * t) ** 2 / (4 * np.log(2)))
    return np.asarray(size @ lines * np.exp(1j * rng.uniform(0, 2 * np.pi)))


def spurious_echo(t: FloatArray, rng: np.random.Generator) -> ComplexArray:
    """Return an out-of-voxel echo of unit height: a short Gaussian burst 40 to 150 ms into the FID."""
    centre = rng.uniform(0.04, 0.15)
    width = rng.uniform(0.006, 0.015)
    hz = rng.uniform(-150, 100)
    phase = rng.uniform(0, 2 * np.pi)
    return np.asarray(np.exp(-(((t - centre) / width) ** 2) + 2j * np.pi * hz * t + 1j * phase))


def baseline_roll(
    t: FloatArray, carrier_mhz: float, reference_ppm: float, height: float, rng: np.random.Generator
) -> ComplexArray:
    """Return a rolling baseline: five very broad lines of either sign between 0 and 5 ppm.

    Parameters
    ----------
    height
        Largest height of a line in the unnormalised spectrum.
    """
    ppm = rng.uniform(0.0, 5.0, 5)
    width = rng.uniform(0.8, 2.0, 5) * carrier_mhz
    hz = (ppm - reference_ppm) * carrier_mhz
    dwell = t[1] - t[0]
    area = height * rng.uniform(-1, 1, 5) * dwell * width * np.sqrt(np.pi / np.log(2))
    lines = np.exp(2j * np.pi * hz[:, None] * t - (np.pi * width[:, None] * t) ** 2 / (4 * np.log(2)))
    return np.asarray(area @ lines)
