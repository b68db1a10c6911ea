"""Files of the anatomy room: tissue tables and maps."""

from __future__ import annotations

import csv
import gzip
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from mrs_pipeline.anatomy.segmentation import BRAIN, DEEP, Segmentation, resample
from mrs_pipeline.anatomy.tissue import SEGMENTATION_SD, TissueFractions
from mrs_pipeline.config import TissueSection
from mrs_pipeline.errors import InputError
from mrs_pipeline.spectrum import FloatArray

if TYPE_CHECKING:
    import nibabel as nib

ONE_THREAD = ("ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
SCANNER = 1
"""NIfTI code of scanner coordinates."""
FORMS_MM = 1.0
"""Distance at the corners of an image up to which qform and sform count as the same; a qform holds no shear."""
COLUMNS = ("participant_id", "session", "voi", "GM", "WM", "CSF")


def read_tissue_table(path: str | Path, participant_id: str, session: str | None, voi: str | None) -> TissueFractions:
    """Take a scan's tissue fractions from a table.

    Parameters
    ----------
    path
        TSV with participant_id, session, voi, GM, WM, CSF (fractions, or percentages summing to 100); optionally
        GM_sd, WM_sd, CSF_sd (n/a or empty: not known). A cell of session or voi that is n/a or empty matches every
        scan.
    participant_id
        With or without the ``sub-`` prefix.
    session, voi
        BIDS labels, ``None`` when the scan has none.

    Raises
    ------
    InputError
        Missing file, column or row, several matching rows, or values that are no fractions.
    """
    path = Path(path)
    rows = [row for row in _rows(path) if _matches(row, participant_id, session, voi)]
    wanted = f"participant {participant_id}, session {session or 'n/a'}, voi {voi or 'n/a'}"
    if len(rows) != 1:
        raise InputError(
            f"{len(rows) or 'no'} rows for {wanted}",
            remedy="give exactly one row per scan in the tissue table",
            path=path,
        )
    return _fractions(rows[0], path, wanted)


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, delimiter="\t")
            missing = [name for name in COLUMNS if name not in (reader.fieldnames or [])]
            rows = list(reader)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"the tissue table cannot be read ({error})", remedy="check [tissue] table in study.toml", path=path
        ) from error
    if missing:
        raise InputError(
            f"the tissue table has no column {', '.join(missing)}",
            remedy=f"use tab-separated columns {', '.join(COLUMNS)}",
            path=path,
        )
    return rows


def _matches(row: dict[str, str], participant_id: str, session: str | None, voi: str | None) -> bool:
    def same(cell: str, label: str | None, prefix: str) -> bool:
        cell = (cell or "").strip().removeprefix(prefix)
        return cell in ("", "n/a") or cell == (label or "").removeprefix(prefix)

    return (
        (row["participant_id"] or "").strip().removeprefix("sub-") == participant_id.removeprefix("sub-")
        and same(row["session"], session, "ses-")
        and same(row["voi"], voi, "voi-")
    )


def _fractions(row: dict[str, str], path: Path, wanted: str) -> TissueFractions:
    """Turn a row into fractions, percentages accepted."""
    try:
        values = [float(row[name]) for name in ("GM", "WM", "CSF")]
        given = [(row.get(f"{name}_sd") or "n/a").strip() for name in ("GM", "WM", "CSF")]
        errors = None if "n/a" in given else [float(cell) for cell in given]
    except (TypeError, ValueError, KeyError) as error:
        raise InputError(
            f"the row of {wanted} holds no numbers ({error})", remedy="give GM, WM, CSF as numbers", path=path
        ) from error
    total = sum(values)
    scale = 100.0 if abs(total - 100) < 1 else 1.0
    if abs(total / scale - 1) > 0.01 or min(values) < 0:
        raise InputError(
            f"the fractions of {wanted} sum to {total:g}",
            remedy="give volume fractions that sum to 1 (or percentages to 100)",
            path=path,
        )
    gm, wm, csf = (value / total for value in values)
    sd = SEGMENTATION_SD if errors is None else (errors[0] / scale, errors[1] / scale, errors[2] / scale)
    return TissueFractions(gm, wm, csf, sd=sd, source=f"table {path.name}")


