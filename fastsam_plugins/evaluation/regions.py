"""Boxes or masks of one image, and how well those of two lists overlap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.geometry import box_intersections
from fastsam_plugins.masks import runs as R


class FlatMasks(NamedTuple):
    """Many masks in a few arrays, as compiled code takes them.

    Attributes
    ----------
    runs : int64 array (K, 2)
        Run arrays of all masks, one after another.
    starts, stops : int64 arrays (N,)
        Mask i is ``runs[starts[i]:stops[i]]``.
    areas : float64 array (N,)
    simple : bool array (N,)
        Which masks have exactly one run in each of their columns.
    """

    runs: R.Runs
    starts: NDArray[np.int64]
    stops: NDArray[np.int64]
    areas: NDArray[np.float64]
    simple: NDArray[np.bool_]


@dataclass(frozen=True)
class Regions:
    """Boxes or masks of one image, ground truth or proposals.

    Attributes
    ----------
    boxes : float64 array (N, 4)
        ``x, y, width, height`` in pixels, as COCO writes them; of masks, their tight boxes.
    masks : FlatMasks, optional
        Without masks, the boxes are compared.
    """

    boxes: NDArray[np.float64]
    masks: FlatMasks | None = None

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
        return cls(boxes, FlatMasks(runs, starts, stops, areas, simple))

    def __len__(self) -> int:
        return len(self.boxes)

    def take(self, index: NDArray[np.int64]) -> Regions:
        """Some of them, in the order of the index."""
        taken = self.masks
        if taken is not None:
            rest = {name: getattr(taken, name)[index] for name in taken._fields if name != "runs"}
            taken = taken._replace(**rest)
        return Regions(self.boxes[index], taken)


def overlaps(truth: Regions, proposals: Regions, lowest: float) -> NDArray[np.float64]:
    """IoU (G, D) of ground truths and proposals, of masks where both have them, else of boxes.

    Computed as pycocotools computes it, to the last bit. Masks that cannot reach the lowest IoU
    that counts are not compared: 0.
    """
    if truth.masks is not None and proposals.masks is not None:
        from fastsam_plugins.evaluation import kernels

        return np.asarray(
            kernels.overlaps(truth.boxes, truth.masks, proposals.boxes, proposals.masks, lowest)
        )
    a, b = (regions.boxes.reshape(-1, 4) for regions in (truth, proposals))
    shared = box_intersections(*(np.c_[box[:, :2], box[:, :2] + box[:, 2:]] for box in (a, b)))
    union = (a[:, 2] * a[:, 3])[:, None] + (b[:, 2] * b[:, 3])[None] - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
