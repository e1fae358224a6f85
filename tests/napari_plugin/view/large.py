"""A large lazy image full of disks, for tests of what must not be an array."""

from __future__ import annotations

import numpy as np

from fastsam_plugins.masks import runs as R
from fastsam_plugins.masks.sources import RunMasks
from fastsam_plugins.segmentation import Segmentation

SIDE = 6000


def disks_of(side, count=400):
    """Disks all over a large image, some of which overlap."""
    rng = np.random.default_rng(1)
    y, x = np.mgrid[-30:31, -30:31]
    masks = []
    for left, top, r in zip(
        *rng.integers(0, side - 61, (2, count)), rng.integers(8, 31, count), strict=True
    ):
        masks.append(R.shift(R.from_bitmap(y**2 + x**2 <= r**2), 61, side, int(left), int(top)))
    boxes = np.array([R.bounds(m, side) for m in masks], np.float32)
    source = RunMasks(masks, (side, side))
    return Segmentation.from_source(source, boxes, rng.random(count).astype(np.float32))


def painted(seg):
    """What Commit all makes of instances."""
    return seg.labels()


def middle(window, i):
    """Where to click on an instance: in data of the image."""
    x0, y0, x1, y1 = window.seg.boxes[i].tolist()
    return (y0 + y1) / 2 - 0.5, (x0 + x1) / 2 - 0.5


def look_at(window, place):
    window.viewer.camera.center = (0, *place)
    window.viewer.camera.zoom = 2
    window.wait(least=0.2)
