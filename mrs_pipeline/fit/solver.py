"""The nonlinear solver: lmfit's least_squares with our analytic Jacobian."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mrs_pipeline.fit.objective import Objective
from mrs_pipeline.spectrum import FloatArray


@dataclass(frozen=True, eq=False)
class Solution:
    """End of a minimisation.

    Parameters
    ----------
    theta
        All nonlinear parameters, shape ``(p,)``.
    cost
        Sum of squares: data, amplitude priors, parameter priors.
    evaluations
        Model evaluations spent.
    success
        Whether the solver met its tolerance.
    message
        The solver's own words.
    """

    theta: FloatArray
    cost: float
    evaluations: int
    success: bool
    message: str


def solve(
    objective: Objective,
    start: FloatArray,
    only: npt.NDArray[np.int_] | None = None,
    *,
    tolerance: float = 1e-6,
    max_evaluations: int = 60,
) -> Solution:
    """Minimise over the varying parameters, or over some of them.

    Parameters
    ----------
    objective
        Projected problem.
    start
        Start values of all parameters, shape ``(p,)``.
    only
        Positions of the parameters to vary; all that the model frees when ``None``.
    tolerance
        Relative change of cost at which to stop.
    max_evaluations
        Limit on residual evaluations.
    """
    varying = objective.varying
    wanted = varying if only is None else np.intersect1d(varying, only)
    columns = None if only is None else np.searchsorted(varying, wanted)
    names = objective.model.names
    fixed = np.array(start, dtype=float)

    def full(params: Any) -> FloatArray:  # noqa: ANN401  lmfit has no types
        theta = fixed.copy()
        theta[wanted] = [params[names[position]].value for position in wanted]
        return theta

    before = objective.evaluations
    minimizer = _minimizer(lambda params: objective.residual(full(params)), _parameters(objective, fixed, wanted))
    result = minimizer.least_squares(
        jac=lambda params: objective.jacobian(full(params), columns),
        x_scale=_scale(objective, wanted),
        ftol=tolerance,
        xtol=1e-8,
        gtol=1e-8,
        max_nfev=max_evaluations,
    )
    result.call_kws = {}  # lmfit keeps the minimizer's own method there, a cycle that holds the spectrum's arrays
    theta = full(result.params)
    return Solution(
        theta,
        objective.cost(theta),
        objective.evaluations - before,
        bool(result.success),
        str(getattr(result, "message", "")),
    )


def _minimizer(residual: Callable[[Any], FloatArray], params: Any) -> Any:  # noqa: ANN401  lmfit has no types
    """Build lmfit's Minimizer without its error bars: those see only these parameters."""
    from lmfit import Minimizer

    class Plain(Minimizer):  # type: ignore[misc]
        def _calculate_uncertainties_correlations(self) -> None:
            """Leave the error bars out: finite differences through every parameter would cost more than the fit."""

    return Plain(residual, params, calc_covar=False)


def _scale(objective: Objective, wanted: npt.NDArray[np.int_]) -> FloatArray:
    sd = objective.model.sd[wanted]
    return np.where(np.isfinite(sd), sd, 1.0)


def _parameters(objective: Objective, start: FloatArray, wanted: npt.NDArray[np.int_]) -> Any:  # noqa: ANN401  lmfit has no types
    from lmfit import Parameters

    out = Parameters()
    for position in wanted:
        prior = objective.model.parameters[position]
        out.add(
            prior.name,
            value=float(np.clip(start[position], prior.lower, prior.upper)),
            min=prior.lower,
            max=prior.upper,
        )
    return out
