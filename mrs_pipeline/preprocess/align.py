r"""Frequency and phase of single transients.

The model of a transient is :math:`y(t) = A\,e^{i(2\pi f t + \varphi)}\,s(t) + w(t) + n(t)`: a signal s common to all,
white noise n, and water w that need not follow the rest.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from mrs_pipeline.preprocess.hlsvd import DampedLines, decompose, refit
from mrs_pipeline.preprocess.reference import SINGLETS, fit_reference
from mrs_pipeline.preprocess.subspace import band_basis, split
from mrs_pipeline.preprocess.water import noise_sd
from mrs_pipeline.spectrum import ComplexArray, FloatArray, Spectrum

WATER_BAND = (4.2, 5.1)
"""Band in ppm that is treated as water when single transients are aligned."""

_TEMPLATE_LINES = 24
_SIGNIFICANT = 25.0  # energy of a template's line over the noise variance of a point of the average
_SEARCHES = 2  # rounds that begin with a search over the whole range
_LEFT_OF_WATER = 1e-4
_BRIGHT_WATER = 4.0  # water over metabolites beyond which transients are first steadied by their water
_MAX_ROUNDS = 10
_NEW_LINES = 3  # rounds in which the lines are found anew; later only their amplitudes change, so that rounds settle
_STEPS = 3
_SETTLED = 0.02  # rounds end when no offset moves by more than this share of its standard error
_MIN_ENERGY = (
    8.0  # energy of a transient's signal over the noise variance of a channel, below which a template says nothing
)
_START_WIDTH_HZ = 4.0
_WATER_REACH_PPM = 0.1
_WATER_REACH_HZ = 12.0
_MIN_FOR_SCATTER = 6  # transients needed to tell whether water follows the metabolites
_STRAY = 16.0  # squared Mahalanobis distance beyond which a transient's water is not believed


@dataclass(frozen=True, eq=False)
class Alignment:
    """Offsets of transients, the transient's own and not the correction.

    Parameters
    ----------
    hz
        Frequency in Hz, shape ``(n_transients,)``, positive towards higher ppm.
    deg
        Phase at t = 0 in degrees.
    amplitude
        Amplitude relative to the common signal.
    sd_hz, sd_deg
        Standard error from the noise (Cramer-Rao bound of the model), the same for every transient of amplitude 1.
    amplitude_sd
        Standard error of the amplitude.
    rounds
        Number of template updates.
    water_weight
        Share of the frequency information that came from residual water, 0 to 1; near 0 when water does not follow.
    """

    hz: FloatArray
    deg: FloatArray
    amplitude: FloatArray
    sd_hz: float
    sd_deg: float
    amplitude_sd: float
    rounds: int
    water_weight: float


def apply(fids: ComplexArray, dwell: float, hz: FloatArray, deg: FloatArray) -> ComplexArray:
    """Take offsets away: ``y(t) exp(-i (2 pi f t + phase))``, shape ``(n_transients, n_points)``."""
    return _demodulated(fids, dwell, hz, np.deg2rad(deg))


def estimate(
    transients: Spectrum,
    *,
    method: str = "robust",
    ppm: tuple[float, float] = (1.8, 4.2),
    max_shift_hz: float = 30.0,
    kept: npt.NDArray[np.bool_] | None = None,
) -> Alignment:
    r"""Estimate the offsets of transients from their own common signal.

    Parameters
    ----------
    transients
        FIDs, shape ``(n_transients, n_points)``.
    method
        ``"robust"``: metabolites in a band, water only as far as it follows them. ``"spectral-registration"``: the
        whole signal against the aligned average (Near 2015, doi:10.1002/mrm.25094).
    ppm
        Band of the metabolites (robust).
    max_shift_hz
        Largest shift searched.
    kept
        Transients the template is made of; all by default. Every transient is estimated.

    Notes
    -----
    The template is a sum of damped lines fitted to the aligned average (HLSVD), which makes its own noise negligible;
    averaging and estimation alternate until nothing moves. Against a template the maximum-likelihood frequency
    maximises :math:`|\sum_t y\,s^*\,e^{-2\pi i f t}|`: found on a grid by FFT in the first rounds, then by
    Gauss-Newton steps for amplitude, frequency and phase.

    Robust: the template's lines are divided by their place into metabolites, what lies below them (lipids,
    macromolecules) and water. The metabolites alone give the first estimate, with every signal of a few widths about
    the water line projected out of data and derivatives. What lipids and water add is taken up as far as it agrees:
    their own estimates are combined with the first by the inverse of their covariances, to which the scatter is added
    by which they do not follow the metabolites (a random-effects mean, DerSimonian 1986,
    doi:10.1016/0197-2456(86)90046-2). Steady residual water helps, unsteady water is left out by itself.
    """
    used = np.ones(transients.fid.shape[0], dtype=bool) if kept is None else kept
    if method == "spectral-registration":
        bands = _Bands((-np.inf, np.inf), (), ())
        start = _start(transients, bands.metabolites, max_shift_hz, used)
        return _rounds(transients, transients, bands, start, max_shift_hz, used)
    first, ratio = _by_water(transients, max_shift_hz)
    steadied = transients.with_fid(_demodulated(transients.fid, transients.dwell, *first))
    limit = _LEFT_OF_WATER * min(1.0, (5.0 / max(ratio, 1e-9)) ** 2)
    quiet = steadied.with_fid(split(steadied.fid, band_basis(steadied, WATER_BAND, limit))[0])
    bands = _bands(ppm, _offset_ppm(quiet, ppm, max_shift_hz, used), limit)
    start = _start(quiet, bands.metabolites, max_shift_hz, used)
    found = _rounds(steadied, quiet, bands, start, max_shift_hz, used)
    hz, rad = _centred((found.hz + first[0], np.deg2rad(found.deg) + first[1]), used)
    return replace(found, hz=hz, deg=np.rad2deg(rad))


Offsets = tuple[FloatArray, FloatArray]
"""Frequency in Hz and phase in rad of each transient."""


@dataclass(frozen=True)
class _Bands:
    """Where the lines of metabolites, of what lies below them and of water may lie, in ppm; empty: not used.

    ``limit`` tells how much of the water may be left when it is projected out (see ``band_basis``).
    """

    metabolites: tuple[float, float]
    low: tuple[float, ...]
    water: tuple[float, ...]
    limit: float = 1e-4


@dataclass(frozen=True, eq=False)
class _Model:
    """Linearised model of a transient against a template.

    Parameters
    ----------
    kernels
        Conjugated derivatives by amplitude, angular frequency and phase, nuisance projected out, shape ``(n_points,
        3)``.
    information
        Real normal matrix of the derivatives, shape ``(3, 3)``.
    """

    kernels: ComplexArray
    information: FloatArray

    def steps(self, demodulated: ComplexArray) -> FloatArray:
        """Least-squares amplitude and amplitude-scaled frequency and phase steps, shape ``(n_transients, 3)``."""
        return np.asarray(np.linalg.solve(self.information, (demodulated @ self.kernels).real.T).T)

    @property
    def precision(self) -> FloatArray:
        """Information on frequency and phase, the amplitude free, per unit noise variance, shape ``(2, 2)``."""
        return np.asarray(np.linalg.inv(np.linalg.inv(self.information)[1:, 1:]))


def _model(template: ComplexArray, time: FloatArray, nuisance: ComplexArray | None) -> _Model:
    """Linearise ``A exp(i (w t + phase)) template`` about A = 1, w = phase = 0."""
    columns = np.stack([template, 1j * time * template, 1j * template], axis=1)
    if nuisance is not None and nuisance.shape[1]:
        columns = columns - nuisance @ (nuisance.conj().T @ columns)
    return _Model(np.asarray(columns.conj()), np.asarray((columns.conj().T @ columns).real))


def _bands(ppm: tuple[float, float], shift: float, limit: float) -> _Bands:
    """Bands for a spectrum that lies off its axis by a shift."""
    low, high = min(ppm) + shift, max(ppm) + shift
    return _Bands((low, high), (shift, low), (max(high, WATER_BAND[0] + shift), WATER_BAND[1] + shift), limit)


def _demodulated(fids: ComplexArray, dwell: float, hz: FloatArray, rad: FloatArray) -> ComplexArray:
    """Return ``y exp(-i (2 pi f t + phase))``, the oscillation as a product of a coarse and a fine one (fewer exp)."""
    n_points = fids.shape[-1]
    fine = 64
    coarse = -(-n_points // fine)
    angular = -2j * np.pi * dwell * np.asarray(hz)[..., None]
    slow = np.exp(angular * (fine * np.arange(coarse)) - 1j * np.asarray(rad)[..., None])
    quick = np.exp(angular * np.arange(fine))
    turn = (slow[..., :, None] * quick[..., None, :]).reshape(*np.shape(hz), coarse * fine)
    return np.asarray(fids * turn[..., :n_points])


def _by_water(transients: Spectrum, max_shift_hz: float) -> tuple[Offsets, float]:
    """First offsets from residual water where it outshines everything, and its height over that of the metabolites."""
    ppm, power = transients.ppm, np.mean(np.abs(transients.spectrum()) ** 2, axis=0)
    at_water = power[(ppm >= WATER_BAND[0]) & (ppm <= WATER_BAND[1])]
    elsewhere = power[(ppm >= 1.5) & (ppm <= 3.5)]
    none = (np.zeros(transients.fid.shape[0]), np.zeros(transients.fid.shape[0]))
    if not at_water.size or not elsewhere.size or elsewhere.max() <= 0:
        return none, 0.0
    ratio = float(np.sqrt(at_water.max() / elsewhere.max()))
    if ratio < _BRIGHT_WATER:
        return none, ratio
    inside = _cut(transients, transients.fid, WATER_BAND)
    offsets, template = none, inside[int(np.argsort(np.sum(np.abs(inside) ** 2, axis=-1))[inside.shape[0] // 2])]
    for _ in range(2):
        offsets = _search(inside, template, transients.dwell, max_shift_hz)
        template = np.mean(_demodulated(inside, transients.dwell, *offsets), axis=0)
    return offsets, ratio


def _rounds(
    transients: Spectrum,
    quiet: Spectrum,
    bands: _Bands,
    start: Offsets,
    max_shift_hz: float,
    used: npt.NDArray[np.bool_],
) -> Alignment:
    """Alternate between template and offsets until nothing moves; the quiet transients, without water, are searched."""
    noise = noise_sd(transients) / float(np.sqrt(transients.n_points))
    offsets, result, lines = start, _nothing(start), None
    for number in range(1, _MAX_ROUNDS + 1):
        lines = _lines(transients, offsets, noise, used, lines if number > _NEW_LINES else None)
        if number <= _SEARCHES:
            template = _part(transients, lines, bands.metabolites)
            if np.any(template):
                offsets = _search(quiet.fid, template, transients.dwell, max_shift_hz)
        result = _one_round(transients, bands, lines, offsets, noise, used, _STEPS)
        result = replace(result, rounds=number)
        if not np.isfinite(result.sd_hz):
            return result
        moved = np.abs(result.hz - offsets[0]) / result.sd_hz + np.abs(
            _wrapped(np.deg2rad(result.deg) - offsets[1])
        ) / np.deg2rad(result.sd_deg)
        offsets = (result.hz, np.deg2rad(result.deg))
        if number > 2 and float(np.max(moved[used])) < _SETTLED:
            break
    return result


def _lines(
    transients: Spectrum, offsets: Offsets, noise: float, used: npt.NDArray[np.bool_], known: DampedLines | None
) -> DampedLines:
    """Damped lines of the aligned average, each as far as it carries more energy than a line fitted to noise would.

    With known lines only the amplitudes are fitted again.
    """
    hz, rad = offsets
    average = np.mean(_demodulated(transients.fid[used], transients.dwell, hz[used], rad[used]), axis=0)
    if known is None:
        lines = decompose(average, transients.dwell, _TEMPLATE_LINES)
    else:
        lines = refit(known, average, transients.dwell)
    energy = np.abs(lines.amplitude) ** 2 * np.sum(np.exp(-2 * np.outer(lines.damping, transients.time)), axis=1)
    strength = energy / (2 * noise**2 / np.count_nonzero(used))
    share = np.clip((strength / _SIGNIFICANT - 0.5) / 1.5, 0.0, 1.0)
    return replace(lines, amplitude=lines.amplitude * share)


def _part(transients: Spectrum, lines: DampedLines, band: tuple[float, ...]) -> ComplexArray:
    """Sum of the lines that lie in a band; zero for an empty band."""
    if not band:
        return np.zeros(transients.n_points, dtype=np.complex128)
    place = transients.reference_ppm + lines.frequency / transients.carrier_mhz
    return lines.select((place >= band[0]) & (place < band[1])).fid(transients.time)


def _one_round(
    transients: Spectrum,
    bands: _Bands,
    lines: DampedLines,
    offsets: Offsets,
    noise: float,
    used: npt.NDArray[np.bool_],
    steps: int,
) -> Alignment:
    """Offsets against one template: metabolites first, then what lipids and water add."""
    template, low, water = (_part(transients, lines, band) for band in (bands.metabolites, bands.low, bands.water))
    if np.sum(np.abs(template) ** 2) <= _MIN_ENERGY * noise**2:
        return _nothing(offsets)
    nuisance = _water_space(transients, offsets, bands, noise)
    base = _model(template, transients.time, nuisance)
    hz, rad, amplitude = _gauss_newton(transients, base, offsets, steps)
    demodulated = _demodulated(transients.fid, transients.dwell, hz, rad)
    step, precision = np.zeros((hz.size, 2)), base.precision / noise**2
    weight = 0.0
    total = template
    for part, space in ((low, nuisance), (water, None)):
        if not np.any(part):
            continue
        total = total + part
        wider = _model(total, transients.time, space)
        step, precision, weight = _taken_up(demodulated, wider, step, precision, noise, used)
    covariance = np.linalg.inv(precision)
    hz, rad = _centred((hz + step[:, 0] / (2 * np.pi), rad + step[:, 1]), used)
    return Alignment(
        hz=hz,
        deg=np.rad2deg(rad),
        amplitude=amplitude,
        sd_hz=float(np.sqrt(covariance[0, 0]) / (2 * np.pi)),
        sd_deg=float(np.rad2deg(np.sqrt(covariance[1, 1]))),
        amplitude_sd=float(noise * np.sqrt(np.linalg.inv(base.information)[0, 0])),
        rounds=0,
        water_weight=weight,
    )


def _search(fids: ComplexArray, template: ComplexArray, dwell: float, reach_hz: float) -> Offsets:
    """Frequency and phase of each transient by the largest correlation with a template on a fine grid."""
    from scipy.fft import fft

    size = 2 * fids.shape[-1]
    grid = np.fft.fftfreq(size, dwell)
    near = np.flatnonzero(np.abs(grid) <= reach_hz)
    response = fft(fids * template.conj(), size, axis=-1)[:, near]
    best = np.argmax(np.abs(response), axis=-1)
    return grid[near][best], np.angle(response[np.arange(best.size), best])


def _gauss_newton(
    transients: Spectrum, model: _Model, offsets: Offsets, steps: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Gauss-Newton steps to the maximum-likelihood offsets; returns frequency, phase and amplitude."""
    hz, rad = offsets
    limit = np.array([np.pi / transients.time[-1], 0.5])
    amplitude = np.ones(hz.size)
    for _ in range(steps):
        found = model.steps(_demodulated(transients.fid, transients.dwell, hz, rad))
        amplitude = found[:, 0]
        step = np.clip(found[:, 1:] / np.maximum(amplitude, 0.2)[:, None], -limit, limit)
        hz, rad = hz + step[:, 0] / (2 * np.pi), rad + step[:, 1]
    return hz, rad, amplitude


