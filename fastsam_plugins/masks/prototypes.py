"""Masks in prototype space: every answer from coefficients and prototypes, no bitmap in between.

A YOLACT-style network describes mask i of an image by 32 coefficients over one set of 32
prototype maps; its logits are ``coefficients[i] . prototypes``, up-sampled bilinearly to the image
and cropped to the box. Up-sampling is linear and separable, so

- the logit at a pixel is ``coefficients . sample(prototypes, pixel)``: a point asks all N instances
  with N x 32 multiply-adds;
- along one pixel column a mask's logit is piecewise linear between the rows of the up-sampled grid:
  where it changes sign is solved for, and a column of any height costs only its grid rows. The run
  array of a mask is computed without its bitmap ever existing.

Which samples are taken is ultralytics' ``process_mask_native`` to the letter: prototypes are
up-sampled by the smallest factor (1, 2 or 4) at which the letterbox padding is a whole number of
cells, cropped, and up-sampled to the image; all with half-pixel centres.
"""

from __future__ import annotations

import functools
import math

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.geometry import Letterbox
from fastsam_plugins.masks import runs as R
from fastsam_plugins.masks.sources import MaskSource, Window

Floats = NDArray[np.float32]

CELL = 4  # input pixels per prototype cell


def _resize(size_in: int, size_out: int) -> tuple[NDArray[np.int64], Floats]:
    """Bilinear resizing with half-pixel centres, in float32 like torch's ``interpolate``.

    Output k is ``(1 - t[k]) * input[i[k]] + t[k] * input[i[k] + 1]``; returns (i, t), each
    (size_out,). At the border ``t`` is 0 rather than an index out of range.
    """
    scale = np.float32(size_in) / np.float32(size_out)
    place = scale * (np.arange(size_out, dtype=np.float32) + np.float32(0.5)) - np.float32(0.5)
    place = np.clip(place, np.float32(0), np.float32(size_in - 1))
    i = place.astype(np.int64)
    return i, place - i.astype(np.float32)


def _matrix(i: NDArray[np.int64], t: Floats, size_in: int) -> Floats:
    """The same interpolation as a dense matrix (size_out, size_in)."""
    matrix = np.zeros((len(i), size_in), np.float32)
    k = np.arange(len(i))
    matrix[k, i] = 1 - t
    inner = t > 0
    matrix[k[inner], i[inner] + 1] = t[inner]
    return matrix


class _Axis:
    """One image axis, from cells of the prototypes over grid points to pixels.

    Attributes
    ----------
    grid : float32 array (grid points, cells)
        Up-sampled by a factor and cropped to the image's content.
    pixels : float32 array (pixels, cells)
    place : float32 array (pixels,)
        Where each pixel lies on the grid, never decreasing; between grid points a mask's logit is
        linear in it.
    """

    def __init__(self, cells: int, factor: int, start: int, content: int, pixels: int) -> None:
        i, t = _resize(cells, cells * factor)
        self.grid = _matrix(i, t, cells)[start : start + content]
        i, t = _resize(content, pixels)
        self.place = i.astype(np.float32) + t
        j = np.minimum(i + 1, content - 1)
        self.pixels = self.grid[i] * (1 - t)[:, None] + self.grid[j] * t[:, None]
        self._grid_span = _spans(self.grid)
        self._pixel_span = _spans(self.pixels)
        self._taps = int(np.diff(self._pixel_span).max())

    def cells_of_pixels(self, start: int, stop: int) -> tuple[int, int]:
        """Cells that the pixels [start, stop) draw on, half-open."""
        return int(self._pixel_span[start, 0]), int(self._pixel_span[stop - 1, 1])

    def grid_of_pixels(self, start: int, stop: int) -> tuple[int, int]:
        """Grid points that the pixels [start, stop) lie between, half-open."""
        return int(self.place[start]), math.ceil(self.place[stop - 1]) + 1

    def cells_of_grid(self, start: int, stop: int) -> tuple[int, int]:
        """Cells that the grid points [start, stop) draw on, half-open."""
        return int(self._grid_span[start, 0]), int(self._grid_span[stop - 1, 1])

    def taps(self, pixels: NDArray[np.int64]) -> tuple[NDArray[np.int64], Floats]:
        """The cells (P, T) that pixels (P,) draw on and their weights (P, T); T is 2 or 3."""
        first = np.minimum(self._pixel_span[pixels, 0], self.pixels.shape[1] - self._taps)
        cells = first[:, None] + np.arange(self._taps)
        return cells, self.pixels[pixels[:, None], cells]


