"""The whole plugin in a real window: real mouse events, real keys, real OpenGL."""

from __future__ import annotations

import gc
import json

import numpy as np
import pytest

from fastsam_plugins import read_image
from fastsam_plugins.demo import SAMPLES
from napari_plugin import display as names
from napari_plugin import layers
from napari_plugin.network import Network
from napari_plugin.panel import chosen_path
from napari_plugin.scene import Scene
from napari_plugin.worker import Found, picture
from tests.napari_plugin.conftest import SHAPE

pytestmark = pytest.mark.timeout(600)


def put(window, seg, key=(), image=None, part=None):
    """What the network would have found, in a slice."""
    widget = window.widget
    image = image or widget.image.value
    from napari_plugin import geometry

    plane = geometry.shown_plane(image, window.viewer.dims)
    now = widget._open(image, plane).annotation
    height, width = now.shape
    scene = Scene(seg, part or (0, 0, width, height), now.shape, "digest").filtered(
        widget.filters.read()
    )
    widget._answered(now, Found(key, scene, picture(scene)))
    window.wait()
    return now


@pytest.fixture
def plain(window, seg):
    """A gray image with four instances, segmented."""
    window.image = window.viewer.add_image(np.full(SHAPE, 90, np.uint8), name="plain")
    window.open()
    window.now = put(window, seg)
    return window


def labels(window):
    return window.now.objects.data


def test_the_manifest_offers_widget_menus_and_preferences():
    from npe2 import PluginManager, PluginManifest

    from fastsam_plugins.options import parameters
    from napari_plugin.preferences import PAGE, Preferences

    manifest = PluginManifest.from_distribution("fastsam-plugins")
    manifest.validate_imports()
    menus = manifest.contributions.menus
    assert {"napari/layers/segment", "napari/layers/annotate"} <= menus.keys()
    assert PluginManager is not None
    page = manifest.contributions.configurations[PAGE].properties
    for p in parameters(Preferences):
        shown = page[p.name]
        assert (shown.default, shown.description) == (p.default, p.help)
        assert (shown.minimum, shown.maximum) == (p.ge, p.le)


def test_the_widget_begins_with_the_preferences(window, monkeypatch, tmp_path):
    from napari import settings

    from napari_plugin.preferences import PAGE, PLUGIN

    if not hasattr(settings, "get_plugin_settings"):
        pytest.skip("this napari has no page of preferences for plugins")
    page = getattr(settings.get_plugin_settings(PLUGIN), PAGE)
    wanted = {"model": "FastSAM-s", "device": "cpu", "hover": False, "folder": str(tmp_path)}
    for name, value in wanted.items():
        monkeypatch.setattr(page, name, value)
    image = window.viewer.add_image(np.zeros(SHAPE, np.uint8), name="it")
    widget = window.open()
    assert (widget.model_name(), widget.device.value) == ("FastSAM-s", "cpu")
    opened = widget._open(image, widget._plane(image))
    assert not opened.annotation.hover
    assert tmp_path in opened.saver.path.parents


def test_segment_click_hover_commit_undo_on_a_real_image(window):
    """The bundled network in its own process, from the button to the label image."""
    coins = window.viewer.add_image(read_image(SAMPLES / "coins.png"), name="coins")
    widget = window.open()
    widget.basic.conf.value = 0.25
    widget.segment_button.native.click()
    assert widget.cancel_button.enabled
    window.wait(lambda: widget.now is not None and widget.now.scene is not None)
    scene = widget.now.scene
    assert widget.status.value == f"{len(scene.seg)} instances"
    assert len(scene.seg) > 20
    window.wait(lambda: not widget.cancel_button.enabled)

    middle = 52, 216
    coin = scene.seg.select(points=[(middle[1] + 0.5, middle[0] + 0.5)], points_mode="best")
    assert len(coin) == 1
    before = window.pixels()
    window.move(coins, middle)
    hovered = window.pixels()
    assert (before != hovered).any(-1).sum() > 200, "the coin under the cursor lights up"
    window.click(coins, middle)
    assert widget.now.points.data.tolist() == [pytest.approx(middle, abs=1)]
    assert (window.pixels() != hovered).any(-1).sum() > 200
    window.key("N")
    assert set(np.unique(widget.now.objects.data)) == {0, 1}
    assert np.array_equal(widget.now.objects.data > 0, coin.mask(0))
    assert len(widget.now.points.data) == 0
    window.key("U")
    assert not widget.now.objects.data.any()
    assert len(widget.now.points.data) == 1
    assert not window.told


