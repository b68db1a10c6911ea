"""Accuracy of the fit against planted truth: bias, SD, RMSE and coverage per metabolite.

Run: ``python benchmarks/fit_accuracy.py [--spectra 40] [--panel NAME|all] [--workers 1] [--compare | --shapes |
--suppression] [--figure FILE] [--engine NAME ...]``

The panels are those of ``panels.py``. Peers that are on the PATH fit the same spectra with the same set
(``peers.py``; ``--engine`` chooses).

Errors are of the ratio to tCr, relative to its planted value; SD is over spectra, the mean over tNAA, tCho, mI, Glu,
Glx. ``--compare`` prints the headline for each stiffness, criterion, lineshape and macromolecule model. ``--shapes``
prints the independent panel by its kind of macromolecules, then with four published shapes that had no part in the
priors (``macromolecule_shapes.py``), the share of fits that were flagged for it, and what becomes of 12 % less Glu.
``--suppression`` prints the headline for three upper ends of the fitted range, with and without signals near water lost
to its suppression.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from macromolecule_shapes import SHAPES
from panels import HEADLINE, PANELS, WATCHED, Case, Outcome, cases, fitting_basis, plant, ratios
from peers import PEERS, peer_case

from mrs_pipeline.config import FitSection
from mrs_pipeline.fit import FitResult, fit_spectrum
from mrs_pipeline.spectrum import FloatArray


def fit_case(case: Case, settings: FitSection) -> Outcome:
    """Plant, fit, compare."""
    spectrum, basis, amounts = plant(case)
    begin = time.process_time()
    fit = fit_spectrum(spectrum, basis, settings)
    seconds = time.process_time() - begin
    estimate = {name: fit.ratio(name) for name in WATCHED}
    return Outcome(ratios(amounts), estimate, seconds, fit)


def errors(outcomes: list[Outcome], name: str) -> FloatArray:
    """Relative errors of a ratio."""
    return np.array([(o.estimate[name][0] - o.truth[name]) / o.truth[name] for o in outcomes])


def interval_score(outcome: Outcome, name: str, alpha: float = 0.05) -> float:
    """Interval score relative to the truth (Gneiting & Raftery 2007): width plus a penalty for each miss."""
    _, _, low, high = outcome.estimate[name]
    truth = outcome.truth[name]
    return ((high - low) + 2 / alpha * (max(low - truth, 0.0) + max(truth - high, 0.0))) / truth


def table(fitted: list[Outcome], title: str) -> str:
    """Bias, SD, RMSE, coverage and interval score per metabolite, in per cent; fits without creatine left out."""
    outcomes = [o for o in fitted if all(np.isfinite(o.estimate[name][0]) for name in HEADLINE)]
    lines = [title, f"{'ratio':8}{'bias':>8}{'SD':>8}{'RMSE':>8}{'cover':>8}{'width':>8}{'score':>8}"]
    sds, rmses = [], []
    for name in WATCHED:
        error = errors(outcomes, name)
        inside = np.mean([o.estimate[name][2] <= o.truth[name] <= o.estimate[name][3] for o in outcomes])
        width = np.median([(o.estimate[name][3] - o.estimate[name][2]) / o.truth[name] for o in outcomes])
        score = np.mean([interval_score(o, name) for o in outcomes])
        rmse = float(np.sqrt(np.mean(error**2)))
        lines.append(
            f"{name:8}{100 * error.mean():8.1f}{100 * error.std(ddof=1):8.1f}{100 * rmse:8.1f}{100 * inside:8.0f}"
            f"{100 * width:8.0f}{100 * score:8.0f}"
        )
        if name in HEADLINE:
            sds.append(error.std(ddof=1))
            rmses.append(rmse)
    seconds = np.median([o.seconds for o in outcomes])
    lines.append(
        f"mean of {', '.join(HEADLINE)}: SD {100 * np.mean(sds):.1f} %, RMSE {100 * np.mean(rmses):.1f} %; "
        f"{seconds:.2f} CPU s{fit_words([o.fit for o in outcomes if o.fit is not None])}"
    )
    if len(outcomes) < len(fitted):
        lines[-1] += f"; {len(fitted) - len(outcomes)} without creatine left out"
    return "\n".join(lines)


def fit_words(fits: list[FitResult]) -> str:
    """Say how stiff our baselines were and how many fits were flagged; nothing for another engine."""
    if not fits:
        return ""
    dimensions = np.median([fit.baseline_dimensions for fit in fits])
    flagged = np.mean([fit.status != "ok" for fit in fits])
    return f", {dimensions:.1f} dimensions/ppm, {100 * flagged:.0f} % flagged"


def run_panel(
    panel: str,
    count: int,
    settings: FitSection,
    workers: int = 1,
    *,
    shape: str = "",
    glu: float = 1.0,
    suppressed: bool = False,
    peer: str = "",
) -> list[Outcome]:
    """Fit every case of a panel.

    ``shape`` names one kind of macromolecules for all, ``glu`` is a factor on Glu, ``suppressed`` takes signals near
    water away, ``peer`` names one of ``PEERS`` that fits in our place.
    """
    work: Callable[[Case], Outcome] = partial(peer_case, name=peer) if peer else partial(fit_case, settings=settings)
    planned = [replace(case, shape=shape, glu=glu, suppressed=suppressed) for case in cases(panel, count)]
    fitting_basis(panel)  # before the workers are forked, which then have it
    if workers == 1:
        return [work(case) for case in planned]
    with ProcessPoolExecutor(workers) as pool:
        return list(pool.map(work, planned))


def headline(outcomes: list[Outcome]) -> str:
    """Mean SD and RMSE over the headline ratios, and the bias of each, in per cent."""
    error = {name: errors(outcomes, name) for name in HEADLINE}
    sd = np.mean([e.std(ddof=1) for e in error.values()])
    rmse = np.mean([np.sqrt(np.mean(e**2)) for e in error.values()])
    bias = "  ".join(f"{name} {100 * e.mean():+.1f}" for name, e in error.items())
    return f"SD {100 * sd:5.1f}  RMSE {100 * rmse:5.1f}  bias {bias}"


def shapes(count: int, workers: int) -> None:
    """Print a line per kind of macromolecules: accuracy, how many fits were flagged for it, and a planted change.

    The change: the same spectra with 12 % less Glu; difference of the two estimates over the planted baseline.
    """
    print(f"independent panel, {count} spectra each; bias and coverage of {', '.join(HEADLINE)}; Glu planted at -12 %")
    for shape in ("nulled", "Birch", *SHAPES):
        before, after = (
            run_panel("independent", count, FitSection(), workers, shape=shape, glu=glu) for glu in (1.0, 0.88)
        )
        held = [np.mean([o.estimate[n][2] <= o.truth[n] <= o.estimate[n][3] for o in before]) for n in HEADLINE]
        flagged = np.mean(["macromolecules_unlike" in o.fit.flags for o in before if o.fit is not None])
        pairs = zip(before, after, strict=True)
        change = np.array([(b.estimate["Glu"][0] - a.estimate["Glu"][0]) / a.truth["Glu"] for a, b in pairs])
        cover = " ".join(f"{100 * share:3.0f}" for share in held)
        print(
            f"{shape:14}{headline(before)}  cover {cover}  unlike {100 * flagged:3.0f} %"
            f"  change {100 * change.mean():+.1f} ({100 * change.std(ddof=1):.1f})",
            flush=True,
        )


def suppression(count: int, workers: int) -> None:
    """Print the headline of three fitted ranges, for whole signals and for signals that lost what lies near water."""
    for suppressed in (False, True):
        for high in (4.2, 4.1, 4.0):
            settings = FitSection(ppm=(0.5, high))
            outcomes = run_panel("independent", count, settings, workers, suppressed=suppressed)
            label = f"to {high} ppm{', suppressed' if suppressed else ''}"
            print(f"{label:24}{headline(outcomes)}", flush=True)


def compare(count: int, workers: int) -> None:
    """Print the headline of every option on the independent panel."""
    from mrs_pipeline.fit import engine

    options = {
        "default": FitSection(),
        **{f"baseline {value:g} /ppm": FitSection(baseline=value) for value in (1.0, 2.0, 4.0, 6.0)},
        **{f"lineshape {name}": FitSection(lineshape=name) for name in ("gaussian", "lorentzian", "voigt")},
        "macromolecules none": FitSection(macromolecules="none"),
        "no first-order phase": FitSection(first_order_phase=False),
    }
    for label, settings in options.items():
        print(f"{label:24}{headline(run_panel('independent', count, settings, workers))}", flush=True)
    chosen = engine.CRITERION
    for criterion in ("evidence", "gcv"):
        engine.CRITERION = criterion
        print(f"{'criterion ' + criterion:24}{headline(run_panel('independent', count, FitSection()))}", flush=True)
    engine.CRITERION = chosen


def figure(outcomes: list[Outcome], path: Path) -> None:
    """Planted against estimated ratios, one panel per headline metabolite."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    fig, axes = plt.subplots(1, len(HEADLINE), figsize=(3.2 * len(HEADLINE), 3.2), layout="constrained")
    for axis, name in zip(axes, HEADLINE, strict=True):
        truth = np.array([o.truth[name] for o in outcomes])
        value, _, low, high = np.array([o.estimate[name] for o in outcomes]).T
        axis.errorbar(truth, value, [value - low, high - value], fmt="o", ms=3, lw=0.6)
        limits = [truth.min() * 0.9, truth.max() * 1.1]
        axis.plot(limits, limits, "k-", lw=0.8)
        axis.set(title=f"{name}/tCr", xlabel="planted", ylabel="estimated")
    fig.savefig(path, dpi=120)
    plt.close(fig)


