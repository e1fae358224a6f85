"""Mask sources against plain bitmaps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from fastsam_plugins.masks import runs as R
from fastsam_plugins.masks.sources import NO_LOGITS, MergedMasks, RunMasks, smooth
from tests.conftest import disks

stacks = st.tuples(st.integers(1, 12), st.integers(1, 12)).flatmap(
    lambda s: arrays(np.bool_, (4, *s))
)


@given(stacks)
def test_pixels_are_in_the_masks_that_have_them(stack):
    shape = stack.shape[1:]
    source = RunMasks([R.from_bitmap(mask) for mask in stack], shape)
    y, x = np.mgrid[-1 : shape[0] + 1, -1 : shape[1] + 1]
    pixels = np.stack([x.ravel(), y.ravel()], 1)
    around = np.pad(stack, ((0, 0), (1, 1), (1, 1)))  # nothing is outside
    rows = np.array([3, 0, 2])
    expected = around[rows].reshape(3, -1)
    assert np.array_equal(source.contains(rows, pixels), expected)
    groups = [np.array([0, 1]), np.array([2]), np.array([3, 0, 2])]
    merged = MergedMasks(source, groups)
    united = np.stack([around[g].any(0).ravel() for g in groups])
    assert np.array_equal(merged.contains(np.arange(3), pixels), united)
    assert merged.areas(np.arange(3)).tolist() == united.sum(1).tolist()


def test_masks_are_decoded_once_and_cannot_be_written():
    source = RunMasks([R.from_bitmap(mask) for mask in disks((20, 30), [(9, 9, 5)])], (20, 30))
    runs = source.runs(0)
    assert source.runs(0) is runs
    with pytest.raises(ValueError, match="read-only"):
        runs[0] = 0


def test_what_keeps_no_logits_says_so():
    source = RunMasks([], (20, 30))
    assert not source.has_logits
    for ask in (source.window, source.logits):
        with pytest.raises(ValueError, match=NO_LOGITS):
            ask(0)
    assert source.contains(np.empty(0, np.int64), np.zeros((2, 2), np.int64)).shape == (0, 2)


def test_smoothing_joins_what_nearly_touches_and_leaves_no_speck():
    left, right, speck = disks((60, 90), [(25, 30, 18), (64, 30, 18), (80, 55, 1.5)])
    out = R.to_bitmap(smooth(R.from_bitmap(left | right | speck), (60, 90), 0.1), (60, 90))
    assert ndimage.label(out)[1] == 1
    assert not (out & speck).any()
    assert (out & (left | right)).sum() / (left | right).sum() > 0.97
    assert np.array_equal(smooth(R.from_bitmap(left), (60, 90), 0.0), R.from_bitmap(left))
