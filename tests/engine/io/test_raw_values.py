"""Values of label images as they are stored."""

from __future__ import annotations

import tracemalloc
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image

from fastsam_plugins.images.contrast import ImageError
from fastsam_plugins.io import read_stored
from fastsam_plugins.options import LimitOptions
from tests.engine.io.crafted import DEEP, MOST, tiff, zeros


@pytest.mark.parametrize("compression", [None, "zlib", "tiff_lzw"])
def test_values_of_labels_are_those_that_are_stored(compression, tmp_path):
    path = tmp_path / "a.tif"
    if compression == "tiff_lzw":  # tifffile alone cannot
        Image.fromarray(DEEP).save(path, compression=compression)
    else:
        tifffile.imwrite(path, DEEP, compression=compression)
    values = read_stored(path).values
    assert np.array_equal(values, DEEP)
    assert values.dtype == np.uint16
    with pytest.raises(ImageError, match="max_pixels is 5000"):
        read_stored(path, LimitOptions(max_pixels=5000))


def test_a_bomb_among_labels_is_inflated_as_far_as_its_image_goes(tmp_path):
    (tmp_path / "a.tif").write_bytes(tiff(64, 64, zeros(200_000_000, zlib.compressobj()), 8))
    tracemalloc.start()
    try:
        assert read_stored(tmp_path / "a.tif").values.shape == (64, 64)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < MOST


def test_labels_in_pages_are_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.stack([DEEP, DEEP]))
    with pytest.raises(ImageError, match="2 pages"):
        read_stored(tmp_path / "a.tif")
