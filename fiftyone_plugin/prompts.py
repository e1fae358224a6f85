"""FiftyOne labels as prompts, named and labelled as FiftyOne's SAM models do; and words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

import fiftyone as fo
import numpy as np
from numpy.typing import NDArray

from fastsam_plugins import prompt_windows
from fastsam_plugins.masks import runs as R
from fastsam_plugins.options import PromptOptions, TextOptions
from fastsam_plugins.parameters import Options, option
from fastsam_plugins.prompts import Box, BoxPrompt, PointPrompt, TextPrompt, Texts, parts
from fastsam_plugins.segmentation import Segmentation
from fastsam_plugins.text import loading, selection
from fiftyone_plugin.drawn_prompts import DrawnPrompt, drawn
from fiftyone_plugin.labels import CROWDS, OBJECT, finite, is_crowd, whole

BOXES, POINTS, EITHER = "box_prompt_field", "point_prompt_field", "prompt_field"


@dataclass(frozen=True)
class TextFields(Options):
    """What to look for, in words; several are divided by semicolons."""

    text: str = option("", "What to look for, such as: a dog; a cat. Instead of boxes and points")
    negatives: str = option("", "What resembles one of these more than the text is not selected")


@dataclass
class Prompts:
    """What one sample is prompted with.

    Attributes
    ----------
    asked : list of PointPrompt, BoxPrompt or DrawnPrompt
    labels, sources : list of str
        Label and id of the FiftyOne label that each prompt comes from.
    left_out : Counter
        How many labels are no prompts, by reason.
    """

    asked: list[PointPrompt | BoxPrompt | DrawnPrompt] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)

    def select(self, seg: Segmentation, options: PromptOptions) -> Segmentation:
        """What the prompts select or predict, one mask at most for each; ``prompts`` says which."""
        return _best([prompt.answer(seg, options) for prompt in self.asked], seg[:0])

    def predict_tiled(self, raster: Any, predict: Callable[..., Segmentation]) -> Segmentation:
        """What the prompts mean in an image of any size, each in a window about it; likewise."""
        found = [
            prompt_windows.answer(predict, raster, prompt, each=False)
            for prompt in self.asked
            if not isinstance(prompt, DrawnPrompt)
        ]
        return _best(found, predict(raster, [], []))

    def unanswered(self, seg: Segmentation, selected: Segmentation) -> Counter[str]:
        """How many prompts have no instance, by reason.

        Parameters
        ----------
        seg : Segmentation
            The instances there are.
        selected : Segmentation
            Those that :meth:`select` gave.
        """
        answered = set(selected.prompts[selected.areas > 0].tolist())
        return Counter(self._reason(i, seg) for i in range(len(self.labels)) if i not in answered)

    def _reason(self, i: int, seg: Segmentation) -> str:
        one = self.asked[i]
        if isinstance(one, DrawnPrompt):
            return one.why_not
        spot, boxes = parts(one)
        height, width = seg.shape
        if spot is not None and not spot.points:
            return "no point of the prompt is marked"
        for x0, y0, x1, y1 in boxes or ():
            if min(x1, width) <= max(x0, 0) or min(y1, height) <= max(y0, 0):
                return "the box is empty or outside the image"
        if spot is not None and not any(0 <= x < width and 0 <= y < height for x, y in spot.points):
            return "the points are outside the image"
        if not len(seg):
            return NOTHING
        if not boxes:
            return "no proposal under the points"
        if spot is None:
            return "no proposal overlaps the box enough"
        return "no proposal under the points overlaps the box"


def _best(answers: list[Segmentation], none: Segmentation) -> Segmentation:
    """The first mask of each answer; ``prompts`` says of which."""
    best = Segmentation.concatenate([none, *(found[:1] for found in answers)])
    answered = np.flatnonzero([len(found) > 0 for found in answers])
    return Segmentation(best.boxes, best.scores, best.source, best.rows, answered)


NOTHING = "nothing was found in the image"


@dataclass(frozen=True)
class Words:
    """What every sample is asked for in words."""

    prompt: TextPrompt
    options: TextOptions

    @classmethod
    def of(
        cls,
        text: Texts | None,
        negatives: Texts | None = None,
        options: TextOptions | None = None,
    ) -> Words | None:
        """Texts, in a string divided by semicolons; None if there are none.

        Raises
        ------
        ValueError or WeightsError
            If a text is empty, or there is no such CLIP. It is not loaded.
        """
        options = options or TextOptions()
        prompt = TextPrompt.parse(text, negatives)
        if prompt is None:
            return None
        loading.find(options.clip)
        return cls(prompt, options)

    @property
    def texts(self) -> list[str]:
        """What is looked for: the labels of what is found."""
        return list(self.prompt.texts)

    def select(self, seg: Segmentation) -> tuple[Segmentation, NDArray[np.float32]]:
        """What the words select, and how similar it is to the text that it answers."""
        selected = self.prompt.select(seg, self.options)
        return selected, selection.answered(selected, self.texts, self.options)

    def unanswered(self, seg: Segmentation, selected: Segmentation) -> Counter[str]:
        """How many texts have no instance, by reason."""
        missing = len(self.texts) - len(set(selected.prompts[selected.areas > 0].tolist()))
        reason = "no instance fits the text well enough" if len(seg) else NOTHING
        return Counter({reason: missing} if missing else {})


def read_drawn(masks: Any, shape: R.Shape, only: Collection[str] | None = None) -> Prompts:
    """The prompts of a field of masks and lines, but crowd regions; see :func:`read`.

    Raises
    ------
    ValueError
        If a label's numbers are none.
    """
    prompts = Prompts()
    for one, source in drawn(masks):
        if only is not None and source not in only:
            continue
        if is_crowd(one):
            prompts.left_out[CROWDS] += 1
            continue
        prompts.asked.append(DrawnPrompt.of(one, shape))
        prompts.labels.append(one.label or OBJECT)
        prompts.sources.append(source)
    return prompts


def read(boxes: Any, points: Any, shape: R.Shape, only: Collection[str] | None = None) -> Prompts:
    """The prompts of a sample's fields.

    Parameters
    ----------
    boxes : Detections or None
        Every detection's box is a prompt.
    points : Keypoints or None
        Every keypoint (a set of points) is a prompt; its attribute ``sam_labels`` says which points
        are foreground (1) and background (0), all are foreground without it; points that are NaN
        are left out. If there are boxes too, the first keypoint goes with the first box, and so on.
    shape : (H, W)
        Of the image.
    only : collection of str, optional
        Ids of labels: all others are no prompts.

    Boxes of crowd regions ask for no object: they are left out, and counted.

    Raises
    ------
    ValueError
        If a field is of another kind, or boxes and points do not pair.
    """
    scale = np.array([shape[1], shape[0]], np.float64)
    prompts = Prompts()
    detections = _list(boxes, fo.Detections, "detections", BOXES)
    keypoints = _list(points, fo.Keypoints, "keypoints", POINTS)
    if only is not None:
        detections = [d for d in detections if d.id in only]
        keypoints = [k for k in keypoints if k.id in only]
    if not keypoints:
        detections, prompts.left_out = whole(detections)
    if detections and keypoints and len(detections) != len(keypoints):
        raise ValueError(
            f"{len(detections)} boxes and {len(keypoints)} keypoints do not pair: give as many of "
            "each, or prompt with one kind"
        )
    for i in range(max(len(detections), len(keypoints))):
        sources: list[Any] = []
        box: Box | None = None
        spot: PointPrompt | None = None
        if detections and keypoints and is_crowd(detections[i]):
            prompts.left_out[CROWDS] += 1
            continue
        if detections:
            sources.append(detections[i])
            x, y, w, h = finite("a box's numbers", detections[i].bounding_box).tolist()
            box = tuple((np.array([x, y, x + w, y + h]) * np.tile(scale, 2)).tolist())
        if keypoints:
            sources.append(keypoints[i])
            spot = _points(keypoints[i], scale)
        prompts.asked.append(BoxPrompt((box,), spot) if box else spot or PointPrompt(()))
        prompts.labels.append(next((s.label for s in sources if s.label), OBJECT))
        prompts.sources.append(str(sources[0].id))
    return prompts


def _list(value: Any, kind: type, name: str, argument: str) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, kind):
        raise ValueError(
            f"{argument} must be a field of {kind.__name__}, this holds {type(value).__name__}"
        )
    return list(getattr(value, name))


def _points(keypoint: fo.Keypoint, scale: NDArray) -> PointPrompt:
    places = np.array(keypoint.points, np.float64).reshape(-1, 2)
    given = keypoint["sam_labels"] if "sam_labels" in keypoint else None  # noqa: SIM401
    polarity = np.ones(len(places)) if given is None else np.asarray(given, np.float64)
    if len(polarity) != len(places):
        raise ValueError(f"{len(polarity)} sam_labels do not fit {len(places)} points")
    seen = np.isfinite(places).all(1)  # points that are not marked are NaN
    places, polarity = places[seen], polarity[seen]
    if not np.isin(polarity, (0, 1)).all():
        raise ValueError(f"sam_labels must be 1 (foreground) or 0 (background), got {given}")
    return PointPrompt(
        tuple((x, y) for x, y in (places * scale).tolist()), tuple(polarity.astype(int).tolist())
    )
