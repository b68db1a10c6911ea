"""Room: synthetic. Spectra, heads and whole trials with planted truth, written as scanner files.

Imports neither ``fit`` nor ``quantify`` nor ``preprocess``: signal is summed from moles per compartment by its own
code. The constants of the planted truth are data of the preset ``default``, read through ``config``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mrs_pipeline.synthetic.constants import (
    Constants,
    Relaxation,
    WaterConstants,
    other_laboratory,
    typical_concentrations,
)
from mrs_pipeline.synthetic.settings import (
    REGIONS,
    Acquisition,
    Artefacts,
    HeadSettings,
    Macromolecules,
    Region,
    SpectrumSettings,
    Transients,
    TrialSettings,
    no_artefacts,
    strong_head,
)
from mrs_pipeline.synthetic.signal import TissueMix
from mrs_pipeline.synthetic.spectra import SpectrumTruth, SyntheticScan, simulate_spectrum
from mrs_pipeline.synthetic.transients import TransientScan, TransientTruth, simulate_transients

if TYPE_CHECKING:
    from mrs_pipeline.synthetic.write import ScanTruth, TrialTruth, write_trial

_LAZY = dict.fromkeys(("ScanTruth", "TrialTruth", "write_trial"), "mrs_pipeline.synthetic.write")


def __getattr__(name: str) -> Any:  # noqa: ANN401  whatever the module holds
    """Load the writers of whole trials only when they are asked for."""
    if name in _LAZY:
        from importlib import import_module

        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "REGIONS",
    "Acquisition",
    "Artefacts",
    "Constants",
    "HeadSettings",
    "Macromolecules",
    "Region",
    "Relaxation",
    "ScanTruth",
    "SpectrumSettings",
    "SpectrumTruth",
    "SyntheticScan",
    "TissueMix",
    "TransientScan",
    "TransientTruth",
    "Transients",
    "TrialSettings",
    "TrialTruth",
    "WaterConstants",
    "no_artefacts",
    "other_laboratory",
    "simulate_spectrum",
    "simulate_transients",
    "strong_head",
    "typical_concentrations",
    "write_trial",
]
