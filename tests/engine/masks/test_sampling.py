"""Bilinear sampling against torch's ``interpolate``."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fastsam_plugins.geometry import Letterbox
from fastsam_plugins.masks.sampling import Taps, axes


def resized(values, size):
    """Along the first axis, by torch."""
    columns = torch.from_numpy(values.T.copy())[None]
    return torch.nn.functional.interpolate(columns, size=size, mode="linear")[0].numpy().T


@pytest.mark.parametrize(("size_in", "size_out"), [(1, 5), (8, 8), (7, 30), (40, 13), (5, 1)])
def test_resizing_is_torchs(size_in, size_out):
    values = np.random.default_rng(0).normal(size=(size_in, 3)).astype(np.float32)
    taps = Taps.resize(size_in, size_out)
    assert np.allclose(taps.apply(values, 0, size_out, 0), resized(values, size_out), atol=1e-5)


def test_two_steps_are_one_and_a_part_is_of_the_whole():
    values = np.random.default_rng(1).normal(size=(9, 4)).astype(np.float32)
    both = Taps.resize(9, 36).then(Taps.resize(36, 50), 9)
    assert np.allclose(both.apply(values, 0, 50, 0), resized(resized(values, 36), 50), atol=1e-5)
    first, last = both.span(20, 31)
    part = both.apply(values[first:last], 20, 31, first)
    assert np.array_equal(part, both.apply(values, 0, 50, 0)[20:31])
    assert np.array_equal(both.crop(20, 31).apply(values, 0, 11, 0), part)


@pytest.mark.parametrize("shape", [(64, 64), (90, 130), (33, 200), (301, 97)])
def test_axes_end_where_the_image_ends(shape):
    letterbox = Letterbox.fit(shape, 128)
    h, w = (side // 4 for side in letterbox.input_shape)
    x, y, _ = axes(letterbox, h, w)
    for axis, cells, pixels in ((x, w, shape[1]), (y, h, shape[0])):
        first, last = axis.pixels.span(0, pixels)
        assert 0 <= first < last <= cells
        top, bottom = axis.grid_of_pixels(0, pixels)
        assert top >= 0
        assert bottom <= len(axis.grid.inputs)