def _spans(matrix: Floats) -> NDArray[np.int64]:
    """First and one past the last non-zero column of each row, (rows, 2)."""
    used = matrix != 0
    return np.stack([used.argmax(1), matrix.shape[1] - used[:, ::-1].argmax(1)], axis=1).astype(
        np.int64
    )


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
    """

    has_logits = True

    def __init__(
        self,
        prototypes: Floats,
        coefficients: Floats,
        boxes: Floats,
        letterbox: Letterbox,
    ) -> None:
        super().__init__()
        _, h, w = prototypes.shape
        if (h * CELL, w * CELL) != letterbox.input_shape:
            raise ValueError(
                f"prototypes of {h} x {w} cells do not fit an input of {letterbox.input_shape}"
            )
        self.letterbox = letterbox
        self.shape = letterbox.image_shape
        self._boxes = np.ascontiguousarray(boxes, np.float32)
        self._coefficients = np.ascontiguousarray(coefficients, np.float32)
        # (w, h, C): a pixel's 32 values lie together, and columns come before rows as in RLE.
        self._prototypes = np.ascontiguousarray(prototypes.transpose(2, 1, 0), np.float32)
        self._x, self._y, self._up_sampled = _axes(letterbox, h, w)
        edges = np.ceil(self._boxes).astype(np.int64)
        limits = np.array([self.shape[1], self.shape[0]] * 2)
        self._windows = np.clip(edges, 0, limits)

    def __len__(self) -> int:
        return len(self._coefficients)

    def window(self, row: int) -> Window:
        """The pixels ``(x0, y0, x1, y1)`` that a mask is cropped to."""
        x0, y0, x1, y1 = self._windows[row].tolist()
        return x0, y0, x1, y1

    def _make_runs(self, row: int) -> R.Runs:
        return self.decode(row, self.window(row))

    def contains(self, rows: NDArray[np.int64], pixels: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether pixels (P, 2) as (x, y) belong to the given masks, shape (len(rows), P)."""
        size = np.array([self.shape[1], self.shape[0]])
        inside: NDArray[np.bool_] = np.all((pixels >= 0) & (pixels < size), axis=1)
        safe = np.where(inside[:, None], pixels, 0)
        logits = self._coefficients[rows] @ self._sample(safe).T
        windows = self._windows[rows][:, :, None]
        x, y = pixels[:, 0], pixels[:, 1]
        return (
            (logits > 0)
            & inside
            & (x >= windows[:, 0])
            & (y >= windows[:, 1])
            & (x < windows[:, 2])
            & (y < windows[:, 3])
        )

    def _sample(self, pixels: NDArray[np.int64]) -> Floats:
        """Bilinear samples (P, C) of the prototypes at pixels (P, 2)."""
        i, u = self._x.taps(pixels[:, 0])
        j, v = self._y.taps(pixels[:, 1])
        weights = (u[:, :, None] * v[:, None, :]).reshape(len(pixels), 1, -1)
        cells = self._prototypes[i[:, :, None], j[:, None, :]]
        samples = np.matmul(weights, cells.reshape(len(pixels), weights.shape[2], -1))
        return samples[:, 0].astype(np.float32, copy=False)

    def logits(self, row: int, window: Window | None = None) -> Floats:
        """Logits (h, w) of a mask in a window, not cropped to the box; whole image by default."""
        x0, y0, x1, y1 = window or (0, 0, self.shape[1], self.shape[0])
        if x1 <= x0 or y1 <= y0:
            return np.zeros((max(y1 - y0, 0), max(x1 - x0, 0)), np.float32)
        c0, c1 = self._y.cells_of_pixels(y0, y1)
        return self._y.pixels[y0:y1, c0:c1] @ self._columns(row, x0, x1, c0, c1).T

    def decode(self, row: int, window: Window, threshold: float = 0.0) -> R.Runs:
        """Run array of the pixels inside the window whose logit exceeds the threshold."""
        x0, y0, x1, y1 = window
        if x1 <= x0 or y1 <= y0:
            return R.EMPTY
        g0, g1 = self._y.grid_of_pixels(y0, y1)
        c0, c1 = self._y.cells_of_grid(g0, g1)
        columns = self._columns(row, x0, x1, c0, c1)
        if self._up_sampled:
            columns = columns @ self._y.grid[g0:g1, c0:c1].T
        if threshold:
            columns -= np.float32(threshold)
        return self._trace(columns, g0, window)

    def _columns(self, row: int, x0: int, x1: int, c0: int, c1: int) -> Floats:
        """Logits (w, cells) of a mask at the pixel columns [x0, x1) and the cell rows [c0, c1)."""
        b0, b1 = self._x.cells_of_pixels(x0, x1)
        cells = self._prototypes[b0:b1, c0:c1] @ self._coefficients[row]
        return self._x.pixels[x0:x1, b0:b1] @ cells

    def _trace(self, values: Floats, first: int, window: Window) -> R.Runs:
        """Solve for the sign changes of logits (w, grid rows) given at grid rows from ``first``."""
        x0, y0, _, y1 = window
        width, rows = values.shape
        sign = np.zeros((width, rows + 2), np.bool_)
        np.greater(values, 0, out=sign[:, 1:-1])
        # Each column starts and ends outside, so its changes are rise, fall, rise, fall, ...
        change = np.flatnonzero(sign[:, 1:] != sign[:, :-1])
        column, row = np.divmod(change, rows + 1)
        inner = np.flatnonzero((row > 0) & (row < rows))
        after = row[inner]
        k = column[inner] * rows + after
        flat = values.ravel()
        a, b = flat[k - 1].astype(np.float64), flat[k].astype(np.float64)
        crossing = after + (first - 1) + a / (a - b)
        # A fall ends at the first pixel at or beyond the crossing, a rise starts after it.
        crossing += (b > 0) * 1e-9
        y = np.where(row == 0, y0, y1)
        y[inner] = np.clip(np.searchsorted(self._y.place, crossing), y0, y1)
        return R.from_columns(x0 + column[::2], y[::2], y[1::2], self.shape[0])


@functools.lru_cache(maxsize=8)
def _axes(letterbox: Letterbox, h: int, w: int) -> tuple[_Axis, _Axis, bool]:
    """The axes (x, y) of an image over prototypes of h x w cells, and whether they up-sample."""
    pads = [
        whole - content
        for whole, content in zip(letterbox.input_shape, letterbox.content_shape, strict=True)
    ]
    bits = pads[0] | pads[1] | pads[0] // 2 | pads[1] // 2
    factor = CELL // math.gcd(CELL, bits)
    step = CELL // factor  # input pixels per grid point
    height, width = letterbox.image_shape
    content_y, content_x = (side // step for side in letterbox.content_shape)
    x = _Axis(w, factor, letterbox.left // step, content_x, width)
    y = _Axis(h, factor, letterbox.top // step, content_y, height)
    return x, y, factor > 1
