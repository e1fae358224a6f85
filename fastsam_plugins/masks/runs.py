"""Run arrays: the decoded form of every mask.

A mask of an ``H x W`` image is an int64 array of shape (K, 2), one row ``[start, stop)`` per run of
foreground pixels, in *column-major* order (pixel (x, y) has position ``x * H + y``), which is the
order of COCO RLE. Rows are sorted, non-empty and never touch each other, so equal masks have equal
arrays. A run array costs as much memory as the mask's outline, whatever the size of the image.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Runs = NDArray[np.int64]
Shape = tuple[int, int]

EMPTY: Runs = np.empty((0, 2), np.int64)
EMPTY.setflags(write=False)

_MOST = 1 << 62  # pixels, of which positions are counted


def check_shape(shape: Any) -> Shape:
    """(height, width) of an image as two whole numbers above 0.

    Raises
    ------
    ValueError
        If it is something else.
    """
    try:
        height, width = (operator.index(side) for side in shape)
    except (TypeError, ValueError):
        height = width = 0
    if not (height > 0 and width > 0 and height * width < _MOST):
        raise ValueError(f"a shape is (height, width) in pixels, not {shape!r:.60}")
    return height, width


def check(runs: Any, shape: Shape) -> Runs:
    """A run array as described above, of an image of ``shape``.

    Raises
    ------
    ValueError
        If the rows are no whole numbers, not in order, empty, touch or leave the image.
    """
    array = np.asarray(runs)
    if not array.size:
        return EMPTY
    if array.ndim != 2 or array.shape[1] != 2 or array.dtype.kind not in "iu":
        raise ValueError(f"a run array is whole numbers (K, 2), not {array.dtype} {array.shape}")
    array = array.astype(np.int64, copy=False)
    ends = array.ravel()
    if (np.diff(ends) <= 0).any() or ends[0] < 0 or ends[-1] > shape[0] * shape[1]:
        raise ValueError(
            f"runs must be [start, stop) in order, apart, within the {shape[0] * shape[1]} pixels "
            "of their image"
        )
    return array


def _merge_sorted(starts: NDArray[np.int64], stops: NDArray[np.int64]) -> Runs:
    """Join sorted, non-overlapping runs that touch."""
    if not len(starts):
        return EMPTY
    apart = starts[1:] != stops[:-1]
    runs = np.empty((1 + int(np.count_nonzero(apart)), 2), np.int64)
    runs[0, 0] = starts[0]
    runs[1:, 0] = starts[1:][apart]
    runs[:-1, 1] = stops[:-1][apart]
    runs[-1, 1] = stops[-1]
    return runs


def from_columns(
    x: NDArray[np.integer], y0: NDArray[np.integer], y1: NDArray[np.integer], height: int
) -> Runs:
    """Build a run array from vertical spans.

    Parameters
    ----------
    x, y0, y1 : int arrays of shape (K,)
        Span k covers the pixels ``(x, y0..y1-1)``. Sorted by (x, y0) and not overlapping;
        spans with ``y1 <= y0`` are dropped, touching spans are joined.
    height : int
        Height of the image in pixels.
    """
    base = x.astype(np.int64, copy=False) * height
    starts, stops = base + y0, base + y1
    keep = starts < stops
    if not keep.all():
        starts, stops = starts[keep], stops[keep]
    return _merge_sorted(starts, stops)


def columns(
    runs: Runs, height: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Split runs into vertical spans that never cross a column: ``(x, y0, y1)``, each (K,)."""
    starts, stops = runs[:, 0], runs[:, 1]
    first, y0 = np.divmod(starts, height)
    last, y1 = np.divmod(stops - 1, height)
    y1 = y1 + 1
    if np.array_equal(first, last):
        return first, y0, y1
    spans = last - first + 1
    owner = np.repeat(np.arange(len(runs)), spans)
    step = np.arange(len(owner)) - np.repeat(np.cumsum(spans) - spans, spans)
    x = first[owner] + step
    top = np.where(step == 0, y0[owner], 0)
    bottom = np.where(step == spans[owner] - 1, y1[owner], height)
    return x, top, bottom


def from_bitmap(
    bitmap: NDArray, shape: Shape | None = None, offset: tuple[int, int] = (0, 0)
) -> Runs:
    """Encode a bitmap, which may be a window of a larger image.

    Parameters
    ----------
    bitmap : array of shape (h, w)
        Non-zero is foreground.
    shape : (H, W), optional
        Size of the whole image; the bitmap's own size by default.
    offset : (x, y)
        Position of the bitmap's top-left pixel in the image.
    """
    from fastsam_plugins.masks import kernels

    height = bitmap.shape[0] if shape is None else shape[0]
    return kernels.scan(_turned(np.asarray(bitmap, np.bool_)), height, *offset)


def from_labels(labels: NDArray[np.integer]) -> dict[int, Runs]:
    """Encode every value of a label image (H, W) but 0, the background, in one pass."""
    flat = labels.T.ravel()
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    spans = np.stack([np.r_[0, edges], np.r_[edges, flat.size]], axis=1)
    values = flat[spans[:, 0]] if flat.size else flat
    spans = spans[: len(values)][values != 0]
    values = values[values != 0]
    order = np.argsort(values, kind="stable")
    names, first = np.unique(values[order], return_index=True)
    parts = np.split(spans[order], first[1:]) if len(names) else []
    return dict(zip(names.tolist(), parts, strict=True))


