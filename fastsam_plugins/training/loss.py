"""The loss of masks: cross-entropy as YOLOv8-seg has it, and Dice beside it."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from ultralytics.utils.loss import v8SegmentationLoss
from ultralytics.utils.ops import crop_mask


class MaskLoss(v8SegmentationLoss):
    """Ultralytics' loss, with Dice added to the cross-entropy of masks.

    Cross-entropy asks for the right probability of every pixel. Where a mask is uncertain, the
    pixels above one half are fewer than those that would overlap the object best; Dice (Milletari
    et al. 2016, "V-Net"), close to IoU, asks for the overlap itself, which recall is counted by.

    Parameters
    ----------
    model : ultralytics.nn.tasks.SegmentationModel
    dice : float
        Weight of Dice; 0 is ultralytics' own loss.
    gain : float
        Weight of both beside the other losses.
    per_image : bool
        Count all images alike instead of all anchors that answer for an object: beside a field of
        a hundred cells a street with seven objects would hardly count.
    """

    def __init__(
        self, model: torch.nn.Module, dice: float, gain: float = 1.0, per_image: bool = False
    ) -> None:
        super().__init__(model)
        self._dice, self._gain, self._per_image = dice, gain, per_image
        self._mean = 0.0  # anchors per image of the batch, of the images that have any

    def calculate_segmentation_loss(self, fg_mask: torch.Tensor, *rest: Any) -> torch.Tensor:
        """Mean over the anchors of a batch, ``fg_mask`` (images, anchors); ultralytics' own."""
        self._mean = float(fg_mask.sum()) / int(fg_mask.any(1).sum())
        loss: torch.Tensor = super().calculate_segmentation_loss(fg_mask, *rest)
        return loss

    def single_mask_loss(
        self,
        gt_mask: torch.Tensor,
        pred: torch.Tensor,
        proto: torch.Tensor,
        xyxy: torch.Tensor,
        area: torch.Tensor,
    ) -> torch.Tensor:
        """Sum over the N masks of one image.

        Parameters
        ----------
        gt_mask : tensor (N, H, W)
            0 and 1.
        pred : tensor (N, C)
            Coefficients.
        proto : tensor (C, H, W)
        xyxy : tensor (N, 4)
            True boxes in cells of the prototypes.
        area : tensor (N,)
            Share of the image each box covers.
        """
        logits = torch.einsum("nc,chw->nhw", pred, proto)
        entropy = F.binary_cross_entropy_with_logits(logits, gt_mask, reduction="none")
        loss = crop_mask(entropy, xyxy).mean(dim=(1, 2)) / area
        if self._dice:
            inside = crop_mask(logits.float().sigmoid().clone(), xyxy)
            overlap = (inside * gt_mask).sum((1, 2))
            both = inside.sum((1, 2)) + gt_mask.sum((1, 2))
            loss = loss + self._dice * (1 - (2 * overlap + 1) / (both + 1))
        weight = self._mean / len(pred) if self._per_image else 1.0
        return self._gain * weight * loss.sum()
