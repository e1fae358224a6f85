"""Prompt-guided selection, and a test for each known fault of existing implementations."""

from __future__ import annotations

import copy
import itertools

import numpy as np
import pytest

from fastsam_plugins.segmentation import Segmentation
from tests.conftest import disks

BIG, MIDDLE, SMALL, ASIDE = range(4)


@pytest.fixture
def seg():
    """Three nested disks around (40, 40), and one aside at (85, 60)."""
    masks = disks((80, 100), [(40, 40, 30), (40, 40, 15), (40, 40, 5), (85, 60, 10)])
    return Segmentation.from_masks(masks, scores=[0.5, 0.9, 0.3, 0.7])


# --- points -------------------------------------------------------------------------------------


def test_union_merges_all_instances_hit(seg):
    found = seg.select(points=[(40, 40), (85, 60)])
    assert len(found) == 1
    assert np.array_equal(found.mask(0), seg.masks().any(0))
    assert found.scores[0] == pytest.approx(0.9)
    assert found.boxes[0].tolist() == [10, 10, 95, 70]
    assert found.contains([(40, 40), (99, 79)]).tolist() == [[True, False]]


def test_background_points_veto_whatever_the_order(seg):
    """Others ignore them, or let a later foreground point undo them."""
    points, labels = [(40, 40), (40, 52), (85, 60)], [1, 0, 1]
    for order in itertools.permutations(range(3)):
        found = seg.select(points=[points[k] for k in order], labels=[labels[k] for k in order])
        # (40, 52) lies in BIG and MIDDLE: only SMALL and ASIDE remain.
        assert np.array_equal(found.mask(0), seg.mask(SMALL) | seg.mask(ASIDE))


def test_background_points_alone_leave_what_they_do_not_hit(seg):
    found = seg.select(points=[(40, 40)], labels=[0])
    assert np.array_equal(found.mask(0), seg.mask(ASIDE))


def test_smallest_best_and_each(seg):
    assert seg.select(points=[(40, 40)], points_mode="smallest").rows.tolist() == [SMALL]
    assert seg.select(points=[(40, 40)], points_mode="best").rows.tolist() == [MIDDLE]
    assert seg.select(points=[(40, 40)], points_mode="best", rank="areas").rows.tolist() == [BIG]
    found = seg.select(points=[(85, 60), (1, 1), (40, 40)], points_mode="each")
    assert found.rows.tolist() == [ASIDE, MIDDLE]
    assert found.prompts.tolist() == [0, 2], "each result says which point it answers"


@pytest.mark.parametrize("rank", ["scores", "areas", "stability", "iou_pred"])
def test_each_point_is_answered_as_if_it_were_alone(model, coins, rank):
    seg = model.segment(coins, conf=0.05, max_det=60)
    rng = np.random.default_rng(0)
    points = rng.uniform(0, (384, 303), (150, 2))
    labels = rng.random(150) > 0.05
    unwanted = points[~labels]
    found = seg.select(points=points, labels=labels, points_mode="each", rank=rank)
    alone = {}
    for p in np.flatnonzero(labels):
        given = [points[p], *unwanted], [1, *[0] * len(unwanted)]
        rows = seg.select(*given, points_mode="best", rank=rank).rows.tolist()
        alone |= dict.fromkeys([int(p)] * len(rows), rows)
    assert {
        p: [r] for p, r in zip(found.prompts.tolist(), found.rows.tolist(), strict=True)
    } == alone
    assert 20 < len(alone) < 145


def test_several_points_of_one_object_mean_the_object_that_holds_most_of_them(seg):
    points = [(40, 40), (40, 65)]  # the second lies in BIG only
    assert seg.select(points=points, points_mode="smallest").rows.tolist() == [BIG]
    assert seg.select(points=points, points_mode="best").rows.tolist() == [BIG]


