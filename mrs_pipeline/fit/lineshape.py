"""How far from a Voigt line the prior of the common lineshape lets a spectrum go, by evidence."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mrs_pipeline.fit.model import Model
from mrs_pipeline.fit.objective import Objective
from mrs_pipeline.fit.uncertainty import LineshapeChoice, scaled_inverse
from mrs_pipeline.spectrum import FloatArray

SHARES = np.linspace(0.0, 1.0, 9)
"""How far the prior of the lineshape may reach, alike likely: 0 close to a Voigt line, 1 far from it."""


@dataclass(frozen=True, eq=False)
class LineshapeReach:
    """How far from a Voigt line a spectrum asks the prior to reach.

    Parameters
    ----------
    share
        Posterior mean of the place between the prior close to a Voigt line (0) and the one far from it (1).
    gain
        Twice the log evidence of the far one over the close one.
    choice
        How the place moves with the noise.
    """

    share: float
    gain: float
    choice: LineshapeChoice


def lineshape_reach(wide: Objective, theta: FloatArray, near: Model, left_over: float) -> LineshapeReach:
    r"""Find by evidence how far from a Voigt line the prior should let the common line go.

    Parameters
    ----------
    wide, theta
        Problem with the wide priors, and its solution.
    near
        The same model with the narrow ones.
    left_over
        SD of what the fit leaves of the data; the noise, where that is less than what the fit was weighed with.

    Notes
    -----
    Laplace's approximation (MacKay 1992, doi:10.1162/neco.1992.4.3.415). With the posterior mean :math:`\mu` and
    covariance :math:`C` of the lineshape parameters under the wide prior :math:`S_w` the likelihood is a Gaussian with
    :math:`V^{-1} = C^{-1} - S_w^{-1}` and mean :math:`m = VC^{-1}\mu`, so that any prior :math:`S` has
    :math:`-2\ln E = \ln|I + SV^{-1}| + m^T(V + S)^{-1}m`. That is evaluated for prior SDs between the narrow and the
    wide ones, :math:`s_n^{1-q}s_w^q`, and q averaged with the evidence as weight: the mean moves smoothly with the
    data, where the best value would jump.

    The data enter by :math:`b = V^{-1}m = C^{-1}\mu`. With :math:`J_s` the Jacobian of the residual by the lineshape,
    and :math:`J_o` and :math:`C_o` that and the covariance of the other parameters, noise :math:`e` of the weighted
    data moves it by :math:`-(J_s - J_oC_oJ_o^TJ_s)^Te`, and so the mean by :math:`\nabla_b\bar q` times that. V is
    held; noise moves it as well, so that from a place of 0.3 on the response is up to a third too small.
    """
    names = [wide.model.names[position] for position in wide.varying]
    shape = np.array([name.startswith(("eddy_", "envelope_")) for name in names])
    jacobian = wide.jacobian(theta)
    ours, theirs = jacobian[:, shape], jacobian[:, ~shape]
    free = ours - theirs @ (scaled_inverse(theirs.T @ theirs) @ (theirs.T @ ours))
    likelihood = ours.T @ free
    place = wide.varying[shape]
    prior = np.diag(1.0 / wide.model.sd[place] ** 2)
    tempered = max((wide.noise_sd / left_over) ** 2, 1.0)
    information, pull = tempered * (likelihood - prior), tempered * (likelihood @ theta[place])
    sds = [near.sd[place] ** (1.0 - share) * wide.model.sd[place] ** share for share in SHARES]
    scores, slopes = zip(*(_minus_log_evidence(information, pull, sd) for sd in sds), strict=True)
    weight = np.exp(-0.5 * (np.array(scores) - min(scores)))
    weight /= weight.sum()
    share = float(SHARES @ weight)
    slope = -0.5 * (weight * (SHARES - share)) @ np.array(slopes)
    response = wide.unwhiten(-tempered * free[: wide.weight.size] @ slope)
    widening = np.zeros(wide.model.sd.size)
    widening[place] = np.log(wide.model.sd[place] / near.sd[place])
    return LineshapeReach(share, float(scores[0] - scores[-1]), LineshapeChoice(response, widening))


def _minus_log_evidence(information: FloatArray, pull: FloatArray, sd: FloatArray) -> tuple[float, FloatArray]:
    """Minus twice the log evidence of a prior of mean zero, up to what does not depend on it; its slope by ``pull``.

    Notes
    -----
    With :math:`b = V^{-1}m`: :math:`m^T(V+S)^{-1}m = b^T V b - b^T(V^{-1} + S^{-1})^{-1}b`; the first term is common.
    """
    scaled = sd[:, None] * information * sd
    _, volume = np.linalg.slogdet(np.eye(sd.size) + scaled)
    mean = sd * np.linalg.solve(np.eye(sd.size) + scaled, sd * pull)
    return float(volume - pull @ mean), -2.0 * mean
