"""Workflows of one T1w and of one scan."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

METHODS = {
    "preprocess": "Spectra were preprocessed in the consensus order (Near et al. 2021, doi:10.1002/nbm.4257).",
    "basis": "The basis set is described under Basis.",
    "fit": "Metabolite amplitudes were estimated by linear combination of basis signals, macromolecules and a "
    "penalised-spline baseline; amplitudes are non-negative and projected out, nonlinear parameters were found by the "
    "trust-region least squares of lmfit, and uncertainties come from the full Jacobian.",
    "tissue": "Volume fractions of grey matter, white matter and CSF were averaged over the voxel's exact box.",
    "quantify": "Amplitudes are given as ratios to total creatine and, where a water reference allowed it, in mmol per "
    "kg of tissue water and mmol per litre of CSF-free tissue (Gasparovic et al. 2006, doi:10.1002/mrm.20901; Near et "
    "al. 2021).",
    "qc": "Spectra were judged by rules that see neither arm nor outcome; values are never excluded by their relative "
    "CRLB (Kreis 2016, doi:10.1002/mrm.25568).",
}
"""Methods sentence of each node; the report prints those of the nodes in the graph that ran."""

SECOND_ENGINE_METHOD = (
    "For comparison each spectrum was also fitted by LCModel with its default settings and the same basis set "
    "(Provencher 1993, doi:10.1002/mrm.1910300604)."
)
"""Methods sentence of the second engine, where it ran."""

DIFFERENCE_METHOD = (
    "The difference of edited spectra was fitted by simulated difference signals and Gaussian co-edited macromolecules "
    "(Zollner et al. 2022, doi:10.1002/nbm.4618); GABA+ is the sum of GABA and the macromolecules at 3 ppm, and ratios "
    "are to total creatine of the condition without editing."
)

SUM_METHOD = (
    "The sum of both conditions was fitted as the condition without editing, by simulated signals of both; "
    "macromolecules and lipids were expected as far as the editing pulses leave them."
)
EDITED_METHODS = {"difference": DIFFERENCE_METHOD, "sum": SUM_METHOD}
"""Methods sentence of each spectrum made of both conditions."""

OUTPUTS = (
    "preproc_svs", "preproc_mrsref", "edited_difference", "edited_sum", "fit", "fit_svs", "concentrations",
    "concentrations_dictionary", "agreement", "agreement_dictionary", "difference_fit", "difference_fit_svs",
    "difference_concentrations", "difference_concentrations_dictionary", "sum_fit", "sum_fit_svs",
    "sum_concentrations", "sum_concentrations_dictionary", "qc", "status", "voxel_mask", "report",
)  # fmt: skip
"""Kinds of derivative that the workflow of a scan makes (names: ``mrs_pipeline.bids.DERIVATIVES``)."""


@dataclass(frozen=True)
class ScanInputs:
    """Files and texts of one scan, as node inputs; ``None`` is left undefined.

    JSON texts: ``sidecars`` (by role), ``identity`` (entities), ``participant`` (row of participants.tsv) and
    ``provenance``.
    ``maps`` are the tissue maps of the visit's T1w, ``maps_problem`` says why there are none. The ``baseline_*`` files
    and ``visit_transform`` belong to the first visit of the same region. ``edited`` scans have an axis of conditions.
    """

    svs: str
    identity: str
    sidecars: str = "{}"
    participant: str = "{}"
    provenance: str = "{}"
    conc: str | None = None
    ecc: str | None = None
    noise: str | None = None
    t1w: str | None = None
    basis_file: str | None = None
    basis_cache: str = ""
    edited: bool = False
    table: str | None = None
    baseline_svs: str | None = None
    baseline_tissue: str | None = None
    baseline_concentrations: str | None = None
    baseline_session: str | None = None
    visit_transform: str | None = None
    maps: dict[str, str] | None = None
    maps_problem: str = ""
    warnings: list[str] = field(default_factory=list)

    def some(self, **names: str) -> dict[str, Any]:
        """Return node inputs (input name = field name) whose value is given."""
        found = {node_input: getattr(self, name) for node_input, name in names.items()}
        return {key: value for key, value in found.items() if value is not None}


def init_scan_wf(*, name: str, inputs: ScanInputs, settings: dict[str, str]) -> Any:  # noqa: ANN401  nipype is untyped
    """Build the workflow of one scan: preprocess, basis, fit, tissue, quantify, qc, report.

    Parameters
    ----------
    name
        Name of the workflow, unique for the participant.
    inputs
        Files and facts of the scan; set on the nodes here.
    settings
        Sections of study.toml as JSON, by name.

    Outputs
    -------
    outputnode
        One field per kind in :data:`OUTPUTS`.
    """
    from nipype.interfaces import utility as niu
    from nipype.pipeline import engine as pe

    nodes = _nodes(inputs, settings)
    workflow = pe.Workflow(name=name)
    outputnode = pe.Node(niu.IdentityInterface(fields=list(OUTPUTS)), name="outputnode")
    preprocess, basis, fit, tissue = (nodes[key] for key in ("preprocess", "basis", "fit", "tissue"))
    quantify, qc, report = (nodes[key] for key in ("quantify", "qc", "report"))
    workflow.connect(
        [
            (preprocess, basis, [("svs", "svs")]),
            (preprocess, fit, [("svs", "svs")]),
            (basis, fit, [("basis", "basis")]),
            (preprocess, quantify, [("svs", "svs"), ("mrsref", "mrsref")]),
            (basis, quantify, [("record", "basis_record")]),
            (fit, quantify, [("fit", "fit"), ("fit_svs", "fit_svs")]),
            (tissue, quantify, [("tissue", "tissue")]),
            (preprocess, qc, [("record", "preproc_record")]),
            (fit, qc, [("fit", "fit")]),
            (tissue, qc, [("tissue", "tissue")]),
            (preprocess, report, [("record", "preproc_record"), ("evidence", "evidence")]),
            (basis, report, [("record", "basis_record")]),
            (fit, report, [("fit", "fit"), ("fit_svs", "fit_svs")]),
            (tissue, report, [("tissue", "tissue")]),
            (quantify, qc, [("record", "quantify_record")]),
            (quantify, report, [("concentrations", "concentrations"), ("record", "quantify_record")]),
            (qc, report, [("qc", "qc")]),
            (preprocess, outputnode, [("svs", "preproc_svs"), ("mrsref", "preproc_mrsref")]),
            (preprocess, outputnode, [(name, name) for name in ("edited_difference", "edited_sum")]),
            (fit, outputnode, [("fit", "fit"), ("fit_svs", "fit_svs")]),
            (tissue, outputnode, [("mask", "voxel_mask")]),
            (quantify, outputnode, [("concentrations", "concentrations"), ("dictionary", "concentrations_dictionary")]),
            (qc, outputnode, [("qc", "qc")]),
            (report, outputnode, [("report", "report"), ("status", "status")]),
        ]
    )
    _connect_visits(workflow, inputs, tissue, [qc, report])
    _connect_second_engine(workflow, settings["fit"], nodes, outputnode)
    if inputs.edited and json.loads(settings["fit"])["model"] == "basis":
        _connect_edited(workflow, inputs, settings, nodes, outputnode)
    return workflow


def _connect_edited(
    workflow: Any,  # noqa: ANN401  nipype is untyped
    inputs: ScanInputs,
    settings: dict[str, str],
    nodes: dict[str, Any],
    outputnode: Any,  # noqa: ANN401
) -> None:
    """Fit difference and sum of an edited scan beside its unedited condition."""
    from nipype.pipeline import engine as pe

    from mrs_pipeline.interfaces.edited import FitEdited

    given = inputs.some(identity="identity", participant="participant", sidecars="sidecars", cache="basis_cache")
    sections = {f"{name}_settings": settings[name] for name in ("basis", "fit", "quantify")}
    workflow.disconnect([(nodes["quantify"], outputnode, [("concentrations", "concentrations")])])
    nodes["report"].inputs.methods = [*nodes["report"].inputs.methods, *EDITED_METHODS.values()]
    for kind in EDITED_METHODS:
        node = pe.Node(FitEdited(kind=kind, **given, **sections), name=kind)
        made = ("fit", "fit_svs", "concentrations")
        workflow.connect(
            [
                (nodes["preprocess"], node, [("svs", "svs"), ("mrsref", "mrsref"), (f"edited_{kind}", "spectrum")]),
                (nodes["fit"], node, [("fit", "fit"), ("fit_svs", "fit_svs")]),
                (nodes["tissue"], node, [("tissue", "tissue")]),
                (nodes["quantify"], node, [("concentrations", "concentrations")]),
                (node, outputnode, [(name, f"{kind}_{name}") for name in made]),
                (node, outputnode, [("dictionary", f"{kind}_concentrations_dictionary")]),
                (node, nodes["report"], [(name, f"{kind}_{name}") for name in (*made, "record")]),
            ]
        )
    workflow.connect([(workflow.get_node("difference"), outputnode, [("all_concentrations", "concentrations")])])


def _connect_visits(workflow: Any, inputs: ScanInputs, tissue: Any, readers: list[Any]) -> None:  # noqa: ANN401
    """Compare the voxel with the baseline's, where both visits have a T1w."""
    from nipype.pipeline import engine as pe

    from mrs_pipeline.interfaces.anatomy import CompareVisits

    if inputs.baseline_svs is None or inputs.visit_transform is None:
        return
    given = inputs.some(
        first_svs="baseline_svs",
        second_svs="svs",
        transform="visit_transform",
        first_tissue="baseline_tissue",
        session="baseline_session",
    )
    visits = pe.Node(CompareVisits(**given), name="visits")
    workflow.connect([(tissue, visits, [("tissue", "second_tissue")])])
    workflow.connect([(visits, reader, [("overlap", "overlap")]) for reader in readers])


