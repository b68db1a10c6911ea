"""Room: qc."""
