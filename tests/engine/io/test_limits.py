"""What files ask for, and what they get: limits, bombs, damaged bytes."""

from __future__ import annotations

import io
import lzma
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image

from fastsam_plugins.images.contrast import ImageError
from fastsam_plugins.io import open_raster, read_image, read_stored
from fastsam_plugins.io.read import open_image
from fastsam_plugins.options import LimitOptions, ReadOptions

COLOR = np.kron(
    np.random.default_rng(0).integers(0, 256, (8, 10, 3), dtype=np.uint8),
    np.ones((8, 8, 1), np.uint8),
)
DEEP = COLOR[..., 0].astype(np.uint16) * 200
MOST = 60e6  # bytes that any refused or damaged small file may take


def refused(path, limits=None, read=read_image, **options):
    """The one line that is said of a file, for which little memory was taken."""
    tracemalloc.start()
    try:
        with pytest.raises(ImageError) as caught:
            read(path, ReadOptions(**options), limits)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    said = str(caught.value)
    assert "\n" not in said
    assert str(path) in said
    assert peak < MOST
    return said


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(
        ">I", zlib.crc32(kind + content)
    )  # fmt: skip


def png(width, height, bits=1, color=0, content=b""):
    head = struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", content) + chunk(b"IEND", b"")
    )


def tiff(width, height, data=b"", compression=1, rows=None, bits=8, order=1, tags=()):
    """A gray TIFF of one strip (or one of that many rows), whatever its data are."""
    strips = -(-height // (rows or height))
    fields = [
        (256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, bits), (259, 3, 1, compression),
        (262, 3, 1, 1), (266, 3, 1, order), (273, 4, strips, 200), (277, 3, 1, 1),
        (278, 4, 1, rows or height), (279, 4, strips, len(data)), *tags,
    ]  # fmt: skip
    head = struct.pack("<2sHI", b"II", 42, 8) + struct.pack("<H", len(fields))
    head += b"".join(struct.pack("<HHII", *f) for f in sorted(fields)) + struct.pack("<I", 0)
    return head.ljust(200, b"\0") + data


def zeros(count, pack):
    """So many zero bytes, packed, without having them all."""
    packed = pack.compress(bytes(1 << 20))
    return (
        packed + b"".join(pack.compress(bytes(1 << 20)) for _ in range(count >> 20)) + pack.flush()
    )


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


# --- labels -------------------------------------------------------------------------------------


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
