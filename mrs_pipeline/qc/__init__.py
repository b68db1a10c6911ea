"""Room: quality rules and verdicts."""

from mrs_pipeline.qc.rules import Fired, Rule, Verdict, assess, load_rules

__all__ = ["Fired", "Rule", "Verdict", "assess", "load_rules"]
