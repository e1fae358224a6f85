"""Image files as rows that are decoded when they are asked for; see :class:`images.Rows`.

What a file's header promises is compared with the file and with the limits first.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.files import geo
from fastsam_plugins.limits import Clock, too_many_pixels, too_much_memory
from fastsam_plugins.options import LimitOptions

_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


class Unreadable(ValueError):
    """What is wrong with a file, told so that "FILE ..." is a sentence."""


class PillowRows:
    """An image that Pillow has opened, as gray or RGB; not turned upright."""

    def __init__(self, image: Any, limits: LimitOptions) -> None:
        width, height = image.size
        stored = {"1": 1, "L": 1, "P": 1}.get(image.mode, 2 if image.mode[:4] == "I;16" else 4)
        if problem := too_much_memory(width * height * (stored + 3), limits):
            raise Unreadable(problem)
        image.decodermaxblock = 4096  # it looks at the clock between blocks
        image.load()  # which may change the mode, and turns TIFF upright
        self._mode = image.mode
        if image.mode in ("1", "LA", "La"):
            self._mode = "L"
        elif image.mode not in ("L", "RGB", "F") and not image.mode.startswith("I"):
            self._mode = "RGB"
        self._image = image
        first = self._rows(0, 1)
        self.shape, self.dtype = (image.height, *first.shape[1:]), first.dtype

    def _rows(self, y0: int, y1: int) -> NDArray:
        strip = self._image.crop((0, y0, self._image.width, y1))
        return np.asarray(strip if strip.mode == self._mode else strip.convert(self._mode))

    def __getitem__(self, index: slice) -> NDArray:
        """Rows (h, W) or (h, W, 3)."""
        rows = range(self.shape[0])[index]
        return self._rows(rows.start, rows.stop)


class RasterRows:
    """A raster that GDAL reads; pixels without data are masked."""

    def __init__(self, raster: geo.Raster, limits: LimitOptions, clock: Clock) -> None:
        check_blocks(raster, limits)
        self._raster, self._clock = raster, clock
        self.shape, self.dtype, self.step = raster.shape, raster.dtype, raster.block[0]

    def __getitem__(self, index: slice) -> NDArray:
        """Rows (h, W, C), masked."""
        self._clock.check()
        rows = range(self.shape[0])[index]
        return self._raster.read((0, rows.start, self.shape[1], rows.stop))


def check_blocks(raster: geo.Raster, limits: LimitOptions) -> None:
    """Refuse a raster of which even a window takes too much: files are stored in blocks.

    Raises
    ------
    Unreadable
    """
    # GDAL holds a block as it was decoded and as it is handed out.
    block = 2 * math.prod(raster.block) * raster.shape[2] * raster.dtype.itemsize
    if problem := too_much_memory(block, limits):
        raise Unreadable(f"is stored in blocks of {raster.block}, of which one {problem}")


class TiffRows:
    """A page of a TIFF file, values as they are stored: (h, W) or (h, W, C)."""

    def __init__(self, page: Any, limits: LimitOptions, clock: Clock) -> None:
        self.page, self._clock = page, clock
        if page.axes not in ("YX", "YXS", "SYX"):
            raise Unreadable(f"is no flat image: it has the axes {page.axes or 'none'}")
        if page.dtype is None:
            raise Unreadable(f"has {page.bitspersample} bits for a value, which none can have")
        self.planes, _, height, width, samples = page.shaped
        bands = self.planes * samples
        self.shape = (height, width) if len(page.axes) == 2 else (height, width, bands)
        self.dtype = np.dtype(page.dtype)
        self._contiguous = bool(page.is_contiguous) and page.predictor == page.fillorder == 1
        if self._contiguous:
            self.step = 1
            self._row = width * samples * self.dtype.itemsize
            if page.dataoffsets[0] + self._row * height * self.planes > self._file.size:
                raise Unreadable("is truncated: it has fewer pixels than its header says")
            return
        across, down = (
            (page.tilewidth, page.tilelength) if page.is_tiled else (width, page.rowsperstrip)
        )
        self.step = down = min(down, height) if not page.is_tiled else down
        self._grid = math.ceil(height / down), math.ceil(width / across)
        self._whole = down * across * samples * self.dtype.itemsize
        # A segment as it was decoded and as it was unpacked, in a band of them.
        band = self._whole * self.planes * self._grid[1]
        if problem := too_much_memory(self._whole + band, limits):
            raise Unreadable(f"is stored in pieces of {across} x {down} pixels, which {problem}")
        if len(page.dataoffsets) < math.prod(self._grid) * self.planes:
            raise Unreadable("is damaged: pieces of the image are missing")
        self._inflate = _inflater(page)

    @property
    def _file(self) -> Any:
        return self.page.parent.filehandle

    def __getitem__(self, index: slice) -> NDArray:
        """Rows of all bands."""
        self._clock.check()
        rows = range(self.shape[0])[index]
        _, _, _, width, samples = self.page.shaped
        out = np.empty((self.planes, len(rows), width, samples), self.dtype)
        fill = self._copied if self._contiguous else self._decoded
        fill(out, rows.start, rows.stop)
        if len(self.shape) == 2:
            return out[0, :, :, 0]
        return out[0] if self.planes == 1 else np.moveaxis(out[..., 0], 0, -1)

    def _copied(self, out: NDArray, y0: int, y1: int) -> None:
        stored = self.dtype.newbyteorder(self.page.parent.byteorder)
        for plane, rows in enumerate(out):
            self._file.seek(self.page.dataoffsets[0] + (plane * self.shape[0] + y0) * self._row)
            data = self._file.read((y1 - y0) * self._row)
            rows[:] = np.frombuffer(data, stored).reshape(rows.shape)

    def _decoded(self, out: NDArray, y0: int, y1: int) -> None:
        down, across = self._grid
        for plane in range(self.planes):
            for row in range(y0 // self.step, -(-y1 // self.step)):
                for column in range(across):
                    self._clock.check()
                    index = (plane * down + row) * across + column
                    self._segment(out[plane], index, y0, y1)

    def _segment(self, out: NDArray, index: int, y0: int, y1: int) -> None:
        """Put a strip or tile where it belongs, as far as it lies in the rows."""
        page, data = self.page, None
        offset, count = page.dataoffsets[index], page.databytecounts[index]
        if offset > 0 and count > 0:
            self._file.seek(offset)
            data = self._file.read(min(count, max(self._file.size - offset, 0)))
            data = self._inflate(data, self._whole) if self._inflate else data
        tables = {"jpegtables": page.jpegtables, "jpegheader": page.jpegheader}
        given = {name: table for name, table in tables.items() if table is not None}
        values, (_, _, top, left, _), shape = page.decode(data, index, **given)
        low, high = max(top, y0), min(top + shape[1], y1)
        place = out[low - y0 : high - y0, left : left + shape[2]]
        if values is None:
            place[:] = page.nodata
        else:
            place[:] = values[0, low - top : high - top, : place.shape[1]]


def _inflater(page: Any) -> Callable[[bytes, int], bytes] | None:
    """What unpacks the bytes of a segment and no more of them than it may have.

    tifffile inflates whatever is there: the page is told that nothing is left to be done.
    """
    import lzma
    import zlib

    streams: dict[int, Callable[[], Any]] = {
        8: zlib.decompressobj,
        32946: zlib.decompressobj,
        34925: lzma.LZMADecompressor,
    }
    made = streams.get(int(page.compression))
    if made is None:
        return None
    turned = page.fillorder == 2
    page.compression = page.fillorder = 1

    def inflate(data: bytes, size: int) -> bytes:
        data = data.translate(_REVERSED) if turned else data
        inflated: bytes = made().decompress(data, size)
        return inflated

    return inflate


def check_pixels(size: tuple[int, ...], limits: LimitOptions) -> None:
    """Refuse an image of (height, width) that has too many pixels to be read at once.

    Raises
    ------
    Unreadable
    """
    if problem := too_many_pixels(size, limits):
        raise Unreadable(problem)
