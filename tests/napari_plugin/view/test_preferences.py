"""What a person sets once, on the plugin's page of napari's preferences."""

from __future__ import annotations

import numpy as np
import pytest

from tests.napari_plugin.conftest import SHAPE


def test_the_widget_begins_with_the_preferences(window, monkeypatch, tmp_path):
    from napari import settings

    from napari_plugin.view.preferences import PAGE, PLUGIN

    if not hasattr(settings, "get_plugin_settings"):
        pytest.skip("this napari has no page of preferences for plugins")
    page = getattr(settings.get_plugin_settings(PLUGIN), PAGE)
    wanted = {"model": "FastSAM-s", "device": "cpu", "hover": False, "folder": str(tmp_path)}
    for name, value in wanted.items():
        monkeypatch.setattr(page, name, value)
    image = window.viewer.add_image(np.zeros(SHAPE, np.uint8), name="it")
    widget = window.open()
    assert (widget.panel.model_name(), widget.panel.device.value) == ("FastSAM-s", "cpu")
    opened = widget._open(image, widget.requester.plane(image))
    assert not opened.view.instances.hover
    assert tmp_path in opened.saver.path.parents


def test_the_tick_is_remembered(window):
    from napari import settings

    from napari_plugin.view.preferences import PAGE, PLUGIN, load

    if not hasattr(settings, "get_plugin_settings"):
        pytest.skip("this napari has no page of preferences for plugins")
    ours = settings.get_plugin_settings(PLUGIN)
    tick = window.open().panel.mode.predict
    assert tick.value, "a click predicts, unless somebody wants otherwise"
    try:
        tick.native.click()
        assert not load().predict
        assert "predict: false" in ours.config_path.read_text()
    finally:
        getattr(ours, PAGE).predict = True
    assert load().predict
