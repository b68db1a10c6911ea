"""The blinded group report: what was scanned, how good it is, what enters. It knows no arm."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from markupsafe import Markup

from mrs_pipeline import stats
from mrs_pipeline.config import Study
from mrs_pipeline.files import atomic_write
from mrs_pipeline.qc import Rule, load_rules, metric_title, metric_unit
from mrs_pipeline.report.group_figures import Limit, Point, scatter, strip
from mrs_pipeline.report.html import format_number, render
from mrs_pipeline.report.words import first_upper

DRAWN = (
    "snr_tcr", "fwhm_ppm", "fwhm_water_hz", "residual_water_before", "lipid_ratio", "share_kept",
    "drift_hz_range", "fit_fqn", "visit_dice",
)  # fmt: skip
"""Metrics drawn, in this order; others are in qc.tsv."""
SHOWN = ("Glu", "Glx", "tNAA", "tCr", "tCho", "mI")
"""Metabolites drawn, besides the primary ones; all are in the tables."""


@dataclass(frozen=True)
class FreezeView:
    """What the page says of the frozen analysis set."""

    digest: str
    changed: tuple[str, ...]
    history: tuple[Mapping[str, Any], ...]


def freeze_view(blinded: stats.Blinded, study: Study, frozen: dict[str, Any] | None) -> FreezeView | None:
    """Compare the freeze on disk with today's state; ``None`` when nothing is frozen."""
    if frozen is None:
        return None
    today = stats.freeze_of(blinded, study, frozen["software"])
    return FreezeView(frozen["hash"], tuple(stats.changes(frozen, today)), tuple(frozen["history"]))


def group_page(blinded: stats.Blinded, study: Study, frozen: dict[str, Any] | None = None) -> str:
    """Return the blinded report as one HTML page.

    Parameters
    ----------
    blinded
        The trial without its arms.
    study
        Settings.
    frozen
        Content of ``analysis-set.json``, when there is one.
    """
    plan, visits = study.analysis, study.study.visits
    scans = blinded.scans
    description = stats.describe(blinded.concentrations, scans, plan.unit)
    return render(
        "group.html",
        study=study,
        counts=_counts(blinded),
        warnings=blinded.warnings,
        freeze=freeze_view(blinded, study, frozen),
        flow=flow_view(stats.flow_table(blinded, study)),
        lost=_lost(scans),
        doubtful=_warned(scans),
        quality=_quality_charts(scans, study),
        cloud=_cloud(scans, study),
        charts=_value_charts(blinded, study),
        unit=stats.UNIT_LABELS[plan.unit],
        visits=visits,
        description=_description(description),
        precision=_precision(blinded, study),
        reasons=stats.REASONS,
    )


def write_group_report(blinded: stats.Blinded, study: Study, path: Path, frozen: dict[str, Any] | None = None) -> None:
    """Write the blinded report."""
    atomic_write(path, group_page(blinded, study, frozen))


def _counts(blinded: stats.Blinded) -> dict[str, int]:
    scans = blinded.scans
    return {
        "known": len(blinded.known),
        "scanned": len(blinded.scanned),
        "scans": len(scans),
        "included": int(scans["included"].sum()),
        "excluded": int((scans["usable"] & ~scans["included"].astype(bool)).sum()),
        "failed": int((~scans["usable"].astype(bool)).sum()),
        "metabolites": int(blinded.concentrations["metabolite"].nunique()),
    }


def flow_view(flow: pd.DataFrame) -> list[dict[str, Any]]:
    """Arrange the flow per region: one entry per visit with scanned, usable, losses and pairs."""
    regions = []
    for voi, rows in flow[flow["voi"] != "n/a"].groupby("voi", sort=False):
        visits = []
        for session, here in rows.groupby("session", sort=False):
            counts = {row["step"]: row["n"] for row in stats.records(here[here["step"] != "lost"])}
            losses = [(row["reason"], row["n"]) for row in stats.records(here[here["step"] == "lost"])]
            pairs = counts.pop("usable at baseline and visit", None)
            visits.append({**counts, "session": session, "losses": losses, "pairs": pairs})
        regions.append({"voi": voi, "visits": visits})
    return regions


def _tip(row: Mapping[str, Any], value: str) -> str:
    said = "" if row["included"] else f"; left out: {row['reason']}"
    return f"{stats.scan_name(row)}: {value}{said}"


def _href(row: Mapping[str, Any]) -> str | None:
    """Link from group/ to the scan's report."""
    return None if row["report"] == "n/a" else f"../{row['report']}"


def _lost(scans: pd.DataFrame) -> list[dict[str, Any]]:
    """List scans that do not enter, failed ones first."""
    rows = scans[~scans["included"].astype(bool)].sort_values(["usable", *stats.SCAN_KEYS], kind="stable")
    return [dict(row, name=stats.scan_name(row), href=_href(row)) for row in stats.records(rows)]


