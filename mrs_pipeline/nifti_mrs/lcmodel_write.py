"""What LCModel is given: RAW data and the control file of a run."""

from __future__ import annotations

import math

import numpy as np

from mrs_pipeline.errors import InputError
from mrs_pipeline.spectrum import WATER_PPM, FloatArray, Spectrum

FREE_KEY = 210387309
"""Licence key that LCModel's author gave to everybody in 2021; it stands in LCModel's own test, too."""
LCMODEL_FILES = {
    "basis": "basis.basis",
    "raw": "data.raw",
    "water": "water.h2o",
    "table": "out.table",
    "coord": "out.coord",
}
"""Names of the files of a run, relative to its folder: LCModel allows 255 characters."""
LEAST_POINTS, MOST_POINTS = 64, 65536
"""Points that LCModel 6.3 accepts (NUNFIL)."""
INDIVIDUAL_CURVES = 50
"""Metabolites whose own curve is written (NEACH)."""


def format_lcmodel_raw(spectrum: Spectrum, name: str = "mrs-pipeline") -> str:
    """Return one FID as the text of an LCModel RAW (or .h2o) file.

    Parameters
    ----------
    spectrum
        One FID with its true first point, shape ``(n_points,)``. It is moved to a carrier at 4.65 ppm, where LCModel
        expects water.
    name
        Identifier (ID), cut to 20 characters.

    Raises
    ------
    InputError
        More than one FID, numbers that are not finite, or a number of points that LCModel does not take.

    Notes
    -----
    The sense is that of NIfTI-MRS on disk, the conjugate of the inside one; :func:`read_lcmodel_raw` is the inverse.
    VOLUME and TRAMP are 1: metabolite and water data keep their common scale.
    """
    _check(spectrum)
    centred = spectrum.shifted((spectrum.reference_ppm - WATER_PPM) * spectrum.carrier_mhz)
    on_disk = np.conj(centred.fid)
    echo = "" if spectrum.echo_time is None else f" ECHOT={1e3 * spectrum.echo_time:.6g},\n"
    head = (
        f" $SEQPAR\n{echo} HZPPPM={spectrum.carrier_mhz:.6f}\n $END\n"
        f" $NMID\n ID='{_plain(name)[:20]}',\n FMTDAT='(2E16.7)',\n VOLUME=1.,\n TRAMP=1.\n $END\n"
    )
    return head + "".join(f"{value.real:16.7E}{value.imag:16.7E}\n" for value in on_disk)


def format_lcmodel_control(spectrum: Spectrum, *, water: bool) -> str:
    """Return the control file of one run, to be given to LCModel on its standard input.

    Parameters
    ----------
    spectrum
        The metabolite data: number of points, dwell time, carrier, echo time.
    water
        Whether an unsuppressed water scan is given: LCModel then scales its concentrations by it (DOWS).

    Notes
    -----
    What the data need, files and outputs are stated; the analysis itself runs with LCModel's defaults, as its manual
    recommends for the brain: window 4.0 to 0.2 ppm (to 1.0 ppm from TE 100 ms on), simulated lipids and
    macromolecules with their soft ratios, knot spacing 0.15 ppm. No eddy-current correction (DOECC): the data had it.
    """
    logical = {True: "T", False: "F"}
    files = LCMODEL_FILES
    entries = {
        "KEY": str(FREE_KEY),
        "NUNFIL": str(spectrum.n_points),
        "DELTAT": f"{spectrum.dwell:.10g}",
        "HZPPPM": f"{spectrum.carrier_mhz:.6f}",
        **({} if spectrum.echo_time is None else {"ECHOT": f"{1e3 * spectrum.echo_time:.6g}"}),
        "DOWS": logical[water],
        "DOECC": "F",
        "NEACH": str(INDIVIDUAL_CURVES),
        "FILBAS": f"'{files['basis']}'",
        "FILRAW": f"'{files['raw']}'",
        **({"FILH2O": f"'{files['water']}'"} if water else {}),
        "LTABLE": "7",
        "FILTAB": f"'{files['table']}'",
        "LCOORD": "9",
        "FILCOO": f"'{files['coord']}'",
        "LPS": "0",
    }
    return " $LCMODL\n" + "".join(f" {key}={value}\n" for key, value in entries.items()) + " $END\n"


def _check(spectrum: Spectrum) -> None:
    if spectrum.dims:
        raise InputError(
            f"{spectrum.fid.shape} FIDs for LCModel, which takes one", remedy="combine and average them first"
        )
    if not LEAST_POINTS <= spectrum.n_points <= MOST_POINTS:
        raise InputError(
            f"{spectrum.n_points} points, of which LCModel takes {LEAST_POINTS} to {MOST_POINTS}",
            remedy='set [fit] second_engine = "none" for these data',
        )
    if not _is_single_precision(np.abs(spectrum.fid)):
        raise InputError(
            "the FID is empty, not finite, or outside the range of single precision",
            remedy="check the preprocessed spectrum",
        )


def _is_single_precision(magnitude: FloatArray) -> bool:
    top = float(magnitude.max())
    return math.isfinite(top) and 1e-30 < top < 1e30


def _plain(text: str) -> str:
    """Return text that a Fortran string can hold as it is."""
    return "".join(
        character for character in text if character.isascii() and character.isprintable() and character not in "'$&"
    )
