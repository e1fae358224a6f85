"""Which image it is, by its pixels."""

from __future__ import annotations

import numpy as np

from napari_plugin.model import identity
from support.counting import Counting
from tests.napari_plugin.model.sessions import IMAGE


def test_equal_pixels_have_one_name_and_others_another():
    names = {
        identity.name([a])
        for a in (IMAGE, IMAGE.astype(np.int32), IMAGE.reshape(-1, 40), IMAGE + 1, IMAGE[::-1])
    }
    assert len(names) == 5
    changed = IMAGE.copy()
    changed[13, 7] += 1
    assert identity.name([changed]) != identity.name([IMAGE])
    assert identity.name([np.asfortranarray(IMAGE)]) == identity.name([IMAGE.copy()])


def test_of_what_is_large_or_read_from_files_little_is_read():
    large = np.random.default_rng(0).integers(0, 255, (5, 3000, 3000, 3), dtype=np.uint8)
    levels = [Counting(large), Counting(large[:, ::4, ::4])]
    first = identity.name(levels)
    assert sum(level.read for level in levels) <= 2 * 16 * 128 * 128 * 3
    assert identity.name([Counting(large.copy()), Counting(large[:, ::4, ::4])]) == first
    assert identity.name([Counting(large[::-1]), Counting(large[::-1, ::4, ::4])]) != first
