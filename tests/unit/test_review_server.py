"""The review server over real connections: what it serves, what it refuses, and what a rating becomes on disk."""

from __future__ import annotations

import http.client
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest

from mrs_pipeline.cli import main
from mrs_pipeline.errors import InputError, StudyError
from mrs_pipeline.report import Identity, ScanReport, VerdictView, write_scan_report
from mrs_pipeline.report import review_ratings as ratings_module
from mrs_pipeline.report.review import list_scans, start_review
from mrs_pipeline.report.review_ratings import COLUMNS, make_rating, read_ratings, save_rating

SCAN = {"participant_id": "sub-01", "session": "a", "voi": "acc", "acq": "n/a", "run": "n/a", "task": "n/a"}


@pytest.fixture
def out(tmp_path):
    folder = tmp_path / "out"
    for person, status in (("sub-01", "pass"), ("sub-02", "fail")):
        report = ScanReport(Identity(person, session="a", voi="acc"), verdict=VerdictView(status))
        write_scan_report(report, folder / f"{person}_ses-a_voi-acc_report.html")
    (folder / "group" / "unblinded").mkdir(parents=True)
    (folder / "group" / "unblinded" / "trial-report.html").write_text("ARM placebo")
    (tmp_path / "secret_report.html").write_text("SECRET")
    return folder


class Client:
    """A browser's part: host, origin, cookie and token."""

    def __init__(self, server):
        self.server = server
        self.headers = {"Host": f"127.0.0.1:{server.port}"}

    def enter(self):
        status, headers, _ = self.get(urlsplit(self.server.address).path + "?" + urlsplit(self.server.address).query)
        assert status == 303
        self.headers["Cookie"] = headers["Set-Cookie"].split(";")[0]
        return self

    def request(self, method, path, body=None, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=10)
        kept = {name: value for name, value in {**self.headers, **headers}.items() if value is not None}
        connection.request(method, path, body=body, headers=kept)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, answer.headers, content

    def get(self, path, **headers):
        return self.request("GET", path, **headers)

    def rate(self, changes=(), *, path="/rate", **headers):
        sent = {"key": "sub-01_ses-a_voi-acc", "rating": "good", "reasons": [], "override": "n/a", "comment": ""}
        sent |= dict(changes)
        known = {
            "Origin": f"http://127.0.0.1:{self.server.port}",
            "X-Review-Token": self.server.review.token,
            "Content-Type": "application/json",
        }
        status, _, body = self.request("POST", path, json.dumps(sent), **{**known, **headers})
        return status, json.loads(body) if body.startswith(b"{") else body.decode()


@pytest.fixture
def serve(out):
    running = []

    def start(**options):
        server = start_review(out, **({"reviewer": "rater one", "port": 0} | options))
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        running.append((server, thread))
        return Client(server)

    yield start
    for server, thread in running:
        server.shutdown()
        server.server_close()
        thread.join()


def test_listens_on_the_loopback_address_alone(serve):
    assert serve().server.server_address[0] == "127.0.0.1"


def test_nothing_is_shown_without_the_entry_code(serve):
    client = serve()
    for path in ("/", "/?entry=wrong", "/report/sub-01_ses-a_voi-acc"):
        status, _, body = client.get(path)
        assert status == 403
        assert b"sub-01" not in body


def test_entry_gives_a_cookie_that_scripts_and_other_sites_cannot_use(serve):
    client = serve()
    status, headers, _ = client.get(f"/?entry={client.server.review.entry}")
    assert (status, headers["Location"]) == (303, "/")
    assert "HttpOnly" in headers["Set-Cookie"]
    assert "SameSite=Strict" in headers["Set-Cookie"]


def test_page_lists_scans_with_verdicts_and_no_arm(serve):
    status, headers, body = serve().enter().get("/")
    assert status == 200
    text = body.decode()
    assert '"key": "sub-01_ses-a_voi-acc", "rating": null, "verdict": "pass"' in text
    assert '"key": "sub-02_ses-a_voi-acc", "rating": null, "verdict": "fail"' in text
    assert not any(word in text.lower() for word in ("placebo", " arm", "allocation", "treatment"))
    assert "default-src 'none'" in headers["Content-Security-Policy"]


