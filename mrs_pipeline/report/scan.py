"""The report of one scan: one HTML file that needs nothing else.

The page is a first screen (verdict, fit, numbers, placement, transients) and folded sections below it, declared in
:data:`SECTIONS`. A section appears when there is something to show in it; a failed scan therefore gets a page that says
what is wrong and what to do, with whatever was computed before the failure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mrs_pipeline.files import atomic_write
from mrs_pipeline.qc import metric_title
from mrs_pipeline.report import figures
from mrs_pipeline.report.html import format_number, inline_svg, render
from mrs_pipeline.report.scan_model import (
    FitView,
    Metric,
    ScanReport,
    StepPair,
    TransientsView,
    VisitView,
    VoxelView,
)
from mrs_pipeline.report.words import first_upper, flag_words, protocol_title

UNITS: tuple[tuple[str, str, str], ...] = (
    ("ratio_tCr", "/tCr", "ratio to total creatine"),
    ("molal", "mmol/kg", "millimoles per kilogram of tissue water"),
    ("molar", "mmol/L", "millimoles per litre of tissue"),
    ("iu", "i.u.", "institutional units"),
    ("csf_only", "i.u., CSF only", "institutional units over one minus the fraction of CSF"),
    ("alpha_corrected", "mmol/L, alpha", "millimoles per litre of grey matter, at a fixed white-to-grey ratio"),
    ("alpha_normalised", "mmol/L, alpha of group", "the same at the mean fractions of the baseline group"),
)
"""Column, heading and meaning of each unit of a concentration."""


@dataclass(frozen=True)
class Section:
    """One folded section of the page: its anchor, title, template, and when it is shown."""

    anchor: str
    title: str
    shown: Callable[[ScanReport], bool]
    open: bool = False

    @property
    def template(self) -> str:
        """Return the template's name."""
        return f"scan_{self.anchor}.html"


SECTIONS: tuple[Section, ...] = (
    Section("errors", "Errors", lambda report: bool(report.errors), open=True),
    Section("components", "Fitted components", lambda report: report.fit is not None and bool(report.fit.components)),
    Section("concentrations", "All concentrations", lambda report: bool(report.concentrations)),
    Section("difference", "Difference of the edited spectra", lambda report: report.difference is not None, open=True),
    Section("sum", "Sum of the edited spectra", lambda report: report.sum is not None),
    Section("agreement", "Second engine", lambda report: report.agreement is not None),
    Section("quality", "All quality metrics and their definitions", lambda report: bool(report.metrics)),
    Section("preprocessing", "Preprocessing", lambda report: bool(report.steps or report.pairs)),
    Section("protocol", "Protocol", lambda report: bool(report.protocol)),
    Section("constants", "Basis set and constants", lambda report: bool(report.basis or report.quantification)),
    Section("methods", "Methods and references", lambda report: bool(report.methods or report.references)),
    Section("provenance", "Provenance", lambda report: bool(report.provenance)),
)
"""The folded sections, in order."""


def write_scan_report(report: ScanReport, path: str | Path) -> Path:
    """Write the report of one scan as one self-contained HTML file, atomically.

    Parameters
    ----------
    report
        What to show.
    path
        The file to write.

    Returns
    -------
    Path
        The file written. The same report gives the same bytes.
    """
    return atomic_write(path, scan_page(report))


def scan_page(report: ScanReport) -> str:
    """Return the page of one scan as text."""
    return render(
        "scan.html",
        report=report,
        headline=headline(report),
        figures=scan_figures(report),
        sections=[section for section in SECTIONS if section.shown(report)],
        units=present_units(report.concentrations),
        primary=primary_rows(report.concentrations, report.primary),
        key_metrics=key_metrics(report.metrics),
        deviations=[check for check in report.protocol if check.within is False],
        outside=None
        if report.fit is None
        else figures.residual_share_outside(report.fit.residual, report.fit.noise_sd),
        relative_crlb=relative_crlb,
        metric_title=lambda name: first_upper(metric_title(name)),
        protocol_title=protocol_title,
        fit_remarks=() if report.fit is None else report.fit.notes or tuple(map(flag_words, report.fit.flags)),
        remarks=numbered_remarks(report.concentrations),
        remarks_of=remarks_of,
        placement_words=placement_words,
    )


