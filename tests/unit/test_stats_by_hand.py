"""Statistics against identities and integrals that do not use the code under test."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats
from statsmodels.regression.linear_model import OLS

from mrs_pipeline.config import AnalysisSection
from mrs_pipeline.stats import detectable_difference, power, reliability
from mrs_pipeline.stats.correlation import _correlation_row
from mrs_pipeline.stats.multiple_imputation import _imputed


def integrated_power(d, n_a, n_b, df, alpha=0.05):
    """Power of the t test by integrating over the estimated standard deviation: no noncentral t distribution."""
    shift, critical = d / np.sqrt(1 / n_a + 1 / n_b), stats.t.ppf(1 - alpha / 2, df)

    def beyond(chi):
        limit = critical * chi / np.sqrt(df)
        return (stats.norm.sf(limit - shift) + stats.norm.cdf(-limit - shift)) * stats.chi.pdf(chi, df)

    return integrate.quad(beyond, 0, np.inf)[0]


@pytest.mark.parametrize(
    ("d", "n_a", "n_b", "adjusted"), [(1.5, 4, 4, 1), (0.4, 6, 9, 0), (0.8, 5, 3, 3), (-1.0, 4, 5, 2)]
)
def test_power_is_that_of_the_t_test_with_its_degrees_of_freedom(d, n_a, n_b, adjusted):
    expected = integrated_power(d, n_a, n_b, n_a + n_b - 2 - adjusted)
    assert power(d, n_a, n_b, adjusted=adjusted) == pytest.approx(expected, rel=1e-6)


def test_power_without_a_difference_is_the_level_of_both_tails():
    assert power(0.0, 7, 9, alpha=0.05) == pytest.approx(0.05, rel=1e-9)
    assert power(0.3, 7, 9) == pytest.approx(power(-0.3, 7, 9), rel=1e-9)


@pytest.mark.parametrize("adjusted", [0, 1, 3])
def test_the_detectable_difference_is_detected_with_the_power_asked_for(adjusted):
    found = detectable_difference(5, 6, correlation=0.6, adjusted=adjusted, target=0.9)
    assert power(found, 5, 6, correlation=0.6, adjusted=adjusted) == pytest.approx(0.9, rel=1e-6)


@pytest.mark.parametrize("k", [2, 3])
def test_without_error_the_variation_between_people_is_theirs(k):
    people = np.array([9.0, 10.0, 11.0, 14.0])  # mean 11, variance 14 / 3
    found = reliability(np.repeat(people[:, None], k, axis=1))
    assert found.cv_between == pytest.approx(np.sqrt(14 / 3) / 11)
    assert (found.cv_within, found.icc) == (0.0, 1.0)


def test_variation_between_people_is_free_of_the_error_within():
    # expectations of the mean squares: MSB = k between^2 + within^2, MSE = within^2
    rng = np.random.default_rng(4)
    values = 10 + rng.normal(0, 1.5, (40_000, 1)) + rng.normal(0, 1.0, (40_000, 3))
    found = reliability(values)
    assert found.cv_between == pytest.approx(0.15, rel=0.02)
    assert found.cv_within == pytest.approx(0.10, rel=0.02)
    assert found.icc == pytest.approx(1.5**2 / (1.5**2 + 1), rel=0.02)


@pytest.mark.parametrize("fixed", [["m0", "c0"], ["arm", "m0", "c0"]])
def test_the_p_value_of_a_partial_correlation_is_that_of_the_regression(fixed):
    """The t test of a partial correlation is that of the coefficient when the others are in the model too."""
    rng = np.random.default_rng(2)
    table = pd.DataFrame(rng.standard_normal((11, 4)), columns=["m0", "c0", "m1", "c1"])
    table.index = [f"sub-{i}" for i in range(11)]
    table["arm"] = np.arange(11) % 2
    table["m1"] += 0.8 * table["c1"] + table["m0"]
    change_m, change_c = table["m1"] - table["m0"], table["c1"] - table["c0"]
    fitted = OLS(change_m, np.column_stack([np.ones(11), change_c, table[fixed]])).fit()
    row = _correlation_row(table, fixed, AnalysisSection(), ("acc", "Glu", "FIQR", "week12", "molal", "adjusted"))
    assert row["p"] == pytest.approx(fitted.pvalues.iloc[1], rel=1e-9)
    t = fitted.tvalues.iloc[1]
    assert row["r"] == pytest.approx(t / np.sqrt(t**2 + fitted.df_resid), rel=1e-9)
    assert row["r_low"] < row["r"] < row["r_high"]


def test_imputed_values_follow_the_posterior_predictive_t():
    """One missing value of a regression of 8 on 3 columns: t with 5 degrees of freedom about the prediction.

    Its variance is s^2 (1 + x (X'X)^-1 x') 5 / 3 (Gelman et al., Bayesian Data Analysis, section 14.2).
    """
    rng = np.random.default_rng(8)
    arm, baseline = np.arange(9.0) % 2, rng.normal(10, 1, 9)
    followup = baseline + arm + rng.normal(0, 0.5, 9)
    followup[4] = np.nan
    design = np.column_stack([np.ones(9), arm, baseline])
    known = np.isfinite(followup)
    fitted = OLS(followup[known], design[known]).fit()
    spread = fitted.scale * (1 + design[4] @ fitted.normalized_cov_params @ design[4])
    drawn = _imputed(followup, baseline, arm, np.empty((9, 0)), np.random.default_rng(1), 200_000, 0.0)
    np.testing.assert_array_equal(drawn[:, known], np.broadcast_to(followup[known], (200_000, 8)))
    standard = (drawn[:, 4] - design[4] @ fitted.params) / np.sqrt(spread)
    for share in (0.025, 0.25, 0.5, 0.75, 0.975):
        assert np.mean(standard < stats.t.ppf(share, 5)) == pytest.approx(share, abs=0.004)