def to_bitmap(
    runs: Runs, shape: Shape, window: tuple[int, int, int, int] | None = None
) -> NDArray[np.bool_]:
    """Decode to a bool bitmap of shape (H, W), or of a window ``(x0, y0, x1, y1)`` of the image."""
    from fastsam_plugins.masks import kernels

    height, width = shape
    x0, y0, x1, y1 = window or (0, 0, width, height)
    return _turned(kernels.paint(runs, height, x0, y0, x1, y1).view(np.bool_))


def _turned(bitmap: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Rows become columns; OpenCV does it several times as fast as numpy."""
    import cv2

    if not bitmap.size:
        return bitmap.T.copy()
    return np.asarray(cv2.transpose(bitmap.view(np.uint8))).view(np.bool_)


def shift(runs: Runs, height: int, new_height: int, dx: int, dy: int) -> Runs:
    """Move a mask by (dx, dy) into an image of another height. It has to fit."""
    x, top, bottom = columns(runs, height)
    return from_columns(x + dx, top + dy, bottom + dy, new_height)


def area(runs: Runs) -> int:
    """Number of foreground pixels."""
    return int((runs[:, 1] - runs[:, 0]).sum())


def _spans_inside(
    runs: Runs, height: int, window: tuple[int, int, int, int]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Vertical spans ``(x, y0, y1)`` of what lies in a window; without any where y1 <= y0."""
    x0, y0, x1, y1 = window
    first = np.searchsorted(runs[:, 1], x0 * height, "right")
    x, top, bottom = columns(runs[first : np.searchsorted(runs[:, 0], x1 * height)], height)
    inside = (x >= x0) & (x < x1)
    return x[inside], np.maximum(top[inside], y0), np.minimum(bottom[inside], y1)


def area_inside(runs: Runs, height: int, window: tuple[int, int, int, int]) -> int:
    """Number of foreground pixels inside the window ``(x0, y0, x1, y1)``."""
    _, top, bottom = _spans_inside(runs, height, window)
    return int(np.maximum(bottom - top, 0).sum())


def crop(runs: Runs, height: int, window: tuple[int, int, int, int]) -> Runs:
    """The foreground pixels inside the window ``(x0, y0, x1, y1)``, where they are."""
    return from_columns(*_spans_inside(runs, height, window), height)


def bounds(runs: Runs, height: int) -> tuple[int, int, int, int]:
    """Tight box ``(x0, y0, x1, y1)`` in pixels, half-open; all zero for an empty mask."""
    if not len(runs):
        return 0, 0, 0, 0
    from fastsam_plugins.masks import kernels

    top, bottom = kernels.rows_spanned(runs, height)
    return int(runs[0, 0] // height), top, int((runs[-1, 1] - 1) // height) + 1, bottom


def union(masks: Iterable[Runs]) -> Runs:
    """Pixels that belong to any of the masks."""
    stack = [m for m in masks if len(m)]
    if len(stack) <= 1:
        return stack[0] if stack else EMPTY
    runs = np.concatenate(stack)
    runs = runs[np.argsort(runs[:, 0], kind="stable")]
    reach = np.maximum.accumulate(runs[:, 1])
    first = np.flatnonzero(np.r_[True, runs[1:, 0] > reach[:-1]])
    return np.stack([runs[first, 0], reach[np.r_[first[1:] - 1, len(runs) - 1]]], axis=1)


def intersection_areas(runs: Runs, others: Sequence[Runs]) -> NDArray[np.int64]:
    """Pixels shared with each of the other masks, shape (len(others),), without decoding any."""
    counts = np.array([len(o) for o in others], np.int64)
    if not len(runs) or not counts.sum():
        return np.zeros(len(others), np.int64)
    before = np.r_[0, np.cumsum(runs[:, 1] - runs[:, 0])]  # foreground before run k
    points = np.concatenate([o for o in others if len(o)]).ravel()
    k = np.searchsorted(runs[:, 0], points, "right")  # runs that start at or before each point
    covered = before[k] - np.where(k > 0, np.maximum(runs[np.maximum(k, 1) - 1, 1] - points, 0), 0)
    shared = covered[1::2] - covered[::2]
    total = np.r_[0, np.cumsum(shared)]
    ends = np.cumsum(counts)
    return total[ends] - total[ends - counts]


def ious(runs: Runs, others: Sequence[Runs]) -> NDArray[np.float64]:
    """Intersection over union with each of the other masks, shape (len(others),); 0 of nothing."""
    shared = intersection_areas(runs, others).astype(np.float64)
    areas = np.array([area(o) for o in others], np.float64)
    return np.asarray(shared / np.maximum(area(runs) + areas - shared, 1))


def to_counts(runs: Runs, pixels: int) -> NDArray[np.int64]:
    """COCO's uncompressed counts: background, foreground, background, ... summing to ``pixels``."""
    edges = np.empty(2 * len(runs) + 2, np.int64)
    edges[0], edges[-1] = 0, pixels
    edges[1:-1] = runs.ravel()
    counts = np.diff(edges)
    return counts[:-1] if counts[-1] == 0 and len(counts) > 1 else counts


def from_counts(counts: NDArray[np.integer]) -> Runs:
    """The inverse of :func:`to_counts`; zero counts anywhere are accepted."""
    edges = np.cumsum(np.asarray(counts, np.int64))
    edges = np.r_[0, edges] if len(edges) else edges
    starts, stops = edges[1::2], edges[2::2]
    starts = starts[: len(stops)]
    keep = stops > starts
    return _merge_sorted(starts[keep], stops[keep])
