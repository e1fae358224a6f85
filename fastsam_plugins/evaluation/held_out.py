"""Recall of a network on a labelled set of images, as training measures itself."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from fastsam_plugins.evaluation.proposals import ProposalRecall, Regions
from fastsam_plugins.files import read_image
from fastsam_plugins.masks import polygons
from fastsam_plugins.masks import runs as R
from fastsam_plugins.model import FastSAM
from fastsam_plugins.options import SegmentOptions

PROPOSALS = SegmentOptions(conf=0.001, iou=0.9, max_det=1000)


def measure(weights: Path, truth: Path, device: str = "auto") -> dict[str, float]:
    """Class-agnostic average recall of boxes and masks.

    Parameters
    ----------
    weights : path
    truth : path
        COCO instances; file names are absolute or relative to it.
    device : str

    Returns
    -------
    dict
        ``box AR@1000``, ``mask AR@100`` and ``mask AR@1000`` at the network's own input size.
    """
    model = FastSAM(weights, device)
    content = json.loads(truth.read_text())
    boxes, masks = ProposalRecall(), ProposalRecall()
    for image in content["images"]:
        seg = model.segment(read_image(truth.parent / image["file_name"]), PROPOSALS)
        labelled = [a for a in content["annotations"] if a["image_id"] == image["id"]]
        shape = image["height"], image["width"]
        true = _regions([polygons.decode_segmentation(a["segmentation"], shape) for a in labelled],
                        image["height"])  # fmt: skip
        areas = np.array([a["area"] for a in labelled], np.float64)
        found = seg.boxes.astype(np.float64)
        found[:, 2:] -= found[:, :2]
        scores = seg.scores.astype(np.float64)
        boxes.add(Regions(true.boxes), areas, Regions(found), scores)
        runs = [seg.runs(i) for i in range(len(seg))]
        masks.add(true, areas, _regions(runs, image["height"]), scores)
    return {
        "box AR@1000": boxes.average_recall(1000),
        "mask AR@100": masks.average_recall(100),
        "mask AR@1000": masks.average_recall(1000),
    }


def _regions(masks: list[R.Runs], height: int) -> Regions:
    corners = np.array([R.bounds(m, height) for m in masks], np.float64).reshape(-1, 4)
    corners[:, 2:] -= corners[:, :2]
    return Regions(corners, masks)
