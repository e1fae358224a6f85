"""The loops of recall as machine code, for results files of many thousand masks.

Same answers to the last bit as :mod:`fastsam_plugins.masks` and
:mod:`fastsam_plugins.evaluation.proposals`, which do for small files.

Many masks are held flat: ``runs`` (K, 2) of all, ``starts`` and ``stops`` (N,), where mask i is
``runs[starts[i]:stops[i]]``.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Ints = NDArray[np.int64]
BACKSLASH = 92


@njit(cache=True)
def decode(
    text: NDArray[np.uint8], starts: Ints, stops: Ints, pixels: int, escaped: bool
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
    escaped : bool
        Whether a backslash is written twice, as in JSON.

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
                if escaped and text[k] == BACKSLASH:
                    k += 1
                    if k == stops[i] or text[k] != BACKSLASH:
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


@njit(cache=True)
def measure(
    runs: Ints, starts: Ints, stops: Ints, height: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Boxes ``x, y, width, height`` (N, 4) and areas (N,) of flat masks; zero if empty.

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


@njit(cache=True)
def _shared_columns(a: Ints, b: Ints) -> int:
    """Pixels that two simple masks share, from a column on that both begin with."""
    shared = 0
    for k in range(min(len(a), len(b))):
        shared += max(min(a[k, 1], b[k, 1]) - max(a[k, 0], b[k, 0]), 0)
    return shared


@njit(cache=True)
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


@njit(cache=True)
def overlaps(
    g_runs: Ints,
    g_starts: Ints,
    g_stops: Ints,
    g_boxes: NDArray[np.float64],
    g_areas: NDArray[np.float64],
    g_simple: NDArray[np.bool_],
    d_runs: Ints,
    d_starts: Ints,
    d_stops: Ints,
    d_boxes: NDArray[np.float64],
    d_areas: NDArray[np.float64],
    d_simple: NDArray[np.bool_],
    lowest: float,
) -> NDArray[np.float64]:
    """IoU (G, D) of two lists of flat masks; 0 where it cannot reach ``lowest``."""
    iou = np.zeros((len(g_areas), len(d_areas)))
    for g in range(len(g_areas)):
        for d in range(len(d_areas)):
            # Masks share no more than their boxes, nor than the smaller one.
            w = min(g_boxes[g, 0] + g_boxes[g, 2], d_boxes[d, 0] + d_boxes[d, 2])
            w -= max(g_boxes[g, 0], d_boxes[d, 0])
            h = min(g_boxes[g, 1] + g_boxes[g, 3], d_boxes[d, 1] + d_boxes[d, 3])
            h -= max(g_boxes[g, 1], d_boxes[d, 1])
            if w <= 0 or h <= 0:
                continue
            bound = min(min(g_areas[g], d_areas[d]), w * h)
            if bound * (1 + lowest) < (g_areas[g] + d_areas[d]) * lowest:
                continue
            g_part, d_part = g_runs[g_starts[g] : g_stops[g]], d_runs[d_starts[d] : d_stops[d]]
            if g_simple[g] and d_simple[d]:  # most small objects: column by column
                offset = int(g_boxes[g, 0]) - int(d_boxes[d, 0])
                g_part, d_part = g_part[max(-offset, 0) :], d_part[max(offset, 0) :]
                shared = _shared_columns(g_part, d_part)
            else:
                shared = _shared(g_part, d_part)
            union = g_areas[g] + d_areas[d] - shared
            if union > 0:
                iou[g, d] = shared / union
    return iou


@njit(cache=True)
def match(iou: NDArray[np.float64], limits: NDArray[np.float64], missed: int) -> NDArray[np.int32]:
    """Greedy matching, proposals in order: the proposal that took each ground truth (G, T)."""
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
