"""Table 6: instances for a detector's boxes, beside the boxes themselves filled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from fastsam_plugins.evaluation.everything import PROPOSALS
from fastsam_plugins.evaluation.files import load_results, load_truth
from fastsam_plugins.evaluation.instances import average_precision, checked_boxes, prompt_with_boxes
from fastsam_plugins.evaluation.published import COCO_INSTANCES
from fastsam_plugins.masks import rle
from fastsam_plugins.masks import runs as R
from fastsam_plugins.options import PromptOptions
from fastsam_plugins.paper.report import Finding
from fastsam_plugins.paper.setting import Setting

NAMES = (*COCO_INSTANCES.columns, "AP50", "AP75")
WAYS = {
    "selected by {}, `box_iou`": PromptOptions(boxes_mode="box_iou"),
    "selected by {}, `mask_iou`": PromptOptions(boxes_mode="mask_iou"),
    "predicted for {}": PromptOptions(predict=True),  # beyond the paper: the decoder's masks
}


def instances(setting: Setting) -> Finding:
    """Masks that answer a detector's boxes (``boxes.json``), and the true ones."""
    path = setting.instances("coco_instances")
    folder = path.parent
    whole = load_truth(path)
    truth, missing = setting.usable(whole, path)
    images = truth["images"]
    ids = {i["id"] for i in images}
    true = [
        {k: a.get(k) for k in ("image_id", "category_id", "bbox")} | {"score": 1.0}
        for a in truth["annotations"]
        if not a.get("iscrowd")
    ]
    given = {"the true boxes": true}
    notes = [f"{len(images)} images of `{folder.name}/` at {setting.model.imgsz} px, {len(true)} "
             "objects. Filled boxes are the control: what a mask has to beat."]  # fmt: skip
    detected = folder / "boxes.json"
    if detected.is_file():
        records = load_results(detected, whole, path)
        checked_boxes(whole, records, (path, detected))  # all: places are those of the file
        given = {"a detector's boxes": [r for r in records if r["image_id"] in ids]} | given
    else:
        notes.append("The true boxes bound what any detector could give.")
        missing.append("a detector's boxes: `boxes.json`, COCO results, beside `instances.json`")
    rows = []
    for name, boxes in given.items():
        for way, options in WAYS.items():
            masks = prompt_with_boxes(
                setting.model, truth, boxes, folder / "images", PROPOSALS, options,
                setting.progress("Prompting", len(images)), names=(path, Path(name)),
            )  # fmt: skip
            rows.append((way.format(name), _figures(truth, masks)))
        rows.append((f"{name}, filled", _figures(truth, filled(truth, boxes))))
    return Finding(NAMES, rows, f"{len(images)} images of `{folder.name}/`", notes, missing=missing)


def _figures(truth: dict[str, Any], masks: list[dict[str, Any]]) -> tuple[float, ...]:
    found = average_precision(truth, masks, "segm")
    return tuple(100 * found[n] for n in NAMES)


def filled(truth: dict[str, Any], boxes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The control: every box as a mask of its own."""
    shapes = {i["id"]: (i["height"], i["width"]) for i in truth["images"]}
    results = []
    for box in boxes:
        x, y, w, h = box["bbox"]
        shape = shapes[box["image_id"]]
        mask = np.zeros(shape, bool)
        mask[round(y) : round(y + h), round(x) : round(x + w)] = True
        (text,) = rle.encode([R.from_bitmap(mask)], shape)
        results.append({**box, "segmentation": text})
    return results
