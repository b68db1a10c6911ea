"""The change between two visits that a scan report shows."""

import pytest

from mrs_pipeline.interfaces.report import visit_changes


def row(ratio, sd, sampling, total, name="Glu"):
    return {"metabolite": name, "ratio_tCr": ratio, "ratio_tCr_sd": sd, "amplitude_sd": sampling, "total_sd": total}


def test_a_change_is_held_against_the_noise_of_both_visits_alone():
    (change,) = visit_changes([row(1.40, 0.10, 3.0, 6.0)], [row(1.50, 0.12, 4.0, 6.0)])
    assert change["change"] == pytest.approx(0.10)
    assert change["minimal_detectable_change"] == pytest.approx(1.96 * (0.05**2 + 0.08**2) ** 0.5)


@pytest.mark.parametrize("lost", ["ratio_tCr", "ratio_tCr_sd", "total_sd"])
def test_without_a_number_there_is_no_change(lost):
    assert visit_changes([{**row(1.4, 0.1, 3.0, 6.0), lost: "n/a"}], [row(1.5, 0.1, 3.0, 6.0)]) == ()
    assert visit_changes([], [row(1.5, 0.1, 3.0, 6.0)]) == ()
