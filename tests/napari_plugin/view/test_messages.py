"""What is refused is shown in one line, and raised no further."""

from __future__ import annotations

import pytest

from napari_plugin.model.painting import SessionError
from napari_plugin.model.plane import PlaneError
from napari_plugin.view import messages


@pytest.fixture
def said(monkeypatch):
    """What napari was told to show: in tests it raises warnings as errors."""
    lines = []
    for name in ("show_info", "show_warning"):
        monkeypatch.setattr(messages, name, lambda text, kind=name: lines.append((kind, text)))
    return lines


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("conf must be a number"), ("show_info", "conf must be a number")),
        (PlaneError("show a plane"), ("show_info", "Show a plane")),
        (SessionError("there is nothing"), ("show_info", "There is nothing")),
        (
            OSError(28, "No space left", "a.png"),
            ("show_warning", "[Errno 28] No space left: 'a.png'"),
        ),
        (MemoryError("9 GB"), ("show_warning", "There is no room in memory: 9 GB")),
    ],
    ids=lambda v: type(v).__name__,
)
def test_errors_are_shown(said, error, line):
    @messages.shows_errors
    def act(given):
        raise error

    assert act.__name__ == "act"
    act(1)
    assert said == [line]


def test_what_succeeds_says_nothing_and_faults_of_ours_are_raised(said):
    done = []
    messages.shows_errors(done.append)(3)
    assert done == [3]
    with pytest.raises(KeyError):
        messages.shows_errors(lambda: {}["no"])()
    assert said == []
