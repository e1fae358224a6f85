"""FiftyOne labels to masks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import fiftyone as fo
import numpy as np

from fastsam_plugins.masks import runs as R

KINDS = (fo.Detections, fo.Detection, fo.Polylines, fo.Polyline, fo.Segmentation)


def masks(label: Any, shape: R.Shape) -> Iterator[R.Runs]:
    """The instances of a label field's value.

    Parameters
    ----------
    label : Detections, Detection, Polylines, Polyline, Segmentation or None
        A detection without a mask is its box. Every connected part of a class of a segmentation is
        an instance.
    shape : (H, W)
        Of the image.

    Yields
    ------
    run arrays
        Empty where a label covers no pixel.
    """
    height, width = shape
    if isinstance(label, fo.Segmentation):
        label = label.to_detections(mask_types="thing")
    if isinstance(label, fo.Detections):
        found = label.detections
    elif isinstance(label, fo.Polylines):
        found = label.polylines
    else:
        found = [] if label is None else [label]
    for one in found:
        if isinstance(one, fo.Detection) and not one.has_mask:
            yield _box(one.bounding_box, shape)
        else:
            drawn = one.to_segmentation(frame_size=(width, height)).mask
            yield R.from_bitmap(np.asarray(drawn) != 0)


def _box(box: list[float], shape: R.Shape) -> R.Runs:
    height, width = shape
    x0, x1 = (round(min(max(v, 0), 1) * width) for v in (box[0], box[0] + box[2]))
    y0, y1 = (round(min(max(v, 0), 1) * height) for v in (box[1], box[1] + box[3]))
    columns = np.arange(x0, x1)
    return R.from_columns(columns, np.full(len(columns), y0), np.full(len(columns), y1), height)
