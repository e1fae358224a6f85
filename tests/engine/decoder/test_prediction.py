"""Prompts that predict: what users may ask and what they get."""

from __future__ import annotations

import dataclasses
import gc
import weakref

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastsam_plugins import Segmentation
from fastsam_plugins.decoder.windows import GRID
from fastsam_plugins.io import npz
from fastsam_plugins.masks.local import LocalMasks
from tests.conftest import disks


@pytest.fixture(scope="module")
def seg(model, coins):
    return model.segment(coins, conf=0.25)


@pytest.fixture(scope="module", params=["decoder", "closed form"])
def asked(request, seg):
    """With the bundled decoder, and as a network that has none answers."""
    if request.param == "decoder":
        assert seg.encoding.decoder is not None
        return seg
    return dataclasses.replace(
        seg, encoding=dataclasses.replace(seg.encoding, maps=(), decoder=None)
    )


def test_a_click_on_a_coin_is_a_coin(seg):
    (coin,) = disks(seg.shape, [(77, 105, 21)])
    inside = seg.mask(0)
    y, x = (int(v.mean()) for v in np.nonzero(inside))
    answer = seg.predict([(x, y)], multimask=False)
    mask = answer.mask(0)
    assert (mask & inside).sum() / (mask | inside).sum() > 0.7
    assert coin.shape == mask.shape


points = st.tuples(st.floats(0, 383.9), st.floats(0, 302.9))


