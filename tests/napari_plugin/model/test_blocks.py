"""Labels of large images, in squares: everything is as with an array."""

from __future__ import annotations

import numpy as np
import pytest

from fastsam_plugins.masks import runs as R
from fastsam_plugins.segmentation import Segmentation
from napari_plugin.model.blocks import BlocksCanvas, Level, layer_levels
from napari_plugin.model.edits import ArrayCanvas
from napari_plugin.model.prompts import Prompts
from napari_plugin.model.session import POLICIES, Session, SessionError
from napari_plugin.model.slice_instances import SliceInstances
from tests.conftest import disks

SHAPE = 700, 1100


def both(shape=SHAPE, rows=0, columns=1, single=None):
    """Squares, and an array, of the same shape."""
    array = np.zeros(shape, np.int32)
    squares = BlocksCanvas(layer_levels(shape, rows, columns, single))
    return squares, ArrayCanvas(array, rows, columns, single)


def same(squares, plain):
    shown = np.asarray(squares.levels[0])
    np.testing.assert_array_equal(shown, plain.array)
    step = 1
    for level in squares.levels[1:]:
        step *= 2
        index = [slice(None)] * plain.array.ndim
        index[plain.rows] = index[plain.columns] = slice(None, None, step)
        np.testing.assert_array_equal(np.asarray(level), plain.array[tuple(index)])
    assert dict(squares.counts()) == dict(plain.counts())
    for key in plain.keys():  # noqa: SIM118
        for label in {*range(5), *np.unique(plain.array).tolist()} - {0}:
            assert squares.find(key, label) == plain.find(key, label)
            assert squares.count(key, [label]) == plain.count(key, [label])
        one, other = squares.frozen(key)(), plain.frozen(key)()
        assert list(one) == list(other)
        for label, runs in other.items():
            np.testing.assert_array_equal(one[label], np.asarray(runs))


