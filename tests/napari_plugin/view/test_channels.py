"""Images of several bands: wherever their axis lies, three of them are segmented as RGB."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile
from napari.components import ViewerModel
from napari.layers import Image

from fastsam_plugins import read_image
from fastsam_plugins.paths import SAMPLES
from fastsam_plugins.segmentation import Segmentation
from napari_plugin.inference.worker import SegmentedSlice, picture
from napari_plugin.model.plane import PlaneError
from napari_plugin.model.slice_instances import SliceInstances
from napari_plugin.view import channels

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


def shown(layer):
    """A viewer's model with a layer in it."""
    viewer = ViewerModel()
    viewer.add_layer(layer)
    return viewer.dims


@pytest.mark.parametrize("shear", [[0] * 6, [0, 0, 0, 0, 0, 0.2]])
def test_channels_come_first_where_they_were_in_the_world(shear):
    data = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    angle = np.eye(4)
    angle[1:3, 1:3] = [[0.8, -0.6], [0.6, 0.8]]
    place = {"translate": (1, 2, 3, 4), "rotate": angle, "shear": shear}
    layer = Image(data, scale=(2, 3, 1, 0.5), name="it", **place)
    before = layer.data_to_world((1, 2, 3, 4))
    channels.bring_first(layer, 2, shown(layer))
    assert layer.data.shape == (4, 2, 3, 5)
    assert np.shares_memory(layer.data, data)
    assert layer.data[3, 1, 2, 4] == data[1, 2, 3, 4]
    after = layer.data_to_world((3, 1, 2, 4))
    assert after == pytest.approx([before[a] for a in (2, 0, 1, 3)])
    assert channels.known_axis(layer) == 0
    if not any(shear):  # where the axes allow it, the person's own numbers stay
        assert layer.scale.tolist() == [1, 2, 3, 0.5]
        assert layer.translate.tolist() == [3, 1, 2, 4]


def test_arrays_without_views_become_lazy_ones(tmp_path):
    zarr = pytest.importorskip("zarr")
    array = zarr.open(str(tmp_path / "a.zarr"), mode="w", shape=(30, 40, 5), dtype="u1")
    array[:] = np.broadcast_to(np.arange(5, dtype=np.uint8), array.shape)
    layer = Image(array, contrast_limits=(0, 5))
    channels.bring_first(layer, 2, shown(layer))
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
        channels.check(layer, axis)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_three_bands_are_chosen_in_the_widget(window, coins, axis):
    window.viewer.add_image(bands_of(coins, axis), name="bands", rgb=False)
    widget = window.open()
    widget.panel.advanced.imgsz.value = "512"
    widget.panel.layer_options.channel_axis.value = str(axis)
    widget.panel.layer_options.layer_contrast.value = False
    widget.panel.reading.bands.value = "5,0,2"
    seen = []
    segment = widget.network.segment
    widget.network.segment = lambda pixels, *args: seen.append(pixels) or segment(pixels, *args)
    widget.panel.segment_button.native.click()
    window.wait(lambda: widget.workspace is not None and widget.workspace.instances is not None)
    expected = np.minimum(coins, 200)[..., None] + np.array([0, 10, 20], np.uint8)
    assert np.array_equal(seen[0], expected), "what the network saw"
    scene = widget.workspace.instances
    assert scene.seg.shape == coins.shape
    assert len(scene.seg) > 10
    layer = widget.workspace.image.layer
    window.viewer.dims.set_current_step(0, 6)  # whichever band is on show
    x0, y0, x1, y1 = scene.seg.boxes[0].tolist()
    widget.panel.mode.predict.value = False  # a click picks what was found
    window.click(layer, (6, (y0 + y1) / 2, (x0 + x1) / 2))
    window.key("N")
    made = widget.workspace.view.objects.labels
    assert made.data.shape == coins.shape
    assert np.array_equal(made.data == 1, scene.seg.mask(0))
    assert made.metadata["image_name"] == "bands"
    assert made.data_to_world((9, 7)) == pytest.approx(layer.data_to_world((0, 9, 7))[1:])
    moved = [t for t in window.told if "channels first now" in str(t.message)]
    assert len(moved) == (axis > 0)


