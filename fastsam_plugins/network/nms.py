"""Deterministic, class-agnostic non-maximum suppression on the network's output."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def nms(boxes: Floats, scores: Floats, iou: float, conf: float, max_det: int) -> NDArray[np.int64]:
    """Greedy NMS that stops as soon as ``max_det`` boxes are kept.

    Whether a box is kept depends only on boxes before it, and of those only on the kept ones: the
    long tail of a low confidence threshold is never looked at. There is no limit on time: equal
    input gives equal output, which is torchvision's.

    Parameters
    ----------
    boxes : float32 array (A, 4)
        xyxy.
    scores : float32 array (A,)
    iou : float
        A box that overlaps a kept one more than this is dropped.
    conf : float
        Boxes scored at or below this are ignored.
    max_det : int
        How many boxes to keep at most.

    Returns
    -------
    int64 array (K,)
        Indices of the kept boxes, best first; equal scores keep the order of the input.
    """
    from fastsam_plugins.masks import kernels

    candidates = np.flatnonzero(scores > conf)
    order = candidates[np.argsort(-scores[candidates], kind="stable")]
    best_first = np.ascontiguousarray(boxes[order], np.float32)
    return order[kernels.suppress(best_first, iou, max_det)]
