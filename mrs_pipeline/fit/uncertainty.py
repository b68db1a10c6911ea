r"""Uncertainty of the amplitudes from the full Jacobian of nonlinear parameters, amplitudes and baseline.

Write :math:`J = [J_\theta, S^T, Z]` for the derivatives of the weighted data in units of the fit's noise SD, and
:math:`P` for the prior information on the same parameters (diagonal for :math:`\theta`, ratio rows for the amplitudes,
:math:`\lambda s` for the baseline). The estimator moves with the noise by :math:`F^{-1}J^T` and with a deviation of
the truth from the priors by :math:`F^{-1}P`, :math:`F = J^TJ + P`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mrs_pipeline.fit.basis_error import BasisError, basis_spread, windows
from mrs_pipeline.fit.components import MACROMOLECULES, METABOLITES
from mrs_pipeline.fit.model import token
from mrs_pipeline.fit.objective import Evaluation, Objective
from mrs_pipeline.fit.selection import Search
from mrs_pipeline.spectrum import FloatArray

COMMON = frozenset({"phi0", "phi1", "shift", "gauss", "lorentz"})
"""Nonlinear parameters of the conventional model, over which the Cramér-Rao bound is taken."""
BACKGROUND_RATIO = "background_ratio"
"""Family of the ratios of macromolecule and lipid peaks."""
PSEUDO_ROWS = 2.0
"""Prior rows' worth of belief that a family of priors has the right width; few rows tell little about it."""
LEAST_MACROMOLECULES = 5.0
"""Height of the macromolecules in noise SDs from which their ratios are looked at."""
FEWEST_ROWS = 4
LARGEST_STRAIN = 4.0
"""How many ratios may scale the total uncertainty, and by how much: beyond twice the SD the flags of a fit count."""


@dataclass(frozen=True, eq=False)
class Covariances:
    """Covariances of all amplitudes, shape ``(K, K)`` each.

    Parameters
    ----------
    crlb
        Cramér-Rao bound from the data alone.
    sampling
        Sampling covariance of the estimator as used (sandwich), for the noise of the data.
    total
        Sampling, plus what misfit, deviations from the priors and errors of the basis may do.
    prior_scale
        Per family of priors: factor on its variances that the fitted deviations suggest (1: as stated).
    macromolecule_scale
        The same for the ratios of the macromolecule peaks alone, 1 where these are lost in the noise.
    nonlinear
        Sampling SD of the varying nonlinear parameters, shape ``(p,)``.
    """

    crlb: FloatArray
    sampling: FloatArray
    total: FloatArray
    prior_scale: dict[str, float]
    macromolecule_scale: float
    nonlinear: FloatArray


@dataclass(frozen=True, eq=False)
class LineshapeChoice:
    """How the reach of the lineshape's prior, which the data choose, moves with them.

    Parameters
    ----------
    response
        Change of the chosen place per unit of the data, shape ``(n,)``.
    widening
        Change of the log prior SD of each nonlinear parameter with the place, shape ``(p,)``.
    """

    response: FloatArray
    widening: FloatArray


@dataclass(frozen=True, eq=False)
class Information:
    """Full problem at a solution, in units of the fit's noise SD.

    Parameters
    ----------
    jacobian
        Rows of data, shape ``(n, q)``; columns: nonlinear parameters, amplitudes, baseline modes.
    own
        Prior rows on nonlinear parameters and amplitudes in units of their SD, shape ``(m, q)``.
    deviation
        Their values at the solution, shape ``(m,)``.
    families
        Family of each row.
    penalty
        Prior information of the baseline, shape ``(q, q)``.
    counts
        Numbers of nonlinear parameters, amplitudes and baseline modes.
    curvature
        Second derivatives of the model times the residual, which the Hessian has beside :math:`J^TJ + P`, shape
        ``(q, q)``; ``None`` where they are left out.
    """

    jacobian: FloatArray
    own: FloatArray
    deviation: FloatArray
    families: tuple[str, ...]
    penalty: FloatArray
    counts: tuple[int, int, int]
    curvature: FloatArray | None = None


