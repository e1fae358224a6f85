"""Instances as a label image: every pixel goes to one of those that cover it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.masks import runs as R

if TYPE_CHECKING:
    from fastsam_plugins.segmentation import Segmentation

Overlap = Literal["small_on_top", "high_score_on_top", "first"]


class LabelRows:
    """A label image (H, W) of which rows are made when they are asked for: ``rows[y0:y1]``."""

    dtype = np.dtype(np.int32)

    def __init__(self, seg: Segmentation, overlap: Overlap = "small_on_top") -> None:
        if overlap == "small_on_top":
            order = np.argsort(-seg.areas, kind="stable")
        elif overlap == "high_score_on_top":
            order = np.argsort(seg.scores, kind="stable")
        elif overlap == "first":
            order = np.arange(len(seg))[::-1]
        else:
            raise ValueError(
                f"overlap must be small_on_top, high_score_on_top or first, got {overlap!r}"
            )
        self.shape = seg.shape
        self._seg = seg
        height = seg.shape[0]
        self._painted = [(i, R.bounds(seg.runs(i), height)) for i in order.tolist()]

    def __getitem__(self, index: slice) -> NDArray[np.int32]:
        """Labels (rows, W): 0 is background, i + 1 is instance i."""
        rows = range(self.shape[0])[index]
        first, last = rows.start, rows.stop
        image = np.zeros((len(rows), self.shape[1]), np.int32)
        for i, (x0, y0, x1, y1) in self._painted:
            top, bottom = max(y0, first), min(y1, last)
            if top < bottom:
                part = image[top - first : bottom - first, x0:x1]
                part[self._seg.mask(i, (x0, top, x1, bottom))] = i + 1
        return image


def labels(seg: Segmentation, overlap: Overlap) -> NDArray[np.int32]:
    """See :meth:`fastsam_plugins.Segmentation.labels`."""
    return LabelRows(seg, overlap)[:]
