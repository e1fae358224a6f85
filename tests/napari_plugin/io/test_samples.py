"""samples.py as napari opens them, and segmented."""

from __future__ import annotations

import numpy as np
import pytest

components = pytest.importorskip("napari.components", reason="napari is not installed")

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize(
    ("key", "name", "rgb", "least"),
    [
        ("nuclei", "nuclei (drawn)", False, 50),
        ("coins", "coins", False, 20),
        ("aerial", "roofs from above (drawn)", True, 20),
    ],
)
def test_samples_open_and_have_something_to_find(key, name, rgb, least, model):
    viewer = components.ViewerModel()
    (layer,) = viewer.open_sample("fastsam-plugins", key)
    assert (layer.name, layer.rgb) == (name, rgb)
    assert layer.data.dtype == np.uint8
    assert min(layer.data.shape[:2]) > 300
    assert len(model.segment(layer.data, conf=0.25)) >= least


def test_what_is_drawn_says_so(plugins):
    names = {s.key: s.display_name for _, found in plugins.iter_sample_data() for s in found}
    assert "drawn" in names["nuclei"]
    assert "drawn" in names["aerial"]