def covariances(
    objective: Objective,
    theta: FloatArray,
    noise_sd: float,
    search: Search,
    basis: BasisError | None = None,
    lineshape: LineshapeChoice | None = None,
) -> Covariances:
    r"""Compute the three covariances at a solution.

    Parameters
    ----------
    objective, theta
        Problem and solution.
    noise_sd
        SD of the noise in the data; the fit may have used a larger one to allow for misfit.
    search
        What the choice of the baseline stiffness does to the amplitudes.
    basis
        Errors of the basis signals; ``None`` where they count as exact.
    lineshape
        How the reach of the lineshape's prior was chosen; ``None`` where it was set.

    Notes
    -----
    Sampling: :math:`RR^T` with the reaction of the estimate to the noise :math:`R = H^{-1}J^TW + vq^T`, the weights
    :math:`W`, the noise of the data and the Hessian :math:`H = F - \sum r\,\partial^2m` (:func:`hessian_inverse`), plus
    ``search.drawn``: another draw of the noise may pick another stiffness. It also moves the reach of the lineshape's
    prior by :math:`q^Te`, and that the estimate by :math:`v = H^{-1}\,2\theta\,(\ln s)'/s^2`, since
    :math:`H\,d\theta = -d(\theta/s^2)`. Total: the same with the fit's noise SD and ``search.plausible``, plus
    :math:`H^{-1}(\kappa P_\mathrm{own} + P_\mathrm{baseline})H^{-1}` and what errors of the basis do
    (:mod:`mrs_pipeline.fit.basis_error`). With :math:`\kappa = 1`, no misfit and an exact basis this is the posterior
    covariance :math:`F^{-1}`; :math:`\kappa` is estimated from the fit itself as the prior cost over its expectation
    :math:`m - \mathrm{tr}(F^{-1}P_\mathrm{own})`.

    The deviations from the priors are then multiplied by :math:`s`, the same estimate from the ratios of the
    macromolecule peaks (:func:`strain`), the spread over stiffnesses and errors of the basis by :math:`\max(1, s)`:
    where the truth is further from the priors there than they allow, it is taken to be so everywhere (Birge 1932,
    doi:10.1103/PhysRev.40.207), and where it is nearer nothing is learnt of baseline and basis. The rows of the
    background's ratios have it in their :math:`\kappa` already.
    """
    problem = information(objective, theta)
    plain, inverse = hessian_inverse(problem)
    kappa = prior_scales(problem, plain)
    first, count, _ = problem.counts
    ours = inverse[first : first + count]
    everything = reactions(objective, theta, problem, inverse, lineshape)
    moved_by_data = everything[first : first + count]
    spread = moved_by_data @ moved_by_data.T
    found = macromolecule_scale(objective, problem, plain) if macromolecules_seen(objective, theta, noise_sd) else 1.0
    scale = strain(objective, found)
    factor = {family: kappa[family] if family == BACKGROUND_RATIO else scale * kappa[family] for family in kappa}
    moved = ours @ (problem.own.T * np.sqrt([factor[family] for family in problem.families]))
    deviation = moved @ moved.T + scale * ours @ problem.penalty @ ours.T
    other = search.plausible + (0.0 if basis is None else _basis_spread(objective, theta, moved_by_data, basis))
    return Covariances(
        (noise_sd / objective.noise_sd) ** 2 * bound(problem, objective),
        noise_sd**2 * spread + search.drawn,
        objective.noise_sd**2 * spread + deviation + max(1.0, scale) * other,
        kappa,
        found,
        noise_sd * np.sqrt(np.sum(everything[:first] ** 2, axis=1)),
    )


def reaction(
    objective: Objective,
    theta: FloatArray,
    problem: Information,
    inverse: FloatArray,
    lineshape: LineshapeChoice | None = None,
) -> FloatArray:
    """Change of the amplitudes per unit of the data at each point, shape ``(K, n)``; see :func:`covariances`."""
    first, count, _ = problem.counts
    return reactions(objective, theta, problem, inverse, lineshape)[first : first + count]


def reactions(
    objective: Objective,
    theta: FloatArray,
    problem: Information,
    inverse: FloatArray,
    lineshape: LineshapeChoice | None = None,
) -> FloatArray:
    """As :func:`reaction` for the nonlinear parameters and the amplitudes after them, shape ``(p + K, n)``."""
    first, count, _ = problem.counts
    ours = inverse[: first + count]
    direct = (ours @ problem.jacobian.T) * (objective.weight / objective.noise_sd)
    if lineshape is None:
        return np.asarray(direct)
    model, varying = objective.model, objective.varying
    push = 2.0 * lineshape.widening * (theta - model.mean) / model.sd**2
    return np.asarray(direct + np.outer(ours[:, :first] @ push[varying], lineshape.response))


def _basis_spread(objective: Objective, theta: FloatArray, reaction: FloatArray, basis: BasisError) -> FloatArray:
    """Covariance over the errors of the basis at a solution, shape ``(K, K)``."""
    point = objective.at(theta)
    signals = point.spectra.real * point.solution.amplitudes[:, None]
    return basis_spread(reaction, signals, windows(objective.model.offset_hz, basis.window_hz), basis.sd)


FLATTEST = 0.4
"""Least share of the Gauss-Newton curvature that is left in any direction: a solution that is nearly a saddle has no
covariance of its own."""


