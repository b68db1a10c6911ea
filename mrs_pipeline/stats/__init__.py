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
    from mrs_pipeline.stats.correlation import CORRELATIONS, bootstrap_partial, correlation_table, partial_correlation
    from mrs_pipeline.stats.descriptives import baseline_table, describe, precision
    from mrs_pipeline.stats.effect_size import hedges_g, pooled_sd, small_sample_correction
    from mrs_pipeline.stats.effect_table import Effects, effects, primary_visit
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
        read_participants,
        read_ratings,
        read_tsv,
        records,
        write_tsv,
    )
    from mrs_pipeline.stats.joint_changes import JOINT_MODEL, between_variance, joint_change, read_changes, weighted_fit
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
    from mrs_pipeline.stats.outcomes import all_outcomes, improvement, outcome_values
    from mrs_pipeline.stats.panel import Trial, off_window, pivot_values, region_labels, select_values, visit_day
    from mrs_pipeline.stats.participant_flow import cell_counts, flow
    from mrs_pipeline.stats.repeatability import Reliability, reliability, reliability_table, reliable_change
    from mrs_pipeline.stats.responders import (
        RESPONDERS,
        Proportions,
        newcombe,
        number_needed,
        responder_table,
        risk_ratio,
        wilson,
    )
    from mrs_pipeline.stats.sample_size import detectable_difference, power

_HOME = {
    "columns": (
        "CONCENTRATION_COLUMNS", "CONCENTRATIONS", "EFFECTS", "EFFECT_COLUMNS", "FLOW", "FLOW_COLUMNS", "QC",
        "QC_COLUMNS", "REASONS", "SCAN_KEYS", "UNIT_COLUMNS", "UNIT_LABELS", "data_dictionary",
    ),
    "comparison": (
        "Comparison", "compare", "write_comparison",
    ),
    "correlation": (
        "CORRELATIONS", "bootstrap_partial", "correlation_table", "partial_correlation",
    ),
    "descriptives": (
        "baseline_table", "describe", "precision",
    ),
    "outcomes": (
        "all_outcomes", "improvement", "outcome_values",
    ),
    "sample_size": (
        "detectable_difference", "power",
    ),
    "repeatability": (
        "Reliability", "reliability", "reliability_table", "reliable_change",
    ),
    "responders": (
        "RESPONDERS", "Proportions", "newcombe", "number_needed", "responder_table", "risk_ratio", "wilson",
    ),
    "effect_size": (
        "hedges_g", "pooled_sd", "small_sample_correction",
    ),
    "effect_table": (
        "Effects", "effects", "primary_visit",
    ),
    "participant_flow": (
        "cell_counts", "flow",
    ),
    "freeze": (
        "build_freeze", "changes", "check_integrity", "freeze_hash", "refreeze", "software_changes", "verify",
    ),
    "inclusion": (
        "decide", "reason_of_rule",
    ),
    "io": (
        "Allocation", "Sources", "arm_like_columns", "collect", "read_allocation", "read_blinded",
        "read_external", "read_participants", "read_ratings", "read_tsv", "records", "write_tsv",
    ),
    "joint_changes": (
        "JOINT_MODEL", "between_variance", "joint_change", "read_changes", "weighted_fit",
    ),
    "level": (
        "Blinded", "check_plan", "flow_by_arm", "flow_table", "freeze_of", "qc_table", "read_blinded_trial",
        "scan_name", "unblind",
    ),
    "mixed": (
        "constrained_lda", "fit_repeated", "satterthwaite_df",
    ),
    "models": (
        "Estimate", "ancova", "change_score", "crossover", "descriptive", "ols_hc3", "paired_change",
    ),
    "multiple_imputation": (
        "imputed_ancova",
    ),
    "multiplicity": (
        "adjust",
    ),
    "panel": (
        "Trial", "off_window", "pivot_values", "region_labels", "select_values", "visit_day",
    ),
}  # fmt: skip
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}

__all__ = [
    "CONCENTRATIONS",
    "CONCENTRATION_COLUMNS",
    "CORRELATIONS",
    "EFFECTS",
    "EFFECT_COLUMNS",
    "FLOW",
    "FLOW_COLUMNS",
    "JOINT_MODEL",
    "QC",
    "QC_COLUMNS",
    "REASONS",
    "RESPONDERS",
    "SCAN_KEYS",
    "UNIT_COLUMNS",
    "UNIT_LABELS",
    "Allocation",
    "Blinded",
    "Comparison",
    "Effects",
    "Estimate",
    "Proportions",
    "Reliability",
    "Sources",
    "Trial",
    "adjust",
    "all_outcomes",
    "ancova",
    "arm_like_columns",
    "baseline_table",
    "between_variance",
    "bootstrap_partial",
    "build_freeze",
    "cell_counts",
    "change_score",
    "changes",
    "check_integrity",
    "check_plan",
    "collect",
    "compare",
    "constrained_lda",
    "correlation_table",
    "crossover",
    "data_dictionary",
    "decide",
    "describe",
    "descriptive",
    "detectable_difference",
    "effects",
    "fit_repeated",
    "flow",
    "flow_by_arm",
    "flow_table",
    "freeze_hash",
    "freeze_of",
    "hedges_g",
    "improvement",
    "imputed_ancova",
    "joint_change",
    "newcombe",
    "number_needed",
    "off_window",
    "ols_hc3",
    "outcome_values",
    "paired_change",
    "partial_correlation",
    "pivot_values",
    "pooled_sd",
    "power",
    "precision",
    "primary_visit",
    "qc_table",
    "read_allocation",
    "read_blinded",
    "read_blinded_trial",
    "read_changes",
    "read_external",
    "read_participants",
    "read_ratings",
    "read_tsv",
    "reason_of_rule",
    "records",
    "refreeze",
    "region_labels",
    "reliability",
    "reliability_table",
    "reliable_change",
    "responder_table",
    "risk_ratio",
    "satterthwaite_df",
    "scan_name",
    "select_values",
    "small_sample_correction",
    "software_changes",
    "unblind",
    "verify",
    "visit_day",
    "weighted_fit",
    "wilson",
    "write_comparison",
    "write_tsv",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401  a module's names have any type
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
