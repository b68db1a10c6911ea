"""Turn a finished minimisation into a FitResult: curves, numbers, verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mrs_pipeline.fit.basis_error import BasisError
from mrs_pipeline.fit.components import METABOLITES
from mrs_pipeline.fit.result import FitResult
from mrs_pipeline.fit.selection import MAX_DIMENSIONS_PER_PPM
from mrs_pipeline.fit.uncertainty import covariances
from mrs_pipeline.fit.verdict import (
    Finding,
    findings,
    peak_height,
    residual,
    structure,
    unlike_macromolecules,
    whiteness,
)
from mrs_pipeline.spectrum import ComplexArray, FloatArray

if TYPE_CHECKING:
    from mrs_pipeline.fit.engine import Fitted, Prepared

INFORMATIVE = frozenset({"refitted", "baseline_at_limit"})
"""Flags that say what was done without casting doubt on the result."""
UNITS = {
    "phi0": "rad",
    "phi1": "s",
    "gauss": "Hz",
    "lorentz": "Hz",
    "width_group1": "1",
    "width_group2": "1",
}


def summarise(fitted: Fitted, flags: tuple[str, ...], notes: tuple[str, ...]) -> FitResult:
    """Build the result of a fit."""
    objective, prepared, theta = fitted.objective, fitted.prepared, fitted.solution.theta
    model = objective.model
    amplitudes = objective.at(theta).solution.amplitudes
    curves = _curves(fitted)
    reach = fitted.lineshape
    choice = None if reach is None else reach.choice
    spread = covariances(objective, theta, prepared.noise, fitted.search, _basis_error(prepared), choice)
    fqn = float(np.mean(curves["residual"].real ** 2)) / prepared.noise**2
    found = (*findings(fitted), *unlike_macromolecules(fitted, spread.macromolecule_scale))
    flags = flags + tuple(finding.code for finding in found)
    notes = notes + tuple(finding.words for finding in found)
    if fitted.objective.baseline is not None and _dimensions_per_ppm(fitted) > 0.999 * MAX_DIMENSIONS_PER_PPM:
        flags = (*flags, "baseline_at_limit")
        dimensions = f"{_dimensions_per_ppm(fitted):.2g} dimensions per ppm, a search allows {MAX_DIMENSIONS_PER_PPM:g}"
        notes = (*notes, f"the baseline is as loose as can be ({dimensions})")
    return FitResult(
        names=model.components.names,
        amplitudes=amplitudes,
        crlb=_sd(spread.crlb),
        amplitude_sd=_sd(spread.sampling),
        total_sd=_sd(spread.total),
        covariance=spread.sampling,
        crlb_covariance=spread.crlb,
        total_covariance=spread.total,
        correlation=_correlation(spread.sampling),
        nonlinear=_nonlinear(fitted, spread.nonlinear),
        ppm=prepared.priors.pivot_ppm + model.offset_hz / prepared.spectrum.carrier_mhz,
        data=curves["data"],
        model=curves["model"],
        baseline=curves["baseline"],
        residual=curves["residual"],
        components=_component_curves(fitted),
        baseline_dimensions=_dimensions_per_ppm(fitted),
        evaluations=fitted.evaluations,
        noise_sd=prepared.noise,
        snr=peak_height(fitted) / prepared.noise,
        fwhm_hz=singlet_width(fitted),
        fqn=fqn,
        status=_status(flags, found),
        flags=flags,
        notes=notes,
        metrics={
            "residual_noise_sd": objective.noise_sd,
            "cost": fitted.solution.cost,
            "whiteness": whiteness(residual(fitted)),
            **{f"structure_{name}": value for name, value in structure(fitted).items()},
            "effective_dimensions": _dimensions(fitted),
            "macromolecule_strain": spread.macromolecule_scale,
            "lineshape_gain": None if reach is None else reach.gain,
            "lineshape_share": None if reach is None else reach.share,
            **{f"prior_scale_{family}": value for family, value in spread.prior_scale.items()},
        },
    )


def _basis_error(prepared: Prepared) -> BasisError:
    """Relative errors of the metabolites' signals; the background is no simulation."""
    components, priors = prepared.components, prepared.priors
    of = [priors.basis_error.get(name, priors.basis_default) for name in components.names]
    sd = np.where(components.group == METABOLITES, of, 0.0)
    return BasisError(sd, priors.basis_window_ppm * prepared.spectrum.carrier_mhz)


