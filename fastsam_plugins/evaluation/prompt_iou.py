"""How well prompts select: the paper's section 5 as numbers.

For every labelled instance: the best any instance found overlaps it (what prompts choose from),
what points and boxes select, and what they, noisy boxes and strokes predict, beside the filled box.
Points follow SAM's protocol without its dice (Kirillov et al. 2023, section 7.1; Sofiiuk et al.
2022): the first lies deepest inside the object, each further one deepest inside the larger kind of
error so far, as foreground if it was missed and background if it was taken too much.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.datasets.sources import Labelled
from fastsam_plugins.decoder.simulation import correction, deepest, noisy, scribble
from fastsam_plugins.decoder.windows import Click
from fastsam_plugins.evaluation.everything import segmented
from fastsam_plugins.masks import runs as R
from fastsam_plugins.model import FastSAM
from fastsam_plugins.options import PromptOptions, SegmentOptions
from fastsam_plugins.segmentation import Segmentation

POINTS = (1, 2, 3, 5, 8)
POINTS_MODES: tuple[Literal["union", "smallest", "best"], ...] = ("union", "smallest", "best")
BOXES_MODES: tuple[Literal["box_iou", "mask_iou"], ...] = ("box_iou", "mask_iou")
PREDICT = "predict"
WORSE = 0.02  # what a click may take of the IoU without harm

Bitmap = NDArray[np.bool_]
Answering = Callable[[Sequence[Click]], Bitmap | None]


@dataclass
class PromptScores:
    """IoU of every instance by kind of prompt, added image after image.

    Attributes
    ----------
    ious : dict of lists
    worse : dict of lists
        Whether clicks made the answer worse; see :func:`prompt_for`.
    images : int
    failed : dict
        Images that were left out, and why.
    """

    ious: dict[str, list[float]] = field(default_factory=dict)
    worse: dict[str, list[bool]] = field(default_factory=dict)
    images: int = 0
    failed: dict[str, str] = field(default_factory=dict)

    def add(self, ious: dict[str, list[float]], worse: dict[str, list[bool]]) -> None:
        """Add the instances of one image."""
        for name, values in ious.items():
            self.ious.setdefault(name, []).extend(values)
        for name, clicks in worse.items():
            self.worse.setdefault(name, []).extend(clicks)
        self.images += 1

    def summary(self) -> dict[str, float | int]:
        """Mean IoU by kind of prompt, the share of clicks that made it worse, and counts."""
        worse = {f"clicks that made it worse, {n}": v for n, v in self.worse.items()}
        empty = {
            f"no answer to 1 point, {n}": [v == 0 for v in self.ious[f"1 points, {n}"]]
            for n in self.worse
        }
        means: dict[str, Sequence[float]] = {**self.ious, **worse, **empty}
        return {
            **{name: float(np.mean(values)) for name, values in means.items() if values},
            "images": self.images,
            "instances": len(self.ious.get("everything", [])),
            "failed": len(self.failed),
        }


def evaluate_prompts(
    model: FastSAM,
    labelled: Iterable[Labelled],
    options: SegmentOptions,
    progress: Callable[[Iterable[Labelled]], Iterable[Labelled]] = iter,
    min_area: int = 1,
) -> PromptScores:
    """Prompt for every labelled instance of every image that has so many pixels.

    Raises
    ------
    ValueError
        If no image can be read, or nothing is labelled; an image that cannot be read is left out
        and told in ``failed``.
    """
    scores, rng = PromptScores(), np.random.default_rng(0)
    for item, seg in segmented(model, labelled, options, scores.failed, progress):
        masks = [m for m in item.masks if R.area(m) >= min_area]
        scores.add(*prompt_for(seg, masks, rng))
    if not scores.ious.get("everything"):
        raise ValueError("no image has a labelled instance")
    return scores


def prompt_for(
    seg: Segmentation, truths: Sequence[R.Runs], rng: np.random.Generator | None = None
) -> tuple[dict[str, list[float]], dict[str, list[bool]]]:
    """What each kind of prompt gives for every truth.

    Returns
    -------
    ious : dict of lists
        IoU of each truth with the best instance, and with what prompts select and predict.
    worse : dict of lists
        For every click after the first, whether it took more than 0.02 of the IoU; by way of
        answering.
    """
    rng = np.random.default_rng(0) if rng is None else rng
    instances = [seg.runs(i) for i in range(len(seg))]
    ious: dict[str, list[float]] = {"everything": []}
    worse: dict[str, list[bool]] = {}
    for truth in truths:
        ious["everything"].append(float(R.ious(truth, instances).max(initial=0)))
    ways: dict[str, Answering] = {
        mode: _selecting(seg, PromptOptions(points_mode=mode)) for mode in POINTS_MODES
    }
    if seg.encoding is not None:
        ways[PREDICT] = _predicting(seg)
    for name, answer in ways.items():
        each = [_by_points(seg.shape, t, answer) for t in truths]
        for number in POINTS:
            ious[f"{number} points, {name}"] = [e[number - 1] for e in each]
        worse[name] = [b < a - WORSE for e in each for a, b in itertools.pairwise(e)]
    boxes = np.array([R.bounds(t, seg.shape[0]) for t in truths], np.float64).reshape(-1, 4)
    drawn = [noisy(b, rng, seg.shape) for b in boxes.tolist()]
    for name, given in (("box", boxes), ("noisy box", np.array(drawn).reshape(-1, 4))):
        for mode in BOXES_MODES:
            chosen = seg.select(boxes=given, boxes_mode=mode) if len(given) else seg[:0]
            ious[f"{name}, {mode}"] = _by_boxes(chosen, truths)
        if seg.encoding is not None:
            chosen = seg.predict(boxes=given) if len(given) else seg[:0]
            ious[f"{name}, {PREDICT}"] = _by_boxes(chosen, truths)
        ious[f"{name}, filled"] = [
            _filled_iou(b, t, seg.shape) for b, t in zip(given.tolist(), truths, strict=True)
        ]
    if seg.encoding is not None:
        ious |= _more(seg, truths, rng)
    return ious, worse


def _more(
    seg: Segmentation, truths: Sequence[R.Runs], rng: np.random.Generator
) -> dict[str, list[float]]:
    """The best of a first click's answers, and what strokes give."""
    best, strokes = [], []
    for truth in truths:
        true = R.to_bitmap(truth, seg.shape)
        answers = seg.predict([deepest(true)])
        best.append(max(_ious(truth, answers), default=0.0))
        line = np.array([c[:2] for c in scribble(true, rng)])
        answer = seg.predict(scribbles=[line], multimask=False)
        strokes.append(max(_ious(truth, answer), default=0.0))
    return {f"1 points, best of {PREDICT}": best, f"stroke, {PREDICT}": strokes}


