"""From the evidence arrays of preprocessing (``evidence.npz``) to what a report draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mrs_pipeline.report.figures import DISPLAY_PPM
from mrs_pipeline.report.scan_model import AnyArray, FloatArray, StepPair, TransientsView

WATER_PPM = (0.2, 5.2)
"""Window of steps that act on the water line, in ppm."""

_AT_WATER = ("water_removal", "eddy_current")


def pairs_from_evidence(
    evidence: Mapping[str, AnyArray], steps: Sequence[str] | None = None, window: tuple[float, float] | None = None
) -> tuple[StepPair, ...]:
    """Return the spectra before and after each step, cut to the window worth seeing.

    Parameters
    ----------
    evidence
        ``"ppm"`` of shape ``(n,)``, and ``"<step>.before"`` and ``"<step>.after"`` of shape ``(n,)`` (leading axes,
        such as edited sub-spectra, are averaged for the picture).
    steps
        Names in the order drawn; ``None``: the order of the evidence.
    window
        Window in ppm; ``None``: that of 1H metabolites, and of water for the steps at water.
    """
    if "ppm" not in evidence:
        return ()
    found = [key.removesuffix(".before") for key in evidence if key.endswith(".before") and key != "transients.before"]
    names = found if steps is None else [name for name in steps if name in found]
    ppm = np.asarray(evidence["ppm"], dtype=float)
    return tuple(
        _pair(name, ppm, window, evidence[f"{name}.before"], evidence[f"{name}.after"])
        for name in names
        if f"{name}.after" in evidence
    )


def _pair(
    name: str, ppm: FloatArray, window: tuple[float, float] | None, before: AnyArray, after: AnyArray
) -> StepPair:
    """Cut one pair to its window."""
    low, high = window or (WATER_PPM if name in _AT_WATER else DISPLAY_PPM)
    inside = (ppm >= low) & (ppm <= high)
    return StepPair(name.replace("_", " "), ppm[inside], _one(before)[inside], _one(after)[inside])


def _one(spectra: AnyArray) -> AnyArray:
    """Return the real part, averaged over leading axes."""
    real = np.real(np.asarray(spectra))
    mean: AnyArray = real.reshape(-1, real.shape[-1]).mean(axis=0)
    return mean


def transients_from_evidence(
    evidence: Mapping[str, AnyArray],
    kept: Sequence[bool],
    drift_hz: Sequence[float | None],
    drift_deg: Sequence[float | None],
    window: tuple[float, float] | None = None,
) -> TransientsView | None:
    """Return the single transients as a report shows them; ``None`` for averaged input.

    Parameters
    ----------
    evidence
        ``"transients.ppm"`` (or ``"ppm"``) of shape ``(p,)``, ``"transients.before"`` and ``"transients.after"`` of
        shape ``(n, p)``, each of which may be absent.
    kept, drift_hz, drift_deg
        As ``Preprocessed`` has them, one value per transient, ``None`` where dropped.
    window
        Window in ppm; ``None``: that of 1H metabolites.
    """
    low, high = window or DISPLAY_PPM
    if len(kept) < 2:
        return None
    axis = evidence.get("transients.ppm", evidence.get("ppm"))
    images = {key: evidence.get(f"transients.{key}") for key in ("before", "after")}
    if axis is not None:
        ppm = np.asarray(axis, dtype=float)
        inside = (ppm >= low) & (ppm <= high)
        images = {key: _rows(image, len(kept), inside) for key, image in images.items()}
        axis = ppm[inside]
    return TransientsView(
        kept=np.asarray(kept, dtype=bool),
        drift_hz=_trace(drift_hz),
        drift_deg=_trace(drift_deg),
        ppm=axis,
        before=images["before"],
        after=images["after"],
    )


def _rows(image: AnyArray | None, n: int, inside: AnyArray) -> AnyArray | None:
    """Return the real rows of an image cut to the window; ``None`` when it does not hold one row a transient."""
    if image is None or image.shape != (n, inside.size):
        return None
    return np.real(image)[:, inside]


def _trace(values: Sequence[float | None]) -> FloatArray | None:
    """Return a drift trace with NaN where dropped; ``None`` when there is none."""
    trace = np.array([np.nan if value is None else float(value) for value in values])
    return trace if trace.size and np.isfinite(trace).any() else None
