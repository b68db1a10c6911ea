"""How much wider or narrower the fitted deviations make a family of priors, against the two cases that are known."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from mrs_pipeline.fit.components import LIPIDS, MACROMOLECULES, METABOLITES
from mrs_pipeline.fit.uncertainty import (
    LARGEST_STRAIN,
    PSEUDO_ROWS,
    Information,
    macromolecule_scale,
    prior_scales,
    strain,
)

SD = np.array([0.5, 2.0, 1.0, 4.0])
DEVIATION = np.array([1.0, -2.0, 3.0, 0.5])


def problem() -> Information:
    """Four amplitudes, each with a prior of its own: two of one family, two of another."""
    families = ("ratio", "background_ratio", "background_ratio", "background_ratio")
    return Information(np.zeros((1, 4)), np.diag(1 / SD), DEVIATION, families, np.zeros((4, 4)), (0, 4, 0))


def objective() -> SimpleNamespace:
    group = np.array([METABOLITES, MACROMOLECULES, MACROMOLECULES, LIPIDS])
    return SimpleNamespace(rows=np.diag(1 / SD), model=SimpleNamespace(components=SimpleNamespace(group=group)))


def test_where_the_data_know_everything_the_mean_square_deviation_counts():
    found = prior_scales(problem(), np.zeros((4, 4)))  # no posterior variance: each deviation is one free draw
    assert found["ratio"] == pytest.approx((1.0 + PSEUDO_ROWS) / (1 + PSEUDO_ROWS))
    assert found["background_ratio"] == pytest.approx((4.0 + 9.0 + 0.25 + PSEUDO_ROWS) / (3 + PSEUDO_ROWS))


def test_where_the_data_know_nothing_no_deviation_is_expected():
    found = prior_scales(problem(), np.diag(SD**2))  # posterior is prior
    assert found["background_ratio"] == pytest.approx((13.25 + PSEUDO_ROWS) / PSEUDO_ROWS)


def test_macromolecules_are_judged_without_metabolites_and_lipids():
    found = macromolecule_scale(objective(), problem(), np.zeros((4, 4)))
    assert found == pytest.approx((4.0 + 9.0 + PSEUDO_ROWS) / (2 + PSEUDO_ROWS))


@pytest.mark.parametrize(
    ("rows", "scale", "expected"), [(3, 3.0, 1.0), (4, 3.0, 3.0), (4, 0.4, 0.4), (9, 37.0, LARGEST_STRAIN)]
)
def test_few_rows_scale_nothing_and_one_line_too_many_no_more_than_twice(rows, scale, expected):
    group = np.full(rows, MACROMOLECULES)
    several = SimpleNamespace(rows=np.eye(rows), model=SimpleNamespace(components=SimpleNamespace(group=group)))
    assert strain(several, scale) == expected