@dataclass(frozen=True)
class TissueMaps:
    """Tissue maps on disk, on the grid of the T1w.

    Parameters
    ----------
    gm, wm, csf
        Probability maps.
    brain
        Brain mask with its CSF; ``None`` when the source gives none.
    regions
        Labels 0 outside, 1 head, 2 brain, 3 deep grey matter, 4 ventricles; ``None`` from other sources.
    mni
        MNI152 coordinates of a 2 mm grid, four-dimensional; ``None`` from other sources.
    head
        Whether the T1w shows a whole head; ``None`` when not known.
    source
        Phrase for the report.
    warnings
        Sentences for the report.
    """

    gm: Path
    wm: Path
    csf: Path
    brain: Path | None = None
    regions: Path | None = None
    mni: Path | None = None
    head: bool | None = None
    source: str = "segmentation"
    warnings: tuple[str, ...] = ()


def load_maps(maps: TissueMaps) -> dict[str, FloatArray]:
    """Load the maps that ``fractions`` averages: gm, wm, csf, and deep grey matter where known."""
    found = {name: np.asarray(load_image(getattr(maps, name)).dataobj, dtype=float) for name in ("gm", "wm", "csf")}
    if maps.regions is not None:
        found["deep"] = (np.asarray(load_image(maps.regions).dataobj) == DEEP).astype(float)
    return found


def load_regions(maps: TissueMaps) -> tuple[npt.NDArray[np.uint8], tuple[FloatArray, FloatArray]] | None:
    """Load region labels, MNI coordinates and their grid for ``place``; ``None`` where the source gives none."""
    if maps.regions is None or maps.mni is None:
        return None
    mni = load_image(maps.mni)
    labels = np.asarray(load_image(maps.regions).dataobj).astype(np.uint8)
    return labels, (np.asarray(mni.dataobj, dtype=np.float64), np.asarray(mni.affine, dtype=np.float64))


def load_image(path: str | Path) -> nib.Nifti1Image:
    """Open a NIfTI image in scanner coordinates and make sure that all of it can be read.

    Raises
    ------
    InputError
        Missing, empty, truncated, another format, or placed in two ways by codes that do not tell which is the
        scanner's.
    """
    import zlib

    import nibabel as nib

    try:
        image = cast("nib.Nifti1Image", nib.load(path))
        np.asanyarray(image.dataobj)
    except (OSError, EOFError, ValueError, zlib.error, nib.filebasedimages.ImageFileError) as error:
        words = " ".join(str(error).split())
        raise InputError(f"not a readable image ({words})", remedy="copy it again", path=path) from error
    _keep_scanner_form(image, path)
    return image


def _keep_scanner_form(image: nib.Nifti1Image, path: str | Path) -> None:
    """Of a qform and an sform that disagree keep the one coded as scanner coordinates, where the spectra lie."""
    if not hasattr(image, "get_sform"):
        return  # a format with one affine only
    qform, q_code = image.get_qform(coded=True)
    sform, s_code = image.get_sform(coded=True)
    if not q_code or not s_code:
        return  # nibabel takes the only one
    corners = np.array([[x, y, z, 1] for x in (0, 1) for y in (0, 1) for z in (0, 1)]) * [*image.shape[:3], 1]
    apart = float(np.linalg.norm((corners @ (qform - sform).T)[:, :3], axis=1).max())
    if apart <= FORMS_MM:
        return
    if (q_code == SCANNER) == (s_code == SCANNER):
        raise InputError(
            f"qform (code {int(q_code)}) and sform (code {int(s_code)}) place the image up to {apart:.0f} mm apart, "
            "and the codes do not tell which is the scanner's",
            remedy="convert the image again from DICOM, or set both to the scanner's coordinates with code 1",
            path=path,
        )
    if q_code == SCANNER:
        image.set_sform(None, code=0)


def segment(t1w: str | Path, out_dir: str | Path, settings: TissueSection) -> TissueMaps:
    """Segment a T1w into maps on its own grid, in a process of its own with one ITK thread.

    Parameters
    ----------
    t1w
        NIfTI file, whole head or skull-stripped.
    out_dir
        Folder for ``label-{GM,WM,CSF}_probseg.nii.gz``, ``desc-brain_mask.nii.gz``, ``desc-regions_dseg.nii.gz``,
        ``mni.nii.gz`` and ``segment.json``.
    settings
        ``[tissue]`` of study.toml; ``resolution_mm`` is the working resolution.

    Raises
    ------
    InputError
        The T1w cannot be read or segmented.
    """
    out = Path(out_dir)
    out.mkdir(parents=True, exist_ok=True)
    problem = _worker("segment", str(t1w), str(out), str(settings.resolution_mm))
    if problem:
        raise InputError(
            f"the T1w could not be segmented ({problem})", remedy="look at the image, or give a tissue table", path=t1w
        )
    return read_maps(out)


