"""Everything a report says about one voxel, in one JSON-ready record."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy.typing as npt

from mrs_pipeline.anatomy.geometry import Image, coverage
from mrs_pipeline.anatomy.io import TissueMaps, load_maps, load_regions
from mrs_pipeline.anatomy.placement import check_name, displaced_fractions, place
from mrs_pipeline.config import TissueSection
from mrs_pipeline.errors import InputError
from mrs_pipeline.spectrum import FloatArray


def describe_voxel(
    affine: npt.ArrayLike,
    mask: FloatArray,
    t1w: Image,
    maps: TissueMaps,
    settings: TissueSection,
    voi: str | None,
    transmitter_ppm: float = 4.65,
) -> dict[str, Any]:
    """Describe where a voxel lies and what its displaced boxes hold.

    Parameters
    ----------
    affine
        Of the NIfTI-MRS image, shape (4, 4).
    mask
        Partial-volume mask on the T1w grid, shape (x, y, z).
    t1w
        T1w image of the visit.
    maps
        Tissue maps of the visit.
    settings
        ``[tissue]`` of study.toml: expected places, chemical-shift displacement.
    voi
        Region label of the scan.
    transmitter_ppm
        Chemical shift of the localisation pulses' frequency, for the displacement.

    Returns
    -------
    dict
        ``placement``, ``name`` (``"as expected"``, ``"elsewhere"``, ``None`` where nothing is expected or known),
        ``displaced`` (fractions per resonance) and ``warnings``.
    """
    warnings: list[str] = []
    record: dict[str, Any] = {"placement": None, "name": None, "displaced": {}}
    share = coverage(mask, affine, t1w)
    if share < 0.98:
        warnings.append(f"{100 * (1 - share):.0f} % of the voxel lies outside the T1w image")
    regions = load_regions(maps)
    mni = None
    if regions is not None:
        placement = place(mask, affine, t1w, *regions)
        mni = placement.mni_mm
        warnings += placement.warnings
        record["placement"] = {key: value for key, value in asdict(placement).items() if key != "warnings"}
    if voi is not None:
        expected = {label: (item.mni, item.tolerance_mm) for label, item in settings.expected.items()}
        complaint = check_name(voi, mni, expected)
        warnings += [complaint] if complaint else []
        if voi in expected and mni is not None:
            record["name"] = "elsewhere" if complaint else "as expected"
    if settings.chemical_shift_mm is not None:
        try:
            boxes = displaced_fractions(affine, t1w, load_maps(maps), settings.chemical_shift_mm, transmitter_ppm)
        except InputError as error:
            boxes = {}
            warnings.append(f"no fractions of the boxes displaced by chemical shift: {error.problem}")
        record["displaced"] = {name: {"gm": f.gm, "wm": f.wm, "csf": f.csf} for name, f in boxes.items()}
    return {**record, "warnings": warnings}
