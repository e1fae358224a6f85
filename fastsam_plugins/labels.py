"""Instances as a label image: every pixel goes to one of those that cover it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.masks import runs as R

if TYPE_CHECKING:
    from fastsam_plugins.segmentation import Segmentation

Overlap = Literal["small_on_top", "high_score_on_top", "first"]


def labels(seg: Segmentation, overlap: Overlap) -> NDArray[np.int32]:
    """See :meth:`fastsam_plugins.Segmentation.labels`."""
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
    image = np.zeros(seg.shape, np.int32)
    for i in order.tolist():
        x0, y0, x1, y1 = R.bounds(seg.runs(i), seg.shape[0])
        image[y0:y1, x0:x1][seg.mask(i, (x0, y0, x1, y1))] = i + 1
    return image
