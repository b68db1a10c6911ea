"""Tissue maps that a site already has: found by declared patterns, brought onto the T1w's grid."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mrs_pipeline.anatomy.io import TissueMaps, load_image, read_maps, write_image
from mrs_pipeline.anatomy.segmentation import resample
from mrs_pipeline.errors import InputError

if TYPE_CHECKING:
    import nibabel as nib

TISSUES = ("gm", "wm", "csf")
STANDARD_SPACE = "_space-"


@dataclass(frozen=True)
class FoundMaps:
    """Files of another tool.

    Parameters
    ----------
    tool
        Name as the report gives it.
    kind
        ``"probability"`` (one map per tissue) or ``"segmentation"`` (one label image).
    files
        ``gm``, ``wm``, ``csf``, or ``labels``.
    of_session
        Whether the files belong to this visit, not to the participant as a whole.
    """

    tool: str
    kind: str
    files: Mapping[str, Path]
    of_session: bool


@lru_cache(maxsize=1)
def patterns() -> dict[str, Any]:
    """Return the declared patterns and label tables (``derivatives.toml``)."""
    return tomllib.loads((resources.files(__package__) / "derivatives.toml").read_text(encoding="utf-8"))


def find_derivatives(folder: str | Path, participant_id: str, session: str | None) -> FoundMaps:
    """Find a participant's tissue maps in a derivatives folder; maps of the visit come before maps of the participant.

    Raises
    ------
    InputError
        No folder, or nothing that fits any pattern.
    """
    root = Path(folder)
    if not root.is_dir():
        raise InputError(
            "the derivatives folder does not exist", remedy="check [tissue] derivatives in study.toml", path=root
        )
    names = {"sub": participant_id.removeprefix("sub-"), "ses": (session or "").removeprefix("ses-")}
    for scope in ("session", "subject") if session else ("subject",):
        for tool in patterns()["tool"]:
            files = _files(root, tool, tool[scope], names)
            if files:
                return FoundMaps(tool["name"], tool["kind"], files, scope == "session")
    tools = ", ".join(tool["name"] for tool in patterns()["tool"])
    raise InputError(
        f"no tissue maps of {participant_id}{f' {session}' if session else ''} (looked for {tools})",
        remedy="check the folder, or use [tissue] source = 'segment'",
        path=root,
    )


def _files(root: Path, tool: Mapping[str, Any], globs: Sequence[str], names: Mapping[str, str]) -> dict[str, Path]:
    """First complete set of files that a tool's patterns give."""
    wanted = tool.get("labels", {"labels": ""})
    for pattern in globs:
        found = {tissue: _first(root, pattern.format(label=label, **names), names) for tissue, label in wanted.items()}
        complete = {tissue: path for tissue, path in found.items() if path is not None}
        if len(complete) == len(wanted):
            return complete
    return {}


def _first(root: Path, pattern: str, names: Mapping[str, str]) -> Path | None:
    """First match in sorted order that is not in a standard space and of nobody and no visit else."""
    matches = (path for path in sorted(root.glob(pattern)) if STANDARD_SPACE not in path.name)
    return next((path for path in matches if _belongs(path.relative_to(root).as_posix(), names)), None)


def _belongs(path: str, names: Mapping[str, str]) -> bool:
    """Whether every label in a path is the scan's own: a glob for sub-1 also finds sub-10."""
    return all(set(re.findall(f"{entity}-([0-9A-Za-z]+)", path)) <= {label} for entity, label in names.items() if label)


