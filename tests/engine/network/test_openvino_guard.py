"""OpenVINO behind one door; what it contacts is looked at in ``end_to_end/test_privacy.py``."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fastsam_plugins import paths
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


def test_threads_that_go_in_and_out_at_once_lose_nothing_of_the_environment(monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    first, second = openvino(), openvino()
    first.__enter__()
    second.__enter__()
    monkeypatch.setenv("FASTSAM_SOMETHING", "set meanwhile by another thread")
    first.__exit__(None, None, None)
    assert os.environ["CI"] == "true"  # the other one is at it
    second.__exit__(None, None, None)
    assert "CI" not in os.environ
    assert os.environ["FASTSAM_SOMETHING"] == "set meanwhile by another thread"


def test_it_comes_where_there_is_no_home(monkeypatch):
    """As in a container that runs as a number."""
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(paths, "home", lambda: Path("/"))
    with openvino():
        assert Path.home() == Path("/")
    assert "HOME" not in os.environ
