"""What the values of image files stand for: colours, alpha, no data, upright."""

from __future__ import annotations

import warnings
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.geometry import Window
from fastsam_plugins.images.contrast import chosen_bands
from fastsam_plugins.io import raster
from fastsam_plugins.io.tiff import TiffPixels
from fastsam_plugins.options import ReadOptions

_CIELAB = 8  # of which a and b are signed


class Source(Protocol):
    """An image (H, W) or (H, W, C) that is read by windows, masked where there are no data.

    It may have ``step``, rows that are best read together; ``colors``, the bands that are red,
    green and blue; ``bits`` of a value, where that is less than its type has; and a ``clock``.
    """

    shape: tuple[int, ...]
    dtype: Any

    def window(self, window: Window) -> NDArray:
        """Values (h, w) or (h, w, C) of ``(x0, y0, x1, y1)``."""


class TiffShows:
    """A TIFF image: inverted gray, palettes and inks as colours, alpha and no data as a mask.

    Parameters
    ----------
    pixels : TiffPixels
    mask : TiffPixels, optional
        Where it is 0, there are no data.
    colors : uint8 array (n, 3), optional
        A palette that lies beside the file.
    """

    def __init__(
        self,
        pixels: TiffPixels,
        mask: TiffPixels | None = None,
        colors: NDArray[np.uint8] | None = None,
    ) -> None:
        import tifffile

        self._mask = mask

        kinds, self._pixels = tifffile.PHOTOMETRIC, pixels
        self.step, self.colors, self.bits = pixels.step, pixels.colors, pixels.bits
        self.orientation = pixels.orientation
        self.dtype, kind, shape = pixels.dtype, pixels.page.photometric, pixels.shape
        self.palette = palette(pixels.page, colors)
        self._inverted = kind == kinds.MINISWHITE and self.dtype.kind in "bu"
        self._inks = kind == kinds.SEPARATED and len(shape) == 3 and shape[2] in (4, 5)
        three = len(shape) == 3 and shape[2] - len(pixels.page.extrasamples) == 3
        lab = kind in (kinds.CIELAB, kinds.ICCLAB) and three and self.dtype.kind == "u"
        self._lab = int(kind) if lab else None
        self._alpha = pixels.alpha
        if self._alpha is not None:
            shape = shape[:2] if shape[-1] == 2 else (*shape[:2], shape[-1] - 1)
        if self.palette is not None or self._inks or lab:
            shape, self.bits, self.dtype = (*shape[:2], 3), 8, np.dtype(np.uint8)
        self.shape = shape

    @property
    def clock(self) -> Any:
        """Of the file."""
        return self._pixels.clock

    @clock.setter
    def clock(self, clock: Any) -> None:
        self._pixels.clock = clock
        if self._mask is not None:
            self._mask.clock = clock

    def window(self, window: Window) -> NDArray:
        """Values of a window, masked where there are no data."""
        array = self._pixels.window(window)
        hidden: Any = None
        if self._alpha is not None:
            hidden = array[..., self._alpha] == 0
            array = np.delete(array, self._alpha, axis=2)
            array = array[..., 0] if array.shape[2] == 1 else array
        if self._pixels.nodata is not None:
            hidden = raster.same(array, self._pixels.nodata)
        if self._mask is not None:
            hidden = masked(self._mask.window(window))
        if self.palette is not None:
            index = array if array.ndim == 2 else array[..., 0]
            array = self.palette[np.minimum(index, len(self.palette) - 1)]
        elif self._inks:
            array = _rgb_of_inks(array[..., :4])
        elif self._lab:
            array = _rgb_of_lab(array[..., :3], self._lab == _CIELAB)
        elif self._inverted:
            few = self.bits < 8 * array.dtype.itemsize and array.dtype.kind == "u"
            array = (1 << self.bits) - 1 - array if few else np.invert(array)
        if hidden is None:
            return array
        mask = hidden if array.ndim == 2 else np.repeat(hidden[..., None], array.shape[2], 2)
        return np.ma.masked_array(array, mask)


