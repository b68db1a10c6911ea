"""Room: bids."""