def hessian_inverse(problem: Information) -> tuple[FloatArray, FloatArray]:
    r"""Invert the Gauss-Newton matrix and the Hessian of the whole problem, shape ``(q, q)`` each.

    Notes
    -----
    Where the model does not describe the data, :math:`\sum r\,\partial^2m` makes the minimum flatter or steeper than
    :math:`F = J^TJ + P` says, by 10-15 % in the SD on the independent panel (White 1982, doi:10.2307/1912526). In the
    basis where ``F`` is the unit matrix its eigenvalues are held above :data:`FLATTEST` - 1.
    """
    plain = problem.jacobian.T @ problem.jacobian + problem.own.T @ problem.own + problem.penalty
    root = _inverse_root(plain)
    inverse = root @ root.T
    if problem.curvature is None:
        return inverse, inverse
    values, vectors = np.linalg.eigh(root.T @ problem.curvature @ root)
    turned = root @ vectors
    return inverse, (turned / np.maximum(1.0 - values, FLATTEST)) @ turned.T


def prior_scales(problem: Information, inverse: FloatArray) -> dict[str, float]:
    """Estimate per family by how much its prior variances are too small or too large for this spectrum.

    Notes
    -----
    Sum of squared deviations over its expectation ``m - trace``, both plus :data:`PSEUDO_ROWS` rows of belief in 1.
    """
    out = {}
    for family in dict.fromkeys(problem.families):
        out[family] = _scale(problem, inverse, np.array([name == family for name in problem.families]))
    return out


def _scale(problem: Information, inverse: FloatArray, rows: npt.NDArray[np.bool_]) -> float:
    own = problem.own[rows]
    expected = own.shape[0] - float(np.sum((own @ inverse) * own))
    return float((np.sum(problem.deviation[rows] ** 2) + PSEUDO_ROWS) / (expected + PSEUDO_ROWS))


def macromolecule_scale(objective: Objective, problem: Information, inverse: FloatArray) -> float:
    """As :func:`prior_scales`, for the ratios of the macromolecule peaks alone; 1 where there are none."""
    rows = np.zeros(problem.deviation.size, dtype=bool)
    rows[: objective.rows.shape[0]] = macromolecule_rows(objective)
    return _scale(problem, inverse, rows)


def macromolecules_seen(objective: Objective, theta: FloatArray, noise_sd: float) -> bool:
    """Tell whether the macromolecules stand above the noise, so that their ratios say something."""
    point = objective.at(theta)
    ours = np.where(objective.model.components.group == MACROMOLECULES, point.solution.amplitudes, 0.0)
    return float((ours @ point.spectra).real.max()) >= LEAST_MACROMOLECULES * noise_sd


def strain(objective: Objective, scale: float) -> float:
    """Return what the total uncertainty is scaled by: the macromolecules' scale, where enough rows tell it."""
    return min(scale, LARGEST_STRAIN) if int(macromolecule_rows(objective).sum()) >= FEWEST_ROWS else 1.0


def macromolecule_rows(objective: Objective) -> npt.NDArray[np.bool_]:
    """Which ratio rows are those of macromolecule peaks, shape ``(m,)``."""
    group = objective.model.components.group
    return np.array([bool((group[np.flatnonzero(row)] == MACROMOLECULES).all()) for row in objective.rows], dtype=bool)


def bound(problem: Information, objective: Objective) -> FloatArray:
    r"""Cramér-Rao bound of the amplitudes from the data rows alone, shape ``(K, K)``.

    Notes
    -----
    Inverse of :math:`J^TJ` over the metabolite amplitudes, the phases, the common shift and widths, the background
    amplitudes and the baseline. What each metabolite and peak has of its own, and the non-parametric part of the
    lineshape, count as known; of the other nuisance parameters only those directions are free that the data know better
    than the priors do (singular value above 1 after scaling to prior SD 1): no finite spectrum determines the others,
    and leaving them free would make every bound infinite. For the background amplitudes themselves the same is done
    with the metabolites in their place.
    """
    count = problem.counts[1]
    metabolite = objective.model.components.group == METABOLITES
    out = np.zeros((count, count))
    for chosen in (metabolite, ~metabolite):
        if chosen.any():
            out[np.ix_(chosen, chosen)] = _bound(problem, objective, np.flatnonzero(chosen))
    return out


def _bound(problem: Information, objective: Objective, chosen: npt.NDArray[np.int_]) -> FloatArray:
    first, count, _ = problem.counts
    others = np.setdiff1d(np.arange(count), chosen)
    names = [objective.model.names[position] for position in objective.varying]
    usual = [i for i, name in enumerate(names) if name in COMMON]
    nuisance = np.r_[usual, first + others, first + count : problem.jacobian.shape[1]].astype(int)
    data = problem.jacobian[:, nuisance]
    penalty = np.diagonal(problem.penalty)[nuisance]
    floor = 1e-9 * np.maximum(np.sum(data**2, axis=0), 1e-300)
    # QR of the rows, not Cholesky of their product: prior rows of an absent background are many orders apart
    root = np.linalg.qr(np.concatenate([problem.own[:, nuisance], np.diag(np.sqrt(penalty + floor))]))[1]
    left, singular, _ = np.linalg.svd(np.linalg.solve(root.T, data.T).T, full_matrices=False)
    free = left[:, singular > 1.0]
    amplitudes = problem.jacobian[:, first + chosen]
    outside = amplitudes - free @ (free.T @ amplitudes)
    return scaled_inverse(outside.T @ outside)


