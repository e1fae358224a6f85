"""Prompt-guided selection (section 3.2 of the paper): points and boxes pick among instances."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastsam_plugins.geometry import box_areas, box_intersections, box_iou
from fastsam_plugins.masks import runs as R
from fastsam_plugins.masks.sources import MaskSource
from fastsam_plugins.options import PromptOptions, Ranking
from fastsam_plugins.parameters import Options
from fastsam_plugins.prompts import check_boxes, check_labels, check_points, to_pixels


class Instances(Protocol):
    """What selection needs to know about instances; a ``Segmentation`` is this."""

    @property
    def boxes(self) -> NDArray[np.float32]:
        """Xyxy in pixels, (N, 4)."""

    @property
    def rows(self) -> NDArray[np.int64]:
        """Row of each instance in the source, (N,)."""

    @property
    def source(self) -> MaskSource:
        """Where the masks come from."""

    def ranking(self, by: Ranking, among: NDArray[np.int64]) -> NDArray[np.float64]:
        """Numbers to rank some instances by, higher first, (len(among),)."""


@dataclass(frozen=True)
class Selection:
    """Which instances prompts select.

    Attributes
    ----------
    chosen : int64 array (K,)
        Indices of instances.
    prompts : int64 array (K,)
        The prompt that each answers: its place in the list of boxes or points.
    merge : bool
        Whether the chosen ones are to become one instance.
    """

    chosen: NDArray[np.int64]
    prompts: NDArray[np.int64]
    merge: bool = False


_DEFAULT = PromptOptions()


def settle(options: Options | None, changes: dict[str, Any]) -> PromptOptions:
    """The options of a call, with the fields it changes."""
    options = options or _DEFAULT
    if not isinstance(options, PromptOptions):
        raise ValueError(f"points and boxes need PromptOptions, got {type(options).__name__}")
    return options.replace(**changes) if changes else options


def select(
    seg: Instances,
    points: ArrayLike | None,
    labels: ArrayLike | None,
    boxes: ArrayLike | None,
    options: PromptOptions,
) -> Selection:
    """Select instances; see :meth:`fastsam_plugins.Segmentation.select`."""
    if points is None and boxes is None:
        raise ValueError("select needs points or boxes, or a text")
    if points is None and labels is not None:
        raise ValueError("labels say which points are foreground: they need points")
    found = None if boxes is None else check_boxes(boxes)
    if points is None:
        assert found is not None
        return _select_boxes(seg, found, np.arange(len(seg.rows)), options)
    xy = check_points(points)
    hits = seg.source.contains(seg.rows, to_pixels(xy))
    foreground = check_labels(labels, len(xy))
    if found is None:
        return _select_points(seg, hits, foreground, options)
    return _select_boxes(seg, found, _candidates(hits, foreground, options), options)


def candidates(seg: Instances, points: ArrayLike, labels: ArrayLike | None) -> NDArray[np.int64]:
    """Instances (K,) that could be the one object meant; see ``Segmentation.candidates``."""
    xy = check_points(points)
    hits = seg.source.contains(seg.rows, to_pixels(xy))
    return _candidates(hits, check_labels(labels, len(xy)), PromptOptions(points_mode="best"))


def _candidates(
    hits: NDArray[np.bool_], foreground: NDArray[np.bool_], options: PromptOptions
) -> NDArray[np.int64]:
    """Instances that the points allow: no background point, and foreground points as asked."""
    by_point = hits.T
    allowed: NDArray[np.bool_] = np.logical_not(by_point[~foreground].any(0))
    if foreground.any():
        wanted = by_point[foreground]
        allowed &= wanted.any(0)
        if len(wanted) > 1 and options.points_mode in ("smallest", "best") and allowed.any():
            # One object is meant: the one that holds the most of its points.
            count = wanted.sum(0)
            allowed &= count == count[allowed].max()
    elif not len(foreground):
        allowed[:] = False
    return np.flatnonzero(allowed)


def _select_points(
    seg: Instances,
    hits: NDArray[np.bool_],
    foreground: NDArray[np.bool_],
    options: PromptOptions,
) -> Selection:
    allowed = _candidates(hits, foreground, options)
    mode = options.points_mode
    if mode == "each":
        order = np.argsort(-seg.ranking(options.rank, allowed), kind="stable")
        holding = hits[allowed[order]][:, foreground]  # the best first
        answered = np.flatnonzero(holding.any(0))
        best = order[holding[:, answered].argmax(0)] if len(answered) else answered
        return Selection(allowed[best], np.flatnonzero(foreground)[answered])
    if mode == "smallest" and len(allowed):
        allowed = allowed[[int(seg.source.areas(seg.rows[allowed]).argmin())]]
    elif mode == "best" and len(allowed):
        allowed = np.array([_top(seg, allowed, options.rank)])
    return Selection(allowed, np.zeros(len(allowed), np.int64), merge=mode == "union")


def _top(seg: Instances, candidates: NDArray[np.int64], rank: Ranking) -> int:
    return int(candidates[int(np.argmax(seg.ranking(rank, candidates)))])


def _select_boxes(
    seg: Instances,
    boxes: NDArray[np.float64],
    candidates: NDArray[np.int64],
    options: PromptOptions,
) -> Selection:
    """The candidate that overlaps each box (B, 4) most; boxes that overlap none are left out."""
    height, width = seg.source.shape
    clipped = np.clip(boxes, 0, (width, height, width, height))
    if options.boxes_mode == "box_iou":
        overlap = box_iou(clipped, seg.boxes[candidates])
        if not len(candidates):
            overlap = np.zeros((len(boxes), 1))
        best = overlap.argmax(1)
        iou = overlap[np.arange(len(boxes)), best]
    else:
        pairs = [_best_mask_iou(seg, box, candidates) for box in clipped]
        best = np.array([k for k, _ in pairs], np.int64)
        iou = np.array([v for _, v in pairs])
    matched = np.flatnonzero((iou > 0) & (iou >= options.min_iou))
    return Selection(candidates[best[matched]] if len(matched) else matched, matched)


def _best_mask_iou(
    seg: Instances, box: NDArray[np.float64], candidates: NDArray[np.int64]
) -> tuple[int, float]:
    """Place in ``candidates`` and IoU of the mask that overlaps a box most.

    Both are counted in whole pixels, the box rounded to the nearest edges. A mask cannot share
    more with the box than its own box does, which bounds its IoU: going down the bounds, a few
    masks are measured and the rest need not be.
    """
    x0, y0, x1, y1 = window = tuple(np.rint(box).astype(np.int64).tolist())
    box_area = (x1 - x0) * (y1 - y0)
    if not len(candidates) or not box_area:
        return 0, 0.0
    own = np.ceil(seg.boxes[candidates]).astype(np.int64)
    reach = box_intersections(np.array([window]), own)[0]
    near = np.flatnonzero(reach > 0)
    rows = seg.rows[candidates[near]]
    areas = seg.source.areas(rows)
    shared = np.minimum(reach[near], np.minimum(areas, box_areas(own[near])))
    bound = shared / (box_area + areas - shared)
    best, best_iou = 0, 0.0
    for k in np.argsort(-bound, kind="stable").tolist():
        if bound[k] <= best_iou:
            break
        inside = R.area_inside(seg.source.runs(int(rows[k])), seg.source.shape[0], window)
        iou = inside / (box_area + int(areas[k]) - inside)
        if iou > best_iou:
            best, best_iou = int(near[k]), iou
    return best, best_iou
