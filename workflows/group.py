"""The group level: blinded tables, the frozen analysis set, the comparison of the arms."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def init_group_wf(
    *,
    name: str = "group",
    bids_dir: Path,
    out_dir: Path,
    study: str,
    freeze: bool = False,
    refreeze: str | None = None,
    compare: bool = False,
    allocation: Path | None = None,
    reference_arm: str | None = None,
    concentrations: Path | None = None,
) -> Any:  # noqa: ANN401  nipype is untyped
    """Build the group workflow.

    Participant outputs are collected without any arm; where asked for, the analysis set is frozen; where asked for,
    the arms of the allocation are compared on a freeze that still holds. Nothing reaches the output unless every step
    has succeeded.

    Parameters
    ----------
    name
        Name of the workflow.
    bids_dir, out_dir
        BIDS folder (participants.tsv, sessions.tsv, phenotype/ only) and output of the participant level.
    study
        Settings as JSON.
    freeze, refreeze
        Freeze the analysis set; why an existing freeze is replaced.
    compare
        Estimate the effects; needs a freeze.
    allocation, reference_arm
        File with the arms, and which of them is arm a.
    concentrations
        Table from elsewhere in place of the participant outputs.

    Returns
    -------
    nipype.Workflow
        Without inputnode: the paths are fixed when it is built. ``sink`` lists the files written.
    """
    from nipype import Node, Workflow
    from nipype.interfaces.utility import Merge

    from mrs_pipeline.interfaces.group import BlindedReport, GroupSink, TrialReport
    from mrs_pipeline.interfaces.stats import CollectTrial, CompareArms, FreezeAnalysisSet

    def given(**inputs: Any) -> dict[str, Any]:  # noqa: ANN401
        return {key: str(value) for key, value in inputs.items() if value is not None}

    workflow = Workflow(name=name)
    collect = Node(
        CollectTrial(**given(bids_dir=bids_dir, out_dir=out_dir, study=study, concentrations=concentrations)),
        name="collect",
    )
    report = Node(BlindedReport(**given(study=study, out_dir=out_dir)), name="report")
    workflow.connect(collect, "state", report, "state")
    parts = [collect, report]
    if freeze:
        frozen = Node(FreezeAnalysisSet(**given(study=study, out_dir=out_dir, refreeze=refreeze)), name="freeze")
        workflow.connect([(collect, frozen, [("state", "state")]), (frozen, report, [("folder", "freeze")])])
        parts.append(frozen)
    if compare:
        arms = given(study=study, out_dir=out_dir, allocation=allocation, reference_arm=reference_arm)
        comparison = Node(CompareArms(**arms), name="compare")
        trial = Node(TrialReport(study=study), name="trial_report")
        workflow.connect([(collect, comparison, [("state", "state")]), (comparison, trial, [("state", "state")])])
        if freeze:
            workflow.connect(frozen, "folder", comparison, "freeze")
        parts += [comparison, trial]
    merge = Node(Merge(len(parts)), name="files")
    for index, node in enumerate(parts, 1):
        workflow.connect(node, "folder", merge, f"in{index}")
    sink = Node(GroupSink(out_dir=str(out_dir)), name="sink")
    workflow.connect(merge, "out", sink, "folders")
    return workflow
