"""Nipype interfaces of the anatomy room."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nipype.interfaces.base import File, TraitedSpec, isdefined, traits

from mrs_pipeline.errors import MrsError
from mrs_pipeline.interfaces.base import MrsInterface

if TYPE_CHECKING:
    from mrs_pipeline.anatomy import TissueFractions
    from mrs_pipeline.config import TissueSection


class SegmentInput(TraitedSpec):
    """One T1w image."""

    t1w = File(exists=True, mandatory=True, desc="T1-weighted image")
    participant_id = traits.Str(mandatory=True, desc="whose image it is, to find existing maps")
    session = traits.Str("", usedefault=True, desc="visit; empty without sessions")
    settings = traits.Str(mandatory=True, desc="[tissue] as JSON")


class SegmentOutput(TraitedSpec):
    """Tissue maps on the grid of the T1w."""

    gm = File(exists=True)
    wm = File(exists=True)
    csf = File(exists=True)
    brain = traits.Str(desc="brain mask; empty where the source gives none")
    record = File(exists=True, desc="how the maps were made")


def visit_of(t1w: str, session: str) -> str | None:
    """Return the visit a T1w's name states, else the scan's: ``AnatomicalImage`` may name another visit's image."""
    found = re.search("_ses-([0-9A-Za-z]+)", Path(t1w).name)
    return found[1] if found else session or None


class Segment(MrsInterface):
    """Make tissue maps of one T1w, or bring those a site already has onto its grid."""

    input_spec = SegmentInput
    output_spec = SegmentOutput

    def _work(self, cwd: Path) -> dict[str, Any]:
        from mrs_pipeline.anatomy import load_image, maps_from_derivatives, segment, shows_whole_head
        from mrs_pipeline.config import TissueSection
        from mrs_pipeline.interfaces.anatomy_external import external_maps

        settings = TissueSection.model_validate_json(self.inputs.settings)
        t1w, folder = self.inputs.t1w, settings.derivatives or "."
        if settings.source in {"fsl", "spm"}:
            stripped = not shows_whole_head(load_image(t1w))
            folder = str(external_maps(settings.source, t1w, cwd / settings.source, skull_stripped=stripped))
        if settings.source == "segment":
            maps = segment(t1w, cwd, settings)
        else:
            visit = visit_of(t1w, self.inputs.session)
            maps = maps_from_derivatives(folder, self.inputs.participant_id, visit, t1w, cwd)
        return {
            "gm": maps.gm,
            "wm": maps.wm,
            "csf": maps.csf,
            "brain": maps.brain or "",
            "record": cwd / "segment.json",
        }


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
        mask = self._mask(cwd, settings, warnings)
        fractions = None if settings.source == "none" else self._fractions(mask, warnings)
        if settings.source == "none":
            warnings.append("no tissue correction: [tissue] source is none")
        place = self._place(mask, settings)
        record = {
            **place,
            "fractions": None if fractions is None else asdict(fractions),
            "warnings": [*warnings, *place["warnings"]],
        }
        (cwd / "tissue.json").write_text(json.dumps(record, indent=1), encoding="utf-8")
        return {"tissue": cwd / "tissue.json", "mask": mask}

    def _place(self, mask: str, settings: TissueSection) -> dict[str, Any]:
        """Describe where the voxel lies; nothing without tissue maps."""
        import numpy as np

        from mrs_pipeline.anatomy import describe_voxel, load_image, read_maps
        from mrs_pipeline.nifti_mrs import read

        if not mask or not isdefined(self.inputs.maps):
            return {"placement": None, "name": None, "displaced": {}, "warnings": []}
        scan = read(self.inputs.svs)
        return describe_voxel(
            scan.affine,
            np.asarray(load_image(mask).dataobj, dtype=np.float64),
            load_image(self.inputs.t1w),
            read_maps(Path(self.inputs.maps["record"]).parent),
            settings,
            json.loads(self.inputs.identity)["voi"],
            scan.transmit_ppm,
        )

    def _mask(self, cwd: Path, settings: TissueSection, warnings: list[str]) -> str:
        """Write the voxel's mask on the T1w grid; empty, with the reason said, where that cannot be."""
        import numpy as np

        from mrs_pipeline.anatomy import load_image, voxel_mask, write_image
        from mrs_pipeline.nifti_mrs import read

        if not isdefined(self.inputs.t1w):
            if settings.needs_t1w:
                warnings.append("no T1w image of this visit: its tissue cannot be segmented")
            return ""
        scan = read(self.inputs.svs)
        if not scan.is_localised:
            warnings.append("the spectrum states no position: its voxel cannot be placed on the T1w")
            return ""
        try:
            image = load_image(self.inputs.t1w)
            mask = voxel_mask(scan.affine, image)
        except MrsError as error:
            warnings.append(f"{Path(self.inputs.t1w).name}: {error.problem}. To fix it: {error.remedy}.")
            return ""
        write_image(mask.astype(np.float32), np.asarray(image.affine), cwd / "voxel_mask.nii.gz")
        return str(cwd / "voxel_mask.nii.gz")

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
        import numpy as np

        from mrs_pipeline.anatomy import coverage, fractions, load_image, load_maps, read_maps
        from mrs_pipeline.nifti_mrs import read

        maps = read_maps(Path(self.inputs.maps["record"]).parent)
        image = load_image(mask)
        voxel = np.asarray(image.dataobj, dtype=np.float64)
        covered = min(coverage(voxel, read(self.inputs.svs).affine, image), 1.0)
        found = fractions(voxel, load_maps(maps), source=maps.source, covered=covered)
        return replace(found, warnings=(*maps.warnings, *found.warnings))


