"""GeoTIFF into napari, large ones window by window.

The layer is in pixels, as any image, not in map coordinates: offsets of millions with a y axis
upside down serve nobody at a microscope's viewer, and what lies on the map is in the layer's
``metadata`` instead. Labels that carry the same metadata are written where the raster lies.

============================ ==========================================================
``metadata["path"]``         the file
``metadata["crs"]``          ``EPSG:32616``, or WKT
``metadata["transform"]``    (a, b, c, d, e, f): X = a x + b y + c, Y = d x + e y + f
``metadata["nodata"]``       the value of pixels without data, or None
``metadata["bands"]``        names of the bands
``metadata["channel_axis"]`` 0 if the first axis is that of the bands, or None
============================ ==========================================================
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fastsam_plugins.io import Raster, formats
from fastsam_plugins.io import raster as rasters
from napari_plugin.model.plane import CHANNEL_AXIS

LAZY = 1 << 26  # bytes: larger rasters are read when they are looked at
CHUNK = 1024  # pixels of a side, about
SAMPLE = 512  # pixels of a side: what contrast limits are taken from

LayerData = tuple[Any, dict[str, Any], str]


def get_reader(path: str | list[str]) -> Callable[[str], list[LayerData]] | None:
    """napari's hook: a reader for georeferenced TIFF, None for what napari itself reads."""
    if not isinstance(path, str) or not formats.is_geotiff(path):
        return None
    if not rasters.available():
        warnings.warn(f"{path} is georeferenced, which only rasterio reads: {rasters.INSTALL}",
                      stacklevel=2)  # fmt: skip
        return None
    try:
        return None if Raster(path).georeference is None else read
    except OSError:  # damaged, or of another library's making: napari may have more luck
        return None


def read(path: str) -> list[LayerData]:
    """Read a GeoTIFF as one Image layer.

    Three bands of 8 bit are RGB. One band is (H, W). Others are (C, H, W), and a slider chooses.
    What is large is a dask array; overviews in the file make it multiscale.
    """
    raster = Raster(path)
    place = raster.georeference
    height, width, count = raster.shape
    rgb = count == 3 and raster.dtype == np.uint8
    about: dict[str, Any] = {
        "rgb": rgb,
        "name": Path(path).stem,
        "metadata": {
            "path": str(path),
            "crs": place.crs if place else None,
            "transform": place.transform if place else None,
            "nodata": raster.nodata,
            "bands": list(raster.bands),
            CHANNEL_AXIS: None if rgb or count == 1 else 0,
        },
    }
    if not rgb:
        about["contrast_limits"] = _limits(raster)
    if height * width * count * raster.dtype.itemsize <= LAZY:
        return [(_arranged(raster[:], rgb, raster), about, "image")]
    levels = [raster, *(Raster(path, k) for k in range(raster.overviews))]
    data = [_arranged(_lazy(level), rgb, level) for level in levels]
    about["multiscale"] = len(data) > 1
    return [(data if len(data) > 1 else data[0], about, "image")]


def _arranged(pixels: Any, rgb: bool, raster: Raster) -> Any:
    """(H, W, C) as napari has it."""
    if rgb:
        return pixels[..., list(raster.colors)] if raster.colors else pixels
    return pixels[..., 0] if pixels.shape[2] == 1 else pixels.transpose(2, 0, 1)


def _lazy(raster: Raster) -> Any:
    """A dask array (H, W, C) whose chunks are whole blocks of the file, a band each."""
    import dask.array as da

    sides = [math.ceil(CHUNK / block) * block for block in raster.block]
    bands = 3 if raster.colors else 1
    # A name of its own: the file may have changed since dask last saw it.
    return da.from_array(raster, chunks=(*sides, bands), name=False, meta=np.empty(0, raster.dtype))


def _limits(raster: Raster) -> list[float]:
    """Contrast limits: the 1st and 99th percentile of the middle of the coarsest overview."""
    coarse = Raster(raster.path, raster.overviews - 1) if raster.overviews else raster
    height, width, _ = coarse.shape
    x, y = max(width - SAMPLE, 0) // 2, max(height - SAMPLE, 0) // 2
    values = coarse.read((x, y, min(x + SAMPLE, width), min(y + SAMPLE, height))).compressed()
    values = values[np.isfinite(values)]
    low, high = np.percentile(values, [1, 99]).tolist() if len(values) else (0.0, 1.0)
    return [low, high if high > low else low + 1]
