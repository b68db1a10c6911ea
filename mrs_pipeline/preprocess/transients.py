"""Quality of single transients: which are corrupted, and why."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mrs_pipeline.config import PreprocessSection
from mrs_pipeline.preprocess import align
from mrs_pipeline.preprocess.types import display
from mrs_pipeline.spectrum import ComplexArray, FloatArray, Spectrum

MIN_TRANSIENTS = 5
"""Fewer transients give no scatter to judge one of them by."""

_LIPID_EDGE_PPM = 1.8
_APODISATION_HZ = 5.0
_AMPLITUDE_TOLERANCE = 0.15
_NOISE_TOLERANCE = 0.2
_SPIKE_RATIO = 1.5
_MAX_PASSES = 4


@dataclass(frozen=True, eq=False)
class Transients:
    """Transients judged and aligned.

    Parameters
    ----------
    kept
        Which are kept, shape ``(n_transients,)``.
    reasons
        Why each dropped one was dropped, by its number.
    alignment
        Offsets relative to the median of the kept ones.
    aligned
        Aligned FIDs of all transients, shape ``(n_transients, n_points)``.
    distance
        Energy of the difference from the median spectrum over what noise explains, the larger of the two windows.
    limited
        How many more would have been dropped but for the largest share allowed.
    """

    kept: npt.NDArray[np.bool_]
    reasons: dict[int, str]
    alignment: align.Alignment
    aligned: ComplexArray
    distance: FloatArray
    limited: int


def judge(scan: Spectrum, settings: PreprocessSection) -> Transients:
    """Align transients, drop the corrupted ones and align again until the set is stable.

    Parameters
    ----------
    scan
        FIDs, shape ``(n_transients, n_points)``.
    settings
        ``outliers`` and ``alignment``. With alignment switched off the offsets are still measured (they are needed to
        compare transients, and are reported), but the data are left as they are.

    Notes
    -----
    A transient is compared with the median of all kept ones after alignment, at a resolution of 5 Hz. Dropped is what
    lies more than the threshold, in robust standard deviations of the kept ones (never less than those expected from
    noise), from the median in: the energy of the difference in the metabolite or in the lipid window (cube root,
    which makes a chi-square nearly normal: Wilson and Hilferty 1931, doi:10.1073/pnas.17.12.684), the amplitude (and
    by more than 15 %), or the noise (and by more than 20 %).
    """
    count = scan.fid.shape[0]
    kept = np.ones(count, dtype=bool)
    reasons: dict[int, str] = {}
    limited = 0
    for _ in range(_MAX_PASSES):
        found = _aligned_on(scan, settings, kept)
        aligned = align.apply(scan.fid, scan.dwell, found.hz, found.deg)
        scores = _scores(scan.with_fid(aligned), found, kept, settings)
        if not settings.outliers.enabled or count < MIN_TRANSIENTS:
            break
        new_reasons, limited = _verdicts(scores, settings)
        new_kept = np.array([number not in new_reasons for number in range(count)])
        settled = bool(np.array_equal(new_kept, kept))
        kept, reasons = new_kept, new_reasons
        if settled:
            break
    found = _aligned_on(scan, settings, kept)
    data = align.apply(scan.fid, scan.dwell, found.hz, found.deg) if settings.alignment.enabled else scan.fid
    return Transients(kept, reasons, found, data, scores.distance, limited)


@dataclass(frozen=True, eq=False)
class _Scores:
    """Robust z-values of each transient by kind, and its distance."""

    by_kind: dict[str, FloatArray]
    distance: FloatArray


def _aligned_on(scan: Spectrum, settings: PreprocessSection, kept: npt.NDArray[np.bool_]) -> align.Alignment:
    """Offsets with the template made of the kept transients."""
    chosen = settings.alignment
    return align.estimate(scan, method=chosen.method, ppm=chosen.ppm, max_shift_hz=chosen.max_shift_hz, kept=kept)


def _scores(
    aligned: Spectrum, found: align.Alignment, kept: npt.NDArray[np.bool_], settings: PreprocessSection
) -> _Scores:
    """Compare each aligned transient with the median of the kept ones."""
    damped = display(aligned.fid * np.exp(-np.pi * _APODISATION_HZ * aligned.time))
    middle = np.median(damped[kept].real, axis=0) + 1j * np.median(damped[kept].imag, axis=0)
    own_noise = _noise(aligned)
    low, high = min(settings.outliers.ppm), max(settings.outliers.ppm)
    windows = {
        "unlike the others at the metabolites": (max(low, _LIPID_EDGE_PPM), high),
        "unlike the others at the lipids": (low, min(high, _LIPID_EDGE_PPM)),
    }
    by_kind: dict[str, FloatArray] = {}
    distance = np.zeros(kept.size)
    for words, (start, end) in windows.items():
        inside = (aligned.ppm >= start) & (aligned.ppm < end)
        if np.count_nonzero(inside) < 4:
            continue
        energy = np.mean(np.abs(damped[:, inside] - middle[inside]) ** 2, axis=1)
        relative_energy = energy / max(float(np.median(energy[kept])), np.finfo(float).tiny)
        distance = np.maximum(distance, relative_energy)
        freedom = 2.0 * max(np.count_nonzero(inside) * _independent_share(aligned), 4.0)
        by_kind[words] = _robust_z(np.cbrt(relative_energy), kept, float(np.sqrt(2.0 / (9.0 * freedom))))
    middle_amplitude = max(float(np.median(found.amplitude[kept])), np.finfo(float).tiny)
    amplitude = found.amplitude / middle_amplitude
    amplitude_z = _robust_z(amplitude, kept, min(found.amplitude_sd / middle_amplitude, 1e6))
    by_kind["amplitude"] = np.where(np.abs(amplitude - 1.0) > _AMPLITUDE_TOLERANCE, np.abs(amplitude_z), 0.0)
    noise = own_noise / max(float(np.median(own_noise[kept])), np.finfo(float).tiny)
    noise_z = _robust_z(noise, kept, float(1.0 / np.sqrt(aligned.n_points)))
    by_kind["noise"] = np.where(noise - 1.0 > _NOISE_TOLERANCE, noise_z, 0.0)
    by_kind["a spike in time"] = _spikes(aligned, kept)
    return _Scores(by_kind, distance)


def _spikes(aligned: Spectrum, kept: npt.NDArray[np.bool_]) -> FloatArray:
    """Robust z of the largest point of the difference from the mean; 0 unless it is half as large again as usual."""
    difference = np.abs(aligned.fid - aligned.fid[kept].mean(axis=0))
    largest = difference[:, 1:].max(axis=1)
    usual = max(float(np.median(largest[kept])), np.finfo(float).tiny)
    # the largest of n normal magnitudes scatters by about its mean / (2 ln n)
    score = _robust_z(largest / usual, kept, 1.0 / (2.0 * float(np.log(aligned.n_points))))
    return np.where(largest > _SPIKE_RATIO * usual, score, 0.0)


def _noise(aligned: Spectrum) -> FloatArray:
    """Noise level of each transient: RMS of the last quarter of its FID."""
    tail = aligned.fid[:, -max(aligned.n_points // 4, 8) :]
    return np.asarray(np.sqrt(np.mean(np.abs(tail) ** 2, axis=1)))


def _independent_share(aligned: Spectrum) -> float:
    """Share of the bins that are independent after apodisation."""
    power = np.exp(-2 * np.pi * _APODISATION_HZ * aligned.time)
    return float(power.sum() ** 2 / (power**2).sum() / aligned.n_points)


def _robust_z(values: FloatArray, kept: npt.NDArray[np.bool_], least_sd: float) -> FloatArray:
    """Distance from the median of the kept ones in robust SDs, the SD never below the one expected."""
    middle = np.median(values[kept])
    spread = max(1.4826 * float(np.median(np.abs(values[kept] - middle))), least_sd)
    return np.asarray((values - middle) / spread)


def _verdicts(scores: _Scores, settings: PreprocessSection) -> tuple[dict[int, str], int]:
    """Transients to drop with the reason, worst first up to the largest share, and how many were spared by it."""
    kinds = list(scores.by_kind)
    table = np.stack([scores.by_kind[kind] for kind in kinds])
    worst = table.max(axis=0)
    beyond = np.flatnonzero(worst > settings.outliers.threshold)
    allowed = int(np.floor(settings.outliers.max_share * worst.size))
    dropped = beyond[np.argsort(-worst[beyond], kind="stable")][:allowed]
    reasons = {int(number): _words(kinds, table[:, number], settings.outliers.threshold) for number in dropped}
    return dict(sorted(reasons.items())), int(beyond.size - dropped.size)


def _words(kinds: list[str], values: FloatArray, threshold: float) -> str:
    """Name what is wrong with a transient: everything beyond the threshold, the worst first."""
    order = [int(index) for index in np.argsort(-values, kind="stable") if values[index] > threshold]
    return ", ".join(f"{kinds[index]} ({values[index]:.1f} robust SD)" for index in order)
