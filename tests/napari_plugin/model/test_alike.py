"""Which instances are candidates, after an example."""

from __future__ import annotations

import numpy as np
import pytest

from fastsam_plugins.masks import runs as R
from fastsam_plugins.options import ExemplarOptions, FilterOptions, PromptOptions
from napari_plugin.model.alike import Likeness, candidates, example_of
from napari_plugin.model.edits import ArrayCanvas
from napari_plugin.model.prompts import Prompts, Scribble
from napari_plugin.model.session import Session, SessionError
from napari_plugin.model.slice_instances import SliceInstances
from tests.napari_plugin.model.sessions import plain

SHAPE, WINDOW = (500, 600), (100, 50, 484, 353)
COIN, OTHER = (371.5, 170.5), (448.5, 238.5)
ALL = ExemplarOptions(threshold=-1)


@pytest.fixture(scope="module")
def seg(model, coins):
    return model.segment(coins, conf=0.25)


@pytest.fixture
def session(seg):
    made = Session(ArrayCanvas(np.zeros(SHAPE, np.int32)))
    made.options = PromptOptions(points_mode="best", predict=True)
    made.add_instances((), SliceInstances(seg, WINDOW, SHAPE))
    return made


def click(session, place):
    session.prompt((), Prompts((place,), (1,)))


def found(session):
    example, instances = example_of(session, (), 0), session.instances(())
    return Likeness((), instances, example, instances.seg.likeness(example))


def test_all_but_the_example_the_most_like_first(session, seg):
    click(session, COIN)
    like = found(session)
    assert len(like.example) == 1
    rows = candidates(session, like, ALL)
    assert len(rows) == len(seg) - 1, "the example is not picked twice"
    values = like.cosines[np.array(rows)]
    assert (np.diff(values) <= 0).all()
    assert candidates(session, like, ALL.replace(top_k=3)) == rows[:3]
    half = ALL.replace(threshold=float(np.median(values)))
    assert candidates(session, like, half) == rows[: (values >= half.threshold).sum()]
    session.filters = FilterOptions(min_area=1500)
    few = candidates(session, like, ALL)
    assert few == [r for r in rows if seg.areas[r] >= 1500]


def test_what_is_an_object_already_is_no_candidate(session):
    click(session, OTHER)
    session.commit(())
    click(session, COIN)
    rows = candidates(session, found(session), ALL)
    there = session.objects.canvas.array != 0
    scene = session.segmented[()]
    for row in rows:
        mask = R.to_bitmap(scene.runs(scene.seg[row], 0), SHAPE)
        assert (mask & there).sum() < mask.sum() / 2
    assert len(rows) == len(scene.seg) - 2


def test_an_object_is_an_example(session):
    click(session, COIN)
    picked = found(session)
    (made,) = session.commit(())
    example = example_of(session, (), made)
    assert np.array_equal(example.mask(0), picked.example.mask(0))
    assert np.allclose(session.segmented[()].seg.likeness(example), picked.cosines, atol=1e-3)


def test_candidates_are_picked_beside_the_example_and_committed_with_it(session):
    click(session, COIN)
    alone = session.answer(()).seg.mask(0)
    rows = candidates(session, found(session), ALL.replace(top_k=4))
    session.prompt((), Prompts((COIN,), (1,), chosen=tuple(rows)))
    answer = session.answer(())
    assert len(answer.seg) == 5
    assert np.array_equal(answer.seg.mask(0), alone)
    ids = session.commit(())
    assert len(ids) == 5
    assert all(not session.objects.known[n].prompts for n in ids), (
        "going back to one does not ask for all"
    )
    session.history.undo()
    assert session.prompts(()).chosen == tuple(rows)
    more = session.prompts(()).with_point((375.0, 172.0))
    session.prompt((), more)
    assert len(session.answer(()).seg) == 1, "a click says more about the one object"


def test_why_there_is_no_example(session):
    for prompts, message in (
        (Prompts(), "click an object first"),
        (Prompts(scribbles=(Scribble(((5.0, 5.0), (9.0, 9.0))),)), "0 of 1 prompts answered"),
    ):
        session.prompt((), prompts)
        with pytest.raises(SessionError, match=message):
            example_of(session, (), 0)
    session.prompt((), Prompts())
    session.objects.canvas.array[:20, :20] = 3
    with pytest.raises(SessionError, match="object 3 lies outside the part that was segmented"):
        example_of(session, (), 3)
    with pytest.raises(SessionError, match="nothing to compare by: segment the whole image"):
        example_of(plain(), (), 1)
    with pytest.raises(SessionError, match="segment this slice first"):
        example_of(Session(), (), 0)