def _ious(truth: R.Runs, answers: Segmentation) -> list[float]:
    return R.ious(truth, [answers.runs(i) for i in range(len(answers))]).tolist()


def _by_boxes(chosen: Segmentation, truths: Sequence[R.Runs]) -> list[float]:
    values = [0.0] * len(truths)
    for i, prompt in enumerate(chosen.prompts.tolist()):
        values[prompt] = float(R.ious(truths[prompt], [chosen.runs(i)])[0])
    return values


def _filled_iou(box: Sequence[float], truth: R.Runs, shape: R.Shape) -> float:
    """The control: the box itself, in whole pixels, as a mask."""
    bitmap = np.zeros(shape, np.bool_)
    x0, y0, x1, y1 = np.rint(box).astype(int).tolist()
    bitmap[y0:y1, x0:x1] = True
    return float(R.ious(truth, [R.from_bitmap(bitmap)])[0])


def _selecting(seg: Segmentation, options: PromptOptions) -> Answering:
    def answer(clicks: Sequence[Click]) -> Bitmap | None:
        points, labels = [c[:2] for c in clicks], [c[2] for c in clicks]
        chosen = seg.select(points=points, labels=labels, options=options)
        return chosen.mask(0) if len(chosen) else None

    return answer


def _predicting(seg: Segmentation) -> Answering:
    def answer(clicks: Sequence[Click]) -> Bitmap | None:
        points, labels = [c[:2] for c in clicks], [c[2] for c in clicks]
        chosen = seg.predict(points, labels, multimask=False)
        return chosen.mask(0) if len(chosen) else None

    return answer


def _by_points(shape: R.Shape, truth: R.Runs, answer: Answering) -> list[float]:
    """IoU after every click."""
    true = R.to_bitmap(truth, shape)
    given = np.zeros_like(true)
    clicks: list[Click] = []
    ious: list[float] = []
    for _ in range(max(POINTS)):
        following = correction(true, given)
        if following is not None:
            clicks.append(following)
            made = answer(clicks)
            given = np.zeros_like(true) if made is None else made
        union = int((true | given).sum())
        ious.append(float((true & given).sum() / union) if union else 0.0)
    return ious
