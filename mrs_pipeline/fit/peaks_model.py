r"""Sum of peaks with prior knowledge: forward model and derivatives.

Line ``l`` of peak ``k`` in the time domain, the model of AMARES (Vanhamme 1997, doi:10.1006/jmre.1997.1244) with a
Voigt instead of a purely Lorentzian or Gaussian decay:

.. math:: w_l\exp\{i\psi_k + 2\pi i\nu_l t + 2\pi i(\nu_l-\nu_0)t_0 - \pi L_k(t+t_0) - G(g_k(t+t_0))^2\},
   \qquad G = \pi^2/(4\ln2)

with the begin time :math:`t_0` of the first point and the pivot :math:`\nu_0` of the reference peak. Frequencies,
widths and phases of the lines are affine in the free parameters, :math:`p = p_0 + M\theta`: a link between peaks is a
shared column of ``M``, a fixed value has none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mrs_pipeline.fit.components import METABOLITES, Components
from mrs_pipeline.fit.model import GAUSS, Model, Parameter, token
from mrs_pipeline.fit.peaks_table import PeakLine, PeakTable, linked_to
from mrs_pipeline.spectrum import ComplexArray, FloatArray, Spectrum

WIDEST_SHIFT_SDS = 5.0
FREE_PHASE = 2.0 * np.pi


@dataclass(frozen=True, eq=False)
class Affine:
    """One property of all lines as a function of the free parameters.

    Parameters
    ----------
    base
        Value at zero, shape ``(L,)``.
    matrix
        Derivative, shape ``(L, p)``.
    """

    base: FloatArray
    matrix: FloatArray

    def at(self, theta: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Value of each line, shape ``(L,)``."""
        return np.asarray(self.base + self.matrix @ theta)


