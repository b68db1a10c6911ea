"""A visit without a T1w image: said where tissue maps would have been made of it, and nowhere else."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from mrs_pipeline.workflows.preflight import check_scan

from mrs_pipeline.bids import index
from mrs_pipeline.config import Study, TissueSection
from mrs_pipeline.interfaces.anatomy import VoxelTissue
from mrs_pipeline.nifti_mrs import NiftiMrs, write
from mrs_pipeline.spectrum import Spectrum

NEEDED = {"segment": True, "derivatives": True, "fsl": True, "spm": True, "table": False, "none": False}
SENTENCE = "no T1w image of this visit: its tissue cannot be segmented"


@pytest.fixture
def svs(tmp_path):
    folder = tmp_path / "bids" / "sub-01" / "mrs"
    folder.mkdir(parents=True)
    fid = np.exp(-20 * np.arange(512) * 5e-4).astype(complex)
    spectrum = Spectrum(fid, 5e-4, 127.75, echo_time=0.03, repetition_time=2.0)
    write(NiftiMrs(spectrum, affine=np.diag([20.0, 20.0, 20.0, 1.0])), folder / "sub-01_svs.nii.gz")
    return folder / "sub-01_svs.nii.gz"


@pytest.mark.parametrize(("source", "needed"), NEEDED.items())
def test_the_report_warns_where_maps_would_have_been_made(svs, tmp_path, monkeypatch, source, needed):
    monkeypatch.chdir(tmp_path)
    settings = TissueSection(source=source).model_dump_json()
    identity = json.dumps({"participant_id": "sub-01", "session": None, "voi": None})
    found = VoxelTissue(svs=str(svs), identity=identity, settings=settings).run()
    warnings = json.loads(Path(found.outputs.tissue).read_text(encoding="utf-8"))["warnings"]
    assert warnings.count(SENTENCE) == needed
    assert any("T1w" in text for text in warnings) == needed


@pytest.mark.parametrize(("source", "needed"), NEEDED.items())
def test_the_index_leaves_it_to_the_settings_and_the_preflight_asks_them(svs, source, needed):
    (scan,) = index(svs.parents[2])
    assert not any("T1w" in text for text in scan.warnings)
    study = Study.model_validate({"tissue": {"source": source}})
    missing = check_scan(scan, study).missing
    assert any("T1w image" in text for text in missing) == needed
