"""Statistics against numbers that were published or computed by other software."""

import math

import numpy as np
import pytest
from scipy import stats as scipy_stats

from mrs_pipeline.stats import (
    Proportions,
    adjust,
    ancova,
    change_score,
    constrained_lda,
    crossover,
    detectable_difference,
    fit_repeated,
    hedges_g,
    imputed_ancova,
    newcombe,
    number_needed,
    ols_hc3,
    paired_change,
    partial_correlation,
    pooled_sd,
    reliability,
    reliable_change,
    risk_ratio,
    satterthwaite_df,
    small_sample_correction,
    wilson,
)
from mrs_pipeline.stats.correlation import bootstrap_partial
from mrs_pipeline.stats.effect_size import noncentrality_limits
from mrs_pipeline.stats.multiple_imputation import rubin

# Potthoff RF, Roy SN. Biometrika 1964;51:313-326: distance (mm) at 8, 10, 12 and 14 years; 11 girls, then 16 boys
GIRLS = [
    [21, 20, 21.5, 23], [21, 21.5, 24, 25.5], [20.5, 24, 24.5, 26], [23.5, 24.5, 25, 26.5], [21.5, 23, 22.5, 23.5],
    [20, 21, 21, 22.5], [21.5, 22.5, 23, 25], [23, 23, 23.5, 24], [20, 21, 22, 21.5], [16.5, 19, 19, 19.5],
    [24.5, 25, 28, 28],
]  # fmt: skip
BOYS = [
    [26, 25, 29, 31], [21.5, 22.5, 23, 26.5], [23, 22.5, 24, 27.5], [25.5, 27.5, 26.5, 27], [20, 23.5, 22.5, 26],
    [24.5, 25.5, 27, 28.5], [22, 22, 24.5, 26.5], [24, 21.5, 24.5, 25.5], [23, 20.5, 31, 26], [27.5, 28, 31, 31.5],
    [23, 23, 23.5, 25], [21.5, 23.5, 24, 28], [17, 24.5, 26, 29.5], [22.5, 25.5, 25.5, 26], [23, 24.5, 26, 30],
    [22, 21.5, 23.5, 25],
]  # fmt: skip


def none(n):
    return np.empty((n, 0))


@pytest.fixture
def two_visits():
    """Baseline and follow-up of 11 and 13 people, nothing missing."""
    rng = np.random.default_rng(5)
    arm = np.r_[np.zeros(11), np.ones(13)]
    y = rng.multivariate_normal([10, 10.4], [[1, 0.6], [0.6, 1.3]], 24)
    y[:, 1] += 0.8 * arm
    return y, arm


class TestHc3:
    def test_longley_as_computed_in_r(self):
        # HC3 standard errors of R's car::hccm, as recorded in statsmodels' own results for the Longley data (R_lm.s)
        from statsmodels.datasets import longley

        data = longley.load_pandas()
        design = np.column_stack([data.exog.to_numpy(), np.ones(len(data.endog))])
        found = [ols_hc3(data.endog.to_numpy(), design, column)[1] for column in range(7)]
        published = [91.11939, 0.05562, 0.82213, 0.29879, 0.32491, 922.80784, 1799477]
        assert found == pytest.approx(published, rel=2e-4)

    def test_is_the_jackknife_around_the_full_estimate(self):
        # (b - b_without_i) = (X'X)^-1 x_i e_i / (1 - h_i), so HC3 = sum of their outer products
        rng = np.random.default_rng(2)
        design = np.column_stack([np.ones(14), rng.normal(size=(14, 2))])
        y = rng.normal(size=14) * np.linspace(0.5, 3, 14)
        full = np.linalg.lstsq(design, y, rcond=None)[0]
        left_out = [np.linalg.lstsq(np.delete(design, i, 0), np.delete(y, i), rcond=None)[0] for i in range(14)]
        expected = math.sqrt(sum((b[1] - full[1]) ** 2 for b in left_out))
        assert ols_hc3(y, design, 1)[1] == pytest.approx(expected, rel=1e-10)

    def test_two_means(self):
        # without covariates each group adds s^2 / (n - 1): the squared error of HC3 in a group is e^2 / (1 - 1/n)^2
        a, b = np.array([1.0, 2.0, 4.0, 7.0]), np.array([3.0, 3.5, 8.0])
        arm = np.r_[np.zeros(4), np.ones(3)]
        found = change_score(np.r_[a, b], np.zeros(7), arm, none(7))
        assert found.value == pytest.approx(b.mean() - a.mean())
        assert found.se == pytest.approx(math.sqrt(a.var(ddof=1) / 3 + b.var(ddof=1) / 2))
        assert found.df == 5

    def test_full_leverage_gives_no_error_and_says_so(self):
        followup = np.array([1.0, 2.0, 3.0, 2.0, 9.0, 4.0, 5.0, 6.0])
        alone = np.array([0.0, 0, 0, 0, 0, 0, 0, 1.0])[:, None]
        found = ancova(followup, np.arange(8.0) ** 1.5, np.tile([0.0, 1.0], 4), alone)
        assert math.isnan(found.se)
        assert any("leverage" in note for note in found.notes)


