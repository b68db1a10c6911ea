"""Nipype interfaces of LCModel, the optional second engine."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nipype.interfaces.base import CommandLine, CommandLineInputSpec, File, TraitedSpec, traits

from mrs_pipeline.errors import FitError, MrsError
from mrs_pipeline.files import atomic_write, write_json
from mrs_pipeline.interfaces.base import MrsInterface

if TYPE_CHECKING:
    from mrs_pipeline.basis import Basis
    from mrs_pipeline.nifti_mrs import LcmodelTable
    from mrs_pipeline.spectrum import Spectrum

CONTROL = "control"
LONGEST_NAME = 6
"""Characters that LCModel allows for the name of a metabolite."""
WATER_SCALE_METABOLITE = "Cr"
"""Metabolite whose basis spectrum LCModel scales to water by (WSMET)."""


class LcmodelInput(CommandLineInputSpec):
    """The control file, which names all the others; relative names need no quoting in the shell."""

    control = traits.Str(CONTROL, usedefault=True, argstr="< %s", desc="control file in the working folder, for stdin")


class LcmodelOutput(TraitedSpec):
    """What LCModel wrote into the working folder."""

    table = File(desc="concentrations")
    coord = File(desc="concentrations and curves")


class Lcmodel(CommandLine):
    """Run an installed LCModel in its working folder."""

    _cmd = "lcmodel"
    input_spec = LcmodelInput
    output_spec = LcmodelOutput

    def _list_outputs(self) -> dict[str, Any]:
        from mrs_pipeline.nifti_mrs import LCMODEL_FILES

        outputs: dict[str, Any] = self.output_spec().get()
        for name in ("table", "coord"):
            path = Path.cwd() / LCMODEL_FILES[name]
            if path.is_file():
                outputs[name] = str(path)
        return outputs


def run_lcmodel(spectrum: Spectrum, water: Spectrum | None, basis: Basis, folder: Path) -> LcmodelTable:
    """Fit one spectrum with LCModel.

    Parameters
    ----------
    spectrum
        Preprocessed metabolite spectrum, one FID.
    water
        Unsuppressed water of the same scan on the same scale, or ``None``.
    basis
        Metabolite signals; put on the grid of the data here, members with longer names than LCModel takes left out.
    folder
        Working folder; control file, inputs and outputs stay in it.

    Raises
    ------
    FitError
        LCModel is not there, could not run, or ended without concentrations.
    """
    write_lcmodel_inputs(spectrum, water, basis, folder)
    return run_written(folder)


def run_written(folder: Path) -> LcmodelTable:
    """Run LCModel on the control file of a folder and read what it found; errors as of :func:`run_lcmodel`."""
    from mrs_pipeline.nifti_mrs import LCMODEL_FILES, read_lcmodel_table

    for name in ("table", "coord"):
        (folder / LCMODEL_FILES[name]).unlink(missing_ok=True)
    said = _run(folder)
    try:
        return read_lcmodel_table(folder / LCMODEL_FILES["table"])
    except MrsError as error:
        last = f"; its last words: {said}" if said else ""
        raise FitError(f"LCModel ended without a result: {error.problem}{last}", remedy=error.remedy) from error


def _run(folder: Path) -> str:
    """Run LCModel and return the end of what it printed."""
    remedy = f"try `lcmodel < {CONTROL}` in the scan's working folder"
    try:
        runtime = Lcmodel(terminal_output="allatonce").run(cwd=str(folder)).runtime
    except OSError as error:
        raise FitError(f"LCModel could not run: {error}", remedy=remedy) from error
    said = " ".join(f"{runtime.stdout}\n{runtime.stderr}".split())[-300:]
    if runtime.returncode:
        raise FitError(f"LCModel could not run: exit code {runtime.returncode} {said}".strip(), remedy=remedy)
    return said


def write_lcmodel_inputs(spectrum: Spectrum, water: Spectrum | None, basis: Basis, folder: Path) -> Path:
    """Write RAW data, water, basis and control file into a folder; return the control file."""
    from mrs_pipeline.basis import is_background, save_basis
    from mrs_pipeline.nifti_mrs import LCMODEL_FILES, format_lcmodel_control, format_lcmodel_raw
    from mrs_pipeline.spectrum import WATER_PPM

    known = basis.select([name for name in basis.names if len(name) <= LONGEST_NAME and not is_background(name)])
    adapted = known.resampled(spectrum.dwell, spectrum.n_points, spectrum.carrier_mhz, WATER_PPM)
    scaled = water if water is not None and _fits(water, spectrum) and WATER_SCALE_METABOLITE in known else None
    save_basis(adapted, folder / LCMODEL_FILES["basis"])
    atomic_write(folder / LCMODEL_FILES["raw"], format_lcmodel_raw(spectrum))
    if scaled is not None:
        atomic_write(folder / LCMODEL_FILES["water"], format_lcmodel_raw(scaled))
    return atomic_write(folder / CONTROL, format_lcmodel_control(spectrum, water=scaled is not None))


def _fits(water: Spectrum, spectrum: Spectrum) -> bool:
    """Whether the water can be given to LCModel, which reads it on the grid of the metabolite data."""
    return not water.dims and water.n_points >= spectrum.n_points and abs(water.dwell / spectrum.dwell - 1) < 1e-6


class SecondEngineInput(TraitedSpec):
    """The same spectrum and basis as our own fit, and that fit."""

    svs = File(exists=True, mandatory=True, desc="preprocessed NIfTI-MRS")
    mrsref = traits.Str("", usedefault=True, desc="preprocessed water reference; empty without one")
    basis = File(exists=True, mandatory=True, desc="basis set from PrepareBasis")
    fit = File(exists=True, mandatory=True, desc="our fit")
    fit_svs = File(exists=True, mandatory=True)


class SecondEngineOutput(TraitedSpec):
    """The comparison; without one, the record says why."""

    agreement = traits.Str(desc="table of both engines' ratios; empty without a result")
    record = File(exists=True, desc="data dictionary of the table, LCModel's own numbers, and what went wrong")


class SecondEngine(MrsInterface):
    """Fit the spectrum with LCModel and compare; whatever goes wrong there never touches our own fit.

    Never cached: the program is not among the hashed inputs, and its failure must not be remembered as a result.
    """

    _always_run = True

    input_spec = SecondEngineInput
    output_spec = SecondEngineOutput

    def _work(self, cwd: Path) -> dict[str, Any]:
        from mrs_pipeline.fit import agreement_table, compare_lcmodel, read_fit
        from mrs_pipeline.interfaces.basis import read_basis_file
        from mrs_pipeline.nifti_mrs import read

        spectrum = read(self.inputs.svs).spectrum
        water = read(self.inputs.mrsref).spectrum if self.inputs.mrsref else None
        basis = read_basis_file(self.inputs.basis)
        fit = read_fit(self.inputs.fit, self.inputs.fit_svs)
        try:
            table = run_lcmodel(spectrum, water, basis, cwd)
            rows = compare_lcmodel(fit, table, basis.names)
        except MrsError as error:
            return {"agreement": "", "record": write_json(failed_record(error), cwd / "agreement.json")}
        return {
            "agreement": atomic_write(cwd / "agreement.tsv", agreement_table(rows)),
            "record": write_json(agreement_record(table, basis, cwd / CONTROL), cwd / "agreement.json"),
        }


def failed_record(error: MrsError) -> dict[str, Any]:
    """Return the record of a run without a result."""
    words = f"no cross-check by LCModel for this scan: {error.problem}; to fix it: {error.remedy}"
    return {"SecondEngine": {"Engine": "lcmodel", "Problem": error.problem, "Warnings": [words]}}


def agreement_record(table: LcmodelTable, basis: Basis, control: Path) -> dict[str, Any]:
    """Return the data dictionary of the table with LCModel's own numbers under ``SecondEngine``."""
    from mrs_pipeline.basis import is_background
    from mrs_pipeline.fit import AGREEMENT_COLUMNS

    own = [name for name in basis.names if is_background(name)]
    long = [name for name in basis.names if len(name) > LONGEST_NAME and name not in own]
    warnings = [
        f"LCModel fitted without {', '.join(names)}{why}"
        for names, why in ((long, ", whose names are too long for it"), (own, ": it simulates these itself"))
        if names
    ]
    numbers = {name: value for name, value in asdict(table).items() if name not in {"rows", "version", "diagnostics"}}
    return {
        **AGREEMENT_COLUMNS,
        "SecondEngine": {
            "Engine": "lcmodel",
            "Version": table.version,
            "Problem": None,
            "Warnings": warnings,
            "Numbers": numbers,
            "Concentrations": [asdict(row) for row in table.rows],
            "Diagnostics": list(table.diagnostics),
            "Control": control.read_text(encoding="ascii"),
        },
    }