def masked(mask: NDArray) -> NDArray[np.bool_]:
    """Where a mask (h, w) or (h, w, C) hides."""
    return mask == 0 if mask.ndim == 2 else (mask == 0).all(axis=2)


def palette(page: Any, beside: NDArray[np.uint8] | None = None) -> NDArray[np.uint8] | None:
    """The colours (n, 3) of a TIFF page; None if its values are no numbers of colours.

    GDAL leaves an image gray that was given a palette after its pixels: the palette counts.
    """
    import tifffile

    kinds, kind = tifffile.PHOTOMETRIC, page.photometric
    gray = kind == kinds.MINISBLACK and page.samplesperpixel == 1
    whole = page.dtype is not None and np.dtype(page.dtype).kind in "bu"
    if kind != kinds.PALETTE and not (gray and whole and page.bitspersample <= 16):
        return None
    table = page.colormap
    if table is None:
        if beside is None or not whole:
            return None
        black = np.zeros((1 << page.bitspersample, 3), np.uint8)
        return np.concatenate([beside, black])[: len(black)]
    table = np.asarray(table).T
    # Some writers know 8 bits only.
    return (table >> 8 if table.max(initial=0) > 255 else table).astype(np.uint8)


def _rgb_of_inks(array: NDArray) -> NDArray[np.uint8]:
    """CMYK (h, w, 4) as RGB, as Pillow does it."""
    from PIL import Image

    if array.dtype.kind == "f":
        array = np.rint(np.clip(array, 0, 1) * 255)
    elif array.dtype.itemsize > 1:
        array = array >> (8 * (array.dtype.itemsize - 1))
    inks = Image.fromarray(np.ascontiguousarray(array, np.uint8), "CMYK")
    return np.asarray(inks.convert("RGB"))


def _rgb_of_lab(array: NDArray, signed: bool) -> NDArray[np.uint8]:
    """CIE L*a*b* (h, w, 3) as RGB, as Pillow does it."""
    from PIL import Image

    array = (array >> (8 * (array.dtype.itemsize - 1))).astype(np.uint8)
    if not signed:  # a and b begin at -128
        array[..., 1:] ^= 0x80
    height, width = array.shape[:2]
    image = Image.frombytes("LAB", (width, height), array.tobytes(), "raw", "LAB")
    return np.asarray(image.convert("RGB"))


def turned_back(upright: NDArray, orientation: int) -> NDArray:
    """A view (H, W, ...) of an upright image as it is stored with an orientation, 1 to 8."""
    view = upright
    if orientation in (4, 3, 7, 8):
        view = view[::-1]
    if orientation in (2, 3, 7, 6):
        view = view[:, ::-1]
    return view.swapaxes(0, 1) if orientation in (5, 6, 7, 8) else view


def turned(stored: NDArray, orientation: int) -> NDArray:
    """An image (H, W, ...) upright, that is stored with an orientation."""
    view = stored.swapaxes(0, 1) if orientation in (5, 6, 7, 8) else stored
    if orientation in (4, 3, 7, 8):
        view = view[::-1]
    if orientation in (2, 3, 7, 6):
        view = view[:, ::-1]
    return view


def upright_size(source: Any) -> tuple[int, int]:
    """(height, width) of a source that is turned upright."""
    return upright(source.shape[:2], getattr(source, "orientation", 1))


