"""Names of derivatives, as data (docs/outputs.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from types import MappingProxyType

from mrs_pipeline.bids.index import Scan
from mrs_pipeline.bids.names import Entities, build_name


@dataclass(frozen=True)
class Pattern:
    """Name of one kind of derivative.

    ``folder`` is below the visit (empty: top of the dataset); the entities given here are added to the scan's.
    ``visit_only`` drops every entity but participant and session, for what all scans of a visit share; ``all_visits``
    drops the session, for what belongs to all visits of a region.
    """

    folder: str
    suffix: str
    extension: str
    desc: str | None = None
    space: str | None = None
    label: str | None = None
    visit_only: bool = False
    all_visits: bool = False


DERIVATIVES: Mapping[str, Pattern] = MappingProxyType(
    {
        "preproc_svs": Pattern("mrs", "svs", ".nii.gz", desc="preproc"),
        "preproc_mrsref": Pattern("mrs", "mrsref", ".nii.gz", desc="preproc"),
        "edited_difference": Pattern("mrs", "svs", ".nii.gz", desc="difference"),
        "edited_sum": Pattern("mrs", "svs", ".nii.gz", desc="sum"),
        "fit": Pattern("mrs", "mrs", ".json", desc="fit"),
        "fit_svs": Pattern("mrs", "svs", ".nii.gz", desc="fit"),
        "concentrations": Pattern("mrs", "mrs", ".tsv", desc="concentrations"),
        "concentrations_dictionary": Pattern("mrs", "mrs", ".json", desc="concentrations"),
        "agreement": Pattern("mrs", "mrs", ".tsv", desc="lcmodel"),
        "agreement_dictionary": Pattern("mrs", "mrs", ".json", desc="lcmodel"),
        "qc": Pattern("mrs", "mrs", ".json", desc="qc"),
        "status": Pattern("mrs", "mrs", ".json", desc="status"),
        "timing": Pattern("mrs", "mrs", ".json", desc="timing"),
        "joint": Pattern("mrs", "mrs", ".json", desc="joint", all_visits=True),
        "joint_report": Pattern("mrs", "mrs", ".html", desc="joint", all_visits=True),
        "change": Pattern("mrs", "mrs", ".tsv", desc="change", all_visits=True),
        "change_dictionary": Pattern("mrs", "mrs", ".json", desc="change", all_visits=True),
        "difference_fit": Pattern("mrs", "mrs", ".json", desc="differencefit"),
        "difference_fit_svs": Pattern("mrs", "svs", ".nii.gz", desc="differencefit"),
        "difference_concentrations": Pattern("mrs", "mrs", ".tsv", desc="differenceconcentrations"),
        "difference_concentrations_dictionary": Pattern("mrs", "mrs", ".json", desc="differenceconcentrations"),
        "sum_fit": Pattern("mrs", "mrs", ".json", desc="sumfit"),
        "sum_fit_svs": Pattern("mrs", "svs", ".nii.gz", desc="sumfit"),
        "sum_concentrations": Pattern("mrs", "mrs", ".tsv", desc="sumconcentrations"),
        "sum_concentrations_dictionary": Pattern("mrs", "mrs", ".json", desc="sumconcentrations"),
        "voxel_mask": Pattern("anat", "mask", ".nii.gz", desc="voxel", space="T1w"),
        "probseg_gm": Pattern("anat", "probseg", ".nii.gz", label="GM", visit_only=True),
        "probseg_wm": Pattern("anat", "probseg", ".nii.gz", label="WM", visit_only=True),
        "probseg_csf": Pattern("anat", "probseg", ".nii.gz", label="CSF", visit_only=True),
        "brain_mask": Pattern("anat", "mask", ".nii.gz", desc="brain", visit_only=True),
        "report": Pattern("", "report", ".html"),
    }
)
"""Kinds of derivative of one scan."""

GROUP_FILES: Mapping[str, str] = MappingProxyType(
    {
        "concentrations": "group/concentrations.tsv",
        "qc": "group/qc.tsv",
        "flow": "group/flow.tsv",
        "analysis_set": "group/analysis-set.json",
        "ratings": "group/ratings.tsv",
        "report": "group/group.html",
        "unblinded_flow": "group/unblinded/flow.tsv",
        "effects": "group/unblinded/effects.tsv",
        "effects_notes": "group/unblinded/effects-notes.tsv",
        "responders": "group/unblinded/responders.tsv",
        "correlations": "group/unblinded/correlations.tsv",
        "trial_report": "group/unblinded/trial-report.html",
        "unblinding": "group/unblinded/unblinding.json",
    }
)
"""Group-level files, relative to the derivatives."""


def derivative_path(scan: Scan | Entities, kind: str) -> PurePosixPath:
    """Return the path of a derivative relative to the derivatives folder.

    Parameters
    ----------
    scan
        A scan, or its entities.
    kind
        A key of :data:`DERIVATIVES`.
    """
    pattern = DERIVATIVES[kind]
    entities = scan.entities if isinstance(scan, Scan) else scan
    if pattern.visit_only:
        entities = Entities(sub=entities.sub, ses=entities.ses)
    if pattern.all_visits:
        entities = entities.with_(ses=None)
    named = entities.with_(
        space=pattern.space, label=pattern.label, desc=pattern.desc, suffix=pattern.suffix, extension=pattern.extension
    )
    folder = PurePosixPath()
    if pattern.folder:
        visit = [f"sub-{entities.sub}", *([f"ses-{entities.ses}"] if entities.ses else []), pattern.folder]
        folder = PurePosixPath(*visit)
    return folder / build_name(named)
