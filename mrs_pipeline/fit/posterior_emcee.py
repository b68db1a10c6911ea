r"""Posterior of the amplitudes by Markov chains (emcee), the amplitudes themselves integrated exactly.

Given the nonlinear parameters :math:`\theta`, amplitudes ``a`` and baseline enter linearly, so that with Gaussian
priors their posterior is Gaussian, cut off at ``a >= 0``. With the baseline projected out (its determinant does not
depend on anything sampled) the joint posterior is

.. math:: p(\theta, a) \propto e^{-\frac12(c(\theta) - m^TG^{-1}m)}\,|G|^{-1/2}\;N(a;\,G^{-1}m,\,G^{-1})\,[a\ge0],

with :math:`G(\theta)` and :math:`m(\theta)` of the normal equations and :math:`c` the sum of squares of data and
parameter priors. The truncated Gaussian is drawn one amplitude after the other from standard normal numbers ``u``
(Geweke 1991; Hajivassiliou & McFadden 1998, doi:10.2307/2999576), which gives ``a(theta, u)`` and a factor ``w``, the
product of the probabilities of the steps; then
:math:`p(\theta, u) \propto e^{-\frac12(c - m^TG^{-1}m)}|G|^{-1/2}\,w\,e^{-|u|^2/2}` is exact. Both sets of coordinates
are sampled, with :math:`\theta = \hat\theta + Lz`, ``L`` from the Gauss-Newton Hessian, by proposals that leave the
standard normal of ``(z, u)`` unchanged (preconditioned Crank-Nicolson; Cotter 2013, doi:10.1214/13-STS421): near a
Gaussian posterior almost all are accepted, whatever the number of dimensions. emcee's own stretch move fails in the 70
to 120 dimensions that there are here (Huijser 2015, arXiv:1509.02230).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.linalg import solve_triangular
from scipy.special import log_ndtr, ndtri_exp

from mrs_pipeline.errors import FitError
from mrs_pipeline.fit.objective import Objective
from mrs_pipeline.fit.projection import BoolArray
from mrs_pipeline.spectrum import FloatArray

WALKERS = 16
BURN_IN = 150
"""Steps of every walker that are thrown away."""
THIN = 8
"""Steps from one draw that is kept to the next."""
STEP_SIZES = (0.1, 0.3, 0.6, 1.0)
"""Sizes of a proposal, one drawn at every step: 1 is a new point of the Gaussian approximation."""
LEAST_INFORMATION = 1e-12


@dataclass(frozen=True, eq=False)
class Conditional:
    """The linear problem at given nonlinear parameters.

    Parameters
    ----------
    gram, moment
        Normal equations of the amplitudes, priors included, shapes ``(K, K)`` and ``(K,)``.
    cost
        Sum of squares of the data without any component, and of the priors on the parameters.
    """

    gram: FloatArray
    moment: FloatArray
    cost: float


Linear: TypeAlias = Callable[[FloatArray], Conditional | None]
"""The linear problem at given parameters; nothing where they are outside their bounds."""


@dataclass(frozen=True, eq=False)
class Chains:
    """Draws of the posterior.

    Parameters
    ----------
    amplitudes
        Shape ``(draws, K)``.
    acceptance
        Share of accepted proposals.
    effective
        Smallest effective number of independent draws among the amplitudes asked for.
    """

    amplitudes: FloatArray
    acceptance: float
    effective: float


@dataclass(frozen=True, eq=False)
class Target:
    """Log posterior in the coordinates ``(z, u)``.

    Parameters
    ----------
    linear
        The linear problem at full nonlinear parameters.
    start
        Centre of the Gaussian approximation, the varying parameters only, shape ``(p,)``.
    root
        Root ``L`` of its covariance, shape ``(p, p)``.
    order
        Amplitudes in the order in which they are drawn, shape ``(K,)``.
    signed
        Amplitudes that may have either sign, shape ``(K,)``.
    """

    linear: Linear
    start: FloatArray
    root: FloatArray
    order: npt.NDArray[np.int_]
    signed: BoolArray

    @property
    def dimensions(self) -> int:
        """Number of coordinates."""
        return int(self.start.size + self.order.size)

    def __call__(self, state: FloatArray) -> FloatArray:
        """Log posterior, then the amplitudes, shape ``(1 + K,)``; minus infinity outside the bounds."""
        z, u = np.split(state, [self.start.size])
        nothing = np.full(1 + self.order.size, -np.inf)
        problem = self.linear(self.start + self.root @ z)
        if problem is None:
            return nothing
        try:
            mean, factor, log_root = conditional_gaussian(problem, self.order)
        except np.linalg.LinAlgError:
            return nothing
        drawn, log_weight = truncated_draw(mean, factor, self.signed[self.order], u)
        gain = float(problem.moment[self.order] @ mean)
        amplitudes = np.empty(self.order.size)
        amplitudes[self.order] = drawn
        density = 0.5 * (gain - problem.cost) - log_root + log_weight - 0.5 * float(u @ u)
        return np.concatenate([[density], amplitudes])


def conditional_gaussian(problem: Conditional, order: npt.NDArray[np.int_]) -> tuple[FloatArray, FloatArray, float]:
    r"""Mean, lower factor ``C`` of the covariance (:math:`CC^T=G^{-1}`) and :math:`\tfrac12\ln|G|`, in a given order.

    Notes
    -----
    With :math:`G = UU^T`, ``U`` upper triangular (Cholesky of the reversed matrix), :math:`C = U^{-T}` is lower
    triangular, and nothing is inverted twice.
    """
    gram = problem.gram[np.ix_(order, order)]
    upper = np.linalg.cholesky(gram[::-1, ::-1])[::-1, ::-1]
    factor = solve_triangular(upper, np.eye(order.size), lower=False, check_finite=False).T
    mean = factor @ (factor.T @ problem.moment[order])
    return mean, factor, float(np.sum(np.log(np.diagonal(upper))))


def truncated_draw(
    mean: FloatArray, factor: FloatArray, signed: BoolArray, normal: FloatArray
) -> tuple[FloatArray, float]:
    """Turn standard normal numbers into a draw with ``a >= 0``, and give the log of the weight it carries.

    Parameters
    ----------
    mean, factor
        Mean and lower factor of the covariance of the Gaussian that is cut off, shapes ``(K,)`` and ``(K, K)``.
    signed
        Amplitudes that are not cut off, shape ``(K,)``.
    normal
        Standard normal numbers, shape ``(K,)``.

    Notes
    -----
    Amplitude ``i`` given those before it is Gaussian; its number is mapped to the part above zero through the
    distribution function, in logarithms so that far tails stay exact, and the part's probability goes into the weight.
    """
    scale = np.diagonal(factor)
    uniform = log_ndtr(normal)
    noise = np.zeros(mean.size)
    log_weight = 0.0
    for i in range(mean.size):
        if signed[i]:
            noise[i] = normal[i]
            continue
        room = log_ndtr((mean[i] + factor[i, :i] @ noise[:i]) / scale[i])
        noise[i] = -ndtri_exp(room + uniform[i])
        log_weight += float(room)
    values = mean + factor @ noise
    return np.where(signed, values, np.maximum(values, 0.0)), log_weight


def linear_of(objective: Objective, theta: FloatArray) -> Linear:
    """Return the linear problem of a fit as a function of its varying parameters.

    Parameters
    ----------
    objective, theta
        Problem and solution; parameters that do not vary stay at the solution.
    """
    model, varying = objective.model, objective.varying
    lower = np.array([model.parameters[i].lower for i in varying])
    upper = np.array([model.parameters[i].upper for i in varying])
    mean, sd = model.mean[varying], model.sd[varying]
    constant = float(objective.target @ objective.target)

    def linear(values: FloatArray) -> Conditional | None:
        if (values < lower).any() or (values > upper).any():
            return None
        full = theta.copy()
        full[varying] = values
        design = objective.whiten((model.to_window(model.modulated(full)) * model.phase(full)).real)
        gram = design @ design.T + objective.rows.T @ objective.rows
        prior = float(np.sum(((values - mean) / sd)[np.isfinite(sd)] ** 2))
        return Conditional(gram, design @ objective.target, constant + prior)

    return linear


def make_target(objective: Objective, theta: FloatArray) -> Target:
    """Lay the coordinates around the solution of a fit."""
    point = objective.at(theta)
    jacobian = objective.jacobian(theta)
    amplitudes = point.solution.amplitudes
    spread = np.sqrt(np.maximum(np.diagonal(np.linalg.pinv(point.gram, hermitian=True)), 0.0))
    certain = amplitudes / np.where(spread > 0, spread, 1.0)
    signed = objective.model.components.signed
    return Target(
        linear=linear_of(objective, theta),
        start=theta[objective.varying],
        root=covariance_root(jacobian.T @ jacobian),
        order=np.argsort(np.where(signed, np.inf, certain), kind="stable"),
        signed=signed,
    )


def covariance_root(information: FloatArray) -> FloatArray:
    """Return ``L`` with ``L L' `` the inverse of an information matrix, by its eigenvectors after scaling."""
    unit = np.sqrt(np.maximum(np.diagonal(information), LEAST_INFORMATION))
    values, vectors = np.linalg.eigh(information / np.outer(unit, unit))
    return np.asarray(vectors / np.sqrt(np.maximum(values, LEAST_INFORMATION * values[-1])) / unit[:, None])


