"""Room: tissue maps, voxel geometry, tissue fractions, placement, visits."""

from mrs_pipeline.anatomy.derivatives import find_derivatives, maps_from_derivatives
from mrs_pipeline.anatomy.geometry import box_centre, box_edges, box_volume, coverage, voxel_mask
from mrs_pipeline.anatomy.io import (
    TissueMaps,
    load_image,
    load_maps,
    load_regions,
    read_maps,
    read_tissue_table,
    register,
    segment,
    write_image,
)
from mrs_pipeline.anatomy.placement import (
    RESONANCES,
    Placement,
    check_name,
    displaced,
    displaced_fractions,
    mni_centre,
    place,
)
from mrs_pipeline.anatomy.segmentation import shows_whole_head
from mrs_pipeline.anatomy.summary import describe_voxel
from mrs_pipeline.anatomy.tissue import SEGMENTATION_SD, TissueFractions, fractions
from mrs_pipeline.anatomy.visits import Overlap, overlap

__all__ = [
    "RESONANCES",
    "SEGMENTATION_SD",
    "Overlap",
    "Placement",
    "TissueFractions",
    "TissueMaps",
    "box_centre",
    "box_edges",
    "box_volume",
    "check_name",
    "coverage",
    "describe_voxel",
    "displaced",
    "displaced_fractions",
    "find_derivatives",
    "fractions",
    "load_image",
    "load_maps",
    "load_regions",
    "maps_from_derivatives",
    "mni_centre",
    "overlap",
    "place",
    "read_maps",
    "read_tissue_table",
    "register",
    "segment",
    "shows_whole_head",
    "voxel_mask",
    "write_image",
]