def _background(objective: Objective) -> list[str]:
    components = objective.model.components
    return [name for name, group in zip(components.names, components.group, strict=True) if group != METABOLITES]


def information(objective: Objective, theta: FloatArray) -> Information:
    """Collect the full Jacobian and the prior information at a solution."""
    model, point = objective.model, objective.at(theta)
    amplitudes = point.solution.amplitudes
    back, moved, pull = slopes(objective, point, amplitudes)
    spectra = point.spectra.real
    scale = objective.weight / objective.noise_sd
    modes = np.zeros((0, scale.size)) if objective.baseline is None else objective.baseline.modes.T
    penalty = np.zeros(0) if objective.baseline is None else objective.stiffness * objective.baseline.penalty
    p, count = objective.varying.size, spectra.shape[0]
    informed = np.flatnonzero(np.isfinite(model.sd[objective.varying]))
    parameters = np.zeros((informed.size, p + count + penalty.size))
    parameters[np.arange(informed.size), informed] = 1.0 / model.sd[objective.varying][informed]
    ratios = np.zeros((objective.rows.shape[0], parameters.shape[1]))
    ratios[:, p : p + count] = objective.rows
    names = [model.names[objective.varying[position]] for position in informed]
    prior = objective.residual(theta)[scale.size :]
    return Information(
        jacobian=np.concatenate([moved * scale, spectra * scale, modes]).T,
        own=np.concatenate([ratios, parameters]),
        deviation=prior,
        families=(
            *(_ratio_family(row, objective) for row in objective.rows),
            *(_family(name, objective) for name in names),
        ),
        penalty=np.diag(np.concatenate([np.zeros(p + count), penalty])),
        counts=(p, count, penalty.size),
        curvature=misfit_curvature(objective, point, amplitudes, back, pull),
    )


def slopes(
    objective: Objective, point: Evaluation, amplitudes: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Differentiate the model at given amplitudes, and contract it with what they leave of the data.

    Returns
    -------
    back
        Whitened residual taken back to the data, shape ``(n,)``.
    moved, pull
        As of :meth:`mrs_pipeline.fit.model.Model.derivatives`, for the varying parameters.
    """
    back = objective.unwhiten(objective.target - amplitudes @ point.design)
    moved, pull = objective.model.derivatives(point.theta, amplitudes, point.modulated, back)
    return back, moved[objective.varying], pull[objective.varying]


def misfit_curvature(
    objective: Objective, point: Evaluation, amplitudes: FloatArray, back: FloatArray, pull: FloatArray
) -> FloatArray:
    """Second derivatives of the model times what is left of the data, over all parameters, shape ``(q, q)``."""
    bent = objective.model.curvature(point.theta, amplitudes, point.modulated, back)
    p, count = pull.shape
    modes = 0 if objective.baseline is None else objective.baseline.penalty.size
    out = np.zeros((p + count + modes,) * 2)
    out[:p, :p] = bent[np.ix_(objective.varying, objective.varying)]
    out[:p, p : p + count], out[p : p + count, :p] = pull, pull.T
    return out


def _family(name: str, objective: Objective) -> str:
    """Family of a nonlinear parameter: its kind, those of the background apart."""
    background = {f"shift_{token(other)}" for other in _background(objective)}
    return "background" if name in background or "_group" in name else name.partition("_")[0]


def _ratio_family(row: FloatArray, objective: Objective) -> str:
    groups = objective.model.components.group[np.flatnonzero(row)]
    return "ratio" if (groups == METABOLITES).all() else BACKGROUND_RATIO


def scaled_inverse(matrix: FloatArray) -> FloatArray:
    """Invert a symmetric matrix after scaling to unit diagonal; directions the data do not see are left out."""
    root = _inverse_root(matrix)
    return root @ root.T


def _inverse_root(matrix: FloatArray) -> FloatArray:
    """Root ``R`` of the inverse, ``R R' = M^-1``, after scaling to unit diagonal."""
    unit = np.sqrt(np.maximum(np.diagonal(matrix), 0.0))
    scale = np.where(unit > 0, unit, 1.0)
    values, vectors = np.linalg.eigh(matrix / np.outer(scale, scale))
    keep = values > 1e-11 * values[-1]
    return np.asarray(vectors[:, keep] / np.sqrt(values[keep]) / scale[:, None])
