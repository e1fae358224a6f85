"""Image files as they are stored: for label images, whose values are no colours."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins import limits as L
from fastsam_plugins.images.contrast import ImageError
from fastsam_plugins.io import pixel_meaning
from fastsam_plugins.io.formats import is_tiff
from fastsam_plugins.io.high_depth import deep_values
from fastsam_plugins.io.image_errors import check_there, told
from fastsam_plugins.io.read import ORIENTATION, open_image
from fastsam_plugins.io.sidecars import MASK, REDUCED, aux_xml, mask_of
from fastsam_plugins.io.tiff import TiffPixels
from fastsam_plugins.io.window_readers import check_pixels
from fastsam_plugins.options import LimitOptions

_UNPACKED = {"L;2": 85, "L;4": 17}  # what Pillow multiplies the values of small gray PNG by
_JPEG = (6, 7)  # TIFF compressions


@dataclass(frozen=True)
class Stored:
    """What an image file holds, upright.

    Attributes
    ----------
    values : array (H, W) or (H, W, C)
        Of the file's own type, without alpha; of a palette image the numbers of its entries.
    nodata : float, optional
        The value that stands for no data, if the file names one.
    hidden : bool array (H, W), optional
        Pixels that the file's mask or alpha channel hides.
    palette : uint8 array (K, 3), optional
    lossy : bool
        Whether the values need not be those that were saved, as in JPEG.
    """

    values: NDArray
    nodata: float | None = None
    hidden: NDArray[np.bool_] | None = None
    palette: NDArray[np.uint8] | None = None
    lossy: bool = False


def read_stored(path: str | Path, limits: LimitOptions | None = None) -> Stored:
    """The values of a file: any image format, or ``.npy``; the bytes say which, not the name.

    Raises
    ------
    ImageError
        If it is missing, damaged or no image, has several pages, or asks for more than
        :class:`LimitOptions` allow; one line that says which.
    """
    path, limits = Path(path), limits or L.DEFAULT
    with told(path):
        check_there(path)
        if _beginning(path, 6) == b"\x93NUMPY":
            return _numpy(path, limits)
        if is_tiff(path):
            return _tiff(path, limits)
        return _pillow(path, limits)


def _beginning(path: Path, count: int) -> bytes:
    with path.open("rb") as stream:
        return stream.read(count)


def _pillow(path: Path, limits: LimitOptions) -> Stored:
    with open_image(path, limits) as image:
        if image.format != "MPO" and (count := getattr(image, "n_frames", 1)) > 1:
            raise ImageError(f"{path} has {count} pages, and one is needed")
        raw, mode = str(image.tile), image.mode
        lossy = image.format in ("JPEG", "MPO", "JPEG2000") or (
            image.format == "WEBP" and b"VP8 " in _beginning(path, 40)
        )
        precise = deep_values(image, path, limits)  # before the next line, which decodes PNG
        deep = None if precise is None else precise[0]
        orientation = image.getexif().get(ORIENTATION, 1)
        values = pixel_meaning.turned(np.asarray(image) if deep is None else deep, orientation)
        palette = None
        if mode in ("P", "PA"):
            palette = np.asarray(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
    if deep is None:
        alpha = mode in ("LA", "PA", "RGBA")
    else:
        alpha = deep.ndim == 3 and deep.shape[2] in (2, 4)
    values, hidden = _apart(values, values.shape[2] - 1 if alpha else None)
    for packed, factor in _UNPACKED.items():
        if f"'{packed}'" in raw:
            values = values // np.uint8(factor)
    return Stored(values, None, hidden, palette, lossy)


def _apart(values: NDArray, alpha: int | None) -> tuple[NDArray, NDArray[np.bool_] | None]:
    """Values without alpha, and where that hides them."""
    if alpha is None or values.ndim != 3:
        return values, None
    hidden = values[..., alpha] == 0
    values = np.delete(values, alpha, axis=2)
    return values[..., 0] if values.shape[2] == 1 else values, hidden


def _numpy(path: Path, limits: LimitOptions) -> Stored:
    values = np.load(path, mmap_mode="r", allow_pickle=False)
    values = values.squeeze() if values.ndim > 2 and 1 in values.shape else values
    if values.ndim < 2:
        raise ImageError(f"{path} is no image: it has the shape {values.shape}")
    check_pixels(values.shape, limits)
    return Stored(np.array(values))


def _tiff(path: Path, limits: LimitOptions) -> Stored:
    import tifffile

    with tifffile.TiffFile(path) as tiff:
        number = _pages(tiff, path)
        page = tiff.pages[number]
        inverted = page.photometric == tifffile.PHOTOMETRIC.MINISWHITE
        by_tifffile = page.software.startswith("tifffile")
        lossy = page.compression in _JPEG or page.photometric == tifffile.PHOTOMETRIC.YCBCR
    beside = aux_xml(path)
    pixels, values = _page(path, number, limits)
    values, hidden = _apart(values, pixels.alpha)
    # tifffile says so of the masks of bits that it writes, and does not invert them.
    if inverted and pixels.bits == 1 and not by_tifffile:
        values = ~values if values.dtype == np.bool_ else 1 - values
    mask = mask_of(path, number, pixels, limits, L.Clock(limits))
    if mask is not None:
        masked = pixel_meaning.turned(pixel_meaning.masked(mask[:]), pixels.orientation)
        hidden = masked if hidden is None else hidden | masked
    nodata = beside.nodata if pixels.nodata is None else pixels.nodata
    return Stored(values, nodata, hidden, pixel_meaning.palette(pixels.page, beside.palette), lossy)


def _page(path: Path, number: int, limits: LimitOptions) -> tuple[TiffPixels, NDArray]:
    pixels = TiffPixels(path, number, limits, L.Clock(limits))
    check_pixels((pixels.page.imagelength, pixels.page.imagewidth), limits)
    pixels.prepare()
    return pixels, pixel_meaning.turned(pixels[:], pixels.orientation)


def _pages(tiff: Any, path: Path) -> int:
    """The one page that is an image; masks and smaller copies are passed over."""
    images = []
    for number, page in enumerate(tiff.pages):
        if not int(page.subfiletype) & (MASK | REDUCED):
            images.append(number)
        if len(images) > 1:
            raise ImageError(f"{path} has {len(tiff.pages)} pages, and one is needed")
    if not images:
        raise ImageError(f"{path} is damaged or truncated (it has no page)")
    return images[0]
