"""FastSAM in napari: click, box, hover; ``fastsam_plugins`` does the work."""
