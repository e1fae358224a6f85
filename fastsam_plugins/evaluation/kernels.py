"""The loops of recall as machine code, which numba makes once and keeps.

Many masks are held flat: ``runs`` (K, 2) of all, ``starts`` and ``stops`` (N,), where mask i is
``runs[starts[i]:stops[i]]``. They release the interpreter's lock. Numba takes a second to import:
who needs this room imports it where it is needed.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class FlatMasks(NamedTuple):
    """Many masks in a few arrays, as compiled code takes them.

    Attributes
    ----------
    runs : int64 array (K, 2)
        Run arrays of all masks, one after another.
    starts, stops : int64 arrays (N,)
        Mask i is ``runs[starts[i]:stops[i]]``.
    areas : float64 array (N,)
    simple : bool array (N,)
        Which masks have exactly one run in each of their columns.
    """

    runs: Ints
    starts: Ints
    stops: Ints
    areas: Floats
    simple: NDArray[np.bool_]


@njit(cache=True, nogil=True)
def decode(
    text: NDArray[np.uint8], starts: Ints, stops: Ints, pixels: int
) -> tuple[Ints, Ints, Ints, int]:
    """COCO's compressed counts to flat masks.

    Parameters
    ----------
    text : uint8 array
        That holds the strings of all masks.
    starts, stops : int64 arrays (N,)
        Where each begins and ends.
    pixels : int
        Of the image.

    Returns
    -------
    runs, starts, stops, bad
        ``bad`` is the first mask whose string is malformed or does not add up, or -1.
    """
    runs = np.empty(((stops - starts).sum() // 2 + len(stops), 2), np.int64)
    first, last = np.empty(len(stops), np.int64), np.empty(len(stops), np.int64)
    used = 0
    for i in range(len(stops)):
        first[i] = used
        k = starts[i]
        position, number = 0, 0
        one_before, two_before = 0, 0
        while k < stops[i]:
            value, shift, more = 0, 0, True
            while more:
                if k == stops[i] or shift >= 60:
                    return runs, first, last, i
                code = int(text[k]) - 48
                if code < 0 or code > 63:
                    return runs, first, last, i
                value |= (code & 0x1F) << shift
                more = (code & 0x20) != 0
                shift += 5
                k += 1
                if not more and code & 0x10:
                    value -= 1 << shift
            if number > 2:
                value += two_before
            if value < 0 or value > pixels - position:  # before it could wrap around
                return runs, first, last, i
            if number % 2 == 1 and value > 0:
                if used > first[i] and runs[used - 1, 1] == position:  # nothing lay between
                    runs[used - 1, 1] = position + value
                else:
                    runs[used, 0], runs[used, 1] = position, position + value
                    used += 1
            position += value
            two_before, one_before = one_before, value
            number += 1
        if position != pixels:
            return runs, first, last, i
        last[i] = used
    return runs[:used], first, last, -1


@njit(cache=True, nogil=True)
def measure(
    runs: Ints, starts: Ints, stops: Ints, height: int
) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Boxes ``x, y, width, height`` (N, 4), zero if empty, and areas (N,) of masks.

    And which of them (N,) are simple: with exactly one run in each of their columns.
    """
    boxes = np.zeros((len(starts), 4))
    areas = np.zeros(len(starts))
    simple = np.ones(len(starts), np.bool_)
    for i in range(len(starts)):
        if starts[i] == stops[i]:
            continue
        left = runs[starts[i], 0] // height
        top, bottom, area = height, 0, 0
        column = left * height  # where the column of the run at hand begins
        expected = column
        for k in range(starts[i], stops[i]):
            start, stop = runs[k, 0], runs[k, 1]
            area += stop - start
            while start >= column + height:
                column += height
            simple[i] &= column == expected and stop <= column + height
            expected += height
            if stop <= column + height:
                top, bottom = min(top, start - column), max(bottom, stop - column)
            else:
                top, bottom = 0, height
        right = (runs[stops[i] - 1, 1] - 1) // height + 1
        boxes[i] = left, top, right - left, bottom - top
        areas[i] = area
    return boxes, areas, simple


