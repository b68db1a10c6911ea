"""From raw axes (coils, transients, edit conditions, in any order) to averaged spectra."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from mrs_pipeline.config import PreprocessSection
from mrs_pipeline.errors import InputError
from mrs_pipeline.preprocess import align, coils
from mrs_pipeline.preprocess.state import State
from mrs_pipeline.preprocess.transients import Transients, judge
from mrs_pipeline.preprocess.types import Evidence, display
from mrs_pipeline.spectrum import ComplexArray, FloatArray, Spectrum

REPETITIONS = ("DIM_DYN", "DIM_MEAS", "DIM_PHASE_CYCLE", "DIM_USER_0", "DIM_USER_1", "DIM_USER_2")
"""Axes whose entries are repetitions of one measurement and are averaged."""

_REFUSED = {
    "DIM_ISIS": (
        "the signs and the order of ISIS steps differ between vendors and are not in the file",
        "combine the ISIS steps with the signs of your sequence, then convert the result",
    ),
    "DIM_METCYCLE": (
        "metabolite cycling stores spectra whose metabolites alternate in sign; averaging would cancel them",
        "subtract the two halves (their sum is the water reference), then convert both",
    ),
}
"""Axes that are known but whose entries cannot be combined without knowledge of the sequence: why, and what to do."""

_SHOWN_PPM = (0.0, 5.2)
_EDIT_BANDS = ((3.13, 3.32), (3.84, 4.0))
"""Places of tCho and of the CH2 of tCr: alike in both conditions of common edited scans."""


def squeezed(scan: Spectrum) -> Spectrum:
    """Drop axes of length one."""
    lengths = scan.fid.shape[:-1]
    tags = tuple(tag for tag, length in zip(scan.dims, lengths, strict=True) if length > 1)
    shape = tuple(length for length in lengths if length > 1)
    return scan if tags == scan.dims else scan.with_fid(scan.fid.reshape(*shape, scan.n_points), tags)


def check_axes(scan: Spectrum, what: str) -> None:
    """Refuse axes that cannot be reduced here."""
    known = {"DIM_COIL", "DIM_EDIT", *REPETITIONS}
    strange = [tag for tag in scan.dims if tag not in known]
    for tag in strange:
        if tag in _REFUSED:
            raise InputError(f"{what} has the axis {tag}: {_REFUSED[tag][0]}", remedy=_REFUSED[tag][1])
    if strange or len(set(scan.dims)) != len(scan.dims):
        raise InputError(
            f"{what} has axes that cannot be reduced: {', '.join(strange) or ', '.join(scan.dims)}",
            remedy="combine them beforehand, or correct the dim tags of the NIfTI-MRS file (known: "
            f"{', '.join(sorted(known))})",
        )


def combine_coils(
    metabolite: State, waters: dict[str, Spectrum], settings: PreprocessSection, noise: Spectrum | None = None
) -> tuple[State, dict[str, Spectrum]]:
    """Combine the coils of the scan and of its references with one set of weights.

    Parameters
    ----------
    metabolite
        State of the metabolite scan.
    waters
        References by role; the first that has the scan's coils gives the sensitivities.
    noise
        Scan without excitation for the noise covariance; ``None``: the tails of the metabolite FIDs serve.

    Returns
    -------
    State, dict
        The combined scan and references.
    """
    scan = metabolite.spectrum
    if "DIM_COIL" not in scan.dims:
        unused = "" if noise is None else "; the noise scan is not needed"
        state = metabolite.skipped("coil_combination", f"the input has no coil axis: already combined{unused}")
        return _water_coils_alone(state, waters, settings)
    _must_be_on(settings)
    fitting = {role: water for role, water in waters.items() if _coil_count(water) == _coil_count(scan)}
    state, noise = _usable_noise(_said_source(metabolite, waters, fitting), noise)
    chosen = settings.coil_combination
    source = next(iter(fitting.values()), scan)
    found = coils.coil_weights(source, scan, method=chosen.method, noise_tail=chosen.noise_tail, noise_scan=noise)
    state = _combined(state, found, bool(fitting), noise is not None)
    combined = {role: coils.combine(water, found.weights) for role, water in fitting.items()}
    state, rest = _water_coils_alone(state, {r: w for r, w in waters.items() if r not in fitting}, settings)
    return state, {role: combined.get(role, rest.get(role, water)) for role, water in waters.items()}


def _said_source(state: State, waters: dict[str, Spectrum], fitting: dict[str, Spectrum]) -> State:
    """Warn when the sensitivities do not come from water."""
    if fitting:
        return state
    why = "there is no water reference" if not waters else "the water reference has not the same coils"
    return state.warn(f"Coils were combined with sensitivities from the metabolite scan itself: {why}.")


def _usable_noise(state: State, noise: Spectrum | None) -> tuple[State, Spectrum | None]:
    """Return the noise scan if it fits the coils, else ``None`` with a warning."""
    refused = None if noise is None else coils.noise_scan_refusal(noise, state.spectrum)
    if refused is None:
        return state, noise
    return state.warn(f"The noise scan was not used, {refused}; the noise comes from the tails of the FIDs."), None


def _combined(state: State, found: coils.CoilWeights, by_water: bool, by_noise_scan: bool) -> State:
    """Combine the coils of the scan, with record, evidence and a warning about a weakly known covariance."""
    n_coils = found.weights.size
    if found.noise_samples < 10 * n_coils:
        state = state.warn(
            f"The noise covariance of {n_coils} coils rests on {found.noise_samples} samples only; the combination may "
            "lose signal-to-noise ratio."
        )
    noise_source = "noise scan" if by_noise_scan else "tails of the FIDs"
    source = "water reference" if by_water else "scan itself"
    state = state.done(
        "coil_combination",
        f"sensitivities from the {source}, noise from the {noise_source}",
        lambda spectrum: coils.combine(spectrum, found.weights),
        coils=n_coils,
        method=found.method,
        noise_source=noise_source,
        noise_samples=found.noise_samples,
        dominance=found.dominance,
    )
    evidence = {
        "coils.sensitivity": np.abs(found.sensitivity),
        "coils.weight": np.abs(found.weights),
        "coils.noise_sd": found.noise_sd,
    }
    return replace(state, evidence={**state.evidence, **evidence})


def _coil_count(scan: Spectrum) -> int:
    return scan.fid.shape[scan.dims.index("DIM_COIL")] if "DIM_COIL" in scan.dims else 0


def _must_be_on(settings: PreprocessSection) -> None:
    """Refuse coil data when their combination is switched off."""
    if not settings.coil_combination.enabled:
        raise InputError(
            "the scan has single coils, but their combination is switched off",
            remedy="set [preprocess.coil_combination] enabled = true, or combine the coils beforehand",
        )


def _water_coils_alone(
    state: State, waters: dict[str, Spectrum], settings: PreprocessSection
) -> tuple[State, dict[str, Spectrum]]:
    """Combine references whose coils are not those of the scan, each with weights of its own."""
    combined: dict[str, Spectrum] = {}
    for role, water in waters.items():
        combined[role] = water
        if "DIM_COIL" in water.dims:
            _must_be_on(settings)
            chosen = settings.coil_combination
            found = coils.coil_weights(water, water, method=chosen.method, noise_tail=chosen.noise_tail)
            combined[role] = coils.combine(water, found.weights)
        elif "coil_combination" not in {record.name for record in state.steps if record.applied}:
            continue
        state = state.warn(
            f"The {role} water reference and the scan were combined from coils in different ways: concentrations "
            "against this water may be off by a scale factor."
        )
    return state, combined


def average_water(scan: Spectrum, settings: PreprocessSection) -> Spectrum:
    """Mean of a water reference over all repetitions and conditions, aligned when there are several."""
    fids = scan.fid.reshape(-1, scan.n_points)
    flat = scan.with_fid(fids, ("DIM_DYN",))
    if fids.shape[0] > 1 and settings.alignment.enabled:
        found = align.estimate(flat, method="spectral-registration", max_shift_hz=settings.alignment.max_shift_hz)
        fids = align.apply(fids, scan.dwell, found.hz, found.deg)
    return scan.with_fid(fids.mean(axis=0), ())


@dataclass(frozen=True, eq=False)
class _Flat:
    """Transients in the order of the file's axes, with the edit condition of each."""

    scan: Spectrum
    condition: npt.NDArray[np.intp]


