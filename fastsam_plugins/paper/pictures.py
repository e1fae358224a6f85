"""Rows of pictures of images, one image below the other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.io import atomic

Image = NDArray[np.uint8]
SHOWN = 3  # images in a picture
_SIDE = 220  # pixels: the height of each
_GAP = 6


def write(rows: Sequence[Sequence[Image]], path: Path) -> None:
    """Write one picture of pictures (H, W, 3), each row of them as high as the others, as PNG."""
    from PIL import Image as Files

    drawn = [_row(row) for row in rows]
    width = max(row.shape[1] for row in drawn)
    filled = [np.pad(row, ((0, _GAP), (0, width - row.shape[1]), (0, 0))) for row in drawn]
    with atomic.replacing(path) as part:
        Files.fromarray(np.concatenate(filled)).save(part, format="png")


def _row(row: Sequence[Image]) -> Image:
    import cv2

    small = []
    for picture in row:
        height, width = picture.shape[:2]
        size = max(round(width * _SIDE / height), 1), _SIDE
        small.append(cv2.resize(picture, size, interpolation=cv2.INTER_AREA))
    return np.concatenate([np.pad(p, ((0, 0), (0, _GAP), (0, 0))) for p in small], axis=1)
