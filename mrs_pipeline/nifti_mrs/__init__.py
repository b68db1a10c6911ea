"""Room: nifti_mrs."""
