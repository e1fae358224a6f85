"""Strips and tiles are unpacked as far as their image goes."""

from __future__ import annotations

import lzma
import tracemalloc
import zlib

import numpy as np
import pytest
import tifffile

from fastsam_plugins.images.contrast import ImageError
from fastsam_plugins.io import read_image
from fastsam_plugins.options import LimitOptions
from tests.engine.io.crafted import MOST, refused, tiff, zeros


@pytest.mark.parametrize("compression", [8, 32946, 34925])
@pytest.mark.parametrize("order", [1, 2])
def test_a_strip_is_inflated_as_far_as_its_image_goes(compression, order, tmp_path):
    """Of 64 x 64 pixels that inflate to 200 MB, the first 4096 bytes are the image."""
    data = zeros(200_000_000, lzma.LZMACompressor() if compression == 34925 else zlib.compressobj())
    if order == 2:
        data = data.translate(bytes(int(f"{b:08b}"[::-1], 2) for b in range(256)))
    (tmp_path / "a.tif").write_bytes(tiff(64, 64, data, compression, order=order))
    tracemalloc.start()
    try:
        out = read_image(tmp_path / "a.tif")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert out.shape == (64, 64, 3)
    assert not out.any()
    assert peak < MOST


@pytest.mark.parametrize("compression", [1, 8, 34925])
def test_a_truncated_tiff_is_refused(compression, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, 4096, dtype=np.uint8).tobytes()
    data = {1: bytes, 8: zlib.compress, 34925: lzma.compress}[compression](noise)
    whole = tiff(64, 64, data, compression)
    (tmp_path / "a.tif").write_bytes(whole)
    assert read_image(tmp_path / "a.tif").tobytes()[::3] == noise
    (tmp_path / "a.tif").write_bytes(whole[:-500])
    said = refused(tmp_path / "a.tif")
    assert "damaged or truncated" in said or "is truncated" in said
    (tmp_path / "a.tif").write_bytes(whole[:100])  # the list of what is in it is cut as well
    refused(tmp_path / "a.tif")


def test_a_picture_in_a_tile_is_not_larger_than_the_tile(tmp_path):
    import imagecodecs

    for kind in ("jpeg", "webp"):
        tifffile.imwrite(tmp_path / "a.tif", np.zeros((64, 64, 3), np.uint8), photometric="rgb",
                         compression=kind)  # fmt: skip
        big = getattr(imagecodecs, f"{kind}_encode")(np.zeros((6000, 6000, 3), np.uint8))
        with tifffile.TiffFile(tmp_path / "a.tif", mode="r+") as tiff:
            tiff.filehandle.seek(0, 2)
            place = tiff.filehandle.tell()
            tiff.filehandle.write(big)
            tiff.pages[0].tags["StripOffsets"].overwrite([place])
            tiff.pages[0].tags["StripByteCounts"].overwrite([len(big)])
        with pytest.raises(ImageError, match="damaged"):
            read_image(tmp_path / "a.tif", limits=LimitOptions(max_memory=100))
