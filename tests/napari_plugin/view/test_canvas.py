"""Clicks and drags, whatever is selected. A coin lies about row 120, column 271."""

from __future__ import annotations

import numpy as np
import pytest

from napari_plugin.view.shown_image import camera_of
from tests.napari_plugin.conftest import across, picked

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


def center(window):
    return camera_of(window.viewer).center


def test_a_drag_is_a_scribble_and_undo_takes_it_back(coins_window):
    window = coins_window
    session, before = window.workspace.session, center(window)
    window.drag(window.image, across(120, 258, 284))
    (drawn,) = session.prompts(()).scribbles
    assert (drawn.label, drawn.after) == (1, 0)
    assert len(drawn.line) > 5
    assert (drawn.line[0], drawn.line[-1]) == (
        pytest.approx((258.5, 120.5), abs=0.6), pytest.approx((284.5, 120.5), abs=0.6),
    )  # fmt: skip
    (coin,) = picked(window)
    assert coin[120, [260, 271, 283]].all()
    assert 1500 < coin.sum() < 2500
    window.drag(window.image, across(132, 262, 280), "RightButton")
    assert [s.label for s in session.prompts(()).scribbles] == [1, 0]
    (carved,) = picked(window)
    assert coin[132, [263, 271, 279]].all()
    assert not carved[132, [263, 271, 279]].any()
    window.drag(window.image, across(110, 265, 275), modifiers="ControlModifier")
    assert [s.label for s in session.prompts(()).scribbles] == [1, 0, 0]
    assert center(window) == before, "the view stays"
    window.key("U")
    window.key("U")
    assert np.array_equal(picked(window)[0], coin)
    window.key("U")
    assert not session.prompts(())
    window.key("Shift-U")
    assert np.array_equal(picked(window)[0], coin)
    assert not window.told


def test_a_drag_of_two_pixels_is_a_click(coins_window):
    window = coins_window
    start = window.at(window.image, (120, 271))
    window.mouse("MouseMove", start)
    window.mouse("MouseButtonPress", start, "LeftButton")
    start.setX(start.x() + 2)
    window.wait()
    window.mouse("MouseMove", start, "NoButton", "LeftButton")
    window.wait()
    window.mouse("MouseButtonRelease", start, "LeftButton", "NoButton")
    prompts = window.workspace.session.prompts(())
    assert prompts.points == (pytest.approx((271.5, 120.5), abs=0.3),)
    assert not prompts.scribbles


def test_scribbles_are_cut_where_they_leave_the_image(coins_window):
    window = coins_window
    camera_of(window.viewer).zoom /= 2
    window.wait(least=0.2)
    out_and_in = [(120, 370), (120, 395), (130, 395), (130, 370)]
    window.drag(window.image, out_and_in)
    scribbles = window.workspace.session.prompts(()).scribbles
    assert len(scribbles) == 2
    assert all(0 <= x < 384 for s in scribbles for x, _ in s.line)
    assert max(x for x, _ in scribbles[0].line) == pytest.approx(384, abs=0.01)
    window.key("U")
    assert not window.workspace.session.prompts(()), "they are one step"
    window.drag(window.image, [(330, 100), (330, 200)])
    assert not window.workspace.session.prompts(())
    assert not window.workspace.view.instances.preview.layer.data.any(), "what was drawn is gone"


@pytest.mark.parametrize("way", ["middle", "space", "select"])
def test_the_view_is_moved_and_nothing_is_asked(coins_window, way):
    from qtpy.QtCore import Qt
    from qtpy.QtTest import QTest

    window = coins_window
    if way == "select":
        window.widget.panel.mode.predict.value = False
    before = np.array(center(window))
    if way == "space":
        QTest.keyPress(window.canvas.native, Qt.Key.Key_Space)
    button = "MiddleButton" if way == "middle" else "LeftButton"
    window.drag(window.image, [(120, 200), (125, 220), (140, 230)], button)
    assert np.allclose(before - center(window), (0, 20, 30), atol=1.5)
    assert not window.workspace.session.prompts(())
    if way == "space":
        QTest.keyRelease(window.canvas.native, Qt.Key.Key_Space)
        window.drag(window.image, across(120, 258, 284))
        assert len(window.workspace.session.prompts(()).scribbles) == 1


def test_napari_s_own_tools_rest_while_the_space_bar_is_held(coins_window):
    from qtpy.QtCore import Qt
    from qtpy.QtTest import QTest

    window = coins_window
    points = window.workspace.view.prompts.points
    points.mode = "add"
    QTest.keyPress(window.canvas.native, Qt.Key.Key_Space)
    assert str(points.mode) == "pan_zoom"
    QTest.keyRelease(window.canvas.native, Qt.Key.Key_Space)
    assert str(points.mode) == "add"


def test_a_box_is_drawn_where_drags_scribble(coins_window):
    window = coins_window
    window.widget.panel.box_button.native.click()
    window.drag(window.image, [(94, 244), (110, 260), (147, 297)])
    window.wait(least=0.2)
    prompts = window.workspace.session.prompts(())
    assert (len(prompts.boxes), prompts.scribbles) == (1, ())
    assert 1500 < picked(window)[0].sum() < 2500
    window.drag(window.image, across(132, 262, 280), "RightButton")
    assert len(picked(window)) == 1
    assert not picked(window)[0][132, [263, 271, 279]].any()
