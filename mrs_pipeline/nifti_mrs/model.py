"""The value that crosses the disk boundary: a spectrum with its place in the head and its header."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from mrs_pipeline.nifti_mrs.header import processing_step
from mrs_pipeline.spectrum import FloatArray, Spectrum

UNLOCALISED_MM = 10_000.0
"""Voxel edge that the NIfTI-MRS standard gives an axis without localisation."""


def _unlocalised_affine() -> FloatArray:
    affine = np.diag([UNLOCALISED_MM, UNLOCALISED_MM, UNLOCALISED_MM, 1.0])
    affine.setflags(write=False)
    return affine


UNLOCALISED_AFFINE = _unlocalised_affine()
"""Affine of an acquisition whose place is not known, shape ``(4, 4)``."""


@dataclass(frozen=True, eq=False)
class NiftiMrs:
    """One single-voxel NIfTI-MRS acquisition; immutable.

    Parameters
    ----------
    spectrum
        The data in the inside convention.
    affine
        Voxel to scanner RAS coordinates in mm, shape ``(4, 4)``.
    header
        The JSON header extension as read. What :attr:`spectrum` states (frequency, timing, dimension tags) overrides
        it on writing; everything else, ``ProcessingApplied`` included, is kept.
    path
        Where it was read from.
    """

    spectrum: Spectrum
    affine: FloatArray = field(default_factory=lambda: UNLOCALISED_AFFINE)
    header: Mapping[str, Any] = field(default_factory=dict)
    path: Path | None = None

    def __post_init__(self) -> None:
        affine = np.array(self.affine, dtype=np.float64)
        if affine.shape != (4, 4):
            raise ValueError(f"affine has shape {affine.shape}, not (4, 4)")
        affine.setflags(write=False)
        object.__setattr__(self, "affine", affine)
        object.__setattr__(self, "header", dict(self.header))

    @property
    def voxel_size_mm(self) -> FloatArray:
        """Edge lengths of the voxel in mm, shape ``(3,)``."""
        return np.asarray(np.sqrt(np.sum(self.affine[:3, :3] ** 2, axis=0)), dtype=np.float64)

    @property
    def is_localised(self) -> bool:
        """Whether every edge of the voxel is known (the standard writes 10 000 mm where it is not)."""
        return bool(np.all(self.voxel_size_mm < UNLOCALISED_MM * 0.999))

    @property
    def manufacturer(self) -> str | None:
        """Manufacturer as the header states it."""
        value = self.header.get("Manufacturer")
        return str(value) if value else None

    @property
    def transmit_ppm(self) -> float:
        """Chemical shift in ppm at the transmitter, where the voxel is where its affine says.

        The transmit offset moves the voxel of other lines (chemical-shift displacement); it never moves the ppm axis.
        """
        spec_freq = self.spectrum.reference_ppm - float(self.header.get("RxOffset", 0.0))
        return spec_freq + float(self.header.get("TxOffset", 0.0))

    def with_spectrum(self, spectrum: Spectrum) -> NiftiMrs:
        """Return the same place and header with other data."""
        return replace(self, spectrum=spectrum, path=None)

    def with_header(self, **fields: Any) -> NiftiMrs:  # noqa: ANN401  header values are any JSON
        """Return a copy with header fields set; a field given as ``None`` is removed."""
        header = {key: value for key, value in {**self.header, **fields}.items() if value is not None}
        return replace(self, header=header, path=None)

    def with_processing(self, method: str, details: str = "") -> NiftiMrs:
        """Return a copy with one more entry in ``ProcessingApplied``."""
        steps = [*self.header.get("ProcessingApplied", []), processing_step(method, details)]
        return self.with_header(ProcessingApplied=steps)