def _connect_second_engine(workflow: Any, settings: str, nodes: dict[str, Any], outputnode: Any) -> None:  # noqa: ANN401
    """Fit the same spectrum with a second engine, where the settings ask for one."""
    from nipype.pipeline import engine as pe

    from mrs_pipeline.interfaces.lcmodel import SecondEngine

    if json.loads(settings)["second_engine"] == "none":
        return
    second = pe.Node(SecondEngine(), name="second_engine")
    nodes["report"].inputs.methods = [*METHODS.values(), SECOND_ENGINE_METHOD]
    workflow.connect(
        [
            (nodes["preprocess"], second, [("svs", "svs"), ("mrsref", "mrsref")]),
            (nodes["basis"], second, [("basis", "basis")]),
            (nodes["fit"], second, [("fit", "fit"), ("fit_svs", "fit_svs")]),
            (second, nodes["report"], [("agreement", "agreement"), ("record", "agreement_record")]),
            (second, outputnode, [("agreement", "agreement"), ("record", "agreement_dictionary")]),
        ]
    )


def _nodes(inputs: ScanInputs, settings: dict[str, str]) -> dict[str, Any]:
    """Make the nodes of a scan with everything that does not come from another node."""
    from nipype.pipeline import engine as pe

    from mrs_pipeline.interfaces.anatomy import VoxelTissue
    from mrs_pipeline.interfaces.basis import PrepareBasis
    from mrs_pipeline.interfaces.fit import Fit
    from mrs_pipeline.interfaces.preprocess import Preprocess
    from mrs_pipeline.interfaces.qc import Assess
    from mrs_pipeline.interfaces.quantify import Quantify
    from mrs_pipeline.interfaces.report import Report

    common = {"sidecars": inputs.sidecars}
    interfaces = {
        "preprocess": Preprocess(
            settings=settings["preprocess"], **common, **inputs.some(svs="svs", conc="conc", ecc="ecc", noise="noise")
        ),
        "basis": PrepareBasis(
            settings=settings["basis"],
            fit_settings=settings["fit"],
            cache=inputs.basis_cache,
            **common,
            **_named_basis(inputs.basis_file),
        ),
        "fit": Fit(settings=settings["fit"]),
        "tissue": VoxelTissue(
            settings=settings["tissue"],
            **inputs.some(
                svs="svs", t1w="t1w", maps="maps", table="table", identity="identity", problem="maps_problem"
            ),
        ),
        "quantify": Quantify(
            settings=settings["quantify"], **common, **inputs.some(identity="identity", participant="participant")
        ),
        "qc": Assess(
            settings=settings["qc"],
            protocol=settings["protocol"],
            **common,
            **inputs.some(raw_svs="svs", identity="identity", provenance="provenance"),
        ),
        "report": Report(
            methods=list(METHODS.values()),
            **inputs.some(
                baseline_concentrations="baseline_concentrations",
                raw_svs="svs",
                identity="identity",
                t1w="t1w",
                provenance="provenance",
                warnings="warnings",
            ),
        ),
    }
    return {name: pe.Node(interface, name=name) for name, interface in interfaces.items()}


