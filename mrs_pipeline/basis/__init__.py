"""Room: basis sets - simulated from spin systems, or read from files - in one unit and one convention."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from mrs_pipeline.basis.model import Basis
from mrs_pipeline.basis.names import (
    COMBINED,
    DEFAULT_METABOLITES,
    SINGLETS,
    canonical_name,
    is_background,
    is_lipid,
    is_whole,
    parts_of,
    reported_name,
)

if TYPE_CHECKING:
    from mrs_pipeline.basis.editing import EDIT_TARGETS, Editing, editing_of, share_left
    from mrs_pipeline.basis.figure import draw_basis, save_figure
    from mrs_pipeline.basis.io import check_output, load_basis, save_basis
    from mrs_pipeline.basis.macromolecules import (
        macromolecule_basis,
        macromolecule_presets,
        measured_macromolecules,
        with_macromolecules,
    )
    from mrs_pipeline.basis.match import check_match
    from mrs_pipeline.basis.pulses import read_waveform, waveform
    from mrs_pipeline.basis.sequences import SEQUENCES, ShapedKit, default_kit
    from mrs_pipeline.basis.simulate import check_timing, simulate_basis
    from mrs_pipeline.basis.systems import literature, molecule, molecule_names

_LAZY = {
    "EDIT_TARGETS": "editing",
    "Editing": "editing",
    "SEQUENCES": "sequences",
    "ShapedKit": "sequences",
    "check_match": "match",
    "check_output": "io",
    "check_timing": "simulate",
    "default_kit": "sequences",
    "draw_basis": "figure",
    "editing_of": "editing",
    "literature": "systems",
    "load_basis": "io",
    "macromolecule_basis": "macromolecules",
    "macromolecule_presets": "macromolecules",
    "measured_macromolecules": "macromolecules",
    "molecule": "systems",
    "molecule_names": "systems",
    "read_waveform": "pulses",
    "save_basis": "io",
    "save_figure": "figure",
    "share_left": "editing",
    "simulate_basis": "simulate",
    "waveform": "pulses",
    "with_macromolecules": "macromolecules",
}

__all__ = [
    "COMBINED",
    "DEFAULT_METABOLITES",
    "EDIT_TARGETS",
    "SEQUENCES",
    "SINGLETS",
    "Basis",
    "Editing",
    "ShapedKit",
    "canonical_name",
    "check_match",
    "check_output",
    "check_timing",
    "default_kit",
    "draw_basis",
    "editing_of",
    "is_background",
    "is_lipid",
    "is_whole",
    "literature",
    "load_basis",
    "macromolecule_basis",
    "macromolecule_presets",
    "measured_macromolecules",
    "molecule",
    "molecule_names",
    "parts_of",
    "read_waveform",
    "reported_name",
    "save_basis",
    "save_figure",
    "share_left",
    "simulate_basis",
    "waveform",
    "with_macromolecules",
]


def __getattr__(name: str) -> object:
    """Import the heavier parts of the room when they are first used."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_LAZY[name]}"), name)
