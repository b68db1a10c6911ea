"""Saving: processing graphs make files in their working folder, these put them under their BIDS names."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def init_ds_wf(*, name: str, base_directory: Path, names: dict[str, str]) -> Any:  # noqa: ANN401  nipype is untyped
    """Build the workflow that saves the derivatives of one scan.

    Parameters
    ----------
    name
        Name of the workflow.
    base_directory
        Folder of the derivatives.
    names
        Path below it of every kind of derivative that may come.

    Inputs
    ------
    inputnode
        One field per kind in ``names``; an empty text saves nothing.
    """
    from nipype.interfaces import utility as niu
    from nipype.pipeline import engine as pe

    from mrs_pipeline.interfaces.sinks import DerivativesSink

    workflow = pe.Workflow(name=name)
    inputnode = pe.Node(niu.IdentityInterface(fields=list(names)), name="inputnode")
    sink = pe.Node(DerivativesSink(list(names), base_directory=str(base_directory), names=names), name="sink")
    workflow.connect([(inputnode, sink, [(kind, kind) for kind in names])])
    return workflow
