"""Any array -> the RGB image that the network sees."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.images import percentiles
from fastsam_plugins.options import ReadOptions


class ImageError(ValueError):
    """An image cannot be read or shown; the message says what to do."""


class Rows(Protocol):
    """An image (H, W) or (H, W, C) that is read some rows at a time: ``rows[y0:y1]``.

    Rows may be masked where there are no data. ``step``, if there is one, is how many rows are
    best read together.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the image."""

    @property
    def dtype(self) -> Any:
        """Of its values."""

    def __getitem__(self, index: slice, /) -> NDArray: ...


_DEFAULT = ReadOptions()
_STRIP = 1 << 20  # pixels of an image that are looked at together


def to_rgb(image: Any, options: ReadOptions = _DEFAULT) -> NDArray[np.uint8]:
    """Turn an image array into RGB.

    Parameters
    ----------
    image : array (H, W) or (H, W, C), or PIL image
        Gray, RGB, RGBA or many bands; 8- or 16-bit integers, other integers, booleans or floats.
        Channels come last. A PIL image of any mode is shown as its file is read, but for the
        orientation of its EXIF: it stays as it lies.
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
        If the array is empty, not an image, has NaN or infinite values, lacks a band, or takes
        more memory than there is.
    """
    array = as_array(image)
    try:
        return from_rows(array, options)
    except MemoryError:
        height, width = array.shape[:2]
        raise ImageError(
            f"the image of {width} x {height} pixels takes {3e-9 * height * width:.0f} GB as RGB, "
            "more than there is: segment_tiled (--tiled) looks at it in windows"
        ) from None


def as_array(image: Any) -> NDArray:
    """An image as an array; a PIL image as gray or RGB: palettes and inks are no values."""
    if isinstance(image, np.ndarray):
        return image
    from PIL import Image

    if isinstance(image, Image.Image):
        mode = pillow_mode(image.mode)
        return np.asarray(image if image.mode == mode else image.convert(mode))
    return np.asarray(image)


def pillow_mode(mode: str) -> str:
    """What an image of PIL of this mode is shown as: gray or RGB of as many bits."""
    if mode in ("1", "LA", "La"):
        return "L"
    return mode if mode in ("L", "RGB", "F") or mode.startswith("I") else "RGB"


def from_rows(
    rows: Rows, options: ReadOptions = _DEFAULT, out: NDArray[np.uint8] | None = None
) -> NDArray[np.uint8]:
    """What :func:`to_rgb` makes of an image, of which no more than a strip is held at a time.

    Parameters
    ----------
    rows : Rows
        Arrays are.
    options : ReadOptions
    out : uint8 array (H, W, 3), optional
        Where to put it; may be a view of any order.
    """
    check(rows.shape, np.dtype(rows.dtype))
    dtype, contrast = np.dtype(rows.dtype), options.contrast
    if contrast == "auto":
        contrast = "none" if dtype == np.uint8 else "percentile"
    kept = contrast == "none" and dtype == np.uint8
    if kept and out is None and isinstance(rows, np.ndarray):
        array, _ = chosen(rows, options)
        return np.ascontiguousarray(np.broadcast_to(array, (*array.shape[:2], 3)))
    if out is None:
        out = np.empty((*rows.shape[:2], 3), np.uint8)
    if kept or dtype == np.bool_:
        for y0, y1, array, _ in _strips(rows, options):
            out[y0:y1] = array if kept else array.astype(np.uint8) * 255
        return out

    def values() -> Iterator[NDArray]:
        for _, _, array, hidden in _strips(rows, options):
            yield shown_values(array, hidden)

    low, high = limits(values, contrast, options)
    table = _table(dtype, low, high) if out.size > 1 << 16 else None
    for y0, y1, array, hidden in _strips(rows, options):
        strip = np.empty(array.shape, np.uint8)
        flat, into = array.reshape(-1, 1), strip.reshape(-1, 1)
        for piece, place in zip(percentiles.pieces(flat), percentiles.pieces(into), strict=True):
            place[:] = _stretched(piece, low, high, table)
        strip[hidden] = 0
        out[y0:y1] = strip
    return out


def _strips(rows: Rows, options: ReadOptions) -> Iterator[tuple[int, int, NDArray, Any]]:
    """The image in strips ``(y0, y1, bands, hidden)``; see :func:`chosen`."""
    height, width = rows.shape[:2]
    step = max(_STRIP // width, 1)
    together = getattr(rows, "step", 1)
    step = max(step // together, 1) * together
    for y0 in range(0, height, step):
        y1 = min(y0 + step, height)
        yield y0, y1, *chosen(rows[y0:y1], options)


def shown_values(array: NDArray, hidden: Any) -> NDArray:
    """Values (n, C) of the pixels (H, W, C) that are not hidden."""
    return (array[~hidden] if np.ndim(hidden) else array).reshape(-1, array.shape[2])


def _stretched(
    values: NDArray, low: float, high: float, table: NDArray[np.uint8] | None
) -> NDArray[np.uint8]:
    if table is not None:
        native = np.ascontiguousarray(values, values.dtype.newbyteorder("="))
        return np.asarray(table[native.view(f"u{native.dtype.itemsize}")])
    values = values.astype(np.float64)
    if not np.isfinite(high - low):  # doubles that are farther apart than the largest of them
        values, low, high = values / 2, low / 2, high / 2
    with np.errstate(over="ignore"):  # what is far outside is clipped
        scaled = (values - low) * (255 / (high - low) if high > low else 0)
    return np.rint(np.clip(scaled, 0, 255)).astype(np.uint8)


def _table(dtype: np.dtype, low: float, high: float) -> NDArray[np.uint8] | None:
    """What becomes of every value of a type that has few."""
    if dtype.kind not in "ui" or dtype.itemsize > 2:
        return None
    every = np.arange(1 << (8 * dtype.itemsize)).astype(f"u{dtype.itemsize}")
    return _stretched(every.view(dtype.newbyteorder("=")), low, high, None)


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
    array = chosen_bands(array, options.bands)
    hidden = np.ma.getmask(image)  # plain False where there is none
    if hidden is not np.ma.nomask:
        hidden = hidden if hidden.ndim == 2 else hidden.all(axis=2)
        if array.dtype.kind == "f":
            array = np.where(hidden[:, :, None], 0, array)
    if array.dtype.kind == "f" and not (finite := np.isfinite(array)).all():
        if options.nan is None:
            raise ImageError(
                "the image has NaN or infinite values: say what is shown instead, as by --nan 0 "
                "(nan=0 in Python)"
            )
        array = np.where(finite, array, np.asarray(options.nan, array.dtype))
    return array, hidden


def chosen_bands(array: NDArray, bands: str | None) -> NDArray:
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


def limits(parts: percentiles.Parts, contrast: str, options: ReadOptions) -> tuple[float, float]:
    """Black and white point.

    Parameters
    ----------
    parts : callable
        Gives the values part by part, (n, C), as often as it is called.
    contrast : str
    options : ReadOptions
    """
    if contrast == "fixed":
        return options.low, options.high
    if contrast == "none":
        return 0.0, 255.0
    share = options.percentile if contrast == "percentile" else 0.0
    low, high = percentiles.percentiles(parts, [share, 100 - share])
    # One stretch for all bands keeps the colours' balance.
    return (float(low.min()), float(high.max())) if low.size else (0.0, 0.0)
