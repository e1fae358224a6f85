"""Masks for boxes, beside the boxes filled."""

from __future__ import annotations

import json

from fastsam_plugins.masks import rle
from fastsam_plugins.masks import runs as R
from fastsam_plugins.paper import boxes


def test_true_boxes_and_a_detectors_are_answered(setting, data):
    found = boxes.instances(setting)
    rows = dict(found.rows)
    assert rows["selected by the true boxes, `box_iou`"][0] > 99, "the truth is its own"
    assert rows["the true boxes, filled"][0] < 80
    assert "A detector's boxes were not there" in found.notes[1]
    folder = data / "coco_instances"
    truth = json.loads((folder / "instances.json").read_text())["annotations"]
    given = [{k: a[k] for k in ("image_id", "category_id", "bbox")} | {"score": 0.5} for a in truth]
    (folder / "boxes.json").write_text(json.dumps(given))
    again = boxes.instances(setting)
    assert dict(again.rows)["a detector's boxes, filled"] == rows["the true boxes, filled"]
    assert len(again.notes) == 1


def test_a_filled_box_is_the_box():
    truth = {"images": [{"id": 3, "height": 30, "width": 40}]}
    (found,) = boxes.filled(truth, [{"image_id": 3, "bbox": [4.4, 5.6, 10, 12.2], "score": 1}])
    runs, shape = rle.decode(found["segmentation"])
    assert R.bounds(runs, 30) == (4, 6, 14, 18)
    assert (R.area(runs), tuple(shape)) == (10 * 12, (30, 40))
