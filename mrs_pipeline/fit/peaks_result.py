"""Result of a peak fit: uncertainty, curves and verdict in the type every fit returns."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mrs_pipeline.fit.model import GAUSS, token
from mrs_pipeline.fit.peaks import FittedPeaks
from mrs_pipeline.fit.peaks_model import expansion, line_weights
from mrs_pipeline.fit.result import FitResult
from mrs_pipeline.fit.summary import INFORMATIVE, half_height_width
from mrs_pipeline.fit.uncertainty import scaled_inverse
from mrs_pipeline.fit.verdict import Finding, misfit, whiteness
from mrs_pipeline.spectrum import ComplexArray, FloatArray

UNIT_OF = {"phi0": "rad", "begin": "s", "phase": "rad"}
LEAST_CERTAINTY = 5.0
"""Amplitude over CRLB of the surest peak; noise alone reaches 4 where positions and widths are free."""
PH_SHIFTS = (6.77, 3.29, 5.68)
"""pK of phosphate and the shifts of its acid and base against PCr: Petroff 1985, doi:10.1212/WNL.35.6.781."""


def summarise(fitted: FittedPeaks, flags: tuple[str, ...]) -> FitResult:
    """Build the result of a peak fit."""
    spread = covariances(fitted)
    curves, parts = _curves(fitted)
    found = findings(fitted)
    metrics = _metrics(fitted, spread["crlb"])
    notes = (*fitted.notes, *_said(fitted, metrics), *_limits(fitted), *(finding.words for finding in found))
    names = fitted.table.names
    flags = flags + tuple(finding.code for finding in found)
    return FitResult(
        names=names,
        amplitudes=fitted.amplitudes,
        crlb=_sd(spread["crlb"]),
        amplitude_sd=_sd(spread["sampling"]),
        total_sd=_sd(spread["total"]),
        covariance=spread["sampling"],
        crlb_covariance=spread["crlb"],
        total_covariance=spread["total"],
        correlation=_correlation(spread["sampling"]),
        nonlinear=_nonlinear(fitted, spread["nonlinear"]),
        ppm=_axis(fitted),
        data=curves["data"],
        model=curves["model"],
        baseline=curves["baseline"],
        residual=curves["residual"],
        components=dict(zip(names, parts, strict=True)),
        baseline_dimensions=_dimensions(fitted),
        evaluations=fitted.evaluations,
        noise_sd=fitted.noise,
        snr=_tallest(fitted) / fitted.noise,
        fwhm_hz=reference_width(fitted),
        fqn=float(np.mean(_left(fitted) ** 2)) / fitted.noise**2,
        status="failed" if any(f.fatal for f in found) else "doubtful" if set(flags) - INFORMATIVE else "ok",
        flags=flags,
        notes=notes,
        metrics=metrics,
    )


def covariances(fitted: FittedPeaks) -> dict[str, FloatArray]:
    r"""Return the covariances of all peaks' amplitudes, and that of the nonlinear parameters under ``nonlinear``.

    Notes
    -----
    ``crlb`` is the inverse of :math:`J^TJ` over every free parameter of every peak, amplitudes, shifts, widths, phases
    and begin time, from the data rows alone (Cavassila 2001, doi:10.1002/nbm.701); exact links make it smaller, priors
    do not.
    ``sampling`` is :math:`F^{-1}J^TJF^{-1}`, ``total`` is :math:`F^{-1}`, both with :math:`F = J^TJ + P`;
    ``total`` counts the misfit as noise.
    """
    jacobian, own, penalty = _information(fitted)
    data = jacobian.T @ jacobian
    inverse = scaled_inverse(data + own.T @ own + penalty)
    share = (fitted.noise / fitted.objective.noise_sd) ** 2
    bound = share * scaled_inverse(data + penalty)
    sampling = share * inverse @ data @ inverse
    first = fitted.objective.varying.size
    return {
        "crlb": _expanded(fitted, bound),
        "sampling": _expanded(fitted, sampling),
        "total": _expanded(fitted, inverse),
        "nonlinear": sampling[:first, :first],
    }


def _information(fitted: FittedPeaks) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return Jacobian of the data, prior rows and baseline penalty in units of the fit's noise SD.

    Columns: free nonlinear parameters, amplitudes, baseline modes.
    """
    objective, model, theta = fitted.objective, fitted.model, fitted.solution.theta
    point, scale = objective.at(theta), objective.weight / objective.noise_sd
    still = np.zeros(model.offset_hz.size)
    moved, _ = model.derivatives(theta, point.solution.amplitudes, point.modulated, still)
    spectra = model.to_window(point.modulated).real
    modes = np.zeros((0, scale.size)) if objective.baseline is None else objective.baseline.modes.T
    jacobian = np.concatenate([moved[objective.varying] * scale, spectra * scale, modes]).T
    first, count = objective.varying.size, spectra.shape[0]
    sd = model.sd[objective.varying]
    priors = np.zeros((first, jacobian.shape[1]))
    priors[:, :first] = np.diag(1.0 / sd)
    ratios = np.zeros((objective.rows.shape[0], jacobian.shape[1]))
    ratios[:, first : first + count] = objective.rows
    stiff = np.zeros(0) if objective.baseline is None else objective.stiffness * objective.baseline.penalty
    return jacobian, np.concatenate([priors, ratios]), np.diag(np.concatenate([np.zeros(first + count), stiff]))


