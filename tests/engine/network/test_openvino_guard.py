"""OpenVINO behind one door; what it contacts is looked at in ``end_to_end/test_privacy.py``."""

from __future__ import annotations

import os

import pytest

from fastsam_plugins.network.openvino_guard import openvino
from tests.conftest import ROOT

pytest.importorskip("openvino")


def test_the_environment_is_as_it_was(monkeypatch):
    for value in (None, "false"):
        monkeypatch.delenv("CI", raising=False)
        if value:
            monkeypatch.setenv("CI", value)
        with openvino() as module:
            assert module.__name__ == "openvino"
            assert os.environ["CI"] == "true"
        assert os.environ.get("CI") == value


def test_nobody_goes_by_another_door():
    doors = [
        p.name
        for package in ("fastsam_plugins", "fiftyone_plugin", "napari_plugin")
        for p in (ROOT / package).rglob("*.py")
        if "import openvino\n" in p.read_text() or "from openvino import" in p.read_text()
    ]
    assert doors == []
