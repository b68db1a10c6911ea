"""The core value: a free induction decay with everything needed to place it on a ppm axis.

Convention (the only one inside the package): the FID is complex128, time is the last axis, and numpy's forward FFT puts
a line of offset ``f`` Hz from the carrier at ``ppm = reference_ppm + f / carrier_mhz``. A line at lower ppm than the
carrier therefore has negative frequency. The on-disk NIfTI-MRS convention is the complex conjugate and is converted in
``mrs_pipeline.nifti_mrs`` alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

ComplexArray: TypeAlias = npt.NDArray[np.complex128]
FloatArray: TypeAlias = npt.NDArray[np.float64]

WATER_PPM = 4.65
"""Chemical shift given to the carrier of a 1H scan when the file states none (NIfTI-MRS default)."""


@dataclass(frozen=True, eq=False)
class Spectrum:
    """One or more FIDs of one acquisition; immutable.

    Parameters
    ----------
    fid
        Complex FIDs, shape ``(..., n_points)``, time last, scanner units.
    dwell
        Time between points in seconds.
    carrier_mhz
        Transmitter frequency in MHz.
    reference_ppm
        Chemical shift at the carrier (zero frequency) in ppm.
    echo_time, repetition_time, mixing_time
        Seconds; ``None`` when the file does not state them.
    flip_angle
        Excitation flip angle in degrees; ``None`` when not stated (90 is then assumed where it matters, and said).
    dims
        NIfTI-MRS tag of each leading axis, for example ``("DIM_COIL", "DIM_DYN")``.
    nucleus
        Resonant nucleus.
    """

    fid: ComplexArray
    dwell: float
    carrier_mhz: float
    reference_ppm: float = WATER_PPM
    echo_time: float | None = None
    repetition_time: float | None = None
    mixing_time: float | None = None
    flip_angle: float | None = None
    dims: tuple[str, ...] = ()
    nucleus: str = "1H"

    def __post_init__(self) -> None:
        fid = np.array(self.fid, dtype=np.complex128)
        if fid.ndim != len(self.dims) + 1:
            raise ValueError(f"FID has {fid.ndim - 1} leading axes but dims names {len(self.dims)}: {self.dims}")
        if not self.dwell > 0 or not self.carrier_mhz > 0:
            raise ValueError(f"dwell ({self.dwell} s) and carrier ({self.carrier_mhz} MHz) must be positive")
        fid.setflags(write=False)
        object.__setattr__(self, "fid", fid)

    @property
    def n_points(self) -> int:
        """Number of time points."""
        return int(self.fid.shape[-1])

    @property
    def bandwidth(self) -> float:
        """Spectral width in Hz."""
        return 1.0 / self.dwell

    @property
    def time(self) -> FloatArray:
        """Time of each point in seconds, shape ``(n_points,)``, starting at 0."""
        return np.asarray(np.arange(self.n_points) * self.dwell, dtype=np.float64)

    @property
    def frequency(self) -> FloatArray:
        """Offset from the carrier in Hz, ascending, shape ``(n_points,)``."""
        return np.fft.fftshift(np.fft.fftfreq(self.n_points, self.dwell))

    @property
    def ppm(self) -> FloatArray:
        """Chemical-shift axis in ppm, ascending, matching :meth:`spectrum`."""
        return self.reference_ppm + self.frequency / self.carrier_mhz

    def spectrum(self) -> ComplexArray:
        """Return the spectrum (unnormalised forward FFT, centred), same shape as ``fid``."""
        return np.fft.fftshift(np.fft.fft(self.fid, axis=-1), axes=-1)

    def with_fid(self, fid: npt.ArrayLike, dims: tuple[str, ...] | None = None) -> Spectrum:
        """Return the same acquisition with other data, and other leading axes if ``dims`` is given."""
        return replace(self, fid=np.asarray(fid, dtype=np.complex128), dims=self.dims if dims is None else dims)

    def shifted(self, hz: float) -> Spectrum:
        """Return the FID with every line moved by ``hz`` (positive: towards higher ppm)."""
        return self.with_fid(self.fid * np.exp(2j * np.pi * hz * self.time))

    def phased(self, degrees: float) -> Spectrum:
        """Return the FID multiplied by ``exp(i * phase)``."""
        return self.with_fid(self.fid * np.exp(1j * np.deg2rad(degrees)))

    def broadened(self, lorentz_hz: float = 0.0, gauss_hz: float = 0.0) -> Spectrum:
        r"""Return the FID damped by a Voigt profile.

        Parameters
        ----------
        lorentz_hz, gauss_hz
            Full widths at half maximum added, in Hz.

        Notes
        -----
        :math:`y(t)\,e^{-\pi\,w_L t}\,e^{-(\pi\,w_G t)^2/(4\ln 2)}`.
        """
        t = self.time
        decay = np.exp(-np.pi * lorentz_hz * t - (np.pi * gauss_hz * t) ** 2 / (4 * np.log(2)))
        return self.with_fid(self.fid * decay)
