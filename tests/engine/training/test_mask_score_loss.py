"""Scores that tell how well masks fit."""

from __future__ import annotations

import math

import pytest
import torch
from ultralytics.nn.tasks import SegmentationModel, yaml_model_load
from ultralytics.utils import DEFAULT_CFG, IterableSimpleNamespace

from fastsam_plugins.network import checkpoints, shape_terms
from fastsam_plugins.training.loss import MaskLoss
from fastsam_plugins.training.mask_score_loss import RankedByMask


@pytest.mark.parametrize("terms", [0, 6])
@pytest.mark.parametrize(("kind", "minds"), [(MaskLoss, False), (RankedByMask, True)])
def test_scores_are_taught_how_well_masks_fit(kind, minds, terms):
    """Two anchors with the same, right box: one has the object's mask, the other what is around."""
    described = {**yaml_model_load("yolov8n-seg.yaml"), checkpoints.SHAPE_TERMS: terms}
    model = SegmentationModel(described, nc=1, verbose=False)
    shape_terms.give(model)
    model.args = IterableSimpleNamespace(**{**vars(DEFAULT_CFG), "overlap_mask": False})
    criterion = kind(model, dice=1.0)
    sides = (8, 4, 2)  # cells of an image of 64 x 64
    anchors = sum(s * s for s in sides)
    right, wrong = 2 * 8 + 3, 2 * 8 + 4  # cells (3, 2) and (4, 2) of the finest grid
    edges = torch.full((1, 4, 16, anchors), -9.0)
    # The box is 6, 6, 58, 38 px: no edge of it lies on that of a mask's cell, where rounding, which
    # is another on another processor, would say whether a row of cells counts.
    for cell, x in ((right, 3.5), (wrong, 4.5)):
        for side, reach in enumerate((x - 0.75, 1.75, 7.25 - x, 2.25)):
            low = int(reach)
            edges[0, side, low, cell] = 9 + math.log(1 - (reach - low))
            edges[0, side, low + 1, cell] = 9 + math.log(reach - low)
    prototypes = torch.zeros(1, 32, 16, 16)
    truth = torch.zeros(1, 16, 16)
    truth[0, 2:10, 2:8] = 1  # cells of 4 px: the box's left half
    prototypes[0, 0] = truth[0] * 2 - 1
    channel, value = (-5, -5.0) if terms else (0, 5.0)  # b of the shape terms grows to the right
    coefficients = torch.zeros(1, 32, anchors)
    coefficients[0, channel, right], coefficients[0, channel, wrong] = value, -value
    scores = torch.zeros(1, 1, anchors, requires_grad=True)
    found = {
        "feats": [torch.zeros(1, 1, s, s) for s in sides], "boxes": edges.flatten(1, 2),
        "scores": scores, "mask_coefficient": coefficients, "proto": prototypes,
    }  # fmt: skip
    batch = {
        "batch_idx": torch.zeros(1), "cls": torch.zeros(1, 1),
        "bboxes": torch.tensor([[32.0, 22.0, 52.0, 32.0]]) / 64, "masks": truth,
    }  # fmt: skip
    criterion(found, batch)[0].sum().backward()
    better, worse = (-scores.grad[0, 0, [right, wrong]]).tolist()  # how far scores are raised
    assert better > 0.1
    assert worse == pytest.approx(-better if minds else better, rel=0.05)
