"""Instances of windows."""

from __future__ import annotations

import numpy as np
import pytest

from fastsam_plugins.segmentation import Segmentation
from napari_plugin.model.prompts import Prompts
from napari_plugin.model.slice_instances import SliceInstances
from napari_plugin.view.preview import HOVER
from tests.napari_plugin.conftest import CIRCLES, SHAPE, picked, put


def test_layers_are_the_same_for_a_window_of_another_size(window, seg):
    window.image = window.viewer.add_image(np.full((90, 200), 90, np.uint8), name="plain")
    window.open()
    workspace = put(window, seg, part=(0, 0, SHAPE[1], SHAPE[0]))
    layers = workspace.view.instances.picture, workspace.view.instances.preview.layer
    x, y, _ = CIRCLES[3]
    part = seg[[3]]
    smaller = Segmentation.from_masks(np.stack([part.mask(0)[:50, 30:]]), scores=[0.8])
    put(window, smaller, part=(100, 30, 100 + SHAPE[1] - 30, 80))
    assert (workspace.view.instances.picture, workspace.view.instances.preview.layer) == layers
    assert np.count_nonzero(workspace.view.instances.picture.data) == smaller.areas[0]
    spot = (30 + y, 100 + x - 30)
    window.move(window.image, spot)
    assert np.count_nonzero(workspace.view.instances.preview.layer.data) == smaller.areas[0]
    assert workspace.view.instances.preview.layer.world_to_data(
        window.image.data_to_world(spot)
    ) == pytest.approx((y, x - 30))


def shown(window):
    return window.workspace.view.instances.preview.layer.data.copy()


def test_what_a_click_would_pick_is_shown_once_the_cursor_rests(coins_window):
    window = coins_window
    session, scene = window.workspace.session, window.workspace.instances
    place = (100, 262)  # the edge of a coin: what was found there is not what a click makes
    found = scene.at((place[1] + 0.5, place[0] + 0.5), session.options)
    window.move(window.image, place)
    assert np.count_nonzero(shown(window)) == found.areas.sum(), "what was found, at once"
    layers = window.workspace.view.instances
    window.wait(lambda: layers._ahead is not None)
    before = shown(window)
    assert set(np.unique(before)) == {0, HOVER}
    window.click(window.image, place)
    (clicked,) = picked(window)
    assert np.array_equal(before == HOVER, clicked)
    window.move(window.image, (125, 305))
    window.wait(lambda: layers._ahead is not None)
    more = shown(window) == HOVER
    assert more.any()
    assert not (more & clicked).any(), "what is picked stays to be seen"
    window.click(window.image, (125, 305))
    assert np.array_equal(more, picked(window)[0] & ~clicked)


def test_the_latest_place_wins(coins_window):
    window = coins_window
    session, scene = window.workspace.session, window.workspace.instances
    asked = []
    ahead = SliceInstances.ahead

    def slow(self, xy, *given):
        asked.append(xy)
        return ahead(self, xy, *given)

    layers = window.workspace.view.instances
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(SliceInstances, "ahead", slow)
        for column in range(255, 290, 5):  # over a coin, quicker than the cursor rests
            window.mouse("MouseMove", window.at(window.image, (120, column)))
            window.wait(least=0.01)
        window.wait(lambda: asked and abs(asked[-1][0] - 285.5) < 0.6 and not layers._looking.busy)
        (ahead_of_last,) = scene.ahead(asked[-1], Prompts(), session.options)
        assert np.array_equal(shown(window) == HOVER, ahead_of_last.mask(0))
    window.move(window.image, (2, 2))
    window.move(window.image, (120, 271))
    window.key("H")
    window.wait(least=0.3)
    assert not shown(window).any()
    assert layers._ahead is None


def test_nothing_is_shown_of_an_answer_that_comes_too_late(coins_window):
    """The cursor is elsewhere by then, the prompts are others, or the window is closed."""
    window = coins_window
    layers = window.workspace.view.instances
    window.workspace.actions.moved(window.image.data_to_world((120, 271)))
    layers._rest.stop()
    layers._look_ahead()
    assert layers._looking.busy
    window.workspace.actions.moved(window.image.data_to_world((180, 200)))
    layers._rest.stop()
    window.wait(lambda: not layers._looking.busy)
    assert layers._ahead is None
    window.workspace.actions.moved(window.image.data_to_world((120, 271)))
    layers._rest.stop()
    layers._look_ahead()
    window.workspace.session.prompt((), Prompts(((60.5, 190.5),), (1,)))
    window.wait(lambda: not layers._looking.busy)
    assert layers._ahead is None
    assert not (shown(window) == HOVER).any()
    window.workspace.actions.moved(window.image.data_to_world((120, 271)))
    layers._rest.stop()
    layers._look_ahead()
    window.viewer.window.remove_dock_widget(window.widget.native)
    window.wait(lambda: not layers._looking.busy, least=0.3)
    assert not window.told


def test_outside_the_image_there_is_nothing_to_show(coins_window):
    window = coins_window
    window.move(window.image, (310, 100))
    window.wait(least=0.3)
    assert window.workspace.view.instances._ahead is None
    assert not shown(window).any()
