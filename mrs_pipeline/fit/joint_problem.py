r"""The joint least-squares problem of several visits: what they share, and its projected residual and Jacobian.

Every visit keeps its own model, noise, weights, baseline and amplitudes; visits meet in the priors alone. A quantity
that does not change between visits (the shift or width of a metabolite, the ratio of a macromolecule peak to its
reference) has in visit v the deviation :math:`z_v` from its prior mean, in prior SDs. Fitted apart, the
:math:`z_v` are independent with variance 1. Fitted jointly, they still have variance 1 each, and

.. math:: z_v = c + d_v, \quad \mathrm{var}(c) = 1 - s^2, \quad \mathrm{var}(d_v) = s^2,

with ``s`` the SD between visits as a share of the prior SD: 0 shares fully, 1 is independent fits. The common part is
integrated out: the rows of V visits are rotated to their mean and V - 1 contrasts, which have variances
:math:`1+(V-1)(1-s^2)` and :math:`s^2`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.linalg import block_diag, helmert

from mrs_pipeline.fit.components import LIPIDS, MACROMOLECULES, METABOLITES
from mrs_pipeline.fit.model import Parameter, token
from mrs_pipeline.fit.objective import Evaluation, Objective
from mrs_pipeline.fit.projection import BoolArray, LinearSolution, nonnegative_solve, projected_jacobian
from mrs_pipeline.spectrum import FloatArray

LOOSE = 1.0
"""SD between visits over prior SD at which nothing is shared."""
TIGHTEST = 1e-4
"""Smallest SD between visits over prior SD that is computed with; anything below is the same as full sharing."""
SHARED_PREFIXES = ("shift_", "width_")
"""Nonlinear parameters that a participant keeps: own and group shifts and widths. All others belong to the visit:
phases, common shift and widths, and whatever else describes the lineshape."""


@dataclass(frozen=True)
class Sharing:
    """How much of what visits share may differ between them: SD between visits over the prior SD, 0 to 1.

    Parameters
    ----------
    own
        Shift and width of each metabolite against the common ones. 0.25 allows a quarter of their prior SDs.
    background
        Shifts and widths of macromolecules and lipids, and the ratios of their peaks. 0.25 allows each ratio a
        quarter of its prior SD.
    stiffness
        Whether all visits have baselines of the same effective dimensions.
    """

    own: float = 0.25
    background: float = 0.25
    stiffness: bool = True

    @classmethod
    def none(cls) -> Sharing:
        """Share nothing: the joint fit is then the independent fits."""
        return cls(LOOSE, LOOSE, stiffness=False)


@dataclass(frozen=True)
class Row:
    """One prior row of one visit: what it is about (equal in all visits) and its SD between visits."""

    visit: int
    subject: str
    between: float


def parameter_rows(objective: Objective, visit: int, sharing: Sharing) -> list[Row]:
    """Prior rows of the varying parameters that have a finite prior, in the order of the parameters."""
    model = objective.model
    components = model.components
    background = {
        f"shift_{token(name)}"
        for name, group in zip(components.names, components.group, strict=True)
        if group != METABOLITES
    }
    rows = []
    for position in objective.varying:
        if np.isfinite(model.sd[position]):
            name = model.names[position]
            kept = sharing.background if name in background or "_group" in name else sharing.own
            rows.append(Row(visit, name, kept if name.startswith(SHARED_PREFIXES) else LOOSE))
    return rows


def amplitude_rows(objective: Objective, visit: int, sharing: Sharing) -> list[Row]:
    """Prior rows of the amplitudes: those between peaks of the background are shared, those of metabolites are not."""
    components = objective.model.components
    rows = []
    for row in objective.rows:
        about = np.flatnonzero(row)
        background = np.isin(components.group[about], (MACROMOLECULES, LIPIDS)).all()
        subject = "/".join(components.names[position] for position in about)
        rows.append(Row(visit, f"ratio_{subject}", sharing.background if background else LOOSE))
    return rows


@dataclass(frozen=True, eq=False)
class Coupling:
    """Linear map from the stacked prior rows of all visits to independent rows of unit variance.

    Parameters
    ----------
    matrix
        Shape ``(m, m)``.
    contrast
        Which of the new rows are differences between visits, shape ``(m,)``.
    """

    matrix: FloatArray
    contrast: BoolArray


def couple(rows: Sequence[Row]) -> Coupling:
    """Rotate the rows of one subject to their mean and contrasts, and scale each to unit variance.

    Notes
    -----
    Orthonormal Helmert contrasts; of equicorrelated variables with correlation :math:`1-s^2` they are independent. Rows
    that only one visit has, and rows with ``s`` = 1, stay as they are.
    """
    matrix, contrast = np.eye(len(rows)), np.zeros(len(rows), bool)
    subjects: dict[str, list[int]] = {}
    for position, row in enumerate(rows):
        if row.between < LOOSE:
            subjects.setdefault(row.subject, []).append(position)
    for members in subjects.values():
        between = max(rows[members[0]].between, TIGHTEST) ** 2
        variance = np.full(len(members), between)
        variance[0] = 1.0 + (len(members) - 1) * (1.0 - between)
        matrix[np.ix_(members, members)] = helmert(len(members), full=True) / np.sqrt(variance)[:, None]
        contrast[members[1:]] = True
    return Coupling(matrix, contrast)


@dataclass(frozen=True, eq=False)
class JointModel:
    """Nonlinear parameters of all visits, one visit after the other; names start with ``v1_``, ``v2_``, ..."""

    parameters: tuple[Parameter, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the parameters."""
        return tuple(parameter.name for parameter in self.parameters)

    @cached_property
    def sd(self) -> FloatArray:
        """Prior standard deviations, shape ``(p,)``."""
        return np.array([parameter.sd for parameter in self.parameters])


