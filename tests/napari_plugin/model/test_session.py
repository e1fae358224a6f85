"""Prompts, commits, deletes and their history, without a window."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsam_plugins.masks import runs as R
from fastsam_plugins.options import FilterOptions, LinkOptions, PromptOptions
from fastsam_plugins.segmentation import Segmentation
from napari_plugin.model.edits import ArrayCanvas, PixelEdit, Values
from napari_plugin.model.session import POLICIES, Session, SessionError
from napari_plugin.model.slice_instances import Prompts, SliceInstances
from tests.conftest import disks

SHAPE = (60, 80)
CIRCLES = [(30, 30, 20), (30, 30, 8), (50, 30, 12), (70, 10, 6)]
MASKS = disks(SHAPE, CIRCLES)
LARGE, SMALL, BESIDE, ASIDE = MASKS


def scene(masks=MASKS, scores=(0.9, 0.5, 0.7, 0.8)):
    seg = Segmentation.from_masks(masks, scores=scores[: len(masks)])
    return SliceInstances(seg, (0, 0, SHAPE[1], SHAPE[0]), SHAPE, "digest")


def plain():
    session = Session(ArrayCanvas(np.zeros(SHAPE, np.int32)))
    session.add_instances((), scene())
    return session


def stack(count=3):
    session = Session(ArrayCanvas(np.zeros((count, *SHAPE), np.int32)))
    for z in range(count):
        session.add_instances((z,), scene())
    return session


def click(session, x, y, key=(), **changes):
    prompts = Prompts(((float(x), float(y)),), (1,))
    session.prompt(key, dataclasses.replace(prompts, **changes))


def commit(session, x, y, policy="small on top", key=(), **changes):
    click(session, x, y, key, **changes)
    return session.commit(key, policy)


SMALL_ONE = {"step": -1}  # of the two candidates at (30, 30) the larger has the higher score


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


def test_detached_parts_become_objects():
    session = plain()
    session.objects.canvas.array[:] = (SMALL | ASIDE) * 5
    session.attach(ArrayCanvas(session.objects.canvas.array))
    (new,) = session.split(5, ())
    assert np.array_equal(session.objects.canvas.array, SMALL * 5 + ASIDE * new)
    with pytest.raises(SessionError, match="in one part"):
        session.split(5, ())


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


# --- any sequence of actions --------------------------------------------------------------------

places = st.tuples(st.integers(0, 79), st.integers(0, 59))
slices = st.integers(0, 1).map(lambda z: (z,))
ids = st.integers(0, 6)
action = st.one_of(
    st.tuples(st.just("point"), slices, places, st.booleans()),
    st.tuples(st.just("box"), slices, places, places),
    st.tuples(st.just("cycle"), slices, st.sampled_from([-1, 1])),
    st.tuples(st.just("commit"), slices, st.sampled_from(POLICIES)),
    st.tuples(st.just("commit_all"), slices, st.booleans()),
    st.tuples(st.just("delete"), slices, ids),
    st.tuples(st.just("merge"), slices, ids, ids),
    st.tuples(st.just("split"), slices, ids),
    st.tuples(st.just("split_off"), slices),
    st.tuples(st.just("recall"), slices, ids),
    st.tuples(st.just("undo")),
    st.tuples(st.just("redo")),
)


def act(session, name, key=(), *args):
    prompts = session.prompts(key)
    if name == "point":
        session.prompt(key, prompts.with_point(*args))
    elif name == "box":
        (x0, y0), (x1, y1) = np.sort(np.array(args), axis=0).tolist()
        session.prompt(key, dataclasses.replace(prompts, boxes=((x0, y0, x1, y1),)))
    elif name == "cycle":
        session.cycle(key, *args)
    elif name == "commit":
        session.commit(key, *args)
    elif name == "commit_all":
        session.commit_all([(0,), (1,)] if args[0] else [key], linking=LinkOptions())
    elif name == "delete":
        session.delete(args, key)
    elif name == "merge":
        session.merge(args, key)
    elif name == "split":
        session.split(*args, key)
    elif name == "split_off":
        session.split_off(key)
    elif name == "recall":
        session.recall(key, *args)
    else:
        getattr(session.history, name)()


def state(session):
    prompts = {k: session.prompts(k) for k in ((0,), (1,))}
    labels, counts = np.unique(session.objects.canvas.array, return_counts=True)
    areas = dict(zip(labels.tolist(), counts.tolist(), strict=True))
    for label, area in areas.items():
        assert label == 0 or session.objects.areas[label] == area
    return (
        session.objects.canvas.array.copy(),
        copy.deepcopy(prompts),
        repr(sorted(session.objects.known.items())),
    )


def same(a, b):
    return np.array_equal(a[0], b[0]) and a[1:] == b[1:]


@given(st.lists(action, max_size=25))
def test_undoing_everything_is_the_beginning_and_redoing_everything_the_end(actions):
    session = stack(2)
    session.objects.canvas.array[0, :20, :9] = 1  # somebody's labels are there already
    session.attach(ArrayCanvas(session.objects.canvas.array))
    first, next_id = state(session), session.objects.next_id
    for name, *args in actions:
        before = state(session)
        try:
            act(session, name, *args)
        except SessionError:
            assert same(state(session), before), "what is refused changes nothing"
        assert session.objects.next_id >= next_id, "ids only grow"
        assert session.objects.next_id > session.objects.canvas.array.max()
        next_id = session.objects.next_id
    last, steps = state(session), len(session.history.done)
    while session.history.redo():
        pass
    furthest = state(session)
    while session.history.undo():
        pass
    assert same(state(session), first)
    for _ in range(steps):
        session.history.redo()
    assert same(state(session), last)
    while session.history.redo():
        pass
    assert same(state(session), furthest)
