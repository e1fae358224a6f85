"""Clicks are obeyed at their pixel, whatever the map said there."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fastsam_plugins.decoder.pins import pinned
from fastsam_plugins.decoder.windows import GRID
from fastsam_plugins.masks.local import LocalMasks

SHAPE = (300, 400)
WINDOWS = [(0, 0, 400, 300), (-20, -30, 420, 310), (90, 50, 250, 180)]
clicks = st.lists(
    st.tuples(st.integers(0, 39), st.integers(0, 29), st.integers(0, 1)), min_size=1, max_size=12,
    unique_by=lambda c: c[:2],
)  # fmt: skip


@settings(deadline=None)
@given(clicks, st.integers(0, 99), st.sampled_from(WINDOWS))
def test_every_click_is_obeyed(found, seed, window):
    """Clicks at least ten pixels apart, in a window of up to seven pixels to a cell."""
    values = np.random.default_rng(seed).normal(0, 3, (GRID, GRID)).astype(np.float32)
    asked = [(10 * x + 4.5, 10 * y + 6.5, label) for x, y, label in found]
    map_ = pinned(values, window, asked)
    source = LocalMasks(map_[None], np.array([window]), SHAPE)
    for x, y, label in asked:
        inside = window[0] <= x < window[2] and window[1] <= y < window[3]
        told = source.contains(np.zeros(1, np.int64), np.array([[int(x), int(y)]]))[0, 0]
        if inside:
            assert told == label
        else:
            assert not told


def test_nothing_changes_where_all_agree_and_little_elsewhere():
    values = np.full((GRID, GRID), 2, np.float32)
    assert pinned(values, (0, 0, 64, 64), [(10.5, 10.5, 1)]) is values
    changed = pinned(values, (0, 0, 64, 64), [(10.5, 10.5, 0), (40.5, 40.5, 1)])
    assert changed[10, 10] < 0
    far = np.hypot(*np.indices((GRID, GRID)) - np.array([10, 10])[:, None, None]) > 6
    assert np.allclose(changed[far], 2, atol=1e-5)
    assert (changed > 0)[far].all()


def test_of_two_clicks_in_one_pixel_the_later_one_counts():
    values = np.zeros((GRID, GRID), np.float32)
    assert pinned(values, (0, 0, 64, 64), [(5.2, 5.2, 1), (5.8, 5.8, 0)])[5, 5] < 0
    assert pinned(values, (0, 0, 64, 64), [(5.2, 5.2, 0), (5.8, 5.8, 1)])[5, 5] > 0


near = st.lists(
    st.tuples(st.integers(100, 107), st.integers(150, 156), st.integers(0, 1)), min_size=2,
    max_size=3, unique_by=(lambda c: c[0], lambda c: c[1]),
)  # fmt: skip


@given(near, st.integers(0, 9), st.sampled_from([(0, 0, 400, 300), (-700, -750, 1100, 1050)]))
def test_clicks_in_one_cell_are_obeyed_too(asked, seed, window):
    """Three clicks that are not in a line, as many as one cell can tell apart."""
    a, b = (np.array(asked[k][:2]) - asked[0][:2] for k in (1, -1))
    if len(asked) == 3 and not abs(np.cross(a, b)) / max(np.hypot(*a) * np.hypot(*b), 1) > 0.2:
        return  # in a line, and so in turn
    values = np.random.default_rng(seed).normal(0, 3, (GRID, GRID)).astype(np.float32)
    clicks_ = [(x + 0.5, y + 0.5, label) for x, y, label in asked]
    made = pinned(values, window, clicks_)
    source = LocalMasks(made[None], np.array([window]), SHAPE)
    told = source.contains(np.zeros(1, np.int64), np.array([c[:2] for c in asked]))[0].tolist()
    assert told == [bool(c[2]) for c in asked]
    assert np.abs(made).max() < 1e3
    unchanged = np.isclose(made, values, atol=1e-3).mean()
    assert unchanged > 0.95


def test_crowded_clicks_of_both_kinds_are_obeyed():
    """Where hills of several clicks run together: 600 crowds in a coarse window."""
    window, rng, disobeyed = (-700, -750, 1100, 1050), np.random.default_rng(0), 0
    changed = []
    for seed in range(600):
        pixels = np.floor(rng.normal((100, 150), 20, (int(rng.integers(3, 5)), 2))).astype(int)
        pixels = np.unique(pixels, axis=0)
        labels = rng.integers(0, 2, len(pixels)).tolist()
        values = np.random.default_rng(seed).normal(0, 3, (GRID, GRID)).astype(np.float32)
        asked = [(x + 0.5, y + 0.5, k) for (x, y), k in zip(pixels.tolist(), labels, strict=True)]
        made = pinned(values, window, asked)
        changed.append(np.count_nonzero(np.abs(made - values) > 1))
        source = LocalMasks(made[None], np.array([window]), SHAPE)
        told = source.contains(np.zeros(1, np.int64), pixels)[0].tolist()
        disobeyed += told != [bool(k) for k in labels]
    assert disobeyed == 0
    assert max(changed) <= 32  # of 4096 cells: steep hills that cancel each other change more
