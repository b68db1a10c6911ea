"""Other programs that fit the spectra of the panels, each as its authors recommend and with the set that ours gets.

``lcmodel``
    LCModel 6.3 (BSD licence), found on the PATH; defaults for the brain, through the package's own interface. On the
    panel ``told`` the true macromolecules are in its basis set and its own simulated ones are left out (``CHOMIT``).

A peer's interval is its ratio plus and minus 1.96 times the bound it prints, as its users read it.
"""

from __future__ import annotations

import resource
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from panels import WATCHED, Case, Outcome, plant, ratios

from mrs_pipeline.basis import Basis, save_basis
from mrs_pipeline.spectrum import WATER_PPM

SIMULATED_MACROMOLECULES = ("MM09", "MM12", "MM14", "MM17", "MM20")
"""Macromolecules of LCModel 6.3 itself; its lipids stay when the true macromolecules are given."""


@dataclass(frozen=True)
class Peer:
    """How to call a program, and whether it is here.

    Parameters
    ----------
    label
        Name in the tables.
    installed
        Tells whether it can run.
    fit
        Plants a case, fits it and compares.
    """

    label: str
    installed: Callable[[], bool]
    fit: Callable[[Case], Outcome]


def lcmodel_case(case: Case) -> Outcome:
    """Plant, fit with LCModel, compare; what it did not find counts as zero, without an interval."""
    from mrs_pipeline.fit import lcmodel_ratio
    from mrs_pipeline.interfaces import lcmodel

    spectrum, basis, amounts = plant(case)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        control = lcmodel.write_lcmodel_inputs(spectrum, None, basis, folder)
        if "MM" in basis:
            tell_macromolecules(basis, folder, control)
        begin = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        table = lcmodel.run_written(folder)
        seconds = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - begin
    found = {name: lcmodel_ratio(table, name) or (0.0, None) for name in WATCHED}
    estimate = {name: interval(ratio, per_cent) for name, (ratio, per_cent) in found.items()}
    return Outcome(ratios(amounts), estimate, seconds)


def tell_macromolecules(basis: Basis, folder: Path, control: Path) -> None:
    """Give LCModel the true macromolecules as a member of its set, in place of those it simulates."""
    from mrs_pipeline.nifti_mrs import LCMODEL_FILES

    save_basis(
        basis.resampled(basis.dwell, basis.n_points, basis.field_mhz, WATER_PPM), folder / LCMODEL_FILES["basis"]
    )
    left_out = "".join(f" CHOMIT({i})='{name}'\n" for i, name in enumerate(SIMULATED_MACROMOLECULES, 1))
    entries = f" NOMIT={len(SIMULATED_MACROMOLECULES)}\n{left_out} $END\n"
    control.write_text(control.read_text(encoding="ascii").replace(" $END\n", entries), encoding="ascii")


def interval(ratio: float, per_cent: float | None) -> tuple[float, float, float, float]:
    """Ratio, SD and 95 % interval from a bound in per cent."""
    sd = 0.0 if per_cent is None else ratio * per_cent / 100.0
    return ratio, sd, ratio - 1.96 * sd, ratio + 1.96 * sd


PEERS = {"lcmodel": Peer("LCModel", lambda: shutil.which("lcmodel") is not None, lcmodel_case)}
