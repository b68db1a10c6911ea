"""The table of effects: every comparison the plan asks for, one row each."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mrs_pipeline.config import AnalysisSection
from mrs_pipeline.stats.columns import EFFECT_COLUMNS, EFFECT_KEYS
from mrs_pipeline.stats.effect_size import hedges_g, pooled_sd
from mrs_pipeline.stats.joint_changes import JOINT_MODEL, changes_of, joint_change
from mrs_pipeline.stats.mixed import constrained_lda
from mrs_pipeline.stats.models import Estimate, ancova, change_score, crossover, descriptive, paired_change
from mrs_pipeline.stats.multiple_imputation import imputed_ancova
from mrs_pipeline.stats.multiplicity import Method, adjust
from mrs_pipeline.stats.panel import (
    Trial,
    adjusting_columns,
    cells_of,
    labels_like,
    pivot_values,
    region_labels,
    select_values,
)

FloatArray = npt.NDArray[np.float64]
NOTE_COLUMNS = (*EFFECT_KEYS, "note")
PRIMARY_MODELS = {"complete-case": "ancova-hc3", "constrained-lda": "clda-reml", "multiple-imputation": "ancova-mi"}
"""Model of the main analysis by ``[analysis] missing``."""


@dataclass(frozen=True)
class Request:
    """One row to be estimated."""

    voi: str
    metabolite: str
    session: str
    unit: str
    analysis_set: str
    model: str
    family: str


@dataclass(frozen=True, eq=False)
class Cell:
    """Numbers of one comparison.

    Parameters
    ----------
    y
        Participants by visits (baseline first), shape (n, k), NaN where missing.
    arm
        0 or 1, shape (n,).
    adjust
        Adjusting columns, shape (n, m), NaN where missing.
    visit
        Column of `y` that is compared.
    reference
        Baseline values of the frozen set, per arm.
    joint
        Change by the joint fit of visits and its sampling SD, shape (n, 2), NaN where missing; ``None`` for every
        other model.
    """

    y: FloatArray
    arm: FloatArray
    adjust: FloatArray
    visit: int
    reference: tuple[FloatArray, FloatArray]
    joint: FloatArray | None = None

    @property
    def complete(self) -> npt.NDArray[np.bool_]:
        """Participants with baseline, follow-up (or joint change) and every adjusting column, shape (n,)."""
        values = self.y[:, [0, self.visit]] if self.joint is None else self.joint
        known = np.isfinite(np.column_stack([values, self.adjust]))
        return np.asarray(known.all(axis=1))


@dataclass(frozen=True)
class Effects:
    """Estimates and what has to be said about them.

    Parameters
    ----------
    table
        Columns `EFFECT_COLUMNS`.
    notes
        Columns `NOTE_COLUMNS`: one row per remark, joined by the keys.
    """

    table: pd.DataFrame
    notes: pd.DataFrame


def effects(trial: Trial, plan: AnalysisSection) -> Effects:
    """Estimate everything the plan asks for.

    Parameters
    ----------
    trial
        Values, decisions and arms.
    plan
        ``[analysis]`` of study.toml.

    Returns
    -------
    Effects
        Sorted: primary, exploratory, sensitivity. p_adj is adjusted within the primary family (as ``multiplicity``
        says) and by Benjamini-Hochberg within the exploratory one; sensitivity rows answer the same questions again
        and get none.
    """
    panels = Panels(trial, plan)
    rows, notes = [], []
    for request in requests(panels, plan):
        row, words = _estimate_row(panels, request, plan)
        rows.append(row)
        notes += [{**{key: row[key] for key in EFFECT_KEYS}, "note": word} for word in words]
    # a cell too small for any model answers every request with the same descriptive row: the first is kept
    table = pd.DataFrame(rows, columns=list(EFFECT_COLUMNS)).drop_duplicates(list(EFFECT_KEYS), ignore_index=True)
    return Effects(_with_adjusted_p(table, plan), pd.DataFrame(notes, columns=list(NOTE_COLUMNS)))


class Panels:
    """Values by unit and analysis set, pivoted once each."""

    def __init__(self, trial: Trial, plan: AnalysisSection) -> None:
        self.trial = trial
        self.plan = plan
        self.scans = trial.scans.assign(region=region_labels(trial.scans))
        self.people = trial.people.sort_values("participant_id").set_index("participant_id")
        self._wide: dict[tuple[str, bool], pd.DataFrame] = {}
        self._adjust: dict[str, pd.DataFrame] = {}

    def wide(self, unit: str, *, only_included: bool) -> pd.DataFrame:
        """Return participants by (region, metabolite, session) of one unit."""
        key = (unit, only_included)
        if key not in self._wide:
            chosen = select_values(self.trial.concentrations, self.trial.scans, unit, only_included=only_included)
            self._wide[key] = pivot_values(chosen)
        return self._wide[key]

    def adjusting(self, region: str) -> pd.DataFrame:
        """Return the adjusting columns of a region by participant."""
        if region not in self._adjust:
            self._adjust[region] = adjusting_columns(self.trial, region, self.plan.covariates)
        return self._adjust[region]

    def members(self, region: str, session: str, analysis_set: str) -> list[str]:
        """Return the participants of an analysis set for one region and visit, whether or not their values are usable.

        itt and qc-all: allocated and scanned at baseline in the region. per-protocol: of these, usable at baseline
        and at the visit, inside the visit window, and not marked otherwise in the column per_protocol of
        participants.tsv.
        """
        here = self.scans[self.scans["region"] == region]
        scanned = set(here.loc[here["session"] == self.trial.visits[0], "participant_id"])
        people = scanned & set(self.people.index)
        if analysis_set == "per-protocol":
            good = here[here["included"].astype(bool)]
            for visit in (self.trial.visits[0], session):
                people &= set(good.loc[good["session"] == visit, "participant_id"])
            people -= self.trial.off_window.get(session, frozenset()) | _protocol_violators(self.trial.participants)
        return sorted(people)

    def cell(self, request: Request) -> Cell:
        """Return the numbers behind one row."""
        pivot = self.wide(request.unit, only_included=request.analysis_set != "qc-all")
        people = self.members(request.voi, request.session, request.analysis_set)
        columns = [(request.voi, request.metabolite, visit) for visit in self.trial.visits]
        values = pivot.reindex(index=people, columns=pd.MultiIndex.from_tuples(columns)).to_numpy(dtype=float)
        arm = self.people.loc[people, "arm"].to_numpy(dtype=float)
        adjusting = self.adjusting(request.voi).reindex(people).to_numpy(dtype=float)
        joint = self.changes(request).reindex(people).to_numpy(dtype=float) if request.model == JOINT_MODEL else None
        visit = self.trial.visits.index(request.session)
        return Cell(values, arm, adjusting, visit, self._reference(request), joint)

    def changes(self, request: Request) -> pd.DataFrame:
        """Return change and sampling SD by the joint fit of visits, indexed by participant."""
        table = self.trial.changes
        names = {"region": request.voi, "metabolite": request.metabolite, "unit": request.unit}
        if table.empty:
            return pd.DataFrame(columns=["change", "change_sd"], dtype=float)
        table = table.assign(region=labels_like(table, self.trial.scans))
        return changes_of(table, self.trial.scans, (self.trial.visits[0], request.session), names)

    def _reference(self, request: Request) -> tuple[FloatArray, FloatArray]:
        """Baseline values of the frozen set by arm."""
        pivot = self.wide(request.unit, only_included=True)
        column = (request.voi, request.metabolite, self.trial.visits[0])
        if column not in pivot.columns:
            return np.empty(0), np.empty(0)
        series = pivot[column].reindex(self.people.index).dropna()
        arm = self.people.loc[series.index, "arm"].to_numpy()
        values = series.to_numpy(dtype=float)
        return values[arm == 0], values[arm == 1]


def _protocol_violators(participants: pd.DataFrame) -> frozenset[str]:
    """Participants whom participants.tsv marks as not per protocol (0, no or false in the column per_protocol)."""
    if "per_protocol" not in participants.columns:
        return frozenset()
    said = participants["per_protocol"].astype(str).str.lower()
    return frozenset(participants.loc[said.isin(["0", "0.0", "no", "false"]), "participant_id"])


def primary_visit(plan: AnalysisSection, visits: tuple[str, ...]) -> str:
    """Session compared with baseline in the primary analysis."""
    return plan.primary_visit or visits[-1]


def requests(panels: Panels, plan: AnalysisSection) -> list[Request]:
    """List every row the plan asks for, in the order of the table."""
    visits = panels.trial.visits
    main_visit = primary_visit(plan, visits)
    model = _main_model(plan)
    followups = [main_visit] if plan.design == "crossover" else list(visits[1:])
    primary = {(voi, metabolite) for metabolite, voi in plan.primary}
    main = [
        Request(
            voi,
            metabolite,
            visit,
            plan.unit,
            "itt",
            model,
            "primary" if (voi, metabolite) in primary and visit == main_visit else "exploratory",
        )
        for voi, metabolite in _pairs(panels, plan, primary)
        for visit in followups
    ]
    main.sort(key=lambda request: (request.family != "primary", request.session != main_visit))
    sensitivity = [
        again for request in main if request.session == main_visit for again in _sensitivity(panels, plan, request)
    ]
    return main + sensitivity


def _main_model(plan: AnalysisSection) -> str:
    if plan.design == "single-arm":
        return "paired-change"
    return "crossover-hc3" if plan.design == "crossover" else PRIMARY_MODELS[plan.missing]


def _pairs(panels: Panels, plan: AnalysisSection, primary: set[tuple[str, str]]) -> list[tuple[str, str]]:
    """Region and metabolite pairs with any value in the unit of the analysis; primary ones even without."""
    found = set(cells_of(panels.wide(plan.unit, only_included=False)))
    return sorted(found | primary)


def _sensitivity(panels: Panels, plan: AnalysisSection, main: Request) -> list[Request]:
    """List the same question in other units, sets and models."""
    again = [
        replace(main, unit=unit)
        for unit in ("ratio", "molal", "molar")
        if unit != plan.unit and _has_values(panels, unit, main)
    ]
    sets = ["qc-all", *(["per-protocol"] if plan.per_protocol else [])]
    again += [replace(main, analysis_set=name) for name in sets]
    if plan.design == "parallel":
        models = ("ancova-hc3", "change-hc3", "clda-reml")
        again += [replace(main, model=model) for model in models if model != main.model]
    if plan.design != "crossover" and len(panels.changes(main)):
        again.append(replace(main, model=JOINT_MODEL))
    return [replace(request, family="sensitivity") for request in again]


def _has_values(panels: Panels, unit: str, main: Request) -> bool:
    return (main.voi, main.metabolite) in cells_of(panels.wide(unit, only_included=True))


def _estimate_row(panels: Panels, request: Request, plan: AnalysisSection) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Estimate one row and say what has to be said."""
    cell = panels.cell(request)
    complete = cell.complete
    counts = [int((cell.arm[complete] == side).sum()) for side in (0, 1)]
    single = plan.design == "single-arm"
    needed = counts[0] if single else min(counts)
    model = request.model
    if needed < plan.min_scans_per_arm:
        model = "descriptive"
        y, y0 = cell.y[complete, cell.visit], cell.y[complete, 0]
        found = (
            replace(paired_change(y, y0), se=math.nan, df=math.nan, notes=())
            if single
            else descriptive(y, y0, cell.arm[complete])
        )
        few = f"fewer than {plan.min_scans_per_arm} complete participants in an arm"
        said = f"asked for {request.model}; {few}: descriptive only"
        found = replace(found, notes=(said,))
    else:
        found = _MODELS[model](cell, partial(_seeded, plan.seed, request))
    return _row(cell, replace(request, model=model), found, plan, panels.trial), found.notes


