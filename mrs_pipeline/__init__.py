"""Single-voxel 1H MR spectroscopy of clinical trials: from scanner files to an arm comparison."""

__version__ = "0.1.0"
