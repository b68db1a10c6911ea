"""Every figure of the reports; each function takes arrays and returns a matplotlib figure.

Figures are drawn without pyplot, so nothing global is touched and any process may draw. The ppm axis runs from high to
low, as spectroscopists read it. Images are in the neurological view: the participant's left is on the left.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

P = ParamSpec("P")
FloatArray: TypeAlias = npt.NDArray[np.float64]
AnyArray: TypeAlias = npt.NDArray[Any]

INK = "#1b2733"
MUTED = "#6b7a88"
BAND = "#dfe6ec"
MODEL = "#c8281e"
BASELINE = "#1565c0"
ACCENT = "#0b6e75"
REJECTED = "#d1620a"
OUTLINE = "#ffd23f"
FONT_SIZE = 8.0

DISPLAY_PPM = (0.2, 4.2)
"""Window of spectra that are shown but not fitted, in ppm."""

LANDMARKS = {"tCr": 3.027, "tCho": 3.2, "NAA": 2.008}
"""Singlets marked on every spectrum, in ppm.

Govindaraju 2000, doi:10.1002/1099-1492(200005)13:3<129::AID-NBM619>3.0.CO;2-V.
"""


def house_style(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Draw with matplotlib's own defaults, whatever a user's matplotlibrc says, and leave the settings as they were."""

    @wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> Figure:
        import matplotlib as mpl

        with mpl.rc_context():
            mpl.rcdefaults()
            return draw(*args, **kwargs)

    return drawn


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of the given size in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), facecolor="none")


def style_axes(ax: Axes, *, spines: Sequence[str] = ("bottom",)) -> None:
    """Give axes the look of all our figures: only the named spines, small muted ticks."""
    ax.set_facecolor("none")
    for side, spine in ax.spines.items():
        spine.set_visible(side in spines)
        spine.set_color(MUTED)
        spine.set_linewidth(0.6)
    ax.tick_params(colors=MUTED, labelsize=FONT_SIZE, width=0.6, length=3)
    ax.xaxis.label.set_color(INK)
    ax.yaxis.label.set_color(INK)
    ax.xaxis.label.set_fontsize(FONT_SIZE)
    ax.yaxis.label.set_fontsize(FONT_SIZE)


def _descending(ppm: FloatArray, *curves: AnyArray) -> tuple[FloatArray, ...]:
    """Return the axis and the real parts of the curves, ordered from high to low ppm."""
    axis = np.asarray(ppm, dtype=float)
    order = np.argsort(-axis, kind="stable")
    return (axis[order], *(np.real(np.asarray(curve))[..., order].astype(float) for curve in curves))


def _scale(*curves: FloatArray) -> float:
    """Return the largest finite magnitude of the curves, 1 when there is none."""
    peak = max((float(np.nanmax(np.abs(curve))) for curve in curves if curve.size), default=0.0)
    return peak if np.isfinite(peak) and peak > 0 else 1.0


def _ppm_axis(ax: Axes, ppm: FloatArray, *, label: bool = True) -> None:
    """Set the shared ppm axis: high to low, a tick each half ppm."""
    high, low = float(np.max(ppm)), float(np.min(ppm))
    ax.set_xlim(high, low)
    step = 0.5 if high - low < 8 else 2.0
    ax.set_xticks(np.arange(np.ceil(low / step - 1e-9) * step, high + 1e-9, step))
    if label:
        ax.set_xlabel("chemical shift (ppm)")
    else:
        ax.tick_params(labelbottom=False)


def residual_share_outside(residual: AnyArray, noise_sd: float | None, limit: float = 2.0) -> float | None:
    """Return the share of points of the real residual beyond ``limit`` noise standard deviations.

    White Gaussian noise leaves 4.6 % outside two standard deviations.
    """
    if noise_sd is None or not np.isfinite(noise_sd) or noise_sd <= 0:
        return None
    return float(np.mean(np.abs(np.real(residual)) > limit * noise_sd))


