"""The first echo period of PRESS where a study does not say it."""

import pytest

from mrs_pipeline.basis import simulate_basis
from mrs_pipeline.interfaces.basis import first_echo_period


@pytest.mark.parametrize(("te", "first"), [(0.035, 0.014), (0.030, 0.014), (0.144, 0.0576), (0.018, 0.009)])
def test_it_is_40_per_cent_of_te_but_14_ms_at_least_and_half_at_most(te, first):
    assert first_echo_period(te) == pytest.approx(first)


def test_the_shaped_pulses_fit_in_from_16_ms_on():
    for te in (0.016, 0.018, 0.020):
        first = first_echo_period(te)
        times = {"te1": first, "te2": te - first}
        made = simulate_basis("press", **times, dwell=5e-4, n_points=64, names=("Cr",), pulses="shaped")
        assert made.te1 == first
