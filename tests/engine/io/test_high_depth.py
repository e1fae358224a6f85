"""JPEG 2000 and PNM of any number of bits are shown as the TIFF of the same values is."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from fastsam_plugins.images.contrast import ImageError
from fastsam_plugins.io import open_raster, read_image, read_stored
from fastsam_plugins.options import ReadOptions

rasterio = pytest.importorskip("rasterio", reason="rasterio is not installed")

RNG = np.random.default_rng(0)
SIZE = 23, 31


@pytest.mark.parametrize("bits", [*range(1, 17)])
@pytest.mark.parametrize("bands", [1, 3])
@pytest.mark.parametrize("contrast", ["auto", "minmax", "fixed"])
def test_jpeg_2000_and_pnm_are_shown_as_tiff_is(contrast, bands, bits, tmp_path):
    import imagecodecs

    highest = (1 << bits) - 1
    options = ReadOptions(contrast=contrast, low=0, high=highest * 0.7)
    kind = np.uint8 if bits <= 8 else np.uint16
    array = RNG.integers(0, highest + 1, (*SIZE, bands)[: 2 if bands == 1 else 3]).astype(kind)
    color = "rgb" if bands == 3 else "minisblack"
    tifffile.imwrite(tmp_path / "a.tif", array, photometric=color, metadata=None)
    if bits < 8:
        with rasterio.open(
            tmp_path / "a.tif", "w", driver="GTiff", height=SIZE[0], width=SIZE[1], count=bands,
            dtype="uint8", nbits=bits, photometric=color.upper(),
        ) as file:  # fmt: skip
            file.write(np.moveaxis(array.reshape(*SIZE, bands), 2, 0))
    jp2 = imagecodecs.jpeg2k_encode(array, level=0, reversible=True, bitspersample=bits)
    (tmp_path / "a.jp2").write_bytes(jp2)
    names = ["a.jp2"]
    if bits > 8:
        head = f"P{5 if bands == 1 else 6}\n# made\n{SIZE[1]} {SIZE[0]}\n{highest}\n".encode()
        (tmp_path / "a.pnm").write_bytes(head + array.astype(">u2").tobytes())
        plain = head.replace(b"P5", b"P2").replace(b"P6", b"P3")
        text = " ".join(map(str, array.ravel().tolist()))
        (tmp_path / "plain.pnm").write_bytes(plain + text.encode())
        names += ["a.pnm", "plain.pnm"]
    expected = read_image(tmp_path / "a.tif", options)
    for name in names:
        assert np.array_equal(read_image(tmp_path / name, options), expected)
        assert np.array_equal(open_raster(tmp_path / name, options)[5:9, 3:8], expected[5:9, 3:8])
        assert np.array_equal(read_stored(tmp_path / name).values, array)


@pytest.mark.parametrize("kind", [np.int8, np.int16])
def test_numbers_with_a_sign_in_jpeg_2000(kind, tmp_path):
    import imagecodecs

    array = RNG.integers(-100, 100, SIZE).astype(kind)
    (tmp_path / "a.jp2").write_bytes(imagecodecs.jpeg2k_encode(array, level=0, reversible=True))
    tifffile.imwrite(tmp_path / "a.tif", array)
    for options in (ReadOptions(), ReadOptions(contrast="fixed", low=-50, high=50)):
        shown = read_image(tmp_path / "a.tif", options)
        assert np.array_equal(read_image(tmp_path / "a.jp2", options), shown)
    assert np.array_equal(read_stored(tmp_path / "a.jp2").values, array)


def test_pnm_of_16_bits_that_is_cut_off(tmp_path):
    for head in (b"P5\n8 8\n4095\n", b"P2\n8 8\n4095\n"):
        (tmp_path / "a.pgm").write_bytes(head + b"12 " * 9)
        with pytest.raises(ImageError, match="truncated"):
            read_image(tmp_path / "a.pgm")