@house_style
def fit_figure(
    ppm: FloatArray,
    data: AnyArray,
    model: AnyArray,
    baseline: AnyArray,
    residual: AnyArray,
    noise_sd: float | None,
    landmarks: Mapping[str, float] | None = None,
) -> Figure:
    """Draw data, model and baseline, with the residual above in units of the noise.

    Parameters
    ----------
    ppm
        Chemical shifts in ppm, shape ``(n,)``.
    data, model, baseline, residual
        Spectra of shape ``(n,)``; real parts are drawn. ``model`` includes the baseline.
    noise_sd
        Noise standard deviation of the real part, in the data's unit; ``None`` when unknown (the residual then has the
        data's scale and no band).
    landmarks
        Peaks to name, name to ppm; ``None``: :data:`LANDMARKS`.
    """
    axis, data_, model_, baseline_, residual_ = _descending(ppm, data, model, baseline, residual)
    fig = new_figure(7.4, 3.8)
    top, main = fig.subplots(2, 1, sharex=True, height_ratios=(1, 3.6))
    fig.subplots_adjust(left=0.085, right=0.99, top=0.985, bottom=0.125, hspace=0.06)
    _draw_residual(top, axis, residual_, noise_sd, _scale(data_))
    scale = _scale(data_, model_)
    main.plot(axis, data_ / scale, color=INK, lw=0.8, label="data")
    main.plot(axis, model_ / scale, color=MODEL, lw=1.0, label="model")
    main.plot(axis, baseline_ / scale, color=BASELINE, lw=0.9, ls=(0, (4, 2)), label="baseline")
    style_axes(main)
    main.set_yticks([])
    main.set_ylabel("signal (a.u.)")
    _ppm_axis(main, axis)
    main.legend(loc="upper left", fontsize=FONT_SIZE, frameon=False, ncols=3, labelcolor=INK, handlelength=1.6)
    _mark_singlets(main, axis, data_ / scale, LANDMARKS if landmarks is None else landmarks)
    return fig


def _draw_residual(ax: Axes, ppm: FloatArray, residual: FloatArray, noise_sd: float | None, peak: float) -> None:
    """Draw the residual in noise standard deviations with a band of two."""
    known = noise_sd is not None and bool(np.isfinite(noise_sd)) and noise_sd > 0
    values = residual / (noise_sd if noise_sd is not None and known else peak)
    if known:
        ax.axhspan(-2, 2, color=BAND, lw=0)
    ax.axhline(0, color=MUTED, lw=0.5)
    ax.plot(ppm, values, color=INK, lw=0.7)
    style_axes(ax, spines=("left",))
    limit = max(4.0, float(np.nanmax(np.abs(values)))) * 1.08 if known else max(0.05, _scale(values)) * 1.08
    ax.set_ylim(-limit, limit)
    ax.set_ylabel("residual\n(noise SD)" if known else "residual\n(of peak)", labelpad=1)
    ax.tick_params(bottom=False, labelbottom=False)


def _mark_singlets(ax: Axes, ppm: FloatArray, data: FloatArray, landmarks: Mapping[str, float]) -> None:
    """Write the names of the reference singlets above their peaks."""
    for name, shift in landmarks.items():
        near = np.abs(ppm - shift) < 0.05
        if near.any():
            height = float(np.max(data[near]))
            ax.annotate(
                name, (shift, height), xytext=(0, 2), textcoords="offset points", ha="center", va="bottom",
                fontsize=FONT_SIZE - 1, color=MUTED,
            )  # fmt: skip
    low, high = ax.get_ylim()
    ax.set_ylim(low, high + 0.12 * (high - low))


@house_style
def components_figure(ppm: FloatArray, components: Mapping[str, AnyArray]) -> Figure:
    """Draw each basis signal of the fit on its own line, all on one vertical scale.

    Parameters
    ----------
    ppm
        Chemical shifts in ppm, shape ``(n,)``.
    components
        Spectrum per name, shape ``(n,)`` each, without baseline; drawn from top to bottom.
    """
    names = list(components)
    axis, *curves = _descending(ppm, *(components[name] for name in names))
    fig = new_figure(7.4, 0.55 + 0.19 * max(len(names), 4))
    ax = fig.subplots()
    left = max(0.075, 0.0113 * max(map(len, names), default=0))  # room for the longest name
    fig.subplots_adjust(left=left, right=0.99, top=0.99, bottom=0.42 / fig.get_figheight())
    spacing = _scale(*curves) * 0.16
    for row, curve in enumerate(curves):
        ax.plot(axis, curve - row * spacing, color=ACCENT, lw=0.8)
    style_axes(ax)
    ax.set_yticks([-row * spacing for row in range(len(names))], names)
    ax.tick_params(axis="y", length=0, labelcolor=INK)
    ax.set_ylim(-(len(names) - 0.3) * spacing, None)
    ax.margins(y=0.02)
    _ppm_axis(ax, axis)
    return fig


