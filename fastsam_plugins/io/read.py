"""Image files to RGB arrays."""

from __future__ import annotations

import contextlib
import io
import math
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins import limits as L
from fastsam_plugins.images.contrast import ImageError, from_rows
from fastsam_plugins.images.reduced_image import ReducedImage
from fastsam_plugins.images.windowed_image import WindowedImage
from fastsam_plugins.io import raster
from fastsam_plugins.io.formats import GEO_KEYS, is_tiff
from fastsam_plugins.io.high_depth import deep_values
from fastsam_plugins.io.image_errors import Unreadable, check_there, told
from fastsam_plugins.io.pixel_meaning import (
    TiffShows,
    Upright,
    Whole,
    palette,
    turned_back,
    upright,
    upright_size,
)
from fastsam_plugins.io.sidecars import Beside, aux_xml, mask_of
from fastsam_plugins.io.tiff import TiffPixels
from fastsam_plugins.io.tiff_unpack import JPEG2000
from fastsam_plugins.io.window_readers import PillowRows, RasterRows, check_pixels
from fastsam_plugins.options import LimitOptions, ReadOptions

TIFF = (".tif", ".tiff")
ORIENTATION = 0x0112  # the tag of EXIF and TIFF


def read_image(
    path: str | Path, options: ReadOptions | None = None, limits: LimitOptions | None = None
) -> NDArray[np.uint8]:
    """Read an image file as RGB, upright.

    Gray, RGB, RGBA, palette, 16-bit and float images, EXIF orientation, pages of TIFF files and
    GeoTIFF are understood; see :class:`ReadOptions` for bands and contrast. What a file says is no
    data counts for no contrast, and a stretch shows it black.

    Returns
    -------
    uint8 array (H, W, 3)

    Raises
    ------
    ImageError
        If the file is missing, empty, truncated or no image, or asks for more than
        :class:`LimitOptions` allow; one line saying which.
    """
    options, limits = ReadOptions.of(options), limits or L.DEFAULT
    path = Path(path)
    with told(path):
        return _shown(_opened(path, options.page, limits, L.Clock(limits)), options, path)


def read_for_network(
    path: str | Path,
    side: Callable[[], int],
    options: ReadOptions | None = None,
    limits: LimitOptions | None = None,
    whole: bool = False,
) -> NDArray[np.uint8] | ReducedImage:
    """Read an image file for a network whose input has a longest side of ``side()`` pixels.

    With ``options.reduced``, a JPEG that is at least twice as large is decoded at half, a quarter
    or an eighth of its size, no smaller than the input; with ``whole``, at its own size as well.
    Everything else is read as by :func:`read_image`, which also says what is raised. ``side`` is
    called for a JPEG alone, once its header was read.
    """
    options, limits = ReadOptions.of(options), limits or L.DEFAULT
    path = Path(path)
    if not options.reduced or options.page:
        return read_image(path, options, limits)
    with told(path):
        check_there(path)
        pixels, shape = None, (0, 0)
        if not is_tiff(path):
            with open_image(path, limits, L.Clock(limits)) as image:
                if image.format in ("JPEG", "MPO"):
                    orientation = image.getexif().get(ORIENTATION, 1)
                    shape = upright(image.size[::-1], orientation)
                    if _drafted(image, side()):
                        source = PillowRows(image, limits)
                        source.orientation = orientation  # type: ignore[attr-defined]
                        pixels = _shown(source, options, path)
        if pixels is None:
            return read_image(path, options, limits)
        return ReducedImage(pixels, shape, read_image(path, options, limits) if whole else None)


def _drafted(image: Any, side: int) -> bool:
    """Whether a JPEG that Pillow has opened will be decoded smaller, but no smaller than so."""
    size = image.size
    wanted = side / max(size)
    if wanted < 1:
        image.draft(None, [math.ceil(s * wanted) for s in size])
    return bool(image.size != size)


