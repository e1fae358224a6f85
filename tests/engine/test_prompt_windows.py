"""Prompts about an image too large for one look: what is around them is looked at, and no more."""

from __future__ import annotations

import numpy as np
import pytest

from fastsam_plugins import WindowedImage, prompt_windows
from fastsam_plugins.batch import segment_images
from fastsam_plugins.masks import runs as R
from fastsam_plugins.options import SegmentOptions, TileOptions
from fastsam_plugins.prompts import BoxPrompt, PointPrompt
from support.counting import Counting

AT = 1500, 900  # where the coins lie in a large image
COIN = 150, 60


@pytest.fixture(scope="module")
def large(coins):
    """A gray image of 12 million pixels with coins in it."""
    pixels = np.full((3000, 4000, 3), 90, np.uint8)
    h, w = coins.shape[:2]
    pixels[AT[1] : AT[1] + h, AT[0] : AT[0] + w] = np.asarray(coins).reshape(h, w, -1)
    return pixels


def moved(*points):
    return [(x + AT[0], y + AT[1]) for x, y in points]


def iou(one, other):
    return float(R.ious(one.runs(0), [other.runs(0)])[0])


def test_an_image_of_one_window_is_answered_as_ever(model, coins):
    seg = model.segment(coins, conf=0.4)
    for given in ({"points": [COIN]}, {"points": [COIN, (5, 5)], "labels": [1, 0]},
                  {"boxes": seg.boxes[:3]}):  # fmt: skip
        expected = seg.predict(**given, multimask=False)
        found = model.predict_tiled(coins, **given, conf=0.4)
        assert found.shape == seg.shape
        assert found.prompts.tolist() == expected.prompts.tolist()
        assert np.array_equal(found.scores, expected.scores)
        for i in range(len(found)):
            assert np.array_equal(found.runs(i), expected.runs(i))


def test_an_answer_lies_where_it_was_asked_for_and_little_is_read(model, large):
    raster = Counting(large)
    shown = WindowedImage(raster)
    raster.read = 0
    found = model.predict_tiled(shown, moved(COIN), tile=384)
    assert found.shape == (3000, 4000)
    assert found.contains(moved(COIN, (5, 5))).tolist() == [[True, False]]
    assert raster.read <= 3 * 5 * 384**2
    answers = []
    for side in (384, 768):  # of which the better one is taken
        x0, y0 = AT[0] + COIN[0] - side // 2, AT[1] + COIN[1] - side // 2
        alone = model.segment(large[y0 : y0 + side, x0 : x0 + side])
        answers.append((alone.predict([(side / 2, side / 2)], multimask=False), x0, y0))
    expected, x0, y0 = max(answers, key=lambda a: a[0].scores[0])
    side = expected.shape[0]
    assert np.array_equal(found.mask(0)[y0 : y0 + side, x0 : x0 + side], expected.mask(0))
    assert found.areas[0] == expected.areas[0], "nothing of it is beyond the window"
    assert np.allclose(found.boxes[0], expected.boxes[0] + [x0, y0, x0, y0])


def test_boxes_have_an_object_each_and_those_outside_none(model, large):
    boxes = [[*moved((129, 27))[0], *moved((174, 75))[0]], [-90, -50, -10, -5],
             [*moved((186, 106))[0], *moved((228, 146))[0]]]  # fmt: skip
    found = model.predict_tiled(large, boxes=boxes)
    assert found.prompts.tolist() == [0, 2]
    assert found.contains(moved(COIN, (205, 125))).tolist() == [[True, False], [False, True]]
    assert len(model.predict_tiled(large, [(-5, 9)])) == 0
    assert len(model.predict_tiled(large, boxes=np.zeros((0, 4)))) == 0


def test_an_object_larger_than_a_window_is_looked_at_in_a_larger_one(model):
    y, x = np.mgrid[:1200, :1600]
    inside = np.hypot(x - 800, y - 600) < 420
    image = np.where(inside, 220, 40).astype(np.uint8)
    found = model.predict_tiled(image, [(800, 600)], tile=256)
    truth = R.from_bitmap(inside)
    assert float(R.ious(truth, [found.runs(0)])[0]) > 0.9


def test_background_points_far_away_make_no_window_larger(model, large):
    raster = Counting(large)
    shown = WindowedImage(raster)
    raster.read = 0
    one = model.predict_tiled(shown, moved(COIN), tile=384)
    first, raster.read = raster.read, 0
    more = model.predict_tiled(shown, [*moved(COIN), (5, 5), (3990, 2990)], [1, 0, 0], tile=384)
    assert raster.read == first
    assert iou(one, more) == 1
    assert len(model.predict_tiled(shown, [(5, 5)], [0])) == 0, "nothing is asked for"


@pytest.mark.parametrize("corner", [(0, 0), (3999, 0), (0, 2999), (3999, 2999)])
def test_windows_lie_in_the_image(corner, large):
    window = prompt_windows._about(np.array(corner, float), 500, (3000, 4000))
    x0, y0, x1, y1 = window
    assert 0 <= x0 < x1 <= 4000
    assert 0 <= y0 < y1 <= 3000
    assert (x1 - x0, y1 - y0) == (500, 500)
    assert x0 <= corner[0] < x1
    assert y0 <= corner[1] < y1
    assert prompt_windows._about(np.array(corner, float), 5000, (3000, 4000)) == (0, 0, 4000, 3000)


def test_prompts_as_values(model, large):
    each = PointPrompt(tuple(moved(COIN, (205, 125), (5, 5))), (1, 1, 0))
    found = prompt_windows.answer(model.predict_tiled, large, each, True)
    assert found.prompts.tolist() == [0, 1]
    one = prompt_windows.answer(model.predict_tiled, large, each, False)
    assert len(one) == 1
    assert one.contains(moved((5, 5))).tolist() == [[False]]
    box = BoxPrompt(((*moved((129, 27))[0], *moved((174, 75))[0]),), PointPrompt((moved(COIN)[0],)))
    assert len(prompt_windows.answer(model.predict_tiled, large, box, False)) == 1


def test_what_cannot_be_asked_is_one_line(model, large):
    with pytest.raises(ValueError, match="needs points or boxes"):
        model.predict_tiled(large)
    with pytest.raises(ValueError, match="points go with one box"):
        model.predict_tiled(large, [(1, 1)], boxes=[[0, 0, 5, 5], [5, 5, 9, 9]])
    with pytest.raises(ValueError, match="tile must be"):
        model.predict_tiled(large, [(1, 1)], tile=-3)


def test_a_prompt_that_cannot_be_answered_costs_only_its_image(model, coins):
    two = BoxPrompt(((1, 1, 50, 50), (60, 60, 99, 99)), PointPrompt(((9, 9),)))
    asked = {"a": two, "b": PointPrompt((COIN,)), "c": PointPrompt((COIN,), (0,))}
    outcomes = segment_images(model, asked, lambda _: coins, SegmentOptions(conf=0.4),
                              TileOptions(tile=256), asked=asked.get, each=True)  # fmt: skip
    bad, good, none = outcomes
    assert bad.error.startswith("its prompt cannot be answered: points go with one box")
    assert len(good.segmentation) == 1
    assert len(none.segmentation) == 0, "background alone asks for nothing"
