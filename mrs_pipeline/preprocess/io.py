"""Preprocessing results as files: ``preproc.json`` and ``evidence.npz``."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from mrs_pipeline.errors import InputError
from mrs_pipeline.files import atomic_write, read_json, write_json
from mrs_pipeline.preprocess.types import Evidence, Preprocessed, StepRecord
from mrs_pipeline.spectrum import Spectrum

AGAIN = "run the preprocessing of this scan again"


def save(result: Preprocessed, json_path: str | Path, evidence_path: str | Path) -> None:
    """Write a result without its spectra: the record as JSON, the evidence as npz; atomic and byte-reproducible.

    The spectra themselves are NIfTI-MRS files, written through ``mrs_pipeline.nifti_mrs``.
    """
    write_json(result.to_dict(), json_path)
    arrays: dict[str, Any] = {key: result.evidence[key] for key in sorted(result.evidence)}
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    atomic_write(evidence_path, stream.getvalue())


def load(
    json_path: str | Path, evidence_path: str | Path | None, spectrum: Spectrum, water: Spectrum | None = None
) -> Preprocessed:
    """Read a result back; the spectra come from their NIfTI-MRS files.

    Raises
    ------
    InputError
        A file is missing or is not what :func:`save` wrote.
    """
    data = load_record(json_path)
    try:
        steps = tuple(StepRecord(**step) for step in data["steps"])
        return Preprocessed(
            spectrum=spectrum,
            water=water,
            steps=steps,
            drift_hz=tuple(data["drift_hz"]),
            drift_deg=tuple(data["drift_deg"]),
            kept=tuple(data["kept"]),
            metrics=dict(data["metrics"]),
            warnings=tuple(data["warnings"]),
            evidence={} if evidence_path is None else load_evidence(evidence_path),
        )
    except (KeyError, TypeError) as error:
        raise InputError(f"not a preprocessing record ({error})", remedy=AGAIN, path=json_path) from error


def load_record(json_path: str | Path) -> dict[str, Any]:
    """Read ``preproc.json`` as a dictionary."""
    return read_json(json_path, remedy=AGAIN)


def load_evidence(evidence_path: str | Path) -> Evidence:
    """Read ``evidence.npz``."""
    try:
        with np.load(Path(evidence_path), allow_pickle=False) as stored:
            return {key: stored[key] for key in stored.files}
    except (OSError, ValueError) as error:
        raise InputError(
            f"the evidence arrays cannot be read ({error})",
            remedy=AGAIN,
            path=evidence_path,
        ) from error