def _flattened(scan: Spectrum) -> _Flat:
    """Flatten all leading axes; the last of them runs fastest."""
    shape = scan.fid.shape[:-1]
    condition = np.zeros(int(np.prod(shape)), dtype=np.intp)
    if "DIM_EDIT" in scan.dims:
        condition = np.indices(shape)[scan.dims.index("DIM_EDIT")].ravel()
    return _Flat(scan.with_fid(scan.fid.reshape(-1, scan.n_points), ("DIM_DYN",)), condition)


def average(state: State, settings: PreprocessSection, edit_off: int | None = None) -> State:
    """Judge, align and average the transients of a combined scan; edited conditions each by themselves.

    Parameters
    ----------
    state, settings
        The scan so far and what is to be done.
    edit_off
        Which edit condition the header calls unedited, from 0; ``None``: it does not say.

    Returns
    -------
    State
        One averaged FID; for edited data the unedited condition (or the first), the others beside it.
    """
    scan = state.spectrum
    if scan.fid.ndim == 1:
        for name in ("outliers", "alignment", "averaging"):
            state = state.skipped(name, "the input is one averaged FID")
        return state
    users = [tag for tag in scan.dims if tag.startswith("DIM_USER")]
    if users:
        state = state.warn(f"The axes {', '.join(users)} were taken as repetitions and averaged.")
    flat = _flattened(scan)
    conditions = np.unique(flat.condition)
    if conditions.size == flat.condition.size:
        for name in ("outliers", "alignment"):
            state = state.skipped(name, "the input has one averaged FID per condition")
        state = state.skipped("averaging", "the input has one averaged FID per condition")
        return _edited(state, list(flat.scan.fid), settings, edit_off)
    judged = [judge(flat.scan.with_fid(flat.scan.fid[flat.condition == c]), settings) for c in conditions]
    state = _recorded(state, flat, judged, settings)
    means = [_mean(result, flat.scan, settings) for result in judged]
    before = display(flat.scan.fid[flat.condition == conditions[0]].mean(axis=0)).astype(np.complex64)
    after = display(means[0]).astype(np.complex64)
    state = replace(state, evidence={**state.evidence, "alignment.before": before, "alignment.after": after})
    if len(means) == 1:
        return replace(state, spectrum=scan.with_fid(means[0], ()))
    return _edited(state, means, settings, edit_off)


