"""Deterministic, class-agnostic non-maximum suppression on the network's output."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def nms(
    boxes: torch.Tensor, scores: torch.Tensor, iou: float, conf: float, max_det: int
) -> torch.Tensor:
    """Greedy NMS that stops as soon as ``max_det`` boxes are kept.

    Whether a box is kept depends only on boxes before it, and of those only on the kept ones: the
    long tail of a low confidence threshold is never looked at. There is no limit on time: equal
    input gives equal output, which is torchvision's.

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

    from fastsam_plugins.masks import kernels

    candidates = torch.nonzero(scores > conf)[:, 0]
    order = candidates[torch.argsort(scores[candidates], descending=True, stable=True)]
    best_first = boxes[order].detach().to("cpu", torch.float32).numpy()
    return order[torch.from_numpy(kernels.suppress(best_first, iou, max_det)).to(order.device)]
