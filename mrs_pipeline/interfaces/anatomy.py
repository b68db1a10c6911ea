"""Nipype interfaces of the anatomy room."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nipype.interfaces.base import File, TraitedSpec, isdefined, traits

from mrs_pipeline.errors import MrsError
from mrs_pipeline.interfaces.base import MrsInterface

if TYPE_CHECKING:
    from mrs_pipeline.anatomy import TissueFractions


class SegmentInput(TraitedSpec):
    """One T1w image."""

    t1w = File(exists=True, mandatory=True, desc="T1-weighted image")
    settings = traits.Str(mandatory=True, desc="[tissue] as JSON")


class SegmentOutput(TraitedSpec):
    """Tissue maps on the grid of the T1w."""

    gm = File(exists=True)
    wm = File(exists=True)
    csf = File(exists=True)
    brain = File(exists=True)
    record = File(exists=True, desc="how the maps were made")


class Segment(MrsInterface):
    """Make tissue maps of one T1w."""

    input_spec = SegmentInput
    output_spec = SegmentOutput

    def _work(self, cwd: Path) -> dict[str, Any]:
        from mrs_pipeline.anatomy import segment
        from mrs_pipeline.config import TissueSection

        maps = segment(self.inputs.t1w, cwd, TissueSection.model_validate_json(self.inputs.settings))
        return {"gm": maps.gm, "wm": maps.wm, "csf": maps.csf, "brain": maps.brain, "record": cwd / "segment.json"}


class VoxelTissueInput(TraitedSpec):
    """A voxel's place, and what tells its tissue."""

    svs = File(exists=True, mandatory=True, desc="NIfTI-MRS with the voxel's affine")
    t1w = File(exists=True, desc="T1w of the visit")
    maps = traits.Dict(key_trait=traits.Str, value_trait=File(exists=True), desc="gm, wm, csf maps and record")
    table = File(exists=True, desc="tissue table")
    identity = traits.Str(mandatory=True, desc="entities of the scan as JSON")
    settings = traits.Str(mandatory=True, desc="[tissue] as JSON")
    problem = traits.Str("", usedefault=True, desc="why there are no maps, from the segmentation")


class VoxelTissueOutput(TraitedSpec):
    """Tissue fractions, or in words why there are none."""

    tissue = File(exists=True)
    mask = traits.Str(desc="voxel mask on the T1w grid; empty without a T1w")


class VoxelTissue(MrsInterface):
    """Find the tissue fractions of one voxel; what is missing is said, and the scan goes on without."""

    input_spec = VoxelTissueInput
    output_spec = VoxelTissueOutput

    def _work(self, cwd: Path) -> dict[str, Any]:
        from mrs_pipeline.config import TissueSection

        settings = TissueSection.model_validate_json(self.inputs.settings)
        warnings: list[str] = [self.inputs.problem] if self.inputs.problem else []
        mask = self._mask(cwd, warnings)
        fractions = None if settings.source == "none" else self._fractions(mask, warnings)
        if settings.source == "none":
            warnings.append("no tissue correction: [tissue] source is none")
        record = {"fractions": None if fractions is None else asdict(fractions), "warnings": warnings}
        (cwd / "tissue.json").write_text(json.dumps(record, indent=1), encoding="utf-8")
        return {"tissue": cwd / "tissue.json", "mask": mask}

    def _mask(self, cwd: Path, warnings: list[str]) -> str:
        """Write the voxel's mask on the T1w grid; empty, with the reason said, where that cannot be."""
        import nibabel as nib

        from mrs_pipeline.anatomy import coverage, voxel_mask
        from mrs_pipeline.nifti_mrs import read

        if not isdefined(self.inputs.t1w):
            return ""  # the index has said that there is no T1w
        scan = read(self.inputs.svs)
        if not scan.is_localised:
            warnings.append("the spectrum states no position: its voxel cannot be placed on the T1w")
            return ""
        image: Any = nib.load(self.inputs.t1w)
        try:
            mask = voxel_mask(scan.affine, image)
        except MrsError as error:
            warnings.append(str(error))
            return ""
        share = coverage(mask, scan.affine, image)
        if share < 0.98:
            warnings.append(f"{100 * (1 - share):.0f} % of the voxel lies outside the T1w image")
        return write_mask(mask, image, cwd / "voxel_mask.nii.gz")

    def _fractions(self, mask: str, warnings: list[str]) -> TissueFractions | None:
        """Fractions from the maps if there are any, else from the table, else none; errors become warnings."""
        from mrs_pipeline.anatomy import read_tissue_table

        try:
            if isdefined(self.inputs.maps) and mask:
                return self._from_maps(mask)
            if isdefined(self.inputs.table):
                identity = json.loads(self.inputs.identity)
                return read_tissue_table(
                    self.inputs.table, identity["participant_id"], identity["session"], identity["voi"]
                )
        except MrsError as error:
            warnings.append(str(error))
            return None
        warnings.append("no tissue fractions: there are neither tissue maps of this visit nor a tissue table")
        return None

    def _from_maps(self, mask: str) -> TissueFractions:
        import nibabel as nib
        import numpy as np

        from mrs_pipeline.anatomy import fractions, load_maps, read_maps

        maps = read_maps(Path(self.inputs.maps["record"]).parent)
        voxel: Any = nib.load(mask)
        found = fractions(np.asarray(voxel.dataobj, dtype=np.float64), load_maps(maps), source=maps.source)
        return replace(found, warnings=(*maps.warnings, *found.warnings))


def write_mask(mask: Any, image: Any, path: Path) -> str:  # noqa: ANN401  nibabel is untyped
    """Write a partial-volume mask on an image's grid, byte-reproducible, and return its path."""
    import gzip

    import nibabel as nib
    import numpy as np

    out = nib.Nifti1Image(np.asarray(mask, dtype=np.float32), image.affine)
    path.write_bytes(gzip.compress(out.to_bytes(), mtime=0))
    return str(path)
