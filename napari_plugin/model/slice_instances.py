"""``SliceInstances``: the instances of one slice, and what prompts pick among them.

Coordinates are (x, y) in pixels of the whole slice; pixel (0, 0) covers [0, 1) x [0, 1).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.geometry import Window
from fastsam_plugins.masks import runs as R
from fastsam_plugins.options import FilterOptions, PromptOptions
from fastsam_plugins.segmentation import Segmentation
from napari_plugin.model import predicting
from napari_plugin.model.prompts import (
    EXCLUDED,
    HIDDEN,
    LOOSE,
    NO_NETWORK,
    NOTHING_THERE,
    OUTSIDE,
    TICK,
    Answer,
    Prompts,
)

_ALL = FilterOptions()


@dataclass(frozen=True)
class SliceInstances:
    """The instances of one slice, or of a window of it.

    Attributes
    ----------
    seg : Segmentation
        Of the window.
    window : (x0, y0, x1, y1)
        The window in the slice.
    shape : (H, W)
        Of the slice.
    digest : str
        Names the pixels and options it came from; see :mod:`napari_plugin.inference.result_cache`.
    visible : Segmentation
        Those of ``seg`` that the filters let through: prompts pick among them.
    filters : FilterOptions
    dropped : set of int
        Rows of ``seg`` that a person dropped.
    improved : dict
        By rough mask: the better one. Others may put some there before they are asked for.
    """

    seg: Segmentation
    window: Window
    shape: R.Shape
    digest: str = ""
    visible: Segmentation = field(default=None)  # type: ignore[assignment]
    filters: FilterOptions = _ALL
    dropped: frozenset[int] = frozenset()
    improved: dict[tuple[int, ...], Segmentation] = field(
        default_factory=dict, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        x0, y0, x1, y1 = self.window
        if self.seg.shape != (y1 - y0, x1 - x0):
            raise ValueError(f"a window {self.window} does not fit {self.seg}")
        if self.visible is None:
            object.__setattr__(self, "visible", self.seg)

    def filtered(
        self, options: FilterOptions, dropped: frozenset[int] | None = None
    ) -> SliceInstances:
        """The same with other filters, or without other instances."""
        dropped = self.dropped if dropped is None else dropped
        if options == self.filters and dropped == self.dropped:
            return self
        visible = self.seg.filter(options)
        if dropped:
            visible = visible[~np.isin(visible.rows, list(dropped))]
        return dataclasses.replace(self, visible=visible, filters=options, dropped=dropped)

    @property
    def predicts(self) -> bool:
        """Whether there is what new masks are made of; what came from windows has none."""
        return predicting.can_predict(self.seg)

    def at(self, xy: tuple[float, float], options: PromptOptions) -> Segmentation:
        """The instance under the cursor, one or none, among those that were found."""
        # While the cursor moves, what was found is looked up: that takes no time.
        return self.answer(Prompts((xy,), (1,)), options.replace(predict=False)).seg

    def ahead(
        self, xy: tuple[float, float], prompts: Prompts, options: PromptOptions
    ) -> Segmentation:
        """What would be picked after a click, of the object that the click is about."""
        if options.points_mode == "each" and not prompts.boxes and not prompts.masks:
            unwanted = [p for p, label in zip(prompts.points, prompts.labels, strict=True)
                        if not label]  # fmt: skip
            drawn = tuple(s for s in prompts.scribbles if not s.label)
            labels = (*(0 for _ in unwanted), 1)
            prompts = Prompts((*unwanted, xy), labels, scribbles=drawn)
        else:
            prompts = prompts.with_point(xy)
        return self.answer(prompts, options).seg

    def answer(self, prompts: Prompts, options: PromptOptions) -> Answer:
        """What prompts pick, and which of them pick nothing, and why.

        Where there is what it takes, and the options say so, new masks are predicted. Otherwise
        every box picks what fits it best, whatever points there are. Of points, one inside what an
        earlier one picked says more about that object, as does one whose own pick holds the earlier
        ones; any other adds an object. What a background point hits is never picked.
        """
        drawn = [i for i, s in enumerate(prompts.scribbles) if s.label]
        chosen = self.visible[np.isin(self.visible.rows, prompts.chosen)]
        if not (prompts.boxes or any(prompts.labels) or drawn or prompts.masks):
            nothing = prompts.points or prompts.scribbles
            return Answer(chosen[:0] if nothing else chosen, prompts)
        if options.predict and self.predicts:
            return self._predicted(prompts, options, chosen)
        why = TICK if self.predicts else NO_NETWORK
        masks = dict.fromkeys(range(len(prompts.masks)), why)
        open_scribbles = dict.fromkeys(drawn, why)
        points, hits = self._local(prompts.points), np.empty((len(self.visible), 0), bool)
        if prompts.points:
            hits = self.visible.contains(points)
        foreground = np.array(prompts.labels, bool)
        allowed: np.ndarray = np.logical_not(hits[:, ~foreground].any(1))
        clicks = np.flatnonzero(foreground).tolist()
        open_points = {i: self._why_no_point(points[i], bool(hits[:, i].any()))
                       for i in clicks if not (hits[:, i] & allowed).any()}  # fmt: skip
        parts = []
        if clicks and options.points_mode in ("union", "each"):
            parts.append(self.visible.select(points, prompts.labels, options=options))
        elif clicks:
            parts.append(self.visible[self._objects(prompts, hits, allowed, options)])
        open_boxes = {}
        if prompts.boxes:
            boxes = self._local(prompts.boxes)
            fitting = self.visible[allowed].select(boxes=boxes, options=options)
            parts.append(fitting)
            for i in sorted({*range(len(boxes))} - {*fitting.prompts.tolist()}):
                open_boxes[i] = self._why_no_box(boxes[i : i + 1], options)
        seg = _together([*parts, chosen])
        return Answer(seg, prompts, open_points, open_boxes, open_scribbles, masks)

    def _predicted(self, prompts: Prompts, options: PromptOptions, chosen: Segmentation) -> Answer:
        """New masks: all points and scribbles mean one object, in the box or from the rough mask if
        there is one; else each box and each mask has its own. In the mode ``each``, so does each
        point and scribble."""
        boxes, seg = self._local(prompts.boxes), self.seg
        strokes = [(self._local(line), label) for line, label in prompts.strokes]
        rough = [self._bitmap(mask) for mask in prompts.masks]
        open_masks = {i: OUTSIDE for i, bitmap in enumerate(rough) if not bitmap.any()}
        parts, open_boxes = [], {}
        each = options.points_mode == "each"
        box = boxes[0] if strokes and len(boxes) == 1 and not each else None
        mask = rough[0] if strokes and len(rough) == 1 and not each and not open_masks else None
        if strokes and each:
            parts.append(predicting.one_each(seg, strokes))
        elif strokes:
            parts.append(
                predicting.one_object(seg, strokes, box, mask, prompts.step, prompts.first)
            )
        if len(boxes) and box is None:
            answers = predicting.in_boxes(seg, boxes)
            parts.append(answers)
            left_out = sorted({*range(len(boxes))} - {*answers.prompts.tolist()})
            open_boxes = dict.fromkeys(left_out, OUTSIDE)
        if mask is None:
            parts += [
                self.improve(ends, bitmap)
                for i, (ends, bitmap) in enumerate(zip(prompts.masks, rough, strict=True))
                if i not in open_masks
            ]
        parts = [part for part in (*parts, chosen) if len(part)]
        points = [(self._local([xy]), n) for xy, n in zip(prompts.points, prompts.labels,
                                                          strict=True)]  # fmt: skip
        drawn = [(self._local(s.line), s.label) for s in prompts.scribbles]
        return Answer(
            _together(parts) if parts else self.visible[:0], prompts,
            predicting.outside(points, seg.shape), open_boxes,
            predicting.outside(drawn, seg.shape), open_masks,
        )  # fmt: skip

    def improve(
        self, ends: tuple[int, ...], bitmap: NDArray[np.bool_] | None = None
    ) -> Segmentation:
        """A better mask for a rough one that has pixels here; kept, so that it is made once."""
        if ends not in self.improved:
            given = self._bitmap(ends) if bitmap is None else bitmap
            self.improved[ends] = predicting.improved(self.seg, given)
        return self.improved[ends]

    def holds(self, ends: tuple[int, ...]) -> bool:
        """Whether a mask has pixels here."""
        return bool(self._bitmap(ends).any())

    def _bitmap(self, ends: tuple[int, ...]) -> NDArray[np.bool_]:
        return predicting.bitmap(ends, self.window, self.shape)

    def _objects(
        self, prompts: Prompts, hits: np.ndarray, allowed: np.ndarray, options: PromptOptions
    ) -> list[int]:
        """Indices of the objects that foreground points mean, one for each group of points."""
        order = np.argsort(self.visible.areas, kind="stable")

        def pick(points: list[int]) -> int:
            fit = order[(allowed & hits[:, points].all(1))[order]]
            first = 0
            if options.points_mode == "best":
                first = int(np.argmax(self.visible.ranking(options.rank, fit)))
            return int(fit[min(max(first + prompts.step_of(points[-1]), 0), len(fit) - 1)])

        groups: list[tuple[list[int], int]] = []
        for i in (i for i, label in enumerate(prompts.labels) if label):
            if not (allowed & hits[:, i]).any():
                continue
            own = pick([i])
            same = [g for g in groups if hits[g[1], i]] or [
                g for g in groups if hits[own, g[0]].all()
            ]
            groups = [g for g in groups if g not in same]
            points = [*(k for g in same for k in g[0]), i]
            if not (allowed & hits[:, points].all(1)).any():  # they lie in parts that overlap
                points = [*same[-1][0], i]
                groups += same[:-1]
            groups.append((points, pick(points)))
        return list(dict.fromkeys(chosen for _, chosen in groups))

    def _why_no_point(self, xy: np.ndarray, hit: bool) -> str:
        height, width = self.seg.shape
        if not (0 <= xy[0] < width and 0 <= xy[1] < height):
            return OUTSIDE
        if hit:
            return EXCLUDED
        return HIDDEN if self.seg.contains(xy[None]).any() else NOTHING_THERE

    def _why_no_box(self, box: np.ndarray, options: PromptOptions) -> str:
        height, width = self.seg.shape
        x0, y0, x1, y1 = box[0].tolist()
        if x1 <= 0 or y1 <= 0 or x0 >= width or y0 >= height:
            return OUTSIDE
        if len(self.visible.select(boxes=box, options=options)):
            return EXCLUDED
        if len(self.seg.select(boxes=box, options=options)):
            return HIDDEN
        loose = len(self.visible.select(boxes=box, options=options.replace(min_iou=0.0)))
        return LOOSE if loose else NOTHING_THERE

    def runs(self, seg: Segmentation, i: int) -> R.Runs:
        """The mask of one of these instances, in the whole slice."""
        x0, y0, _, _ = self.window
        runs = seg.runs(i)
        if self.seg.shape == self.shape:
            return runs
        return R.shift(runs, self.seg.shape[0], self.shape[0], x0, y0)

    def local(self, xy: tuple[float, float]) -> tuple[float, float]:
        """A place in the window."""
        return xy[0] - self.window[0], xy[1] - self.window[1]

    def _local(self, numbers: Any) -> np.ndarray:
        values = np.asarray(numbers, np.float64)
        return values - np.resize(self.window[:2], values.shape[1]) if len(values) else values


def _together(parts: list[Segmentation]) -> Segmentation:
    """Several answers as one, without an instance that is in it already."""
    if len(parts) == 1:
        (seg,) = parts
    else:
        seg = Segmentation.concatenate(parts)
        if any(part.source is not seg.source for part in parts):
            return seg
    _, first = np.unique(seg.rows, return_index=True)
    return seg if len(first) == len(seg) else seg[np.sort(first)]
