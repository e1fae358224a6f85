"""Label images as TIFF, and as GeoTIFF where the image was one."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.io import atomic
from fastsam_plugins.io.raster import Georeference
from fastsam_plugins.masks.label_image import LabelRows

if TYPE_CHECKING:
    from fastsam_plugins.segmentation import Segmentation

_STRIP = 1 << 20  # pixels that are stored together
_SIDECARS = (".aux.xml", ".msk", ".ovr")  # of GDAL, which removes them when it replaces a TIFF


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
    dtype = _dtype(low, high, path)
    if labels.ndim == 2:
        _write_rows((labels[y0:y1] for y0, y1 in _strips(labels.shape)), labels.shape, dtype, path,
                    georeference)  # fmt: skip
        return
    import tifffile

    with atomic.replacing(path) as part:
        tifffile.imwrite(part, labels.astype(dtype), compression="zlib", photometric="minisblack")


def write_instances(
    seg: Segmentation,
    path: Path,
    numbers: Sequence[int],
    georeference: Georeference | None = None,
) -> None:
    """Write the label image of instances, strip by strip; otherwise as :func:`write_labels`.

    Parameters
    ----------
    seg : Segmentation
    path : path
    numbers : sequence of int
        What each instance is called in the image.
    georeference : Georeference, optional
    """
    table = np.array([0, *numbers], np.int64)
    dtype = _dtype(int(table.min()), int(table.max()), path)
    table, rows = table.astype(dtype), LabelRows(seg)
    strips = (table[rows[y0:y1]] for y0, y1 in _strips(rows.shape))
    _write_rows(strips, rows.shape, dtype, path, georeference)


def _dtype(low: int, high: int, path: Path) -> np.dtype:
    if low < 0 or high >= 1 << 32:
        raise ValueError(
            f"{path}: label images hold numbers from 0 to {(1 << 32) - 1}, not {low} to {high}"
        )
    return np.dtype(np.uint16 if high < 1 << 16 else np.uint32)


def _strips(shape: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """First row of each strip, and the one after its last."""
    step = max(_STRIP // max(shape[1], 1), 1)
    for y0 in range(0, shape[0], step):
        yield y0, min(y0 + step, shape[0])


def _write_rows(
    strips: Iterable[NDArray[np.integer]],
    shape: tuple[int, ...],
    dtype: np.dtype,
    path: Path,
    georeference: Georeference | None,
) -> None:
    with atomic.replacing(path) as part:
        _write_part(strips, shape, dtype, part, georeference)
    for beside in sidecars(path):  # they say of the file that was here what is not so of this one
        beside.unlink(missing_ok=True)


def sidecars(path: Path) -> list[Path]:
    """What goes with a label image that is replaced: files that GDAL keeps beside a TIFF."""
    return [path.with_name(path.name + ending) for ending in _SIDECARS]


def _write_part(
    strips: Iterable[NDArray[np.integer]],
    shape: tuple[int, ...],
    dtype: np.dtype,
    part: Path,
    georeference: Georeference | None,
) -> None:
    if georeference is not None:
        _write_geotiff(strips, shape, dtype, part, georeference)
        return
    import tifffile

    height, width = shape
    packed = (zlib.compress(np.ascontiguousarray(s, dtype.newbyteorder("<")).data)
              for s in strips)  # fmt: skip
    together = next(_strips(shape), (0, 0))[1]
    tifffile.imwrite(
        part, packed, shape=(height, width), dtype=dtype, byteorder="<", compression="zlib",
        rowsperstrip=together, photometric="minisblack",
    )  # fmt: skip


def _write_geotiff(
    strips: Iterable[NDArray[np.integer]],
    shape: tuple[int, ...],
    dtype: np.dtype,
    part: Path,
    place: Georeference,
) -> None:
    import rasterio

    height, width = shape
    sums: list[int] = []
    with rasterio.open(
        part, "w", driver="GTiff", height=height, width=width, count=1, dtype=dtype,
        crs=place.crs or None, transform=rasterio.Affine(*place.transform), compress="deflate",
        nodata=0,
    ) as file:  # fmt: skip
        for strip, (y0, y1) in zip(strips, _strips(shape), strict=True):
            stored = np.ascontiguousarray(strip, dtype)
            file.write(stored, 1, window=((y0, y1), (0, width)))
            sums.append(zlib.crc32(stored.data))
    # GDAL writes when it closes a file, and tells nobody where that fails, as on a full disk.
    try:
        with rasterio.open(part) as file:
            windows = (((y0, y1), (0, width)) for y0, y1 in _strips(shape))
            whole = [zlib.crc32(file.read(1, window=w).data) for w in windows] == sums
    except rasterio.errors.RasterioError:
        whole = False
    if not whole:
        raise OSError("GDAL wrote only a part of it: is the disk full?")