@settings(deadline=None, max_examples=25)
@given(st.lists(st.tuples(points, st.integers(0, 1)), min_size=1, max_size=5,
                unique_by=lambda c: (c[0][0] // 12, c[0][1] // 12)))  # fmt: skip
def test_every_foreground_click_is_answered_and_every_click_obeyed(asked, clicks):
    xy, labels = [c[0] for c in clicks], [c[1] for c in clicks]
    answer = asked.predict(xy, labels, multimask=False)
    assert len(answer) == (1 in labels)
    if len(answer):
        told = answer.contains(xy)[0].tolist()
        seen = answer.source.windows[0]
        reached = [seen[0] <= x < seen[2] and seen[1] <= y < seen[3] for x, y in xy]
        assert [t for t, r in zip(told, reached, strict=True) if r] == [
            bool(v) for v, r in zip(labels, reached, strict=True) if r
        ]
        assert all(r for r, v in zip(reached, labels, strict=True) if v)


def test_the_last_answer_stands_for_the_clicks_before(asked):
    """Sticky: a click corrects what is there, asked for in one call or click by click."""
    clicks, labels = [(77, 105), (120, 60), (60, 100)], [1, 0, 1]
    whole = asked.predict(clicks, labels, multimask=False)
    again = asked.predict(clicks[:2], labels[:2], multimask=False)
    assert (asked.predict(clicks, labels, multimask=False).logits(0) == whole.logits(0)).all()
    assert not (again.logits(0) == whole.logits(0)).all()


def test_a_first_click_has_alternatives_the_best_one_first(seg):
    answers = seg.predict([(77, 105)])
    assert 1 <= len(answers) <= 3
    assert (np.diff(answers.scores) <= 0).all()
    assert ((answers.scores >= 0) & (answers.scores <= 1)).all()
    best = seg.predict([(77, 105)], multimask=False)
    assert len(best) == 1
    assert set(answers.prompts.tolist()) == {0}


def test_boxes_are_answered_each_and_stay_near(asked):
    boxes = [(50, 78, 104, 130), (1000, 1000, 1010, 1010), (120, 40, 170, 90)]
    answers = asked.predict(boxes=boxes, multimask=False)
    assert answers.prompts.tolist() == [0, 2]
    for answer, k in zip(answers, (0, 2), strict=True):
        x0, y0, x1, y1 = answer.boxes[0]
        assert x0 > boxes[k][0] - 20
        assert y0 > boxes[k][1] - 20
        assert x1 < boxes[k][2] + 20
        assert y1 < boxes[k][3] + 20


def test_scribbles_are_points_along_a_line(asked):
    answer = asked.predict(
        scribbles=[[(65, 100), (77, 105), (90, 108)], ([(120, 60), (125, 66)], 0)]
    )
    assert answer.contains([(77, 105), (122, 63)])[0].tolist() == [True, False]


def test_a_rough_mask_or_the_last_answer_is_a_prompt(asked):
    (rough,) = disks(asked.shape, [(77, 105, 16)])
    refined = asked.predict(mask=rough, multimask=False)
    assert refined.contains([(77, 105)])[0, 0]
    carved = asked.predict([(77, 115)], [0], mask=refined, multimask=False)
    assert not carved.contains([(77, 115)])[0, 0]
    assert len(asked.predict([(77, 115)], [0], mask=rough)) == 1


def test_answers_are_masks_like_any_other(asked, tmp_path):
    answer = asked.predict([(77, 105)], multimask=False)
    assert isinstance(answer.source, LocalMasks)
    assert 0 <= answer.stability[0] <= 1
    assert answer.box_leak[0] == pytest.approx(0)
    mask = answer.mask(0)
    assert (mask == (answer.logits(0) > 0)).all()
    assert answer.areas[0] == mask.sum()
    assert (Segmentation.from_rles(answer.rles(), answer.shape).mask(0) == mask).all()
    both = Segmentation.concatenate([answer, asked.predict([(150, 60)], multimask=False)])
    assert len(both) == 2
    assert both.source.has_logits
    assert (both.mask(0) == mask).all()
    npz.write(both, tmp_path / "a.npz")
    kept = npz.read(tmp_path / "a.npz")
    assert (kept.logits(0) == answer.logits(0)).all()
    assert (kept.labels() == both.labels()).all()


def test_what_is_kept_on_disk_answers_as_before(asked, coins, tmp_path):
    npz.write(asked, tmp_path / "a.npz")
    kept = npz.read(tmp_path / "a.npz").with_image(coins)
    one, other = (s.predict([(77, 105), (60, 60)], [1, 0]) for s in (asked, kept))
    assert (one.logits(0) == other.logits(0)).all()
    assert one.scores.tolist() == other.scores.tolist()


def test_what_is_kept_takes_less_than_half_as_much_again(seg, tmp_path):
    npz.write(seg, tmp_path / "a.npz")
    npz.write(dataclasses.replace(seg, encoding=None), tmp_path / "b.npz")
    sizes = [(tmp_path / f"{n}.npz").stat().st_size for n in "ab"]
    assert sizes[0] < 1.5 * sizes[1]


@pytest.mark.parametrize(
    ("prompt", "told"),
    [
        ({}, "needs points"),
        ({"points": [(1, 2, 3)]}, "points"),
        ({"points": [(np.nan, 1)]}, "finite"),
        ({"labels": [1], "boxes": [(1, 1, 9, 9)]}, "need points"),
        ({"points": [(1, 2)], "labels": [2]}, "labels"),
        ({"boxes": [(5, 5, 1, 1)]}, "upside down"),
        ({"points": [(5, 5)], "boxes": [(1, 1, 9, 9), (2, 2, 5, 5)]}, "one box"),
        ({"mask": np.zeros((3, 3), bool)}, "mask must be"),
        ({"scribbles": [[(1, 2, 3)]]}, r"scribbles\[0\]"),
        ({"scribbles": 5}, "scribbles must be a list"),
        ({"scribbles": [[(1, 2)], ([(1, 2), (3, 4)], 2)]}, r"scribbles\[1\].*label"),
        ({"scribbles": [[(1, np.nan)]]}, r"scribbles\[0\].*finite"),
        ({"mask": np.zeros((303, 384))}, "mask > 0"),
    ],
)
def test_what_is_no_prompt_is_one_line(seg, prompt, told):
    with pytest.raises(ValueError, match=told) as caught:
        seg.predict(**prompt)
    assert "\n" not in str(caught.value)


def test_an_empty_mask_and_what_has_no_encoding_are_told(seg):
    with pytest.raises(ValueError, match="no pixel"):
        seg.predict(mask=np.zeros(seg.shape, bool))
    with pytest.raises(ValueError, match="one instance, got 2"):
        seg.predict(mask=seg[:2])
    with pytest.raises(ValueError, match="use select"):
        Segmentation.from_runs([seg.runs(0)], seg.shape).predict([(5, 5)])


def test_prompts_outside_the_image_have_no_answer(asked):
    assert len(asked.predict([(-5, 10), (1e9, 3)])) == 0
    assert len(asked.predict([(10, 10)], [0])) == 0
    assert len(asked.predict(boxes=[(-50, -50, -10, -10)])) == 0


def test_many_points_come_together(asked):
    rng = np.random.default_rng(0)
    answer = asked.predict(rng.uniform((60, 90), (95, 120), (100, 2)), multimask=False)
    assert len(answer) == 1
    assert answer.source.maps.shape == (1, GRID, GRID)


def test_each_point_has_a_mask_of_its_own_where_that_is_wanted(seg):
    answers = seg.predict_each([(77, 105), (150, 60), (5, 5)], [1, 1, 0])
    assert answers.prompts.tolist() == [0, 1]
    assert not answers.contains([(5, 5)]).any()


@pytest.mark.parametrize("side", [0.5, 1, 2, 4, 8, 12])
def test_small_boxes_and_masks_have_an_answer_with_pixels(asked, side):
    for x, y in ((200, 150), (5, 5), (382, 301)):
        box = (x, y, min(x + side, 384), min(y + side, 303))
        answer = asked.predict(boxes=[box], multimask=False)
        assert answer.areas[0] > 0
        mask = np.zeros(asked.shape, bool)
        mask[y : int(np.ceil(y + side)), x : int(np.ceil(x + side))] = True
        assert asked.predict(mask=mask, multimask=False).areas[0] > 0


def test_an_image_of_one_pixel_is_answered(model):
    tiny = model.segment(np.full((1, 1, 3), 200, np.uint8))
    assert tiny.predict([(0.5, 0.5)], multimask=False).areas.tolist() == [1]
    assert tiny.predict(boxes=[(0, 0, 1, 1)], multimask=False).areas.tolist() == [1]


def test_a_scribble_is_obeyed_along_its_line_also_from_outside(asked):
    across = asked.predict(scribbles=[[(-9, 150), (400, 150)]], multimask=False)
    x = np.linspace(1, 383, 24)
    told = across.contains(np.stack([x, np.full(24, 150.5)], 1))[0]
    assert told.mean() > 0.9
    array = np.array([[(60, 100), (77, 105)]])
    assert asked.predict(scribbles=array, multimask=False).contains([(77, 105)])[0, 0]


def test_a_box_beside_the_image_does_not_take_a_point_its_answer(asked):
    alone = asked.predict([(77, 105)], multimask=False)
    for boxes in ([(700, 500, 800, 600)], [(77, 105, 77, 105)], []):
        answer = asked.predict([(77, 105)], boxes=boxes, multimask=False)
        assert (answer.logits(0) == alone.logits(0)).all()


def test_several_looks_of_the_network_are_not_mixed_up(model, seg, coins):
    other = model.segment(coins[:, ::-1].copy(), conf=0.25)
    with pytest.raises(ValueError, match="use select"):
        Segmentation.concatenate([seg, other]).predict([(77, 105)])
    assert len(Segmentation.concatenate([seg[:2], seg[4:]]).predict([(77, 105)]))


def test_without_its_image_nothing_is_guessed(seg, tmp_path, coins):
    npz.write(seg, tmp_path / "a.npz")
    kept = npz.read(tmp_path / "a.npz")
    with pytest.raises(ValueError, match="with_image"):
        kept.predict([(77, 105)])
    half = kept.with_picture(coins[::2, ::2])
    assert half.predict([(77, 105)], multimask=False).contains([(77, 105)])[0, 0]
    for wrong in (coins[:50, :50], coins[..., 0], coins / 255, coins[:0]):
        with pytest.raises(ValueError, match="image"):
            kept.with_picture(wrong)


def test_an_image_that_was_asked_about_is_let_go(model, coins):
    seg = model.segment(coins, conf=0.25)
    seg.predict([(77, 105)])
    gone = weakref.ref(seg.encoding)
    del seg
    gc.collect()
    assert gone() is None
