"""Objects that are merged, split, erased or deleted, and prompts that were to replace them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsam_plugins.masks import runs as R
from fastsam_plugins.options import FilterOptions
from napari_plugin.model.edits import ArrayCanvas
from napari_plugin.model.prompts import Prompts
from napari_plugin.model.session import SessionError
from tests.napari_plugin.model.sessions import (
    ASIDE,
    BESIDE,
    LARGE,
    SHAPE,
    SMALL,
    SMALL_ONE,
    act,
    action,
    click,
    commit,
    labels,
    plain,
    stack,
)


def test_what_was_merged_is_not_halved_by_the_next_commit():
    session = plain()
    a, b = commit(session, 70, 10)[0], commit(session, 15, 30)[0]
    session.prompt((), Prompts(((70, 10), (15, 30)), (1, 1)))
    session.merge([a, b])
    merged = labels(session).copy()
    with pytest.raises(SessionError, match="nothing to commit"):
        session.commit(())
    click(session, 55, 30)  # another one, beside it
    session.commit(())
    assert np.array_equal(labels(session)[~BESIDE], merged[~BESIDE])
    session.history.undo()
    session.history.undo()
    assert np.array_equal(labels(session), merged)
    session.history.undo()
    assert session.prompts(()).points == ((70, 10), (15, 30)), "undo opens them again"


@pytest.mark.parametrize("deed", ["delete", "merge", "merge away", "split"])
def test_prompts_of_an_object_that_changed_are_forgotten_and_undo_opens_them_again(deed):
    session = stack(2)
    for z in range(2):
        commit(session, 70, 10, key=(z,))
    session.merge([1, 2])  # one object in both slices
    other = commit(session, 30, 30, key=(0,))[0]
    session.recall((1,), 1)
    if deed == "merge away":
        session.recall((0,), other)
    asked, before = session.prompts((1,)), labels(session).copy()
    if deed == "delete":
        session.delete([1], (0,))
    elif deed == "split":
        labels(session)[1][SMALL] = 1
        before = labels(session).copy()
        session.split(1, (1,))
    else:
        session.merge([1, other], (0,))
    after = labels(session).copy()
    assert not session.prompts((1,))
    assert not any(session.prompts((z,)) for z in range(2) if deed != "split")
    with pytest.raises(SessionError, match="nothing to commit"):
        session.commit((1,))
    session.history.undo()
    assert session.prompts((1,)) == asked
    assert np.array_equal(labels(session), before)
    session.history.redo()
    assert not session.prompts((1,))
    assert np.array_equal(labels(session), after)


def test_going_back_to_a_merged_or_split_object_does_not_pick_what_it_was_before():
    session = plain()
    a, b = commit(session, 70, 10)[0], commit(session, 15, 30)[0]
    session.merge([a, b])
    session.recall((), a)
    (box,) = session.prompts(()).boxes
    assert box == (10, 4, 76, 50), "the box of all of it"
    session.prompt((), Prompts())
    session.history.undo()
    session.history.undo()
    session.history.undo()
    assert session.objects.known[a].prompts[()].points == ((70, 10),)


def test_an_object_that_was_erased_by_hand_is_not_replaced():
    session = plain()
    (first,) = commit(session, 70, 10)
    session.recall((), first)
    labels(session)[ASIDE] = 0
    with pytest.raises(SessionError, match="object 1, which this would replace, is gone"):
        session.commit(())
    assert not labels(session).any()


def test_an_object_stays_where_nothing_would_be_left_of_what_replaces_it():
    session = plain()
    (large,) = commit(session, 15, 30)
    (aside,) = commit(session, 70, 10)
    session.recall((), aside)
    before = labels(session).copy()
    session.prompt((), Prompts(((15, 30),), (1,), target=aside))
    with pytest.raises(SessionError, match="other objects cover it"):
        session.commit((), "keep")
    assert np.array_equal(labels(session), before)
    assert set(session.objects.known) == {large, aside}


def test_what_was_to_replace_an_object_does_not_replace_one_of_another_layer():
    session = plain()
    commit(session, 70, 10)
    session.recall((), 1)
    mine = np.zeros(SHAPE, np.int32)
    mine[LARGE] = 1
    session.attach(ArrayCanvas(mine))
    with pytest.raises(SessionError, match="nothing to commit"):
        session.commit(())
    assert np.array_equal(mine, LARGE * 1)


def test_objects_that_are_not_there_are_not_merged():
    session = plain()
    (one,) = commit(session, 70, 10)
    with pytest.raises(SessionError, match="two objects"):
        session.merge([one, 99])
    labels(session)[SMALL] = 5  # painted by hand
    session.objects.painted((), 5)
    assert session.merge([one, 5]) == one


@given(st.lists(action, max_size=30))
def test_what_is_to_replace_an_object_changes_no_other(actions):
    session = stack(2)
    for name, *args in actions:
        key = args[0] if args else ()
        target = session.prompts(key).target if name == "commit" else None
        before = labels(session).copy()
        try:
            act(session, *(("commit", key, "keep") if target is not None else (name, *args)))
        except SessionError:
            continue
        if target is not None:
            others = (before != 0) & (before != target)
            assert np.array_equal(labels(session)[others], before[others])
        if name in ("delete", "merge"):
            assert not any(session.prompts((z,)).target in args[1:] for z in range(2))


def test_delete_merge_and_their_undo():
    session = plain()
    a, b = commit(session, 70, 10)[0], commit(session, 30, 30)[0]
    both = session.objects.canvas.array.copy()
    assert session.merge([a, b]) == a
    assert np.array_equal(session.objects.canvas.array, (both > 0) * a)
    assert set(session.objects.known) == {a}
    session.delete([a])
    assert not session.objects.canvas.array.any()
    session.history.undo()
    session.history.undo()
    assert np.array_equal(session.objects.canvas.array, both)
    assert set(session.objects.known) == {a, b}
    with pytest.raises(SessionError, match="two objects"):
        session.merge([a])


def test_what_is_picked_of_an_object_is_split_off_it():
    session = plain()
    (large,) = commit(session, 15, 30)
    click(session, 30, 30, **SMALL_ONE)
    new = session.split_off(())
    assert np.array_equal(session.objects.canvas.array, LARGE * large + SMALL * (new - large))
    session.history.undo()
    assert np.array_equal(session.objects.canvas.array, LARGE * large)
    session.delete([large])
    click(session, 70, 10)
    with pytest.raises(SessionError, match="no object lies under"):
        session.split_off(())


def test_outlines_overlap_and_are_undone():
    session = plain()
    click(session, 30, 30)
    (first,) = session.commit_outlines(())
    ids = session.commit_all_outlines(())
    assert len(ids) == 4
    assert not session.objects.canvas.array.any()
    key, runs = session.objects.known[first].outline
    assert key == ()
    assert np.array_equal(R.to_bitmap(runs, SHAPE), LARGE)
    session.history.undo()
    session.history.undo()
    assert not session.objects.known
    assert session.prompts(())
    session.filters = FilterOptions(min_area=10**6)
    with pytest.raises(SessionError, match="loosen the filters"):
        session.commit_all_outlines(())
    assert len(session.history.done) == 1
