"""What prompts pick in a slice, and in a window of it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from fastsam_plugins.masks import runs as R
from fastsam_plugins.options import FilterOptions, PromptOptions
from fastsam_plugins.segmentation import Segmentation
from napari_plugin.model.prompts import (
    EXCLUDED,
    HIDDEN,
    LOOSE,
    NOTHING_THERE,
    OUTSIDE,
    Prompts,
)
from napari_plugin.model.slice_instances import SliceInstances
from tests.conftest import disks

SHAPE = (80, 100)


NESTED = disks(SHAPE, [(40, 40, 30), (40, 40, 15), (40, 40, 5), (85, 60, 10)])


BEST = PromptOptions(points_mode="best")


@pytest.fixture
def scene():
    seg = Segmentation.from_masks(NESTED, scores=[0.5, 0.9, 0.3, 0.7])
    return SliceInstances(seg, (0, 0, 100, 80), SHAPE)


def test_the_best_candidate_comes_first_and_steps_lead_to_smaller_and_larger(scene):
    def rows(step):
        return scene.answer(Prompts(((40, 40),), (1,), step=step), BEST).seg.rows.tolist()

    assert [rows(s) for s in (-2, -1, 0, 1, 2)] == [[2], [2], [1], [0], [0]]
    smallest = PromptOptions(points_mode="smallest")
    assert scene.answer(Prompts(((40, 40),), (1,)), smallest).seg.rows.tolist() == [2]


def test_background_points_veto_and_alone_pick_nothing(scene):
    assert scene.answer(Prompts(((40, 40), (40, 65)), (1, 0)), BEST).seg.rows.tolist() == [1]
    assert len(scene.answer(Prompts(((40, 40),), (0,)), BEST).seg) == 0
    assert len(scene.answer(Prompts(), BEST).seg) == 0


def test_each_point_and_each_box_can_have_an_object_of_its_own(scene):
    each = PromptOptions(points_mode="each")
    assert scene.answer(Prompts(((40, 40), (85, 60)), (1, 1)), each).seg.rows.tolist() == [1, 3]
    boxes = Prompts(boxes=((75, 50, 95, 70), (25, 25, 55, 55)))
    assert scene.answer(boxes, BEST).seg.rows.tolist() == [3, 1]


def test_what_filters_hide_is_not_picked(scene):
    few = scene.filtered(FilterOptions(max_area=1000))
    assert few.at((40, 65), BEST).rows.tolist() == []
    assert scene.at((40, 65), BEST).rows.tolist() == [0]
    assert few.filtered(FilterOptions()).at((40, 65), BEST).rows.tolist() == [0]


def test_a_window_answers_in_the_coordinates_of_the_slice(scene):
    x0, y0, x1, y1 = window = (20, 10, 98, 75)
    seg = Segmentation.from_masks(NESTED[:, y0:y1, x0:x1], scores=scene.seg.scores)
    part = SliceInstances(seg, window, SHAPE)
    for prompts in (
        Prompts(((85.5, 60.5),), (1,)),
        Prompts(((40, 40), (40, 65)), (1, 0)),
        Prompts(boxes=((75, 50, 95, 70),)),
        Prompts(((40, 40),), (1,), ((25, 25, 55, 55),)),
    ):
        whole, found = scene.answer(prompts, BEST).seg, part.answer(prompts, BEST).seg
        assert found.rows.tolist() == whole.rows.tolist()
        assert len(found)
        bitmap = R.to_bitmap(part.runs(found, 0), SHAPE)
        outside = np.ones(SHAPE, bool)
        outside[y0:y1, x0:x1] = False
        assert np.array_equal(bitmap, scene.seg.mask(int(found.rows[0])) & ~outside)


def test_a_window_that_does_not_fit_is_refused(scene):
    with pytest.raises(ValueError, match="does not fit"):
        SliceInstances(scene.seg, (0, 0, 100, 79), SHAPE)


def test_prompts_survive_json():
    import json

    prompts = Prompts(((1.5, 2.0), (3.0, 4.25)), (1, 0), ((0.0, 1.0, 2.0, 3.5),), -2, 7)
    assert Prompts.from_json(json.loads(json.dumps(prompts.to_json()))) == prompts
    assert dataclasses.replace(prompts, step=0) == prompts.__class__.from_json(
        json.loads(json.dumps(dataclasses.replace(prompts, step=0).to_json()))
    )


CROWD_SHAPE = (100, 160)


A, B, INSIDE_B, ASIDE, AROUND_AB = range(5)


CROWD_CIRCLES = [(40, 50, 25), (110, 50, 25), (110, 50, 10), (80, 20, 8), (75, 50, 70)]


SCORES = [0.9, 0.8, 0.7, 0.6, 0.5]


BOX_B = (82.0, 22.0, 138.0, 78.0)


@pytest.fixture
def crowd():
    seg = Segmentation.from_masks(disks(CROWD_SHAPE, CROWD_CIRCLES), scores=SCORES)
    return SliceInstances(seg, (0, 0, CROWD_SHAPE[1], CROWD_SHAPE[0]), CROWD_SHAPE)


def rows(crowd, prompts, options=BEST):
    return sorted(crowd.answer(prompts, options).seg.rows.tolist())


def clicks(*points, labels=None):
    prompts = Prompts()
    for xy, label in zip(points, labels or [1] * len(points), strict=True):
        prompts = prompts.with_point(xy, bool(label))
    return prompts


@pytest.mark.parametrize("mode", ["best", "each"])
def test_a_second_click_on_another_object_adds_it(crowd, mode):
    options = PromptOptions(points_mode=mode)
    assert rows(crowd, clicks((40, 50), (110, 70)), options) == [A, B]
    assert rows(crowd, clicks((110, 70), (40, 50), (80, 20)), options) == [A, B, ASIDE]


def test_a_second_click_on_the_same_object_changes_nothing(crowd):
    assert rows(crowd, clicks((40, 50), (50, 55))) == [A]
    assert rows(crowd, clicks((110, 70), (110, 50))) == [B], "nor does one in a part of it"


def test_a_click_whose_own_object_holds_the_first_point_enlarges(crowd):
    smallest = PromptOptions(points_mode="smallest")
    assert rows(crowd, clicks((110, 50)), smallest) == [INSIDE_B]
    assert rows(crowd, clicks((110, 50), (110, 70)), smallest) == [B]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_any_number_of_points_in_any_order_pick_what_they_hit(crowd, order):
    places = [(40, 50), (110, 70), (80, 20)]
    assert rows(crowd, clicks(*(places[k] for k in order))) == [A, B, ASIDE]


def test_another_click_leaves_an_enlarged_object_as_it_is(crowd):
    enlarged = dataclasses.replace(clicks((40, 50)), step=1)
    assert rows(crowd, enlarged) == [AROUND_AB]
    smaller = dataclasses.replace(clicks((110, 70)), step=-1)
    assert rows(crowd, clicks((110, 52))) == [B]
    smaller = dataclasses.replace(clicks((110, 52)), step=-1)
    assert rows(crowd, smaller) == [INSIDE_B]
    both = smaller.with_point((40, 50), True)
    assert rows(crowd, both) == [A, INSIDE_B]
    assert rows(crowd, both.with_point((2, 98), False)) == [A, INSIDE_B]
    assert Prompts.from_json(both.to_json()) == both


@pytest.mark.parametrize("mode", ["best", "smallest", "each", "union"])
@pytest.mark.parametrize("stray", [(40, 50), (80, 20), (5, 95), (84, 24)])
def test_a_box_picks_whatever_points_are_left(crowd, mode, stray):
    options = PromptOptions(points_mode=mode)
    for boxes_mode in ("box_iou", "mask_iou"):
        asked = options.replace(boxes_mode=boxes_mode)
        prompts = dataclasses.replace(clicks(stray), boxes=(BOX_B,))
        found = crowd.answer(prompts, asked).seg
        masks = [found.mask(i) for i in range(len(found))]
        assert any(np.array_equal(m, crowd.seg.mask(B)) for m in masks)
        alone = crowd.answer(clicks(stray), asked).seg
        for i in range(len(alone)):
            assert any(np.array_equal(m, alone.mask(i)) for m in masks)


def test_one_object_asked_for_twice_is_picked_once(crowd):
    prompts = dataclasses.replace(clicks((110, 70), (112, 70)), boxes=(BOX_B, BOX_B))
    assert rows(crowd, prompts) == [B]


def test_a_background_point_excludes_what_it_hits_alone(crowd):
    prompts = clicks((40, 50), (110, 70), (110, 52), labels=[1, 1, 0])
    assert rows(crowd, prompts) == [A]
    answer = crowd.answer(prompts, BEST)
    assert answer.points == {1: EXCLUDED}
    assert answer.summary == f"1 of 2 prompts answered: 1 × {EXCLUDED}"


def test_why_a_prompt_is_not_answered(crowd):
    strict = crowd.filtered(FilterOptions(min_score=0.65))
    window = SliceInstances(strict.seg, (0, 0, 160, 100), (200, 300))
    window = window.filtered(FilterOptions(min_score=0.65))
    prompts = Prompts(
        points=((40, 50), (80, 20), (1, 99), (200, 150)), labels=(1, 1, 1, 1),
        boxes=(BOX_B, (200, 150, 250, 180), (72, 12, 88, 28), (0, 90, 5, 99)),
    )  # fmt: skip
    answer = window.answer(prompts, BEST.replace(min_iou=0.3))
    assert answer.points == {1: HIDDEN, 2: NOTHING_THERE, 3: OUTSIDE}
    assert answer.boxes == {1: OUTSIDE, 2: HIDDEN, 3: NOTHING_THERE}
    assert answer.summary.startswith("2 of 8 prompts answered: ")
    assert answer.unanswered.points == prompts.points[1:]
    assert answer.unanswered.boxes == prompts.boxes[1:]
    tight = crowd.answer(Prompts(boxes=((20, 40, 30, 50),)), BEST.replace(min_iou=0.5))
    assert tight.boxes == {0: LOOSE}


def test_what_every_mode_leaves_unanswered_is_counted(crowd):
    for mode in ("best", "smallest", "each", "union"):
        answer = crowd.answer(clicks((40, 50), (2, 98)), PromptOptions(points_mode=mode))
        assert answer.summary == f"1 of 2 prompts answered: 1 × {NOTHING_THERE}"


PREDICT = PromptOptions(points_mode="best", predict=True)


@pytest.fixture(scope="module")
def predicted(model, coins):
    """A window of a slice of 500 x 600 px, segmented with a conf that leaves next to nothing."""
    seg = model.segment(coins, conf=0.999)
    return SliceInstances(seg, (100, 50, 484, 353), (500, 600))


def test_a_click_predicts_and_another_corrects(predicted):
    one = predicted.answer(Prompts(((177, 155),), (1,)), PREDICT)
    assert one.seg.contains([(77, 105)])[0, 0]
    assert one.summary == "1 of 1 prompts answered"
    both = predicted.answer(Prompts(((177, 155), (180, 160)), (1, 0)), PREDICT)
    assert both.seg.contains([(77, 105), (80, 110)])[0].tolist() == [True, False]
    runs = predicted.runs(both.seg, 0)
    assert R.to_bitmap(runs, (500, 600))[155, 177]


def test_steps_turn_to_larger_and_smaller_answers_and_end(predicted):
    def areas(step):
        return predicted.answer(Prompts(((177, 155),), (1,), step=step), PREDICT).seg.areas[0]

    sizes = [areas(s) for s in (-5, -1, 0, 1, 5)]
    assert sizes == sorted(sizes)
    assert areas(-5) == areas(-6)


def test_boxes_predict_one_each_and_with_points_one_together(predicted):
    boxes = ((150, 128, 204, 180), (220, 90, 270, 140))
    answer = predicted.answer(Prompts(boxes=boxes), PREDICT)
    assert len(answer.seg) == 2
    together = predicted.answer(Prompts(((177, 155),), (1,), boxes[:1]), PREDICT)
    assert len(together.seg) == 1
    outside = predicted.answer(Prompts(((5, 5),), (1,), ((0, 0, 20, 20), *boxes)), PREDICT)
    assert outside.summary == "2 of 4 prompts answered: 2 × outside the part that was segmented"


def test_the_cursor_looks_up_what_was_found(predicted):
    assert len(predicted.at((177, 155), PREDICT)) == 0


def test_what_has_nothing_to_predict_from_is_selected_from(scene):
    assert scene.answer(Prompts(((40, 40),), (1,)), PREDICT).seg.rows.tolist() == [1]