def _seeded(seed: int, request: Request) -> np.random.Generator:
    """Random generator of one row: the recorded seed and the row's own name, so that order does not matter."""
    name = "\t".join([getattr(request, key) for key in EFFECT_KEYS])
    return np.random.default_rng([seed, *name.encode()])


Rng = Callable[[], np.random.Generator]


def _ancova(cell: Cell, rng: Rng) -> Estimate:  # noqa: ARG001  all models share one signature
    keep = cell.complete
    return ancova(cell.y[keep, cell.visit], cell.y[keep, 0], cell.arm[keep], cell.adjust[keep])


def _change(cell: Cell, rng: Rng) -> Estimate:  # noqa: ARG001
    keep = cell.complete
    return change_score(cell.y[keep, cell.visit], cell.y[keep, 0], cell.arm[keep], cell.adjust[keep])


def _clda(cell: Cell, rng: Rng) -> Estimate:  # noqa: ARG001
    known = np.isfinite(cell.adjust).all(axis=1)
    return constrained_lda(cell.y[known], cell.arm[known], cell.adjust[known], cell.visit)


def _imputed(cell: Cell, rng: Rng) -> Estimate:
    known = np.isfinite(cell.adjust).all(axis=1) & np.isfinite(cell.y[:, 0])
    return imputed_ancova(cell.y[known, cell.visit], cell.y[known, 0], cell.arm[known], cell.adjust[known], rng())


