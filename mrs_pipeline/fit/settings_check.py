"""Whether the ``[fit]`` section can work at all, before any data are touched."""

from __future__ import annotations

from mrs_pipeline.config import FitSection
from mrs_pipeline.fit.background import measured_set
from mrs_pipeline.fit.peaks_table import load_peaks
from mrs_pipeline.fit.priors import load_priors


def check_settings(settings: FitSection) -> None:
    """Read the prior set, and the table of peaks or the macromolecule file where they are used.

    Raises
    ------
    StudyError
        One of them is missing or holds what cannot be.
    InputError, BasisError
        The macromolecule file cannot be read.
    """
    load_priors(settings.priors)
    if settings.model == "peaks":
        load_peaks(settings.peaks)
    elif settings.macromolecules == "measured":
        measured_set(settings)
