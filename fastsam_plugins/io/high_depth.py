"""Values that Pillow changes, as they are stored: PNG, PNM and JPEG 2000 of other than 8 bits."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.io.image_errors import Unreadable
from fastsam_plugins.io.tiff_unpack import jpeg2000
from fastsam_plugins.limits import too_much_memory
from fastsam_plugins.options import LimitOptions


def deep_values(image: Any, path: Path, limits: LimitOptions) -> tuple[NDArray, int] | None:
    """Values (H, W) or (H, W, C) and their bits; None where Pillow keeps them as they are.

    The image is one that Pillow has opened. Of bits that it cuts off or moves: 16 of a colour,
    9 to 15 of gray, those of numbers with a sign, and fewer than 8 of JPEG 2000.
    """
    tile = image.tile[0] if getattr(image, "tile", None) else None
    given = getattr(tile, "args", None)
    args = given if isinstance(given, tuple) else (given,)
    deep = any(isinstance(a, str) and ";16" in a for a in args) and image.mode[:2] != "I;"
    deep = deep and image.mode != "I"
    bits: list[int] = []
    if image.format == "PPM":
        highest = args[-1] if isinstance(args[-1], int) else 255
        deep = image.mode in ("I", "RGB") and (highest > 255 or args[0] == "I;16B")
    if image.format == "JPEG2000":
        with open(path, "rb") as file:
            _, bits, signed = jpeg2000(file.read(1 << 20))
        deep = signed or any(b != 8 for b in bits)
    if not deep:
        return None
    width, height = image.size
    if problem := too_much_memory(width * height * (2 * len(image.getbands()) + 3), limits):
        raise Unreadable(problem)
    with open(path, "rb") as file:
        data = file.read()
    if image.format == "PPM":
        return _pnm(data, tile, (height, width, len(image.getbands()))), 16
    if image.format in ("PNG", "JPEG2000"):
        import imagecodecs

        decode = imagecodecs.png_decode if image.format == "PNG" else imagecodecs.jpeg2k_decode
        values = np.asarray(decode(data))
        count = values.shape[2] if values.ndim == 3 else 1
        # Those of a palette say nothing of its colours.
        held = max(bits) if count == len(bits) else 8 * values.dtype.itemsize
        return values, held
    raise Unreadable("has 16 bits per colour, which is lost in this format: save it as TIFF or PNG")


def _pnm(data: bytes, tile: Any, shape: tuple[int, int, int]) -> NDArray[np.uint16]:
    """Values of 16 bits, written as numbers or as text."""
    rest, count = data[tile.offset :], int(np.prod(shape))
    if tile.codec_name == "ppm_plain":
        words = re.sub(rb"#[^\n\r]*", b"", rest).split()[:count]
        values = np.array(words).astype(np.uint16)
    else:
        values = np.frombuffer(rest[: len(rest) // 2 * 2], ">u2")[:count].astype(np.uint16)
    if len(values) < count:
        raise Unreadable("is damaged or truncated: it has fewer pixels than its header says")
    return values.reshape(shape[:2] if shape[2] == 1 else shape)
