"""The review page: what it lists, and a server for it that only this machine can reach.

The reviewer is blind: the page knows scans, their reports and their quality verdicts, and nothing else; the unblinded
folder is never read. Only reports found in the output folder are served, by their name in a fixed list, so that no
request can name a file.
"""

from __future__ import annotations

import hmac
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from mrs_pipeline.bids import GROUP_FILES, parse_name
from mrs_pipeline.errors import InputError, StudyError
from mrs_pipeline.report.html import MISSING, render
from mrs_pipeline.report.review_ratings import (
    OVERRIDES,
    RATING_REASONS,
    RATINGS,
    Rating,
    make_rating,
    read_ratings,
    save_rating,
)
from mrs_pipeline.stats import SCAN_KEYS

LOOPBACK = "127.0.0.1"
MAX_BODY = 16_384
"""Largest body of a request, in bytes."""

_VERDICT = re.compile(r'<meta name="mrs-pipeline-verdict" content="([a-z ]+)">')
_SUFFIX = "_report.html"


@dataclass(frozen=True)
class ReviewScan:
    """A scan as the review page lists it."""

    key: str
    entities: Mapping[str, str]
    verdict: str
    report: Path


def list_scans(out_dir: Path) -> tuple[ReviewScan, ...]:
    """Return the scans that have a report, sorted by name.

    Raises
    ------
    StudyError
        There is no report in the folder.
    """
    scans = tuple(_scan(path) for path in sorted(out_dir.glob(f"sub-*{_SUFFIX}")))
    if not scans:
        raise StudyError("there is no scan report to review", remedy="run the participant level first", path=out_dir)
    return scans


def _scan(report: Path) -> ReviewScan:
    """Return one scan, its verdict read from the head of its report."""
    found = parse_name(report.name)
    labels = {"session": found.ses, "voi": found.voi, "acq": found.acq, "run": found.run, "task": found.task}
    entities = {"participant_id": f"sub-{found.sub}"} | {name: label or MISSING for name, label in labels.items()}
    with report.open(encoding="utf-8", errors="replace") as stream:
        verdict = _VERDICT.search(stream.read(4096))
    return ReviewScan(report.name.removesuffix(_SUFFIX), entities, verdict[1] if verdict else MISSING, report)


@dataclass(frozen=True)
class Review:
    """A review in progress: what is reviewed, by whom, and the secrets of this server.

    Parameters
    ----------
    out_dir
        Derivatives folder.
    reviewer
        Name written beside each rating.
    after_freeze
        Whether ratings may change although the analysis set is frozen.
    scans
        What is listed.
    entry
        Secret of the address that is printed; whoever opens it gets the cookie.
    cookie, token
        Secrets of the browser's cookie, and of the page that may save ratings.
    """

    out_dir: Path
    reviewer: str
    after_freeze: bool = False
    scans: tuple[ReviewScan, ...] = ()
    entry: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    cookie: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24))

    @property
    def ratings_path(self) -> Path:
        """Return the table of ratings."""
        return self.out_dir / GROUP_FILES["ratings"]

    @property
    def frozen(self) -> bool:
        """Return whether ratings may no longer change."""
        return not self.after_freeze and (self.out_dir / GROUP_FILES["analysis_set"]).exists()

    def scan(self, key: str) -> ReviewScan | None:
        """Return the scan of a name, ``None`` when it is not on the list."""
        return next((scan for scan in self.scans if scan.key == key), None)

    def own_ratings(self) -> dict[str, Rating]:
        """Return this reviewer's ratings by the scan's name; another reviewer's stay unseen."""
        own = {rating.scan: rating for rating in read_ratings(self.ratings_path) if rating.reviewer == self.reviewer}
        by_key = {scan.key: own.get(tuple(scan.entities[name] for name in SCAN_KEYS)) for scan in self.scans}
        return {key: rating for key, rating in by_key.items() if rating is not None}


def review_page(review: Review, nonce: str) -> str:
    """Return the page with the list, the report's frame and the form."""
    own = review.own_ratings()
    state = {
        "token": review.token,
        "frozen": review.frozen,
        "scans": [
            {
                "key": scan.key,
                "verdict": scan.verdict,
                "rating": None if scan.key not in own else _as_json(own[scan.key]),
            }
            for scan in review.scans
        ],
    }
    return render(
        "review.html",
        state=state,
        nonce=nonce,
        review=review,
        ratings=RATINGS,
        reasons=RATING_REASONS,
        overrides=OVERRIDES,
    )


