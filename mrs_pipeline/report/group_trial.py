"""The trial report: the comparison of the arms, primary first, with everything needed to judge it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from markupsafe import Markup

from mrs_pipeline import __version__, stats
from mrs_pipeline.config import Study
from mrs_pipeline.files import atomic_write
from mrs_pipeline.report.group_blind import SHOWN, flow_view
from mrs_pipeline.report.group_figures import Arm, ForestRow, change_scatter, forest, spaghetti
from mrs_pipeline.report.html import format_number, render

MODEL_WORDS = {
    "ancova-hc3": "ANCOVA, HC3",
    "change-hc3": "change score, HC3",
    "clda-reml": "constrained LDA, REML",
    "ancova-mi": "ANCOVA, imputed",
    "paired-change": "paired change",
    "crossover-hc3": "crossover, HC3",
    "joint-change-reml": "joint fit, change, REML",
    "descriptive": "descriptive only",
}
SET_WORDS = {"itt": "as allocated", "per-protocol": "per protocol", "qc-all": "any quality"}
LEGEND = (
    "ANCOVA: value at the visit, adjusted for baseline. Change score: difference of the changes. Constrained LDA: all "
    "visits of everyone with any of them, arms sharing one baseline mean. As allocated: everyone scanned at baseline, "
    "with the scans that passed; any quality: the same people with every scan that has a result."
)
JOINT_LEGEND = " Joint fit: changes from the fit of all visits together."


def trial_page(comparison: stats.Comparison, study: Study) -> str:
    """Return the trial report as one HTML page.

    Parameters
    ----------
    comparison
        What was estimated.
    study
        Settings.
    """
    plan, trial = study.analysis, comparison.trial
    visit = stats.primary_visit(plan, trial.visits)
    effects = comparison.effects
    return render(
        "trial.html",
        study=study,
        comparison=comparison,
        arms=trial.arms,
        visit=visit,
        visits=trial.visits,
        unit=stats.UNIT_LABELS[plan.unit],
        n_allocated=[int((trial.people["arm"] == code).sum()) for code in (0, 1)],
        primary=_lines(effects[effects["family"] == "primary"], comparison.notes),
        headline=headline(effects, plan.alpha),
        sensitivity=_sensitivity(comparison),
        exploratory=_exploratory(comparison),
        forests=_forests(comparison, study, visit),
        spaghetti=_spaghetti(comparison, study, visit),
        flows=[(arm, flow_view(rows)) for arm, rows in comparison.flow.groupby("arm", sort=False)],
        characteristics=stats.records(stats.baseline_table(trial)),
        responders=_records(comparison.responders),
        correlations=_correlations(comparison),
        scatters=_scatters(comparison, study, visit),
        notes=_notes(comparison.notes),
        methods=methods_text(study, comparison),
        references=REFERENCES,
        models=MODEL_WORDS,
        sets=SET_WORDS,
        legend=LEGEND + (JOINT_LEGEND if _has_joint(comparison) else ""),
        version=__version__,
    )


def write_trial_report(comparison: stats.Comparison, study: Study, path: Path) -> None:
    """Write the trial report."""
    atomic_write(path, trial_page(comparison, study))


def headline(effects: pd.DataFrame, alpha: float) -> list[str]:
    """Say the primary results in one sentence each, without overstating either way."""
    sentences = []
    for row in stats.records(effects[effects["family"] == "primary"]):
        name = f"{row['metabolite']} in {row['voi']} at {row['session']}"
        if not math.isfinite(row["estimate"]):
            sentences.append(f"{name}: not estimable.")
            continue
        size = f"{row['contrast']} = {format_number(row['estimate'])} {stats.UNIT_LABELS[row['unit']]}"
        if not math.isfinite(row["ci_low"]):
            sentences.append(f"{name}: {size} (no interval).")
            continue
        coverage = f"{100 * (1 - alpha):g} % CI {format_number(row['ci_low'])} to {format_number(row['ci_high'])}"
        percent = f"{row['pct']:+.1f} % of the baseline mean, {row['pct_low']:+.1f} to {row['pct_high']:+.1f} %"
        p = row["p_adj"]
        test = "no p value" if not math.isfinite(p) else f"adjusted p {p_words(p)}"
        verdict = (
            ""
            if not math.isfinite(p)
            else "; a difference is shown"
            if p < alpha
            else "; no difference is shown, and the interval says which remain possible"
        )
        sentences.append(f"{name}: {size} ({coverage}; {percent}); {test}{verdict}.")
    return sentences


def p_words(p: float) -> str:
    """Print a p value.

    Examples
    --------
    >>> p_words(0.0312), p_words(0.00001)
    ('= 0.031', '< 0.001')
    """
    return "< 0.001" if p < 0.001 else f"= {p:.3f}"


def _lines(table: pd.DataFrame, notes: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows for a table of effects, each with its remarks."""
    return [dict(row, notes=_notes_of(row, notes)) for row in stats.records(table)]


