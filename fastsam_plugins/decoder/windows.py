"""Windows that the decoder looks at, always as ``GRID x GRID`` cells: pixels, maps and clicks.

What an answer costs does not depend on how large an image or an object is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.geometry import Box, Letterbox, Window
from fastsam_plugins.images.windowed_image import WindowedImage
from fastsam_plugins.masks.sampling import CELL, Floats

GRID = 64
CLIP = 6.0  # logits beyond this say no more
_PADDING = (114.0, 114.0, 114.0)
_LEAST = 24  # input pixels of the smallest window's side

Click = tuple[float, float, int]
"""``(x, y, label)`` in pixels; 1 is foreground, 0 background."""


def around(box: Sequence[float], grow: float, letterbox: Letterbox) -> Window:
    """A window about a box: ``grow`` times its sides, neither tiny nor long and thin."""
    x0, y0, x1, y1 = box
    least = _LEAST / float(letterbox.scale.mean())
    width, height = max((x1 - x0) * grow, least), max((y1 - y0) * grow, least)
    width, height = max(width, height / 2), max(height, width / 2)
    left, top = (x0 + x1 - width) / 2, (y0 + y1 - height) / 2
    return (
        math.floor(left),
        math.floor(top),
        math.ceil(left + width),
        math.ceil(top + height),
    )


def resampled(values: Floats, place: Sequence[float], window: Window, outside: float) -> Floats:
    """Values over one place of the image (xyxy), as cells of a window."""
    x0, y0, x1, y1 = place
    height, width = values.shape[:2]
    fx, fy = width / (x1 - x0), height / (y1 - y0)
    a, b, c, d = window
    sx, sy = (c - a) / GRID, (d - b) / GRID
    matrix = np.array([
        [sx * fx, 0, (a + sx / 2 - x0) * fx - 0.5],
        [0, sy * fy, (b + sy / 2 - y0) * fy - 0.5],
    ])  # fmt: skip
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(
        cv2.warpAffine(values, matrix, (GRID, GRID), flags=flags, borderValue=outside), np.float32
    )


def in_input(window: Sequence[float], letterbox: Letterbox) -> NDArray[np.float64]:
    """A window's corners (4,) in cells of the prototypes."""
    return letterbox.to_input(np.reshape(window, (2, 2))).ravel() / CELL


def sampled(maps: Floats, corners: NDArray[np.float64], count: int) -> Floats:
    """Maps (C, h, w) at ``count x count`` places in a window, (C, count, count).

    ``corners`` are xyxy as shares of the maps' sides. What lies outside is what lies nearest.
    """
    _, h, w = maps.shape
    x0, y0, x1, y1 = corners.astype(np.float32)
    steps = (np.arange(count, dtype=np.float32) + 0.5) / count
    columns = _taps(x0 + (x1 - x0) * steps, w)
    rows = _taps(y0 + (y1 - y0) * steps, h)
    (i, u), (j, v) = columns, rows
    last_i, last_j = np.minimum(i + 1, w - 1), np.minimum(j + 1, h - 1)
    across = maps[:, j] * (1 - v)[:, None] + maps[:, last_j] * v[:, None]
    return np.asarray(across[:, :, i] * (1 - u) + across[:, :, last_i] * u, np.float32)


def _taps(shares: NDArray[Any], size: int) -> tuple[NDArray[np.int64], Floats]:
    place = np.clip(shares * size - 0.5, 0, size - 1)
    low = np.minimum(place.astype(np.int64), size - 1)
    return low, (place - low).astype(np.float32)


class Pyramid:
    """An image and its halves: what a window of any size shows costs the same.

    Parameters
    ----------
    image : uint8 array (h, w, 3), or WindowedImage
        RGB. Of the latter, the window alone is read.
    shape : (H, W), optional
        In whose pixels windows are, where the image is a smaller copy.
    """

    def __init__(
        self, image: NDArray[np.uint8] | WindowedImage, shape: tuple[int, int] | None = None
    ) -> None:
        self._image, self._shape = image, shape or (image.shape[0], image.shape[1])
        self._levels: dict[int, NDArray[np.uint8]] = {}

    def _level(self, k: int) -> NDArray[np.uint8]:
        if k == 0:
            return self._image  # type: ignore[return-value]
        if k not in self._levels:
            large = self._level(k - 1)
            size = max(large.shape[1] // 2, 1), max(large.shape[0] // 2, 1)
            self._levels[k] = cv2.resize(large, size, interpolation=cv2.INTER_AREA)
        return self._levels[k]

    def cells(self, window: Window) -> Floats:
        """The image in a window, (GRID, GRID, 3) in [0, 255]; gray outside."""
        x0, y0, x1, y1 = window
        height, width = self._shape
        left, top, right, bottom = max(x0, 0), max(y0, 0), min(x1, width), min(y1, height)
        out = np.full((GRID, GRID, 3), _PADDING, np.float32)
        if right <= left or bottom <= top:
            return out
        shrink = max(x1 - x0, y1 - y0) / GRID
        if isinstance(self._image, WindowedImage):
            part, place = self._image[top:bottom, left:right], (left, top, right, bottom)
        else:
            own = shrink * self._image.shape[1] / width  # the image's pixels to a cell
            level = self._level(max(int(math.log2(own)) - 1, 0) if own >= 4 else 0)
            fx, fy = level.shape[1] / width, level.shape[0] / height
            a, b = math.floor(left * fx), math.floor(top * fy)
            c, d = max(math.ceil(right * fx), a + 1), max(math.ceil(bottom * fy), b + 1)
            part = level[b:d, a:c]
            place = (a / fx, b / fy, min(c / fx, width), min(d / fy, height))
        cells = averaged(np.ascontiguousarray(part), place, window, np.nan)
        outside = np.isnan(cells)
        cells[outside] = out[outside]
        return cells


def averaged(values: NDArray, place: Sequence[float], window: Window, outside: float) -> Floats:
    """As :func:`resampled`, where cells are larger than what the values stand for."""
    x0, y0, x1, y1 = window
    size = (max(round((place[2] - place[0]) * GRID / (x1 - x0)), 1),
            max(round((place[3] - place[1]) * GRID / (y1 - y0)), 1))  # fmt: skip
    if size[0] < values.shape[1] / 1.5 or size[1] < values.shape[0] / 1.5:
        values = cv2.resize(values, size, interpolation=cv2.INTER_AREA)
    return resampled(np.asarray(values, np.float32), place, window, outside)


def dots(window: Window, clicks: Sequence[Click]) -> Floats:
    """Clicks as small hills, (2, GRID, GRID): foreground and background."""
    out = np.zeros((2, GRID, GRID), np.float32)
    x0, y0, x1, y1 = window
    steps = np.arange(GRID, dtype=np.float32) + np.float32(0.5)
    for x, y, label in clicks:
        u, v = (x - x0) / (x1 - x0) * GRID, (y - y0) / (y1 - y0) * GRID
        d = (steps[None] - u) ** 2 + (steps[:, None] - v) ** 2
        hill = (np.exp(-d / 18) + np.exp(-d / 3)) / 2
        np.maximum(out[1 - label], hill, out=out[1 - label])
    return out


def filled(window: Window, box: Box) -> Floats:
    """A box as cells (GRID, GRID) that are 1 in it."""
    x0, y0, x1, y1 = window
    steps = (np.arange(GRID) + 0.5) / GRID
    x, y = x0 + (x1 - x0) * steps, y0 + (y1 - y0) * steps
    columns = (x >= box[0]) & (x < box[2])
    rows = (y >= box[1]) & (y < box[3])
    return np.asarray(rows[:, None] & columns[None], np.float32)
