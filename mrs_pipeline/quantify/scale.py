"""The receiver scale of the water scan against that of the metabolite scan."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mrs_pipeline.errors import InputError

GAIN = "ReceiveGain"
"""BIDS metadata field: gain of the receive coil in dB, a number or one per nucleus."""


@dataclass(frozen=True)
class ReceiverScale:
    """What brings the water signal to the metabolite scan's scale.

    Parameters
    ----------
    factor
        Multiplies the water amplitude.
    metabolite_db, water_db
        Gains the scans state; ``None`` where they state none.
    warnings
        Sentences for the report.
    """

    factor: float = 1.0
    metabolite_db: float | None = None
    water_db: float | None = None
    warnings: tuple[str, ...] = ()


def receiver_scale(
    metabolite: Mapping[str, Any], water: Mapping[str, Any], setting: float | None = None
) -> ReceiverScale:
    r"""Tell from what two scans state how the water signal is to be scaled.

    Parameters
    ----------
    metabolite, water
        NIfTI-MRS header extension with the BIDS sidecar's fields over it.
    setting
        ``[quantify] water_scale``; overrides the files.

    Raises
    ------
    InputError
        A stated gain is not a number.

    Notes
    -----
    A gain of :math:`g` dB multiplies the signal by :math:`10^{g/20}`, so that the water is multiplied by
    :math:`10^{(g_m-g_w)/20}`. Without any statement both scans count as received alike, as vendors' files are when
    both come from one prescan or are scaled on export; the quality rules ``water_scale_high`` and ``water_scale_low``
    find sums against means and forgotten gains by the size of water against creatine.

    Examples
    --------
    >>> receiver_scale({"ReceiveGain": 30.0}, {"ReceiveGain": 10.0}).factor
    10.0
    """
    gains = gain_of(metabolite, "metabolite"), gain_of(water, "water")
    if setting is not None:
        return ReceiverScale(setting, *gains, warnings=_overriding(setting, *gains))
    if gains[0] is not None and gains[1] is not None:
        return ReceiverScale(10 ** ((gains[0] - gains[1]) / 20), *gains)
    return ReceiverScale(1.0, *gains, warnings=_one_sided(*gains))


def gain_of(fields: Mapping[str, Any], what: str) -> float | None:
    """Return the receiver gain a scan states in dB, or ``None``; of several nuclei that of the first."""
    value = fields.get(GAIN)
    if isinstance(value, Mapping):  # a user-defined field of NIfTI-MRS
        value = value.get("Value")
    if isinstance(value, list | tuple):
        value = value[0] if value else None
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InputError(
            f"{GAIN} of the {what} scan is {value!r}, not a number", remedy=f"write {GAIN} in dB in its sidecar"
        )
    return float(value)


def _one_sided(metabolite: float | None, water: float | None) -> tuple[str, ...]:
    """Warn when only one scan states its gain."""
    if (metabolite is None) == (water is None):
        return ()
    known, unknown = ("metabolite", "water") if water is None else ("water", "metabolite")
    gain = metabolite if water is None else water
    sentence = (
        f"only the {known} scan states its receiver gain ({gain:g} dB); the {unknown} scan is taken to have the same: "
        f"give {GAIN} in both sidecars, or [quantify] water_scale"
    )
    return (sentence,)


def _overriding(setting: float, metabolite: float | None, water: float | None) -> tuple[str, ...]:
    """Say when a setting contradicts what the files state."""
    if metabolite is None or water is None:
        return ()
    stated = 10 ** ((metabolite - water) / 20)
    if abs(stated / setting - 1) < 1e-3:
        return ()
    return (f"[quantify] water_scale = {setting:g} is used against the files' receiver gains, which mean {stated:.4g}",)
