"""Room of the fit: linear-combination modelling of one spectrum, with honest uncertainty."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mrs_pipeline.basis import COMBINED

if TYPE_CHECKING:
    from mrs_pipeline.fit.agreement import AGREEMENT_COLUMNS, Agreement, agreement_table, compare_lcmodel, lcmodel_ratio
    from mrs_pipeline.fit.edited import fit_difference, with_creatine
    from mrs_pipeline.fit.engine import fit_spectrum
    from mrs_pipeline.fit.io import read_fit, write_fit
    from mrs_pipeline.fit.peaks import fit_peaks
    from mrs_pipeline.fit.peaks_table import PeakTable, load_peaks, nucleus_of
    from mrs_pipeline.fit.result import FitResult

__all__ = [
    "AGREEMENT_COLUMNS",
    "COMBINED",
    "Agreement",
    "FitResult",
    "PeakTable",
    "agreement_table",
    "compare_lcmodel",
    "fit_difference",
    "fit_peaks",
    "fit_spectrum",
    "lcmodel_ratio",
    "load_peaks",
    "nucleus_of",
    "read_fit",
    "with_creatine",
    "write_fit",
]

_HOMES = {
    "AGREEMENT_COLUMNS": "agreement",
    "Agreement": "agreement",
    "FitResult": "result",
    "PeakTable": "peaks_table",
    "agreement_table": "agreement",
    "compare_lcmodel": "agreement",
    "fit_difference": "edited",
    "fit_peaks": "peaks",
    "fit_spectrum": "engine",
    "lcmodel_ratio": "agreement",
    "load_peaks": "peaks_table",
    "nucleus_of": "peaks_table",
    "read_fit": "io",
    "with_creatine": "edited",
    "write_fit": "io",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401  the module protocol
    """Import the room's parts when they are first used."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
