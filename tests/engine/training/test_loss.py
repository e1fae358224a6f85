"""The mask loss, and how far boxes reach."""

from __future__ import annotations

import pytest
import torch
from ultralytics.utils.loss import BboxLoss, v8SegmentationLoss
from ultralytics.utils.metrics import bbox_iou
from ultralytics.utils.ops import crop_mask
from ultralytics.utils.tal import dist2bbox

from fastsam_plugins.network import shape_terms
from fastsam_plugins.training.loss import MaskLoss


def example(seed=0):
    """Two masks of an image: truth, coefficients, prototypes, boxes and areas."""
    random = torch.Generator().manual_seed(seed)
    prototypes = torch.randn(8, 20, 24, generator=random)
    coefficients = torch.randn(2, 8, generator=random)
    boxes = torch.tensor([[2.0, 3.0, 12.0, 15.0], [10.0, 0.0, 24.0, 20.0]])
    truth = torch.zeros(2, 20, 24)
    truth[0, 4:14, 3:11] = 1
    truth[1, 1:19, 11:20] = 1
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]) / (20 * 24)
    return truth, coefficients, prototypes, boxes, areas


def loss(dice, gain=1.0, per_image=False, shaped=False):
    instance = MaskLoss.__new__(MaskLoss)
    instance._dice = dice
    instance._gain = gain
    instance._per_image = per_image
    instance._shaped = shaped
    return instance


def of_batch(criterion, crowd):
    """Loss of a batch: an image of ``crowd`` anchors on one object, an image with one, an empty."""
    truth, coefficients, prototypes, boxes, _ = example()
    anchors = crowd + 1
    found = torch.zeros(3, anchors, dtype=torch.bool)
    found[0, :crowd] = True
    found[1, 0] = True
    criterion.overlap = False
    return criterion.calculate_segmentation_loss(
        found,
        truth,
        torch.zeros(3, anchors, dtype=torch.long),
        torch.stack([boxes[:1], boxes[1:], boxes[1:]]).expand(3, anchors, 4),
        torch.tensor([[0], [1]]),
        prototypes.expand(3, -1, -1, -1),
        torch.stack([coefficients[:1], coefficients[1:], coefficients[1:]]).expand(3, anchors, 8),
        torch.tensor([20.0, 24.0]),
    ).item()


def test_without_dice_it_is_ultralytics_loss():
    ours = loss(0.0).single_mask_loss(*example())
    theirs = v8SegmentationLoss.single_mask_loss(*example())
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-6)


def test_dice_is_one_minus_twice_the_overlap_over_both_inside_the_box():
    truth, coefficients, prototypes, boxes, areas = example()
    added = loss(2.0).single_mask_loss(truth, coefficients, prototypes, boxes, areas)
    added -= loss(0.0).single_mask_loss(truth, coefficients, prototypes, boxes, areas)
    expected = 0.0
    for t, c, b in zip(truth, coefficients, boxes.long().tolist(), strict=True):
        x0, y0, x1, y1 = b
        p = torch.einsum("c,chw->hw", c, prototypes).sigmoid()[y0:y1, x0:x1]
        t = t[y0:y1, x0:x1]
        expected += 1 - (2 * (p * t).sum() + 1) / (p.sum() + t.sum() + 1)
    assert added.item() == pytest.approx(2 * expected.item(), rel=1e-5)


def test_shape_terms_are_seen_as_the_head_will_give_them():
    truth, coefficients, prototypes, boxes, areas = example()
    sizes = torch.cat([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]], 1)
    terms = shape_terms.in_image(coefficients[:, -6:].T[None], sizes.T[None], 20, 24)[0].T
    maps = shape_terms.maps(prototypes[None])[0]
    as_given = torch.cat([coefficients[:, :-6], terms], 1), torch.cat([prototypes[:-6], maps])
    expected = loss(1.0).single_mask_loss(truth, *as_given, boxes, areas)
    found = loss(1.0, shaped=True).single_mask_loss(truth, coefficients, prototypes, boxes, areas)
    assert found.item() == pytest.approx(expected.item(), rel=1e-4)


