"""A setting of experiments with two images of coins whose truth is what the network finds."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from fastsam_plugins.paper.setting import Setting


@pytest.fixture
def data(tmp_path, model, coins):
    """A folder with a folder for each data set, all of them the same picture."""
    folder = tmp_path / "data"
    seg = model.segment(coins, conf=0.4)
    height, width = seg.shape
    image = {"id": 1, "file_name": "coins.png", "height": height, "width": width}
    annotations = [
        {"id": k + 1, "image_id": 1, "category_id": 1, "segmentation": rle, "area": area,
         "bbox": [x0, y0, x1 - x0, y1 - y0], "iscrowd": 0}
        for k, (rle, area, (x0, y0, x1, y1)) in enumerate(
            zip(seg.rles(), seg.areas.tolist(), seg.boxes.tolist(), strict=True)
        )
    ]  # fmt: skip
    category = {"id": 1, "name": "coin", "frequency": "r"}
    truth = {"images": [image], "annotations": annotations, "categories": [category]}
    for name in ("coco", "nuclei", "coco_instances", "lvis"):
        (folder / name / "images").mkdir(parents=True)
        Image.fromarray(coins).save(folder / name / "images" / "coins.png")
        (folder / name / "instances.json").write_text(json.dumps(truth))
    for name in ("anomaly", "saliency", "buildings"):
        for part, content in (("images", coins), ("masks", seg.labels().astype(np.uint8))):
            (folder / name / part).mkdir(parents=True)
            Image.fromarray(content).save(folder / name / part / "coins.png")
    (folder / "bsds500" / "images").mkdir(parents=True)
    (folder / "bsds500" / "groundTruth").mkdir()
    Image.fromarray(coins).save(folder / "bsds500" / "images" / "coins.jpg")
    drawn = np.zeros(seg.shape, np.uint8)
    drawn[:-1] |= seg.labels()[:-1] != seg.labels()[1:]
    human = {"Boundaries": drawn}
    truths = np.empty((1, 1), object)
    truths[0, 0] = human
    savemat(folder / "bsds500" / "groundTruth" / "coins.mat", {"groundTruth": truths})
    return folder


@pytest.fixture
def setting(data, model, tmp_path):
    (tmp_path / "pictures").mkdir()
    return Setting(model, data, tmp_path / "pictures")
