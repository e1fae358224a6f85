"""Instances of windows."""

from __future__ import annotations

import numpy as np
import pytest

from fastsam_plugins.segmentation import Segmentation
from tests.napari_plugin.conftest import CIRCLES, SHAPE, put


def test_layers_are_the_same_for_a_window_of_another_size(window, seg):
    window.image = window.viewer.add_image(np.full((90, 200), 90, np.uint8), name="plain")
    window.open()
    workspace = put(window, seg, part=(0, 0, SHAPE[1], SHAPE[0]))
    layers = workspace.view.instances.picture, workspace.view.instances.preview.layer
    x, y, _ = CIRCLES[3]
    part = seg[[3]]
    smaller = Segmentation.from_masks(np.stack([part.mask(0)[:50, 30:]]), scores=[0.8])
    put(window, smaller, part=(100, 30, 100 + SHAPE[1] - 30, 80))
    assert (workspace.view.instances.picture, workspace.view.instances.preview.layer) == layers
    assert np.count_nonzero(workspace.view.instances.picture.data) == smaller.areas[0]
    spot = (30 + y, 100 + x - 30)
    window.move(window.image, spot)
    assert np.count_nonzero(workspace.view.instances.preview.layer.data) == smaller.areas[0]
    assert workspace.view.instances.preview.layer.world_to_data(
        window.image.data_to_world(spot)
    ) == pytest.approx((y, x - 30))
