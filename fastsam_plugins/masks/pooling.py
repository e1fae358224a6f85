"""Sums of feature maps under masks, from their runs: no bitmap, at any size of the image.

Along the order of run arrays (column after column) the sum of a map up to a position is known from
one table of cells; what lies under a run is the difference of two such sums, and exact for maps
whose cells are constant.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.geometry import Letterbox
from fastsam_plugins.masks import runs as R
from fastsam_plugins.masks.sampling import Floats


class Pooling:
    """Maps that lie over the network's input, to be summed under masks of the image.

    Parameters
    ----------
    maps : float32 array (h, w, C)
    letterbox : Letterbox
        Where the image lies in the input.
    """

    def __init__(self, maps: Floats, letterbox: Letterbox) -> None:
        (height, width), shape = letterbox.image_shape, letterbox.input_shape
        h, w, count = maps.shape
        left, top = letterbox.to_input([0, 0])
        across, down = letterbox.scale * (w / shape[1], h / shape[0])
        self._height, self.count = height, count
        # A column of pixels looks at the cells that its middle lies in.
        x = left * w / shape[1] + (np.arange(width + 1) + 0.5) * across
        self._column = np.clip(x.astype(np.int64), 0, w - 1)
        self._column[-1] = self._column[max(width - 1, 0)]
        y = np.clip(top * h / shape[0] + np.arange(height + 1) * down, 0, h)
        self._row = np.minimum(y.astype(np.int64), h - 1)
        self._part = y - self._row
        cells = maps.transpose(1, 0, 2).astype(np.float64)  # a column's lie together
        sums = np.zeros((w, h + 1, count))
        np.cumsum(cells, 1, out=sums[:, 1:])

        def down_to(y: int) -> NDArray[np.float64]:
            row = self._row[y]
            return np.asarray(sums[:, row] + self._part[y] * cells[:, row])

        top_of, whole = down_to(0), down_to(height) - down_to(0)
        pixels = np.bincount(self._column[:-1], minlength=w)
        self._first = np.cumsum(pixels) - pixels
        before = np.cumsum(pixels[:, None] * whole, 0) - pixels[:, None] * whole
        self._cells, self._shape = cells.reshape(w * h, count), (w, h)
        self._sums = sums[:, :-1].reshape(w * h, count)
        self._whole, self._before = whole, before - top_of

    def sums(self, mask: R.Runs) -> NDArray[np.float64]:
        """Sums (C,) under a mask, in cells; zero where it is empty."""
        w, h = self._shape
        # How often the tables' entries are taken: with ends of runs added, with starts taken off.
        position, sign = mask.ravel(), np.tile([-1.0, 1.0], len(mask))
        x, y = np.divmod(position, self._height)
        column, row = self._column[x], self._row[y]
        cell = column * h + row
        columns = np.bincount(column, sign, w)
        pixels = np.bincount(column, sign * (x - self._first[column]), w)
        cells = np.bincount(cell, sign, w * h)
        parts = np.bincount(cell, sign * self._part[y], w * h)
        return np.asarray(
            columns @ self._before + pixels @ self._whole + cells @ self._sums + parts @ self._cells
        )
