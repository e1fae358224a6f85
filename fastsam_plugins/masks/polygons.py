"""COCO polygons to run arrays, to the pixel as the COCO API fills them.

The COCO API (Lin et al. 2014) walks each edge on a grid five times as fine as the pixels; where the
walk steps over the middle of a pixel column, the column's filling toggles. Masks in COCO and LVIS
are defined by that, so an evaluation has to do the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastsam_plugins.masks import rle
from fastsam_plugins.masks import runs as R

_FINE = 5  # grid points per pixel
_HALF = 2  # grid points from a pixel's left edge to the one before its middle
_FARTHEST = 2**31 // _FINE  # pixels: the COCO API counts grid points in 32 bits
_MOST = 2**62  # pixels of an image
_TOGETHER = 1 << 20  # crossings of columns that are worked on together
_MOST_CROSSINGS = 1 << 27

Points = NDArray[np.int64]


def decode_segmentation(segmentation: Any, shape: R.Shape) -> R.Runs:
    """Decode COCO's ``segmentation``: RLE, compressed or not, or a list of polygons.

    Parameters
    ----------
    segmentation : dict or list of flat ``[x, y, x, y, ...]`` lists
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
    return R.union([fill(flat, shape) for flat in segmentation])


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
    numbers = np.asarray(flat, np.float64)
    if numbers.ndim != 1 or numbers.size < 6 or numbers.size % 2 or not np.isfinite(numbers).all():
        raise ValueError("a polygon needs three or more pairs of finite numbers")
    if np.abs(numbers).max() >= _FARTHEST:
        raise ValueError(
            f"a polygon reaches no farther than {_FARTHEST} pixels, as in the COCO API"
        )
    height, width = shape
    if width and height > _MOST // width:
        raise ValueError(f"an image of {height} x {width} has more pixels than can be counted")
    grid = (numbers.reshape(-1, 2) * _FINE + 0.5).astype(np.int64)
    edges = R.EMPTY[:, 0]
    for start, stop in _parts(grid, width):
        places, count = np.unique(_toggles(start, stop, shape), return_counts=True)
        # A place toggled twice stays as it was.
        edges = np.setxor1d(edges, places[count % 2 == 1], assume_unique=True)
    if len(edges) % 2:
        edges = np.append(edges, height * width)
    return R.from_counts(np.diff(edges, prepend=0))


def _parts(grid: Points, width: int) -> Iterator[tuple[Points, Points]]:
    """Both ends of the edges of a closed polygon (K, 2), some that cross columns at a time."""
    start, stop = grid, np.roll(grid, -1, axis=0)
    low, high = np.minimum(start[:, 0], stop[:, 0]), np.maximum(start[:, 0], stop[:, 0])
    crossed = np.clip(high, 0, _FINE * width) - np.clip(low, 0, _FINE * width) + _FINE
    reach = np.cumsum(crossed // _FINE)
    if reach[-1] > _MOST_CROSSINGS:
        raise ValueError(f"a polygon crosses columns of its image {reach[-1]} times, too many")
    ends = np.flatnonzero(np.diff(reach // _TOGETHER, append=-1)) + 1
    for first, last in zip(np.r_[0, ends[:-1]], ends, strict=True):
        yield start[first:last], stop[first:last]


def _toggles(start: Points, stop: Points, shape: R.Shape) -> NDArray[np.int64]:
    """Where edges turn the filling of a column over, as places in the image's column-major order.

    The COCO API steps along an edge's longer direction, from the end with the smaller coordinate
    in it, and rounds the other one. Only steps over the middle of a pixel column count, which lies
    between two grid columns: they are gone to at once, wherever the edge comes from.
    """
    height, width = shape
    flat = (span := np.abs(stop - start))[:, 0] >= span[:, 1]  # x is the longer direction
    major = np.where(flat, 0, 1)
    edge = np.arange(len(start))
    turned = start[edge, major] > stop[edge, major]
    low = np.where(turned[:, None], stop, start)
    high = np.where(turned[:, None], start, stop)
    length = span[edge, major]
    rise = high[edge, 1 - major] - low[edge, 1 - major]
    slope = np.divide(rise, length, out=np.zeros(len(start)), where=length > 0)

    # The pixel columns k whose middle, between the grid columns 5 k + 2 and 5 k + 3, is stepped
    # over. Rounding may move the ends by one grid column: they are looked at, too.
    left, right = np.minimum(start[:, 0], stop[:, 0]) - 1, np.maximum(start[:, 0], stop[:, 0]) + 1
    first = np.clip(-((_HALF - left) // _FINE), 0, width)
    last = np.clip((right - _HALF - 1) // _FINE + 1, first, width)
    count = last - first
    owner = np.repeat(edge, count)
    column = np.arange(len(owner)) - np.repeat(np.cumsum(count) - count - first, count)
    before = _FINE * column + _HALF

    def across(step: NDArray[np.int64]) -> NDArray[np.int64]:
        """The rounded coordinate after so many steps; truncated towards zero, as by a C cast."""
        return (low[owner, 1 - major[owner]] + slope[owner] * step + 0.5).astype(np.int64)

    # Along x, the step is known; along y, it is the last one before the column is passed.
    step = before - low[owner, 0]
    steep = ~flat[owner]
    if steep.any():
        sought = owner[steep]
        step[steep] = _last_before(
            before[steep], low[sought, 0], slope[sought], length[sought]
        )  # fmt: skip
    there = (step >= 0) & (step < length[owner])
    beside, after = across(step), across(step + 1)
    v = np.where(steep, low[owner, 1] + step, np.minimum(beside, after))
    if steep.any():
        there &= ~steep | (np.minimum(beside, after) == before) & (
            np.maximum(beside, after) > before
        )
    y = (v[there] + 0.5) / _FINE - 0.5
    rows = np.ceil(np.clip(y, 0, height)).astype(np.int64)
    return column[there] * height + rows


def _last_before(
    column: NDArray[np.int64], origin: NDArray[np.int64], slope: NDArray, length: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The last step at which edges have not yet left a grid column for the next, or for the one
    before if they fall; found by halving, because the rounding is that of the sum itself."""
    falls = slope < 0
    low, high = np.full(len(column), -1), length.copy()  # the answer lies in [low, high]
    while (open_ := high > low).any():
        middle = low + (high - low + 1) // 2
        passed = (origin + slope * middle + 0.5).astype(np.int64) > column
        stays = np.where(falls, passed, ~passed)
        low = np.where(open_ & stays, middle, low)
        high = np.where(open_ & ~stays, middle - 1, high)
    return low


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
        distance = ((path[:, None] - loop[None]) ** 2).sum(-1)
        k, j = np.unravel_index(int(distance.argmin()), distance.shape)
        loop = np.roll(loop, -int(j), axis=0)
        path = np.concatenate([path[: k + 1], loop, loop[:1], path[k:]])
    if len(path) < 4:  # a speck of one or two pixels still needs a polygon
        path = np.concatenate([path, path + 0.25])
    return path + np.array([x0 + 0.5, y0 + 0.5])
