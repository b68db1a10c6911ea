"""The group level: blinded tables, the frozen analysis set, the comparison of the arms."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mrs_pipeline.config import Study


@dataclass(frozen=True)
class GroupRequest:
    """What is asked of the group level.

    Parameters
    ----------
    bids_dir, out_dir
        BIDS folder (participants.tsv, sessions.tsv, phenotype/ only) and output of the participant level.
    study
        Settings.
    freeze, refreeze
        Freeze the analysis set; the reason for replacing an existing freeze (implies `freeze`).
    allocation, reference_arm
        Allocation file and the name of arm a; needs a freeze that still holds.
    concentrations
        Concentrations table from elsewhere, in place of the participant outputs.
    """

    bids_dir: Path
    out_dir: Path
    study: Study
    freeze: bool = False
    refreeze: str | None = None
    allocation: Path | None = None
    reference_arm: str | None = None
    concentrations: Path | None = None

    @property
    def freezes(self) -> bool:
        """Whether the analysis set is frozen."""
        return self.freeze or self.refreeze is not None

    @property
    def compares(self) -> bool:
        """Whether effects are estimated: of the arms, or of the visits where there is one arm only."""
        return self.allocation is not None or (self.freezes and self.study.analysis.design == "single-arm")

    def inputs(self, *names: str) -> dict[str, Any]:
        """Return the named fields that are given, as inputs of a node: absolute paths, the settings as JSON."""
        given = {name: value for name in names if (value := getattr(self, name)) is not None}
        return {name: _as_text(value) for name, value in given.items()}


def _as_text(value: Path | Study | str) -> str:
    if isinstance(value, Path):
        return str(value.resolve())
    return value.model_dump_json() if isinstance(value, Study) else value


def init_group_wf(*, name: str = "group", request: GroupRequest) -> Any:  # noqa: ANN401  nipype is untyped
    """Build the group workflow.

    Participant outputs are collected without any arm; where asked for, the analysis set is frozen; where asked for,
    the arms of the allocation are compared on a freeze that still holds. Nothing reaches the output unless every step
    has succeeded.

    Parameters
    ----------
    name
        Name of the workflow.
    request
        What is asked for.

    Returns
    -------
    nipype.Workflow
        Without inputnode: the paths are fixed when it is built. ``sink`` lists the files written.
    """
    from nipype import Node, Workflow
    from nipype.interfaces.utility import Merge

    from mrs_pipeline.interfaces.group import BlindedReport, GroupSink
    from mrs_pipeline.interfaces.stats import CollectTrial

    workflow = Workflow(name=name)
    collect = Node(
        CollectTrial(**request.inputs("bids_dir", "out_dir", "study", "concentrations")),
        name="collect",
    )
    report = Node(BlindedReport(**request.inputs("study", "out_dir")), name="report")
    workflow.connect(collect, "state", report, "state")
    parts = [collect, report]
    if request.freezes:
        parts += _add_freeze(workflow, request, collect, report)
    if request.compares:
        parts += _add_comparison(workflow, request, collect, parts[2] if request.freezes else None)
    merge = Node(Merge(len(parts)), name="files")
    for index, node in enumerate(parts, 1):
        workflow.connect(node, "folder", merge, f"in{index}")
    sink = Node(GroupSink(**request.inputs("out_dir")), name="sink")
    workflow.connect(merge, "out", sink, "folders")
    return workflow


def _add_freeze(workflow: Any, request: GroupRequest, collect: Any, report: Any) -> list[Any]:  # noqa: ANN401  nipype is untyped
    """Add the freeze, which the blinded report shows; return its node."""
    from nipype import Node

    from mrs_pipeline.interfaces.stats import FreezeAnalysisSet

    frozen = Node(FreezeAnalysisSet(**request.inputs("study", "out_dir", "refreeze")), name="freeze")
    workflow.connect([(collect, frozen, [("state", "state")]), (frozen, report, [("folder", "freeze")])])
    return [frozen]


def _add_comparison(workflow: Any, request: GroupRequest, collect: Any, frozen: Any | None) -> list[Any]:  # noqa: ANN401  nipype is untyped
    """Add the comparison and its report, on the freeze of this run or the one in the output; return their nodes."""
    from nipype import Node

    from mrs_pipeline.interfaces.group import TrialReport
    from mrs_pipeline.interfaces.stats import CompareArms

    compare = Node(CompareArms(**request.inputs("study", "out_dir", "allocation", "reference_arm")), name="compare")
    trial = Node(TrialReport(**request.inputs("study")), name="trial_report")
    workflow.connect([(collect, compare, [("state", "state")]), (compare, trial, [("state", "state")])])
    if frozen is not None:
        workflow.connect(frozen, "folder", compare, "freeze")
    return [compare, trial]
