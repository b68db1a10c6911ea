"""The scan report: what stands in it, that it is self-contained, and that its bytes are reproducible."""

from __future__ import annotations

import importlib.util
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mrs_pipeline.qc import METRICS
from mrs_pipeline.report import (
    PosteriorView,
    StepPair,
    TransientsView,
    pairs_from_evidence,
    scan_page,
    transients_from_evidence,
    write_scan_report,
)
from mrs_pipeline.report import scan as scan_module
from mrs_pipeline.report.scan import remarks_of

_spec = importlib.util.spec_from_file_location(
    "report_examples", Path(__file__).parents[1] / "browser" / "report_examples.py"
)
examples = importlib.util.module_from_spec(_spec)
sys.modules["report_examples"] = examples
_spec.loader.exec_module(examples)


@pytest.fixture(scope="module")
def good():
    return scan_page(examples.good_report())


@pytest.fixture(scope="module")
def failed():
    return scan_page(examples.failed_report())


def text_of(page):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


def test_bytes_do_not_depend_on_the_run(tmp_path):
    first = write_scan_report(examples.good_report(), tmp_path / "a" / "one.html").read_bytes()
    second = write_scan_report(examples.good_report(), tmp_path / "two.html").read_bytes()
    assert first == second
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "two.html"]


def test_page_refers_to_nothing_outside_itself(good):
    without_names = good.replace("http://www.w3.org/2000/svg", "").replace("http://www.w3.org/1999/xlink", "")
    assert "http" not in without_names
    assert not re.search(r"<link|@import|src=", without_names)
    assert set(re.findall(r'(?:xlink:)?href="(.)', without_names)) <= {"#", "d"}


def test_second_engine_stands_beside_ours_and_what_differs_is_marked(good):
    part = good.split('<details id="agreement"', 1)[1].split("</details>", 1)[0]
    words = text_of(part)
    assert "LCModel /tCr" in words
    assert "tNAA 1.31 ± 0.030 1.30 3 -" in words
    assert re.search(r'<tr class="apart"><th>GSH</th>.*?<td>apart</td></tr>', part)
    assert re.search(r"<tr><th>tNAA</th>.*?<td></td></tr>", part)
    failed_engine = examples.AgreementView("LCModel", problem="LCModel could not run: exit code 3")
    words = text_of(scan_page(examples.good_report(agreement=failed_engine)))
    assert "LCModel gave no result: LCModel could not run: exit code 3." in words
    assert 'id="agreement"' not in scan_page(examples.good_report(agreement=None))


def test_no_per_cent_of_a_ratio_that_is_lost_in_its_own_sd():
    view = examples.good_report().agreement
    rows = [dict(row) for row in view.rows if row["metabolite"] == "tNAA"]
    rows[0] |= {"ratio_tCr": 0.0005, "ratio_tCr_sd": 0.04, "difference_percent": 4230.0}
    page = scan_page(examples.good_report(agreement=replace(view, rows=tuple(rows))))
    assert "4230" not in page.split('id="agreement-table"', 1)[1].split("</table>", 1)[0]


def test_sampled_intervals_stand_in_the_table_of_concentrations(good):
    view = PosteriorView("95 % bootstrap", {"Glu": (1.1, 1.3)}, "Bootstrap: 200 refits.")
    page = scan_page(examples.good_report(posterior=view))
    table = page.split('<table id="concentration-table"', 1)[1].split("</table>", 1)[0]
    assert "95 % bootstrap" in table
    assert re.search(r"<th>Glu</th>.*?1\.10 to 1\.30", table, re.DOTALL)
    assert "Bootstrap: 200 refits." in text_of(page)
    assert "bootstrap" not in good


def test_page_carries_no_date_and_is_small(good):
    assert not re.search(r"20\d\d-\d\d-\d\d", good)
    assert len(good) < 300_000


