"""Steps that take long, made little by little."""

from __future__ import annotations

import numpy as np
import pytest

from fastsam_plugins.masks import runs as R
from napari_plugin.model import saving
from napari_plugin.model.painting import finished
from tests.napari_plugin.view.large import look_at, middle, painted


@pytest.fixture
def lazily(monkeypatch):
    """As little as can be at a time."""
    monkeypatch.setattr("napari_plugin.view.jobs.SLICE", 0)


def test_a_step_is_made_while_the_window_answers(huge, lazily):
    workspace = huge.workspace
    huge.widget.commit_all()
    assert workspace.actions.working
    assert huge.widget.panel.status.value == "Working on it ..."
    place = middle(huge, 3)
    look_at(huge, place)
    huge.click(huge.image, place)  # prompts do not wait
    assert len(workspace.session.prompts(()).points) == 1
    before = len(huge.told)
    huge.widget.commit()
    assert "till at work" in huge.told[-1].message
    assert len(huge.told) == before + 1
    huge.wait(lambda: not workspace.actions.working)
    whole = np.asarray(workspace.view.objects.labels.data[0])
    assert np.array_equal(whole > 0, painted(huge.seg) > 0)
    workspace.actions.undo()  # the commit, which came last
    assert workspace.actions.working
    huge.wait(lambda: not workspace.actions.working)
    assert not np.asarray(workspace.view.objects.labels.data[0]).any()
    assert len(workspace.session.prompts(()).points) == 1
    workspace.actions.redo()
    huge.wait(lambda: not workspace.actions.working)
    assert np.array_equal(np.asarray(workspace.view.objects.labels.data[0]), whole)
    assert workspace.session.history.done[-1].name == "commit all"


def test_a_session_is_never_saved_half_done(huge):
    workspace, saver = huge.workspace, huge.widget.workspace.saver
    workspace.view.objects.make()
    huge.wait(lambda: not saver._busy)
    work = workspace.session.committing_all([()], "small on top", None)
    while not workspace.session.history.writing:
        next(work)
    for _ in range(5):
        next(work)
    saver.changed({()})
    assert not saver._busy
    finished(work)
    huge.wait(lambda: not saver._busy and not saver._dirty)
    found = saving.read(saver.path).labels[()]
    assert sum(map(R.area, found.values())) == np.count_nonzero(painted(huge.seg))


@pytest.mark.parametrize("way", ["layer", "image", "dock", "reopen"])
def test_what_is_under_way_is_finished_before_its_layer_goes(huge, lazily, way):
    workspace = huge.workspace
    huge.widget.commit_all()
    layer = workspace.view.objects.labels
    assert workspace.actions.working
    if way == "layer":
        huge.viewer.layers.remove(layer)
    elif way == "image":
        huge.viewer.layers.remove(huge.image)
    elif way == "dock":
        huge.widget.shut()
    else:
        huge.wait(lambda: huge.widget.workspace.saver.path is not None)
        workspace.actions.attach(None)
    assert not workspace.actions.working
    assert np.array_equal(np.asarray(layer.data[0]) > 0, painted(huge.seg) > 0)
    huge.wait(least=0.2)


def test_a_part_that_fails_takes_back_the_step(huge, lazily, monkeypatch):
    workspace = huge.workspace
    huge.widget.commit_all()
    canvas = workspace.session.objects.canvas
    write, count = canvas.write, []

    def full(*args):
        count.append(1)
        if len(count) == 9:
            raise OSError("No space left on device")
        write(*args)

    monkeypatch.setattr(canvas, "write", full)
    huge.wait(lambda: not workspace.actions.working)
    assert any("No space left on device" in str(m.message) for m in huge.told)
    assert not np.asarray(workspace.view.objects.labels.data[0]).any()
    assert not workspace.session.history.done
    monkeypatch.setattr(canvas, "write", write)
    huge.widget.commit_all()
    huge.wait(lambda: not workspace.actions.working)
    assert np.array_equal(
        np.asarray(workspace.view.objects.labels.data[0]) > 0, painted(huge.seg) > 0
    )
