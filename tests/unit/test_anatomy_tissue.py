"""Tissue fractions from tables, from other tools' maps, and from the mixture model."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from mrs_pipeline.anatomy import (
    TissueFractions,
    describe_voxel,
    find_derivatives,
    fractions,
    load_maps,
    load_regions,
    maps_from_derivatives,
    read_tissue_table,
    voxel_mask,
)
from mrs_pipeline.anatomy.mixture import classify
from mrs_pipeline.config import TissueSection
from mrs_pipeline.errors import InputError
from mrs_pipeline.interfaces.anatomy import VoxelTissue
from mrs_pipeline.nifti_mrs import NiftiMrs, write
from mrs_pipeline.spectrum import Spectrum

HEADER = "participant_id\tsession\tvoi\tGM\tWM\tCSF\n"


def table(tmp_path, rows, header=HEADER):
    path = tmp_path / "tissue.tsv"
    path.write_text(header + rows)
    return path


def test_table_row_of_the_scan(tmp_path):
    path = table(
        tmp_path, "sub-01\tbl\tacc\t0.6\t0.3\t0.1\nsub-01\tw12\tacc\t0.5\t0.3\t0.2\n02\tn/a\tn/a\t60\t25\t15\n"
    )
    found = read_tissue_table(path, "sub-01", "w12", "acc")
    assert (found.gm, found.wm, found.csf) == (0.5, 0.3, 0.2)
    assert found.source == "table tissue.tsv"
    percent = read_tissue_table(path, "sub-02", "bl", "pcc")
    assert (percent.gm, percent.csf) == pytest.approx((0.6, 0.15))


def test_table_with_errors_of_its_own(tmp_path):
    path = table(tmp_path, "01\t\t\t0.6\t0.3\t0.1\t0.01\t0.02\t0.03\n", HEADER[:-1] + "\tGM_sd\tWM_sd\tCSF_sd\n")
    assert read_tissue_table(path, "01", None, None).sd == (0.01, 0.02, 0.03)


@pytest.mark.parametrize("unknown", ["n/a\tn/a\tn/a", "\t\t", "0.01\t0.02\tn/a"])
def test_errors_that_a_row_does_not_know_are_those_of_segmentation(tmp_path, unknown):
    path = table(tmp_path, f"01\t\t\t0.6\t0.3\t0.1\t{unknown}\n", HEADER[:-1] + "\tGM_sd\tWM_sd\tCSF_sd\n")
    found = read_tissue_table(path, "01", None, None)
    assert found.gm == pytest.approx(0.6)
    assert found.sd == (0.04, 0.04, 0.03)


@pytest.mark.parametrize(
    ("rows", "header", "message"),
    [
        ("01\tbl\tacc\t0.6\t0.3\t0.1\n", "participant_id\tsession\tvoi\tGM\tWM\n", "no column CSF"),
        ("02\tbl\tacc\t0.6\t0.3\t0.1\n", HEADER, "no rows for participant sub-01"),
        ("01\tbl\tacc\t0.6\t0.3\t0.1\n01\tbl\tacc\t0.6\t0.3\t0.1\n", HEADER, "2 rows"),
        ("01\tbl\tacc\t0.6\t0.3\t0.4\n", HEADER, "sum to 1.3"),
        ("01\tbl\tacc\tsix\t0.3\t0.4\n", HEADER, "no numbers"),
    ],
)
def test_a_bad_table_is_explained(tmp_path, rows, header, message):
    with pytest.raises(InputError, match=message) as error:
        read_tissue_table(table(tmp_path, rows, header), "sub-01", "bl", "acc")
    assert error.value.path is not None


def test_a_missing_table(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_tissue_table(tmp_path / "none.tsv", "sub-01", None, None)


def test_fractions_must_be_shares():
    with pytest.raises(InputError, match="not three shares"):
        TissueFractions(0.5, 0.5, 0.5)


def test_fractions_refuse_other_grids_and_empty_places():
    maps = dict.fromkeys(("gm", "wm", "csf"), np.zeros((4, 4, 4)))
    with pytest.raises(InputError, match="has shape"):
        fractions(np.ones((5, 4, 4)), maps)
    with pytest.raises(InputError, match="outside the segmented brain"):
        fractions(np.ones((4, 4, 4)), maps)


def test_deep_grey_is_flagged_and_less_certain():
    ones = np.ones((4, 4, 4))
    maps = {"gm": 0.5 * ones, "wm": 0.5 * ones, "csf": 0 * ones, "deep": 0.4 * ones}
    found = fractions(ones, maps)
    assert found.deep == pytest.approx(0.4)
    assert "deep grey matter" in found.warnings[0]
    assert found.sd[0] > fractions(ones, {k: v for k, v in maps.items() if k != "deep"}).sd[0]


@pytest.mark.parametrize(("in_maps", "covered"), [(0.7, 1.0), (1.0, 0.7), (0.875, 0.8)])
def test_a_part_of_unknown_tissue_makes_the_fractions_less_certain(in_maps, covered):
    # 30 % unknown: an even distribution 0.3 wide has an SD of 0.3 / sqrt(12) = 0.0866
    box = np.ones((4, 4, 4))
    maps = {name: share * in_maps * box for name, share in (("gm", 0.6), ("wm", 0.3), ("csf", 0.1))}
    found = fractions(box, maps, covered=covered)
    assert (found.gm, found.wm, found.csf) == pytest.approx((0.6, 0.3, 0.1))
    assert found.inside == pytest.approx(0.7)
    assert found.sd == pytest.approx((0.09539, 0.09539, 0.09165), abs=1e-5)
    assert found.warnings == ("30 % of the voxel lies outside brain and CSF of the tissue maps",)
    whole = fractions(box, {name: share / in_maps for name, share in maps.items()})
    assert whole.sd == (0.04, 0.04, 0.03)


def ball(centre=(20, 20, 20), radius=16, shape=(40, 40, 40)):
    grid = np.indices(shape)
    return sum((axis - c) ** 2 for axis, c in zip(grid, centre, strict=True)) < radius**2


def tissue_images(shape=(40, 40, 40)):
    head = ball(radius=18)
    wm = ball(radius=9).astype(np.float32)
    gm = ball(radius=14).astype(np.float32) - wm
    return {"gm": gm, "wm": wm, "csf": head.astype(np.float32) - gm - wm}


AFFINE = np.diag([4.0, 4.0, 4.0, 1.0])
AFFINE[:3, 3] = -80


def save(data, path, affine=AFFINE):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nib.MGHImage(data.astype(np.float32), affine) if path.suffix == ".mgz" else nib.Nifti1Image(data, affine)
    nib.save(image, path)


LAYOUTS = {
    "fMRIPrep or sMRIPrep": (
        "fmriprep/sub-01/ses-bl/anat/sub-01_ses-bl_label-{}_probseg.nii.gz",
        {"gm": "GM", "wm": "WM", "csf": "CSF"},
    ),
    "CAT12": ("cat12/sub-01/ses-bl/mri/p{}sub-01_ses-bl_T1w.nii", {"gm": "1", "wm": "2", "csf": "3"}),
    "SPM": ("spm/c{}sub-01_ses-bl_T1w.nii", {"gm": "1", "wm": "2", "csf": "3"}),
    "FSL FAST": ("fast/sub-01_ses-bl_T1w_brain_pve_{}.nii.gz", {"gm": "1", "wm": "2", "csf": "0"}),
}


@pytest.mark.parametrize("tool", LAYOUTS)
def test_maps_of_other_tools_are_found_and_brought_onto_the_t1w(tmp_path, tool):
    pattern, labels = LAYOUTS[tool]
    for name, data in tissue_images().items():
        save(data, tmp_path / "derivatives" / pattern.format(labels[name]))
    t1w = tmp_path / "sub-01_ses-bl_T1w.nii.gz"
    fine = np.diag([2.0, 2.0, 2.0, 1.0])
    fine[:3, 3] = -80
    save(np.zeros((80, 80, 80), dtype=np.float32), t1w, fine)
    maps = maps_from_derivatives(tmp_path / "derivatives", "sub-01", "bl", t1w, tmp_path / "out")
    assert tool in maps.source
    assert maps.warnings == ()
    assert load_regions(maps) is None
    box = np.diag([16.0, 16, 16, 1])
    found = fractions(voxel_mask(box, nib.load(t1w)), load_maps(maps))
    assert found.wm == pytest.approx(1.0, abs=0.01)


ASEG = ("sub-01/mri/aseg.mgz", "sub-01/mri/aparc.DKTatlas+aseg.deep.mgz")


def test_displaced_boxes_and_places_are_facts_of_the_report():
    from mrs_pipeline.interfaces.report import placement_facts

    place = {"mni_mm": (1.2, 30.4, 24.0), "skull_mm": 6.0, "ventricle_mm": None, "deep_grey": 0.0}
    record = {"placement": place, "displaced": {"NAA": {"gm": 0.5, "wm": 0.3, "csf": 0.2}}}
    facts = placement_facts(record)
    assert facts["Voxel centre, MNI152 (mm)"] == "1, 30, 24"
    assert facts["Box displaced to NAA, GM / WM / CSF (%)"] == "50.0 / 30.0 / 20.0"
    assert "Voxel to ventricles (mm)" not in facts
    assert placement_facts({"placement": None, "displaced": {}}) == {}


@pytest.mark.parametrize("aseg", ASEG)
def test_freesurfer_labels_and_the_csf_around_them(tmp_path, aseg):
    maps = tissue_images()
    labels = 2 * maps["wm"] + 3 * maps["gm"]
    labels[18:22, 18:22, 18:22] = 4  # a ventricle
    save(labels, tmp_path / "fs" / aseg)
    t1w = tmp_path / "t1w.nii.gz"
    save(np.zeros((40, 40, 40), dtype=np.float32), t1w)
    found = maps_from_derivatives(tmp_path / "fs", "sub-01", "bl", t1w, tmp_path / "out")
    loaded = load_maps(found)
    assert loaded["csf"][20, 20, 20] == 1
    assert loaded["gm"].sum() == pytest.approx(maps["gm"].sum())
    assert any("belong to the participant" in warning for warning in found.warnings)
    assert any("no outer CSF" in warning for warning in found.warnings)


def test_maps_of_the_visit_come_before_those_of_the_participant(tmp_path):
    for folder in ("sub-01/anat/sub-01", "sub-01/ses-bl/anat/sub-01_ses-bl"):
        for name in ("GM", "WM", "CSF"):
            save(np.ones((4, 4, 4), dtype=np.float32), tmp_path / f"{folder}_label-{name}_probseg.nii.gz")
            save(np.ones((4, 4, 4), dtype=np.float32), tmp_path / f"{folder}_space-MNI152_label-{name}_probseg.nii.gz")
    found = find_derivatives(tmp_path, "sub-01", "bl")
    assert found.of_session
    assert {path.name for path in found.files.values()} == {
        f"sub-01_ses-bl_label-{name}_probseg.nii.gz" for name in ("GM", "WM", "CSF")
    }
    assert not find_derivatives(tmp_path, "sub-01", "w12").of_session


@pytest.mark.parametrize("folder", ["spm/c{}{}_T1w.nii", "cat12/mri/p{}{}_T1w.nii.gz", "fast/{1}_T1w_pve_{0}.nii.gz"])
@pytest.mark.parametrize(
    ("scan", "session", "other"), [("sub-1", None, "sub-10"), ("sub-1_ses-2", "2", "sub-1_ses-20")]
)
def test_maps_of_a_label_that_starts_alike_are_not_taken(tmp_path, folder, scan, session, other):
    for name in (scan, other):
        for label in "0123":
            save(np.ones((4, 4, 4), dtype=np.float32), tmp_path / folder.format(label, name))
    found = find_derivatives(tmp_path, "sub-1", session)
    assert all(f"{scan}_T1w" in path.name for path in found.files.values())
    for path in found.files.values():
        path.unlink()
    with pytest.raises(InputError, match="no tissue maps of sub-1"):
        find_derivatives(tmp_path, "sub-1", session)


def test_maps_of_another_visit_are_not_those_of_the_participant(tmp_path):
    for label in "123":
        save(np.ones((4, 4, 4), dtype=np.float32), tmp_path / f"c{label}sub-01_ses-w12_T1w.nii")
    assert find_derivatives(tmp_path, "sub-01", "w12").of_session
    with pytest.raises(InputError, match="no tissue maps of sub-01 bl"):
        find_derivatives(tmp_path, "sub-01", "bl")


def test_a_displaced_box_that_leaves_the_brain_is_a_warning(tmp_path):
    for name, data in tissue_images().items():
        save(data, tmp_path / "derivatives" / f"sub-01/anat/sub-01_label-{name.upper()}_probseg.nii.gz")
    t1w = tmp_path / "sub-01_T1w.nii.gz"
    save(np.zeros((40, 40, 40), dtype=np.float32), t1w)
    maps = maps_from_derivatives(tmp_path / "derivatives", "sub-01", None, t1w, tmp_path / "out")
    image, box = nib.load(t1w), np.diag([16.0, 16, 16, 1])
    near, far = (
        describe_voxel(box, voxel_mask(box, image), image, maps, TissueSection(chemical_shift_mm=(mm, 0, 0)), None)
        for mm in (1.0, 60.0)
    )
    assert near["displaced"]["NAA"]["wm"] == pytest.approx(1.0, abs=0.01)
    assert far["displaced"] == {}
    assert far["warnings"] == [
        "no fractions of the boxes displaced by chemical shift: the spectroscopy voxel lies outside the T1w image"
    ]


def test_a_box_that_leaves_the_image_is_less_certain(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, data in tissue_images().items():
        save(data, tmp_path / "derivatives" / f"sub-01/anat/sub-01_label-{name.upper()}_probseg.nii.gz")
    t1w = tmp_path / "sub-01_T1w.nii.gz"
    save(np.zeros((40, 40, 22), dtype=np.float32), t1w)  # ends at 6 mm; of a box from -8 to 8 mm 2 / 16 lie beyond
    maps = maps_from_derivatives(tmp_path / "derivatives", "sub-01", None, t1w, tmp_path / "out")
    spectrum = Spectrum(np.exp(-0.01 * np.arange(512)).astype(complex), 5e-4, 127.75)
    write(NiftiMrs(spectrum, affine=np.diag([16.0, 16, 16, 1])), tmp_path / "sub-01_svs.nii.gz")
    found = VoxelTissue(
        svs=str(tmp_path / "sub-01_svs.nii.gz"),
        t1w=str(t1w),
        maps={"gm": maps.gm, "wm": maps.wm, "csf": maps.csf, "record": str(tmp_path / "out" / "segment.json")},
        identity=json.dumps({"participant_id": "sub-01", "session": None, "voi": None}),
        settings=TissueSection(source="derivatives").model_dump_json(),
    ).run()
    tissue = json.loads(Path(found.outputs.tissue).read_text(encoding="utf-8"))
    assert tissue["fractions"]["wm"] == pytest.approx(1.0, abs=0.01)
    assert tissue["fractions"]["inside"] == pytest.approx(0.875, abs=0.002)
    assert tissue["fractions"]["sd"] == pytest.approx([0.0539, 0.0539, 0.0469], abs=3e-4)  # 0.125 / sqrt(12) = 0.0361
    assert "12 % of the voxel lies outside the T1w image" in tissue["warnings"]


def test_nothing_found_is_said(tmp_path):
    with pytest.raises(InputError, match=r"no tissue maps of sub-01 bl \(looked for fMRIPrep"):
        find_derivatives(tmp_path, "sub-01", "bl")
    with pytest.raises(InputError, match="does not exist"):
        find_derivatives(tmp_path / "none", "sub-01", None)


def test_maps_of_another_place_are_refused(tmp_path):
    for name in ("GM", "WM", "CSF"):
        save(
            np.ones((4, 4, 4), dtype=np.float32),
            tmp_path / f"sub-01/anat/sub-01_label-{name}_probseg.nii.gz",
            np.eye(4),
        )
    t1w = tmp_path / "t1w.nii.gz"
    save(np.zeros((40, 40, 40), dtype=np.float32), t1w)
    with pytest.raises(InputError, match="cover only"):
        maps_from_derivatives(tmp_path, "sub-01", None, t1w, tmp_path / "out")


def shells(radius):
    fluid = (radius >= 19) & (radius < 22) | (radius < 6)
    return [fluid, (radius >= 13) & (radius < 19), (radius >= 6) & (radius < 13)]


def test_mixture_recovers_shares_of_a_displaced_blurred_phantom():
    # the prior is the mean over displaced phantoms, the truth is one of them: what a template is to a head
    rng = np.random.default_rng(4)
    shape = (48, 48, 48)
    radius = np.sqrt(sum((axis - 23.5) ** 2 for axis in np.indices(shape)))
    move = lambda: radius + ndimage.zoom(2.0 * rng.normal(size=(4, 4, 4)), 12, order=1)  # noqa: E731  used twice
    priors = tuple(
        np.mean(maps, axis=0, dtype=np.float32) for maps in zip(*(shells(move()) for _ in range(60)), strict=True)
    )
    own = move()
    truth = [ndimage.gaussian_filter(tissue.astype(np.float32), 0.8) for tissue in shells(own)]
    mask = own < 21
    total = np.maximum(sum(truth), 1e-3)
    truth = [np.where(mask, tissue / total, 0) for tissue in truth]
    clean = 0.25 * truth[0] + 0.65 * truth[1] + 1.0 * truth[2]
    image = (clean + 0.03 * rng.normal(size=shape)).astype(np.float32)
    found = classify(image, mask, priors, np.zeros(shape, dtype=np.float32))
    shares = [float(tissue[mask].mean()) for tissue in (found.csf, found.gm, found.wm)]
    assert shares == pytest.approx([float(tissue[mask].mean()) for tissue in truth], abs=0.03)
    assert (found.csf + found.gm + found.wm)[mask] == pytest.approx(1.0, abs=1e-4)
    assert found.means == pytest.approx([0.25, 0.65, 1.0], abs=0.03)
    assert found.noise == pytest.approx(0.03, abs=0.006)


def test_the_urn_keeps_the_priors_mean_at_every_concentration():
    from mrs_pipeline.anatomy.mixture import CONCENTRATIONS
    from mrs_pipeline.anatomy.urn import CELLS, _compositions, _log_urn

    prior = np.array([[0.2, 0.5, 0.3], [0.05, 0.05, 0.9]])
    for concentration in CONCENTRATIONS:
        weight = np.exp(_log_urn(prior, concentration))
        assert weight.sum(axis=1) == pytest.approx([1.0, 1.0])
        shares = _compositions() / CELLS
        assert weight @ shares == pytest.approx(prior)
        # variance of the Dirichlet-multinomial, q (1 - q) (n + k) / (n (1 + k))
        expected = prior * (1 - prior) * (CELLS + concentration) / (CELLS * (1 + concentration))
        assert weight @ shares**2 - prior**2 == pytest.approx(expected)


def test_a_smooth_field_is_found_from_scattered_points_and_noise_is_not_followed():
    from mrs_pipeline.anatomy.shading import SmoothField

    rng = np.random.default_rng(2)
    shape = (60, 70, 50)
    x, y, z = (axis / 20 for axis in np.indices(shape) * 2.0)
    truth = (0.1 * np.sin(x / 3) + 0.05 * np.cos(y / 4) - 0.02 * z).astype(np.float32)
    mask = ball((30, 35, 25), 23, shape)
    known = (rng.random(shape) < 0.1)[mask].astype(np.float32)
    measured = truth[mask] + 0.05 * rng.normal(size=int(mask.sum())).astype(np.float32)
    found = SmoothField(mask, 2.0).fit(known, measured)
    assert np.abs(found - truth[mask]).max() < 0.03
    assert np.sqrt(np.mean((found - truth[mask]) ** 2)) < 0.006


def test_a_field_is_found_although_a_third_of_the_white_voxels_are_darker():
    from mrs_pipeline.anatomy.shading import SmoothField, robust_field

    rng = np.random.default_rng(5)
    shape = (60, 70, 50)
    x, y, _ = (axis / 20 for axis in np.indices(shape) * 2.0)
    mask = ball((30, 35, 25), 23, shape)
    truth = (0.1 * np.sin(x / 3) + 0.05 * np.cos(y / 4)).astype(np.float32)[mask]
    white = rng.random(truth.size) < 0.5
    level = np.where(white, 0.0, np.log(0.68)).astype(np.float32)
    measured = truth + level + 0.03 * rng.normal(size=truth.size).astype(np.float32)
    rim = white & (rng.random(truth.size) < np.where(x[mask] > np.median(x[mask]), 0.6, 0.1))  # as a shifted template
    measured[rim] -= rng.uniform(0.05, 0.38, int(rim.sum())).astype(np.float32)
    field = SmoothField(mask, 2.0)
    error = robust_field(field, measured, (white, ~white)) - truth
    plain = field.fit(np.ones_like(measured), measured - level) - truth
    assert np.std(error) < 0.012
    assert np.std(error) < 0.5 * np.std(plain)


def test_bisquare_weights_by_hand():
    from mrs_pipeline.anatomy.shading import CUTOFF, _bisquare

    spread = 1.4826 * 0.1  # of these seven the median is 0 and the median absolute deviation 0.1
    found = _bisquare(np.array([-0.5 * CUTOFF * spread, -0.1, -0.05, 0.0, 0.05, 0.1, 1.0], dtype=np.float32))
    assert found * spread**2 == pytest.approx(
        [(1 - 0.25) ** 2, *((1 - (r / (CUTOFF * spread)) ** 2) ** 2 for r in (0.1, 0.05, 0, 0.05, 0.1)), 0.0], rel=1e-5
    )


def test_a_voxel_at_a_border_is_not_even():
    from mrs_pipeline.anatomy.mixture import _local_spread

    volume = np.where(np.indices((12, 9, 9))[0] < 6, 0.7, 1.0).astype(np.float32)
    mask = np.ones(volume.shape, dtype=bool)
    found = _local_spread(volume.ravel(), mask).reshape(volume.shape)[:, 4, 4]
    # a plane of nine among 27 differs by 0.3: variance 2/9 of its square
    expected = np.where(np.isin(np.arange(12), (5, 6)), 0.3 * np.sqrt(2) / 3, 0.0)
    assert found == pytest.approx(expected, abs=1e-3)


def test_a_core_keeps_its_even_voxels_unless_they_are_few():
    from mrs_pipeline.anatomy.mixture import FEWEST, _kept

    core = np.arange(5000) < 4000
    flat = np.arange(5000) % 2 == 0
    assert _kept(core, flat).sum() == 2000
    assert _kept(core, np.arange(5000) < 399) is core  # less than a tenth
    assert _kept(np.arange(5000) < FEWEST, flat).sum() == FEWEST


def test_segmentation_record_is_json(tmp_path):
    for name, data in tissue_images().items():
        save(data, tmp_path / f"d/sub-01/anat/sub-01_label-{name.upper()}_probseg.nii.gz")
    t1w = tmp_path / "t1w.nii.gz"
    save(np.zeros((40, 40, 40), dtype=np.float32), t1w)
    maps_from_derivatives(tmp_path / "d", "sub-01", None, t1w, tmp_path / "out")
    record = json.loads((tmp_path / "out" / "segment.json").read_text())
    assert record["WholeHead"] is None
    first = (tmp_path / "out" / "label-GM_probseg.nii.gz").read_bytes()
    maps_from_derivatives(tmp_path / "d", "sub-01", None, t1w, tmp_path / "again")
    assert (tmp_path / "again" / "label-GM_probseg.nii.gz").read_bytes() == first