PLACES = {
    "scale": {"scale": (4, 1, 0.2, 0.3), "translate": (1, 0, 5, 7)},
    "none": {},
    "turned": {"rotate": np.kron([[1, 0], [0, 0]], np.eye(2)) + np.kron(
        [[0, 0], [0, 1]], [[0.8, -0.6], [0.6, 0.8]])},
}  # fmt: skip


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES.keys())
def test_a_stack_whose_slices_have_channels_is_left_as_it_is(window, coins, place):
    stack = np.stack([bands_of(coins, 0)] * 3)  # (3, 8, H, W)
    image = window.viewer.add_image(stack, name="stack", **place)
    widget = window.open()
    dims = window.viewer.dims
    window.viewer.dims.set_current_step(0, 2)
    window.viewer.dims.set_current_step(1, 6)
    before = {n: np.array(getattr(image, n)) for n in ("scale", "translate", "rotate", "shear")}
    step, center = dims.current_step, window.viewer.camera.center
    widget.panel.advanced.imgsz.value = "512"
    widget.panel.layer_options.channel_axis.value = "1"
    widget.panel.reading.bands.value = "5,0,2"
    widget.requester.segment()
    window.wait(lambda: widget.workspace is not None and widget.workspace.instances is not None)
    window.wait(lambda: not widget.panel.cancel_button.enabled)
    assert list(widget.workspace.session.segmented) == [(2,)], "the slice that was on show"
    assert dims.current_step == step
    assert window.viewer.camera.center == center
    assert image.data is stack
    assert all(np.array_equal(getattr(image, n), v) for n, v in before.items())
    scene = widget.workspace.instances
    x0, y0, x1, y1 = scene.seg.boxes[0].tolist()
    widget.panel.mode.predict.value = False  # a click picks what was found
    window.click(image, (2, 6, (y0 + y1) / 2, (x0 + x1) / 2))
    window.key("N")
    made = widget.workspace.view.objects.labels
    assert made.data.shape == (3, 1, *coins.shape)
    assert np.array_equal(made.data[2, 0] == 1, scene.seg.mask(0))
    middle = (2, 0, (y0 + y1) / 2, (x0 + x1) / 2)
    for channel in (0, 4, 7):  # it lies over all of them
        dims.set_current_step(1, channel)
        window.wait()
        assert made.get_value(made.data_to_world(middle), world=True) == 1
        assert np.count_nonzero(made._slice.image.raw) == scene.seg.areas[0]
        world = np.array(image.data_to_world((2, channel, 0, 0)))
        assert np.allclose(np.rint(made.world_to_data(world)), 0 * world + [2, 0, 0, 0])
    widget.panel.region.slices.value = "all"
    widget.requester.segment()
    window.wait(lambda: len(widget.workspace.session.segmented) == 3)
    window.wait(lambda: not widget.panel.cancel_button.enabled)
    widget.commit_all()
    assert all(plane.any() for plane in made.data)
    widget.workspace.actions.undo()
    widget.workspace.actions.undo()
    assert not made.data.any()


def test_files_of_labels_over_all_channels_have_no_axis_of_channels(window, coins, tmp_path):
    stack = np.zeros((2, 3, 40, 50), np.uint8)
    window.viewer.add_image(stack, name="stack")
    widget = window.open()
    widget.panel.layer_options.channel_axis.value = "1"
    seg = Segmentation.from_masks([np.pad(np.ones((9, 9), bool), ((9, 22), (20, 21)))])
    plane = widget.requester.plane(widget.panel.image.value)
    workspace = widget._open(widget.panel.image.value, plane)
    scene = SliceInstances(seg, (0, 0, 50, 40), (40, 50), "d")
    widget.requester.answered(workspace, SegmentedSlice((1,), scene, picture(scene)))
    widget.commit_all()
    made = workspace.view.objects.labels
    made.save(str(tmp_path / "it.tif"), plugin="fastsam-plugins")
    made.save(str(tmp_path / "it.geojson"), plugin="fastsam-plugins")
    made.save(str(tmp_path / "it.csv"), plugin="fastsam-plugins")
    labels = tifffile.imread(tmp_path / "it.tif")
    assert labels.shape == (2, 40, 50)
    assert np.array_equal(labels, made.data[:, 0])
    (feature,) = json.loads((tmp_path / "it.geojson").read_text())["features"]
    assert feature["geometry"]["plane"] == {"c": -1, "z": 1, "t": 0}
    assert "stack" in (tmp_path / "it.csv").read_text()


