"""Prompts, commits, deletes and their history, without a window."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsam_plugins.options import FilterOptions, LinkOptions, PromptOptions
from fastsam_plugins.segmentation import Segmentation
from napari_plugin.model.edits import ArrayCanvas, PixelEdit, Values
from napari_plugin.model.prompts import Prompts
from napari_plugin.model.session import POLICIES, Session, SessionError
from napari_plugin.model.slice_instances import SliceInstances
from tests.conftest import disks
from tests.napari_plugin.model.sessions import (
    ASIDE,
    BESIDE,
    LARGE,
    SHAPE,
    SMALL,
    SMALL_ONE,
    click,
    commit,
    plain,
    scene,
    stack,
)


def test_a_commit_writes_the_answer_and_forgets_the_prompts():
    session = plain()
    assert commit(session, 70, 10) == [1]
    assert np.array_equal(session.objects.canvas.array, ASIDE * 1)
    assert not session.prompts(())
    known = session.objects.known[1]
    assert known.score == pytest.approx(0.8)
    assert known.prompts[()].points == ((70, 10),)
    assert session.objects.areas[1] == ASIDE.sum()


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("small_first", [True, False])
def test_overlap_goes_where_the_policy_says(policy, small_first):
    session = plain()
    order = [SMALL_ONE, {}] if small_first else [{}, SMALL_ONE]
    if policy == "keep" and not small_first:
        commit(session, 30, 30, policy)
        with pytest.raises(SessionError, match="other objects cover it"):
            commit(session, 30, 30, policy, **SMALL_ONE)
        return
    first, second = (commit(session, 30, 30, policy, **o)[0] for o in order)
    small, large = (first, second) if small_first else (second, first)
    expected = LARGE * large
    small_wins = policy == "small on top" or (policy == "keep") == small_first
    if small_wins:
        expected[SMALL] = small
    assert np.array_equal(session.objects.canvas.array, expected)


def test_small_on_top_compares_with_what_a_whole_object_covers_not_what_is_left_of_it():
    session = plain()
    commit(session, 55, 30)
    assert commit(session, 15, 30) == [2]  # the large one, under the one beside it
    labels = session.objects.canvas.array
    assert (labels[BESIDE] == 1).all()
    assert (labels[LARGE & ~BESIDE] == 2).all()


def test_ids_are_never_reused():
    session = plain()
    given = [commit(session, 70, 10)[0]]
    session.delete(given)
    given += commit(session, 70, 10)
    session.history.undo()
    session.history.undo()
    session.prompt((), Prompts())
    given += commit(session, 70, 10)
    assert given == [1, 2, 3]
    assert np.array_equal(np.unique(session.objects.canvas.array), [0, 3])


def test_labels_that_are_there_and_that_are_painted_are_not_given_again():
    labels = np.zeros(SHAPE, np.int32)
    labels[0, 0] = 7
    session = Session(ArrayCanvas(labels))
    session.add_instances((), scene())
    assert commit(session, 70, 10) == [8]
    session.objects.painted((), 20)
    assert commit(session, 30, 30) == [21]


def test_ids_beyond_the_labels_numbers_are_refused():
    session = Session(ArrayCanvas(np.zeros(SHAPE, np.uint8)))
    session.add_instances((), scene())
    session.objects.painted((), 254)
    assert commit(session, 70, 10) == [255]
    with pytest.raises(SessionError, match="ids up to 255"):
        commit(session, 30, 30)


def test_detached_parts_become_objects():
    session = plain()
    session.objects.canvas.array[:] = (SMALL | ASIDE) * 5
    session.attach(ArrayCanvas(session.objects.canvas.array))
    (new,) = session.split(5, ())
    assert np.array_equal(session.objects.canvas.array, SMALL * 5 + ASIDE * new)
    with pytest.raises(SessionError, match="in one part"):
        session.split(5, ())


def test_going_back_to_an_object_replaces_it_under_its_own_id():
    session = plain()
    (other,) = commit(session, 70, 10)
    (object_,) = commit(session, 30, 30)
    session.recall((), object_)
    assert session.prompts(()).points == ((30, 30),)
    session.cycle((), -1)
    assert session.commit(()) == [object_]
    assert np.array_equal(session.objects.canvas.array, SMALL * object_ + ASIDE * other)
    session.history.undo()
    assert (session.objects.canvas.array[LARGE] == object_).all()


def test_an_object_without_prompts_is_asked_for_by_its_box():
    session = plain()
    session.objects.canvas.array[:] = ASIDE * 4
    session.attach(ArrayCanvas(session.objects.canvas.array))
    session.recall((), 4)
    assert session.commit(()) == [4]
    assert np.array_equal(session.objects.canvas.array, ASIDE * 4)


def test_all_found_are_committed_smallest_on_top_as_the_filters_let_them_through():
    session = plain()
    session.filters = FilterOptions(max_area=1000)
    ids = session.commit_all([()])
    assert len(ids) == 3
    session.history.undo()
    session.filters = FilterOptions()
    assert len(session.commit_all([()])) == 4
    expected = scene().seg.labels()
    assert np.array_equal(session.objects.canvas.array > 0, expected > 0)
    pairs = set(
        zip(session.objects.canvas.array.ravel().tolist(), expected.ravel().tolist(), strict=True)
    )
    assert len(pairs) == 5, "the same parts, under other ids"


def test_linked_objects_have_one_id_in_all_slices():
    session = Session(ArrayCanvas(np.zeros((3, *SHAPE), np.int32)))
    for z, x in enumerate((20, 22, 24)):
        masks = disks(SHAPE, [(60, 30, 5 + z), (x, 30, 9)] if z else [(x, 30, 9), (60, 30, 5)])
        session.add_instances((z,), scene(masks))
    keys = [(z,) for z in range(3)]
    assert len(session.commit_all(keys, linking=LinkOptions())) == 2
    labels = session.objects.canvas.array
    assert labels[0, 30, 20] == labels[1, 30, 22] == labels[2, 30, 24]
    assert labels[0, 30, 60] == labels[2, 30, 60] != labels[0, 30, 20]
    session.history.undo()
    assert not labels.any()
    assert len(session.commit_all(keys)) == 6


def test_undo_survives_slice_changes():
    session = stack()
    commit(session, 70, 10, key=(0,))
    commit(session, 30, 30, key=(2,))
    click(session, 50, 30, (1,))
    assert [session.history.undo().key for _ in range(2)] == [(1,), (2,)]
    assert session.objects.canvas.array[0].any()
    assert not session.objects.canvas.array[2].any()
    assert session.prompts((2,)).points == ((30, 30),)


def test_deleting_an_object_of_several_slices_takes_them_all():
    session = stack()
    session.commit_all([(0,), (1,), (2,)], linking=LinkOptions())
    label = int(session.objects.canvas.array[0, 10, 70])
    session.delete([label])
    assert not (session.objects.canvas.array == label).any()
    assert session.objects.areas[label] == 0
    session.history.undo()
    assert (
        (session.objects.canvas.array == label).sum()
        == 3 * ASIDE.sum()
        == session.objects.areas[label]
    )


def test_undo_leaves_what_was_painted_by_hand():
    session = plain()
    commit(session, 30, 30)
    session.objects.canvas.array[30, 25:35] = 9
    session.history.undo()
    assert (session.objects.canvas.array[30, 25:35] == 9).all()
    assert (
        (session.objects.canvas.array == 9).sum() == (session.objects.canvas.array != 0).sum() == 10
    )
    session.history.redo()
    assert (session.objects.canvas.array[30, 25:35] == 9).all()
    assert (session.objects.canvas.array == 1).sum() == LARGE.sum() - 10


def test_what_cannot_be_done_is_one_line():
    session = Session()
    with pytest.raises(SessionError, match="segment this slice first"):
        session.commit(())
    session.add_instances((), scene())
    with pytest.raises(SessionError, match="click an instance"):
        session.commit(())
    click(session, 70, 10)
    with pytest.raises(SessionError, match="no Labels layer"):
        session.commit(())
    session.attach(ArrayCanvas(np.zeros((5, 5), np.int32)))
    with pytest.raises(SessionError, match=r"slices of \(5, 5\) pixels"):
        session.commit(())
    session.attach(ArrayCanvas(np.zeros(SHAPE, np.int32)))
    with pytest.raises(SessionError, match="policy must be one of"):
        session.commit((), "any")
    with pytest.raises(SessionError, match="no pixels in this slice"):
        session.recall((), 9)


def test_several_objects_in_one_go():
    session = plain()
    session.options = PromptOptions(points_mode="each")
    session.prompt((), Prompts(((70, 10), (30, 30)), (1, 1)))
    assert session.commit(()) == [1, 2]
    session.history.undo()
    assert not session.objects.canvas.array.any()


@pytest.mark.parametrize("axes", [(0, 1), (0, 2), (1, 2), (1, 3), (0, 3)])
def test_slices_may_lie_along_any_axes(axes):
    ndim = max(axes) + 1
    shape = [2] * ndim
    shape[axes[0]], shape[axes[1]] = SHAPE
    session = Session(ArrayCanvas(np.zeros(shape, np.int32), *axes))
    keys = list(session.objects.canvas.keys())
    assert len(keys) == 2 ** (ndim - 2)
    session.add_instances(keys[-1], scene())
    commit(session, 70, 10, key=keys[-1])
    moved = np.moveaxis(session.objects.canvas.array, axes, (-2, -1)).reshape(-1, *SHAPE)
    assert np.array_equal(moved[-1], ASIDE * 1)
    assert not moved[:-1].any()


@given(st.lists(st.integers(0, 3), max_size=30))
def test_values_round_trip(flat):
    array = np.array(flat, np.int32)
    values = Values.of(array)
    assert np.array_equal(values.decode(), array)
    assert (values.labels[1:] != values.labels[:-1]).all()


def test_an_edit_keeps_only_what_changed():
    canvas = ArrayCanvas(np.zeros((2000, 2000), np.int32))
    block = canvas.read((), (0, 0, 2000, 2000)).copy()
    block[100:110, 200:230] = 3
    edit = PixelEdit.of(canvas, (), (0, 0, 2000, 2000), block)
    assert edit.window == (200, 100, 230, 110)
    assert edit.runs.nbytes + edit.before.labels.nbytes + edit.after.counts.nbytes < 1000
    assert PixelEdit.of(canvas, (), (0, 0, 50, 50), block[:50, :50]) is None


@pytest.mark.parametrize(("by", "steps"), [(-9, -1), (-1, -1), (1, 1), (7, 1)])
def test_a_step_is_no_longer_than_there_are_candidates(by, steps):
    """Otherwise the way back would be as many key presses long."""
    shape = (80, 100)
    nested = disks(shape, [(40, 40, 30), (40, 40, 15), (40, 40, 5), (85, 60, 10)])
    seg = Segmentation.from_masks(nested, scores=[0.5, 0.9, 0.3, 0.7])
    session = Session()
    session.add_instances((), SliceInstances(seg, (0, 0, 100, 80), shape))
    click(session, 40, 40)
    session.cycle((), by)
    assert session.prompts(()).step == steps
    assert session.answer(()).seg.rows.tolist() == [2 if steps < 0 else 0]


def test_objects_do_not_keep_the_rough_masks_of_all_the_others():
    """Of a thousand labels that were asked with, the file would hold a million."""
    session = plain()
    session.prompt((), Prompts(((70.0, 10.0),), (1,), masks=((0, 4), (60, 64))))
    (made,) = session.commit(())
    assert session.objects.known[made].prompts[()] == Prompts(((70.0, 10.0),), (1,))
    assert session.prompts(()).masks == ((0, 4), (60, 64)), "they were not answered, and stay open"
    session.prompt((), Prompts(((30.0, 30.0),), (1,), masks=((0, 4),)))
    (made,) = session.commit(())
    assert session.objects.known[made].prompts[()].masks == ((0, 4),)