@house_style
def before_after_figure(pairs: Sequence[tuple[str, FloatArray, AnyArray, AnyArray]]) -> Figure:
    """Draw spectra before and after each preprocessing step, two panels a row.

    Parameters
    ----------
    pairs
        Step name, ppm axis of shape ``(n,)``, spectrum before and after, shape ``(n,)`` each (real parts drawn).
    """
    rows = (len(pairs) + 1) // 2
    fig = new_figure(7.4, 1.65 * rows + 0.25)
    grid = fig.subplots(rows, 2, squeeze=False)
    fig.subplots_adjust(
        left=0.02,
        right=0.985,
        top=1 - 0.2 / fig.get_figheight(),
        bottom=0.4 / fig.get_figheight(),
        hspace=0.42,
        wspace=0.06,
    )
    for ax, pair in zip(grid.flat, pairs, strict=False):
        _draw_pair(ax, *pair)
    for ax in grid.flat[len(pairs) :]:
        ax.set_visible(False)
    return fig


def _draw_pair(ax: Axes, step: str, ppm: FloatArray, before: AnyArray, after: AnyArray) -> None:
    """Draw one before/after panel, on the scale of the spectrum after the step."""
    axis, before_, after_ = _descending(ppm, before, after)
    ax.plot(axis, before_, color=REJECTED, lw=0.7, label="before")
    ax.plot(axis, after_, color=INK, lw=0.8, label="after")
    style_axes(ax)
    ax.set_yticks([])
    ax.set_title(step, fontsize=FONT_SIZE, color=INK, loc="left", pad=2)
    low, high = _joint_limits(before_, after_)
    ax.set_ylim(low, high)
    _ppm_axis(ax, axis, label=False)
    ax.tick_params(labelbottom=True)
    ax.legend(loc="upper right", fontsize=FONT_SIZE - 1, frameon=False, labelcolor=INK, handlelength=1.2)


def _joint_limits(before: FloatArray, after: FloatArray) -> tuple[float, float]:
    """Return limits that show both curves, but not more than five times the range after the step."""
    low, high = float(np.nanmin(after)), float(np.nanmax(after))
    span = max(high - low, np.finfo(float).tiny)
    low = max(min(low, float(np.nanmin(before))), low - 2 * span)
    high = min(max(high, float(np.nanmax(before))), high + 2 * span)
    return low - 0.05 * (high - low), high + 0.05 * (high - low)


@house_style
def waterfall_figure(
    ppm: FloatArray,
    kept: npt.NDArray[np.bool_],
    before: AnyArray | None,
    after: AnyArray | None,
    drift_hz: FloatArray | None,
    drift_deg: FloatArray | None,
) -> Figure:
    """Draw the transients as rows of an image, before and after alignment, with their drift beside them.

    Parameters
    ----------
    ppm
        Chemical shifts in ppm, shape ``(p,)``.
    kept
        Whether each transient was kept, shape ``(n,)``; rejected ones are marked at the edge and on the traces.
    before, after
        Transients, shape ``(n, p)``, real parts drawn; either may be missing.
    drift_hz, drift_deg
        Offset of each transient, shape ``(n,)``, NaN where dropped; either may be missing.
    """
    images = [
        (title, image)
        for title, image in (("before alignment", before), ("after alignment", after))
        if image is not None
    ]
    traces = [(label, trace) for label, trace in (("Hz", drift_hz), ("degrees", drift_deg)) if trace is not None]
    fig = new_figure(7.4, 2.7)
    widths = [3.0] * len(images) + [1.0] * len(traces)
    axes = fig.subplots(1, len(widths), sharey=True, squeeze=False, width_ratios=widths)[0]
    fig.subplots_adjust(left=0.065, right=0.985, top=0.92, bottom=0.165, wspace=0.08)
    for ax, (title, image) in zip(axes, images, strict=False):
        _draw_transients(ax, ppm, image, kept, title)
    for ax, (unit, trace) in zip(axes[len(images) :], traces, strict=True):
        _draw_drift_column(ax, trace, kept, unit)
    axes[0].set_ylabel("transient")
    axes[0].set_ylim(len(kept) + 0.5, 0.5)
    return fig