def image_size(path: str | Path, limits: LimitOptions | None = None) -> tuple[int, int]:
    """(height, width) of an image file as it is read, upright; pixels are not decoded.

    Raises
    ------
    ImageError
        As :func:`read_image`, as far as the header tells.
    """
    path, limits = Path(path), limits or L.DEFAULT
    with told(path):
        check_there(path)
        if is_tiff(path):
            return upright_size(_tiff_source(path, 0, limits, L.Clock(limits)))
        with open_image(path, limits) as image:
            return upright(image.size[::-1], image.getexif().get(ORIENTATION, 1))


def orientation(path: str | Path, limits: LimitOptions | None = None) -> int:
    """How the first page of an image file is stored, 1 to 8 as in EXIF; 1 if it stays so.

    Raises
    ------
    ImageError
        As :func:`image_size`.
    """
    path, limits = Path(path), limits or L.DEFAULT
    with told(path):
        check_there(path)
        if is_tiff(path):
            clock = L.Clock(limits)
            if isinstance(_tiff_source(path, 0, limits, clock), RasterRows):
                return 1
            return TiffPixels(path, 0, limits, clock).orientation
        with open_image(path, limits) as image:
            return int(image.getexif().get(ORIENTATION, 1))


def open_raster(
    path: str | Path, options: ReadOptions | None = None, limits: LimitOptions | None = None
) -> WindowedImage:
    """Open an image file to be read window by window, as RGB.

    A TIFF is read as far as somebody asks, whatever its size (a GeoTIFF by the extra ``geo``,
    where it is installed); any other file at once, as by :func:`read_image`, which also says what
    is raised.
    """
    options, limits = ReadOptions.of(options), limits or L.DEFAULT
    path = Path(path)
    if not is_tiff(path):
        return WindowedImage(read_image(path, options, limits))
    with told(path):
        source = _tiff_source(path, options.page, limits, L.Clock(limits))
    image = Upright(source, options, str(path), getattr(source, "orientation", 1))

    def read(window: tuple[int, int, int, int]) -> NDArray:
        source.clock = L.Clock(limits)
        with told(path):
            return image.window(window)

    with told(path):
        return WindowedImage(image, image.options, read)


def _opened(path: Path, page: int, limits: LimitOptions, clock: L.Clock) -> Any:
    """An image file as a source: by what is in it, whatever its name says."""
    check_there(path)
    if is_tiff(path):
        return _tiff_source(path, page, limits, clock, at_once=True)
    return _pillow_source(path, page, limits, clock)


def _pillow_source(path: Path, page: int, limits: LimitOptions, clock: L.Clock) -> Any:
    with open_image(path, limits, clock) as image:
        _seek(image, page)
        deep = deep_values(image, path, limits)  # before the next line, which decodes PNG
        orientation = image.getexif().get(ORIENTATION, 1)
        source: Any = PillowRows(image, limits) if deep is None else Whole(*deep)
        source.orientation = orientation
        return source


def _seek(image: Any, page: int) -> None:
    """Go to a frame of an animation."""
    if not page:
        return
    count = getattr(image, "n_frames", 1)
    if page >= count:
        pages = "one page" if count == 1 else f"{count} pages, counted from 0: no {page}"
        raise Unreadable(f"has {pages}")
    image.seek(page)


# What Pillow turns into RGB, with chroma that is stored for several pixels together.
_COLOR_SPACES = ("YCBCR", "ITULAB")
_JPEG = (6, 7, 34892, 33007)


