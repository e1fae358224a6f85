"""Any array -> the RGB image that the network sees."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.options import ReadOptions


class ImageError(ValueError):
    """An image cannot be read or shown; the message says what to do."""


_DEFAULT = ReadOptions()


def to_rgb(image: Any, options: ReadOptions = _DEFAULT) -> NDArray[np.uint8]:
    """Turn an image array into RGB.

    Parameters
    ----------
    image : array (H, W) or (H, W, C)
        Gray, RGB, RGBA or many bands; 8- or 16-bit integers, other integers, booleans or floats.
        Channels come last.
    options : ReadOptions
        ``bands`` picks three bands (by default gray is shown gray, and the first three of more);
        ``contrast`` maps values to 0-255. Masked pixels of a ``numpy.ma`` array count for no
        contrast, and a stretch shows them black.

    Returns
    -------
    uint8 array (H, W, 3)
        May share memory with the input, which is never changed.

    Raises
    ------
    ImageError
        If the array is empty, not an image, has NaN or infinite values, or lacks a band.
    """
    return _stretch(*chosen(image, options), options)


def check(shape: tuple[int, ...], dtype: np.dtype) -> None:
    """Refuse what cannot be an image."""
    if dtype.kind not in "buif":
        raise ImageError(f"an image needs numbers, got {dtype}")
    if len(shape) not in (2, 3):
        raise ImageError(
            f"an image has shape (height, width) or (height, width, channels), got {shape}"
        )
    if not np.prod(shape):
        raise ImageError(f"the image is empty: its shape is {shape}")
    if len(shape) == 3 and shape[0] <= 4 < 16 < shape[2]:
        raise ImageError(
            f"an array of shape {shape} looks as if channels came first: use "
            "image.transpose(1, 2, 0)"
        )


def chosen(image: Any, options: ReadOptions) -> tuple[NDArray, Any]:
    """The bands to show (H, W, 3 or 1), and where there are no data: (H, W), or just False."""
    array = np.asarray(image)
    check(array.shape, array.dtype)
    array = _bands(array, options.bands)
    hidden = np.ma.getmask(image)  # plain False where there is none
    if hidden is not np.ma.nomask:
        hidden = hidden if hidden.ndim == 2 else hidden.all(axis=2)
        if array.dtype.kind == "f":
            array = np.where(hidden[:, :, None], 0, array)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ImageError("the image has NaN or infinite values: replace them, as by np.nan_to_num")
    return array, hidden


def _bands(array: NDArray, bands: str | None) -> NDArray:
    """Three bands (H, W, 3), or one (H, W, 1) that will be shown gray."""
    if array.ndim == 2:
        array = array[:, :, None]
    count = array.shape[2]
    if bands is None:
        if count == 2:
            raise ImageError("the image has 2 channels: say which to show, as in bands=0,0,1")
        return array[:, :, :3]
    try:
        chosen = [int(b) for b in bands.split(",")]
    except ValueError:
        chosen = []
    if len(chosen) not in (1, 3):
        raise ImageError(f"bands must be one or three numbers such as 3,2,1, got {bands!r}")
    if not all(0 <= b < count for b in chosen):
        raise ImageError(f"bands are counted from 0 to {count - 1} in this image, got {bands}")
    return array[:, :, chosen]


def _stretch(array: NDArray, hidden: Any, options: ReadOptions) -> NDArray[np.uint8]:
    contrast = options.contrast
    if contrast == "auto":
        contrast = "none" if array.dtype == np.uint8 else "percentile"
    if array.dtype == np.bool_:
        array = array.astype(np.uint8) * 255
        contrast = "none"
    if contrast == "none" and array.dtype == np.uint8:
        out = array
    else:
        low, high = limits(array[~hidden], contrast, options)
        scaled = (array.astype(np.float64) - low) * (255 / (high - low) if high > low else 0)
        out = np.rint(np.clip(scaled, 0, 255)).astype(np.uint8)
        out[hidden] = 0
    return np.ascontiguousarray(np.broadcast_to(out, (*out.shape[:2], 3)))


def limits(pixels: NDArray, contrast: str, options: ReadOptions) -> tuple[Any, Any]:
    """Black and white point: two numbers, or one pair per band."""
    if contrast == "fixed":
        if options.high <= options.low:
            raise ImageError(
                f"fixed contrast needs low < high, got {options.low:g} and {options.high:g}"
            )
        return options.low, options.high
    if contrast == "none":
        return 0.0, 255.0
    values = pixels.reshape(-1, pixels.shape[-1]).astype(np.float64)
    if not len(values):
        return 0.0, 0.0
    share = options.percentile if contrast == "percentile" else 0.0
    low, high = np.percentile(values, [share, 100 - share], axis=0)
    # One stretch for all bands keeps the colours' balance.
    return low.min(), high.max()
