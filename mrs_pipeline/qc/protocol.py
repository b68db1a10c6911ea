"""The scan as planned against the scan as made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mrs_pipeline.config import ProtocolFields, ProtocolSection

UNITS = {"echo_time": "s", "repetition_time": "s", "voxel_size_mm": "mm", "field_mhz": "MHz"}


@dataclass(frozen=True)
class ProtocolItem:
    """One line of the protocol.

    Parameters
    ----------
    name
        Field of ``[protocol]``.
    planned, found
        Value of the protocol and of the scan; ``found`` is ``None`` when the scan does not state it.
    within
        Whether the scan is within tolerance; ``None`` when it does not state the value.
    unit
        Unit of both.
    """

    name: str
    planned: Any
    found: Any
    within: bool | None
    unit: str = ""


def check_protocol(facts: Mapping[str, Any], protocol: ProtocolSection, voi: str | None) -> tuple[ProtocolItem, ...]:
    """Compare a scan with the protocol.

    Parameters
    ----------
    facts
        What the scan states, under the names of ``[protocol]``; absent or ``None`` where it states nothing.
    protocol
        ``[protocol]`` of study.toml.
    voi
        Region of the scan; its exceptions under ``[protocol.regions]`` go first.

    Returns
    -------
    tuple of ProtocolItem
        One per field the protocol states, in the order of the settings.
    """
    region = protocol.regions.get(voi or "", ProtocolFields())
    items = []
    for name in ProtocolFields.model_fields:
        planned = getattr(region, name) if getattr(region, name) is not None else getattr(protocol, name)
        if planned is not None:
            found = facts.get(name)
            within = None if found is None else _within(name, planned, found, protocol)
            items.append(ProtocolItem(name, planned, found, within, UNITS.get(name, "")))
    return tuple(items)


def _within(name: str, planned: Any, found: Any, protocol: ProtocolSection) -> bool:  # noqa: ANN401  values of any field
    """Whether a stated value is within the tolerance of its field; words are compared without case."""
    if isinstance(planned, str):
        return planned.strip().lower() in str(found).strip().lower()
    tolerance = getattr(protocol.tolerance, name)
    if isinstance(planned, tuple):
        # edges are compared sorted: vendors name the axes in different order
        return all(_near(a, b, tolerance) for a, b in zip(sorted(planned), sorted(found), strict=True))
    return _near(planned, found, tolerance)


def _near(planned: float, found: float, tolerance: float) -> bool:
    """Whether two values differ by the tolerance at most, as decimal numbers: 31 ms is 1 ms from 30 ms."""
    return bool(abs(planned - found) <= tolerance + 1e-9 * abs(planned))
