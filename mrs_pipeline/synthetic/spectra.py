"""A spectrum and its water reference, summed from moles per compartment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from mrs_pipeline.spectrum import ComplexArray, FloatArray, Spectrum
from mrs_pipeline.synthetic import artefacts as art
from mrs_pipeline.synthetic.lineshape import advance, decay_from_file, gaussian_decay
from mrs_pipeline.synthetic.macromolecules import macromolecule_fid
from mrs_pipeline.synthetic.settings import Acquisition, Artefacts, Range, SpectrumSettings
from mrs_pipeline.synthetic.signal import (
    TissueMix,
    metabolite_moles,
    metabolite_weights,
    per_litre,
    water_moles,
    water_weights,
)

WATER_LINE_PPM = 4.65
"""Chemical shift of water at body temperature."""

_METABOLITE_CENTRE_PPM = 3.2
"""Middle of the lines for interpolation."""


@dataclass(frozen=True)
class Drawn:
    """The nuisance values of one scan; see :class:`mrs_pipeline.synthetic.Artefacts` for their meaning."""

    gauss_hz: float
    snr: float
    offset_hz: float
    phase_deg: float
    delay_s: float
    water_offset_hz: float
    water_phase_deg: float
    eddy_deg: float
    eddy_tau_s: float
    residual_water: float
    lipid_protons: float
    spurious_echo: float
    baseline_roll: float


@dataclass(frozen=True)
class SpectrumTruth(Drawn):
    """What a synthetic spectrum was made from: the nuisance values drawn, and these.

    Parameters
    ----------
    molal, molar
        mmol per kg tissue water, and mmol per litre of tissue without CSF, by basis name.
    amplitudes
        Amplitude per molecule in the metabolite scan (scanner units; what a fit with a basis in the basis unit finds).
    water_amplitude
        The same for the water molecule in the water scan.
    tissue
        Volume fractions.
    fwhm_hz
        Width of the creatine singlet: Gaussian B0 distribution and T2 together.
    noise_sd
        SD of the real part of one point of the averaged metabolite FID.
    """

    molal: Mapping[str, float]
    molar: Mapping[str, float]
    amplitudes: Mapping[str, float]
    water_amplitude: float
    tissue: TissueMix
    fwhm_hz: float
    noise_sd: float


class SyntheticScan(NamedTuple):
    """A metabolite scan, its water reference and the truth behind both."""

    metabolite: Spectrum
    water: Spectrum
    truth: SpectrumTruth


@dataclass(frozen=True, eq=False)
class CleanScan:
    """The noise-free FIDs of one scan with everything but drift, coils and noise, shape (n_points,)."""

    metabolite: ComplexArray
    water: ComplexArray
    truth: SpectrumTruth


@lru_cache(maxsize=8)
def metabolite_signals(acq: Acquisition, names: tuple[str, ...], source: str) -> Mapping[str, ComplexArray]:
    """Return each metabolite's FID in the basis unit, sampled as the acquisition, without relaxation.

    Parameters
    ----------
    names
        Basis names wanted.
    source
        ``"simulate"`` (ideal pulses), or what :func:`mrs_pipeline.basis.load_basis` reads.
    """
    from mrs_pipeline.basis import load_basis, simulate_basis

    if source == "simulate":
        basis = simulate_basis(
            sequence=acq.sequence,
            te1=acq.te1,
            te2=acq.te2,
            field_mhz=acq.carrier_mhz,
            dwell=acq.dwell,
            n_points=acq.n_points,
            names=names,
            linewidth_hz=0.0,
            reference_ppm=acq.reference_ppm,
        )
    else:
        basis = load_basis(source).select(names)
        basis = basis.resampled(acq.dwell, acq.n_points, acq.carrier_mhz, acq.reference_ppm)
    return MappingProxyType(dict(zip(names, np.asarray(basis.fids), strict=True)))


def simulate_spectrum(
    settings: SpectrumSettings | None = None,
    seed: int | np.random.Generator = 1,
    signals: Mapping[str, ComplexArray] | None = None,
) -> SyntheticScan:
    """Simulate one averaged metabolite scan and its water reference in the inside convention.

    Parameters
    ----------
    settings
        Physics and artefacts; the defaults give a usual 3 T PRESS spectrum.
    seed
        Seed or generator.
    signals
        Metabolite FIDs in the basis unit on the acquisition's grid; simulated or loaded as the settings say when
        ``None``.

    Returns
    -------
    SyntheticScan
        ``(metabolite, water, truth)``; the first point is not halved.
    """
    s = settings or SpectrumSettings()
    rng = np.random.default_rng(seed)
    drawn = draw_artefacts(s.artefacts, rng)
    broad = macromolecule_fid(s.acquisition, s.macromolecules, rng)
    return with_noise(s, clean_scan(s, drawn, signals or signals_for(s), broad, rng), rng)


def signals_for(s: SpectrumSettings) -> Mapping[str, ComplexArray]:
    """Return the metabolite FIDs that the settings ask for."""
    return metabolite_signals(s.acquisition, tuple(s.concentrations), s.basis)


def draw_artefacts(limits: Artefacts, rng: np.random.Generator) -> Drawn:
    """Draw the nuisance values of one scan."""

    def within(bounds: Range) -> float:
        return float(rng.uniform(*bounds))

    return Drawn(
        gauss_hz=within(limits.gauss_fwhm_hz),
        snr=within(limits.snr),
        offset_hz=float(rng.normal(0, limits.frequency_offset_sd_hz)),
        phase_deg=float(rng.normal(0, limits.phase_sd_deg)),
        delay_s=within(limits.delay_s),
        water_offset_hz=float(rng.normal(0, limits.water_offset_sd_hz)),
        water_phase_deg=float(rng.normal(0, limits.water_phase_sd_deg)),
        eddy_deg=within(limits.eddy_deg) * float(rng.choice([-1.0, 1.0])),
        eddy_tau_s=within(limits.eddy_tau_s),
        residual_water=within(limits.residual_water),
        lipid_protons=within(limits.lipid_protons),
        spurious_echo=within(limits.spurious_echo),
        baseline_roll=within(limits.baseline_roll),
    )


def clean_scan(
    s: SpectrumSettings,
    drawn: Drawn,
    signals: Mapping[str, ComplexArray],
    macromolecules: ComplexArray,
    rng: np.random.Generator,
) -> CleanScan:
    """Put the noise-free parts of one scan together."""
    acq, mix, t = s.acquisition, TissueMix(*s.tissue), times(s.acquisition)
    shape = b0_decay(s, mix, drawn)
    metabolites = metabolite_fid(s, mix, signals) * shape
    water = water_fid(s, mix) * shape
    peak = naa_height(metabolites, acq)
    broad = s.gain * s.macromolecules.molal * _tissue_water(s, mix) * macromolecules * shape
    total = metabolites + broad + extra_signals(s, drawn, abs(water[0]), peak, rng)
    centre = (_METABOLITE_CENTRE_PPM - acq.reference_ppm) * acq.carrier_mhz
    total = advance(total, acq.dwell, drawn.delay_s, centre)
    water = advance(water, acq.dwell, drawn.delay_s, (WATER_LINE_PPM - acq.reference_ppm) * acq.carrier_mhz)
    truth = _truth(s, mix, drawn, peak / (drawn.snr * float(np.sqrt(acq.n_points))))
    return CleanScan(
        with_phases(total, t, drawn.offset_hz, drawn.phase_deg, drawn),
        with_phases(water, t, drawn.water_offset_hz, drawn.phase_deg + drawn.water_phase_deg, drawn),
        truth,
    )


def with_noise(s: SpectrumSettings, clean: CleanScan, rng: np.random.Generator) -> SyntheticScan:
    """Add the noise of averaged scans."""
    acq, sd = s.acquisition, clean.truth.noise_sd
    wet_sd = sd * float(np.sqrt(acq.averages / acq.water_averages))
    metabolite = metabolite_spectrum(acq, clean.metabolite + complex_noise(sd, (acq.n_points,), rng))
    water = water_spectrum(acq, clean.water + complex_noise(wet_sd, (acq.n_points,), rng))
    return SyntheticScan(metabolite, water, clean.truth)


def times(acq: Acquisition) -> FloatArray:
    """Return the time of each point in seconds."""
    return np.asarray(np.arange(acq.n_points) * acq.dwell, dtype=np.float64)


def metabolite_spectrum(acq: Acquisition, fid: ComplexArray, dims: tuple[str, ...] = ()) -> Spectrum:
    """Wrap FIDs of the metabolite scan."""
    return Spectrum(
        fid,
        acq.dwell,
        acq.carrier_mhz,
        acq.reference_ppm,
        echo_time=acq.echo_time,
        repetition_time=acq.repetition_time,
        flip_angle=90.0,
        dims=dims,
    )


def water_spectrum(acq: Acquisition, fid: ComplexArray, dims: tuple[str, ...] = ()) -> Spectrum:
    """Wrap FIDs of the water scan."""
    return Spectrum(
        fid,
        acq.dwell,
        acq.carrier_mhz,
        acq.reference_ppm,
        echo_time=acq.water_te,
        repetition_time=acq.water_tr,
        flip_angle=90.0,
        dims=dims,
    )


def b0_decay(s: SpectrumSettings, mix: TissueMix, drawn: Drawn) -> ComplexArray:
    """Return the decay all lines share: Gaussian, or what a real water scan shows."""
    acq = s.acquisition
    if s.lineshape is None:
        return gaussian_decay(times(acq), drawn.gauss_hz)
    weight = water_moles(mix, s.constants) * water_weights(s.constants, acq.water_tr, acq.water_te)
    rate = float(weight @ (1 / np.array(s.constants.water.t2)) / weight.sum())
    return decay_from_file(s.lineshape, acq.dwell, acq.n_points, 1 / rate)


def metabolite_fid(s: SpectrumSettings, mix: TissueMix, signals: Mapping[str, ComplexArray]) -> ComplexArray:
    """Sum the metabolites over grey and white matter, each decaying with its own T2; no B0 distribution yet."""
    acq, t = s.acquisition, times(s.acquisition)
    total = np.zeros(acq.n_points, dtype=np.complex128)
    for name, molal in s.concentrations.items():
        relaxation = s.constants.relaxation(name)
        moles = metabolite_moles(name, molal, mix, s.constants)
        weight = moles * metabolite_weights(relaxation, acq.repetition_time, acq.echo_time)
        decay = weight[0] * np.exp(-t / relaxation.t2_gm) + weight[1] * np.exp(-t / relaxation.t2_wm)
        total += s.gain * decay * signals[name]
    return total


def water_fid(s: SpectrumSettings, mix: TissueMix) -> ComplexArray:
    """Sum the water of the three compartments (two protons a molecule); no B0 distribution yet."""
    acq, t = s.acquisition, times(s.acquisition)
    weight = 2 * s.gain * water_moles(mix, s.constants) * water_weights(s.constants, acq.water_tr, acq.water_te)
    decay = weight @ np.exp(-t / np.array(s.constants.water.t2)[:, None])
    hz = (WATER_LINE_PPM - acq.reference_ppm) * acq.carrier_mhz
    return np.asarray(decay * np.exp(2j * np.pi * hz * t))


def extra_signals(
    s: SpectrumSettings, drawn: Drawn, water0: float, peak: float, rng: np.random.Generator
) -> ComplexArray:
    """Return residual water, lipid, spurious echo and rolling baseline of the metabolite scan."""
    acq, t = s.acquisition, times(s.acquisition)
    out = art.residual_water(t, acq.carrier_mhz, drawn.residual_water * water0, rng)
    lipid = s.gain * drawn.lipid_protons * art.lipid(t, acq.carrier_mhz, acq.reference_ppm, rng)
    naa = 3 * s.gain * s.concentrations.get("NAA", 10.0)
    echo = drawn.spurious_echo * naa * art.spurious_echo(t, rng)
    roll = art.baseline_roll(t, acq.carrier_mhz, acq.reference_ppm, drawn.baseline_roll * peak, rng)
    return out + lipid + echo + roll


def with_phases(fid: ComplexArray, t: FloatArray, offset_hz: float, phase_deg: float, drawn: Drawn) -> ComplexArray:
    """Apply frequency offset, zero-order phase and the eddy-current phase."""
    turn = np.exp(1j * (2 * np.pi * offset_hz * t + np.deg2rad(phase_deg)))
    return np.asarray(fid * turn * art.eddy_phase(t, drawn.eddy_deg, drawn.eddy_tau_s))


def naa_height(fid: ComplexArray, acq: Acquisition) -> float:
    """Return the height of the largest peak at 1.9-2.15 ppm in the real, unnormalised spectrum of a phased FID."""
    spectrum = metabolite_spectrum(acq, fid)
    window = (spectrum.ppm > 1.9) & (spectrum.ppm < 2.15)
    return float(spectrum.spectrum().real[window].max())


def complex_noise(sd: float, shape: tuple[int, ...], rng: np.random.Generator) -> ComplexArray:
    """Return white noise of the given SD in the real and in the imaginary part."""
    pair = rng.standard_normal((2, *shape))
    return np.asarray(sd * (pair[0] + 1j * pair[1]))


def voigt_fwhm(lorentz_hz: float, gauss_hz: float) -> float:
    """Return the width of a Voigt line to 0.02 % (Olivero & Longbothum 1977, doi:10.1016/0022-4073(77)90161-3)."""
    return 0.5346 * lorentz_hz + float(np.sqrt(0.2166 * lorentz_hz**2 + gauss_hz**2))


def _tissue_water(s: SpectrumSettings, mix: TissueMix) -> float:
    return float(mix.vector[:2] @ np.array(s.constants.water.content[:2]))


def _truth(s: SpectrumSettings, mix: TissueMix, drawn: Drawn, noise_sd: float) -> SpectrumTruth:
    acq, constants = s.acquisition, s.constants
    water = s.gain * float(water_moles(mix, constants) @ water_weights(constants, acq.water_tr, acq.water_te))
    cr = constants.relaxation("Cr")
    grey = mix.gm / (mix.gm + mix.wm)
    lorentz = (grey / cr.t2_gm + (1 - grey) / cr.t2_wm) / np.pi
    return SpectrumTruth(
        **{field.name: getattr(drawn, field.name) for field in fields(Drawn)},
        molal=MappingProxyType(dict(s.concentrations)),
        molar=MappingProxyType({k: per_litre(v, mix, constants) for k, v in s.concentrations.items()}),
        amplitudes=MappingProxyType({k: _amplitude(k, v, s, mix) for k, v in s.concentrations.items()}),
        water_amplitude=water,
        tissue=mix,
        fwhm_hz=voigt_fwhm(lorentz, drawn.gauss_hz),
        noise_sd=noise_sd,
    )


def _amplitude(name: str, molal: float, s: SpectrumSettings, mix: TissueMix) -> float:
    acq = s.acquisition
    weight = metabolite_weights(s.constants.relaxation(name), acq.repetition_time, acq.echo_time)
    return s.gain * float(metabolite_moles(name, molal, mix, s.constants) @ weight)
