"""Image files to RGB arrays."""

from __future__ import annotations

import contextlib
import io
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins import limits as L
from fastsam_plugins.files import geo
from fastsam_plugins.files.rows import (
    PillowRows,
    RasterRows,
    TiffRows,
    Unreadable,
    check_blocks,
    check_pixels,
)
from fastsam_plugins.images import ImageError, Rows, from_rows
from fastsam_plugins.messages import one_line
from fastsam_plugins.options import LimitOptions, ReadOptions
from fastsam_plugins.shown import Shown

TIFF = (".tif", ".tiff")


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
    options, limits = options or ReadOptions(), limits or L.DEFAULT
    path = Path(path)
    if path.is_dir():
        raise ImageError(f"{path} is a folder, not an image")
    if not path.is_file():
        raise ImageError(f"there is no file {path}")
    if path.stat().st_size == 0:
        raise ImageError(f"{path} is empty")
    is_tiff = path.suffix.lower() in TIFF
    if options.page and not is_tiff:
        raise ImageError(f"{path} has one page: page counts the pages of TIFF files")
    clock = L.Clock(limits)
    read = _read_tiff if is_tiff else _read_pillow
    try:
        return read(path, options, limits, clock)
    except Unreadable as error:
        raise ImageError(f"{path} {error}") from None
    except TimeoutError as error:
        raise ImageError(f"{path}: {error}") from None


def read_values(path: str | Path, limits: LimitOptions | None = None) -> NDArray:
    """The values of an image file as they are stored, (H, W) or (H, W, C): of label images.

    Raises
    ------
    ImageError
        As :func:`read_image`; and of a TIFF with several pages.
    """
    path, limits = Path(path), limits or L.DEFAULT
    clock = L.Clock(limits)
    try:
        if path.suffix.lower() not in TIFF:
            return _pillow_values(path, limits, clock)
        import tifffile

        with _damage(path), tifffile.TiffFile(path) as tiff:
            if len(tiff.series) != 1 or len(tiff.series[0].pages) != 1:
                raise ImageError(f"{path} has {len(tiff.pages)} pages, and one is needed")
            check_pixels((tiff.pages[0].imagelength, tiff.pages[0].imagewidth), limits)
            try:
                return TiffRows(tiff.pages[0], limits, clock)[:]
            except ValueError as error:
                if "imagecodecs" not in str(error):
                    raise
        return _pillow_values(path, limits, clock)  # knows compressions that tifffile does not
    except Unreadable as error:
        raise ImageError(f"{path} {error}") from None
    except TimeoutError as error:
        raise ImageError(f"{path}: {error}") from None


def _pillow_values(path: Path, limits: LimitOptions, clock: L.Clock) -> NDArray:
    with _damage(path), open_image(path, limits, clock) as image:
        gray = image.mode in ("RGB", "RGBA", "1")
        return np.asarray(image.convert("L") if gray else image)


def open_raster(
    path: str | Path, options: ReadOptions | None = None, limits: LimitOptions | None = None
) -> Shown:
    """Open an image file to be read window by window, as RGB.

    A GeoTIFF is read as far as somebody asks (extra ``geo``), whatever its size; any other file at
    once, as by :func:`read_image`, which also says what is raised.
    """
    options, limits = options or ReadOptions(), limits or L.DEFAULT
    if not options.page and geo.is_geotiff(path):
        import tifffile

        with tifffile.TiffFile(path) as tiff:
            by_gdal = _gdal_reads(tiff.pages[0])
        if by_gdal:
            return _open_windows(Path(path), options, limits)
    return Shown(read_image(path, options, limits))


def _open_windows(path: Path, options: ReadOptions, limits: LimitOptions) -> Shown:
    """A GeoTIFF whose windows are read when they are asked for."""

    def read(window: tuple[int, int, int, int]) -> NDArray:
        with _damage(path):
            return raster.read(window)

    with _damage(path):
        raster = geo.Raster(path)
        try:
            check_blocks(raster, limits)
        except Unreadable as error:
            raise ImageError(f"{path} {error}") from None
    return Shown(raster, options, read)


def _gdal_reads(page: Any) -> bool:
    """Whether GDAL is to read the first page of a TIFF: it lies on the map, in common colours."""
    import tifffile

    others = tifffile.PHOTOMETRIC.PALETTE, tifffile.PHOTOMETRIC.MINISWHITE
    return geo.GEO_KEYS in page.tags and geo.available() and page.photometric not in others


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


