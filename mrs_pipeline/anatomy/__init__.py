"""Room: tissue maps, voxel geometry, tissue fractions."""

from mrs_pipeline.anatomy.geometry import box_centre, box_edges, box_volume, coverage, voxel_mask
from mrs_pipeline.anatomy.io import read_tissue_table
from mrs_pipeline.anatomy.tissue import SEGMENTATION_SD, TissueFractions, fractions

__all__ = [
    "SEGMENTATION_SD",
    "TissueFractions",
    "box_centre",
    "box_edges",
    "box_volume",
    "coverage",
    "fractions",
    "read_tissue_table",
    "voxel_mask",
]