def test_buttons_of_the_mouse_say_foreground_and_background(plain):
    plain.click(plain.image, (30, 30))
    plain.click(plain.image, (30, 15), "RightButton")
    prompts = plain.now.session.prompts(())
    assert prompts.labels == (1, 0)
    assert prompts.points[0] == pytest.approx((30.5, 30.5), abs=0.3)
    assert plain.now.session.answer(()).rows.tolist() == [1], "the large disk is vetoed"
    colors = plain.now.points.face_color
    assert colors[0].tolist() == [0, 1, 0, 1]
    assert colors[1].tolist() == [1, 0, 0, 1]
    plain.click(plain.image, (20, 80), modifiers="ControlModifier")
    assert plain.now.session.prompts(()).labels == (1, 0, 0)


def test_a_drag_moves_the_view_and_is_no_prompt(plain):
    start = plain.at(plain.image, (30, 30))
    end = plain.at(plain.image, (40, 60))
    center = plain.viewer.camera.center
    plain.mouse("MouseMove", start)
    plain.mouse("MouseButtonPress", start, "LeftButton")
    plain.wait()
    plain.mouse("MouseMove", end, "NoButton", "LeftButton")
    plain.mouse("MouseButtonRelease", end, "LeftButton", "NoButton")
    plain.wait()
    assert not plain.now.session.prompts(())
    assert plain.viewer.camera.center != center


def test_clicks_that_pick_nothing_say_so(plain):
    plain.click(plain.image, (2, 2))
    assert "No instance here" in str(plain.told[-1].message)
    plain.key("N")
    assert "Nothing to commit" in str(plain.told[-1].message)
    assert plain.now.objects is None, "and no empty layer is made"


def test_keys_cycle_commit_go_back_and_delete(plain):
    plain.click(plain.image, (30, 30))
    rows = lambda: plain.now.session.answer(()).rows.tolist()  # noqa: E731
    assert rows() == [0]
    plain.key("J")
    assert rows() == [1]
    plain.key("K")
    assert rows() == [0]
    plain.key("N")
    assert (labels(plain) == 1).sum() == plain.now.scene.seg.areas[0]
    plain.move(plain.image, (30, 45))
    plain.key("W")
    assert plain.now.session.prompts(()).target == 1
    plain.key("J")
    plain.key("N")
    assert (labels(plain) == 1).sum() == plain.now.scene.seg.areas[1]
    plain.move(plain.image, (30, 30))
    plain.key("Shift-W")
    assert not labels(plain).any()
    for _ in range(20):
        plain.key("U")
    assert not plain.now.session.prompts(())
    for _ in range(20):
        plain.key("Shift-U")
    assert not labels(plain).any()
    assert plain.now.session.objects.next_id == 2
    plain.click(plain.image, (20, 80))
    plain.key("Q")
    assert len(plain.now.points.data) == 0


def test_hover_can_be_turned_off(plain):
    plain.move(plain.image, (30, 45))
    layer = plain.now.preview.layer
    assert (layer.data == layers.HOVER).sum() == plain.now.scene.seg.areas[0]
    plain.move(plain.image, (2, 95))
    assert not layer.data.any()
    plain.key("H")
    plain.move(plain.image, (30, 45))
    assert not layer.data.any()


def test_hovering_leaves_what_is_picked_as_it_was(plain):
    plain.click(plain.image, (30, 60))
    picked = plain.now.preview.layer.data.copy()
    assert picked.any()
    for place in ((30, 20), (20, 80), (30, 30), (2, 95)):
        plain.move(plain.image, place)
    assert np.array_equal(plain.now.preview.layer.data, picked)