def _water_space(transients: Spectrum, offsets: Offsets, bands: _Bands, noise: float) -> ComplexArray | None:
    """Space of all lines near the water line; ``None`` when the transients show no water."""
    if not bands.water:
        return None
    ppm = transients.ppm
    inside = np.flatnonzero((ppm >= bands.water[0]) & (ppm < bands.water[1]))
    aligned = transients.with_fid(_demodulated(transients.fid, transients.dwell, *offsets))
    power = np.mean(np.abs(aligned.spectrum()[:, inside]) ** 2, axis=0)
    if not inside.size or power.max() < 4 * 2 * noise**2 * transients.n_points:
        return None
    place = float(ppm[inside[int(np.argmax(power))]])
    reach = max(_WATER_REACH_PPM, _WATER_REACH_HZ / transients.carrier_mhz)
    return band_basis(transients, (place - reach, place + reach), bands.limit)


def _taken_up(
    demodulated: ComplexArray,
    wider: _Model,
    step: FloatArray,
    precision: FloatArray,
    noise: float,
    used: npt.NDArray[np.bool_],
) -> tuple[FloatArray, FloatArray, float]:
    """Add the information of a further part, as far as it agrees with what is known.

    Parameters
    ----------
    demodulated
        Transients at the first estimate, shape ``(n_transients, n_points)``.
    wider
        Model with the further part.
    step, precision
        What is known so far: steps of (angular frequency, phase) from the first estimate, shape ``(n_transients,
        2)``, and their inverse covariance.
    noise
        SD of one channel of one point.
    used
        Transients that tell how well the part agrees.

    Returns
    -------
    step, precision, weight
        The same with the part, and the part's share of the frequency information.
    """
    found = wider.steps(demodulated)
    both = found[:, 1:] / np.maximum(found[:, 0], 0.2)[:, None]
    if used.sum() < _MIN_FOR_SCATTER:
        return step, precision, 0.0
    # a part without information in some direction gets a wide, finite covariance there
    gain = _positive(wider.precision / noise**2 - precision) + 1e-6 * precision
    own_covariance = np.linalg.inv(gain)
    own = (both @ (precision + gain) - step @ precision) @ own_covariance
    difference = _wrapped_rows(own - step, used)
    known = np.linalg.inv(precision)
    # scatter counts only beyond what its own sampling error (relative variance 2 / n, two SDs) can explain
    chance = 1.0 + 2.0 * float(np.sqrt(2.0 / used.sum()))
    extra = _positive(_robust_covariance(difference[used]) - chance * (known + own_covariance))
    spread = known + own_covariance + extra
    share = known @ np.linalg.inv(spread)
    distance = np.einsum("ij,jk,ik->i", difference, np.linalg.inv(spread), difference)
    # a transient whose part strays from all others' is judged without it
    taken = np.where(distance[:, None] < _STRAY, difference @ share.T, 0.0)
    covariance = known - share @ known
    return step + taken, np.linalg.inv(covariance), float(np.clip(share[0, 0], 0.0, 1.0))