def test_every_identifier_is_unique_and_every_reference_resolves(good):
    ids = re.findall(r'\sid="([^"]+)"', good)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:url\(#|href="#)([^")]+)', good)) <= set(ids)


def test_no_figure_styles_the_page(good):
    assert good.count("<style") == 1


def test_first_screen_has_verdict_numbers_and_placement(good):
    words = text_of(good.split("<details id=")[0])
    assert "pass sub-01_ses-baseline_acq-press_voi-acc" in words
    assert "Keeps to the protocol: 1 of 2 points agree, the data do not state the other." in words
    assert "1 measure could not be checked residual water over NAA is not available for this scan" in words
    assert "SNR 43.7 at least 20" in words
    assert "Linewidth 5.60 Hz at most 10" in words
    assert "Glu 1.21 ± 0.040 10.0 ± 0.40 3 %" in words
    assert "GM 52.0 %, WM 36.0 %, CSF 12.0 %, each ± 2.0 %; source: segmented T1w." in words
    assert "30 of 32 transients kept" in words
    assert (
        "Session week12: voxel overlap (Dice) 0.870, centres 2.40 mm apart, turned by 3.10 degrees, "
        "tissue changed by -3.0 (GM), +2.0 (WM), +1.0 (CSF) percentage points since then." in words
    )
    assert "The participant's left is on the left." in words.replace("&#39;", "'")


@pytest.mark.parametrize(
    ("known", "sentence"),
    [
        ({}, "Session week12."),
        ({"shift_mm": 2.0}, "Session week12: centres 2.00 mm apart."),
        (
            {"overlap_dice": 1.0, "angle_deg": 0.0, "tissue_change": (0.0, -0.0004, 0.0004)},
            (
                "Session week12: voxel overlap (Dice) 1.00, turned by 0 degrees, "
                "tissue changed by +0.0 (GM), +0.0 (WM), +0.0 (CSF) percentage points since then."
            ),
        ),
    ],
)
def test_visit_line_says_what_is_known(known, sentence):
    page = scan_page(examples.good_report(visits=(examples.VisitView("week12", **known),)))
    assert text_of(page.split('<section id="visits">', 1)[1].split("</p>", 1)[0]).strip().endswith(sentence)


def test_a_unit_without_numbers_has_no_column(good):
    assert "mmol/L" not in good
    assert "mmol/kg" in good


def test_missing_numbers_are_said_with_their_reason(good):
    assert "no water density" in good


def test_doubtful_rows_are_marked(good):
    assert re.search(r'<tr class="doubtful"><th>Gln</th>', good)
    assert not re.search(r'<tr class="doubtful"><th>Glu</th>', good)


def test_bad_scan_says_the_rule_value_and_limit():
    words = text_of(scan_page(examples.bad_report()))
    assert "the lines are too broad to separate Glu from Gln (linewidth: 14.2 Hz, limit 10.0)" in words
    assert "echo time is 0.035 s, planned 0.03 s." in words
    assert "no T1w: tissue fractions come from the table" in words
    assert "Fit: phi0 stopped at its limit (0.79)" in words
    assert "phi0_at_bound" not in words
    assert "The fit itself is marked doubtful." in words


def test_every_metric_has_a_label_and_no_two_of_one_unit_share_it():
    from mrs_pipeline.interfaces.qc import DEFINITIONS
    from mrs_pipeline.preprocess import METRIC_DEFINITIONS

    assert set(METRIC_DEFINITIONS) | set(DEFINITIONS) | {"fit_status", "voxel_name"} == set(METRICS)
    assert len(set(METRICS.values())) == len(METRICS)
    for name, (_, unit) in METRICS.items():
        ending = {"hz": "Hz", "ppm": "ppm", "deg": "degrees", "mm": "mm"}.get(name.rsplit("_", 1)[-1])
        assert unit == (ending or unit), name


@pytest.mark.parametrize(
    ("flag", "words"),
    [
        ("baseline_at_limit", "the baseline is as flexible as it may be"),
        ("only=GPC", "sum of GPC alone, the only part the basis set holds"),
        ("shift_at_bound", "shift stopped at its limit"),
        ("no_tCr", "tCr came out as zero"),
        ("no_signal", "no metabolite stands above the noise"),
        ("of_tomorrow=1", "of tomorrow: 1"),
    ],
)
def test_flags_are_said_in_words(flag, words):
    assert remarks_of({"flags": f"{flag};misfit", "reason": "n/a"}) == [words, "the residual is far above the noise"]


def test_failed_scan_says_what_is_wrong_and_what_to_do(failed):
    words = text_of(failed)
    assert words.count("failed sub-02_ses-baseline_voi-acc") == 1
    assert "the spectrum looks mirrored about water" in words
    assert "What to do: convert it again with --conjugate." in words
    assert "<svg" not in failed


def test_text_from_files_is_escaped(failed):
    assert "<b>bold</b>" not in failed
    assert "&lt;b&gt;bold&lt;/b&gt;" in failed


@pytest.mark.parametrize(
    "without",
    ["verdict", "fit", "voxel", "transients", "tissue"],
)
def test_page_stands_without_any_one_part(without):
    assert "</html>" in scan_page(examples.good_report(**{without: None}))


@pytest.mark.parametrize("without", ["concentrations", "metrics", "steps", "pairs", "protocol", "visits", "methods"])
def test_page_stands_without_any_one_list(without):
    assert "</html>" in scan_page(examples.good_report(**{without: ()}))


def test_sections_are_shown_only_with_content(good, failed):
    assert re.findall(r'<details id="(\w+)"', good) == [
        section.anchor for section in scan_module.SECTIONS if section.anchor not in {"errors", "difference", "sum"}
    ]
    assert re.findall(r'<details id="(\w+)"', failed) == ["errors"]


def test_share_outside_the_noise_band_is_counted_and_printed():
    ppm = np.linspace(0.5, 4.2, 100)
    residual = np.zeros(100, dtype=complex)
    residual[:25] = 3.0
    residual[25:50] = 1.9 + 50j
    fit = examples.fit_view(
        ppm=ppm,
        data=residual + 1,
        model=np.ones(100),
        baseline=np.zeros(100),
        residual=residual,
        components={},
        noise_sd=1.0,
    )
    assert "25 % of points lie outside" in scan_page(examples.good_report(fit=fit))


def test_unknown_noise_leaves_the_band_out():
    page = scan_page(examples.good_report(fit=examples.fit_view(noise_sd=None)))
    assert "points lie outside" not in page
    assert "(of peak)" in page


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"amplitude": 8.0, "crlb": 0.4}, 0.05),
        ({"amplitude": 0.0, "crlb": 0.4}, None),
        ({"amplitude": "n/a", "crlb": 0.4}, None),
        ({"amplitude": 8.0}, None),
        ({"amplitude": 8.0, "crlb": float("nan")}, None),
    ],
)
def test_relative_crlb(row, expected):
    assert scan_module.relative_crlb(row) == expected


