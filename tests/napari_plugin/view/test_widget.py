"""The whole plugin in a real window: real mouse events, real keys, real OpenGL."""

from __future__ import annotations

import numpy as np
import pytest

from fastsam_plugins import read_image
from fastsam_plugins.paths import SAMPLES
from napari_plugin.view import layers as names
from napari_plugin.view.preview import HOVER
from tests.napari_plugin.conftest import SHAPE, labels

pytestmark = pytest.mark.timeout(600)


def test_the_manifest_offers_widget_menus_and_preferences():
    from npe2 import PluginManifest

    from fastsam_plugins.parameters import parameters
    from napari_plugin.view.preferences import PAGE, Preferences
    from napari_plugin.view.widget import FastSAMWidget

    manifest = PluginManifest.from_distribution("fastsam-plugins")
    manifest.validate_imports()
    (widget,) = manifest.contributions.widgets
    assert (widget.display_name, widget.get_callable()) == ("FastSAM", FastSAMWidget)
    menus = manifest.contributions.menus
    for menu in ("napari/layers/segment", "napari/layers/annotate"):
        assert [item.command for item in menus[menu]] == [widget.command]
    page = manifest.contributions.configurations[PAGE].properties
    assert page.keys() == {p.name for p in parameters(Preferences)}
    for p in parameters(Preferences):
        shown = page[p.name]
        assert (shown.default, shown.description) == (p.default, p.help)
        assert (shown.minimum, shown.maximum) == (p.ge, p.le)


def test_segment_click_hover_commit_undo_on_a_real_image(window):
    """The bundled network in its own process, from the button to the label image."""
    coins = window.viewer.add_image(read_image(SAMPLES / "coins.png"), name="coins")
    widget = window.open()
    widget.panel.basic.conf.value = 0.25
    widget.panel.segment_button.native.click()
    assert widget.panel.cancel_button.enabled
    window.wait(lambda: widget.workspace is not None and widget.workspace.instances is not None)
    scene = widget.workspace.instances
    assert widget.panel.status.value == f"{len(scene.seg)} instances"
    assert len(scene.seg) > 20
    window.wait(lambda: not widget.panel.cancel_button.enabled)

    middle = 52, 216
    coin = scene.seg.predict(points=[(middle[1] + 0.5, middle[0] + 0.5)], multimask=False)
    assert len(coin) == 1
    before = window.pixels()
    window.move(coins, middle)
    hovered = window.pixels()
    assert (before != hovered).any(-1).sum() > 200, "the coin under the cursor lights up"
    window.click(coins, middle)
    assert widget.workspace.view.prompts.points.data.tolist() == [pytest.approx(middle, abs=1)]
    assert (window.pixels() != hovered).any(-1).sum() > 200
    window.key("N")
    assert set(np.unique(widget.workspace.view.objects.labels.data)) == {0, 1}
    assert np.array_equal(widget.workspace.view.objects.labels.data > 0, coin.mask(0))
    assert len(widget.workspace.view.prompts.points.data) == 0
    window.key("U")
    assert not widget.workspace.view.objects.labels.data.any()
    assert len(widget.workspace.view.prompts.points.data) == 1
    assert not window.told


def test_buttons_of_the_mouse_say_foreground_and_background(plain):
    plain.click(plain.image, (30, 30))
    plain.click(plain.image, (30, 15), "RightButton")
    prompts = plain.workspace.session.prompts(())
    assert prompts.labels == (1, 0)
    assert prompts.points[0] == pytest.approx((30.5, 30.5), abs=0.3)
    assert plain.workspace.session.answer(()).seg.rows.tolist() == [1], "the large disk is vetoed"
    colors = plain.workspace.view.prompts.points.face_color
    assert colors[0].tolist() == [0, 1, 0, 1]
    assert colors[1].tolist() == [1, 0, 0, 1]
    plain.click(plain.image, (20, 80), modifiers="ControlModifier")
    assert plain.workspace.session.prompts(()).labels == (1, 0, 0)


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
    assert not plain.workspace.session.prompts(())
    assert plain.viewer.camera.center != center


def test_clicks_that_pick_nothing_say_so(plain):
    plain.click(plain.image, (2, 2))
    assert "no instance there" in str(plain.told[-1].message)
    plain.key("N")
    assert "Nothing to commit" in str(plain.told[-1].message)
    assert plain.workspace.view.objects.labels is None, "and no empty layer is made"


