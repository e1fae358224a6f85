"""Masks in prototype space: every answer from coefficients and prototypes, no bitmap in between.

A YOLACT-style network describes mask i of an image by 32 coefficients over one set of 32
prototype maps; its logits are ``coefficients[i] . prototypes``, up-sampled bilinearly to the image
and cropped to the box. Up-sampling is linear and separable, so

- the logit at a pixel is ``coefficients . sample(prototypes, pixel)``: a point asks all N instances
  with N x 32 multiply-adds;
- along one pixel column a mask's logit is piecewise linear between the rows of the up-sampled grid:
  where it changes sign is solved for, and a column of any height costs only its grid rows. The run
  array of a mask is computed without its bitmap ever existing.

Where the samples lie is the business of :mod:`fastsam_plugins.masks.sampling`.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.geometry import Letterbox, Window
from fastsam_plugins.masks import runs as R
from fastsam_plugins.masks.sampling import CELL, Floats, axes
from fastsam_plugins.masks.sources import MaskSource, Rows

_POINTS_TOGETHER = 4096  # bounds the memory of many points at once


class PrototypeMasks(MaskSource):
    """The masks of one image over its prototypes.

    Parameters
    ----------
    prototypes : float32 array (C, h, w)
        Prototype maps, one cell per 4 x 4 input pixels, letterbox padding included.
    coefficients : float32 array (N, C)
    boxes : float32 array (N, 4)
        xyxy in image pixels. A mask holds the pixels whose integer position lies in its box.
    letterbox : Letterbox

    Attributes
    ----------
    prototypes : float32 array (h, w, C)
        A cell's values lie together.
    coefficients, boxes, letterbox
        As given.
    """

    has_logits = True

    def __init__(
        self,
        prototypes: Floats,
        coefficients: Floats,
        boxes: Floats,
        letterbox: Letterbox,
    ) -> None:
        _, h, w = prototypes.shape
        if (h * CELL, w * CELL) != letterbox.input_shape:
            raise ValueError(
                f"prototypes of {h} x {w} cells do not fit an input of {letterbox.input_shape}"
            )
        # OpenCV transposes several times as fast as numpy.
        maps = np.ascontiguousarray(prototypes, np.float32).reshape(-1, h * w)
        self._set(cv2.transpose(maps).reshape(h, w, -1), coefficients, boxes, letterbox)

    def others(self, coefficients: Floats, boxes: Floats) -> PrototypeMasks:
        """Other masks over the same prototypes, which are shared."""
        same = PrototypeMasks.__new__(PrototypeMasks)
        same._set(self.prototypes, coefficients, boxes, self.letterbox)
        return same

    def shares(self, other: MaskSource) -> bool:
        """Whether other masks are over the very same prototypes."""
        return isinstance(other, PrototypeMasks) and other.prototypes is self.prototypes

    def _set(
        self, prototypes: Floats, coefficients: Floats, boxes: Floats, letterbox: Letterbox
    ) -> None:
        MaskSource.__init__(self)
        self.letterbox = letterbox
        self.shape = letterbox.image_shape
        self.boxes = np.ascontiguousarray(boxes, np.float32)
        self.coefficients = np.ascontiguousarray(coefficients, np.float32)
        self.prototypes = prototypes
        self._x, self._y, self._up_sampled = axes(letterbox, *prototypes.shape[:2])
        edges = np.ceil(self.boxes).astype(np.int64)
        limits = np.array([self.shape[1], self.shape[0]] * 2)
        self._windows = np.clip(edges, 0, limits)
        self._edges = np.ascontiguousarray(self._windows.T, np.int32)

    def __len__(self) -> int:
        return len(self.coefficients)

    def arrays(self, rows: Rows) -> dict[str, Floats]:
        """What masks are made from, some of them: see :mod:`fastsam_plugins.io.npz`."""
        return {
            "prototypes": np.moveaxis(self.prototypes, 2, 0),
            "coefficients": self.coefficients[rows],
            "mask_boxes": self.boxes[rows],
        }

    def window(self, row: int) -> Window:
        """The pixels ``(x0, y0, x1, y1)`` that a mask is cropped to."""
        x0, y0, x1, y1 = self._windows[row].tolist()
        return x0, y0, x1, y1

    def _make_runs(self, row: int) -> R.Runs:
        return self.decode(row, self.window(row))

    def contains(self, rows: NDArray[np.int64], pixels: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether pixels (P, 2) as (x, y) belong to the given masks, shape (len(rows), P)."""
        if len(pixels) <= _POINTS_TOGETHER:
            return self._contained(rows, pixels).T
        answers = np.empty((len(pixels), len(rows)), np.bool_)
        for k in range(0, len(pixels), _POINTS_TOGETHER):
            part = slice(k, k + _POINTS_TOGETHER)
            answers[part] = self._contained(rows, pixels[part])
        return answers.T

    def _contained(self, rows: NDArray[np.int64], pixels: NDArray[np.int64]) -> NDArray[np.bool_]:
        """The answers of :meth:`contains` as (P, len(rows))."""
        x, y = np.ascontiguousarray(pixels.T, np.int32)
        left, top, right, bottom = self._edges[:, rows]
        u, v = x[:, None], y[:, None]
        found = (u >= left) & (u < right) & (v >= top) & (v < bottom)
        # Boxes lie within the image, so what they hold does; few pairs are left to ask.
        pixel, row = found.nonzero()
        if len(row):
            height, width = self.shape
            samples = self.samples(
                np.minimum(np.maximum(x, 0), width - 1), np.minimum(np.maximum(y, 0), height - 1)
            )
            logits = np.einsum("kc,kc->k", self.coefficients[rows[row]], samples[pixel])
            found[pixel, row] = logits > 0
        return found

    def samples(self, x: NDArray[np.int32], y: NDArray[np.int32]) -> Floats:
        """Bilinear samples (P, C) of the prototypes at pixels of the image, x and y (P,) each."""
        i, j = self._x.pixels, self._y.pixels
        weights = j.weights[y][:, :, None] * i.weights[x][:, None, :]
        cells = self.prototypes[j.inputs[y][:, :, None], i.inputs[x][:, None, :]]
        count = len(x)
        samples = weights.reshape(count, 1, -1) @ cells.reshape(count, weights[0].size, -1)
        return np.asarray(samples[:, 0], np.float32)

    def logits(self, row: int, window: Window | None = None) -> Floats:
        """Logits (h, w) of a mask in a window, not cropped to the box; whole image by default."""
        x0, y0, x1, y1 = window or (0, 0, self.shape[1], self.shape[0])
        if x1 <= x0 or y1 <= y0:
            return np.zeros((max(y1 - y0, 0), max(x1 - x0, 0)), np.float32)
        b0, b1 = self._x.pixels.span(x0, x1)
        c0, c1 = self._y.pixels.span(y0, y1)
        cells = self._cells(row, b0, b1, c0, c1)
        rows = self._y.pixels.apply(cells.T, y0, y1, c0)
        return np.ascontiguousarray(self._x.pixels.apply(rows.T, x0, x1, b0).T)

    def decode(self, row: int, window: Window, threshold: float = 0.0) -> R.Runs:
        """Run array of the pixels inside the window whose logit exceeds the threshold."""
        return self._traces(row, window, threshold)[0]

    def areas_above(self, row: int, window: Window, *thresholds: float) -> list[int]:
        """Pixels inside the window whose logit exceeds each threshold."""
        return [R.area(runs) for runs in self._traces(row, window, *thresholds)]

    def _traces(self, row: int, window: Window, *thresholds: float) -> list[R.Runs]:
        from fastsam_plugins.masks import kernels

        x0, y0, x1, y1 = window
        if x1 <= x0 or y1 <= y0:
            return [R.EMPTY] * len(thresholds)
        b0, b1 = self._x.pixels.span(x0, x1)
        g0, g1 = self._y.grid_of_pixels(y0, y1)
        c0, c1 = self._y.grid.span(g0, g1)
        cells = self._cells(row, b0, b1, c0, c1)
        if self._up_sampled:
            cells = np.ascontiguousarray(self._y.grid.apply(cells.T, g0, g1, c0).T)
        columns = self._x.pixels.apply(cells, x0, x1, b0)
        places, ratio = self._y.pixels_on_grid
        height = self.shape[0]
        return [kernels.trace(columns, t, g0, places, ratio, window, height) for t in thresholds]

    def _cells(self, row: int, b0: int, b1: int, c0: int, c1: int) -> Floats:
        """Logits of a mask at the cells of columns [b0, b1) and rows [c0, c1), (b, c)."""
        return np.ascontiguousarray((self.prototypes[c0:c1, b0:b1] @ self.coefficients[row]).T)
