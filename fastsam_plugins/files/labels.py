"""Label images as TIFF, and as GeoTIFF where the image was one."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.files.geo import Georeference
from fastsam_plugins.labels import LabelRows

if TYPE_CHECKING:
    from fastsam_plugins.segmentation import Segmentation

_STRIP = 1 << 20  # pixels that are stored together


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
    """
    low, high = (int(labels.min()), int(labels.max())) if labels.size else (0, 0)
    dtype = _dtype(low, high, path)
    if labels.ndim == 2:
        _write_rows((labels[y0:y1] for y0, y1 in _strips(labels.shape)), labels.shape, dtype, path,
                    georeference)  # fmt: skip
        return
    import tifffile

    tifffile.imwrite(path, labels.astype(dtype), compression="zlib", photometric="minisblack")


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
    height, width = shape
    if georeference is None:
        import tifffile

        packed = (zlib.compress(np.ascontiguousarray(s, dtype.newbyteorder("<")).data)
                  for s in strips)  # fmt: skip
        together = next(_strips(shape), (0, 0))[1]
        tifffile.imwrite(
            path, packed, shape=(height, width), dtype=dtype, byteorder="<", compression="zlib",
            rowsperstrip=together, photometric="minisblack",
        )  # fmt: skip
        return
    import rasterio

    with rasterio.open(
        path, "w", driver="GTiff", height=height, width=width, count=1, dtype=dtype,
        crs=georeference.crs, transform=rasterio.Affine(*georeference.transform),
        compress="deflate", nodata=0,
    ) as file:  # fmt: skip
        for strip, (y0, y1) in zip(strips, _strips(shape), strict=True):
            file.write(strip.astype(dtype, copy=False), 1, window=((y0, y1), (0, width)))