def test_boxes_are_drawn_with_napari_s_own_tool(plain):
    boxes = plain.now.boxes
    plain.viewer.layers.selection.active = boxes
    boxes.mode = "add_rectangle"
    start, end = plain.at(plain.image, (8, 68)), plain.at(plain.image, (32, 92))
    plain.mouse("MouseMove", start)
    plain.mouse("MouseButtonPress", start, "LeftButton")
    for share in (0.3, 0.6, 1.0):
        at = start + (end - start) * share
        plain.wait()
        plain.mouse("MouseMove", at, "NoButton", "LeftButton")
    plain.mouse("MouseButtonRelease", end, "LeftButton", "NoButton")
    plain.wait()
    ((x0, y0, x1, y1),) = plain.now.session.prompts(()).boxes
    assert (x0, y0, x1, y1) == pytest.approx((68.5, 8.5, 92.5, 32.5), abs=0.5)
    assert plain.now.session.answer(()).rows.tolist() == [3]
    plain.key("N")
    assert np.array_equal(labels(plain) > 0, plain.now.scene.seg.mask(3))
    assert len(boxes.data) == 0


def test_points_are_moved_and_deleted_with_napari_s_own_tools(plain):
    plain.click(plain.image, (30, 30))
    points = plain.now.points
    points.data = np.array([[20.0, 80.0]])
    assert plain.now.session.prompts(()).points == ((80.5, 20.5),)
    points.selected_data = {0}
    points.remove_selected()
    assert not plain.now.session.prompts(())
    plain.key("U")
    assert points.data.tolist() == [[20, 80]]


def test_several_objects_in_one_go_and_all_of_them(plain):
    plain.widget.mode.points_mode.value = "each"
    plain.click(plain.image, (20, 80))
    plain.click(plain.image, (45, 30))
    assert set(np.unique(plain.now.preview.layer.data)) - {layers.HOVER} == {0, 1, 2}
    plain.widget.buttons["Commit"].native.click()
    assert set(np.unique(labels(plain))) == {0, 1, 2}
    plain.widget.buttons["Undo"].native.click()
    plain.widget.buttons["Clear"].native.click()
    plain.widget.buttons["Commit all"].native.click()
    assert len(np.unique(labels(plain))) == 5
    features = plain.now.objects.features
    assert features["area"].tolist()[1:] == [
        int((labels(plain) == i).sum()) for i in features["index"].tolist()[1:]
    ]
    assert sorted(features["score"].tolist()[1:]) == pytest.approx([0.5, 0.7, 0.8, 0.9])


def test_polygons_are_committed_as_shapes_and_undone(plain):
    plain.widget.policy.value = "Shapes polygons"
    plain.click(plain.image, (20, 80))
    plain.key("N")
    (polygon,) = plain.now.polygons.data
    assert polygon.mean(0) == pytest.approx((19.5, 79.5), abs=0.7)
    assert plain.now.polygons.features["area"].tolist() == [plain.now.scene.seg.areas[3]]
    plain.key("U")
    assert len(plain.now.polygons.data) == 0
    assert plain.now.objects is None


def test_a_labels_layer_that_is_there_may_be_committed_into(plain):
    own = np.zeros(SHAPE, np.uint16)
    own[:4, :4] = 6
    mine = plain.viewer.add_labels(own, name="mine")
    small = plain.viewer.add_labels(np.zeros((3, 3), int), name="small")
    assert names.PREVIEW not in str(plain.widget.objects.choices)
    plain.widget.objects.value = small
    assert "does not fit" in str(plain.told[-1].message)
    assert plain.widget.objects.value is None
    plain.widget.objects.value = mine
    plain.viewer.layers.selection.active = plain.now.points
    plain.click(plain.image, (20, 80))
    plain.key("N")
    assert set(np.unique(mine.data)) == {0, 6, 7}
    assert plain.now.objects is mine
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
    widget.objects.value = mine
    now = put(window, seg, image=first)
    assert now.objects is mine
    second = window.viewer.add_image(np.full(SHAPE, 90, np.uint8), name="second")
    widget.image.value = second
    assert widget.objects.value is None, "another image, another layer"
    widget.objects.value = small
    now = put(window, seg, image=second)
    assert now.objects is None
    assert widget.objects.value is None
    assert "Layer small does not fit second" in str(window.told[-1].message)


