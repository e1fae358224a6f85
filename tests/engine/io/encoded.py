"""One image in many encodings."""

from __future__ import annotations

import numpy as np

from fastsam_plugins.images.contrast import to_rgb
from fastsam_plugins.io import image_size, open_raster, read_image, read_stored

RNG = np.random.default_rng(0)


SIZE = 70, 52


def values(kind, bands):
    """An image (H, W, bands) whose neighbours differ."""
    array = RNG.integers(0, 4096, (*SIZE, bands))
    return {
        "uint8": (array >> 4).astype(np.uint8),
        "12 bit": array.astype(np.uint16),
        "uint16": (array * 15).astype(np.uint16),
        "int16": (array - 2000).astype(np.int16),
        "float32": (array / 7).astype(np.float32),
        "float64": array / 7,
    }[kind]


def expected(array):
    return to_rgb(array[..., 0] if array.shape[2] == 1 else array)


def same(path, array):
    """Read at once, in windows, as stored: the array."""
    shown = expected(array)
    assert np.array_equal(read_image(path), shown)
    view = open_raster(path)
    assert np.array_equal(view[:, :], shown)
    assert np.array_equal(view[9:61, 13:40], shown[9:61, 13:40])
    stored = read_stored(path).values
    assert np.array_equal(stored.reshape(array.shape), array)
    assert image_size(path) == SIZE
