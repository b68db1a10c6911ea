"""FSL and SPM: refused with a remedy where they are not installed, called with the right arguments where they are."""

from __future__ import annotations

import shutil

import pytest

from mrs_pipeline.errors import InputError
from mrs_pipeline.interfaces.anatomy_external import available, external_maps


def test_a_missing_tool_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    assert not available("fsl")
    assert not available("spm")
    with pytest.raises(InputError, match="fsl is not installed"):
        external_maps("fsl", tmp_path / "sub-01_T1w.nii.gz", tmp_path, skull_stripped=False)


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
