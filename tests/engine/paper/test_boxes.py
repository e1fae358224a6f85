"""Masks for boxes, beside the boxes filled."""

from __future__ import annotations

import json

import numpy as np
import pytest

from fastsam_plugins.masks import rle
from fastsam_plugins.masks import runs as R
from fastsam_plugins.paper import boxes


def test_true_boxes_and_a_detectors_are_answered(setting, data):
    found = boxes.instances(setting)
    rows = dict(found.rows)
    assert rows["selected by the true boxes, `box_iou`"][0] > 99, "the truth is its own"
    assert rows["the true boxes, filled"][0] < 80
    assert found.missing == [
        "a detector's boxes: `boxes.json`, COCO results, beside `instances.json`"
    ]
    folder = data / "coco_instances"
    truth = json.loads((folder / "instances.json").read_text())["annotations"]
    given = [{k: a[k] for k in ("image_id", "category_id", "bbox")} | {"score": 0.5} for a in truth]
    (folder / "boxes.json").write_text(json.dumps(given))
    again = boxes.instances(setting)
    filled = dict(again.rows)["a detector's boxes, filled"]
    assert filled == pytest.approx(rows["the true boxes, filled"], nan_ok=True)
    assert np.isnan(filled[3]), "no coin is large"
    assert not again.missing


def test_an_image_that_is_not_there_is_in_no_row(setting, data):
    """Not in the controls either: what the network gives would seem worse than they are."""
    whole = dict(boxes.instances(setting).rows)
    folder = data / "coco_instances"
    truth = json.loads((folder / "instances.json").read_text())
    truth["images"].append({**truth["images"][0], "id": 2, "file_name": "gone.png"})
    more = [{**a, "id": 100 + a["id"], "image_id": 2} for a in truth["annotations"]]
    truth["annotations"] += more
    (folder / "instances.json").write_text(json.dumps(truth))
    found = boxes.instances(setting)
    assert dict(found.rows).keys() == whole.keys()
    for name, row in found.rows:
        assert row == pytest.approx(whole[name], nan_ok=True)
    assert found.measured_on == "1 images of `coco_instances/`"
    assert any(
        "1 of 2 images, which cannot be used" in m and "gone.png" in m for m in found.missing
    )


def test_a_detectors_category_that_is_not_listed_is_named(setting, data):
    folder = data / "coco_instances"
    (box,) = json.loads((folder / "instances.json").read_text())["annotations"][:1]
    given = {k: box[k] for k in ("image_id", "bbox")} | {"score": 0.5, "category_id": 987}
    (folder / "boxes.json").write_text(json.dumps([given]))
    with pytest.raises(
        ValueError, match=r"boxes\.json: record 0 has category 987, which .*instances"
    ):
        boxes.instances(setting)


def test_a_filled_box_is_the_box():
    truth = {"images": [{"id": 3, "height": 30, "width": 40}]}
    (found,) = boxes.filled(truth, [{"image_id": 3, "bbox": [4.4, 5.6, 10, 12.2], "score": 1}])
    runs, shape = rle.decode(found["segmentation"])
    assert R.bounds(runs, 30) == (4, 6, 14, 18)
    assert (R.area(runs), tuple(shape)) == (10 * 12, (30, 40))
