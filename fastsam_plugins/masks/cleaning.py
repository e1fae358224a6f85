"""Fewer and cleaner instances: filters, holes, islands, near-duplicate masks."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from fastsam_plugins.masks import quality
from fastsam_plugins.masks.sources import RunMasks
from fastsam_plugins.options import CleanOptions, FilterOptions

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


def filtered(seg: Segmentation, options: FilterOptions) -> Segmentation:
    """See :meth:`fastsam_plugins.Segmentation.filter`."""
    keep = seg.scores >= options.min_score
    if options.min_area > 0:
        keep &= seg.areas >= options.min_area
    if options.max_area is not None:
        keep &= seg.areas <= options.max_area
    if options.min_stability > 0:
        keep &= seg.stability >= options.min_stability
    if options.max_box_leak < 1:
        keep &= seg.box_leak <= options.max_box_leak
    if not options.border:
        height, width = seg.shape
        boxes = seg.tight_boxes()
        keep &= (boxes[:, :2] > 0).all(1) & (boxes[:, 2:] < (width, height)).all(1)
    seg = seg[keep]
    if options.nested != "keep" and len(seg):
        inside = quality.nesting([seg.runs(i) for i in range(len(seg))], seg.tight_boxes())
        seg = seg[~inside.any(1 if options.nested == "outer" else 0)]
    return seg
