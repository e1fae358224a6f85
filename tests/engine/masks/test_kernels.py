"""The inner loops against numpy and torchvision."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torchvision
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fastsam_plugins.masks import kernels

bitmaps = st.tuples(st.integers(1, 24), st.integers(1, 24)).flatmap(lambda s: arrays(np.bool_, s))


@given(bitmaps)
def test_what_was_scanned_is_painted_again_and_spans_its_rows(bitmap):
    width, height = bitmap.shape  # column after column
    runs = kernels.scan(bitmap, height, 0, 0)
    flat = np.zeros(bitmap.size, bool)
    for start, stop in runs:
        flat[start:stop] = True
    assert np.array_equal(flat.reshape(bitmap.shape), bitmap)
    assert np.array_equal(kernels.paint(runs, height, 0, 0, width, height), bitmap)
    part = kernels.paint(runs, height, width // 3, height // 2, width, height)
    assert np.array_equal(part, bitmap[width // 3 :, height // 2 :])
    rows = np.flatnonzero(bitmap.any(0))
    top, bottom = kernels.rows_spanned(runs, height)
    if len(rows):  # a run over a column's end may say all rows
        assert (top, bottom) in ((rows[0], rows[-1] + 1), (0, height))
    else:
        assert top >= bottom


@pytest.mark.parametrize("iou", [0.3, 0.7, 1.0])
@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 400])
def test_suppression_is_torchvisions(count, iou):
    rng = np.random.default_rng(count)
    corners = rng.uniform(0, 80, (count, 2))
    boxes = np.c_[corners, corners + rng.uniform(1, 40, (count, 2))].astype(np.float32)
    boxes[count // 2 :] = boxes[: count - count // 2]  # each twice: IoU of exactly 1
    expected = torchvision.ops.nms(
        torch.from_numpy(boxes), torch.arange(count, 0, -1, dtype=torch.float32), iou
    )
    assert kernels.suppress(boxes, iou, count).tolist() == expected.tolist()
    assert kernels.suppress(boxes, iou, 5).tolist() == expected.tolist()[:5]


def test_interpolation_is_a_sum_of_weighted_rows():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(7, 4)).astype(np.float32)
    inputs = np.array([[3, 4, 5], [5, 6, 7], [7, 8, 9]])
    weights = rng.normal(size=(3, 3)).astype(np.float32)
    found = kernels.interpolate(values, inputs, weights, 3)
    assert np.allclose(found, (values[inputs - 3] * weights[..., None]).sum(1), atol=1e-6)


@pytest.mark.parametrize("ratio", [0.4, 1.0, 3.7])
def test_the_first_pixel_at_a_place_is_found_without_looking_at_all(ratio):
    places = (np.arange(40) + 0.5) / ratio - 0.5
    bounded = np.concatenate([[-np.inf], places, [np.inf, np.inf]])
    for place in [*places, *(places + 1e-6), *(places - 1e-6)]:
        expected = np.searchsorted(places, place, "left")
        assert kernels.first_pixel_at(place, bounded, ratio) == expected, place