@njit(cache=True, nogil=True)
def _shared_columns(a: Ints, b: Ints) -> int:
    """Pixels that two simple masks share, from a column on that both begin with."""
    shared = 0
    for k in range(min(len(a), len(b))):
        shared += max(min(a[k, 1], b[k, 1]) - max(a[k, 0], b[k, 0]), 0)
    return shared


@njit(cache=True, nogil=True)
def _shared(a: Ints, b: Ints) -> int:
    """Pixels that two masks share."""
    shared, i, j = 0, 0, 0
    while i < len(a) and j < len(b):
        a_stop, b_stop = a[i, 1], b[j, 1]
        shared += max(min(a_stop, b_stop) - max(a[i, 0], b[j, 0]), 0)
        # Sums instead of branches, which no processor could foresee.
        i += a_stop <= b_stop
        j += b_stop <= a_stop
    return shared


@njit(cache=True, nogil=True)
def overlaps(
    g_boxes: Floats, truth: FlatMasks, d_boxes: Floats, proposals: FlatMasks, lowest: float
) -> Floats:
    """IoU (G, D) of two lists of masks; 0 where it cannot reach ``lowest``."""
    iou = np.zeros((len(g_boxes), len(d_boxes)))
    for g in range(len(g_boxes)):
        g_area = truth.areas[g]
        g_runs = truth.runs[truth.starts[g] : truth.stops[g]]
        for d in range(len(d_boxes)):
            # Masks share no more than their boxes, nor than the smaller one.
            w = min(g_boxes[g, 0] + g_boxes[g, 2], d_boxes[d, 0] + d_boxes[d, 2])
            w -= max(g_boxes[g, 0], d_boxes[d, 0])
            h = min(g_boxes[g, 1] + g_boxes[g, 3], d_boxes[d, 1] + d_boxes[d, 3])
            h -= max(g_boxes[g, 1], d_boxes[d, 1])
            if w <= 0 or h <= 0:
                continue
            areas = g_area + proposals.areas[d]
            if min(min(g_area, proposals.areas[d]), w * h) * (1 + lowest) < areas * lowest:
                continue
            d_runs = proposals.runs[proposals.starts[d] : proposals.stops[d]]
            if truth.simple[g] and proposals.simple[d]:  # most small objects: column by column
                offset = int(g_boxes[g, 0]) - int(d_boxes[d, 0])
                shared = _shared_columns(g_runs[max(-offset, 0) :], d_runs[max(offset, 0) :])
            else:
                shared = _shared(g_runs, d_runs)
            if areas > shared:
                iou[g, d] = shared / (areas - shared)
    return iou


