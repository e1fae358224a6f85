"""COCO polygons to run arrays, to the pixel as the COCO API fills them.

The COCO API (Lin et al. 2014) walks each edge on a grid five times as fine as the pixels; where the
walk steps over the middle of a pixel column, the column's filling toggles. Masks in COCO and LVIS
are defined by that, so an evaluation has to do the same. Here each edge goes from one middle to the
next, however far it reaches beyond the image.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastsam_plugins.masks import rle
from fastsam_plugins.masks import runs as R

_FINE = 5  # grid points per pixel
_FARTHEST = 2**31 // _FINE  # pixels: the COCO API counts grid points in 32 bits
_MOST = 2**62  # pixels of an image
_MOST_CROSSINGS = 1 << 25
_PAIRS = 1 << 18  # of points that are compared at once


def decode_segmentation(segmentation: Any, shape: R.Shape) -> R.Runs:
    """Decode COCO's ``segmentation``: RLE, compressed or not, or a list of polygons.

    Parameters
    ----------
    segmentation : dict or list of flat ``[x, y, x, y, ...]`` lists
        Parts of fewer than three points are read beside a polygon, as the COCO API does.
    shape : (H, W)
        Size of the image in pixels.

    Raises
    ------
    ValueError
        If it is malformed or of another size.
    """
    if isinstance(segmentation, dict):
        runs, size = rle.decode(segmentation)
        if size != shape:
            raise ValueError(
                f"a mask of {size[0]} x {size[1]} does not fit its image of {shape[0]} x {shape[1]}"
            )
        return runs
    least = 0 if any(len(flat) >= 6 for flat in segmentation) else 3
    return R.union([_fill(flat, shape, least) for flat in segmentation])


def fill(flat: ArrayLike, shape: R.Shape) -> R.Runs:
    """Fill one polygon.

    Parameters
    ----------
    flat : sequence of numbers
        ``x, y, x, y, ...`` in pixels, three points or more.
    shape : (H, W)

    Raises
    ------
    ValueError
        If the numbers are not at least three pairs, or not finite.
    """
    return _fill(flat, shape, 3)


def _fill(flat: ArrayLike, shape: R.Shape, least: int) -> R.Runs:
    """The same of a polygon of so many points or more."""
    numbers = np.asarray(flat, np.float64)
    pairs = numbers.ndim == 1 and numbers.size >= 2 * least and numbers.size % 2 == 0
    if not pairs or not np.isfinite(numbers).all():
        raise ValueError("a polygon needs three or more pairs of finite numbers")
    if np.abs(numbers).max(initial=0) >= _FARTHEST:
        raise ValueError(
            f"a polygon reaches no farther than {_FARTHEST} pixels, as in the COCO API"
        )
    height, width = shape
    if width and height > _MOST // width:
        raise ValueError(f"an image of {height} x {width} has more pixels than can be counted")
    from fastsam_plugins.masks import kernels

    grid = (numbers.reshape(-1, 2) * _FINE + 0.5).astype(np.int64)
    most = kernels.most_crossings(grid, width)
    if most > _MOST_CROSSINGS:
        raise ValueError(f"a polygon crosses columns of its image {most} times, too many")
    toggles = kernels.crossings(grid, height, width, most)
    places, count = np.unique(toggles, return_counts=True)
    edges = places[count % 2 == 1]  # a place toggled twice stays as it was
    if len(edges) % 2:
        edges = np.append(edges, height * width)
    return R.from_counts(np.diff(edges, prepend=0))


def keyhole_polygon(runs: R.Runs, shape: R.Shape) -> NDArray[np.float64]:
    """Trace a mask as one closed polygon that keeps every part and every hole.

    Ultralytics' labels hold one polygon per instance. Further parts and holes are joined to it by
    bridges walked there and back, which enclose nothing under the even-odd rule it is filled with.

    Returns
    -------
    float array of shape (K, 2)
        (x, y) in pixels; pixel centres lie at half-integers.
    """
    import cv2

    x0, y0, x1, y1 = R.bounds(runs, shape[0])
    bitmap = R.to_bitmap(runs, shape, (x0, y0, x1, y1)).astype(np.uint8)
    contours, _ = cv2.findContours(bitmap, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    loops = sorted((c[:, 0].astype(np.float64) for c in contours), key=len, reverse=True)
    path = np.concatenate([loops[0], loops[0][:1]])
    for loop in loops[1:]:
        k, j = _nearest(path, loop)
        loop = np.roll(loop, -j, axis=0)
        path = np.concatenate([path[: k + 1], loop, loop[:1], path[k:]])
    if len(path) < 4:  # a speck of one or two pixels still needs a polygon
        path = np.concatenate([path, path + 0.25])
    return path + np.array([x0 + 0.5, y0 + 0.5])


def _nearest(path: NDArray[np.float64], loop: NDArray[np.float64]) -> tuple[int, int]:
    """Of all pairs of a point of one and a point of the other, the first of the closest."""
    best, pair = np.inf, (0, 0)
    step = max(_PAIRS // len(loop), 1)
    for first in range(0, len(path), step):
        distance = ((path[first : first + step, None] - loop[None]) ** 2).sum(-1)
        k, j = np.unravel_index(int(distance.argmin()), distance.shape)
        if distance[k, j] < best:
            best, pair = float(distance[k, j]), (first + int(k), int(j))
    return pair
