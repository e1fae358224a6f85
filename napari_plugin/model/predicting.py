"""What prompts predict in a slice: new masks, from what the network left behind.

Coordinates here are (x, y) in pixels of the window that was segmented.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.masks import runs as R
from fastsam_plugins.segmentation import Segmentation
from napari_plugin.model.prompts import OUTSIDE

_LOCK = threading.Lock()  # what was answered is remembered, which two threads must not do at once

Stroke = tuple[NDArray[np.float64], int]
"""A line of points (K, 2), of one for a click, and its label."""


def can_predict(seg: Segmentation) -> bool:
    """Whether there is what it takes: the network's look at the image, and the image."""
    encoding = seg.encoding
    return encoding is not None and (seg.image is not None or encoding.picture is not None)


def one_object(
    seg: Segmentation, strokes: Sequence[Stroke], box: Any, mask: Any, step: int, first: int
) -> Segmentation:
    """What all strokes mean together, in a box or from a rough mask if there is one; one or none.

    Parameters
    ----------
    seg : Segmentation
    strokes : sequence of line and label
        In the order they came in.
    box : array (4,), optional
    mask : bool array (H, W), optional
    step : int
        How many answers larger (or smaller) than the best one, of the first stroke alone.
    first : int
        The same of the answer that further strokes correct.
    """
    given = {"boxes": None if box is None else [box], "mask": mask}
    strokes = [s for s in strokes if not _outside(s, seg.shape)]
    if box is not None or mask is not None:
        return _ask(seg, strokes, **given)
    begun = next((k for k, (_, label) in enumerate(strokes, 1) if label), None)
    if begun is None:
        return seg[:0]
    answer = _chosen(seg, strokes[:begun], step if begun == len(strokes) else first)
    if begun == len(strokes) or not len(answer):
        return answer
    # Not from the strokes alone: an answer stays about what was shown when it was corrected.
    return _ask(seg, strokes, mask=answer)


def one_each(seg: Segmentation, strokes: Sequence[Stroke]) -> Segmentation:
    """An object for every foreground stroke, which no background stroke is in."""
    unwanted = [s for s in strokes if not s[1]]
    parts = [_ask(seg, [s, *unwanted]) for s in strokes if s[1]]
    return Segmentation.concatenate(parts) if parts else seg[:0]


def improved(seg: Segmentation, mask: NDArray[np.bool_]) -> Segmentation:
    """A better mask for a rough one (H, W) that has pixels."""
    with _LOCK:
        return seg.predict(mask=mask, multimask=False)


def in_boxes(seg: Segmentation, boxes: NDArray[np.float64]) -> Segmentation:
    """A mask for every box (B, 4); ``prompts`` says for which."""
    with _LOCK:
        return seg.predict(boxes=boxes, multimask=False)


def bitmap(ends: Sequence[int], window: Sequence[int], shape: R.Shape) -> NDArray[np.bool_]:
    """What of a mask, given by the ends of its runs in a slice, is in a window (x0, y0, x1, y1)."""
    x0, y0, x1, y1 = window
    runs = np.array(ends, np.int64).reshape(-1, 2)
    return R.to_bitmap(runs, shape, (x0, y0, x1, y1))


def outside(strokes: Sequence[Stroke], shape: R.Shape) -> dict[int, str]:
    """The foreground strokes that nothing is predicted from."""
    return {i: OUTSIDE for i, s in enumerate(strokes) if s[1] and _outside(s, shape)}


def _outside(stroke: Stroke, shape: R.Shape) -> bool:
    height, width = shape
    return not ((stroke[0] >= 0) & (stroke[0] < (width, height))).all(1).any()


def _chosen(seg: Segmentation, strokes: Sequence[Stroke], step: int) -> Segmentation:
    """The best answer to strokes, or one that is larger or smaller by so many steps."""
    best = _ask(seg, strokes)
    if not step or not len(best):
        return best
    others = _ask(seg, strokes, multimask=True).sort("areas", descending=False)
    likeness = R.ious(best.runs(0), [others.runs(i) for i in range(len(others))])
    own = int(np.argmax(likeness))
    wanted = min(max(own + step, 0), len(others) - 1)
    return best if wanted == own else others[wanted]


def _ask(
    seg: Segmentation, strokes: Sequence[Stroke], boxes: Any = None, mask: Any = None,
    multimask: bool = False,
) -> Segmentation:  # fmt: skip
    with _LOCK:
        if any(len(line) > 1 for line, _ in strokes):
            return seg.predict(boxes=boxes, mask=mask, scribbles=list(strokes), multimask=multimask)
        points = np.array([line[0] for line, _ in strokes]).reshape(-1, 2)
        labels = [label for _, label in strokes]
        return seg.predict(points, labels, boxes, mask, multimask=multimask)
