"""Deterministic, class-agnostic non-maximum suppression on the network's output."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def nms(
    boxes: torch.Tensor, scores: torch.Tensor, iou: float, conf: float, max_det: int
) -> torch.Tensor:
    """Greedy NMS that stops as soon as ``max_det`` boxes are kept.

    Whether a box is kept depends only on boxes before it. So the compiled NMS, whose time grows
    with the square of what it is given, runs on little more than ``max_det`` of the best boxes; on
    more, as the share kept suggests, only if too few were left; and never on the long tail of a
    low confidence threshold. There is no limit on time: equal input gives equal output.

    Parameters
    ----------
    boxes : float tensor (A, 4)
        xyxy.
    scores : float tensor (A,)
    iou : float
        A box that overlaps a kept one more than this is dropped.
    conf : float
        Boxes scored at or below this are ignored.
    max_det : int
        How many boxes to keep at most.

    Returns
    -------
    int64 tensor (K,)
        Indices of the kept boxes, best first; equal scores keep the order of the input.
    """
    import torch
    from torchvision.ops import nms as compiled_nms

    candidates = torch.nonzero(scores > conf)[:, 0]
    order = candidates[torch.argsort(scores[candidates], descending=True, stable=True)]
    size = max_det + max_det // 10
    while True:
        first = order[:size]
        # Descending ranks instead of scores: ties stay in order whatever the device's sort does.
        ranks = torch.arange(len(first), 0, -1, device=boxes.device, dtype=boxes.dtype)
        kept = compiled_nms(boxes[first], ranks, iou)
        if len(kept) >= max_det or size >= len(order):
            return first[kept[:max_det]]
        suggested = 1.1 * size * max_det / max(len(kept), 1)
        size = int(min(max(suggested, 1.25 * size), 8 * size)) + 1
