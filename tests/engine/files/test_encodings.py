"""An image gives the very same pixels to the network, however it is stored."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from fastsam_plugins.files import geo, image_size, open_raster, read_image, read_stored
from fastsam_plugins.images import to_rgb

rasterio = pytest.importorskip("rasterio", reason="rasterio is not installed")

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


BY_TIFFFILE = [
    dict(),
    dict(byteorder=">"),
    dict(bigtiff=True, byteorder=">"),
    dict(rowsperstrip=7),
    dict(tile=(16, 32)),
    dict(tile=(32, 16), compression="zlib", byteorder=">"),
    dict(compression="zlib", rowsperstrip=16),
    dict(compression="zlib", predictor=True, rowsperstrip=16),
    dict(compression="zlib", predictor=True, byteorder=">", tile=(16, 16)),
    dict(compression="lzw", rowsperstrip=9),
    dict(compression="lzw", predictor=True, tile=(32, 32)),
    dict(compression="zstd", rowsperstrip=16),
    dict(compression="zstd", predictor=True, tile=(16, 16), byteorder=">"),
    dict(compression="packbits", rowsperstrip=8),
    dict(compression="lzma", tile=(16, 16)),
    dict(compression="lerc", rowsperstrip=16),
]


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("bands", [1, 3, 5])
@pytest.mark.parametrize("kind", ["uint8", "12 bit", "uint16", "float32"])
@pytest.mark.parametrize("how", BY_TIFFFILE, ids=str)
def test_whatever_tifffile_writes(how, kind, bands, planar, tmp_path):
    array = values(kind, bands)
    if kind == "float32" and how.get("predictor"):
        how = how | {"predictor": 3}
    if bands == 1:
        if planar == "separate":
            pytest.skip("one band has no order")
        stored, more = array[..., 0], {"photometric": "minisblack"}
    else:
        stored = np.moveaxis(array, 2, 0) if planar == "separate" else array
        more = {"photometric": "rgb" if bands == 3 else "minisblack", "planarconfig": planar}
    tifffile.imwrite(tmp_path / "a.tif", stored, metadata=None, **how, **more)
    same(tmp_path / "a.tif", array)


BY_GDAL = [
    dict(),
    dict(endianness="BIG"),
    dict(tiled=True, blockxsize=16, blockysize=32),
    dict(compress="deflate", predictor=2, tiled=True, blockxsize=32, blockysize=32),
    dict(compress="lzw", blockysize=7),
    dict(compress="lzw", predictor=2, endianness="BIG"),
    dict(compress="zstd", predictor=2),
    dict(compress="packbits", blockysize=5),
    dict(compress="lzma"),
    dict(compress="lerc"),
    dict(compress="lerc_deflate", tiled=True, blockxsize=32, blockysize=32),
    dict(compress="lerc_zstd"),
    dict(compress="deflate", predictor=3, kinds=("float32", "float64")),
    dict(compress="webp", webp_lossless=True, kinds=("uint8",), bands=(3,)),
    dict(compress="jxl", jxl_lossless=True, kinds=("uint8", "uint16"), bands=(1, 3)),
    dict(nbits=12, kinds=("12 bit",)),
    dict(nbits=12, compress="lzw", kinds=("12 bit",)),
]


@pytest.mark.parametrize("place", ["on the map", "on no map", "without rasterio"])
@pytest.mark.parametrize("interleave", ["pixel", "band"])
@pytest.mark.parametrize("how", BY_GDAL, ids=str)
def test_whatever_gdal_writes(how, interleave, place, tmp_path, monkeypatch):
    how = dict(how)
    kinds = how.pop("kinds", ("uint8", "12 bit", "int16", "float32"))
    for kind in kinds:
        for bands in how.pop("bands", (1, 3, 4)):
            array = values(kind, bands)
            if place != "on no map":
                how |= {"crs": "EPSG:32616", "transform": rasterio.Affine(2, 0, 9, 0, -2, 9)}
            more = {"photometric": "MINISBLACK"} if bands != 3 else {"photometric": "RGB"}
            if how.get("predictor") == 2 and array.dtype.kind == "f":
                continue
            path = tmp_path / f"{kind}{bands}.tif"
            try:
                with rasterio.open(
                    path, "w", driver="GTiff", height=SIZE[0], width=SIZE[1], count=bands,
                    dtype=array.dtype, interleave=interleave, **how, **more,
                ) as file:  # fmt: skip
                    file.write(np.moveaxis(array, 2, 0))
            except rasterio.errors.RasterioError as error:
                pytest.skip(f"this GDAL does not write it: {error}")
            monkeypatch.setattr(geo, "available", lambda: place != "without rasterio")
            same(path, array)
