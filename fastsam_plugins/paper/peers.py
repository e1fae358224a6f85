"""Table 3's classical peers that OpenCV's contributed modules have: proposals of boxes."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.io import read_image
from fastsam_plugins.masks.edge_map import ridges
from fastsam_plugins.model import FastSAM
from fastsam_plugins.options import SegmentOptions
from fastsam_plugins.paper.edges import sobel

Boxes = NDArray[np.float64]
Map = NDArray[np.float32]
MOST = 1000
MISSING = (
    "Selective Search and EdgeBoxes (`pip install --force-reinstall --no-deps "
    "opencv-contrib-python-headless`, of the version of the OpenCV that is there, brings them)"
)


def installed() -> bool:
    """Whether OpenCV has its contributed modules."""
    import cv2

    return hasattr(cv2, "ximgproc")


def selective_search(image: Path) -> Boxes:
    """Boxes xyxy (N, 4) of Selective Search in its fast setting, the best first."""
    import cv2

    contributed: Any = vars(cv2)["ximgproc"]  # not in its stubs
    search = contributed.segmentation.createSelectiveSearchSegmentation()
    search.setBaseImage(np.ascontiguousarray(read_image(image)[:, :, ::-1]))
    search.switchToSelectiveSearchFast()
    if os.name != "nt":  # it ranks by C's random numbers, which OpenCV's own seed leaves alone
        ctypes.CDLL(None).srand(0)
    return _xyxy(search.process())


def edge_boxes(edges: Map) -> Boxes:
    """Boxes xyxy (N, 4) of EdgeBoxes for an edge map (H, W), thinned, in [0, 1]; the best first."""
    import cv2

    contributed: Any = vars(cv2)["ximgproc"]  # not in its stubs
    search = contributed.createEdgeBoxes()
    search.setMaxBoxes(MOST)
    boxes, _ = search.getBoundingBoxes(edges, orientation(edges))
    return _xyxy(boxes)


def edge_maps(model: FastSAM, options: SegmentOptions) -> dict[str, Callable[[Path], Map]]:
    """What to draw edges with: the Sobel filter, and the network."""

    def classical(image: Path) -> Map:
        return ridges(sobel(read_image(image)).astype(np.float32), smoothing=2.0)

    def own(image: Path) -> Map:
        return model.segment(read_image(image), options).edges()

    return {"Sobel's edges": classical, f"{model.network.name}'s edges": own}


def orientation(edges: Map) -> Map:
    """Direction across the edges (H, W) in [0, pi), from the curvature of the smoothed map.

    As Dollar and Zitnick 2013, "Structured Forests", take it, with a Gaussian of 4 pixels.
    """
    from scipy import ndimage

    def derivative(along_y: int, along_x: int) -> NDArray[np.float64]:
        found = ndimage.gaussian_filter(edges, 4.0, (along_y, along_x), np.float64)
        return np.asarray(found)

    yy, xx, xy = derivative(2, 0), derivative(0, 2), derivative(1, 1)
    # A ridge bends down across itself: the direction of the most negative curvature.
    angle = 0.5 * np.arctan2(2 * xy, xx - yy) + np.pi / 2
    return np.asarray(np.mod(angle, np.pi), np.float32)


def _xyxy(boxes: Any) -> Boxes:
    found = np.asarray(boxes, np.float64).reshape(-1, 4)[:MOST]
    return np.concatenate([found[:, :2], found[:, :2] + found[:, 2:]], axis=1)
