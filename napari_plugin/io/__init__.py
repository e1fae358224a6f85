"""Files into napari and out of it; samples; sessions as training data."""