def test_a_session_with_channels_is_reopened(window):
    stack = np.zeros((2, 3, 40, 50), np.uint8)
    window.viewer.add_image(stack, name="stack", metadata={"channel_axis": 1})
    widget = window.open()
    seg = Segmentation.from_masks([np.pad(np.ones((9, 9), bool), ((9, 22), (20, 21)))])
    workspace = widget._open(
        widget.panel.image.value, widget.requester.plane(widget.panel.image.value)
    )
    scene = SliceInstances(seg, (0, 0, 50, 40), (40, 50), "d")
    widget.requester.answered(workspace, SegmentedSlice((1,), scene, picture(scene)))
    widget.commit_all()
    before = workspace.view.objects.labels.data.copy()
    window.viewer.layers.clear()
    window.viewer.add_image(stack, name="stack", metadata={"channel_axis": 1})
    widget.reopen()
    assert np.array_equal(widget.workspace.view.objects.labels.data, before)


@pytest.mark.parametrize("shown_channel", [0, 1])
def test_of_two_channels_the_one_that_is_shown_is_segmented(window, coins, shown_channel):
    both = np.stack([coins, np.ascontiguousarray(coins[::-1])])
    window.viewer.add_image(both, name="two", metadata={"channel_axis": 0})
    widget = window.open()
    window.viewer.dims.set_current_step(0, shown_channel)
    seen = []
    segment = widget.network.segment
    widget.network.segment = lambda pixels, *args: seen.append(pixels) or segment(pixels, *args)
    widget.panel.layer_options.layer_contrast.value = False
    widget.requester.segment()
    window.wait(lambda: widget.workspace is not None and widget.workspace.instances is not None)
    assert np.array_equal(seen[0], np.repeat(both[shown_channel][..., None], 3, 2))
    assert f"channel {shown_channel} of two" in str(window.told[-1].message)


def test_a_stack_with_channels_last_keeps_its_slice(window, coins):
    stack = np.moveaxis(np.stack([bands_of(coins, 0)] * 3), 1, -1)  # (3, H, W, 8)
    image = window.viewer.add_image(stack, name="stack", scale=(4, 0.2, 0.3, 1), rgb=False)
    widget = window.open()
    window.viewer.dims.set_current_step(0, 2)
    widget.panel.advanced.imgsz.value = "512"
    widget.panel.layer_options.channel_axis.value = "3"
    widget.panel.reading.bands.value = "5,0,2"
    widget.requester.segment()
    window.wait(lambda: widget.workspace is not None and widget.workspace.instances is not None)
    assert list(widget.workspace.session.segmented) == [(2,)]
    assert image.scale.tolist() == [1, 4, 0.2, 0.3]
    assert image.data.shape == (8, 3, *coins.shape)
    assert np.shares_memory(image.data, stack)


def test_an_axis_that_the_layer_names_is_filled_in(window, coins):
    gray = window.viewer.add_image(coins, name="gray")
    bands = window.viewer.add_image(
        bands_of(coins, 0), name="bands", metadata={"channel_axis": 0}, rgb=False
    )
    widget = window.open()
    widget.panel.image.value = bands
    assert widget.panel.layer_options.read().channel_axis == 0
    widget.panel.image.value = gray
    assert widget.panel.layer_options.read().channel_axis is None
    widget.panel.layer_options.channel_axis.value = "0"
    widget.requester.segment()
    assert "leave channel axis empty" in str(window.told[-1].message)
