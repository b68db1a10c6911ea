"""The signals a fit combines: metabolites of the basis, macromolecule and lipid peaks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mrs_pipeline.basis import Basis, is_background
from mrs_pipeline.errors import InputError
from mrs_pipeline.fit.priors import PeakFamily
from mrs_pipeline.fit.projection import BoolArray
from mrs_pipeline.spectrum import ComplexArray, FloatArray, Spectrum

METABOLITES, MACROMOLECULES, LIPIDS, ARTEFACT = 0, 1, 2, 3
"""Lineshape groups. Macromolecules and lipids never share the metabolites' widths: that biases tNAA by 12-21 %."""


@dataclass(frozen=True, eq=False)
class Components:
    """Everything that is combined linearly, in one order.

    Parameters
    ----------
    names
        Component names, length K.
    fids
        Signals at unit amplitude on the data's time axis, shape ``(K, n_points)``.
    group
        Lineshape group of each, shape ``(K,)``.
    width
        Nominal Gaussian width of each background signal in Hz (0 for metabolites), shape ``(K,)``.
    damped
        Whether ``fids`` already decays with that width (measured signals do, peaks do not), shape ``(K,)``.
    signed
        Amplitudes that may be negative, shape ``(K,)``.
    """

    names: tuple[str, ...]
    fids: ComplexArray
    group: npt.NDArray[np.int_]
    width: FloatArray
    damped: BoolArray
    signed: BoolArray

    def __len__(self) -> int:
        return len(self.names)

    def joined(self, other: Components) -> Components:
        """Append further components."""
        return Components(
            self.names + other.names,
            np.concatenate([self.fids, other.fids]),
            np.concatenate([self.group, other.group]),
            np.concatenate([self.width, other.width]),
            np.concatenate([self.damped, other.damped]),
            np.concatenate([self.signed, other.signed]),
        )

    def subset(self, keep: BoolArray) -> Components:
        """Keep the marked components."""
        names = tuple(name for name, kept in zip(self.names, keep, strict=True) if kept)
        return Components(
            names, self.fids[keep], self.group[keep], self.width[keep], self.damped[keep], self.signed[keep]
        )


def assemble(spectrum: Spectrum, basis: Basis, families: tuple[tuple[int, PeakFamily], ...]) -> Components:
    """Resample the metabolites of the basis to the data and add the peak families.

    Parameters
    ----------
    spectrum
        The data; gives dwell, length, field and reference.
    basis
        Basis set; its macromolecules and lipids are not among the metabolites.
    families
        Pairs of lineshape group and family.
    """
    metabolites = basis.select([name for name in basis.names if not is_background(name)])
    adapted = metabolites.resampled(spectrum.dwell, spectrum.n_points, spectrum.carrier_mhz, spectrum.reference_ppm)
    parts = [_metabolites(tuple(adapted.names), np.asarray(adapted.fids))]
    parts += [_peaks(spectrum, family, group) for group, family in families]
    return reduce(Components.joined, parts)


SEEN_SHARE = 0.01
"""Share of a metabolite's energy in a window below which the window does not show it."""


def seen(components: Components, spectrum: Spectrum, low: float, high: float) -> BoolArray:
    """Tell the components that a window (ppm) shows; background peaks count as seen, shape ``(K,)``."""
    decay = np.exp(-np.pi * 5.0 * spectrum.time)
    power = np.abs(np.fft.fftshift(np.fft.fft(components.fids * decay, axis=1), axes=1)) ** 2
    inside = (spectrum.ppm >= low) & (spectrum.ppm <= high)
    share = power[:, inside].sum(axis=1) / np.maximum(power.sum(axis=1), 1e-300)
    return np.asarray((share >= SEEN_SHARE) | (components.group != METABOLITES))


MEASURED_WIDTH_HZ = 10.0
"""Gaussian width that the relative width of a measured background signal is counted in."""


def given_components(spectrum: Spectrum, basis: Basis, group: int) -> Components:
    """Use background signals of a basis set as they are, each with its own shift and width.

    Parameters
    ----------
    spectrum
        Data; gives dwell, length, field and reference.
    basis
        Macromolecules or lipids.
    group
        Their lineshape group.
    """
    adapted = basis.resampled(spectrum.dwell, spectrum.n_points, spectrum.carrier_mhz, spectrum.reference_ppm)
    count = len(adapted.names)
    return Components(
        names=tuple(name if is_background(name) else f"MM_{name}" for name in adapted.names),
        fids=np.asarray(adapted.fids),
        group=np.full(count, group),
        width=np.full(count, MEASURED_WIDTH_HZ),
        damped=np.ones(count, bool),
        signed=np.zeros(count, bool),
    )


def measured_basis(path: str | Path) -> Basis:
    """Read a measured macromolecule spectrum.

    Parameters
    ----------
    path
        NIfTI-MRS file with one FID, or a basis file whose members are all used.

    Raises
    ------
    InputError, BasisError
        The file cannot be read.
    """
    path = Path(path)
    if not path.name.endswith((".nii", ".nii.gz")):
        from mrs_pipeline.basis import load_basis

        return load_basis(path)
    from mrs_pipeline.nifti_mrs import read

    fid = read(path).spectrum
    if fid.dims:
        raise InputError("the macromolecule file holds several FIDs", remedy="average them first", path=path)
    return Basis(("MM",), fid.fid[None], fid.dwell, fid.carrier_mhz, fid.reference_ppm)


def artefact_components(spectrum: Spectrum, ppm: FloatArray, width_ppm: float) -> Components:
    """Gaussian bumps of either sign that soak up a lipid artefact of any shape.

    Parameters
    ----------
    spectrum
        Data.
    ppm
        Centres, shape ``(m,)``.
    width_ppm
        Full width at half maximum of each.
    """
    count = ppm.size
    fids = gaussian_lines((ppm - spectrum.reference_ppm) * spectrum.carrier_mhz, np.zeros(count), spectrum.time)
    return Components(
        names=tuple(f"Art{round(100 * value):03d}" for value in ppm),
        fids=fids,
        group=np.full(count, ARTEFACT),
        width=np.full(count, width_ppm * spectrum.carrier_mhz),
        damped=np.zeros(count, bool),
        signed=np.ones(count, bool),
    )


def _metabolites(names: tuple[str, ...], fids: ComplexArray) -> Components:
    count = len(names)
    return Components(
        names, fids, np.full(count, METABOLITES), np.zeros(count), np.ones(count, bool), np.zeros(count, bool)
    )


def _peaks(spectrum: Spectrum, family: PeakFamily, group: int) -> Components:
    count = len(family.peaks)
    ppm = np.array([peak.ppm for peak in family.peaks])
    width = np.array([peak.width for peak in family.peaks]) * spectrum.carrier_mhz
    fids = family.protons * gaussian_lines(
        (ppm - spectrum.reference_ppm) * spectrum.carrier_mhz, np.zeros(count), spectrum.time
    )
    names = tuple(peak.name for peak in family.peaks)
    return Components(names, fids, np.full(count, group), width, np.zeros(count, bool), np.zeros(count, bool))


def gaussian_lines(frequency: FloatArray, width: FloatArray, time: FloatArray) -> ComplexArray:
    r"""FIDs of Gaussian lines at unit amplitude, shape ``(K, n_points)``.

    Notes
    -----
    :math:`\exp(2\pi i f t - (\pi w t)^2/(4\ln 2))` with full width at half maximum ``w`` in Hz.
    """
    decay = (np.pi * width[:, None] * time) ** 2 / (4.0 * np.log(2.0))
    return np.asarray(np.exp(2j * np.pi * frequency[:, None] * time - decay))
