"""The difference spectrum of an edited scan: its own basis, macromolecules and sums, in the usual result type."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mrs_pipeline.basis import Basis
from mrs_pipeline.config import FitSection, preset_names, read_preset
from mrs_pipeline.errors import BasisError, FitError
from mrs_pipeline.fit.engine import fit_once
from mrs_pipeline.fit.priors import Peak, PeakFamily, Priors, load_priors
from mrs_pipeline.fit.result import FitResult
from mrs_pipeline.spectrum import FloatArray, Spectrum

NEGLIGIBLE = 0.05
"""Members of a difference set whose largest signal is below this share of a proton's are left out."""
LEAST_SIGNAL = 0.5
"""Protons: a difference set whose largest signal is below this may be in another unit (a GABA methylene has two)."""
EDITED_PPM = (2.8, 3.2)
"""Window in which the edited signal of GABA is counted."""
CREATINE = ("Cr", "PCr")


@dataclass(frozen=True)
class EditedPriors:
    """What is known beforehand of the difference spectrum of one target (``config/presets/editing``).

    Parameters
    ----------
    target
        What is edited.
    metabolites
        Basis members that are fitted; empty: all that editing does not cancel.
    ppm
        Fitted window.
    baseline_per_ppm
        Dimensions of the baseline per ppm where the settings say ``auto``.
    plus
        Components whose sum is reported as ``<first>+``.
    table
        The preset's tables of ratios and macromolecules.
    """

    target: str
    metabolites: tuple[str, ...]
    ppm: tuple[float, float]
    baseline_per_ppm: float
    plus: tuple[str, ...]
    table: Mapping[str, Any]


def edited_priors(target: str) -> EditedPriors:
    """Read the preset of a target; targets without one share ``other``."""
    table = read_preset("editing", target if target in preset_names("editing") else "other")
    low, high = table["ppm"]
    return EditedPriors(
        target,
        tuple(table["metabolites"]),
        (float(low), float(high)),
        float(table["baseline_per_ppm"]),
        tuple(table["plus"]),
        table,
    )


def fit_difference(
    spectrum: Spectrum, basis: Basis, settings: FitSection, target: str = "GABA", off_ppm: float | None = None
) -> FitResult:
    r"""Fit the difference spectrum of an edited scan.

    Parameters
    ----------
    spectrum
        On minus off, one preprocessed FID.
    basis
        Difference signals of the same experiment (``simulate_basis("mega-press", edit="difference")``).
    settings
        The ``[fit]`` section; window and (where it is ``auto``) baseline are those of the target's preset.
    target
        What is edited.
    off_ppm
        Place of the editing pulse in the other condition: symmetric suppression of macromolecules is recognised by it.

    Returns
    -------
    FitResult
        As of ``fit_spectrum``; for GABA with the sum ``GABA+`` as one more component.

    Raises
    ------
    BasisError
        The set has no difference signal of what is edited.
    FitError
        As of ``fit_spectrum``.

    Notes
    -----
    The co-edited macromolecules at 3 ppm are counted in units of the edited area of one GABA molecule,
    :math:`A_{MM3co} = a\,\int_{2.8}^{3.2} S_{GABA}`, so that :math:`GABA+ = a_{GABA} + a_{MM3co}`.
    """
    known = edited_priors(target)
    members = difference_members(basis, known.metabolites)
    if target in preset_names("editing") and target not in members:
        raise BasisError(
            f"the basis set has no difference signal of {target}, which the scan is edited for{_weak(basis)}",
            remedy=f"use a set of difference signals with {target}, in proton units; load_basis finds the unit",
            path=basis.file,
        )
    chosen = settings.model_copy(
        update={
            "ppm": known.ppm,
            "baseline": known.baseline_per_ppm if settings.baseline == "auto" else settings.baseline,
            "macromolecules": "parametric" if "macromolecules" in known.table else "none",
        }
    )
    priors = difference_priors(load_priors(settings.priors), known, members, off_ppm)
    result = fit_once(spectrum, members, chosen, priors)
    present = [name for name in known.plus if name in result.names]
    if len(present) < 2:
        return result
    return with_sum(result, f"{known.plus[0]}+", dict.fromkeys(present, 1.0))


def difference_members(basis: Basis, wanted: tuple[str, ...]) -> Basis:
    """Return the members of a difference set that are wanted and that editing does not cancel.

    Raises
    ------
    BasisError
        Nothing is left: the set is not one of difference signals, or is for another target.
    """
    names = [name for name in (wanted or basis.names) if name in basis.names]
    kept = [name for name in names if np.abs(basis.fid(name)).max() > NEGLIGIBLE]
    if not kept:
        raise BasisError(
            f"the basis set has no difference signal of what is edited{_weak(basis)}",
            remedy="simulate it with sequence mega-press, edit difference, or give the editing pulses of the scan",
        )
    return basis.select(kept)


def _weak(basis: Basis) -> str:
    """Clause for a set whose signals are all small: editing cancels them, or they are in another unit."""
    largest = float(np.abs(basis.fids).max())
    return f"; its largest signal is {largest:.2g} protons: is it in another unit?" if largest < LEAST_SIGNAL else ""


