"""Whether a basis set belongs to a scan."""

from __future__ import annotations

from mrs_pipeline.basis.model import Basis
from mrs_pipeline.basis.resample import FIELD_TOLERANCE
from mrs_pipeline.errors import BasisError
from mrs_pipeline.spectrum import Spectrum

TE_TOLERANCE = 0.001
"""Largest difference of echo times in seconds."""


def check_match(basis: Basis, spectrum: Spectrum, allow_te_mismatch: bool = False) -> tuple[str, ...]:
    """Return the warnings about using ``basis`` for ``spectrum``.

    Parameters
    ----------
    basis
        The set.
    spectrum
        The scan.
    allow_te_mismatch
        Turn the refusal of another echo time into a warning (``[basis] allow_te_mismatch``).

    Returns
    -------
    tuple of str
        Sentences for the report; empty when all is well.

    Raises
    ------
    BasisError
        The field differs by more than 1 %, or the echo time by more than 1 ms and this is not allowed.
    """
    return (*_field(basis, spectrum), *_echo_time(basis, spectrum, allow_te_mismatch))


def _field(basis: Basis, spectrum: Spectrum) -> tuple[str, ...]:
    if abs(basis.field_mhz / spectrum.carrier_mhz - 1) > FIELD_TOLERANCE:
        raise BasisError(
            f"the basis set is for {basis.field_mhz:.2f} MHz, the scan was made at {spectrum.carrier_mhz:.2f} MHz",
            remedy="simulate or import a basis set for the field of the scan",
            path=basis.file,
        )
    return ()


def _echo_time(basis: Basis, spectrum: Spectrum, allowed: bool) -> tuple[str, ...]:
    ours, theirs = basis.echo_time, spectrum.echo_time
    if ours is None:
        return ("the basis set does not state its echo time: that it fits the scan could not be checked",)
    if theirs is None:
        return ("the scan does not state its echo time: that the basis set fits it could not be checked",)
    if abs(ours - theirs) <= TE_TOLERANCE:
        return ()
    problem = f"the basis set is for TE {ours * 1e3:.1f} ms, the scan has TE {theirs * 1e3:.1f} ms"
    if not allowed:
        raise BasisError(
            problem,
            remedy="use a basis set of the scan's TE, or set [basis] allow_te_mismatch = true: it marks every number",
            path=basis.file,
        )
    return (f"{problem} (allowed by [basis] allow_te_mismatch): concentrations of coupled metabolites are biased",)
