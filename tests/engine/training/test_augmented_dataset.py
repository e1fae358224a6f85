"""Synthetic scenes inside ultralytics' dataset."""

from __future__ import annotations

import random

import numpy as np
import pytest
from PIL import Image
from ultralytics.cfg import get_cfg
from ultralytics.data import build_yolo_dataset

from fastsam_plugins.datasets.synthetic import scene
from fastsam_plugins.masks import runs as R
from fastsam_plugins.training import data as training_data
from fastsam_plugins.training.augmented_dataset import Mixed
from tests.conftest import disks


@pytest.fixture
def dataset(tmp_path):
    """One real image, without any augmentation."""
    (disk,) = disks((64, 64), [(32, 32, 20)])
    for folder, array in (("images", np.zeros((64, 64, 3), np.uint8)), ("labels", disk)):
        (tmp_path / folder).mkdir()
        Image.fromarray(array.astype(np.uint8)).save(tmp_path / folder / "a.png")
    training_data.convert([tmp_path], tmp_path / "out")
    settings = get_cfg(
        overrides={
            "task": "segment", "imgsz": 64, "mosaic": 0, "hsv_h": 0, "hsv_s": 0, "hsv_v": 0,
            "fliplr": 0, "scale": 0, "translate": 0, "overlap_mask": False, "mask_ratio": 1,
        }
    )  # fmt: skip
    description = {"names": {0: "object"}, "nc": 1, "channels": 3}
    return build_yolo_dataset(
        settings, str(tmp_path / "out" / "train.txt"), 1, description, mode="train"
    )


def test_no_share_gives_real_images_only(dataset):
    Mixed(dataset, 0.0, 0.0, seed=5)
    assert not dataset[0]["img"].any()


def test_scenes_reach_the_trainer_with_their_exact_masks_in_its_channel_order(dataset):
    mixed = Mixed(dataset, 1.0, 0.0, seed=5)
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
    Mixed(dataset, 0.5, 0.0, seed=5)
    random.seed(0)
    real = sum(not dataset[0]["img"].any() for _ in range(40))
    assert 10 < real < 30


def test_real_images_and_scenes_go_into_one_batch(dataset):
    Mixed(dataset, 0.5, 0.5, seed=5)
    random.seed(0)
    batch = dataset.collate_fn([dataset[0] for _ in range(12)])
    assert batch["img"].shape == (12, 3, 64, 64)
    assert len(batch["masks"]) == len(batch["bboxes"]) == len(batch["batch_idx"])


def test_outlines_survive_being_given_points(dataset):
    """In place of ultralytics' own resampling: the masks are the same."""
    before = dataset[0]["masks"].numpy().astype(bool)
    Mixed(dataset, 0.0, 0.0, seed=5)
    after = dataset[0]["masks"].numpy().astype(bool)
    assert (before & after).sum() / (before | after).sum() > 0.98


def test_a_scene_is_shown_a_few_times_and_stays_as_it_was(dataset):
    mixed = Mixed(dataset, 1.0, 1.0, seed=5)
    random.seed(0)
    for _ in range(150):
        label = mixed.image(0)
        label["img"][:] = 0
    names = [id(scene) for scene in mixed._scenes]
    assert len(set(names)) == len(names)
    assert all(scene["img"].any() for scene in mixed._scenes), "what is shown is a copy"
