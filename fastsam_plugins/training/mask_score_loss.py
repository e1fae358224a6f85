"""Scores that tell how well masks fit: a loss that only the newest ultralytics can teach."""

from __future__ import annotations

from typing import Any

import torch

from fastsam_plugins.masks.sampling import CELL
from fastsam_plugins.network import shape_terms
from fastsam_plugins.network.ultralytics_guard import SegmentLoss26, make_anchors, xyxy2xywh
from fastsam_plugins.training.loss import MaskLoss


class RankedByMask(MaskLoss, SegmentLoss26):
    """Like :class:`MaskLoss`, but scores, and which anchors answer for an object, mind its mask.

    YOLOv8 teaches scores how well the box fits. Of a thousand proposals with like boxes those with
    the better masks are to come first: YOLO26 rates anchors by the mean of both IoUs.
    """

    def get_assigned_targets_and_loss(
        self, preds: dict[str, torch.Tensor], batch: dict[str, Any]
    ) -> tuple[Any, ...]:
        """Ultralytics' own, which rates the masks that the network's outputs will draw.

        It decodes some thirty masks for every object, which at the resolution of the prototypes
        takes as long as the network. At half of it, 96 in 100 anchors that it chooses are the same.
        """
        if self._shaped:
            with torch.no_grad():
                anchors, strides = make_anchors(preds["feats"], self.stride, 0.5)
                corners = self.bbox_decode(anchors, preds["boxes"].permute(0, 2, 1))
                boxes = xyxy2xywh(corners * strides / CELL).permute(0, 2, 1)
                usual = shape_terms.as_usual(preds["mask_coefficient"], preds["proto"], boxes)
            preds = {**preds, "mask_coefficient": usual[0], "proto": usual[1]}
        if isinstance(preds["proto"], torch.Tensor):  # YOLO26's have logits of objects beside them
            preds = {**preds, "proto": torch.nn.functional.avg_pool2d(preds["proto"], 2)}
        assigned: tuple[Any, ...] = super().get_assigned_targets_and_loss(preds, batch)
        return assigned
