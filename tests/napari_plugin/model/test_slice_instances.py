"""What prompts pick in a slice, and in a window of it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from fastsam_plugins.masks import runs as R
from fastsam_plugins.options import FilterOptions, PromptOptions
from fastsam_plugins.segmentation import Segmentation
from napari_plugin.model.slice_instances import Prompts, SliceInstances
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