def upright(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    """(height, width) of what is stored so, once it is turned as EXIF's orientation says."""
    return size[::-1] if orientation in (5, 6, 7, 8) else size


class Whole:
    """Values that are held already; those whose alpha is 0 are masked."""

    def __init__(self, values: NDArray, bits: int = 8) -> None:
        self.bits = bits
        count = values.shape[2] if values.ndim == 3 else 1
        self._values, self._alpha = values, None
        if count in (2, 4):
            self._alpha, self._values = values[..., -1], values[..., : count - 1]
        self.shape, self.dtype = self._values.shape, values.dtype

    def window(self, window: Window) -> NDArray:
        """Values of a window."""
        x0, y0, x1, y1 = window
        part = self._values[y0:y1, x0:x1]
        if self._alpha is None:
            return part
        hidden = self._alpha[y0:y1, x0:x1, None] == 0
        return np.ma.masked_array(part, np.broadcast_to(hidden, part.shape))


class Upright:
    """A source as an image is made of it: turned upright, of whole bytes, with finite values.

    Parameters
    ----------
    source : Source
    options : ReadOptions
    name : str
        Of the file, for messages.
    orientation : int
        1 to 8, as in EXIF; undone.

    Attributes
    ----------
    options : ReadOptions
        With the bands that the file marks as red, green and blue, unless others were chosen.
    some : bool
        Whether any of what was read is a number, where that can be told.
    """

    def __init__(self, source: Source, options: ReadOptions, name: str, orientation: int = 1):
        self._source, self._name = source, name
        self._orientation, self.some = orientation, np.dtype(source.dtype).kind != "f"
        self._lying, self._mirrored = orientation in (5, 6, 7, 8), orientation in (2, 3, 6, 7)
        self._flipped, self._told = orientation in (3, 4, 7, 8), False
        colors = getattr(source, "colors", None)
        if options.bands is None and colors not in (None, (0, 1, 2)):
            options = options.replace(bands=",".join(map(str, colors)))
        self.options = options
        height, width = source.shape[:2]
        size = (width, height) if self._lying else (height, width)
        self.shape, self.dtype = (*size, *source.shape[2:]), np.dtype(source.dtype)
        step = int(getattr(source, "step", 1))
        self.step = 1 if self._lying or self._flipped else step
        self.block = self.step, 1
        bits = getattr(source, "bits", 8)
        self._table = None
        if self.dtype.kind == "u" and bits < 8:  # gray of 4 bits is white at 15
            every = np.arange(256) * 255 / ((1 << bits) - 1)
            self._table = np.rint(np.clip(every, 0, 255)).astype(np.uint8)
            self.dtype = np.dtype(np.uint8)

    def __getitem__(self, index: Any) -> NDArray:
        """Rows, or ``[y0:y1, x0:x1]``."""
        full = index if isinstance(index, tuple) else (index, slice(None))
        y, x = (range(n)[i] for i, n in zip(full, self.shape[:2], strict=True))
        return self.window((x.start, y.start, x.stop, y.stop))

    def window(self, window: Window) -> NDArray:
        """Values of a window ``(x0, y0, x1, y1)`` of the upright image."""
        x0, y0, x1, y1 = window
        height, width = self.shape[:2]
        if self._flipped:
            y0, y1 = height - y1, height - y0
        if self._mirrored:
            x0, x1 = width - x1, width - x0
        array = self._source.window((y0, x0, y1, x1) if self._lying else (x0, y0, x1, y1))
        array = turned(array, self._orientation)
        if self._table is not None:
            mask = np.ma.getmask(array)
            array = self._table[np.asarray(array)]
            array = array if mask is np.ma.nomask else np.ma.masked_array(array, mask)
        return self._finite(array) if array.dtype.kind == "f" else array

    def _finite(self, array: NDArray) -> NDArray:
        """NaN and infinite values are no data in a file, and that is told once."""
        values, bands = np.asarray(array), chosen_bands(np.asarray(array), self.options.bands)
        lost = ~np.isfinite(bands).all(axis=2)
        self.some = self.some or not lost.all()
        if not lost.any():
            return array
        hidden: Any = np.ma.getmaskarray(array)
        hidden = hidden if hidden.ndim == 2 else hidden.all(axis=2)
        if self.options.nan is not None:
            hidden = hidden & ~lost
        else:
            if not self._told and (lost & ~hidden).any():
                self._told = True
                warnings.warn(
                    f"{self._name}: values that are NaN or infinite are taken as no data; "
                    "--nan VALUE (nan=VALUE in Python) shows them as a value",
                    stacklevel=2,
                )
            hidden = hidden | lost
        mask = hidden if values.ndim == 2 else np.repeat(hidden[..., None], values.shape[2], 2)
        return np.ma.masked_array(values, mask)
