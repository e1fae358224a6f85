"""Rows of pictures, one below the other, under headings."""

from __future__ import annotations

import numpy as np
from PIL import Image

from fastsam_plugins.paper import pictures

WIDE, GAP, TOP = 300, 6, 26


def plain(height, width, value):
    return np.full((height, width, 3), value, np.uint8)


def made(rows, headings, path):
    pictures.write(rows, headings, path)
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def test_all_pictures_are_as_wide_as_their_columns(tmp_path):
    """A portrait below a wide one leaves no part of its row empty."""
    rows = [
        [plain(400, 800, 200), plain(400, 800, 100)],
        [plain(900, 600, 50), plain(900, 600, 60)],
    ]
    found = made(rows, ("one", "two"), tmp_path / "a.png")
    assert found.shape == (TOP + 150 + GAP + 450, 2 * WIDE + GAP, 3)
    second = np.s_[WIDE + GAP :]
    for part, value in (
        (found[TOP : TOP + 150, :WIDE], 200),
        (found[TOP : TOP + 150, second], 100),
        (found[TOP + 150 + GAP :, :WIDE], 50),
        (found[TOP + 150 + GAP :, second], 60),
        (found[TOP + 150 : TOP + 150 + GAP], 255),
        (found[TOP:, WIDE : WIDE + GAP], 255),
    ):
        assert (part == value).all()


def test_every_column_has_its_heading(tmp_path):
    rows = [[plain(30, 60, 50)] * 2]
    top = made(rows, ("one", ""), tmp_path / "a.png")[:TOP]
    assert top[:, :WIDE].min() < 100, "written in dark letters"
    assert top[:, WIDE:].min() == 255


def test_what_is_very_high_is_no_higher_than_twice_its_width(tmp_path):
    found = made([[plain(3000, 300, 50)]], ("one",), tmp_path / "a.png")
    assert found.shape == (TOP + 2 * WIDE, WIDE, 3)
    assert (found[TOP:] == 50).all(-1).mean() < 0.25, "and keeps its form"
