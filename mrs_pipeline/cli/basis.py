"""``mrs-pipeline basis``: simulate, convert and show basis sets."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from mrs_pipeline.errors import StudyError

if TYPE_CHECKING:
    from mrs_pipeline.basis import Basis, ShapedKit

_SEQUENCES = ("pulse-acquire", "press", "steam", "slaser", "special", "mega-press")
_OUTPUT_HELP = "FILE.basis (LCModel), FILE.txt (jMRUI), DIR.fsl (FSL-MRS json folder) or DIR.nifti (NIfTI-MRS folder)"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``basis`` and its three actions."""
    parser = subparsers.add_parser("basis", help="simulate, convert or show a basis set", description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True, metavar="{simulate,convert,show}")
    _add_simulate(actions)
    convert = actions.add_parser("convert", help="read a basis set and write it in another format")
    convert.add_argument("input", type=Path, help="basis set to read")
    convert.add_argument("--output", type=Path, required=True, help=_OUTPUT_HELP)
    convert.add_argument("--metabolites", nargs="+", metavar="NAME", help="keep only these, in this order")
    show = actions.add_parser("show", help="list a basis set and draw every metabolite on one page")
    show.add_argument("input", type=Path, help="basis set to read")
    show.add_argument("--output", type=Path, help="page to draw: .svg, .png or .pdf (default: INPUT with .svg)")


