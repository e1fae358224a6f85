"""A network's proposals as COCO results, for those who measure them by pycocotools."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

from pycocotools.coco import COCO

from fastsam_plugins import FastSAM, SegmentOptions, read_image


def load_truth(folder: Path) -> COCO:
    """The ground truth of a folder, read in silence."""
    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(folder / "instances.json")


def proposals(
    model: FastSAM, truth: COCO, folder: Path, options: SegmentOptions
) -> list[dict[str, Any]]:
    """COCO results of every image."""
    found = []
    for number, image in truth.imgs.items():
        seg = model.segment(read_image(folder / "images" / image["file_name"]), options)
        for box, score, mask in zip(
            seg.boxes.tolist(), seg.scores.tolist(), seg.rles(), strict=True
        ):
            x0, y0, x1, y1 = box
            found.append(
                {
                    "image_id": number,
                    "category_id": 1,
                    "bbox": [x0, y0, x1 - x0, y1 - y0],
                    "score": score,
                    "segmentation": mask,
                }
            )
    return found
