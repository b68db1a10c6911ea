"""Do changes go together? Change of a metabolite against change of a clinical outcome, arm and baselines held fixed."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mrs_pipeline.config import AnalysisSection
from mrs_pipeline.config.models import AnalysisOutcome
from mrs_pipeline.stats.multiplicity import adjust
from mrs_pipeline.stats.panel import Trial, cells_of, pivot_values, select_values

FloatArray = npt.NDArray[np.float64]
RESAMPLES = 2000
MIN_PEOPLE = 8
"""Fewer participants give no correlation."""

CORRELATIONS: dict[str, tuple[str, str | None]] = {
    "voi": ("Region", None),
    "metabolite": ("Metabolite or combination", None),
    "outcome": ("Clinical outcome", None),
    "session": ("Visit; changes are from baseline to it", None),
    "unit": ("Unit of the metabolite", None),
    "scope": ("adjusted: both arms, arm and both baselines held fixed; else the arm, both baselines held fixed", None),
    "n": ("Participants with all four values", "participants"),
    "r": ("Partial Pearson correlation of the two changes", "1"),
    "r_low": ("Lower limit, percentile bootstrap over participants", "1"),
    "r_high": ("Upper limit", "1"),
    "p": ("Two-sided p value, t distribution with n - 2 - k degrees of freedom, k columns held fixed", "1"),
    "p_adj": ("Benjamini-Hochberg over the adjusted rows", "1"),
    "alpha": ("One minus the coverage of the interval", "1"),
    "resamples": ("Bootstrap resamples", "1"),
}


def partial_correlation(x: FloatArray, y: FloatArray, fixed: FloatArray) -> float:
    """Correlation of `x` and `y` (shape (n,)) after both were regressed on `fixed` (shape (n, k)) and a constant."""
    design = np.column_stack([np.ones(len(x)), fixed])
    left, right = (v - design @ np.linalg.lstsq(design, v, rcond=None)[0] for v in (x, y))
    size = math.sqrt(float(left @ left) * float(right @ right))
    scale = float(np.abs(x).max() * np.abs(y).max()) * len(x)
    return float(left @ right) / size if size > 1e-12 * scale else math.nan


def bootstrap_partial(
    x: FloatArray,
    y: FloatArray,
    fixed: FloatArray,
    rng: np.random.Generator,
    *,
    resamples: int = RESAMPLES,
    alpha: float = 0.05,
) -> tuple[float, float]:
    """Percentile bootstrap interval of a partial correlation, resampling participants.

    Notes
    -----
    All resamples at once: from the weighted cross products of z = (x, y, 1, fixed), the Schur complement of (1,
    fixed) holds the residual sums of squares. Resamples whose residuals vanish are left out.
    """
    data = np.column_stack([x, y, np.ones(len(x)), fixed])
    data[:, 0] -= x.mean()
    data[:, 1] -= y.mean()
    counts = rng.multinomial(len(x), np.full(len(x), 1 / len(x)), size=resamples).astype(float)
    products = np.einsum("bn,ni,nj->bij", counts, data, data, optimize=True)
    inner = np.linalg.pinv(products[:, 2:, 2:], hermitian=True)
    residual = products[:, :2, :2] - products[:, :2, 2:] @ inner @ products[:, 2:, :2]
    size = np.sqrt(np.clip(residual[:, 0, 0] * residual[:, 1, 1], 0, None))
    keep = size > 1e-12 * size.max(initial=1e-300)
    values = np.clip(residual[keep, 0, 1] / size[keep], -1, 1)
    low, high = np.quantile(values, [alpha / 2, 1 - alpha / 2])
    return float(low), float(high)


def correlation_table(
    trial: Trial, outcomes: dict[str, tuple[AnalysisOutcome, pd.DataFrame]], plan: AnalysisSection
) -> pd.DataFrame:
    """Correlate the changes of every metabolite with those of every clinical outcome.

    Returns
    -------
    pandas.DataFrame
        Columns `CORRELATIONS`: one adjusted row, and one per arm, for every region, metabolite, outcome and follow-up
        visit.
    """
    wide = pivot_values(select_values(trial.concentrations, trial.scans, plan.unit))
    arm = trial.people.set_index("participant_id")["arm"]
    pairs = cells_of(wide)
    rows = []
    for region, metabolite in pairs:
        for name, (_, scores) in outcomes.items():
            for visit in trial.visits[1:]:
                table = _four_values(wide, scores, arm, (region, metabolite), (trial.visits[0], visit))
                head = {"voi": region, "metabolite": metabolite, "outcome": name, "session": visit, "unit": plan.unit}
                rows += [head | row for row in _scopes(table, trial.arms, plan, tuple(head.values()))]
    found = pd.DataFrame(rows, columns=list(CORRELATIONS))
    chosen = found["scope"] == "adjusted"
    found["p_adj"] = found["p_adj"].astype(float)
    found.loc[chosen, "p_adj"] = adjust(found.loc[chosen, "p"].to_numpy(dtype=float), "bh")
    return found


def _four_values(
    wide: pd.DataFrame, scores: pd.DataFrame, arm: pd.Series, pair: tuple[str, str], visits: tuple[str, str]
) -> pd.DataFrame:
    """Both values at both visits and the arm, complete participants only."""
    metabolite = wide.reindex(columns=pd.MultiIndex.from_tuples([(*pair, visit) for visit in visits])).set_axis(
        ["m0", "m1"], axis=1
    )
    clinical = scores[list(visits)].set_axis(["c0", "c1"], axis=1)
    return metabolite.join(clinical, how="inner").join(arm.rename("arm"), how="inner").dropna().sort_index()


def _scopes(
    table: pd.DataFrame, arms: tuple[str, str], plan: AnalysisSection, name: tuple[str, ...]
) -> list[dict[str, Any]]:
    """Return the adjusted row, then one row per arm."""
    rows = [_correlation_row(table, ["arm", "m0", "c0"] if arms[1] else ["m0", "c0"], plan, (*name, "adjusted"))]
    if arms[1]:
        rows += [
            _correlation_row(table[table["arm"] == code], ["m0", "c0"], plan, (*name, arms[code])) for code in (0, 1)
        ]
    return rows


def _correlation_row(
    table: pd.DataFrame, fixed: list[str], plan: AnalysisSection, name: tuple[str, ...]
) -> dict[str, Any]:
    from scipy import stats

    row = {"scope": name[-1], "n": len(table), "alpha": plan.alpha, "resamples": RESAMPLES}
    if len(table) < max(MIN_PEOPLE, len(fixed) + 4):
        return row
    x = (table["m1"] - table["m0"]).to_numpy(dtype=float)
    y = (table["c1"] - table["c0"]).to_numpy(dtype=float)
    held = table[fixed].to_numpy(dtype=float)
    r = partial_correlation(x, y, held)
    if not math.isfinite(r):
        return row
    df = len(table) - 2 - len(fixed)
    t = r * math.sqrt(df / max(1 - r * r, 1e-300))
    # the arm's name is not part of the seed: renaming arms changes nothing
    rng = np.random.default_rng([plan.seed, *"\t".join((*name[:-1], *fixed, *table.index)).encode()])
    low, high = bootstrap_partial(x, y, held, rng, alpha=plan.alpha)
    return row | {"r": r, "r_low": low, "r_high": high, "p": float(2 * stats.t.sf(abs(t), df))}
