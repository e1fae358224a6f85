"""The loss of masks: cross-entropy as YOLOv8-seg has it, and Dice beside it."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from fastsam_plugins.network import shape_terms
from fastsam_plugins.network.ultralytics_guard import crop_mask, make_anchors, v8SegmentationLoss
from fastsam_plugins.training import partial


class MaskLoss(v8SegmentationLoss):
    """Ultralytics' loss, with Dice added to the cross-entropy of masks, and no more than is known.

    Cross-entropy asks for the right probability of every pixel. Where a mask is uncertain, the
    pixels above one half are fewer than those that would overlap the object best; Dice (Milletari
    et al. 2016, "V-Net"), close to IoU, asks for the overlap itself, which recall is counted by.

    Where an image is labelled in part (:mod:`fastsam_plugins.training.partial`), anchors outside
    all labelled boxes are not taught that they have no object.

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
    **assigning
        How many anchors answer for an object, where ultralytics' loss of two heads says so.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        dice: float,
        gain: float = 1.0,
        per_image: bool = False,
        **assigning: int,
    ) -> None:
        super().__init__(model, **assigning)
        self._dice, self._gain, self._per_image = dice, gain, per_image
        self._shaped = isinstance(model.model[-1], shape_terms.ShapedSegment)
        self._mean = 0.0  # anchors per image of the batch, of the images that have any
        self._unknown: torch.Tensor | None = None  # (images, anchors) of the batch
        self._entropy = torch.nn.BCEWithLogitsLoss(reduction="none")
        self.bce = self._known_entropy

    def loss(self, preds: dict[str, Any], batch: dict[str, Any]) -> Any:
        """Ultralytics' own, of a batch whose unknown parts are taken out."""
        anchors, strides = make_anchors(preds["feats"], self.stride, 0.5)
        finest = preds["feats"][0]
        sides = anchors.new_tensor([finest.shape[3], finest.shape[2]]) * self.stride[0]
        batch, unknown = partial.split(batch, len(finest))
        self._unknown = unknown.at(anchors * strides / sides) if unknown else None
        if unknown and isinstance(preds["proto"], tuple):
            preds = {**preds, "proto": _known_pixels(preds["proto"], unknown)}
        return super().loss(preds, batch)

    def _known_entropy(self, scores: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        entropy: torch.Tensor = self._entropy(scores, targets)
        if self._unknown is None:
            return entropy
        return entropy.masked_fill(self._unknown[..., None] & (targets == 0), 0)

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
        loss: torch.Tensor = _Masks.apply(
            pred, proto, gt_mask, xyxy, area, self._dice, self._shaped
        )
        weight = self._mean / len(pred) if self._per_image else 1.0
        return self._gain * weight * loss


def _known_pixels(
    found: tuple[torch.Tensor, torch.Tensor], unknown: partial.Unknown
) -> tuple[torch.Tensor, torch.Tensor]:
    """Prototypes, and YOLO26's logits of what is an object: that none is, where it is unknown."""
    prototypes, semantic = found
    h, w = semantic.shape[2:]
    y, x = torch.meshgrid(
        (torch.arange(h, device=semantic.device) + 0.5) / h,
        (torch.arange(w, device=semantic.device) + 0.5) / w,
        indexing="ij",
    )
    hidden = unknown.at(torch.stack([x.flatten(), y.flatten()], 1)).view(-1, 1, h, w)
    return prototypes, semantic.masked_fill(hidden, _NONE)


_NONE = -30.0  # a logit that says no, without a doubt that could be taught
TOGETHER = 128  # masks at a time


class _Masks(torch.autograd.Function):
    """The loss summed over masks, some at a time, with its gradient taken at once.

    Else every step of the computation keeps all of an image's masks until the backward pass: with
    the three thousand anchors that answer for a field of cells that is a gigabyte. Masks that lie
    side by side are taken together, and no more of the image than they need.
    """

    @staticmethod
    def forward(
        ctx: Any,
        pred: torch.Tensor,
        proto: torch.Tensor,
        truth: torch.Tensor,
        boxes: torch.Tensor,
        areas: torch.Tensor,
        dice: float,
        shaped: bool,
    ) -> torch.Tensor:
        total = torch.zeros((), dtype=boxes.dtype, device=pred.device)
        by_mask = torch.zeros_like(pred, dtype=boxes.dtype)
        by_cell = torch.zeros_like(proto, dtype=boxes.dtype)
        for rows in (boxes[:, 1] + boxes[:, 3]).argsort().split(TOGETHER):
            left, top = boxes[rows, :2].amin(0).floor().clamp_(0).int().tolist()
            right, bottom = boxes[rows, 2:].amax(0).ceil().int().tolist()
            window = slice(top, bottom), slice(left, right)
            offset = boxes.new_tensor([left, top, left, top])
            with torch.enable_grad():
                some = pred[rows].detach().requires_grad_()
                maps = proto[:, *window].detach().requires_grad_()
                whole = truth[rows]
                loss = _losses(
                    some, maps, whole[:, *window], boxes[rows] - offset,
                    areas[rows] * proto[0].numel(), whole.sum((1, 2)), dice, shaped,
                ).sum()  # fmt: skip
                slopes = torch.autograd.grad(loss, (some, maps))
            total += loss.detach()
            by_mask[rows] = slopes[0].to(by_mask)
            by_cell[:, *window] += slopes[1]
        ctx.save_for_backward(by_mask.to(pred), by_cell.to(proto))
        return total

    @staticmethod
    def backward(ctx: Any, slope: torch.Tensor) -> Any:
        by_mask, by_cell = ctx.saved_tensors
        return slope * by_mask, slope * by_cell, None, None, None, None, None


def _losses(
    pred: torch.Tensor,
    proto: torch.Tensor,
    truth: torch.Tensor,
    boxes: torch.Tensor,
    cells: torch.Tensor,
    sizes: torch.Tensor,
    dice: float,
    shaped: bool,
) -> torch.Tensor:
    """Of each mask (N,) in a window; ``cells`` and ``sizes`` are of its box and its whole truth."""
    if shaped:
        logits = torch.einsum(
            "nc,chw->nhw", pred[:, : -shape_terms.TERMS], proto[: -shape_terms.TERMS]
        )
        logits = logits + shape_terms.quadrics(
            pred[:, -shape_terms.TERMS :].to(boxes), boxes, *truth.shape[1:]
        )
    else:
        logits = torch.einsum("nc,chw->nhw", pred, proto)
    entropy = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    loss = crop_mask(entropy, boxes).sum(dim=(1, 2)) / cells
    if dice:
        inside = crop_mask(logits.to(boxes.dtype).sigmoid().clone(), boxes)
        overlap = (inside * truth).sum((1, 2))
        loss = loss + dice * (1 - (2 * overlap + 1) / (inside.sum((1, 2)) + sizes + 1))
    return loss
