"""NIfTI-MRS: reading, writing and checking; the only room that knows the on-disk sign convention.

On disk (NIfTI-MRS 0.11, after Levitt) a line at lower ppm than the carrier has positive frequency under numpy's FFT.
Inside
the package it has negative frequency (:mod:`mrs_pipeline.spectrum`). The two differ by a complex conjugation, done in
:func:`read`, :func:`write` and :func:`read_lcmodel_raw` and nowhere else.
"""

from mrs_pipeline.nifti_mrs.header import GYROMAGNETIC_MHZ_PER_T, processing_step, reference_ppm_of
from mrs_pipeline.nifti_mrs.io import atomic_write, read, write
from mrs_pipeline.nifti_mrs.lcmodel import LcmodelControl, read_lcmodel_control, read_lcmodel_raw
from mrs_pipeline.nifti_mrs.model import UNLOCALISED_AFFINE, NiftiMrs

__all__ = [
    "GYROMAGNETIC_MHZ_PER_T",
    "UNLOCALISED_AFFINE",
    "LcmodelControl",
    "NiftiMrs",
    "atomic_write",
    "processing_step",
    "read",
    "read_lcmodel_control",
    "read_lcmodel_raw",
    "reference_ppm_of",
    "write",
]
