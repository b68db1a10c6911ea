"""Room: preprocess."""