def _wrapped_rows(difference: FloatArray, used: npt.NDArray[np.bool_]) -> FloatArray:
    """Differences of (angular frequency, phase) about their median, phase wrapped."""
    phase = difference[:, 1] - np.angle(np.sum(np.exp(1j * difference[used, 1])))
    rows = np.stack([difference[:, 0], _wrapped(phase)], axis=1)
    return np.asarray(rows - np.median(rows[used], axis=0))


def _start(
    transients: Spectrum, band: tuple[float, float], max_shift_hz: float, used: npt.NDArray[np.bool_]
) -> Offsets:
    """First offsets: of several simple templates the one that makes the aligned average strongest in the band."""
    best: tuple[float, Offsets] | None = None
    for template in _simple_templates(transients, band, used):
        hz, rad = _search(transients.fid, template, transients.dwell, max_shift_hz)
        average = np.mean(_demodulated(transients.fid[used], transients.dwell, hz[used], rad[used]), axis=0)
        energy = float(np.sum(np.abs(_cut(transients, average, band)) ** 2))
        if best is None or energy > best[0]:
            best = (energy, (hz, rad))
    assert best is not None
    return _centred(best[1], used)


def _simple_templates(
    transients: Spectrum, band: tuple[float, float], used: npt.NDArray[np.bool_]
) -> list[ComplexArray]:
    """Plain average, a typical transient, and the three singlets at their known places."""
    banded = _cut(transients, transients.fid, band)
    order = np.flatnonzero(used)[np.argsort(np.sum(np.abs(banded) ** 2, axis=-1)[used])]
    damped = np.exp(-np.pi * _START_WIDTH_HZ * transients.time)
    comb = np.zeros(transients.n_points, dtype=np.complex128)
    for place in SINGLETS.values():
        hz = (place - transients.reference_ppm) * transients.carrier_mhz
        comb += damped * np.exp(2j * np.pi * hz * transients.time)
    return [banded[used].mean(axis=0) * damped, banded[order[order.size // 2]] * damped, comb]


def _cut(transients: Spectrum, fid: ComplexArray, band: tuple[float, float]) -> ComplexArray:
    """Cut a band out of the spectrum (for starting values only)."""
    axis = transients.ppm
    window = np.fft.ifftshift((axis >= band[0]) & (axis <= band[1]))
    return np.asarray(np.fft.ifft(np.fft.fft(fid, axis=-1) * window, axis=-1))


def _nothing(offsets: Offsets) -> Alignment:
    """Answer when no signal is found: no offsets, without standard error."""
    size = offsets[0].size
    return Alignment(np.zeros(size), np.zeros(size), np.ones(size), np.inf, np.inf, np.inf, 0, 0.0)


def _wrapped(rad: FloatArray) -> FloatArray:
    """Phase in (-pi, pi]."""
    return np.asarray(np.angle(np.exp(1j * rad)))


def _centred(offsets: Offsets, used: npt.NDArray[np.bool_]) -> Offsets:
    """Offsets relative to the median of the used transients; the phase median is taken about the mean direction."""
    hz, rad = offsets
    rad = _wrapped(rad - float(np.angle(np.sum(np.exp(1j * rad[used])))))
    return hz - np.median(hz[used]), _wrapped(rad - np.median(rad[used]))


def _robust_covariance(values: FloatArray) -> FloatArray:
    """Covariance about zero of two columns, far values pulled in, scaled for a normal law, shape ``(2, 2)``."""
    spread = np.maximum(1.4826 * np.median(np.abs(values), axis=0), np.finfo(float).tiny)
    scaled = np.clip(values / spread, -2.5, 2.5)
    # a standard normal clipped at 2.5 has variance 0.976
    return np.asarray((scaled.T @ scaled) / values.shape[0] / 0.976 * np.outer(spread, spread))


def _positive(matrix: FloatArray) -> FloatArray:
    """Positive semi-definite part of a symmetric matrix, in units of its own diagonal."""
    units = np.sqrt(np.maximum(np.abs(np.diag(matrix)), np.finfo(float).tiny))
    values, vectors = np.linalg.eigh(matrix / np.outer(units, units))
    return np.asarray((vectors * np.maximum(values, 0.0)) @ vectors.T * np.outer(units, units))


def _offset_ppm(quiet: Spectrum, ppm: tuple[float, float], max_shift_hz: float, used: npt.NDArray[np.bool_]) -> float:
    """How far the whole spectrum lies off its axis, from the roughly aligned average; 0 when that is uncertain."""
    band = (min(ppm) - 0.3, max(ppm) + 0.3)
    hz, rad = _start(quiet, band, max_shift_hz, used)
    average = np.mean(_demodulated(quiet.fid[used], quiet.dwell, hz[used], rad[used]), axis=0)
    found = fit_reference(quiet.with_fid(average, ()), 0.3)
    return found.shift_ppm if found.confident else 0.0


def relative(found: Alignment, used: npt.NDArray[np.bool_]) -> Alignment:
    """Return offsets relative to the median of the used transients."""
    hz, rad = _centred((found.hz, np.deg2rad(found.deg)), used)
    return replace(found, hz=hz, deg=np.rad2deg(rad))


def between(
    reference: Spectrum, other: Spectrum, bands: tuple[tuple[float, float], ...], max_shift_hz: float
) -> tuple[float, float]:
    """Offset of one averaged spectrum from another, from chosen peaks only.

    Parameters
    ----------
    reference, other
        One FID each, same axes.
    bands
        Bands in ppm whose lines the two have in common (edited sub-spectra: those the editing does not touch).
    max_shift_hz
        Largest shift searched.

    Returns
    -------
    float, float
        Frequency in Hz and phase in degrees of ``other`` relative to ``reference``; infinite frequency when the bands
        hold no signal.
    """
    noise = noise_sd(reference) / float(np.sqrt(reference.n_points))
    template, there = (
        np.sum([_part(scan, decompose(scan.fid, scan.dwell, _TEMPLATE_LINES), band) for band in bands], axis=0)
        for scan in (reference, other)
    )
    if np.sum(np.abs(template) ** 2) <= _MIN_ENERGY * noise**2 or not np.any(there):
        return float("inf"), 0.0
    one = other.with_fid(there[None, :], ("DIM_DYN",))
    start = _search(one.fid, template, reference.dwell, max_shift_hz)
    hz, rad, _ = _gauss_newton(one, _model(template, reference.time, None), start, 2 * _STEPS)
    return _refined(reference, other, bands[0], float(hz[0]), float(_wrapped(rad)[0]))


_REFINING_HZ, _REFINING_RAD = 3.0, 0.6
"""How far the refinement may move shift and phase: beyond, the band's peak is not the same in both."""


def _refined(
    reference: Spectrum, other: Spectrum, band: tuple[float, float], hz: float, rad: float
) -> tuple[float, float]:
    """Make one peak cancel in the difference of two spectra; return frequency in Hz and phase in degrees.

    Notes
    -----
    The lines that an HLSVD puts into a band carry over from neighbours that differ between edit conditions: on a
    simulated GABA-edited pair this is off by 0.5 Hz and 9 degrees without any noise. The complex spectra subtracted
    over the band of tCho alone are off by 0.003 Hz and 0.02 degrees, with an SD of 0.04 Hz and 0.3 degrees (tCho 30
    noise SDs in the FID); taking a polynomial for the neighbours' tails out of the difference makes both worse.
    """
    from scipy.optimize import least_squares

    n_fft = 2 * reference.n_points
    ppm = reference.reference_ppm + np.fft.fftfreq(n_fft, reference.dwell) / reference.carrier_mhz
    inside = np.flatnonzero((ppm >= band[0]) & (ppm <= band[1]))
    target = np.fft.fft(reference.fid, n_fft)[inside]

    def left(parameters: FloatArray) -> FloatArray:
        turn = np.exp(-2j * np.pi * parameters[0] * reference.time - 1j * parameters[1])
        rest = np.fft.fft(other.fid * turn, n_fft)[inside] - target
        return np.asarray(np.concatenate([rest.real, rest.imag]) / np.linalg.norm(target), dtype=np.float64)

    low = np.array([hz - _REFINING_HZ, rad - _REFINING_RAD])
    high = np.array([hz + _REFINING_HZ, rad + _REFINING_RAD])
    found = least_squares(left, [hz, rad], bounds=(low, high), x_scale=[1.0, 0.1]).x
    at_limit = np.any((found - low < 1e-3) | (high - found < 1e-3))
    return (hz, float(np.rad2deg(rad))) if at_limit else (float(found[0]), float(np.rad2deg(found[1])))
