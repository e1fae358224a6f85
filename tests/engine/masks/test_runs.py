"""Run arrays against plain numpy."""

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
bitmaps = shapes.flatmap(lambda s: arrays(np.bool_, s))
stacks = shapes.flatmap(lambda s: arrays(np.bool_, (4, *s)))


@st.composite
def windowed(draw):
    bitmap = draw(bitmaps)
    h, w = bitmap.shape
    x0, x1 = sorted((draw(st.integers(0, w)), draw(st.integers(0, w))))
    y0, y1 = sorted((draw(st.integers(0, h)), draw(st.integers(0, h))))
    return bitmap, (x0, y0, x1, y1)


@given(bitmaps)
def test_bitmap_round_trip(bitmap):
    runs = R.from_bitmap(bitmap)
    assert np.array_equal(R.to_bitmap(runs, bitmap.shape), bitmap)
    assert (runs[:, 1] > runs[:, 0]).all()
    assert (runs[1:, 0] > runs[:-1, 1]).all(), "runs must not touch"


@given(windowed())
def test_windows_of_a_mask(case):
    bitmap, (x0, y0, x1, y1) = case
    runs = R.from_bitmap(bitmap)
    part = bitmap[y0:y1, x0:x1]
    assert np.array_equal(R.to_bitmap(runs, bitmap.shape, (x0, y0, x1, y1)), part)
    assert R.area_inside(runs, bitmap.shape[0], (x0, y0, x1, y1)) == part.sum()
    cropped = np.zeros_like(bitmap)
    cropped[y0:y1, x0:x1] = part
    assert np.array_equal(R.from_bitmap(part, bitmap.shape, (x0, y0)), R.from_bitmap(cropped))
    assert np.array_equal(R.crop(runs, bitmap.shape[0], (x0, y0, x1, y1)), R.from_bitmap(cropped))


@given(bitmaps)
def test_area_and_bounds(bitmap):
    runs = R.from_bitmap(bitmap)
    assert R.area(runs) == bitmap.sum()
    y, x = np.nonzero(bitmap)
    expected = (x.min(), y.min(), x.max() + 1, y.max() + 1) if len(x) else (0, 0, 0, 0)
    assert R.bounds(runs, bitmap.shape[0]) == expected


@given(stacks)
def test_union_and_intersections(stack):
    masks = [R.from_bitmap(m) for m in stack]
    assert np.array_equal(R.union(masks), R.from_bitmap(stack.any(0)))
    assert R.intersection_areas(masks[0], masks).tolist() == [(m & stack[0]).sum() for m in stack]
    assert R.intersection_areas(masks[0], []).tolist() == []


@given(bitmaps)
def test_counts_round_trip(bitmap):
    runs = R.from_bitmap(bitmap)
    counts = R.to_counts(runs, bitmap.size)
    assert counts.sum() == bitmap.size
    assert np.array_equal(R.from_counts(counts), runs)


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


@given(
    shapes.flatmap(lambda s: arrays(np.int32, s, elements=st.integers(-1, 4), fill=st.nothing()))
)
def test_a_label_image_is_split_into_its_numbers(labels):
    found = R.from_labels(labels * 1000)
    assert list(found) == [v * 1000 for v in np.unique(labels[labels != 0]).tolist()]
    for number, runs in found.items():
        assert np.array_equal(runs, R.from_bitmap(labels * 1000 == number))


def test_an_empty_label_image_has_no_values():
    assert R.from_labels(np.zeros((0, 5), int)) == {}
