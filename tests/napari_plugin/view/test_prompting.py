"""Several prompts at once: each picks what it would alone, and what picks nothing is told."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from fastsam_plugins.options import FilterOptions, PromptOptions
from fastsam_plugins.segmentation import Segmentation
from napari_plugin.model.slice_instances import (
    EXCLUDED,
    HIDDEN,
    LOOSE,
    NOTHING_THERE,
    OUTSIDE,
    Prompts,
    SliceInstances,
)
from tests.conftest import disks

SHAPE = (100, 160)
A, B, INSIDE_B, ASIDE, AROUND_AB = range(5)
CIRCLES = [(40, 50, 25), (110, 50, 25), (110, 50, 10), (80, 20, 8), (75, 50, 70)]
SCORES = [0.9, 0.8, 0.7, 0.6, 0.5]
BEST = PromptOptions(points_mode="best")
BOX_B = (82.0, 22.0, 138.0, 78.0)


@pytest.fixture
def scene():
    seg = Segmentation.from_masks(disks(SHAPE, CIRCLES), scores=SCORES)
    return SliceInstances(seg, (0, 0, SHAPE[1], SHAPE[0]), SHAPE)


def rows(scene, prompts, options=BEST):
    return sorted(scene.answer(prompts, options).seg.rows.tolist())


def clicks(*points, labels=None):
    prompts = Prompts()
    for xy, label in zip(points, labels or [1] * len(points), strict=True):
        prompts = prompts.with_point(xy, bool(label))
    return prompts


@pytest.mark.parametrize("mode", ["best", "each"])
def test_a_second_click_on_another_object_adds_it(scene, mode):
    options = PromptOptions(points_mode=mode)
    assert rows(scene, clicks((40, 50), (110, 70)), options) == [A, B]
    assert rows(scene, clicks((110, 70), (40, 50), (80, 20)), options) == [A, B, ASIDE]


def test_a_second_click_on_the_same_object_changes_nothing(scene):
    assert rows(scene, clicks((40, 50), (50, 55))) == [A]
    assert rows(scene, clicks((110, 70), (110, 50))) == [B], "nor does one in a part of it"


def test_a_click_whose_own_object_holds_the_first_point_enlarges(scene):
    smallest = PromptOptions(points_mode="smallest")
    assert rows(scene, clicks((110, 50)), smallest) == [INSIDE_B]
    assert rows(scene, clicks((110, 50), (110, 70)), smallest) == [B]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_any_number_of_points_in_any_order_pick_what_they_hit(scene, order):
    places = [(40, 50), (110, 70), (80, 20)]
    assert rows(scene, clicks(*(places[k] for k in order))) == [A, B, ASIDE]


def test_another_click_leaves_an_enlarged_object_as_it_is(scene):
    enlarged = dataclasses.replace(clicks((40, 50)), step=1)
    assert rows(scene, enlarged) == [AROUND_AB]
    smaller = dataclasses.replace(clicks((110, 70)), step=-1)
    assert rows(scene, clicks((110, 52))) == [B]
    smaller = dataclasses.replace(clicks((110, 52)), step=-1)
    assert rows(scene, smaller) == [INSIDE_B]
    both = smaller.with_point((40, 50), True)
    assert rows(scene, both) == [A, INSIDE_B]
    assert rows(scene, both.with_point((2, 98), False)) == [A, INSIDE_B]
    assert Prompts.from_json(both.to_json()) == both


@pytest.mark.parametrize("mode", ["best", "smallest", "each", "union"])
@pytest.mark.parametrize("stray", [(40, 50), (80, 20), (5, 95), (84, 24)])
def test_a_box_picks_whatever_points_are_left(scene, mode, stray):
    options = PromptOptions(points_mode=mode)
    for boxes_mode in ("box_iou", "mask_iou"):
        asked = options.replace(boxes_mode=boxes_mode)
        prompts = dataclasses.replace(clicks(stray), boxes=(BOX_B,))
        found = scene.answer(prompts, asked).seg
        masks = [found.mask(i) for i in range(len(found))]
        assert any(np.array_equal(m, scene.seg.mask(B)) for m in masks)
        alone = scene.answer(clicks(stray), asked).seg
        for i in range(len(alone)):
            assert any(np.array_equal(m, alone.mask(i)) for m in masks)


def test_one_object_asked_for_twice_is_picked_once(scene):
    prompts = dataclasses.replace(clicks((110, 70), (112, 70)), boxes=(BOX_B, BOX_B))
    assert rows(scene, prompts) == [B]


def test_a_background_point_excludes_what_it_hits_alone(scene):
    prompts = clicks((40, 50), (110, 70), (110, 52), labels=[1, 1, 0])
    assert rows(scene, prompts) == [A]
    answer = scene.answer(prompts, BEST)
    assert answer.points == {1: EXCLUDED}
    assert answer.summary == f"1 of 2 prompts answered: 1 × {EXCLUDED}"


def test_why_a_prompt_is_not_answered(scene):
    strict = scene.filtered(FilterOptions(min_score=0.65))
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
    tight = scene.answer(Prompts(boxes=((20, 40, 30, 50),)), BEST.replace(min_iou=0.5))
    assert tight.boxes == {0: LOOSE}


def test_what_every_mode_leaves_unanswered_is_counted(scene):
    for mode in ("best", "smallest", "each", "union"):
        answer = scene.answer(clicks((40, 50), (2, 98)), PromptOptions(points_mode=mode))
        assert answer.summary == f"1 of 2 prompts answered: 1 × {NOTHING_THERE}"