def _expanded(fitted: FittedPeaks, matrix: FloatArray) -> FloatArray:
    first, count = fitted.objective.varying.size, len(fitted.model.components)
    block = matrix[first : first + count, first : first + count]
    spread = expansion(fitted.table)
    return np.asarray(spread @ block @ spread.T)


def _sd(matrix: FloatArray) -> FloatArray:
    return np.asarray(np.sqrt(np.maximum(np.diagonal(matrix), 0.0)))


def _correlation(matrix: FloatArray) -> FloatArray:
    unit = _sd(matrix)
    unit = np.where(unit > 0, unit, 1.0)
    return np.asarray(matrix / np.outer(unit, unit))


def _axis(fitted: FittedPeaks) -> FloatArray:
    pivot = fitted.table.line(fitted.table.reference).ppm
    return np.asarray(pivot + fitted.model.offset_hz / fitted.spectrum.carrier_mhz)


def _upright(fitted: FittedPeaks) -> ComplexArray:
    """Return the factor that takes common phase and begin time out of a spectrum for showing it, shape ``(n,)``."""
    model, theta = fitted.model, fitted.solution.theta
    begin = float(model.begin.at(theta)[0])
    return np.asarray(np.exp(-1j * (theta[model.index["phi0"]] + 2.0 * np.pi * model.offset_hz * begin)))


def _curves(fitted: FittedPeaks) -> tuple[dict[str, ComplexArray], ComplexArray]:
    """Return data, model, baseline and residual over the window, and each peak at its amplitude."""
    model, turn = fitted.model, _upright(fitted)
    data = model.to_window(fitted.spectrum.fid * model.used)
    parts = peak_spectra(fitted) * fitted.amplitudes[:, None]
    signal = parts.sum(axis=0)
    baseline = fitted.objective.smooth((data - signal).real).astype(np.complex128)
    curves = {"data": data, "model": signal + baseline, "baseline": baseline, "residual": data - signal - baseline}
    return {name: np.asarray(curve * turn) for name, curve in curves.items()}, np.asarray(parts * turn)


def peak_spectra(fitted: FittedPeaks) -> ComplexArray:
    """Return the spectrum of each peak at unit amplitude, shape ``(peaks, n)``."""
    return fitted.model.to_window(line_weights(fitted.table) @ fitted.model.line_fids(fitted.solution.theta))


def _left(fitted: FittedPeaks) -> FloatArray:
    """Return the residual that was minimised, spectrum units, shape ``(n,)``."""
    model = fitted.model
    signal = (fitted.amplitudes @ peak_spectra(fitted)).real
    left = model.to_window(fitted.spectrum.fid * model.used).real - signal
    return np.asarray(left - fitted.objective.smooth(left))


def _tallest(fitted: FittedPeaks) -> float:
    """Return the height of the tallest peak, whatever its phase."""
    return float(np.abs(peak_spectra(fitted) * fitted.amplitudes[:, None]).max())


def reference_width(fitted: FittedPeaks) -> float:
    """Return the full width at half maximum of one line of the reference peak, Hz."""
    model, theta = fitted.model, fitted.solution.theta
    line = int(np.flatnonzero(line_weights(fitted.table)[fitted.table.names.index(fitted.table.reference)])[0])
    t = model.time
    decay = np.exp(-np.pi * model.width.at(theta)[line] * t - GAUSS * (model.gauss.at(theta)[line] * t) ** 2)
    return half_height_width(decay.astype(np.complex128), float(t[1] - t[0]))


def _nonlinear(fitted: FittedPeaks, covariance: FloatArray) -> dict[str, dict[str, Any]]:
    out: dict[str, dict[str, Any]] = {"start_shift": {"value": fitted.shift_hz, "unit": "Hz"}}
    spread = _sd(covariance)
    for column, position in enumerate(fitted.objective.varying):
        name = fitted.model.names[position]
        unit = UNIT_OF.get(name, UNIT_OF.get(name.partition("_")[0], "Hz"))
        value = float(fitted.solution.theta[position])
        out[name] = {"value": value, "sd": float(spread[column]), "unit": unit}
    return out


def _dimensions(fitted: FittedPeaks) -> float:
    baseline = fitted.objective.baseline
    return 0.0 if baseline is None else baseline.dimensions(fitted.objective.stiffness) / baseline.width_ppm


