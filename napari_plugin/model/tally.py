"""Counting labels: quicker than sorting them, where numbers are small."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

SMALL = 1 << 22
"""Labels up to which a table of all numbers is made."""


def tally(block: NDArray[np.integer]) -> dict[int, int]:
    """How many pixels each number of a block has."""
    if not block.size:
        return {}
    low, high = int(block.min()), int(block.max())
    if low < 0 or high > SMALL:
        labels, counts = np.unique(block, return_counts=True)
    else:
        every = np.bincount(block.ravel())
        labels = np.flatnonzero(every)
        counts = every[labels]
    return dict(zip(labels.tolist(), counts.tolist(), strict=True))


def looked_up(
    block: NDArray[np.integer], values: Mapping[int, int], other: int
) -> NDArray[np.int64]:
    """A value for each pixel by its number, and another one where there is none."""
    out = np.full(block.shape, other, np.int64)
    if not values or not block.size:
        return out
    names = np.array(sorted(values), np.int64)
    numbers = np.array([values[n] for n in names.tolist()], np.int64)
    if names[0] >= 0 and names[-1] <= SMALL:
        table = np.full(max(int(names[-1]), int(block.max())) + 1, other, np.int64)
        if len(table) <= 2 * SMALL and block.min() >= 0:
            table[names] = numbers
            return np.asarray(table[block])
    place = np.minimum(np.searchsorted(names, block), len(names) - 1)
    return np.where(names[place] == block, numbers[place], other)
