"""Room: stats."""