def register(first: str | Path, second: str | Path, out_dir: str | Path) -> FloatArray:
    """Register the T1w of two visits rigidly, in a process of its own with one ITK thread.

    Parameters
    ----------
    first, second
        NIfTI files of the two visits.
    out_dir
        Folder for ``visits.json``.

    Returns
    -------
    array
        From the second visit's scanner coordinates to the first's, shape (4, 4).
    """
    out = Path(out_dir)
    out.mkdir(parents=True, exist_ok=True)
    problem = _worker("register", str(first), str(second), str(out))
    if problem:
        raise InputError(
            f"the visits' T1w could not be registered ({problem})", remedy="look at both images", path=second
        )
    return np.array(json.loads((out / "visits.json").read_text(encoding="utf-8"))["SecondToFirst"], dtype=np.float64)


def _worker(*arguments: str) -> str:
    """Run the worker process; return its last line of complaint, empty when it succeeded."""
    command = [sys.executable, "-m", "mrs_pipeline.anatomy.worker", *arguments]
    environment = {**os.environ, **dict.fromkeys(ONE_THREAD, "1")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return ""
    return (done.stderr.strip().splitlines() or ["no message"])[-1]


def read_maps(out_dir: str | Path) -> TissueMaps:
    """Read back what :func:`segment` wrote."""
    out = Path(out_dir)
    record = json.loads((out / "segment.json").read_text(encoding="utf-8"))
    return TissueMaps(
        gm=out / "label-GM_probseg.nii.gz",
        wm=out / "label-WM_probseg.nii.gz",
        csf=out / "label-CSF_probseg.nii.gz",
        brain=out / "desc-brain_mask.nii.gz",
        regions=_if_there(out / "desc-regions_dseg.nii.gz"),
        mni=_if_there(out / "mni.nii.gz"),
        head=record["WholeHead"],
        source=record["Method"],
        warnings=tuple(record["Warnings"]),
    )


def _if_there(path: Path) -> Path | None:
    return path if path.is_file() else None


def write_segmentation(segmentation: Segmentation, t1w: nib.Nifti1Image, out_dir: Path) -> None:
    """Write a segmentation on the grid of its T1w."""
    matrix = np.asarray(np.linalg.inv(segmentation.affine) @ t1w.affine, dtype=np.float64)
    onto = partial(resample, matrix=matrix, shape=t1w.shape[:3])
    for name in ("gm", "wm", "csf"):
        share = np.round(np.clip(onto(getattr(segmentation, name)), 0, 1), 3)
        write_image(share, t1w.affine, out_dir / f"label-{name.upper()}_probseg.nii.gz")
    regions = onto(segmentation.regions, order=0).astype(np.uint8)
    write_image(regions, t1w.affine, out_dir / "desc-regions_dseg.nii.gz")
    write_image((regions >= BRAIN).astype(np.uint8), t1w.affine, out_dir / "desc-brain_mask.nii.gz")
    write_image(np.round(segmentation.mni, 1), segmentation.mni_affine, out_dir / "mni.nii.gz")
    warnings = []
    if segmentation.contrast < 2:
        warnings.append(
            f"grey and white matter are only {segmentation.contrast:.1f} SD apart: the tissue maps are doubtful"
        )
    record = {
        "Method": "own segmentation (N4 and SyN of antspyx, MNI152 priors, partial-volume mixture)",
        "WholeHead": segmentation.head,
        "Contrast": round(segmentation.contrast, 3),
        "Warnings": warnings,
    }
    (out_dir / "segment.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def write_image(data: npt.NDArray[Any], affine: FloatArray, path: Path) -> None:
    """Write a NIfTI image in scanner space with the same bytes every time, by temporary file and rename."""
    import nibabel as nib

    image = nib.Nifti1Image(data, affine)
    image.set_qform(affine, code=1)
    image.set_sform(affine, code=1)
    image.header.set_xyzt_units("mm")
    temporary = path.with_name(f".{path.name}.part")
    with temporary.open("wb") as stream:
        stream.write(gzip.compress(image.to_bytes(), compresslevel=6, mtime=0))
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)
