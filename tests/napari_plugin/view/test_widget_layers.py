"""The widget among the viewer's layers: whoever chooses, filters, renames or deletes them."""

from __future__ import annotations

import numpy as np
import pytest

from napari_plugin.view import layers as names
from tests.napari_plugin.conftest import SHAPE, labels, put

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


def test_filters_are_live_and_the_table_follows(plain):
    rows = plain.widget.panel.table.rows
    assert rows.order.tolist() == [0, 1, 2, 3]
    plain.widget.panel.filters.max_area.value = "1000"
    assert rows.order.tolist() == [1, 2, 3]
    plain.wait(lambda: not plain.widget.pictures.busy)
    assert set(np.unique(plain.workspace.view.instances.picture.data)) == {0, 2, 3, 4}
    plain.move(plain.image, (30, 15))
    assert not plain.workspace.view.instances.preview.layer.data.any()
    plain.widget.panel.filters.max_area.value = "many"
    assert "max_area must be a number" in plain.widget.panel.status.value
    plain.widget.panel.filters.max_area.value = ""
    plain.widget.panel.filters.nested.value = "inner"
    assert rows.order.tolist() == [1, 2, 3]


def test_table_and_canvas_show_each_other_what_is_chosen(plain):
    table = plain.widget.panel.table
    plain.click(plain.image, (30, 60))
    assert table.selected == [2]
    table.view.selectRow(3)
    areas = plain.workspace.instances.seg.areas
    assert np.count_nonzero(plain.workspace.view.instances.preview.layer.data) == areas[3]
    assert plain.viewer.camera.center[1:] == pytest.approx((20, 80), abs=1.5)
    plain.key("N")
    assert np.count_nonzero(labels(plain)) == areas[3], "a row picks what a commit takes"


def test_a_click_on_a_column_sorts_and_rows_stay_their_instances(plain):
    table = plain.widget.panel.table
    areas = plain.workspace.instances.seg.areas
    header = table.view.horizontalHeader()
    header.sectionClicked.emit(1)
    assert areas[table.rows.order].tolist() == sorted(areas.tolist(), reverse=True)
    header.sectionClicked.emit(1)
    assert areas[table.rows.order].tolist() == sorted(areas.tolist())
    table.view.selectRow(0)
    assert np.count_nonzero(plain.workspace.view.instances.preview.layer.data) == areas.min()
    shown = table.rows.data(table.rows.index(0, 1))
    assert int(shown) == areas.min()


def test_dropped_rows_are_picked_and_committed_no_more_until_undone(plain):
    from qtpy.QtCore import Qt
    from qtpy.QtTest import QTest

    table = plain.widget.panel.table
    table.view.selectRow(0)
    QTest.keyClick(table.view, Qt.Key.Key_Delete)
    plain.wait(lambda: not plain.widget.pictures.busy)
    assert table.rows.order.tolist() == [1, 2, 3]
    assert set(np.unique(plain.workspace.view.instances.picture.data)) == {0, 2, 3, 4}
    plain.widget.commit_all()
    assert len(np.unique(labels(plain))) == 4
    plain.key("U")
    plain.key("U")
    plain.wait(lambda: not plain.widget.pictures.busy)
    assert table.rows.order.tolist() == [0, 1, 2, 3]
    plain.key("Shift-U")
    assert table.rows.order.tolist() == [1, 2, 3]


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
    plain.viewer.layers.selection.active = plain.workspace.view.prompts.points
    plain.click(plain.image, (20, 80))
    plain.key("N")
    assert labels(plain).any()
    assert "nialp" in [str(c) for c in plain.widget.panel.image.choices]


def test_every_layer_may_be_deleted(plain):
    plain.click(plain.image, (20, 80))
    plain.key("N")
    plain.click(plain.image, (20, 80))
    view = plain.workspace.view
    prompts = view.prompts.points, view.prompts.boxes
    for layer in (*view.instances.layers, view.objects.labels, *prompts):
        plain.viewer.layers.remove(layer)
        plain.wait()
    assert not plain.workspace.session.prompts(())
    plain.widget.workspace.take_clicks()
    plain.click(plain.image, (30, 45))
    plain.key("N")
    assert labels(plain).any()
    plain.click(plain.image, (30, 45))
    assert len(plain.workspace.session.answer(()).seg) == 1
    plain.widget.panel.filters.max_area.value = "1000"
    plain.wait(lambda: not plain.widget.pictures.busy)
    plain.viewer.layers.remove(plain.image)
    plain.wait()
    assert plain.widget.workspace is None
    assert plain.widget.panel.image.value is None
    plain.move(plain.image, (30, 30))
    for key in "HJKNQUW":
        plain.key(key)
    assert all(t.severity.name == "INFO" for t in plain.told)


def colors(window):
    """Which points are red."""
    return np.isclose(window.workspace.view.prompts.points.face_color[:, 0], 1).tolist()


@pytest.mark.parametrize("after", ["U", "Q", "N", "delete", "undo and redo"])
def test_points_have_the_colour_of_what_they_say(plain, after):
    plain.click(plain.image, (30, 12))
    plain.click(plain.image, (20, 80), "RightButton")
    assert colors(plain) == [False, True]
    if after == "delete":
        plain.workspace.view.prompts.points.selected_data = {1}
        plain.workspace.view.prompts.points.remove_selected()
    elif after == "undo and redo":
        plain.key("U")
        plain.key("U")
        plain.key("Shift-U")
    else:
        plain.key(after)
    plain.wait()
    plain.click(plain.image, (30, 20))
    labels_now = plain.workspace.session.prompts(()).labels
    assert colors(plain) == [not label for label in labels_now]
    plain.key("U")
    plain.key("U")
    labels_now = plain.workspace.session.prompts(()).labels
    assert colors(plain) == [not label for label in labels_now]
    assert plain.workspace.view.prompts.points.features["foreground"].tolist() == list(labels_now)


