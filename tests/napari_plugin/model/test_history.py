"""Steps: all of one or nothing, taken back and made again."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_plugin.model.edits import ArrayCanvas
from napari_plugin.model.session import Session, SessionError
from tests.napari_plugin.model.sessions import (
    SHAPE,
    act,
    action,
    labels,
    same,
    scene,
    stack,
    state,
)


class Full(ArrayCanvas):
    """A canvas whose file cannot be written to once, after some writes."""

    left = 10**9

    def write(self, *args):
        self.left -= 1
        if self.left == 0:
            raise OSError(28, "No space left on device")
        super().write(*args)


def test_a_step_that_fails_half_way_is_taken_back():
    session = Session(Full(np.zeros((3, *SHAPE), np.int32)))
    for z in range(3):
        session.add_instances((z,), scene())
    session.commit_all([(z,) for z in range(3)])
    before, done = state3(session), len(session.history.done)
    for deed in (lambda: session.delete([1, 5, 9]), session.history.undo):
        session.objects.canvas.left = 3
        with pytest.raises(OSError, match="No space"):
            deed()
        assert same(state3(session), before)
        assert len(session.history.done) == done
    session.history.undo()
    session.history.redo()
    assert same(state3(session), before)


def state3(session):
    known = repr(sorted(session.objects.known.items()))
    return labels(session).copy(), {}, known


@given(st.lists(action, max_size=30))
def test_every_step_is_taken_back_to_the_state_before_it(actions):
    """Against the simplest history there is: a list of whole states."""
    session = stack(2)
    states, at = [state(session)], 0
    for name, *args in actions:
        steps = len(session.history.done)
        with contextlib.suppress(SessionError):
            act(session, name, *args)
        if name == "undo":
            at = max(at - 1, 0)
        elif name == "redo":
            at = min(at + 1, len(states) - 1)
        elif len(session.history.done) > steps:
            at += 1
            states[at:] = [state(session)]
        assert same(state(session), states[at])


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