def _notes_of(row: Mapping[str, Any], notes: pd.DataFrame) -> list[str]:
    keys = ["voi", "metabolite", "session", "unit", "analysis_set", "model"]
    same = (notes[keys] == [row[key] for key in keys]).all(axis=1)
    return sorted(set(notes.loc[same, "note"]))


def _main_rows(comparison: stats.Comparison) -> pd.DataFrame:
    return comparison.effects[comparison.effects["family"].isin(["primary", "exploratory"])]


def _sensitivity(comparison: stats.Comparison) -> list[dict[str, Any]]:
    """One table per primary outcome: the main row, then the same question asked otherwise."""
    effects = comparison.effects
    tables = []
    for main in stats.records(effects[effects["family"] == "primary"]):
        same = (
            (effects["voi"] == main["voi"])
            & (effects["metabolite"] == main["metabolite"])
            & (effects["session"] == main["session"])
        )
        rows = effects[same & (effects["family"] != "exploratory")]
        tables.append({"title": f"{main['metabolite']} in {main['voi']}", "rows": _lines(rows, comparison.notes)})
    return tables


def _exploratory(comparison: stats.Comparison) -> list[dict[str, Any]]:
    """Exploratory rows by region and visit."""
    rows = comparison.effects[comparison.effects["family"] == "exploratory"]
    return [
        {"title": f"{voi}, {session}", "rows": _lines(part, comparison.notes)}
        for (voi, session), part in rows.groupby(["voi", "session"], sort=True)
    ]


def _forests(comparison: stats.Comparison, study: Study, visit: str) -> list[tuple[str, Markup]]:
    """One forest per region: main analysis at the primary visit, primary outcomes on top."""
    rows = _main_rows(comparison)
    rows = rows[(rows["session"] == visit) & rows["pct"].notna()]
    a, b = comparison.trial.arms
    favours = (f"higher in {a}", f"higher in {b}") if b else ("decrease", "increase")
    charts = []
    for voi, part in rows.groupby("voi", sort=True):
        ordered = part.assign(first=part["family"] != "primary").sort_values(["first", "metabolite"], kind="stable")
        lines = [_forest_row(row, wide_is=_too_wide(ordered)) for row in stats.records(ordered)]
        label = f"difference in % of the baseline mean, {100 * (1 - study.analysis.alpha):g} % interval"
        charts.append((str(voi), forest(lines, x_label=label, title=f"Effects in {voi} at {visit}", favours=favours)))
    return charts


def _too_wide(rows: pd.DataFrame) -> float:
    """Half width beyond which an interval would squeeze the others: four times the third quartile."""
    half = ((rows["pct_high"] - rows["pct_low"]) / 2).dropna()
    return 4 * float(half.quantile(0.75)) if len(half) else math.inf


def _forest_row(row: Mapping[str, Any], *, wide_is: float) -> ForestRow:
    """Draw a row; an interval far wider than the others is given in words only."""
    low, high = row["pct_low"], row["pct_high"]
    words = f"{row['pct']:+.1f} % ({low:+.1f} to {high:+.1f})" if math.isfinite(low) else f"{row['pct']:+.1f} %"
    value = row["pct"]
    if math.isfinite(low) and (high - low) / 2 > wide_is:
        value = low = high = math.nan
        words += ", off the scale"
    return ForestRow(str(row["metabolite"]), value, low, high, words, strong=row["family"] == "primary")


