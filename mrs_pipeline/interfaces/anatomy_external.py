"""Tissue maps by FSL FAST or SPM, when a site has them installed: Nipype's own interfaces, our file names.

Both leave their maps where ``mrs_pipeline.anatomy.find_derivatives`` looks, so the rest of the pipeline does not know
the difference.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from mrs_pipeline.errors import InputError, StudyError

STANDALONE_SPM = "SPMMCRCMD"
WANTED = {"fsl": "FSL (fast and bet)", "spm": "SPM12"}
REMEDY = {
    "fsl": "install FSL so that fast and bet are on the PATH",
    "spm": f"put matlab on the PATH, or set {STANDALONE_SPM} to the command of the standalone SPM12",
}


def available(tool: str) -> bool:
    """Return whether ``"fsl"`` (``fast`` and ``bet``) or ``"spm"`` (SPM12 in MATLAB or standalone) can be run here.

    The standalone SPM12 is what the environment variable SPMMCRCMD starts, for example
    ``/opt/spm12/run_spm12.sh /opt/mcr/v97 script``, as in other pipelines on Nipype.
    """
    if tool == "fsl":
        return all(shutil.which(name) for name in ("fast", "bet"))
    return bool(os.environ.get(STANDALONE_SPM)) or shutil.which("matlab") is not None


def require(tool: str) -> None:
    """Refuse a tool that is not installed, before any work.

    Raises
    ------
    StudyError
        The settings name it, but it is not there.
    """
    if tool in WANTED and not available(tool):
        raise StudyError(
            f'[tissue] source = "{tool}", but {WANTED[tool]} cannot be started here',
            remedy=f'{REMEDY[tool]}, or use [tissue] source = "segment", which needs nothing else',
        )


def external_maps(tool: str, t1w: str | Path, out_dir: str | Path, *, skull_stripped: bool) -> Path:
    """Segment a T1w with FSL FAST or SPM and return the folder with its maps.

    Parameters
    ----------
    tool
        ``"fsl"`` or ``"spm"``.
    t1w
        T1w image named ``sub-*``.
    out_dir
        Folder for the maps.
    skull_stripped
        Whether ``bet`` can be left out.

    Raises
    ------
    InputError
        The tool is not installed.
    """
    if not available(tool):
        raise InputError(
            f"{WANTED[tool]} is not installed",
            remedy=f"{REMEDY[tool]}, or use [tissue] source = 'segment', which needs nothing else",
            path=t1w,
        )
    out = Path(out_dir)
    out.mkdir(parents=True, exist_ok=True)
    return _fast(Path(t1w), out, skull_stripped=skull_stripped) if tool == "fsl" else _spm(Path(t1w), out)


def _fast(t1w: Path, out: Path, *, skull_stripped: bool) -> Path:
    """Run FAST on the brain, which ``bet`` cuts out of a whole head."""
    from nipype.interfaces import fsl

    stem = t1w.name.removesuffix(".gz").removesuffix(".nii")
    brain: Any = t1w
    if not skull_stripped:
        brain = out / f"{stem}_brain.nii.gz"
        fsl.BET(in_file=str(t1w), out_file=str(brain), robust=True, output_type="NIFTI_GZ").run(cwd=str(out))
    fast = fsl.FAST(
        in_files=[str(brain)], out_basename=str(out / stem), img_type=1, number_classes=3, output_type="NIFTI_GZ"
    )
    fast.run(cwd=str(out))
    return out


def _spm(t1w: Path, out: Path) -> Path:
    """Run SPM12's unified segmentation on a copy, which leaves c1, c2, c3 beside it."""
    import nibabel as nib
    from nipype.interfaces import spm

    if standalone := os.environ.get(STANDALONE_SPM):
        spm.SPMCommand.set_mlab_paths(matlab_cmd=standalone, use_mcr=True)
    copy = out / (t1w.name.removesuffix(".gz").removesuffix(".nii") + ".nii")
    nib.save(nib.load(t1w), copy)
    spm.NewSegment(channel_files=str(copy), channel_info=(0.0001, 60, (False, False))).run(cwd=str(out))
    return out