def _add_simulate(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    simulate = actions.add_parser(
        "simulate", help="simulate a basis set", description="Times are in milliseconds (2-500)."
    )
    add = simulate.add_argument
    add("--sequence", choices=_SEQUENCES, default="press")
    add("--te1", type=float, metavar="MS", help="first echo period in ms (STEAM, SPECIAL: the echo time)")
    add("--te2", type=float, metavar="MS", help="second echo period in ms")
    add("--tm", type=float, metavar="MS", help="mixing time of STEAM in ms")
    add("--field-mhz", type=float, default=123.2, metavar="MHZ", help="proton frequency in MHz (default 123.2)")
    add("--bandwidth", type=float, default=4000.0, metavar="HZ", help="spectral width in Hz (default 4000)")
    add("--points", type=int, default=2048, metavar="N", help="time points (default 2048)")
    add("--linewidth", type=float, default=1.0, metavar="HZ", help="Lorentzian width of every line in Hz (default 1)")
    add("--metabolites", nargs="+", metavar="NAME", help="metabolites instead of the default set")
    add("--include", nargs="+", default=[], metavar="NAME", help="metabolites added to the set")
    add("--exclude", nargs="+", default=[], metavar="NAME", help="metabolites left out of the set")
    add(
        "--macromolecules",
        metavar="PRESET",
        help="add a macromolecule set: lcmodel, osprey, fsl, birch-3t or a TOML file",
    )
    add("--pulses", choices=("ideal", "shaped"), default="ideal")
    add(
        "--excitation",
        metavar="SHAPE",
        help="90 of shaped pulses: a shape (hamming-sinc, sinc-gauss, slr-90) or a waveform file",
    )
    add("--refocusing", metavar="SHAPE", help="180 of shaped pulses: slr-180, hamming-sinc, ... or a waveform file")
    add("--adiabatic", metavar="SHAPE", help="adiabatic 180 of shaped pulses: hs, foci or a waveform file")
    add("--excitation-ms", type=float, metavar="MS", help="duration of the 90 in ms")
    add("--refocusing-ms", type=float, metavar="MS", help="duration of the 180 in ms")
    add("--adiabatic-ms", type=float, metavar="MS", help="duration of the adiabatic 180 in ms")
    add("--edit", choices=("on", "off", "difference", "sum"), default="difference", help="spectrum of MEGA-PRESS")
    add(
        "--nprocs",
        type=int,
        default=0,
        metavar="N",
        help="metabolites simulated at once (default: CPUs for shaped pulses)",
    )
    add("--cache", type=Path, metavar="DIR", help="keep simulated lines here and use them again")
    add("--output", type=Path, required=True, help=_OUTPUT_HELP)


def run(args: argparse.Namespace) -> int:
    """Run one action and return the exit code."""
    actions: dict[str, Callable[[argparse.Namespace], int]] = {
        "simulate": _simulate,
        "convert": _convert,
        "show": _show,
    }
    return actions[args.action](args)


def _simulate(args: argparse.Namespace) -> int:
    from mrs_pipeline.basis import canonical_name, check_output, save_basis, simulate_basis, with_macromolecules

    _check_numbers(args)
    check_output(args.output)
    left_out = {canonical_name(name) for name in args.exclude}
    names = [name for name in _names(args) if canonical_name(name) not in left_out]
    if not names:
        raise StudyError("no metabolite is left to simulate", remedy="exclude fewer")
    processes = args.nprocs or (len(os.sched_getaffinity(0)) if args.pulses == "shaped" else 1)
    basis = simulate_basis(
        args.sequence,
        te1=_seconds(args.te1, "--te1"),
        te2=_seconds(args.te2, "--te2"),
        tm=_seconds(args.tm, "--tm"),
        field_mhz=args.field_mhz,
        bandwidth=args.bandwidth,
        n_points=args.points,
        names=names,
        pulses=args.pulses,
        kit=_kit(args) if args.pulses == "shaped" else None,
        edit=args.edit,
        linewidth_hz=args.linewidth,
        processes=processes,
        cache_dir=args.cache,
        progress=_progress(len(names)),
    )
    if args.macromolecules:
        basis = with_macromolecules(basis, args.macromolecules)
    print(f"{len(basis)} members written to {save_basis(basis, args.output)}")
    return 0


def _names(args: argparse.Namespace) -> list[str]:
    from mrs_pipeline.basis import DEFAULT_METABOLITES, canonical_name

    wanted = [*(args.metabolites or DEFAULT_METABOLITES), *args.include]
    return list(dict.fromkeys(canonical_name(name) for name in wanted))


def _check_numbers(args: argparse.Namespace) -> None:
    for flag, value, low, high in (
        ("--field-mhz", args.field_mhz, 20.0, 1300.0),
        ("--bandwidth", args.bandwidth, 500.0, 200_000.0),
        ("--points", args.points, 64, 1_000_000),
    ):
        if not low <= value <= high:
            raise StudyError(f"{flag} {value:g} is outside {low:g}-{high:g}", remedy=f"check the unit of {flag}")
    if not 0 <= args.linewidth <= 50:
        raise StudyError(f"--linewidth {args.linewidth:g} is outside 0-50 Hz", remedy="give a line width in Hz")


def _seconds(milliseconds: float | None, flag: str) -> float | None:
    """Return a time in seconds, or refuse one that can only be in another unit."""
    if milliseconds is None:
        return None
    if not 2.0 <= milliseconds <= 500.0:
        raise StudyError(f"{flag} {milliseconds:g} is outside 2-500 ms", remedy=f"give {flag} in milliseconds")
    return milliseconds * 1e-3


def _kit(args: argparse.Namespace) -> ShapedKit:
    from dataclasses import replace
    from typing import Any

    from mrs_pipeline.basis import default_kit, waveform

    changed: dict[str, Any] = {}
    for place in ("excitation", "refocusing", "adiabatic"):
        shape, duration = getattr(args, place), getattr(args, f"{place}_ms")
        if shape is not None:
            changed[place] = waveform(shape)
        if duration is not None:
            changed[f"{place}_s"] = _pulse_seconds(duration, f"--{place}-ms")
    return replace(default_kit(), **changed)


def _pulse_seconds(milliseconds: float, flag: str) -> float:
    if not 0.05 <= milliseconds <= 100.0:
        raise StudyError(f"{flag} {milliseconds:g} is outside 0.05-100 ms", remedy=f"give {flag} in milliseconds")
    return milliseconds * 1e-3


def _progress(total: int) -> Callable[[str], None]:
    """Return a callback that counts metabolites on stderr: one rewritten line on a terminal, plain lines elsewhere."""
    done: list[str] = []
    terminal = sys.stderr.isatty()

    def report(name: str) -> None:
        done.append(name)
        text = f"[{len(done)}/{total}] {name}"
        if terminal:
            print(f"\r{text:<40}", end="\n" if len(done) == total else "", file=sys.stderr, flush=True)
        else:
            print(text, file=sys.stderr, flush=True)

    return report


def _convert(args: argparse.Namespace) -> int:
    from mrs_pipeline.basis import canonical_name, load_basis, save_basis

    basis = load_basis(args.input)
    if args.metabolites:
        basis = basis.select([canonical_name(name) for name in args.metabolites])
    _print_notes(basis)
    print(f"{len(basis)} members written to {save_basis(basis, args.output)}")
    return 0


def _show(args: argparse.Namespace) -> int:
    from mrs_pipeline.basis import load_basis, save_figure

    basis = load_basis(args.input)
    _print_summary(basis)
    _print_notes(basis)
    print(f"page drawn: {save_figure(basis, args.output or args.input.with_suffix('.svg'))}")
    return 0


def _print_summary(basis: Basis) -> None:
    times = (("te1", basis.te1), ("te2", basis.te2), ("tm", basis.tm))
    stated = (
        ", ".join(f"{key} {value * 1e3:g} ms" for key, value in times if value is not None) or "echo time not stated"
    )
    print(f"{basis.sequence}, {stated}, {basis.pulses} pulses, carrier {basis.reference_ppm:g} ppm")
    print(f"{basis.field_mhz:.4f} MHz, {1 / basis.dwell:.2f} Hz, {basis.n_points} points")
    print(f"{len(basis)} members: {', '.join(basis.names)}")


def _print_notes(basis: Basis) -> None:
    for note in basis.notes:
        print(f"note: {note}")
