"""Repeated measures with an unstructured covariance by (restricted) likelihood; constrained longitudinal analysis."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
import numpy.typing as npt

from mrs_pipeline.stats.models import Estimate, independent_columns

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class RepeatedFit:
    """A fitted repeated-measures model.

    Parameters
    ----------
    beta
        Fixed effects, shape (p,).
    covariance
        Their model-based covariance (X' V^-1 X)^-1, shape (p, p).
    sigma
        Covariance of the visits, shape (k, k).
    deviance
        -2 log likelihood (restricted where asked for), constants included.
    converged
        Whether the optimiser reported success.
    """

    beta: FloatArray
    covariance: FloatArray
    sigma: FloatArray
    deviance: float
    converged: bool


@dataclass(frozen=True, eq=False)
class _Pattern:
    """Participants with the same ``v`` visits observed, as sums over them.

    ``n`` participants; ``products`` (v * v, (p + 1) ** 2) holds sum_i z_iv z_iw' with z = (x, y).
    """

    visits: npt.NDArray[np.intp]
    n: int
    products: FloatArray


def _patterns(y: FloatArray, x: FloatArray) -> list[_Pattern]:
    observed = np.isfinite(y)
    groups = []
    for pattern in np.unique(observed, axis=0):
        visits = np.flatnonzero(pattern)
        if len(visits):
            rows = (observed == pattern).all(axis=1)
            z = np.concatenate([x[rows][:, visits], y[np.ix_(rows, visits)][:, :, None]], axis=2)
            products = np.einsum("nvp,nwq->vwpq", z, z).reshape(len(visits) ** 2, -1)
            groups.append(_Pattern(visits, int(rows.sum()), products))
    return groups


@cache
def _triangle(k: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    return np.tril_indices(k)


def _cholesky(theta: FloatArray, k: int) -> FloatArray:
    """Lower triangle from its free parameters; the diagonal enters as logarithm."""
    root = np.zeros((k, k))
    root[_triangle(k)] = theta
    diagonal = np.arange(k)
    root[diagonal, diagonal] = np.exp(root[diagonal, diagonal])
    return root


def _theta(sigma: FloatArray) -> FloatArray:
    root = np.asarray(np.linalg.cholesky(sigma), dtype=np.float64)
    np.fill_diagonal(root, np.log(np.diagonal(root)))
    free: FloatArray = root[_triangle(len(sigma))]
    return free


def _normal_equations(sigma: FloatArray, patterns: list[_Pattern]) -> tuple[FloatArray, float, int]:
    """Weighted cross products of (x, y), shape (p + 1, p + 1), sum of log|V| and number of observations."""
    total: FloatArray = np.zeros(patterns[0].products.shape[1], dtype=np.float64)
    logdet, n = 0.0, 0
    for group in patterns:
        block = sigma[np.ix_(group.visits, group.visits)]
        total = total + np.asarray(np.linalg.inv(block), dtype=np.float64).ravel() @ group.products
        logdet += group.n * float(np.linalg.slogdet(block)[1])
        n += group.n * len(group.visits)
    size = math.isqrt(len(total))
    return total.reshape(size, size), logdet, n


def _deviance(theta: FloatArray, patterns: list[_Pattern], k: int, method: str) -> float:
    root = _cholesky(theta, k)
    try:
        products, logdet, n = _normal_equations(root @ root.T, patterns)
        xx, xy = products[:-1, :-1], products[:-1, -1]
        rss = float(products[-1, -1] - xy @ np.linalg.solve(xx, xy))
    except np.linalg.LinAlgError:
        return math.inf
    if method == "ml":
        return logdet + rss + n * math.log(2 * math.pi)
    return logdet + rss + float(np.linalg.slogdet(xx)[1]) + (n - len(xx)) * math.log(2 * math.pi)


def _derivatives(theta: FloatArray, patterns: list[_Pattern], k: int, method: str) -> tuple[FloatArray, FloatArray]:
    """Gradient and Hessian of the deviance by central differences."""
    m, step = len(theta), 1e-3
    shifts = step * np.eye(m)

    def at(point: FloatArray) -> float:
        return _deviance(point, patterns, k, method)

    gradient = np.array([at(theta + shift / 10) - at(theta - shift / 10) for shift in shifts]) / (step / 5)
    hessian = np.empty((m, m))
    for i in range(m):
        for j in range(i + 1):
            corners = at(theta + shifts[i] + shifts[j]) - at(theta + shifts[i] - shifts[j])
            corners -= at(theta - shifts[i] + shifts[j]) - at(theta - shifts[i] - shifts[j])
            hessian[i, j] = hessian[j, i] = corners / (4 * step**2)
    return gradient, hessian


def _minimise(start: FloatArray, patterns: list[_Pattern], k: int, method: str) -> tuple[FloatArray, bool]:
    """Minimise the deviance: quasi-Newton to the neighbourhood, Newton to the end; and whether it got there."""
    from scipy import optimize

    theta = optimize.minimize(_deviance, start, args=(patterns, k, method), method="BFGS", options={"gtol": 1e-2}).x
    for _ in range(20):
        gradient, hessian = _derivatives(theta, patterns, k, method)
        step = np.linalg.lstsq(hessian, gradient, rcond=None)[0]
        if (
            np.linalg.eigvalsh(hessian)[0] <= 0
            or _deviance(theta - step, patterns, k, method) > _deviance(theta, patterns, k, method) + 1e-9
        ):
            return theta, False
        theta = theta - step
        if np.abs(step).max() < 1e-7:
            return theta, True
    return theta, False


def fit_repeated(y: FloatArray, x: FloatArray, *, method: Literal["ml", "reml"] = "reml") -> RepeatedFit:
    """Fit a linear model with an unstructured covariance of the visits.

    Parameters
    ----------
    y
        Participants by visits, shape (n, k), NaN where missing (missing at random is assumed).
    x
        Design of every visit, shape (n, k, p), of full rank over the observed values.
    method
        ``reml`` or ``ml``.

    Returns
    -------
    RepeatedFit

    Notes
    -----
    y_i ~ N(X_i beta, Sigma). The restricted deviance is sum log|V_i| + log|X'V^-1X| + r'V^-1r + (n - p) log 2 pi
    (Harville 1977, doi:10.1080/01621459.1977.10480998), minimised over the log-Cholesky factor of Sigma (Pinheiro and
    Bates 1996, doi:10.1007/BF00140873).
    """
    scale = float(np.nanstd(y)) or 1.0
    patterns, k = _patterns(y / scale, x), y.shape[1]
    start = _theta(np.diag(np.nanvar(y / scale, axis=0) + 1e-3))
    theta, converged = _minimise(start, patterns, k, method)
    root = _cholesky(theta, k)
    products, _, n = _normal_equations(root @ root.T, patterns)
    inverse = np.asarray(np.linalg.inv(products[:-1, :-1]), dtype=float)
    beta = inverse @ products[:-1, -1]
    free = n if method == "ml" else n - len(beta)
    deviance = _deviance(theta, patterns, k, method) + 2 * free * math.log(scale)
    return RepeatedFit(beta * scale, inverse * scale**2, root @ root.T * scale**2, deviance, converged)


def satterthwaite_df(fit: RepeatedFit, y: FloatArray, x: FloatArray, contrast: FloatArray) -> float:
    """Satterthwaite degrees of freedom of a contrast of a REML fit.

    Parameters
    ----------
    fit, y, x
        The fit and its data.
    contrast
        Weights of the fixed effects, shape (p,).

    Notes
    -----
    df = 2 v^2 / (g' A g), v the variance of the contrast, g its gradient in the covariance parameters and A twice the
    inverse Hessian of the restricted deviance (Giesbrecht and Burns 1985, doi:10.2307/2530879), derivatives by
    central differences. For complete data and saturated visit means it is n - groups, the degrees of freedom of the t
    test.
    """
    scale = math.sqrt(float(np.trace(fit.sigma)) / len(fit.sigma))
    patterns = _patterns(y / scale, x)
    theta, k = _theta(fit.sigma / scale**2), len(fit.sigma)

    def variance(point: FloatArray) -> float:
        root = _cholesky(point, k)
        xx = _normal_equations(root @ root.T, patterns)[0][:-1, :-1]
        return float(contrast @ np.linalg.solve(xx, contrast))

    hessian = _derivatives(theta, patterns, k, "reml")[1]
    gradient = np.array([variance(theta + e) - variance(theta - e) for e in 1e-4 * np.eye(len(theta))]) / 2e-4
    spread = float(gradient @ np.linalg.pinv(hessian) @ gradient) * 2
    return 2 * variance(theta) ** 2 / spread if spread > 0 else math.nan


def constrained_lda(values: FloatArray, arm: FloatArray, adjust: FloatArray, visit: int) -> Estimate:
    """Constrained longitudinal data analysis: arms share one baseline mean, everyone with any visit counts.

    Parameters
    ----------
    values
        Participants by visits (baseline first), shape (n, k), NaN where missing.
    arm
        0 for arm a (reference), 1 for arm b, shape (n,).
    adjust
        Strata indicators and covariates, shape (n, m); each has its own coefficient at every visit.
    visit
        Column of `values` whose arm difference is wanted.

    Returns
    -------
    Estimate
        arm b minus arm a at the visit, REML, Satterthwaite degrees of freedom.

    Notes
    -----
    E(y_ij) = m_j + d_j arm_i [j > baseline] + adjust_i c_j, unstructured covariance (Liang and Zeger 2000, Sankhya B
    62:134; Liu et al. 2009, doi:10.1002/sim.3607).
    """
    used = np.isfinite(values).sum(axis=0) >= 2
    used[0] = True
    seen = np.isfinite(values[:, used]).any(axis=1)
    y, arm, adjust = values[seen][:, used], arm[seen], adjust[seen]
    n_a, n_b = int((arm == 0).sum()), int((arm == 1).sum())
    if not used[visit] or len(y) < 3 or np.nanstd(y) < 1e-12:
        return Estimate(math.nan, math.nan, math.nan, n_a, n_b, ("not estimable: too few values, or none that vary",))
    x, column = _constrained_design(y, arm, adjust, int(used[:visit].sum()))
    try:
        fit = fit_repeated(y, x)
        contrast = np.eye(x.shape[2])[column]
        df = satterthwaite_df(fit, y, x, contrast)
    except np.linalg.LinAlgError:
        return Estimate(
            math.nan, math.nan, math.nan, n_a, n_b, ("not estimable: the covariance of the visits is singular",)
        )
    notes = () if fit.converged else ("the optimiser did not report convergence",)
    return Estimate(float(fit.beta[column]), math.sqrt(fit.covariance[column, column]), df, n_a, n_b, notes)


def _constrained_design(y: FloatArray, arm: FloatArray, adjust: FloatArray, visit: int) -> tuple[FloatArray, int]:
    """Design (n, k, p) of visit means, arm effects after baseline, adjusting columns by visit; and the arm's column."""
    n, k = y.shape
    means = np.broadcast_to(np.eye(k), (n, k, k))
    effects = means[:, :, 1:] * arm[:, None, None]
    centred = adjust - adjust.mean(axis=0)
    extra = (means[:, :, :, None] * centred[:, None, None, :]).reshape(n, k, -1)
    observed = np.isfinite(y)
    fixed = np.concatenate([means, effects], axis=2)
    keep = independent_columns(fixed[observed], extra[observed])
    return np.concatenate([fixed, extra[:, :, keep]], axis=2), k + visit - 1