@pytest.mark.parametrize("shaped", [False, True])
def test_gradients_of_the_loss_are_right(shaped):
    truth, coefficients, prototypes, boxes, areas = example()
    coefficients = coefficients.double().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda c: loss(1.0, shaped=shaped).single_mask_loss(
            truth.double(), c, prototypes.double(), boxes.double(), areas.double()
        ),
        coefficients,
        atol=1e-4,  # Dice is summed in single precision
        eps=1e-3,
    )


@pytest.mark.parametrize(("reg_max", "reached"), [(16, False), (26, True)])
def test_only_the_papers_reg_max_regresses_boxes_beyond_fifteen_strides(reg_max, reached):
    """A box whose edges lie 22 strides from its anchor, learned by ultralytics' own box loss."""
    anchor, strides = torch.tensor([[30.0, 30.0]]), torch.tensor([[32.0]])
    target = torch.tensor([[[8.0, 8.0, 52.0, 52.0]]])
    distances = torch.zeros(1, 1, 4 * reg_max, requires_grad=True)
    bins = torch.arange(reg_max, dtype=torch.float32)
    optimizer = torch.optim.Adam([distances], 0.5)
    criterion = BboxLoss(reg_max)
    for _ in range(150):
        edges = distances.view(1, 1, 4, reg_max).softmax(-1) @ bins
        box = dist2bbox(edges, anchor, xywh=False)
        parts = criterion(
            distances, box, anchor, target, torch.ones(1, 1, 1), torch.tensor(1.0),
            torch.ones(1, 1, dtype=torch.bool), torch.tensor([1920.0, 1920.0]), strides,
        )  # fmt: skip
        optimizer.zero_grad()
        sum(parts).backward()
        optimizer.step()
    iou = bbox_iou(box[0], target[0], xywh=False).item()
    assert (iou > 0.99) is reached, iou


def test_the_gain_weighs_both_losses():
    assert loss(1.0, gain=3.0).single_mask_loss(*example()).item() == pytest.approx(
        3 * loss(1.0).single_mask_loss(*example()).item()
    )


def test_per_image_a_crowd_weighs_no_more_than_one_object():
    alone, crowded = (of_batch(loss(1.0, per_image=True), crowd) for crowd in (1, 30))
    assert crowded == pytest.approx(alone, rel=1e-5)
    assert alone == pytest.approx(of_batch(loss(1.0), 1), rel=1e-5)  # the same where none crowds
    assert of_batch(loss(1.0), 30) != pytest.approx(alone, rel=1e-2)


def test_many_masks_taken_some_at_a_time_are_what_they_are_together():
    random = torch.Generator().manual_seed(1)
    count, height, width = 300, 40, 56

    def draw(*shape):
        return torch.rand(*shape, generator=random, dtype=torch.float64)

    corner = draw(count, 2) * torch.tensor([width, height])
    boxes = torch.cat([corner, corner + 1 + 20 * draw(count, 2)], 1)  # some beyond the border
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1) / (width * height)
    truth = (draw(count, height, width) > 0.5).double()
    given = [(draw(count, 8) - 0.5).requires_grad_(), (draw(8, height, width) - 0.5)]
    given[1].requires_grad_()

    logits = torch.einsum("nc,chw->nhw", *given)
    entropy = v8SegmentationLoss.single_mask_loss(truth, *given, boxes, areas)
    inside = crop_mask(logits.sigmoid().clone(), boxes)
    both = inside.sum((1, 2)) + truth.sum((1, 2))
    dice = (1 - (2 * (inside * truth).sum((1, 2)) + 1) / (both + 1)).sum()
    together = entropy + 0.7 * dice

    some = loss(0.7).single_mask_loss(truth, *given, boxes, areas)
    assert some.item() == pytest.approx(together.item(), rel=1e-9)
    for mine, theirs in zip(
        torch.autograd.grad(some, given), torch.autograd.grad(together, given), strict=True
    ):
        assert torch.allclose(mine, theirs, rtol=1e-6, atol=1e-12)