def test_serves_the_reports_on_the_list(serve, out):
    status, _, body = serve().enter().get("/report/sub-01_ses-a_voi-acc")
    assert status == 200
    assert body == (out / "sub-01_ses-a_voi-acc_report.html").read_bytes()


@pytest.mark.parametrize(
    "name",
    [
        "../secret",
        "..%2Fsecret",
        "%2e%2e/secret",
        "....//secret",
        "/etc/passwd",
        "group/unblinded/trial-report.html",
        "sub-01_ses-a_voi-acc_report.html",
        "sub-01_ses-a_voi-acc%00",
        "",
    ],
)
def test_serves_nothing_that_is_not_on_the_list(serve, name):
    status, _, body = serve().enter().get(f"/report/{name}")
    assert status == 404
    assert b"SECRET" not in body
    assert b"ARM" not in body


@pytest.mark.parametrize("path", ["/group/unblinded/trial-report.html", "/../secret_report.html", "/static/x"])
def test_there_is_nothing_else(serve, path):
    assert serve().enter().get(path)[0] == 404


def test_a_rebound_domain_is_refused(serve):
    client = serve().enter()
    assert client.get("/", Host="evil.example")[0] == 403
    assert client.get("/", Host=f"localhost:{client.server.port}")[0] == 200
    assert client.rate(Host="evil.example")[0] == 403


def test_rating_is_saved_and_comes_back(serve, out):
    client = serve().enter()
    changes = {
        "rating": "doubtful",
        "reasons": ["SNR", "linewidth"],
        "override": "exclude",
        "comment": "two\tlines\nhere",
    }
    status, body = client.rate(changes)
    assert status == 200
    assert body == {
        "rating": "doubtful", "reasons": ["linewidth", "SNR"], "override": "exclude", "comment": "two lines here",
    }  # fmt: skip
    assert (out / "group" / "ratings.tsv").read_text() == (
        "participant_id\tsession\tvoi\tacq\trun\ttask\trating\treason\toverride\tcomment\treviewer\n"
        "sub-01\ta\tacc\tn/a\tn/a\tn/a\tdoubtful\tlinewidth;SNR\texclude\ttwo lines here\trater one\n"
    )
    assert json.loads((out / "group" / "ratings.json").read_text()).keys() == set(COLUMNS)
    assert '"comment": "two lines here"' in client.get("/")[2].decode()


def test_rating_again_replaces_and_reviewers_do_not_see_each_other(serve, out):
    first, second = serve().enter(), serve(reviewer="rater two").enter()
    first.rate({"rating": "bad", "reasons": ["motion"]})
    first.rate({"rating": "good"})
    second.rate({"rating": "doubtful", "reasons": ["other"]})
    rows = read_ratings(out / "group" / "ratings.tsv")
    assert [(row.reviewer, row.rating) for row in rows] == [("rater one", "good"), ("rater two", "doubtful")]
    page = second.get("/")[2].decode()
    assert '"rating": "doubtful"' in page
    assert '"rating": "good"' not in page


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": None},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"X-Review-Token": None},
        {"X-Review-Token": "wrong"},
        {"Cookie": None},
        {"Cookie": "mrs_review_0=x"},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
    ],
)
def test_forged_requests_change_nothing(serve, out, headers):
    assert serve().enter().rate(**headers)[0] == 403
    assert not (out / "group" / "ratings.tsv").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"key": "sub-99"}, "no such scan"),
        ({"key": "../secret"}, "no such scan"),
        ({"rating": "great"}, "the rating must be one of"),
        ({"rating": "bad"}, "choose at least one reason"),
        ({"rating": "bad", "reasons": ["my own"]}, "not on the list"),
        ({"override": "exclude"}, "needs a comment"),
        ({"override": "maybe"}, "the override must be one of"),
        ({"comment": "x" * 1001}, "longer than 1000"),
    ],
)
def test_what_is_no_rating_is_refused_with_words(serve, out, changes, message):
    status, body = serve().enter().rate(changes)
    assert status == 400
    assert message in body["error"]
    assert not (out / "group" / "ratings.tsv").exists()


@pytest.mark.parametrize("body", ["", "[1]", "{", '"x"', "9" * 20_000])
def test_broken_bodies_are_refused(serve, body):
    client = serve().enter()
    headers = {
        "Origin": f"http://127.0.0.1:{client.server.port}",
        "X-Review-Token": client.server.review.token,
        "Content-Type": "application/json",
    }
    assert client.request("POST", "/rate", body, **headers)[0] in (400, 413)


