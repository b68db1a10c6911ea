"""The basis set: one complex FID per metabolite, with all that is needed to use it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mrs_pipeline.errors import BasisError
from mrs_pipeline.spectrum import WATER_PPM, ComplexArray, FloatArray, Spectrum


@dataclass(frozen=True, eq=False)
class Basis:
    """FIDs of single molecules for one sequence; immutable.

    One proton's transverse magnetisation has |y(0)| = 1 (pulse-acquire, no relaxation), so that fitted amplitudes are
    per molecule.
    The time convention is that of :class:`mrs_pipeline.spectrum.Spectrum`: numpy's forward FFT, ppm = reference + f
    / carrier.

    Parameters
    ----------
    names
        Canonical metabolite names, one per FID.
    fids
        Complex FIDs, shape ``(metabolite, time)``; time starts at the top of the (last) echo, first point not halved.
    dwell
        Time between points in seconds.
    field_mhz
        Proton frequency in MHz.
    reference_ppm
        Chemical shift at zero frequency in ppm.
    te1, te2, tm
        Sequence timing in seconds; ``None`` when not known or not part of the sequence. Sequences with one echo time
        keep it in ``te1``.
    sequence
        ``"press"``, ``"steam"``, ...; ``"unknown"`` when the file does not say.
    scale
        Factor that was applied to the FIDs as read to reach the basis unit; 1 for simulated sets.
    pulses
        ``"ideal"``, ``"shaped"`` or ``"unknown"``.
    source
        File or simulator the set comes from.
    notes
        What was found and corrected, one sentence each.
    """

    names: tuple[str, ...]
    fids: ComplexArray
    dwell: float
    field_mhz: float
    reference_ppm: float = WATER_PPM
    te1: float | None = None
    te2: float | None = None
    tm: float | None = None
    sequence: str = "unknown"
    scale: float = 1.0
    pulses: str = "unknown"
    source: str = ""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        fids = np.array(self.fids, dtype=np.complex128)
        if fids.ndim != 2 or fids.shape[0] != len(self.names):
            raise ValueError(f"{len(self.names)} names but FIDs of shape {fids.shape}")
        if len(set(self.names)) != len(self.names):
            raise ValueError(f"names are not unique: {self.names}")
        if not self.dwell > 0 or not self.field_mhz > 0:
            raise ValueError(f"dwell ({self.dwell} s) and field ({self.field_mhz} MHz) must be positive")
        fids.setflags(write=False)
        object.__setattr__(self, "fids", fids)
        object.__setattr__(self, "names", tuple(self.names))

    @property
    def file(self) -> Path | None:
        """File or folder the set was read from; ``None`` for a set that was made here."""
        return Path(self.source) if self.source and Path(self.source).exists() else None

    @property
    def echo_time(self) -> float | None:
        """Total echo time in seconds, or ``None`` when not known."""
        if self.te1 is None:
            return None
        return self.te1 + (self.te2 or 0.0)

    @property
    def n_points(self) -> int:
        """Number of time points."""
        return int(self.fids.shape[1])

    @property
    def time(self) -> FloatArray:
        """Time of each point in seconds, shape ``(n_points,)``."""
        return np.arange(self.n_points, dtype=np.float64) * self.dwell

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def __len__(self) -> int:
        return len(self.names)

    def fid(self, name: str) -> ComplexArray:
        """Return one metabolite's FID, shape ``(n_points,)``."""
        self._require([name])
        row: ComplexArray = self.fids[self.names.index(name)]
        return row

    def spectrum(self, name: str) -> Spectrum:
        """Return one metabolite as a :class:`Spectrum`."""
        return Spectrum(
            self.fid(name),
            self.dwell,
            self.field_mhz,
            self.reference_ppm,
            echo_time=self.echo_time,
            mixing_time=self.tm,
        )

    def select(self, names: Iterable[str]) -> Basis:
        """Return the set reduced to ``names``, in that order.

        Raises
        ------
        BasisError
            A name is not in the set.
        """
        wanted = tuple(names)
        self._require(wanted)
        rows = [self.names.index(name) for name in wanted]
        return replace(self, names=wanted, fids=self.fids[rows])

    def with_member(self, name: str, fid: ComplexArray, note: str | None = None) -> Basis:
        """Return the set with one more member (or the member of that name replaced).

        Parameters
        ----------
        name
            Name of the member.
        fid
            Complex FID on the set's own time grid, shape ``(n_points,)``, basis unit.
        note
            Where it comes from.
        """
        if fid.shape != (self.n_points,):
            raise ValueError(f"member {name} has shape {fid.shape}, the set has {self.n_points} points")
        kept = [n for n in self.names if n != name]
        fids = np.vstack([*(self.fid(n) for n in kept), fid])
        notes = self.notes if note is None else (*self.notes, note)
        return replace(self, names=(*kept, name), fids=fids, notes=notes)

    def noted(self, *notes: str) -> Basis:
        """Return the set with further notes."""
        return replace(self, notes=(*self.notes, *notes))

    def resampled(
        self, dwell: float, n_points: int, field_mhz: float | None = None, reference_ppm: float | None = None
    ) -> Basis:
        """Return the set on another time grid, field and carrier; chemical shifts in ppm stay where they are.

        Parameters
        ----------
        dwell
            New time between points in seconds.
        n_points
            New number of points.
        field_mhz
            New proton frequency in MHz, at most 1 % from the old one: time is stretched, which moves couplings by
            the same 1 %.
        reference_ppm
            New chemical shift at zero frequency.

        Raises
        ------
        BasisError
            The field differs by more than 1 %.

        Notes
        -----
        See :mod:`mrs_pipeline.basis.resample` for the interpolation, which keeps the step at t = 0.
        """
        from mrs_pipeline.basis.resample import resample

        return resample(self, dwell, n_points, field_mhz, reference_ppm)

    def _require(self, names: Iterable[str]) -> None:
        missing = [name for name in names if name not in self.names]
        if missing:
            raise BasisError(
                f"the basis set has no {', '.join(missing)}",
                remedy=f"choose among {', '.join(self.names)}",
                path=self.file,
            )
