"""Mask sources: what a ``Segmentation`` asks about its masks, whatever they are made of."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.geometry import Window
from fastsam_plugins.masks import runs as R

Rows = NDArray[np.int64]
NO_LOGITS = "these masks were merged, cleaned or loaded: they keep no logits"


class MaskSource(ABC):
    """The masks of one image, addressed by row.

    Answers are kept: a mask is decoded and measured at most once, however many views share it.

    Attributes
    ----------
    shape : (H, W)
        Size of the image in pixels.
    has_logits : bool
        Whether masks keep logits; what asks for them raises a ValueError where they do not.
    """

    shape: R.Shape
    has_logits = False

    def __init__(self) -> None:
        self._runs: dict[int, R.Runs] = {}
        self._measures: dict[str, NDArray[np.float64]] = {}

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def _make_runs(self, row: int) -> R.Runs: ...

    @abstractmethod
    def contains(self, rows: Rows, pixels: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether pixels (P, 2) as (x, y) belong to the masks, (len(rows), P); outside is False."""

    def window(self, row: int) -> Window:
        """The part of the image that a mask was cropped to."""
        raise ValueError(NO_LOGITS)

    def logits(self, row: int, window: Window | None = None) -> NDArray[np.float32]:
        """Logits (h, w) of a mask within a window, the whole image by default."""
        raise ValueError(NO_LOGITS)

    def decode(self, row: int, window: Window, threshold: float = 0.0) -> R.Runs:
        """Run array of the pixels inside a window whose logit exceeds a threshold."""
        raise ValueError(NO_LOGITS)

    def areas_above(self, row: int, window: Window, *thresholds: float) -> list[int]:
        """Pixels inside a window whose logit exceeds each threshold."""
        raise ValueError(NO_LOGITS)

    def runs(self, row: int) -> R.Runs:
        """Run array of a mask."""
        found = self._runs.get(row)
        if found is None:
            found = self._make_runs(row)
            found.setflags(write=False)
            self._runs[row] = found
        return found

    def measure(self, name: str, rows: Rows, of: Callable[[int], float]) -> NDArray[np.float64]:
        """A number per mask, computed where it is not known yet."""
        known = self._measures.get(name)
        if known is None:
            known = self._measures[name] = np.full(len(self), np.nan)
        for row in rows[np.isnan(known[rows])].tolist():
            known[row] = of(row)
        return known[rows]

    def know(self, name: str, values: NDArray[np.float64]) -> None:
        """Take over a number per mask that was measured before; NaN where it is not known."""
        self._measures[name] = np.array(values, np.float64)

    def areas(self, rows: Rows) -> NDArray[np.int64]:
        """Areas of masks in pixels."""
        return self.measure("area", rows, lambda row: R.area(self.runs(row))).astype(np.int64)


class RunMasks(MaskSource):
    """Masks given as run arrays: loaded, cleaned, or merged from several sources."""

    def __init__(self, masks: Sequence[R.Runs], shape: R.Shape) -> None:
        super().__init__()
        self.shape = shape
        self._masks = list(masks)
        self._searchable: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None

    def __len__(self) -> int:
        return len(self._masks)

    def _make_runs(self, row: int) -> R.Runs:
        return self._masks[row].copy()

    def contains(self, rows: Rows, pixels: NDArray[np.int64]) -> NDArray[np.bool_]:  # noqa: D102
        height, width = self.shape
        if self._searchable is None:  # all masks one after another: one search answers them all
            offset = np.repeat(np.arange(len(self)), [len(m) for m in self._masks])
            stacked = np.concatenate([R.EMPTY, *self._masks]) + (offset * height * width)[:, None]
            self._searchable = stacked[:, 0].copy(), stacked[:, 1].copy()
        starts, stops = self._searchable
        inside = ((pixels >= 0) & (pixels < (width, height))).all(1)
        if not len(starts):
            return np.zeros((len(rows), len(pixels)), np.bool_)
        position = rows[:, None] * (height * width) + pixels[:, 0] * height + pixels[:, 1]
        k = np.searchsorted(starts, position, "right") - 1
        return inside & (k >= 0) & (position < stops[np.maximum(k, 0)])


class MergedMasks(MaskSource):
    """Each mask the union of several masks of another source; merged when somebody asks.

    Parameters
    ----------
    source : MaskSource
    groups : sequence of row arrays
    smoothing : float
        Close, then open each union with a disk whose radius is this share of the square root of
        the union's area. The paper merges point-prompted masks with "morphological operations"
        without saying which (section 3.2).
    """

    def __init__(self, source: MaskSource, groups: Sequence[Rows], smoothing: float = 0.0) -> None:
        super().__init__()
        self.shape = source.shape
        self._source, self._groups, self._smoothing = source, list(groups), smoothing

    def __len__(self) -> int:
        return len(self._groups)

    def _make_runs(self, row: int) -> R.Runs:
        merged = R.union([self._source.runs(r) for r in self._groups[row].tolist()])
        return smooth(merged, self.shape, self._smoothing) if self._smoothing else merged.copy()

    def contains(self, rows: Rows, pixels: NDArray[np.int64]) -> NDArray[np.bool_]:  # noqa: D102
        if self._smoothing:
            return RunMasks([self.runs(r) for r in rows.tolist()], self.shape).contains(
                np.arange(len(rows)), pixels
            )
        return np.array(
            [self._source.contains(self._groups[r], pixels).any(0) for r in rows.tolist()], np.bool_
        ).reshape(len(rows), len(pixels))


def smooth(runs: R.Runs, shape: R.Shape, share: float) -> R.Runs:
    """Close, then open a mask with a disk of radius ``share * sqrt(area)`` pixels."""
    import cv2

    radius = round(share * math.sqrt(R.area(runs)))
    if radius < 1:
        return runs.copy()
    x0, y0, x1, y1 = R.bounds(runs, shape[0])
    # A margin of the disk's size, so that the window's border does not act on the mask.
    window = (x0 - 2 * radius, y0 - 2 * radius, x1 + 2 * radius, y1 + 2 * radius)
    bitmap = np.zeros((window[3] - window[1], window[2] - window[0]), np.uint8)
    inner = R.to_bitmap(runs, shape, (x0, y0, x1, y1))
    bitmap[2 * radius : -2 * radius, 2 * radius : -2 * radius] = inner
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    bitmap = cv2.morphologyEx(bitmap, cv2.MORPH_CLOSE, disk)
    bitmap = cv2.morphologyEx(bitmap, cv2.MORPH_OPEN, disk)
    left, top = max(window[0], 0), max(window[1], 0)
    inside = bitmap[top - window[1] : shape[0] - window[1], left - window[0] : shape[1] - window[0]]
    return R.from_bitmap(inside, shape, (left, top))
