"""The real scanner files of ../shared/data: what nobody here wrote comes out where it belongs."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from mrs_pipeline.bids import index
from mrs_pipeline.cli import main
from mrs_pipeline.nifti_mrs import judge_orientation, read

pytestmark = pytest.mark.shared_data

STUDY = r"""
[[convert.scans]]
pattern = 'philips_sub-01/**/*_PRESS_raw-act_*.SDAT'
role = "svs"
participant = "philips"
region = "occ"
[[convert.scans]]
pattern = 'philips_sub-01/**/*_PRESS_raw-ref_*.SDAT'
role = "mrsref"
participant = "philips"
region = "occ"
[[convert.scans]]
pattern = 'philips_sub-01/anat/*_T1w_*'
role = "T1w"
participant = "philips"
[[convert.scans]]
pattern = '*_act.sdat'
role = "svs"
participant = "te35"
[[convert.scans]]
pattern = '*_ref.sdat'
role = "mrsref"
participant = "te35"
[[convert.scans]]
pattern = '\.(?P<participant>rda|IMA)$'
role = "svs"
[[convert.scans]]
pattern = 'lcmodel_example/*.raw'
role = "svs"
participant = "lcm"
echo_time = 0.03
"""


@pytest.fixture(scope="module")
def bids(shared_data, tmp_path_factory):
    root = tmp_path_factory.mktemp("real")
    study = root / "study.toml"
    study.write_text(STUDY)
    arguments = ["convert", str(shared_data), str(root / "bids"), "--study", str(study)]
    assert main(arguments) == 0
    return root / "bids"


@pytest.fixture(scope="module")
def scans(bids):
    return {scan.participant_id: scan for scan in index(bids)}


@pytest.mark.parametrize(
    ("participant", "echo_time", "n_points", "carrier"),
    [
        ("sub-philips", 0.030, 2048, 127.755264),
        ("sub-te35", 0.035, 2048, 127.750896),
        ("sub-rda", 0.030, 1024, 123.234655),
        ("sub-IMA", 0.030, 1024, 123.234655),
        ("sub-lcm", 0.030, 1024, 127.786142),
    ],
)
def test_each_vendor(scans, participant, echo_time, n_points, carrier):
    spectrum = read(scans[participant].svs).spectrum
    assert spectrum.fid.shape == (n_points,)
    assert spectrum.echo_time == pytest.approx(echo_time, abs=1e-9)
    assert spectrum.carrier_mhz == pytest.approx(carrier, abs=1e-9)
    verdict = judge_orientation(spectrum)
    assert verdict.verdict == "straight"
    assert verdict.straight > 0.85
    window = (spectrum.ppm > 1.85) & (spectrum.ppm < 2.25)
    height = np.abs(spectrum.broadened(3).spectrum()) * window
    assert spectrum.ppm[np.argmax(height)] == pytest.approx(2.01, abs=0.06)


def test_two_exports_of_one_siemens_scan_agree(scans):
    rda, ima = read(scans["sub-rda"].svs), read(scans["sub-IMA"].svs)
    np.testing.assert_allclose(rda.affine, ima.affine, atol=1e-3)
    np.testing.assert_allclose(rda.voxel_size_mm, [20, 40, 20], atol=1e-4)
    # VOI position of the RDA header, LPS, as the centre of the box in RAS
    np.testing.assert_allclose(rda.affine[:3, 3], [-41.602906, -21.569007, -4.958838], atol=1e-3)
    a, b = rda.spectrum.fid, ima.spectrum.fid
    assert abs(np.vdot(a, b)) / (np.linalg.norm(a) * np.linalg.norm(b)) > 0.999


def test_philips_voxel_lies_in_the_head_where_the_spar_says(scans):
    scan = scans["sub-philips"]
    nifti = read(scan.svs)
    # ap 35.647 (posterior), lr -1.568 (right), cc 30.271 in the SPAR: RAS
    np.testing.assert_allclose(nifti.affine[:3, 3], [1.567965, -35.647236, 30.271355], atol=1e-3)
    image = nib.load(scan.t1w)
    i, j, k = np.round(np.linalg.inv(image.affine) @ nifti.affine[:, 3])[:3].astype(int)
    assert np.asanyarray(image.dataobj)[i - 3 : i + 4, j - 3 : j + 4, k - 3 : k + 4].mean() > 0


def test_links(scans):
    assert scans["sub-philips"].warnings == ()
    assert scans["sub-te35"].conc.name == "sub-te35_mrsref.nii.gz"
    assert scans["sub-rda"].conc is None