@contextlib.contextmanager
def _damage(path: Path) -> Iterator[None]:
    """Errors of Pillow and GDAL, in words."""
    from PIL import Image, UnidentifiedImageError

    try:
        yield
    except (ImageError, Unreadable, TimeoutError):
        raise
    except UnidentifiedImageError:
        raise ImageError(f"{path} is not an image this can read") from None
    except Image.DecompressionBombError as error:
        raise ImageError(f"{path} has parts that are too large ({error})") from None
    except Exception as error:  # damaged bytes break a decoder in any way
        raise ImageError(f"{path} is damaged or truncated ({one_line(error)})") from None


def _read_pillow(
    path: Path, options: ReadOptions, limits: LimitOptions, clock: L.Clock
) -> NDArray[np.uint8]:
    with _damage(path), open_image(path, limits, clock) as image:
        if options.page:
            image.seek(options.page)
        rows = PillowRows(image, limits)
        orientation = image.getexif().get(_ORIENTATION, 1)
        return _shown(rows, options, orientation, path)


_ORIENTATION = 0x0112  # the tag of EXIF and TIFF
_NODATA = 42113  # GDAL's tag: a number as text

# What tifffile hands out as stored and Pillow turns into RGB.
_COLOR_SPACES = ("PALETTE", "SEPARATED", "YCBCR", "CIELAB")


def _read_tiff(
    path: Path, options: ReadOptions, limits: LimitOptions, clock: L.Clock
) -> NDArray[np.uint8]:
    import tifffile

    page, known = options.page, False
    try:
        with tifffile.TiffFile(path) as tiff:
            if not len(tiff.pages):
                raise ImageError(f"{path} is damaged or truncated (it has no page)")
            if page >= len(tiff.pages):
                raise ImageError(f"{path} has {len(tiff.pages)} pages, counted from 0: no {page}")
            found, known = tiff.pages[page], True
            check_pixels((found.imagelength, found.imagewidth), limits)
            kind = found.photometric
            if page == 0 and _gdal_reads(found):
                # GDAL knows every compression, mask and alpha band that GeoTIFF come with.
                return _shown(RasterRows(geo.Raster(path), limits, clock), options, 1, path)
            if kind in [tifffile.PHOTOMETRIC[name] for name in _COLOR_SPACES]:
                return _read_pillow(path, options, limits, clock)
            orientation = found.tags.get("Orientation")
            turned = int(orientation.value) if orientation else 1
            return _shown(_Values(TiffRows(found, limits, clock)), options, turned, path)
    except (ImageError, Unreadable, TimeoutError):
        raise
    except Exception as error:  # damaged bytes break the parser in any way
        if isinstance(error, tifffile.TiffFileError) and not known:
            raise ImageError(f"{path} is not an image this can read") from None
        if "imagecodecs" in str(error):  # a compression tifffile has no decoder for
            try:
                return _read_pillow(path, options, limits, clock)
            except ImageError as second:
                raise ImageError(f"{second} ({one_line(error)})") from None
        raise ImageError(f"{path} is damaged or truncated ({one_line(error)})") from error


class _Values:
    """What the stored values of a TIFF page stand for: inverted gray, alpha, no data."""

    def __init__(self, rows: TiffRows) -> None:
        import tifffile

        page, self._rows = rows.page, rows
        self.dtype, self.step, self.shape = rows.dtype, rows.step, rows.shape
        self._inverted = (
            page.photometric == tifffile.PHOTOMETRIC.MINISWHITE and rows.dtype.kind in "bu"
        )
        self._alpha = page.samplesperpixel == 2 and bool({1, 2}.intersection(page.extrasamples))
        if self._alpha:
            self.shape = rows.shape[:2]
        self._nodata = float(page.tags[_NODATA].value) if _NODATA in page.tags else None

    def __getitem__(self, index: slice) -> NDArray:
        """Rows (h, W) or (h, W, C), masked where there are no data."""
        array = self._rows[index]
        if self._inverted:
            array = np.invert(array)
        if self._alpha:
            array = array[..., 0]  # gray; the other is alpha
        return array if self._nodata is None else geo.without(array, self._nodata)


def _shown(rows: Rows, options: ReadOptions, orientation: int, path: Path) -> NDArray[np.uint8]:
    """An image as RGB, upright: an EXIF or TIFF orientation (1 to 8) is undone."""
    height, width = rows.shape[:2]
    lying = orientation in (5, 6, 7, 8)
    out = np.empty((width, height, 3) if lying else (height, width, 3), np.uint8)
    stored = out
    if orientation in (4, 3, 7, 8):
        stored = stored[::-1]
    if orientation in (2, 3, 7, 6):
        stored = stored[:, ::-1]
    if lying:
        stored = stored.swapaxes(0, 1)
    try:
        from_rows(rows, options, stored)
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from None
    return out
