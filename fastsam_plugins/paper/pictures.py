"""Rows of pictures of images, one image below the other, and what each column shows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.io import atomic

Image = NDArray[np.uint8]
SHOWN = 3  # images in a picture
_WIDE = 300  # pixels: the width of each
_HIGHEST = 2 * _WIDE
_TOP = 26  # pixels: the height of the headings
_GAP = 6


def write(rows: Sequence[Sequence[Image]], headings: Sequence[str], path: Path) -> None:
    """Write one picture of pictures (H, W, 3) in columns of one width under headings, as PNG.

    The pictures of a row are of one size.
    """
    from PIL import Image as Files

    drawn = [_headings(headings), *map(_row, rows)]
    spaced = [drawn[0]] + [np.pad(row, ((0, _GAP), (0, 0), (0, 0)), constant_values=255)
                           for row in drawn[1:]]  # fmt: skip
    with atomic.replacing(path) as part:
        Files.fromarray(np.concatenate(spaced)[:-_GAP]).save(part, format="png")


def _headings(names: Sequence[str]) -> Image:
    from PIL import Image as Files
    from PIL import ImageDraw, ImageFont

    strip = Files.new("RGB", (len(names) * (_WIDE + _GAP) - _GAP, _TOP), "white")
    drawn, font = ImageDraw.Draw(strip), ImageFont.load_default(15)
    for k, name in enumerate(names):
        middle = k * (_WIDE + _GAP) + _WIDE / 2, _TOP / 2
        drawn.text(middle, name, (20, 20, 20), font=font, anchor="mm")
    return np.asarray(strip)


def _row(row: Sequence[Image]) -> Image:
    import cv2

    height, width = row[0].shape[:2]
    scale = min(_WIDE / width, _HIGHEST / height)
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    left = (_WIDE - size[0]) // 2
    whole = np.full((size[1], len(row) * (_WIDE + _GAP) - _GAP, 3), 255, np.uint8)
    for k, picture in enumerate(row):
        x = k * (_WIDE + _GAP) + left
        whole[:, x : x + size[0]] = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return whole
