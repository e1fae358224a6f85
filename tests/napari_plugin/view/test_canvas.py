"""Clicks, whatever is selected."""

from __future__ import annotations

import numpy as np
import pytest

pytestmark = pytest.mark.timeout(600)


@pytest.mark.parametrize("active", ["image", "objects", "instances", "none", "deleted"])
def test_clicks_work_whatever_layer_is_active(plain, active):
    plain.widget.commit_all()
    if active == "deleted":
        plain.viewer.layers.remove(plain.workspace.view.prompts.points)
        plain.viewer.layers.remove(plain.workspace.view.prompts.boxes)
    layer = {
        "image": plain.image,
        "objects": plain.workspace.view.objects.labels,
        "instances": plain.workspace.view.instances.picture,
    }
    if active == "none":
        plain.viewer.layers.selection.clear()
    elif active in layer:
        plain.viewer.layers.selection.active = layer[active]
    plain.wait()
    plain.click(plain.image, (20, 80))
    assert len(plain.workspace.session.prompts(()).points) == 1
    assert len(plain.workspace.view.prompts.points.data) == 1
    assert (
        np.count_nonzero(plain.workspace.view.instances.preview.layer.data)
        == plain.workspace.instances.seg.areas[3]
    )


def test_hand_tools_of_napari_are_left_alone(plain):
    plain.widget.commit_all()
    plain.viewer.layers.selection.active = plain.workspace.view.objects.labels
    plain.workspace.view.objects.labels.mode = "paint"
    plain.click(plain.image, (58, 2))
    assert not plain.workspace.session.prompts(())
