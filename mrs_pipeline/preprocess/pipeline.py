"""From raw transients to one clean spectrum, in the consensus order (Near 2021, doi:10.1002/nbm.4257)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mrs_pipeline.config import PreprocessSection
from mrs_pipeline.errors import InputError
from mrs_pipeline.preprocess import eddy, first_point, metrics, raw, reference, water
from mrs_pipeline.preprocess.state import State, plain
from mrs_pipeline.preprocess.types import Preprocessed
from mrs_pipeline.spectrum import Spectrum


@dataclass(frozen=True)
class Hints:
    """What a file's header says about how the vendor stores data.

    Parameters
    ----------
    first_point_halved, water_first_point_halved
        Whether the stored first point is half the true one; ``None``: unknown, measured.
    summed, water_summed
        Number of transients the stored FID is the sum of; the data are divided by it, so that metabolite and water
        are both means over transients.
    edit_off
        Which entry of the edit axis is the unedited condition; ``None``: unknown, told by NAA.
    """

    first_point_halved: bool | None = None
    water_first_point_halved: bool | None = None
    summed: int = 1
    water_summed: int = 1
    edit_off: int | None = None


def hints_from_headers(scan: Mapping[str, Any], water: Mapping[str, Any] | None = None) -> Hints:
    """Tell from NIfTI-MRS header extensions how the vendor stored the data.

    Parameters
    ----------
    scan, water
        Header extensions of the metabolite scan and of its water reference.

    Notes
    -----
    Philips SDAT files store half the first point (seen in every one measured here); no other format is known to.
    Nothing in a NIfTI-MRS header says whether a file holds a sum or a mean, so that the ``summed`` hints are left to
    the caller.
    """

    def halved(header: Mapping[str, Any]) -> bool | None:
        names = header.get("OriginalFile") or ()
        names = (names,) if isinstance(names, str) else names
        return True if any(str(name).lower().endswith((".sdat", ".spar")) for name in names) else None

    return Hints(halved(scan), None if water is None else halved(water), edit_off=off_condition(scan))


def off_condition(header: Mapping[str, Any]) -> int | None:
    """Return which entry of the edit axis is the unedited one by its header's ``EditCondition``; ``None``: not said.

    Parameters
    ----------
    header
        NIfTI-MRS header extension.
    """
    for number in (5, 6, 7):
        dynamic = header.get(f"dim_{number}_header")
        if header.get(f"dim_{number}") == "DIM_EDIT" and isinstance(dynamic, Mapping):
            names = dynamic.get("EditCondition")
            names = names.get("Value") if isinstance(names, Mapping) else names
            lowered = [str(name).strip().lower() for name in names or ()]
            if sorted(lowered) == ["off", "on"]:
                return lowered.index("off")
    return None


def preprocess(
    metabolite: Spectrum,
    conc: Spectrum | None,
    ecc: Spectrum | None,
    settings: PreprocessSection,
    *,
    hints: Hints | None = None,
    noise: Spectrum | None = None,
) -> Preprocessed:
    """Turn an acquisition into one clean spectrum.

    Parameters
    ----------
    metabolite
        Water-suppressed FIDs, any leading axes.
    conc
        Water reference for concentrations; ``None`` without one.
    ecc
        Water reference that saw the same gradients; ``None``: ``conc`` serves.
    settings
        Which steps run and how.
    hints
        What the files' headers say about halved first points and sums.
    noise
        Scan without excitation, single coils, for the noise covariance of the coil combination; ``None``: the noise
        comes from the tails of the metabolite FIDs.

    Returns
    -------
    Preprocessed
        ``spectrum`` and ``water`` keep scanner units and have true first points.

    Raises
    ------
    InputError
        The data are empty, not finite, or have an axis that cannot be reduced.
    """
    hints = hints or Hints()
    _usable(metabolite, "the metabolite scan")
    settings = settings if metabolite.nucleus == PROTON else for_other_nuclei(settings)
    scan = raw.squeezed(_scaled(metabolite, hints.summed))
    raw.check_axes(scan, "the metabolite scan")
    state, combined = raw.combine_coils(State(scan), _waters(conc, ecc, hints), settings, noise)
    waters = {role: _true_water(water_scan, hints, settings) for role, water_scan in combined.items()}
    state = raw.average(state, settings, hints.edit_off)
    for_eddy, sister = waters.get("eddy-current") or waters.get("concentration") or (None, "undecided")
    state = _undo_first_point(state, hints, sister=sister)
    state = _correct_eddy(state, for_eddy, settings)
    state = _remove_water(state, settings)
    state = _phase_and_reference(state, settings)
    for_concentration = waters["concentration"][0] if "concentration" in waters else None
    return _finished(state, _water_out(for_concentration, settings), settings)


PROTON = "1H"
"""Nucleus whose water line, NAA, creatine and choline the steps know; the others leave those steps out."""


def for_other_nuclei(settings: PreprocessSection) -> PreprocessSection:
    """Return settings that look at the whole band, since the windows of the settings are those of protons."""
    everywhere = (-np.inf, np.inf)
    return settings.model_copy(
        update={
            "outliers": settings.outliers.model_copy(update={"ppm": everywhere}),
            "alignment": settings.alignment.model_copy(update={"method": "spectral-registration"}),
        }
    )


def _usable(spectrum: Spectrum, what: str) -> None:
    """Refuse data no step can work on."""
    if spectrum.n_points < 32:
        raise InputError(f"{what} has only {spectrum.n_points} time points", remedy="check the conversion of the file")
    if not np.all(np.isfinite(spectrum.fid)):
        raise InputError(
            f"{what} holds values that are not finite", remedy="convert the file again or leave the scan out"
        )
    if not np.any(spectrum.fid):
        raise InputError(f"{what} is all zero", remedy="check that the file was exported completely")


def _scaled(spectrum: Spectrum, summed: int) -> Spectrum:
    """Divide a stored sum by its number of transients."""
    return spectrum if summed == 1 else spectrum.with_fid(spectrum.fid / summed)


def _waters(conc: Spectrum | None, ecc: Spectrum | None, hints: Hints) -> dict[str, Spectrum]:
    """Check the references and name them by role, as means over transients."""
    found: dict[str, Spectrum] = {}
    for role, scan in (("concentration", conc), ("eddy-current", ecc)):
        if scan is not None:
            _usable(scan, f"the {role} reference")
            found[role] = raw.squeezed(_scaled(scan, hints.water_summed))
            raw.check_axes(found[role], f"the {role} reference")
    return found


def _true_water(scan: Spectrum, hints: Hints, settings: PreprocessSection) -> tuple[Spectrum, first_point.Verdict]:
    """Average a combined water scan and make its first point true; say what it was."""
    state = State(raw.average_water(scan, settings))
    state = _undo_first_point(state, Hints(first_point_halved=hints.water_first_point_halved))
    record = state.steps[-1]
    return state.spectrum, "halved" if record.applied else record.parameters["measured"]


def _undo_first_point(state: State, hints: Hints, sister: first_point.Verdict = "undecided") -> State:
    """Double the first point where it is stored halved."""
    found = first_point.measure_first_point(state.spectrum.fid, state.spectrum.dwell)
    halved, reason = _is_halved(found, hints.first_point_halved, sister)
    numbers = {
        "ratio": found.ratio,
        "spread": found.spread,
        "measured": found.verdict,
        "header": hints.first_point_halved,
    }
    if found.verdict != "undecided" and hints.first_point_halved not in {None, found.verdict == "halved"}:
        state = state.warn(f"The header and the data disagree about a halved first point; the data decided ({reason}).")
    if not halved:
        return state.skipped("first_point", reason, **numbers)
    return state.done("first_point", reason, first_point.undo_halving, **numbers)


def _is_halved(found: first_point.FirstPoint, hint: bool | None, sister: first_point.Verdict) -> tuple[bool, str]:
    """Decide from the measurement, then the header, then the water scan of the same export if it agrees."""
    measured = "" if found.ratio is None else f": first point {found.ratio:.2f} of its prediction from the later points"
    if found.verdict != "undecided":
        return found.verdict == "halved", f"measured as {found.verdict}{measured}"
    if hint is not None:
        return hint, f"the header's vendor stores {'half' if hint else 'the whole of'} the first point{measured}"
    if (
        sister != "undecided"
        and found.ratio is not None
        and (found.ratio < first_point.BOUNDARY) == (sister == "halved")
    ):
        return sister == "halved", f"as in the water scan of the same export{measured}"
    return False, f"undecided and left as it is{measured}"


def _correct_eddy(state: State, reference_scan: Spectrum | None, settings: PreprocessSection) -> State:
    """Klose correction, when there is a reference that fits."""
    if not settings.eddy_current.enabled:
        return state.skipped("eddy_current", "switched off")
    if reference_scan is None:
        return state.skipped("eddy_current", "no water reference")
    refused = eddy.refusal(state.spectrum, reference_scan)
    if refused is not None:
        return state.skipped("eddy_current", f"refused: {refused}").warn(f"No eddy-current correction: {refused}.")
    numbers = eddy.correct(state.spectrum, reference_scan)[1]
    return state.done(
        "eddy_current", "water reference fits", lambda scan: eddy.correct(scan, reference_scan)[0], **numbers
    )


def _remove_water(state: State, settings: PreprocessSection) -> State:
    """HLSVD removal of residual water."""
    if state.spectrum.nucleus != PROTON:
        return state.skipped("water_removal", f"{state.spectrum.nucleus} has no water line")
    if not settings.water_removal.enabled:
        return state.skipped("water_removal", "switched off")
    window = settings.water_removal.ppm
    found = water.remove_water(state.spectrum, window, settings.water_removal.components)
    numbers = {"peak_before": found.peak_before, "peak_after": found.peak_after, "ppm": window, "passes": found.passes}
    if found.passes == 0:
        return state.skipped("water_removal", "no residual water above the noise", **numbers)
    reason = f"residual water {found.peak_before:.0f} times the noise"
    cleaned = state.done("water_removal", reason, lambda _: found.spectrum, lines=found.lines, **numbers)
    others = {
        name: water.remove_water(other, window, settings.water_removal.components).spectrum
        for name, other in state.others.items()
    }
    return replace(cleaned, others=others)


def _phase_and_reference(state: State, settings: PreprocessSection) -> State:
    """Zero-order phase and frequency reference from NAA, tCr and tCho."""
    if state.spectrum.nucleus != PROTON:
        why = f"{state.spectrum.nucleus} has none of NAA, tCr and tCho; the fit finds it from its table of peaks"
        return state.skipped("phase", why).skipped("reference", why)
    found = reference.fit_reference(state.spectrum, settings.reference.max_shift_ppm)
    state = state.measure(
        reference_shift_ppm=found.shift_ppm,
        reference_z=found.z,
        reference_coherence=found.coherence,
        phase_deg=found.phase_deg,
    )
    numbers = {"z": found.z, "coherence": found.coherence, "confident": found.confident, "amplitudes": found.amplitudes}
    if not found.confident:
        why = f"NAA, tCr and tCho are not found with certainty (z {found.z:.1f}, coherence {found.coherence:.2f})"
        for name in ("phase", "reference"):
            state = state.skipped(name, why, **numbers)
        return state.warn(f"Phase and frequency were left as they are: {why}.")
    state = _apply_phase(state, found, settings, numbers)
    return _apply_shift(state, found, settings, numbers)


def _apply_phase(
    state: State, found: reference.ReferenceFit, settings: PreprocessSection, numbers: dict[str, Any]
) -> State:
    """Rotate the spectrum upright."""
    if not settings.phase.enabled:
        return state.skipped("phase", "switched off", phase_deg=found.phase_deg)
    inverted = abs(found.phase_deg) > 135.0
    if inverted:
        state = state.warn(
            f"The spectrum is stored inverted (phase {found.phase_deg:.0f} degrees); it was turned upright."
        )
    return state.done(
        "phase",
        "inverted, turned upright" if inverted else "phase of NAA, tCr and tCho",
        lambda scan: scan.phased(-found.phase_deg),
        phase_deg=found.phase_deg,
        phase_sd_deg=found.phase_sd_deg,
        inverted=inverted,
        **numbers,
    )


def _apply_shift(
    state: State, found: reference.ReferenceFit, settings: PreprocessSection, numbers: dict[str, Any]
) -> State:
    """Move the spectrum to its reference."""
    if not settings.reference.enabled:
        return state.skipped("reference", "switched off", shift_ppm=found.shift_ppm)
    return state.done(
        "reference",
        "places of NAA, tCr and tCho",
        lambda scan: scan.shifted(-found.shift_ppm * scan.carrier_mhz),
        shift_ppm=found.shift_ppm,
        shift_sd_ppm=found.shift_sd_ppm,
        **numbers,
    )


def _water_out(scan: Spectrum | None, settings: PreprocessSection) -> Spectrum | None:
    """Correct the water reference with itself."""
    if scan is None or not settings.eddy_current.enabled or eddy.refusal(scan, scan) is not None:
        return scan
    return eddy.correct(scan, scan)[0]


def _finished(state: State, water_scan: Spectrum | None, settings: PreprocessSection) -> Preprocessed:
    """Measure the result and put everything together."""
    window = settings.water_removal.ppm
    if state.spectrum.nucleus == PROTON:
        values = metrics.spectrum_metrics(state.spectrum, window)
        values["residual_water_before"] = _residual_before(state, values, window)
    else:
        values = metrics.other_nucleus_metrics(state.spectrum)
    values |= metrics.water_metrics(water_scan) if water_scan is not None else dict.fromkeys(metrics.WATER_METRICS)
    values |= metrics.drift_metrics(state.drift_hz, state.drift_deg, state.kept)
    return Preprocessed(
        spectrum=state.spectrum,
        water=water_scan,
        steps=state.steps,
        drift_hz=state.drift_hz,
        drift_deg=state.drift_deg,
        kept=state.kept,
        metrics=plain({**state.metrics, **values}),
        warnings=state.warnings,
        evidence={"ppm": state.spectrum.ppm, **state.evidence},
        edited=state.others,
    )


def _residual_before(state: State, values: dict[str, float | None], window: tuple[float, float]) -> float | None:
    """Residual water before its removal over the NAA height after it."""
    before = state.evidence.get("water_removal.before")
    snr, noise = values["snr_naa"], values["noise_sd"]
    if before is None:
        return values["residual_water"]
    if not snr or not noise:
        return None
    ppm = state.spectrum.ppm
    inside = (ppm >= min(window)) & (ppm <= max(window))
    return float(np.max(np.abs(before[inside]))) / (snr * noise)