def test_frozen_ratings_do_not_change_unless_asked_for(serve, out):
    client = serve().enter()
    (out / "group" / "analysis-set.json").write_text("{}")
    status, body = client.rate()
    assert status == 409
    assert "--after-freeze" in body["error"]
    assert "The analysis set is frozen" in client.get("/")[2].decode()
    assert not (out / "group" / "ratings.tsv").exists()
    assert serve(after_freeze=True).enter().rate()[0] == 200


def test_a_damaged_table_is_an_error_and_stays_as_it_is(serve, out):
    table = out / "group" / "ratings.tsv"
    table.write_text("participant_id\trating\nsub-01\tgood\n")
    client = serve().enter()
    status, body = client.rate()
    assert status == 500
    assert "missing columns" in body["error"]
    assert table.read_text() == "participant_id\trating\nsub-01\tgood\n"
    assert client.get("/")[0] == 500


def test_two_reviewers_at_once_lose_nothing(tmp_path):
    path = tmp_path / "ratings.tsv"

    def save(number):
        rating = make_rating(SCAN, rating="good", reasons=(), override="n/a", comment="", reviewer=f"r{number:02}")
        save_rating(path, rating)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(save, range(24)))
    assert [rating.reviewer for rating in read_ratings(path)] == [f"r{number:02}" for number in range(24)]


def test_quotes_and_backslashes_survive_the_table(tmp_path):
    comment = 'he said "no" \\ and, left; naïve'
    rating = make_rating(SCAN, rating="good", reasons=(), override="n/a", comment=comment, reviewer="r")
    save_rating(tmp_path / "ratings.tsv", rating)
    assert read_ratings(tmp_path / "ratings.tsv") == (rating,)


def test_the_group_level_reads_what_is_written(tmp_path):
    from mrs_pipeline.stats import read_ratings as read_for_group

    rating = make_rating(SCAN, rating="bad", reasons=("motion",), override="exclude", comment="c", reviewer="r")
    save_rating(tmp_path / "ratings.tsv", rating)
    table = read_for_group(tmp_path / "ratings.tsv")
    assert table.loc[0, ["participant_id", "session", "voi", "rating", "override"]].tolist() == [
        "sub-01", "a", "acc", "bad", "exclude",
    ]  # fmt: skip


def test_unreadable_table(tmp_path):
    (tmp_path / "ratings.tsv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="cannot be read"):
        read_ratings(tmp_path / "ratings.tsv")


def test_scans_are_listed_from_their_reports(out):
    assert [(scan.key, scan.verdict, scan.entities["voi"]) for scan in list_scans(out)] == [
        ("sub-01_ses-a_voi-acc", "pass", "acc"),
        ("sub-02_ses-a_voi-acc", "fail", "acc"),
    ]


@pytest.mark.parametrize(
    ("folder", "reviewer", "message"),
    [
        ("missing", "r", "no such output folder"),
        (".", "r", "no scan report"),
        ("out", "", "1 to 64"),
        ("out", "a\tb", "1 to 64"),
    ],
)
def test_bad_starts_are_refused(tmp_path, out, folder, reviewer, message):
    with pytest.raises(StudyError, match=message):
        start_review(tmp_path / folder, reviewer=reviewer, port=0)


def test_a_taken_port_is_said(serve, out):
    taken = serve().server.port
    with pytest.raises(StudyError, match="--port 0"):
        start_review(out, reviewer="r", port=taken)


def test_command_prints_the_address_and_the_count(out, monkeypatch, capsys):

    def stop(self):
        raise KeyboardInterrupt

    monkeypatch.setattr("mrs_pipeline.report.review.ReviewServer.serve_forever", stop)
    assert main(["review", str(out), "--port", "0", "--reviewer", "me"]) == 0
    said = capsys.readouterr().out
    assert "2 scans, 0 rated by me" in said
    assert "open http://127.0.0.1:" in said
    assert "0 of 2 scans rated by me" in said


def test_every_column_is_described():
    assert set(ratings_module.DESCRIPTIONS) == set(COLUMNS)
