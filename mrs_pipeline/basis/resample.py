"""Putting a basis set on another time grid without touching its step at t = 0.

A basis FID starts with its full amplitude at t = 0. Cropping or decimating it in the frequency domain wraps that step
round to the end of the FID and ruins a fit, so the new points are found in the time domain: the FID is continued to a
few negative times by backward linear prediction, which makes it smooth across t = 0, and interpolated there with a
Kaiser-windowed sinc.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mrs_pipeline.basis.model import Basis
from mrs_pipeline.errors import BasisError
from mrs_pipeline.spectrum import ComplexArray, FloatArray

FIELD_TOLERANCE = 0.01
"""Largest relative difference of field strengths at which a basis set may stand for another field."""

_HALF_WIDTH = 32
_KAISER_BETA = 10.0
_ORDER = 48
_ROWS = 768


def resample(
    basis: Basis, dwell: float, n_points: int, field_mhz: float | None = None, reference_ppm: float | None = None
) -> Basis:
    """Return ``basis`` on another grid; see :meth:`Basis.resampled`."""
    field = basis.field_mhz if field_mhz is None else field_mhz
    reference = basis.reference_ppm if reference_ppm is None else reference_ppm
    stretch = field / basis.field_mhz
    if abs(stretch - 1) > FIELD_TOLERANCE:
        raise BasisError(
            f"the basis set is for {basis.field_mhz:.2f} MHz, not for {field:.2f} MHz",
            remedy="simulate or import a basis set for the field of the scan",
            path=basis.file,
        )
    times = np.arange(n_points, dtype=np.float64) * (dwell * stretch / basis.dwell)
    fids = evaluate(basis.fids, times)
    shift_hz = (basis.reference_ppm - reference) * field
    fids = fids * np.exp(2j * np.pi * shift_hz * dwell * np.arange(n_points))
    missing = times[-1] - (basis.n_points - 1)
    notes = basis.notes
    if missing > 1 and np.abs(basis.fids[:, -1]).max() > 0.01 * np.abs(basis.fids[:, 0]).max():
        notes = (
            *notes,
            f"the set ends {missing * basis.dwell * 1e3:.0f} ms before the scan and is continued with zeros",
        )
    return replace(basis, fids=fids, dwell=dwell, field_mhz=field, reference_ppm=reference, notes=notes)


def evaluate(fids: ComplexArray, positions: FloatArray) -> ComplexArray:
    """Return FIDs between their samples.

    Parameters
    ----------
    fids
        Causal FIDs, shape ``(n, n_points)``.
    positions
        Times in units of the old dwell, all >= 0, shape ``(m,)``.

    Returns
    -------
    ComplexArray
        Shape ``(n, m)``; zero after the last sample.
    """
    n_points = fids.shape[1]
    whole = np.round(positions).astype(int)
    if np.allclose(positions, whole, rtol=0, atol=1e-9):
        padded = np.pad(fids, ((0, 0), (0, max(0, whole[-1] + 1 - n_points))))
        return np.ascontiguousarray(padded[:, whole])
    before = predict_backwards(fids, _HALF_WIDTH)
    longest = int(np.ceil(positions[-1])) + _HALF_WIDTH + 1
    after = np.zeros((len(fids), max(_HALF_WIDTH + 1, longest - n_points)))
    extended = np.hstack([before, fids, after])
    return _sinc_interpolate(extended, positions + _HALF_WIDTH)


def _sinc_interpolate(signal: ComplexArray, positions: FloatArray) -> ComplexArray:
    base = np.floor(positions).astype(int)
    taps = np.arange(-_HALF_WIDTH + 1, _HALF_WIDTH + 1)
    distance = positions[:, np.newaxis] - (base[:, np.newaxis] + taps)
    window = np.i0(_KAISER_BETA * np.sqrt(np.maximum(0, 1 - (distance / _HALF_WIDTH) ** 2))) / np.i0(_KAISER_BETA)
    weights = np.sinc(distance) * window
    weights /= weights.sum(axis=1, keepdims=True)
    index = np.maximum(base[:, np.newaxis] + taps, 0)
    return np.stack([np.einsum("mt,mt->m", row[index], weights) for row in signal])


def predict_backwards(fids: ComplexArray, count: int) -> ComplexArray:
    """Return ``count`` points before t = 0 by backward linear prediction, shape ``(n, count)``, in time order.

    Notes
    -----
    A sum of damped lines obeys y(k) = sum_j c_j y(k + j). The coefficients come from a regularised least-squares
    fit over the first points of each FID. The result only has to be smooth: it enters the interpolation near t = 0.
    """
    return np.stack([_predict_one(fid, count) for fid in fids])


def _predict_one(fid: ComplexArray, count: int) -> ComplexArray:
    order = min(_ORDER, len(fid) // 4)
    rows = min(_ROWS, len(fid) - order)
    windows = np.lib.stride_tricks.sliding_window_view(fid, order + 1)[:rows]
    past, future = windows[:, 0], windows[:, 1:]
    gram = future.conj().T @ future
    gram += 1e-10 * np.trace(gram).real / order * np.eye(order)
    coefficients = np.linalg.solve(gram, future.conj().T @ past)
    buffer = np.concatenate([np.zeros(count, dtype=np.complex128), fid[:order]])
    for k in range(count - 1, -1, -1):
        buffer[k] = buffer[k + 1 : k + 1 + order] @ coefficients
    return _bounded(buffer[:count], 2 * np.abs(fid[:order]).max())


def _bounded(values: ComplexArray, limit: float) -> ComplexArray:
    size = np.abs(values)
    return np.where(size > limit, values * (limit / np.maximum(size, 1e-300)), values)
