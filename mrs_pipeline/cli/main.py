"""The ``mrs-pipeline`` command: dispatch to one module per subcommand, errors in words, exit codes."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

from mrs_pipeline import __version__
from mrs_pipeline.errors import MrsError, StudyError, file_trouble

COMMANDS = ("convert", "check", "run", "basis", "submit", "review", "demo")
"""Subcommands in the order a study meets them; each is a module of this package with ``add_parser`` and ``run``."""

EXIT_OK, EXIT_SOME_FAILED, EXIT_USAGE = 0, 1, 2


def build_parser(commands: Sequence[str] = COMMANDS) -> argparse.ArgumentParser:
    """Return the parser of the whole command line, or of some commands only."""
    parser = argparse.ArgumentParser(
        prog="mrs-pipeline",
        description="MR spectroscopy of clinical trials: scanner files to a blinded, defensible arm comparison.",
        epilog="Exit codes: 0 every requested scan has a result or a recorded exclusion; 1 some failed; "
        "2 usage, study file or allocation wrong.",
    )
    parser.add_argument("--version", action="version", version=f"mrs-pipeline {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name in commands:
        importlib.import_module(f"mrs_pipeline.cli.{name}").add_parser(subparsers)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    words = sys.argv[1:] if argv is None else argv
    named = [words[0]] if words and words[0] in COMMANDS else COMMANDS
    args = build_parser(named).parse_args(words)
    try:
        code: int = importlib.import_module(f"mrs_pipeline.cli.{args.command.replace('-', '_')}").run(args)
    except StudyError as error:
        print(f"mrs-pipeline {args.command}: {error}", file=sys.stderr)
        return EXIT_USAGE
    except MrsError as error:
        print(f"mrs-pipeline {args.command}: {error}", file=sys.stderr)
        return EXIT_SOME_FAILED
    except KeyboardInterrupt:
        print(
            f"mrs-pipeline {args.command}: stopped by the user; start the same command again to go on", file=sys.stderr
        )
        return 130
    except BrokenPipeError:
        return EXIT_SOME_FAILED
    except OSError as error:
        print(f"mrs-pipeline {args.command}: {file_trouble(error)}", file=sys.stderr)
        return EXIT_SOME_FAILED
    return code
