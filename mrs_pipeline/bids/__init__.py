"""BIDS: names and entities, sidecars by inheritance, the scans of a dataset with their references, derivative names."""

from mrs_pipeline.bids.columns import CONCENTRATIONS, SCAN_KEYS, data_dictionary
from mrs_pipeline.bids.dataset import (
    BIDSIGNORE,
    dataset_description,
    participants_table,
    read_table,
    readme,
    table_text,
)
from mrs_pipeline.bids.derivatives import DERIVATIVES, GROUP_FILES, derivative_path
from mrs_pipeline.bids.index import Scan, Skipped, Survey, index, survey
from mrs_pipeline.bids.links import Candidate, Link, bids_uri, link_anatomical, link_reference, resolve_uri
from mrs_pipeline.bids.names import ENTITY_ORDER, Entities, build_name, clean_label, parse_name
from mrs_pipeline.bids.plan import Labels, Rule, Target, Unplaced, clashes, merged_participants, pattern_of, place
from mrs_pipeline.bids.sidecars import read_sidecar
from mrs_pipeline.files import json_text, read_json

__all__ = [
    "BIDSIGNORE",
    "CONCENTRATIONS",
    "DERIVATIVES",
    "ENTITY_ORDER",
    "GROUP_FILES",
    "SCAN_KEYS",
    "Candidate",
    "Entities",
    "Labels",
    "Link",
    "Rule",
    "Scan",
    "Skipped",
    "Survey",
    "Target",
    "Unplaced",
    "bids_uri",
    "build_name",
    "clashes",
    "clean_label",
    "data_dictionary",
    "dataset_description",
    "derivative_path",
    "index",
    "json_text",
    "link_anatomical",
    "link_reference",
    "merged_participants",
    "parse_name",
    "participants_table",
    "pattern_of",
    "place",
    "read_json",
    "read_sidecar",
    "read_table",
    "readme",
    "resolve_uri",
    "survey",
    "table_text",
]
