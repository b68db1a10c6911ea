"""Files of a fit: numbers in ``*_desc-fit_mrs.json``, curves in ``*_desc-fit_svs.nii.gz``."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from mrs_pipeline.errors import InputError
from mrs_pipeline.files import read_json, write_json
from mrs_pipeline.fit.posterior_result import Posterior
from mrs_pipeline.fit.result import FitResult
from mrs_pipeline.nifti_mrs import NiftiMrs, read, write
from mrs_pipeline.spectrum import ComplexArray, FloatArray

CURVES = ("model", "baseline", "residual")
VECTORS = ("amplitudes", "crlb", "amplitude_sd", "total_sd")
MATRICES = ("covariance", "crlb_covariance", "total_covariance", "correlation")
SCALARS = ("baseline_dimensions", "evaluations", "noise_sd", "snr", "fwhm_hz", "fqn", "status")
FORMAT = 1
AGAIN = "run the participant level again"


def write_fit(fit: FitResult, json_path: str | Path, nifti_path: str | Path, source: NiftiMrs) -> None:
    """Write a fit as JSON and NIfTI-MRS.

    Parameters
    ----------
    fit
        What to write.
    json_path, nifti_path
        Destinations.
    source
        The preprocessed acquisition that was fitted: gives dwell, place in the head and header.

    Notes
    -----
    The curves lie along ``DIM_USER_0``: model, baseline, residual, then every component that is present; data = model +
    residual. They are FIDs of twice the length whose spectrum is the curve inside the fitted window and zero outside.
    """
    n_fft = _length(fit, source)
    first = _first_bin(fit, source, n_fft)
    shown = [name for name, curve in fit.components.items() if np.any(curve)]
    curves = np.array([getattr(fit, name) for name in CURVES] + [fit.components[name] for name in shown])
    fids = _to_fids(curves, first, n_fft).astype(np.complex64)
    header = dict(source.header) | {
        "dim_5_info": "model, baseline, residual, components",
        "dim_5_header": {"curve": {"Value": [*CURVES, *shown], "Description": "what the entry is"}},
    }
    spectrum = source.spectrum.with_fid(fids, ("DIM_USER_0",))
    write(NiftiMrs(spectrum, source.affine, header), nifti_path)
    table = _to_table(fit) | {"window": {"first_bin": first, "n_fft": n_fft, "components": shown}}
    write_json(table, json_path)


def read_fit(json_path: str | Path, nifti_path: str | Path) -> FitResult:
    """Read back what :func:`write_fit` wrote; curves to single precision.

    Raises
    ------
    InputError
        A file that is missing, broken or not of this format.
    """
    path = Path(json_path)
    try:
        table = read_json(path, remedy=AGAIN)
        _check_format(table)
        return _from_table(table, read(nifti_path).spectrum.fid)
    except (ValueError, KeyError, IndexError) as error:
        raise InputError(f"not a readable fit ({type(error).__name__}: {error})", remedy=AGAIN, path=path) from error


def _check_format(table: dict[str, Any]) -> None:
    if table["format"] != FORMAT:
        raise ValueError(f"format {table['format']}, expected {FORMAT}")


def _length(fit: FitResult, source: NiftiMrs) -> int:
    """Points of the zero-filled spectrum that the window was cut from, by its spacing."""
    hertz = (fit.ppm[-1] - fit.ppm[0]) * source.spectrum.carrier_mhz / (fit.ppm.size - 1)
    return round(float(1.0 / (hertz * source.spectrum.dwell)))


def _first_bin(fit: FitResult, source: NiftiMrs, n_fft: int) -> int:
    """Index of the first window point in the centred, zero-filled spectrum."""
    hertz = (fit.ppm[0] - source.spectrum.reference_ppm) * source.spectrum.carrier_mhz
    return round(float(hertz * n_fft * source.spectrum.dwell)) + n_fft // 2


def _to_fids(curves: ComplexArray, first: int, n_fft: int) -> ComplexArray:
    full = np.zeros((curves.shape[0], n_fft), dtype=np.complex128)
    full[:, first : first + curves.shape[1]] = curves
    return np.asarray(np.fft.ifft(np.fft.ifftshift(full, axes=-1), axis=-1))


def _to_table(fit: FitResult) -> dict[str, Any]:
    table: dict[str, Any] = {"format": FORMAT, "names": list(fit.names)}
    table |= {name: getattr(fit, name) for name in SCALARS}
    table |= {name: getattr(fit, name).tolist() for name in (*VECTORS, *MATRICES, "ppm")}
    table |= {name: getattr(fit, name) for name in ("nonlinear", "flags", "notes", "metrics")}
    return table if fit.posterior is None else table | {"posterior": fit.posterior.as_table()}


def _array(value: Any) -> FloatArray:  # noqa: ANN401  nested lists with null
    return np.array(value, dtype=float)


def _from_table(table: dict[str, Any], fids: ComplexArray) -> FitResult:
    window, count = table["window"], len(table["ppm"])
    full = np.fft.fftshift(np.fft.fft(fids, axis=-1), axes=-1)
    curves = full[:, window["first_bin"] : window["first_bin"] + count]
    named = dict(zip(window["components"], curves[len(CURVES) :], strict=True))
    silent = np.zeros(count, dtype=np.complex128)
    values: dict[str, Any] = {name: table[name] for name in SCALARS}
    values |= {name: _array(table[name]) for name in (*VECTORS, *MATRICES, "ppm")}
    values |= dict(zip(CURVES, curves, strict=False))
    for name in ("snr", "fwhm_hz", "fqn", "noise_sd"):
        values[name] = float("nan") if values[name] is None else float(values[name])
    values |= {
        "names": tuple(table["names"]),
        "data": curves[0] + curves[2],
        "components": {name: named.get(name, silent) for name in table["names"]},
        "nonlinear": table["nonlinear"],
        "flags": tuple(table["flags"]),
        "notes": tuple(table["notes"]),
        "metrics": table["metrics"],
        "posterior": Posterior.from_table(table.get("posterior")),
    }
    return FitResult(**{item.name: values[item.name] for item in fields(FitResult)})
