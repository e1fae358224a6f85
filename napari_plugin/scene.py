"""``Scene``: what was found in one slice, and what prompts pick from it. No network, no window.

Coordinates are (x, y) in pixels of the whole slice; pixel (0, 0) covers [0, 1) x [0, 1).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fastsam_plugins.masks import runs as R
from fastsam_plugins.options import FilterOptions, PromptOptions
from fastsam_plugins.segmentation import Segmentation

Window = tuple[int, int, int, int]

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
        How many candidates larger (or smaller, if negative) than the one chosen at first.
    target : int, optional
        The object that the answer is to replace.
    chosen : tuple of int
        Rows of the instances that a text picked, while there is no point or box.
    """

    points: tuple[tuple[float, float], ...] = ()
    labels: tuple[int, ...] = ()
    boxes: tuple[tuple[float, float, float, float], ...] = ()
    step: int = 0
    target: int | None = None
    chosen: tuple[int, ...] = ()

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
        )

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
        )


@dataclass(frozen=True)
class Scene:
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
        Names the pixels and options it came from; see :mod:`napari_plugin.results`.
    shown : Segmentation
        Those of ``seg`` that the filters let through: prompts pick among them.
    filters : FilterOptions
    """

    seg: Segmentation
    window: Window
    shape: R.Shape
    digest: str = ""
    shown: Segmentation = field(default=None)  # type: ignore[assignment]
    filters: FilterOptions = _ALL

    def __post_init__(self) -> None:
        x0, y0, x1, y1 = self.window
        if self.seg.shape != (y1 - y0, x1 - x0):
            raise ValueError(f"a window {self.window} does not fit {self.seg}")
        if self.shown is None:
            object.__setattr__(self, "shown", self.seg)

    def filtered(self, options: FilterOptions) -> Scene:
        """The same with other filters."""
        if options == self.filters:
            return self
        return dataclasses.replace(self, shown=self.seg.filter(options), filters=options)

    def at(self, xy: tuple[float, float], options: PromptOptions) -> Segmentation:
        """The instance under the cursor, one or none."""
        return self.answer(Prompts((xy,), (1,)), options)

    def answer(self, prompts: Prompts, options: PromptOptions) -> Segmentation:
        """What prompts pick; empty if nothing."""
        if not prompts.boxes and not any(prompts.labels):
            picked = prompts.chosen if not prompts.points else ()
            return self.shown[np.isin(self.shown.rows, picked)]
        points = self._local(prompts.points) if prompts.points else None
        labels = prompts.labels if prompts.points else None
        if prompts.boxes:
            boxes = self._local(prompts.boxes)
            return self.shown.select(points, labels, boxes, options)
        if options.points_mode in ("union", "each"):
            return self.shown.select(points, labels, options=options)
        assert points is not None
        candidates = self.shown.candidates(points, labels)
        if not len(candidates):
            return candidates
        first = 0 if options.points_mode == "smallest" else int(
            np.argmax(candidates.ranking(options.rank))
        )  # fmt: skip
        return candidates[min(max(first + prompts.step, 0), len(candidates) - 1)]

    def limited(self, prompts: Prompts, options: PromptOptions) -> Prompts:
        """Prompts whose step leads to a candidate that there is."""
        if (
            prompts.boxes
            or prompts.chosen
            or not prompts.step
            or options.points_mode in ("union", "each")
        ):
            return dataclasses.replace(prompts, step=0)
        count = len(self.shown.candidates(self._local(prompts.points), prompts.labels))
        step = prompts.step
        while step and count:
            nearer = step - (1 if step > 0 else -1)
            found, before = (
                self.answer(dataclasses.replace(prompts, step=s), options) for s in (step, nearer)
            )
            if found.rows.tolist() != before.rows.tolist():
                break
            step = nearer
        return dataclasses.replace(prompts, step=step if count else 0)

    def runs(self, seg: Segmentation, i: int) -> R.Runs:
        """The mask of one of this scene's instances, in the whole slice."""
        x0, y0, _, _ = self.window
        found = seg.runs(i)
        if self.seg.shape == self.shape:
            return found
        return R.shift(found, self.seg.shape[0], self.shape[0], x0, y0)

    def _local(self, numbers: Any) -> np.ndarray:
        values = np.asarray(numbers, np.float64)
        return values - np.resize(self.window[:2], values.shape[1])
