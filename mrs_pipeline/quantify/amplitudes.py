"""Tables of scans that only have amplitudes: nuclei without a water reference and without creatine."""

from __future__ import annotations

from mrs_pipeline.anatomy import TissueFractions
from mrs_pipeline.quantify.concentrations import Concentration, Fit, Quantified

PRESET = "amplitudes"


def amplitudes_only(fit: Fit, nucleus: str, tissue: TissueFractions | None = None) -> Quantified:
    """Return the amplitudes of a fit as rows of the table, with the reason why nothing else is there.

    Parameters
    ----------
    fit
        Result of the peak model.
    nucleus
        Resonant nucleus.
    tissue
        Fractions of the voxel, reported as they are; no correction is made.
    """
    why = f"{nucleus}: no tCr and no tissue water to refer to; ratios to the reference peak are in the fit's metrics"
    fractions = {} if tissue is None else {"f_gm": tissue.gm, "f_wm": tissue.wm, "f_csf": tissue.csf}
    rows = tuple(_row(fit, name, why, fractions) for name in fit.names)
    return Quantified(
        rows=rows,
        preset=PRESET,
        preset_title=f"Amplitudes per molecule in scanner units ({nucleus})",
        preset_status="no constants are used",
        constants={},
        sensitivity_notes=("only amplitudes, which depend on neither preset nor tissue correction",),
        warnings=(f"{nucleus}: amplitudes only; water reference, tissue water and ratio to tCr do not apply",),
    )


def _row(fit: Fit, name: str, why: str, fractions: dict[str, float]) -> Concentration:
    flags = ";".join(dict.fromkeys(fit.flags))
    if fit.status == "failed":
        return Concentration(name, fit.status, flags, "the fit failed", **fractions)
    amplitude, crlb, amplitude_sd, total_sd = fit.combination({name: 1.0})
    return Concentration(name, fit.status, flags, why, amplitude, crlb, amplitude_sd, total_sd, **fractions)
