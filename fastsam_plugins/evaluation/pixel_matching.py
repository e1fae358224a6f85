"""Pixels of two boundary maps matched one to one: as many as possible, at least total distance.

An assignment problem whose graph is local: a pixel has some tens of possible partners. Rows are
added one by one, each along a shortest augmenting path (Jonker and Volgenant 1987), which is looked
for among the pixels near by only; SciPy's solver clears arrays of all columns for each row.
"""

from __future__ import annotations

import heapq
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Costs = NDArray[np.float64]

ALONE = 100.0  # cost of a pixel without partner, in units of the largest distance


class Index(NamedTuple):
    """The pixels of a map, and the number that each place has among them.

    Attributes
    ----------
    pixels : int64 array (N, 2)
        ``y, x``.
    number : int64 array (H, W)
        Place in ``pixels``, -1 where there is none.
    """

    pixels: Ints
    number: Ints

    @classmethod
    def of(cls, bitmap: NDArray[np.bool_]) -> Index:
        """Of a map (H, W), to be matched with several others."""
        pixels = np.argwhere(bitmap)
        number = np.full(bitmap.shape, -1, np.int64)
        number[tuple(pixels.T)] = np.arange(len(pixels))
        return cls(pixels, number)


def match(
    machine: NDArray[np.bool_], truth: NDArray[np.bool_] | Index, limit: float
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """The pixels of two maps (H, W) that have a partner in the other, at most ``limit`` away.

    A pair costs its distance, a pixel of the first map without partner a hundred times the limit.

    >>> left, right = np.zeros((2, 3, 9), bool)
    >>> left[1, [0, 4]] = right[1, [1, 8]] = True
    >>> [m.nonzero()[1].tolist() for m in match(left, right, 2.0)]
    [[0], [1]]
    """
    index = truth if isinstance(truth, Index) else Index.of(truth)
    matched = np.zeros_like(machine), np.zeros_like(machine)
    reach = int(limit + 1e-9)
    steps = np.mgrid[-reach : reach + 1, -reach : reach + 1].reshape(2, -1).T
    apart = np.hypot(*steps.T)
    order = np.argsort(apart, kind="stable")
    order = order[apart[order] <= limit + 1e-9]
    a, b = np.argwhere(machine), index.pixels
    starts, columns, costs = _near(a, index.number, steps[order], apart[order])
    partner = _assign(starts, columns, costs, len(b), ALONE * limit)
    pairs = partner >= 0
    matched[0][tuple(a[pairs].T)] = True
    matched[1][tuple(b[partner[pairs]].T)] = True
    return matched


@njit(cache=True, nogil=True)
def _near(pixels: Ints, number: Ints, steps: Ints, apart: Costs) -> tuple[Ints, Ints, Costs]:
    """The graph, nearest partners first: where each pixel's begin (n + 1,), which, how far."""
    height, width = number.shape
    starts = np.zeros(len(pixels) + 1, np.int64)
    columns = np.empty(len(pixels) * len(steps), np.int64)
    costs = np.empty(len(pixels) * len(steps))
    used = 0
    for i in range(len(pixels)):
        for k in range(len(steps)):
            y, x = pixels[i, 0] + steps[k, 0], pixels[i, 1] + steps[k, 1]
            if 0 <= y < height and 0 <= x < width and number[y, x] >= 0:
                columns[used], costs[used] = number[y, x], apart[k]
                used += 1
        starts[i + 1] = used
    return starts, columns[:used], costs[:used]


@njit(cache=True, nogil=True)
def _assign(starts: Ints, columns: Ints, costs: Costs, count: int, alone: float) -> Ints:
    """The column of each row, -1 for none; columns may stay without a row at no cost."""
    rows = len(starts) - 1
    partner, owner = np.full(rows, -1, np.int64), np.full(count, -1, np.int64)
    # Prices: a row pays cost minus price, and takes what is cheapest. Those of columns without a
    # row stay 0. So the nearest partner may be taken wherever it is free.
    price = np.zeros(count)
    for i in range(rows):
        for e in range(starts[i], starts[i + 1]):
            if costs[e] > costs[starts[i]]:
                break
            if owner[columns[e]] < 0:
                partner[i], owner[columns[e]] = columns[e], i
                break
    distance, seen, done = np.zeros(count), np.full(count, -1), np.full(count, -1)
    before = np.empty(count, np.int64)  # the row from which a column was reached
    scanned = np.empty(count, np.int64)
    for new in range(rows):
        if partner[new] >= 0 or starts[new] == starts[new + 1]:
            continue
        heap = [(0.0, np.int64(0))]
        heap.pop()
        row, offset, number = new, 0.0, 0
        end, loser, least = -1, new, alone  # so far: the new row has none
        while True:
            if alone + offset < least:  # the row that was reached may give up its column
                least, loser = alone + offset, row
            for e in range(starts[row], starts[row + 1]):
                j = columns[e]
                if done[j] == new:
                    continue
                length = costs[e] - price[j] + offset
                if seen[j] != new or length < distance[j]:
                    seen[j], distance[j], before[j] = new, length, row
                    if length < least:
                        heapq.heappush(heap, (length, j))
            while heap and done[heap[0][1]] == new:
                heapq.heappop(heap)
            if not heap or heap[0][0] >= least:
                break
            length, j = heapq.heappop(heap)
            if owner[j] < 0:
                end, least = int(j), length
                break
            done[j] = new
            scanned[number] = j
            number += 1
            row = int(owner[j])
            # What it pays for its own column, which it would no longer.
            for e in range(starts[row], starts[row + 1]):
                if columns[e] == j:
                    offset = length - (costs[e] - price[j])
                    break
        for k in range(number):
            price[scanned[k]] += distance[scanned[k]] - least
        if end < 0:  # the loser's column becomes free for the path that leads to it
            if loser == new:
                continue
            end = partner[loser]
            partner[loser] = -1
        while True:
            row = int(before[end])
            owner[end], partner[row], end = row, end, partner[row]
            if row == new:
                break
    return partner
