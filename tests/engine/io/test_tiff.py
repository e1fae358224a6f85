"""TIFF of any encoding: the same pixels, at once, in windows, as stored."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from fastsam_plugins.images.contrast import ImageError, to_rgb
from fastsam_plugins.io import open_raster, raster, read_image
from fastsam_plugins.options import ReadOptions
from tests.engine.io.encoded import SIZE, same, values

rasterio = pytest.importorskip("rasterio", reason="rasterio is not installed")


BY_TIFFFILE = [
    {},
    {"byteorder": ">"},
    {"bigtiff": True, "byteorder": ">"},
    {"rowsperstrip": 7},
    {"tile": (16, 32)},
    {"tile": (32, 16), "compression": "zlib", "byteorder": ">"},
    {"compression": "zlib", "rowsperstrip": 16},
    {"compression": "zlib", "predictor": True, "rowsperstrip": 16},
    {"compression": "zlib", "predictor": True, "byteorder": ">", "tile": (16, 16)},
    {"compression": "lzw", "rowsperstrip": 9},
    {"compression": "lzw", "predictor": True, "tile": (32, 32)},
    {"compression": "zstd", "rowsperstrip": 16},
    {"compression": "zstd", "predictor": True, "tile": (16, 16), "byteorder": ">"},
    {"compression": "packbits", "rowsperstrip": 8},
    {"compression": "lzma", "tile": (16, 16)},
    {"compression": "lerc", "rowsperstrip": 16},
]


@pytest.mark.parametrize(
    ("bands", "planar"),
    [(1, "contig"), (3, "contig"), (3, "separate"), (5, "contig"), (5, "separate")],
)
@pytest.mark.parametrize("kind", ["uint8", "12 bit", "uint16", "float32"])
@pytest.mark.parametrize("how", BY_TIFFFILE, ids=str)
def test_whatever_tifffile_writes(how, kind, bands, planar, tmp_path):
    array = values(kind, bands)
    if kind == "float32" and how.get("predictor"):
        how = how | {"predictor": 3}
    if bands == 1:
        stored, more = array[..., 0], {"photometric": "minisblack"}
    else:
        stored = np.moveaxis(array, 2, 0) if planar == "separate" else array
        more = {"photometric": "rgb" if bands == 3 else "minisblack", "planarconfig": planar}
    tifffile.imwrite(tmp_path / "a.tif", stored, metadata=None, **how, **more)
    same(tmp_path / "a.tif", array)


BY_GDAL = [
    {},
    {"endianness": "BIG"},
    {"tiled": True, "blockxsize": 16, "blockysize": 32},
    {"compress": "deflate", "predictor": 2, "tiled": True, "blockxsize": 32, "blockysize": 32},
    {"compress": "lzw", "blockysize": 7},
    {"compress": "lzw", "predictor": 2, "endianness": "BIG"},
    {"compress": "zstd", "predictor": 2},
    {"compress": "packbits", "blockysize": 5},
    {"compress": "lzma"},
    {"compress": "lerc"},
    {"compress": "lerc_deflate", "tiled": True, "blockxsize": 32, "blockysize": 32},
    {"compress": "lerc_zstd"},
    {"compress": "deflate", "predictor": 3, "kinds": ("float32", "float64")},
    {"nbits": 12, "kinds": ("12 bit",)},
    {"nbits": 12, "compress": "lzw", "kinds": ("12 bit",)},
]


@pytest.mark.parametrize("place", ["on the map", "on no map", "without rasterio"])
@pytest.mark.parametrize("interleave", ["pixel", "band"])
@pytest.mark.parametrize("how", BY_GDAL, ids=str)
def test_whatever_gdal_writes(how, interleave, place, tmp_path, monkeypatch):
    how = dict(how)
    kinds = how.pop("kinds", ("uint8", "12 bit", "int16", "float32"))
    counts = how.pop("bands", (1, 3, 4))
    for kind in kinds:
        for bands in counts:
            array = values(kind, bands)
            if place != "on no map":
                how |= {"crs": "EPSG:32616", "transform": rasterio.Affine(2, 0, 9, 0, -2, 9)}
            more = {"photometric": "MINISBLACK"} if bands != 3 else {"photometric": "RGB"}
            if how.get("predictor") == 2 and array.dtype.kind == "f":
                continue
            path = tmp_path / f"{kind}{bands}.tif"
            with rasterio.open(
                path, "w", driver="GTiff", height=SIZE[0], width=SIZE[1], count=bands,
                dtype=array.dtype, interleave=interleave, **how, **more,
            ) as file:  # fmt: skip
                file.write(np.moveaxis(array, 2, 0))
            monkeypatch.setattr(raster, "available", lambda: place != "without rasterio")
            same(path, array)


@pytest.mark.parametrize("imagej", [True, False])
def test_planes_of_a_stack_in_one_directory_are_pages(imagej, tmp_path):
    stack = values("12 bit", 5).transpose(2, 0, 1).copy()
    how = {"imagej": True, "metadata": {"axes": "ZYX"}} if imagej else {}
    tifffile.imwrite(tmp_path / "a.tif", stack, truncate=True, **how)
    for page, plane in enumerate(stack):
        options = ReadOptions(page=page)
        assert np.array_equal(read_image(tmp_path / "a.tif", options), to_rgb(plane))
        assert np.array_equal(open_raster(tmp_path / "a.tif", options)[:, :], to_rgb(plane))
    with pytest.raises(ImageError, match="has 5 pages, counted from 0: no 5"):
        read_image(tmp_path / "a.tif", ReadOptions(page=5))
