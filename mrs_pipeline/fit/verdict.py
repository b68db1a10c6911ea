"""Detection of fits that went wrong: each check is one code with a sentence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mrs_pipeline.basis import parts_of
from mrs_pipeline.fit.components import METABOLITES
from mrs_pipeline.fit.uncertainty import macromolecule_rows
from mrs_pipeline.spectrum import FloatArray

if TYPE_CHECKING:
    from mrs_pipeline.fit.engine import Fitted

MISFITS = ((3.0, 0.06), (5.0, 0.02))
"""A misfit is a residual (root mean square) above 3 noise SDs and 6 % of the tallest metabolite peak, or 5 and 2 %."""
FAILED_SHARE = 0.3
LEAST_SNR = 5.0
"""Pure noise comes out with up to 4."""
STRUCTURE_LAGS = 3
UNLIKE = 2.25
"""Mean square deviation of the macromolecules' ratios from their priors, over what it should be, from which they are
unlike those that are known. 240 planted spectra whose macromolecules the priors cover reach 1.8, the 95 of the
synthetic trial 2.4 (two above)."""
STRONG = ("tNAA", "tCr", "tCho")


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: its code, in words, and whether nothing of the fit can be used."""

    code: str
    words: str
    fatal: bool = False


def findings(fitted: Fitted) -> tuple[Finding, ...]:
    """Check a fit by its residual and its parameters; empty when nothing is wrong."""
    return (*_solver(fitted), *_bounds(fitted), *_residual(fitted), *_signal(fitted))


def _solver(fitted: Fitted) -> list[Finding]:
    if fitted.solution.success:
        return []
    return [Finding("not_converged", f"the solver stopped early: {fitted.solution.message}")]


def _bounds(fitted: Fitted) -> list[Finding]:
    out = []
    model = fitted.objective.model
    for name in ("gauss", "shift", "phi0"):
        parameter, value = model.parameters[model.index[name]], fitted.solution.theta[model.index[name]]
        lower = -np.inf if parameter.lower == 0.0 else parameter.lower  # no Gaussian part at all is a line like others
        if min(value - lower, parameter.upper - value) < 1e-3 * (parameter.upper - parameter.lower):
            out.append(Finding(f"{name}_at_bound", f"{name} stopped at its limit ({value:.3g})"))
    return out


def _residual(fitted: Fitted) -> list[Finding]:
    rms = float(np.sqrt(np.mean(residual(fitted) ** 2)))
    return misfit(rms, fitted.prepared.noise, peak_height(fitted))


def misfit(rms: float, noise: float, peak: float) -> list[Finding]:
    """Judge what a fit leaves over (root mean square) by the noise SD and the height of the tallest peak."""
    if not any(rms >= times * noise and rms >= share * peak for times, share in MISFITS):
        return []
    share = rms / max(peak, 1e-300)
    words = f"the residual is {rms / noise:.1f} times the noise and {100 * share:.2g} % of the tallest peak"
    return [Finding("misfit", words, fatal=share > FAILED_SHARE)]


def _signal(fitted: Fitted) -> list[Finding]:
    out = []
    ratio = peak_height(fitted) / fitted.prepared.noise
    if ratio < LEAST_SNR:
        out.append(Finding("no_signal", f"no metabolite stands above the noise (SNR {ratio:.1f})", fatal=True))
    names = fitted.objective.model.components.names
    amplitudes = fitted.objective.at(fitted.solution.theta).solution.amplitudes
    for label in STRONG:
        present = [names.index(part) for part in parts_of(label, names)]
        if present and not amplitudes[present].sum() > 0:
            fatal = label == "tCr"
            out.append(Finding(f"no_{label}", f"{label} came out as zero, which no brain has", fatal=fatal))
    return out


def unlike_macromolecules(fitted: Fitted, scale: float) -> list[Finding]:
    """Say where the macromolecules are unlike those that the priors know, and which peak is furthest off.

    Parameters
    ----------
    fitted
        The fit.
    scale
        Mean square deviation of their ratios over its expectation
        (:func:`mrs_pipeline.fit.uncertainty.macromolecule_scale`).

    Notes
    -----
    Where the true shape is none of those that the priors lie between, a fit may describe the data to the noise and
    still have a wrong Glu: what is strained is the prior.
    """
    objective = fitted.objective
    names, amplitudes = objective.model.components.names, objective.at(fitted.solution.theta).solution.amplitudes
    if scale < UNLIKE:
        return []
    rows = objective.rows[macromolecule_rows(objective)]
    name, strain = max(((names[int(np.argmax(row))], float(row @ amplitudes)) for row in rows), key=lambda x: abs(x[1]))
    words = (
        f"the macromolecules are unlike those that are known: {name} is {abs(strain):.1f} prior SDs too "
        f"{'large' if strain > 0 else 'small'} (another shape, or residual water or lipid below them); Glu, Gln, Glx "
        "and mI may be wrong by more than their SDs; a measured macromolecule spectrum is the remedy"
    )
    return [Finding("macromolecules_unlike", words)]


def peak_height(fitted: Fitted) -> float:
    """Height of the tallest metabolite peak of the fit, spectrum units."""
    point = fitted.objective.at(fitted.solution.theta)
    metabolites = fitted.objective.model.components.group == METABOLITES
    return float((point.solution.amplitudes[metabolites] @ point.spectra[metabolites]).real.max())


def residual(fitted: Fitted) -> FloatArray:
    """Residual of the real spectrum over the window, spectrum units, weighted as fitted, ``(n,)``."""
    objective = fitted.objective
    point = objective.at(fitted.solution.theta)
    signal = (point.solution.amplitudes @ point.spectra).real
    left = objective.model.to_window(fitted.prepared.spectrum.fid).real - signal
    return np.asarray((left - objective.smooth(left)) * objective.weight)


def whiteness(left: FloatArray) -> float:
    r"""Root mean square autocorrelation of the residual at the first lags; about :math:`1/\sqrt n` for noise."""
    centred = left - left.mean()
    power = float(centred @ centred)
    lags = [float(centred[lag:] @ centred[:-lag]) / power for lag in range(1, STRUCTURE_LAGS + 1)]
    return float(np.sqrt(np.mean(np.square(lags))))


def structure(fitted: Fitted) -> dict[str, float]:
    r"""Structure of the residual under each metabolite, in noise SDs.

    Notes
    -----
    Root mean square of the residual over the points that carry the metabolite's signal, weighted by its power:
    :math:`\sqrt{\sum S_k^2 r^2/\sum S_k^2}/\sigma`.
    """
    model, left = fitted.objective.model, residual(fitted)
    power = fitted.objective.at(fitted.solution.theta).spectra.real ** 2
    out = {}
    for name, group, row in zip(model.components.names, model.components.group, power, strict=True):
        if group == METABOLITES and row.sum() > 0:
            out[name] = float(np.sqrt(row @ left**2 / row.sum()) / fitted.prepared.noise)
    return out
