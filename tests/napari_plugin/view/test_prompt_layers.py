"""Points and boxes, drawn and shown."""

from __future__ import annotations

import numpy as np
import pytest

from tests.napari_plugin.conftest import across, labels

pytestmark = pytest.mark.timeout(600)


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


def shown(window):
    """Kinds and colours in the layer of boxes and scribbles; which are red."""
    layer = window.workspace.view.prompts.boxes
    red = np.isclose(np.asarray(layer.edge_color).reshape(-1, 4)[:, 0], 1).tolist()
    return list(zip(map(str, layer.shape_type), red, strict=True))


def test_scribbles_are_shown_and_deleted_with_napari_s_own_tools(coins_window):
    window = coins_window
    window.drag(window.image, across(120, 258, 284))
    window.drag(window.image, across(132, 262, 280), "RightButton")
    assert shown(window) == [("path", False), ("path", True)]
    window.key("U")
    assert shown(window) == [("path", False)]
    window.key("Shift-U")
    assert shown(window) == [("path", False), ("path", True)]
    layer, session = window.workspace.view.prompts.boxes, window.workspace.session
    before = session.prompts(()).scribbles
    layer.selected_data = {0}
    layer.remove_selected()
    assert session.prompts(()).scribbles == before[1:], "the other one is as it was"
    assert shown(window) == [("path", True)]
    window.key("U")
    assert session.prompts(()).scribbles == before
    window.drag(window.image, across(115, 258, 284))
    assert [s.label for s in session.prompts(()).scribbles] == [1, 0, 1]
    assert shown(window) == [("path", False), ("path", True), ("path", False)]
    window.viewer.layers.remove(layer)
    assert not session.prompts(())


def test_a_path_of_napari_s_own_tool_is_a_scribble(coins_window):
    window = coins_window
    window.click(window.image, (120, 265))
    layer = window.workspace.view.prompts.boxes
    layer.add_paths([np.array([[120.0, 260.0], [122.0, 280.0]])])
    (drawn,) = window.workspace.session.prompts(()).scribbles
    assert drawn.line == ((260.5, 120.5), (280.5, 122.5))
    assert (drawn.label, drawn.after) == (1, 1)
    assert len(window.workspace.session.prompts(()).points) == 1


def test_scribbles_are_there_again_with_the_object_and_the_session(coins_window):
    window = coins_window
    window.drag(window.image, across(120, 258, 284))
    window.drag(window.image, across(132, 262, 280), "RightButton")
    window.click(window.image, (112, 290))
    prompts = window.workspace.session.prompts(())
    window.key("N")
    assert shown(window) == []
    made = labels(window) == 1
    window.move(window.image, (120, 271))
    window.key("W")
    assert (prompts.scribbles, prompts.points) == (
        window.workspace.session.prompts(()).scribbles, window.workspace.session.prompts(()).points,
    )  # fmt: skip
    window.widget.save()
    window.wait(lambda: window.told, least=0.3)
    window.widget.reopen()
    window.wait(lambda: not window.widget.panel.cancel_button.enabled, least=0.5)
    again = window.widget.workspace
    assert again.session.prompts(()).scribbles == prompts.scribbles
    assert shown(window) == [("path", False), ("path", True)]
    assert np.array_equal(again.session.answer(()).seg.mask(0), made)
