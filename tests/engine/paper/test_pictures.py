"""Rows of pictures, one below the other."""

from __future__ import annotations

import numpy as np
from PIL import Image

from fastsam_plugins.paper import pictures


def test_pictures_of_a_row_are_as_high_as_the_others_and_rows_fill_up(tmp_path):
    def plain(height, width, value):
        return np.full((height, width, 3), value, np.uint8)

    first = [plain(440, 880, 200), plain(110, 110, 100)]
    pictures.write([first, [plain(30, 60, 50)]], tmp_path / "a.png")
    made = np.asarray(Image.open(tmp_path / "a.png"))
    assert made.shape == (2 * 226, 446 + 226, 3)
    assert (made[:220, :440] == 200).all()
    assert (made[:220, 446:666] == 100).all()
    assert (made[226:446, :440] == 50).all()
    assert not made[226:, 446:].any()
    assert not made[220:226].any()