class TestModels:
    def test_ancova_recovers_an_exact_relation(self):
        arm = np.tile([0.0, 1.0], 8)
        baseline = np.linspace(8, 12, 16)
        found = ancova(2 + 0.5 * baseline + 1.25 * arm, baseline, arm, none(16))
        assert found.value == pytest.approx(1.25, abs=1e-10)
        assert (found.n_a, found.n_b, found.df) == (8, 8, 13)

    def test_p_and_interval_agree(self, two_visits):
        y, arm = two_visits
        found = ancova(y[:, 1], y[:, 0], arm, none(24))
        low, high = found.interval(found.p)
        assert min(abs(low), abs(high)) == pytest.approx(0, abs=1e-9)

    def test_fewer_than_five_degrees_of_freedom_give_no_p(self):
        rng = np.random.default_rng(1)
        arm = np.tile([0.0, 1.0], 4)
        found = ancova(rng.normal(size=8), rng.normal(size=8), arm, rng.normal(size=(8, 1)))
        assert found.df == 4
        assert math.isnan(found.p)
        assert found.se > 0
        assert any("without p value" in note for note in found.notes)

    def test_a_redundant_stratum_is_left_out_and_said(self, two_visits):
        y, arm = two_visits
        plain = ancova(y[:, 1], y[:, 0], arm, none(24))
        redundant = ancova(y[:, 1], y[:, 0], arm, np.ones((24, 1)))
        assert redundant.value == pytest.approx(plain.value)
        assert "left out" in redundant.notes[0]

    def test_paired_change_is_the_paired_t_test(self, two_visits):
        y, _ = two_visits
        expected = scipy_stats.ttest_rel(y[:, 1], y[:, 0])
        found = paired_change(y[:, 1], y[:, 0])
        assert found.p == pytest.approx(expected.pvalue)
        assert found.df == expected.df

    def test_crossover_removes_the_period(self):
        # treatment b adds 2, the second period adds 5; a first in half of the people
        arm = np.tile([0.0, 1.0], 6)
        own = np.linspace(0, 3, 12)
        noise = np.tile([0.1, 0.1, -0.1, -0.1], 3)
        first, second = own + 2 * arm, own + 5 + 2 * (1 - arm) + noise
        assert crossover(second, first, arm).value == pytest.approx(2.0)

    def test_a_constant_value_is_not_estimated(self):
        found = ancova(np.ones(10), np.ones(10), np.tile([0.0, 1.0], 5), none(10))
        assert math.isnan(found.value)