def maps_from_derivatives(
    folder: str | Path, participant_id: str, session: str | None, t1w: str | Path, out_dir: str | Path
) -> TissueMaps:
    """Bring another tool's maps onto the T1w's grid and write them as :func:`mrs_pipeline.anatomy.segment` does.

    Parameters
    ----------
    folder
        BIDS derivatives folder (or one above the tools' folders).
    participant_id, session
        BIDS labels.
    t1w
        T1w of the visit, whose scanner coordinates the maps must share.
    out_dir
        Where ``label-*_probseg.nii.gz`` and ``segment.json`` go.

    Raises
    ------
    InputError
        Nothing found, unreadable, or maps that do not cover the head of this T1w.
    """
    found = find_derivatives(folder, participant_id, session)
    image = load_image(t1w)
    maps = _label_maps(found.files["labels"], image) if found.kind == "segmentation" else _probabilities(found, image)
    warnings = _doubts(found, maps, image, session)
    out = Path(out_dir)
    out.mkdir(parents=True, exist_ok=True)
    for name in TISSUES:
        write_image(np.round(maps[name], 3), image.affine, out / f"label-{name.upper()}_probseg.nii.gz")
    brain = np.asarray(np.sum([maps[name] for name in TISSUES], axis=0) > 0.5, dtype=np.uint8)
    write_image(brain, image.affine, out / "desc-brain_mask.nii.gz")
    record = {
        "Method": f"tissue maps of {found.tool} ({', '.join(sorted(path.name for path in found.files.values()))})",
        "WholeHead": None,
        "Warnings": warnings,
    }
    (out / "segment.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return read_maps(out)


def _onto_t1w(values: npt.NDArray[Any], source: nib.Nifti1Image, t1w: nib.Nifti1Image) -> npt.NDArray[np.float32]:
    matrix = np.asarray(np.linalg.inv(source.affine) @ t1w.affine, dtype=np.float64)
    return np.clip(resample(values, matrix, t1w.shape[:3]), 0, 1)


def _probabilities(found: FoundMaps, t1w: nib.Nifti1Image) -> dict[str, npt.NDArray[np.float32]]:
    images = {name: load_image(path) for name, path in found.files.items()}
    return {name: _onto_t1w(np.asarray(image.dataobj, dtype=np.float32), image, t1w) for name, image in images.items()}


def _label_maps(path: Path, t1w: nib.Nifti1Image) -> dict[str, npt.NDArray[np.float32]]:
    """Turn FreeSurfer labels into shares; what the labelled brain encloses without a label is outer CSF."""
    from scipy import ndimage

    image = load_image(path)
    labels = np.asarray(image.dataobj).astype(np.int64)
    ranges = patterns()["aseg"]
    shares: dict[str, npt.NDArray[np.bool_]] = {name: _in_ranges(labels, ranges[name]) for name in TISSUES}
    known: npt.NDArray[np.bool_] = np.logical_or.reduce([shares[name] for name in TISSUES])
    padded = np.pad(known, 8)
    closed = np.asarray(ndimage.binary_closing(padded, iterations=6), dtype=bool)
    envelope = closed[8:-8, 8:-8, 8:-8]
    shares["csf"] = shares["csf"] | (envelope & ~known)
    return {name: _onto_t1w(np.asarray(share, dtype=np.float32), image, t1w) for name, share in shares.items()}


def _in_ranges(labels: npt.NDArray[np.int64], ranges: Sequence[Sequence[int]]) -> npt.NDArray[np.bool_]:
    found = np.zeros(labels.shape, dtype=bool)
    for low, high in ranges:
        found |= (labels >= low) & (labels <= high)
    return found


def _doubts(
    found: FoundMaps, maps: Mapping[str, npt.NDArray[np.float32]], t1w: nib.Nifti1Image, session: str | None
) -> list[str]:
    """Refuse maps of another head position, and say what else is uncertain."""
    voxel = abs(float(np.linalg.det(np.asarray(t1w.affine, dtype=float)[:3, :3]))) * 1e-6
    litres = float(sum(maps[name].sum() for name in TISSUES)) * voxel
    if litres < 0.5:
        raise InputError(
            f"the tissue maps of {found.tool} cover only {litres:.2f} litres of this T1w",
            remedy="use maps made from this visit's T1w, in its scanner coordinates",
            path=next(iter(found.files.values())),
        )
    warnings = []
    if session and not found.of_session:
        warnings.append(
            f"the maps of {found.tool} belong to the participant, not to visit {session}: "
            "they fit this visit's voxel only if they were made from this visit's T1w"
        )
    if found.kind == "segmentation":
        warnings.append("FreeSurfer labels hold no outer CSF: what the brain's envelope encloses was taken for it")
    return warnings
