"""Every click is obeyed at its pixel, and near it: small hills and hollows on an answer's map."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.decoder.windows import GRID, Click
from fastsam_plugins.geometry import Window
from fastsam_plugins.masks.sampling import Floats

_WIDTH = 1.0  # cells: how far a correction reaches
_STEEP = 100.0  # logits: higher hills have run together with others
_MARGIN = 1.0  # the logit that a click is given


def pinned(values: Floats, window: Window, clicks: Sequence[Click]) -> Floats:
    """The map (GRID, GRID) with the logit of the right sign at every click in its window.

    Clicks that it agrees with keep their logit. Of two clicks in one pixel the later one counts.
    """
    x0, y0, x1, y1 = window
    latest = {(int(np.floor(x)), int(np.floor(y))): label for x, y, label in clicks}
    places = [(x, y) for x, y in latest if x0 <= x < x1 and y0 <= y < y1]
    if not places:
        return values
    size = np.array([x1 - x0, y1 - y0])
    cells = np.clip((np.array(places) + 0.5 - (x0, y0)) / size * GRID - 0.5, 0, GRID - 1)
    wanted = np.array([1 if latest[p] else -1 for p in places])
    now = _sampled(values, cells)
    missing = np.where(now * wanted > 0, 0, wanted * _MARGIN - now)
    if not missing.any():
        return values
    steps = np.arange(GRID)
    across = np.exp(-(((steps[None] - cells[:, :1]) / _WIDTH) ** 2) / 2)
    down = np.exp(-(((steps[None] - cells[:, 1:]) / _WIDTH) ** 2) / 2)
    hills = down[:, :, None] * across[:, None, :]
    reach = np.stack([_sampled(hill, cells) for hill in hills], 1)
    heights, *_ = np.linalg.lstsq(reach, missing, rcond=1e-9)
    made = np.asarray(values + np.tensordot(heights, hills, 1), np.float32)
    if (_sampled(made, cells) * wanted > 0).all() and np.abs(heights).max() < _STEEP:
        return made
    return _exactly(values, cells, missing)


def _exactly(values: Floats, cells: NDArray[np.float64], missing: NDArray[np.float64]) -> Floats:
    """For clicks so near one another that hills run together: cells alone, as few as can be."""
    low, (u, v) = _between(cells)
    shares = [(1 - u) * (1 - v), u * (1 - v), (1 - u) * v, u * v]
    rows = np.zeros((len(cells), GRID, GRID))
    for k, share in enumerate(shares):
        x, y = low[:, 0] + k % 2, low[:, 1] + k // 2
        rows[np.arange(len(cells)), y, x] += share
    change, *_ = np.linalg.lstsq(rows.reshape(len(cells), -1), missing, rcond=1e-12)
    return np.asarray(values + change.reshape(GRID, GRID), np.float32)


def _between(
    cells: NDArray[np.float64],
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The cells (P, 2) before places, and how far these are from them (2, P)."""
    low = np.minimum(cells.astype(np.int64), GRID - 2)
    return low, (cells - low).T


def _sampled(values: NDArray, cells: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values at places (P, 2) between cells, bilinear."""
    low, (u, v) = _between(cells)
    x, y = low.T
    top = values[y, x] * (1 - u) + values[y, x + 1] * u
    bottom = values[y + 1, x] * (1 - u) + values[y + 1, x + 1] * u
    return np.asarray(top * (1 - v) + bottom * v, np.float64)
