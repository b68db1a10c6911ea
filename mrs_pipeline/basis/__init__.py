"""Room: basis sets - simulated from spin systems, or read from files - in one unit and one convention."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from mrs_pipeline.basis.model import Basis
from mrs_pipeline.basis.names import DEFAULT_METABOLITES, canonical_name

if TYPE_CHECKING:
    from mrs_pipeline.basis.io import load_basis
    from mrs_pipeline.basis.match import check_match
    from mrs_pipeline.basis.simulate import simulate_basis

_LAZY = {
    "check_match": "match",
    "load_basis": "io",
    "simulate_basis": "simulate",
}

__all__ = ["DEFAULT_METABOLITES", "Basis", "canonical_name", "check_match", "load_basis", "simulate_basis"]


def __getattr__(name: str) -> object:
    """Import the heavier parts of the room when they are first used."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_LAZY[name]}"), name)
