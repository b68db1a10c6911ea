"""Philips SDAT/SPAR: the averaged FID as VAX floats and its parameters as text."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mrs_pipeline.spectrum import FloatArray, Spectrum
from mrs_pipeline.synthetic.geometry import edges_and_turn, rotation_angles
from mrs_pipeline.synthetic.vax import to_vax

_RULE = "!" + "-" * 52


def write_sdat(
    spectrum: Spectrum, affine: FloatArray, path: Path, *, averages: int, name: str, halved_first_point: bool = True
) -> None:
    """Write ``path`` (.SDAT) and its .SPAR.

    Parameters
    ----------
    spectrum
        Inside convention, which SDAT shares; shape (n_points,) or (rows, n_points) with ``dims`` ("DIM_DYN",).
    affine
        Voxel box in RAS mm, right-handed.
    path
        File ending in .SDAT.
    averages
        Transients behind each row.
    name
        ``scan_id``.
    halved_first_point
        Store the first point halved, as seen in files from real scanners (|y0|/|y1| near 0.54).
    """
    fid = np.array(np.atleast_2d(spectrum.fid))
    if halved_first_point:
        fid[:, 0] *= 0.5
    interleaved = np.stack([fid.real, fid.imag], axis=-1)
    path.write_bytes(to_vax(interleaved))
    lines = spar_lines(spectrum, affine, rows=fid.shape[0], averages=averages, name=name)
    path.with_suffix(".SPAR").write_bytes(("\r\n".join(lines) + "\r\n").encode("ascii"))


def spar_lines(spectrum: Spectrum, affine: FloatArray, *, rows: int, averages: int, name: str) -> list[str]:
    """Return the lines of a SPAR file."""
    head = ["!   Synthetic data written by mrs-pipeline; dataformat: VAX CPX floats", _RULE]
    sections = (
        _acquisition(spectrum, rows, averages, name),
        _geometry(affine),
        _axes(spectrum, rows),
        _additional(spectrum),
    )
    return head + [line for section in sections for line in [*section, _RULE]]


def _ms(seconds: float | None) -> str:
    if seconds is None:
        raise ValueError("a SPAR file needs the echo time and the repetition time")
    return f"{seconds * 1e3:.6g}"


def _acquisition(spectrum: Spectrum, rows: int, averages: int, name: str) -> list[str]:
    hertz = round(spectrum.carrier_mhz * 1e6)
    return [
        "examination_name : ", f"scan_id : {name}", "scan_date : ", "patient_name : ", "patient_birth_date : ",
        'patient_position : "head_first"', 'patient_orientation : "supine"',
        f"samples : {spectrum.n_points}", f"rows : {rows}", f"synthesizer_frequency : {hertz}", "offset_frequency : 0",
        f"sample_frequency : {spectrum.bandwidth:.9g}", "echo_nr : 1", "mix_number : 1",
        f"nucleus : {spectrum.nucleus}",
        "t0_mu1_direction : 0", f"echo_time : {_ms(spectrum.echo_time)}",
        f"repetition_time : {_ms(spectrum.repetition_time)}", f"averages : {averages}",
    ]  # fmt: skip


def _geometry(affine: FloatArray) -> list[str]:
    """Return the box: Philips counts left and posterior positive, and reverses the first two of the angles."""
    size, turn = edges_and_turn(affine)
    if np.linalg.det(turn) < 0:
        raise ValueError("a SPAR file can only hold a right-handed box")
    angles = rotation_angles(turn) * (-1, -1, 1)
    centre = affine[:3, 3] * (-1, -1, 1)
    lines = ['volume_selection_enable : "yes"', "volumes : 1"]
    for label, values in (("size", size), ("off_center", centre), ("angulation", angles)):
        lines += [f"{axis}_{label} : {values[i]:.9g}" for axis, i in (("ap", 1), ("lr", 0), ("cc", 2))]
    return [
        *lines, "volume_selection_method : 1", 'phase_encoding_enable : "no"', 't1_measurement_enable : "no"',
        't2_measurement_enable : "no"', 'time_series_enable : "no"', "image_plane_slice_thickness : 0",
        "slice_distance : 0", "nr_of_slices_for_multislice : 1", 'Spec.image in plane transf : "plusA-plusB"',
    ]  # fmt: skip


def _axes(spectrum: Spectrum, rows: int) -> list[str]:
    half = spectrum.bandwidth / 2
    return [
        "spec_data_type : cf", "spec_sample_extension : [V]", f"spec_num_col : {spectrum.n_points}",
        f"spec_col_lower_val : {-half:.9g}",
        f"spec_col_upper_val : {half - spectrum.bandwidth / spectrum.n_points:.9g}",
        "spec_col_extension : [sec]", f"spec_num_row : {rows}", "spec_row_lower_val : 1",
        f"spec_row_upper_val : {rows}", "spec_row_extension : [index]", "num_dimensions : 2", "dim1_ext : [sec]",
        f"dim1_pnts : {spectrum.n_points}",
        f"dim1_low_val : {-half:.9g}", f"dim1_step : {spectrum.dwell:.9g}", "dim1_direction : mu1", "dim1_t0_point : 0",
        "dim2_ext : [num]", f"dim2_pnts : {rows}", "dim2_low_val : 1.0", "dim2_step : 1.0", "dim2_direction : x",
        "dim2_t0_point : 50", "dim3_ext : [num]", "dim3_pnts : 1", "dim3_low_val : 1.0", "dim3_step : 1.0",
        "dim3_direction : y", "dim3_t0_point : 50",
    ]  # fmt: skip


def _additional(spectrum: Spectrum) -> list[str]:
    return [
        "echo_acquisition : ECHO", "TSI_factor : 1", f"spectrum_echo_time : {_ms(spectrum.echo_time)}",
        "spectrum_inversion_time : 0", "image_chemical_shift : 0", "resp_motion_comp_technique : NONE",
        "de_coupling : NO",
        "equipment_sw_verions : synthetic", "placeholder1 : ", "placeholder2 : ",
    ]  # fmt: skip
