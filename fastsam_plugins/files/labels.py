"""Label images as TIFF, and as GeoTIFF where the image was one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.files import atomic
from fastsam_plugins.files.geo import Georeference


def write_labels(
    labels: NDArray[np.integer], path: Path, georeference: Georeference | None = None
) -> None:
    """Write a label image, or a stack of them, 16-bit if its numbers fit, else 32-bit.

    Parameters
    ----------
    labels : int array (H, W) or (..., H, W)
    path : path
    georeference : Georeference, optional
        Where the pixels of a single image lie.

    Raises
    ------
    ValueError
        If a number is negative or needs more than 32 bits.
    OutputError
        If it cannot be written; what was there stays.
    """
    low, high = (int(labels.min()), int(labels.max())) if labels.size else (0, 0)
    if low < 0 or high >= 1 << 32:
        raise ValueError(
            f"{path}: label images hold numbers from 0 to {(1 << 32) - 1}, not {low} to {high}"
        )
    stored = labels.astype(np.uint16 if high < 1 << 16 else np.uint32)
    with atomic.replacing(path) as part:
        if georeference is None or labels.ndim != 2:
            import tifffile

            tifffile.imwrite(part, stored, compression="zlib", photometric="minisblack")
        else:
            _write_geotiff(stored, part, georeference)


def _write_geotiff(stored: NDArray, part: Path, place: Georeference) -> None:
    import rasterio

    height, width = stored.shape
    with rasterio.open(
        part, "w", driver="GTiff", height=height, width=width, count=1, dtype=stored.dtype,
        crs=place.crs, transform=rasterio.Affine(*place.transform), compress="deflate", nodata=0,
    ) as file:  # fmt: skip
        file.write(stored, 1)
    # GDAL writes when it closes a file, and tells nobody where that fails, as on a full disk.
    try:
        with rasterio.open(part) as file:
            whole = all(
                np.array_equal(file.read(1, window=window), stored[window.toslices()])
                for _, window in file.block_windows(1)
            )
    except rasterio.errors.RasterioError:
        whole = False
    if not whole:
        raise OSError("GDAL wrote only a part of it: is the disk full?")
