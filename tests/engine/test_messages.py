"""The command that installs works from where this package came; errors take one line."""

from __future__ import annotations

import importlib.metadata
import shlex
from pathlib import Path

import pytest

from fastsam_plugins import messages
from fastsam_plugins.io import npz

ROOT = Path(__file__).parents[2]


def test_of_a_checkout_the_checkout_is_installed():
    """The name alone is unknown to a registry before the package is published."""
    words = shlex.split(messages.install("geo"))
    assert words == ["pip", "install", "-e", f"{ROOT}[geo]"]
    assert (ROOT / "pyproject.toml").is_file()


@pytest.mark.parametrize(
    ("note", "wanted"),
    [
        (None, "fastsam-plugins[geo]"),
        ("{}", "fastsam-plugins[geo]"),
        ("not json", "fastsam-plugins[geo]"),
        ('{"url": "file:///nowhere/at%20all"}', "fastsam-plugins[geo]"),
        ('{"url": "FOLDER", "dir_info": {}}', "FOLDER[geo]"),
    ],
)
def test_of_an_installed_package_what_pip_noted_counts(tmp_path, monkeypatch, note, wanted):
    came_from = tmp_path / "a b"
    came_from.mkdir()

    class Installed:
        def read_text(self, name):
            assert name == "direct_url.json"
            return note and note.replace("FOLDER", came_from.as_uri())

    monkeypatch.setattr(messages, "__file__", str(tmp_path / "site" / "package" / "messages.py"))
    monkeypatch.setattr(importlib.metadata, "distribution", lambda name: Installed())
    words = shlex.split(messages.install("geo"))
    assert words == ["pip", "install", wanted.replace("FOLDER", str(came_from))]


def test_one_line_is_one_that_can_be_read(tmp_path):
    import zipfile

    assert messages.one_line(ValueError("first\nsecond")) == "first"
    assert messages.one_line(KeyError()) == "KeyError"
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("version.npy", bytes(1000))
    content = path.read_bytes()  # the length of the name, which the error quotes the file by
    path.write_bytes(content[:26] + b"\xe8\x03" + content[28:])
    with pytest.raises(ValueError, match="no kept segmentation") as refused:
        npz.read(path)
    assert len(str(refused.value)) < 500 + len(str(path))