@dataclass(frozen=True, eq=False)
class JointEvaluation:
    """The joint problem at one point.

    Parameters
    ----------
    theta
        Parameters of all visits, shape ``(p,)``.
    points
        Each visit on its own; amplitudes and residual there are not those of the joint solution.
    gram
        Joint normal matrix of the amplitudes, shape ``(V K, V K)``.
    solution
        Amplitudes of all visits.
    residuals
        Whitened data residual of each visit.
    """

    theta: FloatArray
    points: tuple[Evaluation, ...]
    gram: FloatArray
    solution: LinearSolution
    residuals: tuple[FloatArray, ...]


class JointObjective:
    """Projected least-squares problem of several visits.

    Parameters
    ----------
    visits
        Problem of each visit, with its own noise, weights, baseline stiffness and prior rows.
    sharing
        How much of what is shared may differ between visits.

    Notes
    -----
    Has what :func:`mrs_pipeline.fit.solver.solve` asks of a problem. Amplitudes of all visits are eliminated together,
    non-negative, under the coupled rows. The last evaluation is kept.
    """

    def __init__(self, visits: Sequence[Objective], sharing: Sharing) -> None:
        self.visits, self.sharing = tuple(visits), sharing
        parameters = [
            _renamed(item, number) for number, visit in enumerate(self.visits, 1) for item in visit.model.parameters
        ]
        self.model = JointModel(tuple(parameters))
        starts = np.cumsum([0] + [len(visit.model.parameters) for visit in self.visits])
        self.offsets: tuple[int, ...] = tuple(int(start) for start in starts)
        self.varying: npt.NDArray[np.int_] = np.concatenate(
            [visit.varying + start for visit, start in zip(self.visits, self.offsets, strict=False)]
        )
        each = list(enumerate(self.visits))
        self.amplitude_coupling = couple([row for v, visit in each for row in amplitude_rows(visit, v, sharing)])
        self.parameter_coupling = couple([row for v, visit in each for row in parameter_rows(visit, v, sharing)])
        self.rows: FloatArray = self.amplitude_coupling.matrix @ block_diag(*[visit.rows for visit in self.visits])
        self.signed = np.concatenate([visit.model.components.signed for visit in self.visits])
        self.evaluations = 0
        self._start: BoolArray | None = None
        self._last: JointEvaluation | None = None

    def split(self, theta: FloatArray) -> list[FloatArray]:
        """Parameters of each visit."""
        return np.split(theta, self.offsets[1:-1])

    def split_amplitudes(self, amplitudes: FloatArray) -> list[FloatArray]:
        """Amplitudes of each visit."""
        return np.split(amplitudes, np.cumsum([len(visit.model.components) for visit in self.visits])[:-1])

    def at(self, theta: FloatArray) -> JointEvaluation:
        """Evaluate at the parameters of all visits (or return the kept evaluation)."""
        if self._last is not None and np.array_equal(self._last.theta, theta):
            return self._last
        self.evaluations += 1
        points = tuple(visit.at(part) for visit, part in zip(self.visits, self.split(theta), strict=True))
        gram = block_diag(*[point.design @ point.design.T for point in points]) + self.rows.T @ self.rows
        moment = np.concatenate([p.design @ visit.target for p, visit in zip(points, self.visits, strict=True)])
        solution = nonnegative_solve(gram, moment, self.signed, self._start)
        parts = zip(self.visits, points, self.split_amplitudes(solution.amplitudes), strict=True)
        residuals = tuple(visit.target - amplitudes @ point.design for visit, point, amplitudes in parts)
        self._start = solution.free
        self._last = JointEvaluation(theta.copy(), points, gram, solution, residuals)
        return self._last

    def deviations(self, theta: FloatArray) -> FloatArray:
        """Coupled prior rows at the solution, those of amplitudes first, shape ``(m,)``."""
        amplitudes = self.at(theta).solution.amplitudes
        return np.concatenate([-self.rows @ amplitudes, self._prior(theta)])

    def residual(self, theta: FloatArray) -> FloatArray:
        """Rows of data of all visits, amplitude priors, parameter priors."""
        return np.concatenate([*self.at(theta).residuals, self.deviations(theta)])

    def jacobian(self, theta: FloatArray, columns: npt.NDArray[np.int_] | None = None) -> FloatArray:
        """Differentiate :meth:`residual` with respect to the varying parameters, or some of them."""
        point = self.at(theta)
        moved, pull = [], []
        parts = zip(
            self.visits,
            point.points,
            self.split(theta),
            self.split_amplitudes(point.solution.amplitudes),
            point.residuals,
            strict=True,
        )
        for visit, own, mine, amplitudes, left in parts:
            raw, pulled = visit.model.derivatives(mine, amplitudes, own.modulated, visit.unwhiten(left))
            moved.append(visit.whiten(raw[visit.varying]))
            pull.append(pulled[visit.varying])
        design = block_diag(*[own.design for own in point.points])
        data = projected_jacobian(
            design, self.rows, point.gram, point.solution.free, block_diag(*moved), block_diag(*pull)
        )
        slope = np.concatenate([data, self.parameter_coupling.matrix @ self.parameter_prior])
        return slope if columns is None else slope[:, columns]

    def cost(self, theta: FloatArray) -> float:
        """Sum of squares of :meth:`residual`."""
        return float(np.sum(self.residual(theta) ** 2))

    @cached_property
    def parameter_prior(self) -> FloatArray:
        """Derivative of the uncoupled parameter priors by the varying parameters, shape ``(m, p)``."""
        sd = self.model.sd[self.varying]
        return np.asarray(np.diag(1.0 / sd)[np.isfinite(sd)])

    def _prior(self, theta: FloatArray) -> FloatArray:
        mean = np.array([parameter.mean for parameter in self.model.parameters])
        return np.asarray(self.parameter_coupling.matrix @ (self.parameter_prior @ (theta - mean)[self.varying]))


def _renamed(parameter: Parameter, visit: int) -> Parameter:
    return Parameter(
        f"v{visit}_{parameter.name}", parameter.start, parameter.mean, parameter.sd, parameter.lower, parameter.upper
    )
