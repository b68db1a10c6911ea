"""Tables, record and page of a joint fit, from amplitudes that are known."""

from __future__ import annotations

import json

import numpy as np
import pytest

from mrs_pipeline.config import FitSection
from mrs_pipeline.errors import FitError, StudyError
from mrs_pipeline.fit import (
    JointFit,
    Sharing,
    VisitAmplitudes,
    change_rows,
    check_joint,
    joint_record,
    unit_factors,
    write_changes,
)
from mrs_pipeline.fit.joint_io import COLUMNS
from mrs_pipeline.report.joint import change_tables, write_joint_report

NAMES = ("NAA", "NAAG", "Cr", "PCr", "Glu")
FIRST, SECOND = [9.0, 1.0, 5.0, 4.0, 9.0], [9.0, 0.0, 5.0, 4.0, 10.0]
IDENTITY = {"participant_id": "sub-01", "session": None, "voi": "acc", "acq": None, "run": None, "task": None}


def amplitudes(correlation=0.5):
    """Every amplitude with SD 0.2, the same one of two visits correlated."""
    both = np.array([[1.0, correlation], [correlation, 1.0]])
    covariance = 0.04 * np.kron(both, np.eye(len(NAMES)))
    return VisitAmplitudes(("bl", "w12"), NAMES, np.array([FIRST, SECOND]), covariance, 4.0 * covariance)


def joint_fit(**more):
    values = {
        "joint": amplitudes(),
        "independent": amplitudes(0.0),
        "fits": (),
        "sharing": Sharing(),
        "baseline_dimensions": (2.0, 2.0),
        "residual_ratio": (1.0, 1.01),
        "left_out": {"w24": "its own fit failed"},
        "status": "doubtful",
        "flags": ("visit_left_out",),
        "notes": ("w24 is not in the joint fit",),
        "nonlinear": ({"phi0": 0.1}, {"phi0": 0.2}),
        "evaluations": 20,
    }
    return JointFit(**(values | more))


def concentration_rows(values, water=2.0):
    """Rows of concentrations.tsv as text: molal is amplitude over water, n/a where the amplitude is zero."""
    named = dict(zip(NAMES, values, strict=True))
    named |= {"tNAA": named["NAA"] + named["NAAG"], "tCr": named["Cr"] + named["PCr"]}
    return [
        {"metabolite": name, "amplitude": f"{value}", "molal": f"{value / water}" if value else "0", "molar": "n/a"}
        for name, value in named.items()
    ]


def by_key(rows):
    return {(row["metabolite"], row["unit"]): row for row in rows}


def test_the_change_has_the_covariance_of_both_visits():
    change = amplitudes().amount_change("Glu", "bl", "w12")
    assert change.change == pytest.approx(1.0)
    assert change.sd == pytest.approx(0.2)  # sqrt(2 (1 - 0.5)) 0.2
    assert change.total_sd == pytest.approx(0.4)
    assert (change.low, change.high) == pytest.approx((1.0 - 1.96 * 0.4, 1.0 + 1.96 * 0.4), abs=1e-4)
    assert change.correlation == pytest.approx(0.5)
    assert amplitudes(0.0).amount_change("Glu", "bl", "w12").sd == pytest.approx(0.2 * np.sqrt(2))


def test_the_change_of_a_ratio_by_hand():
    change = amplitudes(0.0).ratio_change("Glu", "bl", "w12")
    assert change.change == pytest.approx(1.0 / 9.0)
    spreads = [0.2 / 9.0 * np.sqrt(1 + 2 * (value / 9.0) ** 2) for value in (9.0, 10.0)]
    assert (change.first_sd, change.second_sd) == pytest.approx(spreads)
    assert change.sd == pytest.approx(np.hypot(*spreads))


def test_factors_come_from_the_visits_own_fit_and_zeros_take_the_combinations():
    factors = unit_factors(concentration_rows(SECOND))
    assert factors["molal"]["Glu"] == pytest.approx(0.5)
    assert factors["molal"]["NAAG"] == pytest.approx(0.5)
    assert np.isnan(factors["molar"]["Glu"])


