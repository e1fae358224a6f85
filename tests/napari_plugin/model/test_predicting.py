"""Masks that prompts predict, in a window of a slice, from the bundled network's look."""

from __future__ import annotations

import dataclasses
import threading
import time

import numpy as np
import pytest

from fastsam_plugins.masks import runs as R
from fastsam_plugins.options import PromptOptions
from fastsam_plugins.segmentation import Segmentation
from napari_plugin.model.edits import ArrayCanvas
from napari_plugin.model.prompts import NO_NETWORK, OUTSIDE, TICK, Prompts, Scribble
from napari_plugin.model.session import Session
from napari_plugin.model.slice_instances import SliceInstances

SHAPE, WINDOW = (500, 600), (100, 50, 484, 353)
COIN, OTHER = (371.5, 170.5), (448.5, 238.5)
MANY = 120.0, 304.0  # means several things
PREDICT = PromptOptions(points_mode="best", predict=True)
EACH = PREDICT.replace(points_mode="each")


@pytest.fixture(scope="module")
def seg(model, coins):
    return model.segment(coins, conf=0.999)


@pytest.fixture
def scene(seg):
    return SliceInstances(seg, WINDOW, SHAPE)


def points(*places, labels=None):
    return Prompts(tuple(places), tuple(labels or [1] * len(places)))


def mask(scene, prompts, options=PREDICT):
    (one,) = scene.answer(prompts, options).seg
    return R.to_bitmap(scene.runs(one, 0), SHAPE)


def iou(a, b):
    return (a & b).sum() / (a | b).sum()


def test_each_point_has_an_object_of_its_own(scene):
    both = scene.answer(points(COIN, OTHER), EACH)
    assert len(both.seg) == 2
    for i, place in enumerate((COIN, OTHER)):
        alone = mask(scene, points(place))
        assert iou(R.to_bitmap(scene.runs(both.seg, i), SHAPE), alone) == 1
    carved = scene.answer(points(COIN, OTHER, (378.0, 178.0), labels=(1, 1, 0)), EACH)
    assert R.to_bitmap(scene.runs(carved.seg, 0), SHAPE)[178, 378] == 0


def session_of(scene, prompts):
    session = Session(ArrayCanvas(np.zeros(SHAPE, np.int32)))
    session.options = PREDICT
    session.add_instances((), scene)
    session.prompt((), prompts)
    return session


def picked(session):
    return R.to_bitmap(session.segmented[()].runs(session.answer(()).seg, 0), SHAPE)


@pytest.mark.parametrize("by", [-1, 0, 1])
def test_a_correction_goes_on_from_the_candidate_that_was_shown(scene, by):
    session = session_of(scene, points(MANY))
    first = picked(session)
    session.cycle((), by)
    chosen = picked(session)
    assert by == 0 or iou(chosen, first) < 0.7, "there is another candidate"
    rows, columns = np.nonzero(chosen)
    far = np.hypot(columns - MANY[0], rows - MANY[1]).argmax()
    more = session.prompts(()).with_point((columns[far] + 0.5, rows[far] + 0.5), foreground=False)
    session.prompt((), more)
    corrected = picked(session)
    assert not corrected[rows[far], columns[far]]
    assert by == 0 or iou(corrected, chosen) > iou(corrected, first)


def test_candidates_turn_and_come_back_and_end(scene):
    session = session_of(scene, points(MANY))
    areas = {0: picked(session).sum()}
    for by in (*[1] * 4, *[-1] * 8):
        session.cycle((), by)
        areas[session.prompts(()).step] = picked(session).sum()
    assert [areas[s] for s in sorted(areas)] == sorted(areas.values())
    assert sorted(areas) == [-1, 0, 1]


def line(x0, x1, y):
    return tuple((x, float(y)) for x in np.linspace(x0, x1, 9).tolist())


def test_scribbles_are_answered_and_carve(scene):
    drawn = Prompts().with_scribbles([line(358, 384, 170)])
    coin = mask(scene, drawn)
    assert iou(coin, mask(scene, points(COIN))) > 0.9
    carved = mask(scene, drawn.with_scribbles([line(362, 380, 182)], foreground=False))
    assert coin[182, [362, 371, 379]].all()
    assert not carved[182, [362, 371, 379]].any()
    assert carved[170, [358, 371]].all()
    alone = Prompts().with_scribbles([line(362, 380, 182)], foreground=False)
    assert len(scene.answer(alone, PREDICT).seg) == 0
    assert scene.answer(alone, PREDICT).summary == ""


