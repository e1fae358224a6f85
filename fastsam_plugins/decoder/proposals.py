"""All that a network proposes for an image, and what is known of each proposal under a click."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.decoder.layers import product
from fastsam_plugins.geometry import box_areas
from fastsam_plugins.masks.prototypes import PrototypeMasks
from fastsam_plugins.masks.sampling import CELL, Floats
from fastsam_plugins.masks.sources import Rows

_UNDER = 64  # proposals that are looked at under one click
STATISTICS = 9
EVIDENCE = STATISTICS + 10  # and the coefficients, and the prototypes under the click


class Proposals:
    """Masks that prompts may mean.

    Parameters
    ----------
    source : PrototypeMasks
        One row for each proposal.
    scores : float32 array (M,)
        Confidence, best first.
    """

    def __init__(self, source: PrototypeMasks, scores: Floats) -> None:
        self.source, self.scores = source, scores
        height, width, _ = source.prototypes.shape
        corners = source.letterbox.to_input(source.boxes.reshape(-1, 2, 2)) / CELL
        self._corners = corners.reshape(-1, 4)
        self._cells = np.zeros((len(source), -(-height * width // 64)), np.uint64)
        self._statistics = np.full((len(source), STATISTICS), np.nan, np.float32)

    def __len__(self) -> int:
        return len(self.scores)

    @property
    def boxes(self) -> Floats:
        """Xyxy in pixels, (M, 4)."""
        return self.source.boxes

    def under(self, pixel: NDArray[np.int64]) -> Rows:
        """Proposals that hold a pixel (2,), the most confident first."""
        holding = self.source.contains(np.arange(len(self)), pixel[None])[:, 0]
        return np.flatnonzero(holding)[:_UNDER]

    def logits(self, row: int) -> Floats:
        """Logits of a proposal at the prototypes' cells (h, w); -6 outside its box."""
        grid = self.source.prototypes @ self.source.coefficients[row]
        x0, y0, x1, y1 = self._corners[row]
        out = np.full(grid.shape, -6, np.float32)
        part = (slice(max(int(y0), 0), int(np.ceil(y1))), slice(max(int(x0), 0), int(np.ceil(x1))))
        out[part] = np.clip(grid[part], -6, 6)
        return out

    def _measure(self, rows: Rows) -> None:
        """Cells and statistics of proposals, where they are not known yet."""
        rows = rows[np.isnan(self._statistics[rows, 0])]
        if not len(rows):
            return
        height, width, count = self.source.prototypes.shape
        flat = self.source.prototypes.reshape(-1, count)
        logits = product(flat, self.source.coefficients[rows].T).T
        box = self._corners[rows].astype(np.float32)
        x, y = np.arange(width) + 0.5, np.arange(height) + 0.5
        across = (x >= box[:, :1] - 0.25) & (x < box[:, 2:3] + 0.25)
        down = (y >= box[:, 1:2] - 0.25) & (y < box[:, 3:] + 0.25)
        inside = (down[:, :, None] & across[:, None, :]).reshape(len(rows), -1)
        positive = logits > 0
        cells = positive & inside
        packed = np.zeros((len(rows), self._cells.shape[1] * 8), np.uint8)
        packed[:, : -(-cells.shape[1] // 8)] = np.packbits(cells, axis=1)
        self._cells[rows] = packed.view(np.uint64)
        area = cells.sum(1)
        tight, loose = ((inside & (logits > t)).sum(1) for t in (1, -1))
        mean = np.where(cells, logits, 0).sum(1) / np.maximum(area, 1)
        sides = np.maximum(box[:, 2:] - box[:, :2], 1)
        content = np.prod(self.source.letterbox.content_shape) / CELL**2
        self._statistics[rows] = np.stack([
            np.log(np.maximum(self.scores[rows], 1e-4)),
            np.log(np.maximum(area, 0.5) / content),
            tight / np.maximum(loose, 1),
            area / np.maximum(positive.sum(1), 1),
            mean,
            area / np.maximum(box_areas(box), 1),
            np.log(sides[:, 0] / sides[:, 1]),
            np.log(sides[:, 0] / width),
            np.log(sides[:, 1] / height),
        ], 1)  # fmt: skip

    def statistics(self, rows: Rows) -> Floats:
        """What is known of proposals by themselves (K, STATISTICS)."""
        self._measure(rows)
        return self._statistics[rows]

    def stability(self, rows: Rows) -> Floats:
        """How little masks change with their threshold, in cells: (K,) in [0, 1]."""
        self._measure(rows)
        return self._statistics[rows, 2]

    def overlaps(self, rows: Rows) -> tuple[Floats, Floats]:
        """IoU (K, K) of proposals' masks with each other, and areas (K,); both in cells."""
        self._measure(rows)
        words = self._cells[rows]
        areas = np.bitwise_count(words).sum(1, dtype=np.float32)
        shared = np.stack([
            np.bitwise_count(word & words).sum(1, dtype=np.float32) for word in words
        ]) if len(rows) else np.zeros((0, 0), np.float32)  # fmt: skip
        return shared / np.maximum(areas[:, None] + areas - shared, 1), areas

    def overlaps_with(self, rows: Rows, others: Proposals, others_rows: Rows) -> Floats:
        """IoU (N, K) of others' masks, over the same prototypes, with these; in cells."""
        self._measure(rows)
        others._measure(others_rows)
        a, b = others._cells[others_rows], self._cells[rows]
        shared = np.zeros((len(a), len(b)), np.float32)
        for i, word in enumerate(a):
            shared[i] = np.bitwise_count(word & b).sum(1, dtype=np.float32)
        areas = [np.bitwise_count(v).sum(1, dtype=np.float32) for v in (a, b)]
        return shared / np.maximum(areas[0][:, None] + areas[1] - shared, 1)

    def ious(self, rows: Rows, cells: NDArray[np.bool_]) -> Floats:
        """IoU (K,) of proposals with a mask in cells (h * w,)."""
        self._measure(rows)
        padded = np.zeros(self._cells.shape[1] * 64, np.bool_)
        padded[: len(cells)] = cells
        word, words = np.packbits(padded).view(np.uint64), self._cells[rows]
        shared = np.bitwise_count(word & words).sum(1, dtype=np.float32)
        areas = np.bitwise_count(words).sum(1, dtype=np.float32)
        return shared / np.maximum(areas + np.float32(cells.sum()) - shared, 1)

    def evidence(self, rows: Rows, pixel: NDArray[np.int64]) -> Floats:
        """Numbers (K, E) that tell what proposals under a pixel are worth."""
        overlap, areas = self.overlaps(rows)
        own, box = self._statistics[rows], self.boxes[rows]
        here = self.source.samples(*np.ascontiguousarray(pixel[:, None], np.int32))[0]
        coefficients = self.source.coefficients[rows]
        logit, scores = coefficients @ here, self.scores[rows]
        place = (pixel + 0.5 - box[:, :2]) / np.maximum(box[:, 2:] - box[:, :2], 1)
        count = len(rows)
        found = np.stack([
            logit,
            logit / np.maximum(own[:, 4], 0.1),
            np.abs(place[:, 0] - 0.5),
            np.abs(place[:, 1] - 0.5),
            (overlap * scores).sum(1) / max(scores.sum(), 1e-6),
            np.log((overlap > 0.7).sum(1) + 1),
            np.log(np.arange(count) + 1),
            np.full(count, np.log(count)),
            own[:, 0] - own[:, 0].max(),
            (areas.argsort(kind="stable").argsort() + 0.5) / count,
        ], 1)  # fmt: skip
        same = np.broadcast_to(here, (count, len(here)))
        return np.concatenate([own, found, coefficients, same], 1).astype(np.float32)

    def different(self, rows: Rows, most: int, alike: float = 0.75) -> Rows:
        """The first of proposals, and the next ones that overlap none before by ``alike``."""
        overlap, _ = self.overlaps(rows)
        kept: list[int] = []
        for k in range(len(rows)):
            if len(kept) < most and (overlap[k, kept] < alike).all():
                kept.append(k)
        return rows[kept]
