"""Room: quality rules and verdicts."""

from mrs_pipeline.qc.labels import METRICS, metric_title, metric_unit
from mrs_pipeline.qc.protocol import ProtocolItem, check_protocol
from mrs_pipeline.qc.rules import Fired, Rule, Verdict, assess, load_rules

__all__ = [
    "METRICS",
    "Fired",
    "ProtocolItem",
    "Rule",
    "Verdict",
    "assess",
    "check_protocol",
    "load_rules",
    "metric_title",
    "metric_unit",
]
