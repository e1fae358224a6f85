"""Scores that tell how well masks fit: a loss that only the newest ultralytics can teach."""

from __future__ import annotations

from ultralytics.utils.loss import SegmentLoss26

from fastsam_plugins.training.loss import MaskLoss


class RankedByMask(MaskLoss, SegmentLoss26):
    """Like :class:`MaskLoss`, but scores, and which anchors answer for an object, mind its mask.

    YOLOv8 teaches scores how well the box fits. Of a thousand proposals with like boxes those with
    the better masks are to come first: YOLO26 rates anchors by the mean of both IoUs.
    """