class TestRepeatedMeasures:
    def test_potthoff_and_roy_by_maximum_likelihood(self):
        # Jennrich RI, Schluchter MD. Biometrics 1986;42:805-820, model 2 (-2 log L = 419.477); estimates, errors and
        # covariances as printed by SAS PROC MIXED (SAS/STAT User's Guide, "Repeated Measures", type=un, method=ml)
        y = np.array(GIRLS + BOYS)
        girl = np.r_[np.ones(11), np.zeros(16)][:, None] * np.ones(4)
        age = np.ones((27, 1)) * np.array([8.0, 10, 12, 14])
        fit = fit_repeated(y, np.stack([np.ones((27, 4)), girl, age, girl * age], axis=2), method="ml")
        assert fit.converged
        assert fit.deviance == pytest.approx(419.4770, abs=5e-4)
        assert fit.beta == pytest.approx([15.8423, 1.5831, 0.8268, -0.3504], abs=6e-5)
        assert np.sqrt(np.diag(fit.covariance)) == pytest.approx([0.9356, 1.4658, 0.07911, 0.1239], abs=6e-5)
        lower = fit.sigma[np.tril_indices(4)]
        printed = [5.1192, 2.4409, 3.9279, 3.6105, 2.7175, 5.9798, 2.5222, 3.0624, 3.8235, 4.6180]
        assert lower == pytest.approx(printed, abs=6e-5)

    def test_saturated_means_give_the_t_test(self, two_visits):
        y, arm = two_visits
        x = np.zeros((24, 2, 4))
        x[:, 0, 0] = x[:, 1, 1] = 1
        x[:, 0, 2] = x[:, 1, 3] = arm
        fit = fit_repeated(y, x)
        contrast = np.eye(4)[3]
        expected = scipy_stats.ttest_ind(y[arm == 1, 1], y[arm == 0, 1])
        assert fit.beta[3] / math.sqrt(fit.covariance[3, 3]) == pytest.approx(expected.statistic, rel=1e-6)
        assert satterthwaite_df(fit, y, x, contrast) == pytest.approx(22, rel=1e-4)

    def test_constrained_analysis_agrees_with_ancova_when_nothing_is_missing(self, two_visits):
        y, arm = two_visits
        constrained = constrained_lda(y, arm, none(24), 1)
        assert constrained.value == pytest.approx(ancova(y[:, 1], y[:, 0], arm, none(24)).value, rel=1e-6)

    def test_people_with_one_visit_count(self, two_visits):
        y, arm = two_visits
        y[2, 1] = y[20, 0] = np.nan
        found = constrained_lda(y, arm, none(24), 1)
        assert (found.n_a, found.n_b) == (11, 13)
        assert found.value == pytest.approx(0.8, abs=1.0)

    def test_three_visits(self):
        rng = np.random.default_rng(9)
        arm = np.tile([0.0, 1.0], 20)
        y = rng.multivariate_normal([10, 10, 10], 0.5 + 0.5 * np.eye(3), 40)
        y[:, 2] += 3 * arm
        found = [constrained_lda(y, arm, none(40), visit) for visit in (1, 2)]
        assert abs(found[0].value) < 3 * found[0].se
        assert abs(found[1].value - 3) < 3 * found[1].se


class TestImputation:
    def test_nothing_missing_is_the_plain_ancova(self, two_visits):
        y, arm = two_visits
        found = imputed_ancova(y[:, 1], y[:, 0], arm, none(24), np.random.default_rng(1))
        assert found == ancova(y[:, 1], y[:, 0], arm, none(24))

    def test_rubins_rules_by_hand(self):
        # within 4, between 1 (values 1, 2, 3), m = 3: total 4 + 4/3; share 1/4
        # nu_m = 2 / (1/4)^2 = 32, nu_obs = 21/23 * 20 * 3/4; df = 1 / (1/nu_m + 1/nu_obs)
        value, se, df = rubin(np.array([1.0, 2.0, 3.0]), np.array([2.0, 2.0, 2.0]), 20.0)
        assert value == 2
        assert se == pytest.approx(math.sqrt(16 / 3))
        assert df == pytest.approx(1 / (1 / 32 + 23 / (21 * 15)))

    def test_everyone_with_a_baseline_counts_and_the_seed_decides(self, two_visits):
        y, arm = two_visits
        y[[1, 15], 1] = np.nan
        runs = [imputed_ancova(y[:, 1], y[:, 0], arm, none(24), np.random.default_rng(seed)) for seed in (1, 1, 2)]
        assert runs[0] == runs[1] != runs[2]
        assert (runs[0].n_a, runs[0].n_b) == (11, 13)
        assert runs[0].df < ancova(np.nan_to_num(y[:, 1]), y[:, 0], arm, none(24)).df

    def test_delta_moves_the_estimate_by_the_imputed_share(self, two_visits):
        y, arm = two_visits
        y[[15, 16], 1] = np.nan
        at = [
            imputed_ancova(y[:, 1], y[:, 0], arm, none(24), np.random.default_rng(1), delta=d).value for d in (0.0, 1.0)
        ]
        assert 0.1 < at[1] - at[0] < 0.25


