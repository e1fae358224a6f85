"""JPEG inside of TIFF: the colours that the TIFF says."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from fastsam_plugins.io import open_raster, read_image
from tests.engine.io.encoded import SIZE

rasterio = pytest.importorskip("rasterio", reason="rasterio is not installed")


@pytest.mark.parametrize(
    "tiled", [{}, {"tiled": True, "blockxsize": 16, "blockysize": 32}], ids=str
)
@pytest.mark.parametrize("interleave", ["pixel", "band"])
@pytest.mark.parametrize(
    ("compress", "photometric", "bands"),
    [("jpeg", "MINISBLACK", 1), ("jpeg", "MINISBLACK", 3), ("jpeg", "RGB", 3), ("jpeg", "RGB", 4),
     ("jpeg", "YCBCR", 3), ("webp", "RGB", 3), ("webp", "RGB", 4), ("webp", "MINISBLACK", 3)],
)  # fmt: skip
def test_pictures_in_a_tiff_have_the_colours_that_the_tiff_says(
    compress, photometric, bands, interleave, tiled, tmp_path
):
    if photometric == "YCBCR" or compress == "webp":
        interleave = "pixel"  # there is no other, or none that GDAL reads again
    color = np.array([200, 120, 40, 255][:bands], np.uint8)
    shown = []
    for crs in (None, "EPSG:32616"):
        path = tmp_path / f"{crs is None}.tif"
        with rasterio.open(
            path, "w", driver="GTiff", height=SIZE[0], width=SIZE[1], count=bands, dtype="uint8",
            compress=compress, photometric=photometric, interleave=interleave, crs=crs,
            webp_lossless=True, **tiled,
        ) as file:  # fmt: skip
            file.write(np.broadcast_to(color[:, None, None], (bands, *SIZE)))
        shown.append(read_image(path))
        assert np.array_equal(open_raster(path)[5:60, 7:50], shown[-1][5:60, 7:50])
    assert np.abs(shown[0].astype(int) - (200 if bands == 1 else color[:3])).max() <= 2
    assert np.array_equal(*shown)


@pytest.mark.parametrize("photometric", [1, 2, 6])
@pytest.mark.parametrize("held", ["RGB", "YCBCR"])
def test_colours_of_a_jpeg_follow_the_tiff_whatever_its_markers(held, photometric, tmp_path):
    """RGB has Adobe's marker, YCBCR that of JFIF; GDAL is the oracle."""
    import imagecodecs

    color = np.full((*SIZE, 3), [200, 120, 40], np.uint8)
    jpeg = imagecodecs.jpeg_encode(color, colorspace="RGB", outcolorspace=held, subsampling="444")
    assert (b"Adobe" in jpeg, b"JFIF" in jpeg) == (held == "RGB", held == "YCBCR")
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, color, photometric="rgb", compression="zlib", metadata=None)
    with tifffile.TiffFile(path, mode="r+") as tiff:
        place = tiff.filehandle.seek(0, 2)
        tiff.filehandle.write(jpeg)
        given = {"StripOffsets": [place], "StripByteCounts": [len(jpeg)], "Compression": 7}
        for name, value in (given | {"PhotometricInterpretation": photometric}).items():
            tiff.pages[0].tags[name].overwrite(value)
    with rasterio.open(path) as file:
        by_gdal = np.moveaxis(file.read(), 0, -1)
    assert np.abs(read_image(path).astype(int) - by_gdal).max() <= 1
