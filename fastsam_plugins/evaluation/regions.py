"""Boxes or masks of one image, and how well those of two lists overlap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.geometry import box_intersections
from fastsam_plugins.masks import runs as R

if TYPE_CHECKING:
    from fastsam_plugins.evaluation.kernels import FlatMasks

BOUNDARY = 0.02
"""Width of boundaries as a share of the image's diagonal."""


@dataclass(frozen=True)
class Regions:
    """Boxes or masks of one image, ground truth or proposals.

    Attributes
    ----------
    boxes : float64 array (N, 4)
        ``x, y, width, height`` in pixels, as COCO writes them; of masks, their tight boxes.
    masks : FlatMasks, optional
        Without masks, the boxes are compared.
    boundaries : FlatMasks, optional
        Pixels along the masks' borders; see :meth:`with_boundaries`.
    """

    boxes: NDArray[np.float64]
    masks: FlatMasks | None = None
    boundaries: FlatMasks | None = None

    @classmethod
    def of_masks(cls, masks: Sequence[R.Runs], height: int) -> Regions:
        """Masks of an image of this height, from their run arrays."""
        lengths = np.array([len(m) for m in masks], np.int64)
        stops = np.cumsum(lengths)
        return cls.of_flat(np.concatenate([R.EMPTY, *masks]), stops - lengths, stops, height)

    @classmethod
    def of_flat(
        cls, runs: R.Runs, starts: NDArray[np.int64], stops: NDArray[np.int64], height: int
    ) -> Regions:
        """The same, from run arrays that are put together already."""
        from fastsam_plugins.evaluation import kernels

        boxes, areas, simple = kernels.measure(runs, starts, stops, height)
        return cls(boxes, kernels.FlatMasks(runs, starts, stops, areas, simple))

    def with_boundaries(self, shape: R.Shape) -> Regions:
        """The same masks of an image of this shape, to be compared along their borders as well.

        Cheng et al. 2021, "Boundary IoU": pixels of a mask no further from what is outside, also
        beyond the image, than 2 % of the image's diagonal.
        """
        from fastsam_plugins.evaluation import kernels

        if self.masks is None:
            raise ValueError("boxes have no boundaries to compare: masks are needed")
        distance = max(round(BOUNDARY * float(np.hypot(*shape))), 1)
        runs, starts, stops = self.masks.runs, self.masks.starts, self.masks.stops
        runs, starts, stops = kernels.boundaries(runs, starts, stops, shape[0], distance)
        return replace(self, boundaries=Regions.of_flat(runs, starts, stops, shape[0]).masks)

    def __len__(self) -> int:
        return len(self.boxes)

    def take(self, index: NDArray[np.int64]) -> Regions:
        """Some of them, in the order of the index."""
        return Regions(self.boxes[index], _taken(self.masks, index), _taken(self.boundaries, index))


def _taken(masks: FlatMasks | None, index: NDArray[np.int64]) -> FlatMasks | None:
    if masks is None:
        return None
    rest = {name: getattr(masks, name)[index] for name in masks._fields if name != "runs"}
    return masks._replace(**rest)


def overlaps(truth: Regions, proposals: Regions, lowest: float) -> NDArray[np.float64]:
    """IoU (G, D) of ground truths and proposals, of masks where both have them, else of boxes.

    Computed as pycocotools computes it, to the last bit. Masks that cannot reach the lowest IoU
    that counts are not compared: 0. Where both have boundaries, the lower IoU of masks and of
    boundaries, as Cheng et al. do: a ring is as good as what it surrounds by boundaries alone.
    """
    if truth.masks is not None and proposals.masks is not None:
        from fastsam_plugins.evaluation import kernels

        iou = kernels.overlaps(truth.boxes, truth.masks, proposals.boxes, proposals.masks, lowest)
        if truth.boundaries is not None and proposals.boundaries is not None:
            along = kernels.overlaps(
                truth.boxes, truth.boundaries, proposals.boxes, proposals.boundaries, lowest
            )
            iou = np.minimum(iou, along)
        return np.asarray(iou)
    a, b = (regions.boxes.reshape(-1, 4) for regions in (truth, proposals))
    shared = box_intersections(*(np.c_[box[:, :2], box[:, :2] + box[:, 2:]] for box in (a, b)))
    union = (a[:, 2] * a[:, 3])[:, None] + (b[:, 2] * b[:, 3])[None] - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
