"""Room: synthetic."""
