"""Macromolecules and lipids: named parametric sets, and a measured spectrum as one basis member."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from mrs_pipeline.basis.model import Basis
from mrs_pipeline.config.presets import preset_names, read_preset
from mrs_pipeline.errors import BasisError
from mrs_pipeline.spectrum import WATER_PPM, ComplexArray, FloatArray, Spectrum

PRESET_KIND = "macromolecules"

_ATOM_STEP_PPM = 0.025
_ATOM_WIDTHS_HZ = (12.0, 20.0, 36.0)
_NARROW_WIDTHS_HZ = (4.0, 7.0)
_NARROW_SHIFTS_HZ = (-2.0, 0.0, 2.0)
_RIDGE = 0.15
"""Damping of columns of unit norm, the best of 0.02-0.8 on planted shapes: with less of it a bump of macromolecules
grows against a narrow line of the other sign under it."""
_RESIDUAL_PPM = (2.008, 3.027, 3.210, 3.920)
_REFERENCE_WINDOW_PPM = (0.70, 1.08)
_REFERENCE_PROTONS = 3.0
_METHYL_PPM = 0.90
_METHYL_FEET_PPM = (0.60, 1.06)


@dataclass(frozen=True)
class BroadLine:
    """One broad line: centre (ppm), protons, Lorentzian and Gaussian full widths at half maximum (Hz)."""

    ppm: float
    protons: float
    lorentz_hz: float
    gauss_hz: float

    def fid(self, time: FloatArray, field_mhz: float, reference_ppm: float) -> ComplexArray:
        r"""Return the line's FID at ``time`` (s).

        Notes
        -----
        :math:`a\,e^{2\pi i\nu t - \pi w_L t - (\pi w_G t)^2/(4\ln 2)}`: a Voigt line of area a.
        """
        offset = (self.ppm - reference_ppm) * field_mhz
        decay = np.pi * self.lorentz_hz * time + (np.pi * self.gauss_hz * time) ** 2 / (4 * np.log(2))
        signal: ComplexArray = self.protons * np.exp(2j * np.pi * offset * time - decay)
        return signal


def macromolecule_presets() -> list[str]:
    """Return the names of the shipped macromolecule sets."""
    return preset_names(PRESET_KIND)


def macromolecule_lines(preset: str, field_mhz: float) -> dict[str, tuple[BroadLine, ...]]:
    """Return a preset's components: name -> lines.

    Parameters
    ----------
    preset
        Name of a shipped set, or the path of a TOML file of the same form.
    field_mhz
        Proton frequency in MHz, which widths stated in ppm need.
    """
    table = read_preset(PRESET_KIND, preset)
    return {
        component["name"]: tuple(_line(entry, field_mhz) for entry in component["lines"])
        for component in table["components"]
    }


def _line(entry: dict[str, Any], field_mhz: float) -> BroadLine:
    gauss_hz = float(entry["gauss_hz"]) if "gauss_hz" in entry else float(entry["fwhm_ppm"]) * field_mhz
    return BroadLine(float(entry["ppm"]), float(entry["protons"]), float(entry.get("lorentz_hz", 0.0)), gauss_hz)


def macromolecule_basis(
    preset: str, *, field_mhz: float, dwell: float, n_points: int, reference_ppm: float = WATER_PPM
) -> Basis:
    """Return a preset's components as a basis set on a given grid.

    Parameters
    ----------
    preset
        Name of a shipped set, or a TOML file.
    field_mhz, dwell, n_points, reference_ppm
        Grid of the set (MHz, s, points, ppm).

    Returns
    -------
    Basis
        One member per component, in protons (relative units for ``birch-3t``).
    """
    time = np.arange(n_points, dtype=np.float64) * dwell
    components = macromolecule_lines(preset, field_mhz)
    fids = [
        np.sum([line.fid(time, field_mhz, reference_ppm) for line in lines], axis=0) for lines in components.values()
    ]
    return Basis(
        names=tuple(components),
        fids=np.array(fids),
        dwell=dwell,
        field_mhz=field_mhz,
        reference_ppm=reference_ppm,
        sequence="any",
        source=f"macromolecule preset {preset}",
        notes=(str(read_preset(PRESET_KIND, preset)["source"]),),
    )


def with_macromolecules(basis: Basis, preset: str) -> Basis:
    """Return a metabolite set with the components of a preset added on its own grid."""
    extra = macromolecule_basis(
        preset,
        field_mhz=basis.field_mhz,
        dwell=basis.dwell,
        n_points=basis.n_points,
        reference_ppm=basis.reference_ppm,
    )
    for name in extra.names:
        basis = basis.with_member(name, extra.fid(name))
    return basis.noted(f"macromolecules: {preset}")


@dataclass(frozen=True, eq=False)
class MeasuredMacromolecules:
    """A macromolecule member made from a metabolite-nulled scan.

    Parameters
    ----------
    basis
        A set with the single member ``MM`` on the scan's own grid, noise-free and without residual metabolites.
    residual
        Spectrum (real part, over ``ppm``) that neither macromolecules nor residual metabolites nor baseline explain.
    metabolites
        The residual metabolite signal that was left out, same grid.
    baseline
        The flat background that was left out, same grid.
    ppm
        Chemical shifts of the window, ascending.
    """

    basis: Basis
    residual: FloatArray
    metabolites: FloatArray
    baseline: FloatArray
    ppm: FloatArray


def measured_macromolecules(
    spectrum: Spectrum, *, window_ppm: tuple[float, float] = (0.4, 4.15), name: str = "MM"
) -> MeasuredMacromolecules:
    """Make a basis member from a metabolite-nulled scan.

    Parameters
    ----------
    spectrum
        One averaged, phased and referenced FID with residual water removed (see the preprocess room).
    window_ppm
        Range that is modelled; nothing outside enters the member.
    name
        Name of the member.

    Returns
    -------
    MeasuredMacromolecules
        The member and what was taken out of it.

    Raises
    ------
    BasisError
        The scan holds several FIDs, or no positive signal around 0.9 ppm.

    Notes
    -----
    Ridge-damped non-negative least squares of the real spectrum on broad Gaussians (12-38 Hz at 123 MHz, every 0.02
    ppm), narrow lines of either sign at tNAA, tCr and tCho, and a straight baseline. The broad part is the member: a
    sum of analytic lines, so smooth, causal, and exact on any grid. It is scaled so that 0.70-1.08 ppm holds 3
    protons (the methyl peak M0.92), because a nulled scan carries no concentration.
    """
    from scipy.optimize import nnls

    if spectrum.fid.ndim != 1:
        raise BasisError("the nulled scan holds several FIDs", remedy="combine and average it first")
    broad, narrow = _atoms(spectrum, window_ppm)
    inside = (spectrum.ppm > window_ppm[0]) & (spectrum.ppm < window_ppm[1])
    target = spectrum.spectrum().real[inside]
    design, norms = _design(spectrum, broad, narrow, inside)
    damping = _RIDGE * np.eye(design.shape[1])
    weights = nnls(np.vstack([design, damping]), np.concatenate([target, np.zeros(len(damping))]))[0]
    areas = weights / norms
    lines = tuple(replace(line, protons=float(a)) for line, a in zip(broad, areas, strict=False) if a > 0)
    start, stop = len(broad), len(broad) + 2 * len(narrow)
    residual = target - design @ weights
    _require_methyl(spectrum.ppm[inside], design[:, :start] @ weights[:start], residual)
    return MeasuredMacromolecules(
        basis=_member(spectrum, lines, name),
        residual=residual,
        metabolites=design[:, start:stop] @ weights[start:stop],
        baseline=design[:, stop:] @ weights[stop:],
        ppm=spectrum.ppm[inside],
    )


def _design(
    spectrum: Spectrum, broad: list[BroadLine], narrow: list[BroadLine], inside: npt.NDArray[np.bool_]
) -> tuple[FloatArray, FloatArray]:
    """Return the columns of the fit at unit norm (broad, narrow of both signs, straight line) and their norms."""
    sharp = np.column_stack([_real(spectrum, line)[inside] for line in narrow])
    wide = np.column_stack([_real(spectrum, line)[inside] for line in broad])
    x = np.linspace(-1, 1, len(wide))
    straight = np.column_stack([np.ones_like(x), x])
    design = np.hstack([wide, sharp, -sharp, straight, -straight])
    norms = np.linalg.norm(design, axis=0)
    return design / norms, norms


def _atoms(spectrum: Spectrum, window_ppm: tuple[float, float]) -> tuple[list[BroadLine], list[BroadLine]]:
    """Return the broad and the narrow lines of unit area a nulled spectrum is explained with."""
    centres = np.arange(window_ppm[0] + 0.1, window_ppm[1] - 0.1, _ATOM_STEP_PPM)
    scale = spectrum.carrier_mhz / 123.2
    broad = [BroadLine(float(c), 1.0, 0.0, width * scale) for width in _ATOM_WIDTHS_HZ for c in centres]
    narrow = [
        BroadLine(ppm + shift / spectrum.carrier_mhz, 1.0, 0.0, width)
        for ppm in _RESIDUAL_PPM
        for shift in _NARROW_SHIFTS_HZ
        for width in _NARROW_WIDTHS_HZ
    ]
    return broad, narrow


def _real(spectrum: Spectrum, line: BroadLine) -> FloatArray:
    fid = line.fid(spectrum.time, spectrum.carrier_mhz, spectrum.reference_ppm)
    return spectrum.with_fid(fid).spectrum().real


def _require_methyl(ppm: FloatArray, broad: FloatArray, residual: FloatArray) -> None:
    """Refuse a scan whose broad signal has no methyl peak: five times the residual, and above both its feet."""
    peak, left, right = (float(np.interp(place, ppm, broad)) for place in (_METHYL_PPM, *_METHYL_FEET_PPM))
    if peak < 5 * residual.std() or peak < 1.2 * max(left, right):
        raise BasisError(
            "no macromolecule signal around 0.9 ppm in the nulled scan",
            remedy="check its phase, its frequency reference and that it is metabolite-nulled",
        )


def _member(spectrum: Spectrum, lines: tuple[BroadLine, ...], name: str) -> Basis:
    low, high = _REFERENCE_WINDOW_PPM
    factor = _REFERENCE_PROTONS / sum(line.protons for line in lines if low < line.ppm < high)
    time = spectrum.time
    fid = np.sum([line.fid(time, spectrum.carrier_mhz, spectrum.reference_ppm) for line in lines], axis=0) * factor
    return Basis(
        names=(name,),
        fids=fid[np.newaxis],
        dwell=spectrum.dwell,
        field_mhz=spectrum.carrier_mhz,
        reference_ppm=spectrum.reference_ppm,
        te1=spectrum.echo_time,
        scale=factor,
        source="metabolite-nulled scan",
        notes=(
            f"measured macromolecules: {len(lines)} Gaussians, {low}-{high} ppm set to {_REFERENCE_PROTONS:g} protons",
        ),
    )
