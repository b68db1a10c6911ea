"""Process of one image job: ``python -m mrs_pipeline.anatomy.worker {segment,register} ...``.

ITK fixes its number of threads when it is first loaded, and sums over threads differ in their last bits, so a result
that is the same to the byte needs a process of its own.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from mrs_pipeline.anatomy.io import load_image, write_segmentation
from mrs_pipeline.anatomy.segmentation import COARSE_MM, segment_array, working_grid
from mrs_pipeline.anatomy.visits import register_heads
from mrs_pipeline.spectrum import FloatArray


def segment(path: str, out_dir: str, resolution: str) -> None:
    """Segment one T1w."""
    image = load_image(path)
    write_segmentation(segment_array(image, float(resolution)), image, Path(out_dir))


def register(first: str, second: str, out_dir: str) -> None:
    """Register the second T1w to the first and write ``visits.json``."""
    one, two = working_grid(load_image(first), COARSE_MM), working_grid(load_image(second), COARSE_MM)
    millimetres = np.diag([COARSE_MM, COARSE_MM, COARSE_MM, 1.0])
    between = register_heads(one.data, two.data, COARSE_MM)
    world: FloatArray = one.affine @ np.linalg.inv(millimetres) @ between @ millimetres @ np.linalg.inv(two.affine)
    record = {"SecondToFirst": [[round(float(value), 6) for value in row] for row in world]}
    (Path(out_dir) / "visits.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def main(arguments: list[str]) -> int:
    """Run one job."""
    {"segment": segment, "register": register}[arguments[0]](*arguments[1:])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
