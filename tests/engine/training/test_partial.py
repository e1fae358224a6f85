"""Images labelled in part: what is not labelled there is not taught to be background."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from PIL import Image
from ultralytics.cfg import get_cfg
from ultralytics.data import build_yolo_dataset
from ultralytics.nn.tasks import SegmentationModel
from ultralytics.utils import DEFAULT_CFG, IterableSimpleNamespace

from fastsam_plugins.training import data as training_data
from fastsam_plugins.training import partial
from fastsam_plugins.training.augmented_dataset import Mixed
from fastsam_plugins.training.loss import MaskLoss
from fastsam_plugins.training.mask_score_loss import RankedByMask
from fastsam_plugins.training.options import TrainOptions

SIDE = 128
RED, BLUE, WHITE = (200, 0, 0), (0, 0, 200), (255, 255, 255)


def folder(path, colour):
    """An image of one colour with one white object."""
    image = np.full((SIDE, SIDE, 3), colour, np.uint8)
    mask = np.zeros((SIDE, SIDE), np.uint8)
    image[40:70, 50:90], mask[40:70, 50:90] = WHITE, 1
    for name, array in (("images", image), ("labels", mask)):
        (path / name).mkdir(parents=True)
        Image.fromarray(array).save(path / name / "a.png")
    return path


@pytest.fixture
def dataset(tmp_path):
    """A red image that is labelled in part, and a blue one: mosaics of both, moved and scaled."""
    full, part = folder(tmp_path / "full", BLUE), folder(tmp_path / "part", RED)
    # Several of each: ultralytics' mosaics take the images that were loaded last.
    report = training_data.convert(
        [full] * 4, tmp_path / "out", TrainOptions(held_out=0.0), partial=[part] * 4
    )
    assert (report.images, report.partial) == (8, 4)
    assert "4 of the images labelled in part" in str(report)
    settings = get_cfg(
        overrides={
            "task": "segment", "imgsz": SIDE, "mosaic": 0.7, "hsv_h": 0, "hsv_s": 0, "hsv_v": 0,
            "flipud": 0.5, "scale": 0.5, "translate": 0.1, "overlap_mask": False,
        }
    )  # fmt: skip
    description = {"names": {0: "object"}, "nc": 1, "channels": 3}
    settings.single_cls = True
    listed = str(tmp_path / "out" / "train.txt")
    made = build_yolo_dataset(settings, listed, 8, description, mode="train")
    named = (tmp_path / "out" / training_data.PARTIAL).read_text().splitlines()
    Mixed(made, 0.0, 0.3, 0, named)
    return made


def centres(side):
    """Of a grid over the whole image."""
    at = (torch.arange(side) + 0.5) / side
    return torch.stack([at.repeat(side), at.repeat_interleave(side)], 1)


def test_the_unknown_is_the_red_image_but_for_boxes_whatever_becomes_of_it(dataset):
    random.seed(1)
    np.random.seed(1)
    both = 0
    for i in range(40):
        item = dataset[i % 8]
        batch, unknown = partial.split(item, 1)
        assert (batch["cls"] == 0).all()
        assert len(batch["masks"]) == len(batch["bboxes"]) == len(batch["batch_idx"])
        image = item["img"].permute(1, 2, 0).int().numpy()
        red = (image - np.array(RED) == 0).all(-1)  # ultralytics' tensors are RGB
        blue = (image - np.array(BLUE) == 0).all(-1)
        expected = red.copy()
        for x, y, w, h in batch["bboxes"].numpy() * SIDE:
            left, right = np.ceil(x - w / 2 - 0.5), np.floor(x + w / 2 - 0.5)
            top, bottom = np.ceil(y - h / 2 - 0.5), np.floor(y + h / 2 - 0.5)
            expected[max(int(top), 0) : int(bottom) + 1, max(int(left), 0) : int(right) + 1] = False
        found = np.zeros_like(red)
        if unknown is not None:
            found = unknown.at(centres(SIDE)).view(SIDE, SIDE).numpy()
        both += bool(red.any() and blue.any())
        if red.mean() < 0.01 and not found.any():
            continue  # dropped: hardly anything of it is left
        # Between the colours lie pixels of neither, and whole images end within a pixel.
        assert (found & blue).mean() < 0.01
        assert (expected & ~found).mean() < 0.01
        assert (expected & found).sum() >= 0.98 * expected.sum()
    assert both > 10


def outputs(sides, seed=0):
    """What a network gives for two images, and the loss's gradient reaches."""
    anchors = sum(s * s for s in sides)
    draw = torch.Generator().manual_seed(seed)
    return {
        "feats": [torch.zeros(2, 1, s, s) for s in sides],
        "boxes": torch.randn(2, 64, anchors, generator=draw),
        "scores": torch.randn(2, 1, anchors, generator=draw).requires_grad_(),
        "mask_coefficient": torch.randn(2, 32, anchors, generator=draw),
        "proto": torch.randn(2, 32, 16, 16, generator=draw),
    }  # fmt: skip


@pytest.mark.parametrize("kind", [MaskLoss, RankedByMask])
def test_no_anchor_outside_all_boxes_is_taught_that_it_has_no_object(kind):
    model = SegmentationModel("yolov8n-seg.yaml", nc=1, verbose=False)
    model.args = IterableSimpleNamespace(**{**vars(DEFAULT_CFG), "overlap_mask": False})
    criterion = kind(model, dice=1.0)
    box = torch.tensor([0.4, 0.4, 0.3, 0.3])
    half = torch.tensor([0.25, 0.5, 0.5, 1.0])  # the left half of a mosaic
    truth = torch.zeros(3, 16, 16)
    truth[0, 4:8, 4:8] = truth[2, 4:8, 4:8] = truth[1, :, :8] = 1
    whole = {
        "batch_idx": torch.tensor([0.0, 0.0, 1.0]), "cls": torch.tensor([[0.0], [1.0], [0.0]]),
        "bboxes": torch.stack([box, half, box]), "masks": truth,
    }  # fmt: skip
    objects = {k: v[[0, 2]] for k, v in whole.items()}
    sides = (8, 4, 2)
    gradients, losses = [], []
    for batch in (whole, objects):
        found = outputs(sides)
        loss, _ = criterion(found, batch)
        loss.sum().backward()
        gradients.append(found["scores"].grad[:, 0])
        losses.append(loss.detach())
    grid = torch.cat([centres(side) for side in sides])
    inside = ((grid - box[:2]).abs() <= 0.15).all(1)
    unknown = (grid[:, 0] < 0.5) & ~inside
    known, all_background = gradients
    assert (known[0, unknown] == 0).all()
    assert (all_background[0, unknown] > 0).all(), "they were taught to have none"
    assert torch.equal(known[0, ~unknown], all_background[0, ~unknown])
    assert torch.equal(known[1], all_background[1])
    others = [0, 1, 3]  # boxes, masks, edges: as usual
    assert torch.allclose(losses[0][others], losses[1][others])
    assert losses[0][2] < losses[1][2]
