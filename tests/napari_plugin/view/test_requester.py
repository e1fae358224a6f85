"""What is asked of the network: images of every kind, regions, and how requests end."""

from __future__ import annotations

import gc

import numpy as np
import pytest

from fastsam_plugins import read_image
from fastsam_plugins.paths import SAMPLES
from fastsam_plugins.segmentation import Segmentation
from napari_plugin.inference.network import Network
from tests.napari_plugin.conftest import SHAPE, labels, picked, put

pytestmark = pytest.mark.timeout(600)


def test_stacks_are_segmented_slice_by_slice_linked_and_undone_across_slices(window, seg):
    stack = window.viewer.add_image(
        np.zeros((3, *SHAPE), np.uint8), name="stack", scale=(4, 0.5, 0.5), translate=(7, 3, 5)
    )
    widget = window.open()
    window.viewer.dims.set_current_step(0, 0)
    for z in range(3):
        workspace = put(window, seg, (z,))
    window.workspace = workspace
    assert workspace.image.key == (0,)
    window.click(stack, (0, 20, 80))
    window.key("N")
    window.viewer.dims.set_current_step(0, 2)
    window.wait()
    assert not workspace.view.instances.preview.layer.data.any()
    window.click(stack, (2, 30, 60))
    window.key("N")
    window.viewer.dims.set_current_step(0, 1)
    assert [bool(p.any()) for p in workspace.view.objects.labels.data] == [True, False, True]
    window.key("U")
    assert workspace.image.key == (2,), "undo goes where the step was"
    assert len(workspace.view.prompts.points.data) == 1
    window.key("U")
    window.key("U")
    window.key("U")
    assert workspace.image.key == (0,)
    assert not workspace.view.objects.labels.data.any()
    widget.panel.link.value = True
    widget.panel.buttons["Commit all"].native.click()
    assert len(np.unique(workspace.view.objects.labels.data)) == 5
    assert (workspace.view.objects.labels.data[0] == workspace.view.objects.labels.data[2]).all()
    assert np.allclose(workspace.view.objects.labels.scale, stack.scale)
    assert np.allclose(workspace.view.objects.labels.translate, stack.translate)
    assert not window.told