def _status(flags: tuple[str, ...], found: tuple[Finding, ...]) -> str:
    """Return ``failed`` when nothing can be used, ``doubtful`` when something was found, else ``ok``."""
    if any(finding.fatal for finding in found):
        return "failed"
    return "doubtful" if set(flags) - INFORMATIVE else "ok"


def _sd(matrix: FloatArray) -> FloatArray:
    """Return the square roots of a covariance's diagonal, shape ``(K,)``."""
    return np.asarray(np.sqrt(np.maximum(np.diagonal(matrix), 0.0)))


def _correlation(matrix: FloatArray) -> FloatArray:
    unit = _sd(matrix)
    unit = np.where(unit > 0, unit, 1.0)
    return np.asarray(matrix / np.outer(unit, unit))


def _curves(fitted: Fitted) -> dict[str, ComplexArray]:
    """Collect data, model, baseline and residual over the window."""
    objective = fitted.objective
    point = objective.at(fitted.solution.theta)
    data = objective.model.to_window(fitted.prepared.spectrum.fid)
    signal = point.solution.amplitudes @ point.spectra
    baseline = objective.smooth((data - signal).real).astype(np.complex128)
    return {"data": data, "model": signal + baseline, "baseline": baseline, "residual": data - signal - baseline}


def _component_curves(fitted: Fitted) -> dict[str, ComplexArray]:
    point = fitted.objective.at(fitted.solution.theta)
    scaled = point.spectra * point.solution.amplitudes[:, None]
    return dict(zip(fitted.objective.model.components.names, scaled, strict=True))


def _nonlinear(fitted: Fitted, sd: FloatArray) -> dict[str, dict[str, Any]]:
    """Nonlinear parameters that were free with their sampling SD, and the start correction."""
    model, theta = fitted.objective.model, fitted.solution.theta
    out: dict[str, dict[str, Any]] = {
        "start_shift": {"value": fitted.prepared.shift_hz, "unit": "Hz"},
        "start_phase": {"value": fitted.prepared.phase, "unit": "rad"},
    }
    for position, spread in zip(fitted.objective.varying, sd, strict=True):
        name = model.parameters[position].name
        out[name] = {"value": float(theta[position]), "sd": float(spread), "unit": _unit(name)}
    return out


def _unit(name: str) -> str:
    """Return the unit of a nonlinear parameter; the exponents of the lineshape's phase and envelope have none."""
    return "1" if name.startswith(("eddy_", "envelope_")) else UNITS.get(name, "Hz")


def _dimensions(fitted: Fitted) -> float:
    baseline = fitted.objective.baseline
    return 0.0 if baseline is None else baseline.dimensions(fitted.objective.stiffness)


def _dimensions_per_ppm(fitted: Fitted) -> float:
    return _dimensions(fitted) / (fitted.ppm[1] - fitted.ppm[0])


def singlet_width(fitted: Fitted) -> float:
    """Full width at half maximum in Hz of a singlet with the fitted common lineshape and the T2 width of creatine."""
    model, theta = fitted.objective.model, fitted.solution.theta
    time = model.time
    lorentz = theta[model.index["lorentz"]]
    own = [theta[model.index[f"width_{name}"]] for name in ("Cr", "PCr") if f"width_{name}" in model.index]
    decay = np.exp(-np.pi * (lorentz + (float(np.mean(own)) if own else 0.0)) * time)
    return half_height_width(
        decay * np.exp(model.gaussian_exponent(theta, METABOLITES)[0] + model.shape_exponent(theta)),
        float(time[1] - time[0]),
    )


def half_height_width(fid: ComplexArray, dwell: float) -> float:
    """Full width at half maximum of the real spectrum of a line at zero frequency, by linear interpolation, Hz."""
    n_fft = 16 * fid.size
    half = fid.copy()
    half[0] *= 0.5
    line = np.fft.fftshift(np.fft.fft(half, n_fft)).real
    peak = int(np.argmax(line))
    level = 0.5 * line[peak]
    above = np.flatnonzero(line[peak:] < level)
    below = np.flatnonzero(line[peak::-1] < level)
    if not above.size or not below.size:
        return float("nan")
    right, left = int(above[0]), int(below[0])
    upper = right - 1 + (line[peak + right - 1] - level) / (line[peak + right - 1] - line[peak + right])
    lower = left - 1 + (line[peak - left + 1] - level) / (line[peak - left + 1] - line[peak - left])
    return float((upper + lower) / (n_fft * dwell))
