"""Image files that others read, window by window: Pillow and GDAL. Limits are looked at first."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.geometry import Window
from fastsam_plugins.images.contrast import pillow_mode
from fastsam_plugins.io.image_errors import Unreadable
from fastsam_plugins.io.raster import Raster
from fastsam_plugins.limits import Clock, too_many_pixels, too_much_memory
from fastsam_plugins.options import LimitOptions


class PillowRows:
    """An image that Pillow has opened, as gray or RGB; not turned upright."""

    def __init__(self, image: Any, limits: LimitOptions) -> None:
        width, height = image.size
        stored = {"1": 1, "L": 1, "P": 1}.get(image.mode, 2 if image.mode[:4] == "I;16" else 4)
        if problem := too_much_memory(width * height * (stored + 3), limits):
            raise Unreadable(problem)
        image.decodermaxblock = 4096  # it looks at the clock between blocks
        image.load()  # which may change the mode, and turns TIFF upright
        self._mode, self._image = pillow_mode(image.mode), image
        first = self._rows(0, 1)
        self.shape, self.dtype = (image.height, *first.shape[1:]), first.dtype

    def _rows(self, y0: int, y1: int) -> NDArray:
        return self.window((0, y0, self._image.width, y1))

    def window(self, window: Window) -> NDArray:
        """Pixels (h, w) or (h, w, 3)."""
        part = self._image.crop(window)
        return np.asarray(part if part.mode == self._mode else part.convert(self._mode))

    def __getitem__(self, index: slice) -> NDArray:
        """Rows (h, W) or (h, W, 3)."""
        rows = range(self.shape[0])[index]
        return self._rows(rows.start, rows.stop)


class RasterRows:
    """A raster that GDAL reads; pixels without data are masked."""

    def __init__(self, raster: Raster, limits: LimitOptions, clock: Clock) -> None:
        check_blocks(raster, limits)
        self._raster, self.clock = raster, clock
        self.shape, self.dtype, self.step = raster.shape, raster.dtype, raster.block[0]
        self.colors, self.bits = raster.colors, raster.bits

    def window(self, window: Window) -> NDArray:
        """Pixels (h, w, C), masked."""
        self.clock.check()
        return self._raster.read(window)


def check_blocks(raster: Raster, limits: LimitOptions) -> None:
    """Refuse a raster of which even a window takes too much: files are stored in blocks.

    Raises
    ------
    Unreadable
    """
    # GDAL holds a block as it was decoded and as it is handed out.
    block = 2 * math.prod(raster.block) * raster.shape[2] * raster.dtype.itemsize
    if problem := too_much_memory(block, limits):
        raise Unreadable(f"is stored in blocks of {raster.block}, of which one {problem}")


def check_pixels(size: tuple[int, ...], limits: LimitOptions) -> None:
    """Refuse an image of (height, width) that has too many pixels to be read at once.

    Raises
    ------
    Unreadable
    """
    if problem := too_many_pixels(size, limits):
        raise Unreadable(problem)
