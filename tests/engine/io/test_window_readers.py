"""Images that are read window by window."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import tifffile

from fastsam_plugins.images.contrast import ImageError, to_rgb
from fastsam_plugins.io import image_size, open_raster, read_image, read_stored
from tests.engine.io.encoded import values

rasterio = pytest.importorskip("rasterio", reason="rasterio is not installed")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_windows_of_what_lies_turned_are_upright(orientation, tmp_path):
    tag = (274, "H", 1, orientation, True)
    tifffile.imwrite(tmp_path / "a.tif", values("uint8", 3), photometric="rgb", tile=(16, 16),
                     compression="lzw", extratags=[tag])  # fmt: skip
    whole, view = read_image(tmp_path / "a.tif"), open_raster(tmp_path / "a.tif")
    assert view.shape == whole.shape
    assert image_size(tmp_path / "a.tif") == whole.shape[:2]
    assert np.array_equal(view[3:40, 20:51], whole[3:40, 20:51])
    assert np.array_equal(to_rgb(read_stored(tmp_path / "a.tif").values), whole)


def test_a_slide_is_read_by_windows_and_takes_little(tmp_path):
    """As docs/large.md has it: tiles of JPEG, of no map, more pixels than are read at once."""
    path = tmp_path / "slide.tif"
    with rasterio.open(
        path, "w", driver="GTiff", height=24_000, width=24_000, count=3, dtype="uint8",
        tiled=True, blockxsize=512, blockysize=512, compress="jpeg", photometric="YCBCR",
        SPARSE_OK=True,
    ) as file:  # fmt: skip
        file.write(np.full((3, 512, 512), 200, np.uint8), window=((512, 1024), (0, 512)))
    with pytest.raises(ImageError, match="max_pixels"):
        read_image(path)
    code = (
        "import resource, sys; from fastsam_plugins.io import open_raster\n"
        "view = open_raster(sys.argv[1]); before = resource.getrusage(0).ru_maxrss\n"
        "out = [view[y:y + 1024, x:x + 1024].max() for y in (0, 20000) for x in (0, 23000)]\n"
        "print(out[0], resource.getrusage(0).ru_maxrss - before)"
    )
    run = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True)
    brightest, taken = run.stdout.split()
    assert abs(int(brightest) - 200) <= 1
    assert int(taken) < 300_000  # kB; the image has 1.7 GB
