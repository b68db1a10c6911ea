"""Room: report. Self-contained HTML pages of scans and groups; matplotlib and jinja2 load when a page is made."""

from mrs_pipeline.report.scan import limit_words, scan_page, write_scan_report
from mrs_pipeline.report.scan_evidence import pairs_from_evidence, transients_from_evidence
from mrs_pipeline.report.scan_model import (
    AgreementView,
    ErrorView,
    FiredRule,
    FitView,
    Identity,
    Metric,
    PosteriorView,
    ProtocolCheck,
    Reference,
    ScanReport,
    StepPair,
    StepView,
    TissueView,
    TransientsView,
    VerdictView,
    VisitView,
    VoxelView,
)

__all__ = [
    "AgreementView",
    "ErrorView",
    "FiredRule",
    "FitView",
    "Identity",
    "Metric",
    "PosteriorView",
    "ProtocolCheck",
    "Reference",
    "ScanReport",
    "StepPair",
    "StepView",
    "TissueView",
    "TransientsView",
    "VerdictView",
    "VisitView",
    "VoxelView",
    "limit_words",
    "pairs_from_evidence",
    "scan_page",
    "transients_from_evidence",
    "write_scan_report",
]
