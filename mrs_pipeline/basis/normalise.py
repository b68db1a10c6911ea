"""Bringing an imported basis set to the package's convention: sense, carrier, first point, reference peaks, unit.

Each step looks at the data, corrects what it finds and says so in a note.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mrs_pipeline.basis.model import Basis
from mrs_pipeline.basis.names import SINGLETS
from mrs_pipeline.errors import BasisError
from mrs_pipeline.spectrum import WATER_PPM, ComplexArray, FloatArray

_CARRIER_TOLERANCE_PPM = 0.002
_MAX_SCATTER_PPM = 0.02
_HALVED = (0.35, 0.75)
_ZERO_FILLED = 1e-6
_SCALE_SPAN = 0.1
_OTHER_LINES: dict[str, tuple[float, ...]] = {"Cr": (3.913, 6.649), "PCr": (3.930, 6.581, 7.296)}
_PRESENT = 0.02
_SCALE_ORDER = ("Cr", "PCr", "sIns", "Gly", "Ace", "NAA", "PCh", "GPC")


def normalise(basis: Basis) -> Basis:
    """Return an imported set in the package's convention and unit.

    Parameters
    ----------
    basis
        FIDs as read, nominal carrier.

    Raises
    ------
    BasisError
        A FID is empty or not finite.
    """
    _require_signal(basis)
    basis = drop_zero_filling(basis)
    basis = double_first_point(basis)
    basis = correct_axis(basis)
    basis = remove_reference_peak(basis)
    return rescale(basis)


def _require_signal(basis: Basis) -> None:
    bad = [n for n, fid in zip(basis.names, basis.fids, strict=True) if not np.isfinite(fid).all() or not np.any(fid)]
    if bad:
        raise BasisError(
            f"no usable signal for {', '.join(bad)}",
            remedy="export these metabolites again or leave them out",
            path=basis.file,
        )


def drop_zero_filling(basis: Basis) -> Basis:
    """Return the set without a second half that only holds zeros (LCModel stores spectra of zero-filled FIDs)."""
    half = basis.n_points // 2
    energy = np.abs(basis.fids) ** 2
    if half == 0 or energy[:, half:].sum() > _ZERO_FILLED * energy.sum():
        return basis
    return replace(basis, fids=basis.fids[:, :half]).noted(
        "zero-filled to twice its length: the empty half was dropped"
    )


def double_first_point(basis: Basis) -> Basis:
    """Return the set with a halved first point undone.

    Notes
    -----
    Echoes start with all lines in phase, so that |y(0)| and |y(1)| are nearly equal; a set stored with
    a halved first point has a ratio near one half.
    """
    rows = [i for i, name in enumerate(basis.names) if name in SINGLETS] or list(range(len(basis)))
    ratio = float(np.median(np.abs(basis.fids[rows, 0]) / np.maximum(np.abs(basis.fids[rows, 1]), 1e-300)))
    if not _HALVED[0] < ratio < _HALVED[1]:
        return basis
    fids = basis.fids.copy()
    fids[:, 0] *= 2
    return replace(basis, fids=fids).noted(f"first point was halved (|y0|/|y1| = {ratio:.2f}): doubled")


def correct_axis(basis: Basis) -> Basis:
    """Return the set with its carrier at 4.65 ppm and not mirrored, judged by its uncoupled lines."""
    measured = {name: strongest_line_hz(basis, name) for name in _with_singlet(basis)}
    if not measured:
        return move_carrier(basis, WATER_PPM).noted("no uncoupled line to check the frequency axis with")
    known = np.array([SINGLETS[name][0] for name in measured])
    ppm = np.array(list(measured.values())) / basis.field_mhz
    straight, mirrored = known - ppm, known + ppm
    if _is_mirrored(straight, mirrored, known):
        basis = replace(basis, fids=basis.fids.conj()).noted("the frequency axis was mirrored: conjugated")
        straight = mirrored
    carrier = float(np.median(straight))
    if np.median(np.abs(straight - carrier)) > _MAX_SCATTER_PPM:
        return move_carrier(basis, WATER_PPM).noted("the uncoupled lines do not agree on the carrier: left as stated")
    if abs(carrier - basis.reference_ppm) > _CARRIER_TOLERANCE_PPM:
        note = f"carrier at {carrier:.3f} ppm by its uncoupled lines, not at {basis.reference_ppm:.3f} ppm: corrected"
        basis = replace(basis, reference_ppm=carrier).noted(note)
    return move_carrier(basis, WATER_PPM)


def _with_singlet(basis: Basis) -> list[str]:
    """Return the members whose strongest line is a known singlet and whose signal is not edited away."""
    sizes = {name: float(np.abs(fid[:8]).max()) for name, fid in zip(basis.names, basis.fids, strict=True)}
    largest = max(sizes.values())
    return [name for name in basis.names if name in SINGLETS and sizes[name] > _PRESENT * largest]


def _is_mirrored(straight: FloatArray, mirrored: FloatArray, known: FloatArray) -> bool:
    if np.ptp(known) > 0.2:
        return bool(np.std(mirrored) < 0.25 * np.std(straight))
    return bool(abs(np.median(mirrored) - WATER_PPM) < 0.1 < abs(np.median(straight) - WATER_PPM))


def move_carrier(basis: Basis, reference_ppm: float) -> Basis:
    """Return the set with another chemical shift at zero frequency; every line keeps its ppm."""
    hz = (basis.reference_ppm - reference_ppm) * basis.field_mhz
    return replace(basis, fids=basis.fids * np.exp(2j * np.pi * hz * basis.time), reference_ppm=reference_ppm)


def strongest_line_hz(basis: Basis, name: str, linewidth_hz: float = 2.0) -> float:
    """Return the offset of the highest line of a member in Hz (parabola through a zero-filled magnitude spectrum)."""
    size = 8 * basis.n_points
    magnitude = np.abs(np.fft.fft(basis.fid(name) * np.exp(-np.pi * linewidth_hz * basis.time), size))
    top = int(np.argmax(magnitude))
    left, middle, right = magnitude[top - 1], magnitude[top], magnitude[(top + 1) % size]
    step = 0.5 * (left - right) / (left - 2 * middle + right)
    return float((np.fft.fftfreq(size, basis.dwell)[top]) + step / (size * basis.dwell))


def line_amplitude(basis: Basis, name: str, ppm: float, others: tuple[float, ...] = ()) -> complex:
    """Return the complex amplitude at t = 0 of one uncoupled line, whatever its shape.

    Parameters
    ----------
    basis
        The set.
    name
        Member.
    ppm
        Chemical shift of the line.
    others
        Chemical shifts of the member's other uncoupled lines.

    Notes
    -----
    Linear least squares over the first 100 ms on lines of known frequency, each with a polynomial envelope.
    """
    count = max(32, min(basis.n_points, int(_SCALE_SPAN / basis.dwell)))
    t = basis.time[:count]
    envelope = np.vander(t / t[-1], 6, increasing=True)
    frequencies = (np.array([ppm, *others]) - basis.reference_ppm) * basis.field_mhz
    columns = [np.exp(2j * np.pi * f * t)[:, np.newaxis] * envelope for f in frequencies]
    solution = np.linalg.lstsq(np.hstack(columns), basis.fid(name)[:count], rcond=None)[0]
    return complex(solution[0])


def remove_reference_peak(basis: Basis, threshold: float = 0.03) -> Basis:
    """Return the set without the lines at 0 ppm (TMS, DSS) that some simulated sets carry for phasing.

    Parameters
    ----------
    basis
        The set.
    threshold
        Smallest share of the first point that counts as a reference line.
    """
    fids = basis.fids.copy()
    found = []
    for row, name in enumerate(basis.names):
        line = _reference_line(basis, fids[row])
        if line is not None and abs(line[0]) > threshold * abs(fids[row, 0]):
            fids[row] = fids[row] - line
            found.append(name)
    if not found:
        return basis
    return replace(basis, fids=fids).noted(f"reference line at 0 ppm removed from {', '.join(found)}")


def _reference_line(basis: Basis, fid: ComplexArray) -> ComplexArray | None:
    """Return the FID of a line within 0.05 ppm of 0 ppm, or ``None`` when the spectrum has no local peak there."""
    size = 4 * basis.n_points
    spectrum = np.abs(np.fft.fft(fid, size))
    ppm = basis.reference_ppm + np.fft.fftfreq(size, basis.dwell) / basis.field_mhz
    near, around = np.abs(ppm) < 0.05, (np.abs(ppm) > 0.1) & (np.abs(ppm) < 0.3)
    if not near.any() or not around.any() or spectrum[near].max() < 5 * spectrum[around].max():
        return None
    start = float(ppm[near][np.argmax(spectrum[near])] - basis.reference_ppm) * basis.field_mhz
    return _fit_line(fid, basis.time, start, 0.1 * basis.field_mhz)


def _fit_line(fid: ComplexArray, time: FloatArray, start_hz: float, window_hz: float) -> ComplexArray:
    """Return the damped line that explains the spectrum around ``start_hz`` best."""
    from scipy.optimize import least_squares

    inside = np.abs(np.fft.fftfreq(len(fid), time[1] - time[0]) - start_hz) < window_hz
    target = np.fft.fft(fid)[inside]
    flat = np.stack([np.ones(inside.sum()), np.linspace(-1, 1, inside.sum())], axis=1)

    def model(p: FloatArray) -> tuple[ComplexArray, ComplexArray]:
        line = np.exp((2j * np.pi * p[0] - abs(p[1])) * time)
        design = np.column_stack([np.fft.fft(line)[inside], flat])
        solution = np.linalg.lstsq(design, target, rcond=None)[0]
        return solution[0] * line, target - design @ solution

    def residual(p: FloatArray) -> FloatArray:
        return model(p)[1].view(np.float64)

    best = least_squares(residual, [start_hz, 5.0], x_scale=[0.1, 1.0])
    return model(best.x)[0]


def rescale(basis: Basis) -> Basis:
    """Return the set in the basis unit: the 3.027 ppm line of Cr is 3 protons (or the best uncoupled line there is)."""
    present = _with_singlet(basis)
    reference = next((name for name in _SCALE_ORDER if name in present), None)
    if reference is None:
        return basis.noted("no uncoupled line to fix the scale with: amplitudes are in the file's own unit")
    ppm, protons = SINGLETS[reference]
    size = abs(line_amplitude(basis, reference, ppm, _OTHER_LINES.get(reference, ())))
    factor = protons / size
    basis = replace(basis, fids=basis.fids * factor, scale=basis.scale * factor)
    return basis.noted(f"scaled by {factor:.6g} so that the {ppm} ppm line of {reference} is {protons} protons")
