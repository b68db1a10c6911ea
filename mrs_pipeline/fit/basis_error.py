r"""What an imperfect basis does to the amplitudes.

A simulated signal differs from the true one: pulses and echo periods of the sequence are never known exactly, and
change the pattern of coupled spins. The signal of metabolite k in the data is taken as

.. math:: s_k(f)\,\bigl(1 + \textstyle\sum_w \epsilon_{kw}B_w(f)\bigr),\qquad \epsilon_{kw}\sim N(0, \tau_k^2),

with cubic B-splines :math:`B_w` of the frequency, as far apart as multiplets are wide, scaled to
:math:`\sum_wB_w^2 = 1`, so that :math:`\tau_k` is the relative error of the signal at every frequency. A discrepancy
that the fit does not know (Kennedy & O'Hagan 2001, doi:10.1111/1467-9868.00294): it adds to the uncertainty, not to
the model. How large :math:`\tau_k` is, is measured on sets that were simulated independently.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mrs_pipeline.spectrum import FloatArray


@dataclass(frozen=True, eq=False)
class BasisError:
    """Relative error of the basis signals.

    Parameters
    ----------
    sd
        Of each component, 0 where there is none, shape ``(K,)``.
    window_hz
        Distance over which errors are alike.
    """

    sd: FloatArray
    window_hz: float


def windows(offset_hz: FloatArray, window_hz: float) -> FloatArray:
    """Cubic B-splines over the fitted window, squares summing to 1 at every point, shape ``(w, n)``."""
    from scipy.interpolate import BSpline

    first, last = float(offset_hz.min()), float(offset_hz.max())
    count = max(1, round((last - first) / window_hz))
    inner = np.linspace(first, last, count + 1)
    step = inner[1] - inner[0]
    knots = np.concatenate([inner[0] - step * np.arange(3, 0, -1), inner, inner[-1] + step * np.arange(1, 4)])
    place = np.minimum(offset_hz, last - 1e-9 * step)
    splines = BSpline.design_matrix(place, knots, 3).toarray().T
    return np.asarray(splines / np.sqrt(np.sum(splines**2, axis=0)))


def basis_spread(reaction: FloatArray, signals: FloatArray, splines: FloatArray, sd: FloatArray) -> FloatArray:
    r"""Covariance of the amplitudes over the errors of the basis, shape ``(K, K)``.

    Parameters
    ----------
    reaction
        What each amplitude changes by per unit of data at each point, shape ``(K, n)``.
    signals
        Fitted signals of the components, shape ``(K, n)``.
    splines
        :func:`windows`, shape ``(w, n)``.
    sd
        Relative error of each signal, shape ``(K,)``.

    Notes
    -----
    :math:`\sum_k\tau_k^2\sum_w d_{kw}d_{kw}^T` with :math:`d_{kw} = R\,(s_k\cdot B_w)`.
    """
    out = np.zeros((sd.size, sd.size))
    for row in np.flatnonzero(sd > 0):
        moved = sd[row] * (reaction * signals[row]) @ splines.T
        out += moved @ moved.T
    return out
