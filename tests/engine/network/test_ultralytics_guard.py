"""Ultralytics behind one door; what it contacts is looked at in ``end_to_end/test_privacy.py``."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fastsam_plugins.network import ultralytics_guard as guard


@pytest.mark.parametrize("name", sorted(guard._HOMES))
def test_every_name_leads_to_ultralytics_own(name):
    assert getattr(guard, name) is getattr(guard.module(guard._HOMES[name]), name)


def test_other_names_are_none():
    with pytest.raises(AttributeError, match="has no attribute YOLO"):
        guard.YOLO  # noqa: B018
    with pytest.raises(ImportError):
        guard.module("no.such")


def test_a_persons_settings_lie_where_ultralytics_looks(monkeypatch, tmp_path):
    monkeypatch.setattr(guard.sys, "platform", "linux")
    monkeypatch.setenv("YOLO_CONFIG_DIR", str(tmp_path / "own"))
    assert guard.config_folder() == tmp_path / "own" / "Ultralytics"
    monkeypatch.delenv("YOLO_CONFIG_DIR")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert guard.config_folder() == tmp_path / "Ultralytics"
    monkeypatch.delenv("XDG_CONFIG_HOME")
    assert guard.config_folder() == Path.home() / ".config" / "Ultralytics"


def test_a_training_is_alone_and_what_was_set_comes_back(monkeypatch):
    checks, callbacks = guard.module("utils.checks"), guard.module("utils.callbacks")
    monkeypatch.setattr(checks, "ONLINE", True)
    monkeypatch.setattr(checks, "AUTOINSTALL", True)
    monkeypatch.setenv("YOLO_OFFLINE", "false")
    before = callbacks.add_integration_callbacks
    with contextlib.suppress(KeyError), guard.alone():
        assert not checks.ONLINE
        assert not checks.AUTOINSTALL
        assert callbacks.add_integration_callbacks is not before
        assert os.environ["YOLO_OFFLINE"] == "true"
        raise KeyError
    assert checks.ONLINE
    assert checks.AUTOINSTALL
    assert callbacks.add_integration_callbacks is before
    assert os.environ["YOLO_OFFLINE"] == "false"


def test_importing_it_leaves_the_number_of_threads(tmp_path):
    """It sets OMP_NUM_THREADS to 1: OpenVINO, and every process begun later, ran on one core."""
    script = """
import os
import subprocess
import sys
from fastsam_plugins.network import weights
weights.load("FastSAM-n").module
import sys
print("ultralytics" in sys.modules, os.environ.get("OMP_NUM_THREADS"))
"""
    environment = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}
    for given in ({}, {"OMP_NUM_THREADS": "3"}):
        said = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True,
            env={**environment, **given},
        ).stdout  # fmt: skip
        assert said == f"True {given.get('OMP_NUM_THREADS')}\n"
