"""Requests to the network that are cancelled, refused, or outlive their window."""

from __future__ import annotations

import gc

import numpy as np
import pytest

from fastsam_plugins import read_image
from fastsam_plugins.paths import SAMPLES
from napari_plugin.inference.network import Network

pytestmark = pytest.mark.timeout(600)


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
