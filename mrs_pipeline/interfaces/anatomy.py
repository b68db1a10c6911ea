"""Nipype interfaces of the anatomy room."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

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


class Segment(MrsInterface):
    """Make tissue maps of one T1w, or bring those a site already has onto its grid."""

    input_spec = SegmentInput
    output_spec = SegmentOutput

    def _work(self, cwd: Path) -> dict[str, Any]:
        from mrs_pipeline.anatomy import maps_from_derivatives, segment
        from mrs_pipeline.config import TissueSection

        settings = TissueSection.model_validate_json(self.inputs.settings)
        if settings.source == "derivatives":
            folder, session = settings.derivatives or ".", self.inputs.session or None
            maps = maps_from_derivatives(folder, self.inputs.participant_id, session, self.inputs.t1w, cwd)
        else:
            maps = segment(self.inputs.t1w, cwd, settings)
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
        mask = self._mask(cwd, warnings)
        fractions = None if settings.source == "none" else self._fractions(mask, warnings)
        if settings.source == "none":
            warnings.append("no tissue correction: [tissue] source is none")
        record = {
            "fractions": None if fractions is None else asdict(fractions),
            **self._placement(mask, settings, warnings),
            "warnings": warnings,
        }
        (cwd / "tissue.json").write_text(json.dumps(record, indent=1), encoding="utf-8")
        return {"tissue": cwd / "tissue.json", "mask": mask}

    def _placement(self, mask: str, settings: TissueSection, warnings: list[str]) -> dict[str, Any]:
        """Describe where the voxel lies, check its label, and displace it by chemical shift where that is asked for."""
        import nibabel as nib
        import numpy as np

        from mrs_pipeline.anatomy import check_name, displaced_fractions, load_maps, load_regions, place, read_maps
        from mrs_pipeline.nifti_mrs import read

        if not mask or not isdefined(self.inputs.maps):
            return {"placement": None, "displaced": None}
        maps = read_maps(Path(self.inputs.maps["record"]).parent)
        scan, image = read(self.inputs.svs), cast("Any", nib.load(self.inputs.t1w))
        moved = None
        if settings.chemical_shift_mm is not None:
            found = displaced_fractions(
                scan.affine, image, load_maps(maps), settings.chemical_shift_mm, scan.transmit_ppm
            )
            moved = {name: asdict(item) for name, item in found.items()}
        labels = load_regions(maps)
        if labels is None:
            return {"placement": None, "displaced": moved}
        voxel: Any = nib.load(mask)
        placement = place(np.asarray(voxel.dataobj, dtype=np.float64), scan.affine, image, *labels)
        warnings.extend(placement.warnings)
        expected = {label: (where.mni, where.tolerance_mm) for label, where in settings.expected.items()}
        label = json.loads(self.inputs.identity)["voi"] or ""
        complaint = check_name(label, placement.mni_mm, expected)
        if complaint:
            warnings.append(complaint)
        named = None if label not in expected else "elsewhere" if complaint else "as expected"
        return {"placement": {**asdict(placement), "name": named}, "displaced": moved}

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
        try:
            image: Any = nib.load(self.inputs.t1w)
            mask = voxel_mask(scan.affine, image)
        except nib.filebasedimages.ImageFileError as error:
            warnings.append(f"{Path(self.inputs.t1w).name}: not a readable image ({error}); copy it again")
            return ""
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


def write_mask(mask: Any, image: Any, path: Path) -> str:  # noqa: ANN401  nibabel is untyped
    """Write a partial-volume mask on an image's grid, byte-reproducible, and return its path."""
    import gzip

    import nibabel as nib
    import numpy as np

    out = nib.Nifti1Image(np.asarray(mask, dtype=np.float32), image.affine)
    path.write_bytes(gzip.compress(out.to_bytes(), mtime=0))
    return str(path)