def _shown_pairs(comparison: stats.Comparison, study: Study) -> list[tuple[str, str]]:
    """Choose (region, metabolite) to draw per participant: the primary ones, else the usual ones of every region."""
    if study.analysis.primary:
        return [(voi, metabolite) for metabolite, voi in study.analysis.primary]
    found = _main_rows(comparison)
    have = set(zip(found["voi"], found["metabolite"], strict=True))
    return [(voi, name) for voi in sorted({v for v, _ in have}) for name in SHOWN if (voi, name) in have]


def _wide(comparison: stats.Comparison, unit: str) -> pd.DataFrame:
    trial = comparison.trial
    return stats.pivot_values(stats.select_values(trial.concentrations, trial.scans, unit))


def _spaghetti(comparison: stats.Comparison, study: Study, visit: str) -> list[Markup]:
    trial, unit = comparison.trial, study.analysis.unit
    wide = _wide(comparison, unit)
    visits = [trial.visits[0], visit]
    charts = []
    for voi, metabolite in _shown_pairs(comparison, study):
        values = wide.reindex(columns=pd.MultiIndex.from_tuples([(voi, metabolite, v) for v in visits]))
        arms = [_arm(trial, values, code, name) for code, name in enumerate(trial.arms) if name]
        charts.append(spaghetti(arms, visits, title=f"{metabolite} in {voi}", unit=stats.UNIT_LABELS[unit]))
    return charts


def _arm(trial: stats.Trial, values: pd.DataFrame, code: int, name: str) -> Arm:
    people = sorted(set(trial.people.loc[trial.people["arm"] == code, "participant_id"]) & set(values.index))
    return Arm(name, [(person, [float(v) for v in values.loc[person]]) for person in people])


def _records(table: pd.DataFrame | None) -> list[dict[str, Any]]:
    return [] if table is None else stats.records(table)


def _correlations(comparison: stats.Comparison) -> list[dict[str, Any]]:
    """List adjusted correlations, strongest evidence first."""
    if comparison.correlations is None:
        return []
    table = comparison.correlations
    return _records(
        table[(table["scope"] == "adjusted") & table["r"].notna()].sort_values(
            ["p", "voi", "metabolite"], kind="stable"
        )
    )


def _scatters(comparison: stats.Comparison, study: Study, visit: str) -> list[Markup]:
    """Change of each shown metabolite against change of each outcome; primary pairs only."""
    trial = comparison.trial
    wide = _wide(comparison, study.analysis.unit)
    charts = []
    for metabolite, voi in study.analysis.primary:
        columns = pd.MultiIndex.from_tuples([(voi, metabolite, v) for v in (trial.visits[0], visit)])
        change = wide.reindex(columns=columns).diff(axis=1).iloc[:, 1]
        for name, scores in comparison.outcomes.items():
            other = scores[visit] - scores[trial.visits[0]]
            both = pd.concat([other, change], axis=1, join="inner").dropna()
            arms = [_pairs_of(trial, both, code, arm) for code, arm in enumerate(trial.arms) if arm]
            charts.append(change_scatter(arms, x_label=f"change in {name}", y_label=f"Change in {metabolite}, {voi}"))
    return charts


def _pairs_of(
    trial: stats.Trial, both: pd.DataFrame, code: int, name: str
) -> tuple[str, list[tuple[str, float, float]]]:
    people = set(trial.people.loc[trial.people["arm"] == code, "participant_id"])
    return name, [(str(i), float(a), float(b)) for i, a, b in both.itertuples() if i in people]


def _notes(notes: pd.DataFrame) -> list[tuple[str, int, str]]:
    """Remarks with the number of rows they concern and the first of them."""
    found = []
    for note, rows in notes.groupby("note", sort=True):
        first = rows.iloc[0]
        found.append(
            (
                str(note),
                len(rows),
                f"{first['metabolite']} in {first['voi']}, {first['unit']}, {first['analysis_set']}, {first['model']}",
            )
        )
    return found


