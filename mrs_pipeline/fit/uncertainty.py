r"""Uncertainty of the amplitudes from the full Jacobian of nonlinear parameters, amplitudes and baseline."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mrs_pipeline.fit.objective import Objective
from mrs_pipeline.spectrum import FloatArray


@dataclass(frozen=True, eq=False)
class Covariances:
    """Covariances of all amplitudes, shape ``(K, K)`` each.

    Parameters
    ----------
    crlb
        Cramér-Rao bound from the data alone.
    sampling
        Sampling covariance of the estimator as used (sandwich).
    posterior
        Inverse of the full information with priors: sampling plus what the priors may hide.
    """

    crlb: FloatArray
    sampling: FloatArray
    posterior: FloatArray


def covariances(objective: Objective, theta: FloatArray) -> Covariances:
    r"""Compute the three covariances at a solution.

    Notes
    -----
    With the data Jacobian :math:`J = [J_\theta, S^T, Z]` in units of the noise SD, prior information :math:`P` and
    :math:`F = J^TJ + P`: posterior :math:`F^{-1}`, sampling :math:`F^{-1}J^TJF^{-1}`, and Cramér-Rao bound
    :math:`(J^TJ)^{-1}`, where the baseline enters with its leading modes, as many as its effective dimensions. Amplitudes held
    at zero keep their column: their uncertainty is that of the unconstrained linear problem.
    """
    jacobian, prior = information(objective, theta)
    data = jacobian.T @ jacobian
    p, count = objective.varying.size, len(objective.model.components)
    amplitudes = slice(p, p + count)
    inverse = _inverse(data + prior)
    sandwich = inverse @ data @ inverse
    kept = p + count + _bound_modes(objective)
    return Covariances(
        crlb=_inverse(data[:kept, :kept])[amplitudes, amplitudes],
        sampling=sandwich[amplitudes, amplitudes],
        posterior=inverse[amplitudes, amplitudes],
    )


def _bound_modes(objective: Objective) -> int:
    if objective.baseline is None:
        return 0
    return round(objective.baseline.dimensions(objective.stiffness))


def information(objective: Objective, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Full data Jacobian ``(n, p + K + k)`` in noise units and prior information ``(p + K + k, p + K + k)``."""
    model, point = objective.model, objective.at(theta)
    moved, _ = model.derivatives(theta, point.solution.amplitudes, point.modulated, np.zeros_like(point.residual))
    spectra = (model.to_window(point.modulated) * model.phase(theta)).real
    scale = objective.weight / objective.noise_sd
    blocks = [moved[objective.varying] * scale, spectra * scale]
    penalty = np.zeros(0)
    if objective.baseline is not None:
        blocks.append(objective.baseline.modes.T)
        penalty = objective.stiffness * objective.baseline.penalty
    own = 1.0 / model.sd[objective.varying] ** 2
    p, count = own.size, spectra.shape[0]
    prior = np.diag(np.concatenate([own, np.zeros(count), penalty]))
    prior[p : p + count, p : p + count] = objective.rows.T @ objective.rows
    return np.concatenate(blocks).T, prior


def _inverse(matrix: FloatArray) -> FloatArray:
    """Inverse of a symmetric matrix after scaling to unit diagonal; directions the data do not see are left out."""
    unit = np.sqrt(np.diagonal(matrix))
    seen = unit > 0
    scale = np.where(seen, unit, 1.0)
    scaled = matrix / np.outer(scale, scale)
    values, vectors = np.linalg.eigh(scaled)
    keep = values > 1e-11 * values[-1]
    inverse = (vectors[:, keep] / values[keep]) @ vectors[:, keep].T
    return np.asarray(inverse / np.outer(scale, scale))
