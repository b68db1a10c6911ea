"""What flows from step to step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from mrs_pipeline.preprocess.types import Evidence, StepRecord, display
from mrs_pipeline.spectrum import FloatArray, Spectrum

METHODS = {
    "coil_combination": "RF coil combination",
    "outliers": "Outlier removal",
    "alignment": "Frequency and phase correction",
    "averaging": "Signal averaging",
    "edited": "Alignment of sub-spectra, addition and subtraction",
    "first_point": "First-point correction",
    "eddy_current": "Eddy current correction",
    "pre_echo": "Temporal truncation or extrapolation",
    "water_removal": "Nuisance peak removal",
    "phase": "Phasing",
    "reference": "Frequency and phase correction",
}
"""Method strings of NIfTI-MRS ``ProcessingApplied`` by step."""


@dataclass(frozen=True, eq=False)
class State:
    """A spectrum on its way, with the record of what was done to it.

    Parameters
    ----------
    spectrum
        The data so far.
    others
        Edited spectra that go the same way, by name.
    steps, warnings, evidence, metrics, drift_hz, drift_deg, kept
        As in :class:`~mrs_pipeline.preprocess.types.Preprocessed`.
    """

    spectrum: Spectrum
    others: dict[str, Spectrum] = field(default_factory=dict)
    steps: tuple[StepRecord, ...] = ()
    warnings: tuple[str, ...] = ()
    evidence: Evidence = field(default_factory=dict)
    metrics: dict[str, float | None] = field(default_factory=dict)
    drift_hz: tuple[float | None, ...] = ()
    drift_deg: tuple[float | None, ...] = ()
    kept: tuple[bool, ...] = ()

    def done(
        self,
        name: str,
        reason: str,
        change: Callable[[Spectrum], Spectrum],
        **parameters: Any,  # noqa: ANN401  JSON values
    ) -> State:
        """Apply a step to the spectrum and its companions, with its record and evidence."""
        spectrum = change(self.spectrum)
        evidence = dict(self.evidence)
        if spectrum is not self.spectrum and self.spectrum.fid.ndim == 1 and spectrum.fid.ndim == 1:
            evidence[f"{name}.before"] = display(self.spectrum.fid).astype(np.complex64)
            evidence[f"{name}.after"] = display(spectrum.fid).astype(np.complex64)
        others = {key: change(other) for key, other in self.others.items()}
        record = StepRecord(name, True, reason, plain(parameters), METHODS[name])
        return replace(self, spectrum=spectrum, others=others, steps=(*self.steps, record), evidence=evidence)

    def skipped(self, name: str, reason: str, **parameters: Any) -> State:  # noqa: ANN401  JSON values
        """Record a step that changed nothing."""
        return replace(self, steps=(*self.steps, StepRecord(name, False, reason, plain(parameters), METHODS[name])))

    def warn(self, *sentences: str) -> State:
        """Add warnings."""
        return replace(self, warnings=(*self.warnings, *sentences))

    def measure(self, **values: float | None) -> State:
        """Add metrics."""
        return replace(self, metrics={**self.metrics, **values})


def on_axis(evidence: Evidence, old: FloatArray, new: FloatArray) -> Evidence:
    """Interpolate complex spectra of one ppm axis to another, for drawing; other arrays stay."""
    return {
        key: np.interp(new, old, value).astype(np.complex64)
        if np.iscomplexobj(value) and value.shape == old.shape
        else value
        for key, value in evidence.items()
    }


def plain(parameters: dict[str, Any]) -> dict[str, Any]:
    """Turn numpy scalars and tuples into JSON types; not-finite numbers become ``None``."""

    def convert(value: Any) -> Any:  # noqa: ANN401  JSON values
        if isinstance(value, dict):
            return {str(key): convert(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [convert(item) for item in value]
        if isinstance(value, np.generic):
            value = value.item()
        return None if isinstance(value, float) and not np.isfinite(value) else value

    return {key: convert(value) for key, value in parameters.items()}
