"""The tiny network and a checkpoint of it, photos in a folder, the paper's data, and a store that
speaks S3.
"""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import savemat

from tests.tiny_network import build, content


@pytest.fixture(scope="module")
def net():
    return build()


@pytest.fixture(scope="module")
def checkpoint(net, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "tiny.pt"
    torch.save(content(net), path)
    return path


@pytest.fixture
def photos(tmp_path, coins):
    """A folder of seven images of several sizes, of which the fourth is cut short."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for k in range(7):
        Image.fromarray(coins[: 200 - 9 * k, 20 * k : 220 + 7 * k]).save(folder / f"{k}.png")
    bad = folder / "3.png"
    bad.write_bytes(bad.read_bytes()[:900])
    return folder


@pytest.fixture
def store(tmp_path, monkeypatch):
    """``s3://bucket``, on loopback."""
    pytest.importorskip("moto", reason="moto is not installed")
    from fastsam_plugins.scale import places
    from support.s3_server import Store

    made = Store(tmp_path / "store")
    for name, value in made.environment.items():
        monkeypatch.setenv(name, value)
    places._store.cache_clear()
    yield made
    made.kill()
    places._store.cache_clear()


@pytest.fixture
def paper_data(tmp_path, model, coins):
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
        for part, pixels in (("images", coins), ("masks", seg.labels().astype(np.uint8))):
            (folder / name / part).mkdir(parents=True)
            Image.fromarray(pixels).save(folder / name / part / "coins.png")
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
