"""Prompts about an image too large to look at at once: each object in a window of its own.

The network sees what is around a prompt, at the image's own scale, and the rest is not read. How
large the object is nobody knows: where the answer goes on beyond its window, or is not expected to
be good, one of twice the side is looked at too, and so on while that is better, up to eight times.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastsam_plugins import prompts as P
from fastsam_plugins.decoder.windows import CLIP, GRID
from fastsam_plugins.geometry import Window
from fastsam_plugins.images.windowed_image import LARGE_SIDE, WindowedImage
from fastsam_plugins.masks import runs as R
from fastsam_plugins.masks.local import LocalMasks
from fastsam_plugins.segmentation import Segmentation

AROUND = 1.5  # a window's least side, in that of what prompts cover
GOOD, POOR = 0.8, 0.2  # expected IoU: no larger window is looked at; it says nothing
LARGEST = 8  # of a window's side, in that of the first

Look = Callable[[NDArray[np.uint8], tuple[int, int]], Segmentation]
"""Segments pixels, of a window of this size (H, W), of which they may be a smaller copy."""


def predict(
    look: Look,
    shown: WindowedImage,
    side: int,
    points: ArrayLike | None = None,
    labels: ArrayLike | None = None,
    boxes: ArrayLike | None = None,
) -> Segmentation:
    """Masks for one object that points mean, or for one object of each box.

    Parameters
    ----------
    look : callable
    shown : WindowedImage
    side : int
        Of a window, in pixels, where the object is not larger.
    points, labels, boxes
        As :meth:`fastsam_plugins.Segmentation.predict` takes them, and refuses them.

    Returns
    -------
    Segmentation
        Of the whole image; ``prompts`` are the places of boxes, 0 without them.
    """
    xy = P.check_points([] if points is None else points)
    foreground = P.check_labels(labels, len(xy)).astype(int)
    corners = np.zeros((0, 4)) if boxes is None else P.check_boxes(boxes)
    if points is None and boxes is None:
        raise ValueError("predict needs points or boxes")
    if len(xy) and len(corners) > 1:
        raise ValueError(f"points go with one box, and there are {len(corners)}: ask once for each")
    asked = [None] if not len(corners) and len(xy) else corners
    found = [_object(look, shown, side, xy, foreground, box) for box in asked]
    answers = [(k, *answer) for k, answer in enumerate(found) if answer is not None]
    which, maps, windows, scores = zip(*answers, strict=True) if answers else ((),) * 4
    source = LocalMasks(
        np.array(maps, np.float32).reshape(-1, GRID, GRID), np.array(windows, np.int64),
        shown.shape[:2],
    )  # fmt: skip
    boxless = np.zeros((len(source), 4), np.float32)
    seg = Segmentation.from_source(source, boxless, np.array(scores, np.float32))
    return replace(seg, boxes=seg.tight_boxes(), prompts=np.array(which, np.int64))


def answer(
    predict_tiled: Callable[..., Segmentation], raster: Any, prompt: P.Prompt, each: bool
) -> Segmentation:
    """What a prompt means in a raster.

    Parameters
    ----------
    predict_tiled : callable
        :meth:`fastsam_plugins.FastSAM.predict_tiled`, with its options.
    raster : array, or WindowedImage
    prompt : PointPrompt or BoxPrompt
    each : bool
        Whether every foreground point means an object of its own, which holds no background point.
    """
    spot, boxes = P.parts(prompt)
    points, labels = (spot.points, spot.labels) if spot else (None, None)
    parts = []
    if each and boxes is None and points is not None:
        for place, clicks, kinds in P.each_alone(points, labels):
            found = predict_tiled(raster, clicks, kinds)
            parts.append(replace(found, prompts=np.full(len(found), place)))
    return (
        Segmentation.concatenate(parts) if parts else predict_tiled(raster, points, labels, boxes)
    )


def _object(
    look: Look,
    shown: WindowedImage,
    side: int,
    xy: NDArray[np.float64],
    labels: NDArray[np.int64],
    box: NDArray[np.float64] | None,
) -> tuple[NDArray[np.float32], list[int], float] | None:
    """The map of one object, what it covers of the image, and its score; None without a prompt."""
    shape = shown.shape[:2]
    corners = np.zeros((0, 2)) if box is None else box.reshape(2, 2)
    ends = np.concatenate([xy[labels == 1], corners])  # background points may lie anywhere
    if not len(ends) or (ends.max(0) <= 0).any() or (ends.min(0) >= shape[::-1]).any():
        return None
    low, high = ends.min(0), ends.max(0)
    side = max(side, int(AROUND * (high - low).max()))
    best, cut, largest = None, True, LARGEST * side
    while True:
        window = _about((low + high) / 2, side, shape)
        x0, y0, x1, y1 = window
        seg = look(_pixels(shown, window), (y1 - y0, x1 - x0))
        given: dict[str, Any] = {"points": xy - (x0, y0), "labels": labels} if len(xy) else {}
        given |= {} if box is None else {"boxes": [box - (x0, y0, x0, y0)]}
        found = seg.predict(**given, multimask=False)
        if not len(found):
            return best
        if best is None or cut or found.scores[0] > best[2]:
            best, cut = _moved(found, window, shape), _cut(found, window, shape)
        elif best[2] >= POOR:
            return best
        known = box is not None or best[2] >= GOOD  # a box says how large the object is
        if seg.shape == shape or (known and not cut) or 2 * side > largest:
            return best
        side *= 2


def _about(middle: NDArray[np.float64], side: int, shape: R.Shape) -> Window:
    """A window of a side about a place, moved and cut to lie in the image."""
    low = np.clip(np.round(middle - side / 2), 0, np.maximum(np.array(shape[::-1]) - side, 0))
    x0, y0 = low.astype(int).tolist()
    return x0, y0, min(x0 + side, shape[1]), min(y0 + side, shape[0])


def _pixels(shown: WindowedImage, window: Window) -> NDArray[np.uint8]:
    x0, y0, x1, y1 = window
    if max(x1 - x0, y1 - y0) > LARGE_SIDE:
        return shown.reduced(LARGE_SIDE, window)
    return shown[y0:y1, x0:x1]


def _goes_on(window: Window, shape: R.Shape) -> NDArray[np.bool_]:
    """Beyond which of a window's sides (left, top, right, bottom) the image goes on."""
    return np.array(window) != (0, 0, shape[1], shape[0])


