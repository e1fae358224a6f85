"""``Prompts``: what a person asks of one slice; ``Answer``: what that picks.

Coordinates are (x, y) in pixels of the whole slice; pixel (0, 0) covers [0, 1) x [0, 1).
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fastsam_plugins.segmentation import Segmentation

Line = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Scribble:
    """A line that was drawn.

    Attributes
    ----------
    line : tuple of (x, y)
    label : int
        1 foreground, 0 background.
    after : int
        How many points there were before it: prompts are answered in the order they came in.
    """

    line: Line
    label: int = 1
    after: int = 0


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
        Rows of the instances that a text or an example picked, or rows of the table: beside what
        else is asked, until that is changed.
    steps : tuple of int
        What ``step`` was for earlier points: their objects stay as they were chosen.
    scribbles : tuple of Scribble
        Drawn lines; they are predicted from, as the points are.
    masks : tuple of tuples of int
        Rough masks, of which each asks for a better one: the ends of their runs, one after another.
    first : int
        What ``step`` was when the second point or scribble came: further ones correct that answer.
    """

    points: tuple[tuple[float, float], ...] = ()
    labels: tuple[int, ...] = ()
    boxes: tuple[tuple[float, float, float, float], ...] = ()
    step: int = 0
    target: int | None = None
    chosen: tuple[int, ...] = ()
    steps: tuple[int, ...] = ()
    scribbles: tuple[Scribble, ...] = ()
    masks: tuple[tuple[int, ...], ...] = ()
    first: int = 0

    def __bool__(self) -> bool:
        return bool(self.points or self.boxes or self.chosen or self.scribbles or self.masks)

    @property
    def strokes(self) -> list[tuple[Line, int]]:
        """Points and scribbles in the order they came in: a line, of a point where it is one, and
        its label."""
        count, out = len(self.points), []
        for k in range(count + 1):
            out += [(s.line, s.label) for s in self.scribbles if min(s.after, count) == k]
            if k < count:
                out.append(((self.points[k],), self.labels[k]))
        return out

    @property
    def first_step(self) -> int:
        """How far from the best one the answer is that all but the first stroke correct."""
        return self.step if len(self.points) + len(self.scribbles) == 1 else self.first

    def with_point(self, xy: tuple[float, float], foreground: bool = True) -> Prompts:
        """The same and one more point; which candidate is meant is open again."""
        return dataclasses.replace(
            self._settled(), points=(*self.points, xy), labels=(*self.labels, int(foreground))
        )

    def with_scribbles(self, lines: Sequence[Line], foreground: bool = True) -> Prompts:
        """The same and lines that were drawn in one go."""
        drawn = [Scribble(line, int(foreground), len(self.points)) for line in lines]
        return dataclasses.replace(self._settled(), scribbles=(*self.scribbles, *drawn))

    def _settled(self) -> Prompts:
        """The same with the candidates that are chosen so far; what comes now is open."""
        return dataclasses.replace(
            self,
            chosen=(),
            step=0,
            steps=tuple(self.step_of(i) for i in range(len(self.points))),
            first=self.first_step,
        )

    def with_objects(self) -> Prompts | None:
        """What is kept of them with the objects they made: not what made all the others."""
        if self.chosen and dataclasses.replace(self, chosen=()):
            return None  # which of them made an object is not known
        masks = self.masks if len(self.masks) == 1 else ()
        return dataclasses.replace(self, target=None, masks=masks) or None

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
            tuple(
                Scribble(
                    tuple((float(x), float(y)) for x, y in s["line"]), int(s["label"]),
                    int(s["after"]),
                )
                for s in values.get("scribbles", ())
            ),
            tuple(tuple(int(end) for end in mask) for mask in values.get("masks", ())),
            int(values.get("first", 0)),
        )  # fmt: skip


NOTHING_THERE = "no instance there: lower conf, or zoom in and segment"
HIDDEN = "the filters hide what is there"
EXCLUDED = "a background point excludes what is there"
OUTSIDE = "outside the part that was segmented"
LOOSE = "nothing fits the box by min iou"
TICK = "scribbles and labels need predict, which is not ticked"
NO_NETWORK = "scribbles and labels need the whole image, or a field of view, segmented at once"


@dataclass(frozen=True)
class Answer:
    """What prompts pick, and which pick nothing.

    Attributes
    ----------
    seg : Segmentation
        What is picked.
    prompts : Prompts
    points, boxes, scribbles, masks : dict
        By place among the prompts' points, boxes, scribbles or masks: why it picks nothing.
    """

    seg: Segmentation
    prompts: Prompts
    points: dict[int, str] = field(default_factory=dict)
    boxes: dict[int, str] = field(default_factory=dict)
    scribbles: dict[int, str] = field(default_factory=dict)
    masks: dict[int, str] = field(default_factory=dict)

    def is_like(self, other: Answer) -> bool:
        """Whether another one picks the same pixels."""
        mine, its = self.seg, other.seg
        if mine.source is its.source:
            return mine.rows.tolist() == its.rows.tolist()
        return len(mine) == len(its) and all(
            np.array_equal(mine.runs(i), its.runs(i)) for i in range(len(mine))
        )

    @property
    def summary(self) -> str:
        """How many prompts are answered, and why the others are not; empty without prompts."""
        asked = self.prompts
        count = sum(asked.labels) + len(asked.boxes) + len(asked.masks)
        count += sum(s.label for s in asked.scribbles)
        if not count:
            return ""
        open_ones = (self.points, self.boxes, self.scribbles, self.masks)
        why = Counter(text for those in open_ones for text in those.values())
        reasons = "; ".join(f"{n} × {text}" for text, n in why.most_common())
        answered = f"{count - why.total()} of {count} prompts answered"
        return f"{answered}: {reasons}" if reasons else answered

    @property
    def unanswered(self) -> Prompts:
        """The prompts that pick nothing: they stay open when what the others pick is taken."""
        points = [p for i, p in enumerate(self.prompts.points) if i in self.points]
        boxes = [b for i, b in enumerate(self.prompts.boxes) if i in self.boxes]
        scribbles = [s for i, s in enumerate(self.prompts.scribbles) if i in self.scribbles]
        masks = [m for i, m in enumerate(self.prompts.masks) if i in self.masks]
        return Prompts(
            tuple(points), (1,) * len(points), tuple(boxes), scribbles=tuple(scribbles),
            masks=tuple(masks),
        )  # fmt: skip
