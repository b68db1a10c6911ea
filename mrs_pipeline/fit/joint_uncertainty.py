r"""Covariance of the amplitudes of all visits, across visits, from the full Jacobian of the joint problem.

As for one visit (:mod:`mrs_pipeline.fit.uncertainty`), with the Jacobians of the visits as blocks and the coupled prior
rows across them. A deviation of the truth from what the visits share moves all visits alike, so that most of it leaves
the change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import block_diag

from mrs_pipeline.fit.components import METABOLITES
from mrs_pipeline.fit.joint_problem import JointObjective
from mrs_pipeline.fit.model import token
from mrs_pipeline.fit.objective import Evaluation, Objective
from mrs_pipeline.fit.selection import Search
from mrs_pipeline.fit.uncertainty import Information, hessian_inverse, misfit_curvature, prior_scales, slopes
from mrs_pipeline.spectrum import FloatArray

BETWEEN = "_between"
"""Ending of the families of prior rows that are differences between visits."""


@dataclass(frozen=True, eq=False)
class JointCovariances:
    """Covariances of the amplitudes of all visits, shape ``(V K, V K)``, and the scale of each family of priors."""

    sampling: FloatArray
    total: FloatArray
    prior_scale: dict[str, float]


def joint_covariances(
    problem: JointObjective, theta: FloatArray, noise: Sequence[float], search: Search
) -> JointCovariances:
    r"""Compute the covariances at a solution.

    Parameters
    ----------
    problem, theta
        Joint problem and its solution.
    noise
        SD of the noise in the data of each visit; its fit may have used a larger one to allow for misfit.
    search
        What the choice of the baseline stiffness does to the amplitudes of all visits.

    Notes
    -----
    Sampling: :math:`H^{-1}J^TNJH^{-1}` with the Hessian :math:`H`, :math:`N` the squared weights times the variance of
    the noise over the one used in each visit. Total: :math:`N` from the weights alone, plus :math:`H^{-1}(\kappa
    P_\mathrm{own} + P_\mathrm{baseline})H^{-1}`.
    """
    information, place = joint_information(problem, theta)
    jacobian, own, penalty = information.jacobian, information.own, information.penalty
    plain, whole = hessian_inverse(information)
    inverse = whole[place]
    weight = np.concatenate([visit.weight for visit in problem.visits])
    drawn = [np.full(v.weight.size, sd / v.noise_sd) for v, sd in zip(problem.visits, noise, strict=True)]
    noisy = inverse @ (jacobian * (weight * np.concatenate(drawn))[:, None]).T
    misfit = inverse @ (jacobian * weight[:, None]).T
    kappa = prior_scales(information, plain)
    moved = inverse @ (own.T * np.sqrt([kappa[family] for family in information.families]))
    bent = inverse * np.sqrt(np.diagonal(penalty))
    total = misfit @ misfit.T + moved @ moved.T + bent @ bent.T
    return JointCovariances(noisy @ noisy.T + search.drawn, total + search.plausible, kappa)


def joint_information(problem: JointObjective, theta: FloatArray) -> tuple[Information, npt.NDArray[np.int_]]:
    """Full Jacobian and prior information of the joint problem, and where the amplitudes stand in it.

    Returns
    -------
    Information
        Columns visit by visit: nonlinear parameters, amplitudes, baseline modes.
    ndarray
        Columns of the amplitudes, shape ``(V K,)``.
    """
    point = problem.at(theta)
    parts = list(zip(problem.visits, point.points, problem.split_amplitudes(point.solution.amplitudes), strict=True))
    slope = [slopes(visit, own, amplitudes) for visit, own, amplitudes in parts]
    blocks = [_visit_jacobian(visit, own, moved) for (visit, own, _), (_, moved, _) in zip(parts, slope, strict=True)]
    sizes = [_sizes(visit) for visit in problem.visits]
    starts = np.cumsum([0] + [sum(size) for size in sizes])[:-1]
    parameters = np.concatenate([start + np.arange(p) for start, (p, _, _) in zip(starts, sizes, strict=True)])
    place = np.concatenate([start + p + np.arange(k) for start, (p, k, _) in zip(starts, sizes, strict=True)])
    jacobian = block_diag(*blocks)
    ratios = np.zeros((problem.rows.shape[0], jacobian.shape[1]))
    ratios[:, place] = problem.rows
    own = np.zeros((problem.parameter_prior.shape[0], jacobian.shape[1]))
    own[:, parameters] = problem.parameter_coupling.matrix @ problem.parameter_prior
    counts = np.sum(sizes, axis=0)
    information = Information(
        jacobian=jacobian,
        own=np.concatenate([ratios, own]),
        deviation=problem.deviations(theta),
        families=_families(problem),
        penalty=np.diag(np.concatenate([_penalty(visit) for visit in problem.visits])),
        counts=(int(counts[0]), int(counts[1]), int(counts[2])),
        curvature=block_diag(
            *[misfit_curvature(*part, back, pull) for part, (back, _, pull) in zip(parts, slope, strict=True)]
        ),
    )
    return information, place


def _sizes(visit: Objective) -> tuple[int, int, int]:
    """Numbers of varying parameters, amplitudes and baseline modes of a visit."""
    modes = 0 if visit.baseline is None else visit.baseline.penalty.size
    return visit.varying.size, len(visit.model.components), modes


def _visit_jacobian(visit: Objective, point: Evaluation, moved: FloatArray) -> FloatArray:
    """Weighted data of one visit by its parameters, amplitudes and baseline modes, shape ``(n, q)``."""
    scale = visit.weight / visit.noise_sd
    modes = np.zeros((0, scale.size)) if visit.baseline is None else visit.baseline.modes.T
    return np.asarray(np.concatenate([moved * scale, point.spectra.real * scale, modes]).T)


def _penalty(visit: Objective) -> FloatArray:
    p, count, modes = _sizes(visit)
    bent = np.zeros(modes) if visit.baseline is None else visit.stiffness * visit.baseline.penalty
    return np.concatenate([np.zeros(p + count), bent])


def _families(problem: JointObjective) -> tuple[str, ...]:
    """Family of each coupled row: what its visits' rows are about, and whether it compares visits."""
    amplitudes = [name for visit in problem.visits for name in _ratio_families(visit)]
    parameters = [name for visit in problem.visits for name in _parameter_families(visit)]
    couplings = (problem.amplitude_coupling, problem.parameter_coupling)
    return tuple(
        name + BETWEEN * bool(contrast)
        for names, coupling in zip((amplitudes, parameters), couplings, strict=True)
        for name, contrast in zip(names, coupling.contrast, strict=True)
    )


def _ratio_families(visit: Objective) -> list[str]:
    group = visit.model.components.group
    return ["ratio" if (group[np.flatnonzero(row)] == METABOLITES).all() else "background_ratio" for row in visit.rows]


def _parameter_families(visit: Objective) -> list[str]:
    model, components = visit.model, visit.model.components
    background = {
        f"shift_{token(n)}" for n, g in zip(components.names, components.group, strict=True) if g != METABOLITES
    }
    names = [model.names[position] for position in visit.varying if np.isfinite(model.sd[position])]
    return ["background" if n in background or "_group" in n else n.partition("_")[0] for n in names]
