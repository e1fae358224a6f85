"""Requests for tests of several rooms."""

from __future__ import annotations

from fastsam_plugins.options import (
    FilterOptions,
    ReadOptions,
    SegmentOptions,
    TileOptions,
)
from napari_plugin.inference.layer_pixels import Pixels
from napari_plugin.inference.worker import (
    Request,
)
from napari_plugin.model.plane import Plane

NAME = ("FastSAM-n", "cpu", "auto", "auto")


QUICK = SegmentOptions(imgsz=320, conf=0.25)


def request(image, jobs=None, model=NAME[0], options=QUICK):
    height, width = image.shape[:2]
    return Request(
        Pixels([image], Plane(0, 1, 2), True, ReadOptions()),
        jobs or (((), (0, 0, width, height)),),
        (height, width), model, "cpu", "auto", options, FilterOptions(),
    )  # fmt: skip


def in_windows(image, **tiling):
    height, width = image.shape[:2]
    return Request(
        Pixels([image], Plane(0, 1, 2), image.ndim == 3, ReadOptions()),
        (((), (0, 0, width, height)),),
        (height, width), "FastSAM-n", "cpu", "auto", QUICK.replace(imgsz=160), FilterOptions(),
        TileOptions(**{"tile": 320, "overlap": 0.3, **tiling}),
    )  # fmt: skip
