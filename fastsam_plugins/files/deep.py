"""Colours of 16 bits, of which Pillow keeps 8: PNG, PNM and JPEG 2000."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.files.faults import Unreadable
from fastsam_plugins.files.unpack import jpeg2000
from fastsam_plugins.limits import too_much_memory
from fastsam_plugins.options import LimitOptions


def deep_values(image: Any, path: Path, limits: LimitOptions) -> NDArray | None:
    """Values (H, W, C) of an image that Pillow has opened; None where Pillow keeps all bits."""
    tile = image.tile[0] if getattr(image, "tile", None) else None
    given = getattr(tile, "args", None)
    args = given if isinstance(given, tuple) else (given,)
    deep = any(isinstance(a, str) and ";16" in a for a in args) and image.mode[:2] != "I;"
    if image.format == "PPM":
        deep = image.mode == "RGB" and isinstance(args[-1], int) and args[-1] > 255
    if image.format == "JPEG2000":
        with open(path, "rb") as file:
            bits = jpeg2000(file.read(1 << 20))[1]
        deep = len(bits) > 1 and max(bits) > 8
    if not deep or image.mode == "I":
        return None
    width, height = image.size
    if problem := too_much_memory(width * height * (2 * len(image.getbands()) + 3), limits):
        raise Unreadable(problem)
    with open(path, "rb") as file:
        data = file.read()
    if image.format == "PNG":
        import imagecodecs

        return np.asarray(imagecodecs.png_decode(data))
    if image.format == "JPEG2000":
        import imagecodecs

        return np.asarray(imagecodecs.jpeg2k_decode(data))
    if image.format == "PPM":
        import cv2

        found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        if found is not None and found.dtype == np.uint16:
            return np.asarray(found)[..., ::-1]
    raise Unreadable("has 16 bits per colour, which is lost in this format: save it as TIFF or PNG")
