"""Room: quality rules and verdicts."""

from mrs_pipeline.qc.protocol import ProtocolItem, check_protocol
from mrs_pipeline.qc.rules import Fired, Rule, Verdict, assess, load_rules

__all__ = ["Fired", "ProtocolItem", "Rule", "Verdict", "assess", "check_protocol", "load_rules"]
