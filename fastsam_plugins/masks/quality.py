"""Mask quality and clean-up: stability, box leak, holes, islands, near-duplicates.

SAM's automatic mask generator has these (Kirillov et al. 2023, "Segment Anything", appendix B);
FastSAM's users ask for them.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.geometry import Window, box_intersections
from fastsam_plugins.masks import runs as R
from fastsam_plugins.masks.sources import MaskSource, Rows

STABILITY_OFFSET = 1.0  # logits, as in SAM
LEAK_MARGIN = 0.1  # of the box's size, on each side
NESTED_MARGIN = 0.1  # of a mask's area


def stability(source: MaskSource, rows: Rows) -> NDArray[np.float64]:
    """How little masks change when their threshold does, (len(rows),) in [0, 1].

    The IoU between a mask cut at logit +1 and at logit -1 (SAM's stability score). NaN for masks
    without logits, unless it was measured when they had some; 0 for an empty mask.
    """

    def of(row: int) -> float:
        if not source.has_logits:
            return np.nan
        ends = -STABILITY_OFFSET, STABILITY_OFFSET
        loose, tight = source.areas_above(row, source.window(row), *ends)
        return tight / loose if loose else 0.0

    return source.measure("stability", rows, of)


def box_leak(source: MaskSource, rows: Rows) -> NDArray[np.float64]:
    """Share of each mask that its box cuts off, (len(rows),) in [0, 1).

    Measured in the box grown by a tenth of its size on each side: high values mark masks with
    straight artificial edges, where mask and box disagree. NaN for masks without logits.
    """

    def of(row: int) -> float:
        whole = R.area(source.decode(row, _grown(source.window(row), source.shape)))
        return 1 - R.area(source.runs(row)) / whole if whole else 0.0

    if not source.has_logits:
        return np.full(len(rows), np.nan)
    return source.measure("box_leak", rows, of)


def _grown(window: Window, shape: R.Shape) -> Window:
    x0, y0, x1, y1 = window
    dx, dy = math.ceil((x1 - x0) * LEAK_MARGIN), math.ceil((y1 - y0) * LEAK_MARGIN)
    return max(x0 - dx, 0), max(y0 - dy, 0), min(x1 + dx, shape[1]), min(y1 + dy, shape[0])


def fill_and_remove(runs: R.Runs, shape: R.Shape, max_hole: int, max_island: int) -> R.Runs:
    """Fill holes, then remove islands of at most so many pixels; the largest part always stays.

    Parts are 8-connected and holes 4-connected, as one implies the other.
    """
    from scipy import ndimage

    if not len(runs):
        return R.EMPTY
    x0, y0, x1, y1 = R.bounds(runs, shape[0])
    bitmap = np.pad(R.to_bitmap(runs, shape, (x0, y0, x1, y1)), 1)
    if max_hole:
        holes, count = ndimage.label(~bitmap)
        sizes = np.bincount(holes.ravel(), minlength=count + 1)
        small = sizes <= max_hole
        small[[0, holes[0, 0]]] = False  # neither the mask itself nor what lies around it
        bitmap |= small[holes]
    if max_island:
        parts, count = ndimage.label(bitmap, np.ones((3, 3)))
        sizes = np.bincount(parts.ravel(), minlength=count + 1)
        keep = sizes > max_island
        keep[0] = False
        keep[1 + sizes[1:].argmax()] = True
        bitmap = keep[parts]
    return R.from_bitmap(bitmap[1:-1, 1:-1], shape, (x0, y0))


def suppress(
    masks: list[R.Runs],
    boxes: NDArray[np.float32],
    order: NDArray[np.int64],
    max_iou: float,
    max_containment: float,
) -> NDArray[np.int64]:
    """Greedy non-maximum suppression on masks.

    Going down ``order``, a mask is dropped if its IoU with a kept one exceeds ``max_iou``, or if
    a kept one covers more than ``max_containment`` of it.

    Parameters
    ----------
    masks : list of N run arrays
    boxes : float32 array (N, 4)
        Boxes that hold the masks, to find the pairs worth measuring.
    order : int array (N,)
        Best first.

    Returns
    -------
    int array
        What is kept, ascending.
    """
    areas = np.array([R.area(m) for m in masks])
    alive = np.ones(len(masks), np.bool_)
    near = box_intersections(boxes, boxes) > 0
    rank = np.empty(len(masks), np.int64)
    rank[order] = np.arange(len(masks))
    for i in order.tolist():
        if not alive[i]:
            continue
        later = np.flatnonzero(alive & near[i] & (rank > rank[i]))
        shared = R.intersection_areas(masks[i], [masks[j] for j in later.tolist()])
        union = areas[i] + areas[later] - shared
        iou = np.divide(shared, union, out=np.zeros(len(later)), where=union > 0)
        inside = np.divide(shared, areas[later], out=np.zeros(len(later)), where=areas[later] > 0)
        alive[later[(iou > max_iou) | (inside > max_containment)]] = False
    return np.flatnonzero(alive)


def diverse(
    masks: list[R.Runs],
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    strength: float,
) -> NDArray[np.float32]:
    """Scores (N,) by which the first instances are different objects.

    Going down the scores, every mask lowers those of the ones after it by ``strength`` times their
    IoU (Soft-NMS, Bodla et al. 2017, on masks). Nothing is dropped.

    Parameters
    ----------
    masks : list of N run arrays
    boxes : float32 array (N, 4)
        Boxes that hold the masks, to find the pairs worth measuring.
    scores : float32 array (N,)
    strength : float
        0 changes nothing; with 1, what equals a better mask has no score left.
    """
    made, left = scores.astype(np.float64), np.ones(len(masks), np.bool_)
    near = box_intersections(boxes, boxes) > 0
    for _ in range(len(masks)):
        best = int(np.where(left, made, -np.inf).argmax())
        left[best] = False
        later = np.flatnonzero(left & near[best])
        made[later] *= 1 - strength * R.ious(masks[best], [masks[j] for j in later.tolist()])
    return made.astype(np.float32)


def nesting(masks: list[R.Runs], boxes: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which masks lie inside which others, (N, N): row i is true where j holds i.

    A mask lies inside one that covers nine tenths of it and is larger by more than a tenth: two
    masks of one object do not lie inside each other.

    Parameters
    ----------
    masks : list of N run arrays
    boxes : float32 array (N, 4)
        Boxes that hold the masks, to find the pairs worth measuring.
    """
    areas = np.array([R.area(m) for m in masks], np.int64)
    inside = np.zeros((len(masks), len(masks)), np.bool_)
    larger = areas[None] * (1 - NESTED_MARGIN) > areas[:, None]
    near = larger & (box_intersections(boxes, boxes) > 0) & (areas[:, None] > 0)
    for i in np.flatnonzero(near.any(1)).tolist():
        others = np.flatnonzero(near[i])
        shared = R.intersection_areas(masks[i], [masks[j] for j in others.tolist()])
        inside[i, others] = shared >= (1 - NESTED_MARGIN) * areas[i]
    return inside