def test_a_right_click_carves_what_a_box_asked_for(scene):
    box = Prompts(boxes=((346.0, 145.0, 396.0, 196.0),))
    assert mask(scene, box)[180, 371]
    assert not mask(scene, box.with_point((371.5, 180.5), foreground=False))[180, 371]


def ends(bitmap):
    return tuple(R.from_bitmap(bitmap).ravel().tolist())


def square(x0, y0, x1, y1):
    bitmap = np.zeros(SHAPE, bool)
    bitmap[y0:y1, x0:x1] = True
    return bitmap


def test_rough_masks_have_a_better_one_each(scene):
    coin, rough = mask(scene, points(COIN)), square(346, 145, 396, 196)
    better = mask(scene, Prompts(masks=(ends(rough),)))
    assert iou(better, coin) > 0.9 > iou(rough, coin)
    both = scene.answer(Prompts(masks=(ends(rough), ends(square(417, 207, 479, 269)))), PREDICT)
    assert len(both.seg) == 2
    assert both.summary == "2 of 2 prompts answered"
    assert iou(R.to_bitmap(scene.runs(both.seg, 0), SHAPE), better) == 1
    assert R.to_bitmap(scene.runs(both.seg, 1), SHAPE)[238, 448]
    carved = Prompts(masks=(ends(rough),)).with_point(COIN, foreground=False)
    assert not mask(scene, carved)[170, 371]
    away = scene.answer(Prompts(masks=(ends(square(5, 5, 30, 30)),)), PREDICT)
    assert away.summary == f"0 of 1 prompts answered: 1 × {OUTSIDE}"


def test_scribbles_outside_the_window_are_told(scene):
    drawn = Prompts(scribbles=(Scribble(((5.0, 5.0), (9.0, 9.0))),))
    answer = scene.answer(drawn, PREDICT)
    assert answer.summary == f"0 of 1 prompts answered: 1 × {OUTSIDE}"
    both = scene.answer(dataclasses.replace(drawn, points=(COIN,), labels=(1,)), PREDICT)
    assert iou(R.to_bitmap(scene.runs(both.seg, 0), SHAPE), mask(scene, points(COIN))) == 1


def test_what_cannot_predict_says_why(scene, seg):
    drawn = Prompts(scribbles=(Scribble((COIN, OTHER)),), masks=((5, 9),))
    told = scene.answer(drawn, PREDICT.replace(predict=False))
    assert told.summary == f"0 of 2 prompts answered: 2 × {TICK}"
    unseen = SliceInstances(
        dataclasses.replace(seg, image_features=None), WINDOW, SHAPE
    )  # as from the disk
    assert not unseen.predicts
    assert unseen.answer(drawn, PREDICT).summary.endswith(NO_NETWORK)
    assert len(unseen.answer(points(COIN), PREDICT).seg) == 0


def test_a_click_is_known_before_it_is_made(scene):
    for options, before in (
        (PREDICT, Prompts()), (PREDICT, points(OTHER)), (EACH, points(OTHER)),
        (PREDICT, Prompts().with_scribbles([(OTHER, (250.0, 118.0))])),
        (EACH, points((378.0, 178.0), labels=(0,))),
    ):  # fmt: skip
        ahead = scene.ahead(COIN, before, options)
        clicked = scene.answer(before.with_point(COIN), options).seg
        last = len(clicked) - 1
        assert np.array_equal(ahead.runs(len(ahead) - 1), clicked.runs(last))


def test_a_foreground_click_in_the_window_is_never_empty(scene):
    rng = np.random.default_rng(5)
    for x, y in rng.uniform((100, 50), (484, 353), (25, 2)).tolist():
        answer = scene.answer(points((x, y)), PREDICT)
        assert not answer.points
        assert R.to_bitmap(scene.runs(answer.seg, 0), SHAPE)[int(y), int(x)]


def test_one_thread_at_a_time_asks(scene, monkeypatch):
    inside, most, predict = [], [], Segmentation.predict

    def slow(*given, **named):
        inside.append(1)
        time.sleep(0.02)
        most.append(len(inside))
        answer = predict(*given, **named)
        inside.pop()
        return answer

    monkeypatch.setattr(Segmentation, "predict", slow)
    asked = [points(COIN), Prompts(boxes=((346.0, 145.0, 396.0, 196.0),)),
             Prompts(masks=(ends(square(346, 145, 396, 196)),)),
             Prompts().with_scribbles([line(358, 384, 170)])]  # fmt: skip
    threads = [threading.Thread(target=scene.answer, args=(p, PREDICT)) for p in asked]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * len(asked)