def _named_basis(path: str | None) -> dict[str, str]:
    """Node inputs of a basis set that the settings name: its place and its content."""
    from mrs_pipeline.files import sha256

    return {} if path is None else {"basis_file": path, "basis_sha256": sha256(path)}


def init_segment_wf(*, name: str, t1w: Path, participant_id: str, session: str, settings: str) -> Any:  # noqa: ANN401  nipype is untyped
    """Build the workflow of one T1w.

    Outputs
    -------
    outputnode
        ``gm``, ``wm``, ``csf`` maps and ``brain`` mask on the T1w's grid, and ``record``, how they were made.
    """
    from nipype.interfaces import utility as niu
    from nipype.pipeline import engine as pe

    from mrs_pipeline.interfaces.anatomy import Segment

    workflow = pe.Workflow(name=name)
    segment = pe.Node(
        Segment(t1w=str(t1w), participant_id=participant_id, session=session, settings=settings), name="segment"
    )
    fields = ["gm", "wm", "csf", "brain", "record"]
    outputnode = pe.Node(niu.IdentityInterface(fields=fields), name="outputnode")
    workflow.connect([(segment, outputnode, [(name, name) for name in fields])])
    return workflow


def init_register_wf(*, name: str, first: Path, second: Path) -> Any:  # noqa: ANN401  nipype is untyped
    """Build the workflow that registers the T1w of two visits.

    Outputs
    -------
    outputnode
        ``transform``.
    """
    from nipype.interfaces import utility as niu
    from nipype.pipeline import engine as pe

    from mrs_pipeline.interfaces.anatomy import RegisterVisits

    workflow = pe.Workflow(name=name)
    register = pe.Node(RegisterVisits(first=str(first), second=str(second)), name="register")
    outputnode = pe.Node(niu.IdentityInterface(fields=["transform"]), name="outputnode")
    workflow.connect([(register, outputnode, [("transform", "transform")])])
    return workflow


def init_failed_scan_wf(*, name: str, identity: str, problem: str, warnings: list[str]) -> Any:  # noqa: ANN401  nipype is untyped
    """Build the workflow that reports a scan which could not be processed.

    Outputs
    -------
    outputnode
        ``report``, ``status``.
    """
    from nipype.interfaces import utility as niu
    from nipype.pipeline import engine as pe

    from mrs_pipeline.interfaces.report import FailedReport

    workflow = pe.Workflow(name=name)
    report = pe.Node(FailedReport(identity=identity, problem=problem, warnings=warnings), name="failed_report")
    outputnode = pe.Node(niu.IdentityInterface(fields=["report", "status"]), name="outputnode")
    workflow.connect([(report, outputnode, [("report", "report"), ("status", "status")])])
    return workflow
