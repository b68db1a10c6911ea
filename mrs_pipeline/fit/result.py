"""What a fit returns, and the arithmetic on it: combined metabolites and ratios with their uncertainty."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mrs_pipeline.basis import parts_of
from mrs_pipeline.errors import FitError
from mrs_pipeline.fit.posterior_result import Posterior
from mrs_pipeline.spectrum import ComplexArray, FloatArray


@dataclass(frozen=True, eq=False)
class FitResult:
    """A fitted spectrum.

    Parameters
    ----------
    names
        Component names, length K: metabolites, then macromolecules and lipids.
    amplitudes
        Amplitude per molecule in basis units, shape ``(K,)``.
    crlb, amplitude_sd, total_sd
        Standard deviations, shape ``(K,)``: Cramér-Rao bound from the data alone; sampling SD of the estimator as
        used; that plus priors, errors of the basis and the choice of baseline and macromolecule model.
    covariance, crlb_covariance, total_covariance
        Covariances behind them, shape ``(K, K)``.
    correlation
        Correlation matrix of ``covariance``.
    nonlinear
        Parameter name to ``{"value", "sd", "unit"}``, ``sd`` the sampling SD; the start correction has none.
    ppm
        Axis of the fitted window, ascending, shape ``(n,)``.
    data, model, baseline, residual
        Complex spectra over the window, phased and referenced as fitted, shape ``(n,)``. ``model`` includes the
        baseline; the fit is to the real part, and the baseline is real.
    components
        Real-and-imaginary spectrum of each component at its fitted amplitude.
    baseline_dimensions
        Effective dimensions of the baseline per ppm.
    evaluations
        Model evaluations spent.
    noise_sd
        Noise SD of the real part, spectrum units.
    snr
        Height of the tallest metabolite peak of the model over ``noise_sd``.
    fwhm_hz
        Full width at half maximum of a fitted singlet, lineshape and T2 width included.
    fqn
        Fit quality number: variance of the residual over that of the noise (1 is perfect).
    status
        ``ok``, ``doubtful`` or ``failed``.
    flags
        Why not ``ok``, and what was done: short codes.
    notes
        The same in words.
    metrics
        Further numbers by name.
    posterior
        Sampled uncertainty; ``None`` unless ``[fit] posterior`` asks for it.
    """

    names: tuple[str, ...]
    amplitudes: FloatArray
    crlb: FloatArray
    amplitude_sd: FloatArray
    total_sd: FloatArray
    covariance: FloatArray
    crlb_covariance: FloatArray
    total_covariance: FloatArray
    correlation: FloatArray
    nonlinear: dict[str, dict[str, Any]]
    ppm: FloatArray
    data: ComplexArray
    model: ComplexArray
    baseline: ComplexArray
    residual: ComplexArray
    components: dict[str, ComplexArray]
    baseline_dimensions: float
    evaluations: int
    noise_sd: float
    snr: float
    fwhm_hz: float
    fqn: float
    status: str
    flags: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    metrics: dict[str, float | None] = field(default_factory=dict)
    posterior: Posterior | None = None

    def weights(self, name: str) -> dict[str, float]:
        """Weights of a metabolite (in any spelling) or of a combined one such as ``tNAA``; a component comes first."""
        present = parts_of(name, self.names)
        if not present:
            raise FitError(f"{name} was not fitted", remedy=f"use one of {', '.join(self.names)}")
        return dict.fromkeys(present, 1.0)

    def combination(self, weights: dict[str, float]) -> tuple[float, float, float, float]:
        """Weighted sum of amplitudes: value, crlb, amplitude_sd, total_sd."""
        w = self._vector(weights)
        spreads = [
            float(np.sqrt(max(float(w @ matrix @ w), 0.0)))
            for matrix in (self.crlb_covariance, self.covariance, self.total_covariance)
        ]
        return float(w @ self.amplitudes), spreads[0], spreads[1], spreads[2]

    def ratio(
        self, numerator: dict[str, float] | str, denominator: dict[str, float] | str = "tCr", level: float = 0.95
    ) -> tuple[float, float, float, float]:
        r"""Ratio of two combinations: value, SD, lower and upper limit.

        Notes
        -----
        SD by the delta method on ``total_covariance``; limits by Fieller's theorem (1954), roots of
        :math:`(x - qy)^2 = z^2(v_{xx} - 2qv_{xy} + q^2v_{yy})`; infinite when the denominator is not distinguishable
        from zero.
        """
        top = self._vector(self.weights(numerator) if isinstance(numerator, str) else numerator)
        bottom = self._vector(self.weights(denominator) if isinstance(denominator, str) else denominator)
        x, y = float(top @ self.amplitudes), float(bottom @ self.amplitudes)
        cov = self.total_covariance
        return fieller(x, y, float(top @ cov @ top), float(bottom @ cov @ bottom), float(top @ cov @ bottom), level)

    def _vector(self, weights: dict[str, float]) -> FloatArray:
        missing = [name for name in weights if name not in self.names]
        if missing:
            raise FitError(
                f"{', '.join(missing)} not among the fitted components", remedy=f"use {', '.join(self.names)}"
            )
        return np.array([weights.get(name, 0.0) for name in self.names])


def fieller(x: float, y: float, vxx: float, vyy: float, vxy: float, level: float) -> tuple[float, float, float, float]:
    """Ratio ``x / y`` with SD (delta method) and Fieller limits."""
    from scipy.stats import norm

    if y == 0:
        return float("nan"), float("nan"), float("-inf"), float("inf")
    q = x / y
    sd = float(np.sqrt(max(vxx - 2 * q * vxy + q**2 * vyy, 0.0))) / abs(y)
    z2 = float(norm.ppf(0.5 + level / 2)) ** 2
    a, b, c = y**2 - z2 * vyy, x * y - z2 * vxy, x**2 - z2 * vxx
    if a <= 0:
        return q, sd, float("-inf"), float("inf")
    half = float(np.sqrt(max(b**2 - a * c, 0.0)))
    return q, sd, (b - half) / a, (b + half) / a
