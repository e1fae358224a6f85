"""Damaged images are refused, by whichever reader, and not shown with other pixels."""

from __future__ import annotations

import lzma
import zlib

import cv2
import numpy as np
import pytest
import tifffile

from fastsam_plugins.images.contrast import ImageError
from fastsam_plugins.io import open_raster, read_image, read_stored

COLOR = np.random.default_rng(0).integers(0, 256, (128, 160, 3), dtype=np.uint8)
READERS = [
    read_image,
    lambda path: open_raster(path)[100:128, 100:160],
    lambda path: open_raster(path)[:, :],
    read_stored,
]


def refused(path):
    for read in READERS:
        with pytest.raises(ImageError, match=r"a\.tif is damaged") as told:
            read(path)
        assert "\n" not in str(told.value)


@pytest.mark.parametrize("tile", [{}, {"tile": (64, 64)}], ids=str)
@pytest.mark.parametrize(
    "compression", ["jpeg", "zlib", "lzw", "zstd", "webp", "jpeg2000", "lzma", "packbits", None]
)
def test_pieces_that_are_cut_off(compression, tile, tmp_path):
    path = tmp_path / "a.tif"
    if compression is None and not tile:
        tile = {"rowsperstrip": 64, "predictor": 1}
    tifffile.imwrite(path, COLOR, photometric="rgb", compression=compression, metadata=None, **tile)
    for read in READERS:
        read(path)
    whole = path.read_bytes()
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages[0]
        place, count = page.dataoffsets[-1], page.databytecounts[-1]
        if len(page.databytecounts) > 1 and not page.is_contiguous:
            counts = [*page.databytecounts[:-1], count // 2]
        else:
            counts = None
    for left in (count // 2, count - 9):
        path.write_bytes(whole[: place + left])
        if compression is None:
            for read in READERS:
                with pytest.raises(ImageError, match=r"a\.tif is (damaged|truncated)"):
                    read(path)
        else:
            refused(path)
    if counts:
        path.write_bytes(whole)
        with tifffile.TiffFile(path, mode="r+") as tiff:
            tags = tiff.pages[0].tags
            tags["TileByteCounts" if tile else "StripByteCounts"].overwrite(counts)
        refused(path)


@pytest.mark.parametrize("damage", ["a byte", "the checksum"])
@pytest.mark.parametrize("compression", ["zlib", "lzma"])
def test_checksums_of_what_was_inflated_are_looked_at(compression, damage, tmp_path):
    path = tmp_path / "a.tif"
    level = 0 if damage == "a byte" else 6  # nothing but a value is another then
    tifffile.imwrite(path, COLOR // 8, photometric="rgb", compression=compression, tile=(64, 64),
                     compressionargs={"level": level}, metadata=None)  # fmt: skip
    assert np.array_equal(read_image(path), COLOR // 8)
    with tifffile.TiffFile(path) as tiff:
        first, count = tiff.pages[0].dataoffsets[-1], tiff.pages[0].databytecounts[-1]
    content = bytearray(path.read_bytes())
    content[first + (count // 2 if damage == "a byte" else count - 1)] ^= 1
    path.write_bytes(content)
    pieces = bytes(content[first : first + count])
    with pytest.raises((zlib.error, lzma.LZMAError)):
        {"zlib": zlib.decompress, "lzma": lzma.decompress}[compression](pieces)
    refused(path)


@pytest.mark.parametrize("compression", ["zlib", "lzma"])
def test_damage_within_what_is_inflated(compression, tmp_path):
    path = tmp_path / "a.tif"
    smooth = cv2.resize(COLOR[:8, :10], (160, 128), interpolation=cv2.INTER_CUBIC)
    tifffile.imwrite(path, smooth, photometric="rgb", compression=compression, metadata=None)
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages[0]
        first, count = page.dataoffsets[0], page.databytecounts[0]
    whole = path.read_bytes()
    for place in range(first + 20, first + count - 20, max(count // 40, 1)):
        path.write_bytes(whole[:place] + bytes(16) + whole[place + 16 :])
        with pytest.raises(ImageError, match=r"a\.tif is damaged"):
            read_image(path)
