"""One image: which ground truths its proposals find, and by which rank."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsam_plugins.evaluation.everything import EverythingRecall
from fastsam_plugins.evaluation.proposals import MISSED, SIZES, Ranks
from fastsam_plugins.evaluation.regions import Regions
from fastsam_plugins.masks import runs as R
from fiftyone_plugin import labels

Match = tuple[str | None, str | None, float | None, float | None, str | None, str | None]


@dataclass
class Compared:
    """What is known of one image.

    Attributes
    ----------
    matches : list
        As FiftyOne keeps them.
    recall : float or None
        Average recall of its ground truths; None if it has none.
    truths, proposals : dict of dict
        By the id of a ground truth or proposal: what is said of it, names led by the run's.
    """

    matches: list[Match]
    recall: float | None
    truths: dict[str, dict[str, Any]] = field(default_factory=dict)
    proposals: dict[str, dict[str, Any]] = field(default_factory=dict)


def compare(
    recall: EverythingRecall,
    limit: int,
    file: str,
    shape: R.Shape | None,
    truths: list[labels.Object],
    proposals: list[labels.Object],
) -> Compared:
    """Count one image, and say what became of each of its objects.

    Parameters
    ----------
    recall : EverythingRecall
        It is added to.
    limit : int
        Proposals of an image that count.
    file : str
    shape : (H, W)
        Of the image; None if it could not be measured.
    truths, proposals : list of labels

    Raises
    ------
    ValueError
        If the image could not be measured, or a mask cannot be read.
    """
    if shape is None:
        raise ValueError(f"{file} cannot be read: nothing is known of its size")
    truths, _ = labels.whole(truths)
    scores = np.array([labels.confidence(p) for p in proposals])
    true, guessed = ([labels.mask(o, shape) for o in objects] for objects in (truths, proposals))
    areas = np.array([R.area(m) for m in true], np.float64)
    ranks = _add(recall, shape, (truths, true), (proposals, guessed), areas, scores)
    order = np.argsort(-scores, kind="mergesort")
    hits = ranks < limit
    one = Compared([], float(hits.mean()) if hits.size else None)
    for truth, mask, area, rank in zip(truths, true, areas, ranks[:, 0].tolist(), strict=True):
        own, name = labels.id_of(truth), labels.value(truth, "label")
        size: dict[str, Any] = {"_size": _size(area)}
        if rank == MISSED:
            one.matches.append((name, None, None, None, own, None))
            one.truths[own] = {"": "fn", **size}
            continue
        other = int(order[rank])
        proposal = labels.id_of(proposals[other])
        iou = float(R.ious(mask, [guessed[other]])[0])
        # Categories play no part: the proposal takes over that of what it found.
        confidence = labels.value(proposals[other], "confidence")
        one.matches.append((name, name, iou, confidence, own, proposal))
        one.truths[own] = {"": "tp", "_id": proposal, "_iou": iou, "_rank": rank + 1, **size}
        one.proposals[proposal] = {"": "tp", "_id": own, "_iou": iou}
    for lone in proposals:
        own = labels.id_of(lone)
        if own not in one.proposals:
            one.proposals[own] = {"": "fp"}
            name, confidence = (labels.value(lone, n) for n in ("label", "confidence"))
            one.matches.append((None, name, None, confidence, None, own))
    return one


def _add(
    recall: EverythingRecall,
    shape: R.Shape,
    truth: Any,
    proposals: Any,
    areas: NDArray,
    scores: NDArray,
) -> Ranks:
    boxes = [
        np.array([labels.box(o, m, shape) for o, m in zip(*side, strict=True)]).reshape(-1, 4)
        for side in (truth, proposals)
    ]
    recall.boxes.add(Regions(boxes[0]), areas, Regions(boxes[1]), scores)
    masks = (Regions.of_masks(side[1], shape[0]) for side in (truth, proposals))
    return recall.masks.add(next(masks), areas, next(masks), scores)


def _size(area: float) -> str:
    sizes = (name for name, (low, high) in SIZES.items() if name != "all" and low <= area < high)
    return next(sizes)
