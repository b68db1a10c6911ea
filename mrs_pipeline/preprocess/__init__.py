"""Room: from raw transients to one clean spectrum."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mrs_pipeline.preprocess.io import load, load_evidence, load_record, save
    from mrs_pipeline.preprocess.metrics import METRIC_DEFINITIONS
    from mrs_pipeline.preprocess.pipeline import Hints, hints_from_headers, preprocess
    from mrs_pipeline.preprocess.state import METHODS
    from mrs_pipeline.preprocess.types import Preprocessed, StepRecord, display

_HOMES = {
    "METHODS": "state",
    "METRIC_DEFINITIONS": "metrics",
    "Hints": "pipeline",
    "Preprocessed": "types",
    "StepRecord": "types",
    "display": "types",
    "hints_from_headers": "pipeline",
    "load": "io",
    "load_evidence": "io",
    "load_record": "io",
    "preprocess": "pipeline",
    "save": "io",
}

__all__ = [
    "METHODS",
    "METRIC_DEFINITIONS",
    "Hints",
    "Preprocessed",
    "StepRecord",
    "display",
    "hints_from_headers",
    "load",
    "load_evidence",
    "load_record",
    "preprocess",
    "save",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401  a module attribute can be anything
    """Import a public name when it is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