@pytest.mark.parametrize("mode", ["union", "smallest", "best", "each"])
@pytest.mark.parametrize(
    "point", [(-1, 40), (40, -0.5), (100, 40), (40, 80), (-60, -40), (1e300, 3)]
)
def test_points_outside_the_image_select_nothing(seg, mode, point):
    """Negative coordinates wrap around in implementations that index bitmaps."""
    found = seg.select(points=[point], points_mode=mode)
    assert isinstance(found, Segmentation)
    assert len(found) == 0


def test_a_point_belongs_to_the_pixel_it_lies_in():
    masks = np.zeros((1, 4, 4), bool)
    masks[0, 1, 2] = True
    seg = Segmentation.from_masks(masks)
    inside = [(2, 1), (2.99, 1.99)]
    outside = [(1.99, 1), (3, 1), (2, 0.99), (2, 2)]
    assert seg.contains(inside).all()
    assert not seg.contains(outside).any()


def test_smoothing_closes_gaps_and_scales_with_the_mask():
    masks = np.zeros((2, 60, 120), bool)
    masks[0, 10:50, 10:58] = True
    masks[1, 10:50, 60:110] = True  # a gap of two pixels
    seg = Segmentation.from_masks(masks)
    points = [(20, 20), (100, 20)]
    rough, smooth = seg.select(points=points), seg.select(points=points, smoothing=0.05)
    assert not rough.mask(0)[30, 58]
    assert smooth.mask(0)[30, 57:62].all()
    assert smooth.contains([(58.5, 30.5)]).all()
    assert not smooth.mask(0)[:9].any()


# --- boxes --------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["box_iou", "mask_iou"])
def test_result_i_belongs_to_box_i(seg, mode):
    """Others return the set of matches in the order of the instances, without repeats."""
    boxes = [(75, 50, 95, 70), (10, 10, 70, 70), (35, 35, 45, 45), (74, 51, 96, 69)]
    found = seg.select(boxes=boxes, boxes_mode=mode)
    assert found.rows.tolist() == [ASIDE, BIG, SMALL, ASIDE]
    assert found.prompts.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("mode", ["box_iou", "mask_iou"])
def test_boxes_that_match_nothing_are_left_out_and_the_others_keep_their_numbers(seg, mode):
    boxes = [(200, 200, 300, 300), (75, 50, 95, 70), (-50, -50, -1, -1), (0, 75, 3, 79)]
    found = seg.select(boxes=boxes, boxes_mode=mode)
    assert found.rows.tolist() == [ASIDE]
    assert found.prompts.tolist() == [1]


@pytest.mark.parametrize("mode", ["box_iou", "mask_iou"])
def test_minimum_iou(seg, mode):
    box = [(75, 50, 95, 95)]
    assert len(seg.select(boxes=box, boxes_mode=mode)) == 1
    assert len(seg.select(boxes=box, boxes_mode=mode, min_iou=0.9)) == 0


def test_modes_differ_where_boxes_and_masks_do():
    masks = np.zeros((2, 40, 40), bool)
    masks[0, 0:40, 0:2] = masks[0, 0:2, 0:40] = True  # an L whose box is the whole image
    masks[1, 5:35, 5:35] = True
    seg = Segmentation.from_masks(masks)
    box = [(0, 0, 40, 40)]
    assert seg.select(boxes=box, boxes_mode="box_iou").rows.tolist() == [0]
    assert seg.select(boxes=box, boxes_mode="mask_iou").rows.tolist() == [1]


@pytest.mark.parametrize("seed", range(5))
def test_mask_iou_finds_the_same_as_trying_every_mask(dummy, seed):
    seg = dummy(count=40, seed=seed)
    masks = seg.masks()
    rng = np.random.default_rng(seed)
    for _ in range(20):
        x0, x1 = np.sort(rng.integers(0, 131, 2))
        y0, y1 = np.sort(rng.integers(0, 91, 2))
        inside = masks[:, y0:y1, x0:x1].sum((1, 2))
        iou = inside / np.maximum((x1 - x0) * (y1 - y0) + masks.sum((1, 2)) - inside, 1)
        found = seg.select(boxes=[(x0, y0, x1, y1)], boxes_mode="mask_iou")
        if iou.max() == 0:
            assert len(found) == 0
        else:
            assert iou[found.rows[0]] == iou.max()


