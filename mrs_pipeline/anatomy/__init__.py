"""Room: tissue maps, voxel geometry, tissue fractions."""

from mrs_pipeline.anatomy.geometry import box_centre, box_edges, box_volume, coverage, voxel_mask
from mrs_pipeline.anatomy.io import TissueMaps, load_maps, read_maps, read_tissue_table, segment
from mrs_pipeline.anatomy.tissue import SEGMENTATION_SD, TissueFractions, fractions

__all__ = [
    "SEGMENTATION_SD",
    "TissueFractions",
    "TissueMaps",
    "box_centre",
    "box_edges",
    "box_volume",
    "coverage",
    "fractions",
    "load_maps",
    "read_maps",
    "read_tissue_table",
    "segment",
    "voxel_mask",
]