@dataclass(frozen=True, eq=False)
class PeakModel(Model):
    """Forward model of a table of peaks over the fitted window, for :class:`mrs_pipeline.fit.objective.Objective`.

    Parameters
    ----------
    frequency, width, gauss, angle
        Offset from the carrier (Hz), Lorentzian and Gaussian full width at half maximum (Hz) and phase (rad) of each
        line.
    begin
        Time of the first point in seconds; one row.
    pivot_hz
        Offset of the phase pivot from the carrier.
    membership
        Weight of each line in each component, shape ``(K, L)``.
    used
        Weight of each point of the FID (:func:`used_points`), shape ``(n_points,)``.
    """

    frequency: Affine
    width: Affine
    gauss: Affine
    angle: Affine
    begin: Affine
    pivot_hz: float
    membership: FloatArray
    used: FloatArray

    def phase(self, theta: npt.NDArray[Any]) -> npt.NDArray[Any]:  # noqa: ARG002  phases belong to the lines here
        """Phase factor over the window: 1."""
        return np.ones(self.offset_hz.size)

    def modulated(self, theta: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """FIDs of all components at unit amplitude, shape ``(K, n_points)``."""
        return np.asarray(self.membership @ self.line_fids(theta))

    def line_fids(self, theta: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """FIDs of all lines at unit weight, shape ``(L, n_points)``."""
        nu, t0 = self.frequency.at(theta)[:, None], self.begin.at(theta)[0]
        t = self.time + t0
        exponent = 1j * self.angle.at(theta)[:, None] + 2j * np.pi * (nu * self.time + (nu - self.pivot_hz) * t0)
        exponent = (
            exponent - np.pi * self.width.at(theta)[:, None] * t - GAUSS * (self.gauss.at(theta)[:, None] * t) ** 2
        )
        return np.asarray(np.exp(exponent) * self.used)

    def derivatives(
        self,
        theta: FloatArray,
        amplitudes: FloatArray,
        modulated: ComplexArray,  # noqa: ARG002  lines are needed one by one
        residual: FloatArray,
    ) -> tuple[FloatArray, FloatArray]:
        """Differentiate the real spectrum, contracted as in :meth:`Model.derivatives`."""
        fids, t = self.line_fids(theta), self.time + self.begin.at(theta)[0]
        weight = amplitudes @ self.membership
        adjoint = fids * self.from_window(residual.astype(np.complex128))
        moved = np.zeros((theta.size, self.time.size), dtype=np.complex128)
        pull = np.zeros((theta.size, amplitudes.size))
        for power, factor in enumerate(self._factors(theta)):
            moved += (factor * weight[:, None]).T @ (fids * t**power)
            pull += (factor * (adjoint @ t**power)[:, None]).real.T @ self.membership.T
        return np.asarray(self.to_window(moved).real), pull

    def _factors(self, theta: FloatArray) -> tuple[ComplexArray, ComplexArray, ComplexArray]:
        """Differentiate the lines' exponents: factors of 1, t and t^2, shape ``(L, p)`` each."""
        nu, width = self.frequency.at(theta)[:, None], self.width.at(theta)[:, None]
        gauss, begin = self.gauss.at(theta)[:, None], self.begin.matrix
        constant = 1j * self.angle.matrix + (2j * np.pi * (nu - self.pivot_hz) - np.pi * width) * begin
        linear = 2j * np.pi * self.frequency.matrix - np.pi * self.width.matrix - 2.0 * GAUSS * gauss**2 * begin
        square = -2.0 * GAUSS * gauss * self.gauss.matrix + 0j
        return constant, linear, square


def amplitude_owner(table: PeakTable, name: str) -> tuple[str, float]:
    """Return the peak whose amplitude is free in a chain of exact ratios, and the ratio to it."""
    chain = linked_to(table, name, "ratio")
    ratio = 1.0
    for member in chain[:-1]:
        ratio *= table.line(member).ratio
    return chain[-1], ratio


class _Layout:
    """Collects the free parameters of a table and lays the lines' properties out over them."""

    def __init__(self, table: PeakTable, mhz: float, reference_ppm: float) -> None:
        self.table, self.mhz, self.reference_ppm = table, mhz, reference_ppm
        self.parameters: list[Parameter] = []
        self.index: dict[str, int] = {}

    def free(self, name: str, value: float, sd: float, limits: tuple[float, float]) -> int | None:
        """Add a free parameter (once) and return its place; ``None`` for one that is fixed."""
        if sd == 0:
            return None
        if name not in self.index:
            self.index[name] = len(self.parameters)
            self.parameters.append(Parameter(name, value, value, sd, *limits))
        return self.index[name]

    def affine(self, rows: list[tuple[float, dict[int, float]]]) -> Affine:
        """Turn values and their coefficients into base and matrix."""
        matrix = np.zeros((len(rows), len(self.parameters)))
        for number, (_, columns) in enumerate(rows):
            for place, coefficient in columns.items():
                matrix[number, place] = coefficient
        return Affine(np.array([base for base, _ in rows]), matrix)

    def owner(self, line: PeakLine, kind: str) -> tuple[PeakLine, float]:
        """Return the peak that owns a parameter, and the factor on its width."""
        chain = linked_to(self.table, line.name, kind)
        factor = 1.0
        for name in chain[:-1]:
            factor *= self.table.line(name).width_factor if kind == "width" else 1.0
        return self.table.line(chain[-1]), factor

    def frequencies(self, line: PeakLine) -> list[tuple[float, dict[int, float]]]:
        """Offset of each line of a peak from the carrier, Hz."""
        owner, _ = self.owner(line, "shift")
        sd = owner.shift_sd_ppm * self.mhz
        limit = WIDEST_SHIFT_SDS * sd if owner.shift_max_ppm is None else owner.shift_max_ppm * self.mhz
        own = self.free(f"shift_{token(owner.name)}", 0.0, sd, (-limit, limit))
        split = self.free(f"j_{token(line.name)}", line.j_hz, line.j_sd_hz, _around(line.j_hz, line.j_sd_hz))
        centre = (line.ppm - self.reference_ppm) * self.mhz
        rows = []
        for number in range(len(line.pattern)):
            offset = 0.5 * (len(line.pattern) - 1) - number
            columns = {self.index["shift"]: 1.0} | ({} if own is None else {own: 1.0})
            fixed = centre + (offset * line.j_hz if split is None else 0.0)
            rows.append((fixed, columns | ({} if split is None else {split: offset})))
        return rows

    def widths(self, line: PeakLine) -> list[tuple[float, dict[int, float]]]:
        """Lorentzian width of each line of a peak, Hz."""
        owner, factor = self.owner(line, "width")
        limits = (owner.width_min_hz, owner.width_max_hz)
        place = self.free(f"width_{token(owner.name)}", owner.width_hz, owner.width_sd_hz, limits)
        row = (factor * owner.width_hz, {}) if place is None else (0.0, {place: factor})
        return [row] * len(line.pattern)

    def gausses(self, line: PeakLine) -> list[tuple[float, dict[int, float]]]:
        """Gaussian width of each line of a peak, Hz."""
        owner, _ = self.owner(line, "gauss")
        place = self.free(f"gauss_{token(owner.name)}", owner.gauss_hz, owner.gauss_sd_hz, (0.0, owner.gauss_max_hz))
        row = (owner.gauss_hz, {}) if place is None else (0.0, {place: 1.0})
        return [row] * len(line.pattern)

    def angles(self, line: PeakLine) -> list[tuple[float, dict[int, float]]]:
        """Phase of each line of a peak, rad."""
        owner, _ = self.owner(line, "phase")
        value, sd = np.deg2rad(owner.phase_deg), np.deg2rad(owner.phase_sd_deg)
        place = self.free(f"phase_{token(owner.name)}", value, sd, (value - FREE_PHASE, value + FREE_PHASE))
        columns = {self.index["phi0"]: 1.0}
        return [(value, columns) if place is None else (0.0, columns | {place: 1.0})] * len(line.pattern)


def _around(value: float, sd: float) -> tuple[float, float]:
    """Return limits four SDs around a value that is positive."""
    return max(0.0, value - 4.0 * sd), value + 4.0 * sd


def make_peak_model(spectrum: Spectrum, table: PeakTable, ppm: tuple[float, float]) -> PeakModel:
    """Lay out the model of one spectrum.

    Parameters
    ----------
    spectrum
        Data; gives time axis, field and reference.
    table
        Prior knowledge.
    ppm
        Fitted window.
    """
    n_fft = 2 * spectrum.n_points
    axis = spectrum.reference_ppm + np.fft.fftshift(np.fft.fftfreq(n_fft, spectrum.dwell)) / spectrum.carrier_mhz
    inside = np.flatnonzero((axis >= ppm[0]) & (axis <= ppm[1]))
    bins = (int(inside[0]), int(inside[-1]) + 1)
    layout = _Layout(table, spectrum.carrier_mhz, spectrum.reference_ppm)
    reach = table.shift_range_ppm * spectrum.carrier_mhz
    layout.free("phi0", 0.0, np.inf, (-FREE_PHASE, FREE_PHASE))
    layout.free("shift", 0.0, np.inf, (-reach, reach))
    begin, sd = 1e-3 * table.begin_ms, 1e-3 * table.begin_sd_ms
    place = layout.free("begin", begin, sd, (begin - 5.0 * sd, begin + 5.0 * sd))
    kinds = (layout.frequencies, layout.widths, layout.gausses, layout.angles)
    rows = [[row for line in table.lines for row in kind(line)] for kind in kinds]
    frequency, width, gauss, angle = (layout.affine(part) for part in rows)
    pivot = table.line(table.reference).ppm
    return PeakModel(
        components=_components(table, spectrum.n_points),
        time=spectrum.time,
        bins=bins,
        offset_hz=(axis[bins[0] : bins[1]] - pivot) * spectrum.carrier_mhz,
        parameters=tuple(layout.parameters),
        frequency=frequency,
        width=width,
        gauss=gauss,
        angle=angle,
        begin=layout.affine([(begin, {}) if place is None else (0.0, {place: 1.0})]),
        pivot_hz=(pivot - spectrum.reference_ppm) * spectrum.carrier_mhz,
        membership=_membership(table),
        used=used_points(spectrum.n_points, table.skip),
    )


def used_points(count: int, skip: int) -> FloatArray:
    r"""Return the weight of each point of the FID: 0 where left out, :math:`1/\sqrt2` for the first, 1 for the rest.

    Notes
    -----
    The real part of a zero-filled spectrum is the transform of the FID's even part, in which every point but the first
    stands twice at half its size. With the first point weighed so, noise that is white in the FID is white there.
    """
    used = (np.arange(count) >= skip).astype(np.float64)
    used[0] *= np.sqrt(0.5)
    return used


def owners(table: PeakTable) -> tuple[str, ...]:
    """Names of the peaks whose amplitude is their own."""
    return tuple(name for name in table.names if amplitude_owner(table, name)[0] == name)


def expansion(table: PeakTable) -> FloatArray:
    """Amplitudes of all peaks from those that are free, shape ``(peaks, K)``."""
    free = owners(table)
    out = np.zeros((len(table.lines), len(free)))
    for row, name in enumerate(table.names):
        owner, ratio = amplitude_owner(table, name)
        out[row, free.index(owner)] = ratio
    return out


def line_weights(table: PeakTable) -> FloatArray:
    """Weight of each line in its own peak at unit amplitude, shape ``(peaks, L)``."""
    counts = [len(line.pattern) for line in table.lines]
    out = np.zeros((len(counts), sum(counts)))
    first = np.cumsum([0, *counts])
    for row, line in enumerate(table.lines):
        pattern = np.array(line.pattern)
        out[row, first[row] : first[row + 1]] = line.nuclei * pattern / pattern.sum()
    return out


def _membership(table: PeakTable) -> FloatArray:
    return np.asarray(expansion(table).T @ line_weights(table))


def _components(table: PeakTable, n_points: int) -> Components:
    """Describe the free amplitudes to the objective; their signals come from the model itself."""
    free = owners(table)
    return Components(
        names=free,
        fids=np.zeros((len(free), n_points), dtype=np.complex128),
        group=np.full(len(free), METABOLITES),
        width=np.zeros(len(free)),
        damped=np.ones(len(free), bool),
        signed=np.array([table.line(name).signed for name in free], dtype=bool),
    )
