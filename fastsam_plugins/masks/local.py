"""Masks given as small maps of logits, each over a window of the image: what prompts predict.

Between a map's cells logits are bilinear, so that runs, areas and stability are computed as those
of prototypes are, without a bitmap. A map costs the same whatever the size of the image.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.geometry import Letterbox, Window
from fastsam_plugins.masks import runs as R
from fastsam_plugins.masks.prototypes import PrototypeMasks
from fastsam_plugins.masks.sampling import CELL, Floats
from fastsam_plugins.masks.sources import MaskSource, Rows, RunMasks

OUTSIDE = -20.0  # the logit where a map does not reach


class LocalMasks(MaskSource):
    """Masks of one image as maps of logits.

    Parameters
    ----------
    maps : float32 array (N, h, w)
        Logits; cell (0, 0) covers the first part of the window.
    windows : int64 array (N, 4)
        xyxy in pixels: what each map covers. It may reach beyond the image.
    shape : (H, W)
        Size of the image.
    """

    has_logits = True

    def __init__(self, maps: Floats, windows: NDArray[np.int64], shape: R.Shape) -> None:
        super().__init__()
        self.shape = shape
        self.maps = np.ascontiguousarray(maps, np.float32)
        self.windows = np.ascontiguousarray(windows, np.int64).reshape(-1, 4)
        self._made: dict[int, PrototypeMasks] = {}

    def __len__(self) -> int:
        return len(self.maps)

    def window(self, row: int) -> Window:
        """The pixels ``(x0, y0, x1, y1)`` that a mask may lie in."""
        x0, y0, x1, y1 = self.windows[row].tolist()
        return max(x0, 0), max(y0, 0), min(x1, self.shape[1]), min(y1, self.shape[0])

    def _map(self, row: int) -> PrototypeMasks:
        """A map as the one prototype of an image as large as its window."""
        if row not in self._made:
            x0, y0, x1, y1 = self.windows[row].tolist()
            h, w = self.maps.shape[1:]
            size, content = (y1 - y0, x1 - x0), (h * CELL, w * CELL)
            letterbox = Letterbox(size, content, content, 0, 0)
            box = np.array([[0, 0, x1 - x0, y1 - y0]], np.float32)
            one = np.ones((1, 1), np.float32)
            self._made[row] = PrototypeMasks(self.maps[row][None], one, box, letterbox)
        return self._made[row]

    def _shared(self, row: int, window: Window) -> Window:
        """What a window and a mask's own have in common, seen from the latter's corner."""
        x0, y0, _, _ = self.windows[row].tolist()
        a0, b0, a1, b1 = self.window(row)
        left, top = max(window[0], a0) - x0, max(window[1], b0) - y0
        return left, top, max(min(window[2], a1) - x0, left), max(min(window[3], b1) - y0, top)

    def _moved(self, row: int, runs: R.Runs) -> R.Runs:
        x0, y0, _, y1 = self.windows[row].tolist()
        return R.shift(runs, y1 - y0, self.shape[0], x0, y0)

    def _make_runs(self, row: int) -> R.Runs:
        return self.decode(row, self.window(row)).copy()

    def decode(self, row: int, window: Window, threshold: float = 0.0) -> R.Runs:
        """Run array of the pixels inside a window whose logit exceeds a threshold."""
        return self._moved(row, self._map(row).decode(0, self._shared(row, window), threshold))

    def areas_above(self, row: int, window: Window, *thresholds: float) -> list[int]:
        """Pixels inside a window whose logit exceeds each threshold."""
        return self._map(row).areas_above(0, self._shared(row, window), *thresholds)

    def logits(self, row: int, window: Window | None = None) -> Floats:
        """Logits (h, w) in a window, the whole image by default; far below 0 outside the map."""
        x0, y0, x1, y1 = window or (0, 0, self.shape[1], self.shape[0])
        out = np.full((max(y1 - y0, 0), max(x1 - x0, 0)), OUTSIDE, np.float32)
        left, top, right, bottom = self._shared(row, (x0, y0, x1, y1))
        if right > left and bottom > top:
            dx, dy = (self.windows[row][:2] - (x0, y0)).tolist()
            inside = slice(top + dy, bottom + dy), slice(left + dx, right + dx)
            out[inside] = self._map(row).logits(0, (left, top, right, bottom))
        return out

    def contains(self, rows: Rows, pixels: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether pixels (P, 2) as (x, y) belong to the masks, (len(rows), P); outside is False."""
        height, width = self.shape
        answers = np.zeros((len(rows), len(pixels)), np.bool_)
        inside = ((pixels >= 0) & (pixels < (width, height))).all(1)
        for k, row in enumerate(rows.tolist()):
            seen = pixels[inside] - self.windows[row][:2]
            answers[k, inside] = self._map(row).contains(np.zeros(1, np.int64), seen)[0]
        return answers


def joined(parts: Sequence[tuple[MaskSource, Rows]]) -> tuple[MaskSource, Rows]:
    """Rows of several sources of one image as one source: maps if all are, else run arrays."""
    shape = parts[0][0].shape
    parts = [(s, rows) for s, rows in parts if len(rows)]
    local = [(s, rows) for s, rows in parts if isinstance(s, LocalMasks)]
    count = sum(len(rows) for _, rows in parts)
    if len(local) == len(parts) and len({s.maps.shape[1:] for s, _ in local}) == 1:
        maps = np.concatenate([s.maps[rows] for s, rows in local])
        windows = np.concatenate([s.windows[rows] for s, rows in local])
        return LocalMasks(maps, windows, shape), np.arange(count)
    return RunMasks([s.runs(r) for s, rows in parts for r in rows.tolist()], shape), np.arange(
        count
    )