def _joint(cell: Cell, rng: Rng) -> Estimate:  # noqa: ARG001
    keep = cell.complete
    assert cell.joint is not None
    return joint_change(cell.joint[keep, 0], cell.joint[keep, 1], cell.arm[keep], cell.adjust[keep])


def _paired(cell: Cell, rng: Rng) -> Estimate:  # noqa: ARG001
    keep = cell.complete
    return paired_change(cell.y[keep, cell.visit], cell.y[keep, 0])


def _crossover(cell: Cell, rng: Rng) -> Estimate:  # noqa: ARG001
    first = max(cell.visit - 1, 0)
    keep = np.isfinite(cell.y[:, [first, cell.visit]]).all(axis=1)
    return crossover(cell.y[keep, cell.visit], cell.y[keep, first], cell.arm[keep])


_MODELS: dict[str, Callable[[Cell, Rng], Estimate]] = {
    "ancova-hc3": _ancova,
    "change-hc3": _change,
    "clda-reml": _clda,
    "ancova-mi": _imputed,
    "paired-change": _paired,
    "crossover-hc3": _crossover,
    JOINT_MODEL: _joint,
}


def _row(cell: Cell, request: Request, found: Estimate, plan: AnalysisSection, trial: Trial) -> dict[str, Any]:
    """Return the columns of one row."""
    low, high = found.interval(plan.alpha)
    mean = float(np.concatenate(cell.reference).mean()) if sum(map(len, cell.reference)) else math.nan
    percent = 100 / mean if mean > 0 else math.nan
    g = hedges_g(found.value, found.se, found.df, pooled_sd(list(cell.reference)), plan.alpha)
    return {
        **{name: getattr(request, name) for name in EFFECT_KEYS},
        "contrast": contrast_words(trial, request.session, plan),
        "n_a": found.n_a,
        "n_b": found.n_b,
        "n_missing": len(cell.arm) - found.n_a - found.n_b,
        "df": found.df,
        "estimate": found.value,
        "se": found.se,
        "ci_low": low,
        "ci_high": high,
        "p": found.p,
        "p_adj": math.nan,
        "pct": found.value * percent,
        "pct_low": low * percent,
        "pct_high": high * percent,
        "hedges_g": g.g,
        "g_low": g.low,
        "g_high": g.high,
        "alpha": plan.alpha,
        "family": request.family,
    }


def contrast_words(trial: Trial, session: str, plan: AnalysisSection) -> str:
    """Say what is subtracted from what."""
    if plan.design == "single-arm":
        return f"{session} - {trial.visits[0]}"
    return f"{trial.arms[1]} - {trial.arms[0]}"


def _with_adjusted_p(table: pd.DataFrame, plan: AnalysisSection) -> pd.DataFrame:
    """Fill p_adj within the primary and the exploratory family."""
    adjusted = table["p_adj"].to_numpy(dtype=float, copy=True)
    families: tuple[tuple[str, Method], ...] = (("primary", plan.multiplicity), ("exploratory", "bh"))
    for family, method in families:
        rows = (table["family"] == family).to_numpy()
        adjusted[rows] = adjust(table["p"].to_numpy(dtype=float)[rows], method)
    return table.assign(p_adj=adjusted)
