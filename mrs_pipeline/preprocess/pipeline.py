"""From raw transients to one clean spectrum, in the consensus order (Near 2021, doi:10.1002/nbm.4257)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mrs_pipeline.config import PreprocessSection
from mrs_pipeline.errors import InputError
from mrs_pipeline.preprocess import echo, eddy, first_point, metrics, raw, reference, water
from mrs_pipeline.preprocess.state import State, on_axis, plain
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
    start, water_start, eddy_start
        Seconds from the echo top to the first stored point of the scan, of the reference for concentrations and of
        that for eddy currents; negative: points before the echo were stored.
    """

    first_point_halved: bool | None = None
    water_first_point_halved: bool | None = None
    summed: int = 1
    water_summed: int = 1
    edit_off: int | None = None
    start: float = 0.0
    water_start: float = 0.0
    eddy_start: float = 0.0


def hints_from_headers(
    scan: Mapping[str, Any], water: Mapping[str, Any] | None = None, eddy_water: Mapping[str, Any] | None = None
) -> Hints:
    """Tell from NIfTI-MRS header extensions how the vendor stored the data.

    Parameters
    ----------
    scan, water, eddy_water
        Header extensions of the metabolite scan, of its water reference, and of that for eddy currents if it has one.

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

    return Hints(
        halved(scan),
        None if water is None else halved(water),
        edit_off=off_condition(scan),
        start=echo.start_time(scan),
        water_start=echo.start_time(water or {}),
        eddy_start=echo.start_time(eddy_water or {}),
    )


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
        What the files' headers say about halved first points, sums, and the time of the first point.
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
    waters = {role: _true_water(water_scan, role, hints, settings) for role, water_scan in combined.items()}
    state = raw.average(state, settings, hints.edit_off)
    role = "eddy-current" if "eddy-current" in waters else "concentration"
    for_eddy, sister = waters.get(role) or (None, "undecided")
    state = _undo_first_point(state, hints, sister=sister)
    if for_eddy is not None:
        for_eddy = echo.on_clock(for_eddy, _start(hints, role) - hints.start)
    state = _correct_eddy(state, for_eddy, settings)
    state = _to_echo_top(state, hints.start)
    state = _remove_water(state, settings)
    state = _phase_and_reference(state, settings)
    for_concentration = waters["concentration"][0] if "concentration" in waters else None
    return _finished(state, _water_out(for_concentration, hints, settings), settings)


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


def _start(hints: Hints, role: str) -> float:
    """Return the time of a reference's first point after the echo in seconds."""
    return hints.eddy_start if role == "eddy-current" else hints.water_start


def _true_water(
    scan: Spectrum, role: str, hints: Hints, settings: PreprocessSection
) -> tuple[Spectrum, first_point.Verdict]:
    """Average a combined water scan and make its first point true; say what it was."""
    state = State(raw.average_water(scan, settings))
    own = Hints(first_point_halved=hints.water_first_point_halved, start=_start(hints, role))
    state = _undo_first_point(state, own)
    record = state.steps[-1]
    return state.spectrum, "halved" if record.applied else record.parameters.get("measured", "undecided")


def _undo_first_point(state: State, hints: Hints, sister: first_point.Verdict = "undecided") -> State:
    """Double the first point where it is stored halved."""
    if echo.plan(hints.start, state.spectrum.dwell, restore=False).points < 0:
        return state.skipped("first_point", "the first point lies before the echo and is cut")
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


def _to_echo_top(state: State, start: float) -> State:
    """Cut the points before the echo that the header states, or put back the few that are missing after it."""
    scan = state.spectrum
    proton = scan.nucleus == PROTON
    planned = echo.plan(start, scan.dwell, restore=proton)
    points, rest = planned.points, planned.remainder_s
    numbers = {"start_s": start, "points": points, "remainder_s": rest}
    if points == 0:
        state = state.skipped("pre_echo", _why_kept(rest, scan), **numbers)
        return state.warn(_left_late(rest)) if proton and rest > scan.dwell / 2 else state
    words = f"{-points} points before the echo cut" if points < 0 else f"{points} points after the echo predicted"
    said = f"{words} (AcquisitionStartTime {1e3 * start:.4g} ms)"
    moved = state.done("pre_echo", said, lambda one: echo.to_echo_top(one, points), **numbers)
    moved = replace(moved, evidence=on_axis(moved.evidence, scan.ppm, moved.spectrum.ppm))
    return moved.warn(f"The scan started after its echo: {said}.") if points > 0 else moved


def _why_kept(rest: float, scan: Spectrum) -> str:
    """Say why no point is cut or put in front."""
    if rest == 0.0:
        return "no start before or after the echo is stated"
    if abs(rest) <= scan.dwell / 2:
        return f"the first point lies {1e6 * rest:.0f} us after the echo, less than half a dwell time"
    if scan.nucleus != PROTON:
        return f"the first point lies {1e3 * rest:.3g} ms after the echo; the fit of peaks finds its begin time"
    return "too much is missing after the echo to be predicted"


def _left_late(rest: float) -> str:
    """Say what a dead time that stays means."""
    return (
        f"The scan starts {1e3 * rest:.3g} ms after its echo (AcquisitionStartTime), too late for the missing points "
        "to be predicted: the phase across the spectrum is left to the fit, and amplitudes refer to that time."
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


def _water_out(scan: Spectrum | None, hints: Hints, settings: PreprocessSection) -> Spectrum | None:
    """Correct the water reference with itself and cut its points before the echo."""
    if scan is None:
        return None
    if settings.eddy_current.enabled and eddy.refusal(scan, scan) is None:
        scan = eddy.correct(scan, scan)[0]
    return echo.to_echo_top(scan, echo.plan(hints.water_start, scan.dwell, restore=False).points)


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