@dataclass(frozen=True)
class Headline:
    """The verdict as a word and a class of the style sheet."""

    word: str
    level: str
    sentence: str


def headline(report: ScanReport) -> Headline:
    """Say in one word and one sentence how the scan stands."""
    if report.errors and report.fit is None:
        return Headline(
            "failed", "fail", "This scan has no fitted result; what went wrong and what to do stands below."
        )
    if report.verdict is None:
        return Headline("not judged", "none", "No quality rules were applied to this scan.")
    sentences = {
        "pass": "Every quality rule that could be checked is met.",
        "warn": "Usable with caution: look at the points below before it enters an analysis.",
        "fail": "A quality rule excludes this scan; the numbers are shown for inspection only.",
    }
    return Headline(report.verdict.status, report.verdict.status, sentences[report.verdict.status])


FIGURES = ("fit", "difference", "sum", "components", "voxel", "transients", "pairs")
"""Names of the figures of a scan's report."""


def scan_figures(report: ScanReport) -> dict[str, str]:
    """Draw what the report has data for: figure name to SVG element, empty where there is nothing to draw."""
    drawn = dict.fromkeys(FIGURES, "")
    if report.fit is not None:
        drawn |= _fit_figures(report.fit)
    for name, view in (("difference", report.difference), ("sum", report.sum)):
        if view is not None and view.fit is not None:
            drawn |= _fit_figures(view.fit, name)
    if report.voxel is not None:
        drawn["voxel"] = _voxel_figure(report.voxel)
    if report.transients is not None:
        drawn |= _transient_figures(report.transients)
    if report.pairs:
        drawn["pairs"] = _pairs_figure(report.pairs)
    return drawn


def _fit_figures(fit: FitView, name: str = "fit") -> dict[str, str]:
    """Draw the fit and, when there are any, its components."""
    fig = figures.fit_figure(fit.ppm, fit.data, fit.model, fit.baseline, fit.residual, fit.noise_sd, fit.landmarks)
    drawn = {name: inline_svg(fig, name=name, title="Data, model, baseline and residual of the fit")}
    if fit.components and name == "fit":
        fig = figures.components_figure(fit.ppm, fit.components)
        drawn["components"] = inline_svg(fig, name="components", title="Fitted signal of each metabolite")
    return drawn


def _voxel_figure(voxel: VoxelView) -> str:
    """Draw the voxel on the T1w image."""
    fig = figures.voxel_figure(voxel.t1w, voxel.t1w_affine, voxel.voxel_affine)
    return inline_svg(fig, name="voxel", title="T1w image in three planes with the outline of the voxel; left is left")


def _transient_figures(transients: TransientsView) -> dict[str, str]:
    """Draw the waterfall when the spectra are there, else the drift alone, else nothing."""
    if transients.ppm is not None and (transients.before is not None or transients.after is not None):
        fig = figures.waterfall_figure(
            transients.ppm,
            transients.kept,
            transients.before,
            transients.after,
            transients.drift_hz,
            transients.drift_deg,
        )
    elif transients.drift_hz is not None:
        fig = figures.drift_figure(transients.drift_hz, transients.drift_deg, transients.kept)
    else:
        return {}
    return {
        "transients": inline_svg(
            fig, name="transients", title="Single transients with their drift; rejected ones marked"
        )
    }


def _pairs_figure(pairs: Iterable[StepPair]) -> str:
    """Draw spectra before and after each step."""
    fig = figures.before_after_figure([(pair.step, pair.ppm, pair.before, pair.after) for pair in pairs])
    return inline_svg(fig, name="pairs", title="Spectrum before and after each preprocessing step")


def present_units(rows: Iterable[Mapping[str, object]]) -> tuple[tuple[str, str, str], ...]:
    """Return the units in which at least one row has a number."""
    rows = list(rows)
    return tuple(unit for unit in UNITS if any(_is_number(row.get(unit[0])) for row in rows))


