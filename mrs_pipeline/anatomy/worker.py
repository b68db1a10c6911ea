"""Process of one segmentation: ``python -m mrs_pipeline.anatomy.worker T1W OUT_DIR RESOLUTION_MM``.

ITK fixes its number of threads when it is first loaded, and sums over threads differ in their last bits, so a
segmentation that is the same to the byte needs a process of its own.
"""

from __future__ import annotations

import sys
from pathlib import Path

from mrs_pipeline.anatomy.io import load_image, write_segmentation
from mrs_pipeline.anatomy.segmentation import segment_array


def main(arguments: list[str]) -> int:
    """Segment one image."""
    path, out_dir, resolution = arguments
    image = load_image(path)
    write_segmentation(segment_array(image, float(resolution)), image, Path(out_dir))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
