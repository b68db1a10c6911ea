"""Tissue fractions of voxels in synthetic heads against their truth.

    python benchmarks/anatomy_accuracy.py [--seeds 1 2] [--stripped 101] [--warp-mm 10] [--shading 0.3] [--noise 0.03]
                                          [--ventricle-mm 3] [--thinning 0.5] [--resolution 1.0] [--edge-mm 26]
                                          [--uniform-grey] [--drawn]

Each head is warped by ``--warp-mm`` at its largest, tilted, scaled, shaded, noisy, with wider ventricles, thinner
cortex and grey matter of regional intensity (benchmarks/anatomy_heads.py), and segmented by the shipped command. With
``--uniform-grey`` the cortex has one intensity. The tissue is the average of many heads, or, with ``--drawn``, drawn
from it: pure voxels as in one head, and the priors are no longer the truth. ``--seeds`` are whole heads,
``--stripped`` skull-stripped ones; each list may be empty. Seeds 1, 2, 101 and 11 to 14 were looked at while the
method was made.
Oblique boxes are put at named places. Printed per box: true and found fractions in percent and their difference; at
the end the mean, the 90th percentile and the largest error, and the cost. Aim: grey matter within 4 percentage points,
CSF within 3.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import nibabel as nib
import numpy as np
from anatomy_heads import Head, make_head
from scipy.spatial.transform import Rotation

from mrs_pipeline.anatomy import fractions, load_maps, read_maps, voxel_mask

PLACES = {
    "anterior cingulate": (0, 30, 24),
    "posterior cingulate": (0, -52, 26),
    "left insula": (-38, 6, 0),
    "right insula": (38, 6, 0),
    "left thalamus": (-11, -18, 8),
    "right thalamus": (11, -18, 8),
    "putamen": (25, 2, 0),
    "occipital cortex": (0, -80, 6),
    "motor cortex": (-36, -22, 54),
    "prefrontal cortex": (36, 34, 26),
    "centrum semiovale": (24, -24, 36),
    "temporal cortex": (54, -22, -8),
    "hippocampus": (28, -22, -14),
    "ventricle": (8, -20, 22),
}


def box_at(head: Head, place: tuple[float, float, float], edge_mm: float, rng: np.random.Generator) -> np.ndarray:
    """Return an oblique box centred where a template point lies in this head."""
    distance = ((head.to_template - np.array(place)) ** 2).sum(axis=-1)
    index = np.array(np.unravel_index(np.argmin(distance), distance.shape))
    affine = np.eye(4)
    turn = Rotation.from_euler("xyz", rng.uniform(-30, 30, 3), degrees=True).as_matrix()
    affine[:3, :3] = turn @ np.diag(edge_mm * np.array([1.0, 0.85, 1.15]))
    affine[:3, 3] = head.image.affine[:3, :3] @ index + head.image.affine[:3, 3]
    return affine


def truth_of(head: Head, mask: np.ndarray) -> np.ndarray:
    """Return the true GM, WM, CSF of a mask, shape (3,)."""
    parts = np.array([(mask * head.truth[name]).sum() for name in ("gm", "wm", "csf")])
    return parts / parts.sum()


MEASURED = """
import resource, sys, time
from mrs_pipeline.anatomy import segment
from mrs_pipeline.config import TissueSection
start = time.time()
segment(sys.argv[1], sys.argv[2], TissueSection(resolution_mm=float(sys.argv[3])))
used = resource.getrusage(resource.RUSAGE_CHILDREN)
cpu, wall, peak = used.ru_utime + used.ru_stime, time.time() - start, used.ru_maxrss / 1e6
print(f"{cpu:.0f} s of one core, {wall:.0f} s wall, peak {peak:.2f} GB")
"""
"""Run from a small process, because a child's peak memory includes its parent's at the fork."""


def segment_in_process(path: Path, folder: str, resolution: float) -> str:
    """Segment and return the cost as a phrase."""
    command = [sys.executable, "-c", MEASURED, str(path), folder, str(resolution)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def run(seed: int, arguments: argparse.Namespace, *, stripped: bool) -> np.ndarray:
    """Segment one head and print its boxes; return the errors in percentage points, shape (boxes, 3)."""
    head = make_head(
        seed,
        warp_mm=arguments.warp_mm,
        ventricle_mm=arguments.ventricle_mm,
        thinning=arguments.thinning,
        bias=arguments.shading,
        noise=arguments.noise,
        stripped=stripped,
        regional=not arguments.uniform_grey,
        drawn=arguments.drawn,
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "T1w.nii.gz"
        nib.save(head.image, path)
        cost = segment_in_process(path, folder, arguments.resolution)
        maps = read_maps(folder)
        loaded = load_maps(maps)
    kind = "stripped" if stripped else "whole head"
    seen = "whole head" if maps.head else "stripped"
    print(f"\nhead {seed} ({kind}, recognised as {seen}): {cost}")
    rng, errors = np.random.default_rng(seed), []
    for name, place in PLACES.items():
        mask = voxel_mask(box_at(head, place, arguments.edge_mm, rng), head.image)
        found, true = fractions(mask, loaded), truth_of(head, mask)
        error = 100 * (np.array([found.gm, found.wm, found.csf]) - true)
        errors.append(error)
        flag = "  deep grey" if found.deep > 0.15 else ""
        triples = zip(true, (found.gm, found.wm, found.csf), error, strict=True)
        numbers = "".join(f"{100 * t:7.1f}{100 * f:6.1f}{e:+6.1f}" for t, f, e in triples)
        print(f"  {name:20s}{numbers}{flag}")
    return np.array(errors)


def main() -> None:
    """Run all heads and print the summary."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--stripped", type=int, nargs="*", default=[101])
    parser.add_argument("--warp-mm", type=float, default=10.0)
    parser.add_argument("--shading", type=float, default=0.3)
    parser.add_argument("--noise", type=float, default=0.03)
    parser.add_argument("--ventricle-mm", type=float, default=3.0)
    parser.add_argument("--thinning", type=float, default=0.5)
    parser.add_argument("--resolution", type=float, default=1.0)
    parser.add_argument("--edge-mm", type=float, default=26.0)
    parser.add_argument("--uniform-grey", action="store_true", help="one intensity for all of the cortex")
    parser.add_argument("--drawn", action="store_true", help="draw tissue from the average head, for pure voxels")
    arguments = parser.parse_args()
    print(
        f"{'box':22s}{'GM true found error':>19s}{'WM true found error':>19s}{'CSF true found error':>20s}   (percent)"
    )
    jobs = [(seed, False) for seed in arguments.seeds] + [(seed, True) for seed in arguments.stripped]
    errors = np.concatenate([run(seed, arguments, stripped=stripped) for seed, stripped in jobs])
    print(f"\n{len(errors)} boxes, error in percentage points:   GM     WM    CSF")
    for label, values in (
        ("mean (bias)", errors.mean(axis=0)),
        ("mean absolute", np.abs(errors).mean(axis=0)),
        ("90th percentile", np.percentile(np.abs(errors), 90, axis=0)),
        ("largest", np.abs(errors).max(axis=0)),
    ):
        print(f"  {label:32s}" + "".join(f"{value:7.1f}" for value in values))
    inside = [float((np.abs(errors[:, i]) <= limit).mean()) for i, limit in ((0, 4.0), (2, 3.0))]
    print(f"  within 4 points of GM: {100 * inside[0]:.0f} %, within 3 points of CSF: {100 * inside[1]:.0f} %")


if __name__ == "__main__":
    main()