class TestEffectSize:
    def test_small_sample_correction(self):
        # Hedges 1981, table 1: c(m) for m = 2, 10, 50
        found = [small_sample_correction(m) for m in (2, 10, 50)]
        assert found == pytest.approx([0.5642, 0.9228, 0.9849], abs=1e-4)

    def test_mtcars_as_printed_by_effectsize(self):
        # R effectsize, vignette "Standardized Differences": hedges_g(mpg ~ am, data = mtcars) -1.44 [-2.21, -0.65]
        automatic = np.array(
            [
                21.4,
                18.7,
                18.1,
                14.3,
                24.4,
                22.8,
                19.2,
                17.8,
                16.4,
                17.3,
                15.2,
                10.4,
                10.4,
                14.7,
                21.5,
                15.5,
                15.2,
                13.3,
                19.2,
            ]
        )
        manual = np.array([21.0, 21.0, 22.8, 32.4, 30.4, 33.9, 27.3, 26.0, 30.4, 15.8, 19.7, 15.0, 21.4])
        sd = pooled_sd([automatic, manual])
        se = sd * math.sqrt(1 / 19 + 1 / 13)
        g = hedges_g(automatic.mean() - manual.mean(), se, 30, sd)
        assert (round(g.g, 2), round(g.low, 2), round(g.high, 2)) == (-1.44, -2.21, -0.65)

    @pytest.mark.parametrize(("t", "df"), [(0.0, 5), (2.6, 18), (-12.0, 20), (60.0, 21), (0.3, 2.5)])
    def test_limits_put_the_observed_t_at_the_edges(self, t, df):
        low, high = noncentrality_limits(t, df, 0.05)
        assert scipy_stats.nct.sf(t, df, low) == pytest.approx(0.025, abs=1e-6)
        assert scipy_stats.nct.cdf(t, df, high) == pytest.approx(0.025, abs=1e-6)


class TestMultiplicity:
    # Benjamini and Hochberg 1995, section 4.1: 15 p values of a thrombolysis trial
    P = (
        0.0001,
        0.0004,
        0.0019,
        0.0095,
        0.0201,
        0.0278,
        0.0298,
        0.0344,
        0.0459,
        0.3240,
        0.4262,
        0.5719,
        0.6528,
        0.7590,
        1.0,
    )

    def test_false_discovery_rate_rejects_four_as_published(self):
        adjusted = adjust(self.P, "bh")
        assert (adjusted <= 0.05).sum() == 4
        assert adjusted[3] == pytest.approx(15 * 0.0095 / 4)

    def test_holm_and_bonferroni_reject_three_as_published(self):
        assert (adjust(self.P, "holm") <= 0.05).sum() == 3
        assert (adjust(self.P, "bonferroni") <= 0.05).sum() == 3
        assert adjust(self.P, "holm")[:4] == pytest.approx([0.0015, 0.0056, 0.0247, 0.114])

    def test_missing_p_values_do_not_count(self):
        assert adjust([0.01, math.nan, 0.04], "holm") == pytest.approx([0.02, math.nan, 0.04], nan_ok=True)


class TestProportions:
    # Newcombe RG. Stat Med 1998;17:873-890, table II, method 10
    @pytest.mark.parametrize(
        ("b", "a", "published"),
        [
            ((56, 70), (48, 80), (0.0524, 0.3339)),
            ((9, 10), (3, 10), (0.1705, 0.8090)),
            ((6, 7), (2, 7), (0.0582, 0.8062)),
            ((5, 56), (0, 29), (-0.0381, 0.1926)),
            ((0, 10), (0, 20), (-0.1611, 0.2775)),
            ((10, 10), (0, 10), (0.6075, 1.0)),
        ],
    )
    def test_newcombe(self, b, a, published):
        assert newcombe(Proportions(a[0], a[1], b[0], b[1])) == pytest.approx(published, abs=5e-5)

    def test_wilson(self):
        # Newcombe 1998 (Stat Med 17:857-872), table I, method 3
        assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
        assert wilson(0, 20) == pytest.approx((0, 0.1611), abs=5e-5)

    def test_number_needed_in_altmans_words(self):
        # Altman 1998: risk difference 10 % with interval -5 % to 25 % is NNTB 10 (NNTH 20 to infinity to NNTB 4)
        assert number_needed(0.1, -0.05, 0.25) == "NNTB 10.0 (NNTB 4.0 to infinity to NNTH 20.0)"
        assert number_needed(-0.1, -0.2, -0.05) == "NNTH 10.0 (NNTH 5.0 to NNTH 20.0)"

    def test_risk_ratio_by_hand(self):
        ratio, low, high = risk_ratio(Proportions(10, 100, 20, 100))
        spread = math.exp(1.959964 * math.sqrt(1 / 20 - 1 / 100 + 1 / 10 - 1 / 100))
        assert (ratio, low, high) == pytest.approx((2, 2 / spread, 2 * spread), rel=1e-6)