def main() -> None:
    """Print one table per panel, or the comparison of options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spectra", type=int, default=40)
    parser.add_argument("--panel", default="all", choices=[*PANELS, "all"])
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--compare", action="store_true")
    parser.add_argument("--shapes", action="store_true")
    parser.add_argument("--suppression", action="store_true")
    parser.add_argument("--figure", type=Path)
    parser.add_argument(
        "--engine", nargs="+", choices=["ours", *PEERS], help="default: ours and every peer that is installed"
    )
    options = parser.parse_args()
    if options.compare:
        compare(options.spectra, options.workers)
        return
    if options.shapes:
        shapes(options.spectra, options.workers)
        return
    if options.suppression:
        suppression(options.spectra, options.workers)
        return
    engines = options.engine or ["ours", *(name for name, peer in PEERS.items() if peer.installed())]
    panels = PANELS if options.panel == "all" else [options.panel]
    for panel in panels:
        for engine in engines:
            peer = "" if engine == "ours" else engine
            outcomes = run_panel(panel, options.spectra, FitSection(), options.workers, peer=peer)
            label = f", {PEERS[peer].label}" if peer else ""
            print(table(outcomes, f"{panel} panel, {options.spectra} spectra{label}"), flush=True)
            if options.figure and panel == panels[0] and not peer:
                figure(outcomes, options.figure)


if __name__ == "__main__":
    main()