@pytest.mark.parametrize("kind", ["dask", "zarr", "multiscale", "channels", "16-bit"])
def test_every_kind_of_image_is_segmented_and_committed(window, kind, tmp_path):
    coins = read_image(SAMPLES / "coins.png")[..., 0]
    options = {"contrast_limits": (0, 255)}
    image = coins
    if kind == "dask":
        import dask.array as da

        image = da.from_array(np.stack([coins, coins]), chunks=(1, 128, 128))
    elif kind == "zarr":
        zarr = pytest.importorskip("zarr")
        image = zarr.open(str(tmp_path / "a.zarr"), mode="w", shape=coins.shape, dtype="u1")
        image[:] = coins
    elif kind == "multiscale":
        image, options["multiscale"] = [coins, coins[::2, ::2], coins[::4, ::4]], True
    elif kind == "channels":
        image = np.stack([coins, coins, coins // 2])
    else:
        image, options["contrast_limits"] = coins.astype(np.uint16) * 200, (0, 51000)
    layer = window.viewer.add_image(image, name=kind, **options)
    widget = window.open()
    widget.panel.advanced.imgsz.value = "320"
    if kind == "channels":
        widget.panel.layer_options.channel_axis.value = "0"
    widget.requester.segment()
    window.wait(lambda: widget.workspace is not None and widget.workspace.instances is not None)
    scene = widget.workspace.instances
    assert scene.seg.shape == coins.shape
    assert len(scene.seg) > 10
    x0, y0, x1, y1 = scene.seg.boxes[0].tolist()
    key = (0,) * (layer.ndim - 2)
    window.click(layer, (*key, (y0 + y1) / 2, (x0 + x1) / 2))
    window.key("N")
    made = widget.workspace.view.objects.labels
    assert made.data.any()
    assert made.ndim == (2 if kind == "channels" else layer.ndim)
    assert not window.told


def test_windows_look_at_full_resolution(window):
    """A large image of several levels: a look at the whole of it reads the small one."""
    coins = np.tile(read_image(SAMPLES / "coins.png"), (3, 4, 1))
    levels = [coins, coins[::4, ::4]]
    layer = window.viewer.add_image(levels, name="coins", multiscale=True)
    widget = window.open()
    widget.panel.advanced.imgsz.value = "256"
    widget.requester.segment()
    window.wait(lambda: widget.workspace is not None and widget.workspace.instances is not None)
    before = widget.workspace.instances
    widget.panel.region.region.value = "windows"
    widget.panel.tiling.overlap.value = 0.4
    widget.requester.segment()
    window.wait(lambda: widget.workspace.instances is not before)
    seg = widget.workspace.instances.seg
    assert seg.shape == coins.shape[:2]
    assert len(seg) > 1.5 * len(before.seg)
    assert len(seg) > 12 * 20
    window.click(layer, (46, 50))
    window.key("N")
    labels = widget.workspace.view.objects.labels.data
    picked = seg.select([(50, 46)], points_mode="best")
    assert np.array_equal(labels == labels[46, 50], picked.mask(0))
    assert not window.told


def test_the_field_of_view_is_segmented_where_it_is(window):
    coins = window.viewer.add_image(read_image(SAMPLES / "coins.png"), name="coins")
    widget = window.open()
    widget.panel.basic.conf.value = 0.1  # little is seen of a coin
    window.viewer.camera.zoom *= 6
    window.wait(least=0.3)
    widget.panel.region.region.value = "field of view"
    widget.requester.segment()
    window.wait(lambda: widget.workspace.instances is not None)
    scene = widget.workspace.instances
    height, width = scene.seg.shape
    assert height < 303
    assert width < 384
    x0, y0 = scene.window[:2]
    assert x0 > 0
    assert y0 > 0
    rows, columns = np.nonzero(scene.seg.mask(0))
    place = rows[len(rows) // 2] + y0, columns[len(rows) // 2] + x0
    window.click(coins, place)
    window.key("N")
    made = widget.workspace.view.objects.labels.data
    assert made.shape == (303, 384)
    assert made[int(place[0]), int(place[1])] == 1


def test_a_request_is_cancelled_for_real(window):
    import time

    window.viewer.add_image(np.tile(read_image(SAMPLES / "coins.png"), (4, 4, 1)), name="it")
    widget = window.open()
    widget.panel.advanced.imgsz.value = "320"
    widget.requester.segment()  # the network is loaded now
    window.wait(lambda: not widget.panel.cancel_button.enabled)
    widget.panel.advanced.imgsz.value = "4096"
    widget.requester.segment()
    window.wait(least=1.0)
    worker = widget.requester.requests.worker
    start = time.monotonic()
    widget.panel.cancel_button.native.click()
    window.wait(lambda: not worker.is_running, 10)
    assert time.monotonic() - start < 5
    assert not widget.panel.cancel_button.enabled


def test_no_weights_and_no_instance_are_told_in_one_line(window, tmp_path):
    window.viewer.add_image(np.zeros((64, 64), np.uint8), name="black", contrast_limits=(0, 255))
    widget = window.open()
    widget.requester.segment()
    window.wait(lambda: window.told)
    assert "no instance found" in str(window.told[-1].message)
    (tmp_path / "broken.pt").write_bytes(b"no weights")
    widget.panel.weights.value = tmp_path / "broken.pt"
    widget.requester.segment()
    window.wait(lambda: len(window.told) > 1)
    assert str(window.told[-1].message).startswith("FastSAM: ")
    assert "\n" not in str(window.told[-1].message)
    assert window.told[-1].severity.name == "WARNING"
    widget.panel.region.slices.value = "9"
    widget.panel.advanced.imgsz.value = "three"
    widget.requester.segment()
    assert "imgsz must be a number" in str(window.told[-1].message)


def test_the_viewer_closes_during_inference(window, monkeypatch):
    monkeypatch.setattr(
        "napari_plugin.view.widget.Network", Network
    )  # one of its own, loaded at once
    window.viewer.add_image(np.tile(read_image(SAMPLES / "coins.png"), (4, 4, 1)), name="it")
    widget = window.open()
    widget.panel.advanced.imgsz.value = "4096"
    widget.requester.segment()
    process = widget.network._process
    window.wait(least=2.0)
    window.viewer.close()
    window.gone = True
    window.wait(lambda: widget._closed, 10)
    window.wait(least=0.5)
    gc.collect()
    assert process.wait(10) is not None
    assert not [t for t in window.told if t.severity.name == "ERROR"]


def test_nothing_open_is_told(window):
    widget = window.open()
    for key in "HJKNQUW":
        window.key(key)
    panel = widget.panel
    buttons = [panel.segment_button, panel.save_button, panel.reopen_button]
    buttons += panel.buttons.values()
    for button in buttons:
        window.told.clear()
        button.native.click()
        (said,) = window.told
        assert said.severity.name == "INFO"
        assert str(said.message) in (
            "Open an image first", "Open the session's image first", "Segment an image first",
        )  # fmt: skip


def test_a_click_predicts_an_object_where_nothing_was_found(window):
    """The real network in its process; what it kept answers here, and J turns to another answer."""
    coins = read_image(SAMPLES / "coins.png")[..., 0]
    layer = window.viewer.add_image(coins, name="coins", contrast_limits=(0, 255))
    widget = window.open()
    widget.panel.basic.conf.value = 0.999
    widget.requester.segment()
    window.wait(lambda: widget.workspace is not None and widget.workspace.instances is not None)
    assert not len(widget.workspace.instances.seg)
    assert widget.panel.mode.predict.value, "unless it is unticked"
    window.click(layer, (105, 77))
    assert widget.panel.status.value == "1 of 1 prompts answered"
    before = widget.workspace.session.answer(widget.workspace.image.key).seg.areas[0]
    window.key("J")
    window.key("K")
    after = widget.workspace.session.answer(widget.workspace.image.key).seg.areas[0]
    assert after == before
    window.key("N")
    made = widget.workspace.view.objects.labels
    assert made.data[105, 77] > 0
    assert np.count_nonzero(made.data) == before


def rough_layer(window):
    """Squares over two coins."""
    labels = np.zeros((303, 384), np.int32)
    labels[94:148, 244:298], labels[157:219, 317:379] = 3, 4
    layer = window.viewer.add_labels(labels, name="rough")
    window.widget.panel.rough.value = layer
    return layer


def test_labels_of_a_layer_are_made_better(coins_window):
    window = coins_window
    panel, session = window.widget.panel, window.workspace.session
    layer = rough_layer(window)
    panel.every.value = True
    panel.rough_button.native.click()
    window.wait(lambda: not panel.cancel_button.enabled)
    assert panel.status.value == "2 of 2 prompts answered"
    first, second = picked(window)
    for mask, label in ((first, 3), (second, 4)):
        coin = window.workspace.instances.seg.select(
            points=[np.argwhere(layer.data == label).mean(0)[::-1]], points_mode="best"
        ).mask(0)
        rough = layer.data == label
        assert (mask & coin).sum() / (mask | coin).sum() > 0.9
        assert (rough & coin).sum() / (rough | coin).sum() < 0.9
    layer.selected_label, panel.every.value = 4, False
    panel.rough_button.native.click()
    window.wait(lambda: not panel.cancel_button.enabled)
    assert len(session.prompts(()).masks) == 1
    assert np.array_equal(picked(window)[0], second)
    window.key("U")
    assert len(picked(window)) == 2
    window.key("N")
    assert set(np.unique(labels(window))) == {0, 1, 2}
    panel.rough.value = window.workspace.view.objects.labels
    window.workspace.view.objects.labels.selected_label = 2
    panel.rough_button.native.click()
    window.wait(lambda: not panel.cancel_button.enabled)
    assert session.prompts(()).target == 2, "an object of ours is replaced by its better mask"
    assert not window.told


def test_why_labels_are_not_made_better_is_told(coins_window):
    window = coins_window
    panel = window.widget.panel

    def told():
        window.told.clear()
        panel.rough_button.native.click()
        (said,) = window.told
        return str(said.message)

    assert told() == "Choose a Labels layer: there is none yet"
    layer = rough_layer(window)
    layer.selected_label = 9
    assert told() == "Layer rough has no pixel of label 9 in this slice"
    panel.mode.predict.value = False
    assert told() == "Tick predict first: it makes the masks"
    panel.mode.predict.value = True
    seg = window.workspace.instances.seg
    put(window, Segmentation.from_masks(seg[:3].masks()))  # as from windows
    assert told().startswith("There is nothing to predict from")
    panel.image.value = window.viewer.add_image(np.zeros(SHAPE), name="another")
    assert told() == "Segment this slice first"


def test_a_session_that_is_reopened_predicts(coins_window):
    """What was segmented comes from the disk, without the picture that clicks follow."""
    window = coins_window
    window.click(window.image, (120, 271))
    window.key("N")
    window.widget.save()
    window.wait(lambda: window.told, least=0.3)
    window.told.clear()
    window.viewer.window.remove_dock_widget(window.widget.native)
    window.wait(lambda: window.widget._closed, 5)
    widget = window.open()
    widget.reopen()
    window.wait(lambda: not widget.panel.cancel_button.enabled, least=0.5)
    window.workspace = widget.workspace
    window.told.clear()
    window.click(window.image, (188, 348))
    assert picked(window)[0][188, 348]
    assert not window.told


def test_all_like_this_are_candidates_by_a_threshold(coins_window):
    window = coins_window
    panel, session = window.widget.panel, window.workspace.session
    window.click(window.image, (120, 271))
    (one,) = picked(window)
    steps = len(session.history.done)
    panel.like_button.native.click()
    window.wait(lambda: not panel.cancel_button.enabled)
    first = len(picked(window))
    assert first > 15, "coins are like a coin"
    assert panel.status.value == f"{first - 1} found like this"
    assert np.array_equal(picked(window)[0], one)
    panel.liking.threshold.value = 0.9
    fewer = len(picked(window))
    assert 1 < fewer < first
    panel.liking.threshold.value = 0.95
    panel.liking.threshold.value = 0.9
    assert len(session.history.done) == steps + 1, "one step, however often it is moved"
    panel.liking.threshold.value = 1.0
    assert len(picked(window)) == 1
    assert panel.status.value == "nothing else is like this: lower the threshold, or conf"
    panel.liking.threshold.value = 0.9
    assert len(picked(window)) == fewer
    window.key("N")
    assert len(np.unique(labels(window))) == fewer + 1
    panel.liking.threshold.value = 0.5
    assert not session.prompts(()), "it was about what is committed"
    window.move(window.image, (120, 271))
    window.key("Y")
    window.wait(lambda: not panel.cancel_button.enabled)
    assert len(picked(window)) > 0, "an object is an example too"
    window.key("N")
    assert len(np.unique(labels(window))) > fewer + 1
    window.key("U")
    window.key("U")
    window.key("U")
    assert len(picked(window)) == fewer
    window.key("U")
    assert len(picked(window)) == 1
    assert not window.told


def test_why_nothing_is_found_like_it_is_told(coins_window):
    window = coins_window
    button = window.widget.panel.like_button.native
    button.click()
    assert str(window.told[-1].message).startswith("Click an object first")
    put(window, Segmentation.from_masks(window.workspace.instances.seg[:3].masks()))
    button.click()
    assert str(window.told[-1].message).startswith("There is nothing to compare by")
