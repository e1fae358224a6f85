"""Images in which not every object is labelled: what is not labelled there is unknown.

Such an image carries one more instance, the image itself, of a class of its own. Whatever an
augmentation does to objects it does to that one too: a mosaic of four images knows which of its
parts are unknown. Where ultralytics drops objects that are hardly seen any more (2 px, a hundredth
of what they were) the unknown goes too, and that strip counts as background.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

UNKNOWN = 1
"""Class of an image as an instance of its own; objects are of class 0."""

_CORNERS = [[0, 0], [1, 0], [1, 1], [0, 1]]


def mark(label: dict[str, Any]) -> None:
    """Add the image itself to its instances, in place.

    Parameters
    ----------
    label : dict
        ``segments``, a list of polygons (K, 2) in 0 to 1; ``bboxes`` (N, 4) centre and sides in
        0 to 1; ``cls`` (N, 1).
    """
    label["segments"] = [*label["segments"], np.array(_CORNERS, np.float32)]
    label["bboxes"] = np.r_[label["bboxes"], np.array([[0.5, 0.5, 1, 1]], np.float32)]
    label["cls"] = np.r_[label["cls"], np.array([[UNKNOWN]], np.float32)]


def split(
    batch: dict[str, Any], centres: torch.Tensor, images: int
) -> tuple[dict[str, Any], torch.Tensor | None]:
    """Take the unknown out of a batch.

    Parameters
    ----------
    batch : dict
        As ultralytics collates it: ``batch_idx`` (N,), ``cls`` (N, 1), ``bboxes`` (N, 4) centre
        and sides in 0 to 1, ``masks`` (N, H, W).
    centres : tensor (A, 2)
        Of the anchors, x and y in 0 to 1.
    images : int
        How many there are, those without an instance included.

    Returns
    -------
    dict
        The batch with objects alone.
    tensor of bool (images, A), or None
        Which anchors lie in the unknown and in no object's box; None if there is none.
    """
    whole = batch["cls"].view(-1) == UNKNOWN
    if not whole.any():
        return batch, None
    objects = {k: batch[k][~whole] for k in ("batch_idx", "cls", "bboxes", "masks")}
    if "sem_masks" in batch:  # the class of each pixel, which is 0 for objects as for nothing
        objects["sem_masks"] = torch.zeros_like(batch["sem_masks"])
    unknown = _reached(batch["batch_idx"][whole], batch["bboxes"][whole], centres, images)
    known = _reached(objects["batch_idx"], objects["bboxes"], centres, images)
    return {**batch, **objects}, unknown & ~known


def _reached(
    image: torch.Tensor, boxes: torch.Tensor, centres: torch.Tensor, images: int
) -> torch.Tensor:
    """Which anchors lie in a box of their image (images, A)."""
    boxes = boxes.to(centres)
    away = (centres[None] - boxes[:, None, :2]).abs()  # (N, A, 2)
    inside = (away <= boxes[:, None, 2:] / 2).all(2)
    count = torch.zeros(images, len(centres), device=centres.device)
    return count.index_add_(0, image.to(centres.device).long(), inside.to(count)) > 0
