"""Clean-up of instances: holes, islands, small and near-duplicate masks."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from fastsam_plugins.masks import quality
from fastsam_plugins.masks.sources import RunMasks
from fastsam_plugins.options import CleanOptions

if TYPE_CHECKING:
    from fastsam_plugins.segmentation import Segmentation


def clean(seg: Segmentation, options: CleanOptions) -> Segmentation:
    """See :meth:`fastsam_plugins.Segmentation.clean`."""
    if options.max_hole or options.max_island:
        masks = [
            quality.fill_and_remove(seg.runs(i), seg.shape, options.max_hole, options.max_island)
            for i in range(len(seg))
        ]
        source = RunMasks(masks, seg.shape)
        seg = dataclasses.replace(seg, source=source, rows=np.arange(len(seg)))
    seg = seg.filter(min_area=options.min_area)
    if options.mask_iou < 1 or options.containment < 1:
        keep = quality.suppress(
            [seg.runs(i) for i in range(len(seg))],
            seg.tight_boxes(),
            np.argsort(-seg.scores, kind="stable"),
            options.mask_iou,
            options.containment,
        )
        seg = seg[keep]
    return seg
