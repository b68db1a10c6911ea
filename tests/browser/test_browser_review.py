"""The review page in a browser: rating by keyboard, saving, and the blind list."""

from __future__ import annotations

import threading

import pytest
import report_examples as examples

from mrs_pipeline.report import write_scan_report
from mrs_pipeline.report.review import start_review
from mrs_pipeline.report.review_ratings import read_ratings

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]


@pytest.fixture
def server(tmp_path):
    for number, make in enumerate((examples.good_report, examples.bad_report, examples.failed_report), 1):
        write_scan_report(make(), tmp_path / f"sub-0{number}_ses-a_voi-acc_report.html")
    running = start_review(tmp_path, reviewer="rater", port=0)
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield running
    running.shutdown()
    running.server_close()
    thread.join()


def saved(server):
    return [
        (rating.participant_id, rating.rating, rating.reason) for rating in read_ratings(server.review.ratings_path)
    ]


def test_rating_by_keyboard(browser, server):
    browser.open(server.address)
    assert browser.evaluate("location.search") == ""
    assert browser.text("#name") == "sub-01_ses-a_voi-acc"
    browser.press("1")
    browser.press("s")
    browser.wait("document.getElementById('said').textContent.startsWith('Saved')")
    assert saved(server) == [("sub-01", "good", "n/a")]
    assert browser.text("#name") == "sub-02_ses-a_voi-acc"
    browser.press("3")
    browser.press("s")
    browser.wait("document.getElementById('said').textContent.includes('at least one reason')")
    browser.evaluate("document.querySelector('[value=\"poor fit\"]').click()")
    browser.press("s")
    browser.wait("document.getElementById('name').textContent.startsWith('sub-03')")
    assert saved(server)[1] == ("sub-02", "bad", "poor fit")
    assert browser.text("#count") == "2 of 3 rated."
    browser.press("k")
    assert browser.evaluate("document.forms[0].rating.value") == "bad"
    assert browser.evaluate("[...document.querySelectorAll('[name=reason]:checked')].map((b) => b.value)") == [
        "poor fit"
    ]


def test_report_is_shown_and_keys_work_from_inside_it(browser, server):
    browser.open(server.address)
    browser.wait("document.getElementById('report').contentDocument.getElementById('verdict') !== null")
    assert "PASS" in browser.evaluate(
        "document.getElementById('report').contentDocument.getElementById('verdict').innerText"
    )
    browser.evaluate("document.getElementById('report').contentWindow.focus()")
    browser.press("j")
    browser.wait("document.getElementById('name').textContent.startsWith('sub-02')")


def test_typing_a_comment_rates_nothing(browser, server):
    browser.open(server.address)
    browser.press("c")
    for letter in "js1":
        browser.press(letter)
    assert browser.evaluate("document.forms[0].comment.value") == "js1"
    assert browser.text("#name").startswith("sub-01")
    assert browser.evaluate("document.forms[0].rating.value") == ""


def test_list_filters(browser, server):
    browser.open(server.address)
    script = """(() => { const f = document.getElementById('filter'); f.value = 'notice';
        f.dispatchEvent(new Event('change'));
        return [...document.querySelectorAll('#list button')].map((b) => b.dataset.key); })()"""
    assert browser.evaluate(script) == ["sub-02_ses-a_voi-acc", "sub-03_ses-a_voi-acc"]


def test_frozen_set_disables_the_form(browser, server):
    server.review.ratings_path.parent.mkdir()
    (server.review.ratings_path.parent / "analysis-set.json").write_text("{}")
    browser.open(server.address)
    assert browser.evaluate(
        "[...document.forms[0].elements].every((part) => part.disabled || part.tagName === 'FIELDSET')"
    )