def _as_json(rating: Rating) -> dict[str, Any]:
    """Return what the form shows of a rating."""
    reasons = [] if rating.reason == MISSING else rating.reason.split(";")
    comment = "" if rating.comment == MISSING else rating.comment
    return {"rating": rating.rating, "reasons": reasons, "override": rating.override, "comment": comment}


def rate(review: Review, body: bytes) -> dict[str, Any]:
    """Save the rating of a request's body and return it as the form shows it.

    Raises
    ------
    PermissionError
        The analysis set is frozen.
    ValueError
        The body is not a rating.
    """
    if review.frozen:
        raise PermissionError(
            "the analysis set is frozen (group/analysis-set.json), so ratings can no longer change; "
            "start the review with --after-freeze to change them all the same, then freeze again with a reason"
        )
    try:
        sent = json.loads(body)
    except ValueError as error:
        raise ValueError("the request is not JSON") from error
    if not isinstance(sent, dict):
        raise ValueError("the request is not a rating")  # noqa: TRY004  said to the browser, not to a programmer
    scan = review.scan(str(sent.get("key")))
    if scan is None:
        raise ValueError("no such scan")
    rating = make_rating(
        scan.entities,
        rating=str(sent.get("rating")),
        reasons=tuple(str(reason) for reason in sent.get("reasons") or ()),
        override=str(sent.get("override") or MISSING),
        comment=str(sent.get("comment") or ""),
        reviewer=review.reviewer,
    )
    save_rating(review.ratings_path, rating)
    return _as_json(rating)


class ReviewServer(ThreadingHTTPServer):
    """The server of one review, bound to the loopback address."""

    daemon_threads = True

    def __init__(self, review: Review, port: int) -> None:
        self.review = review
        super().__init__((LOOPBACK, port), Handler)

    def server_bind(self) -> None:
        """Bind without asking a name server what this machine is called, as the base class would."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = LOOPBACK, self.port

    @property
    def port(self) -> int:
        """Return the port it listens on."""
        return int(self.server_address[1])

    @property
    def hosts(self) -> tuple[str, str]:
        """Return the names by which a browser may address this server."""
        return f"{LOOPBACK}:{self.port}", f"localhost:{self.port}"

    @property
    def address(self) -> str:
        """Return the address that opens the page."""
        return f"http://{LOOPBACK}:{self.port}/?entry={self.review.entry}"

    @property
    def cookie_name(self) -> str:
        """Return the cookie's name; a port of its own, as browsers share cookies between ports."""
        return f"mrs_review_{self.port}"


