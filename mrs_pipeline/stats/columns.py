"""Columns of the group tables: names, units and meaning. The lists are a tested contract (docs/outputs.md)."""

from __future__ import annotations

from mrs_pipeline.bids import CONCENTRATIONS, SCAN_KEYS, data_dictionary

__all__ = [
    "CONCENTRATIONS",
    "CONCENTRATION_COLUMNS",
    "EFFECTS",
    "EFFECT_COLUMNS",
    "EFFECT_KEYS",
    "FLOW",
    "FLOW_COLUMNS",
    "QC",
    "QC_COLUMNS",
    "REASONS",
    "SCAN_KEYS",
    "UNIT_COLUMNS",
    "UNIT_LABELS",
    "data_dictionary",
]

UNIT_COLUMNS = {
    "ratio": "ratio_tCr",
    **{name: name for name in ("molal", "molar", "iu", "csf_only", "alpha_corrected", "alpha_normalised")},
}
"""Column of ``concentrations.tsv`` behind each unit name of ``[analysis] unit``."""

UNIT_LABELS = {
    "ratio": "ratio to tCr",
    "molal": "mmol/kg",
    "molar": "mmol/L",
    "iu": "institutional units",
    "csf_only": "institutional units, CSF-only correction",
    "alpha_corrected": "mmol/L of grey matter, alpha correction",
    "alpha_normalised": "mmol/L, alpha correction to the baseline group",
}
"""How a unit is printed."""

_TEXT = None
CONCENTRATION_COLUMNS = tuple(CONCENTRATIONS)

EFFECTS: dict[str, tuple[str, str | None]] = {
    "voi": ("Region; with acq and task labels where a region was measured in more than one way", _TEXT),
    "metabolite": ("Metabolite or combination", _TEXT),
    "session": ("Visit compared with baseline", _TEXT),
    "unit": ("Unit of the analysed value, by the names of [analysis] unit", _TEXT),
    "analysis_set": ("itt, per-protocol or qc-all", _TEXT),
    "model": ("Model behind the estimate", _TEXT),
    "contrast": ("What is subtracted from what", _TEXT),
    "n_a": ("Participants of arm a (the reference arm) in the model", "participants"),
    "n_b": ("Participants of arm b in the model", "participants"),
    "n_missing": ("Participants of the analysis set without the values the model needs", "participants"),
    "df": ("Residual degrees of freedom of the t distribution", "1"),
    "estimate": ("arm b minus arm a, adjusted as the model says", "unit of the row"),
    "se": ("Standard error of the estimate", "unit of the row"),
    "ci_low": ("Lower limit of the 1 - alpha interval of the estimate", "unit of the row"),
    "ci_high": ("Upper limit of the 1 - alpha interval of the estimate", "unit of the row"),
    "p": ("Two-sided p value, not adjusted", "1"),
    "p_adj": (
        "p value adjusted within the family: Holm (or as set) in primary, Benjamini-Hochberg in exploratory",
        "1",
    ),
    "pct": ("Estimate relative to the pooled baseline mean of the frozen set", "%"),
    "pct_low": ("Lower limit of pct", "%"),
    "pct_high": ("Upper limit of pct", "%"),
    "hedges_g": ("Estimate over the pooled within-arm baseline standard deviation, times J(df)", "1"),
    "g_low": ("Lower limit of hedges_g, from the noncentral t distribution", "1"),
    "g_high": ("Upper limit of hedges_g", "1"),
    "alpha": ("Two-sided significance level of intervals and tests", "1"),
    "family": ("primary, exploratory or sensitivity", _TEXT),
}
EFFECT_COLUMNS = tuple(EFFECTS)
EFFECT_KEYS = ("voi", "metabolite", "session", "unit", "analysis_set", "model")
"""Columns that identify a row of ``effects.tsv``; the companion ``effects-notes.tsv`` joins on them."""

QC: dict[str, tuple[str, str | None]] = {
    **{key: CONCENTRATIONS[key] for key in SCAN_KEYS},
    "processing": ("State of the processing: ok, doubtful or failed", _TEXT),
    "verdict": ("Verdict of the quality rules: pass, warn, fail, or n/a when the scan has none", _TEXT),
    "rules": ("Rules that fired, separated by semicolons", _TEXT),
    "rating": ("Reviewers' rating: good, doubtful, bad", _TEXT),
    "included": ("Whether the scan enters the analysis: yes or no", _TEXT),
    "reason": ("Why not, from the closed list of docs/outputs.md", _TEXT),
    "detail": ("The reason in words", _TEXT),
}
QC_COLUMNS = tuple(QC)

FLOW: dict[str, tuple[str, str | None]] = {
    "step": ("Step of the flow", _TEXT),
    "session": ("Visit; n/a for steps above the visits", _TEXT),
    "voi": ("Region; n/a for steps above the regions", _TEXT),
    "reason": ("Why participants left at this step; n/a for those who stayed", _TEXT),
    "n": ("Number of participants", "participants"),
}
FLOW_COLUMNS = tuple(FLOW)

REASONS = (
    "missed visit",
    "motion",
    "linewidth",
    "SNR",
    "artefact",
    "no water",
    "wrong voxel",
    "fit failed",
    "protocol deviation",
    "processing failed",
    "reviewer",
    "quality rule",
)
"""Closed list of the reasons for which a scan or visit is lost."""