def _draw_transients(ax: Axes, ppm: FloatArray, image: AnyArray, kept: npt.NDArray[np.bool_], title: str) -> None:
    """Draw transients as an image, rejected ones marked by a coloured tick at the left edge."""
    from matplotlib.transforms import blended_transform_factory

    axis, rows = _descending(ppm, np.asarray(image))
    low, high = np.nanpercentile(rows, (1, 99.7))
    extent = (axis[0], axis[-1], len(kept) + 0.5, 0.5)
    ax.imshow(rows, aspect="auto", extent=extent, cmap="Greys", vmin=low, vmax=high, interpolation="none")
    rejected = np.flatnonzero(~np.asarray(kept, dtype=bool)) + 1
    edge = blended_transform_factory(ax.transAxes, ax.transData)
    ax.plot(np.zeros(rejected.size), rejected, ls="", marker=">", ms=4, color=REJECTED, transform=edge, clip_on=False)
    style_axes(ax, spines=("bottom", "left"))
    ax.set_title(title, fontsize=FONT_SIZE, color=INK, loc="left", pad=3)
    ax.set_xlabel("ppm")
    ax.set_xlim(axis[0], axis[-1])


def _draw_drift_column(ax: Axes, trace: FloatArray, kept: npt.NDArray[np.bool_], unit: str) -> None:
    """Draw a drift trace running down, beside the transients."""
    number = np.arange(1, len(kept) + 1)
    values = np.asarray(trace, dtype=float)
    ax.axvline(0, color=MUTED, lw=0.5)
    ax.plot(values, number, color=ACCENT, lw=0.7, marker=".", ms=2)
    rejected = ~np.asarray(kept, dtype=bool)
    ax.plot(
        np.where(np.isfinite(values), values, 0)[rejected], number[rejected], ls="", marker="x", ms=4, color=REJECTED
    )
    style_axes(ax)
    ax.tick_params(left=False)
    ax.set_xlabel(unit)
    ax.set_title("drift", fontsize=FONT_SIZE, color=INK, loc="left", pad=3)


@house_style
def drift_figure(drift_hz: FloatArray, drift_deg: FloatArray | None, kept: npt.NDArray[np.bool_]) -> Figure:
    """Draw frequency (and phase) drift against transient number, rejected transients marked.

    Parameters
    ----------
    drift_hz, drift_deg
        Offset of each transient from the median of the kept ones in Hz and degrees, shape ``(n,)``, NaN where dropped.
    kept
        Whether each transient was kept, shape ``(n,)``.
    """
    panels = [("frequency (Hz)", drift_hz)] + ([] if drift_deg is None else [("phase (degrees)", drift_deg)])
    fig = new_figure(7.4, 1.1 * len(panels) + 0.4)
    axes = fig.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    fig.subplots_adjust(left=0.085, right=0.99, top=0.97, bottom=0.4 / fig.get_figheight(), hspace=0.12)
    number = np.arange(1, len(kept) + 1)
    rejected = number[~np.asarray(kept, dtype=bool)]
    for ax, (label, trace) in zip(axes, panels, strict=True):
        ax.axhline(0, color=MUTED, lw=0.5)
        ax.plot(number, np.asarray(trace, dtype=float), color=ACCENT, lw=0.8, marker=".", ms=3)
        for position in rejected:
            ax.axvline(position, color=REJECTED, lw=0.8, alpha=0.7)
        style_axes(ax, spines=("bottom", "left"))
        ax.set_ylabel(label)
    axes[-1].set_xlabel("transient (rejected ones marked by a line)" if rejected.size else "transient")
    axes[-1].set_xlim(0.5, len(kept) + 0.5)
    return fig


PLANES: tuple[tuple[str, int, int, int], ...] = (("axial", 2, 0, 1), ("coronal", 1, 0, 2), ("sagittal", 0, 1, 2))
"""Plane name, the world axis it is perpendicular to, and the world axes drawn across and up (x: R, y: A, z: S)."""