class TestReliability:
    # Shrout and Fleiss 1979, table 2: six targets, four judges
    SCORES = np.array(
        [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]], dtype=float
    )

    def test_icc_as_published(self):
        found = reliability(self.SCORES)
        assert found.icc == pytest.approx(0.71, abs=0.006)
        assert found.sem == pytest.approx(math.sqrt(1.02), abs=0.003)  # residual mean square 1.02, table 3
        # R psych::ICC on these data: ICC3 0.71, 95 % interval 0.34 to 0.95
        assert (round(found.icc_low, 2), round(found.icc_high, 2)) == (0.34, 0.95)

    def test_minimal_detectable_change(self):
        found = reliability(self.SCORES)
        assert found.mdc95 == pytest.approx(1.96 * math.sqrt(2) * found.sem)
        assert reliable_change(np.array([0.0]), np.array([found.mdc95]), found.sem) == pytest.approx(1.96)

    def test_a_common_shift_is_no_error(self):
        base = np.array([1.0, 2.0, 4.0, 8.0])
        found = reliability(np.column_stack([base, base + 3]))
        assert found.sem == 0
        assert found.icc == 1

    def test_incomplete_rows_are_left_out(self):
        padded = np.vstack([self.SCORES, [[5, np.nan, 3, 3]]])
        assert reliability(padded) == reliability(self.SCORES)


class TestPower:
    def test_two_groups(self):
        # Cohen 1988, table 2.3.5 (alpha .05 two-sided): d = 0.8 needs 26 per group for 80 % power, d = 0.5 needs 64
        assert detectable_difference(26, 26) < 0.8 < detectable_difference(25, 25)
        assert detectable_difference(64, 64) < 0.501 < detectable_difference(63, 63) + 0.002

    def test_the_baseline_helps_by_its_correlation(self):
        plain = detectable_difference(1000, 1000)
        assert detectable_difference(1000, 1000, correlation=0.6, adjusted=1) == pytest.approx(0.8 * plain, rel=1e-3)

    def test_too_few_people(self):
        assert math.isnan(detectable_difference(1, 1, adjusted=1))


class TestCorrelation:
    def test_partial_correlation_from_the_three_simple_ones(self):
        rng = np.random.default_rng(4)
        x, y, z = rng.normal(size=(3, 30))
        x, y = x + z, y - 0.5 * z + 0.3 * x
        r = np.corrcoef([x, y, z])
        expected = (r[0, 1] - r[0, 2] * r[1, 2]) / math.sqrt((1 - r[0, 2] ** 2) * (1 - r[1, 2] ** 2))
        assert partial_correlation(x, y, z[:, None]) == pytest.approx(expected)

    def test_bootstrap_equals_resampling_one_by_one(self):
        rng = np.random.default_rng(8)
        x = rng.normal(size=20)
        y, z = 0.8 * x + rng.normal(size=20), rng.normal(size=(20, 2))
        fast = bootstrap_partial(x, y, z, np.random.default_rng(1), resamples=300)
        counts = np.random.default_rng(1).multinomial(20, np.full(20, 1 / 20), size=300)
        rows = [np.repeat(np.arange(20), c) for c in counts]
        slow = np.quantile([partial_correlation(x[i], y[i], z[i]) for i in rows], [0.025, 0.975])
        assert fast == pytest.approx(tuple(slow), abs=1e-8)
