"""The fit with the sampling of its uncertainty that the settings ask for."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from mrs_pipeline.basis import COMBINED, Basis, parts_of
from mrs_pipeline.config import FitSection
from mrs_pipeline.errors import FitError
from mrs_pipeline.fit import engine
from mrs_pipeline.fit.posterior_result import Posterior, summarise_draws
from mrs_pipeline.fit.priors import Priors
from mrs_pipeline.fit.result import FitResult
from mrs_pipeline.fit.summary import summarise
from mrs_pipeline.spectrum import FloatArray, Spectrum

if TYPE_CHECKING:
    from mrs_pipeline.fit.engine import Fitted

DRAWS = {"emcee": 2000, "bootstrap": 200}
"""Draws where the settings state no number."""


def fit_spectrum(spectrum: Spectrum, basis: Basis, settings: FitSection, priors: Priors | None = None) -> FitResult:
    """Fit a linear combination of metabolites, macromolecules, lipids and a smooth baseline.

    Parameters
    ----------
    spectrum
        One preprocessed FID (true first point, water removed), shape ``(n_points,)``.
    basis
        Metabolite signals for the same sequence and field; resampled here.
    settings
        The ``[fit]`` section; with ``posterior`` the uncertainty is sampled as well.
    priors
        Prior set; that of the settings when ``None``.

    Returns
    -------
    FitResult
        Amplitudes per molecule in basis units with covariances, curves, status and flags.

    Raises
    ------
    FitError
        The spectrum cannot be fitted at all: more than one FID, no signal, not finite, or a window outside its
        bandwidth.
    """
    plain = settings.model_copy(update={"posterior": "none"})
    if settings.posterior == "none":
        return engine.fit_once(spectrum, basis, plain, priors)
    with engine.one_thread():
        fitted, flags, notes = engine.minimise(spectrum, basis, plain, priors)
        result = summarise(fitted, flags, notes)
        if result.status == "failed":
            return _unsampled(result, "the fit failed")
        try:
            return replace(result, posterior=sampled(fitted, basis, settings))
        except FitError as error:
            return _unsampled(result, error.problem)


def _unsampled(result: FitResult, why: str) -> FitResult:
    """Keep a fit whose uncertainty could not be sampled, and say why."""
    return replace(result, notes=(*result.notes, f"its uncertainty was not sampled: {why}"))


def sampled(fitted: Fitted, basis: Basis, settings: FitSection) -> Posterior:
    """Sample the uncertainty of a finished fit by the method of the settings."""
    draws = settings.posterior_draws or DRAWS[settings.posterior]
    seed = settings.posterior_seed
    names = fitted.objective.model.components.names
    if settings.posterior == "bootstrap":
        from mrs_pipeline.fit.posterior_bootstrap import resample

        plain = settings.model_copy(update={"posterior": "none"})
        amplitudes, failed = resample(fitted, basis, plain, draws, seed)
        estimate = fitted.objective.at(fitted.solution.theta).solution.amplitudes
        return summarise_draws("bootstrap", names, amplitudes, seed, {"failed_share": failed}, estimate)
    from mrs_pipeline.fit.posterior_emcee import make_target, sample

    chains = sample(make_target(fitted.objective, fitted.solution.theta), draws, seed, _watched(names))
    diagnostics = {"acceptance": chains.acceptance, "effective_draws": chains.effective}
    return summarise_draws("emcee", names, chains.amplitudes, seed, diagnostics)


def _watched(names: tuple[str, ...]) -> FloatArray:
    """Weights of the sums whose effective number of draws is reported, shape ``(s, K)``; of everything without them."""
    rows = [[float(name in parts_of(label, names)) for name in names] for label in COMBINED]
    weights = np.array([row for row in rows if any(row)])
    return weights if weights.size else np.eye(len(names))
