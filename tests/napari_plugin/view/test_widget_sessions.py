"""Sessions that are saved and gone on with, in a real window."""

from __future__ import annotations

import json

import numpy as np
import pytest

from fastsam_plugins import read_image
from fastsam_plugins.paths import SAMPLES
from napari_plugin.view.panel import chosen_path
from tests.napari_plugin.conftest import SHAPE, labels

pytestmark = pytest.mark.timeout(600)


def test_autosave_and_reopening(plain):
    plain.click(plain.image, (20, 80))
    plain.key("N")
    plain.click(plain.image, (30, 60))
    path = plain.widget.workspace.saver.path
    plain.wait(lambda: path.is_file() and json.loads(path.read_text())["prompts"])
    assert json.loads(path.read_text())["labels"].keys() == {""}
    before = labels(plain).copy()
    plain.viewer.layers.clear()
    plain.image = plain.viewer.add_image(np.full(SHAPE, 90, np.uint8), name="plain")
    plain.widget.panel.file.value = path
    plain.widget.panel.reopen_button.native.click()
    plain.wait()
    plain.workspace = plain.widget.workspace
    assert np.array_equal(labels(plain), before)
    assert plain.workspace.view.prompts.points.data.tolist() == [pytest.approx((30, 60), abs=0.5)]
    plain.viewer.layers.clear()
    plain.viewer.add_image(np.zeros((9, 9)), name="other")
    plain.widget.panel.file.value = path
    plain.widget.panel.reopen_button.native.click()
    assert "is of plain" in str(plain.told[-1].message)


def test_the_session_that_is_reopened_is_the_one_that_was_chosen(plain, tmp_path):
    plain.click(plain.image, (20, 80))
    plain.key("N")
    usual = plain.widget.workspace.saver.path
    plain.wait(lambda: usual.is_file() and json.loads(usual.read_text())["objects"])
    chosen = tmp_path / "chosen.json"
    plain.widget.panel.file.value = chosen
    plain.widget.save()
    plain.wait(chosen.is_file)
    plain.key("U")
    plain.wait(lambda: not json.loads(usual.read_text())["objects"])
    plain.viewer.layers.clear()
    plain.viewer.add_image(np.full(SHAPE, 90, np.uint8), name="plain")
    plain.widget.reopen()
    assert plain.widget.workspace.view.objects.labels.data.any()
    plain.viewer.layers.clear()
    plain.widget.panel.file.value = None
    plain.viewer.add_image(np.full(SHAPE, 90, np.uint8), name="plain")
    plain.widget.reopen()
    assert chosen_path(plain.widget.panel.file) == usual
    assert not plain.widget.workspace.view.objects.labels.data.any()
    plain.widget.panel.file.value = tmp_path / "none.json"
    plain.widget.reopen()
    assert "Cannot read" in str(plain.told[-1].message)


def test_reopening_brings_what_was_segmented_back_without_the_network(window):
    image = read_image(SAMPLES / "coins.png")
    window.viewer.add_image(image, name="coins")
    widget = window.open()
    widget.requester.segment()
    window.wait(lambda: widget.workspace.instances is not None)
    found = widget.workspace.instances.seg.labels()
    widget.commit_all()
    window.wait(lambda: not widget.workspace.saver._busy)
    path = widget.workspace.saver.path
    window.viewer.layers.clear()
    window.viewer.add_image(image, name="coins")
    widget.network.asked = False
    widget.panel.file.value = path
    widget.reopen()
    window.wait(lambda: widget.workspace.instances is not None)
    assert np.array_equal(widget.workspace.instances.seg.labels(), found)
    assert not widget.network.asked
