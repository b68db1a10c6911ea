"""Room: interfaces."""
