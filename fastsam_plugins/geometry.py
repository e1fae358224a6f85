"""Reversible coordinates: the letterbox between an image and the network's input; boxes.

Coordinates are (x, y) in pixels; pixel (0, 0) covers [0, 1) x [0, 1). Boxes are xyxy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Window = tuple[int, int, int, int]
"""``(x0, y0, x1, y1)`` in whole pixels: a part of an image."""

Box = tuple[float, float, float, float]
"""``(x0, y0, x1, y1)`` in pixels."""

PADDING_VALUE = 114  # the gray that YOLO networks are trained to see around an image


@dataclass(frozen=True)
class Letterbox:
    """Where an image lies inside the network's input.

    The image is scaled to fit ``imgsz`` with its aspect ratio kept and centred on a canvas whose
    sides are the smallest multiples of the network's stride, as ultralytics does.

    Attributes
    ----------
    image_shape, input_shape : (height, width)
        Sizes of the original image and of the network's input, in pixels.
    content_shape : (height, width)
        Size of the scaled image inside the input.
    top, left : int
        Padding before the content, in input pixels.
    """

    image_shape: tuple[int, int]
    input_shape: tuple[int, int]
    content_shape: tuple[int, int]
    top: int
    left: int

    @classmethod
    def fit(cls, image_shape: tuple[int, int], imgsz: int, stride: int = 32) -> Letterbox:
        """Fit an image of ``(height, width)`` into a canvas of at most ``imgsz`` a side.

        ``imgsz`` is rounded up to a multiple of ``stride``.
        """
        side = -(-imgsz // stride) * stride
        ratio = min(side / image_shape[0], side / image_shape[1])
        height, width = (max(round(s * ratio), 1) for s in image_shape)
        pad_y, pad_x = (side - height) % stride, (side - width) % stride
        return cls(
            (int(image_shape[0]), int(image_shape[1])),
            (height + pad_y, width + pad_x),
            (height, width),
            pad_y // 2,
            pad_x // 2,
        )

    @property
    def scale(self) -> NDArray[np.float64]:
        """Input pixels per image pixel along (x, y)."""
        return np.array(
            [
                self.content_shape[1] / self.image_shape[1],
                self.content_shape[0] / self.image_shape[0],
            ]
        )

    def to_input(self, xy: ArrayLike) -> NDArray[np.float64]:
        """Map image coordinates (..., 2) to input coordinates."""
        return np.asarray(xy, np.float64) * self.scale + (self.left, self.top)

    def to_image(self, xy: ArrayLike) -> NDArray[np.float64]:
        """Map input coordinates (..., 2) to image coordinates; the inverse of :meth:`to_input`."""
        return (np.asarray(xy, np.float64) - (self.left, self.top)) / self.scale

    def boxes_to_image(self, boxes: ArrayLike) -> NDArray[np.float32]:
        """Map xyxy boxes (N, 4) to image coordinates and clip them to the image."""
        corners = self.to_image(np.asarray(boxes, np.float64).reshape(-1, 2, 2))
        height, width = self.image_shape
        return np.clip(corners, 0, (width, height)).reshape(-1, 4).astype(np.float32)

    def apply(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Scale and pad an image (H, W, 3), or a reduced copy of it; the input is not changed."""
        import cv2

        height, width = self.content_shape
        if (height, width) != image.shape[:2]:
            image = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
        canvas = np.full((*self.input_shape, 3), PADDING_VALUE, np.uint8)
        canvas[self.top : self.top + height, self.left : self.left + width] = image
        return canvas


def xyxy_to_xywh(boxes: NDArray) -> NDArray[np.float64]:
    """Boxes (N, 4) by corner and sides, as COCO has them, of such by two corners.

    >>> xyxy_to_xywh(np.array([[10, 20, 40, 60]])).tolist()
    [[10.0, 20.0, 30.0, 40.0]]
    """
    corners = np.asarray(boxes, np.float64)
    return np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)


def box_areas(boxes: NDArray) -> NDArray:
    """Areas (N,) of xyxy boxes (N, 4) in square pixels; inverted boxes count as empty."""
    return np.maximum(boxes[:, 2] - boxes[:, 0], 0) * np.maximum(boxes[:, 3] - boxes[:, 1], 0)


def box_intersections(a: NDArray, b: NDArray) -> NDArray:
    """Shared area (N, M) of every pair of xyxy boxes."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    sides = np.maximum(high - low, 0)
    return sides[..., 0] * sides[..., 1]


def box_iou(a: NDArray, b: NDArray) -> NDArray[np.float64]:
    """Intersection over union (N, M) of every pair of xyxy boxes; 0 where both are empty."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    shared = box_intersections(a, b)
    union = box_areas(a)[:, None] + box_areas(b)[None] - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def snap_to_canvas(
    boxes: NDArray[np.float32],
    image_shape: tuple[int, int],
    tolerance: tuple[float, float],
    min_iou: float = 0.9,
) -> NDArray[np.float32]:
    """The full-frame rule: let boxes that nearly reach the border reach it.

    An edge nearer than the tolerance to the image's border moves onto it; a box that then overlaps
    the whole image with IoU above ``min_iou`` becomes the whole image. Networks with a short
    distance range cannot regress such boxes exactly (FastSAM's authors correct them likewise).

    An edge never moves by more than a twentieth of its box's side: what is near for a large object
    is far for a small one.

    Parameters
    ----------
    boxes : float32 array (N, 4)
        xyxy in image pixels; not changed.
    image_shape : (height, width)
    tolerance : (x, y)
        In image pixels.

    Returns
    -------
    float32 array (N, 4)
    """
    height, width = image_shape
    out = boxes.copy()
    for low, high, size, near in ((0, 2, width, tolerance[0]), (1, 3, height, tolerance[1])):
        reach = np.minimum(near, (boxes[:, high] - boxes[:, low]) / 20)
        out[boxes[:, low] < reach, low] = 0
        out[boxes[:, high] > size - reach, high] = size
    canvas = np.array([[0, 0, width, height]], np.float32)
    out[box_iou(out, canvas)[:, 0] > min_iou] = canvas
    return out
