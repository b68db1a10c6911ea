"""From raw transients to one clean spectrum, in the consensus order (Near 2021, doi:10.1002/nbm.4257)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from mrs_pipeline.config import PreprocessSection
from mrs_pipeline.errors import InputError
from mrs_pipeline.preprocess import align, eddy, first_point, metrics, reference, water
from mrs_pipeline.preprocess.types import Evidence, Preprocessed, StepRecord, display
from mrs_pipeline.spectrum import Spectrum

METHODS = {
    "coil_combination": "RF coil combination",
    "outliers": "Outlier removal",
    "alignment": "Frequency and phase correction",
    "averaging": "Signal averaging",
    "first_point": "First-point correction",
    "eddy_current": "Eddy current correction",
    "water_removal": "Nuisance peak removal",
    "phase": "Phasing",
    "reference": "Frequency and phase correction",
}
"""Method strings of NIfTI-MRS ``ProcessingApplied`` by step."""


@dataclass(frozen=True)
class Hints:
    """What a file's header says about how the vendor stores data.

    Parameters
    ----------
    first_point_halved, water_first_point_halved
        Whether the stored first point is half the true one; ``None``: unknown, measured.
    summed, water_summed
        Number of transients the stored FID is the sum of; the data are divided by it, so that metabolite and water are both
        means over transients.
    """

    first_point_halved: bool | None = None
    water_first_point_halved: bool | None = None
    summed: int = 1
    water_summed: int = 1


@dataclass(frozen=True, eq=False)
class _State:
    """What flows from step to step."""

    spectrum: Spectrum
    steps: tuple[StepRecord, ...] = ()
    warnings: tuple[str, ...] = ()
    evidence: Evidence = field(default_factory=dict)
    metrics: dict[str, float | None] = field(default_factory=dict)
    drift_hz: tuple[float | None, ...] = ()
    drift_deg: tuple[float | None, ...] = ()
    kept: tuple[bool, ...] = ()

    def done(self, name: str, reason: str, spectrum: Spectrum, **parameters: Any) -> _State:  # noqa: ANN401  JSON values
        """Record an applied step with its evidence."""
        record = StepRecord(name, True, reason, _plain(parameters), METHODS[name])
        evidence = dict(self.evidence)
        if self.spectrum.fid.ndim == 1 and spectrum.fid.ndim == 1:
            evidence[f"{name}.before"] = display(self.spectrum.fid).astype(np.complex64)
            evidence[f"{name}.after"] = display(spectrum.fid).astype(np.complex64)
        return replace(self, spectrum=spectrum, steps=(*self.steps, record), evidence=evidence)

    def skipped(self, name: str, reason: str, **parameters: Any) -> _State:  # noqa: ANN401  JSON values
        """Record a step that changed nothing."""
        return replace(self, steps=(*self.steps, StepRecord(name, False, reason, _plain(parameters), METHODS[name])))

    def warn(self, *sentences: str) -> _State:
        """Add warnings."""
        return replace(self, warnings=(*self.warnings, *sentences))

    def measure(self, **values: float | None) -> _State:
        """Add metrics."""
        return replace(self, metrics={**self.metrics, **values})


def preprocess(
    metabolite: Spectrum,
    conc: Spectrum | None,
    ecc: Spectrum | None,
    settings: PreprocessSection,
    *,
    hints: Hints | None = None,
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
    state = _averaged(_State(_scaled(metabolite, hints.summed)), settings)
    conc_one, conc_first = _water(conc, "the water reference", hints, settings)
    ecc_one, ecc_first = _water(ecc, "the eddy-current reference", hints, settings)
    if ecc_one is None:
        ecc_one, ecc_first = conc_one, conc_first
    state = _undo_first_point(state, hints, sister=ecc_first)
    state = _correct_eddy(state, ecc_one, settings)
    state = _remove_water(state, settings)
    state = _phase_and_reference(state, settings)
    return _finished(state, _water_out(conc_one, settings), settings)


def _plain(parameters: dict[str, Any]) -> dict[str, Any]:
    """Turn numpy scalars and tuples into JSON types; not-finite numbers become ``None``."""

    def convert(value: Any) -> Any:  # noqa: ANN401  JSON values
        if isinstance(value, dict):
            return {key: convert(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [convert(item) for item in value]
        if isinstance(value, np.generic):
            value = value.item()
        return None if isinstance(value, float) and not np.isfinite(value) else value

    return {key: convert(value) for key, value in parameters.items()}


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


def _averaged(state: _State, settings: PreprocessSection) -> _State:
    """Reduce the leading axes: averaged input passes, single transients are aligned and averaged."""
    raw = state.spectrum
    if raw.fid.ndim == 1 or raw.fid.size == raw.n_points:
        state = replace(state, spectrum=raw.with_fid(raw.fid.reshape(-1), ()))
        for name in ("coil_combination", "outliers", "alignment", "averaging"):
            state = state.skipped(name, "the input is one combined and averaged FID")
        return state
    if raw.dims != ("DIM_DYN",):
        raise InputError(f"the axes {raw.dims} cannot be reduced", remedy="combine coils first")
    found = align.estimate(raw, settings.alignment.ppm, settings.alignment.max_shift_hz)
    hz, deg = found.hz - np.median(found.hz), found.deg - np.median(found.deg)
    aligned = raw.with_fid(align.apply(raw.fid, raw.dwell, hz, deg))
    state = state.done("alignment", "single transients", aligned, rounds=found.rounds)
    state = replace(
        state,
        drift_hz=tuple(float(value) for value in hz),
        drift_deg=tuple(float(value) for value in deg),
        kept=(True,) * hz.size,
    )
    return state.done(
        "averaging", "single transients", aligned.with_fid(aligned.fid.mean(axis=0), ()), transients=hz.size
    )


def _water(
    scan: Spectrum | None, what: str, hints: Hints, settings: PreprocessSection
) -> tuple[Spectrum | None, first_point.Verdict]:
    """Bring a water scan to one FID with a true first point, and say what its first point was."""
    if scan is None:
        return None, "undecided"
    _usable(scan, what)
    state = _averaged(_State(_scaled(scan, hints.water_summed)), settings)
    state = _undo_first_point(state, Hints(first_point_halved=hints.water_first_point_halved))
    record = state.steps[-1]
    return state.spectrum, "halved" if record.applied else record.parameters["measured"]


def _undo_first_point(state: _State, hints: Hints, sister: first_point.Verdict = "undecided") -> _State:
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
    return state.done("first_point", reason, first_point.undo_halving(state.spectrum), **numbers)


def _is_halved(found: first_point.FirstPoint, hint: bool | None, sister: first_point.Verdict) -> tuple[bool, str]:
    """Decide from the measurement, then the header, then the water scan of the same export when it points the same way."""
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


def _correct_eddy(state: _State, reference_scan: Spectrum | None, settings: PreprocessSection) -> _State:
    """Klose correction, when there is a reference that fits."""
    if not settings.eddy_current.enabled:
        return state.skipped("eddy_current", "switched off")
    if reference_scan is None:
        return state.skipped("eddy_current", "no water reference")
    refused = eddy.refusal(state.spectrum, reference_scan)
    if refused is not None:
        return state.skipped("eddy_current", f"refused: {refused}").warn(f"No eddy-current correction: {refused}.")
    corrected, numbers = eddy.correct(state.spectrum, reference_scan)
    return state.done("eddy_current", "water reference fits", corrected, **numbers)


def _remove_water(state: _State, settings: PreprocessSection) -> _State:
    """HLSVD removal of residual water."""
    if not settings.water_removal.enabled:
        return state.skipped("water_removal", "switched off")
    window = settings.water_removal.ppm
    found = water.remove_water(state.spectrum, window, settings.water_removal.components)
    numbers = {"peak_before": found.peak_before, "peak_after": found.peak_after, "ppm": window, "passes": found.passes}
    if found.passes == 0:
        return state.skipped("water_removal", "no residual water above the noise", **numbers)
    reason = f"residual water {found.peak_before:.0f} times the noise"
    return state.done("water_removal", reason, found.spectrum, lines=found.lines, **numbers)


def _phase_and_reference(state: _State, settings: PreprocessSection) -> _State:
    """Zero-order phase and frequency reference from NAA, tCr and tCho."""
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
    state: _State, found: reference.ReferenceFit, settings: PreprocessSection, numbers: dict[str, Any]
) -> _State:
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
        state.spectrum.phased(-found.phase_deg),
        phase_deg=found.phase_deg,
        phase_sd_deg=found.phase_sd_deg,
        inverted=inverted,
        **numbers,
    )


def _apply_shift(
    state: _State, found: reference.ReferenceFit, settings: PreprocessSection, numbers: dict[str, Any]
) -> _State:
    """Move the spectrum to its reference."""
    if not settings.reference.enabled:
        return state.skipped("reference", "switched off", shift_ppm=found.shift_ppm)
    shifted = state.spectrum.shifted(-found.shift_ppm * state.spectrum.carrier_mhz)
    return state.done(
        "reference",
        "places of NAA, tCr and tCho",
        shifted,
        shift_ppm=found.shift_ppm,
        shift_sd_ppm=found.shift_sd_ppm,
        **numbers,
    )


def _water_out(scan: Spectrum | None, settings: PreprocessSection) -> Spectrum | None:
    """Correct the water reference with itself."""
    if scan is None or not settings.eddy_current.enabled or eddy.refusal(scan, scan) is not None:
        return scan
    return eddy.correct(scan, scan)[0]


def _finished(state: _State, water_scan: Spectrum | None, settings: PreprocessSection) -> Preprocessed:
    """Measure the result and put everything together."""
    window = settings.water_removal.ppm
    values = metrics.spectrum_metrics(state.spectrum, window)
    values["residual_water_before"] = _residual_before(state, values, window)
    values |= metrics.water_metrics(water_scan) if water_scan is not None else dict.fromkeys(metrics.WATER_METRICS)
    values |= metrics.drift_metrics(state.drift_hz, state.drift_deg, state.kept)
    return Preprocessed(
        spectrum=state.spectrum,
        water=water_scan,
        steps=state.steps,
        drift_hz=state.drift_hz,
        drift_deg=state.drift_deg,
        kept=state.kept,
        metrics=_plain({**state.metrics, **values}),
        warnings=state.warnings,
        evidence={"ppm": state.spectrum.ppm, **state.evidence},
    )


def _residual_before(state: _State, values: dict[str, float | None], window: tuple[float, float]) -> float | None:
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
