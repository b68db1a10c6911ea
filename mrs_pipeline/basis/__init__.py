"""Room: basis."""
