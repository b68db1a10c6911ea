"""VAX F floats, the number format of Philips SDAT files."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def to_vax(values: npt.ArrayLike) -> bytes:
    r"""Encode real numbers as VAX F_floating, four bytes each.

    Parameters
    ----------
    values
        Real numbers; rounded to single precision first.

    Raises
    ------
    ValueError
        When a number is not finite or beyond 1.7e38, the largest VAX F float.

    Notes
    -----
    IEEE single: :math:`(1+m/2^{23})\,2^{e-127}`; VAX F: :math:`(1/2+m/2^{24})\,2^{E-128}`, so the mantissa bits agree
    and :math:`E=e+2`. The two 16-bit words are stored most significant first, each little endian (VAX Architecture
    Reference Manual, 1987). Numbers below the smallest normal float become zero.
    """
    ieee = np.ascontiguousarray(values, dtype="<f4").ravel()
    word = ieee.view("<u4").astype(np.uint64)
    exponent = (word >> 23) & 0xFF
    if np.any(exponent > 253):
        raise ValueError("number not finite or too large for a VAX F float")
    vax = (word & 0x807FFFFF) | ((exponent + 2) << 23)
    vax = np.where(exponent == 0, 0, vax).astype(np.uint32)
    return ((vax >> 16) | (vax << 16)).astype("<u4").tobytes()
