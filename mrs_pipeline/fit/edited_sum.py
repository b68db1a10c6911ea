"""The sum spectrum of an edited scan: two conditions in one, each without what its editing pulse hits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mrs_pipeline.basis import Basis, Editing, share_left
from mrs_pipeline.config import FitSection
from mrs_pipeline.fit.engine import fit_once
from mrs_pipeline.fit.priors import Peak, PeakFamily, Priors, load_priors
from mrs_pipeline.fit.result import FitResult
from mrs_pipeline.spectrum import FloatArray, Spectrum

CONDITIONS = 2
"""Scans in the sum: a proton that no editing pulse touches has this signal."""
PROFILE_POINTS = 9
"""Places over which a background peak is averaged."""
NARROWEST_SHARE = 0.2
"""A reference peak of which less is left does not scale the others."""
GIVEN_NOT_USED = (
    "the macromolecules given are those of one condition; the sum was fitted with the parametric ones, "
    "lowered by what the editing pulses take away"
)


def fit_sum(spectrum: Spectrum, basis: Basis, settings: FitSection, editing: Editing) -> FitResult:
    r"""Fit the sum of both conditions of an edited scan.

    Parameters
    ----------
    spectrum
        On plus off, one preprocessed FID.
    basis
        Sum signals of the same experiment (``simulate_basis("mega-press", edit="sum")``): twice the signal of one
        condition, so that amplitudes are those of one.
    settings
        The ``[fit]`` section, used as for the unedited condition.
    editing
        Editing pulses of the scan.

    Returns
    -------
    FitResult
        As of ``fit_spectrum``, without sampled uncertainty.

    Notes
    -----
    Macromolecules and lipids have the unedited condition's priors times what the pulses leave of them
    (:func:`sum_priors`). Macromolecules that are measured or those of the basis set are not used, which a note says.
    """
    given = settings.macromolecules in ("basis", "measured")
    modelled = "none" if settings.macromolecules == "none" else "parametric"
    chosen = settings.model_copy(update={"macromolecules": modelled})
    priors = sum_priors(load_priors(settings.priors), editing, spectrum.carrier_mhz)
    result = fit_once(spectrum, basis, chosen, priors)
    return replace(result, notes=(*result.notes, GIVEN_NOT_USED)) if given else result


def sum_priors(priors: Priors, editing: Editing, field_mhz: float) -> Priors:
    """Return the prior set of the unedited condition as it is in the sum."""
    return replace(
        priors,
        macromolecules=_family(priors.macromolecules, editing, field_mhz),
        lipids=_family(priors.lipids, editing, field_mhz),
    )


def _family(family: PeakFamily, editing: Editing, field_mhz: float) -> PeakFamily:
    r"""Return a family whose ratios are those of the sum.

    Notes
    -----
    With the share q of each peak that is left (:func:`peak_share`) and that of the reference peak, the ratio is
    :math:`r q/q_{ref}`. Its SD is that of one condition scaled alike, and half of what was taken away beside it, since
    a peak has partners and a profile of its own: :math:`\sqrt{(sq/q_{ref})^2 + (r(1-q)/2)^2}`.
    """
    shares = {peak.name: peak_share(peak, editing, field_mhz) for peak in family.peaks}
    unit = max(shares.get(family.reference, 1.0), NARROWEST_SHARE)
    peaks = tuple(_lowered(peak, shares[peak.name], unit) for peak in family.peaks)
    return replace(family, protons=CONDITIONS * family.protons, peaks=peaks)


def _lowered(peak: Peak, share: float, unit: float) -> Peak:
    """Return a peak with the ratio and SD it has in the sum; the reference peak stays as it is."""
    if peak.sd == 0:
        return peak
    sd = float(np.hypot(peak.sd * share / unit, 0.5 * peak.ratio * (1.0 - share)))
    return replace(peak, ratio=peak.ratio * share / unit, sd=sd)


def peak_share(peak: Peak, editing: Editing, field_mhz: float) -> float:
    """Return the mean share of a Gaussian peak that both conditions leave, between 0 and 1."""
    places, weights = np.polynomial.hermite_e.hermegauss(PROFILE_POINTS)
    sigma = peak.width / np.sqrt(8.0 * np.log(2.0))
    ppm: FloatArray = peak.ppm + sigma * places
    left = [share_left(editing, half, ppm, field_mhz) for half in ("on", "off")]
    return float(np.mean(left, axis=0) @ (weights / weights.sum()))
