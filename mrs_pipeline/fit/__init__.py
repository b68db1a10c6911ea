"""Room of the fit: linear-combination modelling of one spectrum, with honest uncertainty."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mrs_pipeline.basis import COMBINED

if TYPE_CHECKING:
    from mrs_pipeline.fit.agreement import AGREEMENT_COLUMNS, Agreement, agreement_table, compare_lcmodel, lcmodel_ratio
    from mrs_pipeline.fit.edited import fit_difference, with_creatine
    from mrs_pipeline.fit.edited_sum import fit_sum
    from mrs_pipeline.fit.io import read_fit, write_fit
    from mrs_pipeline.fit.joint import Visit, check_joint, fit_visits
    from mrs_pipeline.fit.joint_io import change_rows, joint_record, unit_factors, write_changes
    from mrs_pipeline.fit.joint_problem import Sharing
    from mrs_pipeline.fit.joint_result import Change, JointFit, VisitAmplitudes
    from mrs_pipeline.fit.peaks import fit_peaks
    from mrs_pipeline.fit.peaks_table import PeakTable, load_peaks, nucleus_of
    from mrs_pipeline.fit.posterior import fit_spectrum
    from mrs_pipeline.fit.posterior_result import Posterior
    from mrs_pipeline.fit.result import FitResult
    from mrs_pipeline.fit.settings_check import check_settings

__all__ = [
    "AGREEMENT_COLUMNS",
    "COMBINED",
    "Agreement",
    "Change",
    "FitResult",
    "JointFit",
    "PeakTable",
    "Posterior",
    "Sharing",
    "Visit",
    "VisitAmplitudes",
    "agreement_table",
    "change_rows",
    "check_joint",
    "check_settings",
    "compare_lcmodel",
    "fit_difference",
    "fit_peaks",
    "fit_spectrum",
    "fit_sum",
    "fit_visits",
    "joint_record",
    "lcmodel_ratio",
    "load_peaks",
    "nucleus_of",
    "read_fit",
    "unit_factors",
    "with_creatine",
    "write_changes",
    "write_fit",
]

_HOMES = {
    "AGREEMENT_COLUMNS": "agreement",
    "Agreement": "agreement",
    "FitResult": "result",
    "Posterior": "posterior_result",
    "PeakTable": "peaks_table",
    "agreement_table": "agreement",
    "compare_lcmodel": "agreement",
    "fit_difference": "edited",
    "fit_peaks": "peaks",
    "fit_spectrum": "posterior",
    "fit_sum": "edited_sum",
    "Change": "joint_result",
    "JointFit": "joint_result",
    "Sharing": "joint_problem",
    "Visit": "joint",
    "VisitAmplitudes": "joint_result",
    "change_rows": "joint_io",
    "check_joint": "joint",
    "check_settings": "settings_check",
    "fit_visits": "joint",
    "joint_record": "joint_io",
    "lcmodel_ratio": "agreement",
    "unit_factors": "joint_io",
    "write_changes": "joint_io",
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