class RegisterVisitsInput(TraitedSpec):
    """The T1w of two visits of one participant."""

    first = File(exists=True, mandatory=True, desc="T1w of the baseline")
    second = File(exists=True, mandatory=True, desc="T1w of the later visit")


class RegisterVisitsOutput(TraitedSpec):
    """Rigid transform between the visits."""

    transform = File(exists=True, desc="visits.json: from the second visit's scanner coordinates to the first's")


class RegisterVisits(MrsInterface):
    """Register the heads of two visits."""

    input_spec = RegisterVisitsInput
    output_spec = RegisterVisitsOutput

    def _work(self, cwd: Path) -> dict[str, Any]:
        from mrs_pipeline.anatomy import register

        register(self.inputs.first, self.inputs.second, cwd)
        return {"transform": cwd / "visits.json"}


class CompareVisitsInput(TraitedSpec):
    """The same region at two visits."""

    first_svs = File(exists=True, mandatory=True, desc="NIfTI-MRS of the baseline")
    second_svs = File(exists=True, mandatory=True, desc="NIfTI-MRS of this visit")
    transform = File(exists=True, mandatory=True, desc="visits.json of RegisterVisits")
    first_tissue = File(exists=True, desc="tissue.json of the baseline")
    second_tissue = File(exists=True, mandatory=True, desc="tissue.json of this visit")
    session = traits.Str(mandatory=True, desc="label of the baseline visit")


class CompareVisitsOutput(TraitedSpec):
    """Overlap of the two boxes."""

    overlap = File(exists=True)


class CompareVisits(MrsInterface):
    """Say how well the voxel was placed again: a shifted voxel mimics change."""

    input_spec = CompareVisitsInput
    output_spec = CompareVisitsOutput

    def _work(self, cwd: Path) -> dict[str, Any]:
        import numpy as np

        from mrs_pipeline.anatomy import overlap
        from mrs_pipeline.nifti_mrs import read

        matrix = np.array(json.loads(Path(self.inputs.transform).read_text(encoding="utf-8"))["SecondToFirst"])
        before = read_tissue(self.inputs.first_tissue) if isdefined(self.inputs.first_tissue) else None
        after = read_tissue(self.inputs.second_tissue)
        pair = None if before is None or after is None else (before, after)
        first, second = read(self.inputs.first_svs), read(self.inputs.second_svs)
        found = overlap(first.affine, second.affine, matrix, pair)
        record = {"session": self.inputs.session, **asdict(found)}
        (cwd / "overlap.json").write_text(json.dumps(record, indent=1), encoding="utf-8")
        return {"overlap": cwd / "overlap.json"}


def read_tissue(path: str) -> TissueFractions | None:
    """Read the fractions of a ``tissue.json``; ``None`` where there are none."""
    from mrs_pipeline.anatomy import TissueFractions

    found = json.loads(Path(path).read_text(encoding="utf-8"))["fractions"]
    if found is None:
        return None
    named: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in found.items()}
    return TissueFractions(**named)
