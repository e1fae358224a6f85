"""How well prompts select: the paper's section 5 as numbers.

For every labelled instance: the best any instance found overlaps it (what prompts choose from), and
what points and boxes select. Points follow SAM's protocol without its dice (Kirillov et al. 2023,
section 7.1; Sofiiuk et al. 2022): the first lies deepest inside the object, each further one
deepest inside the largest error so far, as foreground if it was missed and background if it was
taken too much.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.datasets.sources import Labelled
from fastsam_plugins.evaluation.everything import segmented
from fastsam_plugins.masks import runs as R
from fastsam_plugins.model import FastSAM
from fastsam_plugins.options import PromptOptions, SegmentOptions
from fastsam_plugins.segmentation import Segmentation

POINTS = (1, 3, 5)
POINTS_MODES: tuple[Literal["union", "smallest", "best"], ...] = ("union", "smallest", "best")
BOXES_MODES = ("box_iou", "mask_iou")

Bitmap = NDArray[np.bool_]


@dataclass
class PromptScores:
    """IoU of every instance by kind of prompt, added image after image.

    Attributes
    ----------
    ious : dict of lists
    images : int
    failed : dict
        Images that were left out, and why.
    """

    ious: dict[str, list[float]] = field(default_factory=dict)
    images: int = 0
    failed: dict[str, str] = field(default_factory=dict)

    def add(self, ious: dict[str, list[float]]) -> None:
        """Add the instances of one image."""
        for name, values in ious.items():
            self.ious.setdefault(name, []).extend(values)
        self.images += 1

    def summary(self) -> dict[str, float | int]:
        """Mean IoU by kind of prompt, and counts."""
        return {
            **{name: float(np.mean(values)) for name, values in self.ious.items() if values},
            "images": self.images,
            "instances": len(self.ious.get("everything", [])),
            "failed": len(self.failed),
        }


def evaluate_prompts(
    model: FastSAM,
    labelled: Iterable[Labelled],
    options: SegmentOptions,
    progress: Callable[[Iterable[Labelled]], Iterable[Labelled]] = iter,
) -> PromptScores:
    """Prompt for every labelled instance of every image.

    Raises
    ------
    ValueError
        If no image can be read, or nothing is labelled; an image that cannot be read is left out
        and told in ``failed``.
    """
    scores = PromptScores()
    for item, seg in segmented(model, labelled, options, scores.failed, progress):
        scores.add(prompt_for(seg, item.masks))
    if not scores.ious.get("everything"):
        raise ValueError("no image has a labelled instance")
    return scores


def prompt_for(seg: Segmentation, truths: Sequence[R.Runs]) -> dict[str, list[float]]:
    """IoU of every truth with the best instance and with what each kind of prompt selects."""
    masks = [seg.runs(i) for i in range(len(seg))]
    ious: dict[str, list[float]] = {"everything": []}
    boxes = np.array([R.bounds(t, seg.shape[0]) for t in truths], np.float64).reshape(-1, 4)
    for truth in truths:
        overlaps = R.ious(truth, masks)
        ious["everything"].append(float(overlaps.max(initial=0)))
    for mode in POINTS_MODES:
        options = PromptOptions(points_mode=mode)
        each = [_by_points(seg, t, options) for t in truths]
        for k, number in enumerate(POINTS):
            ious[f"{number} points, {mode}"] = [e[k] for e in each]
    for box_mode in BOXES_MODES:
        chosen = seg.select(boxes=boxes, boxes_mode=box_mode) if len(boxes) else seg[:0]
        values = [0.0] * len(truths)
        for i, prompt in enumerate(chosen.prompts.tolist()):
            values[prompt] = float(R.ious(truths[prompt], [chosen.runs(i)])[0])
        ious[f"box, {box_mode}"] = values
    return ious


def _by_points(seg: Segmentation, truth: R.Runs, options: PromptOptions) -> list[float]:
    """IoU after 1, 3 and 5 points."""
    true = R.to_bitmap(truth, seg.shape)
    selected = np.zeros_like(true)
    points: list[tuple[float, float]] = []
    labels: list[int] = []
    ious = []
    for number in range(1, max(POINTS) + 1):
        missed, extra = true & ~selected, selected & ~true
        if missed.any() or extra.any():
            place, foreground = _deepest(missed, extra)
            points.append(place)
            labels.append(int(foreground))
            chosen = seg.select(points=points, labels=labels, options=options)
            selected = chosen.mask(0) if len(chosen) else np.zeros_like(true)
        if number in POINTS:
            union = int((true | selected).sum())
            ious.append(float((true & selected).sum() / union) if union else 0.0)
    return ious


def _deepest(missed: Bitmap, extra: Bitmap) -> tuple[tuple[float, float], bool]:
    """Centre (x, y) of the pixel furthest from the border of its error, and whether it is missed.

    The larger kind of error is corrected first. Of equally deep pixels the first by rows counts:
    the protocol has no chance in it.
    """
    import cv2

    foreground = int(missed.sum()) >= int(extra.sum())
    error = np.pad(missed if foreground else extra, 1).astype(np.uint8)
    depth = cv2.distanceTransform(error, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    y, x = np.unravel_index(int(depth.argmax()), depth.shape)
    return (float(x) + 0.5, float(y) + 0.5), foreground
