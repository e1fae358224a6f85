"""Labels of a layer as rough masks: those there are, and why there are none."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Image, Labels

from fastsam_plugins.masks import runs as R
from napari_plugin.model.painting import SessionError
from napari_plugin.model.plane import Plane
from napari_plugin.view.rough_labels import rough_masks
from napari_plugin.view.shown_image import ShownImage

SHAPE = 60, 100


def drawn(shape=SHAPE):
    labels = np.zeros(shape, np.int32)
    labels[..., 10:20, 30:50] = 3
    labels[..., 40:45, 70:90] = 7
    return labels


def ends(bitmap):
    return tuple(R.from_bitmap(bitmap).ravel().tolist())


@pytest.fixture
def image():
    return ShownImage(None, Image(np.zeros(SHAPE), name="cells"), Plane(0, 1, 2))


def test_the_selected_label_or_every_one(image):
    layer = Labels(drawn(), name="rough")
    layer.selected_label = 7
    assert rough_masks(layer, image, (), False) == {7: ends(drawn() == 7)}
    assert rough_masks(layer, image, (), True) == {n: ends(drawn() == n) for n in (3, 7)}


def test_slices_channels_and_levels():
    stack = ShownImage(
        None, Image(np.zeros((4, *SHAPE)), scale=(3, 0.5, 0.5), translate=(1, 2, 3)), Plane(1, 2, 3)
    )
    labels = drawn((4, *SHAPE))
    labels[1] = 0
    layer = Labels(labels, scale=(3, 0.5, 0.5), translate=(1, 2, 3))
    assert rough_masks(layer, stack, (2,), True) == {n: ends(drawn() == n) for n in (3, 7)}
    with pytest.raises(SessionError, match="has no label in this slice"):
        rough_masks(layer, stack, (1,), True)
    bands = ShownImage(None, Image(np.zeros((5, *SHAPE)), rgb=False), Plane(1, 2, 3, 0))
    assert set(rough_masks(Labels(drawn()), bands, (), True)) == {3, 7}
    levels = Labels([drawn(), drawn()[::2, ::2]], multiscale=True)
    flat = ShownImage(None, Image(np.zeros(SHAPE)), Plane(0, 1, 2))
    assert set(rough_masks(levels, flat, (), True)) == {3, 7}


@pytest.mark.parametrize(
    ("layer", "selected", "every", "message"),
    [
        (None, 1, False, "choose a Labels layer: there is none yet"),
        (Labels(drawn((50, 100)), name="rough"), 3, True, r"has shape \(50, 100\), the lab"),
        (Labels(drawn(), name="rough", scale=(2, 2)), 3, True, "lies elsewhere than cells"),
        (Labels(drawn(), name="rough", translate=(0, 3)), 3, True, "lies elsewhere than cells"),
        (Labels(drawn(), name="rough"), 5, False, "has no pixel of label 5 in this slice"),
        (Labels(drawn(), name="rough"), 0, False, "label 0 of rough is its background"),
        (Labels(drawn() * 0, name="rough"), 1, True, "layer rough has no label in this slice"),
    ],
)  # fmt: skip
def test_why_there_are_none_is_told_in_one_line(image, layer, selected, every, message):
    if layer is not None:
        layer.selected_label = selected
    with pytest.raises(SessionError, match=message) as error:
        rough_masks(layer, image, (), every)
    assert "\n" not in str(error.value)
