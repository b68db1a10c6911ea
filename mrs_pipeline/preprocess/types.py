"""What preprocessing returns: the spectrum, the record of every step and the evidence for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from mrs_pipeline.spectrum import Spectrum

Evidence = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class StepRecord:
    """What one step did, or why it did nothing.

    Parameters
    ----------
    name
        Name of the step, as in ``PreprocessSection`` (``"eddy_current"``, ``"water_removal"``, ...).
    applied
        Whether the data were changed.
    reason
        Why it was applied or left out, as a clause.
    parameters
        Numbers and words that describe what was done; JSON types only.
    method
        Method string of NIfTI-MRS ``ProcessingApplied``.
    """

    name: str
    applied: bool
    reason: str
    parameters: dict[str, Any] = field(default_factory=dict)
    method: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the record as JSON types."""
        return {
            "name": self.name,
            "applied": self.applied,
            "reason": self.reason,
            "parameters": self.parameters,
            "method": self.method,
        }


@dataclass(frozen=True, eq=False)
class Preprocessed:
    """One clean spectrum with the history that made it.

    Parameters
    ----------
    spectrum
        Combined, aligned, averaged, corrected FID; scanner units, true (un-halved) first point, no leading axis except
        ``DIM_EDIT`` for edited data (sub-spectra) and any ``DIM_USER_n`` or ``DIM_MEAS`` that carries conditions.
    water
        Water reference for concentrations, brought to the same scale; ``None`` without one.
    steps
        What each step did, in order.
    drift_hz, drift_deg
        The transient's own offset (not the correction): frequency in Hz, positive towards higher ppm, and phase in
        degrees relative to the median of the kept ones; one per transient, ``None`` where dropped. Empty for averaged
        input.
    kept
        Whether each transient was kept; empty for averaged input.
    metrics
        Quality metrics by name; ``None`` where not available (definitions: ``METRIC_DEFINITIONS``).
    warnings
        Sentences a reader of the report must see.
    evidence
        Arrays before and after each step for the report: ``"ppm"`` and ``"<step>.before"``, ``"<step>.after"`` (complex
        spectra, first point halved before the transform), ``"transients.*"`` where there are transients.
    edited
        Further spectra made from edited sub-spectra: ``"difference"`` and ``"sum"``.
    """

    spectrum: Spectrum
    water: Spectrum | None
    steps: tuple[StepRecord, ...]
    drift_hz: tuple[float | None, ...]
    drift_deg: tuple[float | None, ...]
    kept: tuple[bool, ...]
    metrics: dict[str, float | None]
    warnings: tuple[str, ...]
    evidence: Evidence = field(default_factory=dict)
    edited: dict[str, Spectrum] = field(default_factory=dict)

    def step(self, name: str) -> StepRecord | None:
        """Return the record of a step by name, ``None`` if there is none."""
        return next((record for record in self.steps if record.name == name), None)

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the arrays as JSON types (``preproc.json``)."""
        return {
            "steps": [record.to_dict() for record in self.steps],
            "drift_hz": list(self.drift_hz),
            "drift_deg": list(self.drift_deg),
            "kept": list(self.kept),
            "metrics": dict(self.metrics),
            "warnings": list(self.warnings),
            "edited": sorted(self.edited),
        }


def display(fid: npt.NDArray[np.complex128]) -> npt.NDArray[np.complex128]:
    """Return the spectrum of a FID for looking and measuring, first point halved.

    Parameters
    ----------
    fid
        FIDs with a true first point, shape ``(..., n_points)``.

    Returns
    -------
    ndarray
        Centred spectra, same shape.

    Notes
    -----
    The discrete transform of a causal signal is its Fourier integral plus half its first point (trapezoidal rule), a
    constant offset of the whole spectrum; halving the first point removes it.
    """
    halved = np.array(fid, dtype=np.complex128)
    halved[..., 0] *= 0.5
    return np.asarray(np.fft.fftshift(np.fft.fft(halved, axis=-1), axes=-1), dtype=np.complex128)
