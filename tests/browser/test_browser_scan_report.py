"""The scan report as a browser shows it, opened from a file."""

from __future__ import annotations

import json

import pytest
import report_examples as examples

from mrs_pipeline.report import write_scan_report

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

OVERFLOWING = """[...document.querySelectorAll('main *')].filter((e) =>
    !e.closest('.scroll, svg, details:not([open])') && e.getBoundingClientRect().right > window.innerWidth + 1
).map((e) => e.tagName + '.' + e.className)"""
OVERLAPPING_LABELS = """[...document.querySelectorAll('svg.figure')].flatMap((figure) => {
    const boxes = [...figure.querySelectorAll('text')].filter((t) => t.textContent.trim())
        .map((t) => [t.textContent.trim(), t.getBoundingClientRect()]);
    return boxes.flatMap(([a, p], i) => boxes.slice(i + 1)
        .filter(([, q]) => Math.min(p.right, q.right) - Math.max(p.left, q.left) > 2
                        && Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top) > 4)
        .map(([b]) => a + ' / ' + b));
})"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reports")
    made = {"good": examples.good_report(), "bad": examples.bad_report(), "failed": examples.failed_report()}
    return {name: write_scan_report(report, folder / f"{name}.html").as_uri() for name, report in made.items()}


def table(browser, selector):
    script = f"""[...document.querySelectorAll({json.dumps(selector + " tbody tr")})]
        .map((row) => [...row.children].map((cell) => cell.innerText.trim()))"""
    return browser.evaluate(script)


def test_report_asks_for_nothing_but_itself(browser, pages):
    browser.requests.clear()
    browser.open(pages["good"])
    assert [address for address in browser.requests if not address.startswith("data:")] == [pages["good"]]


def test_first_screen_holds_verdict_fit_and_numbers(browser, pages):
    browser.open(pages["good"], width=1440, height=900)
    below = browser.evaluate(
        "['#verdict', '#fit svg', '#key-metrics', '#primary', '#tissue'].filter((s) =>"
        " document.querySelector(s).getBoundingClientRect().bottom > 900)"
    )
    assert below == []
    assert browser.text("#verdict") == "PASS"
    assert table(browser, "#key-metrics")[0] == ["SNR", "43.7", "at least 20"]
    primary = {row[0]: row[1:] for row in table(browser, "#primary")}
    assert primary["Glu"] == ["1.21 ± 0.040", "10.0 ± 0.40", "3 %"]
    assert list(primary) == ["tNAA", "tCr", "tCho", "mI", "Glx", "Glu", "Gln"]


def test_figures_are_drawn_with_text(browser, pages):
    browser.open(pages["good"])
    sizes = browser.evaluate(
        "[...document.querySelectorAll('#fit svg, #voxel svg, #transients svg')]"
        ".map((s) => [s.clientWidth, s.clientHeight])"
    )
    assert len(sizes) == 3
    assert all(width > 300 and height > 150 for width, height in sizes)
    assert "chemical shift (ppm)" in browser.evaluate("document.querySelector('#fit svg').textContent")


def test_folded_sections_open(browser, pages):
    browser.open(pages["good"])
    assert browser.evaluate("document.querySelector('#concentration-table').checkVisibility()") is False
    browser.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    assert len(table(browser, "#concentration-table")) == 7
    assert len(table(browser, "#metric-table")) == 3
    assert "doi:10.1002/nbm.4257" in browser.text("#methods")


@pytest.mark.parametrize("width", [1440, 1024, 768, 390])
@pytest.mark.parametrize("name", ["good", "bad", "failed"])
def test_nothing_sticks_out_at_any_width(browser, pages, name, width):
    browser.open(pages[name], width=width)
    browser.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    assert browser.evaluate(OVERFLOWING) == []


@pytest.mark.parametrize("name", ["good", "bad"])
def test_no_two_labels_of_a_figure_overlap(browser, pages, name):
    browser.open(pages[name], width=1440)
    browser.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    assert browser.evaluate(OVERLAPPING_LABELS) == []


def test_print_shows_the_folded_sections(browser, pages):
    browser.open(pages["good"])
    folded = len(browser.pdf())
    browser.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    opened = len(browser.pdf())
    assert folded == pytest.approx(opened, rel=0.05)


def test_failed_scan_says_what_to_do(browser, pages):
    browser.open(pages["failed"])
    assert browser.text("#verdict") == "FAILED"
    assert "What to do: convert it again with --conjugate." in browser.text("#summary")
    assert browser.evaluate("document.querySelector('#errors').open")
    assert browser.evaluate("document.querySelector('#errors details').open") is False
