"""BIDS: names and entities, sidecars by inheritance, the scans of a dataset with their references, derivative names."""

from mrs_pipeline.bids.derivatives import DERIVATIVES, GROUP_FILES, derivative_path
from mrs_pipeline.bids.index import Scan, Skipped, Survey, index, survey
from mrs_pipeline.bids.links import bids_uri, resolve_uri
from mrs_pipeline.bids.names import ENTITY_ORDER, Entities, build_name, clean_label, parse_name
from mrs_pipeline.bids.sidecars import read_json, read_sidecar

__all__ = [
    "DERIVATIVES",
    "ENTITY_ORDER",
    "GROUP_FILES",
    "Entities",
    "Scan",
    "Skipped",
    "Survey",
    "bids_uri",
    "build_name",
    "clean_label",
    "derivative_path",
    "index",
    "parse_name",
    "read_json",
    "read_sidecar",
    "resolve_uri",
    "survey",
]
