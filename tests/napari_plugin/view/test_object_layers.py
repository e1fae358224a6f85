"""Where objects are committed into."""

from __future__ import annotations

import numpy as np
import pytest

from napari_plugin.view import layers as names
from tests.napari_plugin.conftest import SHAPE, put

pytestmark = pytest.mark.timeout(600)


def test_a_labels_layer_that_is_there_may_be_committed_into(plain):
    own = np.zeros(SHAPE, np.uint16)
    own[:4, :4] = 6
    mine = plain.viewer.add_labels(own, name="mine")
    small = plain.viewer.add_labels(np.zeros((3, 3), int), name="small")
    assert names.PREVIEW not in str(plain.widget.panel.objects.choices)
    plain.widget.panel.objects.value = small
    assert "does not fit" in str(plain.told[-1].message)
    assert plain.widget.panel.objects.value is None
    plain.widget.panel.objects.value = mine
    plain.viewer.layers.selection.active = plain.workspace.view.prompts.points
    plain.click(plain.image, (20, 80))
    plain.key("N")
    assert set(np.unique(mine.data)) == {0, 6, 7}
    assert plain.workspace.view.objects.labels is mine
    # Painted by hand: that label is not given again.
    mine.selected_label = 30
    mine.paint((50, 50), 30)
    plain.click(plain.image, (30, 60))
    plain.key("N")
    assert set(np.unique(mine.data)) == {0, 6, 7, 30, 31}


def test_a_labels_layer_may_be_chosen_before_there_is_anything_to_commit(window, seg):
    first = window.viewer.add_image(np.full(SHAPE, 90, np.uint8), name="first")
    mine = window.viewer.add_labels(np.zeros(SHAPE, int), name="mine")
    small = window.viewer.add_labels(np.zeros((3, 3), int), name="small")
    widget = window.open()
    widget.panel.objects.value = mine
    workspace = put(window, seg, image=first)
    assert workspace.view.objects.labels is mine
    second = window.viewer.add_image(np.full(SHAPE, 90, np.uint8), name="second")
    widget.panel.image.value = second
    assert widget.panel.objects.value is None, "another image, another layer"
    widget.panel.objects.value = small
    workspace = put(window, seg, image=second)
    assert workspace.view.objects.labels is None
    assert widget.panel.objects.value is None
    assert "Layer small does not fit second" in str(window.told[-1].message)


def test_files_of_objects_name_the_image(window, seg, tmp_path):
    from PIL import Image

    path = tmp_path / "plate7.png"
    Image.fromarray(np.full(SHAPE, 90, np.uint8)).save(path)
    (image,) = window.viewer.open(str(path), plugin="napari")
    image.name = "renamed"
    mine = window.viewer.add_labels(np.zeros(SHAPE, int), name="mine")
    widget = window.open()
    workspace = put(window, seg, image=image)
    widget.commit_all()
    workspace.view.objects.labels.save(str(tmp_path / "it.csv"), plugin="fastsam-plugins")
    assert "plate7.png" in (tmp_path / "it.csv").read_text()
    widget.panel.objects.value = mine
    widget.commit_all()
    mine.save(str(tmp_path / "mine.csv"), plugin="fastsam-plugins")
    assert "plate7.png" in (tmp_path / "mine.csv").read_text()
    widget.panel.policy.value = "Shapes polygons"
    widget.commit_all()
    workspace.view.objects.polygons.save(str(tmp_path / "it.geojson"), plugin="fastsam-plugins")
    assert "plate7.png" in (tmp_path / "it.geojson").read_text()
