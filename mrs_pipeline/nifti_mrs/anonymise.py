"""Which header fields may leave the scanner."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_IDENTIFYING = re.compile(
    r"patient(?!position)|birth|operator|physician|institution|station|serial|uid|accession|address|referring|person"
    r"|requesting|conversiontime|originalfile|(?:acquisition|series|study|content|instance|scan)_?(?:date|time)|studyid"
    r"|^date$|^time$|procedurestep",
    re.IGNORECASE,
)


def is_identifying(key: str) -> bool:
    """Return whether a header field names or may identify a person, a device or a moment.

    >>> is_identifying("PatientName"), is_identifying("PatientPosition"), is_identifying("EchoTime")
    (True, False, False)
    """
    return bool(_IDENTIFYING.search(key))


def anonymised(header: Mapping[str, Any]) -> dict[str, Any]:
    """Return a header or sidecar without identifying fields, at every depth.

    Names, identifiers, birth dates, addresses, serial numbers, UIDs, dates and original file names go; what describes
    the measurement stays, the patient's position included. ``AcquisitionStartTime`` of NIfTI-MRS is a delay and stays.
    """
    return {key: _inside(value) for key, value in header.items() if not is_identifying(key)}


def _inside(value: Any) -> Any:  # noqa: ANN401  any JSON
    if isinstance(value, Mapping):
        return anonymised(value)
    if isinstance(value, list):
        return [_inside(item) for item in value]
    return value
