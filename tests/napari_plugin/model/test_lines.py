"""Lines that leave the image and come back."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_plugin.model.lines import inside

SHAPE = 20, 30


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ([(1, 2), (5, 6), (9, 6)], [((1, 2), (5, 6), (9, 6))]),
        ([(25, 10), (35, 10)], [((25, 10), (30, 10))]),
        ([(25, 10), (35, 10), (35, 15), (25, 15)], [((25, 10), (30, 10)), ((30, 15), (25, 15))]),
        ([(-5, 10), (35, 10)], [((0, 10), (30, 10))]),
        ([(-5, -5), (-5, 25), (35, 25)], []),
        ([(-4, 3), (3, -4)], []),
        ([(4, 4)], []),
        ([(4, 4), (4, 4)], []),
        ([(0, 2), (0, -1e-16)], [((0, 2), (0, 0))]),
    ],
)
def test_what_leaves_the_image_is_cut(line, parts):
    found = inside(line, SHAPE)
    assert [len(p) for p in found] == [len(p) for p in parts]
    assert all(x >= 0 and y >= 0 for p in found for x, y in p)
    for mine, expected in zip(found, parts, strict=True):
        assert np.allclose(mine, expected, atol=0.01)


places = st.tuples(st.floats(-20, 50), st.floats(-20, 40))


@given(st.lists(places, max_size=6))
def test_parts_lie_in_the_image_and_miss_nothing_of_it(line):
    parts = inside(line, SHAPE)
    for part in parts:
        assert all(0 <= x < 30 and 0 <= y < 20 for x, y in part)

    def length(points):
        return np.hypot(*np.diff(np.array(points), axis=0).T).sum() if len(points) > 1 else 0.0

    # Against many short steps of the same line.
    expected = 0.0
    for (x0, y0), (x1, y1) in itertools.pairwise(line):
        shares = (np.arange(2000) + 0.5) / 2000
        x, y = x0 + shares * (x1 - x0), y0 + shares * (y1 - y0)
        expected += np.hypot(x1 - x0, y1 - y0) * ((x >= 0) & (x < 30) & (y >= 0) & (y < 20)).mean()
    assert sum(map(length, parts)) == pytest.approx(expected, abs=0.1 * max(len(line), 1))
