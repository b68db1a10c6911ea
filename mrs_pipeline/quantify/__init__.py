"""Room: quantify."""
