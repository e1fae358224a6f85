"""Answers without a trained decoder: a stable proposal, corrected by its neighbours in features.

The correction is the mean of a Gaussian process: what is missing at the clicks is carried to cells
that are near them, have the same colour and the same prototypes; one system of as many unknowns as
there are clicks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np

from fastsam_plugins.decoder.answer import Answer, View
from fastsam_plugins.decoder.windows import CLIP, GRID, Click, resampled
from fastsam_plugins.masks.sampling import Floats
from fastsam_plugins.masks.sources import Rows

if TYPE_CHECKING:
    from fastsam_plugins.decoder.encoding import Encoding
    from fastsam_plugins.decoder.proposals import Proposals

_NEAR, _COLOUR, _ALIKE = 0.18, 0.35, 1.2  # lengths: of the window, of colour, of prototypes
_MARGIN = 2.0  # the logit that a click asks for
_NOISE = 0.05
_BESIDE = 5  # cells: a mask may leave its box by two of them, for boxes are drawn by hand


def worth(proposals: Proposals, rows: Rows) -> Floats:
    """What proposals are expected to be worth: stable ones first, then confident ones."""
    even = proposals.stability(rows) + np.sqrt(proposals.scores[rows])
    return np.asarray(even / 2, np.float32)


def answer(
    encoding: Encoding, view: View, clicks: Sequence[Click], before: Answer | None, row: int | None
) -> Answer:
    """The last answer, or a proposal, or the box; bent so that it agrees with the clicks."""
    box = view.fine[7]
    if before is not None:
        start = resampled(before.map, before.window, view.window, -CLIP)
        expected = before.iou
    elif row is not None:
        start = 2 * np.arctanh(np.clip(view.fine[6], -0.995, 0.995))
        expected = float(worth(encoding.proposals, np.array([row]))[0])
        if box.any():
            near = cv2.dilate(box, np.ones((_BESIDE, _BESIDE), np.uint8))
            start = np.where(near > 0, start, -CLIP)
    else:
        start = np.where(box > 0, 1.0, -1.0)
        expected = 0.5 if box.any() else 0.1
    return Answer(_bent(start, view, clicks), view.window, expected)


def _bent(start: Floats, view: View, clicks: Sequence[Click]) -> Floats:
    x0, y0, x1, y1 = view.window
    cells = [
        (min(int((y - y0) / (y1 - y0) * GRID), GRID - 1),
         min(int((x - x0) / (x1 - x0) * GRID), GRID - 1), label)
        for x, y, label in clicks if x0 <= x < x1 and y0 <= y < y1
    ]  # fmt: skip
    if not cells:
        return np.asarray(start, np.float32)
    steps = np.arange(GRID) / (GRID * _NEAR)
    place = np.stack(np.meshgrid(steps, steps), 0)
    prototypes = np.repeat(np.repeat(view.coarse[-view.prototypes :], 2, 1), 2, 2)
    scale = prototypes.std((1, 2), keepdims=True).mean() * _ALIKE * np.sqrt(len(prototypes))
    features = np.concatenate([place, view.fine[:3] / (3 * _COLOUR), prototypes / max(scale, 1e-6)])
    features = features.reshape(len(features), -1).T
    rows = np.array([r * GRID + c for r, c, _ in cells])
    wanted = np.array([_MARGIN if label else -_MARGIN for *_, label in cells])
    now = start.ravel()[rows]
    missing = np.where(now * wanted >= _MARGIN**2 / 4, 0, wanted - now)
    known = features[rows]
    far = (features**2).sum(1)[:, None] + (known**2).sum(1) - 2 * features @ known.T
    kernel = np.exp(-np.maximum(far, 0) / 2)
    heights = np.linalg.solve(kernel[rows] + _NOISE * np.eye(len(rows)), missing)
    return np.asarray(start + (kernel @ heights).reshape(GRID, GRID), np.float32)
