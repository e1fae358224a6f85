"""Small GeoTIFFs, as GDAL writes them."""

from __future__ import annotations

import numpy as np
import pytest

rasterio = pytest.importorskip("rasterio", reason="rasterio is not installed")

UTM = rasterio.Affine(0.5, 0, 733601, 0, -0.5, 3725139)  # north up, half a metre per pixel
TURNED = rasterio.Affine.translation(500_000, 4_000_000) * rasterio.Affine.rotation(30)


@pytest.fixture
def geotiff(tmp_path):
    """Write bands (C, H, W): ``geotiff("a.tif", bands, alpha=False, overviews=(), **profile)``."""

    def make(name, bands, alpha=False, overviews=(), names=(), **profile):
        bands = np.asarray(bands)
        count, height, width = bands.shape
        known = {"crs": "EPSG:32616", "transform": UTM, "dtype": bands.dtype} | profile
        path = tmp_path / name
        with rasterio.open(
            path, "w", driver="GTiff", count=count, height=height, width=width, **known
        ) as file:
            if alpha:
                last = rasterio.enums.ColorInterp.alpha
                file.colorinterp = [*file.colorinterp[: count - 1], last]
            file.write(bands)
            for k, text in enumerate(names, 1):
                file.set_band_description(k, text)
            if overviews:
                file.build_overviews(list(overviews), rasterio.enums.Resampling.nearest)
        return path

    return make