@pytest.mark.parametrize("mode", ["box_iou", "mask_iou"])
def test_boxes_reaching_over_the_border_are_clipped(seg, mode):
    """What lies outside the image does not count against an overlap."""
    found = seg.select(boxes=[(75, 50, 4000, 3000)], boxes_mode=mode, min_iou=0.4)
    assert found.rows.tolist() == [ASIDE]


def test_points_and_boxes_must_both_hold(seg):
    box = [(10, 10, 70, 70)]
    assert seg.select(boxes=box).rows.tolist() == [BIG]
    assert seg.select(points=[(40, 52)], labels=[0], boxes=box).rows.tolist() == [SMALL]
    assert seg.select(points=[(40, 52)], labels=[1], boxes=[(35, 35, 45, 45)]).rows.tolist() == [
        MIDDLE
    ]
    assert len(seg.select(points=[(85, 60)], boxes=[(35, 35, 45, 45)])) == 0


# --- bad input ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ({}, "needs points or boxes"),
        ({"labels": [1], "boxes": [(1, 2, 3, 4)]}, "need points"),
        ({"points": [(np.nan, 1)]}, "points must be finite"),
        ({"points": [(np.inf, 1)]}, "points must be finite"),
        ({"points": (1, 2)}, "points must be a list"),
        ({"points": [(1, 2, 3)]}, "points must be a list"),
        ({"points": [(1, 2), (3,)]}, "points must be numbers"),
        ({"points": [("a", "b")]}, "points must be numbers"),
        ({"points": [(1, 2)], "labels": [1, 0]}, "labels must be 1 numbers"),
        ({"points": [(1, 2)], "labels": [2]}, "labels must be 1"),
        ({"boxes": [(1, 2, 3)]}, "boxes must be a list"),
        ({"boxes": (1, 2, 3, 4)}, "boxes must be a list"),
        ({"boxes": [(1, 2, np.nan, 4)]}, "boxes must be finite"),
        ({"boxes": [(0, 0, 9, 9), (5, 5, 1, 9)]}, r"boxes\[1\] is upside down"),
        ({"points": [(1, 2)], "points_mode": "all"}, "points_mode must be one of"),
        ({"boxes": [(1, 2, 3, 4)], "min_iou": 2}, "min_iou must be between 0 and 1"),
    ],
)
def test_bad_prompts_name_the_argument(seg, prompt, message):
    with pytest.raises(ValueError, match=message):
        seg.select(**prompt)


def test_no_points_and_no_boxes_select_nothing(seg):
    assert len(seg.select(points=[])) == 0
    assert len(seg.select(boxes=[])) == 0


def test_prompts_are_not_changed(seg):
    """Others scale or append to the caller's lists."""
    points, labels, boxes = [[40, 40]], [1], [[10, 10, 170, 170]]
    before = copy.deepcopy((points, labels, boxes))
    seg.select(points, labels, boxes)
    assert (points, labels, boxes) == before
    arrays = np.array(points), np.array(labels), np.array(boxes, np.float32)
    seg.select(*arrays)
    assert [a.tolist() for a in arrays] == list(before)


def test_prompts_answer_over_prototypes_as_over_bitmaps(dummy):
    """The same questions, asked of prototypes and of the decoded masks."""
    seg = dummy(count=30)
    plain = Segmentation(
        seg.boxes, seg.scores, Segmentation.from_masks(seg.masks()).source, seg.rows, seg.prompts
    )
    rng = np.random.default_rng(0)
    for _ in range(50):
        points = rng.uniform(-5, 135, (3, 2))
        labels = rng.integers(0, 2, 3)
        for mode in ("union", "smallest", "best", "each"):
            a = seg.select(points, labels, points_mode=mode)
            b = plain.select(points, labels, points_mode=mode)
            assert np.array_equal(a.masks(), b.masks())
            assert np.array_equal(a.scores, b.scores)
