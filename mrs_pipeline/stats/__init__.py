"""Room: stats. Blinded tables, the frozen analysis set, and the comparison of the arms: tidy table in, tidy table out.

Names load their module on first use, so that importing the room costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mrs_pipeline.stats.columns import (
        CONCENTRATION_COLUMNS,
        CONCENTRATIONS,
        EFFECT_COLUMNS,
        EFFECTS,
        FLOW,
        FLOW_COLUMNS,
        QC,
        QC_COLUMNS,
        REASONS,
        SCAN_KEYS,
        UNIT_COLUMNS,
        UNIT_LABELS,
        data_dictionary,
    )
    from mrs_pipeline.stats.comparison import Comparison, compare, write_comparison
    from mrs_pipeline.stats.effect_size import hedges_g, pooled_sd, small_sample_correction
    from mrs_pipeline.stats.effects import Effects, effects, primary_visit
    from mrs_pipeline.stats.flow import cell_counts, flow
    from mrs_pipeline.stats.freeze import (
        build_freeze,
        changes,
        check_integrity,
        freeze_hash,
        refreeze,
        software_changes,
        verify,
    )
    from mrs_pipeline.stats.inclusion import decide, reason_of_rule
    from mrs_pipeline.stats.io import (
        Allocation,
        Sources,
        arm_like_columns,
        collect,
        read_allocation,
        read_blinded,
        read_external,
        read_json,
        read_participants,
        read_ratings,
        read_tsv,
        sha256,
        write_atomic,
        write_json,
        write_tsv,
    )
    from mrs_pipeline.stats.level import (
        Blinded,
        check_plan,
        flow_by_arm,
        flow_table,
        freeze_of,
        qc_table,
        read_blinded_trial,
        scan_name,
        unblind,
    )
    from mrs_pipeline.stats.mixed import constrained_lda, fit_repeated, satterthwaite_df
    from mrs_pipeline.stats.models import Estimate, ancova, change_score, crossover, descriptive, ols_hc3, paired_change
    from mrs_pipeline.stats.multiple_imputation import imputed_ancova
    from mrs_pipeline.stats.multiplicity import adjust
    from mrs_pipeline.stats.panel import Trial, off_window, region_labels, select_values, visit_day

_HOME = {
    "columns": (
        "CONCENTRATION_COLUMNS", "CONCENTRATIONS", "EFFECTS", "EFFECT_COLUMNS", "FLOW", "FLOW_COLUMNS", "QC", "QC_COLUMNS",
        "REASONS", "SCAN_KEYS", "UNIT_COLUMNS", "UNIT_LABELS", "data_dictionary",
    ),
    "comparison": ("Comparison", "compare", "write_comparison"),
    "effect_size": ("hedges_g", "pooled_sd", "small_sample_correction"),
    "effects": ("Effects", "effects", "primary_visit"),
    "flow": ("cell_counts", "flow"),
    "freeze": ("build_freeze", "changes", "check_integrity", "freeze_hash", "refreeze", "software_changes", "verify"),
    "inclusion": ("decide", "reason_of_rule"),
    "io": (
        "Allocation", "Sources", "arm_like_columns", "collect", "read_allocation", "read_blinded", "read_external", "read_json",
        "read_participants", "read_ratings", "read_tsv", "sha256", "write_atomic", "write_json", "write_tsv",
    ),
    "level": (
        "Blinded", "check_plan", "flow_by_arm", "flow_table", "freeze_of", "qc_table", "read_blinded_trial", "scan_name", "unblind",
    ),
    "mixed": ("constrained_lda", "fit_repeated", "satterthwaite_df"),
    "models": ("Estimate", "ancova", "change_score", "crossover", "descriptive", "ols_hc3", "paired_change"),
    "multiple_imputation": ("imputed_ancova",),
    "multiplicity": ("adjust",),
    "panel": ("Trial", "off_window", "region_labels", "select_values", "visit_day"),
}  # fmt: skip
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}

__all__ = [
    "CONCENTRATIONS",
    "CONCENTRATION_COLUMNS",
    "EFFECTS",
    "EFFECT_COLUMNS",
    "FLOW",
    "FLOW_COLUMNS",
    "QC",
    "QC_COLUMNS",
    "REASONS",
    "SCAN_KEYS",
    "UNIT_COLUMNS",
    "UNIT_LABELS",
    "Allocation",
    "Blinded",
    "Comparison",
    "Effects",
    "Estimate",
    "Sources",
    "Trial",
    "adjust",
    "ancova",
    "arm_like_columns",
    "build_freeze",
    "cell_counts",
    "change_score",
    "changes",
    "check_integrity",
    "check_plan",
    "collect",
    "compare",
    "constrained_lda",
    "crossover",
    "data_dictionary",
    "decide",
    "descriptive",
    "effects",
    "fit_repeated",
    "flow",
    "flow_by_arm",
    "flow_table",
    "freeze_hash",
    "freeze_of",
    "hedges_g",
    "imputed_ancova",
    "off_window",
    "ols_hc3",
    "paired_change",
    "pooled_sd",
    "primary_visit",
    "qc_table",
    "read_allocation",
    "read_blinded",
    "read_blinded_trial",
    "read_external",
    "read_json",
    "read_participants",
    "read_ratings",
    "read_tsv",
    "reason_of_rule",
    "refreeze",
    "region_labels",
    "satterthwaite_df",
    "scan_name",
    "select_values",
    "sha256",
    "small_sample_correction",
    "software_changes",
    "unblind",
    "verify",
    "visit_day",
    "write_atomic",
    "write_comparison",
    "write_json",
    "write_tsv",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401  a module's names have any type
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
