"""Masks as polygons along the edges of their pixels: filled again, they give the very mask.

Parts that touch at a corner only are polygons of their own, and rings that touch themselves are
cut there, so that every polygon is valid as the OGC's Simple Features and GeoJSON want it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.masks import runs as R

Ring = NDArray[np.int64]
Polygon = list[Ring]


def outlines(runs: R.Runs, shape: R.Shape) -> list[Polygon]:
    """Trace a mask.

    Parameters
    ----------
    runs : run array
    shape : (H, W)
        Size of the image in pixels.

    Returns
    -------
    list of polygons
        One per 4-connected part; none for an empty mask. A polygon is a list of rings, the outer
        one first, then its holes. A ring is an int64 array (K + 1, 2) of its corners (x, y) in
        pixels, closed: its last row is its first. The shoelace formula gives outer rings positive
        areas and holes negative ones.
    """
    from scipy import ndimage

    if not len(runs):
        return []
    x0, y0, x1, y1 = R.bounds(runs, shape[0])
    bitmap = np.pad(R.to_bitmap(runs, shape, (x0, y0, x1, y1)), 1)
    parts, count = ndimage.label(bitmap)
    polygons: list[Polygon] = [[] for _ in range(count)]
    for ring in _rings(bitmap):
        polygon = polygons[parts[_pixel_beside(ring)] - 1]
        moved = ring + np.array([x0 - 1, y0 - 1])
        if signed_area(ring) > 0:
            polygon.insert(0, moved)
        else:
            polygon.append(moved)
    return polygons


def signed_area(ring: NDArray) -> float:
    """Area by the shoelace formula of a closed ring (K + 1, 2)."""
    x, y = ring[:, 0] - ring[0, 0], ring[:, 1] - ring[0, 1]
    return float((x[:-1] * y[1:] - x[1:] * y[:-1]).sum() / 2)


def _rings(bitmap: NDArray[np.bool_]) -> list[Ring]:
    """Closed rings of a bitmap whose border is empty, each with the mask on its right on screen.

    The boundary is cut into horizontal and vertical segments, which follow each other by turns.
    """
    # Where two pixels touch at a corner only, four segments meet. Those that border the upper pixel
    # follow each other, and those of the lower one: `side` tells them apart.
    upper, lower = bitmap[:-1], bitmap[1:]
    touching = np.zeros(bitmap.shape, np.bool_)
    touching[1:, 1:] = (upper[:, :-1] == lower[:, 1:]) & (upper[:, 1:] == lower[:, :-1])
    touching[1:, 1:] &= upper[:, :-1] != upper[:, 1:]
    width = bitmap.shape[1]

    def key(x: NDArray, y: NDArray, side: NDArray) -> NDArray[np.int64]:
        return (y * width + x) * 2 + (touching[y, x] & side)

    values = bitmap.astype(np.int8)
    y, left, right, below = _segments(np.diff(values, axis=0))
    start, stop = np.where(below, left, right), np.where(below, right, left)
    h_start, h_stop = key(start, y, below), key(stop, y, below)

    x, top, bottom, beyond = _segments(np.diff(values, axis=1).T)
    v_start = key(x, np.where(beyond, bottom, top), ~beyond)
    v_stop = key(x, np.where(beyond, top, bottom), beyond)

    after = np.empty((2, len(y)), np.int64)
    after[0, np.argsort(h_stop)] = np.argsort(v_start)
    after[1, np.argsort(v_stop)] = np.argsort(h_start)
    following = after[1][after[0]].tolist()

    corners = np.stack([y * width + start, y * width + stop], axis=1).tolist()
    rings, seen = [], [False] * len(corners)
    for first in range(len(corners)):
        path: list[int] = []
        while not seen[first]:
            seen[first] = True
            path += corners[first]
            first = following[first]
        for loop in _cut(path) if path else ():
            rings.append(np.stack(np.divmod(np.array([*loop, loop[0]]), width)[::-1], axis=1))
    return rings


def _segments(
    step: NDArray[np.int8],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Boundary segments on the lines between rows of pixels.

    ``step`` (H - 1, W) is the difference of each row to the one before. Returns line, first and
    last position along it, and whether the mask lies on its far side.
    """
    line, place = np.nonzero(step[:, 1:] != step[:, :-1])
    value = step[line, place + 1]
    start = np.flatnonzero(value)
    return line[start] + 1, place[start] + 1, place[start + 1] + 1, value[start] > 0


def _cut(path: list[int]) -> list[list[int]]:
    """Cut a closed path where it meets itself."""
    if len(set(path)) == len(path):
        return [path]
    loops: list[list[int]] = []
    open_: list[int] = []
    place: dict[int, int] = {}
    for corner in path:
        if corner in place:
            loop = open_[place[corner] :]
            loops.append(loop)
            del open_[place[corner] + 1 :]
            for left in loop[1:]:
                del place[left]
        else:
            place[corner] = len(open_)
            open_.append(corner)
    return [*loops, open_]


def _pixel_beside(ring: Ring) -> tuple[int, int]:
    """Row and column of a pixel of the mask that touches the ring."""
    k = 0 if ring[0, 1] == ring[1, 1] else 1
    (x, y), (to, _) = ring[k].tolist(), ring[k + 1].tolist()
    return (y, x) if to > x else (y - 1, x - 1)