def test_a_point_of_napari_s_own_tool_says_what_its_colour_shows(plain):
    plain.click(plain.image, (20, 80), "RightButton")
    plain.key("Q")
    plain.click(plain.image, (30, 12))
    plain.workspace.view.prompts.points.mode = "add"
    plain.click(plain.image, (20, 80))
    plain.wait()
    assert plain.workspace.session.prompts(()).labels == (1, 1)
    assert colors(plain) == [False, False]


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


def test_prompts_without_an_answer_are_told_and_stay_open(plain):
    plain.click(plain.image, (30, 12))
    plain.click(plain.image, (58, 2))
    assert plain.widget.panel.status.value.startswith(
        "1 of 2 prompts answered: 1 × no instance there"
    )
    plain.click(plain.image, (20, 80))
    assert plain.widget.panel.status.value.startswith("2 of 3 prompts answered")
    plain.key("N")
    assert set(np.unique(labels(plain))) == {0, 1, 2}
    assert plain.workspace.session.prompts(()).points == (pytest.approx((2.5, 58.5), abs=0.1),)
    assert len(plain.workspace.view.prompts.points.data) == 1
    assert plain.widget.panel.status.value.startswith("0 of 1 prompts answered")
    plain.key("N")
    assert "nothing to commit: 0 of 1" in str(plain.told[-1].message).lower()
    plain.key("Q")
    assert plain.widget.panel.status.value == "4 instances"


# --- a dock of 350 pixels, one click for a box, and layers that are one's own ---------------------


def test_nothing_is_wider_than_a_narrow_dock(plain):
    from qtpy.QtCore import QPoint, Qt
    from qtpy.QtWidgets import QScrollArea, QWidget

    long = "2026-11-28_experiment_0042_plate_B_well_C07_field_0013_channel_DAPI"
    plain.image.name = long
    dock = plain.widget.native.parent()
    while not hasattr(dock, "setFloating"):
        dock = dock.parent()
    main = plain.viewer.window._qt_window
    main.resizeDocks([dock], [350], Qt.Orientation.Horizontal)
    for title in plain.widget.panel.folds:
        plain.widget.panel.unfold(title)
    plain.wait(least=0.3)
    assert dock.width() <= 350
    (scroll,) = plain.widget.native.findChildren(QScrollArea)
    inside = scroll.widget()
    assert inside.width() <= scroll.viewport().width()
    for child in inside.findChildren(QWidget):
        if child.isVisible() and not child.findChildren(QWidget):
            right = child.mapTo(inside, QPoint(child.width(), 0)).x()
            assert right <= inside.width() + 1, child
    assert plain.widget.panel.image.current_choice.startswith("2026-11-28_e")
    assert plain.widget.panel.image.current_choice.endswith("channel_DAPI")
    assert len(plain.widget.panel.image.current_choice) <= 28
    assert plain.widget.panel.image.tooltip == long


def test_long_names_that_are_shortened_alike_stay_apart():
    from napari_plugin.view.panel import LONGEST, shortened

    names = ["a" * 40 + middle + "b" * 40 for middle in "xy"]
    assert shortened(names) == names
    assert [len(n) for n in shortened([names[0], "short"])] == [LONGEST, 5]


def test_one_click_on_box_draws_a_box_and_clicks_are_points_again(plain):
    plain.click(plain.image, (20, 80))
    plain.widget.panel.box_button.native.click()
    assert str(plain.workspace.view.prompts.boxes.mode) == "add_rectangle"
    start, stop = plain.at(plain.image, (10, 10)), plain.at(plain.image, (50, 50))
    plain.mouse("MouseMove", start)
    plain.mouse("MouseButtonPress", start, "LeftButton")
    for share in (0.3, 0.6, 1.0):
        plain.wait(least=0.05)
        plain.mouse("MouseMove", start + (stop - start) * share, "NoButton", "LeftButton")
    plain.wait(least=0.05)
    plain.mouse("MouseButtonRelease", stop, "LeftButton", "NoButton")
    plain.wait(least=0.2)
    assert len(plain.workspace.session.prompts(()).boxes) == 1
    assert plain.widget.panel.status.value == "2 of 2 prompts answered"
    assert plain.viewer.layers.selection.active is plain.workspace.view.prompts.points
    assert str(plain.workspace.view.prompts.boxes.mode) == "pan_zoom"
    plain.click(plain.image, (30, 60))
    assert len(plain.workspace.session.prompts(()).points) == 2
    plain.key("N")
    assert len(np.unique(labels(plain))) == 4


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


def test_layers_of_one_image_after_another_have_no_numbers(window, seg):
    for name in ("first", "second"):
        image = window.viewer.add_image(np.full(SHAPE, 90, np.uint8), name=name)
        if window.widget is None:
            window.open()
        window.widget.panel.image.value = image
        put(window, seg, image=image)
        window.widget.commit_all()
        window.wait(least=0.2)
    window.widget.reopen()
    found = [layer.name for layer in window.viewer.layers]
    assert not [n for n in found if "[" in n]
    assert "FastSAM objects of first" in found
    assert found.count("FastSAM objects") == 1