def test_filters_are_live_and_the_table_follows(plain):
    native = plain.widget.table._table.native
    assert native.rowCount() == 4
    plain.widget.filters.max_area.value = "1000"
    assert [native.isRowHidden(i) for i in range(4)] == [True, False, False, False]
    plain.wait(lambda: not plain.widget.pictures.busy)
    assert set(np.unique(plain.now.instances.data)) == {0, 2, 3, 4}
    plain.move(plain.image, (30, 15))
    assert not plain.now.preview.layer.data.any()
    plain.widget.filters.max_area.value = "many"
    assert "max_area must be a number" in plain.widget.status.value
    plain.widget.filters.max_area.value = ""
    plain.widget.filters.nested.value = "inner"
    assert [native.isRowHidden(i) for i in range(4)] == [True, False, False, False]


def test_table_and_canvas_show_each_other_what_is_chosen(plain):
    native = plain.widget.table._table.native
    plain.click(plain.image, (30, 60))
    assert native.currentRow() == 2
    native.selectRow(3)
    assert (plain.now.preview.layer.data == layers.HIGHLIGHT).sum() == plain.now.scene.seg.areas[3]
    assert plain.viewer.camera.center[1:] == pytest.approx((20, 80), abs=1.5)


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
    plain.viewer.layers.selection.active = plain.now.points
    plain.click(plain.image, (20, 80))
    plain.key("N")
    assert labels(plain).any()
    assert "nialp" in [str(c) for c in plain.widget.image.choices]


def test_every_layer_may_be_deleted(plain):
    plain.click(plain.image, (20, 80))
    plain.key("N")
    plain.click(plain.image, (20, 80))
    for layer in (
        plain.now.preview.layer, plain.now.instances, plain.now.objects, plain.now.points,
        plain.now.boxes,
    ):  # fmt: skip
        plain.viewer.layers.remove(layer)
        plain.wait()
    assert not plain.now.session.prompts(())
    plain.widget.opened.listen()
    plain.click(plain.image, (30, 45))
    plain.key("N")
    assert labels(plain).any()
    plain.click(plain.image, (30, 45))
    assert len(plain.now.session.answer(())) == 1
    plain.widget.filters.max_area.value = "1000"
    plain.wait(lambda: not plain.widget.pictures.busy)
    plain.viewer.layers.remove(plain.image)
    plain.wait()
    assert plain.widget.now is None
    assert plain.widget.image.value is None
    plain.move(plain.image, (30, 30))
    for key in "HJKNQUW":
        plain.key(key)
    assert all(t.severity.name == "INFO" for t in plain.told)


def test_the_widget_closes_and_leaves_nothing_bound(plain):
    bound = {str(k) for k in plain.viewer.keymap}
    assert {"H", "J", "K", "N", "Q", "U", "W", "Shift+U", "Shift+W"} <= bound
    moves = len(plain.viewer.mouse_move_callbacks)
    plain.viewer.window.remove_dock_widget(plain.widget.native)
    plain.wait(lambda: plain.widget._closed, 5)
    assert not {str(k) for k in plain.viewer.keymap} & {"H", "J", "K", "N", "Q", "U", "W"}
    assert len(plain.viewer.mouse_move_callbacks) == moves - 1
    assert names.PREVIEW not in plain.viewer.layers
    plain.click(plain.image, (30, 30))
    plain.viewer.add_image(np.zeros(SHAPE))
    plain.viewer.layers.clear()
    assert not plain.told
    again = plain.open()
    assert not again._closed


def test_keys_that_somebody_bound_stay_theirs(window):
    pressed = []
    window.viewer.bind_key("N", lambda viewer: pressed.append("N"))
    widget = window.open()
    assert "bound: N" in str(window.told[-1].message)
    window.key("N")
    window.viewer.window.remove_dock_widget(widget.native)
    window.wait(lambda: widget._closed, 5)
    window.key("N")
    assert pressed == ["N", "N"]


def test_three_prompts_correct_an_instance_that_is_committed(plain):
    plain.click(plain.image, (30, 30))
    assert plain.now.session.answer(()).rows.tolist() == [0]
    plain.click(plain.image, (30, 15), "RightButton")
    plain.click(plain.image, (33, 30))
    assert plain.now.session.prompts(()).labels == (1, 0, 1)
    plain.key("N")
    assert np.array_equal(labels(plain) == 1, plain.now.scene.seg.mask(1))
    plain.move(plain.image, (30, 30))
    plain.key("W")
    assert len(plain.now.points.data) == 3


