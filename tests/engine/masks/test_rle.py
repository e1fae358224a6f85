"""RLE strings against pycocotools."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as coco

from fastsam_plugins.masks import rle
from fastsam_plugins.masks import runs as R

shapes = st.tuples(st.integers(1, 24), st.integers(1, 24))


stacks = shapes.flatmap(lambda s: arrays(np.bool_, (4, *s)))


@given(stacks)
def test_rle_strings_are_those_of_pycocotools(stack):
    shape = stack.shape[1:]
    ours = rle.encode([R.from_bitmap(m) for m in stack], shape)
    for one, mask in zip(ours, stack, strict=True):
        reference = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
        assert one["counts"] == reference["counts"].decode()
        assert one["size"] == list(shape)
        assert np.array_equal(rle.decode(one)[0], R.from_bitmap(mask))


def test_rle_of_large_counts_is_that_of_pycocotools():
    shape = (5000, 4000)
    bitmap = np.zeros(shape, np.uint8)
    bitmap[4000:4100, 3000:3010] = 1
    bitmap[10:4990, 3900] = 1
    (ours,) = rle.encode([R.from_bitmap(bitmap)], shape)
    assert ours["counts"] == coco.encode(np.asfortranarray(bitmap))["counts"].decode()
    assert R.area(rle.decode(ours)[0]) == bitmap.sum()


def test_rle_decodes_uncompressed_counts_and_bytes():
    runs, shape = rle.decode({"size": [4, 3], "counts": [2, 3, 0, 1, 6]})
    assert shape == (4, 3)
    assert runs.tolist() == [[2, 6]]
    text = rle.encode([runs], shape)[0]["counts"]
    assert rle.decode({"size": [4, 3], "counts": text.encode()})[0].tolist() == [[2, 6]]


@pytest.mark.parametrize(
    "bad",
    [
        {},
        {"size": [4, 3]},
        {"size": [4], "counts": []},
        {"size": [4, 3], "counts": [5]},
        {"size": [4, 3], "counts": [-1, 13]},
        {"size": [4, 3], "counts": "~~~"},
        {"size": [4, 3], "counts": "P"},
        {"size": [4, 3], "counts": "o" * 40},
    ],
)
def test_malformed_rle_is_refused(bad):
    with pytest.raises(ValueError, match=r"RLE"):
        rle.decode(bad)