def box_corners(voxel_affine: FloatArray) -> FloatArray:
    """Return the corners of the voxel in millimetres, shape ``(8, 3)``, in the order of binary counting of the axes."""
    affine = np.asarray(voxel_affine, dtype=float)
    steps = np.array([[i, j, k] for i in (-0.5, 0.5) for j in (-0.5, 0.5) for k in (-0.5, 0.5)])
    corners: FloatArray = steps @ affine[:3, :3].T + affine[:3, 3]
    return corners


def box_outline(voxel_affine: FloatArray, normal: int) -> FloatArray:
    """Return the polygon in which the plane through the voxel's centre cuts the box.

    Parameters
    ----------
    voxel_affine
        NIfTI-MRS affine in mm, shape ``(4, 4)``.
    normal
        World axis (0: R, 1: A, 2: S) perpendicular to the plane.

    Returns
    -------
    ndarray
        Corners of the closed polygon in mm, shape ``(n + 1, 3)``, in order round the centre.

    Notes
    -----
    Each of the twelve edges p + t (q - p), 0 <= t <= 1, is cut with the plane; the cuts, ordered by angle, are the
    polygon, because a plane cuts a convex body in a convex figure.
    """
    corners = box_corners(voxel_affine)
    centre = np.asarray(voxel_affine, dtype=float)[:3, 3]
    height = corners[:, normal] - centre[normal]
    cuts = []
    for first in range(8):
        for bit in (1, 2, 4):
            second = first ^ bit
            if second > first and height[first] * height[second] <= 0 and height[first] != height[second]:
                share = height[first] / (height[first] - height[second])
                cuts.append(corners[first] + share * (corners[second] - corners[first]))
    points = np.array(cuts).reshape(-1, 3) - centre
    across, up = (axis for axis in range(3) if axis != normal)
    points = points[np.argsort(np.arctan2(points[:, up], points[:, across]))] + centre
    return np.vstack([points, points[:1]])


def plane_through(
    image: AnyArray, affine: FloatArray, centre: FloatArray, plane: tuple[str, int, int, int], spacing: float = 1.0
) -> tuple[FloatArray, tuple[float, float, float, float]]:
    """Sample one world-aligned plane of an image by trilinear interpolation.

    Parameters
    ----------
    image
        Intensities, shape ``(i, j, k)``.
    affine
        Index to mm (RAS+), shape ``(4, 4)``.
    centre
        A point of the plane in mm, shape ``(3,)``.
    plane
        An entry of :data:`PLANES`.
    spacing
        Distance of samples in mm.

    Returns
    -------
    samples
        Shape ``(up, across)``, 0 outside the image.
    extent
        left, right, bottom, top edges in mm.
    """
    from scipy.ndimage import map_coordinates

    _, normal, across, up = plane
    low, high = _world_bounds(np.asarray(image).shape, affine)
    u = np.arange(low[across], high[across] + spacing / 2, spacing)
    v = np.arange(low[up], high[up] + spacing / 2, spacing)
    world = np.empty((v.size, u.size, 3))
    world[..., normal] = centre[normal]
    world[..., across] = u[None, :]
    world[..., up] = v[:, None]
    inverse = np.linalg.inv(np.asarray(affine, dtype=float))
    index = world @ inverse[:3, :3].T + inverse[:3, 3]
    samples = map_coordinates(np.asarray(image, dtype=np.float32), np.moveaxis(index, -1, 0), order=1, cval=0.0)
    half = spacing / 2
    return samples.astype(float), (u[0] - half, u[-1] + half, v[0] - half, v[-1] + half)