def primary_rows(rows: Iterable[Mapping[str, object]], primary: Iterable[str]) -> list[Mapping[str, object]]:
    """Return the rows of the primary metabolites, in the order asked for."""
    by_name = {str(row.get("metabolite")): row for row in rows}
    return [by_name[name] for name in primary if name in by_name]


def remarks_of(row: Mapping[str, object]) -> list[str]:
    """Return the flags and reasons of a row in words, one clause each."""
    return [*map(flag_words, _clauses(row, "flags")), *_clauses(row, "reason")]


def _clauses(row: Mapping[str, object], column: str) -> list[str]:
    text = "" if row.get(column) in (None, "n/a") else str(row[column])
    return [clause for part in text.split(";") if (clause := part.strip())]


def numbered_remarks(rows: Iterable[Mapping[str, object]]) -> dict[str, int]:
    """Give each different flag and reason of a table a number from 1, so that it is said once."""
    clauses = dict.fromkeys(clause for row in rows for clause in remarks_of(row))
    return {clause: number for number, clause in enumerate(clauses, 1)}


def key_metrics(metrics: Iterable[Metric]) -> list[Metric]:
    """Return the metrics of the first screen: those marked as such and those whose rule spoke."""
    return [metric for metric in metrics if metric.key or metric.status in ("warn", "fail")]


def placement_words(visit: VisitView) -> str:
    """Say how the voxel was placed against another visit, and how its tissue changed; empty when nothing is known.

    Examples
    --------
    >>> placement_words(VisitView("baseline", 0.87, 2.4, angle_deg=3.1))
    'voxel overlap (Dice) 0.870, centres 2.40 mm apart, turned by 3.10 degrees'
    >>> placement_words(VisitView("baseline", tissue_change=(-0.012, 0.02, -0.008)))
    'tissue changed by -1.2 (GM), +2.0 (WM), -0.8 (CSF) percentage points since then'
    """
    phrases = (
        ("voxel overlap (Dice) {}", visit.overlap_dice),
        ("centres {} mm apart", visit.shift_mm),
        ("turned by {} degrees", visit.angle_deg),
    )
    words = [phrase.format(format_number(value)) for phrase, value in phrases if value is not None]
    if visit.tissue_change is not None:
        parts = zip(visit.tissue_change, ("GM", "WM", "CSF"), strict=True)
        change = ", ".join(f"{round(100 * share, 1) + 0.0:+.1f} ({name})" for share, name in parts)
        words.append(f"tissue changed by {change} percentage points since then")
    return ", ".join(words)


_OPERATOR_WORDS = {
    "<": "below",
    "<=": "at or below",
    ">": "above",
    ">=": "at or above",
    "==": "equal to",
    "!=": "other than",
}


def limit_words(rules: Iterable[tuple[str, float | str, str]]) -> str:
    """Say the limits of one metric in words, for :class:`Metric`.

    Parameters
    ----------
    rules
        Operator, limit and severity of each rule of the metric; a rule fires when *metric operator limit* holds.

    Examples
    --------
    >>> limit_words([("<", 5.0, "fail"), ("<", 15.0, "warn")])
    'warn below 15, fail below 5'
    """
    ordered = sorted(rules, key=lambda rule: rule[2] != "warn")
    return ", ".join(
        f"{severity} {_OPERATOR_WORDS[operator]} {limit if isinstance(limit, str) else f'{limit:g}'}"
        for operator, limit, severity in ordered
    )


def relative_crlb(row: Mapping[str, object]) -> float | None:
    """Return crlb / amplitude, or ``None`` where either is missing or the amplitude is zero."""
    crlb, amplitude = row.get("crlb"), row.get("amplitude")
    if not _is_number(crlb) or not _is_number(amplitude) or not amplitude:
        return None
    return float(crlb) / abs(float(amplitude))  # type: ignore[arg-type]  # numbers, as checked above


def _is_number(value: Any) -> bool:  # noqa: ANN401  cells of a table are anything
    """Return whether a cell holds a finite number."""
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool) and bool(np.isfinite(value))
