"""Simulated lines kept on disk, keyed by everything they depend on."""

from __future__ import annotations

import hashlib
import io
import zipfile
from dataclasses import fields, is_dataclass
from pathlib import Path

import numpy as np

from mrs_pipeline.basis.engine import VERSION, Frame, Lines
from mrs_pipeline.basis.sequences import Events
from mrs_pipeline.basis.systems import molecule
from mrs_pipeline.files import atomic_write


class LineCache:
    """Lines of single metabolites, one ``.npz`` file each.

    Parameters
    ----------
    folder
        Where the files lie; ``None``: nothing is read or written.
    halves
        Weights and events of the scans.
    frame
        Field and carrier.

    Notes
    -----
    The key hashes the spin system (every shift and coupling), the events (every delay, flip angle and waveform
    point), field, carrier and the version of the engine. Line width, dwell and number of points enter later, when a
    FID is made of the lines.
    """

    def __init__(self, folder: Path | None, halves: list[tuple[float, Events]], frame: Frame) -> None:
        self._folder = folder
        self._base = digest((VERSION, halves, frame)) if folder is not None else ""

    def _path(self, name: str) -> Path | None:
        if self._folder is None:
            return None
        key = digest((self._base, molecule(name)))
        return self._folder / f"{name}-{key[:24]}.npz"

    def read(self, name: str) -> Lines | None:
        """Return the stored lines of a metabolite, or ``None``; a damaged file counts as absent."""
        path = self._path(name)
        if path is None or not path.exists():
            return None
        try:
            # opened here, because numpy leaves the file open when it is damaged
            with path.open("rb") as handle, np.load(handle, allow_pickle=False) as stored:
                return Lines(stored["amplitudes"], stored["frequencies"])
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None

    def write(self, name: str, lines: Lines) -> None:
        """Store the lines of a metabolite; readers see the whole file or none."""
        path = self._path(name)
        if path is None:
            return
        stream = io.BytesIO()
        np.savez(stream, amplitudes=lines.amplitudes, frequencies=lines.frequencies)
        atomic_write(path, stream.getvalue())


def digest(value: object) -> str:
    """Return a SHA-256 over the content of nested dataclasses, containers, arrays and plain values."""
    hasher = hashlib.sha256()
    _feed(hasher, value)
    return hasher.hexdigest()


def _feed(hasher: hashlib._Hash, value: object) -> None:
    if is_dataclass(value) and not isinstance(value, type):
        hasher.update(type(value).__name__.encode())
        for field in fields(value):
            hasher.update(field.name.encode())
            _feed(hasher, getattr(value, field.name))
    elif isinstance(value, np.ndarray):
        hasher.update(f"{value.dtype}{value.shape}".encode() + np.ascontiguousarray(value).tobytes())
    elif isinstance(value, list | tuple):
        hasher.update(f"[{len(value)}".encode())
        for item in value:
            _feed(hasher, item)
    else:
        hasher.update(repr(value).encode() + b";")
