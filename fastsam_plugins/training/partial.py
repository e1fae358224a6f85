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


class Unknown:
    """Which places of a batch lie in an image that is labelled in part, and in no object's box.

    Parameters
    ----------
    wholes, objects : dict
        ``batch_idx`` (N,) and ``bboxes`` (N, 4), centre and sides in 0 to 1.
    images : int
        Of the batch.
    """

    def __init__(self, wholes: dict[str, Any], objects: dict[str, Any], images: int) -> None:
        self._wholes, self._objects, self._images = wholes, objects, images

    def at(self, places: torch.Tensor) -> torch.Tensor:
        """For places (A, 2), x and y in 0 to 1: booleans (images, A)."""
        return self._reached(self._wholes, places) & ~self._reached(self._objects, places)

    def _reached(self, part: dict[str, Any], places: torch.Tensor) -> torch.Tensor:
        image, boxes = part["batch_idx"].to(places.device).long(), part["bboxes"].to(places)
        away = (places[None] - boxes[:, None, :2]).abs()  # (N, A, 2)
        inside = (away <= boxes[:, None, 2:] / 2).all(2)
        count = torch.zeros(self._images, len(places), device=places.device)
        return count.index_add_(0, image, inside.to(count)) > 0


def split(batch: dict[str, Any], images: int) -> tuple[dict[str, Any], Unknown | None]:
    """Take the unknown out of a batch.

    Parameters
    ----------
    batch : dict
        As ultralytics collates it: ``batch_idx`` (N,), ``cls`` (N, 1), ``bboxes`` (N, 4) centre
        and sides in 0 to 1, ``masks`` (N, H, W).
    images : int
        How many there are, those without an instance included.

    Returns
    -------
    dict
        The batch with objects alone.
    Unknown or None
        None if all is known.
    """
    whole = batch["cls"].view(-1) == UNKNOWN
    if not whole.any():
        return batch, None
    objects = {k: batch[k][~whole] for k in ("batch_idx", "cls", "bboxes", "masks")}
    if "sem_masks" in batch:  # the class of each pixel, which is 0 for objects as for nothing
        objects["sem_masks"] = torch.zeros_like(batch["sem_masks"])
    wholes = {k: batch[k][whole] for k in ("batch_idx", "bboxes")}
    return {**batch, **objects}, Unknown(wholes, objects, images)