def test_primary_rows_follow_the_order_asked_for():
    rows = [{"metabolite": "Glu"}, {"metabolite": "tCr"}, {"metabolite": "tNAA"}]
    assert [row["metabolite"] for row in scan_module.primary_rows(rows, ("tNAA", "GABA", "Glu"))] == ["tNAA", "Glu"]


def test_metric_whose_rule_spoke_comes_to_the_first_screen():
    report = examples.good_report()
    spoke = replace(report.metrics[2], status="warn")
    assert scan_module.key_metrics((*report.metrics[:2], spoke))[-1] is spoke
    assert len(scan_module.key_metrics(report.metrics)) == 2


def test_evidence_becomes_pairs_in_step_order_and_windows():
    ppm = np.linspace(-5, 14, 1901)
    spectrum = np.exp(-((ppm - 2.0) ** 2)) * (1 + 1j)
    evidence = {
        "ppm": ppm,
        "phase.before": 2 * spectrum,
        "phase.after": spectrum,
        "water_removal.before": np.stack([spectrum, 3 * spectrum]),
        "water_removal.after": spectrum,
        "transients.before": np.zeros((2, 1901)),
        "lonely.before": spectrum,
    }
    water, phase = pairs_from_evidence(evidence, ("water_removal", "absent", "phase"))
    assert isinstance(water, StepPair)
    assert (water.step, phase.step) == ("water removal", "phase")
    assert water.ppm.max() == pytest.approx(5.2, abs=0.011)
    assert phase.ppm.max() == pytest.approx(4.2, abs=0.011)
    np.testing.assert_allclose(water.before, 2 * water.after)
    np.testing.assert_allclose(phase.before, 2 * np.exp(-((phase.ppm - 2.0) ** 2)))
    assert pairs_from_evidence({}) == ()


def test_evidence_becomes_transients_with_gaps_where_dropped():
    ppm = np.linspace(-1, 5, 601) + 1e-4
    rows = np.arange(3)[:, None] + np.zeros(601)
    view = transients_from_evidence(
        {"transients.ppm": ppm, "transients.before": rows}, [True, False, True], [1.0, None, -1.0], [None, None, None]
    )
    assert isinstance(view, TransientsView)
    np.testing.assert_array_equal(view.drift_hz, [1.0, np.nan, -1.0])
    assert view.drift_deg is None
    assert view.before.shape == (3, 400)
    assert view.after is None
    assert transients_from_evidence({}, [True], [0.0], [0.0]) is None


def test_each_remark_is_said_once_and_numbered(good):
    rows = [{"flags": "a;b", "reason": "n/a"}, {"flags": "", "reason": "c; b"}, {"reason": None}]
    assert scan_module.numbered_remarks(rows) == {"a": 1, "b": 2, "c": 3}
    assert scan_module.remarks_of(rows[1]) == ["c", "b"]
    assert good.count("no water density") == 1
    assert re.search(r"<th>Gln</th>.*?<td>doubtful</td><td>1, 2</td>", good, re.DOTALL)


def test_many_warnings_are_folded_after_the_third():
    page = scan_page(examples.good_report(warnings=tuple(f"warning {number}" for number in range(7))))
    shown = page.split('id="warnings"')[1]
    assert shown.index("warning 2") < shown.index("<details><summary>and 4 more") < shown.index("warning 3")


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ([(">", 0.15, "fail"), (">", 0.1, "warn")], "warn above 0.1, fail above 0.15"),
        ([("==", "inverted", "fail")], "fail equal to inverted"),
        ([], ""),
    ],
)
def test_limits_in_words(rules, words):
    assert scan_module.limit_words(rules) == words
