"""Image files to RGB arrays."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.files import geo
from fastsam_plugins.images import ImageError, to_rgb
from fastsam_plugins.options import ReadOptions
from fastsam_plugins.shown import Shown

TIFF = (".tif", ".tiff")


def read_image(path: str | Path, options: ReadOptions | None = None) -> NDArray[np.uint8]:
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
        If the file is missing, empty, truncated or no image; one line saying which.
    """
    options = options or ReadOptions()
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
    array = _read_tiff(path, options.page) if is_tiff else _read_pil(path)
    try:
        return to_rgb(array, options)
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from None


def open_raster(path: str | Path, options: ReadOptions | None = None) -> Shown:
    """Open an image file to be read window by window, as RGB.

    A GeoTIFF is read as far as somebody asks (extra ``geo``), whatever its size; any other file at
    once, as by :func:`read_image`, which also says what is raised.
    """
    options = options or ReadOptions()
    if not options.page and geo.is_geotiff(path):
        import tifffile

        with tifffile.TiffFile(path) as tiff:
            by_gdal = _gdal_reads(tiff.pages[0])
        if by_gdal:
            raster = geo.Raster(path)
            return Shown(raster, options, raster.read)
    return Shown(read_image(path, options))


def _gdal_reads(page: Any) -> bool:
    """Whether GDAL is to read the first page of a TIFF: it lies on the map, in common colours."""
    import tifffile

    others = tifffile.PHOTOMETRIC.PALETTE, tifffile.PHOTOMETRIC.MINISWHITE
    return geo.GEO_KEYS in page.tags and geo.available() and page.photometric not in others


def open_image(path: Path) -> Any:
    """PIL's ``Image.open``.

    Importing ultralytics replaces it by one that pip-installs a HEIF decoder when a file is no
    image: this is the real one.
    """
    from PIL import Image

    patches = sys.modules.get("ultralytics.utils.patches")
    return getattr(patches, "_image_open", Image.open)(path)


def _read_pil(path: Path, page: int = 0) -> NDArray:
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with open_image(path) as opened:
            if page:
                opened.seek(page)
            image = ImageOps.exif_transpose(opened)
            if image.mode in ("1", "LA", "La"):
                image = image.convert("L")
            elif image.mode not in ("L", "RGB", "F") and not image.mode.startswith("I"):
                image = image.convert("RGB")
            return np.asarray(image)
    except UnidentifiedImageError:
        raise ImageError(f"{path} is not an image this can read") from None
    except Image.DecompressionBombError:
        limit = 2 * (Image.MAX_IMAGE_PIXELS or 0) / 1e6
        raise ImageError(
            f"{path} has more than {limit:.0f} million pixels: cut it into parts, or save it as "
            "uncompressed TIFF"
        ) from None
    except (OSError, SyntaxError, ValueError) as error:
        raise ImageError(f"{path} is damaged or truncated ({error})") from None


_NODATA = 42113  # GDAL's tag: a number as text

# What tifffile hands out as stored and Pillow turns into RGB.
_COLOR_SPACES = ("PALETTE", "SEPARATED", "YCBCR", "CIELAB")


def _read_tiff(path: Path, page: int) -> NDArray:
    import tifffile

    try:
        with tifffile.TiffFile(path) as tiff:
            if page >= len(tiff.pages):
                raise ImageError(f"{path} has {len(tiff.pages)} pages, counted from 0: no {page}")
            found = tiff.pages[page]
            kind = found.photometric
            if page == 0 and _gdal_reads(found):
                # GDAL knows every compression, mask and alpha band that GeoTIFF come with.
                return geo.Raster(path).read()
            if kind in [tifffile.PHOTOMETRIC[name] for name in _COLOR_SPACES]:
                return _read_pil(path, page)
            array = found.asarray()
            if found.axes.startswith("S"):  # bands stored one after another
                array = np.moveaxis(array, 0, -1)
            if kind == tifffile.PHOTOMETRIC.MINISWHITE and array.dtype.kind in "bu":
                array = np.invert(array)
            if found.samplesperpixel == 2 and {1, 2}.intersection(found.extrasamples):
                array = array[..., 0]  # gray; the other is alpha
            if _NODATA in found.tags:
                array = geo.without(array, float(found.tags[_NODATA].value))
            orientation = found.tags.get("Orientation")
            return _upright(array, int(orientation.value) if orientation else 1)
    except ImageError:
        raise
    except tifffile.TiffFileError:
        raise ImageError(f"{path} is not an image this can read") from None
    except Exception as error:  # damaged bytes break the parser in any way
        if "imagecodecs" in str(error):  # a compression tifffile has no decoder for
            try:
                return _read_pil(path, page)
            except ImageError as second:
                raise ImageError(f"{second} ({error})") from None
        raise ImageError(f"{path} is damaged or truncated ({error})") from error


def _upright(array: NDArray, orientation: int) -> NDArray:
    """Undo an EXIF or TIFF orientation (1 to 8)."""
    if orientation >= 5:
        array = array.swapaxes(0, 1)
    if orientation in (2, 3, 7, 6):
        array = array[:, ::-1]
    if orientation in (4, 3, 7, 8):
        array = array[::-1]
    return array