def _mean(result: Transients, scan: Spectrum, settings: PreprocessSection) -> ComplexArray:
    """Mean of the kept transients, by similarity to the median when asked."""
    fids = result.aligned[result.kept]
    if not settings.averaging.weighted:
        return np.asarray(fids.mean(axis=0))
    shown = display(fids)
    inside = (scan.ppm >= min(settings.outliers.ppm)) & (scan.ppm <= max(settings.outliers.ppm))
    middle = np.median(shown.real, axis=0) + 1j * np.median(shown.imag, axis=0)
    weight = 1.0 / np.maximum(np.mean(np.abs(shown - middle)[:, inside] ** 2, axis=1), np.finfo(float).tiny)
    return np.asarray(weight / weight.sum() @ fids)


def _recorded(state: State, flat: _Flat, judged: list[Transients], settings: PreprocessSection) -> State:
    """Enter records, drift and evidence of the judged transients, in the file's order."""
    places = [np.flatnonzero(flat.condition == c) for c in np.unique(flat.condition)]
    kept = _merged([result.kept for result in judged], places).astype(bool)
    hz = _merged([result.alignment.hz for result in judged], places)
    deg = _merged([result.alignment.deg for result in judged], places)
    reasons = {
        int(place[number]): words
        for place, result in zip(places, judged, strict=True)
        for number, words in result.reasons.items()
    }
    state = replace(
        state,
        drift_hz=tuple(float(value) if ok else None for value, ok in zip(hz, kept, strict=True)),
        drift_deg=tuple(float(value) if ok else None for value, ok in zip(deg, kept, strict=True)),
        kept=tuple(bool(ok) for ok in kept),
        evidence={**state.evidence, **_evidence(flat, judged, places)},
    )
    state = _outlier_record(state, judged, reasons, settings)
    state = _alignment_record(state, judged, settings)
    if settings.averaging.enabled:
        words = (
            "weighted by similarity to the median"
            if settings.averaging.weighted
            else "plain mean of the kept transients"
        )
        return state.done("averaging", words, _same, transients=int(kept.sum()))
    return state.skipped("averaging", "switched off; a single spectrum is needed, so the plain mean was taken").warn(
        "Averaging cannot be switched off for input with several transients; the plain mean was taken."
    )


def _same(spectrum: Spectrum) -> Spectrum:
    """Change nothing: the step's effect is entered by the caller."""
    return spectrum


def _outlier_record(
    state: State, judged: list[Transients], reasons: dict[int, str], settings: PreprocessSection
) -> State:
    limited = sum(result.limited for result in judged)
    if limited:
        state = state.warn(
            f"{limited} more transients look corrupted than the largest share allows to drop "
            f"({settings.outliers.max_share:.0%}); they were kept."
        )
    if not settings.outliers.enabled:
        return state.skipped("outliers", "switched off")
    named = {str(number + 1): words for number, words in sorted(reasons.items())}
    if not named:
        return state.skipped("outliers", "no transient stands out", dropped=named)
    return state.done("outliers", f"{len(named)} transients dropped", _same, dropped=named)


