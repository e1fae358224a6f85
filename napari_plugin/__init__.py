"""FastSAM in napari."""
