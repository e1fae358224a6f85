"""Synthetic scenes inside ultralytics' dataset."""

from __future__ import annotations

import random

import numpy as np
import pytest
from PIL import Image
from ultralytics.cfg import get_cfg
from ultralytics.data import build_yolo_dataset

from fastsam_plugins.masks import runs as R
from fastsam_plugins.training import data as training_data
from fastsam_plugins.training.mixing import Mixed
from fastsam_plugins.training.synthetic import scene
from tests.conftest import disks


@pytest.fixture
def dataset(tmp_path):
    """One real image, without any augmentation."""
    (disk,) = disks((64, 64), [(32, 32, 20)])
    for folder, array in (("images", np.zeros((64, 64, 3), np.uint8)), ("labels", disk)):
        (tmp_path / folder).mkdir()
        Image.fromarray(array.astype(np.uint8)).save(tmp_path / folder / "a.png")
    report = training_data.convert([tmp_path], tmp_path / "out")
    settings = get_cfg(
        overrides={
            "task": "segment", "imgsz": 64, "mosaic": 0, "hsv_h": 0, "hsv_s": 0, "hsv_v": 0,
            "fliplr": 0, "scale": 0, "translate": 0, "overlap_mask": False, "mask_ratio": 1,
        }
    )  # fmt: skip
    description = {"names": {0: "object"}, "nc": 1, "channels": 3}
    return build_yolo_dataset(
        settings, str(report.yaml.parent / "train.txt"), 1, description, mode="train"
    )


def test_no_share_gives_real_images_only(dataset):
    dataset.get_image_and_label = Mixed(dataset, 0.0, seed=5)
    assert not dataset[0]["img"].any()


def test_scenes_reach_the_trainer_with_their_exact_masks_in_its_channel_order(dataset):
    dataset.get_image_and_label = Mixed(dataset, 1.0, seed=5)
    mixed = dataset.get_image_and_label
    random.seed(3)
    random.random()
    expected = scene(5, random.getrandbits(31), 64, crops=mixed._textures)
    random.seed(3)
    item = dataset[0]
    assert np.array_equal(item["img"].numpy(), expected.image.transpose(2, 0, 1))
    masks = item["masks"].numpy().astype(bool)
    assert len(masks) == len(expected.masks)
    ious = []
    for ours in expected.masks:
        bitmap = R.to_bitmap(ours, (64, 64))
        ious.append(max((m & bitmap).sum() / (m | bitmap).sum() for m in masks))
    assert np.mean(ious) > 0.9


def test_a_share_mixes_both(dataset):
    dataset.get_image_and_label = Mixed(dataset, 0.5, seed=5)
    random.seed(0)
    real = sum(not dataset[0]["img"].any() for _ in range(40))
    assert 10 < real < 30
