"""The inner loops as machine code, which numba makes once and keeps.

They release the interpreter's lock: a window stays awake, and a database is written, meanwhile.
Numba takes a second to import: who needs this room imports it where it is needed.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]


@njit(cache=True, nogil=True)
def interpolate(values: Floats, inputs: Ints, weights: Floats, origin: int) -> Floats:
    """Weighted sums (outputs, m) of rows of values (n, m), of which the first is input ``origin``.

    Parameters
    ----------
    values : float32 array (n, m)
    inputs : int64 array (outputs, T)
        The consecutive inputs that each output draws on.
    weights : float32 array (outputs, T)
    origin : int
    """
    out = np.empty((len(inputs), values.shape[1]), np.float32)
    for i in range(len(inputs)):
        first = inputs[i, 0] - origin
        for j in range(values.shape[1]):
            out[i, j] = values[first, j] * weights[i, 0]
        for k in range(1, weights.shape[1]):
            for j in range(values.shape[1]):
                out[i, j] += values[first + k, j] * weights[i, k]
    return out


@njit(cache=True, nogil=True)
def first_pixel_at(place: float, bounded: NDArray[np.float64], ratio: float) -> int:
    """The first pixel at or beyond a place on the grid; see ``sampling.Axis``."""
    last = len(bounded) - 3
    guess = min(max(math.ceil((place + 0.5) * ratio - 0.5), 0), last)
    if bounded[guess] >= place:  # the pixel before: bounded starts one early
        guess -= 1
    if bounded[guess + 1] < place:
        guess += 1
    return guess


ONES = np.uint64(0x0101010101010101)
EVERY_BIT = np.uint64(0xFFFFFFFFFFFFFFFF)
PLACES = np.uint64(sum(k << (60 - 8 * k) for k in range(8)))
"""Times the k-th byte of a word that is 1, this has k in its upper four bits."""


@njit(cache=True, nogil=True)
def _words(values: NDArray[Any], limit: float) -> NDArray[np.uint64]:
    """Which values (w, rows) exceed a limit: zeros and ones, eight to a word, zeros at the end."""
    width, rows = values.shape
    padded = np.empty((width, (rows + 7) // 8 * 8), np.uint8)
    for i in range(width):
        for row in range(rows):
            padded[i, row] = values[i, row] > limit
        for row in range(rows, padded.shape[1]):
            padded[i, row] = 0
    return padded.view(np.uint64)


@njit(cache=True, nogil=True)
def _other(words: NDArray[np.uint64], row: int, rows: int, mark: bool) -> int:
    """The first row from ``row`` on that is not marked so; ``rows`` if all are."""
    k = row >> 3
    if k >= len(words):
        return rows
    same = ONES if mark else np.uint64(0)
    differs = (words[k] ^ same) & (EVERY_BIT << np.uint64(8 * (row & 7)))
    while differs == 0:
        k += 1
        if k == len(words):
            return rows
        differs = words[k] ^ same
    lowest = differs & (~differs + np.uint64(1))
    return min(8 * k + int((lowest * PLACES) >> np.uint64(60)), rows)


@njit(cache=True, nogil=True)
def trace(
    columns: Floats,
    threshold: float,
    first: int,
    bounded: NDArray[np.float64],
    ratio: float,
    window: tuple[int, int, int, int],
    height: int,
) -> Ints:
    """Solve for where the logits of each pixel column cross a threshold.

    Parameters
    ----------
    columns : float32 array (w, rows)
        Logits of the window's pixel columns at consecutive rows of the grid.
    threshold : float
    first : int
        The first of these rows.
    bounded, ratio
        Where pixels lie on the grid; see ``sampling.Axis``.
    window : (x0, y0, x1, y1)
    height : int
        Of the image.

    Returns
    -------
    run array (K, 2)
    """
    x0, y0, _, y1 = window
    width, rows = columns.shape
    cut = np.float32(threshold)
    words = _words(columns, cut)
    runs = np.empty((width * (rows // 2 + 1), 2), np.int64)
    used = 0
    for i in range(width):
        base = (x0 + i) * height
        row = _other(words[i], 0, rows, False)
        while row < rows:
            top, bottom = y0, y1
            if row > 0:  # the first pixel after the crossing
                place = _crossing(columns[i, row - 1] - cut, columns[i, row] - cut)
                place += row + first - 1 + 1e-9
                top = min(max(first_pixel_at(place, bounded, ratio), y0), y1)
            row = _other(words[i], row, rows, True)
            if row < rows:  # the first pixel at or after the crossing
                place = _crossing(columns[i, row - 1] - cut, columns[i, row] - cut)
                place += row + first - 1
                bottom = min(max(first_pixel_at(place, bounded, ratio), y0), y1)
            if top < bottom:
                used = _append(runs, used, base + top, base + bottom)
            row = _other(words[i], row, rows, False)
    return runs[:used].copy()


@njit(cache=True, nogil=True)
def _append(runs: Ints, used: int, start: int, stop: int) -> int:
    """Add a run, or lengthen the last one; returns how many there are."""
    if used and runs[used - 1, 1] == start:
        runs[used - 1, 1] = stop
        return used
    runs[used, 0], runs[used, 1] = start, stop
    return used + 1


@njit(cache=True, nogil=True)
def _crossing(before: np.float32, after: np.float32) -> float:
    return np.float64(before / (before - after))


@njit(cache=True, nogil=True)
def scan(bitmap: NDArray[np.bool_], height: int, x0: int, y0: int) -> Ints:
    """Run array of a bitmap (w, h), column after column, whose corner is pixel (x0, y0)."""
    width, rows = bitmap.shape
    words = _words(bitmap, np.uint8(0))
    runs = np.empty((width * (rows // 2 + 1), 2), np.int64)
    used = 0
    for i in range(width):
        base = (x0 + i) * height + y0
        row = _other(words[i], 0, rows, False)
        while row < rows:
            stop = _other(words[i], row, rows, True)
            used = _append(runs, used, base + row, base + stop)
            row = _other(words[i], stop, rows, False)
    return runs[:used].copy()


@njit(cache=True, nogil=True)
def paint(runs: Ints, height: int, x0: int, y0: int, x1: int, y1: int) -> NDArray[np.uint8]:
    """Bitmap (w, h), column after column, of a window of a mask."""
    out = np.zeros((max(x1 - x0, 0), max(y1 - y0, 0)), np.uint8)
    for k in range(np.searchsorted(runs[:, 1], x0 * height, "right"), len(runs)):
        start, stop = max(runs[k, 0], x0 * height), min(runs[k, 1], x1 * height)
        if start >= stop:
            break
        for x in range(start // height, (stop - 1) // height + 1):
            top, bottom = max(start - x * height, y0), min(stop - x * height, y1)
            for y in range(top, bottom):
                out[x - x0, y - y0] = 1
    return out


@njit(cache=True, nogil=True)
def rows_spanned(runs: Ints, height: int) -> tuple[int, int]:
    """The first row that a mask has a pixel in, and the one after the last."""
    top, bottom = height, 0
    for k in range(len(runs)):
        column = runs[k, 0] // height * height
        if runs[k, 1] > column + height:
            return 0, height
        top, bottom = min(top, runs[k, 0] - column), max(bottom, runs[k, 1] - column)
    return top, bottom


@njit(cache=True, nogil=True)
def to_text(runs: Ints, pixels: int) -> NDArray[np.uint8]:
    """COCO's string of a mask; see :mod:`fastsam_plugins.masks.rle`."""
    text = np.empty(13 * (2 * len(runs) + 1), np.uint8)
    used = 0
    position, one_before, two_before = 0, 0, 0
    last = 2 * len(runs)
    for number in range(last + 1):
        edge = pixels if number == last else runs[number // 2, number % 2]
        count = edge - position
        if number == last and count == 0 and last > 0:
            break
        delta = count - two_before if number > 2 else count
        more = True
        while more:
            bits = delta & 0x1F
            delta >>= 5
            more = delta != -1 if bits & 0x10 else delta != 0
            text[used] = bits + 48 + (0x20 if more else 0)
            used += 1
        position, two_before, one_before = edge, one_before, count
    return text[:used].copy()


TOGETHER = 64  # kept boxes that a box is compared with before the outcome is looked at


@njit(cache=True, nogil=True, error_model="numpy")
def suppress(boxes: Floats, iou: float, most: int) -> Ints:
    """Greedy non-maximum suppression of boxes (N, 4), xyxy, best first: indices of those kept."""
    count = min(most, len(boxes))
    kept = np.empty(count, np.int64)
    known = np.empty((5, count), np.float32)  # x0, y0, x1, y1 and area of those kept
    used = 0
    limit = np.float32(iou)
    if limit > iou:  # the last single up to it: what exceeds one exceeds the other
        limit = np.nextafter(limit, np.float32(-1))
    for i in range(len(boxes)):
        if used == count:
            break
        x0, y0, x1, y1 = boxes[i]
        area = (x1 - x0) * (y1 - y0)
        hits, first = np.int32(0), 0
        while hits == 0 and first < used:
            left, top, right, bottom, areas = known[:, first : min(first + TOGETHER, used)]
            for k in range(len(areas)):  # no branches: eight boxes in one instruction
                w = _larger(_smaller(x1, right[k]) - _larger(x0, left[k]), np.float32(0))
                h = _larger(_smaller(y1, bottom[k]) - _larger(y0, top[k]), np.float32(0))
                shared = w * h
                hits += np.int32(shared / (area + areas[k] - shared) > limit)
            first += TOGETHER
        if hits == 0:
            known[0, used], known[1, used], known[2, used], known[3, used] = x0, y0, x1, y1
            known[4, used] = area
            kept[used] = i
            used += 1
    return kept[:used].copy()


# Python's min and max have to mind NaN, which keeps a loop from being vectorized.


@njit(cache=True, nogil=True)
def _smaller(a: np.float32, b: np.float32) -> np.float32:
    return a if a < b else b


@njit(cache=True, nogil=True)
def _larger(a: np.float32, b: np.float32) -> np.float32:
    return a if a > b else b


FINE = 5  # grid points per pixel of the COCO API's polygons
HALF = 2  # grid points from a pixel's left edge to the one before its middle


@njit(cache=True, nogil=True)
def _columns_crossed(start: int, stop: int, width: int) -> tuple[int, int]:
    """Pixel columns [first, last) whose middle an edge between two grid columns may step over.

    Rounding may move its ends by one grid column: they are looked at, too.
    """
    left, right = min(start, stop) - 1, max(start, stop) + 1
    first = min(max((left - HALF + FINE - 1) // FINE, 0), width)
    return first, min(max((right - HALF - 1) // FINE + 1, first), width)


@njit(cache=True, nogil=True)
def most_crossings(grid: Ints, width: int) -> int:
    """How many :func:`crossings` there are at most."""
    most = 0
    for i in range(len(grid)):
        first, last = _columns_crossed(grid[i, 0], grid[(i + 1) % len(grid), 0], width)
        most += last - first
    return most


@njit(cache=True, nogil=True)
def crossings(grid: Ints, height: int, width: int, most: int) -> Ints:
    """Where the edges of a polygon turn the filling of a column over: see ``masks.polygons``.

    The COCO API steps along an edge's longer direction, from the end with the smaller coordinate
    in it, and rounds the other one towards zero. Of those steps only the ones from grid column
    5 k + 2 to 5 k + 3 or back count, in the middle of pixel column k.

    Parameters
    ----------
    grid : int64 array (K, 2)
        Corners (x, y) on a grid five times as fine as the pixels.
    height, width : int
    most : int
        From :func:`most_crossings`.

    Returns
    -------
    int64 array
        Places in the image's column-major order, in no order.
    """
    out = np.empty(most, np.int64)
    used = 0
    for i in range(len(grid)):
        x0, y0 = grid[i, 0], grid[i, 1]
        x1, y1 = grid[(i + 1) % len(grid), 0], grid[(i + 1) % len(grid), 1]
        first, last = _columns_crossed(x0, x1, width)
        flat = abs(x1 - x0) >= abs(y1 - y0)  # x is the longer direction
        if (x0 > x1) if flat else (y0 > y1):
            x0, y0, x1, y1 = x1, y1, x0, y0
        length = x1 - x0 if flat else y1 - y0
        if length == 0 or (not flat and x1 == x0):
            continue
        slope = (y1 - y0) / length if flat else (x1 - x0) / length
        for k in range(first, last):
            column = FINE * k + HALF
            if flat:
                step = column - x0
                if step < 0 or step >= length:
                    continue
                v = min(int(y0 + slope * step + 0.5), int(y0 + slope * (step + 1) + 0.5))
            else:  # the last step before the column is passed, found by halving
                low, high = -1, length
                while low < high:
                    middle = low + (high - low + 1) // 2
                    if (int(x0 + slope * middle + 0.5) > column) == (slope < 0):
                        low = middle
                    else:
                        high = middle - 1
                if low < 0 or low >= length:
                    continue
                here, there = int(x0 + slope * low + 0.5), int(x0 + slope * (low + 1) + 0.5)
                if min(here, there) != column or here == there:
                    continue
                v = y0 + low
            y = (v + 0.5) / FINE - 0.5
            out[used] = k * height + math.ceil(min(max(y, 0.0), float(height)))
            used += 1
    return out[:used]