REFERENCES = (
    ("HC3 standard errors", "MacKinnon and White 1985", "10.1016/0304-4076(85)90158-7"),
    ("HC3 in small samples", "Long and Ervin 2000", "10.1080/00031305.2000.10474549"),
    ("Hedges' g", "Hedges 1981", "10.3102/10769986006002107"),
    ("Holm's adjustment", "Holm 1979", "10.2307/4615733"),
    ("False discovery rate", "Benjamini and Hochberg 1995", "10.1111/j.2517-6161.1995.tb02031.x"),
    ("Constrained longitudinal analysis", "Liu et al. 2009", "10.1002/sim.3607"),
    ("Known error variances", "Knapp and Hartung 2003", "10.1002/sim.1482"),
    ("Difference of proportions", "Newcombe 1998", "10.1002/(SICI)1097-0258(19980430)17:8<873::AID-SIM779>3.0.CO;2-I"),
    ("Number needed to treat", "Altman 1998", "10.1136/bmj.317.7168.1309"),
    ("Estimands", "ICH E9(R1)", ""),
)


def methods_text(study: Study, comparison: stats.Comparison) -> list[str]:
    """Methods as they were carried out, one paragraph per topic."""
    plan = study.analysis
    population = (
        f"Population: {plan.estimand.population}. Intercurrent events: {plan.estimand.intercurrent_events}. Scans "
        "were included or left out by quality rules and reviewers' ratings before the arms were known; that decision "
        "and the plan were frozen and hashed."
    )
    errors = (
        f"{_model_sentence(study, comparison)} Standard errors are heteroskedasticity-consistent (HC3) where the "
        "model's name says so, with the t distribution on the residual degrees of freedom. Fewer than "
        f"{plan.min_scans_per_arm} complete participants in an arm give descriptive numbers only; fewer than five "
        "residual degrees of freedom give no p value."
    )
    families = (
        f"{_family_sentence(study)} Sensitivity analyses repeat the same questions with change scores, a constrained "
        "longitudinal model, other units and other analysis sets, without further adjustment."
    )
    families += _joint_sentence(comparison)
    sizes = (
        "Hedges' g is the estimate over the pooled within-arm standard deviation at baseline, with the small-sample "
        "correction J(df) and a noncentral-t interval. Percentages are relative to the pooled baseline mean of the "
        "frozen set."
    )
    return [population, errors, families, sizes]


def _has_joint(comparison: stats.Comparison) -> bool:
    return bool((comparison.effects["model"] == stats.JOINT_MODEL).any())


def _joint_sentence(comparison: stats.Comparison) -> str:
    """Say what the joint fit of visits is, where it was compared."""
    if not _has_joint(comparison):
        return ""
    return (
        " One of them uses the joint fit of each participant's visits: its changes were compared between arms with "
        "their known error variances and a variance between participants (REML; Knapp and Hartung 2003). All visits "
        "were fitted together there, so its values at baseline have seen data acquired after randomisation."
    )


def _model_sentence(study: Study, comparison: stats.Comparison) -> str:
    plan = study.analysis
    if plan.design == "single-arm":
        return "The change from baseline was tested by the paired t distribution."
    if plan.design == "crossover":
        return "Treatments were compared within participants, adjusted for period; carry-over was assumed absent."
    adjusted = ["baseline", *comparison.trial.strata, *plan.covariates]
    return (
        f"The value at each visit was compared between arms by {MAIN_WORDS[plan.missing]}, adjusted for "
        f"{', '.join(adjusted)}, one model per metabolite and region."
    )


def _family_sentence(study: Study) -> str:
    plan = study.analysis
    if not plan.primary:
        return (
            "No primary outcome was declared: all comparisons are exploratory; their p values were adjusted by "
            "Benjamini and Hochberg."
        )
    count = "the primary comparison" if len(plan.primary) == 1 else f"the {len(plan.primary)} primary comparisons"
    return (
        f"p values of {count} {ADJUSTED[plan.multiplicity]}; all others are exploratory and were adjusted by "
        "Benjamini and Hochberg."
    )


ADJUSTED = {
    "holm": "were adjusted by Holm's method",
    "bonferroni": "were adjusted by Bonferroni's method",
    "none": "were not adjusted",
}


MAIN_WORDS = {
    "complete-case": "analysis of covariance of complete cases with HC3 errors",
    "constrained-lda": "constrained longitudinal data analysis (REML, unstructured covariance, Satterthwaite df)",
    "multiple-imputation": "analysis of covariance with HC3 errors after multiple imputation (Rubin's rules)",
}
