"""Non-maximum suppression against torchvision's."""

from __future__ import annotations

import pytest
import torch
from torchvision.ops import nms as reference

from fastsam_plugins.network import nms as room


def nms(boxes, scores, *how):
    """With tensors, as torchvision's."""
    return torch.from_numpy(room.nms(boxes.numpy(), scores.numpy(), *how))


def boxes_and_scores(count, seed=0):
    g = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=g) * 500
    boxes = torch.cat([corner, corner + 5 + torch.rand(count, 2, generator=g) * 100], 1)
    return boxes, torch.rand(count, generator=g)


@pytest.mark.parametrize("iou", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("max_det", [1, 20, 1000, 5000])
def test_keeps_what_torchvision_keeps(iou, max_det):
    boxes, scores = boxes_and_scores(4000)
    above = torch.nonzero(scores > 0.2)[:, 0]
    expected = above[reference(boxes[above], scores[above], iou)][:max_det]
    assert torch.equal(nms(boxes, scores, iou, 0.2, max_det), expected)


def test_equal_scores_keep_the_order_of_the_input():
    boxes, _ = boxes_and_scores(500)
    kept = nms(boxes, torch.full((500,), 0.5), 1.0, 0.1, 500)
    assert torch.equal(kept, torch.arange(500))


def test_a_thousand_identical_boxes_leave_one():
    boxes = torch.tensor([[10.0, 10, 50, 50]]).repeat(1000, 1)
    assert nms(boxes, torch.linspace(0.1, 0.9, 1000), 0.9, 0.0, 300).tolist() == [999]


def test_more_than_a_thousand_can_be_kept():
    grid = torch.cartesian_prod(torch.arange(50.0), torch.arange(50.0)) * 10
    boxes = torch.cat([grid, grid + 8], 1)
    scores = torch.rand(2500)
    assert len(nms(boxes, scores, 0.5, -1.0, 2000)) == 2000
    assert len(nms(boxes, scores, 0.5, -1.0, 10_000)) == 2500


def test_nothing_above_the_threshold_keeps_nothing():
    boxes, scores = boxes_and_scores(100)
    kept = nms(boxes, scores, 0.5, 1.0, 300)
    assert kept.shape == (0,)
    assert kept.dtype == torch.int64


def test_inputs_are_not_changed():
    boxes, scores = boxes_and_scores(300)
    before = boxes.clone(), scores.clone()
    nms(boxes, scores, 0.5, 0.1, 50)
    assert torch.equal(boxes, before[0])
    assert torch.equal(scores, before[1])


@pytest.mark.parametrize("iou", [0.3, 0.7])
def test_an_overlap_of_the_limit_itself_is_what_torchvision_says(iou):
    # 3 of 10 and 7 of 10 in single precision lie above 0.3 and below 0.7.
    shared = 10 * iou
    boxes = torch.tensor([[0.0, 0, 8.5, 1], [8.5 - shared, 0, 10, 1]])
    scores = torch.tensor([0.9, 0.8])
    expected = reference(boxes, scores, iou)
    assert len(expected) == (1 if iou == 0.3 else 2)
    assert torch.equal(nms(boxes, scores, iou, 0.1, 10), expected)
