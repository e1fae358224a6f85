"""Run arrays against plain numpy."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

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
