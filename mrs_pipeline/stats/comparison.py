"""The arm comparison as a whole: what was estimated, on which frozen set, with whose arms."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from mrs_pipeline.config import Study
from mrs_pipeline.stats.columns import EFFECTS, FLOW, data_dictionary
from mrs_pipeline.stats.correlation import CORRELATIONS, correlation_table
from mrs_pipeline.stats.effect_table import NOTE_COLUMNS, effects
from mrs_pipeline.stats.io import Allocation, write_tsv
from mrs_pipeline.stats.level import Blinded, flow_by_arm, unblind
from mrs_pipeline.stats.outcomes import all_outcomes
from mrs_pipeline.stats.panel import Trial
from mrs_pipeline.stats.responders import RESPONDERS, responder_table


@dataclass(frozen=True, eq=False)
class Comparison:
    """Result of comparing the arms.

    Parameters
    ----------
    trial
        What was compared.
    effects, notes
        Tables ``effects.tsv`` and ``effects-notes.tsv``.
    flow
        Flow per arm.
    freeze
        Content of ``analysis-set.json``.
    allocation_digest
        SHA-256 of the allocation file; ``None`` in a single-arm trial without one.
    software_changes
        Packages whose version changed since the freeze.
    warnings
        Sentences for the report.
    responders, correlations
        Tables of the clinical outcomes; ``None`` where the plan names none.
    outcomes
        Values of every clinical outcome by name: participants by visits.
    """

    trial: Trial
    effects: pd.DataFrame
    notes: pd.DataFrame
    flow: pd.DataFrame
    freeze: dict[str, Any]
    allocation_digest: str | None
    software_changes: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    responders: pd.DataFrame | None = None
    correlations: pd.DataFrame | None = None
    outcomes: dict[str, pd.DataFrame] = field(default_factory=dict)


def compare(
    blinded: Blinded, allocation: Allocation | None, study: Study, freeze: dict[str, Any], software_changes: list[str]
) -> Comparison:
    """Compare the arms of a trial whose analysis set is frozen (the caller has verified the freeze)."""
    trial = unblind(blinded, allocation, study)
    plan = study.analysis
    found = effects(trial, plan)
    outcomes = all_outcomes(blinded.outcomes, plan, study.study.visits)
    thresholds = any(item.responder_thresholds for item in plan.outcome) and plan.design == "parallel"
    return Comparison(
        trial=trial,
        effects=found.table,
        notes=found.notes,
        flow=flow_by_arm(trial, study),
        freeze=freeze,
        allocation_digest=None if allocation is None else allocation.digest,
        software_changes=tuple(software_changes),
        warnings=blinded.warnings,
        responders=responder_table(outcomes, trial.people, trial.visits, plan.alpha) if thresholds else None,
        correlations=correlation_table(trial, outcomes, plan) if outcomes else None,
        outcomes={name: values for name, (_, values) in outcomes.items()},
    )


def write_comparison(comparison: Comparison, folder: Path) -> None:
    """Write every table of a comparison with its data dictionary."""
    write_tsv(comparison.effects, folder / "effects.tsv", data_dictionary(EFFECTS))
    notes = {name: EFFECTS.get(name, ("Remark on the row, in words", None)) for name in NOTE_COLUMNS}
    write_tsv(comparison.notes, folder / "effects-notes.tsv", data_dictionary(notes))
    arm = {"arm": ("Arm as named in the allocation file", None)}
    write_tsv(comparison.flow, folder / "flow.tsv", data_dictionary(arm | FLOW))
    if comparison.responders is not None:
        write_tsv(comparison.responders, folder / "responders.tsv", data_dictionary(RESPONDERS))
    if comparison.correlations is not None:
        write_tsv(comparison.correlations, folder / "correlations.tsv", data_dictionary(CORRELATIONS))
