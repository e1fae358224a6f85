"""Where things are."""

from __future__ import annotations

from pathlib import Path

import pytest

from fastsam_plugins import paths


def test_what_is_bundled_is_there():
    assert paths.BUNDLED.is_file()
    assert len(list(paths.SAMPLES.glob("*.*"))) >= 3


@pytest.mark.parametrize(
    ("platform", "variable", "given", "expected"),
    [
        ("linux", "XDG_DATA_HOME", "", ".local/share"),
        ("linux", "XDG_DATA_HOME", "relative", ".local/share"),
        ("linux", "XDG_DATA_HOME", "/there", "/there"),
        ("win32", "LOCALAPPDATA", "", "AppData/Local"),
        ("win32", "LOCALAPPDATA", "/there", "/there"),
        ("darwin", "XDG_DATA_HOME", "/there", "Library/Application Support"),
    ],
)
def test_a_persons_own_folder_is_the_systems(monkeypatch, platform, variable, given, expected):
    monkeypatch.setattr(paths.sys, "platform", platform)
    monkeypatch.setenv(variable, given)
    assert paths.data() == Path.home() / expected / "fastsam-plugins"
