"""Recall of a network's everything mode on labelled images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.batch import Skipped, segment_images
from fastsam_plugins.datasets.sources import Labelled
from fastsam_plugins.evaluation.bootstrap import Interval
from fastsam_plugins.evaluation.files import read_sized
from fastsam_plugins.evaluation.panoptic import PanopticQuality
from fastsam_plugins.evaluation.proposals import ProposalRecall
from fastsam_plugins.evaluation.regions import Regions
from fastsam_plugins.geometry import xyxy_to_xywh
from fastsam_plugins.masks import runs as R
from fastsam_plugins.model import FastSAM
from fastsam_plugins.options import SegmentOptions
from fastsam_plugins.segmentation import Segmentation

Value = TypeVar("Value")

PROPOSALS = SegmentOptions(conf=0.001, iou=0.9, max_det=1000)
"""The paper's settings for proposals; its script keeps 100, AR@1000 needs 1000."""


@dataclass
class EverythingRecall:
    """Recall of boxes and of masks over the same images.

    Attributes
    ----------
    boxes, masks : ProposalRecall
    failed : dict
        Images that were left out, and why.
    quality : PanopticQuality, optional
        Of the masks, if it is to be measured.
    """

    boxes: ProposalRecall = field(default_factory=ProposalRecall)
    masks: ProposalRecall = field(default_factory=ProposalRecall)
    failed: dict[str, str] = field(default_factory=dict)
    quality: PanopticQuality | None = None

    def summary(self) -> dict[str, float | int]:
        """Both summaries, their names led by ``box`` and ``mask``; counts once."""
        boxes, masks = self.boxes.summary(), self.masks.summary()
        counts = {k: v for k, v in masks.items() if isinstance(v, int)}
        both = {k: v for k, v in _named(boxes, masks).items() if not isinstance(v, int)}
        quality = self.quality.summary() if self.quality else {}
        return both | quality | counts | {"failed": len(self.failed)}

    def intervals(self) -> dict[str, Interval]:
        """Those of :meth:`ProposalRecall.intervals`, of both, named as in the summary."""
        quality = self.quality.intervals() if self.quality else {}
        return _named(self.boxes.intervals(), self.masks.intervals()) | quality


def _named(boxes: dict[str, Value], masks: dict[str, Value]) -> dict[str, Value]:
    kinds = {"box": boxes, "mask": masks}
    return {f"{kind} {k}": v for kind, values in kinds.items() for k, v in values.items()}


def segmented(
    model: FastSAM,
    labelled: Iterable[Labelled],
    options: SegmentOptions,
    failed: dict[str, str],
    progress: Callable[[Iterable[Labelled]], Iterable[Labelled]] = iter,
) -> Iterator[tuple[Labelled, Segmentation]]:
    """Segment labelled images one after another.

    One that cannot be read, or has another size than its labels, is left out and told in
    ``failed``, which is filled.

    Raises
    ------
    ValueError
        If that is all of them.
    """

    def opened(item: Labelled) -> NDArray[np.uint8]:
        return read_sized(item.image, item.shape, model.limits)

    skipped, done = Skipped(), 0
    outcomes = segment_images(model, progress(labelled), opened, options)
    for item, seg in skipped.passing(outcomes, lambda item: item.image):
        done += 1
        yield item, seg
    skipped.measured(done, failed)


def measure(
    model: FastSAM,
    labelled: Iterable[Labelled],
    options: SegmentOptions = PROPOSALS,
    progress: Callable[[Iterable[Labelled]], Iterable[Labelled]] = iter,
    quality: PanopticQuality | None = None,
) -> EverythingRecall:
    """Segment every image and count which labelled instances were found.

    Parameters
    ----------
    model : FastSAM
    labelled : iterable of Labelled
    options : SegmentOptions
    progress : callable
        Wraps the iteration over images.
    quality : PanopticQuality, optional
        Filled as well.

    Raises
    ------
    ValueError
        If no image can be read; one that cannot is left out and told in ``failed``.
    """
    recall = EverythingRecall(quality=quality)
    for item, seg in segmented(model, labelled, options, recall.failed, progress):
        height = item.shape[0]
        truth = Regions.of_masks(item.masks, height)
        areas = np.array([R.area(m) for m in item.masks], np.float64)
        scores = seg.scores.astype(np.float64)
        recall.boxes.add(Regions(truth.boxes), areas, Regions(xyxy_to_xywh(seg.boxes)), scores)
        proposals = Regions.of_masks([seg.runs(i) for i in range(len(seg))], height)
        recall.masks.add(truth, areas, proposals, scores)
        if quality is not None:
            quality.add(truth, np.zeros(len(truth), np.bool_), proposals, scores, item.shape)
    return recall
