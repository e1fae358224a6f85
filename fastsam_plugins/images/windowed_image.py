"""An image too large for memory, as RGB windows that all have one contrast."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.geometry import Window
from fastsam_plugins.images.contrast import as_array, check, chosen, limits, shown_values, to_rgb
from fastsam_plugins.options import ReadOptions

LARGE_SIDE = 4096  # pixels: of a square image that is no longer looked at whole
STRIP = 1 << 21  # pixels that are read together, of what is to be RGB
SAMPLES = 512, 8  # pixels, and how many of such windows along each axis stand for a larger one


class WindowedImage:
    """Any array, however large, as an RGB image that is read window by window.

    What is not 8-bit gets one contrast for all windows: that of the whole array, or of windows
    spread over it where it is large.

    Parameters
    ----------
    raster : array (H, W) or (H, W, C)
        Anything with ``shape`` and ``dtype`` that can be sliced: numpy, dask, zarr, HDF5,
        :class:`fastsam_plugins.io.Raster`.
    options : ReadOptions
        See :func:`fastsam_plugins.images.contrast.to_rgb`, which also says what is raised here and
        when a window is read.
    read : callable, optional
        Pixels of a window ``(x0, y0, x1, y1)``, masked where there are no data; slices of the
        raster by default.

    Attributes
    ----------
    shape : (H, W, 3)
    """

    def __init__(
        self,
        raster: Any,
        options: ReadOptions | None = None,
        read: Callable[[Window], NDArray] | None = None,
    ) -> None:
        if not hasattr(raster, "shape"):
            raster = as_array(raster)
        check(tuple(raster.shape), np.dtype(raster.dtype))
        height, width = raster.shape[:2]
        self.shape = (int(height), int(width), 3)
        self._read = read or (lambda w: raster[w[1] : w[3], w[0] : w[2]])
        self._options = ReadOptions.of(options)
        self._together = int(getattr(raster, "block", (1, 1))[0])  # rows that a file stores so
        self._itemsize = np.dtype(raster.dtype).itemsize
        if np.dtype(raster.dtype) not in (np.uint8, np.bool_) or self._options.contrast != "auto":
            self._options = self._settled()
        _ = self[:32, :32]  # bands that there are not are told now

    def __getitem__(self, index: tuple[slice, slice]) -> NDArray[np.uint8]:
        """RGB pixels of a window: ``shown[y0:y1, x0:x1]``; a large one is read in strips."""
        y, x = (range(n)[i] for i, n in zip(index, self.shape[:2], strict=True))
        step = max(STRIP // max(len(x), 1), 1)
        step = -(-step // self._together) * self._together
        if len(y) <= step:
            return to_rgb(self._read((x.start, y.start, x.stop, y.stop)), self._options)
        out = np.empty((len(y), len(x), 3), np.uint8)
        for first in range(y.start, y.stop, step):
            last = min(first + step, y.stop)
            strip = to_rgb(self._read((x.start, first, x.stop, last)), self._options)
            out[first - y.start : last - y.start] = strip
        return out

    def reduced(self, side: int, window: Window | None = None) -> NDArray[np.uint8]:
        """The whole image (h, w, 3), or a window, no side longer than so many pixels.

        It is read in bands.
        """
        import cv2

        x0, y0, x1, y1 = window or (0, 0, self.shape[1], self.shape[0])
        height, width = y1 - y0, x1 - x0
        scale = min(side / max(height, width), 1)
        h, w = max(round(height * scale), 1), max(round(width * scale), 1)
        bands = -(-height * width // LARGE_SIDE**2)
        out = []
        for rows in np.array_split(np.arange(h), min(bands, h)):
            low, high = (y0 + round(r * height / h) for r in (rows[0], rows[-1] + 1))
            band = self[low:high, x0:x1]
            out.append(cv2.resize(band, (w, len(rows)), interpolation=cv2.INTER_AREA))
        return np.concatenate(out)

    def _settled(self) -> ReadOptions:
        """The options with the contrast's limits as numbers."""
        options = self._options
        if options.contrast in ("none", "fixed"):
            return options
        # Few distinct values are counted as they are read; the others are read once and kept.
        parts: Callable[[], Iterable[NDArray]] = self._samples
        if self._itemsize > 2:
            kept = list(self._samples())
            parts = lambda: kept  # noqa: E731
        kind = "percentile" if options.contrast == "auto" else options.contrast
        low, high = limits(parts, kind, options)
        return options.replace(contrast="fixed", low=low, high=high if high > low else low + 1)

    def _samples(self) -> Iterator[NDArray]:
        """Values (n, C) of the whole array, or of windows spread over a large one."""
        height, width = self.shape[:2]
        side, count = (max(height, width), 1) if height * width <= LARGE_SIDE**2 else SAMPLES
        for y in np.linspace(0, max(height - side, 0), count).astype(int).tolist():
            for x in np.linspace(0, max(width - side, 0), count).astype(int).tolist():
                window = x, y, min(x + side, width), min(y + side, height)
                yield shown_values(*chosen(self._read(window), self._options))
