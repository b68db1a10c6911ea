"""Tissue fractions of a voxel."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mrs_pipeline.errors import InputError
from mrs_pipeline.spectrum import FloatArray

SEGMENTATION_SD = (0.04, 0.04, 0.03)
"""Standard errors of GM, WM, CSF taken for fractions that state none: the spread of benchmarks/anatomy_accuracy.py."""

DEEP_SHARE = 0.15
"""Share of deep grey matter from which a voxel is flagged."""
DEEP_SD = (0.07, 0.07, 0.03)
"""The same errors for voxels in deep grey matter."""


@dataclass(frozen=True)
class TissueFractions:
    """Volume fractions of a voxel.

    Parameters
    ----------
    gm, wm, csf
        Volume fractions, sum 1.
    sd
        Standard errors of the three fractions; larger where part of the box is of unknown tissue.
    source
        Where they come from, as a phrase for the report.
    warnings
        Sentences for the report.
    inside
        Share of the voxel that lies in the three tissues at all; less than 1 when part of the box leaves the head
        or the image.
    deep
        Share of the voxel in deep grey matter (thalamus, lentiform nucleus), where GM is close to WM on a T1w.
    """

    gm: float
    wm: float
    csf: float
    sd: tuple[float, float, float] = SEGMENTATION_SD
    source: str = "not stated"
    warnings: tuple[str, ...] = ()
    inside: float = 1.0
    deep: float = 0.0

    def __post_init__(self) -> None:
        values = (self.gm, self.wm, self.csf)
        if not all(-1e-9 <= value <= 1 + 1e-9 for value in values) or abs(sum(values) - 1) > 1e-3:
            raise InputError(
                f"tissue fractions GM {self.gm:.3f}, WM {self.wm:.3f}, CSF {self.csf:.3f} are not three shares of 1",
                remedy="give volume fractions between 0 and 1 that sum to 1",
            )


def fractions(
    mask: FloatArray, maps: Mapping[str, FloatArray], *, source: str = "segmentation", covered: float = 1.0
) -> TissueFractions:
    r"""Average tissue maps over a voxel.

    Parameters
    ----------
    mask
        Partial-volume mask of the voxel on the T1w grid, shape (x, y, z), 0 to 1.
    maps
        ``"gm"``, ``"wm"``, ``"csf"``: probabilities on the same grid; optionally ``"deep"``, the deep grey matter.
    source
        Phrase for the report.
    covered
        Share of the box that lies in the image at all, see :func:`mrs_pipeline.anatomy.coverage`.

    Raises
    ------
    InputError
        Grids differ, or the voxel holds no tissue at all.

    Notes
    -----
    What lies outside the three tissues, a share :math:`u` of the box, may be any of them: each fraction :math:`f` is
    then somewhere in :math:`[f(1-u), f(1-u)+u]`. The SD of an even distribution over that, :math:`u/\sqrt{12}`, is
    added to the error of the maps in quadrature.
    """
    for name in ("gm", "wm", "csf"):
        if maps[name].shape != mask.shape:
            raise InputError(
                f"the {name} map has shape {maps[name].shape}, the T1w {mask.shape}",
                remedy="use tissue maps on the grid of this visit's T1w",
            )
    volume = float(mask.sum())
    parts = np.array([float((mask * maps[name]).sum()) for name in ("gm", "wm", "csf")])
    if volume <= 0 or parts.sum() < 0.05 * volume:
        raise InputError(
            "the voxel lies outside the segmented brain",
            remedy="check that spectrum and T1w belong together and share scanner space",
        )
    inside = min(float(parts.sum() / volume) * covered, 1.0)
    warnings = (
        ()
        if inside > 0.95
        else (f"{100 * (1 - inside):.0f} % of the voxel lies outside brain and CSF of the tissue maps",)
    )
    gm, wm, csf = (float(value) for value in parts / parts.sum())
    deep = float((mask * maps["deep"]).sum() / volume) if "deep" in maps else 0.0
    known, unknown = SEGMENTATION_SD if deep < DEEP_SHARE else DEEP_SD, (1 - inside) / math.sqrt(12)
    return TissueFractions(
        gm,
        wm,
        csf,
        sd=(math.hypot(known[0], unknown), math.hypot(known[1], unknown), math.hypot(known[2], unknown)),
        source=source,
        warnings=(*warnings, *_deep_warning(deep)),
        inside=inside,
        deep=deep,
    )


def _deep_warning(deep: float) -> tuple[str, ...]:
    if deep < DEEP_SHARE:
        return ()
    text = f"{100 * deep:.0f} % of the voxel is deep grey matter, which is close to white matter on a T1w: "
    return (text + "its GM and WM are less certain",)
