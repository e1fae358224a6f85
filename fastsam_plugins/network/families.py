"""Networks of other families and of many classes, made to answer as a one-class YOLOv8-seg network.

YOLO11 and YOLO26 make masks as YOLOv8 does, of coefficients and prototypes; what differs is left
out once the network is built, so that nothing after it knows one from the other:

- YOLO26 has two heads. One proposes an object many times, as YOLOv8 does, and is run with
  suppression; the other proposes it once. FastSAM wants all there is to choose from, and
  suppresses: the first is kept, which ultralytics takes too unless told ``nms=False``.
- A network of many classes is as sure of an object as it is of the likeliest class.
"""

from __future__ import annotations

from typing import Any

import torch

from fastsam_plugins.network import efficientnet, shape_terms
from fastsam_plugins.network.ultralytics_guard import Segment, Segment26

LAYERS = {
    "Conv", "C2f", "C2PSA", "C3k2", "Concat", "SPPF", "Segment", "Segment26", "nn.Upsample",
}  # fmt: skip
HEADS = {"Segment", "Segment26"}


class _AnyClass:
    """A head whose scores are those of the likeliest class."""

    def _inference(self, x: dict[str, torch.Tensor]) -> torch.Tensor:
        best = x["scores"].amax(1, keepdim=True)
        decoded: torch.Tensor = super()._inference({**x, "scores": best})  # type: ignore[misc]
        return decoded


class AnyClassSegment(_AnyClass, Segment):
    """That of YOLOv8 and YOLO11."""


class AnyClassSegment26(_AnyClass, Segment26):
    """That of YOLO26."""


_ANY_CLASS = {Segment: AnyClassSegment, Segment26: AnyClassSegment26}


def complete(model: Any) -> None:
    """Give a network that ultralytics built what its description has beyond ultralytics' own.

    Raises
    ------
    ValueError
        If it has what this version does not know, or what does not fit.
    """
    efficientnet.give(model)
    shape_terms.give(model)


def as_usual(model: Any) -> None:
    """Make a network that ultralytics built give (B, 5 + C, A) and prototypes, in place.

    It can be run after this, and not trained.
    """
    head = model.model[-1]
    if isinstance(head, Segment26):
        head.end2end = False
        head.fuse()  # leaves out the other head, and what only training asks for
    if head.nc > 1:
        head.__class__ = _ANY_CLASS[type(head)]
