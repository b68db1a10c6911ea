r"""The signal model: forward, derivatives, bounds and start of the nonlinear parameters.

Component ``k`` of group ``g`` at time ``t``:

.. math:: b_k(t)\,\exp\{2\pi i(\delta_g+\delta_k)t - \pi(L_g + l_k)t - c_g t^2 +
\textstyle\sum_j(i\beta_j-\alpha_j)B_j(t)\}

with shifts :math:`\delta` and Lorentzian widths :math:`L, l` in Hz. Metabolites share the Gaussian width ``G``,
:math:`c = (\pi G)^2/(4\ln2)`. All share a non-parametric part: smooth functions :math:`B_j` of time (quadratic
B-splines in :math:`\tfrac12\ln(1+(t/\tau)^2)`, zero at the echo top) for what shim and eddy currents do to phase
(:math:`\beta`) and envelope (:math:`\alpha`) of every line alike. A peak of nominal width ``w`` in a background group
has :math:`c = f^2(\pi w)^2/(4\ln2)`, one relative width ``f`` per group. The spectrum is
:math:`\exp\{i\phi_0 + 2\pi i\tau(f-f_\mathrm{pivot})\}` times the Fourier transform, zero-filled to twice the length,
so that its real part carries all the information of the FID with independent noise.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import fft as scipy_fft

from mrs_pipeline.fit.components import ARTEFACT, METABOLITES, Components
from mrs_pipeline.fit.priors import LineshapePrior, Priors
from mrs_pipeline.spectrum import ComplexArray, FloatArray, Spectrum

GAUSS = np.pi**2 / (4.0 * np.log(2.0))
"""Gaussian decay rate of a line of 1 Hz full width at half maximum: exp(-GAUSS (w t)^2)."""


@dataclass(frozen=True)
class Parameter:
    """One nonlinear parameter: prior mean and SD (residual row), start and bounds, in its own unit."""

    name: str
    start: float
    mean: float
    sd: float
    lower: float
    upper: float


def _between(near: Parameter, wide: Parameter, share: float) -> Parameter:
    """Interpolate SD and bounds of one parameter; the same where both models agree."""
    if near.sd == wide.sd:
        return near
    factor = (wide.sd / near.sd) ** share
    return replace(near, sd=near.sd * factor, lower=near.lower * factor, upper=near.upper * factor)


@dataclass(frozen=True, eq=False)
class Model:
    """Forward model of one spectrum over the fitted window.

    Parameters
    ----------
    components
        What is combined.
    time
        Time axis in seconds, shape ``(n_points,)``.
    bins
        First and one-past-last index of the window in the centred, zero-filled spectrum.
    offset_hz
        Frequency of each window point from the phase pivot, shape ``(n,)``.
    parameters
        Nonlinear parameters, length p.
    """

    components: Components
    time: FloatArray
    bins: tuple[int, int]
    offset_hz: FloatArray
    parameters: tuple[Parameter, ...]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the nonlinear parameters."""
        return tuple(parameter.name for parameter in self.parameters)

    @cached_property
    def index(self) -> dict[str, int]:
        """Position of each parameter."""
        return {parameter.name: position for position, parameter in enumerate(self.parameters)}

    @cached_property
    def start(self) -> FloatArray:
        """Start values, shape ``(p,)``."""
        return np.array([parameter.start for parameter in self.parameters])

    @cached_property
    def mean(self) -> FloatArray:
        """Prior means, shape ``(p,)``."""
        return np.array([parameter.mean for parameter in self.parameters])

    @cached_property
    def sd(self) -> FloatArray:
        """Prior standard deviations, shape ``(p,)``."""
        return np.array([parameter.sd for parameter in self.parameters])

    @cached_property
    def _own_shift(self) -> npt.NDArray[np.int_]:
        return np.array([self.index[f"shift_{token(name)}"] for name in self.components.names])

    @cached_property
    def _own_width(self) -> npt.NDArray[np.int_]:
        return np.array([self.index.get(f"width_{token(name)}", -1) for name in self.components.names])

    def reaching(self, wide: Model, share: float) -> Model:
        """Return this model with prior SDs and bounds moved by ``share`` (0-1, geometric) towards those of ``wide``."""
        moved = tuple(_between(ours, far, share) for ours, far in zip(self.parameters, wide.parameters, strict=True))
        return replace(self, parameters=moved)

    def to_window(self, fids: npt.NDArray[Any]) -> ComplexArray:
        """Zero-filled spectrum over the window, shape ``(..., n)``."""
        half = self.time.size
        spectrum = scipy_fft.fft(fids, n=2 * half, axis=-1)
        low, high = self.bins[0] - half, self.bins[1] - half
        if low < 0 < high:
            return np.concatenate([spectrum[..., low:], spectrum[..., :high]], axis=-1)
        start = low % (2 * half)
        return np.asarray(spectrum[..., start : start + high - low])

    def from_window(self, window: ComplexArray) -> ComplexArray:
        """Adjoint of :meth:`to_window` without conjugation: ``u`` with ``sum(window * to_window(x)) = sum(u * x)``."""
        n_fft = 2 * self.time.size
        low, high = self.bins
        full = np.zeros((*window.shape[:-1], n_fft), dtype=np.complex128)
        full[..., (np.arange(low, high) - n_fft // 2) % n_fft] = window
        return np.asarray(scipy_fft.fft(full, axis=-1)[..., : self.time.size])

    def phase(self, theta: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Phase factor over the window, shape ``(n,)``."""
        angle = theta[self.index["phi0"]] + 2.0 * np.pi * theta[self.index["phi1"]] * self.offset_hz
        return np.asarray(np.exp(1j * angle))

    def modulated(self, theta: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """FIDs of all components with shift and lineshape, shape ``(K, n_points)``."""
        rate = self._linear_rate(theta)
        out = _geometric(np.exp(rate * self._dwell), self.time.size)
        out *= self.components.fids
        shape = np.exp(self.shape_exponent(theta))
        for group in self._groups:
            rows = self.components.group == group
            out[rows] *= np.exp(self.gaussian_exponent(theta, group)) * shape
        return np.asarray(out)

    @cached_property
    def _groups(self) -> tuple[int, ...]:
        """Lineshape groups that are present."""
        return tuple(int(group) for group in np.unique(self.components.group))

    @property
    def _dwell(self) -> float:
        return float(self.time[1] - self.time[0])

    def _linear_rate(self, theta: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Complex rate of each component in 1/s, shape ``(K,)``."""
        group = self.components.group
        shift = theta[self._own_shift] + theta[self.index["shift"]]
        for number in (1, 2):
            if f"shift_group{number}" in self.index:
                shift = shift + np.where(group == number, theta[self.index[f"shift_group{number}"]], 0.0)
        width = np.where(self._own_width >= 0, theta[self._own_width], 0.0)
        width = width + np.where(group == METABOLITES, theta[self.index["lorentz"]], 0.0)
        return np.asarray(2j * np.pi * shift - np.pi * width)

    def gaussian_exponent(self, theta: npt.NDArray[Any], group: int) -> npt.NDArray[Any]:
        """Gaussian decay of a group, shape ``(1, n_points)`` or one row per component."""
        t = self.time
        if group == METABOLITES:
            return np.asarray(-GAUSS * (theta[self.index["gauss"]] * t[None, :]) ** 2)
        factor = theta[self.index[f"width_group{group}"]] if f"width_group{group}" in self.index else 1.0
        rows = self.components.group == group
        width, damped = self.components.width[rows, None], self.components.damped[rows, None]
        return np.asarray(-GAUSS * (width * t) ** 2 * (factor**2 - damped))

    def shape_exponent(self, theta: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Non-parametric part of the lineshape, the same for every component, shape ``(n_points,)``."""
        if not self._shape_index.size:
            return np.zeros(self.time.size)
        return np.asarray(theta[self._shape_index] @ self._shape_functions)

    @cached_property
    def _shape_index(self) -> npt.NDArray[np.int_]:
        """Positions of the non-parametric lineshape parameters: phases, then envelopes."""
        return np.array([i for i, name in enumerate(self.names) if name.startswith(("eddy_", "envelope_"))], dtype=int)

    @cached_property
    def _shape_functions(self) -> ComplexArray:
        """Exponent per unit of each non-parametric parameter, shape ``(2 m, n_points)``."""
        splines = lineshape_splines(self.time, self._shape_index.size // 2)
        return np.concatenate([1j * splines, -splines])

    def spectra(self, theta: npt.NDArray[Any]) -> ComplexArray:
        """Complex spectra of all components at unit amplitude, shape ``(K, n)``."""
        return np.asarray(self.to_window(self.modulated(theta)) * self.phase(theta))

    def derivatives(
        self, theta: FloatArray, amplitudes: FloatArray, modulated: ComplexArray, residual: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        r"""Differentiate the real spectrum, contracted with the amplitudes and with a residual.

        Parameters
        ----------
        theta
            Nonlinear parameters, shape ``(p,)``.
        amplitudes
            Shape ``(K,)``.
        modulated
            :meth:`modulated` at ``theta``, shape ``(K, n_points)``.
        residual
            Real vector over the window, shape ``(n,)``.

        Returns
        -------
        moved
            :math:`\partial_j \sum_k a_k \mathrm{Re}S_k`, shape ``(p, n)``.
        pull
            :math:`\langle\partial_j \mathrm{Re}S_k, r\rangle`, shape ``(p, K)``.

        Notes
        -----
        Every parameter multiplies the FID by a polynomial in time, so the pulls are time moments of ``s_k u`` with
        the residual ``u`` taken to the time domain once, and only components that are present need a transform for
        ``moved``.
        """
        phase = self.phase(theta)
        adjoint = modulated * self.from_window(residual * phase)
        powers = self.time[:, None] ** np.arange(3)
        moments = adjoint @ powers
        ramp = modulated @ self.from_window(residual * phase * self.offset_hz)
        pull = self._pull(theta, moments, ramp)
        if self._shape_index.size:
            pull[self._shape_index] = (adjoint @ self._shape_functions.T).real.T
        return self._moved(theta, amplitudes, modulated, phase), pull

    def _group_factors(self, theta: FloatArray) -> dict[str, tuple[FloatArray, npt.NDArray[Any]]]:
        """Polynomial in time of each group parameter: weight per component ``(K,)`` and factors of t and t^2."""
        components = self.components
        everyone = np.ones(len(components))
        metabolite = (components.group == METABOLITES).astype(float)
        factors: dict[str, tuple[FloatArray, npt.NDArray[Any]]] = {
            "shift": (everyone, np.array([2j * np.pi, 0.0])),
            "lorentz": (metabolite, np.array([-np.pi, 0.0])),
            "gauss": (metabolite, np.array([0.0, -2.0 * GAUSS * theta[self.index["gauss"]]])),
        }
        for number in (1, 2):
            if f"width_group{number}" in self.index:
                member = (components.group == number).astype(float)
                factor = theta[self.index[f"width_group{number}"]]
                factors[f"shift_group{number}"] = (member, np.array([2j * np.pi, 0.0]))
                factors[f"width_group{number}"] = (
                    member * components.width**2,
                    np.array([0.0, -2.0 * GAUSS * factor]),
                )
        return factors

    def _moved(
        self, theta: FloatArray, amplitudes: FloatArray, modulated: ComplexArray, phase: ComplexArray
    ) -> FloatArray:
        moved = np.zeros((len(self.parameters), self.offset_hz.size))
        present = np.flatnonzero(amplitudes)
        weighted = modulated[present] * amplitudes[present, None]
        total = phase * self.to_window(weighted.sum(axis=0))
        moved[self.index["phi0"]] = -total.imag
        moved[self.index["phi1"]] = -2.0 * np.pi * self.offset_hz * total.imag
        first = phase * self.to_window(weighted * self.time)
        for row, component in enumerate(present):
            moved[self._own_shift[component]] = -2.0 * np.pi * first[row].imag
            if self._own_width[component] >= 0:
                moved[self._own_width[component]] = -np.pi * first[row].real
        for name, (weight, factor) in self._group_factors(theta).items():
            moved[self.index[name]] = self._group_moved(weight[present], factor, weighted, first, phase)
        if self._shape_index.size:
            shaped = weighted.sum(axis=0) * self._shape_functions
            moved[self._shape_index] = (phase * self.to_window(shaped)).real
        return moved

    def _group_moved(
        self,
        weight: FloatArray,
        factor: npt.NDArray[Any],
        weighted: ComplexArray,
        first: ComplexArray,
        phase: ComplexArray,
    ) -> FloatArray:
        """Differentiate the sum of components along one group parameter, shape ``(n,)``."""
        out = factor[0] * (weight @ first)
        if factor[1]:
            out = out + factor[1] * phase * self.to_window((weight @ weighted) * self.time**2)
        return np.asarray(out.real)

    def _pull(self, theta: FloatArray, moments: ComplexArray, ramp: ComplexArray) -> FloatArray:
        pull = np.zeros((len(self.parameters), len(self.components)))
        pull[self.index["phi0"]] = -moments[:, 0].imag
        pull[self.index["phi1"]] = -2.0 * np.pi * ramp.imag
        each = np.arange(len(self.components))
        pull[self._own_shift, each] = -2.0 * np.pi * moments[:, 1].imag
        has_width = self._own_width >= 0
        pull[self._own_width[has_width], each[has_width]] = -np.pi * moments[has_width, 1].real
        for name, (weight, factor) in self._group_factors(theta).items():
            pull[self.index[name]] = weight * (moments[:, 1:] @ factor).real
        return pull

    def curvature(
        self, theta: FloatArray, amplitudes: FloatArray, modulated: ComplexArray, residual: FloatArray
    ) -> FloatArray:
        r"""Contract the second derivatives of the real spectrum with a residual.

        Parameters
        ----------
        theta, amplitudes, modulated, residual
            As for :meth:`derivatives`.

        Returns
        -------
        ndarray
            :math:`\langle\partial_i\partial_j\sum_k a_k\mathrm{Re}S_k, r\rangle`, shape ``(p, p)``.

        Notes
        -----
        A parameter multiplies the FID of component k by :math:`w_{jk}\sum_m c_{jm}f_m(t)` with few functions
        :math:`f_m` (1, t, t^2 and the lineshape splines), so moments of :math:`a_ks_ku` with pairs of functions are all
        that is needed; the first-order phase multiplies the spectrum and takes the residual times frequency.
        """
        phase, ramp = self.phase(theta), 2.0 * np.pi * self.offset_hz
        weight, factor = self._exponents(theta)
        functions = self._functions
        signal = modulated * amplitudes[:, None]
        back = [self.from_window(residual * phase * ramp**power) for power in range(3)]
        pairs = np.einsum("kt,mt,nt->kmn", signal * back[0], functions, functions, optimize=True)
        each = weight[:, :, None] * factor[:, None, :]
        flat = each.reshape(len(self.parameters), -1)
        out: FloatArray = (flat @ np.einsum("kmn,jkn->jkm", pairs, each, optimize=True).reshape(flat.shape).T).real
        square = np.einsum("kt,t->k", signal * back[0], self.time**2).real
        for name, (member, rate) in self._bent().items():
            out[self.index[name], self.index[name]] += rate * float(member @ square)
        turn = self.index["phi1"]
        single = (signal * back[1]) @ functions.T
        out[turn] = out[:, turn] = (1j * np.einsum("jkm,km->j", each, single)).real
        out[turn, turn] = -float((signal @ back[2]).sum().real)
        return out

    @cached_property
    def _functions(self) -> FloatArray:
        """Functions that exponents are made of: 1, t, t^2 and the lineshape splines, shape ``(m, n_points)``."""
        powers = np.power(self.time[None, :], np.arange(3)[:, None])
        count = self._shape_index.size // 2
        return np.asarray(np.concatenate([powers, self._shape_functions[:count].imag]) if count else powers)

    def _exponents(self, theta: FloatArray) -> tuple[FloatArray, ComplexArray]:
        """Weight of each parameter on each component, ``(p, K)``, and its coefficients on the functions, ``(p, m)``."""
        weight = np.zeros((len(self.parameters), len(self.components)))
        factor = np.zeros((len(self.parameters), len(self._functions)), dtype=np.complex128)
        weight[self.index["phi0"]], factor[self.index["phi0"], 0] = 1.0, 1j
        for name, (member, rates) in self._group_factors(theta).items():
            weight[self.index[name]], factor[self.index[name], 1:3] = member, rates
        each = np.arange(len(self.components))
        weight[self._own_shift, each], factor[self._own_shift, 1] = 1.0, 2j * np.pi
        has_width = self._own_width >= 0
        weight[self._own_width[has_width], each[has_width]] = 1.0
        factor[self._own_width[has_width], 1] = -np.pi
        count = self._shape_index.size // 2
        for number in range(count):
            weight[self._shape_index[[number, number + count]]] = 1.0
            factor[self._shape_index[number], 3 + number] = 1j
            factor[self._shape_index[number + count], 3 + number] = -1.0
        return weight, factor

    def _bent(self) -> dict[str, tuple[FloatArray, float]]:
        """Parameters whose exponent is quadratic in them: weight per component and factor of t^2."""
        components = self.components
        out = {"gauss": ((components.group == METABOLITES).astype(float), -2.0 * GAUSS)}
        for number in (1, 2):
            if f"width_group{number}" in self.index:
                out[f"width_group{number}"] = ((components.group == number) * components.width**2, -2.0 * GAUSS)
        return out


SPLINE_TAU_S = 0.020
SPLINE_END_S = 0.400


def lineshape_splines(time: FloatArray, count: int) -> FloatArray:
    r"""Smooth functions of time that vanish at the echo top, shape ``(count, n_points)``.

    Notes
    -----
    Quadratic B-splines with equal knots in :math:`u = \tfrac12\ln(1 + (t/\tau)^2)`, :math:`\tau` = 20 ms, clamped at
    both ends, held after 400 ms; the first one, alone not zero at t = 0, is left out. So the line keeps its area, and
    near the echo top the exponent goes with :math:`t^2`: the logarithm of the characteristic function of a field
    distribution of finite variance has no other terms there but a shift, which is a parameter of its own. An exponent
    linear in t would be a broad pedestal under every line, which baseline and macromolecules take as well: the area
    would then be anyone's.
    """
    from scipy.interpolate import BSpline

    knots = _spline_knots(count)
    u = np.minimum(_spline_scale(time), knots[-1] * (1 - 1e-12))
    return np.asarray(BSpline.design_matrix(u, knots, 2).toarray()[:, 1:].T)


def _spline_scale(time: FloatArray | float) -> FloatArray:
    """Time as the splines count it: quadratic at first, then logarithmic."""
    return np.asarray(0.5 * np.log1p((np.minimum(time, SPLINE_END_S) / SPLINE_TAU_S) ** 2))


def _spline_knots(count: int) -> FloatArray:
    end = float(_spline_scale(SPLINE_END_S))
    return np.concatenate([[0.0, 0.0], np.linspace(0.0, end, count), [end, end]])


def spline_centres(count: int) -> FloatArray:
    """Return the times at which the functions of :func:`lineshape_splines` are centred (Greville), s."""
    knots = _spline_knots(count)
    return np.asarray(SPLINE_TAU_S * np.sqrt(np.expm1(knots[2:-2] + knots[3:-1])))


def token(name: str) -> str:
    """Turn a component name into part of an lmfit parameter name."""
    return "".join(character if character.isalnum() else "_" for character in name)


def _geometric(ratio: npt.NDArray[Any], count: int, block: int = 64) -> npt.NDArray[Any]:
    """Powers ``ratio ** n`` for n = 0 ... count - 1, shape ``(K, count)``; two short tables save most exponentials."""
    fine = ratio[:, None] ** np.arange(block)
    coarse = (ratio**block)[:, None] ** np.arange(-(-count // block))
    return np.asarray((coarse[:, :, None] * fine[:, None, :]).reshape(ratio.size, -1)[:, :count])


def make_model(
    spectrum: Spectrum,
    components: Components,
    priors: Priors,
    ppm: tuple[float, float],
    *,
    lineshape: str,
    first_order: bool,
) -> Model:
    """Lay out the model of one spectrum.

    Parameters
    ----------
    spectrum
        Data.
    components
        What is combined.
    priors
        Prior set.
    ppm
        Fitted window.
    lineshape
        ``gaussian``, ``lorentzian``, ``voigt``, or one of the priors' ``shapes``: which common lineshape parameters
        are free, and how far.
    first_order
        Whether the first-order phase is free.
    """
    n_fft = 2 * spectrum.n_points
    axis = spectrum.reference_ppm + np.fft.fftshift(np.fft.fftfreq(n_fft, spectrum.dwell)) / spectrum.carrier_mhz
    inside = np.flatnonzero((axis >= ppm[0]) & (axis <= ppm[1]))
    bins = (int(inside[0]), int(inside[-1]) + 1)
    return Model(
        components=components,
        time=spectrum.time,
        bins=bins,
        offset_hz=(axis[bins[0] : bins[1]] - priors.pivot_ppm) * spectrum.carrier_mhz,
        parameters=tuple(_parameters(components, priors, spectrum.carrier_mhz, lineshape, first_order=first_order)),
    )


HELD = 1e-9
"""Prior SD of a parameter that the chosen lineshape does not use; the solver leaves it out."""


def _parameters(
    components: Components, priors: Priors, mhz: float, lineshape: str, *, first_order: bool
) -> list[Parameter]:
    shape = priors.lineshape
    wide = priors.common_shift_sd * mhz
    asymmetric = lineshape in priors.shapes
    voigt = asymmetric or lineshape == "voigt"
    lorentz_sd = 10.0 if lineshape == "lorentzian" else shape["lorentz_sd_hz"] if voigt else HELD
    gauss_sd = HELD if lineshape == "lorentzian" else np.inf
    gauss_start = 0.0 if lineshape == "lorentzian" else shape["gauss_start_hz"]
    out = [
        Parameter("phi0", 0.0, 0.0, priors.phase_zero_sd, -2.0 * np.pi, 2.0 * np.pi),
        Parameter("phi1", 0.0, 0.0, priors.phase_first_sd if first_order else HELD, -1e-3, 1e-3),
        Parameter("shift", 0.0, 0.0, wide, -6.0 * wide, 6.0 * wide),
        Parameter("gauss", gauss_start, gauss_start, gauss_sd, 0.0, shape["gauss_max_hz"]),
        Parameter("lorentz", 0.0, 0.0, lorentz_sd, -3.0, 25.0),
    ]
    if asymmetric:
        out += _shape_parameters(priors.shapes[lineshape], int(shape["spline_count"]))
    for number, family in ((1, priors.macromolecules), (2, priors.lipids)):
        if (components.group == number).any():
            sd = family.shift_sd_ppm * mhz
            out.append(Parameter(f"shift_group{number}", 0.0, 0.0, sd, -5.0 * sd, 5.0 * sd))
            out.append(Parameter(f"width_group{number}", 1.0, 1.0, family.width_sd, 0.4, 2.0))
    for name, group in zip(components.names, components.group, strict=True):
        out.extend(_own_parameters(name, int(group), priors, mhz))
    return out


def _shape_parameters(spread: LineshapePrior, count: int) -> list[Parameter]:
    r"""Parameters of the non-parametric part of the lineshape.

    Notes
    -----
    Prior SD of a function centred at ``t``: :math:`\sqrt{s_e^2 + (s_l\min(1, t/T)^p)^2}` with the early and late SDs
    of phase (p = 3) and envelope (p = 2): a field distribution changes the envelope from its second moment on and the
    phase from its third (its characteristic function's cumulants), eddy currents change the phase at once.
    """
    late = np.minimum(1.0, spline_centres(count) / spread.reach_s)
    sds = {
        "eddy": np.hypot(spread.phase_early_rad, spread.phase_late_rad * late**3),
        "envelope": np.hypot(spread.envelope_early, spread.envelope_late * late**2),
    }
    return [
        Parameter(f"{kind}_{number}", 0.0, 0.0, float(sd), float(-10.0 * sd), float(10.0 * sd))
        for kind, spreads in sds.items()
        for number, sd in enumerate(spreads)
    ]


def _own_parameters(name: str, group: int, priors: Priors, mhz: float) -> list[Parameter]:
    if group == ARTEFACT:
        return [Parameter(f"shift_{token(name)}", 0.0, 0.0, HELD, -1.0, 1.0)]
    if group != METABOLITES:
        family = priors.macromolecules if group == 1 else priors.lipids
        sd = family.own_shift_sd(name) * mhz
        return [Parameter(f"shift_{token(name)}", 0.0, 0.0, sd, -4.0 * sd, 4.0 * sd)]
    sd = priors.metabolite_shift_sd(name) * mhz
    mean, spread = priors.metabolite_width(name)
    return [
        Parameter(f"shift_{token(name)}", 0.0, 0.0, sd, -8.0 * sd, 8.0 * sd),
        Parameter(f"width_{token(name)}", mean, mean, spread, max(0.0, mean - 6 * spread), mean + 8.0 * spread),
    ]
