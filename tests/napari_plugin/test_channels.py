"""Images of several bands: wherever their axis lies, three of them are segmented as RGB."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Image

from fastsam_plugins import read_image
from fastsam_plugins.demo import SAMPLES
from napari_plugin import channels
from napari_plugin.geometry import PlaneError

BANDS = 8


@pytest.fixture(scope="module")
def coins():
    return read_image(SAMPLES / "coins.png")[..., 0]


def bands_of(coins, axis):
    """Noise in all bands but 5, 0 and 2, which are the coins, a coin's shade lighter each."""
    rng = np.random.default_rng(0)
    bands = rng.integers(0, 255, (BANDS, *coins.shape), dtype=np.uint8)
    for k, band in enumerate((5, 0, 2)):
        bands[band] = np.minimum(coins, 200) + 10 * k
    return np.moveaxis(bands, 0, axis)


def test_channels_come_first_where_they_were_in_the_world():
    data = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    angle = np.eye(4)
    angle[1:3, 1:3] = [[0.8, -0.6], [0.6, 0.8]]
    layer = Image(data, scale=(2, 3, 1, 0.5), translate=(1, 2, 3, 4), rotate=angle, name="it")
    before = layer.data_to_world((1, 2, 3, 4))
    assert channels.bring_first(layer, 2)
    assert layer.data.shape == (4, 2, 3, 5)
    assert np.shares_memory(layer.data, data)
    assert layer.data[3, 1, 2, 4] == data[1, 2, 3, 4]
    after = layer.data_to_world((3, 1, 2, 4))
    assert after == pytest.approx([before[a] for a in (2, 0, 1, 3)])
    assert channels.known_axis(layer) == 0
    assert not channels.bring_first(layer, 0)
    assert layer.data.shape == (4, 2, 3, 5)


def test_arrays_without_views_become_lazy_ones(tmp_path):
    zarr = pytest.importorskip("zarr")
    array = zarr.open(str(tmp_path / "a.zarr"), mode="w", shape=(30, 40, 5), dtype="u1")
    array[:] = np.broadcast_to(np.arange(5, dtype=np.uint8), array.shape)
    layer = Image(array, contrast_limits=(0, 5))
    channels.bring_first(layer, 2)
    assert layer.data.shape == (5, 30, 40)
    assert (np.asarray(layer.data[3]) == 3).all()


@pytest.mark.parametrize(
    ("shape", "axis", "words"),
    [
        ((30, 40), 0, "no axes but rows and columns"),
        ((30, 40, 3), 0, "no axes but its colours"),
        ((2, 30, 40), 3, "counted from 0 to 2, got 3"),
    ],
)
def test_what_cannot_be_an_axis_of_channels_is_told(shape, axis, words):
    layer = Image(np.zeros(shape, np.uint8), name="it", rgb=shape[-1] == 3)
    with pytest.raises(PlaneError, match=words):
        channels.bring_first(layer, axis)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_three_bands_are_chosen_in_the_widget(window, coins, axis):
    window.viewer.add_image(bands_of(coins, axis), name="bands", rgb=False)
    widget = window.open()
    widget.advanced.imgsz.value = "512"
    widget.layer_options.channel_axis.value = str(axis)
    widget.layer_options.layer_contrast.value = False
    widget.reading.bands.value = "5,0,2"
    seen = []
    segment = widget.network.segment
    widget.network.segment = lambda pixels, *args: seen.append(pixels) or segment(pixels, *args)
    widget.segment_button.native.click()
    window.wait(lambda: widget.now is not None and widget.now.scene is not None)
    expected = np.minimum(coins, 200)[..., None] + np.array([0, 10, 20], np.uint8)
    assert np.array_equal(seen[0], expected), "what the network saw"
    scene = widget.now.scene
    assert scene.seg.shape == coins.shape
    assert len(scene.seg) > 10
    layer = widget.now.image
    window.viewer.dims.set_current_step(0, 6)  # whichever band is on show
    x0, y0, x1, y1 = scene.seg.boxes[0].tolist()
    window.click(layer, (6, (y0 + y1) / 2, (x0 + x1) / 2))
    window.key("N")
    made = widget.now.objects
    assert made.data.shape == coins.shape
    assert np.array_equal(made.data == 1, scene.seg.mask(0))
    assert made.data_to_world((9, 7)) == pytest.approx(layer.data_to_world((0, 9, 7))[1:])
    assert [t for t in window.told if "channels first now" in str(t.message)] == (
        window.told if axis else []
    )


def test_a_stack_whose_slices_have_channels(window, coins):
    stack = np.stack([bands_of(coins, 0)] * 2)  # (2, 8, H, W)
    window.viewer.add_image(stack, name="stack")
    widget = window.open()
    widget.advanced.imgsz.value = "512"
    widget.layer_options.channel_axis.value = "1"
    widget.reading.bands.value = "5,0,2"
    widget.region.slices.value = "all"
    widget.segment()
    window.wait(lambda: widget.now is not None and len(widget.now.session.scenes) == 2)
    window.wait(lambda: not widget.cancel_button.enabled)
    widget.commit_all()
    assert widget.now.objects.data.shape == (2, *coins.shape)
    assert all(plane.any() for plane in widget.now.objects.data)


def test_an_axis_that_the_layer_names_is_filled_in(window, coins):
    gray = window.viewer.add_image(coins, name="gray")
    bands = window.viewer.add_image(
        bands_of(coins, 0), name="bands", metadata={"channel_axis": 0}, rgb=False
    )
    widget = window.open()
    widget.image.value = bands
    assert widget.layer_options.read().channel_axis == 0
    widget.image.value = gray
    assert widget.layer_options.read().channel_axis is None
    widget.layer_options.channel_axis.value = "0"
    widget.segment()
    assert "leave channel axis empty" in str(window.told[-1].message)
