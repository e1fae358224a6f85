"""Masks as small maps over windows, against PyTorch's bilinear resizing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fastsam_plugins.masks import quality
from fastsam_plugins.masks import runs as R
from fastsam_plugins.masks.local import OUTSIDE, LocalMasks

SHAPE = (60, 90)


def reference(grid, window, shape):
    """Logits of the whole image: the map resized to its window and laid there."""
    x0, y0, x1, y1 = window
    given = torch.from_numpy(grid)[None, None]
    large = torch.nn.functional.interpolate(
        given, (y1 - y0, x1 - x0), mode="bilinear", align_corners=False
    )[0, 0].numpy()
    whole = np.full(shape, OUTSIDE, np.float32)
    left, top, right, bottom = max(x0, 0), max(y0, 0), min(x1, shape[1]), min(y1, shape[0])
    whole[top:bottom, left:right] = large[top - y0 : bottom - y0, left - x0 : right - x0]
    return whole


def made(seed, windows):
    maps = np.random.default_rng(seed).normal(size=(len(windows), 8, 8)).astype(np.float32)
    return LocalMasks(maps, np.array(windows), SHAPE)


places = st.tuples(st.integers(-20, 80), st.integers(-20, 50))
sizes = st.tuples(st.integers(1, 70), st.integers(1, 70))
windows = st.tuples(places, sizes).map(lambda v: (*v[0], v[0][0] + v[1][0], v[0][1] + v[1][1]))


@settings(deadline=None)
@given(windows.filter(lambda w: w[2] > 0 and w[3] > 0), st.integers(0, 999))
def test_every_answer_is_that_of_the_resized_map(window, seed):
    source = made(seed, [window])
    expected = reference(source.maps[0], window, SHAPE)
    assert np.allclose(source.logits(0), expected, atol=1e-4)
    near = np.abs(expected) < 1e-4  # where rounding decides
    mask = R.to_bitmap(source.runs(0), SHAPE)
    assert (mask == (expected > 0))[~near].all()
    pixels = np.stack(np.meshgrid(np.arange(-2, 92, 3), np.arange(-2, 62, 3)), -1).reshape(-1, 2)
    told = source.contains(np.zeros(1, np.int64), pixels)[0]
    inside = ((pixels >= 0) & (pixels < SHAPE[::-1])).all(1)
    assert not told[~inside].any()
    x, y = pixels[inside].T
    assert (told[inside] == (expected[y, x] > 0))[~near[y, x]].all()
    part = 10, 5, 40, 33
    assert np.allclose(source.logits(0, part), expected[5:33, 10:40], atol=1e-4)
    cut = R.to_bitmap(source.decode(0, part, 0.5), SHAPE)
    wanted = np.zeros(SHAPE, bool)
    wanted[5:33, 10:40] = expected[5:33, 10:40] > 0.5
    assert (cut == wanted)[np.abs(expected - 0.5) > 1e-4].all()


def test_rows_keep_apart_and_have_a_stability():
    source = made(3, [(0, 0, 40, 40), (-10, 20, 30, 80)])
    rows = np.arange(2)
    pairs = list(zip(source.maps, source.windows.tolist(), strict=True))
    loose, tight = ([(reference(*p, SHAPE) > t).sum() for p in pairs] for t in (-1.0, 1.0))
    assert quality.stability(source, rows) == pytest.approx(np.divide(tight, loose), abs=0.01)
    assert source.window(1) == (0, 20, 30, 60)


def test_a_window_beside_the_image_is_an_empty_mask():
    source = made(0, [(100, 100, 120, 130)])
    assert len(source.runs(0)) == 0
    assert (source.logits(0) == OUTSIDE).all()
    assert not source.contains(np.zeros(1, np.int64), np.array([[110, 110], [5, 5]])).any()