def _world_bounds(shape: tuple[int, ...], affine: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the smallest and largest world coordinates of an image's voxel centres, shape ``(3,)`` each."""
    corners = np.array([[i, j, k] for i in (0, shape[0] - 1) for j in (0, shape[1] - 1) for k in (0, shape[2] - 1)])
    world = corners @ np.asarray(affine, dtype=float)[:3, :3].T + np.asarray(affine, dtype=float)[:3, 3]
    return world.min(axis=0), world.max(axis=0)


def head_bounds(image: AnyArray, affine: FloatArray, top: float) -> tuple[FloatArray, FloatArray]:
    """Return the world bounds of what is bright in an image, background left out.

    Parameters
    ----------
    image
        Intensities, shape ``(i, j, k)``.
    affine
        Index to mm (RAS+), shape ``(4, 4)``.
    top
        Intensity of bright tissue; a slice counts when one voxel in two hundred reaches a tenth of it.

    Returns
    -------
    low, high
        Smallest and largest coordinates in mm, shape ``(3,)`` each; the whole image when nothing is bright.
    """
    bright = np.asarray(image) > 0.1 * top
    spans = []
    for axis in range(3):
        share = bright.mean(axis=tuple(other for other in range(3) if other != axis))
        inside = np.flatnonzero(share > 0.005)
        spans.append((inside[0], inside[-1]) if inside.size else (0, bright.shape[axis] - 1))
    start = np.array([span[0] for span in spans])
    shape = tuple(int(span[1] - span[0] + 1) for span in spans)
    moved = np.array(affine, dtype=float)
    moved[:3, 3] += moved[:3, :3] @ start
    return _world_bounds(shape, moved)


@house_style
def voxel_figure(t1w: AnyArray, t1w_affine: FloatArray, voxel_affine: FloatArray) -> Figure:
    """Draw the T1w image in three planes through the voxel's centre, with the outline of the box.

    Parameters
    ----------
    t1w
        Intensities, shape ``(i, j, k)``.
    t1w_affine
        Index to scanner mm (RAS+), shape ``(4, 4)``.
    voxel_affine
        NIfTI-MRS affine: edges of the box in mm as columns, centre last, shape ``(4, 4)``.

    Notes
    -----
    Planes are aligned with the scanner's axes, not the image's, so an oblique voxel is cut exactly. The participant's
    left is on the left, and each image says so. All planes have one scale and show the head and the whole box.
    """
    fig = new_figure(7.4, 2.75)
    axes = fig.subplots(1, 3)
    fig.subplots_adjust(left=0.005, right=0.995, top=0.92, bottom=0.01, wspace=0.02)
    image = np.asarray(t1w)
    positive = image[image > 0]
    top = float(np.percentile(positive, 99.5)) if positive.size else 1.0
    low, high = head_bounds(image, t1w_affine, top)
    corners = box_corners(voxel_affine)
    low, high = np.minimum(low, corners.min(axis=0)), np.maximum(high, corners.max(axis=0))
    half = float(np.max(high - low)) / 2 + 4.0
    for ax, plane in zip(axes, PLANES, strict=True):
        _draw_plane(ax, plane, image, t1w_affine, voxel_affine, top)
        _frame(ax, plane, (low + high) / 2, half)
    return fig


def _draw_plane(
    ax: Axes, plane: tuple[str, int, int, int], t1w: AnyArray, affine: FloatArray, box: FloatArray, top: float
) -> None:
    """Draw one plane with the outline of the box and the sides named."""
    name, normal, across, up = plane
    centre = np.asarray(box, dtype=float)[:3, 3]
    samples, extent = plane_through(t1w, affine, centre, plane)
    ax.imshow(
        samples, origin="lower", extent=extent, cmap="gray", vmin=0, vmax=top, interpolation="none", aspect="equal"
    )
    outline = box_outline(box, normal)
    ax.plot(outline[:, across], outline[:, up], color=OUTLINE, lw=1.4)
    ax.set_title(f"{name}, {'xyz'[normal]} = {centre[normal]:.0f} mm", fontsize=FONT_SIZE, color=INK, pad=3)
    left, right = ("L", "R") if across == 0 else ("P", "A")
    style: dict[str, Any] = {"transform": ax.transAxes, "va": "top", "color": "#ffffff", "fontsize": FONT_SIZE + 1}
    ax.text(0.03, 0.95, left, ha="left", weight="bold", **style)
    ax.text(0.97, 0.95, right, ha="right", weight="bold", **style)


def _frame(ax: Axes, plane: tuple[str, int, int, int], middle: FloatArray, half: float) -> None:
    """Show a square about a point, on black, without ticks."""
    _, _, across, up = plane
    ax.set_xlim(middle[across] - half, middle[across] + half)
    ax.set_ylim(middle[up] - half, middle[up] + half)
    ax.set_xticks([])
    ax.set_yticks([])
    style_axes(ax, spines=())
    ax.set_facecolor("black")
