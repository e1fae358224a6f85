"""Proposals beside a control, on COCO and on LVIS's form."""

from __future__ import annotations

import json

import numpy as np
import pytest

from fastsam_plugins.paper import proposals
from fastsam_plugins.paper.setting import Missing


def test_the_network_stands_beside_a_grid(setting):
    found = proposals.coco(setting)
    rows = {name.split(",")[0]: values for name, values in found.rows[:3]}
    assert rows["FastSAM-n"][2].value > 95, "the truth is its own"
    assert rows["uniform grid"][2].value < 60
    value, *ends = rows["uniform grid"][2]
    assert ends == pytest.approx([value, value]), "one image, drawn again and again"
    assert (setting.pictures / "proposals.png").is_file()


def test_controls_are_within_the_image_and_the_truth_is_all_of_it(setting):
    _, [item] = setting.labelled("coco")
    boxes = proposals.grid(item)
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, 2:] <= (384, 303)).all()
    assert len(boxes) <= proposals.MOST
    recall = proposals._recall([item], proposals.true_boxes)
    assert recall.average_recall(1000) == 1
    assert recall.average_recall(10) == pytest.approx(10 / len(item.masks))


def test_lvis_is_told_by_size_and_frequency(setting, data):
    boxes, masks = proposals.lvis_boxes(setting), proposals.lvis_masks(setting)
    of_masks = dict(zip(masks.header, masks.rows[0][1], strict=True))
    assert boxes.rows[0][1][0].value > 95
    assert of_masks["AR@1000/rare"] == of_masks["AR@1000"] > (95,)
    assert np.isnan(of_masks["AR@1000/common"].value)
    file = data / "lvis" / "instances.json"
    truth = json.loads(file.read_text())
    truth["categories"] = [{"id": 1, "name": "coin"}]
    file.write_text(json.dumps(truth))
    with pytest.raises(Missing, match="no frequencies"):
        proposals.lvis_boxes(setting)