def test_rows_have_every_unit_that_both_visits_have():
    factors = {"bl": unit_factors(concentration_rows(FIRST, 2.0)), "w12": unit_factors(concentration_rows(SECOND, 4.0))}
    rows = by_key(change_rows(joint_fit(), factors, IDENTITY))
    assert {unit for _, unit in rows} == {"amplitude", "ratio", "molal"}
    assert {name for name, _ in rows} == {*NAMES, "tNAA", "tCr", "Glx"}
    row = rows["Glu", "molal"]
    assert (row["first"], row["second"], row["change"]) == pytest.approx((4.5, 2.5, -2.0))
    assert row["change_sd"] == pytest.approx(0.2 * np.sqrt(0.25 + 0.0625 - 2 * 0.5 * 0.5 * 0.25))
    assert row["apart_sd"] == pytest.approx(0.2 * np.sqrt(0.25 + 0.0625))
    assert rows["tNAA", "molal"]["second"] == pytest.approx(9.0 / 4.0)
    assert (row["session_from"], row["session"], row["acq"]) == ("bl", "w12", "n/a")


def test_corrected_units_have_their_changes_too():
    rows = [row | {"csf_only": row["molal"]} for row in concentration_rows(FIRST, 2.0)]
    factors = {"bl": unit_factors(rows), "w12": unit_factors(rows)}
    found = by_key(change_rows(joint_fit(), factors, IDENTITY))
    assert found["Glu", "csf_only"]["change"] == pytest.approx(found["Glu", "molal"]["change"])
    assert ("Glu", "alpha_corrected") not in found


def test_the_table_and_its_dictionary(tmp_path):
    rows = change_rows(joint_fit(), {}, IDENTITY)
    dictionary = json.loads(write_changes(rows, tmp_path / "change.tsv").read_text())
    lines = (tmp_path / "change.tsv").read_text().splitlines()
    assert tuple(lines[0].split("\t")) == tuple(COLUMNS)
    assert len(lines) == 1 + len(rows)
    assert all(len(line.split("\t")) == len(COLUMNS) for line in lines)
    assert set(COLUMNS) < set(dictionary)
    assert "randomisation" in dictionary["JointFit"]


def test_an_infinite_interval_is_written_as_missing(tmp_path):
    weak = amplitudes()
    wide = VisitAmplitudes(weak.visits, weak.names, weak.amplitudes, weak.covariance, 1e5 * weak.covariance)
    rows = by_key(change_rows(joint_fit(joint=wide), {}, IDENTITY))
    write_changes([rows["Glu", "ratio"]], tmp_path / "change.tsv")
    cells = dict(zip(COLUMNS, (tmp_path / "change.tsv").read_text().splitlines()[1].split("\t"), strict=True))
    assert (cells["change_lo"], cells["change_hi"]) == ("n/a", "n/a")
    assert float(cells["change"]) == pytest.approx(1.0 / 9.0)


def test_what_is_not_there_is_an_error_in_words():
    with pytest.raises(FitError, match="GABA was not fitted"):
        amplitudes().weights("GABA")
    with pytest.raises(StudyError, match="peaks"):
        check_joint(FitSection(model="peaks"))


def test_the_page_says_what_it_is_and_shows_both_changes(tmp_path):
    fit = joint_fit(joint=amplitudes())
    rows = change_rows(fit, {}, IDENTITY)
    page = write_joint_report(joint_record(fit), rows, IDENTITY, tmp_path / "page.html").read_text()
    for words in ("sub-01 acc", "after randomisation", "w12 minus bl", "w24 is not in the joint fit", "doubtful"):
        assert words in page
    tables = change_tables(rows)
    assert [table.title.split()[0] for table in tables] == ["Ratio", "Amplitude"]
    assert "tCr" not in [row["metabolite"] for row in tables[0].rows]
