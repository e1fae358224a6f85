"""A slice as it was, without copying it at once: what is written over is kept first."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.geometry import Window
from fastsam_plugins.masks import runs as R

ROWS = 256  # that are copied together


class Frozen:
    """The labels of a slice at the time it was made; called, their masks.

    Any thread may call it. The one that writes to the slice has to tell before.

    Parameters
    ----------
    read : callable
        The labels of a window, not copied.
    shape : (H, W)
    """

    def __init__(self, read: Callable[[Window], NDArray[np.integer]], shape: R.Shape) -> None:
        self._read, self._shape = read, shape
        self._lock = threading.Lock()
        self._kept: dict[int, NDArray[np.integer]] = {}  # by the first row

    def keep(self, window: Window) -> None:
        """A window is about to be written to."""
        for top in range(window[1] // ROWS * ROWS, window[3], ROWS):
            self._rows(top)

    def __call__(self) -> dict[int, R.Runs]:
        """The masks of all labels."""
        rows = [self._rows(top) for top in range(0, self._shape[0], ROWS)]
        return R.from_labels(np.concatenate(rows))

    def _rows(self, top: int) -> NDArray[np.integer]:
        height, width = self._shape
        with self._lock:
            if top not in self._kept:
                self._kept[top] = self._read((0, top, width, min(top + ROWS, height))).copy()
            return self._kept[top]