def test_autosave_and_reopening(plain):
    plain.click(plain.image, (20, 80))
    plain.key("N")
    plain.click(plain.image, (30, 60))
    path = plain.widget.opened.saver.path
    plain.wait(lambda: path.is_file() and json.loads(path.read_text())["prompts"])
    assert json.loads(path.read_text())["labels"].keys() == {""}
    before = labels(plain).copy()
    plain.viewer.layers.clear()
    plain.image = plain.viewer.add_image(np.full(SHAPE, 90, np.uint8), name="plain")
    plain.widget.file.value = path
    plain.widget.reopen_button.native.click()
    plain.wait()
    plain.now = plain.widget.now
    assert np.array_equal(labels(plain), before)
    assert plain.now.points.data.tolist() == [pytest.approx((30, 60), abs=0.5)]
    plain.viewer.layers.clear()
    plain.viewer.add_image(np.zeros((9, 9)), name="other")
    plain.widget.file.value = path
    plain.widget.reopen_button.native.click()
    assert "is of plain" in str(plain.told[-1].message)


def test_the_session_that_is_reopened_is_the_one_that_was_chosen(plain, tmp_path):
    plain.click(plain.image, (20, 80))
    plain.key("N")
    usual = plain.widget.opened.saver.path
    plain.wait(lambda: usual.is_file() and json.loads(usual.read_text())["objects"])
    chosen = tmp_path / "chosen.json"
    plain.widget.file.value = chosen
    plain.widget.save()
    plain.wait(chosen.is_file)
    plain.key("U")
    plain.wait(lambda: not json.loads(usual.read_text())["objects"])
    plain.viewer.layers.clear()
    plain.viewer.add_image(np.full(SHAPE, 90, np.uint8), name="plain")
    plain.widget.reopen()
    assert plain.widget.now.objects.data.any()
    plain.viewer.layers.clear()
    plain.widget.file.value = None
    plain.viewer.add_image(np.full(SHAPE, 90, np.uint8), name="plain")
    plain.widget.reopen()
    assert chosen_path(plain.widget.file) == usual
    assert not plain.widget.now.objects.data.any()
    plain.widget.file.value = tmp_path / "none.json"
    plain.widget.reopen()
    assert "Cannot read" in str(plain.told[-1].message)


def test_reopening_brings_what_was_segmented_back_without_the_network(window):
    image = read_image(SAMPLES / "coins.png")
    window.viewer.add_image(image, name="coins")
    widget = window.open()
    widget.segment()
    window.wait(lambda: widget.now.scene is not None)
    found = widget.now.scene.seg.labels()
    widget.commit_all()
    window.wait(lambda: not widget.opened.saver._busy)
    path = widget.opened.saver.path
    window.viewer.layers.clear()
    window.viewer.add_image(image, name="coins")
    widget.network.asked = False
    widget.file.value = path
    widget.reopen()
    window.wait(lambda: widget.now.scene is not None)
    assert np.array_equal(widget.now.scene.seg.labels(), found)
    assert not widget.network.asked


