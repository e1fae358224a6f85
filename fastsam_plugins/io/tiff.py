"""TIFF images of any encoding, values as they are stored, window by window.

What a file's header promises is compared with the file and with the limits first.
"""

from __future__ import annotations

import math
import re
import threading
import weakref
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.geometry import Window
from fastsam_plugins.io.image_errors import Unreadable
from fastsam_plugins.io.raster import marked
from fastsam_plugins.io.tiff_unpack import unpacker
from fastsam_plugins.limits import MB, Clock, too_much_memory
from fastsam_plugins.options import LimitOptions

NODATA = 42113  # GDAL's tag: a number as text
_METADATA = 42112  # GDAL's tag: XML
_KEPT = 256 * MB  # bytes of unpacked segments that are kept for the next window
_ALPHA = (1, 2)  # kinds of extra samples


class TiffPixels:
    """One image of a TIFF file.

    Parameters
    ----------
    path : path
    page : int
        Counted from 0. Of a file that has one directory for a whole stack, as ImageJ writes beyond
        4 GB, the plane.
    limits : LimitOptions
    clock : Clock

    Attributes
    ----------
    shape : (H, W) or (H, W, C)
    dtype : numpy dtype
    step : int
        Rows that the file stores together.
    page : tifffile's page
    bits : int
        Of a value.
    alpha : int or None
        The band that is alpha.
    colors : tuple of int or None
        The bands that are marked red, green and blue, where they are marked.
    nodata : float or None
    orientation : int
        1 to 8, as in EXIF.

    Raises
    ------
    Unreadable
        If the header cannot be true, or asks for more than the limits.
    """

    def __init__(self, path: Path, page: int, limits: LimitOptions, clock: Clock) -> None:
        import tifffile

        self.clock, self._limits = clock, limits
        tiff = tifffile.TiffFile(path)
        self.shape: tuple[int, ...] = ()
        self.close = weakref.finalize(self, tiff.close)
        self._lock = threading.Lock()
        self._kept: OrderedDict[int, NDArray] = OrderedDict()
        self.page, self._offset = _plane(tiff, page)
        bits = self.page.bitspersample
        self.bits: int = bits if isinstance(bits, int) else max(bits)
        turned = self.page.tags.get("Orientation")
        self.orientation = int(turned.value) if turned else 1
        self.nodata: float | None = None
        if NODATA in self.page.tags:
            text = str(self.page.tags[NODATA].value).strip(" \0").replace(",", ".")
            self.nodata = float(text) if text else None
        roles, count = _roles(self.page), self.page.samplesperpixel
        alphas = [i for i, role in roles.items() if role == "alpha" and i < count]
        self.alpha = alphas[0] if alphas and count > 1 else None
        self.colors = marked([roles.get(i, "") for i in range(count) if i != self.alpha])

    def prepare(self) -> None:
        """Look at how the pixels are stored, before any is read."""
        page, limits = self.page, self._limits
        if page.axes not in ("YX", "YXS", "SYX"):
            raise Unreadable(f"is no flat image: it has the axes {page.axes or 'none'}")
        if page.dtype is None:
            raise Unreadable(f"has {page.bitspersample} bits for a value, which none can have")
        self.planes, _, height, width, samples = page.shaped
        bands = self.planes * samples
        self.shape = (height, width) if len(page.axes) == 2 else (height, width, bands)
        self.dtype = np.dtype(page.dtype)
        plain = page.predictor == page.fillorder == 1 and page.is_contiguous
        self._contiguous = bool(plain)
        if self._contiguous:
            self.step = 1
            self._row = width * samples * self.dtype.itemsize
            end = page.dataoffsets[0] + self._offset + self._row * height * self.planes
            if end > self._file.size:
                raise Unreadable("is truncated: it has fewer pixels than its header says")
            return
        across, down = (
            (page.tilewidth, page.tilelength) if page.is_tiled else (width, page.rowsperstrip)
        )
        self.step = down = min(down, height) if not page.is_tiled else down
        if not across or not down:
            raise Unreadable("is damaged: it is stored in pieces of no pixels")
        self._across, self._grid = across, (math.ceil(height / down), math.ceil(width / across))
        self._whole = down, across, samples
        # A segment as it was decoded and as it was unpacked, in a band of them.
        one = math.prod(self._whole) * self.dtype.itemsize
        if problem := too_much_memory(one + one * self.planes * self._grid[1], limits):
            raise Unreadable(f"is stored in pieces of {across} x {down} pixels, which {problem}")
        if len(page.dataoffsets) < math.prod(self._grid) * self.planes:
            raise Unreadable("is damaged: pieces of the image are missing")
        self._unpack = unpacker(page)

    @property
    def _file(self) -> Any:
        return self.page.parent.filehandle

    def window(self, window: Window) -> NDArray:
        """Values (h, w) or (h, w, C) of a window ``(x0, y0, x1, y1)``."""
        self.clock.check()
        x0, y0, x1, y1 = window
        samples = self.page.shaped[4]
        out = np.empty((self.planes, y1 - y0, x1 - x0, samples), self.dtype)
        with self._lock:
            (self._copied if self._contiguous else self._decoded)(out, window)
        if len(self.shape) == 2:
            return out[0, :, :, 0]
        return out[0] if self.planes == 1 else np.moveaxis(out[..., 0], 0, -1)

    def __getitem__(self, index: slice) -> NDArray:
        """Rows of all bands."""
        rows = range(self.shape[0])[index]
        return self.window((0, rows.start, self.shape[1], rows.stop))

    def _copied(self, out: NDArray, window: Window) -> None:
        x0, y0, x1, y1 = window
        stored = self.dtype.newbyteorder(self.page.parent.byteorder)
        pixel = self._row // self.shape[1]
        step = y1 - y0 if x1 - x0 == self.shape[1] else 1  # whole rows lie together
        start = self.page.dataoffsets[0] + self._offset
        for plane, rows in enumerate(out):
            for y in range(y0, y1, max(step, 1)):
                self._file.seek(start + (plane * self.shape[0] + y) * self._row + x0 * pixel)
                data = self._file.read(step * (x1 - x0) * pixel)
                part = rows[y - y0 : y - y0 + step]
                part[:] = np.frombuffer(data, stored).reshape(part.shape)

    def _decoded(self, out: NDArray, window: Window) -> None:
        x0, y0, x1, y1 = window
        down, across = self._grid
        for plane in range(self.planes):
            for row in range(y0 // self.step, -(-y1 // self.step)):
                for column in range(x0 // self._across, -(-x1 // self._across)):
                    self.clock.check()
                    values = self._segment((plane * down + row) * across + column)
                    top, left = row * self.step, column * self._across
                    low, high = max(top, y0), min(top + self.step, y1)
                    first, last = max(left, x0), min(left + self._across, x1)
                    place = out[plane, low - y0 : high - y0, first - x0 : last - x0]
                    if np.ndim(values):
                        values = values[low - top : high - top, first - left : last - left]
                    place[:] = values

    def _segment(self, index: int) -> Any:
        """Values of a strip or tile; one number if the file has none. Few are kept."""
        if index in self._kept:
            self._kept.move_to_end(index)
            return self._kept[index]
        page, data = self.page, None
        offset, count = page.dataoffsets[index], page.databytecounts[index]
        if offset > 0 and count > 0:
            if offset + count > self._file.size:
                raise Unreadable("is damaged or truncated: a piece of it lies behind its end")
            self._file.seek(offset)
            data = self._file.read(count)
            data = self._unpack(data, self._shape(index)) if self._unpack else data
        values: Any = data
        if not isinstance(data, np.ndarray):
            tables = {"jpegtables": page.jpegtables, "jpegheader": page.jpegheader}
            given = {name: table for name, table in tables.items() if table is not None}
            values, _, _ = page.decode(data, index, **given)
            if values is None:
                return page.nodata
            values = values[0]
        kept = self._kept[index] = values
        while len(self._kept) > 1 and len(self._kept) * kept.nbytes > _KEPT:
            self._kept.popitem(last=False)
        return kept

    def _shape(self, index: int) -> tuple[int, int, int]:
        """Of a segment: the last strip has the rows that are left."""
        rows, columns, samples = self._whole
        if not self.page.is_tiled:
            rows = min(rows, self.shape[0] - index % self._grid[0] * rows)
        return rows, columns, samples


def _plane(tiff: Any, number: int) -> tuple[Any, int]:
    """A page of a TIFF, and how far behind its first pixel the wanted plane begins."""
    count = len(tiff.pages)
    if not count:
        raise Unreadable("is damaged or truncated (it has no page)")
    if number < count:
        return tiff.pages[number], 0
    first = tiff.pages[0]
    if count == 1 and first.is_contiguous:
        series = tiff.series[0]
        planes = series.size // max(first.size, 1)
        if series.keyframe is first and series.size == planes * first.size:
            count = max(planes, 1)
        if number < count:
            return first, number * first.nbytes
    raise Unreadable(f"has {count} pages, counted from 0: no {number}")


def _roles(page: Any) -> dict[int, str]:
    """What each band is said to be: by extra samples, and by GDAL's metadata."""
    extra = tuple(page.extrasamples)
    first = page.samplesperpixel - len(extra)
    roles = {first + i: "alpha" for i, kind in enumerate(extra) if kind in _ALPHA}
    if page.photometric == 2 and first >= 3:
        roles |= {0: "red", 1: "green", 2: "blue"}
    if _METADATA in page.tags:
        text = str(page.tags[_METADATA].value)
        for item, role in re.findall(r"<Item ([^<>]*)>([^<>]*)</Item>", text):
            about = dict(re.findall(r'(\w+)="([^"]*)"', item))
            if about.get("role") == "colorinterp" and about.get("sample", "").isdigit():
                roles[int(about["sample"])] = role.lower()
    return roles
