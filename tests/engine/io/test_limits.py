"""What files ask for, and what they get: limits, bombs, damaged bytes."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image

from fastsam_plugins.images.contrast import ImageError
from fastsam_plugins.io import open_raster, read_image
from fastsam_plugins.io.read import open_image
from fastsam_plugins.options import LimitOptions
from tests.engine.io.crafted import COLOR, DEEP, MOST, png, refused, tiff

LARGE = {
    "gray.png": png(40_000, 40_000),
    "rgb.png": png(25_000, 25_000, 8, 2),
    "one row.png": png(600_000_000, 1),
    "empty.tif": tiff(40_000, 40_000),
    "strips.tif": tiff(40_000, 40_000, rows=1),
    "beyond.tif": tiff(2**32 - 1, 2**32 - 1),
    "a.gif": b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0x80, 0, 0) + bytes(6) + b","
    + struct.pack("<HHHHB", 0, 0, 65535, 65535, 0) + b"\x02\x02\x44\x01\0;",
    "a.ppm": b"P6 1000000 1000000 255\n",
    "a.bmp": b"BM" + struct.pack("<IHHI", 54, 0, 0, 54)
    + struct.pack("<IiiHHIIiiII", 40, 30000, 30000, 1, 24, 0, 0, 0, 0, 0, 0),
}  # fmt: skip


@pytest.mark.parametrize("name", LARGE)
def test_what_is_too_large_is_refused_by_its_header(name, tmp_path):
    (tmp_path / name).write_bytes(LARGE[name])
    assert "max_pixels is 500000000" in refused(tmp_path / name)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.webp"])
def test_the_limit_of_pixels_is_the_callers(name, tmp_path):
    Image.fromarray(COLOR).save(tmp_path / name)
    assert "has 80 x 64 pixels" in refused(tmp_path / name, LimitOptions(max_pixels=5119))
    assert read_image(tmp_path / name, limits=LimitOptions(max_pixels=5120)).shape == (64, 80, 3)


def test_pillows_own_limit_is_ours_and_stays_what_it_was(tmp_path, recwarn):
    Image.new("1", (20_000, 20_000)).save(tmp_path / "a.png")
    before = Image.MAX_IMAGE_PIXELS
    with open_image(tmp_path / "a.png") as image:
        assert image.size == (20_000, 20_000)
    assert before == Image.MAX_IMAGE_PIXELS
    assert not [w for w in recwarn if issubclass(w.category, Image.DecompressionBombWarning)]


def test_pieces_that_take_too_much_are_refused(tmp_path):
    tile = ((322, 4, 1, 65536), (323, 4, 1, 65536), (324, 4, 1, 200), (325, 4, 1, 100))
    (tmp_path / "a.tif").write_bytes(tiff(64, 64, zlib.compress(bytes(9)), 8, tags=tile))
    assert "max_memory is 4000 MB" in refused(tmp_path / "a.tif")
    tifffile.imwrite(tmp_path / "b.tif", np.zeros((800, 900), np.uint16), compression="zlib",
                     rowsperstrip=800)  # fmt: skip
    small = LimitOptions(max_memory=2)
    assert "pieces of 900 x 800 pixels, which takes 3 MB" in refused(tmp_path / "b.tif", small)
    Image.new("RGB", (900, 800)).save(tmp_path / "c.png")
    assert "takes 6 MB of memory, and max_memory is 2" in refused(tmp_path / "c.png", small)


def test_blocks_of_a_raster_count_for_windows_too(geotiff):
    path = geotiff("a.tif", np.zeros((3, 900, 800), np.uint16), blockysize=900,
                   interleave="pixel", compress="deflate")  # fmt: skip
    small = LimitOptions(max_memory=5)
    for read in (read_image, open_raster):
        assert "blocks of (900, 800), of which one takes 9 MB" in refused(path, small, read)
    path = geotiff("b.tif", np.zeros((3, 900, 800), np.uint16), blockysize=16, compress="deflate")
    assert read_image(path, limits=small).shape == (900, 800, 3)
    few = LimitOptions(max_pixels=1000)
    assert "max_pixels" in refused(path, few)
    assert open_raster(path, limits=few)[0:9, 0:9].shape == (9, 9, 3)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.bmp", "b.tif"])
def test_reading_ends_when_the_time_is_over(name, tmp_path):
    if name == "b.tif":
        tifffile.imwrite(tmp_path / name, DEEP, compression="zlib", rowsperstrip=8)
    else:
        Image.fromarray(COLOR).save(tmp_path / name)
    assert "max_seconds, 0" in refused(tmp_path / name, LimitOptions(max_seconds=0))


def test_a_program_is_no_image(tmp_path):
    script = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n{} loop\n%%EOF"
    for name in ("a.eps", "a.png"):
        (tmp_path / name).write_bytes(script)
        assert "not an image this can read" in refused(tmp_path / name)


# --- damaged bytes ------------------------------------------------------------------------------


def seeds(geotiff):
    """Small files of many kinds by their endings, each with what damages like."""
    exif = Image.Exif()
    exif[0x0112], exif[0x010E], exif[0x8825] = 6, "x" * 200, {1: "N", 2: (1.0, 2.0, 3.0)}
    found = []

    def pillow(kind, ending, **how):
        stream = io.BytesIO()
        Image.fromarray(COLOR).save(stream, kind, **how)
        found.append((ending, stream.getvalue()))

    pillow("JPEG", "jpg", exif=exif, icc_profile=bytes(300))
    pillow("JPEG", "jpg", progressive=True)
    pillow("PNG", "png", exif=exif, icc_profile=b"ICC" * 100)
    pillow("WebP", "webp", exif=exif)
    pillow("GIF", "gif")
    pillow("BMP", "bmp")
    pillow("TIFF", "tif", compression="tiff_lzw")
    pillow("TIFF", "tif", compression="jpeg")

    def tifffiles(array, **how):
        stream = io.BytesIO()
        tifffile.imwrite(stream, array, **how)
        found.append(("tif", stream.getvalue()))

    tifffiles(COLOR, photometric="rgb")
    tifffiles(COLOR, photometric="rgb", compression="zlib", rowsperstrip=16)
    tifffiles(DEEP, tile=(16, 16), compression="zlib")
    tifffiles(DEEP.astype(np.float32), bigtiff=True, rowsperstrip=16)
    for compress in ("none", "deflate"):
        path = geotiff("seed.tif", np.moveaxis(COLOR, 2, 0), compress=compress, nodata=0)
        found.append(("tif", path.read_bytes()))
    return found


def damaged(content, kind, rng):
    """The bytes with something wrong: cut, flipped, a header's number at its extreme, spliced."""
    data = bytearray(content)
    if kind == 0:
        return bytes(data[: rng.integers(1, len(data))])
    if kind == 1:
        for place in rng.integers(0, len(data), rng.integers(1, 20)):
            data[place] ^= 1 << rng.integers(8)
    elif kind == 2:  # where most headers are
        for place in rng.integers(0, min(len(data), 400), rng.integers(1, 8)):
            data[place] = rng.integers(256)
    elif kind == 3:  # where directories of TIFF are
        for place in rng.integers(max(0, len(data) - 400), len(data), rng.integers(1, 8)):
            data[place] = rng.integers(256)
    elif kind == 4:
        place = rng.integers(0, len(data) - 4)
        extremes = [0, 1, 2**32 - 1, 2**31 - 1, 2**31, 65535, 65536]
        data[place : place + 4] = struct.pack("<I", extremes[rng.integers(len(extremes))])
    else:
        low, high = sorted(rng.integers(0, len(data), 2))
        data = data[:low] + data[high:] + data[low:high][:50]
    return bytes(data)


@pytest.mark.filterwarnings("ignore")
def test_damaged_files_are_read_or_refused_in_one_line(geotiff, tmp_path, capfd):
    """Nothing else comes out of them, and no more memory is taken than an image of them needs."""
    rng = np.random.default_rng(0)
    limits = LimitOptions(max_pixels=1_000_000, max_memory=50)
    kinds, outcomes = seeds(geotiff), {"read": 0, "refused": 0}
    for round_ in range(420):
        ending, content = kinds[round_ % len(kinds)]
        path = tmp_path / f"damaged.{ending}"
        path.write_bytes(damaged(content, round_ // len(kinds) % 6, rng))
        tracemalloc.start()
        try:
            for read in (read_image, open_raster) if ending == "tif" else (read_image,):
                said = ""
                try:
                    assert read(path, limits=limits)[0:9, 0:9].dtype == np.uint8
                except ImageError as error:
                    said = str(error)
                outcomes["refused" if said else "read"] += 1
                assert "\n" not in said
                assert len(said) < 600
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < MOST, (round_, peak)
    assert min(outcomes.values()) > 100  # of either there are many
