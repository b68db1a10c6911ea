"""Other programs that fit the spectra of the panels, each as its authors recommend and with the set that ours gets.

``lcmodel``
    LCModel 6.3 (BSD licence), found on the PATH; its defaults for the brain, through the package's own interface
``abfit``
    ABfit-reg of the R package spant (GPL), found by Rscript, or in the folder ``SPANT_SOURCE`` (``peers_abfit.R``)
``fslmrs``
    FSL-MRS (licence for non-commercial use), imported by the interpreter ``FSLMRS_PYTHON`` (``peers_fslmrs.py``)
``tarquin``, ``osprey``
    TARQUIN and Osprey (GPL, BSD licence), by a command of your own, ``TARQUIN_COMMAND`` and ``OSPREY_COMMAND``: given a
    folder with ``data.raw``, ``basis.basis`` and ``control`` it writes ``peer.csv`` (name, amplitude, crlb; with tNAA,
    tCr, tCho and Glx) and ``seconds.txt`` there

Each simulates macromolecules and lipids of its own. On the panel ``told`` the true macromolecules are in the set and
its own are left out. A peer's interval is its ratio plus and minus 1.96 times the bound of the concentration that it
prints, as its users read it.

``python benchmarks/peers.py`` prints what each makes of a spectrum made of the set alone: whether it is called rightly.
"""

from __future__ import annotations

import csv
import os
import resource
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from panels import (
    DWELL,
    ECHO,
    HEADLINE,
    MHZ,
    POINTS,
    TYPICAL,
    WATCHED,
    Case,
    Outcome,
    plant,
    ratios,
    scan_line,
    simulated_basis,
)

from mrs_pipeline.basis import Basis, save_basis
from mrs_pipeline.interfaces.lcmodel import run_written, write_lcmodel_inputs
from mrs_pipeline.nifti_mrs import LCMODEL_FILES, read_lcmodel_table
from mrs_pipeline.spectrum import WATER_PPM, Spectrum

HERE = Path(__file__).resolve().parent
SIMULATED_MACROMOLECULES = ("MM09", "MM12", "MM14", "MM17", "MM20")
"""Macromolecules of LCModel 6.3 itself; its lipids stay when the true macromolecules are given."""


Ratios = dict[str, tuple[float, float | None]]
"""Ratio to tCr and bound of the concentration in per cent, by name."""


@dataclass(frozen=True)
class Peer:
    """How to call a program, and whether it is here.

    Parameters
    ----------
    label
        Name in the tables.
    installed
        Tells whether it can run.
    read
        Fits what lies in a folder and returns its ratios and the seconds of the fit.
    """

    label: str
    installed: Callable[[], bool]
    read: Callable[[Path], tuple[Ratios, float]]

    def fit(self, case: Case) -> Outcome:
        """Plant, fit, compare; what the program did not find counts as zero, without creatine all is NaN."""
        with tempfile.TemporaryDirectory() as name:
            amounts = write_case(case, Path(name))
            found, seconds = self.read(Path(name))
        return Outcome(ratios(amounts), {name: interval(*found[name]) for name in WATCHED}, seconds)


def read_lcmodel(folder: Path) -> tuple[Ratios, float]:
    """Fit with LCModel."""
    from mrs_pipeline.fit import lcmodel_ratio

    begin = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    table = run_written(folder)
    seconds = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - begin
    return {name: lcmodel_ratio(table, name) or (0.0, None) for name in WATCHED}, seconds


def read_script(folder: Path, command: Callable[[], tuple[str, ...]]) -> tuple[Ratios, float]:
    """Fit with a script that writes ``peer.csv`` and ``seconds.txt``."""
    subprocess.run([*command(), str(folder)], check=True, capture_output=True)
    with (folder / "peer.csv").open() as file:
        rows = {row["name"]: (float(row["amplitude"]), float(row["crlb"])) for row in csv.DictReader(file)}
    creatine = rows["tCr"][0] or np.nan
    found = {name: rows.get(name, (0.0, 0.0)) for name in WATCHED}
    per_cent = {name: 100.0 * sd / value if value else None for name, (value, sd) in found.items()}
    seconds = float((folder / "seconds.txt").read_text())
    return {name: (found[name][0] / creatine, per_cent[name]) for name in WATCHED}, seconds


def write_case(case: Case, folder: Path) -> dict[str, float]:
    """Write data, set and control file; return the planted amounts."""
    spectrum, basis, amounts = plant(case)
    control = write_lcmodel_inputs(spectrum, None, basis, folder)
    if "MM" in basis:
        tell_macromolecules(case, basis, folder)
        leave_out(control, SIMULATED_MACROMOLECULES)
    return amounts


def tell_macromolecules(case: Case, basis: Basis, folder: Path) -> None:
    """Write the set with the true macromolecules.

    The programs fold every member of a set with the line of the scan, which macromolecules seen in a scan have already:
    the line is taken out of them first.
    """
    narrow = basis.fid("MM") / np.maximum(np.abs(scan_line(case)), 0.05)
    told = basis.with_member("MM", narrow)
    save_basis(told.resampled(basis.dwell, basis.n_points, basis.field_mhz, WATER_PPM), folder / LCMODEL_FILES["basis"])