def _cut(found: Segmentation, window: Window, shape: R.Shape) -> bool:
    """Whether a mask reaches a border beyond which the image goes on, to within a map's cell."""
    box, (height, width) = found.tight_boxes()[0], found.shape
    near = max(height, width) / GRID
    reached = np.array([*(box[:2] <= near), *(box[2:] >= np.array([width, height]) - near)])
    return bool((reached & _goes_on(window, shape)).any())


def _moved(
    found: Segmentation, window: Window, shape: R.Shape
) -> tuple[NDArray[np.float32], list[int], float]:
    """A window's mask where it lies in the image, of which nothing is beyond the window."""
    source, row = found.source, int(found.rows[0])
    assert isinstance(source, LocalMasks)
    x0, y0, x1, y1 = window
    place = source.windows[row] + np.array([x0, y0, x0, y0])
    steps = (np.arange(GRID) + 0.5) / GRID
    x = place[0] + (place[2] - place[0]) * steps
    y = place[1] + (place[3] - place[1]) * steps
    left, top, right, bottom = _goes_on(window, shape).tolist()
    columns = ~((left & (x < x0)) | (right & (x >= x1)))
    rows = ~((top & (y < y0)) | (bottom & (y >= y1)))
    inside = rows[:, None] & columns[None]
    values = np.where(inside, source.maps[row], np.float32(-CLIP))
    return values, place.tolist(), float(found.scores[0])
