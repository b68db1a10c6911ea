"""NIfTI-MRS: reading, writing and checking; the only room that knows the on-disk sign convention.

On disk (NIfTI-MRS 0.11, after Levitt) a line at lower ppm than the carrier has positive frequency under numpy's FFT.
Inside the package it has negative frequency (:mod:`mrs_pipeline.spectrum`). The two differ by a complex conjugation,
done in :func:`read`, :func:`write`, :func:`read_lcmodel_raw` and :func:`format_lcmodel_raw` and nowhere else.
"""

from mrs_pipeline.nifti_mrs.anonymise import anonymised, is_identifying
from mrs_pipeline.nifti_mrs.header import GYROMAGNETIC_MHZ_PER_T, processing_step, reference_ppm_of
from mrs_pipeline.nifti_mrs.io import read, write
from mrs_pipeline.nifti_mrs.lcmodel import LcmodelControl, read_lcmodel_control, read_lcmodel_raw
from mrs_pipeline.nifti_mrs.lcmodel_table import (
    LcmodelCurves,
    LcmodelRow,
    LcmodelTable,
    read_lcmodel_curves,
    read_lcmodel_table,
)
from mrs_pipeline.nifti_mrs.lcmodel_write import LCMODEL_FILES, format_lcmodel_control, format_lcmodel_raw
from mrs_pipeline.nifti_mrs.model import UNLOCALISED_AFFINE, NiftiMrs
from mrs_pipeline.nifti_mrs.orientation import Orientation, judge_orientation, water_over_metabolites
from mrs_pipeline.nifti_mrs.sidecar import field_strength, sidecar_of
from mrs_pipeline.nifti_mrs.vendor import (
    SUPPORTED,
    Facts,
    Format,
    check_scanner_file,
    companion_of,
    converter_arguments,
    facts_of,
    format_of,
    pulse_sequence_type,
    read_rda_header,
    read_spar,
    sibling,
    sources_of,
)

__all__ = [
    "GYROMAGNETIC_MHZ_PER_T",
    "LCMODEL_FILES",
    "SUPPORTED",
    "UNLOCALISED_AFFINE",
    "Facts",
    "Format",
    "LcmodelControl",
    "LcmodelCurves",
    "LcmodelRow",
    "LcmodelTable",
    "NiftiMrs",
    "Orientation",
    "anonymised",
    "check_scanner_file",
    "companion_of",
    "converter_arguments",
    "facts_of",
    "field_strength",
    "format_lcmodel_control",
    "format_lcmodel_raw",
    "format_of",
    "is_identifying",
    "judge_orientation",
    "processing_step",
    "pulse_sequence_type",
    "read",
    "read_lcmodel_control",
    "read_lcmodel_curves",
    "read_lcmodel_raw",
    "read_lcmodel_table",
    "read_rda_header",
    "read_spar",
    "reference_ppm_of",
    "sibling",
    "sidecar_of",
    "sources_of",
    "water_over_metabolites",
    "write",
]
