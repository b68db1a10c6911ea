"""The function that is minimised: residual of data and priors with amplitudes and baseline projected out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from mrs_pipeline.fit.baseline import Baseline
from mrs_pipeline.fit.model import HELD, Model
from mrs_pipeline.fit.projection import BoolArray, LinearSolution, nonnegative_solve, projected_jacobian
from mrs_pipeline.spectrum import ComplexArray, FloatArray


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Everything known at one point of the nonlinear parameters.

    Parameters
    ----------
    theta
        Nonlinear parameters, shape ``(p,)``.
    modulated
        FIDs of the components, shape ``(K, n_points)``.
    spectra
        Their complex spectra over the window, shape ``(K, n)``.
    design
        Whitened columns with the baseline projected out, shape ``(K, n)``.
    gram
        Normal matrix including the prior rows on amplitudes, shape ``(K, K)``.
    solution
        Amplitudes and free set.
    residual
        Whitened data residual with the baseline projected out, shape ``(n,)``.
    """

    theta: FloatArray
    modulated: ComplexArray
    spectra: ComplexArray
    design: FloatArray
    gram: FloatArray
    solution: LinearSolution
    residual: FloatArray


class Objective:
    """Projected least-squares problem of one spectrum at one baseline stiffness.

    Parameters
    ----------
    model
        Signal model.
    data
        Real spectrum over the window, shape ``(n,)``.
    noise_sd
        Standard deviation of the noise in ``data``.
    baseline
        Baseline family; ``None`` for no baseline.
    stiffness
        Baseline stiffness.
    rows
        Prior rows on the amplitudes, shape ``(m, K)``; their target is zero.
    weight
        Weight of each point, shape ``(n,)``; ones when ``None``.

    Notes
    -----
    The last evaluation is kept, since residual and Jacobian are asked for at the same point; this cache is the only
    state.
    """

    def __init__(
        self,
        model: Model,
        data: FloatArray,
        noise_sd: float,
        baseline: Baseline | None,
        stiffness: float,
        rows: FloatArray,
        weight: FloatArray | None = None,
    ) -> None:
        self.weight = np.ones(data.size) if weight is None else weight
        self.model, self.baseline, self.stiffness, self.rows = model, baseline, stiffness, rows
        self.noise_sd = noise_sd
        self.target = self.whiten(data)
        self.varying: npt.NDArray[np.int_] = np.flatnonzero(model.sd > HELD)
        self.evaluations = 0
        self._start: BoolArray | None = None
        self._last: Evaluation | None = None

    def whiten(self, x: FloatArray) -> FloatArray:
        """Weigh, divide by the noise and project the baseline out, shape ``(..., n)``."""
        return self._annihilate(x * (self.weight / self.noise_sd))

    def unwhiten(self, x: FloatArray) -> FloatArray:
        """Apply the transpose of :meth:`whiten`, shape ``(n,)``."""
        return self._annihilate(x) * (self.weight / self.noise_sd)

    def _annihilate(self, x: FloatArray) -> FloatArray:
        return x if self.baseline is None else self.baseline.annihilate(self.stiffness, x)

    def smooth(self, left: FloatArray) -> FloatArray:
        """Baseline of what the components leave of the data, shape ``(n,)``."""
        if self.baseline is None:
            return np.zeros_like(left)
        return self.baseline.estimate(self.stiffness, left * self.weight) / self.weight

    def at(self, theta: FloatArray) -> Evaluation:
        """Evaluate at full nonlinear parameters (or return the kept evaluation)."""
        if self._last is not None and np.array_equal(self._last.theta, theta):
            return self._last
        self.evaluations += 1
        modulated = self.model.modulated(theta)
        spectra = self.model.to_window(modulated) * self.model.phase(theta)
        design = self.whiten(spectra.real)
        gram = design @ design.T + self.rows.T @ self.rows
        solution = nonnegative_solve(gram, design @ self.target, self.model.components.signed, self._start)
        residual = self.target - solution.amplitudes @ design
        self._start = solution.free
        self._last = Evaluation(theta.copy(), modulated, spectra, design, gram, solution, residual)
        return self._last

    def residual(self, theta: FloatArray) -> FloatArray:
        """Rows of data, amplitude priors and parameter priors."""
        point = self.at(theta)
        return np.concatenate([point.residual, -self.rows @ point.solution.amplitudes, self._prior(theta)])

    def jacobian(self, theta: FloatArray, columns: npt.NDArray[np.int_] | None = None) -> FloatArray:
        """Differentiate :meth:`residual` with respect to the varying parameters, or some of them."""
        point = self.at(theta)
        back = self.unwhiten(point.residual)
        moved, pull = self.model.derivatives(theta, point.solution.amplitudes, point.modulated, back)
        use = self.varying if columns is None else self.varying[columns]
        data = projected_jacobian(
            point.design, self.rows, point.gram, point.solution.free, self.whiten(moved[use]), pull[use]
        )
        return np.concatenate([data, self._prior_slope if columns is None else self._prior_slope[:, columns]])

    @cached_property
    def _prior_slope(self) -> FloatArray:
        sd = self.model.sd[self.varying]
        return np.asarray(np.diag(1.0 / sd)[np.isfinite(sd)])

    def cost(self, theta: FloatArray) -> float:
        """Sum of squares of :meth:`residual`."""
        return float(np.sum(self.residual(theta) ** 2))

    def _prior(self, theta: FloatArray) -> FloatArray:
        use = self.varying[np.isfinite(self.model.sd[self.varying])]
        return np.asarray((theta[use] - self.model.mean[use]) / self.model.sd[use])
