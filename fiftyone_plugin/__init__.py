"""FastSAM in FiftyOne: conversions and registration; ``fastsam_plugins`` does the work."""