def _tiff_source(
    path: Path, page: int, limits: LimitOptions, clock: L.Clock, at_once: bool = False
) -> Any:
    """A page of a TIFF: by GDAL if it lies on the map, else by tifffile."""
    import tifffile

    check_there(path)
    pixels = TiffPixels(path, page, limits, clock)
    header, kinds = pixels.page, tifffile.PHOTOMETRIC
    if at_once:
        check_pixels((header.imagelength, header.imagewidth), limits)
    beside = aux_xml(path) if page == 0 else Beside()
    if page == 0 and palette(header, beside.palette) is None and _gdal_reads(header):
        return RasterRows(raster.Raster(path), limits, clock)
    if header.photometric in (32803, 34892) or (page == 0 and header.is_reduced and header.subifds):
        raise Unreadable("is the raw file of a camera: develop it to a TIFF first")
    converted = header.photometric in [kinds[name] for name in _COLOR_SPACES]
    if converted and int(header.compression) not in (*_JPEG, *JPEG2000):
        check_pixels((header.imagelength, header.imagewidth), limits)
        source = _pillow_source(path, page, limits, clock)
        source.orientation = 1  # Pillow turns TIFF upright
        return source
    pixels.prepare()
    if pixels.nodata is None:
        pixels.nodata = beside.nodata
    return TiffShows(pixels, mask_of(path, page, pixels, limits, clock), beside.palette)


def _gdal_reads(page: Any) -> bool:
    """Whether GDAL is to read the first page of a TIFF: it lies on the map, in common colours."""
    import tifffile

    kinds = tifffile.PHOTOMETRIC
    common = kinds.MINISBLACK, kinds.RGB, kinds.YCBCR
    return GEO_KEYS in page.tags and raster.available() and page.photometric in common


class _Timed(io.BufferedReader):
    """A file that ends its reader when the time is over."""

    def __init__(self, path: Path, clock: L.Clock) -> None:
        super().__init__(io.FileIO(path))
        self._clock = clock

    def read(self, size: int | None = -1, /) -> bytes:
        self._clock.check()
        return super().read(size)


def open_image(path: Path, limits: LimitOptions | None = None, clock: L.Clock | None = None) -> Any:
    """What PIL's ``Image.open`` opens, of images that are within our limits instead of its own.

    Importing ultralytics replaces ``Image.open`` by one that pip-installs a HEIF decoder when a
    file is no image: this goes without.

    Raises
    ------
    PIL.UnidentifiedImageError
        If it is no image.
    ImageError
        If it has too many pixels.
    """
    limits = limits or L.DEFAULT
    file = _Timed(path, clock or L.Clock(limits))
    try:
        image = _identified(file, path)
        if problem := L.too_many_pixels(image.size[::-1], limits):
            raise ImageError(f"{path} {problem}")
    except BaseException:
        file.close()
        raise
    image._exclusive_fp = True  # closing the image closes the file, as if Pillow had opened it
    return image


_PROGRAMS = ("EPS",)  # which are run to be looked at


def _identified(file: _Timed, path: Path) -> Any:
    """The image in a file, by the first of Pillow's plugins that takes it; not decoded."""
    from PIL import Image, UnidentifiedImageError

    beginning = file.read(16)
    for prepare in (Image.preinit, Image.init):  # the common formats, then all
        prepare()
        for name in [n for n in Image.ID if n not in _PROGRAMS]:
            factory, accept = Image.OPEN[name]
            with contextlib.suppress(SyntaxError, IndexError, TypeError, struct.error):
                taken = accept is None or accept(beginning)
                if not taken or isinstance(taken, str):  # a text says what is not installed
                    continue
                file.seek(0)
                return factory(file, "")
    raise UnidentifiedImageError(f"cannot identify image file {str(path)!r}")


def _shown(source: Any, options: ReadOptions, path: Path) -> NDArray[np.uint8]:
    """An image as RGB, upright: an EXIF or TIFF orientation (1 to 8) is undone."""
    rows = Upright(source, options, str(path))
    out = np.empty((*upright_size(source), 3), np.uint8)
    from_rows(rows, rows.options, turned_back(out, getattr(source, "orientation", 1)))
    if not rows.some and options.nan is None:
        raise ImageError(f"{path} has nothing but NaN and infinite values")
    return out