def crank_nicolson(state: FloatArray, random: Any) -> tuple[FloatArray, FloatArray]:  # noqa: ANN401  emcee's generator
    """Propose states that leave the standard normal unchanged, and the factor that emcee has to add for it."""
    size = random.choice(STEP_SIZES)
    moved = np.sqrt(1.0 - size**2) * state + size * random.standard_normal(state.shape)
    return moved, 0.5 * (np.sum(moved**2, axis=1) - np.sum(state**2, axis=1))


def sample(
    target: Target,
    draws: int,
    seed: int,
    watched: FloatArray | None = None,
    *,
    thin: int = THIN,
    burn_in: int = BURN_IN,
) -> Chains:
    """Draw from a posterior.

    Parameters
    ----------
    target
        The posterior.
    draws
        Number of draws kept.
    seed
        Seed of the chains.
    watched
        Weights of the sums whose effective number is reported, shape ``(s, K)``; every amplitude when ``None``.
    thin, burn_in
        Steps from one kept draw to the next, and steps thrown away at the beginning.
    """
    from emcee import EnsembleSampler
    from emcee.moves import MHMove

    random = np.random.RandomState(seed)
    start = _start(target, 0.1 * random.standard_normal((WALKERS, target.dimensions)))
    sampler = EnsembleSampler(WALKERS, target.dimensions, target, moves=MHMove(crank_nicolson))
    sampler.random_state = random.get_state()
    keep = -(-draws // WALKERS)
    end = sampler.run_mcmc(start, burn_in, skip_initial_state_check=True)
    sampler.reset()
    sampler.run_mcmc(end, keep * thin, skip_initial_state_check=True)
    count = target.order.size
    chains = np.asarray(sampler.get_blobs(), dtype=np.float64).reshape(keep * thin, WALKERS, count)
    weights = np.eye(count) if watched is None else watched
    kept = chains[thin - 1 :: thin].reshape(-1, count)[:draws]
    return Chains(kept, float(np.mean(sampler.acceptance_fraction)), effective_number(chains @ weights.T))


def _start(target: Target, states: FloatArray) -> FloatArray:
    """Put walkers that start outside the bounds onto the solution itself, which is inside.

    Raises
    ------
    FitError
        The posterior has no density at the solution.
    """
    inside = np.array([np.isfinite(target(state)[0]) for state in states])
    states[~inside, : target.start.size] = 0.0
    if not all(np.isfinite(target(state)[0]) for state in states[~inside]):
        raise FitError("the posterior cannot be sampled around this fit", remedy='set [fit] posterior = "none"')
    return states


def effective_number(chains: FloatArray) -> float:
    """Smallest effective number of draws over several quantities, chains of shape ``(steps, walkers, quantities)``."""
    from emcee.autocorr import integrated_time

    moving = chains[:, :, np.ptp(chains, axis=(0, 1)) > 0]
    if not moving.size:
        return 0.0
    with np.errstate(divide="ignore", invalid="ignore"):  # chains of a few steps have no autocorrelation
        time = integrated_time(moving, quiet=True, tol=0)
    return float(chains.shape[0] * chains.shape[1] / np.max(np.nan_to_num(np.maximum(time, 1.0), nan=np.inf)))
