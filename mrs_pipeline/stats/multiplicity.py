"""Adjustment of p values within a family; missing p values stay missing and do not count."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
Method = Literal["holm", "bonferroni", "bh", "none"]


def adjust(p: npt.ArrayLike, method: Method) -> FloatArray:
    """Adjust p values.

    Parameters
    ----------
    p
        p values, shape (n,); NaN where there is none.
    method
        ``holm`` and ``bonferroni`` hold the family-wise error rate, ``bh`` the false discovery rate.

    Returns
    -------
    numpy.ndarray
        Adjusted p values, shape (n,).

    Notes
    -----
    With p sorted ascending, Holm (1979): max over j <= i of (m - j + 1) p_j; Benjamini and Hochberg (1995,
    doi:10.1111/j.2517-6161.1995.tb02031.x): min over j >= i of m p_j / j; both capped at 1.

    Examples
    --------
    >>> adjust([0.01, 0.04, 0.03], "holm").round(3).tolist()
    [0.03, 0.06, 0.06]
    """
    values = np.asarray(p, dtype=float)
    result = np.full(values.shape, np.nan)
    known = np.isfinite(values)
    if known.any():
        result[known] = _ADJUST[method](values[known])
    return result


def _holm(p: FloatArray) -> FloatArray:
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    return _unsort(np.minimum(stepped, 1.0), order)


def _benjamini_hochberg(p: FloatArray) -> FloatArray:
    order = np.argsort(p, kind="stable")
    stepped = p[order] * len(p) / np.arange(1, len(p) + 1)
    return _unsort(np.minimum(np.minimum.accumulate(stepped[::-1])[::-1], 1.0), order)


def _bonferroni(p: FloatArray) -> FloatArray:
    return np.minimum(p * len(p), 1.0)


def _unsort(values: FloatArray, order: npt.NDArray[np.intp]) -> FloatArray:
    result = np.empty_like(values)
    result[order] = values
    return result


def _unadjusted(p: FloatArray) -> FloatArray:
    return p


_ADJUST: dict[str, Callable[[FloatArray], FloatArray]] = {
    "holm": _holm,
    "bonferroni": _bonferroni,
    "bh": _benjamini_hochberg,
    "none": _unadjusted,
}
