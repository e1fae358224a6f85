"""Layers that show a session: their order, and what happens when they go."""

from __future__ import annotations

import numpy as np
import pytest

from napari_plugin.model.slice_instances import SliceInstances
from napari_plugin.view import layers as names
from tests.napari_plugin.conftest import SHAPE, labels, put

pytestmark = pytest.mark.timeout(600)


def test_what_is_picked_lies_on_top_of_objects_and_prompts_on_top_of_it(plain):
    plain.click(plain.image, (20, 80))
    plain.key("N")
    assert [layer.name for layer in plain.viewer.layers] == [
        "plain", names.INSTANCES, names.OBJECTS, names.PREVIEW, names.POINTS, names.BOXES,
    ]  # fmt: skip


def test_layers_may_be_renamed_and_reordered(plain):
    for layer in list(plain.viewer.layers):
        layer.name = layer.name[::-1]
    plain.viewer.layers.reverse()
    plain.viewer.layers.selection.active = plain.workspace.view.prompts.points
    plain.click(plain.image, (20, 80))
    plain.key("N")
    assert labels(plain).any()
    assert "nialp" in [str(c) for c in plain.widget.panel.image.choices]


def test_every_layer_may_be_deleted(plain):
    plain.click(plain.image, (20, 80))
    plain.key("N")
    plain.click(plain.image, (20, 80))
    view = plain.workspace.view
    prompts = view.prompts.points, view.prompts.boxes
    for layer in (*view.instances.layers, view.objects.labels, *prompts):
        plain.viewer.layers.remove(layer)
        plain.wait()
    assert not plain.workspace.session.prompts(())
    plain.widget.workspace.take_clicks()
    plain.click(plain.image, (30, 45))
    plain.key("N")
    assert labels(plain).any()
    plain.click(plain.image, (30, 45))
    assert len(plain.workspace.session.answer(()).seg) == 1
    plain.widget.panel.filters.max_area.value = "1000"
    plain.wait(lambda: not plain.widget.pictures.busy)
    plain.viewer.layers.remove(plain.image)
    plain.wait()
    assert plain.widget.workspace is None
    assert plain.widget.panel.image.value is None
    plain.move(plain.image, (30, 30))
    for key in "HJKNQUW":
        plain.key(key)
    assert all(t.severity.name == "INFO" for t in plain.told)


def test_layers_of_one_image_after_another_have_no_numbers(window, seg):
    for name in ("first", "second"):
        image = window.viewer.add_image(np.full(SHAPE, 90, np.uint8), name=name)
        if window.widget is None:
            window.open()
        window.widget.panel.image.value = image
        put(window, seg, image=image)
        window.widget.commit_all()
        window.wait(least=0.2)
    window.widget.reopen()
    found = [layer.name for layer in window.viewer.layers]
    assert not [n for n in found if "[" in n]
    assert "FastSAM objects of first" in found
    assert found.count("FastSAM objects") == 1


def test_what_prompts_pick_is_found_once_for_each_change(plain, monkeypatch):
    asked, answer = [], SliceInstances.answer

    def counted(self, prompts, options):
        asked.append((self, prompts, options))
        return answer(self, prompts, options)

    plain.key("H")  # or the instance under the cursor is asked for, too
    monkeypatch.setattr(SliceInstances, "answer", counted)
    plain.click(plain.image, (30, 30))
    for key in ("J", "K", "J", "N", "U", "Shift-U", "U", "Q"):
        plain.key(key)
    plain.widget.panel.mode.points_mode.value = "each"
    plain.click(plain.image, (20, 80))
    plain.widget.commit()
    changes = 13  # the keys, the clicks and what they commit, and the mode, of prompts there are
    assert 8 <= len(asked) <= changes
    assert labels(plain).any()


def test_a_layer_that_a_session_was_reopened_beside_is_followed_no_more(plain, tmp_path):
    plain.widget.commit_all()
    old = plain.workspace.view.objects.labels
    plain.widget.panel.file.value = tmp_path / "session.json"
    plain.widget.save()
    plain.wait(lambda: (tmp_path / "session.json").exists())
    plain.widget.reopen()
    assert plain.workspace.view.objects.labels is not old
    before = plain.workspace.session.objects.next_id
    old.selected_label = 77
    old.paint((2, 2), 77)
    assert plain.workspace.session.objects.next_id == before
    new = plain.workspace.view.objects.labels
    new.selected_label = 78
    new.paint((2, 2), 78)
    assert plain.workspace.session.objects.next_id == 79
