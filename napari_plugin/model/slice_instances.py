"""``SliceInstances``: the instances of one slice, and what prompts pick among them.

Coordinates are (x, y) in pixels of the whole slice; pixel (0, 0) covers [0, 1) x [0, 1).
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fastsam_plugins.geometry import Window
from fastsam_plugins.masks import runs as R
from fastsam_plugins.options import FilterOptions, PromptOptions
from fastsam_plugins.segmentation import Segmentation

_ALL = FilterOptions()


@dataclass(frozen=True)
class Prompts:
    """What a person asks of one slice.

    Attributes
    ----------
    points : tuple of (x, y)
    labels : tuple of int
        One for each point: 1 foreground, 0 background.
    boxes : tuple of (x1, y1, x2, y2)
    step : int
        How many candidates larger (or smaller, if negative) than the one chosen at first, for the
        object of the last foreground point.
    target : int, optional
        The object that the answer is to replace.
    chosen : tuple of int
        Rows of the instances that a text picked, while there is no point or box.
    steps : tuple of int
        What ``step`` was for earlier points: their objects stay as they were chosen.
    """

    points: tuple[tuple[float, float], ...] = ()
    labels: tuple[int, ...] = ()
    boxes: tuple[tuple[float, float, float, float], ...] = ()
    step: int = 0
    target: int | None = None
    chosen: tuple[int, ...] = ()
    steps: tuple[int, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.points or self.boxes or self.chosen)

    def with_point(self, xy: tuple[float, float], foreground: bool = True) -> Prompts:
        """The same and one more point; which candidate is meant is open again."""
        return dataclasses.replace(
            self,
            points=(*self.points, xy),
            labels=(*self.labels, int(foreground)),
            chosen=(),
            step=0,
            steps=tuple(self.step_of(i) for i in range(len(self.points))),
        )

    def step_of(self, i: int) -> int:
        """How far from its first candidate the object of a point is."""
        if not any(self.labels[i + 1 :]):
            return self.step
        return self.steps[i] if i < len(self.steps) else 0

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Prompts:
        """The inverse of :meth:`to_json`."""
        return cls(
            tuple((float(x), float(y)) for x, y in values["points"]),
            tuple(int(v) for v in values["labels"]),
            tuple((float(a), float(b), float(c), float(d)) for a, b, c, d in values["boxes"]),
            int(values["step"]),
            None if values["target"] is None else int(values["target"]),
            tuple(int(row) for row in values.get("chosen", ())),
            tuple(int(step) for step in values.get("steps", ())),
        )


NOTHING_THERE = "no instance there: lower conf, or zoom in and segment"
HIDDEN = "the filters hide what is there"
EXCLUDED = "a background point excludes what is there"
OUTSIDE = "outside the part that was segmented"
LOOSE = "nothing fits the box by min iou"


@dataclass(frozen=True)
class Answer:
    """What prompts pick, and which pick nothing.

    Attributes
    ----------
    seg : Segmentation
        What is picked.
    prompts : Prompts
    points, boxes : dict
        By place among the prompts' points, or boxes: why it picks nothing.
    """

    seg: Segmentation
    prompts: Prompts
    points: dict[int, str] = field(default_factory=dict)
    boxes: dict[int, str] = field(default_factory=dict)

    @property
    def summary(self) -> str:
        """How many prompts are answered, and why the others are not; empty without prompts."""
        count = sum(self.prompts.labels) + len(self.prompts.boxes)
        if not count:
            return ""
        why = Counter([*self.points.values(), *self.boxes.values()])
        reasons = "; ".join(f"{n} × {text}" for text, n in why.most_common())
        answered = f"{count - why.total()} of {count} prompts answered"
        return f"{answered}: {reasons}" if reasons else answered

    @property
    def unanswered(self) -> Prompts:
        """The prompts that pick nothing: they stay open when what the others pick is taken."""
        points = [p for i, p in enumerate(self.prompts.points) if i in self.points]
        boxes = [b for i, b in enumerate(self.prompts.boxes) if i in self.boxes]
        return Prompts(tuple(points), (1,) * len(points), tuple(boxes))


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
    """

    seg: Segmentation
    window: Window
    shape: R.Shape
    digest: str = ""
    visible: Segmentation = field(default=None)  # type: ignore[assignment]
    filters: FilterOptions = _ALL
    dropped: frozenset[int] = frozenset()

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

    def at(self, xy: tuple[float, float], options: PromptOptions) -> Segmentation:
        """The instance under the cursor, one or none."""
        # While the cursor moves, what was found is looked up: that takes no time.
        return self.answer(Prompts((xy,), (1,)), options.replace(predict=False)).seg

    def answer(self, prompts: Prompts, options: PromptOptions) -> Answer:
        """What prompts pick, and which of them pick nothing, and why.

        Every box picks what fits it best, whatever points there are. Of points, one inside what an
        earlier one picked says more about that object, as does one whose own pick holds the earlier
        ones; any other adds an object. What a background point hits is never picked.
        """
        if not prompts.boxes and not any(prompts.labels):
            picked = prompts.chosen if not prompts.points else ()
            return Answer(self.visible[np.isin(self.visible.rows, picked)], prompts)
        if options.predict and self.seg.encoding is not None:
            return self._predicted(prompts)
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
        return Answer(_together(parts), prompts, open_points, open_boxes)

    def _predicted(self, prompts: Prompts) -> Answer:
        """New masks: all points mean one object, in the box if there is one; else each box has its
        own. What came from windows of a large slice has none, and is selected from."""
        points, boxes = self._local(prompts.points), self._local(prompts.boxes)
        parts, open_points, open_boxes = [], {}, {}
        together = len(boxes) == 1
        if any(prompts.labels):
            answers = self.seg.predict(points, prompts.labels, boxes if together else None)
            answers = answers.sort("areas", descending=False)
            if len(answers):
                first = int(np.argmax(answers.scores))
                parts.append(answers[min(max(first + prompts.step, 0), len(answers) - 1)])
            height, width = self.seg.shape
            open_points = {
                i: OUTSIDE for i, label in enumerate(prompts.labels)
                if label and not ((points[i] >= 0) & (points[i] < (width, height))).all()
            }  # fmt: skip
        if len(boxes) and not (together and any(prompts.labels)):
            answers = self.seg.predict(boxes=boxes, multimask=False)
            parts.append(answers)
            left_out = sorted({*range(len(boxes))} - {*answers.prompts.tolist()})
            open_boxes = dict.fromkeys(left_out, OUTSIDE)
        seg = _together(parts) if parts else self.visible[:0]
        return Answer(seg, prompts, open_points, open_boxes)

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
