"""FSL and SPM: refused with a remedy where they are not installed, called with the right arguments where they are."""

from __future__ import annotations

import shutil

import pytest

from mrs_pipeline.errors import InputError, StudyError
from mrs_pipeline.interfaces.anatomy_external import available, external_maps


def test_a_missing_tool_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    monkeypatch.delenv("SPMMCRCMD", raising=False)
    assert not available("fsl")
    assert not available("spm")
    with pytest.raises(InputError, match=r"FSL .* is not installed"):
        external_maps("fsl", tmp_path / "sub-01_T1w.nii.gz", tmp_path, skull_stripped=False)


@pytest.mark.parametrize(("tool", "remedy"), [("fsl", "install FSL"), ("spm", "SPMMCRCMD")])
def test_settings_that_name_a_missing_tool_are_refused_before_any_work(tmp_path, monkeypatch, tool, remedy):
    from mrs_pipeline.cli.settings import data_files
    from mrs_pipeline.config import Study

    monkeypatch.setattr(shutil, "which", lambda _name: None)
    monkeypatch.delenv("SPMMCRCMD", raising=False)
    study = Study.model_validate({"tissue": {"source": tool}})
    with pytest.raises(StudyError, match="cannot be started here") as error:
        data_files(study, None, tmp_path)
    assert remedy in error.value.remedy


STAND_IN = """#!{python}
import shutil, sys
arguments = sys.argv[1:]
if sys.argv[0].endswith("bet"):
    shutil.copy(arguments[0], arguments[1])
else:
    base = arguments[arguments.index("-o") + 1]
    for index, name in enumerate(("csf", "gm", "wm")):
        shutil.copy("{folder}/" + name + ".nii.gz", base + "_pve_" + str(index) + ".nii.gz")
    for other in ("seg", "pveseg", "mixeltype"):
        shutil.copy("{folder}/gm.nii.gz", base + "_" + other + ".nii.gz")
"""


@pytest.mark.parametrize("session", ["bl", "w12"])  # a scan of w12 whose sidecar names the image of bl
def test_fsl_on_the_path_gives_its_maps_to_the_pipeline(tmp_path, monkeypatch, session):
    import json
    import os
    import sys

    import nibabel as nib
    import numpy as np

    from mrs_pipeline.anatomy import fractions, load_maps, read_maps, voxel_mask
    from mrs_pipeline.interfaces.anatomy import Segment

    affine = np.diag([4.0, 4.0, 4.0, 1.0])
    affine[:3, 3] = -80
    for name, share in (("csf", 0.2), ("gm", 0.5), ("wm", 0.3)):
        nib.save(nib.Nifti1Image(np.full((40, 40, 40), share, np.float32), affine), tmp_path / f"{name}.nii.gz")
    t1w = tmp_path / "sub-01_ses-bl_T1w.nii.gz"
    head = (np.indices((40, 40, 40))[0] > 3) * 100.0
    nib.save(nib.Nifti1Image(head.astype(np.float32), affine), t1w)
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("fast", "bet"):
        (programs / name).write_text(STAND_IN.format(python=sys.executable, folder=tmp_path))
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    settings = json.dumps({"source": "fsl"})
    done = Segment(t1w=str(t1w), participant_id="sub-01", session=session, settings=settings).run(cwd=str(tmp_path))
    maps = read_maps(tmp_path)
    assert "FSL FAST" in maps.source
    assert maps.warnings == ()
    found = fractions(voxel_mask(np.diag([20.0, 20, 20, 1]), nib.load(t1w)), load_maps(maps))
    assert (found.gm, found.wm, found.csf) == pytest.approx((0.5, 0.3, 0.2), abs=1e-3)
    assert done.outputs.gm.endswith("label-GM_probseg.nii.gz")


def test_fsl_is_called_through_nipype(tmp_path, monkeypatch):
    import nibabel as nib
    import numpy as np
    from nipype.interfaces import fsl

    from mrs_pipeline.anatomy import find_derivatives

    t1w = tmp_path / "sub-01_ses-bl_T1w.nii.gz"
    nib.save(nib.Nifti1Image(np.ones((4, 4, 4), dtype=np.float32), np.eye(4)), t1w)
    calls = []

    def fake_run(self, **_options):
        calls.append(self.cmdline)
        if isinstance(self, fsl.FAST):
            for index in range(3):
                nib.save(nib.load(t1w), f"{self.inputs.out_basename}_pve_{index}.nii.gz")
        else:
            shutil.copy(t1w, self.inputs.out_file)

    monkeypatch.setattr(shutil, "which", lambda name: f"/opt/fsl/bin/{name}")
    monkeypatch.setattr(fsl.BET, "run", fake_run)
    monkeypatch.setattr(fsl.FAST, "run", fake_run)
    folder = external_maps("fsl", t1w, tmp_path / "out", skull_stripped=False)
    assert calls[0].startswith("bet ")
    assert calls[1].startswith("fast ")
    assert "-n 3" in calls[1]
    assert find_derivatives(folder, "sub-01", "bl").tool == "FSL FAST"
