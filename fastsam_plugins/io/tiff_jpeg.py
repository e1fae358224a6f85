"""JPEG in the strips and tiles of TIFF files: whole, and in the colours that the TIFF names.

libjpeg guesses colours from markers, and shows what is left of a JPEG that was cut off.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.io.image_errors import Unreadable

_ALONE = (0x00, 0x01, *range(0xD0, 0xDA))  # markers without content, and no marker
_SCAN, _END = 0xDA, b"\xff\xd9"


def jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Rows and columns of a JPEG, by its start of frame; None if it has none."""
    for kind, place in _markers(data):
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):
            rows, columns = struct.unpack_from(">HH", data, place + 5)
            return rows, columns
    return None


def decoded(data: bytes, page: Any, shape: tuple[int, int, int]) -> NDArray:
    """The values (rows, columns, samples) of a segment, whose shape is that whole.

    Raises
    ------
    Unreadable
        If it is not whole.
    """
    import imagecodecs

    if not _ends(data):
        raise Unreadable("is damaged or truncated: a JPEG in it has no end")
    rows, columns, samples = shape
    # As libtiff has it: what the TIFF says counts, whatever the markers of the JPEG say.
    out = {1: "GRAYSCALE", 3: "RGB", 4: "CMYK"}.get(samples)
    held = "YCBCR" if samples == 3 and page.photometric == 6 else out
    values = imagecodecs.jpeg_decode(
        data, tables=page.jpegtables, shape=(rows, columns), colorspace=held, outcolorspace=out
    )
    values = values[..., None] if values.ndim == 2 else values
    values = values[:rows, :columns]
    if values.shape != shape or values.dtype != np.dtype(page.dtype):
        size = " x ".join(map(str, values.shape))
        raise Unreadable(
            f"is damaged: a piece of {rows} x {columns} x {samples} values holds {size}"
        )
    return values


def _ends(data: bytes) -> bool:
    """Whether a JPEG goes on to its end."""
    for kind, place in _markers(data):
        if kind == _SCAN:
            return data.rfind(_END, place) >= 0
    return False


def _markers(data: bytes) -> Iterator[tuple[int, int]]:
    """Kinds and places of the markers in a JPEG, as far as they are whole."""
    place = 0
    while (place := data.find(b"\xff", place)) >= 0 and place + 9 <= len(data):
        kind = data[place + 1]
        if kind == 0xFF or kind in _ALONE:
            place += 1 if kind == 0xFF else 2
            continue
        yield kind, place
        place += 2 + max(struct.unpack_from(">H", data, place + 2)[0], 2)