def _warned(scans: pd.DataFrame) -> list[dict[str, Any]]:
    rows = scans[
        scans["included"].astype(bool)
        & ((scans["verdict"] == "warn") | (scans["detail"].str.startswith("included by")))
    ]
    return [dict(row, name=stats.scan_name(row), href=_href(row)) for row in stats.records(rows)]


def limits_of(metric: str, study: Study) -> list[Limit]:
    """Limits that the study's rules set on a metric."""
    rules: tuple[Rule, ...] = load_rules(study.qc.rules)
    return [
        Limit(float(rule.limit), rule.severity, f"{rule.severity} when {rule.operator} {rule.limit}: {rule.words}")
        for rule in rules
        if rule.metric == metric and isinstance(rule.limit, int | float)
    ]


def _groups(scans: pd.DataFrame, study: Study) -> list[tuple[str, pd.DataFrame]]:
    """Split scans by region and visit, visits in the order of the study."""
    order = {visit: index for index, visit in enumerate(study.study.visits)}
    table = scans.assign(
        region=stats.region_labels(scans), rank=scans["session"].map(lambda v: order.get(v, len(order)))
    )
    return [
        (f"{region}/{session}", rows)
        for (region, _, session), rows in table.groupby(["region", "rank", "session"], sort=True)
    ]


def _points(rows: pd.DataFrame, metric: str, unit: str) -> list[Point]:
    points = []
    for row in stats.records(rows):
        value = row["metrics"].get(metric, math.nan)
        points.append(Point(value, _tip(row, f"{format_number(value)} {unit}".strip()), _href(row), row["verdict"]))
    return points


def _quality_charts(scans: pd.DataFrame, study: Study) -> list[Markup]:
    """One strip per metric that at least one scan has."""
    present = {name for metrics in scans["metrics"] for name in metrics}
    groups = _groups(scans, study)
    return [
        strip(
            [(label, _points(rows, name, metric_unit(name))) for label, rows in groups],
            title=first_upper(metric_title(name)),
            unit=metric_unit(name),
            limits=limits_of(name, study),
        )
        for name in DRAWN
        if name in present
    ]


def _cloud(scans: pd.DataFrame, study: Study) -> Markup | None:
    """SNR against linewidth, one point per scan."""
    points = []
    for row in stats.records(scans):
        x, y = (row["metrics"].get(name, math.nan) for name in ("fwhm_ppm", "snr_tcr"))
        if math.isfinite(x) and math.isfinite(y):
            tip = _tip(row, f"linewidth {format_number(x)} ppm, SNR {format_number(y)}")
            points.append(Point(y, tip, _href(row), row["verdict"], x))
    if not points:
        return None
    limits = (limits_of("fwhm_ppm", study), limits_of("snr_tcr", study))
    return scatter(
        points,
        x_label="linewidth (ppm)",
        y_label="SNR of tCr against linewidth",
        x_limits=limits[0],
        y_limits=limits[1],
    )


def _value_charts(blinded: stats.Blinded, study: Study) -> list[Markup]:
    """Draw the values that enter, pooled over arms."""
    plan = study.analysis
    column = stats.UNIT_COLUMNS[plan.unit]
    table = blinded.concentrations.merge(
        blinded.scans[[*stats.SCAN_KEYS, "included", "usable", "verdict", "report", "reason"]].rename(
            columns={"reason": "why"}
        ),
        on=list(stats.SCAN_KEYS),
    )
    table = (
        table[table["included"].astype(bool) & table[column].notna()]
        .drop(columns="reason")
        .rename(columns={"why": "reason"})
    )
    found = set(table["metabolite"])
    names = [n for n in dict.fromkeys([*(metabolite for metabolite, _ in plan.primary), *SHOWN]) if n in found]
    charts = []
    for name in names:
        rows = table[table["metabolite"] == name]
        groups = []
        for label, part in _groups(rows, study):
            records = stats.records(part)
            groups.append(
                (label, [Point(r[column], _tip(r, format_number(r[column])), _href(r), r["verdict"]) for r in records])
            )
        charts.append(strip(groups, title=name, unit=stats.UNIT_LABELS[plan.unit]))
    return charts


def _description(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Descriptive table per region: metabolites in rows, visits in columns."""
    regions = []
    for voi, rows in table.groupby("voi", sort=True):
        lines = [
            {"metabolite": metabolite, "visits": {row.session: row for row in part.itertuples()}}
            for metabolite, part in rows.groupby("metabolite", sort=True)
        ]
        regions.append({"voi": voi, "lines": lines})
    return regions


def _precision(blinded: stats.Blinded, study: Study) -> list[dict[str, Any]]:
    """Repeatability between baseline and the primary visit."""
    visits = (study.study.visits[0], stats.primary_visit(study.analysis, study.study.visits))
    table = stats.precision(blinded.concentrations, blinded.scans, study.analysis, visits)
    return [row for row in stats.records(table) if row["n"] >= 3 and math.isfinite(row["icc"])]
