"""Columns of the table of concentrations, written per scan and joined at group level: names, meaning and units."""

from __future__ import annotations

Columns = dict[str, tuple[str, str | None]]
"""Column name to meaning and unit; ``None`` where a column has no unit."""

SCAN_KEYS = ("participant_id", "session", "voi", "acq", "run", "task")
"""Entities that make a scan; absent ones read ``n/a``."""

_TEXT = None
_SIGNAL = "scanner units"

CONCENTRATIONS: Columns = {
    "participant_id": ("Participant, as in participants.tsv", _TEXT),
    "session": ("BIDS session label of the visit", _TEXT),
    "voi": ("BIDS voi label of the region", _TEXT),
    "acq": ("BIDS acq label", _TEXT),
    "run": ("BIDS run index", _TEXT),
    "task": ("BIDS task label", _TEXT),
    "metabolite": (
        "Metabolite (mI: myo-inositol) or sum: tNAA = NAA+NAAG, tCr = Cr+PCr, tCho = GPC+PCh, Glx = Glu+Gln",
        _TEXT,
    ),
    "amplitude": ("Fitted amplitude: signal per molecule at t = 0, a proton of the basis set having 1", _SIGNAL),
    "crlb": ("Cramer-Rao lower bound of the amplitude (SD), from the data alone", _SIGNAL),
    "amplitude_sd": ("Sampling SD of the estimator used, priors and penalties included", _SIGNAL),
    "total_sd": (
        "amplitude_sd with baseline choice, misfit, basis errors and priors (scaled by the strain of macromolecules)",
        _SIGNAL,
    ),
    "ratio_tCr": ("Amplitude relative to total creatine of the same spectrum, no relaxation correction", "1"),
    "ratio_tCr_sd": ("SD of ratio_tCr, from the full covariance", "1"),
    "ratio_tCr_lo": ("Lower end of the 95 % interval of ratio_tCr", "1"),
    "ratio_tCr_hi": ("Upper end of the 95 % interval of ratio_tCr", "1"),
    "iu": ("Referenced to water without tissue data, by the convention of the preset", "institutional units"),
    "iu_sd": ("SD of iu: fit, water fit and constants", "institutional units"),
    "molal": ("Moles per kilogram of tissue water, CSF-corrected by mole fraction", "mmol/kg"),
    "molal_sd": ("SD of molal: fit, water fit, tissue fractions and constants", "mmol/kg"),
    "molar": ("Moles per litre of tissue without CSF", "mmol/L"),
    "molar_sd": ("SD of molar: fit, water fit, tissue fractions and constants", "mmol/L"),
    "csf_only": ("CSF-only correction: iu over one minus the fraction of CSF", "institutional units"),
    "csf_only_sd": ("SD of csf_only: fit, water fit, tissue fractions and constants", "institutional units"),
    "alpha_corrected": (
        "Alpha correction: moles per litre of grey matter at a fixed white-to-grey ratio; n/a without a ratio",
        "mmol/L",
    ),
    "alpha_corrected_sd": ("SD of alpha_corrected: fit, water fit, tissue fractions, constants and ratio", "mmol/L"),
    "alpha_normalised": (
        "alpha_corrected at the fixed mean fractions of the baseline group; n/a without them",
        "mmol/L",
    ),
    "alpha_normalised_sd": ("SD of alpha_normalised: fit, water fit, tissue fractions, constants and ratio", "mmol/L"),
    "f_gm": ("Volume fraction of grey matter in the voxel", "1"),
    "f_wm": ("Volume fraction of white matter in the voxel", "1"),
    "f_csf": ("Volume fraction of cerebrospinal fluid in the voxel", "1"),
    "status": ("State of the fit: ok, doubtful or failed", _TEXT),
    "flags": ("Flags of the fit and the quantification, separated by semicolons", _TEXT),
    "reason": ("Why a value is missing", _TEXT),
}
"""Columns of ``desc-concentrations_mrs.tsv`` and ``group/concentrations.tsv``, in order."""


def data_dictionary(columns: Columns) -> dict[str, dict[str, str]]:
    """Return the BIDS data dictionary (Description, Units) of a table.

    Examples
    --------
    >>> data_dictionary({"molal": ("Moles per kilogram of tissue water", "mmol/kg")})
    {'molal': {'Description': 'Moles per kilogram of tissue water', 'Units': 'mmol/kg'}}
    """
    return {
        name: {"Description": text} | ({"Units": unit} if unit is not None else {})
        for name, (text, unit) in columns.items()
    }
