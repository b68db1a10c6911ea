"""Our tissue maps of a real T1w against a second method.

    python benchmarks/anatomy_second_method.py [T1w] [--resolution 1.5]        (2 minutes)

The second method is Atropos of antspyx (doi:10.1007/s12021-011-9109-y): k-means start, three classes, Markov random
field, no template priors, in our brain mask on the N4-corrected image. Printed: shares of the whole brain, differences
over boxes of 26 mm on a grid through the brain, and the boxes that differ most with their place. Neither is the truth;
they share mask and image. In deep grey matter, cerebellum and brain stem intensities alone do not tell the tissues
apart, so the other boxes are summed up once more without them.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS", "1")

import ants
import nibabel as nib
import numpy as np
from nibabel.affines import voxel_sizes

from mrs_pipeline.anatomy import load_image, load_maps, load_regions, mni_centre, segment
from mrs_pipeline.config import TissueSection

SHARED = Path(__file__).parents[2] / "shared" / "data" / "philips_sub-01" / "anat"
NAMES = ("gm", "wm", "csf")
EDGE_MM = 26.0
MARGIN = 3
DEEP_SHARE = 0.15
LOWEST_MM = -12.0
"""MNI height of a box's centre below which cerebellum or brain stem may be in it."""


@dataclass(frozen=True)
class Box:
    """One box: GM, WM, CSF by both methods in percent, share of deep grey matter, centre in MNI mm."""

    ours: np.ndarray
    other: np.ndarray
    deep: float
    mni: tuple[float, float, float]

    @property
    def cortical(self) -> bool:
        """Whether the box is clear of deep grey matter, cerebellum and brain stem."""
        return self.deep < DEEP_SHARE and self.mni[2] > LOWEST_MM


def atropos(data: np.ndarray, mask: np.ndarray, zooms: np.ndarray) -> dict[str, np.ndarray]:
    """Return the class probabilities of Atropos, darkest class as CSF."""

    def wrap(values: np.ndarray) -> ants.ANTsImage:
        return ants.from_numpy(values.astype(np.float32), spacing=tuple(float(z) for z in zooms))

    brain = wrap(mask)
    flat = ants.n4_bias_field_correction(wrap(data), mask=brain, shrink_factor=4)
    found = ants.atropos(a=flat, x=brain, i="kmeans[3]", m="[0.1,1x1x1]", c="[8,0]")["probabilityimages"]
    maps = [image.numpy() for image in found]
    order = np.argsort([(flat.numpy() * p).sum() / p.sum() for p in maps])
    return {name: maps[order[rank]] for name, rank in (("csf", 0), ("gm", 1), ("wm", 2))}


def second_maps(image: nib.Nifti1Image, mask: np.ndarray) -> dict[str, np.ndarray]:
    """Return the maps of the second method on the grid of the image, from a block around the brain."""
    block = tuple(slice(max(int(a.min()) - MARGIN, 0), int(a.max()) + MARGIN + 1) for a in np.nonzero(mask))
    data = np.asarray(image.dataobj, dtype=np.float32).reshape(mask.shape)
    found = {name: np.zeros(mask.shape) for name in NAMES}
    for name, values in atropos(data[block], mask[block], np.asarray(voxel_sizes(image.affine))).items():
        found[name][block] = values
    return found


def shares(maps: dict[str, np.ndarray], where: tuple[slice, ...] | np.ndarray) -> np.ndarray:
    """Return GM, WM, CSF of a region in percent, shape (3,)."""
    sums = np.array([maps[name][where].sum() for name in NAMES])
    return 100 * sums / sums.sum()


def boxes(
    image: nib.Nifti1Image,
    ours: dict[str, np.ndarray],
    other: dict[str, np.ndarray],
    mni: tuple[np.ndarray, np.ndarray],
) -> list[Box]:
    """Compare both methods in the boxes of a grid that lie in the brain to 95 %."""
    mask = sum(ours[name] for name in NAMES) > 0.5
    steps = np.round(EDGE_MM / np.asarray(voxel_sizes(image.affine))).astype(int)
    first = np.array([a.min() for a in np.nonzero(mask)])
    found = []
    for corner in np.ndindex(*((np.array(mask.shape) - first) // steps)):
        low = first + np.array(corner) * steps
        where = tuple(slice(a, a + s) for a, s in zip(low, steps, strict=True))
        centre = np.eye(4)
        centre[:3, 3] = image.affine[:3, :3] @ (low + (steps - 1) / 2) + image.affine[:3, 3]
        place = mni_centre(centre, *mni) if mask[where].mean() > 0.95 else None
        if place is not None:
            found.append(Box(shares(ours, where), shares(other, where), float(ours["deep"][where].mean()), place))
    return found


def print_summary(title: str, found: list[Box]) -> None:
    """Print mean, mean absolute, 90th percentile and largest difference."""
    table = np.array([box.ours - box.other for box in found])
    print(f"{len(found)} boxes of {EDGE_MM:.0f} mm{title}: ours minus Atropos")
    for label, values in (
        ("mean", table.mean(axis=0)),
        ("mean absolute", np.abs(table).mean(axis=0)),
        ("90th percentile", np.percentile(np.abs(table), 90, axis=0)),
        ("largest", np.abs(table).max(axis=0)),
    ):
        print(f"  {label:22s}" + "".join(f"{value:6.1f}" for value in values))


def main() -> None:
    """Segment, classify again and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("t1w", nargs="?", default=str(next(SHARED.glob("*T1w*.nii.gz"), "")))
    parser.add_argument("--resolution", type=float, default=1.5)
    arguments = parser.parse_args()
    image = load_image(arguments.t1w)
    with tempfile.TemporaryDirectory() as folder:
        maps = segment(arguments.t1w, folder, TissueSection(resolution_mm=arguments.resolution))
        ours, regions = load_maps(maps), load_regions(maps)
    mask = sum(ours[name] for name in NAMES) > 0.5
    other = second_maps(image, mask)
    print(f"{'':24s}    GM    WM   CSF  (percent)")
    for label, values in (("ours", ours), ("Atropos", other)):
        print(f"whole brain, {label:11s}" + "".join(f"{value:6.1f}" for value in shares(values, mask)))
    found = boxes(image, ours, other, regions[1])
    print_summary("", found)
    print_summary(" without deep grey matter, cerebellum and brain stem", [box for box in found if box.cortical])
    print("largest differences          ours GM WM CSF   Atropos GM WM CSF   deep grey")
    for box in sorted(found, key=lambda box: -np.abs(box.ours - box.other).max())[:6]:
        place = ", ".join(f"{value:.0f}" for value in box.mni)
        numbers = "".join(f"{value:5.0f}" for value in (*box.ours, *box.other))
        print(f"  MNI ({place}) mm".ljust(28) + numbers + f"{100 * box.deep:8.0f} %")


if __name__ == "__main__":
    main()
