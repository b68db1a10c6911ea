"""One page with every member of a basis set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mrs_pipeline.basis.model import Basis
from mrs_pipeline.errors import BasisError
from mrs_pipeline.spectrum import FloatArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLUMNS = 4
_DISPLAY_WIDTH_HZ = 3.0


def draw_basis(basis: Basis, ppm_range: tuple[float, float] = (0.2, 4.6)) -> Figure:
    """Return a figure with one panel per member: real part, broadened by 3 Hz, zero-filled.

    Parameters
    ----------
    basis
        The set.
    ppm_range
        Range of chemical shift shown.
    """
    from matplotlib.figure import Figure

    rows = -(-len(basis) // _COLUMNS)
    figure = Figure(figsize=(11.0, 0.9 + 1.45 * rows), layout="constrained")
    axes = figure.subplots(rows, _COLUMNS, squeeze=False, sharex=True)
    for panel, name in zip(axes.flat, basis.names, strict=False):
        _panel(panel, basis, name, ppm_range)
    for spare in axes.flat[len(basis) :]:
        spare.set_visible(False)
    for column in range(_COLUMNS):
        used = [row for row in range(rows) if row * _COLUMNS + column < len(basis)]
        if used:
            last = axes[used[-1], column]
            last.tick_params(labelbottom=True)
            last.set_xlabel("Chemical shift (ppm)", fontsize=8)
    figure.suptitle(_title(basis), fontsize=10)
    return figure


def _panel(panel: Axes, basis: Basis, name: str, ppm_range: tuple[float, float]) -> None:
    ppm, spectrum = display_spectrum(basis, name)
    shown = (ppm >= ppm_range[0]) & (ppm <= ppm_range[1])
    panel.axhline(0.0, color="0.8", linewidth=0.6)
    panel.plot(ppm[shown], spectrum[shown], color="#1f4e79", linewidth=0.8)
    panel.set_xlim(ppm_range[1], ppm_range[0])
    panel.set_yticks([])
    panel.tick_params(labelsize=7, labelbottom=False)
    panel.set_title(name, fontsize=9, loc="left", pad=2)
    panel.set_title(f"|y(0)| = {abs(basis.fid(name)[0]):.2f}", fontsize=7, loc="right", pad=2, color="0.4")
    for side in ("left", "right", "top"):
        panel.spines[side].set_visible(False)


def display_spectrum(basis: Basis, name: str) -> tuple[FloatArray, FloatArray]:
    """Return ppm (ascending) and the real spectrum of a member, broadened by 3 Hz and zero-filled fourfold."""
    fid = basis.fid(name) * np.exp(-np.pi * _DISPLAY_WIDTH_HZ * basis.time)
    fid[0] /= 2
    size = 4 * basis.n_points
    frequency = np.fft.fftshift(np.fft.fftfreq(size, basis.dwell))
    return basis.reference_ppm + frequency / basis.field_mhz, np.fft.fftshift(np.fft.fft(fid, size)).real


def _title(basis: Basis) -> str:
    times = (("TE1", basis.te1), ("TE2", basis.te2), ("TM", basis.tm))
    stated = " ".join(f"{label} {value * 1e3:g} ms" for label, value in times if value is not None)
    return f"{basis.sequence} {stated}, {basis.field_mhz:.2f} MHz, {basis.pulses} pulses; each panel on its own scale"


def save_figure(basis: Basis, path: str | Path) -> Path:
    """Draw a basis set to an SVG, PNG or PDF page.

    Raises
    ------
    BasisError
        The suffix names no image format.
    """
    from matplotlib import rc_context

    path = Path(path)
    if path.suffix.lower() not in {".svg", ".png", ".pdf"}:
        raise BasisError(f"{path.suffix or 'no suffix'} is no image format", remedy="use .svg, .png or .pdf", path=path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with rc_context({"svg.hashsalt": "mrs-pipeline"}):
        metadata = {"Date": None} if path.suffix.lower() == ".svg" else None
        draw_basis(basis).savefig(path, dpi=150, metadata=metadata)
    return path
