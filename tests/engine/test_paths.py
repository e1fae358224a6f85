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


def test_where_the_system_knows_of_no_home_it_is_the_root(monkeypatch):
    """As in a container that runs as a number: ``docker run --user 54321``."""

    def none():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(paths.sys, "platform", "linux")
    for name in ("XDG_DATA_HOME", "XDG_CACHE_HOME", paths.CACHE_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", none)
    assert paths.cache() == Path("/.cache/fastsam-plugins")
    assert paths.data() == Path("/.local/share/fastsam-plugins")


def test_a_folder_in_the_home_of_nobody_is_refused_by_name(monkeypatch):
    monkeypatch.setenv(paths.CACHE_VARIABLE, "~no-such-person/kept")
    with pytest.raises(ValueError, match="FASTSAM_CACHE_DIR is ~no-such-person/kept, and nobody"):
        paths.cache()