def _metrics(fitted: FittedPeaks, crlb: FloatArray) -> dict[str, float | None]:
    """Return residual measures, position and width of each peak, ratios to the reference peak, and pH."""
    model, theta, table = fitted.model, fitted.solution.theta, fitted.table
    weights, amplitudes = line_weights(table), fitted.amplitudes
    out: dict[str, float | None] = {
        "residual_noise_sd": fitted.objective.noise_sd,
        "cost": fitted.solution.cost,
        "whiteness": whiteness(_left(fitted)),
    }
    shift = theta[model.index["shift"]]
    places = weights @ (model.frequency.at(theta) - shift) / weights.sum(axis=1)
    places = fitted.spectrum.reference_ppm + places / fitted.spectrum.carrier_mhz
    widths = weights @ model.width.at(theta) / weights.sum(axis=1)
    reference = table.names.index(table.reference)
    for number, name in enumerate(table.names):
        out[f"ppm_{token(name)}"] = float(places[number])
        out[f"width_{token(name)}_hz"] = float(widths[number])
        ratio = amplitudes[number] / amplitudes[reference] if amplitudes[reference] else float("nan")
        out[f"ratio_{token(name)}_{token(table.reference)}"] = float(ratio)
        out[f"ratio_{token(name)}_{token(table.reference)}_crlb"] = _ratio_sd(amplitudes, crlb, number, reference)
    if table.nucleus == "31P" and {"Pi", "PCr"} <= set(table.names) and amplitudes[table.names.index("Pi")] > 0:
        distance = places[table.names.index("Pi")] - places[table.names.index("PCr")]
        out["ph"] = tissue_ph(float(distance))
    return {name: None if value is None or not np.isfinite(value) else value for name, value in out.items()}


def _said(fitted: FittedPeaks, metrics: dict[str, float | None]) -> tuple[str, ...]:
    """Return ratios to the reference peak and pH in words, for the report."""
    reference = token(fitted.table.reference)
    ratios = [
        f"{name} {metrics[key]:.3g} (CRLB {metrics[f'{key}_crlb']:.2g})"
        for name in fitted.table.names
        if name != fitted.table.reference and metrics[key := f"ratio_{token(name)}_{reference}"] is not None
    ]
    said = [f"amplitude over that of {fitted.table.reference}: {', '.join(ratios)}"] if ratios else []
    if metrics.get("ph") is not None:
        said.append(f"pH {metrics['ph']:.2f} by the distance of Pi from PCr (Petroff 1985, doi:10.1212/WNL.35.6.781)")
    return tuple(said)


def _ratio_sd(amplitudes: FloatArray, covariance: FloatArray, top: int, bottom: int) -> float:
    """Return the SD of a ratio of amplitudes by the delta method."""
    if not amplitudes[bottom]:
        return float("nan")
    row = np.zeros(amplitudes.size)
    row[top] += 1.0
    row[bottom] -= amplitudes[top] / amplitudes[bottom]
    return math.sqrt(max(float(row @ covariance @ row), 0.0)) / abs(float(amplitudes[bottom]))


def tissue_ph(shift_ppm: float) -> float | None:
    r"""Return the pH that a distance between Pi and PCr means, ``None`` outside the titration curve.

    Notes
    -----
    :math:`\mathrm{pH} = 6.77 + \log_{10}\frac{\delta-3.29}{5.68-\delta}` (Petroff 1985, doi:10.1212/WNL.35.6.781).

    >>> round(tissue_ph(4.82), 2)
    7.02
    """
    pk, acid, base = PH_SHIFTS
    return float(pk + math.log10((shift_ppm - acid) / (base - shift_ppm))) if acid < shift_ppm < base else None


def findings(fitted: FittedPeaks) -> tuple[Finding, ...]:
    """Check a fit by its residual and its common parameters; empty when nothing is wrong."""
    out = []
    if not fitted.solution.success:
        out.append(Finding("not_converged", f"the solver stopped early: {fitted.solution.message}"))
    critical = {"shift", "begin", f"width_{token(fitted.table.reference)}"}
    out += [
        Finding(f"{name}_at_bound", f"{name} stopped at its limit ({value:.3g})")
        for name, value in _at_limit(fitted)
        if name in critical
    ]
    rms, peak = float(np.sqrt(np.mean(_left(fitted) ** 2))), _tallest(fitted)
    out += misfit(rms, fitted.noise, peak)
    certainty = np.abs(fitted.amplitudes) / np.maximum(_sd(covariances(fitted)["crlb"]), 1e-300)
    surest = float(certainty.max())
    if surest < LEAST_CERTAINTY:
        words = f"no peak of the table stands above the noise (largest amplitude {surest:.1f} times its CRLB)"
        out.append(Finding("no_signal", words, fatal=True))
    return tuple(out)


def _at_limit(fitted: FittedPeaks) -> list[tuple[str, float]]:
    """Return the free parameters that stand at a limit."""
    out = []
    for position in fitted.objective.varying:
        parameter, value = fitted.model.parameters[position], float(fitted.solution.theta[position])
        room = min(value - parameter.lower, parameter.upper - value)
        if room < 1e-4 * (parameter.upper - parameter.lower):
            out.append((parameter.name, value))
    return out


def _limits(fitted: FittedPeaks) -> tuple[str, ...]:
    names = [f"{name} ({value:.3g})" for name, value in _at_limit(fitted)]
    return (f"parameters that stopped at a limit of the table: {', '.join(names)}",) if names else ()