def test_stacks_are_segmented_slice_by_slice_linked_and_undone_across_slices(window, seg):
    stack = window.viewer.add_image(
        np.zeros((3, *SHAPE), np.uint8), name="stack", scale=(4, 0.5, 0.5), translate=(7, 3, 5)
    )
    widget = window.open()
    window.viewer.dims.set_current_step(0, 0)
    for z in range(3):
        now = put(window, seg, (z,))
    window.now = now
    assert now.key == (0,)
    window.click(stack, (0, 20, 80))
    window.key("N")
    window.viewer.dims.set_current_step(0, 2)
    window.wait()
    assert not now.preview.layer.data.any()
    window.click(stack, (2, 30, 60))
    window.key("N")
    window.viewer.dims.set_current_step(0, 1)
    assert [bool(p.any()) for p in now.objects.data] == [True, False, True]
    window.key("U")
    assert now.key == (2,), "undo goes where the step was"
    assert len(now.points.data) == 1
    window.key("U")
    window.key("U")
    window.key("U")
    assert now.key == (0,)
    assert not now.objects.data.any()
    widget.link.value = True
    widget.buttons["Commit all"].native.click()
    assert len(np.unique(now.objects.data)) == 5
    assert (now.objects.data[0] == now.objects.data[2]).all()
    assert np.allclose(now.objects.scale, stack.scale)
    assert np.allclose(now.objects.translate, stack.translate)
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
    widget.advanced.imgsz.value = "320"
    if kind == "channels":
        widget.layer_options.channel_axis.value = "0"
    widget.segment()
    window.wait(lambda: widget.now is not None and widget.now.scene is not None)
    scene = widget.now.scene
    assert scene.seg.shape == coins.shape
    assert len(scene.seg) > 10
    x0, y0, x1, y1 = scene.seg.boxes[0].tolist()
    key = (0,) * (layer.ndim - 2)
    window.click(layer, (*key, (y0 + y1) / 2, (x0 + x1) / 2))
    window.key("N")
    made = widget.now.objects
    assert made.data.any()
    assert made.ndim == (2 if kind == "channels" else layer.ndim)
    assert not window.told


def test_the_field_of_view_is_segmented_where_it_is(window):
    coins = window.viewer.add_image(read_image(SAMPLES / "coins.png"), name="coins")
    widget = window.open()
    window.viewer.camera.zoom *= 6
    window.wait(least=0.3)
    widget.region.region.value = "field of view"
    widget.segment()
    window.wait(lambda: widget.now.scene is not None)
    scene = widget.now.scene
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
    made = widget.now.objects.data
    assert made.shape == (303, 384)
    assert made[int(place[0]), int(place[1])] == 1


def test_a_request_is_cancelled_for_real(window):
    import time

    window.viewer.add_image(np.tile(read_image(SAMPLES / "coins.png"), (4, 4, 1)), name="it")
    widget = window.open()
    widget.advanced.imgsz.value = "320"
    widget.segment()  # the network is loaded now
    window.wait(lambda: not widget.cancel_button.enabled)
    widget.advanced.imgsz.value = "4096"
    widget.segment()
    window.wait(least=1.0)
    worker = widget.requests.worker
    start = time.monotonic()
    widget.cancel_button.native.click()
    window.wait(lambda: not worker.is_running, 10)
    assert time.monotonic() - start < 5
    assert not widget.cancel_button.enabled


def test_no_weights_and_no_instance_are_told_in_one_line(window, tmp_path):
    window.viewer.add_image(np.zeros((64, 64), np.uint8), name="black", contrast_limits=(0, 255))
    widget = window.open()
    widget.segment()
    window.wait(lambda: window.told)
    assert "no instance found" in str(window.told[-1].message)
    (tmp_path / "broken.pt").write_bytes(b"no weights")
    widget.weights.value = tmp_path / "broken.pt"
    widget.segment()
    window.wait(lambda: len(window.told) > 1)
    assert str(window.told[-1].message).startswith("FastSAM: ")
    assert "\n" not in str(window.told[-1].message)
    assert window.told[-1].severity.name == "WARNING"
    widget.region.slices.value = "9"
    widget.advanced.imgsz.value = "three"
    widget.segment()
    assert "imgsz must be a number" in str(window.told[-1].message)


def test_the_viewer_closes_during_inference(window, monkeypatch):
    monkeypatch.setattr("napari_plugin.widget.Network", Network)  # one of its own, loaded at once
    window.viewer.add_image(np.tile(read_image(SAMPLES / "coins.png"), (4, 4, 1)), name="it")
    widget = window.open()
    widget.advanced.imgsz.value = "4096"
    widget.segment()
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
    buttons = [
        widget.segment_button, widget.save_button, widget.reopen_button, *widget.buttons.values(),
    ]  # fmt: skip
    for button in buttons:
        window.told.clear()
        button.native.click()
        (said,) = window.told
        assert said.severity.name == "INFO"
        assert str(said.message) in (
            "Open an image first", "Open the session's image first", "Segment an image first",
        )  # fmt: skip