@njit(cache=True, nogil=True)
def boundaries(
    runs: Ints, starts: Ints, stops: Ints, height: int, distance: int
) -> tuple[Ints, Ints, Ints]:
    """Flat masks of the pixels of masks that are at most ``distance`` from what is outside.

    The distance is along the longer of both axes; what lies beyond the image is outside. A pixel is
    no boundary if the ``distance`` columns to either side hold it as far from the ends of a run.
    """
    room = 0
    for i in range(len(starts)):
        for k in range(starts[i], stops[i]):
            length = runs[k, 1] - runs[k, 0]
            # Two of each column that a run crosses, and what a hole nearby cuts off: twice the
            # distance and one pixel at least.
            room += 2 * (2 + length // height) + length // (2 * distance + 2)
    out = np.empty((room, 2), np.int64)
    first, last = np.empty(len(starts), np.int64), np.empty(len(starts), np.int64)
    inside = np.zeros(height, np.int64)  # columns in a row that hold this row far from ends
    seen = np.empty(height, np.int64)  # the last of those columns
    used = 0
    for i in range(len(starts)):
        first[i] = used
        if starts[i] == stops[i]:
            last[i] = used
            continue
        left = runs[starts[i], 0] // height
        right = (runs[stops[i] - 1, 1] - 1) // height
        seen[:] = -2
        ahead, behind = starts[i], starts[i]  # first run that reaches into a column
        for x in range(left, right + 1 + distance):
            low, high = x * height, (x + 1) * height
            k = ahead
            while k < stops[i] and runs[k, 0] < high:
                top, bottom = max(runs[k, 0] - low, 0), min(runs[k, 1] - low, height)
                for y in range(top + distance, bottom - distance):
                    inside[y] = inside[y] + 1 if seen[y] == x - 1 else 1
                    seen[y] = x
                if runs[k, 1] > high:
                    break
                k += 1
            ahead = k
            if x - distance < left:
                continue
            # The column whose neighbours to the right are all known now.
            low, high = (x - distance) * height, (x - distance + 1) * height
            k = behind
            while k < stops[i] and runs[k, 0] < high:
                start, stop = max(runs[k, 0], low), min(runs[k, 1], high)
                begun = start
                for y in range(start - low + distance, stop - low - distance):
                    if seen[y] == x and inside[y] > 2 * distance:
                        if begun < low + y:
                            used = _extend(out, first[i], used, begun, low + y)
                        begun = low + y + 1
                if begun < stop:
                    used = _extend(out, first[i], used, begun, stop)
                if runs[k, 1] > high:
                    break
                k += 1
            behind = k
        last[i] = used
    return out[:used], first, last


@njit(cache=True, nogil=True)
def _extend(out: Ints, first: int, used: int, start: int, stop: int) -> int:
    """Add a run to those of a mask, joined with the one before if nothing lies between."""
    if used > first and out[used - 1, 1] == start:
        out[used - 1, 1] = stop
        return used
    out[used, 0], out[used, 1] = start, stop
    return used + 1


@njit(cache=True, nogil=True)
def flatten(
    runs: Ints, starts: Ints, stops: Ints, areas: Floats, pixels: int, most: float
) -> tuple[Ints, Ints, Ints]:
    """Flat masks that do not overlap: a pixel is the first one's that has it.

    Nothing is left of a mask of which a share above ``most`` is taken already.
    """
    taken = np.zeros(pixels, np.bool_)
    first, last = np.empty(len(starts), np.int64), np.empty(len(starts), np.int64)
    out = np.empty((max(len(runs), 1), 2), np.int64)
    used = 0
    for i in range(len(starts)):
        gone, pieces = 0, 0
        for k in range(starts[i], stops[i]):
            before = True
            for pixel in range(runs[k, 0], runs[k, 1]):
                gone += taken[pixel]
                pieces += before and not taken[pixel]
                before = taken[pixel]
        first[i] = last[i] = used
        if gone > most * areas[i]:
            continue
        if used + pieces > len(out):
            grown = np.empty((2 * (used + pieces), 2), np.int64)
            grown[:used] = out[:used]
            out = grown
        for k in range(starts[i], stops[i]):
            before = True
            for pixel in range(runs[k, 0], runs[k, 1]):
                if not taken[pixel]:
                    if before:
                        out[used, 0] = pixel
                        used += 1
                    out[used - 1, 1] = pixel + 1
                before = taken[pixel]
                taken[pixel] = True
        last[i] = used
    return out[:used], first, last


@njit(cache=True, nogil=True)
def match(iou: Floats, limits: Floats, missed: int) -> NDArray[np.int32]:
    """The proposal that took each ground truth (G, T); see ``proposals.match``."""
    ranks = np.full((iou.shape[0], len(limits)), missed, np.int32)
    near = np.empty(iou.shape[0], np.int64)
    for d in range(iou.shape[1]):
        count = 0
        for g in range(iou.shape[0]):
            if iou[g, d] >= limits[0]:
                near[count] = g
                count += 1
        for t in range(len(limits)):
            best, taken = limits[t], -1
            for k in range(count):
                g = near[k]
                if ranks[g, t] == missed and iou[g, d] >= best:  # among equals the later one
                    best, taken = iou[g, d], g
            if taken >= 0:
                ranks[taken, t] = d
    return ranks
