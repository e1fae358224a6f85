"""How many prompts were answered, and why the others were not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastsam_plugins import prompts as P
from fastsam_plugins.options import PromptOptions, TextOptions

if TYPE_CHECKING:
    from fastsam_plugins.segmentation import Segmentation

NOTHING = "nothing was found in the image, lower conf"
OUTSIDE = "outside the image"
NONE_THERE = "no instance there, lower conf"
EXCLUDED = "a background point excludes what is there"
ANOTHER = "the instance that was picked does not hold it"


@dataclass(frozen=True)
class Answers:
    """What became of prompts.

    Attributes
    ----------
    asked : int
        How many there were: boxes, texts, or foreground points where there are no boxes.
    why_not : dict of str to str
        Each prompt that was not answered, in words, and why.
    """

    asked: int
    why_not: dict[str, str] = field(default_factory=dict)

    @property
    def answered(self) -> int:
        """How many were answered."""
        return self.asked - len(self.why_not)

    def __str__(self) -> str:
        text = f"{self.answered} of {self.asked} prompts answered"
        missing = "; ".join(f"{prompt}: {why}" for prompt, why in self.why_not.items())
        return f"{text} ({missing})" if missing else text


def of(
    prompt: P.Prompt,
    seg: Segmentation,
    selected: Segmentation,
    prompting: PromptOptions | None = None,
    wording: TextOptions | None = None,
) -> Answers:
    """What became of a prompt, of which ``selected`` is what it selected among ``seg``."""
    if isinstance(prompt, P.TextPrompt):
        return to_texts(selected, prompt.texts, TextOptions.of(wording))
    spot, boxes = P.parts(prompt)
    xy, labels = (spot.points, spot.labels) if spot else (None, None)
    return to_prompts(seg, selected, xy, labels, boxes, prompting)


def to_prompts(
    seg: Segmentation,
    found: Segmentation,
    points: ArrayLike | None = None,
    labels: ArrayLike | None = None,
    boxes: ArrayLike | None = None,
    options: PromptOptions | None = None,
) -> Answers:
    """What became of points and boxes.

    Parameters
    ----------
    seg : Segmentation
        The instances there were.
    found : Segmentation
        Those that ``seg.select(points, labels, boxes, options)`` gave.
    points, labels, boxes, options
        As they were given to that.
    """
    options = PromptOptions.of(options)
    if boxes is not None:
        corners = P.check_boxes(boxes)
        answered = set(found.prompts.tolist())
        why_not = {
            f"box {_place(i, corners[i])}": _of_box(seg, corners[i], points is not None, options)
            for i in range(len(corners))
            if i not in answered
        }
        return Answers(len(corners), why_not)
    xy = P.check_points([] if points is None else points)
    foreground = P.check_labels(labels, len(xy))
    hits, picked = seg.contains(xy), found.contains(xy)
    vetoed = np.asarray(hits[:, ~foreground].any(1))
    why_not = {}
    for i in np.flatnonzero(foreground).tolist():
        own = i in found.prompts if options.points_mode == "each" else picked[:, i].any()
        if not own:
            why_not[f"point {_place(i, xy[i])}"] = _of_point(seg, xy[i], hits[:, i], vetoed)
    return Answers(int(foreground.sum()), why_not)


def to_texts(found: Segmentation, texts: Sequence[str], options: TextOptions) -> Answers:
    """What became of texts, of which ``found`` is what was selected."""
    answered = set(found.prompts.tolist())
    reason = f"no instance is like it by a threshold of {options.threshold:g}, and unlike negatives"
    why_not = {f"text {i + 1} {t!r}": reason for i, t in enumerate(texts) if i not in answered}
    return Answers(len(texts), why_not)


def _place(number: int, numbers: NDArray[np.float64]) -> str:
    return f"{number + 1} ({', '.join(f'{v:g}' for v in numbers.tolist())})"


def _of_point(
    seg: Segmentation, xy: NDArray[np.float64], hit: NDArray[np.bool_], vetoed: NDArray[np.bool_]
) -> str:
    height, width = seg.shape
    if not (0 <= xy[0] < width and 0 <= xy[1] < height):
        return OUTSIDE
    if not len(seg):
        return NOTHING
    if not hit.any():
        return NONE_THERE
    return EXCLUDED if vetoed[hit].all() else ANOTHER


def _of_box(
    seg: Segmentation, box: NDArray[np.float64], with_points: bool, options: PromptOptions
) -> str:
    height, width = seg.shape
    inside = np.clip(box, 0, (width, height, width, height))
    if not (inside[2:] > inside[:2]).all():
        return "empty, or outside the image"
    if not len(seg):
        return NOTHING
    by = f" by an IoU of {options.min_iou:g}" if options.min_iou else ""
    if with_points:
        return f"no instance that the points allow overlaps it{by}"
    return f"no instance overlaps it{by}, lower conf"