def leave_out(control: Path, names: tuple[str, ...]) -> None:
    """Have LCModel leave out members."""
    omitted = "".join(f" CHOMIT({i})='{name}'\n" for i, name in enumerate(names, 1))
    text = control.read_text(encoding="ascii").replace(" $END\n", f" NOMIT={len(names)}\n{omitted} $END\n")
    control.write_text(text, encoding="ascii")


def interval(ratio: float, per_cent: float | None) -> tuple[float, float, float, float]:
    """Ratio, SD and 95 % interval from a bound in per cent."""
    sd = 0.0 if per_cent is None else ratio * per_cent / 100.0
    return ratio, sd, ratio - 1.96 * sd, ratio + 1.96 * sd


def abfit_command() -> tuple[str, ...]:
    """Return the command of ABfit, without the folder."""
    return "Rscript", str(HERE / "peers_abfit.R")


def fslmrs_command() -> tuple[str, ...]:
    """Return the command of FSL-MRS, without the folder."""
    return os.environ["FSLMRS_PYTHON"], str(HERE / "peers_fslmrs.py")


def own_command(variable: str) -> tuple[str, ...]:
    """Return the command that a variable holds, without the folder."""
    return tuple(shlex.split(os.environ[variable]))


def by_own_command(label: str, variable: str) -> Peer:
    """Peer that is called by the command of a variable, and there where the variable is."""
    return Peer(
        label, lambda: bool(os.environ.get(variable)), partial(read_script, command=partial(own_command, variable))
    )


def abfit_installed() -> bool:
    """Tell whether R finds spant."""
    if not shutil.which("Rscript"):
        return False
    asked = ("Rscript", "-e", "quit(status = !requireNamespace('spant', quietly = TRUE))")
    return "SPANT_SOURCE" in os.environ or not subprocess.run(asked, check=False, capture_output=True).returncode


PEERS = {
    "lcmodel": Peer("LCModel", lambda: shutil.which("lcmodel") is not None, read_lcmodel),
    "abfit": Peer("ABfit-reg", abfit_installed, partial(read_script, command=abfit_command)),
    "fslmrs": Peer("FSL-MRS", lambda: "FSLMRS_PYTHON" in os.environ, partial(read_script, command=fslmrs_command)),
    "tarquin": by_own_command("TARQUIN", "TARQUIN_COMMAND"),
    "osprey": by_own_command("Osprey", "OSPREY_COMMAND"),
}


def peer_case(case: Case, name: str) -> Outcome:
    """Fit a case with a program of that name: what a pool of processes can call."""
    return PEERS[name].fit(case)


WATER = 40000.0
"""Planted water in the unit of the concentrations."""
WATER_SCALE = 35880.0 * 0.7
"""LCModel's defaults of WCONC and ATTH2O."""
CREATINE = TYPICAL["Cr"] + TYPICAL["PCr"]


def pure_case(folder: Path) -> dict[str, float]:
    """Write a spectrum made of the set alone, one line, SNR near 1000, and its water; return the planted amounts."""
    rng, time, basis = np.random.default_rng(1), np.arange(POINTS) * DWELL, simulated_basis()
    line = np.exp(-((np.pi * 5.0 * time) ** 2) / (4 * np.log(2)))
    signals = basis.resampled(DWELL, POINTS, MHZ, WATER_PPM)
    metabolites = sum(TYPICAL[name] * signals.fid(name) for name in signals.names) * line
    scans = []
    for fid in (metabolites, 2.0 * WATER * line):
        noise = 0.02 * (rng.standard_normal(POINTS) + 1j * rng.standard_normal(POINTS))
        scans.append(Spectrum(fid + noise, DWELL, MHZ, WATER_PPM, echo_time=ECHO))
    write_lcmodel_inputs(scans[0], scans[1], basis, folder)
    return TYPICAL


def main() -> None:
    """Print what each installed program makes of a spectrum made of the set alone, over the truth.

    LCModel also has water: its concentration of tCr over WCONC x ATTH2O x the planted ratio is printed last.
    """
    for peer in (peer for peer in PEERS.values() if peer.installed()):
        with tempfile.TemporaryDirectory() as where:
            folder = Path(where)
            truth = ratios(pure_case(folder))
            found, _ = peer.read(folder)
            words = "".join(f"  {label} {found[label][0] / truth[label]:.3f}" for label in HEADLINE)
            if peer is PEERS["lcmodel"]:
                row = read_lcmodel_table(folder / LCMODEL_FILES["table"]).row("Cr+PCr")
                words += f"  water-scaled tCr {row.concentration / (WATER_SCALE * CREATINE / WATER):.3f}"
        print(f"{peer.label:12}{words}")


if __name__ == "__main__":
    main()
