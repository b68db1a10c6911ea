"""Preprocessing results as files: ``preproc.json`` and ``evidence.npz``."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np

from mrs_pipeline.errors import InputError
from mrs_pipeline.files import atomic_write
from mrs_pipeline.preprocess.types import Evidence, Preprocessed, StepRecord
from mrs_pipeline.spectrum import Spectrum


def save(result: Preprocessed, json_path: str | Path, evidence_path: str | Path) -> None:
    """Write a result without its spectra: the record as JSON, the evidence as npz; atomic and byte-reproducible.

    The spectra themselves are NIfTI-MRS files, written through ``mrs_pipeline.nifti_mrs``.
    """
    text = json.dumps(result.to_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    atomic_write(json_path, text)
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
        raise InputError(
            f"not a preprocessing record ({error})", remedy="run the preprocessing of this scan again", path=json_path
        ) from error


def load_record(json_path: str | Path) -> dict[str, Any]:
    """Read ``preproc.json`` as a dictionary."""
    try:
        data = json.loads(Path(json_path).read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise InputError(
            f"the preprocessing record cannot be read ({error})",
            remedy="run the preprocessing of this scan again",
            path=json_path,
        ) from error
    if not isinstance(data, dict):
        raise InputError(
            "not a preprocessing record", remedy="run the preprocessing of this scan again", path=json_path
        )
    return data


def load_evidence(evidence_path: str | Path) -> Evidence:
    """Read ``evidence.npz``."""
    try:
        with np.load(Path(evidence_path), allow_pickle=False) as stored:
            return {key: stored[key] for key in stored.files}
    except (OSError, ValueError) as error:
        raise InputError(
            f"the evidence arrays cannot be read ({error})",
            remedy="run the preprocessing of this scan again",
            path=evidence_path,
        ) from error