def test_keys_cycle_commit_go_back_and_delete(plain):
    plain.click(plain.image, (30, 30))
    rows = lambda: plain.workspace.session.answer(()).seg.rows.tolist()  # noqa: E731
    assert rows() == [0]
    plain.key("J")
    assert rows() == [1]
    plain.key("K")
    assert rows() == [0]
    plain.key("N")
    assert (labels(plain) == 1).sum() == plain.workspace.instances.seg.areas[0]
    plain.move(plain.image, (30, 45))
    plain.key("W")
    assert plain.workspace.session.prompts(()).target == 1
    plain.key("J")
    plain.key("N")
    assert (labels(plain) == 1).sum() == plain.workspace.instances.seg.areas[1]
    plain.move(plain.image, (30, 30))
    plain.key("Shift-W")
    assert not labels(plain).any()
    for _ in range(20):
        plain.key("U")
    assert not plain.workspace.session.prompts(())
    for _ in range(20):
        plain.key("Shift-U")
    assert not labels(plain).any()
    assert plain.workspace.session.objects.next_id == 2
    plain.click(plain.image, (20, 80))
    plain.key("Q")
    assert len(plain.workspace.view.prompts.points.data) == 0


def test_hover_can_be_turned_off(plain):
    plain.move(plain.image, (30, 45))
    layer = plain.workspace.view.instances.preview.layer
    assert (layer.data == HOVER).sum() == plain.workspace.instances.seg.areas[0]
    plain.move(plain.image, (2, 95))
    assert not layer.data.any()
    plain.key("H")
    plain.move(plain.image, (30, 45))
    assert not layer.data.any()


def test_hovering_leaves_what_is_picked_as_it_was(plain):
    plain.click(plain.image, (30, 60))
    picked = plain.workspace.view.instances.preview.layer.data.copy()
    assert picked.any()
    for place in ((30, 20), (20, 80), (30, 30), (2, 95)):
        plain.move(plain.image, place)
    assert np.array_equal(plain.workspace.view.instances.preview.layer.data, picked)


def test_boxes_are_drawn_with_napari_s_own_tool(plain):
    boxes = plain.workspace.view.prompts.boxes
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
    ((x0, y0, x1, y1),) = plain.workspace.session.prompts(()).boxes
    assert (x0, y0, x1, y1) == pytest.approx((68.5, 8.5, 92.5, 32.5), abs=0.5)
    assert plain.workspace.session.answer(()).seg.rows.tolist() == [3]
    plain.key("N")
    assert np.array_equal(labels(plain) > 0, plain.workspace.instances.seg.mask(3))
    assert len(boxes.data) == 0


def test_points_are_moved_and_deleted_with_napari_s_own_tools(plain):
    plain.click(plain.image, (30, 30))
    points = plain.workspace.view.prompts.points
    points.data = np.array([[20.0, 80.0]])
    assert plain.workspace.session.prompts(()).points == ((80.5, 20.5),)
    points.selected_data = {0}
    points.remove_selected()
    assert not plain.workspace.session.prompts(())
    plain.key("U")
    assert points.data.tolist() == [[20, 80]]


def test_several_objects_in_one_go_and_all_of_them(plain):
    plain.widget.panel.mode.points_mode.value = "each"
    plain.click(plain.image, (20, 80))
    plain.click(plain.image, (45, 30))
    assert set(np.unique(plain.workspace.view.instances.preview.layer.data)) - {HOVER} == {
        0,
        1,
        2,
    }
    plain.widget.panel.buttons["Commit"].native.click()
    assert set(np.unique(labels(plain))) == {0, 1, 2}
    plain.widget.panel.buttons["Undo"].native.click()
    plain.widget.panel.buttons["Clear"].native.click()
    plain.widget.panel.buttons["Commit all"].native.click()
    assert len(np.unique(labels(plain))) == 5
    features = plain.workspace.view.objects.labels.features
    assert features["area"].tolist()[1:] == [
        int((labels(plain) == i).sum()) for i in features["index"].tolist()[1:]
    ]
    assert sorted(features["score"].tolist()[1:]) == pytest.approx([0.5, 0.7, 0.8, 0.9])


def test_polygons_are_committed_as_shapes_and_undone(plain):
    plain.widget.panel.policy.value = "Shapes polygons"
    plain.click(plain.image, (20, 80))
    plain.key("N")
    (polygon,) = plain.workspace.view.objects.polygons.data
    assert polygon.mean(0) == pytest.approx((19.5, 79.5), abs=0.7)
    assert plain.workspace.view.objects.polygons.features["area"].tolist() == [
        plain.workspace.instances.seg.areas[3]
    ]
    plain.key("U")
    assert len(plain.workspace.view.objects.polygons.data) == 0
    assert plain.workspace.view.objects.labels is None


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
    assert plain.workspace.session.answer(()).seg.rows.tolist() == [0]
    plain.click(plain.image, (30, 15), "RightButton")
    plain.click(plain.image, (33, 30))
    assert plain.workspace.session.prompts(()).labels == (1, 0, 1)
    plain.key("N")
    assert np.array_equal(labels(plain) == 1, plain.workspace.instances.seg.mask(1))
    plain.move(plain.image, (30, 30))
    plain.key("W")
    assert len(plain.workspace.view.prompts.points.data) == 3
