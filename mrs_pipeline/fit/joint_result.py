"""What a joint fit of visits returns: amplitudes of every visit with their common covariance, and changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.linalg import block_diag

from mrs_pipeline.basis import parts_of
from mrs_pipeline.errors import FitError
from mrs_pipeline.fit.joint_problem import Sharing
from mrs_pipeline.fit.result import FitResult
from mrs_pipeline.spectrum import FloatArray

Z95 = 1.959963984540054
"""97.5 % quantile of the normal distribution."""


@dataclass(frozen=True, eq=False)
class Quantity:
    """A number of one visit, linear or linearised in the amplitudes of all visits.

    Parameters
    ----------
    value
        The number.
    gradient
        Its derivative by the amplitudes of all visits, shape ``(V K,)``.
    weak
        Whether it is a ratio whose denominator cannot be told from zero.
    """

    value: float
    gradient: FloatArray
    weak: bool = False


@dataclass(frozen=True)
class Change:
    """Second visit minus first.

    Parameters
    ----------
    first, second
        Values of the two visits.
    first_sd, second_sd
        Their sampling SDs.
    change, sd, total_sd
        Difference with its sampling SD and with priors, misfit and baseline counted, both from the full covariance.
    low, high
        95 % interval from ``total_sd``; infinite where a denominator cannot be told from zero.
    correlation
        Of the sampling errors of the two values.
    """

    first: float
    second: float
    first_sd: float
    second_sd: float
    change: float
    sd: float
    total_sd: float
    low: float
    high: float
    correlation: float


@dataclass(frozen=True, eq=False)
class VisitAmplitudes:
    """Amplitudes of several visits with their covariances, those between visits included.

    Parameters
    ----------
    visits
        Labels of the visits in order, length V.
    names
        Components that all visits have, length K.
    amplitudes
        Shape ``(V, K)``.
    covariance, total_covariance
        Of all amplitudes, visit by visit, shape ``(V K, V K)``: sampling of the estimator as used; that plus priors,
        misfit and the choice of baseline.
    """

    visits: tuple[str, ...]
    names: tuple[str, ...]
    amplitudes: FloatArray
    covariance: FloatArray
    total_covariance: FloatArray

    def weights(self, name: str) -> FloatArray:
        """Weights of a metabolite or of a combined one such as ``tNAA``, shape ``(K,)``."""
        parts = self._parts(name)
        weights = np.array([float(other in parts) for other in self.names])
        if not weights.any():
            raise FitError(f"{name} was not fitted in every visit", remedy=f"use one of {', '.join(self.names)}")
        return weights

    def has(self, name: str) -> bool:
        """Whether a metabolite or combination was fitted."""
        return any(part in self.names for part in self._parts(name))

    def _parts(self, name: str) -> tuple[str, ...]:
        """Members of a metabolite (in any spelling) or combination; a component of that name comes first."""
        return parts_of(name, self.names)

    def amount(self, name: str, visit: str, factors: Mapping[str, float] | None = None) -> Quantity:
        """Amplitude of a metabolite or combination in one visit.

        Parameters
        ----------
        name, visit
            What and when.
        factors
            Factor of each component from amplitude to another unit, taken as known; NaN where one is missing.
        """
        weights = self.weights(name)
        if factors is not None:
            each = np.array([factors.get(other, np.nan) for other in self.names])
            weights = np.where(weights > 0, weights * each, 0.0)
        stacked = self._stacked(weights, visit)
        return Quantity(float(stacked @ self.amplitudes.ravel()), stacked)

    def ratio(self, name: str, visit: str, denominator: str = "tCr") -> Quantity:
        """Ratio to a combination in one visit, linearised (delta method)."""
        top, bottom = self.amount(name, visit), self.amount(denominator, visit)
        if bottom.value == 0:
            return Quantity(float("nan"), np.zeros_like(top.gradient), weak=True)
        value = top.value / bottom.value
        variance = float(bottom.gradient @ self.total_covariance @ bottom.gradient)
        gradient = (top.gradient - value * bottom.gradient) / bottom.value
        return Quantity(value, gradient, weak=bottom.value**2 <= Z95**2 * variance)

    def change(self, first: Quantity, second: Quantity) -> Change:
        """Difference of two quantities with its uncertainty."""
        both = np.stack([first.gradient, second.gradient])
        sampling = both @ self.covariance @ both.T
        sds = np.sqrt(np.maximum(np.diagonal(sampling), 0.0))
        step = second.gradient - first.gradient
        sd, total = (
            float(np.sqrt(max(float(step @ matrix @ step), 0.0))) for matrix in (self.covariance, self.total_covariance)
        )
        change = second.value - first.value
        half = float("inf") if first.weak or second.weak else Z95 * total
        known = float(sds.prod()) > 0
        return Change(
            first=first.value,
            second=second.value,
            first_sd=float(sds[0]),
            second_sd=float(sds[1]),
            change=change,
            sd=sd,
            total_sd=total,
            low=change - half,
            high=change + half,
            correlation=float(sampling[0, 1] / sds.prod()) if known else 0.0,
        )

    def amount_change(self, name: str, first: str, second: str) -> Change:
        """Change of an amplitude from one visit to another."""
        return self.change(self.amount(name, first), self.amount(name, second))

    def ratio_change(self, name: str, first: str, second: str, denominator: str = "tCr") -> Change:
        """Change of a ratio from one visit to another."""
        return self.change(self.ratio(name, first, denominator), self.ratio(name, second, denominator))

    def _stacked(self, weights: FloatArray, visit: str) -> FloatArray:
        if visit not in self.visits:
            raise FitError(f"the visit {visit} is not in the joint fit", remedy=f"use one of {', '.join(self.visits)}")
        out = np.zeros_like(self.amplitudes)
        out[self.visits.index(visit)] = weights
        return out.ravel()


def side_by_side(fits: Sequence[FitResult], visits: Sequence[str]) -> VisitAmplitudes:
    """Put independent fits next to each other: no covariance between visits."""
    names = common_names([fit.names for fit in fits])
    places = [[fit.names.index(name) for name in names] for fit in fits]
    return VisitAmplitudes(
        tuple(visits),
        names,
        np.array([fit.amplitudes[place] for fit, place in zip(fits, places, strict=True)]),
        block_diag(*[fit.covariance[np.ix_(place, place)] for fit, place in zip(fits, places, strict=True)]),
        block_diag(*[fit.total_covariance[np.ix_(place, place)] for fit, place in zip(fits, places, strict=True)]),
    )


def common_names(names: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """Names that all lists have, in the order of the first."""
    return tuple(name for name in names[0] if all(name in other for other in names[1:]))


@dataclass(frozen=True, eq=False)
class JointFit:
    """Joint fit of the visits of one participant and region.

    Parameters
    ----------
    joint
        Amplitudes of the joint fit.
    independent
        Those of the fits apart, which stay the primary analysis.
    fits
        The independent fits.
    sharing
        How much of what is shared may differ between visits.
    baseline_dimensions
        Effective dimensions of the baselines per ppm, one per visit.
    residual_ratio
        Root mean square residual of each visit over that of its independent fit.
    left_out
        Visits that could not enter, with the reason.
    status
        ``ok`` or ``doubtful``.
    flags, notes
        Why not ``ok``: codes and words.
    nonlinear
        Nonlinear parameters of each visit: name to value (shifts and widths in Hz, phases in rad and s).
    evaluations
        Model evaluations of all visits, the independent fits not counted.
    metrics
        Further numbers by name.
    """

    joint: VisitAmplitudes
    independent: VisitAmplitudes
    fits: tuple[FitResult, ...]
    sharing: Sharing
    baseline_dimensions: tuple[float, ...]
    residual_ratio: tuple[float, ...]
    left_out: dict[str, str]
    status: str
    flags: tuple[str, ...]
    notes: tuple[str, ...]
    nonlinear: tuple[dict[str, float], ...]
    evaluations: int
    metrics: dict[str, float] = field(default_factory=dict)
