"""``mrs-pipeline review``: rate the fits in a local page, blind to the arms."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the ``review`` command."""
    parser = subparsers.add_parser(
        "review",
        help="rate the fits in a local page, blind",
        description="Serve a page on this machine's loopback address that shows every scan's report and takes a "
        "rating. Ratings go to OUTPUT_DIR/group/ratings.tsv. No arm is shown anywhere. Stop with Ctrl-C.",
    )
    parser.add_argument("output_dir", type=Path, help="folder of the derivatives")
    parser.add_argument("--port", type=_port, default=8765, help="port on 127.0.0.1; 0 takes a free one [%(default)s]")
    parser.add_argument("--reviewer", metavar="NAME", help="name beside each rating; default: the login name")
    parser.add_argument("--open", action="store_true", help="open the page in the browser")
    parser.add_argument(
        "--after-freeze",
        action="store_true",
        help="allow changes although the analysis set is frozen; it must then be frozen again with --refreeze REASON",
    )


def _port(text: str) -> int:
    value = int(text)
    if not 0 <= value <= 65535:
        raise argparse.ArgumentTypeError("must be between 0 and 65535")
    return value


def run(args: argparse.Namespace) -> int:
    """Serve the page until Ctrl-C; return 0."""
    from mrs_pipeline.report.review import start_review

    server = start_review(
        args.output_dir.resolve(),
        reviewer=args.reviewer or _login_name(),
        port=args.port,
        after_freeze=args.after_freeze,
    )
    review = server.review
    print(f"{len(review.scans)} scans, {len(review.own_ratings())} rated by {review.reviewer}", flush=True)
    if review.frozen:
        print("the analysis set is frozen: ratings are shown but cannot be changed (see --after-freeze)", flush=True)
    print(f"open {server.address}", flush=True)
    print(
        "on another machine: ssh -L PORT:127.0.0.1:PORT, with the same port on both sides. Stop with Ctrl-C.",
        flush=True,
    )
    if args.open:
        import webbrowser

        webbrowser.open(server.address)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        print(f"\n{len(review.own_ratings())} of {len(review.scans)} scans rated by {review.reviewer}")
        print(f"ratings: {review.ratings_path}")
    finally:
        server.server_close()
    return 0


def _login_name() -> str:
    """Return the login name, or a plain word where the system knows none."""
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "reviewer"
