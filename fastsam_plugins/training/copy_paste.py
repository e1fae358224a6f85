"""Copy-paste between images: objects cut out of some, laid over others.

Ghiasi et al. 2021, "Simple Copy-Paste is a Strong Data Augmentation Method for Instance
Segmentation". Ultralytics' own copy-paste leaves an image alone where the pasted object would
cover another; here what is covered loses those pixels, as it does in the world. That matters
for everything-mode labels, which leave no room uncovered.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.datasets.synthetic import MIN_VISIBLE
from fastsam_plugins.masks import runs as R
from fastsam_plugins.masks.polygons import keyhole_polygon

Label = dict[str, Any]  # an image as ultralytics' datasets keep it: see `paste`

SMALLEST, LARGEST = 150, 0.3  # a cut-out: pixels, share of its image
LEFT = 0.25  # of an object: if less of it stays visible it is no longer labelled


@dataclass(frozen=True)
class Cutout:
    """An object without its surroundings: pixels (H, W, 3) and which of them belong to it."""

    pixels: NDArray[np.uint8]
    bitmap: NDArray[np.uint8]

    def varied(self, scale: float, flip: bool) -> Cutout:
        """The object at another size, possibly mirrored."""
        height, width = self.bitmap.shape
        size = max(round(width * scale), 1), max(round(height * scale), 1)
        step = -1 if flip else 1
        return Cutout(
            cv2.resize(self.pixels, size, interpolation=cv2.INTER_LINEAR)[:, ::step],
            cv2.resize(self.bitmap, size, interpolation=cv2.INTER_NEAREST)[:, ::step],
        )


class Cutouts:
    """Objects of the images that were loaded last, to paste into the next ones.

    Parameters
    ----------
    capacity : int
        Objects kept; a new one takes the place of a random one.
    """

    def __init__(self, capacity: int = 256) -> None:
        self._capacity = capacity
        self._kept: list[Cutout] = []

    def collect(self, label: Label, most: int = 3) -> None:
        """Keep copies of a few objects of an image."""
        image = label["img"]
        segments = label["segments"]
        for i in random.sample(range(len(segments)), min(most, len(segments))):
            x0, y0, x1, y1 = _window(segments[i], image.shape)
            bitmap = _fill(segments[i], image.shape)[y0:y1, x0:x1]
            if SMALLEST <= np.count_nonzero(bitmap) <= LARGEST * image.shape[0] * image.shape[1]:
                cutout = Cutout(image[y0:y1, x0:x1].copy(), bitmap.copy())
                if len(self._kept) < self._capacity:
                    self._kept.append(cutout)
                else:
                    self._kept[random.randrange(self._capacity)] = cutout

    def paste(self, label: Label, most: int = 5) -> None:
        """Lay some of the kept objects over an image, in place.

        Parameters
        ----------
        label : dict
            ``img`` uint8 (H, W, 3); ``segments``, a list of polygons (K, 2) in 0 to 1;
            ``bboxes`` (N, 4) centre and sides in 0 to 1; ``cls`` (N, 1).
        most : int
            Objects pasted at most.
        """
        if not self._kept:
            return
        image = label["img"] = label["img"].copy()
        height, width = image.shape[:2]
        top = np.zeros((height, width), np.int32)  # which pasted object shows
        count = random.randint(1, most)
        for number in range(1, count + 1):
            cutout = random.choice(self._kept).varied(
                random.uniform(0.5, 1.5), random.random() < 0.5
            )
            h, w = cutout.bitmap.shape
            y, x = random.randrange(height) - h // 2, random.randrange(width) - w // 2
            rows, columns = slice(max(y, 0), y + h), slice(max(x, 0), x + w)
            under = image[rows, columns]
            part = slice(max(-y, 0), None), slice(max(-x, 0), None)
            shown = cutout.bitmap[part][: under.shape[0], : under.shape[1]].astype(np.bool_)
            under[shown] = cutout.pixels[part][: under.shape[0], : under.shape[1]][shown]
            top[rows, columns][shown] = number

        segments = [left for s in label["segments"] if (left := _uncovered(s, top)) is not None]
        for number in range(1, count + 1):
            bitmap = top == number
            if np.count_nonzero(bitmap) >= MIN_VISIBLE:
                segments.append(_polygon(bitmap))
        label["segments"] = segments
        label["bboxes"] = centres_and_sides([_corners(s) for s in segments])
        label["cls"] = np.zeros((len(segments), 1), np.float32)


def _uncovered(segment: NDArray[np.float32], top: NDArray[np.int32]) -> NDArray[np.float32] | None:
    """What still shows of an object; None if too little does."""
    x0, y0, x1, y1 = _window(segment, top.shape)
    if not top[y0:y1, x0:x1].any():
        return segment
    bitmap = _fill(segment, top.shape).astype(np.bool_)
    before = np.count_nonzero(bitmap)
    bitmap &= top == 0
    after = np.count_nonzero(bitmap)
    if after == before:
        return segment
    return _polygon(bitmap) if after >= max(LEFT * before, MIN_VISIBLE) else None


def _polygon(bitmap: NDArray[np.bool_]) -> NDArray[np.float32]:
    points = keyhole_polygon(R.from_bitmap(bitmap), bitmap.shape)
    return np.asarray(points / bitmap.shape[::-1], np.float32)


def _corners(segment: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.r_[segment.min(0), segment.max(0)]


def centres_and_sides(boxes: Sequence[Any]) -> NDArray[np.float32]:
    """Boxes xyxy as centres and sides (N, 4)."""
    corners = np.array(boxes, np.float32).reshape(-1, 2, 2)
    return np.concatenate([corners.mean(1), corners[:, 1] - corners[:, 0]], axis=1)


def _window(segment: NDArray[np.float32], shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """The pixels a polygon may touch: x0, y0, x1, y1, the last two exclusive."""
    height, width = shape[:2]
    x0, y0, x1, y1 = _corners(segment) * (width, height, width, height)
    return (
        max(int(x0) - 1, 0),
        max(int(y0) - 1, 0),
        min(int(x1) + 2, width),
        min(int(y1) + 2, height),
    )


def _fill(segment: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Bitmap (H, W) of a polygon, filled as ultralytics fills it."""
    bitmap = np.zeros(shape[:2], np.uint8)
    cv2.fillPoly(bitmap, [(segment * (shape[1], shape[0])).astype(np.int32)], 1)
    return bitmap