class Handler(BaseHTTPRequestHandler):
    """Answers: the page, a report on the list, a rating to save. Anything else is refused."""

    server: ReviewServer
    server_version = "mrs-pipeline"
    sys_version = ""
    protocol_version = "HTTP/1.1"
    timeout = 30

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class's name
        """Stay silent: requests are not news."""

    def do_GET(self) -> None:
        """Answer the page, or a report."""
        url = urlsplit(self.path)
        if not self._addressed_to_us():
            return
        entry = parse_qs(url.query).get("entry", [""])[0]
        if url.path == "/" and hmac.compare_digest(entry.encode(), self.server.review.entry.encode()):
            self._enter()
        elif not self._has_cookie():
            self._say(HTTPStatus.FORBIDDEN, "Open the address that 'mrs-pipeline review' printed, with its entry code.")
        elif url.path == "/":
            self._send_page()
        elif url.path.startswith("/report/"):
            self._send_report(unquote(url.path.removeprefix("/report/")))
        else:
            self._say(HTTPStatus.NOT_FOUND, "There is nothing here.")

    def do_POST(self) -> None:
        """Save a rating."""
        self.close_connection = True
        if not self._addressed_to_us() or not self._may_save():
            return
        if urlsplit(self.path).path != "/rate":
            self._say(HTTPStatus.NOT_FOUND, "There is nothing here.")
            return
        body = self._body()
        if body is None:
            self._say(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"A rating is between 1 and {MAX_BODY} bytes.")
            return
        try:
            self._json(HTTPStatus.OK, rate(self.server.review, body))
        except PermissionError as error:
            self._json(HTTPStatus.CONFLICT, {"error": str(error)})
        except ValueError as error:
            self._json(HTTPStatus.BAD_REQUEST, {"error": str(error)})
        except (OSError, InputError) as error:
            self._json(HTTPStatus.INTERNAL_SERVER_ERROR, {"error": f"the rating was not saved: {error}"})

    def _addressed_to_us(self) -> bool:
        """Refuse requests under a foreign name, which a rebound domain would send."""
        if self.headers.get("Host") in self.server.hosts:
            return True
        self._say(HTTPStatus.FORBIDDEN, "This page answers on the loopback address alone.")
        return False

    def _has_cookie(self) -> bool:
        try:
            morsel = SimpleCookie(self.headers.get("Cookie", "")).get(self.server.cookie_name)
        except CookieError:
            return False
        return morsel is not None and hmac.compare_digest(morsel.value.encode(), self.server.review.cookie.encode())

    def _may_save(self) -> bool:
        """Refuse what was not sent by our own page in a browser that entered."""
        sent = self.headers.get("X-Review-Token", "")
        origin = self.headers.get("Origin")
        allowed = (
            self._has_cookie()
            and hmac.compare_digest(sent.encode(), self.server.review.token.encode())
            and origin in {f"http://{host}" for host in self.server.hosts}
            and self.headers.get_content_type() == "application/json"
        )
        if not allowed:
            self._json(HTTPStatus.FORBIDDEN, {"error": "only the review page itself may save ratings; reload it"})
        return allowed

    def _body(self) -> bytes | None:
        """Return the body, ``None`` when its length is missing or out of bounds."""
        length = self.headers.get("Content-Length", "")
        if not re.fullmatch(r"\d{1,9}", length) or not 0 < int(length) <= MAX_BODY:
            return None
        return self.rfile.read(int(length))

    def _enter(self) -> None:
        """Give the cookie and go to the page without the code in its address."""
        self.send_response(HTTPStatus.SEE_OTHER)
        cookie = f"{self.server.cookie_name}={self.server.review.cookie}; HttpOnly; SameSite=Strict; Path=/"
        self.send_header("Set-Cookie", cookie)
        self.send_header("Location", "/")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send_page(self) -> None:
        nonce = secrets.token_urlsafe(16)
        policy = (
            f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'unsafe-inline'; connect-src 'self'; "
            "frame-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
        )
        try:
            page = review_page(self.server.review, nonce)
        except InputError as error:
            self._say(HTTPStatus.INTERNAL_SERVER_ERROR, str(error))
            return
        self._send(HTTPStatus.OK, page.encode(), "text/html; charset=utf-8", policy)

    def _send_report(self, key: str) -> None:
        """Send the report of a scan on the list; a key is looked up, never turned into a path."""
        scan = self.server.review.scan(key)
        if scan is None or not scan.report.is_file():
            self._say(HTTPStatus.NOT_FOUND, "There is no such report.")
            return
        policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'"
        self._send(HTTPStatus.OK, scan.report.read_bytes(), "text/html; charset=utf-8", policy)

    def _json(self, status: HTTPStatus, value: Mapping[str, Any]) -> None:
        self._send(status, json.dumps(value).encode(), "application/json", "default-src 'none'")

    def _say(self, status: HTTPStatus, text: str) -> None:
        self._send(status, f"{text}\n".encode(), "text/plain; charset=utf-8", "default-src 'none'")

    def _send(self, status: HTTPStatus, body: bytes, kind: str, policy: str) -> None:
        """Send a whole answer with the headers that keep it to itself."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", policy)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cache-Control", "no-store")
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)


def start_review(out_dir: Path, *, reviewer: str, port: int, after_freeze: bool = False) -> ReviewServer:
    """Return a server that listens but does not serve yet.

    Parameters
    ----------
    out_dir
        Derivatives folder with scan reports.
    reviewer
        Name written beside each rating.
    port
        TCP port on the loopback address; 0 takes a free one.
    after_freeze
        Allow changes although the analysis set is frozen.

    Raises
    ------
    StudyError
        No folder, no report, an unusable name, or a port that is taken.
    """
    if not out_dir.is_dir():
        raise StudyError("there is no such output folder", remedy="check the argument", path=out_dir)
    if not 0 < len(reviewer) <= 64 or not reviewer.isprintable():
        raise StudyError("the reviewer's name must have 1 to 64 printable characters", remedy="correct --reviewer")
    review = Review(out_dir, reviewer, after_freeze=after_freeze, scans=list_scans(out_dir))
    try:
        return ReviewServer(review, port)
    except OSError as error:
        raise StudyError(
            f"port {port} cannot be used ({error.strerror})",
            remedy="choose another with --port, or --port 0 for a free one",
        ) from error