def _alignment_record(state: State, judged: list[Transients], settings: PreprocessSection) -> State:
    numbers = {
        "method": settings.alignment.method,
        "sd_hz": max(result.alignment.sd_hz for result in judged),
        "sd_deg": max(result.alignment.sd_deg for result in judged),
        "water_weight": max(result.alignment.water_weight for result in judged),
        "rounds": max(result.alignment.rounds for result in judged),
    }
    if not all(np.isfinite(result.alignment.sd_hz) for result in judged):
        words = "no common signal stands above the noise"
        return state.skipped("alignment", words, **numbers).warn(f"Transients were not aligned: {words}.")
    if not settings.alignment.enabled:
        return state.skipped("alignment", "switched off; drift measured only", **numbers)
    return state.done("alignment", "single transients", _same, **numbers)


def _merged(parts: Sequence[npt.NDArray[Any]], places: list[npt.NDArray[np.intp]]) -> FloatArray:
    """Put per-condition values back into the file's order."""
    merged = np.zeros(sum(place.size for place in places))
    for part, place in zip(parts, places, strict=True):
        merged[place] = part
    return merged


def _evidence(flat: _Flat, judged: list[Transients], places: list[npt.NDArray[np.intp]]) -> Evidence:
    """Real spectra of all transients before and after alignment, for the waterfall of the report."""
    scan = flat.scan
    inside = (scan.ppm >= _SHOWN_PPM[0]) & (scan.ppm <= _SHOWN_PPM[1])
    if scan.nucleus != "1H":
        inside = np.ones(scan.n_points, dtype=bool)
    after = np.zeros((scan.fid.shape[0], int(inside.sum())), dtype=np.float32)
    for result, place in zip(judged, places, strict=True):
        after[place] = display(result.aligned)[:, inside].real
    return {
        "transients.ppm": scan.ppm[inside],
        "transients.before": display(scan.fid)[:, inside].real.astype(np.float32),
        "transients.after": after,
        "transients.distance": _merged([result.distance for result in judged], places),
        "transients.amplitude": _merged([result.alignment.amplitude for result in judged], places),
        "transients.condition": flat.condition,
    }


def _edited(state: State, means: list[ComplexArray], settings: PreprocessSection, edit_off: int | None) -> State:
    """Align edited sub-spectra to one another and make difference and sum of the two."""
    scan = state.spectrum
    if len(means) != 2:
        names = {f"condition_{number + 1}": scan.with_fid(mean, ()) for number, mean in enumerate(means)}
        state = state.warn(f"There are {len(means)} edit conditions; difference and sum are made for two only.")
        return replace(state, spectrum=scan.with_fid(means[0], ()), others=names)
    off, words = _unedited(scan, means, edit_off)
    pair = [scan.with_fid(means[off], ()), scan.with_fid(means[1 - off], ())]
    hz, deg = align.between(pair[0], pair[1], _EDIT_BANDS, settings.alignment.max_shift_hz)
    used = settings.alignment.enabled and np.isfinite(hz)
    if used:
        pair[1] = pair[1].shifted(-hz).phased(-deg)
    others = {
        "on": pair[1],
        "off": pair[0],
        "difference": scan.with_fid(pair[1].fid - pair[0].fid, ()),
        "sum": scan.with_fid(pair[1].fid + pair[0].fid, ()),
    }
    state = replace(state, spectrum=pair[0], others=others)
    reason = f"{words}; sub-spectra {'aligned on tCho and tCr' if used else 'not aligned'}"
    return state.done("edited", reason, _same, off=off + 1, shift_hz=hz, phase_deg=deg, aligned=bool(used))


def _unedited(scan: Spectrum, means: list[ComplexArray], stated: int | None) -> tuple[int, str]:
    """Which of two conditions is the unedited one: that with clearly more NAA, else the stated, else the second."""
    inside = (scan.ppm >= 1.85) & (scan.ppm <= 2.2)
    heights = [float(np.max(np.abs(display(mean))[inside], initial=0.0)) for mean in means]
    if max(heights) > 1.3 * min(heights):
        off = int(np.argmax(heights))
        said = "" if stated in {None, off} else f", although the header calls condition {(stated or 0) + 1} that"
        return off, f"condition {off + 1} has the larger NAA and is taken as not edited{said}"
    if stated is not None:
        return stated, f"condition {stated + 1} is the one without editing by the file's header"
    return 1, "NAA is alike in both conditions; the first is taken as edited"
