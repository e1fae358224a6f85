"""COCO and LVIS files to recall."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from fastsam_plugins.datasets import coco
from fastsam_plugins.evaluation import names
from fastsam_plugins.evaluation.files import (
    FREQUENCIES,
    IouType,
    Records,
    check_categories,
    check_listed,
    check_objects,
    is_lvis,
)
from fastsam_plugins.evaluation.panoptic import PanopticQuality
from fastsam_plugins.evaluation.proposals import ProposalRecall


def evaluate_proposals(
    truth: Path, results: Path, iou_type: IouType, quality: PanopticQuality | None = None
) -> ProposalRecall:
    """Recall of a COCO results file against a COCO or LVIS ground truth, all categories as one.

    What LVIS says of categories that an image was not searched for plays no part. The ground
    truths of its frequent, common and rare categories are counted apart as well. ``quality``, if
    given, is filled too, from the same records.

    Raises
    ------
    ValueError
        If a file or a record in it cannot be used; the message says which and why.
    """
    content = coco.read(truth)
    annotations = Records(content.annotations, truth, "annotations[{}]")
    listed = names.renumbered(coco.read_results(results), content.images, (truth, results))
    proposals = Records(listed, results)
    recall = ProposalRecall()
    groups: dict[Any, str] = {}
    if is_lvis(content, truth):
        groups = {c.id: FREQUENCIES[str(c.frequency)] for c in content.categories or []}
        check_categories(groups, truth, annotations)
    shapes = {image.id: image.shape for image in content.images}
    check_listed(shapes, truth, annotations, proposals)
    check_objects(annotations)
    for image, shape in shapes.items():
        counted = [i for i in annotations.of(image) if annotations.counts(i)]
        # First, so that a wrong size of an image is told of the file that holds it.
        wanted = annotations.regions(counted, shape, iou_type)
        places = proposals.of(image)
        found = proposals.regions(places, shape, iou_type)
        scores = proposals.numbers(places, "score")
        recall.add(
            wanted,
            annotations.areas(counted),
            found,
            scores,
            [groups[annotations.field(i, "category_id")] for i in counted] if groups else None,
        )
        if quality is not None:
            everything = annotations.of(image)
            ignored = np.array([not annotations.counts(i) for i in everything], np.bool_)
            every = annotations.regions(everything, shape, iou_type)
            quality.add(every, ignored, found, scores, shape)
    return recall
