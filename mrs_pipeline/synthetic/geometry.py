"""Voxel boxes and rigid poses in RAS millimetres."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mrs_pipeline.spectrum import FloatArray

TO_LPS = np.diag([-1.0, -1.0, 1.0])
"""From RAS to patient (LPS) coordinates."""


def rotation(angles_deg: Sequence[float] | FloatArray) -> FloatArray:
    """Return the rotation about x, then the turned y, then the turned z axis (intrinsic XYZ), shape (3, 3)."""
    x, y, z = np.deg2rad(angles_deg)
    about_x = np.array([[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]])
    about_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    about_z = np.array([[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]])
    return np.asarray(about_x @ about_y @ about_z)


def rotation_angles(matrix: npt.ArrayLike) -> FloatArray:
    """Return the intrinsic XYZ angles in degrees of a rotation matrix; inverse of :func:`rotation`."""
    m = np.asarray(matrix, dtype=np.float64)
    angles = np.arctan2(-m[1, 2], m[2, 2]), np.arcsin(np.clip(m[0, 2], -1, 1)), np.arctan2(-m[0, 1], m[0, 0])
    return np.asarray(np.rad2deg(np.array(angles)))


def box_affine(centre: npt.ArrayLike, size_mm: npt.ArrayLike, turn: npt.ArrayLike) -> FloatArray:
    """Return the NIfTI affine (4, 4) of a single-voxel box: columns are its edges, the translation is its centre."""
    affine = np.eye(4)
    affine[:3, :3] = np.asarray(turn) @ np.diag(np.asarray(size_mm, dtype=np.float64))
    affine[:3, 3] = centre
    return affine


def edges_and_turn(affine: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the edge lengths (3,) and the rotation (3, 3) of a box."""
    size = np.linalg.norm(affine[:3, :3], axis=0)
    return size, affine[:3, :3] / size


def rigid(translation_mm: npt.ArrayLike, angles_deg: Sequence[float] | FloatArray) -> FloatArray:
    """Return a rigid transform (4, 4)."""
    return box_affine(translation_mm, np.ones(3), rotation(angles_deg))


def apply(affine: npt.ArrayLike, points: npt.ArrayLike) -> FloatArray:
    """Return transformed points, shape (..., 3)."""
    matrix = np.asarray(affine, dtype=np.float64)
    return np.asarray(np.asarray(points, dtype=np.float64) @ matrix[:3, :3].T + matrix[:3, 3])


def siemens_slice(turn: FloatArray) -> tuple[FloatArray, float]:
    """Return how Siemens describes a right-handed box: slice normal (LPS) and in-plane rotation in radians.

    The readout direction runs along the box's first edge and the phase direction along its second; the slice normal is
    then against the third.
    """
    _, phase, third = (TO_LPS @ turn).T
    normal = -third
    reference = unrotated_phase(normal)
    return normal, float(np.arctan2(-phase @ np.cross(normal, reference), phase @ reference))


def unrotated_phase(normal: FloatArray) -> FloatArray:
    """Return the phase direction Siemens gives a slice without in-plane rotation.

    It lies in the coronal-transverse plane for a mainly transverse slice, else in the transverse plane.
    """
    x, y, z = normal
    main = 2 if abs(z) >= max(abs(x), abs(y)) else 1 if abs(y) >= abs(x) else 0
    direction = np.array([0.0, z, -y]) if main == 2 else np.array([y, -x, 0.0]) * (1 if main == 1 else -1)
    return np.asarray(direction / np.linalg.norm(direction))