@pytest.mark.parametrize(
    ("shape", "axes"),
    [(SHAPE, (0, 1, None)), ((3, *SHAPE), (1, 2, None)), ((300, 1, 530), (0, 2, 1)),
     ((2, 300, 1, 530), (1, 3, 2)), ((520, 2, 300), (0, 2, None))],
)  # fmt: skip
def test_what_is_written_is_read_as_from_an_array(shape, axes):
    squares, plain = both(shape, *axes)
    rng = np.random.default_rng(len(shape))
    height, width = plain.shape
    keys = list(plain.keys())
    for _ in range(40):
        x0, y0 = rng.integers(0, width - 1), rng.integers(0, height - 1)
        x1, y1 = rng.integers(x0 + 1, width + 1), rng.integers(y0 + 1, height + 1)
        block = rng.integers(0, 4, (y1 - y0, x1 - x0)).astype(np.int32)
        block[rng.random(block.shape) < 0.5] = 0
        key = keys[rng.integers(len(keys))]
        for canvas in (squares, plain):
            canvas.write(key, (x0, y0, x1, y1), block, block != 0)
        part = (x0 // 2, y0 // 2, x1, y1)
        np.testing.assert_array_equal(squares.read(key, part), plain.read(key, part))
    same(squares, plain)
    level, array = squares.levels[0], plain.array
    assert (level.shape, level.ndim, level.size) == (array.shape, array.ndim, array.size)
    index = (..., slice(3, 200, 3), slice(None, None, -2))
    for at in (index, (0,), (slice(1, 2),), (*[0] * (array.ndim - 1), slice(4, 9))):
        np.testing.assert_array_equal(np.asarray(level[at]), array[at])
    assert level[(0,) * array.ndim] == array[(0,) * array.ndim]
    assert level.max() == array.max()


def test_a_slice_that_is_emptied_takes_nothing():
    squares, _ = both()
    block = np.ones((600, 900), np.int32)
    squares.write((), (50, 60, 950, 660), block, block > 0)
    squares.write((), (50, 60, 950, 660), 0 * block, block > 0)
    assert not any(level.squares.held for level in squares.levels)
    assert squares.count((), [1]) == {}
    assert squares.find((), 1) is None


def test_labels_as_they_were_stay_so_when_others_are_painted_over_them():
    squares, _ = both()
    block = np.full((30, 30), 7, np.int32)
    squares.write((), (250, 250, 280, 280), block, block > 0)
    frozen = squares.frozen(())
    squares.write((), (250, 250, 280, 280), block + 1, block > 0)
    assert {n: R.area(runs) for n, runs in frozen().items()} == {7: 900}


def circles(rng, count):
    x, y, r = rng.integers(0, 1100, count), rng.integers(0, 700, count), rng.integers(2, 160, count)
    found = disks(SHAPE, np.stack([x, y, r], axis=1).tolist())
    return [mask for mask in found if mask.any()]


def sessions(masks):
    """A session on squares and one on an array, with the same instances."""
    made = []
    for canvas in both():
        session = Session(canvas)
        seg = Segmentation.from_masks(np.array(masks), scores=np.linspace(0.9, 0.1, len(masks)))
        session.add_instances((), SliceInstances(seg, (0, 0, SHAPE[1], SHAPE[0]), SHAPE, "digest"))
        made.append(session)
    return made


@pytest.mark.parametrize("seed", range(4))
def test_a_session_on_squares_is_one_on_an_array(seed):
    rng = np.random.default_rng(seed)
    pair = sessions(circles(rng, 25))

    def on_both(act):
        told = []
        for session in pair:
            try:
                told.append(act(session))
            except SessionError as error:
                told.append(str(error))
        assert told[0] == told[1], told

    for step in range(25):
        policy = POLICIES[rng.integers(len(POLICIES))]
        xy = float(rng.integers(0, SHAPE[1])), float(rng.integers(0, SHAPE[0]))
        label = int(rng.integers(1, 30))
        deed = rng.integers(8)
        if step % 12 == 5:
            on_both(lambda s, p=policy: s.commit_all([()], p))
        elif deed < 3:
            on_both(lambda s, p=xy: s.prompt((), s.prompts(()).with_point(p)))
            on_both(lambda s, p=policy: s.commit((), p))
        elif deed == 3:
            on_both(lambda s, n=label: s.delete([n]))
        elif deed == 4:
            on_both(lambda s, n=label: s.merge([n, n + 1, n + 2]))
        elif deed == 5:
            on_both(lambda s, n=label: s.split(n, ()))
        elif deed == 6:
            on_both(lambda s, n=label: s.recall((), n))
        else:
            on_both(lambda s: (s.history.undo() or s).__class__.__name__)
    squares, plain = (s.objects.canvas for s in pair)
    same(squares, plain)
    assert repr(pair[0].objects.known) == repr(pair[1].objects.known)  # NaN is no NaN
    assert +pair[0].objects.areas == +pair[1].objects.areas
    for session in pair:
        while session.history.undo():
            pass
    assert not np.asarray(squares.levels[0]).any()
    same(squares, plain)
    for session in pair:
        while session.history.redo():
            pass
    same(squares, plain)


def test_prompts_that_are_set_while_a_step_is_taken_back_stay():
    session = sessions(circles(np.random.default_rng(0), 12))[0]
    session.commit_all([()])
    before = np.asarray(session.objects.there.levels[0]).copy()
    work = session.history.undoing()
    next(work)
    session.prompt((), Prompts(points=((5.0, 5.0),), labels=(1,)))
    for _ in work:
        pass
    assert not np.asarray(session.objects.there.levels[0]).any()
    assert session.prompts(()).points == ((5.0, 5.0),)
    assert session.history.redo() is None  # something else was done since
    session.history.undo()
    assert not session.prompts(())
    assert before.any()


def test_napari_reads_of_squares_what_it_shows(monkeypatch):
    levels = layer_levels((6000, 7000), 0, 1, None)
    assert [level.shape for level in levels] == [
        (6000, 7000), (3000, 3500), (1500, 1750), (750, 875)
    ]  # fmt: skip
    read = []
    monkeypatch.setattr(Level, "__array__", lambda self, *a, **k: read.append(self) or np.zeros(1))
    part = levels[0][1:5000, :]
    assert isinstance(part, Level)  # too large to be read unasked
    assert not read