def edited_area(basis: Basis, name: str, ppm: tuple[float, float] = EDITED_PPM) -> float:
    """Return the area of a member inside a window in protons.

    Notes
    -----
    Twice the sum of the real spectrum of the FID with its first point halved, over the number of points: the whole band
    then gives the first point of the FID.
    """
    spectrum = basis.spectrum(name)
    halved = np.array(spectrum.fid)
    halved[0] *= 0.5
    shown = np.fft.fftshift(np.fft.fft(halved)).real
    inside = (spectrum.ppm >= ppm[0]) & (spectrum.ppm <= ppm[1])
    return float(2.0 * shown[inside].sum() / spectrum.n_points)


def difference_priors(priors: Priors, known: EditedPriors, basis: Basis, off_ppm: float | None = None) -> Priors:
    """Return the usual prior set with ratios and macromolecules of a difference spectrum."""
    ratios = {name: (float(mean), float(sd)) for name, (mean, sd) in known.table["ratios"]["value"].items()}
    family = PeakFamily("", 1.0, 0.01, 0.15, ())
    if "macromolecules" in known.table:
        table = known.table["macromolecules"]
        protons = edited_area(basis, known.plus[0]) if known.plus and known.plus[0] in basis else 1.0
        peaks = tuple(_suppressed(Peak(**peak), known, off_ppm) for peak in table["peaks"])
        family = PeakFamily(table["reference"], protons, table["shift_sd_ppm"], table["width_sd"], peaks)
    return replace(
        priors,
        ratio_denominator=dict(known.table["ratios"]["denominator"]),
        ratios=ratios,
        macromolecules=family,
        lipids=PeakFamily("", 1.0, 0.01, 0.15, ()),
    )


def _suppressed(peak: Peak, known: EditedPriors, off_ppm: float | None) -> Peak:
    """Return a co-edited peak as it is where both conditions treat it alike."""
    rule = known.table.get("suppressed")
    if rule is None or off_ppm is None or peak.name not in known.plus:
        return peak
    low, high = rule["off_ppm"]
    return replace(peak, ratio=rule["ratio"], sd=rule["sd"]) if low <= off_ppm <= high else peak


def with_sum(result: FitResult, name: str, weights: Mapping[str, float]) -> FitResult:
    """Return a result with a weighted sum of components as one more component, its covariances included."""
    count = len(result.names)
    row = np.array([weights.get(known, 0.0) for known in result.names])
    spread = np.vstack([np.eye(count), row])
    curve = sum(weight * result.components[known] for known, weight in weights.items())
    return _expanded(result, (*result.names, name), spread, {**result.components, name: np.asarray(curve)})


def with_creatine(difference: FitResult, off: FitResult) -> FitResult:
    """Return the fit of a difference spectrum with total creatine of the unedited condition, for ratios.

    Parameters
    ----------
    difference
        Fit of on minus off.
    off
        Fit of the unedited condition of the same scan, in the same basis unit.

    Raises
    ------
    FitError
        The unedited fit has no creatine.

    Notes
    -----
    The difference holds no creatine of its own. The noise of the two fits is taken as independent: half of the
    difference's noise is that of the unedited condition, but its edited signals and creatine hardly correlate.
    """
    rows = [off.names.index(name) for name in CREATINE if name in off.names]
    if not rows:
        raise FitError("the fit of the unedited condition has no creatine", remedy="leave Cr and PCr in the basis set")
    kept = [row for row, name in enumerate(difference.names) if name not in CREATINE]

    def block(which: str) -> FloatArray:
        top = getattr(difference, which)[np.ix_(kept, kept)]
        bottom = getattr(off, which)[np.ix_(rows, rows)]
        empty = np.zeros((len(kept), len(rows)))
        return np.block([[top, empty], [empty.T, bottom]])

    matrices: dict[str, Any] = {
        name: block(name) for name in ("covariance", "crlb_covariance", "total_covariance", "correlation")
    }
    vectors: dict[str, Any] = {
        name: np.concatenate([getattr(difference, name)[kept], getattr(off, name)[rows]])
        for name in ("amplitudes", "crlb", "amplitude_sd", "total_sd")
    }
    names = tuple(difference.names[row] for row in kept) + tuple(off.names[row] for row in rows)
    status = max((difference.status, off.status), key=("ok", "doubtful", "failed").index)
    flags = tuple(dict.fromkeys([*difference.flags, *(f"off_{flag}" for flag in off.flags if off.status != "ok")]))
    return replace(difference, names=names, status=status, flags=flags, **vectors, **matrices)


def _expanded(
    result: FitResult, names: tuple[str, ...], spread: FloatArray, components: Mapping[str, Any]
) -> FitResult:
    """Return a result whose amplitudes are linear combinations of the old ones, ``spread`` of shape (new, old)."""
    matrices: dict[str, Any] = {
        name: spread @ getattr(result, name) @ spread.T
        for name in ("covariance", "crlb_covariance", "total_covariance")
    }
    sds = {name: np.sqrt(np.maximum(np.diagonal(matrix), 0.0)) for name, matrix in matrices.items()}
    unit = np.where(sds["covariance"] > 0, sds["covariance"], 1.0)
    return replace(
        result,
        names=names,
        amplitudes=spread @ result.amplitudes,
        crlb=sds["crlb_covariance"],
        amplitude_sd=sds["covariance"],
        total_sd=sds["total_covariance"],
        correlation=matrices["covariance"] / np.outer(unit, unit),
        components=dict(components),
        **matrices,
    )
