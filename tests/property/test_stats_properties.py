"""What may never change the comparison, and what must change it in a known way."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mrs_pipeline.config import AnalysisSection
from mrs_pipeline.stats import (
    CONCENTRATION_COLUMNS,
    EFFECT_COLUMNS,
    SCAN_KEYS,
    Proportions,
    Trial,
    adjust,
    effects,
    newcombe,
)

VISITS = ("baseline", "week12")
NUMBERS = [
    "df",
    "estimate",
    "se",
    "ci_low",
    "ci_high",
    "p",
    "p_adj",
    "pct",
    "pct_low",
    "pct_high",
    "hedges_g",
    "g_low",
    "g_high",
]
PLAN = AnalysisSection(primary=(("Glu", "acc"),), per_protocol=True)
few = settings(max_examples=8, deadline=None)
seeds = st.integers(0, 10_000)


def make_trial(seed, *, scale=1.0, names=("a", "b"), swap=False, order=None):
    """Two metabolites in one region, 9 + 9 people, some scans missing or excluded."""
    rng = np.random.default_rng(seed)
    people = [f"sub-{i:02d}" for i in range(18)]
    rows, scans = [], []
    for person in people:
        own = rng.normal(0, 0.1)
        for visit in VISITS:
            missing, bad = rng.random(2) < (0.08, 0.08)
            values = {
                name: scale * mean * (1 + own + rng.normal(0, 0.05)) for name, mean in (("Glu", 9.0), ("tCho", 2.5))
            }
            if missing:
                continue
            key = dict.fromkeys(SCAN_KEYS, "n/a") | {"participant_id": person, "session": visit, "voi": "acc"}
            scans.append(key | {"usable": True, "included": not bad, "metrics": {}})
            rows += [
                key | {"metabolite": n, "molal": v, "ratio_tCr": v / 10, "status": "ok"} for n, v in values.items()
            ]
    concentrations = pd.DataFrame(rows).reindex(columns=list(CONCENTRATION_COLUMNS))
    table, scan_table = concentrations, pd.DataFrame(scans)
    if order is not None:
        table = table.sample(frac=1, random_state=order).reset_index(drop=True)
        scan_table = scan_table.sample(frac=1, random_state=order).reset_index(drop=True)
    arm = np.array([i % 2 for i in range(18)])
    sites = pd.DataFrame({"participant_id": people, "arm": 1 - arm if swap else arm, "site": ["x", "y", "y"] * 6})
    return Trial(table, scan_table, sites, pd.DataFrame({"participant_id": people}), names, VISITS, ("site",))


def compare(trial):
    return effects(trial, PLAN).table


@few
@given(seeds)
def test_renaming_the_arms_changes_no_number(seed):
    plain, renamed = compare(make_trial(seed)), compare(make_trial(seed, names=("zebra", "apple")))
    pd.testing.assert_frame_equal(plain.drop(columns="contrast"), renamed.drop(columns="contrast"))
    assert set(renamed["contrast"]) == {"apple - zebra"}


@few
@given(seeds)
def test_exchanging_the_arms_turns_the_sign_and_nothing_else(seed):
    plain, turned = compare(make_trial(seed)), compare(make_trial(seed, swap=True))
    for name in ("estimate", "pct", "hedges_g"):
        np.testing.assert_allclose(turned[name], -plain[name], rtol=1e-5, atol=1e-9)
    for low, high in (("ci_low", "ci_high"), ("pct_low", "pct_high"), ("g_low", "g_high")):
        np.testing.assert_allclose(turned[low], -plain[high], rtol=1e-4, atol=1e-6)
    for name in ("se", "p", "p_adj", "df"):
        np.testing.assert_allclose(turned[name], plain[name], rtol=1e-4, atol=1e-9)
    assert (turned["n_a"] == plain["n_b"]).all()


@few
@given(seeds, st.integers(0, 100))
def test_the_order_of_rows_does_not_matter(seed, order):
    pd.testing.assert_frame_equal(compare(make_trial(seed)), compare(make_trial(seed, order=order)))


@few
@given(seeds, st.floats(0.01, 100))
def test_a_common_factor_scales_estimates_and_leaves_relative_numbers(seed, factor):
    plain, scaled = compare(make_trial(seed)), compare(make_trial(seed, scale=factor))
    np.testing.assert_allclose(scaled["estimate"], factor * plain["estimate"], rtol=1e-5)
    for name in ("p", "pct", "hedges_g", "g_low", "g_high", "df"):
        np.testing.assert_allclose(scaled[name], plain[name], rtol=1e-4, atol=1e-9)


@few
@given(seeds)
def test_people_are_counted_once(seed):
    table = compare(make_trial(seed))
    assert tuple(table.columns) == EFFECT_COLUMNS
    trial = make_trial(seed)
    at_baseline = trial.scans.loc[trial.scans["session"] == "baseline", "participant_id"].nunique()
    rows = table[table["analysis_set"] != "per-protocol"]
    assert (rows["n_a"] + rows["n_b"] + rows["n_missing"] == at_baseline).all()


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_adjusted_p_values_are_ordered_and_never_smaller(p):
    raw = np.array(p)
    bonferroni, holm, bh = (adjust(raw, method) for method in ("bonferroni", "holm", "bh"))
    tiny = 1e-12
    assert (raw <= bh + tiny).all()
    assert (bh <= holm + tiny).all()
    assert (holm <= bonferroni + tiny).all()
    order = np.argsort(raw, kind="stable")
    assert (np.diff(holm[order]) >= -tiny).all()
    assert (np.diff(bh[order]) >= -tiny).all()


@given(st.integers(1, 60), st.integers(1, 60), st.data())
def test_newcombe_holds_the_difference_and_mirrors(n_a, n_b, data):
    x_a, x_b = data.draw(st.integers(0, n_a)), data.draw(st.integers(0, n_b))
    counts = Proportions(x_a, n_a, x_b, n_b)
    low, high = newcombe(counts)
    assert -1 - 1e-9 <= low <= counts.difference <= high <= 1 + 1e-9
    assert newcombe(Proportions(x_b, n_b, x_a, n_a)) == pytest.approx((-high, -low), abs=1e-12)
